/* SPDX-License-Identifier: Apache-2.0 */
/* Rows under the tuple on the wire: where it is certain, and only there. */
#include "tests/unit/nat_rig.h"

#include <unistd.h>

#include "agent/nat_ct.h"

static void test_service_then_masquerade(void **state)
{
	struct nat *n = made(64);
	struct sky_row_key k = key(SKY_ROLE_CLIENT, POD, VIP, 80);
	uint16_t port = 4000;

	/* in the pod's own namespace nothing; in the host's both at once */
	put(n, NS_HOST, tuple(POD, 4000, VIP, 80), tuple(NODE, 61000, "10.0.0.2", 8080), 1);
	assert_true(nat_conn(n, &k, &port, true));
	is(n, &k, NODE, "10.0.0.2", 8080, VIP, 80, 0);
	assert_int_equal(port, 61000);
	/* another port is another connection, of which nothing is known */
	k = key(SKY_ROLE_CLIENT, POD, VIP, 80);
	port = 4001;
	assert_false(nat_conn(n, &k, &port, true));
	is(n, &k, POD, VIP, 80, NULL, 0, 0);
	nat_free(n);
}

static void test_one_after_the_other(void **state)
{
	struct nat *n = made(64);
	struct sky_row_key k = key(SKY_ROLE_CLIENT, POD, VIP, 80);
	uint16_t port = 4000;

	put(n, NS_POD, tuple(POD, 4000, VIP, 80), tuple(POD, 4000, "10.0.0.2", 8080), 1);
	put(n, NS_HOST, tuple(POD, 4000, "10.0.0.2", 8080), tuple(NODE, 61000, "10.0.0.2", 8080), 1);
	assert_true(nat_conn(n, &k, &port, true));
	is(n, &k, NODE, "10.0.0.2", 8080, VIP, 80, 0);
	nat_free(n);
}

static void test_only_masqueraded_says_no_via(void **state)
{
	struct nat *n = made(64);
	struct sky_row_key k = key(SKY_ROLE_CLIENT, POD, OTHER, 443);
	uint16_t port = 4000;

	put(n, NS_HOST, tuple(POD, 4000, OTHER, 443), tuple(NODE, 4000, OTHER, 443), 1);
	assert_true(nat_conn(n, &k, &port, true));
	is(n, &k, NODE, OTHER, 443, NULL, 0, 0);
	nat_free(n);
}

static void test_two_namespaces_say_different_things(void **state)
{
	struct nat *n = made(64);
	struct sky_row_key k = key(SKY_ROLE_CLIENT, POD, VIP, 80);
	uint16_t port = 4000;

	put(n, NS_HOST, tuple(POD, 4000, VIP, 80), tuple(POD, 4000, "10.0.0.2", 8080), 1);
	put(n, NS_THIRD, tuple(POD, 4000, VIP, 80), tuple(POD, 4000, "10.0.0.3", 8080), 1);
	assert_true(nat_conn(n, &k, &port, true));
	is(n, &k, POD, VIP, 80, NULL, 0, FLOW_NAT_UNSPLIT);
	nat_free(n);
}

static void test_a_port_used_twice(void **state)
{
	struct nat *n = made(64);
	struct sky_row_key k = key(SKY_ROLE_CLIENT, POD, VIP, 80);
	uint16_t port = 4000;

	put(n, NS_HOST, tuple(POD, 4000, VIP, 80), tuple(POD, 4000, "10.0.0.2", 8080), 1);
	put(n, NS_HOST, tuple(POD, 4000, VIP, 80), tuple(POD, 4000, "10.0.0.3", 8080), 2);
	/* of what ended it may be either; what is open can only be the second */
	assert_true(nat_conn(n, &k, &port, false));
	is(n, &k, POD, VIP, 80, NULL, 0, FLOW_NAT_UNSPLIT);
	k = key(SKY_ROLE_CLIENT, POD, VIP, 80);
	assert_true(nat_conn(n, &k, &port, true));
	is(n, &k, POD, "10.0.0.3", 8080, VIP, 80, 0);
	/* told after the last drain began: the first may have ended since */
	nat_drained(n, IPPROTO_TCP, 2);
	k = key(SKY_ROLE_CLIENT, POD, VIP, 80);
	assert_true(nat_conn(n, &k, &port, false));
	is(n, &k, POD, VIP, 80, NULL, 0, FLOW_NAT_UNSPLIT);
	nat_drained(n, IPPROTO_UDP, 3);
	k = key(SKY_ROLE_CLIENT, POD, VIP, 80);
	assert_true(nat_conn(n, &k, &port, false));
	is(n, &k, POD, VIP, 80, NULL, 0, FLOW_NAT_UNSPLIT);
	/* told before: the first one's row was asked about then */
	nat_drained(n, IPPROTO_TCP, 3);
	k = key(SKY_ROLE_CLIENT, POD, VIP, 80);
	assert_true(nat_conn(n, &k, &port, false));
	is(n, &k, POD, "10.0.0.3", 8080, VIP, 80, 0);
	/* and much later of neither */
	nat_at(n, 3 + NAT_FRESH_US);
	k = key(SKY_ROLE_CLIENT, POD, VIP, 80);
	assert_false(nat_conn(n, &k, &port, true));
	nat_free(n);
}

