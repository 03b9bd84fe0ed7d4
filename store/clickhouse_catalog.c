/* SPDX-License-Identifier: Apache-2.0 */
/* Writing what is not summed over edges: ledger lines, hosts, listeners. */
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "store/catalog.h"
#include "store/clickhouse.h"

/* Rows, not columns: these are few. */
static void put_uint(struct buf *b, uint64_t v, unsigned bytes)
{
	buf_put(b, &v, bytes);
}

static void put_counts(struct buf *b, struct buf *text, const struct flow_count *c, unsigned n)
{
	buf_clear(text);
	catalog_counts_format(c, n, text);
	clickhouse_string(b, (struct str){text->p, text->n});
}

int clickhouse_put_ledgers(struct clickhouse *st, const struct store_batch *batch)
{
	struct buf b, text;
	uint64_t at = (uint64_t)clock_wall_us();
	size_t n = 0;
	int r = 0;

	buf_init(&b, 0);
	buf_init(&text, 65536);
	buf_printf(&b, "INSERT INTO ledger(start,role,instance,boot,interval_s,rows_in,rows_out,lost,info,at)"
		       " FORMAT RowBinary\n");
	for (size_t i = 0; !r && i < batch->n_ledgers; i++) {
		const struct flow_ledger *l = &batch->ledgers[i];

		if (l->interval < st->floor[COLUMNS_LEDGER][STORE_FINE])
			continue;
		r = clickhouse_touch(st, COLUMNS_LEDGER, STORE_FINE, l->interval);
		put_uint(&b, l->interval, 4);
		clickhouse_string(&b, l->role);
		clickhouse_string(&b, l->instance);
		put_uint(&b, l->boot, 8);
		put_uint(&b, l->interval_s, 2);
		put_uint(&b, l->rows_in, 8);
		put_uint(&b, l->rows_out, 8);
		put_counts(&b, &text, l->lost, l->n_lost);
		put_counts(&b, &text, l->info, l->n_info);
		st->said = at > st->said ? at : st->said + 1;
		put_uint(&b, st->said, 8);
		n++;
	}
	if (!r && n)
		r = text.err ? -ENOMEM : clickhouse_do(st, &b, NULL, "writing the ledger");
	buf_deinit(&b);
	buf_deinit(&text);
	return r;
}

static void put_host(struct buf *b, const struct flow_host *h)
{
	clickhouse_string(b, h->net);
	clickhouse_string(b, h->id);
	clickhouse_string(b, h->hostname);
	clickhouse_string(b, h->kernel);
	clickhouse_string(b, h->mode);
	clickhouse_string(b, h->version);
	buf_put(b, h->agent.b, sizeof(h->agent.b));
	put_uint(b, h->boot, 8);
	put_uint(b, h->interval, 4);
	put_uint(b, h->interval_s, 2);
	clickhouse_varint(b, h->n_addresses);
	for (unsigned i = 0; i < h->n_addresses; i++)
		put_uint(b, h->addresses[i].netns, 4);
	clickhouse_varint(b, h->n_addresses);
	for (unsigned i = 0; i < h->n_addresses; i++)
		buf_put(b, h->addresses[i].ip.b, 16);
	clickhouse_varint(b, h->n_addresses);
	for (unsigned i = 0; i < h->n_addresses; i++)
		put_uint(b, h->addresses[i].bits, 1);
	clickhouse_varint(b, h->n_addresses);
	for (unsigned i = 0; i < h->n_addresses; i++)
		put_uint(b, h->addresses[i].host_only, 1);
}

/* --- listeners: drops are deltas, so a row needs its former self */

struct former {
	struct flow_listener l; /* texts in `buf` */
	uint32_t interval, since;
	uint64_t drops;
	bool changed;
};

static bool former_same(const struct flow_listener *a, const struct flow_listener *b)
{
	return a->port == b->port && a->protocol == b->protocol && a->netns == b->netns && ip_eq(&a->addr, &b->addr) &&
	       str_eq(a->host, b->host) && str_eq(a->net, b->net);
}

static int former_order(const void *a, const void *b)
{
	const struct flow_listener *x = &((const struct former *)a)->l, *y = &((const struct former *)b)->l;
	int r = str_cmp(x->host, y->host);

	if (!r)
		r = str_cmp(x->net, y->net);
	if (!r)
		r = memcmp(&x->addr, &y->addr, sizeof(x->addr));
	if (!r)
		r = x->netns != y->netns ? (x->netns < y->netns ? -1 : 1) : x->port - y->port;
	return r ? r : x->protocol - y->protocol;
}

