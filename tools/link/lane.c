/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A packet that comes in at `now` has first the wire to itself after the one before it:
 *
 *     begin = max(now, wire_free)    wire_free = begin + bits / rate    due = wire_free + delay
 *
 * so a queue builds up in front of a slow wire, and delay alone makes none. Invariants:
 * 1. due never goes down from one packet to the next: the queue is a ring and nothing is overtaken.
 * 2. A lost packet takes no time on the wire and no place: it is lost before it (as netem does).
 * 3. in == out + lost + full + waiting.
 * The random numbers are xorshift64* (Vigna, 2014), one for each packet that comes in, full or not: what is lost depends on
 * the seed and the packet's number alone, not on time.
 */
#include "tools/link/lane.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NS 1000000000.0

struct lane_slot {
	int64_t due_ns;
	uint32_t len;
};

struct lane {
	struct lane_conf conf;
	struct lane_counts counts;
	struct lane_slot *slots;
	uint8_t *data; /* mtu bytes a slot */
	uint32_t head, n;
	int64_t free_ns; /* when the wire is free again */
	uint64_t random;
};

int lane_new(struct lane **ret, const struct lane_conf *conf)
{
	struct lane *l;

	if (!(conf->loss >= 0 && conf->loss <= 1) || conf->delay_ns < 0 || !conf->limit || !conf->mtu)
		return -EINVAL;
	l = calloc(1, sizeof(*l));
	if (!l)
		return -ENOMEM;
	l->conf = *conf;
	l->random = conf->seed * 0x9e3779b97f4a7c15ull + 1;
	l->random += !l->random; /* 0 stays 0 */
	l->slots = calloc(conf->limit, sizeof(*l->slots));
	l->data = calloc(conf->limit, conf->mtu);
	if (!l->slots || !l->data) {
		lane_free(l);
		return -ENOMEM;
	}
	*ret = l;
	return 0;
}

void lane_free(struct lane *l)
{
	if (!l)
		return;
	free(l->slots);
	free(l->data);
	free(l);
}

static double lane_random(struct lane *l)
{
	l->random ^= l->random >> 12;
	l->random ^= l->random << 25;
	l->random ^= l->random >> 27;
	return (double)((l->random * 0x2545f4914f6cdd1dull) >> 11) / (double)(1ull << 53);
}

void lane_put(struct lane *l, int64_t now_ns, const void *data, size_t len)
{
	uint32_t at = (uint32_t)(((uint64_t)l->head + l->n) % l->conf.limit);

	l->counts.in++;
	if (lane_random(l) < l->conf.loss) {
		l->counts.lost++;
		return;
	}
	if (l->n == l->conf.limit || len > l->conf.mtu || len == 0) {
		l->counts.full++;
		return;
	}
	l->free_ns = l->free_ns > now_ns ? l->free_ns : now_ns;
	if (l->conf.rate)
		l->free_ns += (int64_t)((double)len * 8 * NS / (double)l->conf.rate);
	memcpy(l->data + (size_t)at * l->conf.mtu, data, len);
	l->slots[at] = (struct lane_slot){l->free_ns + l->conf.delay_ns, (uint32_t)len};
	l->n++;
}

int64_t lane_due_ns(const struct lane *l)
{
	return l->n ? l->slots[l->head].due_ns : INT64_MAX;
}

size_t lane_take(struct lane *l, int64_t now_ns, const void **ret_data)
{
	const struct lane_slot *s = &l->slots[l->head];

	if (!l->n || s->due_ns > now_ns)
		return 0;
	*ret_data = l->data + (size_t)l->head * l->conf.mtu;
	l->head = (l->head + 1) % l->conf.limit;
	l->n--;
	l->counts.out++;
	l->counts.bytes_out += s->len;
	assert(l->counts.in == l->counts.out + l->counts.lost + l->counts.full + l->n);
	return s->len;
}

const struct lane_counts *lane_counts(const struct lane *l)
{
	return &l->counts;
}