static void test_summed_rows(void **state)
{
	struct nat *n = made(64);
	struct sky_row_value v;
	struct sky_row_key k;

	for (uint16_t i = 0; i < 8; i++)
		put(n, NS_HOST, tuple(POD, 4000 + i, VIP, 80), tuple(POD, 5000 + i, "10.0.0.2", 8080), 1);
	put(n, NS_HOST, tuple(POD, 4008, VIP, 80), tuple(POD, 4008, "10.0.0.3", 8080), 1);
	/* all to one */
	k = key(SKY_ROLE_CLIENT, POD, VIP, 80), v = summed(8, 4000);
	nat_row(n, &k, &v);
	is(n, &k, POD, "10.0.0.2", 8080, VIP, 80, 0);
	assert_int_equal(v.ports[7], 5007);
	/* one of them tried for at the former interval's end */
	k = key(SKY_ROLE_CLIENT, POD, VIP, 80), v = summed(8, 4000);
	v.attempts--;
	nat_row(n, &k, &v);
	is(n, &k, POD, "10.0.0.2", 8080, VIP, 80, 0);
	/* to two */
	k = key(SKY_ROLE_CLIENT, POD, VIP, 80), v = summed(9, 4000);
	nat_row(n, &k, &v);
	is(n, &k, POD, VIP, 80, NULL, 0, FLOW_NAT_UNSPLIT);
	assert_int_equal(v.ports[7], 4007);
	/* one of them not translated */
	k = key(SKY_ROLE_CLIENT, POD, VIP, 80), v = summed(2, 4008);
	nat_row(n, &k, &v);
	is(n, &k, POD, VIP, 80, NULL, 0, FLOW_NAT_UNSPLIT);
	/* more than are listed */
	k = key(SKY_ROLE_CLIENT, POD, VIP, 80), v = summed(8, 4000);
	v.ports_seen = v.opened = v.attempts = 17;
	nat_row(n, &k, &v);
	is(n, &k, POD, VIP, 80, NULL, 0, FLOW_NAT_UNSPLIT);
	/* one failed: nobody knows where */
	k = key(SKY_ROLE_CLIENT, POD, VIP, 80), v = summed(8, 4000);
	v.attempts++, v.failed_refused++;
	nat_row(n, &k, &v);
	is(n, &k, POD, VIP, 80, NULL, 0, FLOW_NAT_UNSPLIT);
	/* many, where nothing is translated */
	k = key(SKY_ROLE_CLIENT, POD, OTHER, 80), v = summed(40, 4000);
	nat_row(n, &k, &v);
	is(n, &k, POD, OTHER, 80, NULL, 0, 0);
	assert_int_equal(nat_counts(n)->unsplit, 4);
	nat_free(n);
}

static int listed(void *arg, const uint8_t address[16])
{
	struct ip **at = arg;

	memcpy((*at)++, address, 16);
	return 0;
}

static void test_rows_by_connection(void **state)
{
	struct nat *n = made(64);
	struct ip list[8], *at = list;
	struct sky_row_value v = summed(1, 4000);
	struct sky_row_key k = key(SKY_ROLE_CLIENT, POD, VIP, 80);

	nat_list_by(n, IPPROTO_TCP, listed, &at);
	put(n, NS_HOST, tuple(POD, 4000, VIP, 80), tuple(POD, 4100, "10.0.0.2", 8080), 1);
	put(n, NS_HOST, tuple(POD, 4001, VIP, 80), tuple(POD, 4001, "10.0.0.2", 8080), 1);
	put(n, NS_HOST, tuple(POD, 4002, OTHER, 80), tuple(NODE, 4002, OTHER, 80), 1);
	assert_int_equal(at - list,
			 1); /* the service's address, once; what is only masqueraded when it is in the way */
	assert_memory_equal(list, ip(VIP).b, 16);
	k.other_port = 4000;
	nat_row(n, &k, &v);
	is(n, &k, POD, "10.0.0.2", 8080, VIP, 80, 0);
	assert_int_equal(v.ports[0], 4100);
	/* refused: it had a port, it is said of the back end */
	k = key(SKY_ROLE_CLIENT, POD, VIP, 80);
	k.other_port = 4001;
	v = (struct sky_row_value){.attempts = 1, .failed_refused = 1};
	nat_row(n, &k, &v);
	is(n, &k, POD, "10.0.0.2", 8080, VIP, 80, 0);
	assert_int_equal(v.ports[0], 0);
	/* a summed row in the way */
	k = key(SKY_ROLE_CLIENT, POD, OTHER, 80), v = summed(40, 4002);
	nat_row(n, &k, &v);
	is(n, &k, POD, OTHER, 80, NULL, 0, FLOW_NAT_UNSPLIT);
	assert_int_equal(at - list, 2);
	assert_memory_equal(&list[1], ip(OTHER).b, 16);
	nat_free(n);
}

