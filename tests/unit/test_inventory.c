/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/table.h"
#include "policy/inventory.h"

static struct inventory *parse(const char *yaml)
{
	struct inventory *inv = NULL;
	char why[256] = "";

	if (inventory_parse(&inv, "t", yaml, strlen(yaml), why, sizeof(why)) != 0)
		fail_msg("%s", why);
	return inv;
}

static const struct inventory_network *find(const struct inventory *inv, const char *net, const char *addr)
{
	struct ip ip;

	assert_int_equal(ip_parse(addr, &ip), 0);
	return inventory_find(inv, str_from(net), &ip);
}

static void longest_prefix(void **state)
{
	struct inventory *inv = parse("networks:\n"
				      "  - {cidr: 10.0.0.0/8, owner: wide, site: s, zone: z, rack: r}\n"
				      "  - {cidr: 10.1.0.0/16, owner: narrow}\n"
				      "  - {cidr: 10.1.0.0/16, owner: lab, net: lab}\n"
				      "  - {cidr: 10.1.2.3/32, owner: one, net: other}\n"
				      "  - {cidr: '2001:db8::/32', owner: six}\n"
				      "  - {cidr: 0.0.0.0/0, owner: four}\n");

	assert_int_equal(inventory_networks(inv), 6);
	assert_string_equal(find(inv, "", "10.2.0.1")->owner, "wide");
	assert_string_equal(find(inv, "", "10.2.0.1")->rack, "r");
	assert_string_equal(find(inv, "", "10.1.2.3")->owner, "narrow");
	assert_string_equal(find(inv, "", "10.1.2.3")->zone, ""); /* nothing is inherited */
	assert_string_equal(find(inv, "lab", "10.1.2.3")->owner, "lab");
	assert_string_equal(find(inv, "other", "10.1.2.3")->owner, "one");
	assert_string_equal(find(inv, "", "2001:db8::5")->owner, "six");
	assert_string_equal(find(inv, "", "192.0.2.1")->owner, "four");
	assert_null(find(inv, "", "2001:db9::5"));
	assert_null(find(NULL, "", "10.0.0.1"));
	inventory_free(inv);
}

/* Random networks and addresses against a loop over all lines. */
static void brute_force(void **state)
{
	enum { N = 400 };
	static const unsigned lengths[] = {8, 9, 13, 16, 20, 23, 24, 25, 30, 32};
	struct {
		struct ip prefix;
		unsigned bits;
		char owner[8];
	} lines[N];
	struct buf yaml;
	struct inventory *inv;
	size_t n = 0;

	srand(7);
	buf_init(&yaml, 0);
	buf_printf(&yaml, "networks:\n");
	while (n < N) {
		unsigned bits = 96 + lengths[(unsigned)rand() % ARRAY_LEN(lengths)];
		uint8_t v4[4] = {10, (uint8_t)(rand() % 3), (uint8_t)(rand() % 8), (uint8_t)rand()};
		struct ip ip = ip_from_v4(v4);
		char text[IP_TEXT];
		bool there = false;

		for (unsigned bit = bits; bit < 128; bit++)
			ip.b[bit / 8] &= (uint8_t) ~(0x80u >> bit % 8);
		for (size_t i = 0; i < n; i++)
			there |= lines[i].bits == bits && ip_eq(&lines[i].prefix, &ip);
		if (there)
			continue;
		lines[n].prefix = ip;
		lines[n].bits = bits;
		snprintf(lines[n].owner, sizeof(lines[n].owner), "o%zu", n);
		buf_printf(&yaml, "- cidr: %s/%u\n  owner: %s\n", ip_format(&ip, text), bits - 96, lines[n].owner);
		n++;
	}
	inv = parse(buf_text(&yaml));
	for (int round = 0; round < 20000; round++) {
		uint8_t v4[4] = {10, (uint8_t)(rand() % 4), (uint8_t)(rand() % 9), (uint8_t)rand()};
		struct ip ip = ip_from_v4(v4);
		const struct inventory_network *got = inventory_find(inv, STR(""), &ip);
		size_t best = N;

		for (size_t i = 0; i < N; i++) {
			if (ip_in_prefix(&ip, &lines[i].prefix, lines[i].bits) &&
			    (best == N || lines[i].bits > lines[best].bits))
				best = i;
		}
		if (best == N)
			assert_null(got);
		else
			assert_string_equal(got->owner, lines[best].owner);
	}
	inventory_free(inv);
	buf_deinit(&yaml);
}

