/* SPDX-License-Identifier: Apache-2.0 */
/* The mode stable: what the hook and the kernel's message tell, joined, whichever of the programs was passed over. The hook's
 * tables are played here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "agent/stable_rows.h"

#define PLACES 4
#define NETNS 4026531840u
#define COOKIE 77

struct stable {
	struct stable_sock socks[PLACES], ended[PLACES]; /* phase 0: free; keys: place + 1, cookie or id */
	uint64_t ended_key[PLACES];
};

bool stable_knows_errors(const struct stable *s)
{
	return true;
}

bool stable_take(struct stable *s, uint64_t cookie, struct stable_sock *ret)
{
	for (size_t i = 0; i < PLACES; i++) {
		if (!s->ended[i].phase || s->ended_key[i] != cookie)
			continue;
		*ret = s->ended[i];
		s->ended[i].phase = 0;
		return true;
	}
	return false;
}

bool stable_take_gone(struct stable *s, uint64_t key, uint64_t id)
{
	struct stable_sock *e = &s->socks[key - 1];
	bool there = e->phase && e->id == id;

	if (there)
		e->phase = 0;
	return there;
}

void stable_forget(struct stable *s, uint64_t key)
{
	struct stable_sock e;

	stable_take(s, key, &e);
}

int stable_sockets(struct stable *s, int (*fn)(void *arg, uint64_t key, const void *value), void *arg)
{
	for (size_t i = 0; i < PLACES; i++)
		if (s->socks[i].phase && fn(arg, i + 1, &s->socks[i]))
			return -1;
	return 0;
}

int stable_ended(struct stable *s, int (*fn)(void *arg, uint64_t key, const void *value), void *arg)
{
	for (size_t i = 0; i < PLACES; i++) {
		struct stable_sock e = s->ended[i];

		if (e.phase && fn(arg, s->ended_key[i], &e))
			return -1;
	}
	return 0;
}

struct all {
	struct stable hook;
	struct source_counts counts;
	struct netns_set ns;
	struct agent_rows *rows;
	struct fdscan *scan;
	struct procs *procs;
	struct stable_rows s;
};

static int setup(void **state)
{
	static struct all a;

	a = (struct all){.s = {.hook = &a.hook, .counts = &a.counts, .ns = &a.ns, .inum = NETNS}};
	assert_int_equal(agent_rows_new(&a.rows, 16), 0);
	assert_int_equal(conns_new(&a.s.conns, 16), 0);
	assert_int_equal(fdscan_new(&a.scan, "/nowhere", 16), 0);
	assert_int_equal(procs_new(&a.procs, "/nowhere", 16), 0);
	assert_int_equal(stable_owners_new(&a.s.owners, a.scan, a.procs), 0);
	assert_int_equal(stable_live_new(&a.s.live), 0);
	a.s.rows = a.rows;
	*state = &a;
	return 0;
}

static int teardown(void **state)
{
	struct all *a = *state;

	stable_rows_deinit(&a->s);
	stable_live_free(a->s.live);
	stable_owners_free(a->s.owners);
	procs_free(a->procs);
	fdscan_free(a->scan);
	conns_free(a->s.conns);
	agent_rows_free(a->rows);
	return 0;
}

static const uint8_t here[16] = {[10] = 0xff, [11] = 0xff, 10, 0, 0, 1},
		     there[16] = {[10] = 0xff, [11] = 0xff, 10, 0, 0, 2};

/* A client's that sent 100 bytes, got 50 and closed first, as the programs saw it. */
static struct stable_sock entry(uint16_t flags)
{
	struct stable_sock e = {.id = 5 << 12,
				.syn_ns = 1000000000,
				.since_ns = 1001000000,
				.at_ns = 1500000000,
				.gone_ns = flags & STABLE_GONE ? 1500000000 : 0,
				.tgid = 42,
				.cgroup = 9,
				.comm = "curl",
				.lport = 40000,
				.rport = 80,
				.flags = flags,
				.phase = STABLE_OPEN,
				.role = SKY_ROLE_CLIENT,
				.old = 5};

