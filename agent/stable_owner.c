/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/stable_owner.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/stable_conn.h"
#include "agent/stable_sums.h"

#define LISTENERS_MAX 8192
#define LISTENERS_KEEP 16 /* intervals after which one that was not seen is forgotten: its connections may outlive it */

struct listener {
	uint32_t netns; /* 0: not known */
	uint16_t port;
	uint16_t unseen; /* intervals */
	uint8_t local[16];
	struct sky_owner owner;
	uint32_t tgid;
	uint32_t next; /* of the same port, + 1 */
};

struct stable_owners {
	struct fdscan *scan;
	struct procs *procs;
	struct listener v[LISTENERS_MAX];
	uint32_t n;
	uint32_t by_port[65536]; /* + 1 */
	int64_t now_us;
};

int stable_owners_new(struct stable_owners **ret, struct fdscan *scan, struct procs *procs)
{
	struct stable_owners *o = calloc(1, sizeof(*o));

	if (!o)
		return -ENOMEM;
	o->scan = scan;
	o->procs = procs;
	*ret = o;
	return 0;
}

void stable_owners_free(struct stable_owners *o)
{
	free(o);
}

static void chain(struct stable_owners *o, uint32_t i)
{
	o->v[i].next = o->by_port[o->v[i].port];
	o->by_port[o->v[i].port] = i + 1;
}

void stable_owners_begin(struct stable_owners *o, int64_t now_us)
{
	uint32_t i, kept = 0;

	o->now_us = now_us;
	for (i = 0; i < o->n; i++)
		o->by_port[o->v[i].port] = 0;
	for (i = 0; i < o->n; i++)
		if (o->v[i].unseen++ < LISTENERS_KEEP)
			o->v[kept++] = o->v[i];
	o->n = kept;
	for (i = 0; i < o->n; i++)
		chain(o, i);
}

static bool any(const uint8_t a[16])
{
	static const uint8_t v6[16], v4[16] = {[10] = 0xff, [11] = 0xff};

	return !memcmp(a, v6, 16) || !memcmp(a, v4, 16);
}

/* The place of a listener, made if it is new; NULL: full (its children have no process then). */
static struct listener *place(struct stable_owners *o, uint32_t netns, uint16_t port, const uint8_t local[16])
{
	uint32_t i;

	for (i = o->by_port[port]; i; i = o->v[i - 1].next)
		if (o->v[i - 1].netns == netns && !memcmp(o->v[i - 1].local, local, 16))
			return &o->v[i - 1];
	if (o->n == LISTENERS_MAX)
		return NULL;
	i = o->n++;
	o->v[i] = (struct listener){.netns = netns, .port = port};
	memcpy(o->v[i].local, local, 16);
	chain(o, i);
	return &o->v[i];
}

/* The name of the group's leader; a thread's own says little. */
static void owner_of(struct stable_owners *o, uint64_t cgroup, uint32_t tgid, const char comm[16],
		     struct sky_owner *ret)
{
	const struct procs_one *p = tgid ? procs_get(o->procs, tgid, NULL) : NULL;

	*ret = (struct sky_owner){.cgroup = cgroup, .tgid = cgroup <= 1 ? tgid : 0};
	memcpy(ret->comm, p ? p->comm : comm, sizeof(ret->comm));
}

uint32_t stable_owners_netns(uint32_t tgid)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%u/ns/net", tgid);
	return tgid && stat(path, &st) == 0 ? (uint32_t)st.st_ino : 0;
}

int stable_owners_event(struct stable_owners *o, const struct stable_listener *l)
{
	uint32_t i;
	struct listener *v;

	for (i = o->by_port[l->port]; i; i = o->v[i - 1].next) {
		v = &o->v[i - 1];
		if (v->tgid == l->tgid && !(v->owner.flags & SKY_OWNER_SCAN) && !memcmp(v->local, l->local, 16)) {
			v->unseen = 0;
			return 0;
		}
	}
	v = place(o, stable_owners_netns(l->tgid), l->port, l->local);
	if (!v)
		return 0;
	owner_of(o, l->cgroup, l->tgid, l->comm, &v->owner);
	v->tgid = l->tgid;
	v->unseen = 0;
	return 0;
}

