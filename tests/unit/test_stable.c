/* SPDX-License-Identifier: Apache-2.0 */
/* The mode stable: fields of events, and sums out of what the kernel says of a socket. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "agent/stable.h"
#include "agent/stable_sums.h"

/* As Linux 5.4 and 6.18 wrote them. */
static const char before_5_6[] = "name: inet_sock_set_state\nID: 1234\nformat:\n"
				 "\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\n"
				 "\tfield:const void * skaddr;\toffset:8;\tsize:8;\tsigned:0;\n"
				 "\tfield:__u16 family;\toffset:28;\tsize:2;\tsigned:0;\n"
				 "\tfield:__u8 protocol;\toffset:30;\tsize:1;\tsigned:0;\n"
				 "\tfield:__u8 saddr[4];\toffset:31;\tsize:4;\tsigned:0;\n"
				 "\tfield:__u8 saddr_v6[16];\toffset:39;\tsize:16;\tsigned:0;\n\n"
				 "print fmt: \"family=%s protocol=%s\", REC->family\n";
static const char reset_6_18[] = "\tfield:const void * skbaddr;\toffset:8;\tsize:8;\tsigned:0;\n"
				 "\tfield:const void *skaddr;\toffset:16;\tsize:8;\tsigned:0;\n"
				 "\tfield:__u8 huge[300];\toffset:400;\tsize:300;\tsigned:0;\n";

static const char mkdir_5_10[] = "\tfield:int root;\toffset:8;\tsize:4;\tsigned:1;\n"
				 "\tfield:int id;\toffset:12;\tsize:4;\tsigned:1;\n"
				 "\tfield:__data_loc char[] path;\toffset:20;\tsize:4;\tsigned:1;\n";

static void fields_of_events(void **state)
{
	uint16_t at = 0, size = 0;

	assert_int_equal(stable_field(before_5_6, "protocol", &at, &size), 0);
	assert_int_equal(at, 30);
	assert_int_equal(size, 1);
	assert_int_equal(stable_field(before_5_6, "saddr", &at, &size), 0);
	assert_int_equal(at, 31);
	assert_int_equal(stable_field(before_5_6, "saddr_v6", &at, &size), 0);
	assert_int_equal(at, 39);
	assert_int_equal(stable_field(reset_6_18, "skaddr", &at, &size), 0);
	assert_int_equal(at, 16);
	assert_int_equal(stable_field(before_5_6, "addr", &at, &size), -ENOENT);
	assert_int_equal(stable_field(before_5_6, "type", &at, &size), -ENOENT);
	assert_int_equal(stable_field(reset_6_18, "huge", &at, &size), -EPROTO);
	assert_int_equal(stable_field(mkdir_5_10, "path", &at, &size), 0);
	assert_int_equal(at, 20);
	assert_int_equal(size, 4);
	assert_int_equal(stable_field(mkdir_5_10, "id", &at, &size), 0);
	assert_int_equal(at, 12);
	assert_int_equal(stable_field("field:", "x", &at, &size), -ENOENT);
	assert_int_equal(stable_field("field:x;", "x", &at, &size), -ENOENT);
}

enum { ESTABLISHED = 1, SYN_SENT, SYN_RECV, FIN_WAIT1, FIN_WAIT2, CLOSE = 7, CLOSE_WAIT, LAST_ACK, CLOSING = 11 };

/* A destroyed socket. acked and received as the kernel counts: with SYN and FIN. */
static struct diag_sock gone(uint64_t acked, uint64_t received, uint32_t wqueue, uint32_t unsent, uint32_t rqueue)
{
	struct diag_sock d = {.state = CLOSE, .rport = 80, .wqueue = wqueue, .rqueue = rqueue};

	d.info.tcpi_bytes_acked = acked;
	d.info.tcpi_bytes_received = received;
	d.info.tcpi_notsent_bytes = unsent;
	d.info_len = sizeof(d.info);
	return d;
}