	memcpy(e.local, here, 16);
	memcpy(e.remote, there, 16);
	return e;
}

#define CLOSED (STABLE_ENDED | STABLE_AT_ONCE)

/* The kernel's message of it. */
static struct diag_sock message(void)
{
	struct diag_sock d = {.lport = 40000, .rport = 80, .state = 7, .cookie = COOKIE, .info_len = sizeof(d.info)};

	memcpy(d.local.b, here, 16);
	memcpy(d.remote.b, there, 16);
	d.info.tcpi_bytes_acked = 102;
	d.info.tcpi_bytes_sent = 100;
	d.info.tcpi_bytes_received = 50;
	d.info.tcpi_segs_in = d.info.tcpi_segs_out = 5;
	d.info.tcpi_data_segs_out = d.info.tcpi_data_segs_in = 1;
	return d;
}

static void look_at(struct all *a, const struct diag_sock *d)
{
	stable_live_begin(a->s.live);
	if (d)
		assert_int_equal(stable_rows_destroyed(&a->s, NETNS, d), 0);
	stable_rows_join(&a->s);
	assert_int_equal(stable_ended(&a->hook, stable_rows_left, &a->s), 0);
	stable_rows_alone(&a->s);
}

static void look(struct all *a, bool told)
{
	struct diag_sock d = message();

	look_at(a, told ? &d : NULL);
}

/* One row of the whole connection, with its owner and handshake. */
static void assert_whole(struct all *a)
{
	const struct agent_row *row = agent_rows_at(a->rows, 0);
	uint64_t handshakes = 0;

	assert_int_equal(agent_rows_count(a->rows), 1);
	assert_int_equal(row->key.role, SKY_ROLE_CLIENT);
	assert_int_equal(row->key.service_port, 80);
	assert_memory_equal(row->key.local, here, 16);
	assert_memory_equal(row->key.remote, there, 16);
	assert_string_equal(row->key.owner.comm, "curl");
	assert_int_equal(row->val.attempts, 1);
	assert_int_equal(row->val.opened, 1);
	assert_int_equal(row->val.closed, 1);
	assert_int_equal(row->val.tx_bytes, 100);
	assert_int_equal(row->val.rx_bytes, 50);
	for (size_t i = 0; i < sizeof(row->val.handshake) / sizeof(row->val.handshake[0]); i++)
		handshakes += row->val.handshake[i];
	assert_int_equal(handshakes, 1);
	for (size_t i = 0; i < PLACES; i++)
		assert_false(a->hook.socks[i].phase || a->hook.ended[i].phase);
}

static void by_cookie(void **state)
{
	struct all *a = *state;

	a->hook.ended[1] = entry(CLOSED | STABLE_GONE);
	a->hook.ended[1].cookie = a->hook.ended_key[1] = COOKIE;
	look(a, true);
	assert_whole(a);
	assert_int_equal(a->counts.finalised + a->counts.recovered + a->counts.fin_guessed, 0);
}

/* The classic program that knows addresses was passed over all the while, the one that knows the cookie was not. */
static void without_a_name(void **state)
{
	struct all *a = *state;
	struct stable_sock *e = &a->hook.ended[0];

	*e = entry(CLOSED | STABLE_GONE | STABLE_UNNAMED);
	memset(e->local, 0, 16);
	memset(e->remote, 0, 16);
	e->lport = e->rport = 0;
	e->cookie = a->hook.ended_key[0] = COOKIE;
	look(a, true);
	assert_whole(a);
}

/* The one that knows the cookie was. */
static void by_addresses(void **state)
{
	struct all *a = *state;

	a->hook.socks[2] = entry(CLOSED | STABLE_GONE);
	look(a, true);
	assert_whole(a);
	assert_int_equal(a->counts.finalised + a->counts.recovered, 0);
	look(a, false);
	assert_whole(a);
}

