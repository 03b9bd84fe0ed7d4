/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/link/end.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/ipv6.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/ip.h"

#define END_QUEUE 10000 /* packets the device keeps until we read them: what is lost is lost by us, and counted */

/* The n-th of the addresses, split. -ENOENT: there are fewer. */
static int end_address(const char *addresses, unsigned n, struct ip *ret, unsigned *ret_bits)
{
	char text[IP_TEXT];
	size_t len;

	for (; n && addresses; n--) {
		addresses = strchr(addresses, ',');
		addresses += addresses != NULL;
	}
	if (!addresses)
		return -ENOENT;
	len = strcspn(addresses, ",");
	if (len >= sizeof(text))
		return -EINVAL;
	memcpy(text, addresses, len);
	text[len] = '\0';
	return strchr(text, '/') ? ip_parse_prefix(text, ret, ret_bits) : -EINVAL;
}

int end_check(const char *addresses)
{
	struct ip ip;
	unsigned bits, n = 0;
	int r;

	do
		r = end_address(addresses, n, &ip, &bits);
	while (!r && ++n <= END_ADDRESSES);
	return r == -ENOENT && n ? 0 : -EINVAL;
}

/* Whether a step went well; `why` is told which did not. */
static int end_said(int r, const char *step, const char *what, char *why, size_t why_len)
{
	r = r < 0 ? -errno : 0;
	if (r)
		snprintf(why, why_len, "%s %s: %s", step, what, strerror(-r));
	return r;
}

static int end_enter(const char *netns, char *why, size_t why_len)
{
	char path[256];
	int fd, r;

	snprintf(path, sizeof(path), "%s%s", strchr(netns, '/') ? "" : "/run/netns/", netns);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	r = end_said(fd < 0 ? fd : setns(fd, CLONE_NEWNET), "namespace", netns, why, why_len);
	if (fd >= 0)
		close(fd);
	return r;
}

static int end_set_v4(int s, struct ifreq *ifr, const struct ip *ip, unsigned bits)
{
	struct sockaddr_in mask = {.sin_family = AF_INET};
	struct sockaddr_storage sa;

	(void)ip_to_sockaddr(ip, 0, &sa);
	memcpy(&ifr->ifr_addr, &sa, sizeof(ifr->ifr_addr));
	if (ioctl(s, SIOCSIFADDR, ifr))
		return -1;
	mask.sin_addr.s_addr = bits > 96 ? htonl(~0u << (128 - bits)) : 0;
	memcpy(&ifr->ifr_netmask, &mask, sizeof(mask));
	return ioctl(s, SIOCSIFNETMASK, ifr);
}

static int end_set_v6(int index, const struct ip *ip, unsigned bits)
{
	struct in6_ifreq req = {.ifr6_prefixlen = bits, .ifr6_ifindex = index};
	int s = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0), r, saved;

	memcpy(&req.ifr6_addr, ip->b, 16);
	r = s < 0 ? s : ioctl(s, SIOCSIFADDR, &req);
	saved = errno;
	if (s >= 0)
		close(s);
	errno = saved;
	return r;
}

/* A socket of the namespace, with the device's name in ifr. */
static int end_configure(int s, struct ifreq *ifr, const struct end_conf *conf)
{
	struct ip ip;
	unsigned bits, n;
	int index;

	ifr->ifr_mtu = (int)conf->mtu;
	if (ioctl(s, SIOCSIFMTU, ifr))
		return -1;
	ifr->ifr_qlen = END_QUEUE;
	if (ioctl(s, SIOCSIFTXQLEN, ifr))
		return -1;
	if (ioctl(s, SIOCGIFFLAGS, ifr))
		return -1;
	ifr->ifr_flags |= IFF_UP;
	if (ioctl(s, SIOCSIFFLAGS, ifr) || ioctl(s, SIOCGIFINDEX, ifr))
		return -1;
	index = ifr->ifr_ifindex;
	for (n = 0; !end_address(conf->addresses, n, &ip, &bits); n++)
		if (ip_is_v4(&ip) ? end_set_v4(s, ifr, &ip, bits) : end_set_v6(index, &ip, bits))
			return -1;
	return 0;
}

static int end_device(const struct end_conf *conf, int *ret_fd, char *why, size_t why_len)
{
	struct ifreq ifr = {.ifr_flags = IFF_TUN | IFF_NO_PI};
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	int r = end_said(fd, "cannot open", "/dev/net/tun", why, why_len);

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", conf->device);
	if (!r)
		r = end_said(ioctl(fd, TUNSETIFF, &ifr), "cannot make the device", conf->device, why, why_len);
	if (!r)
		r = end_said(s < 0 ? s : end_configure(s, &ifr, conf), "cannot set up", conf->device, why, why_len);
	if (s >= 0)
		close(s);
	if (r && fd >= 0)
		close(fd);
	if (!r)
		*ret_fd = fd;
	return r;
}

int end_open(const struct end_conf *conf, int *ret_fd, char *why, size_t why_len)
{
	int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	int r = end_said(home, "cannot open", "/proc/self/ns/net", why, why_len);

	if (r)
		return r;
	if (conf->netns)
		r = end_enter(conf->netns, why, why_len);
	if (!r)
		r = end_device(conf, ret_fd, why, why_len);
	if (conf->netns && setns(home, CLONE_NEWNET) && !r) {
		r = end_said(-1, "cannot go back to", "our own namespace", why, why_len);
		close(*ret_fd);
	}
	close(home);
	return r;
}