void stable_owners_dump(struct stable_owners *o, uint32_t netns, const struct diag_sock *d)
{
	struct listener *v = place(o, netns, d->lport, d->local.b);

	if (!v)
		return;
	v->unseen = 0;
	if (!v->tgid)
		stable_owners_scan(o, d, &v->owner, &v->tgid);
}

/* The listener of an address: its own, else that of any address; one whose namespace is known before one where it is not. */
static const struct listener *find(const struct stable_owners *o, uint32_t netns, uint16_t port,
				   const uint8_t local[16])
{
	const struct listener *best = NULL;
	int best_rank = 0;
	uint32_t i;

	for (i = o->by_port[port]; i; i = o->v[i - 1].next) {
		const struct listener *v = &o->v[i - 1];
		bool exact = !memcmp(v->local, local, 16);
		int rank = 1 + 4 * (v->netns == netns) + 2 * exact + (v->tgid != 0);

		if ((!exact && !any(v->local)) || (v->netns && v->netns != netns) || rank <= best_rank)
			continue;
		best = v;
		best_rank = rank;
	}
	return best;
}

bool stable_owners_listens(const struct stable_owners *o, uint32_t netns, uint16_t port, const uint8_t local[16])
{
	return find(o, netns, port, local) != NULL;
}

void stable_owners_child(const struct stable_owners *o, uint32_t netns, uint16_t port, const uint8_t local[16],
			 struct sky_owner *ret, uint32_t *ret_tgid)
{
	const struct listener *v = find(o, netns, port, local);

	*ret = v ? v->owner : (struct sky_owner){0};
	ret->flags |= SKY_OWNER_INHERITED;
	*ret_tgid = v ? v->tgid : 0;
}

void stable_owners_client(struct stable_owners *o, const struct stable_sock *e, struct sky_owner *ret)
{
	owner_of(o, e->cgroup, e->tgid, e->comm, ret);
}

void stable_owners_scan(struct stable_owners *o, const struct diag_sock *d, struct sky_owner *ret, uint32_t *ret_tgid)
{
	static const char nobody[16] = "";

	*ret_tgid = d->inode ? fdscan_pid(o->scan, d->inode, o->now_us) : 0;
	owner_of(o, d->cgroup, *ret_tgid, nobody, ret);
	ret->flags = SKY_OWNER_SCAN;
}

void stable_owners_conn(struct stable_owners *o, struct conn *c, const struct stable_sock *e, const struct diag_sock *d)
{
	unsigned role = e ? e->role : SKY_ROLE_UNKNOWN;
	uint16_t lport = e && e->lport ? e->lport : d ? d->lport : 0;
	uint16_t rport = e && e->rport ? e->rport : d ? d->rport : 0;

	if (role == SKY_ROLE_UNKNOWN && d)
		role = stable_sums_role(d);
	if (role == SKY_ROLE_UNKNOWN && stable_owners_listens(o, c->key.netns, lport, c->key.local))
		role = SKY_ROLE_SERVER;
	stable_conn_role(c, role, lport, rport);
	if (role == SKY_ROLE_SERVER)
		stable_owners_child(o, c->key.netns, lport, c->key.local, &c->key.owner, &c->tgid);
	else if (e && e->tgid) {
		stable_owners_client(o, e, &c->key.owner);
		c->tgid = e->tgid;
	} else if (d) {
		stable_owners_scan(o, d, &c->key.owner, &c->tgid);
	}
	if (role == SKY_ROLE_SERVER && !c->tgid && !c->key.owner.cgroup && d && d->cgroup)
		c->key.owner.cgroup = d->cgroup;
}
