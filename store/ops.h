/* SPDX-License-Identifier: Apache-2.0 */
/* What a store fills in. Meanings and errors: store/store.h, store/query.h. Callers of the store never need this. */
#pragma once

#include "store/arena.h"
#include "store/cover.h"
#include "store/entries.h"
#include "store/query.h"

struct store_ops {
	void (*close)(struct store *st);
	int (*append)(struct store *st, const struct store_batch *batch);
	int (*maintain)(struct store *st, uint32_t now_s);
	uint32_t (*newest)(struct store *st);
	int (*query_open)(struct store_query **ret, struct store *st);
};

/* First member of a store's own struct. */
struct store {
	const struct store_ops *ops;
	struct store_opts opts;
	struct columns columns;
	struct store_stats stats; /* the writer's */
	char error[512];
};

/* Which stored rows, and what of them. */
struct scan {
	enum columns_kind kind;
	const struct cover *cover;
	const char *sort;      /* a sum's name: rows come with their rank and nothing else; NULL: with all sums */
	const uint64_t *edges; /* only these, when n_edges; a store may give others as well if they are many */
	size_t n_edges;
	uint32_t step;   /* not 0: a row is never of two points in time */
	bool edges_told; /* rows need not be told apart by edge */
};

/* One stored row, or several of one key summed already. Lives for the call. */
struct scan_row {
	struct key key;       /* edge; of pairs addresses and scope too */
	uint32_t first, last; /* oldest and newest interval */
	double rank;
	/* Adds sums, flags and observers to *e; sets via (its text lives for the call). It may set the key's members too. */
	void (*add)(const struct scan_row *row, struct flow_edge *e);
};

typedef int scan_fn(void *arg, const struct scan_row *row);
typedef int names_fn(void *arg, uint64_t edge, const struct flow_edge_name *name);

struct store_query_ops {
	void (*close)(struct store_query *q);
	/* Around every question: what cover() said holds until end(). end() only after 0. */
	int (*begin)(struct store_query *q, uint32_t from, uint32_t to);
	void (*end)(struct store_query *q);
	int (*cover)(struct store_query *q, enum columns_kind kind, uint32_t from, uint32_t to, uint32_t step,
		     struct cover *ret);
	/* fn returns 0 to go on, else scan returns it. */
	int (*scan)(struct store_query *q, const struct scan *x, scan_fn *fn, void *arg);
	int (*names)(struct store_query *q, const struct store_filter *f, names_fn *fn, void *arg);
	int (*names_of)(struct store_query *q, const uint64_t *edges, size_t n, names_fn *fn, void *arg);
	int (*service_known)(struct store_query *q, struct str service, bool *ret);
	int (*hosts)(struct store_query *q, int (*fn)(void *arg, const struct flow_host *h), void *arg);
	int (*listeners)(struct store_query *q, int (*fn)(void *arg, const struct flow_listener *l), void *arg);
	int (*ledgers)(struct store_query *q, uint32_t from, uint32_t to, const char *role,
		       int (*fn)(void *arg, const struct flow_ledger *l), void *arg);
	int (*counts)(struct store_query *q, uint32_t from, uint32_t to, struct store_count *ret);
};

/* Likewise. */
struct store_query {
	const struct store_query_ops *ops;
	struct store *st;
	struct store_arena *names; /* of store_name() */
	char error[512];
};

/* What every open begins with. -EINVAL with a sentence in `why`. */
int store_init(struct store *st, const struct store_ops *ops, const struct store_opts *opts, char *why, size_t why_len);
