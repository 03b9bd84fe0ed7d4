/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/walk.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/conns.h"
#include "agent/flow.skel.h"
#include "agent/nat.h"
#include "flow/stats.h"

#define BATCH 1024      /* keys asked for at once; a bucket longer than it would be refused */
#define AHEAD 16        /* entries whose memory is asked for in advance */
#define DEAD_MS 2000    /* an entry found dead this long has lost its CLOSE; one under way takes less */
#define UNSEEN_ROUNDS 2 /* walks without an entry before its id is forgotten */

struct walk {
	struct conns *conns;
	uint32_t round;
	uint64_t now_ms, cut_ms;
	uint32_t us_per_jiffy;
	struct agent_rows *rows;
	struct nat *nat;
	struct walk_counts counts;
	size_t n_ask;
	struct {
		struct conn *conn;
		struct sky_first first;
		struct sky_owner owner;
	} asked[SKY_SLICE];
	uint64_t keys[BATCH];
	struct sky_sock socks[BATCH];
	struct sky_final finals[BATCH];
};

int walk_new(struct walk **ret, uint32_t max_socks)
{
	struct walk *w = calloc(1, sizeof(*w));
	int r = w ? conns_new(&w->conns, max_socks) : -ENOMEM;

	if (r) {
		free(w);
		return r;
	}
	*ret = w;
	return 0;
}

void walk_free(struct walk *w)
{
	if (!w)
		return;
	conns_free(w->conns);
	free(w);
}

static void conn_keep(struct conn *c, const struct sky_totals *t)
{
	c->tx = t->tx;
	c->rx = t->rx;
	c->tx_segs = t->tx_segs;
	c->rx_segs = t->rx_segs;
	c->retransmitted = t->retransmitted;
	c->lost = t->lost;
	c->dsack = t->dsack;
	c->delivered_ce = t->delivered_ce;
	c->busy = t->busy;
	c->rwnd = t->rwnd;
	c->sndbuf = t->sndbuf;
	c->known = 1;
}

static struct conn *conn_make(struct walk *w, const struct sky_sock *s)
{
	struct conn *c = conns_add(w->conns, s->id);

	if (!c) {
		w->counts.lost_full++;
		return NULL;
	}
	c->key = s->key;
	c->tgid = s->tgid;
	return c;
}

void walk_adopt(struct walk *w, const struct sky_sock *sock, const struct sky_totals *totals)
{
	struct conn *c = conns_find(w->conns, sock->id) ? NULL : conn_make(w, sock);

	if (!c)
		return;
	conn_keep(c, totals);
	c->tried = 1;
	c->until_ms = sock->since_ns / 1000000;
	c->port = sock->key.role == SKY_ROLE_CLIENT ? sock->lport : sock->rport;
}

/* Walks read without a lock, in an order in which they may read too little, hardly ever too much (a FIN counted before its
 * flag): then `now` is below `last`. While it lives, the difference waits for the next read; `last_word`: take it back. */
static bool bytes_add(struct walk *w, __u64 *sum, uint64_t *last, uint64_t now, bool last_word)
{
	bool moved = now > *last;

	if (moved) {
		*sum += now - *last;
		*last = now;
	} else if (last_word && now < *last) {
		uint64_t over = *last - now;

		w->counts.clamped += over > *sum ? over - *sum : 0;
		*sum -= over > *sum ? *sum : over;
	}
	return moved;
}

static uint32_t step(uint32_t *last, uint32_t now)
{
	int32_t d = (int32_t)(now - *last);

	if (d <= 0)
		return 0;
	*last = now;
	return (uint32_t)d;
}

/* True when data moved. */
static bool deltas_add(struct walk *w, struct conn *c, struct sky_row_value *v, const struct sky_totals *t,
		       bool last_word)
{
	bool tx = bytes_add(w, &v->tx_bytes, &c->tx, t->tx, last_word);
	bool rx = bytes_add(w, &v->rx_bytes, &c->rx, t->rx, last_word);

	v->tx_segs += step(&c->tx_segs, t->tx_segs);
	v->rx_segs += step(&c->rx_segs, t->rx_segs);
	v->retransmitted += step(&c->retransmitted, t->retransmitted);
	v->lost += step(&c->lost, t->lost);
	v->dsack += step(&c->dsack, t->dsack);
	v->delivered_ce += step(&c->delivered_ce, t->delivered_ce);
	v->busy_us += (uint64_t)step(&c->busy, t->busy) * w->us_per_jiffy;
	v->rwnd_limited_us += (uint64_t)step(&c->rwnd, t->rwnd) * w->us_per_jiffy;
	v->sndbuf_limited_us += (uint64_t)step(&c->sndbuf, t->sndbuf) * w->us_per_jiffy;
	return tx || rx;
}

