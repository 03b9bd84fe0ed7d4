/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/host.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/rtnetlink.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "agent/cgpath.h"
#include "agent/netlink.h"
#include "base/hash.h"

#define HOST_BUF (32u * 1024)

static void host_machine_id(struct host *h)
{
	FILE *f = fopen("/etc/machine-id", "re");
	char line[64] = "";

	if (!f)
		return;
	if (fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		if (strlen(line) == 32 && strspn(line, "0123456789abcdef") == 32) /* "uninitialized" on fresh images */
			snprintf(h->id, sizeof(h->id), "%s", line);
	}
	fclose(f);
}

void host_init(struct host *h, const char *id, const char *hostname, const char *mode)
{
	struct utsname u;

	*h = (struct host){.told_us = INT64_MIN};
	if (id)
		snprintf(h->id, sizeof(h->id), "%s", id);
	else
		host_machine_id(h);
	if (uname(&u) == 0) {
		(void)cgpath_clean(str_from(hostname ? hostname : u.nodename), h->hostname, sizeof(h->hostname));
		(void)cgpath_clean(str_from(u.release), h->kernel, sizeof(h->kernel));
	}
	h->rec.hostname = str_from(h->hostname);
	h->rec.kernel = str_from(h->kernel);
	h->rec.mode = str_from(mode);
	h->rec.version = STR(SKYFALL_VERSION);
}

void host_name_by(struct host *h, const struct ip *agent)
{
	if (!h->id[0])
		snprintf(h->id, sizeof(h->id), "%016llx", (unsigned long long)hash64(agent, sizeof(*agent)));
}

int host_parse(const struct nlmsghdr *m, struct ip *ret, uint8_t *ret_bits)
{
	const struct ifaddrmsg *a = NLMSG_DATA(m);
	const struct rtattr *at;
	bool found = false;
	int left;

	if (m->nlmsg_type != RTM_NEWADDR || m->nlmsg_len < NLMSG_LENGTH(sizeof(*a)))
		return -EBADMSG;
	if ((a->ifa_family != AF_INET && a->ifa_family != AF_INET6) ||
	    a->ifa_prefixlen > (a->ifa_family == AF_INET ? 32 : 128))
		return -EBADMSG;
	left = (int)(m->nlmsg_len - NLMSG_LENGTH(sizeof(*a)));
	for (at = IFA_RTA(a); RTA_OK(at, left); at = RTA_NEXT(at, left)) {
		size_t want = a->ifa_family == AF_INET ? 4 : 16;

		/* on a point-to-point link IFA_ADDRESS is the other end; IFA_LOCAL is always this one */
		if ((at->rta_type != IFA_LOCAL && (at->rta_type != IFA_ADDRESS || found)) || RTA_PAYLOAD(at) != want)
			continue;
		if (want == 4)
			*ret = ip_from_v4(RTA_DATA(at));
		else
			memcpy(ret->b, RTA_DATA(at), 16);
		found = true;
	}
	if (!found)
		return -EBADMSG;
	*ret_bits = (uint8_t)(a->ifa_prefixlen + (a->ifa_family == AF_INET ? 96 : 0));
	return 0;
}

static void host_add(struct host *h, const struct ip *ip, uint8_t bits, uint32_t netns, const struct locals *locals)
{
	if (h->rec.n_addresses == FLOW_ADDRESSES) {
		h->more++;
		return;
	}
	h->rec.addresses[h->rec.n_addresses++] = (struct flow_address){
		.ip = *ip,
		.bits = bits,
		.netns = netns,
		.host_only = locals_scope(locals, ip, netns) != 0,
	};
}

/* The messages of one datagram. 1: the dump is complete. */
static int host_messages(struct host *h, const char *p, size_t n, uint32_t netns, const struct locals *locals)
{
	const struct nlmsghdr *m = (const struct nlmsghdr *)p;
	struct ip ip;
	uint8_t bits;

	for (; NLMSG_OK(m, n); m = NLMSG_NEXT(m, n)) {
		if (m->nlmsg_type == NLMSG_DONE)
			return 1;
		if (m->nlmsg_type == NLMSG_ERROR)
			return -EIO;
		if (host_parse(m, &ip, &bits) == 0)
			host_add(h, &ip, bits, netns, locals);
	}
	return 0;
}

static int host_dump(struct host *h, const struct diag_ns *ns, const struct locals *locals, char *buf)
{
	struct {
		struct nlmsghdr h;
		struct ifaddrmsg a;
	} q = {.h = {.nlmsg_len = sizeof(q), .nlmsg_type = RTM_GETADDR, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP}};
	int r = 0;

	if (ns->route_fd < 0)
		return -EBADF;
	while (recv(ns->route_fd, buf, HOST_BUF, MSG_DONTWAIT) > 0) /* of an abandoned dump */
		;
	if (send(ns->route_fd, &q, sizeof(q), 0) < 0)
		return -errno;
	while (r == 0) {
		ssize_t n = netlink_recv(ns->route_fd, buf, HOST_BUF, 0, NULL);

		if (n < 0 && errno == EINTR)
			continue;
		r = n < 0 ? -errno : n == 0 ? -EPIPE : host_messages(h, buf, (size_t)n, ns->ns.inum, locals);
	}
	return r < 0 ? r : 0;
}

