/* SPDX-License-Identifier: Apache-2.0 */
/* What is not believed changes nothing: two collectors hear the same fleet, one of them much else, and say the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/collector_rig.h"
#include "tests/unit/trust_files.h"
#include "wire/put.h"

#define US 1000000ll
#define T0 1700000000u
#define L 10u
#define AGENTS 5
#define THREADS 3

static char folder[] = "/tmp/skyfall-trusted-XXXXXX", keys[64];

static int setup(void **state)
{
	if (!mkdtemp(folder))
		return -1;
	snprintf(keys, sizeof(keys), "%s/keys", folder);
	return 0;
}

static int teardown(void **state)
{
	unlink(keys);
	return rmdir(folder);
}

/* Its own trust, and a rig that asks it. */
struct world {
	struct rig rig;
	struct trust *trust;
	struct rig_agent agents[AGENTS];
};

static void open_world(struct world *w, const struct trust_opts *o)
{
	struct rig_opts ro = {.interval_s = L,
			      .spread_ms = 8000,
			      .grace_ms = 1000,
			      .start_us = T0 * US,
			      .threads = THREADS,
			      .partitions = 4,
			      .bus_bytes = 64 << 20};
	char why[256], ip[32], host[32];

	assert_int_equal(trust_new(&w->trust, 1024, THREADS + 1, L), 0);
	assert_int_equal(trust_load(w->trust, o, why, sizeof(why)), 0);
	ro.worker.trust = w->trust;
	rig_open(&w->rig, &ro);
	for (unsigned i = 0; i < AGENTS; i++) {
		snprintf(ip, sizeof(ip), i % 2 ? "10.1.0.%u" : "2001:db8::%u", i + 1);
		snprintf(host, sizeof(host), "host%u", i);
		rig_agent_open(&w->agents[i], &w->rig, ip, strdup(host), 100 + i);
	}
}

static void close_world(struct world *w)
{
	for (unsigned i = 0; i < AGENTS; i++) {
		free((char *)w->agents[i].head.host.p);
		rig_agent_close(&w->agents[i]);
	}
	rig_close(&w->rig);
	trust_free(w->trust);
}

/* A signed datagram of agent i; its bytes. */
static size_t letter(struct world *w, unsigned i, uint32_t interval, unsigned rows, int key, uint8_t p[WIRE_SIZE_MAX])
{
	struct rig_agent *a = &w->agents[i];
	struct wire_opts o = {.size = 1400, .auth = key >= 0};
	struct flow_names names = {.service = STR("web")};
	size_t n;

	a->head.interval = interval;
	wire_build_open(a->build, WIRE_FLOWS, &a->head, &o);
	for (unsigned r = 0; r < rows; r++) {
		struct wire_flow f = {.local = a->sender.agent,
				      .remote = a->sender.agent,
				      .port = (uint16_t)(80 + r),
				      .protocol = 6,
				      .view = FLOW_VIEW_CLIENT,
				      .names = &names};
		struct flow_stats s = {.rows = 1, .tx_bytes = 1000 * i + r};

		assert_true(wire_flows_add(a->build, &f, &s) >= 0);
	}
	n = rig_agent_finish(a, w->rig.now_us, p);
	if (key >= 0) {
		struct wire_auth auth = trust_agent((unsigned)key, &a->sender.agent);

		wire_auth_sign(&auth, p, n);
	}
	return n;
}

/* Around a good datagram: forged, without a signature, changed, cut; and after it the same again, from elsewhere. Returns how
 * many must be refused. */
static unsigned noise(struct world *w, unsigned i, const uint8_t *good, size_t n, bool after, uint32_t dice)
{
	struct account_peer stranger = {.port = 666};
	static uint8_t p[WIRE_SIZE_MAX];
	struct rig_agent spare = w->agents[i]; /* its numbers do not go on */
	struct wire_auth wrong = trust_agent(9, &spare.sender.agent);
	unsigned sent = 0;
	size_t m;

	stranger.ip = ip_from_v4((const uint8_t[]){203, 0, 113, 9});
	memcpy(p, good, n);
	if (after) {
		for (unsigned t = 0; t < THREADS; t++, sent++)
			rig_datagram(&w->rig, t, &stranger, p, n);
		return sent;
	}
	wire_auth_sign(&wrong, p, n);
	rig_datagram(&w->rig, dice % THREADS, &stranger, p, n);
	sent++;
	for (unsigned k = 0; k < 5; k++, sent++) {
		dice = dice * 1664525 + 1013904223;
		memcpy(p, good, n);
		p[(dice >> 8) % n] ^= (uint8_t)(1 << (dice >> 4) % 8);
		rig_datagram(&w->rig, dice % THREADS, &stranger, p, n);
	}
	rig_datagram(&w->rig, dice % THREADS, &stranger, good, n - 1 - dice % (n - 1));
	sent++;
	/* far ahead in numbers and of another interval: it would move window, clock and losses */
	w->agents[i].sender.sequence += 5000;
	m = letter(w, i, T0 + 86400, 3, -1, p);
	w->agents[i].sender = spare.sender;
	rig_datagram(&w->rig, dice % THREADS, &stranger, p, m);
	return sent + 1;
}

