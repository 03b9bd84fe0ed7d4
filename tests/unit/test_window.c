/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The window engine against scripted logs. The engine runs with the edge stage (its rows are partials, its output edges);
 * the oracle is a table that adds up the script. Whatever breaks, and whenever, the output must add up to the same, with no
 * (interval, edge, revision) twice.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/table.h"
#include "flow/msg.h"
#include "graph/stages.h"
#include "graph/window.h"
#include "tests/unit/bus_fault.h"

#define START 1000000  /* first offset */
#define T0 1700000000u /* first interval */
#define LEN 10u        /* s */
#define INTERVALS 80
#define KEYS 4
#define PARTS 2
#define NOW0 ((int64_t)T0 * 1000000)

enum item_type { ROW, MARKER, GARBAGE };

struct item {
	enum item_type type;
	unsigned part;
	char producer; /* MARKER */
	unsigned k;    /* interval T0 + k * LEN */
	unsigned key;
	uint64_t rows; /* ROW: of it; MARKER: announced */
};

struct script {
	struct item v[2000];
	size_t n;
};

struct sum {
	uint64_t rows, bytes;
};

struct world {
	struct bus *bus;
	struct bus_producer *p;
	struct fault fault;
	struct buf buf;
	struct flow_msg msg;
	int64_t now;
	uint64_t boot;
	/* what came out */
	struct sum out[INTERVALS][KEYS];
	unsigned revisions[INTERVALS]; /* rows of the first key */
	unsigned dead;
	uint64_t line_in, line_out, line_poison, line_lost_in_bus;
};

/* --- the log */

static void world_open_sized(struct world *w, size_t max_bytes)
{
	const struct bus_memory_opts opts = {.partitions = PARTS, .max_bytes = max_bytes, .start_us = START};

	memset(w, 0, sizeof(*w));
	buf_init(&w->buf, 0);
	w->now = NOW0;
	assert_int_equal(bus_memory_open(&w->bus, &opts), 0);
	assert_int_equal(bus_producer_open(&w->p, w->bus, NULL), 0);
	fault_init(&w->fault, w->bus, FAULT_NONE, 0);
}

static void world_open(struct world *w)
{
	world_open_sized(w, 256 << 20);
}

static void world_close(struct world *w)
{
	bus_producer_close(w->p);
	bus_close(w->bus);
	buf_deinit(&w->buf);
}

static void edge_of(unsigned key, struct flow_edge *e)
{
	static const char *const names[KEYS] = {"a", "b", "c", "d"};

	*e = (struct flow_edge){.interval_s = LEN, .observed = 1};
	e->name.client_service = str_from(names[key]);
	e->name.server_service = STR("s");
	e->name.port = 80;
	e->name.protocol = 6;
	e->id = flow_edge_id(&e->name);
}

static void put(struct world *w, const struct item *it)
{
	char name[2] = {it->producer, 0};
	struct flow_marker m = {.producer = str_from(name),
				.boot = 1,
				.interval = T0 + it->k * LEN,
				.interval_s = LEN,
				.rows = it->rows,
				.messages = 1};
	struct flow_edge e;

	buf_clear(&w->buf);
	if (it->type == ROW) {
		edge_of(it->key, &e);
		e.interval = T0 + it->k * LEN;
		e.view[0].rows = it->rows;
		e.view[0].tx_bytes = it->rows * 1000 + it->key;
		flow_msg_encode(&w->buf, FLOW_MSG_EDGE, &e);
	} else if (it->type == MARKER) {
		flow_msg_encode(&w->buf, FLOW_MSG_MARKER, &m);
	} else {
		buf_str(&w->buf, STR("garbage"));
	}
	assert_int_equal(w->buf.err, 0);
	assert_int_equal(bus_produce(w->p, BUS_PARTIALS, it->part, "k", 1, w->buf.p, w->buf.n), 0);
}

static void row(struct world *w, unsigned part, unsigned k, unsigned key, uint64_t rows)
{
	put(w, &(struct item){.type = ROW, .part = part, .k = k, .key = key, .rows = rows});
}

static void marker(struct world *w, unsigned part, char producer, unsigned k, uint64_t rows)
{
	put(w, &(struct item){.type = MARKER, .part = part, .producer = producer, .k = k, .rows = rows});
}

/* --- the engine */

static struct window *engine_sized(struct world *w, size_t max_entries)
{
	const struct window_opts opts = {.bus = &w->fault.base,
					 .stage = &edge_stage,
					 .arg = &w->fault.base,
					 .group = "g",
					 .instance = "t",
					 .boot = ++w->boot * 1000,
					 .max_entries = max_entries};
	struct window *e = NULL;

