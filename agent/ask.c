/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ask.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>

#include "agent/flow.skel.h"
#include "agent/nat.h"
#include "agent/places.h"
#include "base/clock.h"

#define DEAD_MS 2000 /* an entry found dead this long has lost its CLOSE; one under way takes less */

struct conn *ask_follow(struct ask *w, const struct sky_sock *s)
{
	struct conn *c = conns_add(w->conns, s->id);

	if (!c) {
		w->counts.lost_full++;
		return NULL;
	}
	c->key = s->key;
	c->tgid = s->tgid;
	c->round = w->round;
	return c;
}

void ask_later(struct ask *w, uint64_t at)
{
	if (!places_add(w->places, at))
		w->whole = true;
}

/* Nobody is followed at its address any more. */
static void conn_leave(struct ask *w, struct conn *c)
{
	if (c->sk)
		ask_later(w, c->sk);
	c->sk = 0;
}

void ask_drop(struct ask *w, struct conn *c)
{
	conn_leave(w, c);
	conns_remove(w->conns, c);
}

static int piece_run(struct ask *w, struct load *l)
{
	uint64_t cpu = (uint64_t)clock_thread_us();
	LIBBPF_OPTS(bpf_test_run_opts, run);

	l->walk->n = w->n;
	if (bpf_prog_test_run_opts(bpf_program__fd(l->cast ? l->skel->progs.walk_cast : l->skel->progs.walk), &run))
		return -errno;
	cpu = (uint64_t)clock_thread_us() - cpu;
	if (cpu > w->counts.piece_us)
		w->counts.piece_us = cpu;
	return 0;
}

/* The entry came with the answer. */
static void conn_found(struct conn *c, const struct sky_sock *s)
{
	c->key.owner = s->key.owner;            /* it may have been accepted since (agent/bpf/accept.bpf.c) */
	if (s->phase == SKY_OPEN && !c->port) { /* established since it was last read */
		c->port = s->key.role == SKY_ROLE_CLIENT ? s->lport : s->rport;
		c->until_ms = s->since_ns / 1000000;
	}
}

/* `s`: its entry, NULL when that was not looked at. */
static void conn_answer(struct ask *w, struct conn *c, const struct sky_answer *a, const struct sky_sock *s)
{
	static const struct sky_first none;
	const struct sky_first *first = s ? &s->first : &none;

	if (s)
		conn_found(c, s);
	if (a->status == SKY_NONE) {
		conn_leave(w, c);
		return;
	}
	c->round = w->round;
	switch (a->status) {
	case SKY_ATTEMPT:
		tally_trying(&w->tally, c);
		break;
	case SKY_TOTALS:
		if (c->until_ms)
			tally_alive(&w->tally, c, first, &a->totals);
		else
			tally_trying(&w->tally, c);
		break;
	case SKY_UNCHANGED:
		tally_alive(&w->tally, c, first, NULL);
		break;
	case SKY_DEAD:
		tally_dead(&w->tally, c, first);
		break;
	case SKY_DELETED:
		w->counts.finalised++;
		tally_unseen(&w->tally, c, first);
		c->sk = 0; /* the place went with it */
		ask_drop(w, c);
		break;
	default:
		break;
	}
}

/* Who was asked for at `at`, where nobody was followed. */
static void place_answer(struct ask *w, uint64_t at, const struct sky_answer *a, const struct sky_sock *s)
{
	struct conn *c = a->found ? conns_find(w->conns, a->id) : NULL;

	if (a->status == SKY_OWNED) {
		if (c)
			c->key.owner = s->key.owner;
		return;
	}
	if (a->found && !c)
		c = ask_follow(w, s);
	if (!c) {
		if (a->status == SKY_FREE)
			ask_later(w, at);
		return;
	}
	c->sk = at;
	conn_answer(w, c, a, s);
}

int ask_rest(struct ask *w, struct load *l)
{
	int r = w->n ? piece_run(w, l) : 0;

	if (r)
		return r;
	if (w->fresh)
		nat_refresh(w->tally.nat);
	for (size_t i = 0; i < w->n; i++) {
		const struct sky_answer *a = &l->walk->answer[i];
		const struct sky_sock *s = a->found ? &l->walk->found[i] : NULL;
		struct conn *c = w->conn[i];

		if (!c)
			place_answer(w, l->walk->ask[i].sk, a, s);
		else if (a->id == c->id)
			conn_answer(w, c, a, s);
	}
	w->n = 0;
	w->fresh = false;
	return 0;
}

static int ask_put(struct ask *w, struct load *l, const struct sky_ask *q, struct conn *c)
{
	w->conn[w->n] = c;
	l->walk->ask[w->n++] = *q;
	w->fresh |= (q->how & (SKY_ASK_FORCE | SKY_ASK_WHO)) != 0;
	return w->n == SKY_SLICE ? ask_rest(w, l) : 0;
}

static uint32_t conn_how(const struct ask *w, const struct conn *c, size_t place)
{
	if (c->dead_ms)
		return (uint32_t)w->tally.now_ms - c->dead_ms > DEAD_MS ? SKY_ASK_FORCE | SKY_ASK_END : SKY_ASK_FORCE;
	if (!c->known)
		return SKY_ASK_FORCE;
	return place % ASK_TURNS == w->round % ASK_TURNS ? SKY_ASK_LOOK : 0;
}

int ask_conn(struct ask *w, struct load *l, struct conn *c, size_t place)
{
	return ask_put(w, l, &(struct sky_ask){.sk = c->sk, .id = c->id, .segs = c->segs, .how = conn_how(w, c, place)},
		       c);
}

int ask_place(struct ask *w, struct load *l, uint64_t at, uint32_t how)
{
	if (conns_room(w->conns) > w->n)
		return ask_put(w, l, &(struct sky_ask){.sk = at, .how = SKY_ASK_WHO | how}, NULL);
	w->counts.lost_full++;
	ask_later(w, at);
	return 0;
}

int ask_owner(struct ask *w, struct load *l, uint64_t at)
{
	return ask_put(w, l, &(struct sky_ask){.sk = at, .how = SKY_ASK_OWNER}, NULL);
}
