/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/destroys.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/netlink.h"

#define DESTROYS_BUF (64u * 1024)
#define DESTROYS_QUEUE (16 << 20) /* memory the kernel may use for what waits: some 13,000 messages */
#define DESTROYS_READS 65536      /* messages read in one go: who makes them faster than they are read waits */

struct destroys_ns {
	uint32_t inum, drops;
	int fd;
	bool seen;
};

struct destroys {
	struct destroys_ns *v;
	size_t n, cap;
	uint64_t dropped, bad;
	bool behind;
	char *buf;
};

int destroys_new(struct destroys **ret)
{
	struct destroys *d = calloc(1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	d->buf = malloc(DESTROYS_BUF);
	if (!d->buf) {
		free(d);
		return -ENOMEM;
	}
	*ret = d;
	return 0;
}

void destroys_silence(struct destroys *d)
{
	size_t i;

	for (i = 0; i < d->n; i++)
		close(d->v[i].fd);
	d->n = 0;
}

void destroys_free(struct destroys *d)
{
	if (!d)
		return;
	destroys_silence(d);
	free(d->v);
	free(d->buf);
	free(d);
}

static int destroys_open(void *arg)
{
	static const int groups[] = {SKNLGRP_INET_TCP_DESTROY, SKNLGRP_INET6_TCP_DESTROY};
	struct sockaddr_nl name = {.nl_family = AF_NETLINK}; /* without a name of its own it is taken for the sender */
	struct destroys_ns *ns = arg;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_SOCK_DIAG), size = DESTROYS_QUEUE;
	size_t i;
	int r = 0;

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (bind(fd, (struct sockaddr *)&name, sizeof(name)) < 0)
		r = -errno;
	for (i = 0; r == 0 && i < 2; i++)
		if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups[i], sizeof(groups[i])) < 0)
			r = -errno;
	if (r < 0)
		close(fd);
	else
		ns->fd = fd;
	return r;
}

static struct destroys_ns *destroys_find(struct destroys *d, uint32_t inum)
{
	size_t i;

	for (i = 0; i < d->n; i++)
		if (d->v[i].inum == inum)
			return &d->v[i];
	return NULL;
}

static int destroys_add(struct destroys *d, const struct netns *ns)
{
	struct destroys_ns *v;
	int r;

	if (d->n == d->cap) {
		size_t cap = d->cap ? d->cap * 2 : 8;

		v = reallocarray(d->v, cap, sizeof(*v));
		if (!v)
			return -ENOMEM;
		d->v = v;
		d->cap = cap;
	}
	v = &d->v[d->n];
	*v = (struct destroys_ns){.inum = ns->inum, .fd = -1, .seen = true};
	r = netns_run(ns, destroys_open, v);
	d->n += r == 0;
	return r;
}

int destroys_follow(struct destroys *d, const struct netns_set *ns)
{
	size_t i, kept = 0;
	int r = 0, last = -ENOENT;

	for (i = 0; i < d->n; i++)
		d->v[i].seen = false;
	for (i = 0; r != -ENOMEM && i < ns->n; i++) {
		struct destroys_ns *v = destroys_find(d, ns->v[i].inum);

		if (v)
			v->seen = true;
		else
			r = destroys_add(d, &ns->v[i]);
		last = r < 0 ? r : last; /* one that cannot be entered is tried again at the next look */
	}
	for (i = 0; i < d->n; i++) {
		if (d->v[i].seen)
			d->v[kept++] = d->v[i];
		else
			close(d->v[i].fd);
	}
	d->n = kept;
	return r == -ENOMEM ? r : d->n ? 0 : last;
}

/* The kernel's count of messages this socket had no room for; it wraps. */
static void destroys_count(struct destroys *d, struct destroys_ns *ns)
{
	uint32_t mem[SK_MEMINFO_VARS] = {0};
	socklen_t n = sizeof(mem);

	if (getsockopt(ns->fd, SOL_SOCKET, SO_MEMINFO, mem, &n) < 0 || n <= SK_MEMINFO_DROPS * sizeof(*mem))
		return;
	d->dropped += mem[SK_MEMINFO_DROPS] - ns->drops;
	ns->drops = mem[SK_MEMINFO_DROPS];
}

static int destroys_messages(struct destroys *d, uint32_t inum, size_t n,
			     int (*fn)(void *arg, uint32_t netns, const struct diag_sock *s), void *arg)
{
	const struct nlmsghdr *h = (const struct nlmsghdr *)d->buf;
	struct diag_sock s;
	int r = 0;

	for (; r == 0 && NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
		if (h->nlmsg_type != SOCK_DIAG_BY_FAMILY || diag_parse(h, &s) < 0)
			d->bad++;
		else
			r = fn(arg, inum, &s);
	}
	return r;
}

int destroys_read(struct destroys *d, int (*fn)(void *arg, uint32_t netns, const struct diag_sock *s), void *arg)
{
	size_t i;
	int r = 0;

	d->behind = false;
	for (i = 0; r == 0 && i < d->n; i++) {
		struct destroys_ns *ns = &d->v[i];
		unsigned reads = 0;

		while (r == 0 && reads++ < DESTROYS_READS) {
			ssize_t n = netlink_recv(ns->fd, d->buf, DESTROYS_BUF, 0, &d->bad);

			if (n < 0 && (errno == EINTR || errno == ENOBUFS)) /* what was dropped is counted below */
				continue;
			if (n <= 0)
				break;
			r = destroys_messages(d, ns->inum, (size_t)n, fn, arg);
		}
		d->behind |= reads > DESTROYS_READS;
		destroys_count(d, ns);
	}
	return r;
}

bool destroys_behind(const struct destroys *d)
{
	return d->behind;
}

uint64_t destroys_dropped(const struct destroys *d)
{
	return d->dropped;
}

uint64_t destroys_bad(const struct destroys *d)
{
	return d->bad;
}
