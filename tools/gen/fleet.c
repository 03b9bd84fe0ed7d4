/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/gen/fleet.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "policy/inventory.h"
#include "tools/gen/dice.h"

#define TOP_BYTES_S 40e6     /* of the greatest edge */
#define FLEET_AGENTS6 0xffff /* subnet of the agents' own IPv6 addresses */
#define TRIES 200            /* per edge, until a pair is found that is not called yet */

/* Keys of dice: each question has its own. */
enum { ASK_HOST = 1, ASK_KIND, ASK_CLIENT, ASK_SERVER, ASK_RANK, ASK_SIGN, ASK_SHAPE, ASK_PAIR, ASK_FAMILY };

static uint64_t fleet_key(const struct fleet *f, unsigned ask)
{
	return dice(f->conf.seed, ask);
}

/* --- services, hosts, instances */

static struct str fleet_text(struct fleet *f, const char *text)
{
	struct str s = {f->texts.p + f->texts.n, strlen(text)};

	buf_put(&f->texts, text, s.n);
	return s;
}

static uint32_t layer_begin(const struct fleet_conf *c, unsigned layer)
{
	uint32_t edge = c->services / 7 ? c->services / 7 : 1, app = (uint32_t)((uint64_t)c->services * 11 / 20);

	if (edge + app >= c->services)
		app = c->services - edge - 1;
	return layer == 0 ? 0 : layer == 1 ? edge : layer == 2 ? edge + app : c->services;
}

/* Zones of a layer are z = layer, layer + 3, ...; with too few zones layers share them. */
static unsigned service_zone(const struct fleet_conf *c, unsigned layer, uint32_t i)
{
	unsigned n = layer < c->zones ? (c->zones - layer + FLEET_LAYERS - 1) / FLEET_LAYERS : 0;

	return n ? layer + FLEET_LAYERS * (i % n) : layer % c->zones;
}

static void fleet_services(struct fleet *f)
{
	char name[FLEET_NAME];

	for (unsigned layer = 0; layer < FLEET_LAYERS; layer++) {
		uint32_t from = layer_begin(&f->conf, layer), to = layer_begin(&f->conf, layer + 1);

		for (uint32_t i = from; i < to; i++) {
			struct fleet_service *s = &f->services[i];
			uint32_t hosts;
			const char *process;

			s->layer = layer;
			s->zone = service_zone(&f->conf, layer, i - from);
			hosts = (f->conf.hosts - s->zone + f->conf.zones - 1) / f->conf.zones;
			s->n = 1 + (uint32_t)(4 / sqrt(i - from + 1));
			s->n = s->n < hosts ? s->n : hosts;
			s->first = f->n_instances;
			f->n_instances += s->n;
			fleet_name(layer, i - from, f->conf.odd_names, name, &process, &s->port);
			s->name = fleet_text(f, name);
			s->name.n = s->name.n < FLOW_NAME_MAX ? s->name.n : FLOW_NAME_MAX;
			s->process = str_from(process);
		}
	}
}

static bool fleet_v6(const struct fleet *f, unsigned nth, uint32_t i)
{
	return dice_unit(fleet_key(f, ASK_FAMILY) + nth, i) < f->conf.ipv6;
}

