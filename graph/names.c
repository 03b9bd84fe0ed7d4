/* SPDX-License-Identifier: Apache-2.0 */
#include "graph/names.h"

#include <errno.h>
#include <stdlib.h>

struct names_kept_end {
	uint64_t bytes;
	uint32_t at, n; /* text, in the node's */
};

struct names_node {
	struct names_node *next;
	uint64_t hash;
	struct flow_conv conv; /* strings in text */
	uint32_t interval;
	uint16_t partition;
	uint8_t n_clients, n_servers;
	char *text;
	struct names_kept_end ends[]; /* clients, servers; then the text */
};

struct names {
	struct names_node **slots;
	size_t n, n_slots, sweep;
};

int names_new(struct names **ret)
{
	struct names *n = calloc(1, sizeof(*n));

	if (!n)
		return -ENOMEM;
	*ret = n;
	return 0;
}

void names_free(struct names *n)
{
	if (!n)
		return;
	for (size_t i = 0; i < n->n_slots; i++) {
		for (struct names_node *at = n->slots[i], *next; at; at = next) {
			next = at->next;
			free(at);
		}
	}
	free(n->slots);
	free(n);
}

static struct names_node **names_slot(const struct names *n, const struct flow_conv *conv, uint64_t hash)
{
	struct names_node **at;

	if (!n->n_slots)
		return NULL;
	at = &n->slots[hash & (n->n_slots - 1)];
	while (*at && ((*at)->hash != hash || !flow_conv_eq(&(*at)->conv, conv)))
		at = &(*at)->next;
	return at;
}

static struct str node_str(struct names_node *node, size_t *at, struct str s)
{
	struct str kept = {node->text + *at, s.n};

	if (s.n)
		memcpy(node->text + *at, s.p, s.n);
	*at += s.n;
	return kept;
}

static struct names_node *node_new(const struct flow_conv *conv, const struct names_ends *ends)
{
	unsigned n = ends->n_clients + ends->n_servers;
	size_t head = sizeof(struct names_node) + n * sizeof(struct names_kept_end), text = conv->net.n + conv->scope.n;
	struct names_node *node;
	size_t at = 0;

	for (unsigned i = 0; i < ends->n_clients; i++)
		text += ends->clients[i].service.n;
	for (unsigned i = 0; i < ends->n_servers; i++)
		text += ends->servers[i].service.n;
	node = malloc(head + text);
	if (!node)
		return NULL;
	*node = (struct names_node){.conv = *conv,
				    .text = (char *)node + head,
				    .n_clients = (uint8_t)ends->n_clients,
				    .n_servers = (uint8_t)ends->n_servers};
	node->conv.net = node_str(node, &at, conv->net);
	node->conv.scope = node_str(node, &at, conv->scope);
	for (unsigned i = 0; i < n; i++) {
		const struct names_end *e =
			i < ends->n_clients ? &ends->clients[i] : &ends->servers[i - ends->n_clients];

		node->ends[i] = (struct names_kept_end){e->bytes, (uint32_t)at, (uint32_t)e->service.n};
		(void)node_str(node, &at, e->service);
	}
	return node;
}

static void node_get(const struct names_node *node, struct names_ends *ret)
{
	ret->n_clients = node->n_clients;
	ret->n_servers = node->n_servers;
	for (unsigned i = 0; i < (unsigned)node->n_clients + node->n_servers; i++) {
		const struct names_kept_end *k = &node->ends[i];
		struct names_end *e = i < node->n_clients ? &ret->clients[i] : &ret->servers[i - node->n_clients];

		*e = (struct names_end){{node->text + k->at, k->n}, k->bytes};
	}
}

/* Same services in the same order: only the weights are new. */
static bool node_update(struct names_node *node, const struct names_ends *ends)
{
	if (node->n_clients != ends->n_clients || node->n_servers != ends->n_servers)
		return false;
	for (unsigned pass = 0; pass < 2; pass++) {
		for (unsigned i = 0; i < ends->n_clients + ends->n_servers; i++) {
			const struct names_end *e =
				i < ends->n_clients ? &ends->clients[i] : &ends->servers[i - ends->n_clients];

			if (pass == 1)
				node->ends[i].bytes = e->bytes;
			else if (!str_eq((struct str){node->text + node->ends[i].at, node->ends[i].n}, e->service))
				return false;
		}
	}
	return true;
}

static void names_grow(struct names *n)
{
	size_t size = n->n_slots ? n->n_slots * 2 : 256;
	struct names_node **slots = calloc(size, sizeof(struct names_node *));

	if (!slots)
		return;
	for (size_t i = 0; i < n->n_slots; i++) {
		for (struct names_node *at = n->slots[i], *next; at; at = next) {
			next = at->next;
			at->next = slots[at->hash & (size - 1)];
			slots[at->hash & (size - 1)] = at;
		}
	}
	free(n->slots);
	n->slots = slots;
	n->n_slots = size;
}

void names_keep(struct names *n, unsigned partition, const struct flow_conv *conv, uint64_t hash, uint32_t interval,
		const struct names_ends *ends)
{
	struct names_node **at, *node, *old;
	struct names_ends all = *ends, before;

	if (n->n >= n->n_slots && n->n < NAMES_MAX)
		names_grow(n);
	at = names_slot(n, conv, hash);
	if (!at || (!*at && n->n >= NAMES_MAX) || (*at && (*at)->interval > interval))
		return;
	old = *at;
	if (old && (!all.n_clients || !all.n_servers)) {
		node_get(old, &before);
		if (!all.n_clients) {
			all.n_clients = before.n_clients;
			memcpy(all.clients, before.clients, sizeof(all.clients));
		}
		if (!all.n_servers) {
			all.n_servers = before.n_servers;
			memcpy(all.servers, before.servers, sizeof(all.servers));
		}
	}
	if (old && node_update(old, &all)) {
		old->interval = interval;
		return;
	}
	node = node_new(conv, &all);
	if (!node)
		return;
	node->hash = hash;
	node->interval = interval;
	node->partition = (uint16_t)partition;
	node->next = old ? old->next : NULL;
	*at = node;
	n->n += !old;
	free(old);
}

bool names_find(const struct names *n, const struct flow_conv *conv, uint64_t hash, uint32_t interval,
		struct names_ends *ret)
{
	struct names_node **at = names_slot(n, conv, hash);

	if (!at || !*at || (uint64_t)(*at)->interval + NAMES_KEEP_S < interval ||
	    (*at)->interval > (uint64_t)interval + NAMES_KEEP_S)
		return false;
	node_get(*at, ret);
	return true;
}

/* Removes what is older than `interval` - 10 minutes or of `partition` from slot i. */
static void names_sweep(struct names *n, size_t i, uint32_t interval, int64_t partition)
{
	for (struct names_node **at = &n->slots[i]; *at;) {
		struct names_node *node = *at;

		if ((uint64_t)node->interval + NAMES_KEEP_S < interval || node->partition == partition) {
			*at = node->next;
			n->n--;
			free(node);
		} else {
			at = &node->next;
		}
	}
}

void names_forget(struct names *n, unsigned partition)
{
	for (size_t i = 0; i < n->n_slots; i++)
		names_sweep(n, i, 0, partition);
}

void names_expire(struct names *n, uint32_t interval)
{
	size_t piece = n->n_slots / 32;

	for (size_t i = 0; i < piece; i++)
		names_sweep(n, n->sweep++ & (n->n_slots - 1), interval, -1);
}

uint64_t names_count(const struct names *n)
{
	return n->n;
}