	assert_int_equal(window_new(&e, &opts), 0);
	return e;
}

static struct window *engine(struct world *w)
{
	return engine_sized(w, 100000);
}

static int step(struct world *w, struct window *e)
{
	w->now += 1000;
	return window_step(e, w->now, 0);
}

/* Steps until nothing is left to do. */
static void settle(struct world *w, struct window *e)
{
	for (int i = 0; i < 500; i++) {
		int r = step(w, e);

		w->now += 60000; /* past any wait for a full bus */
		if (r == 0 && window_drained(e))
			return;
	}
	fail_msg("the engine does not come to rest (call %lu of kind %d broke)", w->fault.at, w->fault.kind);
}

/* --- what came out */

static unsigned key_of(uint64_t id)
{
	for (unsigned key = 0; key < KEYS; key++) {
		struct flow_edge e;

		edge_of(key, &e);
		if (e.id == id)
			return key;
	}
	fail_msg("an edge nobody wrote");
	return 0;
}

struct seen {
	uint32_t interval;
	uint64_t id, revision;
};

static void check_once(struct seen *seen, size_t *n, size_t max, const struct flow_edge *e)
{
	for (size_t i = 0; i < *n; i++) {
		if (seen[i].interval == e->interval && seen[i].id == e->id && seen[i].revision == e->revision)
			fail_msg("interval %u, edge %llx, revision %llu twice", e->interval, (unsigned long long)e->id,
				 (unsigned long long)e->revision);
	}
	assert_true(*n < max);
	seen[(*n)++] = (struct seen){e->interval, e->id, e->revision};
}

/* Sums over the last line of each (boot, interval). */
static void collect_ledger(struct world *w, struct bus_reader *r)
{
	static struct {
		uint64_t boot;
		uint32_t interval;
		uint64_t in, out, poison, lost;
	} lines[4000];
	size_t n = 0, i;
	struct bus_msg m;

	while (bus_read(r, &m, 1, 0) == 1) {
		const struct flow_ledger *l = &w->msg.ledger;

		assert_int_equal(flow_msg_decode(m.value, m.value_len, &w->msg), 0);
		for (i = 0; i < n && (lines[i].boot != l->boot || lines[i].interval != l->interval); i++)
			;
		assert_true(i < ARRAY_LEN(lines));
		n += i == n;
		lines[i].boot = l->boot;
		lines[i].interval = l->interval;
		lines[i].in = l->rows_in;
		lines[i].out = l->rows_out;
		lines[i].poison = flow_count_get(l->lost, l->n_lost, "poison");
		lines[i].lost = flow_count_get(l->info, l->n_info, "lost_in_bus");
		assert_int_equal(l->rows_in, l->rows_out + lines[i].poison);
	}
	w->line_in = w->line_out = w->line_poison = w->line_lost_in_bus = 0;
	for (i = 0; i < n; i++) {
		w->line_in += lines[i].in;
		w->line_out += lines[i].out;
		w->line_poison += lines[i].poison;
		w->line_lost_in_bus += lines[i].lost;
	}
}

static void collect(struct world *w)
{
	static const enum bus_topic topics[] = {BUS_EDGES, BUS_LEDGER, BUS_DEAD};
	static struct seen seen[20000];
	struct bus_reader *r[ARRAY_LEN(topics)];
	struct bus_msg m;
	size_t n = 0;

	memset(w->out, 0, sizeof(w->out));
	memset(w->revisions, 0, sizeof(w->revisions));
	w->dead = 0;
	for (size_t i = 0; i < ARRAY_LEN(topics); i++)
		assert_int_equal(bus_reader_open(&r[i], w->bus, NULL, &topics[i], 1, NULL), 0);
	while (bus_read(r[0], &m, 1, 0) == 1) {
		const struct flow_edge *e = &w->msg.edge;
		unsigned k, key;

		assert_int_equal(flow_msg_decode(m.value, m.value_len, &w->msg), 0);
		assert_int_equal(w->msg.type, FLOW_MSG_EDGE);
		check_once(seen, &n, ARRAY_LEN(seen), e);
		k = (e->interval - T0) / LEN;
		key = key_of(e->id);
		assert_true(k < INTERVALS);
		w->out[k][key].rows += e->view[0].rows;
		w->out[k][key].bytes += e->view[0].tx_bytes;
		w->revisions[k] += key == 0;
	}
	collect_ledger(w, r[1]);
	while (bus_read(r[2], &m, 1, 0) == 1)
		w->dead++;
	for (size_t i = 0; i < ARRAY_LEN(topics); i++)
		bus_reader_close(r[i]);
}