static void exact_bytes_at_the_end(void **state)
{
	static const struct {
		const char *what;
		bool client;
		uint8_t old, flags;
		uint64_t acked, received;
		uint32_t wqueue, unsent, rqueue;
		uint64_t tx, rx;
		uint32_t undelivered;
	} t[] = {
		{"client closes, its FIN and all data acknowledged, the peer's FIN in the same packet", true, FIN_WAIT2,
		 STABLE_AT_ONCE, 1 + 100 + 1, 50 + 1, 0, 0, 1, 100, 50, 0},
		{"the peer's FIN came after it was forgotten", true, FIN_WAIT2, STABLE_AT_ONCE, 102, 50, 0, 0, 0, 100,
		 50, 0},
		{"shutdown, then the peer's FIN, read", true, FIN_WAIT2, 0, 102, 51, 0, 0, 0, 100, 50, 0},
		{"shutdown, then a reset", true, FIN_WAIT2, STABLE_RESET_IN, 102, 50, 0, 0, 0, 100, 50, 0},
		{"server closes last", false, LAST_ACK, 0, 50 + 1, 100 + 1, 0, 0, 0, 50, 100, 0},
		{"both at once", false, CLOSING, 0, 51, 101, 0, 0, 0, 50, 100, 0},
		{"reset with 700 in flight", false, ESTABLISHED, STABLE_RESET_IN, 0, 24, 700, 0, 0, 700, 24, 700},
		{"reset with 700 in flight and 2,000 never sent", true, ESTABLISHED, STABLE_RESET_IN, 1, 24, 2700, 2000,
		 0, 700, 24, 700},
		{"FIN not acknowledged", true, FIN_WAIT1, STABLE_RESET_IN, 1 + 10, 0, 1, 0, 0, 10, 0, 0},
		{"FIN and 5 bytes not acknowledged", true, LAST_ACK, STABLE_RESET_IN, 1 + 10, 8, 6, 0, 0, 15, 7, 5},
		{"reset after the peer's FIN", true, CLOSE_WAIT, STABLE_RESET_OUT, 1 + 10, 8, 0, 0, 1, 10, 7, 0},
		{"more than 4 GiB", true, FIN_WAIT2, STABLE_AT_ONCE, (4ULL << 30) + 102, 1, 0, 0, 1, (4ULL << 30) + 100,
		 0, 0},
		{"nothing at all", true, FIN_WAIT2, STABLE_AT_ONCE, 2, 1, 0, 0, 1, 0, 0, 0},
	};
	struct sky_totals s;

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct diag_sock d = gone(t[i].acked, t[i].received, t[i].wqueue, t[i].unsent, t[i].rqueue);
		struct stable_sock e = {.phase = STABLE_OPEN, .old = t[i].old, .flags = t[i].flags | STABLE_ENDED};

		assert_true(stable_sums_end(&d, &e, t[i].client, &s));
		if (s.tx != t[i].tx || s.rx != t[i].rx || s.undelivered != t[i].undelivered)
			fail_msg("%s: tx %llu rx %llu undelivered %u", t[i].what, (unsigned long long)s.tx,
				 (unsigned long long)s.rx, s.undelivered);
	}
}

