/* SPDX-License-Identifier: Apache-2.0 */
/* A bus that breaks at its Nth call: a thin layer on another one. Included by the tests that need it. */
#pragma once

#include <errno.h>
#include <stdlib.h>

#include "bus/ops.h"

enum fault_kind {
	FAULT_NONE,
	FAULT_FAIL,  /* that one call answers -EIO and does nothing */
	FAULT_FULL,  /* if it is a produce: -EAGAIN, for it and the 20 after it; else as FAIL */
	FAULT_LOST,  /* the call is done, its answer lost: -EIO */
	FAULT_CRASH, /* from that call on nothing is done any more, all answer -EIO */
};

struct fault {
	struct bus base;
	struct bus *inner;
	enum fault_kind kind;
	unsigned long at, calls; /* the call that breaks, from 1; calls so far */
};

struct fault_producer {
	struct bus_producer base;
	struct bus_producer *inner;
};

struct fault_reader {
	struct bus_reader base;
	struct bus_reader *inner;
};

static struct fault *fault_of(struct bus *bus)
{
	return (struct fault *)bus;
}

/* What the call answers without being done; 0: do it. */
static int fault_before(struct fault *f, bool produce)
{
	unsigned long n = ++f->calls;

	if (f->kind == FAULT_CRASH && n >= f->at)
		return -EIO;
	if (f->kind == FAULT_FULL && produce && n >= f->at && n <= f->at + 20)
		return -EAGAIN;
	if (n == f->at && (f->kind == FAULT_FAIL || (f->kind == FAULT_FULL && !produce)))
		return -EIO;
	return 0;
}

/* What it answers after it was done. */
static int fault_after(struct fault *f, int r)
{
	return f->kind == FAULT_LOST && f->calls == f->at ? -EIO : r;
}

static struct fault *fault_p(struct bus_producer *p)
{
	return fault_of(p->bus);
}

static struct bus_producer *fault_inner_p(struct bus_producer *p)
{
	return ((struct fault_producer *)p)->inner;
}

static struct fault *fault_r(struct bus_reader *r)
{
	return fault_of(r->bus);
}

static struct bus_reader *fault_inner_r(struct bus_reader *r)
{
	return r ? ((struct fault_reader *)r)->inner : NULL;
}

static void fault_close(struct bus *bus)
{
	(void)bus;
}

static unsigned fault_partitions(struct bus *bus, enum bus_topic t)
{
	return bus_partitions(fault_of(bus)->inner, t);
}

static int fault_bounds(struct bus *bus, enum bus_topic t, unsigned p, int64_t *ret_oldest, int64_t *ret_end)
{
	int r = fault_before(fault_of(bus), false);

	return r < 0 ? r : fault_after(fault_of(bus), bus_bounds(fault_of(bus)->inner, t, p, ret_oldest, ret_end));
}

static void fault_stats(struct bus *bus, struct bus_stats *ret)
{
	bus_stats(fault_of(bus)->inner, ret);
}

static int fault_producer_open(struct bus_producer **ret, struct bus *bus, const char *id)
{
	struct fault_producer *p = calloc(1, sizeof(*p));
	int r = bus_producer_open(&p->inner, fault_of(bus)->inner, id);

	p->base.bus = bus;
	*ret = &p->base;
	return r;
}

static void fault_producer_close(struct bus_producer *p)
{
	bus_producer_close(fault_inner_p(p));
	free(p);
}

static int fault_begin(struct bus_producer *p)
{
	int r = fault_before(fault_p(p), false);

	return r < 0 ? r : fault_after(fault_p(p), bus_begin(fault_inner_p(p)));
}

static int fault_produce(struct bus_producer *p, enum bus_topic t, unsigned partition, const void *key, size_t key_len,
			 const void *value, size_t value_len)
{
	int r = fault_before(fault_p(p), true);

	if (r < 0)
		return r;
	return fault_after(fault_p(p), bus_produce(fault_inner_p(p), t, partition, key, key_len, value, value_len));
}

/* As the contract says, any failure but -EAGAIN ends the transaction. */
static int fault_commit(struct bus_producer *p, struct bus_reader *reader, const struct bus_position *pos, size_t n)
{
	int r = fault_before(fault_p(p), false);

	if (r < 0) {
		(void)bus_abort(fault_inner_p(p));
		return r;
	}
	return fault_after(fault_p(p), bus_commit(fault_inner_p(p), fault_inner_r(reader), pos, n));
}

static int fault_abort(struct bus_producer *p)
{
	int r = fault_before(fault_p(p), false);

	(void)bus_abort(fault_inner_p(p)); /* who cannot reach the broker is fenced off by it */
	return r < 0 ? r : fault_after(fault_p(p), 0);
}

static int fault_reader_open(struct bus_reader **ret, struct bus *bus, const char *group, const enum bus_topic *topics,
			     size_t n_topics, const struct bus_events *events)
{
	struct fault_reader *r = calloc(1, sizeof(*r));
	int err = bus_reader_open(&r->inner, fault_of(bus)->inner, group, topics, n_topics, events);

	r->base.bus = bus;
	*ret = &r->base;
	return err;
}

static void fault_reader_close(struct bus_reader *r)
{
	bus_reader_close(fault_inner_r(r));
	free(r);
}

/* A read whose answer is lost would lose messages on a real bus only if the reader forgot to seek: not simulated. */
static int fault_read(struct bus_reader *r, struct bus_msg *msgs, size_t max, int timeout_ms)
{
	int err = fault_before(fault_r(r), false);

	return err < 0 ? err : bus_read(fault_inner_r(r), msgs, max, timeout_ms);
}

static int fault_committed(struct bus_reader *r, enum bus_topic t, unsigned partition, struct bus_position *ret)
{
	int err = fault_before(fault_r(r), false);

	return err < 0 ? err : fault_after(fault_r(r), bus_committed(fault_inner_r(r), t, partition, ret));
}

static int fault_seek(struct bus_reader *r, enum bus_topic t, unsigned partition, int64_t offset)
{
	int err = fault_before(fault_r(r), false);

	return err < 0 ? err : fault_after(fault_r(r), bus_seek(fault_inner_r(r), t, partition, offset));
}

static int fault_commit_positions(struct bus_reader *r, const struct bus_position *pos, size_t n)
{
	return bus_commit_positions(fault_inner_r(r), pos, n);
}

static bool fault_caught_up(struct bus_reader *r)
{
	return bus_caught_up(fault_inner_r(r));
}

static const struct bus_ops fault_ops = {
	.close = fault_close,
	.partitions = fault_partitions,
	.bounds = fault_bounds,
	.stats = fault_stats,
	.producer_open = fault_producer_open,
	.producer_close = fault_producer_close,
	.begin = fault_begin,
	.produce = fault_produce,
	.commit = fault_commit,
	.abort = fault_abort,
	.reader_open = fault_reader_open,
	.reader_close = fault_reader_close,
	.read = fault_read,
	.committed = fault_committed,
	.seek = fault_seek,
	.commit_positions = fault_commit_positions,
	.caught_up = fault_caught_up,
};

static void fault_init(struct fault *f, struct bus *inner, enum fault_kind kind, unsigned long at)
{
	*f = (struct fault){.base.ops = &fault_ops, .inner = inner, .kind = kind, .at = at};
}
