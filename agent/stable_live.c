/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/stable_live.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

struct live {
	uint64_t key; /* in the hook's table; 0: taken */
	struct stable_sock e;
};

struct stable_live {
	struct live *v;
	uint32_t *index; /* + 1 */
	size_t n, cap, mask;
	bool read;
};

int stable_live_new(struct stable_live **ret)
{
	struct stable_live *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	*ret = l;
	return 0;
}

void stable_live_free(struct stable_live *l)
{
	if (!l)
		return;
	free(l->v);
	free(l->index);
	free(l);
}

void stable_live_begin(struct stable_live *l)
{
	l->read = false;
}

struct tuple {
	uint8_t local[16], remote[16];
	uint16_t lport, rport;
};

static uint64_t tuple_hash(const uint8_t local[16], const uint8_t remote[16], uint16_t lport, uint16_t rport)
{
	struct tuple t = {.lport = lport, .rport = rport};

	memcpy(t.local, local, 16);
	memcpy(t.remote, remote, 16);
	return hash64(&t, sizeof(t));
}

bool stable_live_may(const struct stable_sock *e)
{
	return e->phase == STABLE_OPEN || e->flags & (STABLE_GONE | STABLE_CLOSELESS);
}

static int live_add(void *arg, uint64_t key, const void *value)
{
	const struct stable_sock *e = value;
	struct stable_live *l = arg;

	if (!e->rport || !stable_live_may(e))
		return 0;
	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 256;
		struct live *v = reallocarray(l->v, cap, sizeof(*v));

		if (!v)
			return -ENOMEM;
		l->v = v;
		l->cap = cap;
	}
	l->v[l->n++] = (struct live){.key = key, .e = *e};
	return 0;
}

static int live_read(struct stable_live *l, struct stable *hook)
{
	size_t places = 512, i, at;
	int r;

	l->n = 0;
	l->read = true;
	r = stable_sockets(hook, live_add, l);
	if (r < 0) {
		free(l->index); /* of yesterday */
		l->index = NULL;
		l->n = l->mask = 0;
		return r;
	}
	while (places < l->n * 2)
		places *= 2;
	if (places > l->mask + 1 || !l->index) {
		free(l->index);
		l->index = malloc(places * sizeof(*l->index));
		if (!l->index) {
			l->n = l->mask = 0;
			return -ENOMEM;
		}
		l->mask = places - 1;
	}
	memset(l->index, 0, (l->mask + 1) * sizeof(*l->index));
	for (i = 0; i < l->n; i++) {
		const struct stable_sock *e = &l->v[i].e;

		at = tuple_hash(e->local, e->remote, e->lport, e->rport) & l->mask;
		for (; l->index[at]; at = (at + 1) & l->mask)
			;
		l->index[at] = (uint32_t)i + 1;
	}
	return 0;
}

bool stable_live_same(const struct stable_sock *e, const struct diag_sock *d)
{
	if (e->phase == STABLE_CONNECTING && !(e->flags & STABLE_CLOSELESS) && d->info.tcpi_bytes_acked)
		return false; /* an attempt that was seen to fail: nobody acknowledged its SYN */
	if (e->phase == STABLE_OPEN && !e->lport && !d->info.tcpi_bytes_acked)
		return false; /* and the other way round: a client's, for who accepts knows the port */
	return (!e->lport || e->lport == d->lport) && e->rport == d->rport && !memcmp(e->local, d->local.b, 16) &&
	       !memcmp(e->remote, d->remote.b, 16);
}

/* lport: d's, or 0 for a client whose port the hook does not know. */
static struct live *find(struct stable_live *l, const struct diag_sock *d, uint16_t lport, bool ended)
{
	size_t at = tuple_hash(d->local.b, d->remote.b, lport, d->rport) & l->mask;

	for (; l->index[at]; at = (at + 1) & l->mask) {
		struct live *one = &l->v[l->index[at] - 1];

		if (one->key && one->e.lport == lport && !(one->e.flags & STABLE_ENDED) == !ended &&
		    stable_live_same(&one->e, d))
			return one;
	}
	return NULL;
}

static bool live_ready(struct stable_live *l, struct stable *hook)
{
	return (l->read || live_read(l, hook) == 0) && l->index;
}

const struct stable_sock *stable_live_find(struct stable_live *l, struct stable *hook, const struct diag_sock *d)
{
	const struct live *one;

	if (!live_ready(l, hook))
		return NULL;
	one = find(l, d, d->lport, false);
	one = one ?: find(l, d, 0, false);
	return one ? &one->e : NULL;
}

bool stable_live_take(struct stable_live *l, struct stable *hook, const struct diag_sock *d, bool port,
		      struct stable_sock *ret)
{
	struct live *one = live_ready(l, hook) ? find(l, d, port ? d->lport : 0, true) : NULL;

	/* Another socket has its place by now: then it is among the ended, where it is met by the same addresses and ports. */
	if (!one || !stable_take_gone(hook, one->key, one->e.id))
		return false;
	one->key = 0;
	*ret = one->e;
	return true;
}

bool stable_live_take_old(struct stable_live *l, struct stable *hook, size_t *at, int64_t before_us,
			  struct stable_sock *ret)
{
	while (l->read && *at < l->n) {
		struct live *one = &l->v[(*at)++];

		if (!one->key || !(one->e.flags & STABLE_GONE) || (int64_t)(one->e.gone_ns / 1000) > before_us ||
		    !stable_take_gone(hook, one->key, one->e.id))
			continue;
		one->key = 0;
		*ret = one->e;
		return true;
	}
	return false;
}