/* Nobody saw how it ended: whether our FIN was sent, the sums tell, or else it closed in good order, most likely. */
static void sent_bytes_of_an_unseen_end(void **state)
{
	static const struct {
		const char *what;
		bool client;
		uint64_t acked, sent, again;
		uint32_t wqueue, unsent;
		uint64_t tx;
		uint32_t undelivered;
	} t[] = {
		{"all acknowledged, with the FIN", true, 1 + 100 + 1, 100, 0, 0, 0, 100, 0},
		{"the server's", false, 100 + 1, 100, 0, 0, 0, 100, 0},
		{"some of it sent twice", true, 1 + 100 + 1, 160, 60, 0, 0, 100, 0},
		{"reset before a FIN", true, 1 + 100, 100, 0, 0, 0, 100, 0},
		{"the server reset it before a FIN", false, 100, 100, 0, 0, 0, 100, 0},
		{"reset with 30 bytes in flight", true, 1 + 70, 100, 0, 30, 0, 100, 30},
		{"30 bytes and the FIN in flight", true, 1 + 70, 100, 0, 31, 0, 100, 30},
		{"the FIN in flight, sent again and again", false, 100, 100, 0, 1, 0, 100, 0},
		{"30 bytes in flight, 500 never sent", false, 70, 100, 0, 530, 500, 100, 30},
		{"nothing was said, and a FIN", true, 2, 0, 0, 0, 0, 0, 0},
		{"nothing was said, reset", true, 1, 0, 0, 0, 0, 0, 0},
		{"40 bytes were refused by this host once: most likely with a FIN", true, 1 + 100 + 1, 140, 0, 0, 0,
		 100, 0},
	};
	struct stable_sock unseen = {.phase = STABLE_OPEN, .flags = STABLE_ENDED | STABLE_CLOSELESS};
	struct sky_totals s;

	for (size_t i = 0; i < 2 * sizeof(t) / sizeof(t[0]); i++) {
		size_t j = i / 2;
		struct diag_sock d = gone(t[j].acked, 0, t[j].wqueue, t[j].unsent, 0);

		d.info.tcpi_bytes_sent = t[j].sent;
		d.info.tcpi_bytes_retrans = t[j].again;
		assert_true(stable_sums_end(&d, i % 2 ? &unseen : NULL, t[j].client, &s));
		if (s.tx != t[j].tx || s.undelivered != t[j].undelivered)
			fail_msg("%s: tx %llu undelivered %u", t[j].what, (unsigned long long)s.tx, s.undelivered);
	}
}

static void forgotten_by_disconnect(void **state)
{
	struct diag_sock d = gone(0, 0, 0, 0, 0);
	struct stable_sock e = {.phase = STABLE_OPEN, .old = ESTABLISHED, .flags = STABLE_RESET_OUT};
	struct sky_totals s = {.tx = 7};

	d.rport = 0;
	assert_false(stable_sums_end(&d, &e, true, &s));
	assert_int_equal(s.tx, 7);
}

static void how_they_end(void **state)
{
	static const struct {
		uint8_t phase, old, flags;
		uint16_t error;
		bool errors;
		unsigned how;
	} t[] = {
		{STABLE_CONNECTING, SYN_SENT, STABLE_RESET_IN, 0, true, SKY_FAILED_REFUSED},
		{STABLE_CONNECTING, SYN_SENT, 0, ETIMEDOUT, true, SKY_FAILED_TIMEOUT},
		{STABLE_CONNECTING, SYN_SENT, 0, EHOSTUNREACH, true, SKY_FAILED_UNREACHABLE},
		{STABLE_CONNECTING, SYN_SENT, STABLE_AT_ONCE, 0, true, SKY_FAILED_ABANDONED},
		{STABLE_CONNECTING, SYN_SENT, STABLE_AT_ONCE, 0, false, SKY_FAILED_ABANDONED},
		{STABLE_CONNECTING, SYN_SENT, 0, 0, false,
		 SKY_FAILED_OTHER}, /* before 5.14: timed out or unreachable */
		{STABLE_CONNECTING, SYN_SENT, STABLE_NO_PORT, 0, true, SKY_FAILED_NO_PORT},
		{STABLE_CONNECTING, 0, STABLE_CLOSELESS, 0, true, SKY_FAILED_OTHER},
		{STABLE_OPEN, LAST_ACK, 0, 0, true, SKY_END_NORMAL},
		{STABLE_OPEN, FIN_WAIT2, STABLE_AT_ONCE, 0, true, SKY_END_NORMAL},
		{STABLE_OPEN, ESTABLISHED, STABLE_RESET_IN, ECONNRESET, true, SKY_END_RESET_RECEIVED},
		{STABLE_OPEN, ESTABLISHED, STABLE_RESET_OUT, 0, true, SKY_END_RESET_SENT},
		{STABLE_OPEN, ESTABLISHED, 0, ETIMEDOUT, true, SKY_END_TIMED_OUT},
		{STABLE_OPEN, ESTABLISHED, 0, 0, false, SKY_END_TIMED_OUT},
		{STABLE_OPEN, 0, STABLE_CLOSELESS, 0, true, SKY_END_UNSEEN},
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct stable_sock e = {.phase = t[i].phase, .old = t[i].old, .flags = t[i].flags, .error = t[i].error};

		if (stable_sums_how(&e, t[i].errors) != t[i].how)
			fail_msg("row %zu: %u", i, stable_sums_how(&e, t[i].errors));
	}
}