static void rtt_add(struct sky_row_value *v, uint32_t srtt_us, uint32_t min_rtt_us, uint32_t mdev_us, uint32_t cwnd)
{
	if (!srtt_us)
		return;
	v->srtt[flow_bucket(srtt_us)]++;
	v->jitter_us += mdev_us;
	if (srtt_us > min_rtt_us)
		v->queue_us += srtt_us - min_rtt_us;
	v->cwnd_segs += cwnd;
	v->rtt_samples++;
}

static void attempt_add(struct conn *c, struct sky_row_value *v)
{
	v->attempts += !c->tried && c->key.role == SKY_ROLE_CLIENT && !(c->key.flags & SKY_FLAG_JOINED);
	c->tried = 1;
}

/* The first that is heard of an established connection. */
static void first_add(struct conn *c, struct sky_row_value *v, const struct sky_first *first)
{
	if (c->known)
		return;
	c->known = 1;
	attempt_add(c, v);
	if (c->key.flags & SKY_FLAG_JOINED)
		return;
	v->opened++;
	if (first->handshake_us)
		v->handshake[flow_bucket(first->handshake_us)]++;
	rtt_add(v, first->srtt_us, first->srtt_us, first->mdev_us, first->cwnd);
}

static void open_add(struct conn *c, struct sky_row_value *v, uint64_t until_ms)
{
	if (until_ms <= c->until_ms)
		return;
	v->open_ms += until_ms - c->until_ms;
	c->until_ms = until_ms;
}

static void hints_add(const struct conn *c, struct sky_row_value *v)
{
	if (c->port)
		agent_row_port(v, c->port);
	if (c->tgid)
		v->tgid = c->tgid;
}

/* The row of a connection: under its tuple on the wire, once that is known. */
static struct agent_row *conn_row(struct walk *w, struct conn *c)
{
	struct sky_row_key key = c->key;

	if (!c->port) {
		nat_attempt(w->nat, &key);
		return agent_rows_get(w->rows, &key);
	}
	if (c->settled < CONN_SETTLED)
		c->settled = nat_conn(w->nat, &c->key, &c->port, true) ? CONN_SETTLED : c->settled + 1;
	return agent_rows_get(w->rows, &c->key);
}

/* It lives: `t` is what it did, NULL when nothing moved. No room in `rows` loses nothing: the next walk adds it. */
static void conn_alive(struct walk *w, struct conn *c, const struct sky_first *first, const struct sky_totals *t)
{
	struct agent_row *row = conn_row(w, c);
	struct sky_row_value *v;

	c->dead_ms = 0;
	if (!row)
		return;
	v = &row->val;
	open_add(c, v, w->cut_ms);
	hints_add(c, v);
	if (!t)
		return;
	first_add(c, v, first);
	if (!deltas_add(w, c, v, t, false))
		return;
	rtt_add(v, t->srtt_us, t->min_rtt_us, t->mdev_us, t->cwnd);
	v->turn_samples++;
	v->turn_self += t->turn > 0;
	v->turn_peer += t->turn < 0;
}

static void tried_add(struct walk *w, struct conn *c)
{
	struct agent_row *row = c->tried ? NULL : conn_row(w, c);

	if (!row)
		return;
	attempt_add(c, &row->val);
	hints_add(c, &row->val);
}

static void conn_trying(struct walk *w, struct conn *c)
{
	c->dead_ms = 0;
	tried_add(w, c);
}

static void failed_add(struct sky_row_value *v, const struct sky_final *f)
{
	v->failed_refused += f->end == SKY_FAILED_REFUSED;
	v->failed_timeout += f->end == SKY_FAILED_TIMEOUT;
	v->failed_unreachable += f->end == SKY_FAILED_UNREACHABLE;
	v->failed_no_port += f->end == SKY_FAILED_NO_PORT;
	v->failed_abandoned += f->end == SKY_FAILED_ABANDONED;
	v->failed_other += f->end == SKY_FAILED_OTHER;
	v->retransmitted += f->totals.retransmitted;
	v->lost += f->totals.lost;
}

