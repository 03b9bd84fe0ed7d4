/* SPDX-License-Identifier: Apache-2.0 */
/* What store/store.h and store/query.h promise, tried on a real store; the oracle adds up what was written.
 *
 * SKYFALL_TEST_CLICKHOUSE=http://host:port: on a ClickHouse there (tests/servers/clickhouse), in databases of its own;
 * else on SQLite. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/clickhouse_http.h"
#include "store/query.h"
#include "store/spool.h"

#define T0 1763856000u /* 2025-11-23 00:00 UTC: a day's start */

static uint64_t seed;

static uint64_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

struct world {
	char path[160];
	const char *server; /* NULL: SQLite */
	struct store *st;
	struct store_opts opts;
	char why[256];
};

static void remove_tree(const char *path)
{
	char cmd[700];

	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", path);
	assert_int_equal(system(cmd), 0);
}

static void open_store(struct world *w)
{
	int r = store_open(&w->st, w->path, &w->opts, w->why, sizeof(w->why));

	if (r)
		print_message("%s\n", w->why);
	assert_int_equal(r, 0);
}

/* A statement to the server, beside the store. */
static void statement(struct world *w, bool in_database, const char *text, struct buf *ret)
{
	struct clickhouse_http *h;
	char why[512];
	struct buf sql;

	assert_int_equal(clickhouse_http_new(&h, w->path, why, sizeof(why)), 0);
	buf_init(&sql, 0);
	buf_printf(&sql, "%s", text);
	if (clickhouse_http_post(h, in_database, &sql, ret, NULL, why, sizeof(why)))
		fail_msg("%s: %s", text, why);
	buf_deinit(&sql);
	clickhouse_http_free(h);
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	static unsigned number;

	w->server = getenv("SKYFALL_TEST_CLICKHOUSE");
	if (w->server) {
		snprintf(w->path, sizeof(w->path), "%s/t%d_%u", w->server, (int)getpid(), ++number);
	} else {
		strcpy(w->path, "/tmp/skyfall-store-XXXXXX");
		assert_non_null(mkdtemp(w->path));
	}
	w->opts = store_defaults;
	w->opts.interval_s = 10;
	seed = 88172645463325252ull;
	open_store(w);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	store_close(w->st);
	if (w->server) {
		char drop[200];

		snprintf(drop, sizeof(drop), "DROP DATABASE IF EXISTS %s", strrchr(w->path, '/') + 1);
		statement(w, false, drop, NULL);
	} else {
		remove_tree(w->path);
	}
	free(w);
	return 0;
}

static const char *const services[] = {"web", "api", "db", "cache", "queue", "unknown:/10.1.2.0/24"};

static struct flow_edge edge(unsigned client, unsigned server, uint16_t port, uint32_t interval, uint64_t revision)
{
	struct flow_edge e = {.interval = interval,
			      .interval_s = 10,
			      .revision = revision,
			      .observed = 3,
			      .client_rungs = 1,
			      .server_rungs = 1};

	e.name.client_service = str_from(services[client % 6]);
	e.name.server_service = str_from(services[server % 6]);
	e.name.server_zone = STR("dmz");
	e.name.port = port;
	e.name.protocol = 6;
	e.id = flow_edge_id(&e.name);
	return e;
}

/* Every field a random number, so that a swapped column shows. */
static void fill(struct flow_edge *e)
{
	for (unsigned v = 0; v < FLOW_VIEWS; v++)
		for (unsigned f = 0; f < FLOW_FIELDS; f++) {
			if (v == FLOW_VIEW_NETWORK && flow_fields[f].seen != FLOW_ALL)
				continue;
			if (flow_fields[f].width == FLOW_HIST)
				for (unsigned i = rnd() % FLOW_BUCKETS; i < FLOW_BUCKETS; i += 1 + rnd() % 9)
					flow_stats_hist(&e->view[v], f)[i] = (uint32_t)(rnd() % 1000);
			else if (rnd() % 3)
				*flow_stats_u64(&e->view[v], f) = rnd() % 100000;
		}
}

static void add(struct flow_edge *a, const struct flow_edge *b)
{
	for (unsigned v = 0; v < FLOW_VIEWS; v++)
		flow_stats_add(&a->view[v], &b->view[v]);
}

static void assert_stats(const struct flow_edge *a, const struct flow_edge *b)
{
	for (unsigned v = 0; v < FLOW_VIEWS; v++)
		assert_memory_equal(&a->view[v], &b->view[v], sizeof(a->view[v]));
}

static void append(struct world *w, const struct flow_edge *edges, size_t n, const struct flow_edge *pairs,
		   size_t n_pairs)
{
	struct store_batch b = {.edges = edges, .n_edges = n, .pairs = pairs, .n_pairs = n_pairs};
	int r = store_append(w->st, &b);

	if (r)
		print_message("%s\n", store_error(w->st));
	assert_int_equal(r, 0);
}

static struct store_rows ask(struct world *w,
			     int (*fn)(struct store_query *, const struct store_ask *, struct store_rows *),
			     const struct store_ask *a)
{
	struct store_rows rows = {0};
	struct store_query *q;
	int r;

	assert_int_equal(store_query_open(&q, w->st), 0);
	r = fn(q, a, &rows);
	if (r)
		print_message("%d %s\n", r, store_query_error(q));
	assert_int_equal(r, 0);
	store_query_close(q);
	return rows;
}

static void roll_all(struct world *w, uint32_t now)
{
	int r;

	while ((r = store_maintain(w->st, now)) == 1)
		;
	assert_int_equal(r, 0);
}