/* And a client's port was told by none. */
static void by_the_peer(void **state)
{
	struct all *a = *state;

	a->hook.socks[2] = entry(CLOSED | STABLE_GONE | STABLE_UNNAMED);
	a->hook.socks[2].lport = 0;
	look(a, true);
	assert_whole(a);
}

/* And another socket has its address by now, so that it came to the ended ones under its id. */
static void by_addresses_among_the_ended(void **state)
{
	struct all *a = *state;

	a->hook.ended[3] = entry(CLOSED | STABLE_GONE);
	a->hook.ended_key[3] = a->hook.ended[3].id | 1ULL << 63;
	look(a, true);
	assert_whole(a);
}

/* Its message may come later still, and then it is one connection; without one it is counted as well, some time later. */
static void before_the_message(void **state)
{
	struct all *a = *state;

	a->hook.ended[3] = entry(CLOSED | STABLE_GONE);
	a->hook.ended_key[3] = a->hook.ended[3].id | 1ULL << 63;
	a->s.now_us = 2000000;
	look(a, false);
	assert_int_equal(agent_rows_count(a->rows), 0);
	look(a, true);
	assert_whole(a);

	a->hook.ended[3] = entry(CLOSED | STABLE_GONE);
	a->hook.ended[3].tgid = 0;
	a->s.all_netns = true;
	a->s.now_us = 5000000;
	look(a, false);
	assert_int_equal(a->hook.ended[3].phase, 0);
	assert_int_equal(agent_rows_count(a->rows), 2); /* whose namespace nobody knows: the agent's own */
}

/* Alive, it is none of the message's, whatever its addresses. */
static void another_of_the_same_addresses(void **state)
{
	struct all *a = *state;

	a->hook.socks[0] = entry(0);
	look(a, true);
	assert_int_equal(a->hook.socks[0].phase, STABLE_OPEN);
	assert_int_equal(a->counts.finalised, 1);
	assert_int_equal(a->counts.recovered, 1);
}

/* Nobody saw anything: the sums tell who connected, and all it sent; that it received a FIN is a guess, counted. */
static void by_the_message_alone(void **state)
{
	struct all *a = *state;
	const struct agent_row *row;

	look(a, true);
	assert_int_equal(agent_rows_count(a->rows), 1);
	row = agent_rows_at(a->rows, 0);
	assert_int_equal(row->key.role, SKY_ROLE_CLIENT);
	assert_int_equal(row->val.opened, 1);
	assert_int_equal(row->val.closed, 1);
	assert_int_equal(row->val.tx_bytes, 100);
	assert_in_range(row->val.rx_bytes, 49, 50);
	assert_int_equal(a->counts.fin_guessed, 1);
	assert_int_equal(a->counts.finalised, 1);
	look(a, false);
	assert_int_equal(row->val.closed, 1);
}

static void assert_closed(struct all *a, uint64_t n)
{
	uint64_t closed = 0;

	for (size_t i = 0; i < agent_rows_count(a->rows); i++)
		closed += agent_rows_at(a->rows, i)->val.closed;
	assert_int_equal(closed, n);
}

/* Its destruction reached no program at all: still in its place, or pushed out of it by the next at its address. */
static void by_addresses_not_seen_to_go(void **state)
{
	struct all *a = *state;

	a->hook.socks[2] = entry(CLOSED);
	look(a, true);
	assert_whole(a);
}

static void by_addresses_pushed_out(void **state)
{
	struct all *a = *state;

	a->hook.ended[3] = entry(CLOSED);
	a->hook.ended_key[3] = a->hook.ended[3].id | 1ULL << 63;
	look(a, true);
	assert_whole(a);
}

