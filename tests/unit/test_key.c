/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/hash.h"
#include "flow/key.h"
#include "flow/stats.h"

static struct flow_conv conv(const char *net, const char *client, const char *server, uint16_t port)
{
	struct flow_conv c = {.net = str_from(net), .scope = STR(""), .port = port, .protocol = 6};

	assert_int_equal(ip_parse(client, &c.client), 0);
	assert_int_equal(ip_parse(server, &c.server), 0);
	return c;
}

static void test_partition_meets(void **state)
{
	struct flow_conv a = conv("n", "10.0.0.1", "10.0.0.2", 80), b = conv("n", "10.0.0.2", "10.0.0.1", 99);
	struct flow_conv other = conv("m", "10.0.0.1", "10.0.0.2", 80);

	assert_true(flow_conv_partition(&a) == flow_conv_partition(&b));
	assert_true(flow_conv_partition(&a) != flow_conv_partition(&other));
	assert_true(flow_conv_hash(&a) != flow_conv_hash(&b));
	assert_false(flow_conv_eq(&a, &b));
	b = a;
	assert_true(flow_conv_eq(&a, &b));
	b.scope = STR("host");
	assert_false(flow_conv_eq(&a, &b));
	assert_true(flow_conv_hash(&a) != flow_conv_hash(&b));
}

/* The canonical bytes, written out by hand from the header's contract. */
static void test_edge_id_canonical(void **state)
{
	static const char bytes[] = "\0\3net\0\3web\0\0\0\2db\0\1z\6\x15\x38";
	struct flow_edge_name e = {
		.net = STR("net"),
		.client_service = STR("web"),
		.client_zone = STR(""),
		.server_service = STR("db"),
		.server_zone = STR("z"),
		.port = 5432,
		.protocol = 6,
	};

	assert_true(flow_edge_id(&e) == hash64(bytes, sizeof(bytes) - 1));
	/* a name that moved between two strings is another edge */
	e.client_service = STR("we");
	e.client_zone = STR("b");
	assert_true(flow_edge_id(&e) != hash64(bytes, sizeof(bytes) - 1));
}

static void test_columns(void **state)
{
	char name[64];

	assert_string_equal(flow_column(FLOW_F_tx_bytes, FLOW_VIEW_CLIENT, name), "client_c2s_bytes");
	assert_string_equal(flow_column(FLOW_F_rx_bytes, FLOW_VIEW_CLIENT, name), "client_s2c_bytes");
	assert_string_equal(flow_column(FLOW_F_tx_bytes, FLOW_VIEW_SERVER, name), "server_s2c_bytes");
	assert_string_equal(flow_column(FLOW_F_rx_bytes, FLOW_VIEW_SERVER, name), "server_c2s_bytes");
	assert_string_equal(flow_column(FLOW_F_opened, FLOW_VIEW_SERVER, name), "server_opened");
	assert_null(flow_column(FLOW_F_srtt, FLOW_VIEW_NETWORK, name));
	assert_string_equal(flow_column(FLOW_F_tx_bytes, FLOW_VIEW_NETWORK, name), "network_c2s_bytes");
}

static void test_words(void **state)
{
	char flags[96], seen[48];

	assert_string_equal(flow_flags_text(FLOW_CLOCK | FLOW_JOINED, flags), "joined_in_progress,clock");
	assert_string_equal(flow_flags_text(~0u, flags), "joined_in_progress,sampled,clock,nat_unsplit,split,no_role");
	assert_string_equal(flow_observed_text(1 << FLOW_VIEW_CLIENT | 1 << FLOW_VIEW_SERVER, seen), "both");
	assert_string_equal(flow_observed_text(1 << FLOW_VIEW_CLIENT | 1 << FLOW_VIEW_NETWORK, seen), "client+network");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_partition_meets),
		cmocka_unit_test(test_edge_id_canonical),
		cmocka_unit_test(test_columns),
		cmocka_unit_test(test_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
