/* SPDX-License-Identifier: Apache-2.0 */
#include "base/ip.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t v4_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

struct ip ip_from_v4(const uint8_t b[4])
{
	struct ip ip;

	memcpy(ip.b, v4_prefix, 12);
	memcpy(ip.b + 12, b, 4);
	return ip;
}

bool ip_is_v4(const struct ip *ip)
{
	return memcmp(ip->b, v4_prefix, 12) == 0;
}

bool ip_is_zero(const struct ip *ip)
{
	static const uint8_t zero[16];

	return memcmp(ip->b, zero, 16) == 0 || (ip_is_v4(ip) && memcmp(ip->b + 12, zero, 4) == 0);
}

bool ip_is_loopback(const struct ip *ip)
{
	static const struct ip one = {{[15] = 1}};

	return (ip_is_v4(ip) && ip->b[12] == 127) || ip_eq(ip, &one);
}

bool ip_is_link_local(const struct ip *ip)
{
	return (ip_is_v4(ip) && ip->b[12] == 169 && ip->b[13] == 254) ||
	       (ip->b[0] == 0xfe && (ip->b[1] & 0xc0) == 0x80);
}

bool ip_eq(const struct ip *a, const struct ip *b)
{
	return memcmp(a->b, b->b, 16) == 0;
}

char *ip_format(const struct ip *ip, char text[IP_TEXT])
{
	if (ip_is_v4(ip))
		inet_ntop(AF_INET, ip->b + 12, text, IP_TEXT);
	else
		inet_ntop(AF_INET6, ip->b, text, IP_TEXT);
	return text;
}

int ip_parse(const char *text, struct ip *ret)
{
	uint8_t b[16];

	if (inet_pton(AF_INET, text, b) == 1) {
		*ret = ip_from_v4(b);
		return 0;
	}
	if (inet_pton(AF_INET6, text, b) != 1)
		return -EINVAL;
	memcpy(ret->b, b, 16);
	return 0;
}

int ip_parse_prefix(const char *text, struct ip *ret, unsigned *ret_bits)
{
	char addr[IP_TEXT];
	const char *slash = strchr(text, '/');
	size_t n = slash ? (size_t)(slash - text) : strlen(text);
	unsigned long bits = 128;
	struct ip ip;
	char *end;
	int r;

	if (n >= sizeof(addr))
		return -EINVAL;
	memcpy(addr, text, n);
	addr[n] = '\0';
	r = ip_parse(addr, &ip);
	if (r < 0)
		return r;
	if (slash) {
		bool dotted = strchr(addr, ':') == NULL;

		if (slash[1] < '0' || slash[1] > '9')
			return -EINVAL;
		bits = strtoul(slash + 1, &end, 10);
		if (*end || bits > (dotted ? 32u : 128u))
			return -EINVAL;
		bits += dotted ? 96 : 0;
	}
	*ret = ip;
	*ret_bits = (unsigned)bits;
	return 0;
}

bool ip_in_prefix(const struct ip *ip, const struct ip *prefix, unsigned bits)
{
	unsigned whole = bits / 8, rest = bits % 8;

	if (memcmp(ip->b, prefix->b, whole) != 0)
		return false;
	return rest == 0 || ((ip->b[whole] ^ prefix->b[whole]) >> (8 - rest)) == 0;
}

int ip_from_sockaddr(const struct sockaddr *sa, struct ip *ret, uint16_t *ret_port)
{
	if (sa->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)sa;

		*ret = ip_from_v4((const uint8_t *)&in->sin_addr);
		*ret_port = ntohs(in->sin_port);
		return 0;
	}
	if (sa->sa_family == AF_INET6) {
		const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)sa;

		memcpy(ret->b, &in->sin6_addr, 16);
		*ret_port = ntohs(in->sin6_port);
		return 0;
	}
	return -EAFNOSUPPORT;
}

