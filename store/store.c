/* SPDX-License-Identifier: Apache-2.0 */
/* Both stores' calls, and which of them it is. */
#include "store/store.h"

#include <errno.h>
#include <stdio.h>

#include "store/clickhouse.h"
#include "store/ops.h"
#include "store/sqlite.h"

#define DAY 86400u

const struct store_opts store_defaults = {
	.interval_s = 10,
	.keep_s = {[STORE_FINE] = DAY, [STORE_1M] = 3 * DAY, [STORE_5M] = 30 * DAY, [STORE_1H] = 400 * DAY},
	.keep_pairs_s = {[STORE_FINE] = 6 * 3600, [STORE_5M] = 7 * DAY},
	.pairs_per_edge = 1000,
	.spool_bytes = 1ull << 30,
	.retry_ms = 10000,
};

int store_init(struct store *st, const struct store_ops *ops, const struct store_opts *opts, char *why, size_t why_len)
{
	if (!opts->interval_s || 60 % opts->interval_s || !opts->keep_s[STORE_FINE] || !opts->pairs_per_edge) {
		snprintf(
			why, why_len,
			"the store needs an interval that divides 60 s, an age for its finest rows and a cap of pairs");
		return -EINVAL;
	}
	st->ops = ops;
	st->opts = *opts;
	columns_init(&st->columns);
	return 0;
}

bool store_is_url(const char *path)
{
	return !strncmp(path, "http://", 7) || !strncmp(path, "https://", 8);
}

int store_open(struct store **ret, const char *path, const struct store_opts *opts, char *why, size_t why_len)
{
	return store_is_url(path) ? clickhouse_open(ret, path, opts, why, why_len)
				  : sqlite_open(ret, path, opts, why, why_len);
}

void store_close(struct store *st)
{
	if (st)
		st->ops->close(st);
}

int store_append(struct store *st, const struct store_batch *batch)
{
	return st->ops->append(st, batch);
}

int store_maintain(struct store *st, uint32_t now_s)
{
	return st->ops->maintain(st, now_s);
}

uint32_t store_newest(struct store *st)
{
	return st->ops->newest(st);
}

const char *store_error(struct store *st)
{
	return st->error;
}

void store_stats(struct store *st, struct store_stats *ret)
{
	*ret = st->stats;
}

int store_query_open(struct store_query **ret, struct store *st)
{
	return st->ops->query_open(ret, st);
}

void store_query_close(struct store_query *q)
{
	if (!q)
		return;
	arena_free(q->names);
	q->ops->close(q);
}

const char *store_query_error(struct store_query *q)
{
	return q->error;
}

int store_service_known(struct store_query *q, struct str service, bool *ret)
{
	return q->ops->service_known(q, service, ret);
}

int store_hosts(struct store_query *q, int (*fn)(void *arg, const struct flow_host *h), void *arg)
{
	return q->ops->hosts(q, fn, arg);
}

int store_listeners(struct store_query *q, int (*fn)(void *arg, const struct flow_listener *l), void *arg)
{
	return q->ops->listeners(q, fn, arg);
}

int store_ledgers(struct store_query *q, uint32_t from, uint32_t to, const char *role,
		  int (*fn)(void *arg, const struct flow_ledger *l), void *arg)
{
	return q->ops->ledgers(q, from, to, role, fn, arg);
}

int store_counts(struct store_query *q, uint32_t from, uint32_t to, struct store_count *ret)
{
	return q->ops->counts(q, from, to, ret);
}
