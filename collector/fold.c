/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Folding: from datagram rows to one row per conversation and interval.
 *
 * Layout. Flat arrays, mapped once, never grown:
 *
 *     index    8 bytes a slot, at most half full                 part of the hash, number of the row (collector/index.h)
 *     rows     struct row x max_rows, filled from the front      128 bytes: two cache lines
 *                  24  key         IPv4 ends, ports, names, interval, protocol, view
 *                  72  hot sums    18 of 32 bits: what nearly every row has (PLAN_HOT)
 *                  32  cells       8 ports, how many more, first chunk, flags, windows' begins (collector/cells.h)
 *     windows  64 bytes x max_rows                               buckets of the histograms. No pages where nobody sends any
 *     ends     32 bytes x max_rows                               IPv6 addresses: the key has their hash. No pages without IPv6
 *     chunks   64 bytes x max_chunks                             12 cells each: rare sums, upper halves, buckets, further ports
 *     texts    strings, and names as numbers of them             collector/texts.h
 *
 * Their pages come when they are used: a small site pays for what it has, not for max_rows. A fresh page costs the one
 * who touches it first, so fold_clear(), which runs in the publishing thread, touches room for twice the rows there were;
 * the receive thread meets fresh pages only when traffic more than doubles from one interval to the next.
 *
 * Time goes to lines of memory that are not in the cache, and to jumps that were guessed wrong. So rows are taken in batches, and
 * fold_flush() takes each step for all of them: numbers of names, hash and index, row and windows, add. Each step fetches the
 * lines that the next one reads: four a row, none waited for. Windows lie beside the rows under the same number, so that none is waited for. What the bits of
 * `present` mean is worked out once per pattern (collector/plan.h): values are added in a loop without a question each.
 *
 * The key is (interval, net, scope, protocol, client, server, port, other port, view, names). The interval is
 * part of it, so one table holds every open interval: a row that is late or early simply makes a row of its own, and
 * swapping the table needs no look at which interval is complete. Strings and names are numbered per table. The
 * numbers die with the table, so a name that is no longer used is forgotten at the next swap and nothing leaks; the price
 * is one look-up per name and datagram, not per row.
 *
 * Ports: the first FLOW_PORTS different ephemeral ports are listed, further ones counted; the list is the one thing
 * here that is no sum (law L1).
 *
 * Invariants
 *   1  rows_in = sum(rows) of all rows in the table + sum(lost), for each interval (law L7).
 *   2  A row found no room for leaves the table unchanged but for its counter: half a row is never added.
 *   3  Rows are appended, never moved or removed before fold_clear(); row numbers below n are always valid.
 *   4  A sum is its hot 32 bits + its cells: carries go to the cell of the upper half, so nothing is cut at 2^32. Sums wrap at
 *      2^64, buckets stop at 2^32 - 1, as in flow_stats_add(), whatever part of them is in which cell.
 *   5  Chunks for one more row of any kind are free before a row is added (CELLS_WORST).
 *   6  No row that waits has a plan which was replaced: fold_values() flushes first.
 *
 * What is lost. When rows, chunks, names, strings or intervals run out the newcomer is shed and counted by reason under its
 * interval; conversations already in the table go on folding as long as there are chunks. A crash loses what is in the table:
 * the agents' ledger lines say how much that was. Rows without a role come with two ports and could fill the table with one
 * port scan: past max_roleless of them the ports are set to 0, which merges them per address pair; nothing is lost.
 *
 * Why not evict, or grow? Eviction writes to the bus from the receive thread, which must never wait; growing copies
 * everything in one go just when load is highest.
 */
#include "collector/fold.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/hash_here.h"
#include "collector/cells.h"
#include "collector/texts.h"

#define BATCH 64 /* rows hashed and prefetched together: their lines fit the first cache */
#define NAMED UINT32_MAX
#define NO_NAMES UINT32_MAX

struct row {
	struct fold_key key;
	uint32_t sum[PLAN_HOTS]; /* modulo 2^32; the rest in cells */
	struct cells cells;
} __attribute__((aligned(64)));

static_assert(sizeof(struct fold_key) == 24, "no padding: the key is hashed and compared as bytes");
static_assert(sizeof(struct row) == 128, "two cache lines");

