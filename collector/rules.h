/* SPDX-License-Identifier: Apache-2.0 */
/* Who is believed, as one reads it from options and files: made whole, never changed (collector/trust.c replaces it). */
#pragma once

#include "base/keyfile.h"
#include "collector/allow.h"
#include "collector/trust.h"

enum rules_mode { RULES_OFF, RULES_ACCEPT, RULES_REQUIRE };

struct rules {
	struct rules *next; /* of those replaced */
	uint32_t serial;
	enum rules_mode mode;
	bool idle, marks; /* marks: unsigned ones may be believed, so who has signed is noted */
	unsigned n_keys;
	struct wire_auth fleet[KEYFILE_KEYS];
	struct allow allow;
	struct nets nets;
	int64_t cost_ns; /* of a datagram, at this rate; 0: any */
};

/* -ENOMEM, -EINVAL, -errno of a file, with a sentence in `why`. */
int rules_new(struct rules **ret, const struct trust_opts *o, char *why, size_t why_len);
void rules_free(struct rules *r); /* and wipes the keys; NULL is fine */