static uint64_t out_rows(struct world *w, unsigned k)
{
	uint64_t rows = 0;

	collect(w);
	for (unsigned key = 0; key < KEYS; key++)
		rows += w->out[k][key].rows;
	return rows;
}

static void position(struct world *w, struct window *e, unsigned part, struct bus_position *ret)
{
	const enum bus_topic t = BUS_PARTIALS;
	struct bus_reader *r;

	(void)e;
	assert_int_equal(bus_reader_open(&r, w->bus, "g", &t, 1, NULL),
			 0); /* a member that never reads moves nothing */
	assert_int_equal(bus_committed(r, t, part, ret), 0);
	bus_reader_close(r);
}

/* --- closing */

static void closes_when_all_have_marked(void **state)
{
	static struct world w;
	struct window *e;
	struct bus_position pos;
	struct graph_stage_stats s;
	int64_t first;

	world_open(&w);
	e = engine(&w);
	row(&w, 0, 0, 0, 1);      /* START */
	marker(&w, 0, 'A', 0, 1); /* A alone is known: closes */
	settle(&w, e);
	assert_int_equal(out_rows(&w, 0), 1);
	row(&w, 0, 1, 0, 5);
	marker(&w, 0, 'B', 0, 0);
	row(&w, 0, 2, 1, 7); /* B is ahead */
	marker(&w, 0, 'A', 1, 5);
	settle(&w, e);
	assert_int_equal(out_rows(&w, 1), 0); /* B has not marked 1 */
	row(&w, 0, 1, 0, 2);
	marker(&w, 0, 'B', 1, 9);
	settle(&w, e);
	assert_int_equal(out_rows(&w, 1), 7);
	assert_int_equal(out_rows(&w, 2), 0);
	position(&w, e, 0, &pos);
	first = START + 4; /* the row of interval 2 is older than the last markers of A (5) and B (7) */
	assert_int_equal(pos.offset, first);
	char want[64];

	snprintf(want, sizeof(want), "1 %d %u 0", START + 8, T0 + LEN);
	assert_string_equal(pos.metadata, want);
	window_stats(e, &s);
	assert_int_equal(s.watermark == 0 ? T0 + LEN : s.watermark, T0 + LEN);
	assert_int_equal(s.producers_live, 2);
	assert_int_equal(s.lost_in_bus, 0);
	window_free(e);
	world_close(&w);
}

static void revision_is_h_and_partition(void **state)
{
	static struct world w;
	const enum bus_topic t = BUS_EDGES;
	struct bus_reader *r;
	struct bus_msg m;
	struct window *e;

	world_open(&w);
	e = engine(&w);
	row(&w, 1, 0, 0, 1);
	marker(&w, 1, 'A', 0, 1);
	settle(&w, e);
	assert_int_equal(bus_reader_open(&r, w.bus, NULL, &t, 1, NULL), 0);
	assert_int_equal(bus_read(r, &m, 1, 0), 1);
	assert_int_equal(flow_msg_decode(m.value, m.value_len, &w.msg), 0);
	assert_int_equal(w.msg.edge.revision, (uint64_t)(START + 2) * 4096 + 1);
	bus_reader_close(r);
	window_free(e);
	world_close(&w);
}

static void late_rows_make_one_revision(void **state)
{
	static struct world w;
	struct window *e;

	world_open(&w);
	e = engine(&w);
	row(&w, 0, 0, 0, 1);
	marker(&w, 0, 'A', 0, 1);
	settle(&w, e);
	for (int i = 0; i < 20; i++) {
		row(&w, 0, 0, 0, 1);
		settle(&w, e);
	}
	marker(&w, 0, 'A', 1, 20);
	settle(&w, e);
	assert_int_equal(out_rows(&w, 0), 21);
	assert_int_equal(w.revisions[0], 2);
	row(&w, 0, 0, 0, 3); /* nobody marks any more: an interval later it goes out alone */
	settle(&w, e);
	assert_int_equal(out_rows(&w, 0), 21);
	w.now += LEN * 1000000;
	settle(&w, e);
	assert_int_equal(out_rows(&w, 0), 24);
	assert_int_equal(w.revisions[0], 3);
	assert_int_equal(w.line_in, 24);
	window_free(e);
	world_close(&w);
}

