/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is kept: edge rows and pair rows in tiers, hosts, listeners, ledger: in SQLite on one machine (sqlite.c), in a
 * ClickHouse of any size (clickhouse.c). A row's key is (interval, edge, revision), for pairs with the two addresses:
 * written twice it changes nothing; different revisions of one interval add (law L8).
 *
 * Thread safety: one writer thread (append, put, maintain); any number of store_query objects, each in one thread.
 */
#pragma once

#include "flow/msg.h"

struct store;

enum store_tier { STORE_FINE, STORE_1M, STORE_5M, STORE_1H, STORE_TIERS }; /* FINE: the run's interval */

struct store_opts {
	uint16_t interval_s;                /* of the finest tier */
	uint32_t keep_s[STORE_TIERS];       /* edge rows: age at which they go; 0 = the tier is not made */
	uint32_t keep_pairs_s[STORE_TIERS]; /* pair rows likewise (FINE and 5M) */
	uint32_t pairs_per_edge;            /* more of an interval become one exact `other` row (zero addresses) */
	/* Only of a store on a server: */
	const char *spool;    /* folder for batches while the server is away; NULL: none. Read at open */
	uint64_t spool_bytes; /* at most; more is refused, so that it waits where it came from */
	uint32_t retry_ms;    /* how long a batch is tried again before it goes to the spool, or is refused */
	const char
		*cluster; /* tables are of `--print-ddl --replicated --cluster`: their partitions are dropped on it */
};

extern const struct store_opts store_defaults;

/* Opens or makes the store in folder `path`, or at a ClickHouse's URL: http[s]://[user:password@]host[:port]/database,
 * whose tables are made or grown if need be. -errno with a sentence in `why`: what is wrong and what to do. */
int store_open(struct store **ret, const char *path, const struct store_opts *opts, char *why, size_t why_len);
bool store_is_url(const char *path);
void store_close(struct store *st);

/* One batch, all or nothing, durable against kill -9 when it returns. edges: addresses zero. */
struct store_batch {
	const struct flow_edge *edges;
	size_t n_edges;
	const struct flow_edge *pairs;
	size_t n_pairs;
	const struct flow_ledger *ledgers;
	size_t n_ledgers;
	const struct flow_host *hosts;
	size_t n_hosts;
	const struct flow_listener *listeners;
	size_t n_listeners;
};

/* -ENOSPC: disk full, nothing of the batch is kept, former data stays readable. -EIO. */
int store_append(struct store *st, const struct store_batch *batch);

/* Roll-ups of minutes that ended or were touched late, and retention. Call about once a second; does a bounded
 * piece of work per call. now_s: wall clock. 1: there is more to do now; 0; -errno. */
int store_maintain(struct store *st, uint32_t now_s);

/* Interval that is newest in the store; 0 when empty. */
uint32_t store_newest(struct store *st);

const char *store_error(struct store *st); /* text of the last failure */

struct store_stats {
	uint64_t duplicates; /* edge and pair rows that were there already; ClickHouse drops them without telling */
	uint64_t too_old;    /* sum(rows) of edges refused: their day was removed by age */
	uint64_t too_old_pairs;
	uint64_t folded;  /* pair rows that went into `other` */
	uint64_t rolled;  /* buckets rolled up */
	uint64_t removed; /* day files, partitions removed by age */
	/* Of a store on a server: */
	uint64_t retries;      /* statements sent again */
	uint64_t refused;      /* statements it answered with an error: an older table, no right, a broken row */
	uint64_t spooled;      /* batches that went to the spool */
	uint64_t spool_bytes;  /* in it now */
	uint64_t spool_errors; /* it could not be written or read */
	uint64_t spool_full;   /* batches refused because it has no room */
};

void store_stats(struct store *st, struct store_stats *ret); /* by the writer thread */

/* --- reading: see store/query.h */
