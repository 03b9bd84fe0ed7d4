/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agent/bpf/udp.h"
#include "agent/listen.h"
#include "agent/ports.h"
#include "agent/udp.h"
#include "agent/udp_adopt.h"
#include "agent/udp_told.h"
#include "base/table.h"

static void modes(void **state)
{
	static const char *const names[] = {"off", "connect", "bytes"};
	enum udp_mode mode;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		assert_int_equal(udp_parse(names[i], &mode), 0);
		assert_int_equal(mode, i);
		assert_string_equal(udp_name(mode), names[i]);
	}
	mode = UDP_BYTES;
	assert_int_equal(udp_parse("byte", &mode), -EINVAL);
	assert_int_equal(udp_parse("", &mode), -EINVAL);
	assert_int_equal(mode, UDP_BYTES);
}

/* Off: no object, and every call on none does nothing. */
static void off(void **state)
{
	struct udp_opts opts = {.mode = UDP_OFF};
	struct udp_counts counts = {.others = 7}, former = {0};
	struct flow_ledger line = {0};
	struct agent_rows *rows;
	struct udp *u = (void *)&opts;
	uint64_t ns = 1, runs = 1;
	char why[64] = "x";

	assert_int_equal(udp_open(&u, &opts, why, sizeof(why)), 0);
	assert_null(u);
	assert_string_equal(why, "");
	assert_int_equal(udp_mode(u), UDP_OFF);
	assert_int_equal(agent_rows_new(&rows, 4), 0);
	assert_int_equal(udp_begin(u, 1), 0);
	assert_int_equal(udp_end(u, rows), 0);
	assert_int_equal(udp_relieve(u, rows), 0);
	assert_int_equal(udp_ease(u, true), 0);
	assert_false(udp_bypass(u, true));
	assert_int_equal(agent_rows_count(rows), 0);
	udp_counts(u, &counts);
	assert_int_equal(counts.others, 0);
	udp_stats(u, &ns, &runs);
	assert_true(ns == 0 && runs == 0);
	udp_told(&line, u, &former);
	assert_int_equal(line.n_info + line.n_lost, 0);
	udp_close(u);
	agent_rows_free(rows);
}

enum { LOW = 32768, HIGH = 60999 };

static uint8_t role(bool bound, enum sky_spoke spoke, bool dialled, uint16_t lport, uint16_t rport)
{
	struct sky_udp_sock e = {.bound = bound, .spoke = (uint8_t)spoke};

	return sky_udp_role(&e, dialled, lport, rport, lport >= LOW && lport <= HIGH, rport >= LOW && rport <= HIGH);
}