struct fold {
	struct fold_opts opts;
	struct index rows_index;
	struct row *rows;
	struct cells_windows *windows; /* by row */
	struct fold_ends *ends;        /* by row; those of IPv4 have no page */
	struct cells_slab slab;
	struct texts texts;
	uint32_t n_rows;
	uint32_t touched; /* rows whose pages are there */
	bool any_hist;
	uint32_t n_v6;
	uint32_t n_roleless;
	uint64_t roleless_merged;
	uint32_t n_counts, last_count;
	struct fold_count counts[FOLD_INTERVALS + 1]; /* the last: interval 0, what found no place */
	uint32_t n_items, n_waiting, batch;
	struct fold_item items[BATCH];
	struct waiting {
		struct texts_wanted wanted;
		uint32_t names;
	} waiting[BATCH]; /* names of items */
	struct plans plans;
};

static struct fold_opts with_defaults(const struct fold_opts *o)
{
	struct fold_opts r = *o;

	if (!r.max_chunks)
		r.max_chunks = 4 * r.max_rows;
	if (r.max_chunks < CELLS_WORST)
		r.max_chunks = CELLS_WORST;
	return r;
}

size_t fold_bytes(const struct fold_opts *opts)
{
	struct fold_opts o = with_defaults(opts);

	return (size_t)o.max_rows * (sizeof(struct row) + sizeof(struct cells_windows) + sizeof(struct fold_ends)) +
	       (size_t)o.max_chunks * sizeof(struct cells_chunk) + (size_t)index_slots(o.max_rows) * 8 +
	       texts_bytes(o.max_strings, o.max_names, o.string_bytes);
}

size_t fold_used(const struct fold *f)
{
	size_t row = sizeof(struct row) + (f->any_hist ? sizeof(struct cells_windows) : 0);

	return f->n_rows * row + (size_t)f->n_v6 * sizeof(struct fold_ends) +
	       (size_t)f->slab.n * sizeof(struct cells_chunk) + index_used(&f->rows_index) + texts_used(&f->texts);
}

int fold_new(struct fold **ret, const struct fold_opts *o)
{
	const uint32_t most = 1u << 28;
	struct fold *f;
	int r;

	if (!o->max_rows || !o->max_names || !o->max_strings || !o->string_bytes || o->max_rows > most ||
	    o->max_names > most || o->max_strings > most || o->max_chunks > 4 * most)
		return -EINVAL;
	f = calloc(1, sizeof(*f));
	if (!f)
		return -ENOMEM;
	f->opts = with_defaults(o);
	f->rows = pages_map((size_t)f->opts.max_rows * sizeof(struct row));
	f->windows = pages_map((size_t)f->opts.max_rows * sizeof(struct cells_windows));
	f->ends = pages_map((size_t)f->opts.max_rows * sizeof(struct fold_ends));
	f->slab.max = f->opts.max_chunks;
	f->slab.chunk = pages_map((size_t)f->slab.max * sizeof(struct cells_chunk));
	r = index_init(&f->rows_index, o->max_rows);
	r = texts_init(&f->texts, o->max_strings, o->max_names, o->string_bytes) < 0 ? -ENOMEM : r;
	for (unsigned i = 0; i < PLANS; i++)
		plan_make(&f->plans.plan[i], 0);
	if (r < 0 || !f->rows || !f->windows || !f->ends || !f->slab.chunk) {
		fold_free(f);
		return -ENOMEM;
	}
	*ret = f;
	return 0;
}

void fold_free(struct fold *f)
{
	if (!f)
		return;
	index_deinit(&f->rows_index);
	texts_deinit(&f->texts);
	pages_unmap(f->rows, (size_t)f->opts.max_rows * sizeof(struct row));
	pages_unmap(f->windows, (size_t)f->opts.max_rows * sizeof(struct cells_windows));
	pages_unmap(f->ends, (size_t)f->opts.max_rows * sizeof(struct fold_ends));
	pages_unmap(f->slab.chunk, (size_t)f->slab.max * sizeof(struct cells_chunk));
	free(f);
}

static void touch_ahead(struct fold *f)
{
	uint32_t want = f->n_rows < f->opts.max_rows / 2 ? 2 * f->n_rows : f->opts.max_rows;

	if (want <= f->touched)
		return;
	pages_touch(&f->rows[f->touched], (want - f->touched) * sizeof(struct row));
	if (f->any_hist)
		pages_touch(&f->windows[f->touched], (want - f->touched) * sizeof(struct cells_windows));
	f->touched = want;
}

