/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bounded set of agents, each with a slot number: parallel arrays of the owner hold what belongs to it.
 * When full, whoever was silent longest among a few is forgotten; see slots_take().
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/ip.h"

#define SLOTS_NONE UINT32_MAX
#define SLOTS_FORGET_S 600 /* silent for so long: may be forgotten when room is needed */

struct slots_key {
	struct ip agent;
	uint32_t sub_agent;
	uint32_t
		foreign; /* 1: no agent of ours; a switch or another program may use the same address and sub-agent id */
	uint64_t boot;   /* 0: not part of the identity, or not said */
};

struct slots {
	uint32_t max, n, mask, hand;
	uint32_t *heads; /* 1 + slot */
	struct slots_slot {
		struct slots_key key;
		uint32_t next;   /* 1 + slot */
		uint32_t seen_s; /* since 1970 */
	} * slot;
};

/* -ENOMEM, -EINVAL. */
int slots_init(struct slots *s, uint32_t max);
void slots_deinit(struct slots *s);

/*
 * The slot of a key, noted as seen now; made when absent (*ret_new true: clear what you keep there, the slot may have been
 * another's). SLOTS_NONE when full of keys that were seen lately.
 */
uint32_t slots_take(struct slots *s, const struct slots_key *key, int64_t now_s, bool *ret_new);

/* The same for who remembers which slot it was; it may be another's by now, or no slot at all. */
uint32_t slots_take_again(struct slots *s, const struct slots_key *key, int64_t now_s, uint32_t slot, bool *ret_new);

/*
 * For who knows several keys before it takes them: each line of memory is fetched while others are, instead of waited for.
 * slots_ahead() for all of them, then slots_fetch() with what it returned: the slot it most likely is, SLOTS_NONE.
 */
const uint32_t *slots_ahead(const struct slots *s, const struct slots_key *key);

static inline uint32_t slots_fetch(const struct slots *s, const uint32_t *ahead)
{
	__builtin_prefetch(&s->slot[*ahead ? *ahead - 1 : 0]);
	return *ahead - 1;
}

/* The slot of a key that was seen within the last `within_s`, changed in nothing; SLOTS_NONE. */
uint32_t slots_find(const struct slots *s, const struct slots_key *key, int64_t now_s, int64_t within_s);
