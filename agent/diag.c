/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/diag.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "agent/netlink.h"

#define DIAG_BUF (64u * 1024)
#define DIAG_WAIT_S 2 /* the kernel answers at once; more means something is wrong */

static const uint8_t diag_families[] = {AF_INET, AF_INET6};

static int diag_address(uint8_t family, const __be32 *from, struct ip *ret)
{
	if (family == AF_INET)
		*ret = ip_from_v4((const uint8_t *)from);
	else if (family == AF_INET6)
		memcpy(ret->b, from, 16);
	else
		return -EBADMSG;
	return 0;
}

static void diag_attribute(const struct nlattr *a, size_t n, struct diag_sock *s)
{
	const char *p = (const char *)a + NLA_HDRLEN;
	uint32_t mem[SK_MEMINFO_DROPS + 1];

	switch (a->nla_type & NLA_TYPE_MASK) {
	case INET_DIAG_INFO:
		s->info_len = n < sizeof(s->info) ? (uint32_t)n : (uint32_t)sizeof(s->info);
		memcpy(&s->info, p, s->info_len);
		break;
	case INET_DIAG_SKMEMINFO:
		if (n >= sizeof(mem)) {
			memcpy(mem, p, sizeof(mem));
			s->drops = mem[SK_MEMINFO_DROPS];
			s->has_drops = true;
		}
		break;
	case INET_DIAG_CGROUP_ID:
		if (n >= sizeof(s->cgroup))
			memcpy(&s->cgroup, p, sizeof(s->cgroup));
		break;
	default:
		break;
	}
}

int diag_parse(const struct nlmsghdr *h, struct diag_sock *ret)
{
	const char *end = (const char *)h + h->nlmsg_len;
	const struct inet_diag_msg *m = NLMSG_DATA(h);
	const struct nlattr *a = (const struct nlattr *)((const char *)m + NLMSG_ALIGN(sizeof(*m)));
	struct diag_sock s = {0};

	if (h->nlmsg_len < NLMSG_LENGTH(sizeof(*m)))
		return -EBADMSG;
	if (diag_address(m->idiag_family, m->id.idiag_src, &s.local) < 0 ||
	    diag_address(m->idiag_family, m->id.idiag_dst, &s.remote) < 0)
		return -EBADMSG;
	s.family = m->idiag_family;
	s.state = m->idiag_state;
	s.lport = ntohs(m->id.idiag_sport);
	s.rport = ntohs(m->id.idiag_dport);
	s.cookie = (uint64_t)m->id.idiag_cookie[1] << 32 | m->id.idiag_cookie[0];
	s.inode = m->idiag_inode;
	s.rqueue = m->idiag_rqueue;
	s.wqueue = m->idiag_wqueue;
	while ((const char *)a + NLA_HDRLEN <= end) {
		size_t n = a->nla_len;

		if (n < NLA_HDRLEN || n > (size_t)(end - (const char *)a))
			return -EBADMSG;
		diag_attribute(a, n - NLA_HDRLEN, &s);
		if (NLA_ALIGN(n) > (size_t)(end - (const char *)a))
			break;
		a = (const struct nlattr *)((const char *)a + NLA_ALIGN(n));
	}
	*ret = s;
	return 0;
}

