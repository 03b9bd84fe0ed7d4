/* SPDX-License-Identifier: Apache-2.0 */
#include "graph/hosts.h"

#include <errno.h>
#include <stdlib.h>

#include "base/hash.h"

/* A chained hash of nodes that are members of larger structs. */
struct map_node {
	struct map_node *next;
	uint64_t hash;
};

struct map {
	struct map_node **slots;
	size_t n, n_slots;
};

enum record_kind { RECORD_HOST, RECORD_LISTENER };

/* Both kinds of record: found by the key of their message. */
struct record {
	struct map_node by_key;
	enum record_kind kind;
	size_t key_len;
	char *key; /* behind the record */
};

struct host;

struct host_address {
	struct map_node by_ip; /* (net, ip) */
	const struct host *host;
	struct ip ip;
	uint32_t netns;
	bool host_only;
};

struct host {
	struct record record;
	struct map_node by_id; /* (net, id) */
	struct str net, id, hostname;
	uint32_t interval;
	unsigned n;
	struct host_address addresses[];
};

struct listener {
	struct record record;
	struct map_node by_port; /* (net, host, protocol, port) */
	struct str net, host, service;
	struct ip addr;
	uint32_t netns, interval, since;
	uint16_t port;
	uint8_t protocol;
	bool alive;
};

struct hosts {
	struct map keys, ids, ips, ports;
	uint64_t n_hosts, n_listeners;
	size_t sweep; /* slot of `keys` that hosts_expire() looks at next */
	struct flow_msg msg;
};

#define CONTAINER(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

static int map_add(struct map *m, struct map_node *node, uint64_t hash)
{
	if (m->n >= m->n_slots) {
		size_t n = m->n_slots ? m->n_slots * 2 : 64;
		struct map_node **slots = calloc(n, sizeof(struct map_node *));

		if (!slots && !m->n_slots)
			return -ENOMEM;
		for (size_t i = 0; slots && i < m->n_slots; i++) {
			for (struct map_node *at = m->slots[i], *next; at; at = next) {
				next = at->next;
				at->next = slots[at->hash & (n - 1)];
				slots[at->hash & (n - 1)] = at;
			}
		}
		if (slots) {
			free(m->slots);
			m->slots = slots;
			m->n_slots = n;
		}
	}
	node->hash = hash;
	node->next = m->slots[hash & (m->n_slots - 1)];
	m->slots[hash & (m->n_slots - 1)] = node;
	m->n++;
	return 0;
}

static void map_remove(struct map *m, struct map_node *node)
{
	struct map_node **at = m->n_slots ? &m->slots[node->hash & (m->n_slots - 1)] : NULL;

	for (; at && *at; at = &(*at)->next) {
		if (*at == node) {
			*at = node->next;
			m->n--;
			return;
		}
	}
}

static struct map_node *map_first(const struct map *m, uint64_t hash)
{
	struct map_node *node = m->n_slots ? m->slots[hash & (m->n_slots - 1)] : NULL;

	while (node && node->hash != hash)
		node = node->next;
	return node;
}

static struct map_node *map_next(const struct map_node *node)
{
	uint64_t hash = node->hash;

	for (node = node->next; node && node->hash != hash;)
		node = node->next;
	return (struct map_node *)node;
}

static uint64_t hash_str(struct str s, uint64_t seed)
{
	return hash64_seed(s.p ? s.p : "", s.n, seed);
}

static uint64_t hash_ip(struct str net, const struct ip *ip)
{
	return hash64_seed(ip->b, 16, hash_str(net, 1));
}

static uint64_t hash_id(struct str net, struct str id)
{
	return hash_str(id, hash_str(net, 2));
}

static uint64_t hash_port(struct str net, struct str host, uint8_t protocol, uint16_t port)
{
	return hash_id(net, host) ^ hash64(&(uint32_t){(uint32_t)protocol << 16 | port}, 4);
}