static void test_a_row_comes_back_as_it_was(void **state)
{
	struct world *w = *state;
	struct flow_edge e = edge(0, 1, 8080, T0 + 10, 7);
	struct store_rows r;

	fill(&e);
	e.via = STR("192.0.2.1");
	e.flags = FLOW_SPLIT | FLOW_CLOCK;
	e.observed = 7;
	append(w, &e, 1, NULL, 0);
	assert_int_equal(store_newest(w->st), T0 + 10);
	r = ask(w, store_edges, &(struct store_ask){.from = T0, .to = T0 + 20});
	assert_int_equal(r.n, 1);
	assert_int_equal(r.matched, 1);
	assert_stats(&r.rows[0].e, &e);
	assert_true(r.rows[0].e.id == e.id);
	assert_true(str_eq(r.rows[0].e.name.client_service, STR("web")));
	assert_true(str_eq(r.rows[0].e.name.server_service, STR("api")));
	assert_true(str_eq(r.rows[0].e.name.server_zone, STR("dmz")));
	assert_true(str_eq(r.rows[0].e.via, e.via));
	assert_int_equal(r.rows[0].e.name.port, 8080);
	assert_int_equal(r.rows[0].e.flags, e.flags);
	assert_int_equal(r.rows[0].e.observed, 7);
	assert_int_equal(r.rows[0].first, T0 + 10);
	assert_int_equal(r.tiers, 1 << STORE_FINE);
	store_rows_deinit(&r);
	r = ask(w, store_edges, &(struct store_ask){.from = T0 + 11, .to = T0 + 20});
	assert_int_equal(r.n, 0);
	store_rows_deinit(&r);
}

static void test_twice_is_once_and_revisions_add(void **state)
{
	struct world *w = *state;
	struct flow_edge e[2] = {edge(0, 1, 80, T0, 1), edge(0, 1, 80, T0, 2)}, sum = e[0];
	struct store_stats stats;
	struct store_rows r;

	fill(&e[0]);
	fill(&e[1]);
	add(&sum, &e[0]);
	add(&sum, &e[1]);
	append(w, e, 2, NULL, 0);
	append(w, e, 2, NULL, 0);
	append(w, &e[1], 1, NULL, 0);
	store_stats(w->st, &stats);
	assert_int_equal(stats.duplicates, w->server ? 0 : 3); /* a ClickHouse does not tell */
	r = ask(w, store_edges, &(struct store_ask){.from = T0, .to = T0 + 60});
	assert_int_equal(r.n, 1);
	assert_stats(&r.rows[0].e, &sum);
	store_rows_deinit(&r);
}

/* --- many rows against sums made by hand */

#define EDGES 12
#define SLOTS (3 * 360) /* intervals of 10 s: three hours */

struct model {
	struct flow_edge rows[EDGES][SLOTS];
};

#define TOGETHER 60 /* intervals in a batch */

static void model_write(struct world *w, struct model *m)
{
	struct flow_edge *batch = calloc(TOGETHER * EDGES, sizeof(*batch));
	size_t n = 0;

	for (unsigned s = 0; s < SLOTS; s++) {
		for (unsigned i = 0; i < EDGES; i++) {
			m->rows[i][s] = edge(i, i / 3 + 1, (uint16_t)(1000 + i), T0 + s * 10, 5);
			fill(&m->rows[i][s]);
			batch[n++] = m->rows[i][s];
		}
		if (n == TOGETHER * EDGES) {
			append(w, batch, n, NULL, 0);
			n = 0;
		}
	}
	assert_int_equal(n, 0);
	free(batch);
}

static struct flow_edge model_sum(const struct model *m, unsigned i, uint32_t from, uint32_t to)
{
	struct flow_edge sum = {0};

	for (unsigned s = 0; s < SLOTS; s++)
		if (T0 + s * 10 >= from && T0 + s * 10 < to)
			add(&sum, &m->rows[i][s]);
	return sum;
}

static void check_range(struct world *w, const struct model *m, uint32_t from, uint32_t to, uint8_t tiers)
{
	struct store_rows r = ask(w, store_edges, &(struct store_ask){.from = from, .to = to});
	uint64_t last = UINT64_MAX;

	assert_int_equal(r.n, EDGES);
	if (tiers)
		assert_int_equal(r.tiers, tiers);
	for (size_t k = 0; k < r.n; k++) {
		const struct flow_edge *e = &r.rows[k].e;
		struct flow_edge sum = model_sum(m, e->name.port - 1000u, from, to);
		uint64_t bytes = store_best(e, FLOW_F_tx_bytes, true) + store_best(e, FLOW_F_tx_bytes, false);

		assert_stats(e, &sum);
		/* Sorted by the sum over rows of each row's best view: at least the best view of the sums, and no more
		 * than that of all three views together. */
		assert_true(last == UINT64_MAX || bytes <= last * FLOW_VIEWS);
		last = bytes;
	}
	store_rows_deinit(&r);
}

static void test_rollups_equal_brute_force(void **state)
{
	struct world *w = *state;
	struct model *m = calloc(1, sizeof(*m));
	struct flow_edge late;

	model_write(w, m);
	check_range(w, m, T0, T0 + 10800, 1 << STORE_FINE);
	roll_all(w, T0 + 10800 + 60);
	check_range(w, m, T0, T0 + 10800, 1 << STORE_1H);
	check_range(w, m, T0 + 3600, T0 + 7200 + 300, 1 << STORE_1H | 1 << STORE_5M);
	check_range(w, m, T0 + 3540, T0 + 7210, 1 << STORE_1H | 1 << STORE_1M | 1 << STORE_FINE);
	for (unsigned i = 0; i < 20; i++) {
		uint32_t from = T0 + (uint32_t)(rnd() % 1000) * 10, to = from + 10 + (uint32_t)(rnd() % 300) * 10;

		check_range(w, m, from, to, 0);
	}
	/* A late revision: at once in the answer, from the fine rows; after the roll-up again from the coarse ones. */
	late = edge(3, 2, 1003, T0 + 4000, 9);
	fill(&late);
	append(w, &late, 1, NULL, 0);
	add(&m->rows[3][400], &late);
	check_range(w, m, T0, T0 + 10800, 0);
	roll_all(w, T0 + 10800 + 60);
	check_range(w, m, T0, T0 + 10800, 1 << STORE_1H);
	/* And all of it after a restart. */
	store_close(w->st);
	open_store(w);
	check_range(w, m, T0, T0 + 10800, 1 << STORE_1H);
	check_range(w, m, T0 + 10, T0 + 10700, 0);
	assert_int_equal(store_newest(w->st), T0 + 10790);
	free(m);
}

