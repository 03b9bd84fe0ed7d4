/* SPDX-License-Identifier: Apache-2.0 */
/* Which addresses are one host's only. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/bridges.h"
#include "agent/locals.h"
#include "base/table.h"

static const uint32_t netns = 4026531840u;

static struct ip ip(const char *text)
{
	struct ip a;

	assert_int_equal(ip_parse(text, &a), 0);
	return a;
}

static void bridge(struct locals *l, const char *cidr, bool inside)
{
	struct ip a;
	unsigned bits;

	assert_int_equal(ip_parse_prefix(cidr, &a, &bits), 0);
	locals_bridge(l, &a, bits, inside);
}

static void test_scopes(void **state)
{
	static const struct {
		const char *a, *b;
		uint32_t scope;
	} v[] = {
		{"127.0.0.1", "127.0.0.1", 4026531840u},
		{"127.8.9.1", "10.0.0.1", 4026531840u}, /* redirected to a proxy of the same namespace */
		{"::1", "::1", 4026531840u},
		{"169.254.1.2", "10.0.0.1", 1},
		{"fe80::1", "fe80::2", 1},
		{"10.0.0.1", "10.0.0.2", 0},
		{"2001:db8::1", "2001:db8::2", 0},
		/* docker0: whoever has such an address */
		{"172.17.0.1", "172.17.0.2", 1},
		{"172.17.0.2", "10.0.0.2", 1},
		{"172.18.0.2", "10.0.0.2", 0},
		/* cni0: only among themselves; a pod of another host is met */
		{"10.244.1.1", "10.244.1.7", 1},
		{"10.244.1.7", "10.244.2.7", 0},
		{"10.244.1.7", "10.0.0.2", 0},
		{"fd00:1::7", "fd00:1::8", 1},
		{"fd00:1::7", "fd00:2::8", 0},
		/* --local-net */
		{"192.168.50.9", "10.0.0.2", 1},
	};
	struct locals l = {0};
	struct ip a, b;

	assert_int_equal(locals_add(&l, "192.168.50.0/24"), 0);
	bridge(&l, "172.17.0.1/16", false);
	bridge(&l, "10.244.1.1/24", true);
	bridge(&l, "fd00:1::1/64", true);
	bridge(&l, "192.168.50.1/24", true); /* said already, and more */
	assert_int_equal(l.n, 4);
	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		a = ip(v[i].a);
		b = ip(v[i].b);
		assert_int_equal(locals_scope_pair(&l, &a, &b, netns), v[i].scope);
		assert_int_equal(locals_scope_pair(&l, &b, &a, netns), v[i].scope);
	}
	/* in the host record: a routed bridge's address is known to others */
	a = ip("172.17.0.1");
	assert_int_equal(locals_scope(&l, &a, netns), 1);
	a = ip("10.244.1.1");
	assert_int_equal(locals_scope(&l, &a, netns), 0);
}

static void test_full(void **state)
{
	struct locals l = {0};
	struct ip a = ip("10.0.0.1");

	for (unsigned i = 0; i < LOCALS_MAX + 3; i++) {
		a.b[13] = (uint8_t)(i >> 8);
		a.b[14] = (uint8_t)i;
		locals_bridge(&l, &a, 120, true);
	}
	assert_int_equal(l.n, LOCALS_MAX);
	assert_int_equal(l.full, 3);
	assert_true(locals_add(&l, "10.1.0.0/16") < 0);
}

static void test_names(void **state)
{
	static const char *const yes[] = {"docker0", "br-0123456789ab", "podman0",  "podman12", "cni-podman0",
					  "virbr0",  "lxcbr0",          "incusbr0", "lxdbr0",   "docker_gwbridge"};
	static const char *const no[] = {"cni0",       "br0",     "br-lan", "br-0123456789a", "br-0123456789xy",
					 "virbr0-nic", "docker1", ""};

	for (size_t i = 0; i < ARRAY_LEN(yes); i++)
		assert_true(bridges_masqueraded(yes[i]));
	for (size_t i = 0; i < ARRAY_LEN(no); i++)
		assert_false(bridges_masqueraded(no[i]));
}

static void test_private(void **state)
{
	static const char *const yes[] = {"10.1.2.3", "172.31.0.1", "192.168.122.1", "100.64.0.1", "fd12::1"};
	static const char *const no[] = {"172.32.0.1", "198.51.100.7", "2001:db8::1", "100.128.0.1"};
	struct ip a;

	for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
		a = ip(yes[i]);
		assert_true(bridges_private(&a));
	}
	for (size_t i = 0; i < ARRAY_LEN(no); i++) {
		a = ip(no[i]);
		assert_false(bridges_private(&a));
	}
}

static void test_a_routed_bridge(void **state)
{
	struct ip a = ip("172.17.0.2"), b = ip("10.0.0.2"), c = ip("172.18.0.2");
	struct locals l = {0};

	assert_int_equal(locals_route(&l, "172.17.0.0/16"), 0);
	bridge(&l, "172.17.0.1/16", false);
	bridge(&l, "172.18.0.1/16", false);
	assert_int_equal(locals_scope_pair(&l, &a, &b, netns), 0);
	assert_int_equal(locals_scope_pair(&l, &c, &b, netns), 1);
	/* said to be this host's all the same */
	assert_int_equal(locals_add(&l, "172.17.0.0/24"), 0);
	assert_int_equal(locals_scope_pair(&l, &a, &b, netns), 1);
	assert_int_equal(locals_route(&l, "172.17.0.0/40"), -EINVAL);
	for (unsigned i = 1; i < LOCALS_ROUTED; i++)
		assert_int_equal(locals_route(&l, "10.0.0.0/8"), 0);
	assert_int_equal(locals_route(&l, "10.0.0.0/8"), -ENOSPC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_scopes), cmocka_unit_test(test_a_routed_bridge), cmocka_unit_test(test_full),
		cmocka_unit_test(test_names),  cmocka_unit_test(test_private),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
