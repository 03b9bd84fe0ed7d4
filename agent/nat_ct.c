/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/nat_ct.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/netlink.h"
#include "base/clock.h"
#include "base/table.h"

#define NAT_CT_NAMESPACES 1024
#define NAT_CT_QUEUE (4 << 20) /* bytes of messages that may wait; the kernel charges about 800 for each */
#define NAT_CT_BUF 32768
#define NAT_CT_READS 16384 /* of a namespace in one go, so that nobody keeps us reading: three times what may wait */
#define NAT_CT_SHARE 50    /* reading tables that tell no events takes one part in so many of the time */
#define NAT_CT_EVENTS "/proc/sys/net/netfilter/nf_conntrack_events"

/* --- messages */

/* Attributes of a nest by type, up to `max`. -EBADMSG. */
static int attrs(const void *p, size_t n, const struct nlattr **ret, unsigned max)
{
	const char *at = p;

	memset(ret, 0, (max + 1) * sizeof(*ret));
	while (n >= NLA_HDRLEN) {
		const struct nlattr *a = (const struct nlattr *)at;
		unsigned type = a->nla_type & NLA_TYPE_MASK;
		size_t step = NLA_ALIGN(a->nla_len);

		if (a->nla_len < NLA_HDRLEN || a->nla_len > n)
			return -EBADMSG;
		if (type <= max)
			ret[type] = a;
		if (step >= n)
			break;
		at += step;
		n -= step;
	}
	return 0;
}

static int nest(const struct nlattr *a, const struct nlattr **ret, unsigned max)
{
	return a ? attrs((const char *)a + NLA_HDRLEN, a->nla_len - NLA_HDRLEN, ret, max) : -EBADMSG;
}

static const void *payload(const struct nlattr *a, size_t n)
{
	return a && a->nla_len == NLA_HDRLEN + n ? (const char *)a + NLA_HDRLEN : NULL;
}

static int parse_ip(const struct nlattr *v4, const struct nlattr *v6, struct ip *ret)
{
	const void *p = payload(v4, 4);

	if (p) {
		*ret = ip_from_v4(p);
		return 0;
	}
	p = payload(v6, 16);
	if (!p)
		return -EBADMSG;
	memcpy(ret->b, p, 16);
	return 0;
}

static int parse_port(const struct nlattr *a, uint16_t *ret)
{
	const uint8_t *p = payload(a, 2);

	if (!p)
		return -EBADMSG;
	*ret = (uint16_t)(p[0] << 8 | p[1]);
	return 0;
}

/* 1: neither TCP nor UDP */
static int parse_tuple(const struct nlattr *a, struct nat_tuple *ret)
{
	const struct nlattr *t[CTA_TUPLE_MAX + 1], *ip[CTA_IP_MAX + 1], *proto[CTA_PROTO_MAX + 1];
	const uint8_t *number;
	int r = nest(a, t, CTA_TUPLE_MAX);

	if (r == 0)
		r = nest(t[CTA_TUPLE_IP], ip, CTA_IP_MAX);
	if (r == 0)
		r = nest(t[CTA_TUPLE_PROTO], proto, CTA_PROTO_MAX);
	if (r < 0)
		return r;
	number = payload(proto[CTA_PROTO_NUM], 1);
	if (!number)
		return -EBADMSG;
	if (*number != IPPROTO_TCP && *number != IPPROTO_UDP)
		return 1;
	ret->protocol = *number;
	r = parse_ip(ip[CTA_IP_V4_SRC], ip[CTA_IP_V6_SRC], &ret->src);
	if (r == 0)
		r = parse_ip(ip[CTA_IP_V4_DST], ip[CTA_IP_V6_DST], &ret->dst);
	if (r == 0)
		r = parse_port(proto[CTA_PROTO_SRC_PORT], &ret->sport);
	return r == 0 ? parse_port(proto[CTA_PROTO_DST_PORT], &ret->dport) : r;
}

int nat_ct_parse(const struct nlmsghdr *h, struct nat_entry *ret)
{
	const struct nlattr *a[CTA_MAX + 1];
	struct nat_tuple reply = {0};
	struct nat_entry e = {0};
	const uint8_t *status, *zone;
	int r;

	if (h->nlmsg_type != (NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW) ||
	    h->nlmsg_len < NLMSG_LENGTH(sizeof(struct nfgenmsg)))
		return -EBADMSG;
	r = attrs((const char *)h + NLMSG_LENGTH(sizeof(struct nfgenmsg)),
		  h->nlmsg_len - NLMSG_LENGTH(sizeof(struct nfgenmsg)), a, CTA_MAX);
	if (r < 0)
		return r;
	status = payload(a[CTA_STATUS], 4);
	if (!status)
		return -EBADMSG;
	if (!(status[3] & IPS_NAT_MASK))
		return 1;
	r = parse_tuple(a[CTA_TUPLE_ORIG], &e.before);
	if (r == 0)
		r = parse_tuple(a[CTA_TUPLE_REPLY], &reply);
	if (r != 0)
		return r;
	e.after = (struct nat_tuple){.src = reply.dst,
				     .dst = reply.src,
				     .sport = reply.dport,
				     .dport = reply.sport,
				     .protocol = reply.protocol};
	zone = payload(a[CTA_ZONE], 2);
	if (zone)
		e.zone = (uint16_t)(zone[0] << 8 | zone[1]);
	*ret = e;
	return 0;
}

