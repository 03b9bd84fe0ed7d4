/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Translations by tuple, and rows by translation.
 *
 * A ring of the last NAT_MAX translations, found by the tuple before and by the tuple after, in chains. A connection may be
 * translated more than once on its way through the host's namespaces (a service's address in the pod's, the source in the
 * host's): its own namespace's translation comes first, then those of the others, as long as one is known for the tuple so far.
 *
 * Invariants
 *  1. Bytes are never put to a wrong back end. Where nothing is certain the row stays on the dialled address, flagged:
 *      - two namespaces (or zones) translate the same tuple differently; a tuple was translated again since the rows before
 *        were drained, and it is a connection that ended of which one asks;
 *      - a row the kernel has summed whose ports are not all listed, or lead to different places, or that holds attempts
 *        that failed: those have no port.
 *  2. So that this is seldom, an address that is found to stand for others, or at which a row was flagged, is listed: the hook
 *     then makes a row a connection to it (key.other_port), settled and added up when it is drained. The hook stops at 13/16 of its
 *     rows (drained at 12/16); past that rows are summed and flagged as above.
 *  3. An open connection is settled once, by whoever follows it, and keeps its key; so translations need not be kept for longer
 *     than until a connection is first met. The end of tracking is not listened for: half the messages. Datagrams are asked about
 *     at each interval's end: their translation stays as long as it is asked for, and its place is passed over once when places
 *     are taken. One that was replaced counts until the interval in which that happened was asked about: datagrams of it may
 *     have gone to either.
 *  4. key.via is the place of an address: what a client dialled; for a server's row, whose local address must first find its
 *     listener, the address it is to be put under (agent/named.c does). Places are never taken back.
 *  5. Datagrams that are sent are seen behind their own namespace's translation, those that come before it. A row of the former
 *     is led back to the socket's own tuple first. If it cannot be (more ports than it lists), its bytes are where they
 *     belong all the same; only who dialled what is not said of them.
 *  6. A server's row is put back to what the outside dialled only when its client is none of this host's addresses: a client
 *     here has its own row, under the tuple as it left.
 *
 * Lost: translations that were overwritten before they were asked for (`early`), and those tracking never told (agent/nat_ct.h).
 * Their connections count as not translated.
 *
 * Why not the kernel's own table at each connection's end: no helper of the hook's program type reads it before 6.x, a kprobe needs
 * the module's types and is not there on all hosts; a look-up by netlink costs a system call a connection.
 */
#include "agent/nat.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "agent/nat_vias.h"
#include "agent/nat_where.h"
#include "base/hash.h"

#define NAT_ENDS 4096 /* addresses with port that are translated; power of two */
#define NAT_TRIES 16
#define NAT_STEPS 4   /* translations one after another */
#define NAT_PASSES 64 /* places passed over at one taking */

enum nat_way { NAT_FORTH, NAT_BACK, NAT_WAYS };

struct nat_slot {
	struct nat_entry e;
	int64_t at_us;
	bool used, old; /* old: the same tuple was translated otherwise since */
	bool asked;     /* UDP: somebody's, so it is passed over once when places are taken */
	uint32_t next[NAT_WAYS];
};

/* An address and port at which something is translated. */
struct nat_end {
	struct ip ip;
	uint16_t port;
	uint8_t protocol, way;
	bool used, listed;
	int64_t at_us;
};

struct nat {
	struct nat_slot *v;
	uint32_t *heads[NAT_WAYS]; /* index + 1 */
	uint32_t max, next, mask;
	int64_t now_us;
	struct nat_end ends[NAT_ENDS];
	struct nat_vias vias;
	struct ip *own;
	size_t n_own;
	bool own_known, again;
	struct {
		int (*list)(void *arg, const uint8_t address[16]);
		void *arg;
	} lists[2];            /* TCP, UDP */
	int64_t drained_us[2]; /* rows made before it were all asked about: TCP's, UDP's */
	void (*read)(void *arg);
	void *read_arg;
	struct nat_counts counts;
};

