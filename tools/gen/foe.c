/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/gen/foe.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/keyfile.h"
#include "tools/gen/dice.h"
#include "wire/cursor.h"
#include "wire/put.h"

#define FOE_AHEAD 5   /* numbers that a forged one is ahead */
#define FOE_KEEPS 200 /* one in so many is overheard, to be sent again until the next one is */

int foe_keys(struct fleet *f, const char *path, char *why, size_t why_len)
{
	struct keyfile file;
	struct wire_auth fleet;
	int r = keyfile_load(&file, path, why, why_len);

	if (r < 0)
		return r;
	wire_auth_init(&fleet, file.key[0]);
	keyfile_wipe(&file);
	f->keys = calloc(f->conf.hosts, sizeof(*f->keys));
	if (!f->keys) {
		snprintf(why, why_len, "out of memory");
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < f->conf.hosts; i++) {
		uint8_t key[WIRE_AUTH_KEY];

		wire_auth_agent(&fleet, &f->hosts[i].ip, key);
		wire_auth_init(&f->keys[i], key);
	}
	return 0;
}

void foe_sign(const struct fleet *f, uint32_t host, void *p, size_t n)
{
	if (f->keys)
		wire_auth_sign(&f->keys[host], p, n);
}

/* Where the sequence number stands. */
static uint8_t *sequence_of(uint8_t *p)
{
	return p + (cursor_load32(p + 4) == 1 ? 16 : 28);
}

uint32_t foe_after(struct foe *x, const struct foe_opts *o, enum foe_kind kind, const struct fleet *f, uint32_t host,
		   const void *p, uint32_t n)
{
	uint64_t number, d;
	bool goes;

	if (o->share[kind] <= 0)
		return 0;
	memcpy(x->bytes, p, n);
	number = cursor_load32(sequence_of(x->bytes));
	d = dice(dice(o->seed ^ 0xf0e, host) + kind, number);
	goes = dice_unit(dice(o->seed ^ 0xf0e, host) + kind + FOE_KINDS, number) < o->share[kind];
	switch (kind) {
	case FOE_FORGED:
		put_u32(sequence_of(x->bytes), (uint32_t)number + FOE_AHEAD);
		foe_sign(f, (host + 1) % f->conf.hosts, x->bytes, n);
		break;
	case FOE_REPLAYED:
		if (!x->n_old || d % FOE_KEEPS == 0) {
			memcpy(x->old, p, n);
			x->n_old = n;
		}
		n = x->n_old;
		memcpy(x->bytes, x->old, n);
		break;
	default:
		x->bytes[d % n] ^= (uint8_t)(1 << (d >> 32) % 8);
	}
	return goes ? n : 0;
}
