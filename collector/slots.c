/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/slots.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash_here.h"

#define LOOK 32 /* slots looked at for one to forget */

static_assert(sizeof(struct slots_key) == 32, "no padding: keys are compared as bytes");

int slots_init(struct slots *s, uint32_t max)
{
	uint32_t size = 16;

	if (!max || max > 1u << 26)
		return -EINVAL;
	while (size < max)
		size *= 2;
	*s = (struct slots){.max = max, .mask = size - 1};
	s->heads = calloc(size, sizeof(*s->heads));
	s->slot = calloc(max, sizeof(*s->slot));
	if (!s->heads || !s->slot) {
		slots_deinit(s);
		return -ENOMEM;
	}
	return 0;
}

void slots_deinit(struct slots *s)
{
	free(s->heads);
	free(s->slot);
	*s = (struct slots){0};
}

static uint32_t *head_of(const struct slots *s, const struct slots_key *key)
{
	return &s->heads[hash64_here(key, sizeof(*key)) & s->mask];
}

const uint32_t *slots_ahead(const struct slots *s, const struct slots_key *key)
{
	const uint32_t *head = head_of(s, key);

	__builtin_prefetch(head);
	return head;
}

static void forget(struct slots *s, uint32_t i)
{
	uint32_t *at = head_of(s, &s->slot[i].key);

	while (*at != i + 1) {
		assert(*at);
		at = &s->slot[*at - 1].next;
	}
	*at = s->slot[i].next;
}

/* A slot for a newcomer: an unused one, else that of the longest silent of the next few. */
static uint32_t room(struct slots *s, int64_t now_s)
{
	uint32_t oldest = SLOTS_NONE;

	if (s->n < s->max)
		return s->n++;
	for (unsigned k = 0; k < LOOK; k++) {
		uint32_t i = s->hand++ % s->max;

		if (now_s - s->slot[i].seen_s > SLOTS_FORGET_S &&
		    (oldest == SLOTS_NONE || s->slot[i].seen_s < s->slot[oldest].seen_s))
			oldest = i;
	}
	if (oldest != SLOTS_NONE)
		forget(s, oldest);
	return oldest;
}

uint32_t slots_find(const struct slots *s, const struct slots_key *key, int64_t now_s, int64_t within_s)
{
	for (uint32_t i = *head_of(s, key); i; i = s->slot[i - 1].next)
		if (!memcmp(&s->slot[i - 1].key, key, sizeof(*key)))
			return now_s - s->slot[i - 1].seen_s <= within_s ? i - 1 : SLOTS_NONE;
	return SLOTS_NONE;
}

uint32_t slots_take(struct slots *s, const struct slots_key *key, int64_t now_s, bool *ret_new)
{
	uint32_t *head = head_of(s, key);
	uint32_t i;

	for (i = *head; i; i = s->slot[i - 1].next) {
		if (!memcmp(&s->slot[i - 1].key, key, sizeof(*key))) {
			s->slot[i - 1].seen_s = (uint32_t)now_s;
			*ret_new = false;
			return i - 1;
		}
	}
	i = room(s, now_s);
	if (i == SLOTS_NONE)
		return i;
	s->slot[i] = (struct slots_slot){.key = *key, .next = *head, .seen_s = (uint32_t)now_s};
	*head = i + 1;
	*ret_new = true;
	return i;
}

uint32_t slots_take_again(struct slots *s, const struct slots_key *key, int64_t now_s, uint32_t slot, bool *ret_new)
{
	if (slot >= s->n || memcmp(&s->slot[slot].key, key, sizeof(*key)))
		return slots_take(s, key, now_s, ret_new);
	s->slot[slot].seen_s = (uint32_t)now_s;
	*ret_new = false;
	return slot;
}