static int former_load(struct clickhouse *st, const struct store_batch *batch, struct buf *answer, struct former **ret,
		       size_t *ret_n)
{
	struct clickhouse_rows rows;
	struct former *v = NULL;
	size_t n = 0, cap = 0;
	struct buf sql;
	int r;

	buf_init(&sql, 0);
	buf_printf(&sql, "SELECT net,host,netns,addr,port,protocol,start,since,drops FROM listeners FINAL WHERE "
			 "(net,host) IN (");
	for (size_t i = 0; i < batch->n_listeners; i++) {
		const struct flow_listener *l = &batch->listeners[i];

		if (i && str_eq(l->host, l[-1].host) && str_eq(l->net, l[-1].net))
			continue;
		buf_printf(&sql, i ? ",(" : "(");
		clickhouse_quote(&sql, l->net);
		buf_char(&sql, ',');
		clickhouse_quote(&sql, l->host);
		buf_char(&sql, ')');
	}
	buf_printf(&sql, ") FORMAT RowBinary");
	r = clickhouse_do(st, &sql, answer, "reading listeners");
	buf_deinit(&sql);
	rows = clickhouse_rows(answer);
	while (!r && clickhouse_more(&rows)) {
		struct former *f;

		if (n == cap) {
			f = realloc(v, (cap = cap ? cap * 2 : 64) * sizeof(*v));
			if (!f) {
				r = -ENOMEM;
				break;
			}
			v = f;
		}
		f = &v[n++];
		*f = (struct former){.l.net = clickhouse_text(&rows)};
		f->l.host = clickhouse_text(&rows);
		f->l.netns = (uint32_t)clickhouse_uint(&rows, 4);
		f->l.addr = clickhouse_ip(&rows);
		f->l.port = (uint16_t)clickhouse_uint(&rows, 2);
		f->l.protocol = (uint8_t)clickhouse_uint(&rows, 1);
		f->interval = (uint32_t)clickhouse_uint(&rows, 4);
		f->since = (uint32_t)clickhouse_uint(&rows, 4);
		f->drops = clickhouse_uint(&rows, 8);
	}
	if (v)
		qsort(v, n, sizeof(*v), former_order);
	*ret = v;
	*ret_n = n;
	return r;
}

static void put_listener(struct buf *b, const struct flow_listener *l, uint32_t since, uint64_t drops)
{
	clickhouse_string(b, l->net);
	clickhouse_string(b, l->host);
	put_uint(b, l->netns, 4);
	buf_put(b, l->addr.b, 16);
	put_uint(b, l->port, 2);
	put_uint(b, l->protocol, 1);
	put_uint(b, l->alive, 1);
	put_uint(b, l->interval, 4);
	put_uint(b, since, 4);
	put_uint(b, drops, 8);
	put_uint(b, l->queue, 4);
	put_uint(b, l->queue_max, 4);
	clickhouse_string(b, l->names.service);
	clickhouse_string(b, l->names.process);
	clickhouse_string(b, l->names.unit);
	clickhouse_string(b, l->names.container);
	clickhouse_string(b, l->names.pod);
	put_uint(b, l->names.quality, 1);
}

static int listener_order(const void *a, const void *b)
{
	const struct flow_listener *x = *(const struct flow_listener *const *)a,
				   *y = *(const struct flow_listener *const *)b;
	int r = former_order(&(struct former){.l = *x}, &(struct former){.l = *y});

	return r ? r : x->interval < y->interval ? -1 : x->interval > y->interval;
}

/* The batch's listeners by key and time, each key's drops added on. */
static int put_listeners(struct clickhouse *st, const struct store_batch *batch)
{
	const struct flow_listener **v = malloc((batch->n_listeners + 1) * sizeof(*v));
	struct former *former = NULL, now = {0};
	struct buf b, answer;
	size_t n = 0, rows = 0;
	int r = -ENOMEM;

	buf_init(&b, 0);
	buf_init(&answer, 0);
	if (v)
		r = former_load(st, batch, &answer, &former, &n);
	if (r)
		goto out;
	for (size_t i = 0; i < batch->n_listeners; i++)
		v[i] = &batch->listeners[i];
	qsort(v, batch->n_listeners, sizeof(*v), listener_order);
	buf_printf(&b,
		   "INSERT INTO listeners(net,host,netns,addr,port,protocol,alive,start,since,drops,queue,queue_max,"
		   "service,process,unit,container,pod,quality) FORMAT RowBinary\n");
	for (size_t i = 0; i < batch->n_listeners; i++) {
		uint32_t since = v[i]->since ? v[i]->since : v[i]->interval;

		if (!i || !former_same(v[i], v[i - 1])) {
			const struct former *f =
				n ? bsearch(&(struct former){.l = *v[i]}, former, n, sizeof(*former), former_order)
				  : NULL;

			now = f ? *f : (struct former){.since = since};
		}
		/* A record written twice must not count twice. */
		if (v[i]->interval <= now.interval)
			continue;
		now.interval = v[i]->interval;
		now.drops += v[i]->drops;
		now.since = now.since < since ? now.since : since;
		put_listener(&b, v[i], now.since, now.drops);
		rows++;
	}
	if (rows)
		r = clickhouse_do(st, &b, NULL, "writing listeners");
out:
	buf_deinit(&b);
	buf_deinit(&answer);
	free(former);
	free(v);
	return r;
}

int clickhouse_put_hosts(struct clickhouse *st, const struct store_batch *batch)
{
	struct buf b;
	int r = 0;

	if (batch->n_hosts) {
		buf_init(&b, 0);
		buf_printf(&b,
			   "INSERT INTO hosts(net,id,hostname,kernel,mode,version,agent,boot,start,interval_s,netns,ip,"
			   "bits,host_only) FORMAT RowBinary\n");
		for (size_t i = 0; i < batch->n_hosts; i++)
			put_host(&b, &batch->hosts[i]);
		r = clickhouse_do(st, &b, NULL, "writing hosts");
		buf_deinit(&b);
	}
	return !r && batch->n_listeners ? put_listeners(st, batch) : r;
}
