/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/gen/agent.h"

#include <errno.h>
#include <string.h>

#include "tools/gen/foe.h"
#include "wire/health.h"
#include "wire/host.h"
#include "wire/listeners.h"

static struct wire_opts agent_opts(const struct agent *a)
{
	return (struct wire_opts){.auth = a->fleet->keys};
}

static void agent_open(struct agent *a, enum wire_format format)
{
	struct wire_opts opts = agent_opts(a);

	wire_build_open(&a->build, format, &a->head, &opts);
}

static void agent_send(struct agent *a, size_t n)
{
	foe_sign(a->fleet, a->host, a->bytes, n);
	a->send(a->arg, a->bytes, n);
}

static void agent_close(struct agent *a)
{
	size_t n;

	if (wire_build_empty(&a->build))
		return;
	n = wire_build_close(&a->build, a->sender, a->uptime_ms, 0, a->bytes, sizeof(a->bytes));
	agent_send(a, n);
}

static void agent_address(struct agent *a, const struct ip *ip, uint8_t bits, uint32_t netns)
{
	a->record.addresses[a->record.n_addresses++] = (struct flow_address){.ip = *ip, .bits = bits, .netns = netns};
}

static void agent_host(struct agent *a)
{
	struct wire_opts opts = agent_opts(a);
	const struct fleet_host *h = &a->fleet->hosts[a->host];
	unsigned parts;

	a->record = (struct flow_host){.hostname = h->hostname,
				       .kernel = STR("6.1.0-gen"),
				       .mode = STR("bpf"),
				       .version = STR(SKYFALL_VERSION)};
	agent_address(a, &h->ip, ip_is_v4(&h->ip) ? 108 : 48, 4026531840u);
	for (uint32_t i = 0; i < h->n_instances; i++) {
		const struct fleet_instance *v = &a->fleet->instances[a->fleet->by_host[h->first_instance + i]];

		agent_address(a, &v->ip[0], 112, v->netns);
		if (a->fleet->conf.ipv6 > 0)
			agent_address(a, &v->ip[1], 48, v->netns);
	}
	parts = wire_host_parts(&a->build, &a->record, &a->head, &opts);
	for (unsigned i = 0; i < parts; i++) {
		size_t n = wire_host_put(&a->build, &a->record, i, &a->head, &opts, a->sender, a->uptime_ms, a->bytes,
					 sizeof(a->bytes));

		if (n)
			agent_send(a, n);
	}
}

static void agent_listener(struct agent *a, const struct fleet_instance *v, const struct ip *ip)
{
	struct flow_listener l = {.netns = v->netns,
				  .addr = *ip,
				  .port = a->fleet->services[v->service].port,
				  .protocol = IPPROTO_TCP,
				  .alive = 1,
				  .since = a->head.interval,
				  .queue_max = 128};

	fleet_names(a->fleet, (uint32_t)(v - a->fleet->instances), &l.names);
	if (wire_listeners_add(&a->build, &l) == -ENOSPC) {
		agent_close(a);
		agent_open(a, WIRE_LISTENERS);
		(void)wire_listeners_add(&a->build, &l);
	}
}

void agent_introduce(struct agent *a)
{
	const struct fleet_host *h = &a->fleet->hosts[a->host];

	agent_host(a);
	agent_open(a, WIRE_LISTENERS);
	for (uint32_t i = 0; i < h->n_instances; i++) {
		const struct fleet_instance *v = &a->fleet->instances[a->fleet->by_host[h->first_instance + i]];

		agent_listener(a, v, &v->ip[0]);
		if (a->fleet->conf.ipv6 > 0)
			agent_listener(a, v, &v->ip[1]);
	}
	agent_close(a);
}

void agent_health(struct agent *a, const struct agent_line *l)
{
	const struct fleet_host *h = &a->fleet->hosts[a->host];
	const struct flow_count infos[] = {
		{STR("attempts"), l->attempts},
		{STR("opened_client"), l->client},
		{STR("opened_server"), l->server},
		{STR("closed"), l->closed},
		{STR("active_opens"), l->attempts},
		{STR("passive_opens"), l->server},
		{STR("listeners"), h->n_instances},
		{STR("socks_open"), l->open_ms / 1000 / a->head.interval_s},
		{STR("bpf_ns"), 600 * (l->attempts + l->server)},
		{STR("user_us"), 2000 + 4 * l->rows},
		{STR("rss_bytes"), 12 << 20},
		{STR("cpu_busy_pm"), 200 + a->host * 37 % 500},
		{STR("cpu_steal_pm"), 0},
	};
	struct flow_ledger line = {.interval = a->head.interval,
				   .interval_s = (uint16_t)a->head.interval_s,
				   .rows_in = l->rows,
				   .rows_out = l->rows - l->failed,
				   .n_lost = l->failed > 0,
				   .lost = {{STR("send_error"), l->failed}},
				   .n_info = sizeof(infos) / sizeof(infos[0])};

	memcpy(line.info, infos, sizeof(infos));
	agent_open(a, WIRE_HEALTH);
	(void)wire_health_add(&a->build, &line);
	agent_close(a);
}
