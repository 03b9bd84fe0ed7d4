/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The `host` record: who an agent is and which addresses it owns. A host with many addresses takes several
 * datagrams, part 0 .. parts - 1; each says who it is, and its share of the addresses stands for itself.
 */
#pragma once

#include "wire/build.h"

#define WIRE_ADAPTERS 16

/* A host's network adapters, as the standard record host_adapters (0:2001) says them. */
struct wire_adapters {
	unsigned n; /* at most WIRE_ADAPTERS; 0: the record says that there are none */
	struct wire_adapter {
		uint32_t ifindex;
		uint8_t mac[6];
	} v[WIRE_ADAPTERS];
};

/* How many datagrams host `h` takes. `b` is working memory. */
unsigned wire_host_parts(struct wire_build *b, const struct flow_host *h, const struct wire_head *head,
			 const struct wire_opts *opts);

/*
 * Writes part `part` of `h` to dst; returns its bytes and counts it in `s`; 0 when `cap` (opts.size suffices) or the
 * bound (by very long names only) is too small. Net, host id, boot and interval are the head's; h->agent is not looked at.
 * A standard counter sample (0:2) goes with part 0: host_descr (0:2000) and, when opts has adapters, host_adapters (0:2001)
 * with as many as leave half of the room to addresses. `b` is working memory.
 */
size_t wire_host_put(struct wire_build *b, const struct flow_host *h, unsigned part, const struct wire_head *head,
		     const struct wire_opts *opts, struct wire_sender *s, uint32_t uptime_ms, void *dst, size_t cap);

/* Reads the record (ours, WIRE_HOST) into *ret; ret->agent is left to the caller. Broken addresses are left out, the rest is
 * kept; ret_bad says how many. */
enum wire_error wire_host_read(const struct wire_record *r, struct wire_head *ret_head, struct flow_host *ret,
			       unsigned *ret_part, unsigned *ret_parts, unsigned *ret_bad);
