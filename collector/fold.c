/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Folding: from datagram rows to one row per conversation and interval.
 *
 * Layout. Three flat arrays, mapped once, never grown, each with an index (collector/index.h):
 *
 *     rows     struct row x max_rows          key (56 bytes), flags, ports, then the sums; filled from the front
 *     names    six string numbers + quality
 *     strings  offset and length into bytes
 *
 * Their pages come when they are used: a small site pays for what it has, not for max_rows. A fresh page costs the one
 * who touches it first, so fold_clear(), which runs in the publishing thread, touches room for twice the rows there were;
 * the receive thread meets fresh pages only when traffic more than doubles from one interval to the next.
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
 *
 * What is lost. When rows, names, strings or intervals run out the newcomer is shed and counted by reason under its
 * interval; conversations already in the table go on folding. A crash loses what is in the table: the agents'
 * ledger lines say how much that was. Rows without a role come with two ports and could fill the table with one
 * port scan: past max_roleless of them the ports are set to 0, which merges them per address pair; nothing is lost.
 *
 * Why not evict, or grow? Eviction writes to the bus from the receive thread, which must never wait; growing copies
 * everything in one go just when load is highest.
 */
#include "collector/fold.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/hash.h"
#include "collector/index.h"
#include "wire/body.h"

#define STRING_MAX (2 * FLOW_NAME_MAX)
#define NAME_STRINGS 6

struct row {
	struct fold_key key;
	uint32_t flags;
	uint32_t ports_more;
	uint16_t ports[FLOW_PORTS];
	uint8_t n_ports;
	struct flow_stats stats;
} __attribute__((aligned(64)));

struct names {
	uint32_t string[NAME_STRINGS];
	uint32_t quality;
};

struct string {
	uint32_t at, n;
};

struct fold {
	struct fold_opts opts;
	struct index rows_index, names_index, strings_index;
	struct row *rows;
	struct names *names;
	struct string *strings;
	char *bytes;
	uint32_t n_rows, n_names, n_strings, n_bytes;
	uint32_t touched; /* rows whose pages are there */
	uint32_t n_roleless;
	uint64_t roleless_merged;
	uint32_t n_counts, last_count;
	struct fold_count counts[FOLD_INTERVALS + 1]; /* the last: interval 0, what found no place */
};

static_assert(sizeof(struct fold_key) == 56, "no padding: the key is hashed and compared as bytes");

size_t fold_bytes(const struct fold_opts *o)
{
	return (size_t)o->max_rows * sizeof(struct row) + (size_t)index_slots(o->max_rows) * 8 +
	       (size_t)o->max_names * sizeof(struct names) + (size_t)index_slots(o->max_names) * 8 +
	       (size_t)o->max_strings * sizeof(struct string) + (size_t)index_slots(o->max_strings) * 8 +
	       o->string_bytes;
}

