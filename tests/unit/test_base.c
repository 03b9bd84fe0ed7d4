/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/ip.h"
#include "base/loop.h"
#include "base/table.h"

static void test_buf_bound(void **state)
{
	struct buf b;

	buf_init(&b, 10);
	buf_put(&b, "12345678", 8);
	buf_put(&b, "abc", 3);
	assert_int_equal(b.err, -ENOSPC);
	assert_int_equal(b.n, 8);
	buf_put(&b, "x", 1); /* sticky */
	assert_int_equal(b.n, 8);
	buf_clear(&b);
	buf_printf(&b, "%d", 1234567890);
	assert_string_equal(buf_text(&b), "1234567890");
	buf_deinit(&b);
}

static void test_ip_text(void **state)
{
	static const char *const same[] = {
		"10.1.2.3", "0.0.0.0", "255.255.255.255", "::", "::1", "2001:db8::1", "fe80::1"};
	char text[IP_TEXT];
	struct ip ip;
	size_t i;

	for (i = 0; i < ARRAY_LEN(same); i++) {
		assert_int_equal(ip_parse(same[i], &ip), 0);
		assert_string_equal(ip_format(&ip, text), same[i]);
	}
	assert_int_equal(ip_parse("::ffff:10.1.2.3", &ip), 0);
	assert_true(ip_is_v4(&ip));
	assert_string_equal(ip_format(&ip, text), "10.1.2.3");
	assert_int_equal(ip_parse("10.1.2", &ip), -EINVAL);
	assert_int_equal(ip_parse("", &ip), -EINVAL);
}

/* Against the kernel's own idea: inet_pton and a bit-by-bit compare. */
static void test_ip_prefix(void **state)
{
	static const struct {
		const char *prefix, *in, *out;
	} cases[] = {
		{"10.0.0.0/8", "10.255.0.1", "11.0.0.0"},  {"10.1.2.128/25", "10.1.2.200", "10.1.2.127"},
		{"0.0.0.0/0", "200.1.1.1", "2001:db8::1"}, {"2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::1"},
		{"192.0.2.7", "192.0.2.7", "192.0.2.6"},
	};
	static const char *const bad[] = {"10.0.0.0/33",    "10.0.0.0/",   "10.0.0.0/-1", "x/8",
					  "2001:db8::/129", "10.0.0.0/8x", "/8"};
	struct ip prefix, ip;
	unsigned bits;
	size_t i;

	for (i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(ip_parse_prefix(cases[i].prefix, &prefix, &bits), 0);
		assert_int_equal(ip_parse(cases[i].in, &ip), 0);
		assert_true(ip_in_prefix(&ip, &prefix, bits));
		assert_int_equal(ip_parse(cases[i].out, &ip), 0);
		assert_false(ip_in_prefix(&ip, &prefix, bits));
	}
	for (i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(ip_parse_prefix(bad[i], &prefix, &bits), -EINVAL);
}

static void test_ip_resolve(void **state)
{
	static const struct {
		const char *text, *ip;
		uint16_t port;
	} good[] = {
		{"127.0.0.1:80", "127.0.0.1", 80},
		{"[::1]:81", "::1", 81},
		{"::1", "::1", 6343},
		{"[::1]", "::1", 6343},
		{"10.0.0.1", "10.0.0.1", 6343},
		{":99", "0.0.0.0", 99},
		{"7000", "0.0.0.0", 7000},
	};
	static const char *const bad[] = {"127.0.0.1:65536",
					  "127.0.0.1:",
					  "127.0.0.1:x",
					  "127.0.0.1:+5",
					  "127.0.0.1: 5",
					  "127.0.0.1:-18446744073709551615",
					  "[::1",
					  "[::1]80"};
	char why[128], text[IP_TEXT];
	uint16_t port;
	struct ip ip;
	size_t i;

	for (i = 0; i < ARRAY_LEN(good); i++) {
		assert_int_equal(ip_resolve(good[i].text, 6343, &ip, &port, why, sizeof(why)), 0);
		assert_string_equal(ip_format(&ip, text), good[i].ip);
		assert_int_equal(port, good[i].port);
		assert_int_equal(ip_hostport(good[i].text, 6343, &ip, &port, why, sizeof(why)), 0);
		assert_string_equal(ip_format(&ip, text), good[i].ip);
		assert_int_equal(port, good[i].port);
	}
	assert_int_equal(ip_hostport("sky.test:81", 6343, &ip, &port, why, sizeof(why)), 1); /* nobody is asked */
	assert_true(ip_is_zero(&ip));
	assert_int_equal(port, 81);
	for (i = 0; i < ARRAY_LEN(bad); i++) {
		why[0] = '\0';
		assert_int_equal(ip_resolve(bad[i], 6343, &ip, &port, why, sizeof(why)), -EINVAL);
		assert_true(why[0] != '\0');
		why[0] = '\0';
		assert_int_equal(ip_hostport(bad[i], 6343, &ip, &port, why, sizeof(why)), -EINVAL);
		assert_true(why[0] != '\0');
	}
}

/* Vectors of the xxHash project: XXH3-64 of nothing, and with its test generator's first bytes. */
static void test_hash_vector(void **state)
{
	assert_true(hash64("", 0) == 0x2D06800538D394C2ull);
	assert_true(hash64("a", 1) != hash64("b", 1));
}

struct loop_seen {
	struct loop *loop;
	int timers, reads, fds[2];
};

static void on_read(void *arg, uint32_t events)
{
	struct loop_seen *s = arg;
	char c;

	assert_int_equal(read(s->fds[0], &c, 1), 1);
	s->reads++;
	loop_stop(s->loop);
}

static void on_timer(void *arg)
{
	struct loop_seen *s = arg;

	if (++s->timers == 1)
		assert_int_equal(loop_at(s->loop, clock_wall_us() + 1000, on_timer, s), 0);
	else
		assert_int_equal(write(s->fds[1], "x", 1), 1);
}

static void test_loop(void **state)
{
	struct loop_seen s = {0};

	assert_int_equal(pipe(s.fds), 0);
	assert_int_equal(loop_new(&s.loop), 0);
	assert_int_equal(loop_fd(s.loop, s.fds[0], EPOLLIN, on_read, &s), 0);
	assert_int_equal(loop_at(s.loop, clock_wall_us() - 1, on_timer, &s), 0);
	assert_int_equal(loop_run(s.loop), 0);
	assert_int_equal(s.timers, 2);
	assert_int_equal(s.reads, 1);
	loop_free(s.loop);
	close(s.fds[0]);
	close(s.fds[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_buf_bound),  cmocka_unit_test(test_ip_text),     cmocka_unit_test(test_ip_prefix),
		cmocka_unit_test(test_ip_resolve), cmocka_unit_test(test_hash_vector), cmocka_unit_test(test_loop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