static void test_a_minute_not_yet_over_is_not_rolled(void **state)
{
	struct world *w = *state;
	struct flow_edge e = edge(0, 1, 80, T0 + 20, 1);
	struct store_rows r;

	e.view[0].tx_bytes = 5;
	append(w, &e, 1, NULL, 0);
	assert_int_equal(store_maintain(w->st, T0 + 60), 0);
	r = ask(w, store_edges, &(struct store_ask){.from = T0, .to = T0 + 60});
	assert_int_equal(r.tiers, 1 << STORE_FINE);
	store_rows_deinit(&r);
	assert_int_equal(store_maintain(w->st, T0 + 100), 1);
	r = ask(w, store_edges, &(struct store_ask){.from = T0, .to = T0 + 60});
	assert_int_equal(r.tiers, 1 << STORE_1M);
	assert_int_equal(r.rows[0].e.view[0].tx_bytes, 5);
	store_rows_deinit(&r);
}

static void test_filter_sort_group(void **state)
{
	struct world *w = *state;
	struct flow_edge e[4] = {edge(0, 1, 80, T0, 1), edge(1, 2, 5432, T0, 1), edge(0, 2, 5432, T0, 1),
				 edge(3, 1, 80, T0, 1)};
	struct str none = {"", 0};
	struct store_rows r;

	for (unsigned i = 0; i < 4; i++) {
		e[i].view[FLOW_VIEW_CLIENT].tx_bytes = 100 * (i + 1);
		e[i].view[FLOW_VIEW_SERVER].opened = 10 - i;
	}
	append(w, e, 4, NULL, 0);
	r = ask(w, store_edges, &(struct store_ask){.from = T0, .to = T0 + 10, .filter.service = STR("api")});
	assert_int_equal(r.n, 3);
	assert_int_equal(r.rows[0].e.view[0].tx_bytes, 400);
	store_rows_deinit(&r);
	r = ask(w, store_edges, &(struct store_ask){.from = T0, .to = T0 + 10, .filter = {.port = 5432, .net = &none}});
	assert_int_equal(r.n, 2);
	store_rows_deinit(&r);
	r = ask(w, store_edges, &(struct store_ask){.from = T0, .to = T0 + 10, .sort = "server_opened", .limit = 2});
	assert_int_equal(r.n, 2);
	assert_int_equal(r.matched, 4);
	assert_int_equal(r.rows[0].e.view[1].opened, 10);
	assert_int_equal(r.rows[1].e.view[1].opened, 9);
	store_rows_deinit(&r);
	r = ask(w, store_edges,
		&(struct store_ask){.from = T0, .to = T0 + 10, .sort = "opened", .ascending = true, .limit = 1});
	assert_int_equal(r.rows[0].e.view[1].opened, 7);
	store_rows_deinit(&r);
	r = ask(w, store_edges, &(struct store_ask){.from = T0, .to = T0 + 10, .group = STORE_BY_CLIENT});
	assert_int_equal(r.n, 3);
	/* web: 100 + 300; cache: 400; api: 200. Equal sums stand by their group's number. */
	assert_int_equal(r.rows[2].e.view[0].tx_bytes, 200);
	assert_true(str_eq(r.rows[2].e.name.client_service, STR("api")));
	assert_int_equal(r.rows[2].e.name.server_service.n, 0);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(r.rows[i].edges, str_eq(r.rows[i].e.name.client_service, STR("web")) ? 2 : 1);
	store_rows_deinit(&r);
	for (size_t i = 0; store_sort_name(i); i++) {
		r = ask(w, store_edges, &(struct store_ask){.from = T0, .to = T0 + 10, .sort = store_sort_name(i)});
		assert_int_equal(r.n, 4);
		store_rows_deinit(&r);
	}
	assert_true(store_sort_known("client_c2s_bytes"));
	assert_false(store_sort_known("client_c2s_srtt"));
	assert_false(store_sort_known("bytes;--"));
}

/* One end sent it, the other received it: one reset, by SQL and by store_sum() alike. */
static void test_a_reset_is_counted_once(void **state)
{
	struct world *w = *state;
	struct flow_edge e[2] = {edge(0, 1, 80, T0, 1), edge(1, 2, 80, T0, 1)};
	struct store_rows r;

	e[0].view[FLOW_VIEW_CLIENT].reset_sent = e[0].view[FLOW_VIEW_SERVER].reset_received = 3;
	e[0].view[FLOW_VIEW_CLIENT].reset_received = 2;
	e[0].view[FLOW_VIEW_SERVER].reset_sent = 1;
	e[1].view[FLOW_VIEW_SERVER].reset_sent = 6;
	append(w, e, 2, NULL, 0);
	r = ask(w, store_edges, &(struct store_ask){.from = T0, .to = T0 + 10, .sort = "resets"});
	assert_int_equal(r.n, 2);
	assert_int_equal(r.rows[0].e.view[FLOW_VIEW_SERVER].reset_sent, 6);
	assert_int_equal(store_sum(&r.rows[0].e, "resets"), 6);
	assert_int_equal(store_sum(&r.rows[1].e, "resets"), 3 + 2);
	/* A name looked up once, and a column, which has no short name. */
	assert_int_equal(store_metric_sum(&r.rows[1].e, store_metric("resets")), 3 + 2);
	for (unsigned v = 0; v < FLOW_VIEW_NETWORK; v++) {
		char column[64];

		assert_true(flow_column(FLOW_F_reset_sent, v, column));
		assert_int_equal(store_metric_sum(&r.rows[0].e, store_metric(column)), r.rows[0].e.view[v].reset_sent);
	}
	assert_int_equal(store_metric("beauty"), -ENOENT);
	assert_int_equal(store_metric_sum(&r.rows[0].e, store_metric("beauty")), 0);
	store_rows_deinit(&r);
}

static void test_series(void **state)
{
	struct world *w = *state;
	struct model *m = calloc(1, sizeof(*m));
	struct store_ask a = {.from = T0 + 30, .to = T0 + 3600 + 30, .step = 300};
	struct store_rows r;

	model_write(w, m);
	roll_all(w, T0 + 10800 + 60);
	a.filter.edge = m->rows[4][0].id;
	r = ask(w, store_series, &a);
	assert_int_equal(r.n, 13);
	assert_int_equal(r.step, 300);
	for (size_t i = 0; i < r.n; i++) {
		uint32_t from = i ? T0 + (uint32_t)i * 300 : T0 + 30,
			 to = i < 12 ? T0 + (uint32_t)(i + 1) * 300 : T0 + 3630;
		struct flow_edge sum = model_sum(m, 4, from, to);

		assert_int_equal(r.rows[i].e.interval, from);
		assert_int_equal(r.rows[i].seconds, to - from);
		assert_stats(&r.rows[i].e, &sum);
	}
	assert_true(r.tiers & 1 << STORE_5M);
	assert_false(r.tiers & 1 << STORE_1H);
	store_rows_deinit(&r);
	free(m);
}

