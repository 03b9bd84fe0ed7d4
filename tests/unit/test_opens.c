/* SPDX-License-Identifier: Apache-2.0 */
/* agent/opens.c: the kernel's count of connections. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/netns.h"
#include "agent/opens.h"

/* As Linux 6.1 wrote it. */
static const char snmp[] =
	"Icmp: InMsgs InErrors\nIcmp: 102 0\n"
	"Tcp: RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens PassiveOpens AttemptFails EstabResets CurrEstab\n"
	"Tcp: 1 200 120000 -1 18446744073709551615 977 10 61 12\n"
	"Udp: InDatagrams NoPorts\nUdp: 2288 2\n";

static void the_two_numbers(void **state)
{
	uint64_t v[2] = {0};

	assert_int_equal(opens_parse(snmp, v), 0);
	assert_true(v[0] == UINT64_MAX);
	assert_int_equal(v[1], 977);
}

static void without_them(void **state)
{
	static const char *const texts[] = {
		"",
		"Tcp: ",
		"\nTcp: a b c d e f\n",
		"\nTcp: a\nTcp: 1 2 3 4 5",
		"\nTcp: a\nTcp: 1 2 3 4 x 6\n",
		"\nTcp: a\nUdp: 1 2 3 4 5 6\n",
	};
	uint64_t v[2] = {3, 4};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(opens_parse(texts[i], v), -EPROTO);
	assert_int_equal(v[0], 3);
	assert_int_equal(v[1], 4);
}

/* One connection to ourselves is one of each. */
static void connect_once(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int l = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0), s;
	socklen_t n = sizeof(a);

	assert_int_equal(bind(l, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(l, 1), 0);
	assert_int_equal(getsockname(l, (struct sockaddr *)&a, &n), 0);
	assert_int_equal(connect(c, (struct sockaddr *)&a, sizeof(a)), 0);
	s = accept(l, NULL, NULL);
	assert_true(s >= 0);
	close(s);
	close(c);
	close(l);
}

static void counts_from_the_start_and_never_falls(void **state)
{
	uint32_t own = netns_self();
	uint64_t active = 1, passive = 1, before;
	struct opens *o;

	assert_int_equal(opens_new(&o, &own, 1), 0);
	connect_once();
	opens_read(o, &active, &passive);
	assert_true(active >= 1 && active < 1000000);
	assert_true(passive >= 1 && passive < 1000000);
	opens_scan(o, 1);
	opens_scan(o, 100000);
	before = active;
	opens_read(o, &active, &passive);
	assert_true(active >= before && active < 1000000);
	opens_free(o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_two_numbers),
		cmocka_unit_test(without_them),
		cmocka_unit_test(counts_from_the_start_and_never_falls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