static void silent_producer(void **state)
{
	static struct world w;
	struct graph_stage_stats s;
	struct window *e;

	world_open(&w);
	e = engine(&w);
	marker(&w, 0, 'A', 0, 0);
	marker(&w, 0, 'B', 0, 0);
	for (unsigned k = 1; k < 4; k++) {
		settle(&w, e);
		assert_int_equal(out_rows(&w, 1), 0);
		row(&w, 0, k, 0, 1);
		marker(&w, 0, 'A', k, 1);
	}
	settle(&w, e); /* A is 3 intervals on */
	assert_int_equal(out_rows(&w, 1), 1);
	assert_int_equal(out_rows(&w, 3), 1);
	row(&w, 0, 1, 0, 10); /* B again, with what it had */
	marker(&w, 0, 'B', 4, 10);
	row(&w, 0, 4, 0, 1);
	settle(&w, e);
	assert_int_equal(out_rows(&w, 4), 0); /* A is awaited, B lives */
	marker(&w, 0, 'A', 4, 1);
	settle(&w, e);
	assert_int_equal(out_rows(&w, 4), 1);
	assert_int_equal(out_rows(&w, 1), 11);
	window_stats(e, &s);
	assert_int_equal(s.producers_live, 2);
	assert_int_equal(s.silent_closes, 0);
	assert_int_equal(s.late_rows, 10);
	window_free(e);
	world_close(&w);
}

static void all_silent(void **state)
{
	static struct world w;
	struct graph_stage_stats s;
	struct window *e;

	world_open(&w);
	e = engine(&w);
	marker(&w, 0, 'A', 0, 0);
	row(&w, 0, 1, 0, 1);
	row(&w, 0, 9, 0, 1);
	settle(&w, e);
	w.now = NOW0 + 5 * LEN * 1000000 - 1000000; /* interval 1 ended 2.9 intervals ago */
	settle(&w, e);
	assert_int_equal(out_rows(&w, 1), 0);
	w.now = NOW0 + 5 * LEN * 1000000;
	settle(&w, e);
	assert_int_equal(out_rows(&w, 1), 1);
	assert_int_equal(out_rows(&w, 9), 0); /* not over yet */
	window_stats(e, &s);
	assert_int_equal(s.silent_closes, 1);
	row(&w, 0, 1, 0, 2);
	marker(&w, 0, 'A', 2, 4);
	settle(&w, e);
	assert_int_equal(out_rows(&w, 1), 3);
	window_free(e);
	world_close(&w);
}

/* Whoever is known beforehand is awaited. */
static void expected_producers(void **state)
{
	static struct world w;
	struct window_opts opts = {.stage = &edge_stage,
				   .group = "g",
				   .instance = "t",
				   .max_entries = 1000,
				   .expect = "flows",
				   .n_expect = 2};
	struct flow_marker m = {.producer = STR("flows/0"), .boot = 1, .interval = T0, .interval_s = LEN};
	struct window *e = NULL;

	world_open(&w);
	opts.bus = opts.arg = &w.fault.base;
	assert_int_equal(window_new(&e, &opts), 0);
	row(&w, 0, 0, 0, 1);
	for (int i = 0; i < 2; i++) {
		buf_clear(&w.buf);
		flow_msg_encode(&w.buf, FLOW_MSG_MARKER, &m);
		assert_int_equal(bus_produce(w.p, BUS_PARTIALS, 0, "k", 1, w.buf.p, w.buf.n), 0);
		settle(&w, e);
		assert_int_equal(out_rows(&w, 0), i);
		m.producer = STR("flows/1");
	}
	window_free(e);
	world_close(&w);
}

static void wrong_counts(void **state)
{
	static struct world w;
	struct graph_stage_stats s;
	struct window *e;

	world_open(&w);
	e = engine(&w);
	row(&w, 0, 0, 0, 4);
	marker(&w, 0, 'A', 0, 4);
	marker(&w, 0, 'B', 0, 0);
	row(&w, 0, 1, 0, 4);
	row(&w, 0, 1, 0, 2);      /* of B, not announced yet */
	marker(&w, 0, 'A', 1, 9); /* 5 never came; 2 of B hide some of it */
	marker(&w, 0, 'B', 1, 2);
	settle(&w, e);
	window_stats(e, &s);
	assert_int_equal(s.lost_in_bus, 5);
	window_free(e);
	e = engine(&w); /* the balance survives a restart: rows below H are not counted again */
	row(&w, 0, 2, 0, 1);
	marker(&w, 0, 'A', 2, 1);
	marker(&w, 0, 'B', 2, 0);
	settle(&w, e);
	window_stats(e, &s);
	assert_int_equal(s.lost_in_bus, 0);
	collect(&w);
	assert_int_equal(w.line_lost_in_bus, 5);
	assert_int_equal(w.line_in, 11);
	window_free(e);
	world_close(&w);
}

