/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions to the store. A question over a range is answered from the coarsest tier that covers it exactly;
 * unaligned ends and minutes not rolled up yet come from finer tiers, so the sums are those of the finest rows.
 *
 * Thread safety: a store_query belongs to one thread at a time; any number of them beside the one writer.
 */
#pragma once

#include "store/store.h"

struct store_query;

int store_query_open(struct store_query **ret, struct store *st);
void store_query_close(struct store_query *q);
const char *store_query_error(struct store_query *q); /* text of the last failure */

/* An address, prefix, or an address of one host only. */
struct store_address {
	struct ip ip;
	unsigned bits;    /* 128: just this */
	struct str scope; /* p NULL: any scope; else the row's scope is this, or begins with this and '/' */
};

/* What must hold; members left zero do not matter. */
struct store_filter {
	uint64_t edge;         /* this one, 0 = any */
	const struct str *net; /* NULL = any */
	struct str service;    /* at either end */
	struct str client_service, server_service;
	struct str zone; /* at either end */
	uint16_t port;
	uint8_t protocol;
	const struct store_address *addresses; /* either end is one of these: answered from pair rows */
	size_t n_addresses;
};

enum store_group { STORE_BY_EDGE, STORE_BY_SERVICES, STORE_BY_CLIENT, STORE_BY_SERVER, STORE_BY_ZONES, STORE_GROUPS };

struct store_ask {
	uint32_t from, to; /* [from, to), s since 1970, by the start of an interval */
	uint32_t step;     /* series: length of a point, s */
	struct store_filter filter;
	const char *sort; /* a name store_sort_known() knows; NULL = "bytes" */
	bool ascending;
	size_t limit; /* rows; 0 = all (bounded by STORE_ROWS_MAX) */
	enum store_group group;
};

#define STORE_ROWS_MAX 100000

/* One answer row: sums over [from, from + seconds). In a group only the names that are the same for all are kept.
 * Pairs: client, server, scope are set; both zero: the exact rest above the cap. */
struct store_row {
	struct flow_edge e; /* interval = from, interval_s = 0, revision = 0 */
	uint32_t seconds;
	uint32_t edges;       /* how many edges it sums (groups) */
	uint32_t first, last; /* oldest and newest interval in it that had a row */
};

struct store_rows {
	struct store_row *rows;
	size_t n;
	size_t matched;            /* before `limit` */
	uint32_t from, to, step;   /* what the rows cover: as asked, or wider where only coarse rows are left */
	uint8_t tiers;             /* bits 1 << tier: where it came from */
	struct store_arena *arena; /* holds the names */
};

void store_rows_deinit(struct store_rows *r); /* fine on a zeroed one */

/* Edges (or groups of them), best first by `sort`. */
int store_edges(struct store_query *q, const struct store_ask *ask, struct store_rows *ret);

/* One row per step that had data, oldest first; all matching edges summed. */
int store_series(struct store_query *q, const struct store_ask *ask, struct store_rows *ret);

/* Pair rows (host to host under their edge), best first. */
int store_pairs(struct store_query *q, const struct store_ask *ask, struct store_rows *ret);

/* "bytes", "c2s_bytes", "opened", "failed", ... (best view), or any scalar flow_column() name. */
bool store_sort_known(const char *name);
/* The i-th of the short names; NULL after the last. */
const char *store_sort_name(size_t i);

/* The best view of a directional sum: the larger of both ends' (a sender sees at least what arrives, an end
 * without an agent nothing), else the network's. CONN fields: likewise. f is no histogram; c2s false: s2c. */
uint64_t store_best(const struct flow_edge *e, enum flow_field f, bool c2s);

/* The sum `name` (see store_sort_known) of a row; 0 for one that is not known. Of a short name: of the best views. */
uint64_t store_sum(const struct flow_edge *e, const char *name);
/* The same for many rows, the name looked up once. -ENOENT, whose sums are 0. */
int store_metric(const char *name);
uint64_t store_metric_sum(const struct flow_edge *e, int metric);

/* True when some edge has or had this service at either end. -errno. */
int store_service_known(struct store_query *q, struct str service, bool *ret);

/* Names of an edge that was ever stored. -ENOENT. Strings live until the next call on q. */
int store_name(struct store_query *q, uint64_t edge, struct flow_edge_name *ret);

/* Every host, then every listener, one call each; fn returns non-zero to stop. The records live for the call. */
int store_hosts(struct store_query *q, int (*fn)(void *arg, const struct flow_host *h), void *arg);
int store_listeners(struct store_query *q, int (*fn)(void *arg, const struct flow_listener *l), void *arg);

/* Ledger lines of intervals in [from, to), by interval, role, instance; role NULL: all. Of the lines of the same
 * (role, instance, boot, interval) only the newest is kept. */
int store_ledgers(struct store_query *q, uint32_t from, uint32_t to, const char *role,
		  int (*fn)(void *arg, const struct flow_ledger *l), void *arg);

/* Rows in the finest tier in [from, to): how many, sum(rows) per view, and how many intervals had any. */
struct store_count {
	uint64_t edge_rows, edge_rows_both; /* stored rows; those seen from both ends */
	uint64_t view_rows[FLOW_VIEWS];     /* sum(rows): what the ledger balances */
	uint64_t pair_view_rows[FLOW_VIEWS];
	uint64_t before_syn; /* attempts that failed before a SYN: the kernel's own count lacks them */
	uint32_t newest;
};

int store_counts(struct store_query *q, uint32_t from, uint32_t to, struct store_count *ret);
