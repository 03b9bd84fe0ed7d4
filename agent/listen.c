/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/listen.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/table.h"

#define LISTEN_SLOTS (LISTEN_MAX * 2) /* power of two */
#define LISTEN_FDS 8192               /* descriptors looked at in one look, while owners are not known */
#define LISTEN_UDP_SHARE 200          /* a look at UDP's sockets waits so many times what the last took */
#define LISTEN_NAMELESS_US 10000000ll /* so long a new row waits for its owner to be found */

struct listen_one {
	struct ip addr;
	uint32_t netns;
	uint16_t port;
	bool seen; /* in the look under way */
	bool due;  /* something changed that was not told yet */
	bool gone;
	uint32_t inode;  /* of one of its sockets */
	uint64_t cgroup; /* likewise */
	uint32_t pid;    /* its owner; 0 not known (yet) */
	uint32_t queue, queue_max;
	uint64_t drops_now, drops_last; /* sums over its sockets in this look and the former one */
	uint64_t drops;                 /* not told yet */
	bool known_drops;               /* drops_last says something */
	int64_t first_us, seen_us, told_us;
};

struct listen {
	struct fdscan *owners;
	int64_t now_us;
	uint64_t full;
	size_t n, cap;
	struct listen_one *v;
	uint16_t slots[LISTEN_SLOTS]; /* index + 1 */
	uint32_t inum;                /* of the dump under way */
	uint8_t protocol;
	uint16_t port_low, port_high; /* UDP: ports given out by the kernel are no service's */
	int64_t again_us;             /* UDP: no look before */
	uint64_t bad;
};

int listen_new(struct listen **ret, struct fdscan *owners)
{
	struct listen *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	l->owners = owners;
	l->protocol = IPPROTO_TCP;
	*ret = l;
	return 0;
}

void listen_to_udp(struct listen *l, uint16_t port_low, uint16_t port_high)
{
	l->protocol = IPPROTO_UDP;
	l->port_low = port_low;
	l->port_high = port_high;
}

void listen_free(struct listen *l)
{
	if (!l)
		return;
	free(l->v);
	free(l);
}

static size_t listen_slot(const struct listen *l, uint32_t netns, const struct ip *addr, uint16_t port)
{
	size_t i = hash64_seed(addr, sizeof(*addr), (uint64_t)netns << 16 | port) & (LISTEN_SLOTS - 1);

	for (; l->slots[i]; i = (i + 1) & (LISTEN_SLOTS - 1)) {
		const struct listen_one *o = &l->v[l->slots[i] - 1];

		if (o->netns == netns && o->port == port && ip_eq(&o->addr, addr))
			break;
	}
	return i;
}

void listen_begin(struct listen *l, int64_t now_us)
{
	size_t i;

	l->now_us = now_us;
	for (i = 0; i < l->n; i++) {
		l->v[i].seen = false;
		l->v[i].drops_now = 0;
	}
}

static struct listen_one *listen_add(struct listen *l, size_t slot)
{
	struct listen_one *v;

	if (l->n == LISTEN_MAX) {
		l->full++;
		return NULL;
	}
	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 64;

		v = reallocarray(l->v, cap, sizeof(*v));
		if (!v) {
			l->full++;
			return NULL;
		}
		l->v = v;
		l->cap = cap;
	}
	l->slots[slot] = (uint16_t)++l->n;
	return &l->v[l->n - 1];
}

void listen_saw(struct listen *l, uint32_t netns, const struct diag_sock *s)
{
	size_t slot = listen_slot(l, netns, &s->local, s->lport);
	struct listen_one *o;

	if (!l->slots[slot]) {
		o = listen_add(l, slot);
		if (!o)
			return;
		*o = (struct listen_one){
			.addr = s->local, .netns = netns, .port = s->lport, .due = true, .first_us = l->now_us};
	}
	o = &l->v[l->slots[slot] - 1];
	if (!o->seen) { /* the first socket of this row in this look */
		o->seen = true;
		o->due |= o->gone || o->inode != s->inode;
		o->gone = false;
		o->queue = o->queue_max = 0;
		if (o->inode != s->inode) {
			fdscan_forget(l->owners, o->inode);
			o->inode = s->inode;
			o->pid = 0;
		}
		o->cgroup = s->cgroup;
		o->seen_us = l->now_us;
		if (!o->pid) /* asked for; listen_end() takes the answer */
			(void)fdscan_pid(l->owners, o->inode, l->now_us);
	}
	o->queue += s->rqueue;
	o->queue_max += s->wqueue;
	o->drops_now += s->drops;
}

/* Drops what has been told to be gone, and finds all others again. */
static void listen_forget(struct listen *l)
{
	size_t i, kept = 0;

	for (i = 0; i < l->n; i++) {
		struct listen_one *o = &l->v[i];

		if (o->gone && !o->due && l->now_us - o->seen_us > LISTEN_GONE_US + LISTEN_EVERY_US) {
			fdscan_forget(l->owners, o->inode);
			continue;
		}
		l->v[kept++] = *o;
	}
	if (kept == l->n)
		return;
	l->n = kept;
	memset(l->slots, 0, sizeof(l->slots));
	for (i = 0; i < kept; i++)
		l->slots[listen_slot(l, l->v[i].netns, &l->v[i].addr, l->v[i].port)] = (uint16_t)(i + 1);
}