static uint64_t rejected(const struct counters_rx *c)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < COLLECTOR_REJECTS; i++)
		n += c->rejected[i];
	return n;
}

static void same_messages(const struct rig *a, const struct rig *b)
{
	assert_int_equal(a->n_messages, b->n_messages);
	for (size_t i = 0; i < a->n_messages; i++) {
		struct flow_msg x, y;

		assert_int_equal(a->messages[i].topic, b->messages[i].topic);
		assert_int_equal(a->messages[i].partition, b->messages[i].partition);
		if (a->messages[i].topic == BUS_LEDGER) { /* says what was refused */
			rig_decode(a, i, &x);
			rig_decode(b, i, &y);
			assert_int_equal(x.ledger.rows_in, y.ledger.rows_in);
			assert_int_equal(x.ledger.rows_out, y.ledger.rows_out);
			continue;
		}
		assert_int_equal(a->messages[i].n, b->messages[i].n);
		assert_memory_equal(a->messages[i].bytes, b->messages[i].bytes, a->messages[i].n);
	}
}

static void test_changes_nothing(void **state)
{
	struct trust_opts o = {.mode = "require", .fleet_key = keys};
	static struct world quiet, loud;
	struct world *both[] = {&quiet, &loud};
	struct counters_rx a, b;
	uint32_t dice = 7;
	unsigned sent = 0;

	trust_keys(keys, 0, -1);
	open_world(&quiet, &o);
	open_world(&loud, &o);
	for (uint32_t t = T0; t < T0 + 6 * L; t += L) {
		for (unsigned k = 0; k < 3 * AGENTS; k++) {
			static uint8_t p[WIRE_SIZE_MAX];

			dice = dice * 1664525 + 1013904223;
			for (unsigned w = 0; w < 2; w++) {
				struct world *at = both[w];
				unsigned i = k % AGENTS;
				size_t n;

				rig_until(&at->rig, (t + L) * US + k * 300000ll);
				n = letter(at, i, t, 1 + dice % 5, 0, p);
				if (w)
					sent += noise(at, i, p, n, false, dice);
				rig_datagram(&at->rig, dice % THREADS, &at->agents[i].peer, p, n);
				if (w)
					sent += noise(at, i, p, n, true, dice);
			}
		}
	}
	for (unsigned w = 0; w < 2; w++) {
		rig_until(&both[w]->rig, (T0 + 8 * L) * US);
		rig_stop(&both[w]->rig, US);
	}
	a = rig_counters(&quiet.rig);
	b = rig_counters(&loud.rig);
	assert_int_equal(rejected(&a), 0);
	assert_true(rejected(&b) == sent && sent > 6 * 3 * AGENTS * 10);
	assert_int_equal(b.rejected[COLLECTOR_REJECT_REPLAYED], 6 * 3 * AGENTS * THREADS);
	assert_true(b.rejected[COLLECTOR_REJECT_SIGNATURE] && b.rejected[COLLECTOR_REJECT_UNSIGNED]);
	assert_int_equal(a.signed_datagrams, 6 * 3 * AGENTS);
	assert_int_equal(b.signed_datagrams, a.signed_datagrams);
	assert_int_equal(a.rows, b.rows);
	assert_int_equal(b.duplicates + b.old_datagrams + b.clock_moved, 0);
	same_messages(&quiet.rig, &loud.rig);
	assert_int_equal(quiet.rig.n_acks, loud.rig.n_acks);
	for (size_t i = 0; i < quiet.rig.n_acks; i++) {
		assert_memory_equal(&quiet.rig.acks[i].to, &loud.rig.acks[i].to, sizeof(struct account_peer));
		assert_int_equal(quiet.rig.acks[i].ack.datagrams, loud.rig.acks[i].ack.datagrams);
		assert_int_equal(quiet.rig.acks[i].ack.rows, loud.rig.acks[i].ack.rows);
	}
	close_world(&quiet);
	close_world(&loud);
}