static int host_by_address(const void *a, const void *b)
{
	const struct flow_address *x = a, *y = b;

	if (x->netns != y->netns)
		return x->netns < y->netns ? -1 : 1;
	return memcmp(&x->ip, &y->ip, sizeof(x->ip));
}

int host_look(struct host *h, struct diag_set *ns, const struct locals *locals)
{
	char *buf = malloc(HOST_BUF);
	size_t i;
	int r = 0, e;

	if (!buf)
		return -ENOMEM;
	h->rec.n_addresses = 0;
	h->more = 0;
	for (i = 0; i < ns->n; i++) {
		e = host_dump(h, &ns->v[i], locals, buf);
		r = r ? r : e;
	}
	qsort(h->rec.addresses, h->rec.n_addresses, sizeof(*h->rec.addresses), host_by_address);
	free(buf);
	return r;
}

/* First line of a file of an adapter. */
static bool host_line(int dir, const char *adapter, const char *file, char *line, int size)
{
	char path[FLOW_NAME_MAX + 32];
	int fd;
	FILE *f;
	bool ok;

	snprintf(path, sizeof(path), "%s/%s", adapter, file);
	fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
	f = fd < 0 ? NULL : fdopen(fd, "r");
	if (!f) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	ok = fgets(line, size, f) != NULL;
	fclose(f);
	return ok;
}

/* An Ethernet adapter with an address of its own; false for lo and tunnels. */
static bool host_adapter(int dir, const char *name, struct wire_adapter *ret)
{
	static const uint8_t none[6];
	char line[64];
	uint8_t *m = ret->mac;

	return host_line(dir, name, "type", line, sizeof(line)) && atoi(line) == ARPHRD_ETHER &&
	       host_line(dir, name, "ifindex", line, sizeof(line)) && sscanf(line, "%" SCNu32, &ret->ifindex) == 1 &&
	       host_line(dir, name, "address", line, sizeof(line)) &&
	       sscanf(line, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", m, m + 1, m + 2, m + 3, m + 4, m + 5) == 6 &&
	       memcmp(m, none, 6) != 0;
}

/* Puts it in its place by ifindex; the last falls out when there are too many. */
static void host_adapters_add(struct wire_adapters *all, const struct wire_adapter *a)
{
	unsigned i = 0, n = all->n < WIRE_ADAPTERS ? all->n : WIRE_ADAPTERS - 1;

	while (i < all->n && all->v[i].ifindex < a->ifindex)
		i++;
	if (i == WIRE_ADAPTERS)
		return;
	memmove(&all->v[i + 1], &all->v[i], (n - i) * sizeof(*a));
	all->v[i] = *a;
	all->n = n + 1;
}

void host_adapters(const char *net, struct wire_adapters *ret)
{
	DIR *d = opendir(net);
	bool physical;

	*ret = (struct wire_adapters){0};
	for (physical = true; d && ret->n == 0; physical = false) {
		struct dirent *e;

		rewinddir(d);
		while ((e = readdir(d))) {
			struct wire_adapter a;
			char device[sizeof(e->d_name) + 8];

			snprintf(device, sizeof(device), "%s/device", e->d_name);
			if (e->d_name[0] != '.' && (!physical || faccessat(dirfd(d), device, F_OK, 0) == 0) &&
			    host_adapter(dirfd(d), e->d_name, &a))
				host_adapters_add(ret, &a);
		}
		if (!physical)
			break;
	}
	if (d)
		closedir(d);
}

bool host_due(struct host *h, int64_t now_us)
{
	uint64_t hash =
		hash64_seed(h->rec.addresses, h->rec.n_addresses * sizeof(*h->rec.addresses), h->rec.n_addresses);

	if (h->told_us != INT64_MIN && hash == h->hash && now_us - h->told_us < HOST_EVERY_US)
		return false;
	h->hash = hash;
	h->told_us = now_us;
	return true;
}

bool host_address(const struct host *h, struct ip *ret)
{
	unsigned pass, i;

	for (pass = 0; pass < 2; pass++) {
		for (i = 0; i < h->rec.n_addresses; i++) {
			const struct flow_address *a = &h->rec.addresses[i];

			if (a->host_only || ip_is_v4(&a->ip) != (pass == 0))
				continue;
			*ret = a->ip;
			return true;
		}
	}
	return false;
}