/* Neither its CLOSE nor its destruction did: told by its message, and not once more when its address is used again. */
static void told_by_the_message_already(void **state)
{
	struct all *a = *state;

	a->hook.socks[0] = entry(0);
	look(a, true);
	assert_closed(a, 1);
	a->hook.ended[0] = a->hook.socks[0];
	a->hook.ended[0].flags |= STABLE_ENDED | STABLE_CLOSELESS;
	a->hook.ended[0].tgid = 0;
	a->hook.ended_key[0] = a->hook.ended[0].id | 1ULL << 63;
	a->hook.socks[0].phase = 0;
	a->s.all_netns = true;
	a->s.now_us = 60000000;
	look(a, false);
	assert_closed(a, 1);
	assert_int_equal(a->hook.ended[0].phase, 0);
}

/* Two of a client's connections, one of whose ports no program learned, each with its own part, wherever that lies and whichever
 * message comes first: the part without a port is not given to the message that has one of its own. */
static void one_port_unknown(void **state)
{
	struct all *a = *state;
	struct diag_sock d = message();

	for (unsigned places = 0; places < 4; places++)
		for (uint16_t first = 0; first < 2; first++) {
			struct stable_sock *unknown = places & 1 ? &a->hook.ended[0] : &a->hook.socks[0];
			struct stable_sock *other = places & 2 ? &a->hook.ended[1] : &a->hook.socks[1];

			*unknown = *other = entry(CLOSED | STABLE_GONE);
			unknown->id++;
			unknown->lport = 0;
			unknown->tgid = other->tgid = 0;
			a->hook.ended_key[0] = unknown->id | 1ULL << 63;
			a->hook.ended_key[1] = other->id | 1ULL << 63;
			a->s.all_netns = true;
			a->s.now_us = 2000000;
			stable_live_begin(a->s.live);
			for (uint16_t i = 0; i < 2; i++) {
				d.lport = 40000 + (i ^ first);
				d.cookie++;
				assert_int_equal(stable_rows_destroyed(&a->s, NETNS, &d), 0);
			}
			look_at(a, NULL);
			a->s.now_us = 60000000;
			look(a, false);
			assert_int_equal(a->counts.finalised + a->counts.recovered, 0);
			assert_closed(a, 2 * (2 * places + first + 1));
			assert_int_equal(unknown->phase + other->phase, 0);
		}
}

/* An attempt that came to nothing has no answer to its SYN: it is not the connection whose port no program learned. */
static void an_attempt_and_a_port_unknown(void **state)
{
	struct all *a = *state;
	struct diag_sock d = message();

	a->hook.socks[0] = entry(CLOSED | STABLE_GONE);
	a->hook.socks[0].lport = 0;
	stable_live_begin(a->s.live);
	d.info.tcpi_bytes_acked = d.info.tcpi_bytes_sent = d.info.tcpi_bytes_received = d.info.tcpi_segs_in = 0;
	d.lport++;
	assert_int_equal(stable_rows_destroyed(&a->s, NETNS, &d), 0);
	d = message();
	d.cookie++;
	look_at(a, &d);
	assert_whole(a);
	assert_int_equal(a->counts.finalised + a->counts.recovered, 0);
}

/* What was refused before, by the same peer, from a port nobody knows, is not the connection. */
static void an_attempt_before(void **state)
{
	struct all *a = *state;

	a->hook.socks[0] = entry(STABLE_ENDED | STABLE_GONE | STABLE_RESET_IN);
	a->hook.socks[0].phase = STABLE_CONNECTING;
	a->hook.socks[0].old = 2;
	a->hook.socks[0].lport = 0;
	look(a, true);
	assert_closed(a, 1);
	assert_int_equal(agent_rows_at(a->rows, 0)->val.failed_refused, 0);
	assert_int_equal(agent_rows_at(a->rows, 0)->val.tx_bytes, 100);
	assert_int_equal(a->hook.socks[0].phase, STABLE_CONNECTING);
}

