/* SPDX-License-Identifier: Apache-2.0 */
/* Reading names, and what is not summed over edges: hosts, listeners, ledger, row counts. */
#include <errno.h>
#include <stdlib.h>

#include "store/catalog.h"
#include "store/clickhouse.h"

#define NAMES_SELECT \
	"SELECT DISTINCT edge,net,client_service,client_zone,server_service,server_zone,protocol,port FROM names"
#define NAMES_LOOKUPS 20000 /* of more all are read */

/* Sends; -EPROTO when what fn() reads goes beyond the answer is the caller's to see. */
static int answer_ask(struct store_query *q, struct buf *sql, struct buf *answer)
{
	buf_printf(sql, " FORMAT RowBinary");
	return clickhouse_ask((struct clickhouse_query *)q, sql, answer);
}

static int names_rows(const struct buf *answer, names_fn *fn, void *arg)
{
	struct clickhouse_rows rows = clickhouse_rows(answer);
	int r = 0;

	while (!r && clickhouse_more(&rows)) {
		uint64_t edge = clickhouse_uint(&rows, 8);
		struct flow_edge_name n = {.net = clickhouse_text(&rows)};

		n.client_service = clickhouse_text(&rows);
		n.client_zone = clickhouse_text(&rows);
		n.server_service = clickhouse_text(&rows);
		n.server_zone = clickhouse_text(&rows);
		n.protocol = (uint8_t)clickhouse_uint(&rows, 1);
		n.port = (uint16_t)clickhouse_uint(&rows, 2);
		r = rows.bad ? -EPROTO : fn(arg, edge, &n);
	}
	return r;
}

static void filter_text(struct buf *sql, const char **sep, const char *before, struct str s, const char * or)
{
	buf_printf(sql, "%s(%s=", *sep, before);
	clickhouse_quote(sql, s);
	if (or) {
		buf_printf(sql, " OR %s=", or);
		clickhouse_quote(sql, s);
	}
	buf_char(sql, ')');
	*sep = " AND ";
}

static void filter_sql(const struct store_filter *f, struct buf *sql)
{
	const char *sep = " WHERE ";

	if (f->edge) {
		buf_printf(sql, "%sedge=%llu", sep, (unsigned long long)f->edge);
		sep = " AND ";
	}
	if (f->net)
		filter_text(sql, &sep, "net", *f->net, NULL);
	if (f->service.p)
		filter_text(sql, &sep, "client_service", f->service, "server_service");
	if (f->client_service.p)
		filter_text(sql, &sep, "client_service", f->client_service, NULL);
	if (f->server_service.p)
		filter_text(sql, &sep, "server_service", f->server_service, NULL);
	if (f->zone.p)
		filter_text(sql, &sep, "client_zone", f->zone, "server_zone");
	if (f->port) {
		buf_printf(sql, "%sport=%u", sep, f->port);
		sep = " AND ";
	}
	if (f->protocol)
		buf_printf(sql, "%sprotocol=%u", sep, f->protocol);
}

int clickhouse_names(struct store_query *q, const struct store_filter *f, names_fn *fn, void *arg)
{
	struct buf sql, answer;
	int r;

	buf_init(&sql, 0);
	buf_init(&answer, 0);
	buf_printf(&sql, NAMES_SELECT);
	filter_sql(f, &sql);
	r = answer_ask(q, &sql, &answer);
	if (!r)
		r = names_rows(&answer, fn, arg);
	buf_deinit(&sql);
	buf_deinit(&answer);
	return r;
}

struct names_wanted {
	const uint64_t *edges; /* sorted */
	size_t n;
	names_fn *fn;
	void *arg;
};

static int edge_order(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x != y ? (x < y ? -1 : 1) : 0;
}

static int names_if_wanted(void *arg, uint64_t edge, const struct flow_edge_name *name)
{
	const struct names_wanted *w = arg;

	return bsearch(&edge, w->edges, w->n, sizeof(edge), edge_order) ? w->fn(w->arg, edge, name) : 0;
}

int clickhouse_names_of(struct store_query *q, const uint64_t *edges, size_t n, names_fn *fn, void *arg)
{
	struct names_wanted w = {edges, n, fn, arg};
	struct buf sql, answer;
	int r;

	buf_init(&sql, 0);
	buf_init(&answer, 0);
	buf_printf(&sql, NAMES_SELECT);
	if (n <= NAMES_LOOKUPS) {
		for (size_t i = 0; i < n; i++)
			buf_printf(&sql, i ? ",%llu" : " WHERE edge IN (%llu", (unsigned long long)edges[i]);
		buf_char(&sql, ')');
	}
	r = answer_ask(q, &sql, &answer);
	if (!r)
		r = n <= NAMES_LOOKUPS ? names_rows(&answer, fn, arg) : names_rows(&answer, names_if_wanted, &w);
	buf_deinit(&sql);
	buf_deinit(&answer);
	return r;
}

