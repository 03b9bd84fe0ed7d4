/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/udp_adopt.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/bpf/udp.h"
#include "agent/fdscan.h"
#include "base/clock.h"

#define ADOPT_MAX 65536      /* sockets */
#define ADOPT_FDS (1u << 20) /* descriptors looked at for their owners */
#define ADOPT_STEP 65536

struct adopt_one {
	struct diag_sock sock;
	uint32_t netns;
};

struct adopt {
	struct adopt_one *v;
	size_t n, cap;
	uint32_t netns; /* of the list under way */
};

static int adopt_take(void *arg, const struct diag_sock *s)
{
	struct adopt *a = arg;
	struct adopt_one *v;
	size_t cap;

	if (a->n == ADOPT_MAX || !s->cookie || !s->lport)
		return 0;
	if (a->n == a->cap) {
		cap = a->cap ? a->cap * 2 : 64;
		v = reallocarray(a->v, cap, sizeof(*v));
		if (!v)
			return -ENOMEM;
		a->v = v;
		a->cap = cap;
	}
	a->v[a->n++] = (struct adopt_one){*s, a->netns};
	return 0;
}

static void adopt_comm(uint32_t pid, char comm[SKY_COMM])
{
	char path[32];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%u/comm", pid);
	f = fopen(path, "re");
	if (!f)
		return;
	if (fgets(comm, SKY_COMM, f))
		comm[strcspn(comm, "\n")] = '\0';
	fclose(f);
}

void udp_adopt_fill(struct sky_udp_sock *ret, const struct diag_sock *s, uint32_t netns, uint32_t pid, int64_t now_ns)
{
	memset(ret, 0, sizeof(*ret)); /* the kernel compares owners as bytes */
	ret->cookie = s->cookie;
	ret->netns = netns;
	ret->owner.cgroup = s->cgroup;
	ret->owner.tgid = s->cgroup <= 1 ? pid : 0;
	ret->owner.flags = SKY_OWNER_SCAN;
	ret->tgid = pid;
	ret->vague = !pid;
	ret->joined = 1;
	memcpy(ret->local, s->local.b, 16);
	memcpy(ret->remote, s->remote.b, 16);
	ret->lport = s->lport;
	ret->rport = s->rport;
	ret->dialled = s->rport != 0;
	ret->dialled_ns = ret->until_ns = (uint64_t)now_ns;
}

/* All descriptors of the host are looked at, in one go: nothing is measured yet that would wait. */
static void adopt_owners(struct fdscan *f, const struct adopt *a, int64_t now_us)
{
	size_t i, looked = 0;

	for (i = 0; i < a->n; i++)
		(void)fdscan_pid(f, a->v[i].sock.inode, now_us);
	while (looked < ADOPT_FDS && fdscan_step(f, ADOPT_STEP, now_us))
		looked += ADOPT_STEP;
}

static int adopt_known(struct udp *u, const struct adopt *a, int64_t now_us)
{
	struct fdscan *f;
	int r = fdscan_new(&f, "/proc", ADOPT_MAX);
	size_t i;

	if (r < 0)
		return r;
	adopt_owners(f, a, now_us);
	for (i = 0; i < a->n && r == 0; i++) {
		const struct diag_sock *s = &a->v[i].sock;
		uint32_t pid = s->inode ? fdscan_pid(f, s->inode, now_us) : 0;
		struct sky_udp_sock sock;

		udp_adopt_fill(&sock, s, a->v[i].netns, pid, clock_mono_us() * 1000);
		if (pid)
			adopt_comm(pid, sock.owner.comm);
		r = udp_know(u, &sock);
	}
	fdscan_free(f);
	return r == -E2BIG ? 0 : r; /* full: the rest becomes known by its datagrams */
}

int udp_adopt(struct udp *u, const uint32_t *netns, size_t n_netns)
{
	struct netns_set set = {0};
	struct diag_set diag = {0};
	struct adopt a = {0};
	uint64_t bad = 0;
	size_t i;
	int r, first = 0;

	r = netns_scan(&set, netns, n_netns);
	if (r == 0)
		r = diag_follow(&diag, &set);
	for (i = 0; r == 0 && i < diag.n; i++) {
		int e;

		a.netns = diag.v[i].ns.inum;
		e = diag_dump_udp(diag.v[i].fd, DIAG_PEER | DIAG_UNCONNECTED, adopt_take, &a, &bad);
		if (e < 0 && e != -EINTR && first == 0)
			first = e;
	}
	if (r == 0)
		r = adopt_known(u, &a, clock_mono_us());
	free(a.v);
	diag_set_deinit(&diag);
	netns_set_deinit(&set);
	return r ? r : first;
}