int hosts_new(struct hosts **ret)
{
	struct hosts *h = calloc(1, sizeof(*h));

	if (!h)
		return -ENOMEM;
	*ret = h;
	return 0;
}

/* Out of every map, and freed. Fine with a record that is in some of them only. */
static void hosts_remove(struct hosts *h, struct record *rec)
{
	map_remove(&h->keys, &rec->by_key);
	if (rec->kind == RECORD_HOST) {
		struct host *host = (struct host *)rec;

		map_remove(&h->ids, &host->by_id);
		for (unsigned i = 0; i < host->n; i++)
			map_remove(&h->ips, &host->addresses[i].by_ip);
		h->n_hosts--;
	} else {
		map_remove(&h->ports, &((struct listener *)rec)->by_port);
		h->n_listeners--;
	}
	free(rec);
}

void hosts_free(struct hosts *h)
{
	if (!h)
		return;
	for (size_t i = 0; i < h->keys.n_slots; i++) {
		while (h->keys.slots[i])
			hosts_remove(h, CONTAINER(h->keys.slots[i], struct record, by_key));
	}
	free(h->keys.slots);
	free(h->ids.slots);
	free(h->ips.slots);
	free(h->ports.slots);
	free(h);
}

static struct record *hosts_by_key(const struct hosts *h, struct str key)
{
	for (struct map_node *at = map_first(&h->keys, hash_str(key, 3)); at; at = map_next(at)) {
		struct record *rec = CONTAINER(at, struct record, by_key);

		if (str_eq((struct str){rec->key, rec->key_len}, key))
			return rec;
	}
	return NULL;
}

/* Copies `s` to *to and moves *to on. */
static struct str keep_str(char **to, struct str s)
{
	char *at = *to;

	if (s.n)
		memcpy(at, s.p, s.n);
	*to += s.n;
	return (struct str){at, s.n};
}

static struct record *host_from(const struct flow_host *f, struct str key)
{
	size_t head = sizeof(struct host) + f->n_addresses * sizeof(struct host_address);
	struct host *host = calloc(1, head + key.n + f->net.n + f->id.n + f->hostname.n);
	char *text;

	if (!host)
		return NULL;
	text = (char *)host + head;
	host->record.kind = RECORD_HOST;
	host->record.key_len = key.n;
	host->record.key = text;
	(void)keep_str(&text, key);
	host->net = keep_str(&text, f->net);
	host->id = keep_str(&text, f->id);
	host->hostname = keep_str(&text, f->hostname);
	host->interval = f->interval;
	host->n = f->n_addresses;
	for (unsigned i = 0; i < host->n; i++)
		host->addresses[i] = (struct host_address){.host = host,
							   .ip = f->addresses[i].ip,
							   .netns = f->addresses[i].netns,
							   .host_only = f->addresses[i].host_only};
	return &host->record;
}

static struct record *listener_from(const struct flow_listener *f, struct str key)
{
	struct str service = f->names.service.n ? f->names.service : f->names.process;
	struct listener *l = calloc(1, sizeof(*l) + key.n + f->net.n + f->host.n + service.n);
	char *text;

	if (!l)
		return NULL;
	text = (char *)(l + 1);
	l->record.kind = RECORD_LISTENER;
	l->record.key_len = key.n;
	l->record.key = text;
	(void)keep_str(&text, key);
	l->net = keep_str(&text, f->net);
	l->host = keep_str(&text, f->host);
	l->service = keep_str(&text, service);
	l->addr = f->addr;
	l->netns = f->netns;
	l->interval = f->interval;
	l->since = f->since;
	l->port = f->port;
	l->protocol = f->protocol;
	l->alive = f->alive != 0;
	return &l->record;
}

