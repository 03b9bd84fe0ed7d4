/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the ClickHouse store: what its files share. Of the rest of store/, only store.c needs clickhouse_open(). */
#pragma once

#include "store/clickhouse_ddl.h"
#include "store/clickhouse_http.h"
#include "store/known.h"
#include "store/ops.h"
#include "store/tiers.h"

#define CLICKHOUSE_DAY 86400u

/* "This bucket of the tier above `tier` must be made again", as some store process wrote it. */
struct clickhouse_mark {
	uint8_t kind, tier, own; /* own: among its writers are we */
	uint32_t bucket;
	uint64_t leader; /* least of its writers */
};

struct clickhouse {
	struct store s;
	char *url, *cluster;
	struct clickhouse_http *http;                    /* the writer's */
	uint64_t owner;                                  /* this open store among all that write there */
	uint64_t at, said;                               /* version of the last mark (even), ledger line */
	uint32_t now, loaded, swept;                     /* of maintain, s */
	struct known *known;                             /* names that are there */
	struct dirty marked[COLUMNS_KINDS][STORE_TIERS]; /* own marks that are there */
	struct dirty spans[COLUMNS_KINDS][STORE_TIERS];  /* partitions known to be there, by their start */
	uint32_t floor[COLUMNS_KINDS][STORE_TIERS];      /* s: partitions before it were removed: never begun again */
	struct clickhouse_mark *marks;                   /* of all, as last loaded: by bucket */
	size_t n_marks;
	struct spool *spool; /* NULL: none */
	bool away;           /* the server did not answer last time */
	_Atomic uint32_t newest;
};

struct clickhouse_query {
	struct store_query q;
	struct clickhouse *st;
	struct clickhouse_http *http;
	struct tiers tiers; /* between begin and end */
};

int clickhouse_open(struct store **ret, const char *url, const struct store_opts *opts, char *why, size_t why_len);

/* A statement of the writer, with what stands behind it in `body`; the answer replaces what is in ret (or is not wanted).
 * Text for store_error() on failure. -EAGAIN: nobody answered, may be tried again; -EPROTO: it was refused; -ENOMEM. */
int clickhouse_do(struct clickhouse *st, struct buf *body, struct buf *ret, const char *what);

/* --- clickhouse_insert.c */
int clickhouse_append(struct store *s, const struct store_batch *b);
int clickhouse_append_now(struct clickhouse *st, const struct store_batch *b);
/* A row of `interval` comes to tier t of a kind: partition and mark are written before it, and once more behind it (only the
 * mark, only where the bucket has ended: see clickhouse_roll.c). */
int clickhouse_touch(struct clickhouse *st, enum columns_kind kind, enum store_tier t, uint32_t interval);
/* Rows of edges or pairs. first: their `n` (rows summed) is 1, else n[i]. */
int clickhouse_put_rows(struct clickhouse *st, enum columns_kind kind, enum store_tier t,
			const struct flow_edge *const *v, size_t count, const uint64_t *n, const uint8_t *gone);

/* --- clickhouse_pairs.c: the cap */
int clickhouse_append_pairs(struct clickhouse *st, const struct flow_edge *const *v, size_t n);
/* Pairs of a bucket for edges that have more than the cap, from the tier below. */
int clickhouse_roll_pairs(struct clickhouse *st, enum store_tier below, uint32_t bucket);

/* --- clickhouse_catalog.c */
int clickhouse_put_hosts(struct clickhouse *st, const struct store_batch *b);
int clickhouse_put_ledgers(struct clickhouse *st, const struct store_batch *b);

/* --- clickhouse_roll.c */
int clickhouse_maintain(struct store *s, uint32_t now_s);
int clickhouse_load(struct clickhouse *st);                          /* spans, newest */
uint32_t clickhouse_span(enum columns_kind kind, enum store_tier t); /* length of a partition, s */

/* --- clickhouse_query.c, clickhouse_answers.c */
/* SELECT list of what a row has beside its key, added up; read by clickhouse_add(). */
void clickhouse_sums(const struct columns *c, struct buf *sql);
void clickhouse_add(const struct columns *c, struct clickhouse_rows *r, struct flow_edge *e, uint64_t *ret_n);
int clickhouse_query_open(struct store_query **ret, struct store *st);
int clickhouse_ask(struct clickhouse_query *q, struct buf *sql, struct buf *ret);
int clickhouse_names(struct store_query *q, const struct store_filter *f, names_fn *fn, void *arg);
int clickhouse_names_of(struct store_query *q, const uint64_t *edges, size_t n, names_fn *fn, void *arg);
int clickhouse_service_known(struct store_query *q, struct str service, bool *ret);
int clickhouse_hosts(struct store_query *q, int (*fn)(void *arg, const struct flow_host *h), void *arg);
int clickhouse_listeners(struct store_query *q, int (*fn)(void *arg, const struct flow_listener *l), void *arg);
int clickhouse_ledgers(struct store_query *q, uint32_t from, uint32_t to, const char *role,
		       int (*fn)(void *arg, const struct flow_ledger *l), void *arg);
int clickhouse_counts(struct store_query *q, uint32_t from, uint32_t to, struct store_count *ret);