socklen_t ip_to_sockaddr(const struct ip *ip, uint16_t port, struct sockaddr_storage *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (ip_is_v4(ip)) {
		struct sockaddr_in *in = (struct sockaddr_in *)ret;

		in->sin_family = AF_INET;
		in->sin_port = htons(port);
		memcpy(&in->sin_addr, ip->b + 12, 4);
		return sizeof(*in);
	}
	struct sockaddr_in6 *in = (struct sockaddr_in6 *)ret;

	in->sin6_family = AF_INET6;
	in->sin6_port = htons(port);
	memcpy(&in->sin6_addr, ip->b, 16);
	return sizeof(*in);
}

/* Splits "host:port" into host (may be empty) and port text. */
static int ip_split(const char *text, char *host, size_t host_len, const char **ret_port)
{
	const char *colon = strrchr(text, ':');
	const char *start = text, *end = colon;

	*ret_port = colon ? colon + 1 : NULL;
	if (text[0] == '[') {
		end = strchr(text, ']');
		if (!end || (end[1] && end[1] != ':'))
			return -EINVAL;
		start = text + 1;
		*ret_port = end[1] == ':' ? end + 2 : NULL;
	} else if (!colon) {
		bool digits = text[0] && strspn(text, "0123456789") == strlen(text);

		end = digits ? text : text + strlen(text);
		*ret_port = digits ? text : NULL;
	} else if (strchr(text, ':') != colon) { /* bare IPv6 address */
		end = text + strlen(text);
		*ret_port = NULL;
	}
	if ((size_t)(end - start) >= host_len)
		return -EINVAL;
	memcpy(host, start, (size_t)(end - start));
	host[end - start] = '\0';
	return 0;
}

/* host: at least 256 bytes, empty for any address. */
static int ip_words(const char *text, uint16_t default_port, char *host, size_t host_len, uint16_t *ret_port, char *why,
		    size_t why_len)
{
	const char *port_text;
	unsigned long port = default_port;
	char *end;
	int r = ip_split(text, host, host_len, &port_text);

	if (r < 0) {
		snprintf(why, why_len, "'%s' is not host:port", text);
		return r;
	}
	if (port_text) {
		port = strtoul(port_text, &end, 10);
		if (*end || *port_text < '0' || *port_text > '9' || port > 65535) {
			snprintf(why, why_len, "'%s' is not a port (0 to 65535)", port_text);
			return -EINVAL;
		}
	}
	*ret_port = (uint16_t)port;
	return 0;
}

int ip_hostport(const char *text, uint16_t default_port, struct ip *ret, uint16_t *ret_port, char *why, size_t why_len)
{
	static const uint8_t any[4];
	struct ip ip = ip_from_v4(any);
	char host[256];
	uint16_t port;
	int r = ip_words(text, default_port, host, sizeof(host), &port, why, why_len);

	if (r < 0)
		return r;
	if (host[0] && ip_parse(host, &ip) < 0) {
		ip = (struct ip){{0}};
		r = 1;
	}
	*ret = ip;
	*ret_port = port;
	return r;
}

int ip_resolve(const char *text, uint16_t default_port, struct ip *ret, uint16_t *ret_port, char *why, size_t why_len)
{
	struct addrinfo hints = {.ai_socktype = SOCK_DGRAM}, *ai = NULL;
	char host[256];
	uint16_t port, none;
	int r = ip_words(text, default_port, host, sizeof(host), &port, why, why_len);

	if (r < 0)
		return r;
	if (!host[0]) {
		static const uint8_t any[4];

		*ret = ip_from_v4(any);
		*ret_port = port;
		return 0;
	}
	r = getaddrinfo(host, NULL, &hints, &ai);
	if (r != 0) {
		snprintf(why, why_len, "cannot find the address of '%s': %s", host, gai_strerror(r));
		return -ENOENT;
	}
	r = ip_from_sockaddr(ai->ai_addr, ret, &none);
	freeaddrinfo(ai);
	if (r < 0) {
		snprintf(why, why_len, "'%s' has no IPv4 or IPv6 address", host);
		return r;
	}
	*ret_port = port;
	return 0;
}