/* What both ends of a conversation come to, each by what it knows. */
static void roles(void **state)
{
	static const struct {
		const char *what;
		bool bound;
		enum sky_spoke spoke;
		bool dialled;
		uint16_t lport, rport;
		uint8_t role;
	} cases[] = {
		{"a resolver", false, SKY_SENT, false, 40000, 53, SKY_ROLE_CLIENT},
		{"its server", true, SKY_RECEIVED, false, 53, 40000, SKY_ROLE_SERVER},
		{"one that connects", false, SKY_SILENT, true, 40000, 53, SKY_ROLE_CLIENT},
		{"one on a random port of its own", true, SKY_SENT, false, 50000, 53, SKY_ROLE_CLIENT},
		{"a game server up there", true, SKY_RECEIVED, false, 40000, 45000, SKY_ROLE_SERVER},
		{"its player", false, SKY_SENT, true, 45000, 40000, SKY_ROLE_CLIENT},
		{"a QUIC server's socket for one client", true, SKY_RECEIVED, true, 443, 45000, SKY_ROLE_SERVER},
		{"the same that has not been heard yet", true, SKY_SILENT, true, 443, 45000, SKY_ROLE_SERVER},
		{"a client that chose its port", true, SKY_SENT, true, 45000, 46000, SKY_ROLE_CLIENT},
		{"a client that chose its port, silent", true, SKY_SILENT, true, 45000, 46000, SKY_ROLE_CLIENT},
		{"a server on a port it was given", false, SKY_RECEIVED, false, 45000, 46000, SKY_ROLE_SERVER},
		{"a server that answers before it is asked", true, SKY_SENT, false, 514, 45000, SKY_ROLE_SERVER},
		{"a DHCP client", true, SKY_SENT, false, 68, 67, SKY_ROLE_CLIENT},
		{"a DHCP server", true, SKY_RECEIVED, false, 67, 68, SKY_ROLE_SERVER},
		{"two time servers", true, SKY_SENT, false, 123, 123, SKY_ROLE_UNKNOWN},
		{"two time servers, the other", true, SKY_RECEIVED, false, 123, 123, SKY_ROLE_UNKNOWN},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (role(cases[i].bound, cases[i].spoke, cases[i].dialled, cases[i].lport, cases[i].rport) !=
		    cases[i].role)
			fail_msg("%s", cases[i].what);
}

static struct diag_sock listed(uint16_t lport, uint16_t rport, uint64_t cgroup)
{
	struct diag_sock s = {.cookie = 77, .inode = 5, .lport = lport, .rport = rport, .cgroup = cgroup};

	s.local = ip_from_v4((const uint8_t[]){10, 0, 0, 1});
	if (rport)
		s.remote = ip_from_v4((const uint8_t[]){10, 0, 0, 2});
	return s;
}

/* What the kernel lists becomes what its programs keep. */
static void adopted(void **state)
{
	struct diag_sock s = listed(40000, 53, 4711);
	struct sky_udp_sock e, zero = {0};

	memset(&e, 0xff, sizeof(e));
	udp_adopt_fill(&e, &s, 99, 1234, 5000000000);
	assert_true(e.cookie == 77 && e.netns == 99 && e.sk == 0);
	assert_true(e.dialled && e.joined && !e.told && !e.vague && !e.bound && !e.looked);
	assert_true(e.lport == 40000 && e.rport == 53);
	assert_memory_equal(e.local, s.local.b, 16);
	assert_memory_equal(e.remote, s.remote.b, 16);
	assert_true(e.owner.cgroup == 4711 && e.owner.flags == SKY_OWNER_SCAN && e.tgid == 1234);
	assert_int_equal(e.owner.tgid, 0); /* the cgroup says enough: one row for all its processes */
	assert_true(e.until_ns == 5000000000 && e.dialled_ns == 5000000000);
	assert_memory_equal(&e.now, &zero.now, sizeof(e.now));
	assert_memory_equal(e.owner.comm, zero.owner.comm, sizeof(e.owner.comm));

	s = listed(53, 0, 1);
	udp_adopt_fill(&e, &s, 99, 0, 1);
	assert_true(!e.dialled && e.vague && e.owner.tgid == 0);
	udp_adopt_fill(&e, &s, 99, 8, 1);
	assert_true(!e.vague && e.owner.tgid == 8); /* the root cgroup tells nothing */
}

static void ports(void **state)
{
	uint16_t low = 0, high = 0;

	ports_given_out(&low, &high);
	assert_true(low > 0 && low <= high);
}

static int listener_seen(void *arg, const struct flow_listener *row)
{
	*(struct flow_listener *)arg = *row;
	return 0;
}

/* UDP's listeners are rows of UDP, and the same port of TCP another. */
static void listeners(void **state)
{
	struct names_opts opts = {.proc = "/nonexistent"};
	struct diag_sock s = listed(53, 0, 0);
	struct flow_listener row = {0};
	struct fdscan *owners;
	struct names *names;
	struct listen *l;

	s.drops = 3;
	assert_int_equal(names_new(&names, &opts), 0);
	assert_int_equal(fdscan_new(&owners, "/nonexistent", 16), 0);
	assert_int_equal(listen_new(&l, owners), 0);
	listen_to_udp(l, LOW, HIGH);
	for (int look = 0; look < 2; look++) {
		listen_begin(l, look);
		listen_saw(l, 4, &s);
		listen_end(l);
		s.drops += 9;
	}
	names_begin(names, LISTEN_EVERY_US);
	listen_due(l, names, LISTEN_EVERY_US, listener_seen, &row);
	assert_true(row.protocol == IPPROTO_UDP && row.port == 53 && row.netns == 4 && row.alive);
	assert_int_equal(row.drops, 9);
	assert_int_equal(listen_count(l), 1);
	listen_free(l);
	fdscan_free(owners);
	names_free(names);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(modes),   cmocka_unit_test(off),   cmocka_unit_test(roles),
		cmocka_unit_test(adopted), cmocka_unit_test(ports), cmocka_unit_test(listeners),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
