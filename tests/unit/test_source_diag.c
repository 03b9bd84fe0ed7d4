/* SPDX-License-Identifier: Apache-2.0 */
/* Rows by sock_diag of connections that this test makes on loopback: roles, bytes, beginnings and ends. */
#include <linux/sockios.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/netns.h"
#include "agent/source.h"
#include "base/clock.h"
#include "flow/key.h"

static struct source *source;
static struct agent_rows *rows;
static uint16_t port;

static int listener(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	socklen_t len = sizeof(a);

	assert_int_equal(bind(fd, (struct sockaddr *)&a, len), 0);
	assert_int_equal(listen(fd, 5), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	port = ntohs(a.sin_port);
	return fd;
}

static int dial(void)
{
	struct sockaddr_in a = {
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

/* Waits until all that was sent is acknowledged: bytes count then. */
static void settle(int fd)
{
	int64_t deadline = clock_mono_us() + 10000000;
	int left = 0;

	while (ioctl(fd, SIOCOUTQ, &left) == 0 && left > 0)
		assert_true(clock_mono_us() < deadline);
}

static void move(int from, int to, size_t n)
{
	char buf[4096] = {0};
	size_t got = 0;

	assert_true(n <= sizeof(buf));
	assert_int_equal(send(from, buf, n, 0), n);
	while (got < n) {
		ssize_t r = recv(to, buf, sizeof(buf), 0);

		assert_true(r > 0);
		got += (size_t)r;
	}
	settle(from);
}

static void open_source(void)
{
	uint32_t self = netns_self();
	struct source_opts opts = {.netns = &self, .n_netns = 1};
	char why[256];

	assert_int_equal(agent_rows_new(&rows, 4096), 0);
	assert_int_equal(source_diag.open(&source, &opts, why, sizeof(why)), 0);
}

static void close_source(void)
{
	source_diag.close(source);
	agent_rows_free(rows);
}

/* Collects; the row of the wanted role on our port. */
static const struct agent_row *collect(uint8_t role)
{
	const struct agent_row *found = NULL;
	struct source_counts counts;
	size_t i;

	agent_rows_clear(rows);
	assert_int_equal(source_diag.collect(source, clock_mono_us(), rows, &counts), 0);
	assert_int_equal(counts.lost_rows_user + counts.lost_socks_full, 0);
	for (i = 0; i < agent_rows_count(rows); i++) {
		const struct agent_row *r = agent_rows_at(rows, i);

		assert_int_equal(r->val.rows, 1);
		if (r->key.role == role && (r->key.service_port == port || r->key.other_port == port))
			found = r;
	}
	return found;
}

static void test_a_connection_of_ours(void **state)
{
	int l = listener(), c, s;
	const struct agent_row *r;

	open_source();
	c = dial();
	s = accept(l, NULL, NULL);
	close(l); /* its listener is gone: the role comes from the connection itself */
	move(c, s, 1000);
	move(s, c, 300);
	r = collect(SKY_ROLE_CLIENT);
	assert_non_null(r);
	assert_int_equal(r->val.opened, 1);
	assert_int_equal(r->val.tx_bytes, 1000);
	assert_int_equal(r->val.rx_bytes, 300);
	assert_int_equal(r->val.ports_seen, 1);
	assert_int_equal(r->key.flags, 0);
	assert_int_equal(r->key.owner.flags, SKY_OWNER_SCAN);
	assert_string_equal(r->key.owner.comm, "test_source_dia");
	move(c, s, 7);
	r = collect(SKY_ROLE_SERVER);
	assert_non_null(r);
	assert_int_equal(r->val.opened, 0);
	assert_int_equal(r->val.tx_bytes, 0);
	assert_int_equal(r->val.rx_bytes, 7);
	close(c);
	close(s);
	r = collect(SKY_ROLE_CLIENT);
	assert_non_null(r);
	assert_int_equal(r->val.closed, 1);
	assert_null(collect(SKY_ROLE_CLIENT));
	close_source();
}

static void test_older_than_the_source(void **state)
{
	int l = listener(), c = dial(), s = accept(l, NULL, NULL);
	const struct agent_row *r;

	move(c, s, 500);
	open_source();
	move(c, s, 20);
	r = collect(SKY_ROLE_SERVER);
	assert_non_null(r);
	assert_int_equal(r->val.opened, 0);
	assert_int_equal(r->val.rx_bytes, 20); /* what it did before is not ours */
	assert_int_equal(r->key.flags, FLOW_JOINED);
	close(c);
	close(s);
	close(l);
	close_source();
}

static void test_half_closed(void **state)
{
	int l = listener(), c, s;
	const struct agent_row *r;

	open_source();
	c = dial();
	s = accept(l, NULL, NULL);
	move(c, s, 100);
	r = collect(SKY_ROLE_CLIENT);
	assert_int_equal(r->val.tx_bytes, 100);
	assert_int_equal(shutdown(c, SHUT_WR), 0);
	assert_int_equal(recv(s, &(char){0}, 1, 0), 0); /* the FIN is there */
	move(s, c, 50);
	r = collect(SKY_ROLE_CLIENT);
	assert_int_equal(r->val.tx_bytes, 0); /* a FIN is no byte */
	assert_int_equal(r->val.rx_bytes, 50);
	move(s, c, 60);
	r = collect(SKY_ROLE_SERVER);
	assert_int_equal(r->val.rx_bytes, 0);
	assert_int_equal(r->val.tx_bytes, 60);
	close(c);
	close(s);
	close(l);
	close_source();
}

/* Seen for the first time when one end has said its last word. */
static void test_role_of_a_closing_one(void **state)
{
	int l = listener(), c, s;
	const struct agent_row *r;

	open_source();
	c = dial();
	s = accept(l, NULL, NULL);
	close(l);
	move(c, s, 100);
	move(s, c, 50);
	assert_int_equal(shutdown(c, SHUT_WR), 0);
	assert_int_equal(recv(s, &(char){0}, 1, 0), 0);
	settle(c);
	r = collect(SKY_ROLE_CLIENT);
	assert_non_null(r);
	assert_int_equal(r->val.tx_bytes, 100);
	assert_int_equal(r->val.rx_bytes, 50);
	close(c);
	close(s);
	close_source();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_connection_of_ours),
		cmocka_unit_test(test_older_than_the_source),
		cmocka_unit_test(test_half_closed),
		cmocka_unit_test(test_role_of_a_closing_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