static void test_published_port(void **state)
{
	struct nat *n = made(64);
	struct sky_row_key k = key(SKY_ROLE_SERVER, POD, OTHER, 8080);
	uint16_t port = 4000;

	put(n, NS_HOST, tuple(OTHER, 4000, NODE, 80), tuple(OTHER, 4000, POD, 8080), 1);
	assert_true(nat_conn(n, &k, &port, true));
	is(n, &k, POD, OTHER, 8080, NODE, 80, 0); /* its own address until its listener was found (named.c) */
	/* masqueraded as well: the peer is the one outside */
	put(n, NS_HOST, tuple(OTHER, 4001, NODE, 80), tuple(NODE, 6000, POD, 8080), 1);
	k = key(SKY_ROLE_SERVER, POD, NODE, 8080);
	port = 6000;
	assert_true(nat_conn(n, &k, &port, true));
	is(n, &k, POD, OTHER, 8080, NODE, 80, 0);
	assert_int_equal(port, 4001);
	/* a client of this host has its own row, as it left */
	put(n, NS_HOST, tuple(NODE, 4002, VIP, 80), tuple(NODE, 4002, POD, 8080), 1);
	k = key(SKY_ROLE_SERVER, POD, NODE, 8080);
	port = 4002;
	assert_false(nat_conn(n, &k, &port, true));
	is(n, &k, POD, NODE, 8080, NULL, 0, 0);
	nat_free(n);
}

static void test_the_ring_forgets_the_oldest(void **state)
{
	struct nat *n = made(8);
	struct sky_row_key k;
	uint16_t port;

	for (uint16_t i = 0; i < 20; i++)
		put(n, NS_HOST, tuple(POD, 4000 + i, VIP, 80), tuple(POD, 4000 + i, "10.0.0.2", 8080), 1 + i);
	assert_int_equal(nat_counts(n)->entries, 20);
	assert_int_equal(nat_counts(n)->early, 12);
	for (uint16_t i = 0; i < 20; i++) {
		k = key(SKY_ROLE_CLIENT, POD, VIP, 80);
		port = (uint16_t)(4000 + i);
		assert_int_equal(nat_conn(n, &k, &port, true), i >= 12);
	}
	nat_free(n);
}

static void test_without(void **state)
{
	struct sky_row_key k = key(SKY_ROLE_CLIENT, POD, VIP, 80);
	struct sky_row_value v = summed(1, 4000);
	uint16_t port = 4000;

	nat_row(NULL, &k, &v);
	nat_attempt(NULL, &k);
	nat_refresh(NULL);
	nat_forgot(NULL);
	assert_false(nat_conn(NULL, &k, &port, true));
}

/* --- messages: a service's address led to another port, and masqueraded */

static size_t attr(uint8_t *to, uint16_t type, const void *data, uint16_t n)
{
	struct nlattr a = {.nla_len = (uint16_t)(NLA_HDRLEN + n), .nla_type = type};

	memset(to, 0, NLA_ALIGN(NLA_HDRLEN + n));
	memcpy(to, &a, sizeof(a));
	memcpy(to + NLA_HDRLEN, data, n);
	return NLA_ALIGN(NLA_HDRLEN + n);
}

static size_t nested_tuple(uint8_t *to, uint16_t type, const uint8_t src[4], const uint8_t dst[4], uint8_t proto,
			   uint16_t sport, uint16_t dport)
{
	uint8_t ips[32], ports[32], both[80], be[2];
	size_t n, m, all;

	n = attr(ips, 1, src, 4);
	n += attr(ips + n, 2, dst, 4);
	m = attr(ports, 1, &proto, 1);
	be[0] = (uint8_t)(sport >> 8), be[1] = (uint8_t)sport;
	m += attr(ports + m, 2, be, 2);
	be[0] = (uint8_t)(dport >> 8), be[1] = (uint8_t)dport;
	m += attr(ports + m, 3, be, 2);
	all = attr(both, 1 | NLA_F_NESTED, ips, (uint16_t)n);
	all += attr(both + all, 2 | NLA_F_NESTED, ports, (uint16_t)m);
	return attr(to, type | NLA_F_NESTED, both, (uint16_t)all);
}

