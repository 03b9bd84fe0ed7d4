/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The walk: every open socket of the host asked, once an interval, what it did.
 *
 *   closed, first     what ended before the walk is counted as its CLOSE says, and no longer asked
 *   conns             each followed connection is asked by its address. One of which no segment moved costs two reads of the socket:
 *                     no look-up in the kernel, no copy, no row sought (agent/bpf/walk.bpf.h: walk_one)
 *   log, list         addresses that are new in `socks`: told by the hook (agent/bpf/log.bpf.h), or met when a part of the
 *                     table is listed
 *   places            addresses at which nobody is followed are asked who is there: a connection found is followed from now on
 *   closed            what ended meanwhile
 *
 * Invariants
 *  1. Each place of `socks` is known here: it is the address of a connection, or in `places`, or a line of the log. A place gets a
 *     line when it is made, and none when it is taken by another socket; so an address is let go only when the kernel says that
 *     nothing is there any more. Where that may not hold (start, adoption, lines lost, an error) the next walk lists the table
 *     whole (`whole`).
 *  2. The kernel marks a place of which we were told (sky_sock.told), so a line read twice, or a place met in a listing, is not
 *     in `places` twice. Places known longer are asked before new ones, so a mark never stands for an address we let go.
 *     A connection met at two addresses' entries cannot be: its id is found, and the later one is let go.
 *  3. A connection whose entry may have been marked (`walked`) is followed here, so that an end that comes by `closed` finds it: the kernel
 *     answers with id and entry even if it ended while it was read; what cannot be followed is not asked about.
 *  4. UNCHANGED without a look-up may be said of another socket, or of a freed one, with as many segments. Who was there
 *     before was walked, so its end is in `closed`: what ended before the cut was taken from there before anything was asked,
 *     what ended later is taken afterwards. If its end was lost (nobody saw its CLOSE, `closed` was full), a sixteenth
 *     of all, in turn, is looked up in each walk, and it is found dead or gone.
 *  5. Once more as a rest: a sixteenth of the table is listed in each walk. It finds what no line told of (none should be).
 *
 * Lost: nothing here but what agent/bpf/flow.bpf.c names; `rows` full is told by lost_user, and what still lives waits.
 *
 * Why not the table's list in each walk: copying 144 bytes of each of 100,000 entries out and finding each by id took more than
 * reading the sockets did.
 */
#include "agent/walk.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>

#include "agent/ask.h"
#include "agent/conns.h"
#include "agent/flow.skel.h"
#include "agent/nat.h"
#include "agent/places.h"
#include "base/clock.h"

#define BATCH 1024      /* keys asked for at once; a bucket longer than it would be refused */
#define AHEAD 16        /* entries whose memory is asked for in advance */
#define UNSEEN_ROUNDS 2 /* walks without an entry before its id is forgotten */
#define LIST_LEAST 256  /* entries for which it is worth to list a part of the table */

struct walk {
	struct ask ask;
	bool log_open;
	struct {
		uint32_t at; /* where the listing goes on, unless `begin` */
		bool begin;
		size_t due;
	} list;
	uint64_t keys[BATCH];
	struct sky_sock socks[BATCH];
	struct sky_final finals[BATCH];
};

int walk_new(struct walk **ret, uint32_t max_socks)
{
	struct walk *w = calloc(1, sizeof(*w));
	int r = w ? conns_new(&w->ask.conns, max_socks) : -ENOMEM;

	if (!r)
		r = places_new(&w->ask.places, (size_t)max_socks * 2);
	if (r) {
		walk_free(w);
		return r;
	}
	w->ask.whole = w->list.begin = true;
	*ret = w;
	return 0;
}

void walk_free(struct walk *w)
{
	if (!w)
		return;
	places_free(w->ask.places);
	conns_free(w->ask.conns);
	free(w);
}

void walk_adopt(struct walk *w, const struct sky_sock *sock, const struct sky_totals *totals)
{
	struct conn *c = conns_find(w->ask.conns, sock->id) ? NULL : ask_follow(&w->ask, sock);

	w->ask.whole = true;
	if (!c)
		return;
	tally_keep(c, totals);
	c->tried = 1;
	c->until_ms = sock->since_ns / 1000000;
	c->port = sock->key.role == SKY_ROLE_CLIENT ? sock->lport : sock->rport;
}

/* --- whom to ask */