int nat_new(struct nat **ret, uint32_t max)
{
	struct nat *n = calloc(1, sizeof(*n));
	uint32_t slots = 64;

	if (!n)
		return -ENOMEM;
	while (slots < max)
		slots *= 2;
	n->max = max;
	n->mask = slots - 1;
	n->v = calloc(max, sizeof(*n->v)); /* fresh pages: what is never used costs no memory */
	n->heads[NAT_FORTH] = calloc(slots, sizeof(uint32_t));
	n->heads[NAT_BACK] = calloc(slots, sizeof(uint32_t));
	if (!n->v || !n->heads[NAT_FORTH] || !n->heads[NAT_BACK]) {
		nat_free(n);
		return -ENOMEM;
	}
	*ret = n;
	return 0;
}

void nat_free(struct nat *n)
{
	if (!n)
		return;
	free(n->v);
	free(n->heads[NAT_FORTH]);
	free(n->heads[NAT_BACK]);
	free(n->own);
	free(n);
}

void nat_list_by(struct nat *n, uint8_t protocol, int (*list)(void *arg, const uint8_t address[16]), void *arg)
{
	n->lists[protocol == IPPROTO_UDP].list = list;
	n->lists[protocol == IPPROTO_UDP].arg = arg;
}

static int ip_order(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct ip));
}

int nat_own(struct nat *n, const struct ip *v, size_t count)
{
	struct ip *own = malloc((count ? count : 1) * sizeof(*own));

	n->own_known = own != NULL;
	free(n->own);
	n->own = own;
	n->n_own = own ? count : 0;
	if (!own)
		return -ENOMEM;
	memcpy(own, v, count * sizeof(*own));
	qsort(own, count, sizeof(*own), ip_order);
	return 0;
}

static bool nat_is_own(const struct nat *n, const struct ip *ip)
{
	return !n->own_known || ip_is_loopback(ip) || bsearch(ip, n->own, n->n_own, sizeof(*ip), ip_order);
}

/* --- the ring */

static const struct nat_tuple *tuple_of(const struct nat_entry *e, enum nat_way way)
{
	return way == NAT_FORTH ? &e->before : &e->after;
}

static bool tuple_eq(const struct nat_tuple *a, const struct nat_tuple *b)
{
	return a->sport == b->sport && a->dport == b->dport && a->protocol == b->protocol && ip_eq(&a->src, &b->src) &&
	       ip_eq(&a->dst, &b->dst);
}

static uint32_t *tuple_head(const struct nat *n, const struct nat_tuple *t, enum nat_way way)
{
	uint64_t ports = (uint64_t)t->sport << 24 | (uint64_t)t->dport << 8 | t->protocol;

	return &n->heads[way][hash64_seed(t->src.b, 16, hash64_seed(t->dst.b, 16, ports)) & n->mask];
}

static void place_unlink(struct nat *n, uint32_t i, enum nat_way way)
{
	uint32_t *at = tuple_head(n, tuple_of(&n->v[i].e, way), way);

	while (*at != i + 1)
		at = &n->v[*at - 1].next[way];
	*at = n->v[i].next[way];
}

static bool place_fresh(const struct nat *n, const struct nat_slot *p)
{
	return n->now_us - p->at_us < (p->e.before.protocol == IPPROTO_UDP ? NAT_FRESH_UDP_US : NAT_FRESH_US);
}

/* The oldest place that is not a conversation's of late. */
static uint32_t place_next(struct nat *n)
{
	for (unsigned i = 0; i < NAT_PASSES; i++) {
		struct nat_slot *p = &n->v[n->next];

		if (!p->asked || !place_fresh(n, p))
			break;
		p->asked = false;
		n->next = (n->next + 1) % n->max;
	}
	return n->next;
}

static void place_take(struct nat *n, const struct nat_entry *e, int64_t now_us)
{
	uint32_t i = place_next(n);
	struct nat_slot *p = &n->v[i];

	n->next = (i + 1) % n->max;
	if (p->used) {
		n->counts.early += place_fresh(n, p);
		place_unlink(n, i, NAT_FORTH);
		place_unlink(n, i, NAT_BACK);
	}
	*p = (struct nat_slot){.e = *e, .at_us = now_us, .used = true};
	for (unsigned way = 0; way < NAT_WAYS; way++) {
		uint32_t *head = tuple_head(n, tuple_of(e, way), way);

		p->next[way] = *head;
		*head = i + 1;
	}
}

/* --- ends */

