/* SPDX-License-Identifier: Apache-2.0 */
/* Translations and rows to ask about. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/nat.h"
#include "base/table.h"
#include "flow/key.h"

#define POD "10.8.0.2"
#define NODE "10.0.0.1"
#define VIP "10.96.0.10"
#define OTHER "10.0.0.9"

enum { NS_POD = 101, NS_HOST = 102, NS_THIRD = 103 };

static inline struct ip ip(const char *text)
{
	struct ip a;

	assert_int_equal(ip_parse(text, &a), 0);
	return a;
}

static inline struct nat_tuple tuple(const char *src, uint16_t sport, const char *dst, uint16_t dport)
{
	return (struct nat_tuple){
		.src = ip(src), .dst = ip(dst), .sport = sport, .dport = dport, .protocol = IPPROTO_TCP};
}

static inline struct nat *made(uint32_t max)
{
	struct nat *n;
	struct ip own[] = {ip(NODE), ip(POD)};

	assert_int_equal(nat_new(&n, max), 0);
	assert_int_equal(nat_own(n, own, ARRAY_LEN(own)), 0);
	nat_at(n, 1);
	return n;
}

static inline void put(struct nat *n, uint32_t netns, struct nat_tuple before, struct nat_tuple after, int64_t at)
{
	struct nat_entry e = {.before = before, .after = after, .netns = netns};

	nat_put(n, &e, at);
}

static inline struct sky_row_key key(uint8_t role, const char *local, const char *remote, uint16_t port)
{
	struct sky_row_key k = {.role = role, .protocol = IPPROTO_TCP, .netns = NS_POD, .service_port = port};

	memcpy(k.local, ip(local).b, 16);
	memcpy(k.remote, ip(remote).b, 16);
	return k;
}

static inline void is(const struct nat *n, const struct sky_row_key *k, const char *local, const char *remote,
		      uint16_t port, const char *via, uint16_t via_port, uint8_t flags)
{
	struct ip got;
	uint16_t got_port;

	assert_memory_equal(k->local, ip(local).b, 16);
	assert_memory_equal(k->remote, ip(remote).b, 16);
	assert_int_equal(k->service_port, port);
	assert_int_equal(k->other_port, 0);
	assert_int_equal(k->flags, flags);
	assert_int_equal(nat_via(n, k->via, &got, &got_port), via != NULL);
	if (via) {
		assert_memory_equal(got.b, ip(via).b, 16);
		assert_int_equal(got_port, via_port);
	}
}

/* Ports of a row the kernel has summed. */
static inline struct sky_row_value summed(unsigned n, uint16_t first)
{
	struct sky_row_value v = {.opened = n, .attempts = n, .closed = n, .ports_seen = n};

	for (unsigned i = 0; i < n && i < SKY_PORTS; i++)
		v.ports[i] = (uint16_t)(first + i);
	return v;
}