void fold_clear(struct fold *f)
{
	assert(!f->n_items);
	touch_ahead(f);
	index_clear(&f->rows_index);
	texts_clear(&f->texts);
	memset(f->counts, 0, sizeof(f->counts));
	f->n_rows = f->slab.n = f->n_v6 = 0;
	f->n_roleless = f->n_counts = f->last_count = 0;
	f->roleless_merged = 0;
	f->any_hist = false;
}

int fold_string(struct fold *f, struct str s, uint32_t *ret)
{
	return texts_string(&f->texts, s, ret);
}

int fold_names(struct fold *f, uint32_t net, uint32_t scope, const struct flow_names *n, uint32_t *ret)
{
	struct texts_wanted w;

	texts_want(&f->texts, net, scope, n, &w);
	return texts_names(&f->texts, &w, ret);
}

/* sum(rows) that the body of a row says. */
static uint32_t rows_of(uint64_t present, struct str body)
{
	static_assert(FLOW_F_rows == 0, "rows is the first value of a body");
	return present & 1 && body.n >= 4 ? cursor_load32((const uint8_t *)body.p) : 0;
}

/* --- counts by interval */

/* The counter of an interval, or the one without an interval when there are too many. */
static struct fold_count *count_of(struct fold *f, uint32_t interval)
{
	uint32_t i = f->last_count;

	if (i < f->n_counts && f->counts[i].interval == interval)
		return &f->counts[i];
	for (i = 0; i < f->n_counts; i++) {
		if (f->counts[i].interval == interval)
			break;
	}
	if (i == FOLD_INTERVALS)
		return &f->counts[FOLD_INTERVALS];
	if (i == f->n_counts)
		f->counts[f->n_counts++].interval = interval;
	f->last_count = i;
	return &f->counts[i];
}

void fold_shed(struct fold *f, uint32_t interval, enum fold_loss why, uint64_t rows)
{
	struct fold_count *c = count_of(f, interval);

	c->rows_in += rows;
	c->lost[why] += rows;
}

/* --- rows */

void fold_item_ends(struct fold_item *it, const struct ip *client, const struct ip *server)
{
	if (ip_is_v4(client) && ip_is_v4(server)) {
		fold_item_ends4(it, client->b + 12, server->b + 12);
		return;
	}
	it->ends.client = *client;
	it->ends.server = *server;
	it->key.ends = hash64(&it->ends, sizeof(it->ends));
	it->key.v6 = 1;
}

static bool same(const struct fold *f, uint32_t row, const struct fold_item *it)
{
	const struct fold_key *key = &f->rows[row].key;

	return !memcmp(key, &it->key, sizeof(*key)) &&
	       (!key->v6 || !memcmp(&f->ends[row], &it->ends, sizeof(it->ends)));
}

/* Number + 1 of the row of the key; 0 and where in the index it would stand when there is none. */
static uint32_t find(struct fold *f, const struct fold_item *it, uint32_t *ret_at)
{
	uint32_t i;

	for (*ret_at = index_start(it->hash); (i = index_next(&f->rows_index, it->hash, ret_at)); ++*ret_at) {
		if (same(f, i - 1, it))
			return i;
	}
	return 0;
}

/* The row of the key, made when absent; NULL when there is no room. */
static struct row *find_or_make(struct fold *f, struct fold_item *it)
{
	bool roleless =
		it->key.view == FLOW_VIEW_UNKNOWN || (it->key.view == FLOW_VIEW_NETWORK && it->flags & FLOW_NO_ROLE);
	uint32_t at, i = find(f, it, &at);
	struct row *r;

	if (!i && roleless && f->n_roleless >= f->opts.max_roleless) {
		f->roleless_merged++;
		it->key.port = it->key.other_port = 0;
		it->hash = hash64_here(&it->key, sizeof(it->key));
		i = find(f, it, &at);
	}
	if (i)
		return &f->rows[i - 1];
	if (f->n_rows == f->opts.max_rows)
		return NULL;
	index_put(&f->rows_index, it->hash, at, f->n_rows);
	if (it->key.v6) {
		f->ends[f->n_rows] = it->ends;
		f->n_v6++;
	}
	r = &f->rows[f->n_rows++];
	memset(r, 0, sizeof(*r));
	r->key = it->key;
	f->n_roleless += roleless;
	return r;
}