static size_t message(uint8_t *to, uint8_t proto, uint8_t status)
{
	static const uint8_t pod[] = {10, 8, 0, 2}, vip[] = {10, 96, 0, 10}, end[] = {10, 0, 0, 2},
			     node[] = {10, 0, 0, 1};
	uint8_t bits[4] = {0, 0, 1, status}, zone[2] = {0, 7};
	struct nlmsghdr h = {.nlmsg_type = 1 << 8};
	size_t n = NLMSG_LENGTH(4);

	memset(to, 0, n);
	n += nested_tuple(to + n, 1, pod, vip, proto, 4000, 80);
	n += nested_tuple(to + n, 2, end, node, proto, 8080, 61000);
	n += attr(to + n, 3, bits, 4);
	n += attr(to + n, 18, zone, 2);
	h.nlmsg_len = (uint32_t)n;
	memcpy(to, &h, sizeof(h));
	return n;
}

static void test_message(void **state)
{
	_Alignas(8) uint8_t m[512];
	struct nat_entry e;
	struct nat_tuple want;
	size_t n = message(m, IPPROTO_TCP, 0x30);

	assert_int_equal(nat_ct_parse((struct nlmsghdr *)m, &e), 0);
	want = tuple(POD, 4000, VIP, 80);
	assert_memory_equal(&e.before, &want, sizeof(want));
	want = tuple(NODE, 61000, "10.0.0.2", 8080);
	assert_memory_equal(&e.after, &want, sizeof(want));
	assert_int_equal(e.zone, 7);
	message(m, IPPROTO_TCP, 0x08);
	assert_int_equal(nat_ct_parse((struct nlmsghdr *)m, &e), 1);
	message(m, IPPROTO_ICMP, 0x10);
	assert_int_equal(nat_ct_parse((struct nlmsghdr *)m, &e), 1);
	/* cut anywhere, in memory of just that size: an error or less known, never a read past the end */
	for (size_t cut = sizeof(struct nlmsghdr); cut < n; cut++) {
		uint8_t *p = malloc(cut);

		message(m, IPPROTO_TCP, 0x30);
		memcpy(p, m, cut);
		((struct nlmsghdr *)p)->nlmsg_len = (uint32_t)cut;
		if (nat_ct_parse((struct nlmsghdr *)p, &e) == 0)
			assert_true(cut >= n - 8); /* the zone is the last */
		free(p);
	}
	/* every length of every attribute wrong */
	for (size_t at = NLMSG_LENGTH(4); at < n; at++) {
		message(m, IPPROTO_TCP, 0x30);
		m[at] ^= 0xff;
		(void)nat_ct_parse((struct nlmsghdr *)m, &e);
	}
}

/* A namespace that was found by a process that is gone now, and then by another. */
static void test_found_by_another(void **state)
{
	struct netns own = {.inum = netns_self()};
	const struct netns_set set = {.v = &own, .n = 1};
	struct nat_ct ct = {0};
	struct nat *n;

	assert_int_equal(nat_ct_follow(&ct, &set), 0);
	if (nat_ct_have() != NAT_CT_HERE || geteuid() != 0) {
		assert_true(ct.n == 0 || geteuid() != 0);
		nat_ct_deinit(&ct);
		return;
	}
	assert_int_equal(ct.n, 1);
	assert_int_equal(nat_new(&n, 64), 0);
	strcpy(own.path, "/proc/4194305/ns/net"); /* past the largest pid */
	assert_int_equal(nat_ct_follow(&ct, &set), 0);
	nat_ct_read(&ct, n, false, 1);
	assert_int_equal(ct.counts.dumps_failed, 1);
	own.path[0] = '\0';
	assert_int_equal(nat_ct_follow(&ct, &set), 0);
	nat_ct_read(&ct, n, false, 2);
	assert_int_equal(ct.counts.dumps, 2);
	assert_int_equal(ct.counts.dumps_failed, 1);
	assert_false(ct.v[0].dump);
	nat_ct_deinit(&ct);
	nat_free(n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_service_then_masquerade),
		cmocka_unit_test(test_one_after_the_other),
		cmocka_unit_test(test_only_masqueraded_says_no_via),
		cmocka_unit_test(test_two_namespaces_say_different_things),
		cmocka_unit_test(test_a_port_used_twice),
		cmocka_unit_test(test_summed_rows),
		cmocka_unit_test(test_rows_by_connection),
		cmocka_unit_test(test_published_port),
		cmocka_unit_test(test_the_ring_forgets_the_oldest),
		cmocka_unit_test(test_without),
		cmocka_unit_test(test_message),
		cmocka_unit_test(test_found_by_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
