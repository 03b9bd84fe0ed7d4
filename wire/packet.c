/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layers, outermost first: Ethernet, VLAN tags, IPv4 or IPv6 with its extension headers, then TCP, UDP, SCTP or ICMP. One
 * cursor goes through them: each header read moves it on by at least 4 bytes, so every chain of headers ends with the
 * bytes, however it was made.
 *
 * Lengths come from the IP header, for that is what the sender said; the frame's own length may have padding. Zero there (what a
 * host sees of a packet its network card is to cut into segments): the frame's length less what stands before IP.
 */
#include "wire/packet.h"

enum {
	ETHER_IPV4 = 0x0800,
	ETHER_IPV6 = 0x86dd,
	ETHER_VLAN = 0x8100,
	ETHER_QINQ = 0x88a8,
	ETHER_QINQ_OLD = 0x9100,
	ETHER_LENGTH_MAX = 1500, /* up to here it is no type: 802.3, with LLC behind it */
};
enum {
	NEXT_HOP_BY_HOP = 0,
	NEXT_ICMP = 1,
	NEXT_TCP = 6,
	NEXT_UDP = 17,
	NEXT_ROUTING = 43,
	NEXT_FRAGMENT = 44,
	NEXT_AUTH = 51,
	NEXT_ICMP6 = 58,
	NEXT_OPTIONS = 60,
	NEXT_SCTP = 132,
	NEXT_MOBILITY = 135,
	NEXT_HIP = 139,
	NEXT_SHIM6 = 140,
};
enum { IPV4_BYTES = 20, IPV6_BYTES = 40, TCP_BYTES = 20, UDP_BYTES = 8, ICMP_BYTES = 8, SCTP_BYTES = 12 };
#define WIRE_BYTES_MAX (1u << 24) /* no packet is larger: what says so is broken */

const char *packet_error_name(enum packet_error e)
{
	static const char *const names[PACKET_ERRORS] = {"ok", "other", "cut", "bad"};

	return names[e];
}

static uint16_t load16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

/* Bytes of the header behind IP's at least; 0: not known, all counts as payload. */
static uint32_t least_header(uint8_t protocol, bool *ret_ports)
{
	*ret_ports = protocol == NEXT_TCP || protocol == NEXT_UDP || protocol == NEXT_SCTP;
	switch (protocol) {
	case NEXT_TCP:
		return TCP_BYTES;
	case NEXT_UDP:
		return UDP_BYTES;
	case NEXT_SCTP:
		return SCTP_BYTES;
	case NEXT_ICMP:
	case NEXT_ICMP6:
		return ICMP_BYTES;
	}
	return 0;
}

/* What is behind IP's headers: `bytes` on the wire, of which *c has the first. */
static enum packet_error read_transport(struct packet *p, struct cursor *c, uint32_t bytes)
{
	bool ports;
	uint32_t header = least_header(p->protocol, &ports);
	const uint8_t *b = c->p;

	if (p->later_fragment) {
		p->payload = bytes;
		return PACKET_OK;
	}
	if (ports && cursor_left(c) >= 4) {
		p->has_ports = true;
		p->src_port = load16(b);
		p->dst_port = load16(b + 2);
	}
	if (p->protocol == NEXT_TCP && cursor_left(c) >= 14) {
		header = (b[12] >> 4) * 4u;
		p->tcp_flags = b[13];
		if (header < TCP_BYTES)
			return PACKET_BAD;
	}
	p->payload = bytes > header ? bytes - header : 0;
	return PACKET_OK;
}

static enum packet_error read_ipv4(struct packet *p, struct cursor *c, uint32_t wire_bytes)
{
	const uint8_t *b = cursor_take(c, IPV4_BYTES);
	uint32_t header;