static void add_sum(struct fold *f, struct row *r, unsigned field, uint64_t v)
{
	if ((uint32_t)v)
		cells_add(&f->slab, &r->cells, CELL_SUM + field, (uint32_t)v);
	if (v >> 32)
		cells_add(&f->slab, &r->cells, CELL_HIGH + field, (uint32_t)(v >> 32));
}

static inline void add_hot(struct fold *f, struct row *r, unsigned to, uint64_t v)
{
	uint64_t sum = r->sum[to] + v;

	r->sum[to] = (uint32_t)sum;
	if (__builtin_expect(sum >> 32 != 0, 0))
		cells_add(&f->slab, &r->cells, CELL_HIGH + plan_hot_field[to], (uint32_t)(sum >> 32));
}

static void add_hist(struct fold *f, struct row *r, const uint8_t *p, unsigned nth)
{
	struct cells_windows *w = &f->windows[r - f->rows];
	uint32_t word = cursor_load32(p);

	if (!r->cells.window[0] && !r->cells.window[1])
		memset(w, 0, sizeof(*w)); /* its first */
	f->any_hist = true;
	cells_hist(&f->slab, &r->cells, w, nth, p + 4, word >> 16, word & 0xffff);
}

static void add_values(struct fold *f, struct row *r, const struct fold_item *it)
{
	const struct plan *p = it->plan;
	unsigned i;

	if (p->first == FLOW_F_rows)
		add_hot(f, r, PLAN_HOT_rows, it->rows);
	else if (p->first < FLOW_FIELDS)
		add_sum(f, r, p->first, cursor_load32(it->body.p));
	for (i = 0; i < p->n_hot; i++)
		add_hot(f, r, p->op[i].to, plan_load(&it->body, p->op[i]));
	for (; i < p->n_ops; i++)
		add_sum(f, r, p->op[i].to, plan_load(&it->body, p->op[i]));
	for (i = 0; i < p->n_hists; i++)
		add_hist(f, r, it->body.p + it->body.segment[i] + 4 * (size_t)p->hist_at[i], p->hist_nth[i]);
}

static void add_one(struct fold *f, struct fold_item *it)
{
	struct fold_count *c = count_of(f, it->key.interval);
	struct row *r = NULL;

	c->rows_in += it->rows;
	c->sampled += it->key.view == FLOW_VIEW_NETWORK ? it->rows : 0;
	if (c == &f->counts[FOLD_INTERVALS]) {
		c->lost[FOLD_LOST_INTERVALS] += it->rows;
		return;
	}
	if (it->key.names == NO_NAMES) {
		c->lost[FOLD_LOST_NAMES] += it->rows;
		return;
	}
	if (f->slab.max - f->slab.n >= CELLS_WORST)
		r = it->found && same(f, it->found - 1, it) ? &f->rows[it->found - 1] : find_or_make(f, it);
	if (!r) {
		c->lost[FOLD_LOST_TABLE] += it->rows;
		return;
	}
	r->cells.flags |= it->flags;
	if (__builtin_add_overflow(r->cells.ports_more, it->ports_more, &r->cells.ports_more))
		r->cells.ports_more = UINT32_MAX;
	for (unsigned i = 0; i < it->n_ports; i++)
		cells_port(&f->slab, &r->cells, (uint16_t)(it->ports[2 * i] << 8 | it->ports[2 * i + 1]));
	add_values(f, r, it);
}

/* --- batches */

struct fold_item *fold_item(struct fold *f)
{
	return &f->items[f->n_items];
}

bool fold_values(struct fold *f, uint64_t present, struct str body)
{
	struct plan *p = plan_place(&f->plans, present);
	struct fold_item *it;

	if (p->present != present) {
		fold_flush(f); /* rows that wait may need the plan which stands there */
		plan_make(p, present);
	}
	it = &f->items[f->n_items];
	it->plan = p;
	it->rows = rows_of(present, body);
	return plan_open(p, body, &it->body);
}

uint32_t fold_batch(const struct fold *f)
{
	return f->batch;
}

