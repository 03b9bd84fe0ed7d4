/* SPDX-License-Identifier: Apache-2.0 */
/* What was last reported of each open connection, by the kernel's id. Dense places, found through a hash of 4-byte indexes:
 * memory follows the connections open, never the most there may be. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "agent/bpf/event.h"

#define CONN_SETTLED 3 /* a namespace's translations may be read later than its first connection */

struct conn {
	uint64_t id; /* 0: free place */
	uint64_t sk; /* the socket's address; 0: it ended, or is not known yet */
	struct sky_row_key key;
	uint64_t tx, rx;
	uint64_t until_ms; /* open_ms are counted up to here */
	uint32_t tx_segs, rx_segs, retransmitted, lost, dsack, delivered_ce;
	uint32_t busy, rwnd, sndbuf;
	uint32_t tgid;
	uint32_t segs;    /* segs_in + segs_out when it was last read */
	uint32_t row;     /* a hint for agent_rows_near() */
	uint32_t round;   /* the last walk that saw it; low 32 bits */
	uint32_t dead_ms; /* when a walk first found it dead, low 32 bits; 0 = alive */
	uint16_t port;    /* the ephemeral one; 0 while connecting */
	uint8_t known;    /* totals were read at least once */
	uint8_t tried;    /* its attempt was counted */
	uint8_t settled;  /* times its key was looked up for a translated address; CONN_SETTLED: done */
	uint8_t pad[3];
};

struct conns;

int conns_new(struct conns **ret, uint32_t max);
void conns_free(struct conns *c);
struct conn *conns_find(struct conns *c, uint64_t id);
/* These will be asked for soon, `sooner` before `later`: their memory is fetched meanwhile. */
void conns_expect(const struct conns *c, uint64_t later, uint64_t sooner);
/* A fresh place for an id that is not there, zeroed but for the id; NULL when full. */
struct conn *conns_add(struct conns *c, uint64_t id);
void conns_remove(struct conns *c, struct conn *conn);
size_t conns_count(const struct conns *c);
/* How many more there may be. */
size_t conns_room(const struct conns *c);
/* Places 0 .. conns_places() - 1: NULL for a free one. conns_remove() in between is allowed. */
size_t conns_places(const struct conns *c);
struct conn *conns_at(struct conns *c, size_t i);
