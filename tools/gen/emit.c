/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/gen/emit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "tools/gen/traffic.h"
#include "wire/flows.h"
#include "wire/health.h"
#include "wire/host.h"
#include "wire/listeners.h"

#define EMIT_SNDBUF (4 << 20)
#define EMIT_AHEAD_US 1000 /* what is due within this goes at once */

struct emit {
	const struct fleet *fleet;
	struct truth *truth;
	struct emit_opts opts;
	int fd;
	int64_t start_us;
	struct wire_sender *senders; /* by host */
	struct emit_counts counts;
	/* of the interval and host at work */
	struct wire_head head;
	uint32_t host;
	uint64_t rows_lost;
	int64_t from_us;
	uint64_t rows_done;
	struct wire_build build;
	uint8_t bytes[WIRE_SIZE_MAX];
	struct flow_host record;
};

static int emit_connect(struct emit *e)
{
	struct sockaddr_storage sa;
	socklen_t len = ip_to_sockaddr(&e->opts.collector, e->opts.port, &sa);
	int want = EMIT_SNDBUF, none = 0;

	e->fd = socket(sa.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (e->fd < 0)
		return -errno;
	(void)setsockopt(e->fd, SOL_SOCKET, SO_SNDBUF, &want, sizeof(want));
	(void)setsockopt(e->fd, SOL_SOCKET, SO_RCVBUF, &none, sizeof(none)); /* answers find no room */
	return connect(e->fd, (struct sockaddr *)&sa, len) < 0 ? -errno : 0;
}

int emit_new(struct emit **ret, const struct fleet *f, struct truth *truth, const struct emit_opts *opts, char *why,
	     size_t why_len)
{
	struct emit *e = calloc(1, sizeof(*e));
	int r = -ENOMEM;

	if (!e)
		goto out;
	e->fleet = f;
	e->truth = truth;
	e->opts = *opts;
	e->fd = -1;
	e->start_us = clock_mono_us();
	e->senders = calloc(f->conf.hosts, sizeof(*e->senders));
	if (!e->senders)
		goto out;
	for (uint32_t i = 0; i < f->conf.hosts; i++)
		e->senders[i].agent = f->hosts[i].ip;
	r = emit_connect(e);
out:
	if (r < 0) {
		snprintf(why, why_len, "%s", strerror(-r));
		emit_free(e);
		return r;
	}
	*ret = e;
	return 0;
}

void emit_free(struct emit *e)
{
	if (!e)
		return;
	if (e->fd >= 0)
		close(e->fd);
	free(e->senders);
	free(e);
}

const struct emit_counts *emit_counts(const struct emit *e)
{
	return &e->counts;
}

static uint32_t emit_uptime_ms(const struct emit *e)
{
	return (uint32_t)((clock_mono_us() - e->start_us) / 1000);
}

static void emit_pace(struct emit *e)
{
	int64_t spread = (int64_t)e->opts.spread_ms * 1000, now = clock_wall_us();
	int64_t due = e->from_us + (int64_t)((double)spread * (double)e->rows_done / (e->fleet->n_rows + 1));

	if (due > now + EMIT_AHEAD_US)
		clock_sleep_until(due);
	else if (now - due > e->counts.late_us)
		e->counts.late_us = now - due;
}

/* A refused send is news of an earlier datagram: once more, as agents do. */
static void emit_send(struct emit *e, size_t n, uint64_t rows)
{
	if (send(e->fd, e->bytes, n, 0) < 0 && send(e->fd, e->bytes, n, 0) < 0) {
		wire_sender_failed(&e->senders[e->host], rows);
		e->counts.failed++;
		e->rows_lost += rows;
		return;
	}
	e->counts.datagrams++;
	e->counts.rows += rows;
	e->counts.bytes += n;
}

static void emit_close(struct emit *e)
{
	uint64_t rows = e->build.rows;
	size_t n;

	if (wire_build_empty(&e->build))
		return;
	n = wire_build_close(&e->build, &e->senders[e->host], emit_uptime_ms(e), 0, e->bytes, sizeof(e->bytes));
	emit_pace(e);
	emit_send(e, n, rows);
}

/* --- the four kinds of record */

static void emit_host(struct emit *e)
{
	const struct fleet_host *h = &e->fleet->hosts[e->host];
	unsigned parts;

	e->record = (struct flow_host){.hostname = h->hostname,
				       .kernel = STR("6.1.0-gen"),
				       .mode = STR("bpf"),
				       .version = STR(SKYFALL_VERSION)};
	e->record.addresses[e->record.n_addresses++] =
		(struct flow_address){.ip = h->ip, .bits = 108, .netns = 4026531840u};
	for (uint32_t i = 0; i < h->n_instances; i++) {
		const struct fleet_instance *v = &e->fleet->instances[e->fleet->by_host[h->first_instance + i]];

		e->record.addresses[e->record.n_addresses++] =
			(struct flow_address){.ip = v->ip, .bits = 112, .netns = v->netns};
	}
	parts = wire_host_parts(&e->build, &e->record, &e->head, NULL);
	for (unsigned i = 0; i < parts; i++) {
		size_t n = wire_host_put(&e->build, &e->record, i, &e->head, NULL, &e->senders[e->host],
					 emit_uptime_ms(e), e->bytes, sizeof(e->bytes));

		if (n)
			emit_send(e, n, 0);
	}
}

static struct flow_names emit_names(const struct fleet *f, const struct fleet_instance *v)
{
	const struct fleet_service *s = &f->services[v->service];

	return (struct flow_names){.service = s->name,
				   .process = s->process,
				   .container = {v->container, 12},
				   .quality = FLOW_OWNER_EXACT};
}

static void emit_listeners(struct emit *e)
{
	const struct fleet_host *h = &e->fleet->hosts[e->host];

	wire_build_open(&e->build, WIRE_LISTENERS, &e->head, NULL);
	for (uint32_t i = 0; i < h->n_instances; i++) {
		const struct fleet_instance *v = &e->fleet->instances[e->fleet->by_host[h->first_instance + i]];
		struct flow_listener l = {.netns = v->netns,
					  .addr = v->ip,
					  .port = e->fleet->services[v->service].port,
					  .protocol = IPPROTO_TCP,
					  .alive = 1,
					  .since = e->head.interval,
					  .queue_max = 128,
					  .names = emit_names(e->fleet, v)};

		if (wire_listeners_add(&e->build, &l) == -ENOSPC) {
			emit_close(e);
			wire_build_open(&e->build, WIRE_LISTENERS, &e->head, NULL);
			(void)wire_listeners_add(&e->build, &l);
		}
	}
	emit_close(e);
}

static void emit_row(struct emit *e, const struct fleet_row *row, const struct flow_stats *s)
{
	const struct fleet_pair *p = &e->fleet->pairs[row->pair];
	const struct flow_names names = emit_names(e->fleet, &e->fleet->instances[row->instance]);
	struct wire_flow flow = {
		.local = row->server ? p->server_ip : p->client_ip,
		.remote = row->server ? p->client_ip : p->server_ip,
		.port = e->fleet->edges[p->edge].port,
		.view = row->server ? FLOW_VIEW_SERVER : FLOW_VIEW_CLIENT,
		.protocol = IPPROTO_TCP,
		.ports_more = (uint32_t)s->opened,
		.names = &names,
	};

	if (wire_flows_add(&e->build, &flow, s) == -ENOSPC) {
		emit_close(e);
		wire_build_open(&e->build, WIRE_FLOWS, &e->head, NULL);
		(void)wire_flows_add(&e->build, &flow, s);
	}
}

/* What the host's ledger line says of its rows. */
struct emit_line {
	uint64_t rows, attempts, client, server, closed, open_ms;
};

static void emit_line_add(struct emit_line *l, const struct fleet_row *row, const struct flow_stats *s)
{
	l->rows += s->rows;
	l->attempts += s->attempts;
	*(row->server ? &l->server : &l->client) += s->opened;
	l->closed += s->closed;
	l->open_ms += s->open_ms;
}

static void emit_flows(struct emit *e, struct emit_line *line)
{
	const struct fleet_host *h = &e->fleet->hosts[e->host];
	uint32_t index = e->head.interval / e->opts.interval_s, last = e->fleet->conf.edges - 1;
	struct flow_stats s;

	wire_build_open(&e->build, WIRE_FLOWS, &e->head, NULL);
	for (uint32_t i = h->first_row; i < h->first_row + h->n_rows; i++) {
		const struct fleet_row *row = &e->fleet->rows[i];

		e->rows_done++;
		if (e->fleet->pairs[row->pair].edge == last && index < e->opts.late_index)
			continue;
		traffic_row(e->fleet, row, index, e->opts.interval_s, &s);
		emit_row(e, row, &s);
		emit_line_add(line, row, &s);
		truth_add(e->truth, row, &s);
	}
	emit_close(e);
}

static void emit_health(struct emit *e, const struct emit_line *l)
{
	const struct fleet_host *h = &e->fleet->hosts[e->host];
	const struct flow_count infos[] = {
		{STR("attempts"), l->attempts},
		{STR("opened_client"), l->client},
		{STR("opened_server"), l->server},
		{STR("closed"), l->closed},
		{STR("active_opens"), l->attempts},
		{STR("passive_opens"), l->server},
		{STR("listeners"), h->n_instances},
		{STR("socks_open"), l->open_ms / 1000 / e->opts.interval_s},
		{STR("bpf_ns"), 600 * (l->attempts + l->server)},
		{STR("user_us"), 2000 + 4 * l->rows},
		{STR("rss_bytes"), 12 << 20},
		{STR("cpu_busy_pm"), 200 + e->host * 37 % 500},
		{STR("cpu_steal_pm"), 0},
	};
	struct flow_ledger line = {.interval = e->head.interval,
				   .interval_s = (uint16_t)e->opts.interval_s,
				   .rows_in = l->rows,
				   .rows_out = l->rows - e->rows_lost,
				   .n_lost = e->rows_lost > 0,
				   .lost = {{STR("send_error"), e->rows_lost}},
				   .n_info = sizeof(infos) / sizeof(infos[0])};

	memcpy(line.info, infos, sizeof(infos));
	wire_build_open(&e->build, WIRE_HEALTH, &e->head, NULL);
	(void)wire_health_add(&e->build, &line);
	emit_close(e);
}

void emit_interval(struct emit *e, uint32_t interval, int64_t from_us, bool introduce)
{
	e->from_us = from_us;
	e->rows_done = 0;
	for (e->host = 0; e->host < e->fleet->conf.hosts; e->host++) {
		struct emit_line line = {0};

		e->rows_lost = 0;
		e->head = (struct wire_head){.interval = interval,
					     .interval_s = e->opts.interval_s,
					     .spread_ms = e->opts.spread_ms,
					     .boot = e->opts.boot + e->host,
					     .net = str_from(e->fleet->conf.net),
					     .host = str_from(e->fleet->hosts[e->host].id)};
		if (introduce) {
			emit_host(e);
			emit_listeners(e);
		}
		emit_flows(e, &line);
		emit_health(e, &line);
	}
}