static int diag_ask(int fd, uint8_t protocol, uint8_t family, uint32_t states, bool info)
{
	struct {
		struct nlmsghdr h;
		struct inet_diag_req_v2 r;
	} q = {
		.h = {.nlmsg_len = sizeof(q),
		      .nlmsg_type = SOCK_DIAG_BY_FAMILY,
		      .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
		.r = {.sdiag_family = family,
		      .sdiag_protocol = protocol,
		      .idiag_states = states,
		      .idiag_ext = (uint8_t)(1 << (INET_DIAG_SKMEMINFO - 1) | (info ? 1 << (INET_DIAG_INFO - 1) : 0))},
	};

	return send(fd, &q, sizeof(q), 0) < 0 ? -errno : 0;
}

/* The messages of one datagram. 1: the dump is complete. */
static int diag_messages(const char *p, size_t n, int (*fn)(void *arg, const struct diag_sock *s), void *arg,
			 bool *torn, uint64_t *ret_bad)
{
	const struct nlmsghdr *h = (const struct nlmsghdr *)p;
	struct diag_sock s;
	int r;

	for (; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
		*torn |= (h->nlmsg_flags & NLM_F_DUMP_INTR) != 0;
		if (h->nlmsg_type == NLMSG_DONE)
			return 1;
		if (h->nlmsg_type == NLMSG_ERROR) {
			const struct nlmsgerr *e = NLMSG_DATA(h);

			return h->nlmsg_len >= NLMSG_LENGTH(sizeof(*e)) && e->error < 0 ? e->error : -EBADMSG;
		}
		if (h->nlmsg_type != SOCK_DIAG_BY_FAMILY || diag_parse(h, &s) < 0) {
			(*ret_bad)++;
			continue;
		}
		r = fn(arg, &s);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Takes what an abandoned dump left in the queue. */
static void diag_drain(int fd, char *buf)
{
	while (recv(fd, buf, DIAG_BUF, MSG_DONTWAIT) > 0)
		;
}

static int diag_list(int fd, uint8_t protocol, uint32_t states, bool info,
		     int (*fn)(void *arg, const struct diag_sock *s), void *arg, uint64_t *ret_bad)
{
	char *buf = malloc(DIAG_BUF);
	bool torn = false;
	size_t i, absent = 0;
	int r = 0;

	if (!buf)
		return -ENOMEM;
	diag_drain(fd, buf);
	for (i = 0; r >= 0 && i < sizeof(diag_families); i++) {
		r = diag_ask(fd, protocol, diag_families[i], states, info);
		while (r == 0) {
			ssize_t n = netlink_recv(fd, buf, DIAG_BUF, 0, ret_bad);

			if (n < 0 && errno == EINTR)
				continue;
			r = n < 0 ? -errno : n == 0 ? -EPIPE : diag_messages(buf, (size_t)n, fn, arg, &torn, ret_bad);
		}
		if (r == -ENOENT || r == -EAFNOSUPPORT) { /* this family is not in this kernel */
			absent++;
			r = 0;
		}
	}
	if (absent == sizeof(diag_families)) /* nor is the protocol: its module is not there */
		r = -EPROTONOSUPPORT;
	free(buf);
	return r < 0 ? r : torn ? -EINTR : 0;
}

int diag_dump(int fd, uint32_t states, bool info, int (*fn)(void *arg, const struct diag_sock *s), void *arg,
	      uint64_t *ret_bad)
{
	return diag_list(fd, IPPROTO_TCP, states, info, fn, arg, ret_bad);
}

int diag_dump_udp(int fd, uint32_t states, int (*fn)(void *arg, const struct diag_sock *s), void *arg,
		  uint64_t *ret_bad)
{
	return diag_list(fd, IPPROTO_UDP, states, false, fn, arg, ret_bad);
}

const char *diag_error(int r)
{
	if (r == -EPROTONOSUPPORT)
		return "the kernel cannot list its TCP sockets (modprobe tcp_diag; CONFIG_INET_TCP_DIAG)";
	return strerror(-r);
}

static int diag_socket(int protocol)
{
	struct timeval wait = {.tv_sec = DIAG_WAIT_S};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);

	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	return fd;
}

static int diag_open(void *arg)
{
	struct diag_ns *d = arg;

	d->fd = diag_socket(NETLINK_SOCK_DIAG);
	d->route_fd = diag_socket(NETLINK_ROUTE);
	return d->fd < 0 ? d->fd : 0;
}

static void diag_close(struct diag_ns *d)
{
	if (d->fd >= 0)
		close(d->fd);
	if (d->route_fd >= 0)
		close(d->route_fd);
}

static struct diag_ns *diag_find(struct diag_set *set, uint32_t inum)
{
	size_t i;

	for (i = 0; i < set->n; i++)
		if (set->v[i].ns.inum == inum)
			return &set->v[i];
	return NULL;
}

static int diag_add(struct diag_set *set, const struct netns *ns)
{
	struct diag_ns *d;
	size_t cap;

	if (set->n == set->cap) {
		cap = set->cap ? set->cap * 2 : 8;
		d = reallocarray(set->v, cap, sizeof(*d));
		if (!d)
			return -ENOMEM;
		set->v = d;
		set->cap = cap;
	}
	d = &set->v[set->n];
	*d = (struct diag_ns){.ns = *ns, .fd = -1, .route_fd = -1, .seen = true};
	if (netns_run(ns, diag_open, d) < 0) {
		set->denied++;
		diag_close(d);
		return 0; /* tried again at the next scan */
	}
	set->n++;
	return 0;
}

int diag_follow(struct diag_set *set, const struct netns_set *ns)
{
	size_t i, kept = 0;
	int r = 0;

	set->denied = 0;
	for (i = 0; i < set->n; i++)
		set->v[i].seen = false;
	for (i = 0; r == 0 && i < ns->n; i++) {
		struct diag_ns *d = diag_find(set, ns->v[i].inum);

		if (d)
			d->seen = true;
		else
			r = diag_add(set, &ns->v[i]);
	}
	for (i = 0; i < set->n; i++) {
		if (set->v[i].seen)
			set->v[kept++] = set->v[i];
		else
			diag_close(&set->v[i]);
	}
	set->n = kept;
	return r;
}

void diag_set_deinit(struct diag_set *set)
{
	size_t i;

	for (i = 0; i < set->n; i++)
		diag_close(&set->v[i]);
	free(set->v);
	*set = (struct diag_set){0};
}

static int diag_nothing(void *arg, const struct diag_sock *s)
{
	return 0;
}

int diag_try(void)
{
	struct netns own = {.inum = netns_self()};
	const struct netns_set set = {.v = &own, .n = 1};
	struct diag_set d = {0};
	uint64_t bad = 0;
	int r = diag_follow(&d, &set);

	if (r == 0)
		r = d.n ? diag_dump(d.v[0].fd, DIAG_LISTEN, false, diag_nothing, NULL, &bad) : -EPERM;
	diag_set_deinit(&d);
	return r == -EINTR ? 0 : r;
}
