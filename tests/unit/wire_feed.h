/* SPDX-License-Identifier: Apache-2.0 */
/* A collector's receive thread fed with any bytes at all: what it counts must add up whatever they are. */
#pragma once

#include "collector/worker.h"
#include "tests/unit/wire_walk.h"

enum { FEED_AT = 1700000010 + 12, FEED_CLEAR = 512 };

struct feed {
	struct walk_memory memory;
	struct walk walk;
	struct worker *worker;
	uint32_t fed;
	uint64_t rows, read; /* offered to the fold tables; read */
};

/* trust: who is believed; NULL: everybody. */
static inline void feed_open(struct feed *f, struct trust *trust)
{
	const struct worker_opts o = {
		.fold = {.max_rows = 64, .max_names = 64, .max_strings = 128, .string_bytes = 4096, .max_roleless = 16},
		.max_agents = 16,
		.interval_s = 10,
		.record_bytes = 1 << 16,
		.trust = trust,
	};
	int r;

	memset(f, 0, sizeof(*f));
	r = worker_new(&f->worker, &o);
	assert(!r);
	(void)r;
}

static inline void feed_close(struct feed *f)
{
	worker_free(f->worker);
}

/* The period is over: rows read = folded + shed. Then all is empty again. */
static inline void feed_clear(struct feed *f)
{
	struct worker *w = f->worker;
	struct worker_pane *p;
	struct flow_row row;
	struct records_message m;
	const struct fold_count *c;
	uint64_t in = 0, lost = 0, out = 0;
	size_t n, at = 0;

	swap_ask(&w->lines_swap);
	swap_ask(&w->pane_swap);
	worker_poll(w);
	p = &w->pane[swap_given(&w->pane_swap)];
	c = fold_counts(p->fold, &n);
	for (size_t i = 0; i <= n; i++) {
		const struct fold_count *of = i < n ? &c[i] : fold_unplaced(p->fold);

		in += of->rows_in;
		for (unsigned k = 0; k < FOLD_LOSSES; k++)
			lost += of->lost[k];
	}
	for (uint32_t i = 0; i < fold_n(p->fold); i++) {
		fold_get(p->fold, i, &row);
		out += row.stats.rows;
	}
	while (records_next(&p->records, &at, &m))
		assert(m.value.n);
	assert(in == w->counters.rows - f->read);
	assert(in == out + lost);
	(void)out;
	f->read = w->counters.rows;
	f->rows += in;
	worker_lines_clear(&w->lines[swap_given(&w->lines_swap)]);
	worker_pane_clear(p);
}

/* The bytes come to the receive thread after all the others. `p` has exactly n bytes, so that a sanitizer sees one read too far. */
static inline void feed_worker(struct feed *f, const uint8_t *p, size_t n)
{
	const struct worker_packet packet = {.bytes = {(const char *)p, n}, .peer = {.port = 40000}};

	worker_batch(f->worker, &packet, 1, FEED_AT * 1000000ll);
	if (++f->fed % FEED_CLEAR == 0)
		feed_clear(f);
}

/* And are read to their end beside it. */
static inline void feed_datagram(struct feed *f, const uint8_t *p, size_t n)
{
	walk_datagram(&f->walk, &f->memory, p, n);
	feed_worker(f, p, n);
}
