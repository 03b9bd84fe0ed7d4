/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses: always 16 bytes in network order, IPv4 as ::ffff:a.b.c.d (RFC 4291 2.5.5.2). */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IP_TEXT 48 /* enough for any address and "/128" */

struct ip {
	uint8_t b[16];
};

struct ip ip_from_v4(const uint8_t b[4]);
bool ip_is_v4(const struct ip *ip);
bool ip_is_zero(const struct ip *ip);       /* 0.0.0.0 or :: */
bool ip_is_loopback(const struct ip *ip);   /* 127/8, ::1 */
bool ip_is_link_local(const struct ip *ip); /* 169.254/16, fe80::/10 */
bool ip_eq(const struct ip *a, const struct ip *b);

/* Text of the address: dotted for IPv4, RFC 5952 else. Returns `text`. */
char *ip_format(const struct ip *ip, char text[IP_TEXT]);

/* "10.1.2.3", "2001:db8::1". -EINVAL. */
int ip_parse(const char *text, struct ip *ret);

/* "10.0.0.0/8", "2001:db8::/32", or a bare address. ret_bits counts in the 16-byte form (IPv4: 96 + n). -EINVAL. */
int ip_parse_prefix(const char *text, struct ip *ret, unsigned *ret_bits);

/* True when the first `bits` bits are equal. */
bool ip_in_prefix(const struct ip *ip, const struct ip *prefix, unsigned bits);

/* Address and port of a socket address of either family. -EAFNOSUPPORT. */
int ip_from_sockaddr(const struct sockaddr *sa, struct ip *ret, uint16_t *ret_port);

/* The socket address for sending; IPv4 becomes AF_INET. Returns its length. */
socklen_t ip_to_sockaddr(const struct ip *ip, uint16_t port, struct sockaddr_storage *ret);

/* "host:port", "[v6]:port", ":port" (any address) or "port". 0; 1: the host is a name, which nobody was asked for (ret is
 * zero); -EINVAL with a reason in `why`. */
int ip_hostport(const char *text, uint16_t default_port, struct ip *ret, uint16_t *ret_port, char *why, size_t why_len);

/* The same -> first address of the name. Resolves by
 * getaddrinfo: not for hot paths. -EINVAL (no host:port), -ENOENT (no such name) with a reason in `why`. */
int ip_resolve(const char *text, uint16_t default_port, struct ip *ret, uint16_t *ret_port, char *why, size_t why_len);