int fold_new(struct fold **ret, const struct fold_opts *o)
{
	const uint32_t most = 1u << 28;
	struct fold *f;
	int r;

	if (!o->max_rows || !o->max_names || !o->max_strings || !o->string_bytes || o->max_rows > most ||
	    o->max_names > most || o->max_strings > most)
		return -EINVAL;
	f = calloc(1, sizeof(*f));
	if (!f)
		return -ENOMEM;
	f->opts = *o;
	f->rows = pages_map((size_t)o->max_rows * sizeof(struct row));
	f->names = pages_map((size_t)o->max_names * sizeof(struct names));
	f->strings = pages_map((size_t)o->max_strings * sizeof(struct string));
	f->bytes = pages_map(o->string_bytes);
	r = index_init(&f->rows_index, o->max_rows);
	r = index_init(&f->names_index, o->max_names) < 0 ? -ENOMEM : r;
	r = index_init(&f->strings_index, o->max_strings) < 0 ? -ENOMEM : r;
	if (r < 0 || !f->rows || !f->names || !f->strings || !f->bytes) {
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
	index_deinit(&f->names_index);
	index_deinit(&f->strings_index);
	pages_unmap(f->rows, (size_t)f->opts.max_rows * sizeof(struct row));
	pages_unmap(f->names, (size_t)f->opts.max_names * sizeof(struct names));
	pages_unmap(f->strings, (size_t)f->opts.max_strings * sizeof(struct string));
	pages_unmap(f->bytes, f->opts.string_bytes);
	free(f);
}

static void touch_ahead(struct fold *f)
{
	uint32_t want = f->n_rows < f->opts.max_rows / 2 ? 2 * f->n_rows : f->opts.max_rows;

	if (want <= f->touched)
		return;
	pages_touch(&f->rows[f->touched], (want - f->touched) * sizeof(struct row));
	f->touched = want;
}

void fold_clear(struct fold *f)
{
	touch_ahead(f);
	index_clear(&f->rows_index);
	index_clear(&f->names_index);
	index_clear(&f->strings_index);
	memset(f->counts, 0, sizeof(f->counts));
	f->n_rows = f->n_names = f->n_strings = f->n_bytes = 0;
	f->n_roleless = f->n_counts = f->last_count = 0;
	f->roleless_merged = 0;
}

int fold_string(struct fold *f, struct str s, uint32_t *ret)
{
	uint64_t hash;
	uint32_t at, i;

	if (s.n > STRING_MAX)
		s.n = STRING_MAX;
	if (!s.n) {
		*ret = 0;
		return 0;
	}
	hash = hash64(s.p, s.n);
	for (at = index_start(hash); (i = index_next(&f->strings_index, hash, &at)); at++) {
		const struct string *have = &f->strings[i - 1];

		if (have->n == s.n && !memcmp(f->bytes + have->at, s.p, s.n)) {
			*ret = i;
			return 0;
		}
	}
	if (f->n_strings == f->opts.max_strings || s.n > f->opts.string_bytes - f->n_bytes)
		return -ENOSPC;
	memcpy(f->bytes + f->n_bytes, s.p, s.n);
	f->strings[f->n_strings] = (struct string){f->n_bytes, (uint32_t)s.n};
	f->n_bytes += (uint32_t)s.n;
	index_put(&f->strings_index, hash, at, f->n_strings++);
	*ret = f->n_strings;
	return 0;
}

int fold_names(struct fold *f, const struct flow_names *n, uint32_t *ret)
{
	const struct str *from[NAME_STRINGS] = {&n->service, &n->process, &n->unit, &n->container, &n->pod, &n->via};
	struct names want = {.quality = n->quality};
	uint64_t hash;
	uint32_t at, i;

	for (unsigned k = 0; k < NAME_STRINGS; k++) {
		int r = fold_string(f, *from[k], &want.string[k]);

		if (r < 0)
			return r;
	}
	hash = hash64(&want, sizeof(want));
	for (at = index_start(hash); (i = index_next(&f->names_index, hash, &at)); at++) {
		if (!memcmp(&f->names[i - 1], &want, sizeof(want))) {
			*ret = i - 1;
			return 0;
		}
	}
	if (f->n_names == f->opts.max_names)
		return -ENOSPC;
	f->names[f->n_names] = want;
	index_put(&f->names_index, hash, at, f->n_names);
	*ret = f->n_names++;
	return 0;
}

uint64_t fold_rows(uint64_t present, struct str body)
{
	static_assert(FLOW_F_rows == 0, "rows is the first value of a body");
	return present & 1 && body.n >= 4 ? cursor_load32((const uint8_t *)body.p) : 0;
}

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

static void add_port(struct row *r, uint16_t port)
{
	for (unsigned i = 0; i < r->n_ports; i++) {
		if (r->ports[i] == port)
			return;
	}
	if (r->n_ports < FLOW_PORTS)
		r->ports[r->n_ports++] = port;
	else
		r->ports_more++;
}

/* The row of the key; NULL and where in the index it would stand when there is none. */
static struct row *find(struct fold *f, const struct fold_item *it, uint32_t *ret_at)
{
	uint32_t i;

	for (*ret_at = index_start(it->hash); (i = index_next(&f->rows_index, it->hash, ret_at)); ++*ret_at) {
		if (!memcmp(&f->rows[i - 1].key, &it->key, sizeof(it->key)))
			return &f->rows[i - 1];
	}
	return NULL;
}

/* The row of the key, made when absent; NULL when there is no room. */
static struct row *find_or_make(struct fold *f, struct fold_item *it)
{
	bool roleless =
		it->key.view == FLOW_VIEW_UNKNOWN || (it->key.view == FLOW_VIEW_NETWORK && it->flags & FLOW_NO_ROLE);
	uint32_t at;
	struct row *r = find(f, it, &at);

	if (!r && roleless && f->n_roleless >= f->opts.max_roleless) {
		f->roleless_merged++;
		it->key.port = it->key.other_port = 0;
		it->hash = hash64(&it->key, sizeof(it->key));
		r = find(f, it, &at);
	}
	if (r || f->n_rows == f->opts.max_rows)
		return r;
	index_put(&f->rows_index, it->hash, at, f->n_rows);
	r = &f->rows[f->n_rows++];
	memset(r, 0, sizeof(*r));
	r->key = it->key;
	f->n_roleless += roleless;
	return r;
}

static void add_one(struct fold *f, struct fold_item *it)
{
	struct fold_count *c = count_of(f, it->key.interval);
	uint64_t rows = fold_rows(it->present, it->body);
	struct row *r;

	c->rows_in += rows;
	c->sampled += it->key.view == FLOW_VIEW_NETWORK ? rows : 0;
	if (c == &f->counts[FOLD_INTERVALS]) {
		c->lost[FOLD_LOST_INTERVALS] += rows;
		return;
	}
	r = find_or_make(f, it);
	if (!r) {
		c->lost[FOLD_LOST_TABLE] += rows;
		return;
	}
	r->flags |= it->flags;
	r->ports_more += it->ports_more;
	for (unsigned i = 0; i < it->n_ports; i++)
		add_port(r, it->ports[i]);
	wire_body_add(it->present, it->body, &r->stats);
}

void fold_add(struct fold *f, struct fold_item *items, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		assert(!items[i].key.zero && items[i].n_ports <= FLOW_PORTS);
		items[i].hash = hash64(&items[i].key, sizeof(items[i].key));
		index_prefetch(&f->rows_index, items[i].hash);
	}
	for (size_t i = 0; i < n; i++) {
		uint32_t at = index_start(items[i].hash), row = index_next(&f->rows_index, items[i].hash, &at);
		const char *p = (const char *)&f->rows[row ? row - 1 : f->n_rows < f->opts.max_rows ? f->n_rows : 0];

		__builtin_prefetch(p, 1);
		__builtin_prefetch(p + 64, 1);
		__builtin_prefetch(p + 128, 1);
	}
	for (size_t i = 0; i < n; i++)
		add_one(f, &items[i]);
}

