/* SPDX-License-Identifier: Apache-2.0 */
/* One direction of a link: packets wait in it until their time has come, or are lost. Time is an argument. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct lane;

struct lane_conf {
	int64_t delay_ns; /* of each packet */
	double loss;      /* probability that one is lost, 0 to 1 */
	uint64_t rate;    /* bits a second; 0: no bound */
	uint32_t limit;   /* packets that may wait */
	uint32_t mtu;     /* bytes of the longest */
	uint64_t seed;    /* the same seed loses the same packets by number */
};

/* Everything that was put in is one of: out, lost, full, or still waiting. */
struct lane_counts {
	uint64_t in, out, bytes_out;
	uint64_t lost; /* by chance */
	uint64_t full; /* because `limit` were waiting, or it was longer than mtu */
};

/* -EINVAL (a bound of 0, a loss that is no probability), -ENOMEM */
int lane_new(struct lane **ret, const struct lane_conf *conf);
void lane_free(struct lane *l);

/* A packet comes in at now_ns (of any clock that never steps). */
void lane_put(struct lane *l, int64_t now_ns, const void *data, size_t len);

/* When the next one is due; INT64_MAX: none waits. */
int64_t lane_due_ns(const struct lane *l);

/* The packet that is due at now_ns, valid until the next call; returns its length, 0: none. */
size_t lane_take(struct lane *l, int64_t now_ns, const void **ret_data);

const struct lane_counts *lane_counts(const struct lane *l);