	if (!b)
		return PACKET_CUT;
	header = (b[0] & 15) * 4u;
	if (b[0] >> 4 != 4 || header < IPV4_BYTES)
		return PACKET_BAD;
	p->tos = b[1];
	p->ip_bytes = load16(b + 2) ? load16(b + 2) : wire_bytes;
	p->fragment = load16(b + 6) & 0x3fff;
	p->later_fragment = load16(b + 6) & 0x1fff;
	p->protocol = b[9];
	p->src = ip_from_v4(b + 12);
	p->dst = ip_from_v4(b + 16);
	if (p->ip_bytes < header)
		return PACKET_BAD;
	if (!cursor_take(c, header - IPV4_BYTES))
		c->p = c->end; /* cut in the options: what is behind them is not there */
	c->err = false;
	return read_transport(p, c, p->ip_bytes - header);
}

/* Bytes of the extension header at b, of which the first two are there; 0: it is none. */
static uint32_t extension(uint8_t next, const uint8_t *b)
{
	switch (next) {
	case NEXT_HOP_BY_HOP:
	case NEXT_ROUTING:
	case NEXT_OPTIONS:
	case NEXT_MOBILITY:
	case NEXT_HIP:
	case NEXT_SHIM6:
		return (b[1] + 1) * 8u;
	case NEXT_AUTH:
		return (b[1] + 2) * 4u;
	case NEXT_FRAGMENT:
		return 8;
	}
	return 0;
}

static bool is_extension(uint8_t next)
{
	static const uint8_t any[2];

	return extension(next, any);
}

static enum packet_error read_ipv6(struct packet *p, struct cursor *c, uint32_t wire_bytes)
{
	const uint8_t *b = cursor_take(c, IPV6_BYTES);
	uint32_t left;
	uint8_t next;

	if (!b)
		return PACKET_CUT;
	if (b[0] >> 4 != 6)
		return PACKET_BAD;
	p->tos = (uint8_t)(b[0] << 4 | b[1] >> 4);
	p->ip_bytes = load16(b + 4) ? (uint32_t)load16(b + 4) + IPV6_BYTES : wire_bytes;
	memcpy(p->src.b, b + 8, 16);
	memcpy(p->dst.b, b + 24, 16);
	if (p->ip_bytes < IPV6_BYTES)
		return PACKET_BAD;
	left = p->ip_bytes - IPV6_BYTES;
	for (next = b[6]; is_extension(next) && !p->later_fragment;) {
		uint32_t n;

		if (cursor_left(c) < 8)
			return PACKET_CUT; /* each is 8 bytes at least */
		b = c->p;
		n = extension(next, b);
		if (next == NEXT_FRAGMENT) {
			p->fragment = load16(b + 2) & 0xfff9;
			p->later_fragment = load16(b + 2) & 0xfff8;
		}
		if (n > left)
			return PACKET_BAD;
		if (!cursor_take(c, n))
			return PACKET_CUT;
		left -= n;
		next = b[0];
	}
	p->protocol = next;
	return read_transport(p, c, left);
}

static enum packet_error read_ip(struct packet *p, struct cursor *c, uint32_t wire_bytes, uint32_t version)
{
	return version == 4 ? read_ipv4(p, c, wire_bytes) : read_ipv6(p, c, wire_bytes);
}

static bool is_vlan(uint16_t type)
{
	return type == ETHER_VLAN || type == ETHER_QINQ || type == ETHER_QINQ_OLD;
}

static enum packet_error read_ethernet(struct packet *p, struct cursor *c, uint32_t wire_bytes)
{
	static const uint8_t snap[] = {0xaa, 0xaa, 0x03, 0, 0, 0};
	const uint8_t *start = c->p, *b = cursor_take(c, 14);
	uint16_t type;
	uint32_t before;