/* --- pairs */

static struct flow_edge pair(unsigned i, uint32_t interval, uint64_t revision)
{
	struct flow_edge e = edge(0, 1, 80, interval, revision);

	e.client = ip_from_v4((uint8_t[]){10, 0, (uint8_t)(i >> 8), (uint8_t)i});
	e.server = ip_from_v4((uint8_t[]){10, 1, 0, 1});
	e.view[FLOW_VIEW_CLIENT].tx_bytes = 1000 + i;
	e.view[FLOW_VIEW_CLIENT].rows = 1;
	e.view[FLOW_VIEW_CLIENT].srtt[i % FLOW_BUCKETS] = 1;
	return e;
}

static struct flow_edge rows_total(const struct store_rows *r)
{
	struct flow_edge sum = {0};

	for (size_t i = 0; i < r->n; i++)
		add(&sum, &r->rows[i].e);
	return sum;
}

static void test_pairs_above_the_cap_are_exact(void **state)
{
	struct world *w = *state;
	struct flow_edge pairs[50], total = {0}, got;
	struct store_rows r;
	unsigned others = 0;

	store_close(w->st);
	w->opts.pairs_per_edge = 8;
	open_store(w);
	for (unsigned i = 0; i < 50; i++) {
		pairs[i] = pair(i, T0, 3);
		add(&total, &pairs[i]);
	}
	/* Brought in pieces, pieces again, and across a restart. */
	append(w, NULL, 0, pairs, 20);
	append(w, NULL, 0, pairs + 10, 25);
	store_close(w->st);
	open_store(w);
	append(w, NULL, 0, pairs, 50);
	append(w, NULL, 0, pairs, 50);
	r = ask(w, store_pairs, &(struct store_ask){.from = T0, .to = T0 + 10, .filter.edge = pairs[0].id});
	assert_int_equal(r.n, 9);
	for (size_t i = 0; i < r.n; i++)
		others += ip_is_zero(&r.rows[i].e.client) && ip_is_zero(&r.rows[i].e.server);
	assert_int_equal(others, 1);
	got = rows_total(&r);
	assert_stats(&got, &total);
	store_rows_deinit(&r);
	/* The same in the tier above, with another set of pairs in the minutes. */
	for (unsigned i = 0; i < 50; i++) {
		pairs[i] = pair(i + 30, T0 + 70, 4);
		add(&total, &pairs[i]);
	}
	append(w, NULL, 0, pairs, 50);
	roll_all(w, T0 + 400);
	r = ask(w, store_pairs, &(struct store_ask){.from = T0, .to = T0 + 300});
	assert_int_equal(r.tiers, 1 << STORE_5M);
	assert_int_equal(r.n, 9);
	got = rows_total(&r);
	assert_stats(&got, &total);
	store_rows_deinit(&r);
}

static void test_hosts_are_asked_from_pairs(void **state)
{
	struct world *w = *state;
	struct flow_edge pairs[6];
	struct store_address a = {.bits = 128};
	struct store_rows r;

	for (unsigned i = 0; i < 6; i++)
		pairs[i] = pair(i, T0, 1);
	pairs[4].scope = STR("host-a/4026531840");
	pairs[5].scope = STR("host-b");
	append(w, NULL, 0, pairs, 6);
	a.ip = pairs[2].client;
	r = ask(w, store_edges,
		&(struct store_ask){.from = T0, .to = T0 + 10, .filter = {.addresses = &a, .n_addresses = 1}});
	assert_int_equal(r.n, 1);
	assert_int_equal(r.rows[0].e.view[0].tx_bytes, 1002);
	store_rows_deinit(&r);
	a.ip = ip_from_v4((uint8_t[]){10, 0, 0, 0});
	a.bits = 96 + 8;
	a.scope = STR("host-a");
	r = ask(w, store_pairs,
		&(struct store_ask){.from = T0, .to = T0 + 10, .filter = {.addresses = &a, .n_addresses = 1}});
	assert_int_equal(r.n, 1);
	assert_true(str_eq(r.rows[0].e.scope, pairs[4].scope));
	store_rows_deinit(&r);
	a.scope = STR("");
	r = ask(w, store_pairs,
		&(struct store_ask){.from = T0, .to = T0 + 10, .filter = {.addresses = &a, .n_addresses = 1}});
	assert_int_equal(r.n, 4);
	store_rows_deinit(&r);
}

/* --- retention */

/* Has a tier anything of a day of November 2025? */
static bool day_there(struct world *w, const char *kind, const char *tier, unsigned day)
{
	char text[300];
	struct buf answer;
	bool there;

	if (!w->server) {
		snprintf(text, sizeof(text), "%s/%s-%s-2025-11-%u.db", w->path, kind, tier, day);
		there = access(text, F_OK) == 0;
		strcat(text, "-wal");
		assert_true(there || access(text, F_OK));
		return there;
	}
	buf_init(&answer, 0);
	snprintf(text, sizeof(text), "SELECT count() FROM %s_%s WHERE intDiv(start,86400)=%u", kind, tier,
		 T0 / 86400 + day - 23);
	statement(w, true, text, &answer);
	there = atoi(buf_text(&answer)) > 0;
	buf_deinit(&answer);
	return there;
}

