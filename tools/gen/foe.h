/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who signs, and who only seems to. With a fleet key every host signs what it sends by its own key (wire/auth.h); beside that,
 * some of what goes is not believed by a collector that looks: it is no part of the truth.
 */
#pragma once

#include "tools/gen/fleet.h"

enum foe_kind {
	FOE_FORGED,   /* a number that was not used yet, signed by another host's key */
	FOE_REPLAYED, /* one that was sent before, some of them long ago */
	FOE_ALTERED,  /* a bit is another one */
	FOE_KINDS
};

struct foe_opts {
	uint64_t seed;
	double share[FOE_KINDS]; /* of the datagrams with rows, beside them */
};

/* What has been overheard. Zero: nothing yet. */
struct foe {
	uint32_t n_old; /* bytes */
	uint8_t old[WIRE_SIZE_MAX];
	uint8_t bytes[WIRE_SIZE_MAX]; /* what goes */
};

/* The fleet signs from now on, by keys made of the first one in `path`. -errno with a sentence in `why`. */
int foe_keys(struct fleet *f, const char *path, char *why, size_t why_len);

/* The n bytes are about to go, from `host`: by this key, if there is one. */
void foe_sign(const struct fleet *f, uint32_t host, void *p, size_t n);

/* Such a datagram of the host's went. How long the one of this kind is that goes after it, x->bytes; 0: none. */
uint32_t foe_after(struct foe *x, const struct foe_opts *o, enum foe_kind kind, const struct fleet *f, uint32_t host,
		   const void *p, uint32_t n);