	if (!b)
		return PACKET_CUT;
	type = load16(b + 12);
	while (is_vlan(type)) {
		b = cursor_take(c, 4);
		if (!b)
			return PACKET_CUT;
		if (p->n_vlans < PACKET_VLANS)
			p->vlan[p->n_vlans] = load16(b);
		p->n_vlans += p->n_vlans < UINT8_MAX;
		type = load16(b + 2);
	}
	if (type <= ETHER_LENGTH_MAX) {
		b = cursor_take(c, 8);
		if (!b)
			return PACKET_CUT;
		if (memcmp(b, snap, sizeof(snap)))
			return PACKET_OTHER;
		type = load16(b + 6);
	}
	before = (uint32_t)(c->p - start);
	if (type != ETHER_IPV4 && type != ETHER_IPV6)
		return PACKET_OTHER;
	return read_ip(p, c, wire_bytes > before ? wire_bytes - before : 0, type == ETHER_IPV4 ? 4 : 6);
}

enum packet_error packet_read(struct packet *ret, uint32_t header_protocol, uint32_t wire_bytes, struct str header)
{
	struct cursor c = cursor_over(header);

	memset(ret, 0, sizeof(*ret));
	if (wire_bytes > WIRE_BYTES_MAX)
		return PACKET_BAD;
	switch (header_protocol) {
	case PACKET_ETHERNET:
		return read_ethernet(ret, &c, wire_bytes);
	case PACKET_IPV4:
		return read_ip(ret, &c, wire_bytes, 4);
	case PACKET_IPV6:
		return read_ip(ret, &c, wire_bytes, 6);
	}
	return PACKET_OTHER;
}

enum packet_error packet_of_header(struct packet *ret, struct str body)
{
	struct cursor c = cursor_over(body);
	uint32_t protocol = cursor_u32(&c), frame = cursor_u32(&c), stripped = cursor_u32(&c);
	struct str header = cursor_opaque(&c);

	if (c.err) {
		memset(ret, 0, sizeof(*ret));
		return PACKET_CUT;
	}
	return packet_read(ret, protocol, frame > stripped ? frame - stripped : 0, header);
}

uint32_t packet_least_payload(const struct packet *p)
{
	bool ports;
	uint32_t n = (ip_is_v4(&p->src) ? IPV4_BYTES : IPV6_BYTES) + least_header(p->protocol, &ports);

	return p->ip_bytes > n ? p->ip_bytes - n : 0;
}

/* A record with the fields themselves, `n` bytes an address. Options were not told of. */
static enum packet_error of_fields(struct packet *ret, struct str body, unsigned n)
{
	const uint8_t *b = (const uint8_t *)body.p, *ports;

	memset(ret, 0, sizeof(*ret));
	if (body.n < 8 + 2 * n + 16)
		return PACKET_CUT;
	ports = b + 8 + 2 * n;
	ret->ip_bytes = cursor_load32(b);
	ret->protocol = (uint8_t)cursor_load32(b + 4);
	if (ret->ip_bytes > WIRE_BYTES_MAX || cursor_load32(b + 4) > UINT8_MAX)
		return PACKET_BAD;
	if (n == 4) {
		ret->src = ip_from_v4(b + 8);
		ret->dst = ip_from_v4(b + 12);
	} else {
		memcpy(ret->src.b, b + 8, 16);
		memcpy(ret->dst.b, b + 24, 16);
	}
	ret->payload = packet_least_payload(ret);
	(void)least_header(ret->protocol, &ret->has_ports);
	if (ret->has_ports) {
		ret->src_port = (uint16_t)cursor_load32(ports);
		ret->dst_port = (uint16_t)cursor_load32(ports + 4);
	}
	ret->tcp_flags = (uint8_t)cursor_load32(ports + 8);
	ret->tos = (uint8_t)cursor_load32(ports + 12);
	return PACKET_OK;
}

enum packet_error packet_of_ipv4(struct packet *ret, struct str body)
{
	return of_fields(ret, body, 4);
}

enum packet_error packet_of_ipv6(struct packet *ret, struct str body)
{
	return of_fields(ret, body, 16);
}