/* A producer dies between its rows and its marker: what it left does not hide a later loss for ever. */
static void unannounced_rows(void **state)
{
	static struct world w;
	struct graph_stage_stats s;
	struct window *e;

	world_open(&w);
	e = engine(&w);
	marker(&w, 0, 'A', 0, 0);
	marker(&w, 0, 'B', 0, 0);
	row(&w, 0, 1, 0, 100); /* B's last words */
	for (unsigned k = 1; k < 12; k++) {
		row(&w, 0, k, 0, 1);
		marker(&w, 0, 'A', k, 1);
	}
	settle(&w, e);
	window_stats(e, &s);
	assert_int_equal(s.unannounced, 100);
	assert_int_equal(s.lost_in_bus, 0);
	marker(&w, 0, 'A', 12, 3);
	settle(&w, e);
	window_stats(e, &s);
	assert_int_equal(s.lost_in_bus, 3);
	window_free(e);
	world_close(&w);
}

static void poison(void **state)
{
	static struct world w;
	struct flow_edge edge;
	struct window *e;

	world_open(&w);
	e = engine(&w);
	put(&w, &(struct item){.type = GARBAGE});
	row(&w, 0, 0, 0, 1);
	marker(&w, 0, 'A', 0, 1);
	edge_of(0, &edge); /* readable, but the interval is none */
	edge.interval = T0 + 3;
	edge.view[0].rows = 6;
	buf_clear(&w.buf);
	flow_msg_encode(&w.buf, FLOW_MSG_EDGE, &edge);
	assert_int_equal(bus_produce(w.p, BUS_PARTIALS, 0, "k", 1, w.buf.p, w.buf.n), 0);
	row(&w, 0, 79, 0, 2); /* ages ahead of everybody */
	marker(&w, 0, 'A', 1, 8);
	settle(&w, e);
	collect(&w);
	assert_int_equal(w.dead, 3);
	assert_int_equal(w.line_poison, 1 + 6 + 2);
	assert_int_equal(w.line_in, 10);
	assert_int_equal(w.line_out, 1);
	window_free(e);
	world_close(&w);
}

/* A producer that marks but stays behind: no more than WINDOW_OPEN (64) intervals wait for it. */
static void too_many_open(void **state)
{
	static struct world w;
	struct graph_stage_stats s;
	struct window *e;

	world_open(&w);
	e = engine(&w);
	marker(&w, 0, 'B', 0, 0);
	for (unsigned k = 0; k < 79; k++) {
		row(&w, 0, k, 0, 1);
		marker(&w, 0, 'A', k, 1);
		marker(&w, 0, 'B', 0, 0);
		settle(&w, e);
	}
	window_stats(e, &s);
	assert_int_equal(s.open_intervals, 64);
	assert_true(s.forced > 10);
	assert_int_equal(out_rows(&w, 10), 1);
	window_free(e);
	world_close(&w);
}

/* The successor has less memory than what is to be read again: it must not close anything before it is past H. */
static void small_successor(void **state)
{
	static struct world w;
	struct window *e;

	world_open(&w);
	e = engine(&w);
	for (unsigned i = 0; i < 300; i++) /* more than one read */
		row(&w, 0, 1, i % KEYS, 1);
	row(&w, 0, 0, 3, 5);
	marker(&w, 0, 'A', 0, 305);
	settle(&w, e);
	window_free(e);
	e = engine_sized(&w, 2);
	settle(&w, e);
	marker(&w, 0, 'A', 1, 0);
	settle(&w, e);
	assert_int_equal(out_rows(&w, 0), 5);
	assert_int_equal(out_rows(&w, 1), 300);
	window_free(e);
	world_close(&w);
}

/* A marker from the future does not make everybody late; after a rest of the whole log the clock says what is late. */
static void ahead_of_all(void **state)
{
	static struct world w;
	struct graph_stage_stats s;
	struct window *e;

	world_open(&w);
	e = engine(&w);
	row(&w, 0, 0, 0, 1);
	marker(&w, 0, 'A', 0, 1);
	marker(&w, 0, 'X', 400000, 0);
	settle(&w, e);
	row(&w, 0, 1, 0, 2);
	marker(&w, 0, 'A', 1, 2);
	settle(&w, e);
	window_stats(e, &s);
	assert_int_equal(out_rows(&w, 1), 2);
	assert_int_equal(s.late_rows, 0);
	w.now += 75ll * LEN * 1000000;
	row(&w, 0, 74, 0, 3);
	marker(&w, 0, 'A', 74, 3);
	settle(&w, e);
	assert_int_equal(out_rows(&w, 74), 3);
	assert_int_equal(w.dead, 1);
	window_free(e);
	world_close(&w);
}