static int ask_conns(struct walk *w, struct load *l)
{
	int r = 0;

	for (size_t i = 0; i < conns_places(w->ask.conns) && !r; i++) {
		struct conn *c = conns_at(w->ask.conns, i);

		if (c && c->sk)
			r = ask_conn(&w->ask, l, c, i);
	}
	return r ? r : ask_rest(&w->ask, l);
}

/* The first `old` are known to the kernel as known. */
static int ask_places(struct walk *w, struct load *l, size_t old)
{
	uint32_t sweep = l->counters->socks_made > l->socks_keep / 2 ? SKY_ASK_SWEEP : 0;
	size_t n = places_count(w->ask.places);
	int r = 0;

	for (size_t i = 0; i < n && !r; i++)
		r = ask_place(&w->ask, l, places_at(w->ask.places, i), (i < old ? 0 : SKY_ASK_NEW) | sweep);
	if (!r)
		r = ask_rest(&w->ask, l);
	if (!r)
		places_cut(w->ask.places, n); /* those to be asked again came behind */
	return r;
}

struct telling {
	struct walk *w;
	struct load *l;
	int r;
};

static void told(void *arg, uint64_t line)
{
	struct telling *t = arg;

	if (!(line & SKY_LOG_OWNER))
		ask_later(&t->w->ask, line);
	else if (!t->r)
		t->r = ask_owner(&t->w->ask, t->l, line & ~(uint64_t)SKY_LOG_OWNER);
}

static int log_read(struct walk *w, struct load *l)
{
	struct telling t = {w, l, 0};

	if (!places_read_log(w->ask.places, told, &t))
		w->ask.whole = true;
	return t.r ? t.r : ask_rest(&w->ask, l);
}

/* --- the table */

/* Lists up to BATCH entries from where the list is; ret_n of them are in keys, socks. */
static int list_some(struct walk *w, struct load *l, uint32_t *ret_n)
{
	int fd = bpf_map__fd(l->skel->maps.socks), err;
	uint32_t n = BATCH;

	err = bpf_map_lookup_batch(fd, w->list.begin ? NULL : &w->list.at, &w->list.at, w->keys, w->socks, &n, NULL)
		      ? errno
		      : 0;
	if (err && err != ENOENT)
		return -err;
	w->list.begin = err == ENOENT;
	*ret_n = n;
	return 0;
}

/* An entry met in the list. `all`: nothing is known of any place. */
static void list_entry(struct walk *w, uint64_t at, const struct sky_sock *s, bool all)
{
	struct conn *c = s->id ? conns_find(w->ask.conns, s->id) : NULL;

	if (c) {
		c->sk = at;
		c->key.owner = s->key.owner;
	} else if (all || s->told != sky_told_mark(at)) {
		ask_later(&w->ask, at);
	}
}

static int list_part(struct walk *w, struct load *l, bool all)
{
	uint32_t n = 0;
	int r = list_some(w, l, &n);

	for (uint32_t i = 0; i < n && !r; i++) {
		if (i + AHEAD < n)
			conns_expect(w->ask.conns, w->socks[i + AHEAD].id, w->socks[i + AHEAD / 2].id);
		list_entry(w, w->keys[i], &w->socks[i], all);
	}
	w->list.due -= n < w->list.due ? n : w->list.due;
	return r;
}

static int list_all(struct walk *w, struct load *l)
{
	int r;

	places_skip_log(w->ask.places); /* before: what is made from now on has its line still to be read */
	places_cut(w->ask.places, places_count(w->ask.places));
	w->ask.whole = false;
	w->list.begin = true;
	do
		r = list_part(w, l, true);
	while (!r && !w->list.begin);
	return r;
}

static int list_turn(struct walk *w, struct load *l)
{
	int r = 0;

	w->list.due += (size_t)(l->counters->socks_made > 0 ? l->counters->socks_made : 0) / ASK_TURNS + ASK_TURNS;
	while (!r && w->list.due >= LIST_LEAST) {
		r = list_part(w, l, false);
		if (w->list.begin)
			w->list.due = 0;
	}
	return r;
}

/* --- a walk */

/* Ids no walk has met for some rounds: a CLOSE that counted the connection whole (then nothing was ever read of it), or one
 * whose place in `closed` could not be had (counted in the kernel). */