static struct ip fleet_ip6(unsigned subnet, uint32_t n)
{
	return (struct ip){{0xfd, 0, 0, 0, (uint8_t)(subnet >> 8), (uint8_t)subnet, [12] = (uint8_t)(n >> 24),
			    (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n}};
}

static void fleet_hosts(struct fleet *f)
{
	char name[FLEET_NAME];

	for (uint32_t i = 0; i < f->conf.hosts; i++) {
		struct fleet_host *h = &f->hosts[i];

		h->ip = ip_from_v4(
			(uint8_t[]){172, (uint8_t)(16 + (i + 1) / 65536), (uint8_t)((i + 1) / 256), (uint8_t)(i + 1)});
		if (fleet_v6(f, 0, i))
			h->ip = fleet_ip6(FLEET_AGENTS6, i + 1);
		h->zone = i % f->conf.zones;
		snprintf(h->id, sizeof(h->id), "%.32s-%07u", f->conf.net[0] ? f->conf.net : "gen", i);
		fleet_hostname(i, h->zone, f->conf.odd_names, name);
		h->hostname = fleet_text(f, name);
	}
}

/* Instances of a service stand on different hosts of its zone. */
static int fleet_instances(struct fleet *f)
{
	uint32_t in_zone[FLEET_ZONES] = {0}, at = 0;

	for (uint32_t i = 0; i < f->conf.services; i++) {
		const struct fleet_service *s = &f->services[i];
		uint32_t hosts = (f->conf.hosts - s->zone + f->conf.zones - 1) / f->conf.zones;
		uint64_t begin = dice(fleet_key(f, ASK_HOST), i);

		for (uint32_t k = 0; k < s->n; k++) {
			struct fleet_instance *v = &f->instances[s->first + k];
			uint32_t n = ++in_zone[s->zone];

			if (n >= 65535)
				return -ENOSPC;
			v->ip[0] = ip_from_v4((uint8_t[]){10, (uint8_t)s->zone, (uint8_t)(n >> 8), (uint8_t)n});
			v->ip[1] = fleet_ip6(s->zone, n);
			v->service = i;
			v->host = s->zone + f->conf.zones * (uint32_t)((begin + k) % hosts);
			v->netns = 4026532000u + s->first + k;
			snprintf(v->container, sizeof(v->container), "%012llx",
				 (unsigned long long)(dice(fleet_key(f, ASK_HOST) + 1, s->first + k) >> 16));
			f->hosts[v->host].n_instances++;
		}
	}
	for (uint32_t i = 0; i < f->conf.hosts; i++) {
		struct fleet_host *h = &f->hosts[i];

		if (h->n_instances * (f->conf.ipv6 > 0 ? 2 : 1) > FLEET_HOST_ADDRESSES)
			return -ENOSPC;
		h->first_instance = at;
		at += h->n_instances;
		h->n_instances = 0;
	}
	for (uint32_t i = 0; i < f->n_instances; i++) {
		struct fleet_host *h = &f->hosts[f->instances[i].host];

		f->by_host[h->first_instance + h->n_instances++] = i;
	}
	return 0;
}

/* --- edges */

/* Pairs of services that call each other: a set of keys, 0 free. */
struct called {
	uint64_t *slots;
	uint64_t mask;
};

static bool called_add(struct called *c, int32_t client, int32_t server)
{
	uint64_t key = ((uint64_t)(uint32_t)client << 32 | (uint32_t)server) + 1, i = dice(key, 0);

	for (; c->slots[i & c->mask]; i++) {
		if (c->slots[i & c->mask] == key)
			return false;
	}
	c->slots[i & c->mask] = key;
	return true;
}

/* Who edge `i` goes from and to, at try `t`. The first edges give every service one that calls it or that it calls. */
static void edge_ends(const struct fleet *f, uint32_t i, uint32_t t, int32_t *ret_client, int32_t *ret_server)
{
	const struct fleet_conf *c = &f->conf;
	uint32_t app = layer_begin(c, 1), data = layer_begin(c, 2), all = c->services;
	uint64_t nth = (uint64_t)i * TRIES + t;
	uint32_t kind = (uint32_t)(dice(fleet_key(f, ASK_KIND), nth) % 20);
	uint64_t from = fleet_key(f, ASK_CLIENT), to = fleet_key(f, ASK_SERVER);
	uint32_t client, server;

	if (i < all && t < TRIES / 2) {
		server = i < app ? app + dice_skewed(to, nth, all - app) : i;
		client = i < app                   ? i
			 : i < data || data == app ? dice_skewed(from, nth, app)
						   : app + dice_skewed(from, nth, data - app);
	} else if (kind == 0) { /* from outside */
		*ret_client = -1 - (int32_t)(dice(from, nth) % FLEET_OUTSIDE);
		*ret_server = (int32_t)dice_skewed(to, nth, app);
		return;
	} else if (kind == 1) {
		*ret_client = (int32_t)(app + dice_skewed(from, nth, data > app ? data - app : all - app));
		*ret_server = -1 - (int32_t)(dice(to, nth) % FLEET_OUTSIDE);
		return;
	} else {
		client = (uint32_t)(dice(from, nth) % (data > app ? data : app));
		server = client < app                    ? app + dice_skewed(to, nth, (data > app ? data : all) - app)
			 : kind < 8 && client + 1 < data ? client + 1 + dice_skewed(to, nth, data - client - 1)
							 : data + dice_skewed(to, nth, all - data);
	}
	*ret_client = (int32_t)client;
	*ret_server = (int32_t)server;
}

static void edge_shape(const struct fleet *f, struct fleet_edge *e, uint32_t i, uint32_t rank)
{
	uint64_t key = dice(fleet_key(f, ASK_SHAPE), i);
	bool near = e->client >= 0 && e->server >= 0 && f->services[e->client].zone == f->services[e->server].zone;

	e->bytes_s = TOP_BYTES_S / pow(rank + 1, 0.9);
	e->c2s_share = 0.05 + 0.5 * dice_unit(key, 0);
	e->conns_s = e->bytes_s / (20e3 + 400e3 * dice_unit(key, 1));
	e->conns_s = e->conns_s > 400 ? 400 : e->conns_s;
	e->rtt_us = (near ? 150 : e->client < 0 || e->server < 0 ? 24000 : 600) * (0.6 + dice_unit(key, 2));
	e->port = e->server < 0 ? 443 : f->services[e->server].port;
	e->sign = FLEET_WELL;
	if (e->client < 0 || e->server < 0)
		return;
	if (f->conf.edges >= 24 && rank % (f->conf.edges / 8) == 2) /* some eight of all sizes, each kind in its turn */
		e->sign = (enum fleet_sign)(1 + rank / (f->conf.edges / 8) % (FLEET_SIGNS - 1));
	else if (dice(fleet_key(f, ASK_SIGN), i) % 40 == 0)
		e->sign = (enum fleet_sign)(1 + dice(fleet_key(f, ASK_SIGN), i) / 40 % (FLEET_SIGNS - 1));
}

static struct ip outside_ip(int32_t end, uint32_t i, bool v6)
{
	static const uint8_t nets[FLEET_OUTSIDE][3] = {{198, 51, 100}, {203, 0, 113}, {192, 0, 2}, {198, 18, 7}};
	const uint8_t *n = nets[-1 - end];