/* --- sockets */

static bool module_here(const char *name)
{
	FILE *f = fopen("/proc/modules", "re");
	char line[512];
	size_t n = strlen(name);
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f))
		found = strncmp(line, name, n) == 0 && line[n] == ' ';
	if (f)
		fclose(f);
	return found;
}

enum nat_ct_have nat_ct_have(void)
{
	if (access("/proc/sys/net/netfilter/nf_conntrack_max", F_OK) < 0)
		return NAT_CT_ABSENT;
	/* to ask is to load it: where tracking is a module, this one must be there already */
	if (module_here("nf_conntrack") && !module_here("nf_conntrack_netlink"))
		return NAT_CT_NO_NETLINK;
	return NAT_CT_HERE;
}

int nat_ct_events(void)
{
	FILE *f = fopen(NAT_CT_EVENTS, "re");
	int value = -ENOENT;

	if (!f)
		return -errno;
	if (fscanf(f, "%d", &value) != 1)
		value = -EIO;
	fclose(f);
	return value;
}

/* Lets pass what is translated, or whose first message says nothing of it. */
static int filter(int fd)
{
	static struct sock_filter code[] = {
		BPF_STMT(BPF_LDX | BPF_IMM, CTA_STATUS),
		BPF_STMT(BPF_LD | BPF_IMM, NLMSG_LENGTH(sizeof(struct nfgenmsg))),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, (__u32)(SKF_AD_OFF + SKF_AD_NLATTR)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 3, 0),
		BPF_STMT(BPF_MISC | BPF_TAX, 0),
		BPF_STMT(BPF_LD | BPF_W | BPF_IND, NLA_HDRLEN),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, IPS_NAT_MASK, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog prog = {ARRAY_LEN(code), code};

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)) < 0 ? -errno : 0;
}

static int netlink(void)
{
	struct sockaddr_nl any = {.nl_family = AF_NETLINK};
	struct timeval wait = {.tv_sec = 2};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);

	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&any, sizeof(any)) < 0) {
		int r = -errno;

		close(fd);
		return r;
	}
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	return fd;
}

static int ns_open(void *arg)
{
	struct nat_ct_ns *v = arg;
	int fd = netlink(), queue = NAT_CT_QUEUE, group = NFNLGRP_CONNTRACK_NEW, r = 0;

	if (fd < 0)
		return fd;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &queue, sizeof(queue)) < 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &queue, sizeof(queue));
	r = filter(fd);
	if (r == 0 && setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) < 0)
		r = -errno;
	if (r < 0) {
		close(fd);
		return r;
	}
	v->fd = fd;
	v->silent = nat_ct_events() == 0;
	v->dump = true;
	return 0;
}

static struct nat_ct_ns *ns_find(struct nat_ct *ct, uint32_t inum)
{
	for (size_t i = 0; i < ct->n; i++)
		if (ct->v[i].ns.inum == inum)
			return &ct->v[i];
	return NULL;
}

static int ns_add(struct nat_ct *ct, const struct netns *ns)
{
	struct nat_ct_ns *v;

	if (ct->n == NAT_CT_NAMESPACES) {
		ct->counts.denied++;
		return 0;
	}
	if (ct->n == ct->cap) {
		size_t cap = ct->cap ? ct->cap * 2 : 8;

		v = reallocarray(ct->v, cap, sizeof(*v));
		if (!v)
			return -ENOMEM;
		ct->v = v;
		ct->cap = cap;
	}
	v = &ct->v[ct->n];
	*v = (struct nat_ct_ns){.ns = *ns, .fd = -1, .seen = true};
	if (netns_run(ns, ns_open, v) < 0)
		ct->counts.denied++; /* tried again at the next scan */
	else
		ct->n++;
	return 0;
}