static void forget(struct walk *w)
{
	for (size_t i = 0; i < conns_places(w->ask.conns); i++) {
		struct conn *c = conns_at(w->ask.conns, i);

		if (c && w->ask.round - c->round > UNSEEN_ROUNDS)
			ask_drop(&w->ask, c);
	}
}

void walk_forget(struct walk *w)
{
	for (size_t i = 0; i < conns_places(w->ask.conns); i++) {
		struct conn *c = conns_at(w->ask.conns, i);

		if (c)
			conns_remove(w->ask.conns, c);
	}
	w->ask.counts.open = 0;
	w->ask.whole = true;
	nat_forgot(w->ask.tally.nat);
}

static void begin(struct walk *w, const struct load *l, struct agent_rows *rows)
{
	w->ask.tally.rows = rows;
	w->ask.tally.us_per_jiffy = 1000000 / l->hz;
	w->ask.tally.nat = l->nat;
}

int walk_closed(struct walk *w, struct load *l, struct agent_rows *rows)
{
	int fd = bpf_map__fd(l->skel->maps.closed), err;
	uint32_t at = 0, n;
	bool first = true;

	begin(w, l, rows);
	if (!l->counters->closed_made) /* looking through the table costs as much empty */
		return 0;
	l->counters->closed_made = 0;
	do {
		n = BATCH;
		err = bpf_map_lookup_and_delete_batch(fd, first ? NULL : &at, &at, w->keys, w->finals, &n, NULL) ? errno
														 : 0;
		if (err && err != ENOENT) {
			l->counters->closed_made = 1; /* there is more */
			return -err;
		}
		if (n)
			nat_refresh(w->ask.tally.nat); /* one that was connecting at the last walk is new */
		for (uint32_t i = 0; i < n; i++) {
			struct conn *c = conns_find(w->ask.conns, w->keys[i]);

			if (c) {
				tally_end(&w->ask.tally, c, &w->finals[i]);
				ask_drop(&w->ask, c);
			} else {
				w->ask.counts.unknown++;
			}
		}
		first = false;
	} while (!err);
	return 0;
}

static int ask_all(struct walk *w, struct load *l)
{
	/* places come and go: to ask for each is then dearer than to list those that are there */
	bool churn = (int64_t)places_unread(w->ask.places) > l->counters->socks_made;
	bool whole = w->ask.whole || churn || places_log_lost(w->ask.places);
	size_t old;
	int r = 0;

	if (whole)
		r = list_all(w, l);
	if (!r)
		r = ask_conns(w, l);
	old = places_count(w->ask.places);
	if (!r)
		r = log_read(w, l);
	if (!r && !whole)
		r = list_turn(w, l);
	return r ? r : ask_places(w, l, old);
}

static int open_log(struct walk *w, struct load *l)
{
	int r;

	if (w->log_open)
		return 0;
	r = places_open_log(w->ask.places, bpf_map__fd(l->skel->maps.news), bpf_map__max_entries(l->skel->maps.news));
	w->log_open = !r;
	return r;
}

int walk_run(struct walk *w, struct load *l, int64_t cut_ns, struct agent_rows *rows)
{
	uint64_t cpu = (uint64_t)clock_thread_us();
	int r = open_log(w, l);

	if (r)
		return r;
	w->ask.round++;
	w->ask.tally.cut_ms = (uint64_t)cut_ns / 1000000;
	w->ask.tally.now_ms = (uint64_t)clock_mono_us() / 1000;
	w->ask.n = 0;
	w->ask.counts.piece_us = 0;
	r = walk_closed(w, l, rows);
	nat_refresh(w->ask.tally.nat);
	if (!r)
		r = ask_all(w, l);
	if (r)
		w->ask.whole = true;
	if (!r)
		r = walk_closed(w, l, rows);
	if (!r)
		forget(w);
	w->ask.counts.open = conns_count(w->ask.conns);
	w->ask.counts.cpu_us += (uint64_t)clock_thread_us() - cpu;
	return r;
}

void walk_settle(struct walk *w, struct agent_rows *rows)
{
	w->ask.tally.rows = rows;
	tally_settle(&w->ask.tally);
}

const struct walk_counts *walk_counts(struct walk *w)
{
	w->ask.counts.lost_user = w->ask.tally.lost;
	w->ask.counts.fin_guessed = w->ask.tally.fin_guessed;
	w->ask.counts.clamped = w->ask.tally.clamped;
	return &w->ask.counts;
}