static void test_retention_removes_days(void **state)
{
	struct world *w = *state;
	struct flow_edge e[2], p;
	struct store_query *q;
	struct store_rows r = {0};
	struct store_stats stats;

	for (unsigned d = 0; d < 5; d++) {
		e[0] = edge(0, 1, 80, T0 + d * 86400 + 3600, 1);
		e[0].view[0].tx_bytes = 1;
		e[0].view[0].rows = 1;
		p = pair(1, T0 + d * 86400 + 3600, 1);
		append(w, e, 1, &p, 1);
		roll_all(w, T0 + d * 86400 + 7200 + 60);
	}
	assert_false(day_there(w, "edges", "fine", 23));
	assert_false(day_there(w, "pairs", "fine", 25));
	assert_true(day_there(w, "edges", "fine", 27));
	assert_true(day_there(w, "edges", "1h", 23));
	/* All five are still answered, from the hours. */
	assert_int_equal(store_query_open(&q, w->st), 0);
	assert_int_equal(store_edges(q, &(struct store_ask){.from = T0, .to = T0 + 5 * 86400}, &r), 0);
	assert_int_equal(r.rows[0].e.view[0].tx_bytes, 5);
	store_rows_deinit(&r);
	/* A range that only hours are left for is widened to them. */
	assert_int_equal(store_edges(q, &(struct store_ask){.from = T0 + 3650, .to = T0 + 3700}, &r), 0);
	assert_int_equal(r.rows[0].e.view[0].tx_bytes, 1);
	assert_int_equal(r.from % 60, 0);
	assert_true(r.from <= T0 + 3600 && r.to >= T0 + 3700);
	store_rows_deinit(&r);
	/* A row for a day that is gone must not take the place of the day's sums. */
	e[0] = edge(0, 1, 80, T0 + 3610, 2);
	e[0].view[0].rows = 1;
	append(w, e, 1, NULL, 0);
	store_stats(w->st, &stats);
	assert_int_equal(stats.too_old, 1);
	/* A clock that jumps a year ahead removes a day's worth at most, not everything. */
	roll_all(w, T0 + 400 * 86400);
	assert_true(day_there(w, "edges", "fine", 27));
	assert_int_equal(store_edges(q, &(struct store_ask){.from = T0, .to = T0 + 5 * 86400}, &r), 0);
	assert_int_equal(r.rows[0].e.view[0].tx_bytes, 5);
	store_rows_deinit(&r);
	store_query_close(q);
}

/* --- what must not be lost */

/* A child appends until it is killed; every batch it acknowledged through the pipe is there once. */
static void crash_once(struct world *w, unsigned after, uint32_t *at)
{
	uint32_t acked = 0, got;
	int fds[2], status;
	pid_t pid;
	struct store_rows r;
	struct flow_edge e;

	store_close(w->st);
	w->st = NULL;
	assert_int_equal(pipe(fds), 0);
	pid = fork();
	if (!pid) {
		open_store(w);
		for (uint32_t i = *at;; i++) {
			struct flow_edge rows[3] = {edge(0, 1, 80, T0 + i * 10, i), edge(1, 2, 81, T0 + i * 10, i),
						    pair(1, T0 + i * 10, i)};
			struct store_batch b = {.edges = rows, .n_edges = 2, .pairs = &rows[2], .n_pairs = 1};

			rows[0].view[0].tx_bytes = rows[1].view[0].tx_bytes = rows[0].view[0].rows = 1;
			rows[2].view[0].tx_bytes = 1;
			/* Brought twice, as after a missing acknowledgement. */
			if (store_append(w->st, &b) || store_append(w->st, &b) ||
			    store_maintain(w->st, T0 + i * 10) < 0)
				_exit(1);
			if (write(fds[1], &i, sizeof(i)) != sizeof(i))
				_exit(1);
		}
	}
	close(fds[1]);
	for (unsigned n = 0; n < after && read(fds[0], &got, sizeof(got)) == sizeof(got); n++)
		acked = got;
	kill(pid, SIGKILL);
	while (read(fds[0], &got, sizeof(got)) == sizeof(got))
		acked = got;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	close(fds[0]);
	open_store(w);
	/* The batch after the last acknowledged may be there in part. Bring it again: then it is there, once. */
	*at = acked + 1;
	e = edge(0, 1, 80, T0 + *at * 10, *at);
	e.view[0].tx_bytes = e.view[0].rows = 1;
	append(w, &e, 1, NULL, 0);
	e = edge(1, 2, 81, T0 + *at * 10, *at);
	e.view[0].tx_bytes = 1;
	append(w, &e, 1, NULL, 0);
	e = pair(1, T0 + *at * 10, *at);
	e.view[0].tx_bytes = 1;
	append(w, NULL, 0, &e, 1);
	(*at)++;
	r = ask(w, store_edges, &(struct store_ask){.from = T0, .to = T0 + *at * 10});
	assert_int_equal(r.n, 2);
	assert_int_equal(r.rows[0].e.view[0].tx_bytes, *at);
	assert_int_equal(r.rows[1].e.view[0].tx_bytes, *at);
	store_rows_deinit(&r);
	r = ask(w, store_pairs, &(struct store_ask){.from = T0, .to = T0 + *at * 10});
	assert_int_equal(r.rows[0].e.view[0].tx_bytes, *at);
	store_rows_deinit(&r);
}

static void test_kill_9_loses_nothing_acknowledged(void **state)
{
	struct world *w = *state;
	uint32_t at = 0;

	for (unsigned i = 0; i < (((struct world *)*state)->server ? 4 : 12); i++)
		crash_once(w, 1 + i * 7, &at);
}

/* Every write beyond a size fails, as on a full disk. */
static void test_disk_full(void **state)
{
	struct world *w = *state;
	struct rlimit old, small;
	struct flow_edge batch[200];
	uint32_t done = 0;
	struct store_rows r;
	int err = 0;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = old;
	small.rlim_cur = 400000;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	for (; !err && done < 200; done++) {
		struct store_batch b = {.edges = batch, .n_edges = 200};

		for (unsigned i = 0; i < 200; i++) {
			batch[i] = edge(i, 1, (uint16_t)(i + 1), T0 + done * 10, 1);
			batch[i].view[0].tx_bytes = 1;
			batch[i].view[0].srtt[i % 44] = 3;
		}
		err = store_append(w->st, &b);
	}
	assert_int_equal(err, -ENOSPC);
	assert_non_null(strstr(store_error(w->st), "no space left"));
	done--; /* that one failed */
	assert_true(done > 0);
	r = ask(w, store_edges, &(struct store_ask){.from = T0, .to = T0 + 100000, .filter.port = 7});
	assert_int_equal(r.n, 1);
	assert_int_equal(r.rows[0].e.view[0].tx_bytes, done);
	store_rows_deinit(&r);
	/* Room again: the same batch goes in. */
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	append(w, batch, 200, NULL, 0);
	r = ask(w, store_edges, &(struct store_ask){.from = T0, .to = T0 + 100000, .limit = 500});
	assert_int_equal(r.n, 200);
	for (size_t i = 0; i < r.n; i++)
		assert_int_equal(r.rows[i].e.view[0].tx_bytes, done + 1);
	store_rows_deinit(&r);
}