void listen_end(struct listen *l)
{
	size_t i;

	for (i = 0; i < l->n; i++) {
		struct listen_one *o = &l->v[i];

		if (!o->seen) {
			if (!o->gone && l->now_us - o->seen_us >= LISTEN_GONE_US)
				o->gone = o->due = true;
			continue;
		}
		/* drops from before our first look are not ours to tell; a socket that left its group takes its own with it */
		if (o->known_drops && o->drops_now > o->drops_last) {
			o->drops += o->drops_now - o->drops_last;
			o->due = true;
		}
		o->known_drops = true;
		o->drops_last = o->drops_now;
		o->due |= o->queue > 0;
		if (!o->pid) {
			o->pid = fdscan_pid(l->owners, o->inode, l->now_us);
			o->due |= o->pid != 0;
		}
	}
	listen_forget(l);
}

static int listen_on_sock(void *arg, const struct diag_sock *s)
{
	struct listen *l = arg;

	if (s->state == 10)
		listen_saw(l, l->inum, s);
	return 0;
}

/* The row a connection to this address came through: its own, or that of any address (an IPv6 one takes IPv4 too). */
static struct listen_one *listen_find(struct listen *l, uint32_t netns, const struct ip *local, uint16_t port)
{
	static const struct ip any_v4 = {.b = {[10] = 0xff, [11] = 0xff}}, any = {0};
	const struct ip *const tries[] = {local, &any_v4, &any};
	size_t i, slot;

	for (i = 0; i < ARRAY_LEN(tries); i++) {
		slot = listen_slot(l, netns, tries[i], port);
		if (l->slots[slot] && !l->v[l->slots[slot] - 1].gone)
			return &l->v[l->slots[slot] - 1];
	}
	return NULL;
}

uint32_t listen_holder(struct listen *l, uint32_t netns, const struct ip *local, uint16_t port, bool better)
{
	struct listen_one *o = listen_find(l, netns, local, port);
	uint32_t pid;

	if (!o || !better)
		return o ? o->pid : 0;
	pid = fdscan_better(l->owners, o->inode, l->now_us);
	if (pid && pid != o->pid) {
		o->pid = pid;
		o->due = true;
	}
	return pid;
}

void listen_holder_gone(struct listen *l, uint32_t netns, const struct ip *local, uint16_t port)
{
	struct listen_one *o = listen_find(l, netns, local, port);

	if (!o)
		return;
	o->pid = 0;
	fdscan_gone(l->owners, o->inode, l->now_us);
}

void listen_step(struct listen *l)
{
	(void)fdscan_step(l->owners, LISTEN_FDS, l->now_us);
}

static int listen_on_udp(void *arg, const struct diag_sock *s)
{
	struct listen *l = arg;
	struct diag_sock one = *s;

	if (!s->lport || s->rport || (s->lport >= l->port_low && s->lport <= l->port_high))
		return 0;
	one.rqueue = one.wqueue = 0; /* bytes that wait, no connections */
	listen_saw(l, l->inum, &one);
	return 0;
}

static int listen_dump(struct listen *l, int fd)
{
	return l->protocol == IPPROTO_UDP ? diag_dump_udp(fd, DIAG_UNCONNECTED, listen_on_udp, l, &l->bad)
					  : diag_dump(fd, DIAG_LISTEN, false, listen_on_sock, l, &l->bad);
}

int listen_look(struct listen *l, struct diag_set *ns, int64_t now_us)
{
	int64_t began = clock_mono_us(), wait;
	size_t i;
	int r = 0, e;

	if (now_us < l->again_us)
		return 0;
	listen_begin(l, now_us);
	for (i = 0; i < ns->n; i++) {
		l->inum = ns->v[i].ns.inum;
		e = listen_dump(l, ns->v[i].fd);
		if (e < 0 && e != -EINTR && r == 0)
			r = e;
	}
	(void)fdscan_step(l->owners, LISTEN_FDS, now_us);
	listen_end(l);
	wait = (clock_mono_us() - began) * LISTEN_UDP_SHARE;
	if (l->protocol == IPPROTO_UDP)
		l->again_us = now_us + (wait < LISTEN_EVERY_US ? wait : LISTEN_EVERY_US);
	return r;
}

void listen_due(struct listen *l, struct names *names, int64_t now_us,
		int (*fn)(void *arg, const struct flow_listener *row), void *arg)
{
	size_t i;

	for (i = 0; i < l->n; i++) {
		struct listen_one *o = &l->v[i];
		struct flow_listener row;

		if (!o->due && (now_us - o->told_us < LISTEN_EVERY_US || (!o->seen && !o->gone)))
			continue;
		if (!o->pid && o->cgroup <= 1 && now_us - o->first_us < LISTEN_NAMELESS_US)
			continue; /* a row without a name would hide better knowledge of who is there */
		row = (struct flow_listener){
			.netns = o->netns,
			.addr = o->addr,
			.port = o->port,
			.protocol = l->protocol,
			.alive = !o->gone,
			.drops = o->drops,
			.queue = o->queue,
			.queue_max = o->queue_max,
			.names = *names_at(names, names_of_pid(names, o->pid, o->cgroup)),
		};
		if (fn(arg, &row) < 0)
			return;
		o->told_us = now_us;
		o->due = false;
		o->drops = 0;
	}
}

size_t listen_count(const struct listen *l)
{
	return l->n;
}

uint64_t listen_full(const struct listen *l)
{
	return l->full;
}