uint32_t fold_wait(struct fold *f, uint32_t net, uint32_t scope, const struct flow_names *n)
{
	assert(f->n_waiting < BATCH);
	texts_want(&f->texts, net, scope, n, &f->waiting[f->n_waiting].wanted);
	return f->n_waiting++;
}

void fold_push_named(struct fold *f, uint32_t waiting)
{
	struct fold_item *it = &f->items[f->n_items];

	assert(it->n_ports <= FLOW_PORTS);
	it->key.zero = 0;
	it->waits = waiting;
	if (++f->n_items == BATCH)
		fold_flush(f);
}

void fold_push(struct fold *f)
{
	fold_push_named(f, NAMED);
}

/* Names of all that wait. */
static void flush_names(struct fold *f)
{
	for (uint32_t i = 0; i < f->n_waiting; i++)
		texts_fetch(&f->texts, &f->waiting[i].wanted);
	for (uint32_t i = 0; i < f->n_waiting; i++)
		if (texts_names(&f->texts, &f->waiting[i].wanted, &f->waiting[i].names) < 0)
			f->waiting[i].names = NO_NAMES;
	f->n_waiting = 0;
}

/* The index told which row it may be: its lines. A new one's are those behind the last row. */
static void fetch_row(const struct fold *f, struct fold_item *it)
{
	uint32_t at = index_start(it->hash), row;

	it->found = index_next(&f->rows_index, it->hash, &at);
	row = it->found ? it->found - 1 : f->n_rows < f->opts.max_rows ? f->n_rows : 0;
	__builtin_prefetch(&f->rows[row], 1);
	__builtin_prefetch((const char *)&f->rows[row] + 64, 1);
	__builtin_prefetch(&f->windows[row], 1);
	if (it->key.v6)
		__builtin_prefetch(&f->ends[row], 1);
}

void fold_flush(struct fold *f)
{
	uint32_t n = f->n_items;

	flush_names(f);
	for (uint32_t i = 0; i < n; i++) {
		struct fold_item *it = &f->items[i];

		if (it->waits != NAMED)
			it->key.names = f->waiting[it->waits].names;
		it->hash = hash64_here(&it->key, sizeof(it->key));
		index_prefetch(&f->rows_index, it->hash);
	}
	for (uint32_t i = 0; i < n; i++)
		fetch_row(f, &f->items[i]);
	for (uint32_t i = 0; i < n; i++)
		add_one(f, &f->items[i]);
	f->n_items = 0;
	f->batch++;
}

/* --- reading */

uint32_t fold_n(const struct fold *f)
{
	return f->n_rows;
}

void fold_get(const struct fold *f, uint32_t i, struct flow_row *ret)
{
	const struct row *r = &f->rows[i];
	const struct fold_key *key = &r->key;

	assert(i < f->n_rows && !f->n_items);
	memset(&ret->stats, 0, sizeof(ret->stats));
	ret->interval = key->interval;
	ret->view = key->view;
	ret->conv.client = key->v6 ? f->ends[i].client : ip_from_v4((const uint8_t *)&key->ends);
	ret->conv.server = key->v6 ? f->ends[i].server : ip_from_v4((const uint8_t *)&key->ends + 4);
	ret->conv.port = key->port;
	ret->conv.other_port = key->other_port;
	ret->conv.protocol = key->protocol;
	texts_get_names(&f->texts, key->names, &ret->names, &ret->conv.net, &ret->conv.scope);
	for (unsigned k = 0; k < PLAN_HOTS; k++)
		*flow_stats_u64(&ret->stats, plan_hot_field[k]) = r->sum[k];
	cells_get(&f->slab, &r->cells, &f->windows[i], ret);
}

const struct fold_count *fold_counts(const struct fold *f, size_t *ret_n)
{
	*ret_n = f->n_counts;
	return f->counts;
}

const struct fold_count *fold_unplaced(const struct fold *f)
{
	return &f->counts[FOLD_INTERVALS];
}

uint64_t fold_roleless_merged(const struct fold *f)
{
	return f->roleless_merged;
}

uint64_t fold_fill_pm(const struct fold *f)
{
	uint64_t rows = (uint64_t)f->n_rows * 1000 / f->opts.max_rows;
	uint64_t chunks = (uint64_t)f->slab.n * 1000 / f->slab.max;

	return rows > chunks ? rows : chunks;
}