int nat_ct_follow(struct nat_ct *ct, const struct netns_set *ns)
{
	size_t kept = 0;
	int r = 0;

	ct->counts.denied = ct->counts.silent = 0;
	if (nat_ct_have() != NAT_CT_HERE)
		return 0;
	for (size_t i = 0; i < ct->n; i++)
		ct->v[i].seen = false;
	for (size_t i = 0; r == 0 && i < ns->n; i++) {
		struct nat_ct_ns *v = ns_find(ct, ns->v[i].inum);

		if (v) {
			v->seen = true;
			v->ns = ns->v[i]; /* whoever it was found by may be gone: it is entered again */
		} else {
			r = ns_add(ct, &ns->v[i]);
		}
	}
	for (size_t i = 0; i < ct->n; i++) {
		ct->counts.silent += ct->v[i].silent;
		if (ct->v[i].seen || r < 0)
			ct->v[kept++] = ct->v[i];
		else
			close(ct->v[i].fd);
	}
	ct->n = kept;
	return r;
}

void nat_ct_deinit(struct nat_ct *ct)
{
	for (size_t i = 0; i < ct->n; i++)
		close(ct->v[i].fd);
	free(ct->v);
	*ct = (struct nat_ct){0};
}

/* --- reading */

/* Where what is read goes. */
struct nat_ct_to {
	struct nat_ct *ct;
	struct nat *nat;
	uint32_t netns;
	int64_t now_us;
	char buf[NAT_CT_BUF];
};

/* The messages of one datagram. 1: the dump is complete. */
static int messages(struct nat_ct_to *to, size_t n)
{
	const struct nlmsghdr *h = (const struct nlmsghdr *)to->buf;
	struct nat_entry e;
	int r;

	for (; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
		if (h->nlmsg_type == NLMSG_DONE)
			return 1;
		if (h->nlmsg_type == NLMSG_ERROR)
			return -EIO;
		r = nat_ct_parse(h, &e);
		to->ct->counts.bad += r < 0;
		if (r != 0)
			continue;
		e.netns = to->netns;
		nat_put(to->nat, &e, to->now_us);
	}
	return 0;
}

/* On a socket of its own: the filter looks at the first message of a datagram only. */
static int ns_dump(void *arg)
{
	struct {
		struct nlmsghdr h;
		struct nfgenmsg g;
	} q = {.h = {.nlmsg_len = sizeof(q),
		     .nlmsg_type = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET,
		     .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
	       .g = {.version = NFNETLINK_V0}};
	struct nat_ct_to *to = arg;
	int fd = netlink(), r = 0;

	if (fd < 0)
		return fd;
	if (send(fd, &q, sizeof(q), 0) < 0)
		r = -errno;
	while (r == 0) {
		ssize_t n = netlink_recv(fd, to->buf, sizeof(to->buf), 0, &to->ct->counts.bad);

		if (n < 0 && errno == EINTR)
			continue;
		r = n < 0 ? -errno : n == 0 ? -EPIPE : messages(to, (size_t)n);
	}
	close(fd);
	return r < 0 ? r : 0;
}

static void ns_read(struct nat_ct_to *to, struct nat_ct_ns *v)
{
	for (unsigned i = 0; i < NAT_CT_READS; i++) {
		ssize_t n = netlink_recv(v->fd, to->buf, sizeof(to->buf), MSG_DONTWAIT, &to->ct->counts.bad);

		if (n > 0) {
			(void)messages(to, (size_t)n);
		} else if (n < 0 && errno == ENOBUFS) {
			to->ct->counts.overflows++;
			v->dump = true;
		} else if (n == 0 || errno != EINTR) {
			return;
		}
	}
}

void nat_ct_read(struct nat_ct *ct, struct nat *nat, bool whole, int64_t now_us)
{
	bool again = nat_again(nat), poll = whole && now_us >= ct->poll_after_us;
	int64_t cpu = poll ? clock_us(CLOCK_PROCESS_CPUTIME_ID) : 0;
	struct nat_ct_to *to;

	nat_at(nat, now_us);
	if (!ct->n)
		return;
	to = malloc(sizeof(*to));
	if (!to)
		return;
	to->ct = ct;
	to->nat = nat;
	to->now_us = now_us;
	for (size_t i = 0; i < ct->n; i++) {
		struct nat_ct_ns *v = &ct->v[i];

		to->netns = v->ns.inum;
		ns_read(to, v);
		if (!v->dump && !again && !(v->silent && poll))
			continue;
		v->dump = netns_run(&v->ns, ns_dump, to) < 0;
		ct->counts.dumps++;
		ct->counts.dumps_failed += v->dump;
	}
	if (poll)
		ct->poll_after_us = now_us + (clock_us(CLOCK_PROCESS_CPUTIME_ID) - cpu) * NAT_CT_SHARE;
	else if (whole)
		ct->counts.skipped += ct->counts.silent > 0;
	free(to);
}