/* A disk that is really full: a file system of 3 MiB in a mount namespace of its own. */
static int disk_of_3_mib(struct world *w)
{
	struct flow_edge batch[200];
	struct store_rows r;
	uint32_t done = 0;
	char ballast[200];
	int err = 0, fd;

	snprintf(ballast, sizeof(ballast), "%s/ballast", w->path);
	fd = open(ballast, O_CREAT | O_WRONLY, 0600);
	if (fd < 0 || posix_fallocate(fd, 0, 1 << 20))
		return 10;
	close(fd);
	if (store_open(&w->st, w->path, &w->opts, w->why, sizeof(w->why)))
		return 11;
	for (; !err && done < 500; done++) {
		struct store_batch b = {.edges = batch, .n_edges = 200};

		for (unsigned i = 0; i < 200; i++) {
			batch[i] = edge(i, 1, (uint16_t)(i + 1), T0 + done * 10, 1);
			batch[i].view[0].tx_bytes = 1;
		}
		err = store_append(w->st, &b);
	}
	if (err != -ENOSPC || !strstr(store_error(w->st), "no space left"))
		return 12;
	r = ask(w, store_edges, &(struct store_ask){.from = T0, .to = T0 + 100000, .filter.port = 7});
	if (r.n != 1 || r.rows[0].e.view[0].tx_bytes != done - 1)
		return 13;
	store_rows_deinit(&r);
	/* Closed and opened on the full disk; then somebody makes room. */
	store_close(w->st);
	w->st = NULL;
	if (store_open(&w->st, w->path, &w->opts, w->why, sizeof(w->why)) && !strstr(w->why, "no space left"))
		return 14;
	unlink(ballast);
	if (!w->st && store_open(&w->st, w->path, &w->opts, w->why, sizeof(w->why)))
		return 15;
	append(w, batch, 200, NULL, 0);
	r = ask(w, store_edges, &(struct store_ask){.from = T0, .to = T0 + 100000, .filter.port = 7});
	if (r.n != 1 || r.rows[0].e.view[0].tx_bytes != done)
		return 16;
	store_rows_deinit(&r);
	store_close(w->st);
	return 0;
}