/* More messages wait than there is room for: who is told at once is not told again when the hook's part comes. */
static void more_than_can_wait(void **state)
{
	struct all *a = *state;
	struct diag_sock d = message();

	for (d.cookie = 1; d.cookie <= 4096 + 1; d.cookie++, d.lport++)
		assert_int_equal(stable_rows_destroyed(&a->s, NETNS, &d), 0);
	assert_closed(a, 1);
	look(a, false);
	assert_closed(a, 4096 + 1);
	a->hook.ended[0] = entry(CLOSED | STABLE_GONE);
	a->hook.ended[0].tgid = 0;
	a->hook.ended_key[0] = a->hook.ended[0].id | 1ULL << 63;
	a->s.all_netns = true;
	a->s.now_us = 60000000;
	look(a, false);
	assert_closed(a, 4096 + 1);
	assert_int_equal(a->hook.ended[0].phase, 0);
	a->hook.ended[0].phase = STABLE_OPEN; /* the message of another was dropped */
	look(a, false);
	assert_closed(a, 4096 + 2);
}

/* Reset, and closed by its program a minute later: its message is waited for from then on. */
static void destroyed_long_after(void **state)
{
	struct all *a = *state;

	a->hook.ended[1] = entry(CLOSED | STABLE_GONE);
	a->hook.ended[1].cookie = a->hook.ended_key[1] = COOKIE;
	a->hook.socks[2] = entry(CLOSED | STABLE_GONE);
	a->hook.ended[1].gone_ns = a->hook.socks[2].gone_ns = 60000000000;
	a->hook.socks[2].lport++;
	a->s.all_netns = true;
	a->s.now_us = 60500000;
	look(a, false);
	assert_int_equal(agent_rows_count(a->rows), 0);
	a->hook.socks[2].phase = 0;
	look(a, true);
	assert_whole(a);
}

/* A refused attempt's socket has forgotten with whom it was: the message tells nothing, and nobody may use its address again. */
static void refused_and_no_message(void **state)
{
	struct all *a = *state;
	struct diag_sock other = message();

	other.lport++;
	a->hook.socks[0] = entry(STABLE_ENDED | STABLE_GONE | STABLE_RESET_IN);
	a->hook.socks[0].phase = STABLE_CONNECTING;
	a->hook.socks[0].old = 2;
	a->hook.socks[0].lport = 0;
	a->hook.socks[0].tgid = 0;
	a->s.all_netns = true;
	a->s.now_us = 2000000;
	look_at(a, &other);
	assert_int_equal(a->hook.socks[0].phase, STABLE_CONNECTING);
	a->s.now_us = 4000000;
	other.cookie++;
	look_at(a, &other);
	assert_int_equal(a->hook.socks[0].phase, 0);
	assert_closed(a, 2);
	assert_int_equal(agent_rows_count(a->rows), 2); /* nobody's connection, and an attempt of curl's */
	assert_int_equal(agent_rows_at(a->rows, 1)->val.attempts, 1);
	assert_int_equal(agent_rows_at(a->rows, 1)->val.failed_refused, 1);
}

/* While nobody looks nothing is known: a message that waited for a look is not told after it, whole, though a part was before. */
static void forgotten(void **state)
{
	struct all *a = *state;
	struct diag_sock d = message();

	assert_non_null(conns_add(a->s.conns, COOKIE));
	assert_int_equal(stable_rows_destroyed(&a->s, NETNS, &d), 0);
	stable_rows_forget(&a->s);
	assert_int_equal(conns_count(a->s.conns), 0);
	look(a, false);
	assert_int_equal(agent_rows_count(a->rows), 0);
}