/* The wall clock goes back an hour: late rows and a full bus are not waited for that long. */
static void clock_set_back(void **state)
{
	static struct world w;
	struct window *e;

	world_open(&w);
	e = engine(&w);
	row(&w, 0, 0, 0, 1);
	marker(&w, 0, 'A', 0, 1);
	settle(&w, e);
	row(&w, 0, 0, 0, 2); /* late: waits for an interval at most */
	(void)step(&w, e);
	w.now -= 3600ll * 1000000;
	(void)step(&w, e);
	w.now += 2ll * LEN * 1000000;
	settle(&w, e);
	assert_int_equal(out_rows(&w, 0), 3);
	window_free(e);
	world_close(&w);
}

/* Nobody takes the edges away: the engine keeps what it has, stops reading, and goes on when there is room. */
static void full_bus(void **state)
{
	static struct world w;
	const enum bus_topic t = BUS_EDGES;
	struct graph_stage_stats s;
	struct bus_reader *r;
	struct bus_msg m;
	struct window *e;
	uint64_t rows = 0, put_rows = 0;
	int full = 0;

	static char large[200000];

	world_open_sized(&w, 2000000);
	assert_int_equal(bus_reader_open(&r, w.bus, "store", &t, 1, NULL), 0);
	assert_int_equal(bus_produce(w.p, BUS_EDGES, 0, NULL, 0, large, sizeof(large)), 0); /* the topic's share */
	e = engine_sized(&w, 40);
	for (unsigned k = 0; k < 70; k++) {
		for (unsigned key = 0; key < KEYS; key++)
			row(&w, 0, k, key, 1);
		marker(&w, 0, 'A', k, KEYS);
		put_rows += KEYS;
		for (int i = 0; i < 3; i++) {
			w.now += 60000;
			full += step(&w, e) == -EAGAIN;
		}
	}
	window_stats(e, &s);
	assert_true(full > 0);
	assert_true(s.busy > 0);
	assert_in_range(s.entries, 40, 40 + 256);
	assert_true(s.lag > 0);
	for (int i = 0; i < 2000 && rows < put_rows; i++) {
		while (bus_read(r, &m, 1, 0) == 1) {
			struct bus_position pos = {.topic = t, .partition = m.partition, .offset = m.offset + 1};

			if (m.value_len < sizeof(large)) {
				assert_int_equal(flow_msg_decode(m.value, m.value_len, &w.msg), 0);
				rows += w.msg.edge.view[0].rows;
			}
			assert_int_equal(bus_commit_positions(r, &pos, 1), 0);
		}
		w.now += 60000;
		(void)step(&w, e);
	}
	assert_int_equal(rows, put_rows);
	window_stats(e, &s);
	assert_int_equal(s.aborts, 0);
	assert_int_equal(s.forced, 0);
	window_free(e);
	bus_reader_close(r);
	world_close(&w);
}

/* --- whatever breaks, whenever */

static unsigned rnd(unsigned *x, unsigned n)
{
	*x = *x * 1103515245u + 12345u;
	return *x / 65536 % n;
}

/* Two producers, two partitions, 7 intervals: rows out of order, late rows, garbage, one producer silent for a while. */
static void script_random(struct script *s, unsigned seed)
{
	static const unsigned last = 7;
	unsigned x = seed, at[PARTS][2] = {{0}}, pending[PARTS][2] = {{0}};

	s->n = 0;
	while (s->n < 400 && (at[0][0] < last || at[0][1] < last || at[1][0] < last || at[1][1] < last)) {
		unsigned p = rnd(&x, PARTS), who = rnd(&x, 2), *k = &at[p][who], what = rnd(&x, 10);

		if (*k >= last || (seed % 3 == 0 && who == 1 && *k == 2 && at[p][0] < 6))
			continue;
		if (what < 3) {
			s->v[s->n++] = (struct item){.type = MARKER,
						     .part = p,
						     .producer = (char)('A' + who),
						     .k = *k,
						     .rows = pending[p][who]};
			pending[p][who] = 0;
			++*k;
		} else if (what == 3) {
			s->v[s->n++] = (struct item){.type = GARBAGE, .part = p};
		} else {
			struct item it = {
				.type = ROW, .part = p, .k = *k, .key = rnd(&x, KEYS), .rows = 1 + rnd(&x, 5)};

			if (what == 4 && *k > 2)
				it.k = *k - 2; /* late, or nearly */
			if (what == 5 && *k + 1 < last)
				it.k = *k + 1; /* early */
			pending[p][who] += (unsigned)it.rows;
			s->v[s->n++] = it;
		}
	}
}