int clickhouse_service_known(struct store_query *q, struct str service, bool *ret)
{
	const char *sep = " WHERE ";
	struct buf sql, answer;
	int r;

	buf_init(&sql, 0);
	buf_init(&answer, 0);
	buf_printf(&sql, "SELECT port FROM names");
	filter_text(&sql, &sep, "client_service", service, "server_service");
	buf_printf(&sql, " LIMIT 1");
	r = answer_ask(q, &sql, &answer);
	if (!r)
		*ret = answer.n != 0;
	buf_deinit(&sql);
	buf_deinit(&answer);
	return r;
}

static int host_row(struct clickhouse_rows *rows, struct flow_host *h)
{
	uint64_t n;

	*h = (struct flow_host){.net = clickhouse_text(rows)};
	h->id = clickhouse_text(rows);
	h->hostname = clickhouse_text(rows);
	h->kernel = clickhouse_text(rows);
	h->mode = clickhouse_text(rows);
	h->version = clickhouse_text(rows);
	h->agent = clickhouse_ip(rows);
	h->boot = clickhouse_uint(rows, 8);
	h->interval = (uint32_t)clickhouse_uint(rows, 4);
	h->interval_s = (uint16_t)clickhouse_uint(rows, 2);
	/* Four arrays of the same length, each with its own. */
	for (unsigned part = 0; part < 4; part++) {
		n = clickhouse_count(rows);
		if (n > FLOW_ADDRESSES)
			return -EPROTO;
		h->n_addresses = (uint16_t)n;
		for (uint64_t i = 0; i < n; i++) {
			struct flow_address *a = &h->addresses[i];

			if (part == 0)
				a->netns = (uint32_t)clickhouse_uint(rows, 4);
			else if (part == 1)
				a->ip = clickhouse_ip(rows);
			else if (part == 2)
				a->bits = (uint8_t)clickhouse_uint(rows, 1);
			else
				a->host_only = (uint8_t)clickhouse_uint(rows, 1);
		}
	}
	return rows->bad ? -EPROTO : 0;
}

int clickhouse_hosts(struct store_query *q, int (*fn)(void *arg, const struct flow_host *h), void *arg)
{
	struct flow_host *h = malloc(sizeof(*h));
	struct clickhouse_rows rows;
	struct buf sql, answer;
	int r;

	buf_init(&sql, 0);
	buf_init(&answer, 0);
	buf_printf(&sql,
		   "SELECT net,id,hostname,kernel,mode,version,agent,boot,start,interval_s,netns,ip,bits,host_only "
		   "FROM hosts FINAL ORDER BY hostname,net,id");
	r = h ? answer_ask(q, &sql, &answer) : -ENOMEM;
	rows = clickhouse_rows(&answer);
	while (!r && clickhouse_more(&rows)) {
		r = host_row(&rows, h);
		if (!r)
			r = fn(arg, h);
	}
	buf_deinit(&sql);
	buf_deinit(&answer);
	free(h);
	return r;
}

int clickhouse_listeners(struct store_query *q, int (*fn)(void *arg, const struct flow_listener *l), void *arg)
{
	struct clickhouse_rows rows;
	struct buf sql, answer;
	int r;

	buf_init(&sql, 0);
	buf_init(&answer, 0);
	buf_printf(
		&sql,
		"SELECT net,host,netns,addr,port,protocol,alive,start,since,drops,queue,queue_max,service,process,unit,"
		"container,pod,quality FROM listeners FINAL ORDER BY net,host,port,netns,addr");
	r = answer_ask(q, &sql, &answer);
	rows = clickhouse_rows(&answer);
	while (!r && clickhouse_more(&rows)) {
		struct flow_listener l = {.net = clickhouse_text(&rows)};

		l.host = clickhouse_text(&rows);
		l.netns = (uint32_t)clickhouse_uint(&rows, 4);
		l.addr = clickhouse_ip(&rows);
		l.port = (uint16_t)clickhouse_uint(&rows, 2);
		l.protocol = (uint8_t)clickhouse_uint(&rows, 1);
		l.alive = (uint8_t)clickhouse_uint(&rows, 1);
		l.interval = (uint32_t)clickhouse_uint(&rows, 4);
		l.since = (uint32_t)clickhouse_uint(&rows, 4);
		l.drops = clickhouse_uint(&rows, 8);
		l.queue = (uint32_t)clickhouse_uint(&rows, 4);
		l.queue_max = (uint32_t)clickhouse_uint(&rows, 4);
		l.names.service = clickhouse_text(&rows);
		l.names.process = clickhouse_text(&rows);
		l.names.unit = clickhouse_text(&rows);
		l.names.container = clickhouse_text(&rows);
		l.names.pod = clickhouse_text(&rows);
		l.names.quality = (uint8_t)clickhouse_uint(&rows, 1);
		r = rows.bad ? -EPROTO : fn(arg, &l);
	}
	buf_deinit(&sql);
	buf_deinit(&answer);
	return r;
}