static struct nat_end *end_find(struct nat *n, const struct ip *ip, uint16_t port, uint8_t protocol, enum nat_way way,
				bool make)
{
	uint64_t hash = hash64_seed(ip->b, 16, (uint64_t)port << 16 | (unsigned)protocol << 8 | way);
	struct nat_end *oldest = NULL;

	for (unsigned i = 0; i < NAT_TRIES; i++) {
		struct nat_end *e = &n->ends[(hash + i) & (NAT_ENDS - 1)];

		if (!e->used) {
			oldest = e;
			break;
		}
		if (e->port == port && e->protocol == protocol && e->way == way && ip_eq(&e->ip, ip))
			return e;
		if (!oldest || e->at_us < oldest->at_us)
			oldest = e;
	}
	if (!make)
		return NULL;
	*oldest = (struct nat_end){.ip = *ip, .port = port, .protocol = protocol, .way = (uint8_t)way, .used = true};
	return oldest;
}

static void end_list(struct nat *n, struct nat_end *end)
{
	bool udp = end->protocol == IPPROTO_UDP;

	if (end->listed || !n->lists[udp].list || n->lists[udp].list(n->lists[udp].arg, end->ip.b) < 0)
		return;
	end->listed = true;
	n->counts.listed++;
}

/* What is translated at `from` leads to `to`. */
static void end_seen(struct nat *n, const struct nat_tuple *from, const struct nat_tuple *to, enum nat_way way)
{
	struct nat_end *end = end_find(n, &from->dst, from->dport, from->protocol, way, true);

	end->at_us = n->now_us;
	if (way == NAT_FORTH && (from->dport != to->dport || !ip_eq(&from->dst, &to->dst)))
		end_list(n, end);
}

static struct nat_end *end_of(struct nat *n, const struct sky_row_key *key)
{
	bool client = key->role == SKY_ROLE_CLIENT;

	return end_find(n, (const struct ip *)(client ? key->remote : key->local), key->service_port, key->protocol,
			client ? NAT_FORTH : NAT_BACK, false);
}

bool nat_known(struct nat *n, const struct sky_row_key *key)
{
	return end_of(n, key) != NULL;
}

void nat_list(struct nat *n, const struct sky_row_key *key)
{
	struct nat_end *end = end_of(n, key);

	if (end)
		end_list(n, end);
}

void nat_put(struct nat *n, const struct nat_entry *e, int64_t now_us)
{
	uint32_t i = *tuple_head(n, &e->before, NAT_FORTH);

	n->now_us = now_us ? now_us : 1;
	for (; i; i = n->v[i - 1].next[NAT_FORTH]) {
		struct nat_slot *p = &n->v[i - 1];

		if (p->e.netns != e->netns || p->e.zone != e->zone || !tuple_eq(&p->e.before, &e->before) || p->old)
			continue;
		if (tuple_eq(&p->e.after, &e->after)) {
			p->at_us = n->now_us;
			return;
		}
		p->old = true;
		p->at_us = n->now_us;
	}
	n->counts.entries++;
	place_take(n, e, n->now_us);
	end_seen(n, &e->before, &e->after, NAT_FORTH);
	end_seen(n, &e->after, &e->before, NAT_BACK);
}

void nat_at(struct nat *n, int64_t now_us)
{
	n->now_us = now_us;
}

void nat_read_by(struct nat *n, void (*read)(void *arg), void *arg)
{
	n->read = read;
	n->read_arg = arg;
}

void nat_refresh(struct nat *n)
{
	if (n && n->read)
		n->read(n->read_arg);
}

/* --- following */

struct nat_trip {
	struct nat_tuple t; /* so far */
	uint32_t seen[NAT_STEPS];
	unsigned n_seen;
	enum nat_way way;
	bool live, udp;
	uint32_t by[NAT_STEPS + 1]; /* translations, index */
	unsigned n_by;
};

static bool trip_was_in(const struct nat_trip *trip, uint32_t netns)
{
	for (unsigned i = 0; i < trip->n_seen; i++)
		if (trip->seen[i] == netns)
			return true;
	return false;
}

/* It cannot be what one asks for: too old, or replaced before what one asks about began. */
static bool trip_past(const struct nat *n, const struct nat_trip *trip, const struct nat_slot *p)
{
	return !place_fresh(n, p) || (p->old && (trip->live || p->at_us < n->drained_us[trip->udp]));
}