static void script_sum(const struct script *s, struct sum want[INTERVALS][KEYS], unsigned *ret_garbage)
{
	memset(want, 0, sizeof(struct sum) * INTERVALS * KEYS);
	*ret_garbage = 0;
	for (size_t i = 0; i < s->n; i++) {
		const struct item *it = &s->v[i];

		*ret_garbage += it->type == GARBAGE;
		if (it->type != ROW)
			continue;
		want[it->k][it->key].rows += it->rows;
		want[it->k][it->key].bytes += it->rows * 1000 + it->key;
	}
}

static bool crashed(const struct world *w)
{
	return w->fault.kind == FAULT_CRASH && w->fault.calls >= w->fault.at;
}

/* Runs the script with one or two engines; the bus breaks at call `at`. Two: the second comes in the middle, the first
 * leaves at three quarters. Returns the calls made. */
static unsigned long run(struct world *w, const struct script *s, enum fault_kind kind, unsigned long at, bool two)
{
	struct window *e[2] = {NULL, NULL};
	unsigned long calls;

	world_open(w);
	e[0] = engine(w);
	fault_init(&w->fault, w->bus, kind, at);
	for (size_t i = 0; i < s->n; i++) {
		put(w, &s->v[i]);
		if (two && i == s->n / 2)
			e[1] = engine(w);
		if (two && i == s->n * 3 / 4) {
			window_free(e[0]);
			e[0] = NULL;
		}
		for (unsigned k = 0; k < 2; k++) {
			if (e[k] && i % 3 == k)
				(void)step(w, e[k]);
			if (e[k] && crashed(w)) {
				window_free(e[k]);
				calls = w->fault.calls;
				fault_init(&w->fault, w->bus, FAULT_NONE, 0);
				w->fault.calls = calls;
				e[k] = engine(w);
			}
		}
	}
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned k = 0; k < 2; k++) {
			for (int i = 0; e[k] && i < 40; i++) {
				w->now += 60000;
				(void)step(w, e[k]);
				if (!crashed(w))
					continue;
				window_free(e[k]);
				fault_init(&w->fault, w->bus, FAULT_NONE, 0);
				e[k] = engine(w);
			}
		}
		w->now += LEN * 1000000 + 1; /* late rows wait for an interval at most */
	}
	calls = w->fault.calls;
	w->fault.kind = FAULT_NONE; /* it may lie beyond all there is to do */
	for (unsigned k = 0; k < 2; k++) {
		if (e[k])
			settle(w, e[k]);
		window_free(e[k]);
	}
	collect(w);
	world_close(w);
	return calls;
}

static void check(const struct world *w, const struct script *s, const char *what, unsigned long at)
{
	static struct sum want[INTERVALS][KEYS];
	unsigned garbage;
	uint64_t rows = 0;

	script_sum(s, want, &garbage);
	for (unsigned k = 0; k < INTERVALS; k++) {
		for (unsigned key = 0; key < KEYS; key++) {
			rows += want[k][key].rows;
			if (memcmp(&want[k][key], &w->out[k][key], sizeof(struct sum)) != 0)
				fail_msg("%s at call %lu: interval %u, key %u: %llu rows, %llu wanted", what, at, k,
					 key, (unsigned long long)w->out[k][key].rows,
					 (unsigned long long)want[k][key].rows);
		}
	}
	if (w->dead != garbage)
		fail_msg("%s at call %lu: %u dead letters, %u wanted", what, at, w->dead, garbage);
	if (w->line_out != rows || w->line_in != rows + garbage || w->line_lost_in_bus)
		fail_msg("%s at call %lu: ledger in %llu out %llu lost %llu, %llu rows wanted", what, at,
			 (unsigned long long)w->line_in, (unsigned long long)w->line_out,
			 (unsigned long long)w->line_lost_in_bus, (unsigned long long)rows);
}

static const struct {
	enum fault_kind kind;
	const char *name;
} faults[] = {{FAULT_FAIL, "failure"}, {FAULT_FULL, "full bus"}, {FAULT_LOST, "lost answer"}, {FAULT_CRASH, "crash"}};