static void mistakes(void **state)
{
	static const struct {
		const char *yaml, *why;
	} cases[] = {
		{"networks:\n  - cidr: 10.0.0.0/8\n    ownr: a\n", "f:3:5: Unexpected key: ownr"},
		{"netwoks: []\n", "f:1:1: Unexpected key: netwoks"},
		{"networks: []\nrules: []\n", "f:2:1: Unexpected key: rules"},
		{"networks:\n  - cidr: 10.0.0.0/8\n    zone: a\n    zone: b\n",
		 "f:4:5: Mapping field already seen: zone"},
		{"networks:\n  - owner: x\n", "f:2:12: Missing required mapping field: cidr"},
		{"networks: 3\n", "f:1:11: Expecting SEQUENCE, got event: SCALAR"},
		{"networks:\n  - cidr: \"a\n", "f:2:5: libyaml: found unexpected end of stream"},
		{"networks:\n  - cidr: 10.0.0.0/8\n  - cidr: 10.0.0.0/33\n",
		 "f:3:11: '10.0.0.0/33' is not a network like 10.0.0.0/8 or 2001:db8::/32"},
		{"networks:\n  - cidr: 10.0.0.1\n",
		 "f:2:11: '10.0.0.1' is not a network like 10.0.0.0/8 or 2001:db8::/32"},
		{"networks:\n  - owner: o\n    cidr: 10.1.2.0/8\n",
		 "f:3:11: '10.1.2.0/8' has bits set to the right of its length"},
		{"networks:\n  - cidr: 10.0.0.0/8\n  - cidr: 10.1.0.0/16\n  - cidr: 10.0.0.0/8\n",
		 "f:4:11: '10.0.0.0/8' is there twice"},
		{"networks:\n- cidr: &a 10.0.0.0/8\n- cidr: *a\n", "f:3:3: YAML alias unsupported"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct inventory *inv = NULL;
		char why[256] = "";

		assert_int_equal(inventory_parse(&inv, "f", cases[i].yaml, strlen(cases[i].yaml), why, sizeof(why)),
				 -EINVAL);
		assert_string_equal(why, cases[i].why);
		assert_null(inv);
	}
}

/* Every beginning of a good file, and the file with each byte turned over: refused or read, never worse. */
static void broken_bytes(void **state)
{
	static const char good[] = "networks:\n  - cidr: 10.0.0.0/8\n    owner: \"a b\"\n  - {cidr: '::/0', zone: z}\n";
	char text[sizeof(good)], why[256];

	for (size_t i = 0; i < sizeof(good); i++) {
		for (int bit = -1; bit < 8; bit++) {
			struct inventory *inv = NULL;

			memcpy(text, good, sizeof(good));
			if (bit >= 0)
				text[i] = (char)(text[i] ^ 1 << bit);
			if (inventory_parse(&inv, "f", text, bit < 0 ? i : sizeof(good) - 1, why, sizeof(why)) == 0)
				(void)find(inv, "", "10.1.1.1");
			inventory_free(inv);
		}
	}
}

static void files(void **state)
{
	struct inventory *inv = NULL;
	char path[] = "/tmp/skyfall-inventory-XXXXXX", why[256] = "";
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(inventory_load(&inv, path, why, sizeof(why)), 0); /* empty is fine */
	assert_int_equal(inventory_networks(inv), 0);
	assert_null(find(inv, "", "10.0.0.1"));
	inventory_free(inv);
	inv = NULL;
	assert_int_equal(ftruncate(fd, 20 << 20), 0);
	assert_int_equal(inventory_load(&inv, path, why, sizeof(why)), -E2BIG);
	close(fd);
	unlink(path);
	assert_int_equal(inventory_load(&inv, path, why, sizeof(why)), -ENOENT);
	assert_non_null(strstr(why, "No such file"));
	assert_null(inv);
}

static void unknown_names(void **state)
{
	char text[INVENTORY_TEXT];
	struct ip ip;

	assert_int_equal(ip_parse("10.1.2.3", &ip), 0);
	assert_string_equal(inventory_unknown(&ip, STR("lab"), text), "unknown:lab/10.1.2.0/24");
	assert_string_equal(inventory_unknown(&ip, STR(""), text), "unknown:10.1.2.0/24");
	assert_int_equal(ip_parse("2001:db8:1:2::3", &ip), 0);
	assert_string_equal(inventory_unknown(&ip, STR(""), text), "unknown:2001:db8:1::/48");
}

static void example_is_good(void **state)
{
	struct inventory *inv = NULL;
	char why[256] = "";

	if (inventory_load(&inv, SKYFALL_SOURCE "/packaging/inventory.example.yaml", why, sizeof(why)) != 0)
		fail_msg("%s", why);
	assert_string_equal(find(inv, "", "10.1.0.1")->zone, "dmz");
	assert_string_equal(find(inv, "lab", "10.1.0.1")->zone, "test");
	inventory_free(inv);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(longest_prefix),  cmocka_unit_test(brute_force), cmocka_unit_test(mistakes),
		cmocka_unit_test(broken_bytes),    cmocka_unit_test(files),       cmocka_unit_test(unknown_names),
		cmocka_unit_test(example_is_good),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