/* Neither that it was established nor its end was seen: the peer acknowledged its SYN, so it is no failed attempt. */
static void begun_and_ended_unseen(void **state)
{
	struct all *a = *state;
	const struct agent_row *row;

	a->hook.socks[0] = entry(STABLE_ENDED | STABLE_CLOSELESS | STABLE_GONE);
	a->hook.socks[0].phase = STABLE_CONNECTING;
	a->hook.socks[0].since_ns = a->hook.socks[0].lport = 0;
	look(a, true);
	row = agent_rows_at(a->rows, 0);
	assert_int_equal(agent_rows_count(a->rows), 1);
	assert_int_equal(row->val.attempts, 1);
	assert_int_equal(row->val.opened, 1);
	assert_int_equal(row->val.closed, 1);
	assert_int_equal(row->val.failed_other, 0);
	assert_int_equal(row->val.tx_bytes, 100);
	assert_int_equal(a->counts.finalised, 1);
}

/* A refused attempt whose cookie no program learned is one attempt, not a connection. */
static void refused(void **state)
{
	struct diag_sock d = message();
	struct all *a = *state;
	const struct agent_row *row;

	a->hook.socks[0] = entry(STABLE_ENDED | STABLE_GONE | STABLE_RESET_IN);
	a->hook.socks[0].phase = STABLE_CONNECTING;
	a->hook.socks[0].old = 2;
	d.info.tcpi_bytes_acked = d.info.tcpi_bytes_sent = d.info.tcpi_bytes_received = 0;
	look_at(a, &d);
	row = agent_rows_at(a->rows, 0);
	assert_int_equal(agent_rows_count(a->rows), 1);
	assert_int_equal(row->val.attempts, 1);
	assert_int_equal(row->val.failed_refused, 1);
	assert_int_equal(row->val.opened + row->val.closed, 0);
}

/* Of a protocol the raw programs cannot tell from TCP: no row. */
static void nobody_knows_with_whom(void **state)
{
	struct all *a = *state;

	a->hook.ended[0] = entry(CLOSED | STABLE_UNNAMED);
	a->hook.ended[0].lport = a->hook.ended[0].rport = 0;
	a->hook.ended_key[0] = a->hook.ended[0].id | 1ULL << 63;
	look(a, false);
	assert_int_equal(agent_rows_count(a->rows), 0);
	assert_int_equal(a->hook.ended[0].phase, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(by_cookie, setup, teardown),
		cmocka_unit_test_setup_teardown(without_a_name, setup, teardown),
		cmocka_unit_test_setup_teardown(by_addresses, setup, teardown),
		cmocka_unit_test_setup_teardown(by_the_peer, setup, teardown),
		cmocka_unit_test_setup_teardown(by_addresses_among_the_ended, setup, teardown),
		cmocka_unit_test_setup_teardown(before_the_message, setup, teardown),
		cmocka_unit_test_setup_teardown(another_of_the_same_addresses, setup, teardown),
		cmocka_unit_test_setup_teardown(by_the_message_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(by_addresses_not_seen_to_go, setup, teardown),
		cmocka_unit_test_setup_teardown(by_addresses_pushed_out, setup, teardown),
		cmocka_unit_test_setup_teardown(told_by_the_message_already, setup, teardown),
		cmocka_unit_test_setup_teardown(one_port_unknown, setup, teardown),
		cmocka_unit_test_setup_teardown(an_attempt_and_a_port_unknown, setup, teardown),
		cmocka_unit_test_setup_teardown(an_attempt_before, setup, teardown),
		cmocka_unit_test_setup_teardown(more_than_can_wait, setup, teardown),
		cmocka_unit_test_setup_teardown(destroyed_long_after, setup, teardown),
		cmocka_unit_test_setup_teardown(refused_and_no_message, setup, teardown),
		cmocka_unit_test_setup_teardown(forgotten, setup, teardown),
		cmocka_unit_test_setup_teardown(begun_and_ended_unseen, setup, teardown),
		cmocka_unit_test_setup_teardown(refused, setup, teardown),
		cmocka_unit_test_setup_teardown(nobody_knows_with_whom, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