static void every_call(const bool two)
{
	static struct world w;
	static struct script s;

	for (unsigned seed = 1; seed <= 3; seed++) {
		unsigned long calls;

		script_random(&s, seed);
		calls = run(&w, &s, FAULT_NONE, 0, two);
		check(&w, &s, "nothing", 0);
		assert_true(calls > 200);
		for (size_t f = 0; f < ARRAY_LEN(faults); f++) {
			for (unsigned long at = 1; at <= calls; at++) {
				(void)run(&w, &s, faults[f].kind, at, two);
				check(&w, &s, faults[f].name, at);
			}
		}
	}
}

static void breaks_at_every_call(void **state)
{
	every_call(false);
}

static void breaks_while_partitions_move(void **state)
{
	every_call(true);
}

/* An open transaction dies with its engine: none of it is seen. */
static void aborted_output_is_not_seen(void **state)
{
	static struct world w;
	struct window *e;

	world_open(&w);
	e = engine(&w);
	row(&w, 0, 0, 0, 1);
	marker(&w, 0, 'A', 0, 1);
	for (unsigned long at = 1; at < 40 && out_rows(&w, 0) == 0; at++) {
		fault_init(&w.fault, w.bus, FAULT_CRASH, at);
		(void)step(&w, e);
		window_free(e);
		collect(&w);
		assert_true(w.out[0][0].rows <= 1);
		assert_int_equal(w.line_out, w.out[0][0].rows); /* both or neither */
		fault_init(&w.fault, w.bus, FAULT_NONE, 0);
		e = engine(&w);
	}
	settle(&w, e);
	assert_int_equal(out_rows(&w, 0), 1);
	window_free(e);
	world_close(&w);
}

/* After a restart those who were live are awaited, though nothing of them is open. */
static void restart_knows_the_producers(void **state)
{
	static struct world w;
	struct window *e;

	world_open(&w);
	e = engine(&w);
	marker(&w, 0, 'A', 0, 0);
	marker(&w, 0, 'B', 0, 0);
	marker(&w, 0, 'A', 1, 0);
	marker(&w, 0, 'B', 1, 0);
	settle(&w, e);
	window_free(e);
	e = engine(&w);
	row(&w, 0, 2, 0, 1);
	marker(&w, 0, 'B', 2, 1);
	settle(&w, e);
	assert_int_equal(out_rows(&w, 2), 0);
	marker(&w, 0, 'A', 2, 0);
	settle(&w, e);
	assert_int_equal(out_rows(&w, 2), 1);
	assert_int_equal(w.revisions[2], 1);
	window_free(e);
	world_close(&w);
}

/* Metadata of a version we do not know is not guessed at: the partition waits, nothing is written. */
static void foreign_metadata(void **state)
{
	static struct world w;
	const enum bus_topic t = BUS_PARTIALS;
	struct bus_position pos = {.topic = BUS_PARTIALS, .offset = START, .metadata = "2 what is this"};
	struct bus_reader *r;
	struct bus_msg m;
	struct window *e;

	world_open(&w);
	assert_int_equal(bus_reader_open(&r, w.bus, "g", &t, 1, NULL), 0);
	assert_int_equal(bus_read(r, &m, 1, 0), 0);
	assert_int_equal(bus_commit_positions(r, &pos, 1), 0);
	bus_reader_close(r);
	row(&w, 0, 0, 0, 1);
	marker(&w, 0, 'A', 0, 1);
	e = engine(&w);
	(void)step(&w, e);
	assert_int_equal(step(&w, e), -EBADMSG);
	assert_int_equal(out_rows(&w, 0), 0);
	assert_false(window_drained(e));
	window_free(e);
	world_close(&w);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(closes_when_all_have_marked),
		cmocka_unit_test(revision_is_h_and_partition),
		cmocka_unit_test(late_rows_make_one_revision),
		cmocka_unit_test(silent_producer),
		cmocka_unit_test(all_silent),
		cmocka_unit_test(expected_producers),
		cmocka_unit_test(wrong_counts),
		cmocka_unit_test(unannounced_rows),
		cmocka_unit_test(poison),
		cmocka_unit_test(too_many_open),
		cmocka_unit_test(small_successor),
		cmocka_unit_test(ahead_of_all),
		cmocka_unit_test(clock_set_back),
		cmocka_unit_test(full_bus),
		cmocka_unit_test(aborted_output_is_not_seen),
		cmocka_unit_test(restart_knows_the_producers),
		cmocka_unit_test(foreign_metadata),
		cmocka_unit_test(breaks_at_every_call),
		cmocka_unit_test(breaks_while_partitions_move),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
