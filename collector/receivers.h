/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The receive threads: each has a socket and a worker, nothing is shared. Each loops
 *
 *     receive a batch -> worker_batch() -> worker_poll(): what others asked for happens between two batches -> wait if idle
 *
 * A thread waits for nothing but datagrams; after a call that brought few it rests for half a millisecond, so that the next one
 * brings more. Woken for two datagrams at a time it took a fifth more of a CPU. What a swap costs it is measured as the time from the end of one batch to the next
 * receive call.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "base/buf.h"
#include "collector/collector.h"
#include "collector/rx.h"

struct receivers;

struct receiver {
	struct receivers *all;
	struct rx *rx;
	struct worker *worker;
	pthread_t thread;
	bool started;
	bool may_rest;          /* its receive buffer holds what comes in the meantime */
	unsigned turns;         /* calls that brought something */
	int64_t drain_until_us; /* 0: not stopping */
	uint64_t asked;         /* bytes of its receive buffer */
	uint64_t stall_max_ns;  /* longest swap */
	int64_t heard_us;       /* last datagram, clock_mono_us() */
};

struct receivers {
	const struct rx_ops *ops;
	unsigned n;
	struct receiver one[COLLECTOR_THREADS];
	struct worker *workers[COLLECTOR_THREADS]; /* again, as a list */
	enum steer steer;                          /* what the kernel took */
	uint64_t rcvbuf_max;
	uint16_t port;
	atomic_bool stop;
};

/* Binds n sockets to one port, o->port 0: any. o->rcvbuf grows up to rcvbuf_max when datagrams are dropped. -errno of bind() and
 * others; receivers_close() is due in any case. */
int receivers_open(struct receivers *r, const struct rx_ops *ops, unsigned n, const struct rx_opts *o, enum steer steer,
		   uint64_t rcvbuf_max);
int receivers_workers(struct receivers *r, const struct worker_opts *o);
void receivers_close(struct receivers *r);

int receivers_start(struct receivers *r);
/* Reads what the sockets hold by now, at most for 2 s, and joins. */
void receivers_stop(struct receivers *r);

/* Any thread, by arg = struct receivers *. */
void receivers_wake(void *arg);
bool receivers_send(void *arg, const struct account_peer *to, const void *p, size_t n);

/* Any thread. */
int64_t receivers_heard_us(const struct receivers *r); /* when the last datagram came, clock_mono_us(); 0: none yet */
void receivers_metrics(const struct receivers *r, struct buf *b);
