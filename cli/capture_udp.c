/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "cli/capture.h"

enum {
	LINK_NULL = 0,
	LINK_ETHERNET = 1,
	LINK_RAW_BSD = 12,
	LINK_RAW_OPENBSD = 14,
	LINK_RAW = 101,
	LINK_LOOP = 108,
	LINK_SLL = 113,
	LINK_IPV4 = 228,
	LINK_IPV6 = 229,
	LINK_SLL2 = 276,
	TYPE_IPV4 = 0x0800,
	TYPE_IPV6 = 0x86dd,
	TYPE_VLAN = 0x8100,
	TYPE_VLAN_OUTER = 0x88a8,
	TYPE_VLAN_OLD = 0x9100,
	TAGS = 4,       /* VLAN tags passed at most */
	EXTENSIONS = 8, /* IPv6 extension headers passed at most */
};

static uint16_t be16(struct str s, size_t at)
{
	return (uint16_t)((uint8_t)s.p[at] << 8 | (uint8_t)s.p[at + 1]);
}

static struct str from(struct str s, size_t n)
{
	return (struct str){s.p + n, s.n - n};
}

static int find_udp(struct str s, struct capture_udp *ret)
{
	size_t n;

	if (s.n < 8)
		return -EBADMSG;
	n = be16(s, 4);
	if (n < 8)
		return -EBADMSG;
	ret->src_port = be16(s, 0);
	ret->dst_port = be16(s, 2);
	ret->cut = n > s.n;
	ret->payload = (struct str){s.p + 8, (ret->cut ? s.n : n) - 8};
	return 0;
}

static int find_in_ipv4(struct str s, struct capture_udp *ret)
{
	size_t head, total;

	if (s.n < 20)
		return -EBADMSG;
	head = (s.p[0] & 15) * 4u;
	total = be16(s, 2);
	if (head < 20 || head > s.n || (total && total < head))
		return -EBADMSG;
	if (s.p[9] != IPPROTO_UDP)
		return -ENOMSG;
	if (be16(s, 6) & 0x3fff) /* more of them, or not the first */
		return -EMSGSIZE;
	ret->src = ip_from_v4((const uint8_t *)s.p + 12);
	ret->dst = ip_from_v4((const uint8_t *)s.p + 16);
	if (total && total < s.n) /* total 0: left to the network card */
		s.n = total;
	return find_udp(from(s, head), ret);
}

static int find_in_ipv6(struct str s, struct capture_udp *ret)
{
	uint8_t next;
	size_t payload;

	if (s.n < 40)
		return -EBADMSG;
	next = (uint8_t)s.p[6];
	payload = be16(s, 4);
	memcpy(ret->src.b, s.p + 8, 16);
	memcpy(ret->dst.b, s.p + 24, 16);
	s = from(s, 40);
	if (payload && payload < s.n)
		s.n = payload;
	for (unsigned i = 0; i < EXTENSIONS; i++) {
		size_t len;

		if (next == IPPROTO_UDP)
			return find_udp(s, ret);
		if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING && next != IPPROTO_DSTOPTS &&
		    next != IPPROTO_FRAGMENT)
			return -ENOMSG;
		if (s.n < 8)
			return -EBADMSG;
		if (next == IPPROTO_FRAGMENT && (be16(s, 2) & 0xfff9))
			return (uint8_t)s.p[0] == IPPROTO_UDP ? -EMSGSIZE : -ENOMSG;
		len = next == IPPROTO_FRAGMENT ? 8 : ((uint8_t)s.p[1] + 1) * 8u;
		if (len > s.n)
			return -EBADMSG;
		next = (uint8_t)s.p[0];
		s = from(s, len);
	}
	return -ENOMSG;
}

static int find_in_type(uint16_t type, struct str s, struct capture_udp *ret)
{
	for (unsigned i = 0; i < TAGS && (type == TYPE_VLAN || type == TYPE_VLAN_OUTER || type == TYPE_VLAN_OLD); i++) {
		if (s.n < 4)
			return -EBADMSG;
		type = be16(s, 2);
		s = from(s, 4);
	}
	if (type == TYPE_IPV4)
		return find_in_ipv4(s, ret);
	return type == TYPE_IPV6 ? find_in_ipv6(s, ret) : -ENOMSG;
}

static int find_in_raw(struct str s, struct capture_udp *ret)
{
	unsigned version;

	if (!s.n)
		return -EBADMSG;
	version = (uint8_t)s.p[0] >> 4;
	if (version == 4)
		return find_in_ipv4(s, ret);
	return version == 6 ? find_in_ipv6(s, ret) : -ENOMSG;
}

int capture_udp(uint32_t link, struct str frame, struct capture_udp *ret)
{
	/* How long the head is, and where in it the type of what follows stands; type 0: the version says it. */
	static const struct {
		uint32_t link;
		uint8_t head, type;
	} links[] = {
		{LINK_ETHERNET, 14, 12}, {LINK_SLL, 16, 14},       {LINK_SLL2, 20, 0xff}, {LINK_RAW, 0, 0},
		{LINK_RAW_BSD, 0, 0},    {LINK_RAW_OPENBSD, 0, 0}, {LINK_IPV4, 0, 0},     {LINK_IPV6, 0, 0},
		{LINK_NULL, 4, 0},       {LINK_LOOP, 4, 0},
	};
	struct capture_udp u = {0};
	int r = -ENOMSG;

	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
		if (links[i].link != link)
			continue;
		if (frame.n < links[i].head)
			return -EBADMSG;
		if (!links[i].type)
			r = find_in_raw(from(frame, links[i].head), &u);
		else
			r = find_in_type(be16(frame, links[i].type == 0xff ? 0 : links[i].type),
					 from(frame, links[i].head), &u);
	}
	if (!r)
		*ret = u;
	return r;
}