static int hosts_index(struct hosts *h, struct record *rec)
{
	int r = map_add(&h->keys, &rec->by_key, hash_str((struct str){rec->key, rec->key_len}, 3));

	if (rec->kind == RECORD_HOST) {
		struct host *host = (struct host *)rec;

		h->n_hosts++;
		if (r == 0)
			r = map_add(&h->ids, &host->by_id, hash_id(host->net, host->id));
		for (unsigned i = 0; i < host->n && r == 0; i++)
			r = map_add(&h->ips, &host->addresses[i].by_ip, hash_ip(host->net, &host->addresses[i].ip));
	} else {
		struct listener *l = (struct listener *)rec;

		h->n_listeners++;
		if (r == 0)
			r = map_add(&h->ports, &l->by_port, hash_port(l->net, l->host, l->protocol, l->port));
	}
	return r;
}

int hosts_put(struct hosts *h, struct str key, const void *value, size_t value_len)
{
	struct record *old, *rec;
	int r;

	if (!key.n)
		return -EBADMSG;
	if (value && flow_msg_decode(value, value_len, &h->msg) < 0)
		return -EBADMSG;
	if (value && h->msg.type != FLOW_MSG_HOST && h->msg.type != FLOW_MSG_LISTENER)
		return -EBADMSG;
	old = hosts_by_key(h, key);
	if (value && !old && h->keys.n >= HOSTS_MAX)
		return -ENOSPC;
	rec = !value                         ? NULL
	      : h->msg.type == FLOW_MSG_HOST ? host_from(&h->msg.host, key)
					     : listener_from(&h->msg.listener, key);
	if (value && !rec)
		return -ENOMEM;
	if (old)
		hosts_remove(h, old);
	if (!rec)
		return 0;
	r = hosts_index(h, rec);
	if (r < 0)
		hosts_remove(h, rec);
	return r;
}

/* --- looking up */

struct found {
	const struct listener *listener;
	const struct host *host;
	bool exact; /* bound to this very address */
};

static bool listener_valid(const struct listener *l, const struct hosts_where *at)
{
	uint64_t until = (uint64_t)l->interval + (l->alive ? HOSTS_UNSEEN_S : 0);

	/* the agent may see a new listener an interval after its first connection */
	return l->since <= (uint64_t)at->interval + 2u * at->interval_s && at->interval <= until;
}

static bool listener_takes(const struct listener *l, const struct ip *ip)
{
	if (!ip_is_zero(&l->addr))
		return ip_eq(&l->addr, ip);
	return !ip_is_v4(&l->addr) || ip_is_v4(ip);
}

/* a before b: the same choice whatever the order they came in. */
static bool host_before(const struct host *a, const struct host *b)
{
	if (!b || a->interval != b->interval)
		return !b || a->interval > b->interval;
	return str_cmp(a->id, b->id) < 0;
}

static void host_listener(const struct hosts *h, const struct host *host, const uint32_t *netns,
			  const struct hosts_where *at, uint8_t protocol, uint16_t port, struct found *best)
{
	struct map_node *n = map_first(&h->ports, hash_port(host->net, host->id, protocol, port));

	for (; n; n = map_next(n)) {
		const struct listener *l = CONTAINER(n, struct listener, by_port);
		bool exact = !ip_is_zero(&l->addr);

		if (l->port != port || l->protocol != protocol || !str_eq(l->net, host->net) ||
		    !str_eq(l->host, host->id) || (netns && l->netns != *netns) || !listener_takes(l, &at->ip) ||
		    !listener_valid(l, at))
			continue;
		if (best->listener && (best->exact > exact ||
				       (best->exact == exact && best->host != host && !host_before(host, best->host))))
			continue;
		if (best->listener && best->exact == exact && best->host == host &&
		    (best->listener->since > l->since ||
		     (best->listener->since == l->since && best->listener->netns < l->netns)))
			continue;
		*best = (struct found){l, host, exact};
	}
}