int clickhouse_ledgers(struct store_query *q, uint32_t from, uint32_t to, const char *role,
		       int (*fn)(void *arg, const struct flow_ledger *l), void *arg)
{
	struct flow_ledger *l = calloc(1, sizeof(*l));
	struct clickhouse_rows rows;
	struct buf sql, answer;
	int r;

	buf_init(&sql, 0);
	buf_init(&answer, 0);
	buf_printf(&sql,
		   "SELECT start,role,instance,boot,interval_s,rows_in,rows_out,lost,info FROM ledger FINAL WHERE "
		   "start>=%u AND start<%u",
		   from, to);
	if (role) {
		buf_printf(&sql, " AND role=");
		clickhouse_quote(&sql, str_from(role));
	}
	buf_printf(&sql, " ORDER BY start,role,instance,boot");
	r = l ? answer_ask(q, &sql, &answer) : -ENOMEM;
	rows = clickhouse_rows(&answer);
	while (!r && clickhouse_more(&rows)) {
		l->interval = (uint32_t)clickhouse_uint(&rows, 4);
		l->role = clickhouse_text(&rows);
		l->instance = clickhouse_text(&rows);
		l->boot = clickhouse_uint(&rows, 8);
		l->interval_s = (uint16_t)clickhouse_uint(&rows, 2);
		l->rows_in = clickhouse_uint(&rows, 8);
		l->rows_out = clickhouse_uint(&rows, 8);
		l->n_lost = (uint8_t)catalog_counts_parse(clickhouse_text(&rows), l->lost, FLOW_LOSSES);
		l->n_info = (uint8_t)catalog_counts_parse(clickhouse_text(&rows), l->info, FLOW_INFOS);
		r = rows.bad ? -EPROTO : fn(arg, l);
	}
	buf_deinit(&sql);
	buf_deinit(&answer);
	free(l);
	return r;
}

int clickhouse_counts(struct store_query *q, uint32_t from, uint32_t to, struct store_count *ret)
{
	struct store_count c = {0};
	struct clickhouse_rows rows;
	struct buf sql, answer;
	int r;

	buf_init(&sql, 0);
	buf_init(&answer, 0);
	buf_printf(&sql,
		   "SELECT count(),sum(bitAnd(observed,3)=3),sum(client_rows),sum(server_rows),sum(network_rows),"
		   "max(start),sum(client_failed_no_route)+sum(client_failed_no_port) FROM edges_fine FINAL WHERE "
		   "start>=%u AND start<%u",
		   from, to);
	r = answer_ask(q, &sql, &answer);
	if (!r) {
		rows = clickhouse_rows(&answer);
		c.edge_rows = clickhouse_uint(&rows, 8);
		c.edge_rows_both = clickhouse_uint(&rows, 8);
		for (unsigned v = 0; v < FLOW_VIEWS; v++)
			c.view_rows[v] = clickhouse_uint(&rows, 8);
		c.newest = (uint32_t)clickhouse_uint(&rows, 4);
		c.before_syn = clickhouse_uint(&rows, 8);
		buf_clear(&sql);
		buf_printf(&sql,
			   "SELECT sum(client_rows),sum(server_rows),sum(network_rows) FROM pairs_fine FINAL WHERE "
			   "start>=%u AND start<%u",
			   from, to);
		r = answer_ask(q, &sql, &answer);
	}
	if (!r) {
		rows = clickhouse_rows(&answer);
		for (unsigned v = 0; v < FLOW_VIEWS; v++)
			c.pair_view_rows[v] = clickhouse_uint(&rows, 8);
		*ret = c;
	}
	buf_deinit(&sql);
	buf_deinit(&answer);
	return r;
}
