/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bridges.h"

#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "agent/host.h"
#include "agent/netlink.h"
#include "base/table.h"

#define BRIDGES_MAX 256 /* of a namespace */
#define BRIDGES_BUF (32u * 1024)

struct bridge {
	uint32_t index;
	bool known, masqueraded; /* known: it is a bridge, not only somebody's master */
	bool outward;            /* something else than veth and tap is attached */
};

struct bridges {
	struct bridge v[BRIDGES_MAX];
	size_t n;
	struct locals *locals;
	char buf[BRIDGES_BUF];
};

static const char *const bridges_names[] = {"podman", "cni-podman", "virbr", "lxcbr", "lxdbr", "incusbr"};

bool bridges_masqueraded(const char *name)
{
	if (strcmp(name, "docker0") == 0 || strcmp(name, "docker_gwbridge") == 0)
		return true;
	if (strncmp(name, "br-", 3) == 0 && strlen(name) == 15 && strspn(name + 3, "0123456789abcdef") == 12)
		return true;
	for (size_t i = 0; i < ARRAY_LEN(bridges_names); i++) {
		size_t n = strlen(bridges_names[i]);

		if (strncmp(name, bridges_names[i], n) == 0 && strspn(name + n, "0123456789") == strlen(name + n))
			return true;
	}
	return false;
}

bool bridges_private(const struct ip *ip)
{
	static const char *const ranges[] = {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10",
					     "fc00::/7"};
	struct ip prefix;
	unsigned bits;

	for (size_t i = 0; i < ARRAY_LEN(ranges); i++)
		if (ip_parse_prefix(ranges[i], &prefix, &bits) == 0 && ip_in_prefix(ip, &prefix, bits))
			return true;
	return false;
}

static struct bridge *bridge_get(struct bridges *b, uint32_t index, bool make)
{
	for (size_t i = 0; i < b->n; i++)
		if (b->v[i].index == index)
			return &b->v[i];
	if (!make || b->n == BRIDGES_MAX)
		return NULL;
	b->v[b->n] = (struct bridge){.index = index};
	return &b->v[b->n++];
}

/* The text of an attribute, "" when it is none. */
static const char *text_of(const struct rtattr *at)
{
	const char *p = RTA_DATA(at);
	size_t n = RTA_PAYLOAD(at);

	return n > 0 && p[n - 1] == '\0' ? p : "";
}

static void link_seen(struct bridges *b, const struct nlmsghdr *m)
{
	const struct ifinfomsg *i = NLMSG_DATA(m);
	const char *name = "", *kind = "";
	const struct rtattr *at, *in;
	uint32_t master = 0;
	struct bridge *v;
	int left, inner;

	if (m->nlmsg_type != RTM_NEWLINK || m->nlmsg_len < NLMSG_LENGTH(sizeof(*i)))
		return;
	left = (int)(m->nlmsg_len - NLMSG_LENGTH(sizeof(*i)));
	for (at = IFLA_RTA(i); RTA_OK(at, left); at = RTA_NEXT(at, left)) {
		if (at->rta_type == IFLA_IFNAME)
			name = text_of(at);
		else if (at->rta_type == IFLA_MASTER && RTA_PAYLOAD(at) == sizeof(master))
			memcpy(&master, RTA_DATA(at), sizeof(master));
		else if ((at->rta_type & NLA_TYPE_MASK) == IFLA_LINKINFO) {
			inner = (int)RTA_PAYLOAD(at);
			for (in = RTA_DATA(at); RTA_OK(in, inner); in = RTA_NEXT(in, inner))
				if (in->rta_type == IFLA_INFO_KIND)
					kind = text_of(in);
		}
	}
	v = master ? bridge_get(b, master, true) : NULL;
	if (v)
		v->outward |= strcmp(kind, "veth") != 0 && strcmp(kind, "tun") != 0 && strcmp(kind, "dummy") != 0;
	v = strcmp(kind, "bridge") == 0 ? bridge_get(b, (uint32_t)i->ifi_index, true) : NULL;
	if (v) {
		v->known = true;
		v->masqueraded = bridges_masqueraded(name);
	}
}

static void address_seen(struct bridges *b, const struct nlmsghdr *m)
{
	const struct ifaddrmsg *a = NLMSG_DATA(m);
	const struct bridge *v;
	struct ip ip;
	uint8_t bits;

	if (host_parse(m, &ip, &bits) < 0)
		return;
	v = bridge_get(b, a->ifa_index, false);
	if (v && v->known && !v->outward && bridges_private(&ip))
		locals_bridge(b->locals, &ip, bits, !v->masqueraded);
}

static int bridges_dump(struct bridges *b, int fd, uint16_t type,
			void (*seen)(struct bridges *b, const struct nlmsghdr *m))
{
	struct {
		struct nlmsghdr h;
		struct ifinfomsg i; /* longer than ifaddrmsg, and zero */
	} q = {.h = {.nlmsg_len = sizeof(q), .nlmsg_type = type, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP}};

	while (recv(fd, b->buf, BRIDGES_BUF, MSG_DONTWAIT) > 0) /* of an abandoned dump */
		;
	if (send(fd, &q, sizeof(q), 0) < 0)
		return -errno;
	for (;;) {
		const struct nlmsghdr *m = (const struct nlmsghdr *)b->buf;
		ssize_t n = netlink_recv(fd, b->buf, BRIDGES_BUF, 0, NULL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EPIPE;
		for (; NLMSG_OK(m, (size_t)n); m = NLMSG_NEXT(m, n)) {
			if (m->nlmsg_type == NLMSG_DONE)
				return 0;
			if (m->nlmsg_type == NLMSG_ERROR)
				return -EIO;
			seen(b, m);
		}
	}
}

void bridges_look(struct diag_set *ns, struct locals *locals)
{
	struct bridges *b = malloc(sizeof(*b));

	if (!b)
		return;
	b->locals = locals;
	for (size_t i = 0; i < ns->n; i++) {
		int fd = ns->v[i].route_fd;

		b->n = 0;
		if (fd >= 0 && bridges_dump(b, fd, RTM_GETLINK, link_seen) == 0 && b->n > 0)
			(void)bridges_dump(b, fd, RTM_GETADDR, address_seen);
	}
	free(b);
}