/* "<host id>" or "<host id>/<netns>" */
static const struct host *scope_host(const struct hosts *h, const struct hosts_where *at, uint32_t *ret_netns,
				     bool *ret_has_netns)
{
	struct str id = at->scope;
	uint64_t netns = 0;
	size_t i = id.n;

	*ret_has_netns = false;
	while (i > 0 && id.p[i - 1] >= '0' && id.p[i - 1] <= '9')
		i--;
	if (i > 1 && i < id.n && id.n - i <= 10 && id.p[i - 1] == '/') {
		for (size_t k = i; k < id.n; k++)
			netns = netns * 10 + (uint64_t)(id.p[k] - '0');
		*ret_netns = (uint32_t)netns;
		*ret_has_netns = true;
		id.n = i - 1;
	}
	for (struct map_node *n = map_first(&h->ids, hash_id(at->net, id)); n; n = map_next(n)) {
		const struct host *host = CONTAINER(n, struct host, by_id);

		if (str_eq(host->net, at->net) && str_eq(host->id, id))
			return host;
	}
	return NULL;
}

static bool address_is(const struct host_address *a, const struct hosts_where *at)
{
	return ip_eq(&a->ip, &at->ip) && str_eq(a->host->net, at->net);
}

bool hosts_listener(const struct hosts *h, const struct hosts_where *at, uint8_t protocol, uint16_t port,
		    struct str *ret_service)
{
	struct found best = {NULL, NULL, false};
	const struct host *host;
	bool has_netns, listed = false;
	uint32_t netns;

	if (at->scope.n) {
		host = scope_host(h, at, &netns, &has_netns);
		for (unsigned i = 0; host && !has_netns && i < host->n; i++) {
			if (!address_is(&host->addresses[i], at))
				continue;
			listed = true;
			host_listener(h, host, &host->addresses[i].netns, at, protocol, port, &best);
		}
		if (host && !listed)
			host_listener(h, host, has_netns ? &netns : NULL, at, protocol, port, &best);
	} else {
		for (struct map_node *n = map_first(&h->ips, hash_ip(at->net, &at->ip)); n; n = map_next(n)) {
			const struct host_address *a = CONTAINER(n, struct host_address, by_ip);

			if (address_is(a, at) && !a->host_only)
				host_listener(h, a->host, &a->netns, at, protocol, port, &best);
		}
	}
	if (!best.listener || !best.listener->service.n)
		return false;
	*ret_service = best.listener->service;
	return true;
}

bool hosts_name(const struct hosts *h, const struct hosts_where *at, struct str *ret_name)
{
	const struct host *best = NULL;
	bool has_netns;
	uint32_t netns;

	if (at->scope.n) {
		best = scope_host(h, at, &netns, &has_netns);
	} else {
		for (struct map_node *n = map_first(&h->ips, hash_ip(at->net, &at->ip)); n; n = map_next(n)) {
			const struct host_address *a = CONTAINER(n, struct host_address, by_ip);

			if (address_is(a, at) && !a->host_only && host_before(a->host, best))
				best = a->host;
		}
	}
	if (!best)
		return false;
	*ret_name = best->hostname.n ? best->hostname : best->id;
	return true;
}

/* Until when a record is kept that is not said again. */
static uint64_t record_until(const struct record *rec)
{
	const struct listener *l = (const struct listener *)rec;

	if (rec->kind == RECORD_HOST)
		return (uint64_t)((const struct host *)rec)->interval + HOSTS_HOST_S;
	return (uint64_t)l->interval + HOSTS_KEEP_S + (l->alive ? HOSTS_UNSEEN_S : 0);
}

void hosts_expire(struct hosts *h, uint32_t interval)
{
	/* a part of the table a call: no call is long */
	for (size_t k = 0; k < 256 && h->keys.n_slots; k++) {
		struct map_node *n = h->keys.slots[h->sweep++ & (h->keys.n_slots - 1)], *next;

		for (; n; n = next) {
			struct record *rec = CONTAINER(n, struct record, by_key);

			next = n->next;
			if (record_until(rec) < interval)
				hosts_remove(h, rec);
		}
	}
}

void hosts_count(const struct hosts *h, uint64_t *ret_hosts, uint64_t *ret_listeners)
{
	*ret_hosts = h->n_hosts;
	*ret_listeners = h->n_listeners;
}
