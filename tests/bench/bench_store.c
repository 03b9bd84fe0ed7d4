/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store's speed: bench_store FOLDER|URL
 *
 *     rows_per_s       rows as most are (six sums of each end: about 90 bytes), 10,000 edges a batch, into the finest tier
 *     full_rows_per_s  rows of every sum and histogram
 *     top_24h_ms       the best 20 of 10,000 edges over 24 hours, middle of eleven
 *     tiers            where that was answered from, bits 1 << tier
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "store/query.h"

#define EDGES 10000u
#define T0 1763856000u /* a day's start */
#define DAY 86400u

static uint64_t seed = 88172645463325252ull;

static uint64_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static void die(const char *what, const char *why)
{
	fprintf(stderr, "bench_store: %s: %s\n", what, why);
	exit(1);
}

static void fill(struct flow_edge *e, uint32_t interval, uint64_t revision, bool full)
{
	static const uint8_t few[] = {FLOW_F_rows,     FLOW_F_opened,  FLOW_F_closed,
				      FLOW_F_tx_bytes, FLOW_F_tx_segs, FLOW_F_open_ms};

	e->interval = interval;
	e->revision = revision;
	for (unsigned v = 0; v < FLOW_VIEW_NETWORK; v++) {
		for (size_t i = 0; i < sizeof(few); i++)
			*flow_stats_u64(&e->view[v], few[i]) = rnd() % 100000;
		for (unsigned f = 0; full && f < FLOW_FIELDS; f++)
			if (flow_fields[f].width != FLOW_HIST)
				*flow_stats_u64(&e->view[v], f) = rnd() % 100000;
			else
				for (unsigned i = 8; i < 20; i++)
					flow_stats_hist(&e->view[v], f)[i] = (uint32_t)(rnd() % 100);
	}
}

static void make(struct flow_edge *rows, char (*names)[32])
{
	for (unsigned i = 0; i < EDGES; i++) {
		struct flow_edge *e = &rows[i];

		snprintf(names[i], sizeof(names[i]), "service-%u", i % 1000);
		*e = (struct flow_edge){.interval_s = 10, .observed = 3, .client_rungs = 1, .server_rungs = 1};
		e->name = (struct flow_edge_name){.client_service = str_from(names[i]),
						  .server_service = str_from(names[i / 1000]),
						  .protocol = 6,
						  .port = (uint16_t)(i / 10)};
		e->id = flow_edge_id(&e->name);
	}
}

/* Rows a second of `batches` batches; making them is not counted. */
static double append(struct store *st, struct flow_edge *rows, unsigned batches, uint32_t from, uint32_t step,
		     bool full)
{
	int64_t took = 0;

	for (unsigned b = 0; b < batches; b++) {
		struct store_batch batch = {.edges = rows, .n_edges = EDGES};
		int64_t start;

		for (unsigned i = 0; i < EDGES; i++)
			fill(&rows[i], from + b * step, 1, full);
		start = clock_mono_us();
		if (store_append(st, &batch))
			die("append", store_error(st));
		took += clock_mono_us() - start;
	}
	return (double)batches * EDGES * 1e6 / (double)took;
}

static int order(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void top(struct store *st)
{
	struct store_query *q;
	double ms[11];
	unsigned tiers = 0;

	if (store_query_open(&q, st))
		die("query", "no memory");
	for (unsigned i = 0; i < 11; i++) {
		int64_t start = clock_mono_us();
		struct store_rows r = {0};

		if (store_edges(q, &(struct store_ask){.from = T0, .to = T0 + DAY, .limit = 20}, &r))
			die("query", store_query_error(q));
		if (r.n != 20 || r.matched != EDGES)
			die("query", "not what was stored");
		ms[i] = (double)(clock_mono_us() - start) / 1000;
		tiers = r.tiers;
		store_rows_deinit(&r);
	}
	qsort(ms, 11, sizeof(*ms), order);
	printf("top_24h_ms=%.1f\ntiers=%u\n", ms[5], tiers);
	store_query_close(q);
}

int main(int argc, char **argv)
{
	struct flow_edge *rows = calloc(EDGES, sizeof(*rows));
	char(*names)[32] = calloc(EDGES, sizeof(*names)), why[512];
	struct store_opts opts = store_defaults;
	struct store *st;
	int r;

	if (argc != 2 || !rows || !names)
		die("usage", "bench_store FOLDER|URL");
	if (store_open(&st, argv[1], &opts, why, sizeof(why)))
		die("open", why);
	make(rows, names);
	(void)append(st, rows, 24, T0, 3600, true);
	while ((r = store_maintain(st, T0 + DAY + 600)) == 1)
		;
	if (r < 0)
		die("roll-up", store_error(st));
	top(st);
	printf("rows_per_s=%.0f\n", append(st, rows, 30, T0 + DAY, 10, false));
	make(rows, names);
	printf("full_rows_per_s=%.0f\n", append(st, rows, 10, T0 + DAY + 3600, 10, true));
	store_close(st);
	free(names);
	free(rows);
	return 0;
}