static void closed_add(struct walk *w, struct conn *c, struct sky_row_value *v, const struct sky_final *f)
{
	v->closed++;
	v->reset_received += f->end == SKY_END_RESET_RECEIVED;
	v->reset_sent += f->end == SKY_END_RESET_SENT;
	v->timed_out += f->end == SKY_END_TIMED_OUT;
	first_add(c, v, &f->first);
	if (!c->until_ms)
		c->until_ms = f->since_ns / 1000000;
	open_add(c, v, f->at_ns / 1000000);
	if (f->end == SKY_END_UNSEEN)
		return;
	deltas_add(w, c, v, &f->totals, true);
	v->tx_undelivered += f->totals.undelivered;
	if (f->rtt_ok)
		rtt_add(v, f->totals.srtt_us, f->totals.min_rtt_us, f->totals.mdev_us, f->totals.cwnd);
}

static void conn_end(struct walk *w, struct conn *c, const struct sky_final *f)
{
	struct agent_row *row = conn_row(w, c);

	if (!row) {
		w->counts.lost_user++;
	} else if (f->end >= SKY_FAILED_REFUSED) {
		attempt_add(c, &row->val);
		failed_add(&row->val, f);
	} else {
		closed_add(w, c, &row->val, f);
	}
	if (row)
		hints_add(c, &row->val);
	conns_remove(w->conns, c);
}

/* Its CLOSE is under way, or reached no program. That it was tried and established is known and counted at once; dead for
 * DEAD_MS, it ended when it was last seen alive, and what it did since is lost. */
static void conn_dead(struct walk *w, struct conn *c, const struct sky_first *first, uint64_t status)
{
	uint64_t ns = c->until_ms * 1000000;
	struct sky_final f = {
		.since_ns = ns, .at_ns = ns, .end = ns ? SKY_END_UNSEEN : SKY_FAILED_OTHER, .first = *first};
	struct agent_row *row;

	if (status == SKY_DELETED) {
		w->counts.finalised++;
		conn_end(w, c, &f);
		return;
	}
	if (!c->dead_ms)
		c->dead_ms = (uint32_t)w->now_ms | 1;
	if (!c->until_ms) {
		tried_add(w, c);
		return;
	}
	row = conn_row(w, c);
	if (row)
		first_add(c, &row->val, first);
}