/* While it is open only what was acknowledged counts, so that a torn read errs downwards. */
static void open_ones(void **state)
{
	struct diag_sock d = gone(1 + 100, 51, 40, 0, 0);
	struct sky_totals s;

	d.info.tcpi_last_ack_recv = 5000;
	d.info.tcpi_bytes_sent = 140;
	d.state = CLOSE_WAIT;
	stable_sums_open(&d, true, false, &s);
	assert_int_equal(s.tx, 100);
	assert_int_equal(s.rx, 50);
	d.state = FIN_WAIT2;
	stable_sums_open(&d, true, false, &s);
	assert_int_equal(s.tx, 99);
	assert_int_equal(s.rx, 51);
	d.info.tcpi_bytes_acked = 0;
	stable_sums_open(&d, true, false, &s);
	assert_int_equal(s.tx, 0);
}

/* The state is read before the sums: both FINs came in between. */
static void open_ones_that_end_meanwhile(void **state)
{
	struct diag_sock d = gone(1 + 100 + 1, 51, 0, 0, 0);
	struct sky_totals s;

	d.state = ESTABLISHED;
	d.info.tcpi_bytes_sent = 160;
	d.info.tcpi_bytes_retrans = 60;
	d.info.tcpi_last_ack_recv = 4;
	stable_sums_open(&d, true, false, &s);
	assert_int_equal(s.tx, 100);
	assert_int_equal(s.rx, 50);
	d.info.tcpi_last_ack_recv = (uint32_t)-4;
	stable_sums_open(&d, true, false, &s);
	assert_int_equal(s.rx, 50);
	stable_sums_open(&d, true, true, &s);
	assert_int_equal(s.rx, 51);
	d.info.tcpi_last_ack_recv = 1000;
	stable_sums_open(&d, true, false, &s);
	assert_int_equal(s.rx, 51);
}

/* What nothing tells, and what one would think then. */
static void guessed_fins(void **state)
{
	static const struct {
		uint8_t old;
		uint16_t flags;
		bool e, client;
		uint64_t received;
		uint32_t rqueue;
		bool guess;
		uint64_t rx;
	} t[] = {
		{0, 0, false, true, 50, 0, true, 50},
		{0, 0, false, false, 51, 0, true, 50},
		{0, 0, false, true, 0, 0, false, 0},
		{0, STABLE_CLOSELESS, true, true, 51, 1, true, 50},
		{FIN_WAIT2, STABLE_AT_ONCE, true, true, 50, 0, false, 50},
		{FIN_WAIT2, STABLE_LATER, true, true, 50, 0, true, 50},
		{FIN_WAIT2, STABLE_LATER, true, true, 51, 1, false, 50},
		{FIN_WAIT2, 0, true, true, 51, 0, false, 50},
		{LAST_ACK, STABLE_LATER, true, false, 51, 0, false, 50},
	};
	struct sky_totals s;

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct diag_sock d = gone(2, t[i].received, 0, 0, t[i].rqueue);
		struct stable_sock e = {.phase = STABLE_OPEN, .old = t[i].old, .flags = t[i].flags | STABLE_ENDED};

		assert_true(stable_sums_end(&d, t[i].e ? &e : NULL, t[i].client, &s));
		if (s.rx != t[i].rx || stable_sums_guess(&d, t[i].e ? &e : NULL) != t[i].guess)
			fail_msg("row %zu: rx %llu", i, (unsigned long long)s.rx);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_of_events),
		cmocka_unit_test(exact_bytes_at_the_end),
		cmocka_unit_test(sent_bytes_of_an_unseen_end),
		cmocka_unit_test(forgotten_by_disconnect),
		cmocka_unit_test(how_they_end),
		cmocka_unit_test(open_ones),
		cmocka_unit_test(open_ones_that_end_meanwhile),
		cmocka_unit_test(guessed_fins),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
