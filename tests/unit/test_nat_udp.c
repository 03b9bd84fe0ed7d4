/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of datagrams under the tuple on the wire. */
#include "tests/unit/nat_rig.h"

/* Of datagrams: as the packet programs see them. */
static struct sky_row_key udp_key(uint8_t role, const char *local, const char *remote, uint16_t port, uint16_t split)
{
	struct sky_row_key k = key(role, local, remote, port);

	k.protocol = IPPROTO_UDP;
	k.other_port = split;
	return k;
}

static struct nat_tuple udp(struct nat_tuple t)
{
	t.protocol = IPPROTO_UDP;
	return t;
}

static void test_datagrams_sent_behind_the_translation(void **state)
{
	struct nat *n = made(64);
	struct sky_row_value v = summed(3, 4000);
	struct sky_row_key k;

	/* the client's own namespace: sent to the back end, received from the service */
	for (uint16_t i = 0; i < 3; i++)
		put(n, NS_POD, udp(tuple(NODE, 4000 + i, VIP, 53)), udp(tuple(NODE, 61000 + i, OTHER, 5353)), 1);
	k = udp_key(SKY_ROLE_CLIENT, NODE, VIP, 53, 0);
	v.attempts = 0;
	nat_row(n, &k, &v);
	is(n, &k, NODE, OTHER, 5353, VIP, 53, 0);
	assert_int_equal(v.ports[2], 61002);
	k = udp_key(SKY_ROLE_CLIENT, NODE, OTHER, 5353, 0);
	v = summed(3, 61000);
	nat_row(n, &k, &v);
	is(n, &k, NODE, OTHER, 5353, VIP, 53, 0);
	assert_int_equal(v.ports[2], 61002);
	/* one went there by itself, one more is not listed: the row is where it belongs, without saying who dialled what */
	k = udp_key(SKY_ROLE_CLIENT, NODE, OTHER, 5353, 0);
	v = summed(4, 61000);
	v.ports_seen++;
	nat_row(n, &k, &v);
	is(n, &k, NODE, OTHER, 5353, NULL, 0, 0);
	/* the server's own namespace: received at its address, answered from the one that was dialled */
	put(n, NS_POD, udp(tuple("10.5.5.5", 7000, VIP, 53)), udp(tuple("10.5.5.5", 7000, POD, 5353)), 1);
	for (int i = 0; i < 2; i++) {
		k = i ? udp_key(SKY_ROLE_SERVER, VIP, "10.5.5.5", 53, 7000)
		      : udp_key(SKY_ROLE_SERVER, POD, "10.5.5.5", 5353, 7000);
		v = summed(1, 7000);
		nat_row(n, &k, &v);
		is(n, &k, POD, "10.5.5.5", 5353, VIP, 53, 0);
	}
	/* by somebody of this host, whose row says it: the server's stays at its own address */
	put(n, NS_POD, udp(tuple(NODE, 7001, VIP, 53)), udp(tuple(NODE, 7001, POD, 5353)), 1);
	k = udp_key(SKY_ROLE_SERVER, VIP, NODE, 53, 7001);
	nat_row(n, &k, &v);
	is(n, &k, POD, NODE, 5353, NULL, 0, 0);
	nat_free(n);
}

static void test_a_socket_goes_elsewhere(void **state)
{
	struct nat *n = made(64);
	struct sky_row_value v = summed(1, 4000);
	struct sky_row_key k;

	put(n, NS_HOST, udp(tuple(POD, 4000, VIP, 53)), udp(tuple(POD, 4000, "10.0.0.2", 53)), 10);
	k = udp_key(SKY_ROLE_CLIENT, POD, VIP, 53, 4000);
	nat_row(n, &k, &v);
	is(n, &k, POD, "10.0.0.2", 53, VIP, 53, 0);
	nat_drained(n, IPPROTO_UDP, 15);
	/* replaced within the interval: its datagrams went to both */
	put(n, NS_HOST, udp(tuple(POD, 4000, VIP, 53)), udp(tuple(POD, 4000, "10.0.0.3", 53)), 20);
	k = udp_key(SKY_ROLE_CLIENT, POD, VIP, 53, 4000);
	nat_row(n, &k, &v);
	is(n, &k, POD, VIP, 53, NULL, 0, FLOW_NAT_UNSPLIT);
	nat_drained(n, IPPROTO_TCP, 30);
	k = udp_key(SKY_ROLE_CLIENT, POD, VIP, 53, 4000);
	nat_row(n, &k, &v);
	is(n, &k, POD, VIP, 53, NULL, 0, FLOW_NAT_UNSPLIT);
	nat_drained(n, IPPROTO_UDP, 30);
	k = udp_key(SKY_ROLE_CLIENT, POD, VIP, 53, 4000);
	nat_row(n, &k, &v);
	is(n, &k, POD, "10.0.0.3", 53, VIP, 53, 0);
	/* one that has sent nothing: nobody chose its back end */
	k = udp_key(SKY_ROLE_CLIENT, POD, VIP, 53, 4001);
	nat_row(n, &k, &v);
	is(n, &k, POD, VIP, 53, NULL, 0, FLOW_NAT_UNSPLIT);
	nat_free(n);
}

static void test_conversations_are_kept(void **state)
{
	struct nat *n = made(64);
	struct sky_row_value v = summed(1, 4000);
	struct sky_row_key k;

	put(n, NS_HOST, udp(tuple(POD, 4000, VIP, 53)), udp(tuple(POD, 4000, OTHER, 53)), 1);
	/* an hour, with more translations than there are places: asked for each interval it stays */
	for (int64_t minute = 1; minute <= 60; minute++) {
		for (uint16_t i = 0; i < 50; i++)
			put(n, NS_HOST, tuple(POD, (uint16_t)(minute * 50 + i), OTHER, 80),
			    tuple(NODE, (uint16_t)(minute * 50 + i), OTHER, 80), minute * 60000000);
		k = udp_key(SKY_ROLE_CLIENT, POD, VIP, 53, 4000);
		nat_row(n, &k, &v);
		is(n, &k, POD, OTHER, 53, VIP, 53, 0);
		nat_drained(n, IPPROTO_UDP, minute * 60000000);
	}
	nat_at(n, 60 * 60000000ll + NAT_FRESH_UDP_US);
	k = udp_key(SKY_ROLE_CLIENT, POD, VIP, 53, 4000);
	nat_row(n, &k, &v);
	assert_int_equal(k.via, 0);
	nat_free(n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_datagrams_sent_behind_the_translation),
		cmocka_unit_test(test_a_socket_goes_elsewhere),
		cmocka_unit_test(test_conversations_are_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