/* One translation: by `own`, or by any namespace it was not in yet (own 0). */
static enum nat_found trip_step(const struct nat *n, struct nat_trip *trip, uint32_t own)
{
	uint32_t i = *tuple_head(n, &trip->t, trip->way), netns = 0, by = 0;
	const struct nat_tuple *to = NULL;

	for (; i; i = n->v[i - 1].next[trip->way]) {
		const struct nat_slot *p = &n->v[i - 1];
		const struct nat_tuple *other = tuple_of(&p->e, !trip->way);

		if (trip_past(n, trip, p) || !tuple_eq(tuple_of(&p->e, trip->way), &trip->t))
			continue;
		if (own ? p->e.netns != own : trip_was_in(trip, p->e.netns))
			continue;
		if (to && !tuple_eq(to, other))
			return NAT_SEVERAL;
		to = other;
		netns = p->e.netns;
		by = i - 1;
	}
	if (!to)
		return NAT_NONE;
	trip->t = *to;
	trip->by[trip->n_by++] = by;
	if (!own)
		trip->seen[trip->n_seen++] = netns;
	return NAT_ONE;
}

/* The whole way of a connection of namespace `netns`. */
static enum nat_found trip_make(const struct nat *n, struct nat_trip *trip, uint32_t netns)
{
	enum nat_found found = trip_step(n, trip, netns), step = NAT_ONE;

	trip->seen[trip->n_seen++] = netns;
	while (found != NAT_SEVERAL && step == NAT_ONE && trip->n_seen < NAT_STEPS) {
		step = trip_step(n, trip, 0);
		if (step != NAT_NONE)
			found = step;
	}
	return found;
}

/* Datagrams that are sent are seen behind the translation of their own namespace: back to what their socket has. */
static enum nat_found trip_unsend(const struct nat *n, struct nat_trip *trip, uint32_t netns)
{
	enum nat_found found;

	trip->way = !trip->way;
	found = trip_step(n, trip, netns);
	trip->way = !trip->way;
	return found;
}

/* UDP's last as long as they are asked for. */
static void trip_keep(struct nat *n, const struct nat_trip *trip)
{
	for (unsigned i = 0; i < trip->n_by; i++) {
		struct nat_slot *p = &n->v[trip->by[i]];

		p->asked = true;
		if (!p->old)
			p->at_us = n->now_us;
	}
}

enum nat_found nat_where(struct nat *n, const struct sky_row_key *key, uint16_t port, bool live, struct nat_place *ret)
{
	bool client = key->role == SKY_ROLE_CLIENT, udp = key->protocol == IPPROTO_UDP;
	struct nat_trip trip = {.t = {.sport = port, .dport = key->service_port, .protocol = key->protocol},
				.way = client ? NAT_FORTH : NAT_BACK,
				.live = live,
				.udp = udp};
	enum nat_found sent = NAT_NONE, found;

	memcpy(trip.t.src.b, client ? key->local : key->remote, 16);
	memcpy(trip.t.dst.b, client ? key->remote : key->local, 16);
	if (udp)
		sent = trip_unsend(n, &trip, key->netns);
	ret->own = ret->wire = trip.t;
	if (sent == NAT_SEVERAL)
		return NAT_SEVERAL;
	found = trip_make(n, &trip, key->netns);
	if (udp && found == NAT_ONE)
		trip_keep(n, &trip);
	if (found == NAT_ONE && !client && nat_is_own(n, &trip.t.src))
		return sent;
	ret->wire = trip.t;
	return found;
}

void nat_drained(struct nat *n, uint8_t protocol, int64_t began_us)
{
	if (n)
		n->drained_us[protocol == IPPROTO_UDP] = began_us;
}

/* --- places of addresses */

uint32_t nat_address(struct nat *n, const struct ip *ip, uint16_t port)
{
	uint32_t via = nat_vias_add(&n->vias, ip, port);

	n->counts.full += !via;
	return via;
}

bool nat_via(const struct nat *n, uint32_t via, struct ip *ret, uint16_t *ret_port)
{
	return n && nat_vias_get(&n->vias, via, ret, ret_port);
}

void nat_forgot(struct nat *n)
{
	if (n)
		n->again = true;
}

bool nat_again(struct nat *n)
{
	bool again = n->again;

	n->again = false;
	return again;
}

const struct nat_counts *nat_counts(const struct nat *n)
{
	return &n->counts;
}

struct nat_counts *nat_counting(struct nat *n)
{
	return &n->counts;
}