	if (v6)
		return (struct ip){{0x20, 0x01, 0x0d, 0xb8, 0, (uint8_t)-end, [15] = (uint8_t)(1 + i % 250)}};
	return ip_from_v4((uint8_t[]){n[0], n[1], n[2], (uint8_t)(1 + i % 250)});
}

static void edge_pair(struct fleet *f, uint32_t i, uint32_t k)
{
	const struct fleet_edge *e = &f->edges[i];
	struct fleet_pair *p = &f->pairs[f->n_pairs++];
	uint64_t nth = dice(fleet_key(f, ASK_PAIR), i);
	const struct fleet_service *s;

	*p = (struct fleet_pair){.edge = i, .client = -1, .server = -1};
	if (e->client >= 0) {
		s = &f->services[e->client];
		p->client = (int32_t)(s->first + (nth + k) % s->n);
	}
	if (e->server >= 0) {
		s = &f->services[e->server];
		p->server = (int32_t)(s->first + ((nth >> 32) + k) % s->n);
	}
	p->client_ip =
		p->client < 0 ? outside_ip(e->client, (uint32_t)nth + k, e->v6) : f->instances[p->client].ip[e->v6];
	p->server_ip =
		p->server < 0 ? outside_ip(e->server, (uint32_t)nth + k, e->v6) : f->instances[p->server].ip[e->v6];
}

/* What the end will be called in the store, and its zone. */
static void edge_end_name(struct fleet *f, int32_t end, bool v6, struct str *ret_service, struct str *ret_zone)
{
	char text[INVENTORY_TEXT];
	struct ip ip;

	*ret_zone = (struct str){0};
	if (end < 0) {
		ip = outside_ip(end, 0, v6);
		*ret_service = fleet_text(f, inventory_unknown(&ip, str_from(f->conf.net), text));
		return;
	}
	*ret_service = f->services[end].name;
	if (f->conf.inventory) {
		fleet_zone(f->services[end].zone, text);
		*ret_zone = fleet_text(f, text);
	}
}

static void edge_make(struct fleet *f, uint32_t i, uint32_t rank)
{
	struct fleet_edge *e = &f->edges[i];
	uint32_t clients = e->client < 0 ? 4 : f->services[e->client].n,
		 servers = e->server < 0 ? 4 : f->services[e->server].n;

	edge_shape(f, e, i, rank);
	e->v6 = fleet_v6(f, 1, i);
	e->first = f->n_pairs;
	e->n = rank < f->conf.edges / 10 && clients > 1 && servers > 1 ? 2 : 1;
	for (uint32_t k = 0; k < e->n; k++)
		edge_pair(f, i, k);
	e->name = (struct flow_edge_name){.net = str_from(f->conf.net), .port = e->port, .protocol = IPPROTO_TCP};
	edge_end_name(f, e->client, e->v6, &e->name.client_service, &e->name.client_zone);
	edge_end_name(f, e->server, e->v6, &e->name.server_service, &e->name.server_zone);
}

/* Places in the order of size, by chance. */
static void edge_ranks(const struct fleet *f, uint32_t *ranks)
{
	for (uint32_t i = 0; i < f->conf.edges; i++) {
		uint32_t k = (uint32_t)(dice(fleet_key(f, ASK_RANK), i) % (i + 1));

		ranks[i] = ranks[k];
		ranks[k] = i;
	}
}

static int fleet_edges(struct fleet *f)
{
	uint32_t *ranks = calloc(f->conf.edges, sizeof(*ranks));
	struct called called = {.mask = 1};
	int r = 0;

	while (called.mask < 4ull * f->conf.edges)
		called.mask = called.mask << 1 | 1;
	called.slots = calloc(called.mask + 1, sizeof(*called.slots));
	if (!ranks || !called.slots) {
		r = -ENOMEM;
		goto out;
	}
	edge_ranks(f, ranks);
	for (uint32_t i = 0; i < f->conf.edges; i++) {
		struct fleet_edge *e = &f->edges[i];
		uint32_t t = 0;

		do {
			if (t == TRIES) {
				r = -ENOSPC;
				goto out;
			}
			edge_ends(f, i, t++, &e->client, &e->server);
		} while (!called_add(&called, e->client, e->server));
		edge_make(f, i, ranks[i]);
	}
out:
	free(ranks);
	free(called.slots);
	return r;
}

/* --- rows */

static int row_cmp(const void *a, const void *b)
{
	const struct fleet_row *x = a, *y = b;

	if (x->v6 != y->v6)
		return x->v6 ? 1 : -1;
	if (x->instance != y->instance)
		return x->instance < y->instance ? -1 : 1;
	return x->pair < y->pair ? -1 : x->pair > y->pair;
}

/* Who measures what, host by host. */
static void fleet_rows(struct fleet *f)
{
	uint32_t at = 0;

	for (uint32_t i = 0; i < f->n_pairs; i++) {
		const struct fleet_pair *p = &f->pairs[i];

		for (unsigned server = 0; server < 2; server++) {
			int32_t instance = server ? p->server : p->client;

			if (instance >= 0)
				f->hosts[f->instances[instance].host].n_rows++;
		}
	}
	for (uint32_t i = 0; i < f->conf.hosts; i++) {
		f->hosts[i].first_row = at;
		at += f->hosts[i].n_rows;
		f->hosts[i].n_rows = 0;
	}
	f->n_rows = at;
	for (uint32_t i = 0; i < f->n_pairs; i++) {
		const struct fleet_pair *p = &f->pairs[i];

		for (unsigned server = 0; server < 2; server++) {
			int32_t instance = server ? p->server : p->client;
			struct fleet_host *h;

			if (instance < 0)
				continue;
			h = &f->hosts[f->instances[instance].host];
			f->rows[h->first_row + h->n_rows++] =
				(struct fleet_row){i, server, f->edges[p->edge].v6, (uint32_t)instance};
		}
	}
	for (uint32_t i = 0; i < f->conf.hosts; i++)
		qsort(&f->rows[f->hosts[i].first_row], f->hosts[i].n_rows, sizeof(*f->rows), row_cmp);
}

/* Takes rows away, evenly over all, until they are as many as asked for. */
static int fleet_trim(struct fleet *f)
{
	uint64_t keys = f->conf.keys, all = f->n_rows, nth = 0;

	if (!keys)
		return 0;
	if (all < keys)
		return -ENOSPC;
	for (uint32_t i = 0; i < f->conf.hosts; i++) {
		struct fleet_host *h = &f->hosts[i];
		uint32_t n = h->n_rows;

		h->n_rows = 0;
		for (uint32_t k = 0; k < n; k++, nth++)
			if (nth * keys / all != (nth + 1) * keys / all)
				f->rows[h->first_row + h->n_rows++] = f->rows[h->first_row + k];
	}
	f->n_rows = (uint32_t)keys;
	return 0;
}

/* --- all of it */

void fleet_free(struct fleet *f)
{
	if (!f)
		return;
	free(f->services);
	free(f->instances);
	free(f->edges);
	free(f->pairs);
	free(f->rows);
	free(f->hosts);
	free(f->by_host);
	free(f->keys);
	buf_deinit(&f->texts);
	free(f);
}

static int fleet_check(const struct fleet_conf *c, char *why, size_t why_len)
{
	if (c->zones > c->hosts || c->zones > FLEET_ZONES)
		snprintf(why, why_len, "%u zones need as many hosts, and more than %d there cannot be", c->zones,
			 FLEET_ZONES);
	else if (c->services < 2 || c->edges + 1 < c->services)
		snprintf(why, why_len, "%u services need %u edges at least, and two of them there are", c->services,
			 c->services - 1);
	else
		return 0;
	return -EINVAL;
}

static bool fleet_memory(struct fleet *f)
{
	const struct fleet_conf *c = &f->conf;

	/* Names point into texts, so it never moves: room for all of them first. */
	buf_init(&f->texts, 0);
	if (!buf_grow(&f->texts, 64 * ((size_t)c->services + c->hosts) + 192 * (size_t)c->edges + 40 * FLEET_NAME))
		return false;
	f->texts.n = 0;
	f->services = calloc(c->services, sizeof(*f->services));
	f->instances = calloc((size_t)c->services * 5, sizeof(*f->instances));
	f->by_host = calloc((size_t)c->services * 5, sizeof(*f->by_host));
	f->edges = calloc(c->edges, sizeof(*f->edges));
	f->pairs = calloc((size_t)c->edges * 2, sizeof(*f->pairs));
	f->rows = calloc((size_t)c->edges * 4, sizeof(*f->rows));
	f->hosts = calloc(c->hosts, sizeof(*f->hosts));
	return f->services && f->instances && f->by_host && f->edges && f->pairs && f->rows && f->hosts;
}

int fleet_new(struct fleet **ret, const struct fleet_conf *conf, char *why, size_t why_len)
{
	struct fleet *f = NULL;
	int r = fleet_check(conf, why, why_len);

	if (r < 0)
		return r;
	snprintf(why, why_len, "out of memory");
	f = calloc(1, sizeof(*f));
	if (!f)
		return -ENOMEM;
	f->conf = *conf;
	if (!fleet_memory(f)) {
		fleet_free(f);
		return -ENOMEM;
	}
	fleet_services(f);
	fleet_hosts(f);
	r = fleet_instances(f);
	if (r < 0)
		snprintf(why, why_len, "%u services do not fit on %u hosts in %u zones: take more hosts",
			 conf->services, conf->hosts, conf->zones);
	if (r == 0) {
		r = fleet_edges(f);
		if (r == -ENOSPC)
			snprintf(why, why_len, "%u services have no room for %u edges", conf->services, conf->edges);
	}
	if (r < 0) {
		fleet_free(f);
		return r;
	}
	fleet_rows(f);
	r = fleet_trim(f);
	if (r < 0) {
		snprintf(why, why_len, "%u edges make %u keys: take more edges", conf->edges, f->n_rows);
		fleet_free(f);
		return r;
	}
	*ret = f;
	return 0;
}