static void test_a_disk_that_is_full(void **state)
{
	struct world *w = *state;
	int status;
	pid_t pid;

	store_close(w->st);
	w->st = NULL;
	pid = fork();
	if (!pid) {
		int flags = CLONE_NEWNS | (geteuid() ? CLONE_NEWUSER : 0);

		if (unshare(flags) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
		    mount("none", w->path, "tmpfs", 0, "size=3m")) {
			perror("a file system of our own");
			_exit(9);
		}
		_exit(disk_of_3_mib(w));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* --- readers beside the writer */

struct beside {
	struct world *w;
	_Atomic uint32_t acked;
	_Atomic bool stop;
	_Atomic unsigned asked;
	_Atomic int wrong;
};

/* What was acknowledged before the question is in the answer; nothing is in it twice. */
static void *beside_reader(void *arg)
{
	struct beside *x = arg;
	struct store_query *q;

	if (store_query_open(&q, x->w->st))
		return NULL;
	while (!x->stop) {
		struct store_ask a = {.from = T0, .to = T0 + 20 * 86400};
		uint32_t before = x->acked, after;
		struct store_rows r = {0};
		uint64_t sum = 0;

		if (store_edges(q, &a, &r)) {
			print_message("%s\n", store_query_error(q));
			x->wrong = 1;
			break;
		}
		after = x->acked + 1;
		for (size_t i = 0; i < r.n; i++)
			sum += r.rows[i].e.view[0].tx_bytes;
		if (sum < before || sum > after)
			x->wrong = 2;
		store_rows_deinit(&r);
		x->asked++;
	}
	store_query_close(q);
	return NULL;
}

static void test_readers_beside_the_writer(void **state)
{
	struct beside x = {.w = *state};
	uint32_t steps = x.w->server ? 20 : 1500, step = x.w->server ? 21610 : 290;
	pthread_t t[3];

	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&t[i], NULL, beside_reader, &x), 0);
	/* Steps of some minutes, over some days: roll-ups and retention all the time. Some rows are late. */
	for (uint32_t i = 0; i < steps; i++) {
		uint32_t at = T0 + i * step, late = i % 7 == 3 ? 600 : 0;
		struct flow_edge e = edge(i % 5, 1, 80, at > T0 + late ? at - late : at, i + 1);

		e.interval -= e.interval % 10;
		e.view[0].tx_bytes = 1;
		append(x.w, &e, 1, NULL, 0);
		x.acked = i + 1;
		roll_all(x.w, at);
	}
	x.stop = true;
	for (unsigned i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	assert_true(x.asked > 3);
	assert_int_equal(x.wrong, 0);
}

/* --- opening */

static void sql(struct world *w, const char *file, const char *text)
{
	char path[200];
	sqlite3 *db;

	snprintf(path, sizeof(path), "%s/%s", w->path, file);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void refused(const char *path, const struct store_opts *opts, const char *word)
{
	struct store *st = NULL;
	char why[300] = "";

	assert_true(store_open(&st, path, opts, why, sizeof(why)) < 0);
	assert_null(st);
	if (!strstr(why, word))
		print_message("said: %s\n", why);
	assert_non_null(strstr(why, word));
}

static void test_opening_says_what_is_wrong(void **state)
{
	struct world *w = *state;
	char cmd[600];
	struct store_opts opts = w->opts;
	int status;
	pid_t pid;

	/* In use: flock is per open file, so a second one in this process is refused as well. */
	refused(w->path, &w->opts, "in use by process");
	store_close(w->st);
	w->st = NULL;
	opts.interval_s = 7;
	refused(w->path, &opts, "divides 60");
	refused("/proc/skyfall", &w->opts, "cannot write in the data folder");
	sql(w, "skyfall.db", "PRAGMA user_version=99");
	refused(w->path, &w->opts, "newer skyfall");
	sql(w, "skyfall.db", "PRAGMA user_version=1");
	snprintf(cmd, sizeof(cmd), "cp -r %s %s.bad && head -c 65536 /dev/urandom > %s.bad/skyfall.db", w->path,
		 w->path, w->path);
	assert_int_equal(system(cmd), 0);
	snprintf(cmd, sizeof(cmd), "%s.bad", w->path);
	refused(cmd, &w->opts, "damaged");
	remove_tree(cmd);
	/* Somebody without the right to write. */
	assert_int_equal(chmod(w->path, 0755), 0);
	pid = fork();
	if (!pid) {
		char why[300] = "";
		struct store *st;

		if (setuid(65534))
			_exit(3);
		_exit(store_open(&st, w->path, &w->opts, why, sizeof(why)) < 0 && strstr(why, "cannot write") ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	open_store(w);
}

static void test_columns_that_an_old_file_lacks(void **state)
{
	struct world *w = *state;
	struct flow_edge e = edge(0, 1, 80, T0, 1);
	struct store_rows r;

	e.view[0].tx_bytes = 11;
	e.view[0].turn_samples = 3;
	append(w, &e, 1, NULL, 0);
	store_close(w->st);
	w->st = NULL;
	if (w->server)
		statement(w, true, "ALTER TABLE edges_fine DROP COLUMN client_turn_samples", NULL);
	else
		sql(w, "edges-fine-2025-11-23.db", "ALTER TABLE edges DROP COLUMN client_turn_samples");
	open_store(w);
	r = ask(w, store_edges, &(struct store_ask){.from = T0, .to = T0 + 10});
	assert_int_equal(r.rows[0].e.view[0].tx_bytes, 11);
	assert_int_equal(r.rows[0].e.view[0].turn_samples, 0);
	store_rows_deinit(&r);
	e.revision = 2;
	append(w, &e, 1, NULL, 0);
	r = ask(w, store_edges, &(struct store_ask){.from = T0, .to = T0 + 10});
	assert_int_equal(r.rows[0].e.view[0].tx_bytes, 22);
	assert_int_equal(r.rows[0].e.view[0].turn_samples, 3);
	store_rows_deinit(&r);
}

/* --- hosts, listeners, ledger */

struct seen {
	unsigned n;
	uint64_t a, b;
	char text[64];
};

static int see_host(void *arg, const struct flow_host *h)
{
	struct seen *s = arg;

	s->n++;
	s->a = h->interval;
	s->b = h->n_addresses;
	str_copy(s->text, sizeof(s->text), h->hostname);
	return 0;
}

static int see_listener(void *arg, const struct flow_listener *l)
{
	struct seen *s = arg;

	s->n++;
	s->a = l->drops;
	s->b = l->since;
	str_copy(s->text, sizeof(s->text), l->names.service);
	return 0;
}

static int see_ledger(void *arg, const struct flow_ledger *l)
{
	struct seen *s = arg;

	s->n++;
	s->a = l->rows_out;
	s->b = flow_count_get(l->lost, l->n_lost, "rows_full") * 1000 + flow_count_get(l->info, l->n_info, "attempts");
	str_copy(s->text, sizeof(s->text), l->instance);
	return 0;
}

static void test_hosts_listeners_ledger(void **state)
{
	struct world *w = *state;
	struct flow_host h = {.id = STR("h1"), .hostname = STR("alpha"), .interval = T0, .n_addresses = 2};
	struct flow_listener l = {.host = STR("h1"),
				  .port = 80,
				  .protocol = 6,
				  .alive = 1,
				  .interval = T0,
				  .since = T0,
				  .drops = 4,
				  .names.service = STR("web")};
	struct flow_ledger g = {.interval = T0,
				.role = STR("agent"),
				.instance = STR("h1"),
				.rows_in = 10,
				.rows_out = 7,
				.n_lost = 1,
				.lost = {{STR("rows_full"), 3}},
				.n_info = 1,
				.info = {{STR("attempts"), 12}}};
	struct store_batch b = {
		.hosts = &h, .n_hosts = 1, .listeners = &l, .n_listeners = 1, .ledgers = &g, .n_ledgers = 1};
	struct store_query *q;
	struct seen s = {0};

	h.addresses[0] = (struct flow_address){.ip = ip_from_v4((uint8_t[]){10, 0, 0, 1}), .bits = 120};
	h.addresses[1] =
		(struct flow_address){.ip = ip_from_v4((uint8_t[]){127, 0, 0, 1}), .bits = 104, .host_only = 1};
	assert_int_equal(store_append(w->st, &b), 0);
	assert_int_equal(store_append(w->st, &b), 0);
	l.interval += 60;
	l.since = T0 + 60;
	l.drops = 5;
	h.interval -= 10; /* older news than what is there */
	h.hostname = STR("old");
	g.rows_out = 6;
	g.lost[0].n = 4;
	assert_int_equal(store_append(w->st, &b), 0);
	assert_int_equal(store_query_open(&q, w->st), 0);
	assert_int_equal(store_hosts(q, see_host, &s), 0);
	assert_int_equal(s.n, 1);
	assert_int_equal(s.a, T0);
	assert_int_equal(s.b, 2);
	assert_string_equal(s.text, "alpha");
	s = (struct seen){0};
	assert_int_equal(store_listeners(q, see_listener, &s), 0);
	assert_int_equal(s.n, 1);
	assert_int_equal(s.a, 9);
	assert_int_equal(s.b, T0);
	assert_string_equal(s.text, "web");
	s = (struct seen){0};
	assert_int_equal(store_ledgers(q, T0, T0 + 10, "agent", see_ledger, &s), 0);
	assert_int_equal(s.n, 1);
	assert_int_equal(s.a, 6);
	assert_int_equal(s.b, 4012);
	assert_int_equal(store_ledgers(q, T0, T0 + 10, "pair", see_ledger, &s), 0);
	assert_int_equal(s.n, 1);
	store_query_close(q);
}

static void test_counts(void **state)
{
	struct world *w = *state;
	struct flow_edge e[2] = {edge(0, 1, 80, T0, 1), edge(1, 2, 81, T0 + 10, 1)}, p = pair(1, T0, 1);
	struct store_count c;
	struct store_query *q;

	e[0].view[0].rows = 3;
	e[0].view[1].rows = 4;
	e[1].view[0].rows = 5;
	e[1].observed = 1;
	append(w, e, 2, &p, 1);
	assert_int_equal(store_query_open(&q, w->st), 0);
	assert_int_equal(store_counts(q, T0, T0 + 60, &c), 0);
	assert_int_equal(c.edge_rows, 2);
	assert_int_equal(c.edge_rows_both, 1);
	assert_int_equal(c.view_rows[0], 8);
	assert_int_equal(c.view_rows[1], 4);
	assert_int_equal(c.pair_view_rows[0], 1);
	assert_int_equal(c.newest, T0 + 10);
	store_query_close(q);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

/* --- a server alone */

/* Many rows are on their way before something goes wrong: it is an error all the same, not rows. */
static void test_an_error_amid_an_answer(void **state)
{
	struct world *w = *state;
	struct clickhouse_http *h;
	struct buf sql, answer;
	char why[512];
	int code = 0;

	assert_int_equal(clickhouse_http_new(&h, w->path, why, sizeof(why)), 0);
	buf_init(&sql, 0);
	buf_init(&answer, 0);
	buf_printf(&sql,
		   "SELECT intDiv(1,3000000-number) FROM (SELECT number FROM system.numbers LIMIT 4000000) FORMAT "
		   "RowBinary");
	assert_int_equal(clickhouse_http_post(h, false, &sql, &answer, &code, why, sizeof(why)), -EPROTO);
	assert_int_equal(code, 153); /* division by zero */
	buf_deinit(&sql);
	buf_deinit(&answer);
	clickhouse_http_free(h);
}

/* Another process makes the minute between a late row's mark and the row, and cleans the mark as it read it. The view does
 * what that process would. */
static void test_a_bucket_made_by_another_meanwhile(void **state)
{
	struct world *w = *state;
	struct flow_edge e[2] = {edge(0, 1, 80, T0, 1), edge(0, 1, 80, T0 + 10, 2)};
	struct store_rows r;

	e[0].view[0].tx_bytes = 100;
	e[1].view[0].tx_bytes = 11;
	append(w, &e[0], 1, NULL, 0);
	roll_all(w, T0 + 3600);
	statement(w, true,
		  "CREATE MATERIALIZED VIEW another TO marks AS SELECT toUInt8(0) AS kind,toUInt8(0) AS tier,"
		  "toUInt32(intDiv(start,60)*60) AS bucket,(SELECT max(owner) FROM marks) AS owner,toUInt8(0) AS dirty,"
		  "(SELECT max(at) FROM marks WHERE tier=0)+1 AS at FROM edges_fine",
		  NULL);
	append(w, &e[1], 1, NULL, 0);
	statement(w, true, "DROP TABLE another", NULL);
	roll_all(w, T0 + 3700);
	r = ask(w, store_edges, &(struct store_ask){.from = T0, .to = T0 + 60});
	assert_int_equal(r.n, 1);
	assert_int_equal(r.tiers, 1 << STORE_1M);
	assert_int_equal(r.rows[0].e.view[0].tx_bytes, 111);
	store_rows_deinit(&r);
}

/* A batch of the spool that the server will never take is told, and stops neither roll-ups nor retention. */
static void test_a_refused_batch_in_the_spool(void **state)
{
	struct world *w = *state;
	struct flow_host h = {.id = STR("h"), .hostname = STR("h"), .interval = T0, .interval_s = 10};
	struct flow_edge e = edge(0, 1, 80, T0, 1);
	char folder[] = "/tmp/skyfall-store-XXXXXX";
	struct store_stats stats;
	struct spool *sp;
	int r;

	store_close(w->st);
	w->st = NULL;
	assert_non_null(mkdtemp(folder));
	assert_int_equal(spool_open(&sp, folder, 1 << 20, w->why, sizeof(w->why)), 0);
	assert_int_equal(spool_put(sp, &(struct store_batch){.hosts = &h, .n_hosts = 1}), 0);
	spool_close(sp);
	w->opts.spool = folder;
	open_store(w);
	append(w, &e, 1, NULL, 0);
	statement(w, true, "DROP TABLE hosts", NULL);
	while ((r = store_maintain(w->st, T0 + 200)) == 1)
		;
	assert_int_equal(r, -EPROTO);
	store_stats(w->st, &stats);
	assert_int_equal(stats.rolled, 1);
	assert_true(stats.spool_bytes > 0);
	remove_tree(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_a_row_comes_back_as_it_was),
		T(test_twice_is_once_and_revisions_add),
		T(test_rollups_equal_brute_force),
		T(test_a_minute_not_yet_over_is_not_rolled),
		T(test_filter_sort_group),
		T(test_a_reset_is_counted_once),
		T(test_series),
		T(test_pairs_above_the_cap_are_exact),
		T(test_hosts_are_asked_from_pairs),
		T(test_retention_removes_days),
		T(test_kill_9_loses_nothing_acknowledged),
		T(test_readers_beside_the_writer),
		T(test_columns_that_an_old_file_lacks),
		T(test_hosts_listeners_ledger),
		T(test_counts),
	};
	const struct CMUnitTest files[] = {
		T(test_disk_full),
		T(test_a_disk_that_is_full),
		T(test_opening_says_what_is_wrong),
	};
	const struct CMUnitTest server[] = {
		T(test_an_error_amid_an_answer),
		T(test_a_bucket_made_by_another_meanwhile),
		T(test_a_refused_batch_in_the_spool),
	};
	int wrong = cmocka_run_group_tests_name("both stores", tests, NULL, NULL);

	if (getenv("SKYFALL_TEST_CLICKHOUSE"))
		wrong += cmocka_run_group_tests_name("server", server, NULL, NULL);
	else
		wrong += cmocka_run_group_tests_name("files", files, NULL, NULL);
	return wrong;
}