uint32_t fold_n(const struct fold *f)
{
	return f->n_rows;
}

static struct str text(const struct fold *f, uint32_t string)
{
	return string ? (struct str){f->bytes + f->strings[string - 1].at, f->strings[string - 1].n}
		      : (struct str){NULL, 0};
}

void fold_get(const struct fold *f, uint32_t i, struct flow_row *ret)
{
	const struct row *r = &f->rows[i];
	const struct names *n = &f->names[r->key.names];

	assert(i < f->n_rows && r->key.names < f->n_names);
	ret->interval = r->key.interval;
	ret->view = r->key.view;
	ret->flags = r->flags;
	ret->conv = (struct flow_conv){
		.net = text(f, r->key.net),
		.scope = text(f, r->key.scope),
		.client = r->key.client,
		.server = r->key.server,
		.port = r->key.port,
		.other_port = r->key.other_port,
		.protocol = r->key.protocol,
	};
	ret->names = (struct flow_names){
		.service = text(f, n->string[0]),
		.process = text(f, n->string[1]),
		.unit = text(f, n->string[2]),
		.container = text(f, n->string[3]),
		.pod = text(f, n->string[4]),
		.via = text(f, n->string[5]),
		.quality = (uint8_t)n->quality,
	};
	memcpy(ret->ports, r->ports, sizeof(ret->ports));
	ret->n_ports = r->n_ports;
	ret->ports_more = r->ports_more;
	ret->stats = r->stats;
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
	return (uint64_t)f->n_rows * 1000 / f->opts.max_rows;
}