/* A datagram is good once, whichever thread gets it, in whatever order. */
static void test_any_thread(void **state)
{
	struct trust_opts o = {.mode = "require", .fleet_key = keys};
	static struct world w;
	static uint8_t p[600][WIRE_SIZE_MAX];
	static size_t n[600];
	struct counters_rx c;

	trust_keys(keys, 0, -1);
	open_world(&w, &o);
	rig_until(&w.rig, (T0 + L) * US + 1);
	for (unsigned i = 0; i < 600; i++)
		n[i] = letter(&w, 1, T0, 1, 0, p[i]);
	for (unsigned round = 0; round < 3; round++)
		for (unsigned i = 0; i < 600; i++) {
			unsigned j = i / 200 * 200 + i * 7 % 200; /* each once */

			rig_datagram(&w.rig, (i + round) % THREADS, &w.agents[1].peer, p[j], n[j]);
		}
	c = rig_counters(&w.rig);
	assert_int_equal(c.signed_datagrams, 600);
	assert_int_equal(c.rejected[COLLECTOR_REJECT_REPLAYED], 1200);
	assert_int_equal(c.rows, 600);
	close_world(&w);
}

/* Puts two samples before the others of an IPv4 agent's datagram: counters of somebody else, and one whose record is missing. */
static size_t before_ours(uint8_t p[WIRE_SIZE_MAX], size_t n, const struct wire_auth *key)
{
	enum { SAMPLES_AT = 24, HEADER = 28 };
	const uint32_t words[] = {2, 20, 1, 0, 1, 1, 0, /* and */ 1, 32, 1, 0, 1, 0, 0, 0, 0, 1};
	uint8_t *at = p + HEADER;

	assert_true(n + sizeof(words) <= WIRE_SIZE_MAX && p[7] == 1);
	memmove(at + sizeof(words), at, n - HEADER);
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		at = put_u32(at, words[i]);
	put_u32(p + SAMPLES_AT, cursor_load32(p + SAMPLES_AT) + 2);
	n += sizeof(words);
	wire_auth_sign(key, p, n);
	return n;
}

/* What is refused, or was seen before, has one reason: what stands before its first record of ours is not looked at. */
static void test_one_reason(void **state)
{
	static const struct {
		const char *mode;
		uint32_t interval;
		uint64_t refused;
		unsigned reason; /* COLLECTOR_REJECTS: a duplicate */
		unsigned read;
	} cases[] = {
		{"require", T0, 3, COLLECTOR_REJECT_REPLAYED, 1},
		{"require", T0 + 86400, 4, COLLECTOR_REJECT_STALE, 0},
		{"off", T0, 3, COLLECTOR_REJECTS, 1},
	};
	static struct world w;
	static uint8_t p[WIRE_SIZE_MAX];

	trust_keys(keys, 0, -1);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct trust_opts o = {.mode = cases[i].mode, .fleet_key = keys};
		struct counters_rx c;
		struct wire_auth key;
		size_t n;

		open_world(&w, &o);
		key = trust_agent(0, &w.agents[1].sender.agent);
		rig_until(&w.rig, (T0 + L) * US + 1);
		n = before_ours(p, letter(&w, 1, cases[i].interval, 2, 0, p), &key);
		for (unsigned k = 0; k < 4; k++)
			rig_datagram(&w.rig, 0, &w.agents[1].peer, p, n);
		c = rig_counters(&w.rig);
		assert_int_equal(c.rows, 2 * cases[i].read);
		assert_int_equal(c.foreign, cases[i].read);
		assert_int_equal(c.rejected[WIRE_COUNT], cases[i].read);
		if (cases[i].reason == COLLECTOR_REJECTS)
			assert_int_equal(c.duplicates, cases[i].refused);
		else
			assert_int_equal(c.rejected[cases[i].reason], cases[i].refused);
		close_world(&w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_changes_nothing), cmocka_unit_test(test_any_thread),
					   cmocka_unit_test(test_one_reason)};

	return cmocka_run_group_tests(tests, setup, teardown);
}