static uint64_t clock_us(clockid_t which)
{
	struct timespec t;

	clock_gettime(which, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* The kernel's half. */
static int piece_run(struct walk *w, struct load *l)
{
	uint64_t cpu = clock_us(CLOCK_THREAD_CPUTIME_ID);
	LIBBPF_OPTS(bpf_test_run_opts, run);

	l->walk->n = w->n_ask;
	if (bpf_prog_test_run_opts(bpf_program__fd(l->skel->progs.walk), &run))
		return -errno;
	cpu = clock_us(CLOCK_THREAD_CPUTIME_ID) - cpu;
	if (cpu > w->counts.piece_us)
		w->counts.piece_us = cpu;
	return 0;
}

static int slice_run(struct walk *w, struct load *l)
{
	int r = w->n_ask ? piece_run(w, l) : 0;

	if (r)
		return r;
	for (size_t i = 0; i < w->n_ask; i++) {
		const struct sky_answer *a = &l->walk->answer[i];
		const struct sky_first *first = &w->asked[i].first;
		struct conn *c = w->asked[i].conn;

		if (!c || a->id != c->id)
			continue;
		c->round = w->round;
		if (a->status == SKY_ATTEMPT || a->status == SKY_TOTALS || a->status == SKY_UNCHANGED)
			c->key.owner = w->asked[i].owner; /* it may have been accepted since (agent/bpf/accept.bpf.c) */
		if (a->status == SKY_ATTEMPT || (a->status == SKY_TOTALS && !c->until_ms))
			conn_trying(w, c); /* established since its entry was copied: the next walk has all of it */
		else if (a->status == SKY_TOTALS)
			conn_alive(w, c, first, &a->totals);
		else if (a->status == SKY_UNCHANGED)
			conn_alive(w, c, first, NULL);
		else if (a->status != SKY_NONE)
			conn_dead(w, c, first, a->status);
	}
	w->n_ask = 0;
	return 0;
}

static int ask(struct walk *w, struct load *l, uint64_t sk, const struct sky_sock *s)
{
	struct conn *c;
	struct sky_ask *q;

	c = conns_find(w->conns, s->id);
	if (!c)
		c = conn_make(w, s);
	if (!c)
		return 0;
	if (s->phase == SKY_OPEN && !c->port) { /* established since the last walk */
		c->port = s->key.role == SKY_ROLE_CLIENT ? s->lport : s->rport;
		c->until_ms = s->since_ns / 1000000;
	}
	w->asked[w->n_ask].conn = c;
	w->asked[w->n_ask].first = s->first;
	w->asked[w->n_ask].owner = s->key.owner;
	q = &l->walk->ask[w->n_ask++];
	q->sk = sk;
	q->id = s->id;
	q->how = c->known ? 0 : SKY_ASK_FORCE;
	if (c->dead_ms && (uint32_t)w->now_ms - c->dead_ms > DEAD_MS)
		q->how |= SKY_ASK_END;
	return w->n_ask == SKY_SLICE ? slice_run(w, l) : 0;
}

/* A place without a socket: kept for the next one at its address while there are few (agent/bpf/entry.bpf.h). */
static int ask_free(struct walk *w, struct load *l, uint64_t sk)
{
	w->asked[w->n_ask].conn = NULL;
	l->walk->ask[w->n_ask++] = (struct sky_ask){.sk = sk};
	return w->n_ask == SKY_SLICE ? slice_run(w, l) : 0;
}

static int all_asked(struct walk *w, struct load *l)
{
	int fd = bpf_map__fd(l->skel->maps.socks), r = 0, err;
	uint32_t at = 0, n;
	bool first = true, sweep = l->counters->socks_made > l->socks_keep / 2;

	do {
		n = BATCH;
		err = bpf_map_lookup_batch(fd, first ? NULL : &at, &at, w->keys, w->socks, &n, NULL) ? errno : 0;
		if (err && err != ENOENT)
			return -err;
		nat_refresh(w->nat);
		for (uint32_t i = 0; i < n && !r; i++) {
			if (i + AHEAD < n)
				conns_expect(w->conns, w->socks[i + AHEAD].id, w->socks[i + AHEAD / 2].id);
			if (w->socks[i].id)
				r = ask(w, l, w->keys[i], &w->socks[i]);
			else if (sweep)
				r = ask_free(w, l, w->keys[i]);
		}
		first = false;
	} while (!err && !r);
	return r ? r : slice_run(w, l);
}

/* Ids no walk has met for some rounds: a CLOSE that counted the connection whole (then nothing was ever read of it), or one
 * whose place in `closed` could not be had (counted in the kernel). */
static void forget(struct walk *w)
{
	for (size_t i = 0; i < conns_places(w->conns); i++) {
		struct conn *c = conns_at(w->conns, i);

		if (c && w->round - c->round > UNSEEN_ROUNDS)
			conns_remove(w->conns, c);
	}
}

void walk_forget(struct walk *w)
{
	for (size_t i = 0; i < conns_places(w->conns); i++) {
		struct conn *c = conns_at(w->conns, i);

		if (c)
			conns_remove(w->conns, c);
	}
	w->counts.open = 0;
	nat_forgot(w->nat);
}

int walk_closed(struct walk *w, struct load *l, struct agent_rows *rows)
{
	int fd = bpf_map__fd(l->skel->maps.closed), err;
	uint32_t at = 0, n;
	bool first = true;

	w->rows = rows;
	w->us_per_jiffy = 1000000 / l->hz;
	w->nat = l->nat;
	l->counters->closed_made = 0;
	do {
		n = BATCH;
		err = bpf_map_lookup_and_delete_batch(fd, first ? NULL : &at, &at, w->keys, w->finals, &n, NULL) ? errno
														 : 0;
		if (err && err != ENOENT)
			return -err;
		for (uint32_t i = 0; i < n; i++) {
			struct conn *c = conns_find(w->conns, w->keys[i]);

			if (c)
				conn_end(w, c, &w->finals[i]);
			else
				w->counts.unknown++;
		}
		first = false;
	} while (!err);
	return 0;
}

int walk_run(struct walk *w, struct load *l, int64_t cut_ns, struct agent_rows *rows)
{
	uint64_t cpu = clock_us(CLOCK_THREAD_CPUTIME_ID);
	int r;

	w->rows = rows;
	w->round++;
	w->cut_ms = (uint64_t)cut_ns / 1000000;
	w->now_ms = clock_us(CLOCK_MONOTONIC) / 1000;
	w->us_per_jiffy = 1000000 / l->hz;
	w->nat = l->nat;
	w->n_ask = 0;
	w->counts.piece_us = 0;
	r = all_asked(w, l);
	if (!r)
		r = walk_closed(w, l, rows);
	if (!r)
		forget(w);
	w->counts.open = conns_count(w->conns);
	w->counts.cpu_us += clock_us(CLOCK_THREAD_CPUTIME_ID) - cpu;
	return r;
}

const struct walk_counts *walk_counts(const struct walk *w)
{
	return &w->counts;
}
