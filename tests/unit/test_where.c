/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each place between an agent and a collector's messages where a datagram or a row can go, provoked in a real collector: does the
 * chain name the hop, the reason, how many, and the command that shows more?
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/table.h"
#include "server/advice.h"
#include "tests/unit/collector_rig.h"
#include "tests/unit/trust_files.h"
#include "wire/health.h"

#define US 1000000ll
#define T0 1700000000u
#define L 10u
#define THREADS 2
#define ROWS 3 /* in a datagram */

static char folder[] = "/tmp/skyfall-where-XXXXXX", keys[64];

static int setup(void **state)
{
	if (!mkdtemp(folder))
		return -1;
	snprintf(keys, sizeof(keys), "%s/keys", folder);
	trust_keys(keys, 0, -1);
	return 0;
}

static int teardown(void **state)
{
	unlink(keys);
	return rmdir(folder);
}

struct way {
	struct rig rig;
	struct rig_agent agent;
	struct trust *trust;
	struct flow_ledger line; /* of the agent */
	struct health_report chain[HEALTH_HOPS];
	unsigned sent;
};

static void way_open(struct way *w, const struct trust_opts *trust, const struct fold_opts *fold)
{
	struct rig_opts o = {.interval_s = L,
			     .spread_ms = 8000,
			     .grace_ms = 1000,
			     .start_us = T0 * US,
			     .threads = THREADS,
			     .partitions = 2,
			     .bus_bytes = 16 << 20};
	char why[256] = "";

	memset(w, 0, sizeof(*w));
	if (trust) {
		assert_int_equal(trust_new(&w->trust, 64, THREADS + 1, L), 0);
		if (trust_load(w->trust, trust, why, sizeof(why)) < 0)
			fail_msg("%s", why);
		o.worker.trust = w->trust;
	}
	if (fold)
		o.worker.fold = *fold;
	rig_open(&w->rig, &o);
	rig_agent_open(&w->agent, &w->rig, "10.1.0.1", "host", 5);
	w->line = (struct flow_ledger){
		.interval = T0, .interval_s = L, .role = STR("agent"), .instance = STR("host"), .boot = 5};
	rig_until(&w->rig, (T0 + L) * US + 100000);
}

static void way_close(struct way *w)
{
	rig_agent_close(&w->agent);
	rig_close(&w->rig);
	trust_free(w->trust);
}

/* The datagram in w->agent.build, signed by fleet key `key` (< 0: by none), to the thread whose turn it is, or nowhere. */
static void way_finish(struct way *w, int key, bool arrives)
{
	uint8_t p[WIRE_SIZE_MAX];
	size_t n = rig_agent_finish(&w->agent, w->rig.now_us, p);

	if (key >= 0) {
		struct wire_auth auth = trust_agent((unsigned)key, &w->agent.sender.agent);

		wire_auth_sign(&auth, p, n);
	}
	if (arrives)
		rig_datagram(&w->rig, w->sent % THREADS, &w->agent.peer, p, n);
	w->sent++;
}

/* One datagram of ROWS rows, none like another. */
static void way_send(struct way *w, int key, bool arrives)
{
	const struct wire_opts o = {.size = 1400, .auth = key >= 0};
	const struct flow_names names = {.service = STR("web")};
	const struct flow_stats stats = {.rows = 1};

	w->agent.head.interval = T0;
	wire_build_open(w->agent.build, WIRE_FLOWS, &w->agent.head, &o);
	for (unsigned i = 0; i < ROWS; i++) {
		struct wire_flow f = {.local = w->agent.sender.agent,
				      .remote = w->agent.sender.agent,
				      .port = (uint16_t)(1 + w->sent * ROWS + i),
				      .protocol = 6,
				      .names = &names};

		assert_int_equal(wire_flows_add(w->agent.build, &f, &stats), 1);
	}
	way_finish(w, key, arrives);
	w->line.rows_in += ROWS;
	w->line.rows_out += ROWS;
}

/* The agent tells what it sent. */
static void way_tell(struct way *w, int key)
{
	const struct wire_opts o = {.size = 1400, .auth = key >= 0};

	wire_build_open(w->agent.build, WIRE_HEALTH, &w->agent.head, &o);
	assert_int_equal(wire_health_add(w->agent.build, &w->line), 1);
	way_finish(w, key, true);
}

/* The collector stops; the chain of all ledger lines, of several of one interval the last. */
static void way_judge(struct way *w)
{
	enum { LINES = 64 };
	size_t at[LINES], n = 0, i, k;
	struct flow_msg *m = malloc(sizeof(*m)), *other = malloc(sizeof(*m));
	struct health *h;

	rig_stop(&w->rig, US);
	for (i = 0; i < w->rig.n_messages; i++) {
		rig_decode(&w->rig, i, m);
		if (m->type != FLOW_MSG_LEDGER)
			continue;
		for (k = 0; k < n; k++) {
			rig_decode(&w->rig, at[k], other);
			if (other->ledger.interval == m->ledger.interval && str_eq(other->ledger.role, m->ledger.role))
				break;
		}
		n += k == n;
		assert_true(n <= LINES);
		at[k] = i;
	}
	assert_int_equal(health_new(&h), 0);
	for (k = 0; k < n; k++) {
		rig_decode(&w->rig, at[k], m);
		assert_int_equal(health_line(h, &m->ledger, false), 0);
	}
	health_chain(h, w->chain);
	health_free(h);
	free(m);
	free(other);
}

static uint64_t clue(const struct way *w, const char *name)
{
	const struct health_report *r = &w->chain[HEALTH_NETWORK];

	for (unsigned i = 0; i < r->n_clues; i++)
		if (!strcmp(r->clues[i].name, name))
			return r->clues[i].n;
	return 0;
}

static uint64_t lost(const struct health_report *r, const char *name)
{
	for (unsigned i = 0; i < r->n_lost; i++)
		if (!strcmp(r->lost[i].name, name))
			return r->lost[i].n;
	return 0;
}

/* The largest clue but the sum is `name`, with a sentence and a command in which `word` is. */
static void leads(const struct way *w, const char *name, const char *word)
{
	const struct health_report *r = &w->chain[HEALTH_NETWORK];
	const char *next;
	unsigned i = 0;

	while (i < r->n_clues && !strcmp(r->clues[i].name, "lost_network_datagrams"))
		i++;
	assert_true(i < r->n_clues);
	assert_string_equal(r->clues[i].name, name);
	assert_true(strlen(advice_clue(name, &next)) > 20);
	if (!strstr(next, word))
		fail_msg("'%s' does not name %s", next, word);
}

/* Agent's hop and network: how many rows are lost there, all of them explained. */
static void rows_lost(const struct way *w, uint64_t agent, uint64_t network)
{
	assert_true(w->chain[HEALTH_AGENT].adds_up && w->chain[HEALTH_NETWORK].adds_up);
	assert_int_equal(w->chain[HEALTH_AGENT].lost_total, agent);
	assert_int_equal(w->chain[HEALTH_NETWORK].lost_total, network);
}

static void nothing_is_lost(void **state)
{
	static struct way w;

	way_open(&w, NULL, NULL);
	for (unsigned i = 0; i < 10; i++)
		way_send(&w, -1, true);
	way_tell(&w, -1);
	way_judge(&w);
	rows_lost(&w, 0, 0);
	assert_int_equal(w.chain[HEALTH_NETWORK].in, 10 * ROWS);
	assert_int_equal(w.chain[HEALTH_NETWORK].n_clues, 0);
	way_close(&w);
}

static void on_the_way(void **state)
{
	static struct way w;

	way_open(&w, NULL, NULL);
	for (unsigned i = 0; i < 10; i++)
		way_send(&w, -1, i != 3 && i != 4 && i != 9);
	way_tell(&w, -1);
	way_judge(&w);
	rows_lost(&w, 0, 3 * ROWS);
	assert_int_equal(lost(&w.chain[HEALTH_NETWORK], "lost_network_rows"), 3 * ROWS);
	assert_int_equal(clue(&w, "lost_network_datagrams"), 3);
	assert_int_equal(clue(&w, "on_the_way"), 3);
	leads(&w, "on_the_way", "nft list ruleset");
	way_close(&w);
}

/* The socket says how many it had no room for; what is missing besides was lost before it. */
static void at_the_socket(void **state)
{
	static struct way w;

	way_open(&w, NULL, NULL);
	for (unsigned i = 0; i < 10; i++)
		way_send(&w, -1, i < 3 || i > 8);
	counters_add(&w.rig.workers[1]->counters.kernel_drops, 4); /* as collector/receivers.c does */
	way_tell(&w, -1);
	way_judge(&w);
	rows_lost(&w, 0, 6 * ROWS);
	assert_int_equal(clue(&w, "kernel_drops"), 4);
	assert_int_equal(clue(&w, "on_the_way"), 2);
	leads(&w, "kernel_drops", "--rcvbuf");
	way_close(&w);
}

static void in_a_full_table(void **state)
{
	static const struct fold_opts rows = {
		.max_rows = 5, .max_names = 10, .max_strings = 20, .string_bytes = 100, .max_roleless = 5};
	static const struct fold_opts names = {
		.max_rows = 50, .max_names = 1, .max_strings = 1, .string_bytes = 1, .max_roleless = 5};
	static struct way w;
	const struct {
		const struct fold_opts *fold;
		const char *reason;
		uint64_t n;
	} cases[] = {{&rows, "table_full", 5 * ROWS}, {&names, "names_full", 8 * ROWS}};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct health_report *r = &w.chain[HEALTH_COLLECTOR];

		way_open(&w, NULL, cases[i].fold);
		for (unsigned k = 0; k < 8; k++)
			way_send(&w, -1, true);
		way_tell(&w, -1);
		way_judge(&w);
		rows_lost(&w, 0, 0);
		assert_true(r->adds_up);
		assert_int_equal(r->in, 8 * ROWS);
		assert_true(r->lost_total > 0 && r->out + r->lost_total == r->in);
		assert_int_equal(lost(r, cases[i].reason), r->lost_total);
		assert_true(*advice_loss(cases[i].reason));
		assert_non_null(strstr(advice_loss_next(HEALTH_COLLECTOR, cases[i].reason), "--rows"));
		way_close(&w);
	}
}

/* The agent says it itself; its datagrams' numbers have no gap. */
static void at_the_agents_socket(void **state)
{
	static struct way w;

	way_open(&w, NULL, NULL);
	for (unsigned i = 0; i < 6; i++)
		way_send(&w, -1, true);
	w.line.rows_in += 2 * ROWS;
	w.line.lost[w.line.n_lost++] = (struct flow_count){STR("send_error"), 2 * ROWS};
	way_tell(&w, -1);
	way_judge(&w);
	rows_lost(&w, 2 * ROWS, 0);
	assert_int_equal(lost(&w.chain[HEALTH_AGENT], "send_error"), 2 * ROWS);
	assert_non_null(strstr(advice_loss_next(HEALTH_AGENT, "send_error"), "skyfall hosts"));
	assert_int_equal(w.chain[HEALTH_NETWORK].n_clues, 0);
	way_close(&w);
}

/* An agent that is refused altogether: the books do not know it, the clue does. */
static void refused(const struct trust_opts *o, int key, const char *name, const char *word)
{
	static struct way w;

	way_open(&w, o, NULL);
	for (unsigned i = 0; i < 5; i++)
		way_send(&w, key, true);
	way_tell(&w, key);
	way_judge(&w);
	rows_lost(&w, 0, 0);
	assert_int_equal(w.chain[HEALTH_NETWORK].in, 0);
	assert_int_equal(w.chain[HEALTH_NETWORK].refused, 6);
	assert_int_equal(clue(&w, name), 6);
	leads(&w, name, word);
	way_close(&w);
}

static void by_trust(void **state)
{
	const char *elsewhere = "192.0.2.0/24";
	struct trust_opts allow = {0}, require = {.mode = "require", .fleet_key = keys};

	allow.allow.v[allow.allow.n++] = elsewhere;
	refused(&allow, -1, "rejected_agent", "--allow");
	refused(&require, 7, "rejected_signature", "skyfall key");
	refused(&require, -1, "rejected_unsigned", "--key-file");
}

/* More than an agent may send, in the midst of what it may: the gaps are explained, and none is called the way's. */
static void by_rate(void **state)
{
	struct trust_opts o = {.rate = 1};
	static struct way w;

	way_open(&w, &o, NULL);
	for (unsigned i = 0; i < 30; i++)
		way_send(&w, -1, true);
	rig_until(&w.rig, (T0 + L) * US + 2100000); /* two more may come */
	way_send(&w, -1, true);
	way_tell(&w, -1);
	way_judge(&w);
	assert_true(clue(&w, "rejected_rate") >= 15);
	rows_lost(&w, 0, clue(&w, "rejected_rate") * ROWS);
	assert_int_equal(clue(&w, "lost_network_datagrams"), clue(&w, "rejected_rate"));
	assert_int_equal(clue(&w, "on_the_way"), 0);
	leads(&w, "rejected_rate", "--agent-rate");
	way_close(&w);
}

/* A copy is refused and nothing is missing; what the way took besides stays the way's. */
static void replayed_beside_a_loss(void **state)
{
	struct trust_opts o = {.mode = "require", .fleet_key = keys};
	static struct way w;
	uint8_t p[WIRE_SIZE_MAX];
	struct wire_auth auth;
	size_t n;

	way_open(&w, &o, NULL);
	auth = trust_agent(0, &w.agent.sender.agent);
	for (unsigned i = 0; i < 10; i++)
		way_send(&w, 0, i != 5 && i != 6);
	{
		const struct wire_opts wo = {.size = 1400, .auth = true};

		wire_build_open(w.agent.build, WIRE_HEALTH, &w.agent.head, &wo);
		assert_int_equal(wire_health_add(w.agent.build, &w.line), 1);
		n = rig_agent_finish(&w.agent, w.rig.now_us, p);
		wire_auth_sign(&auth, p, n);
		for (unsigned copy = 0; copy < 4; copy++)
			rig_datagram(&w.rig, copy % THREADS, &w.agent.peer, p, n);
	}
	way_judge(&w);
	rows_lost(&w, 0, 2 * ROWS);
	assert_int_equal(clue(&w, "rejected_replayed"), 3);
	assert_int_equal(w.chain[HEALTH_NETWORK].refused, 0);
	assert_int_equal(clue(&w, "on_the_way"), 2);
	way_close(&w);
}

/* Another interval length, another net: read, and said how many rows. Its numbers are noted, so it explains no gap. */
static void of_another_fleet(void **state)
{
	static struct way w;

	way_open(&w, NULL, NULL);
	w.agent.head.interval_s = 5;
	for (unsigned i = 0; i < 6; i++)
		way_send(&w, -1, i != 2 && i != 3);
	w.agent.head.interval_s = L;
	way_tell(&w, -1);
	way_judge(&w);
	rows_lost(&w, 0, 6 * ROWS);
	assert_int_equal(lost(&w.chain[HEALTH_NETWORK], "refused_rows"), 4 * ROWS);
	assert_int_equal(clue(&w, "rejected_interval_length"), 4);
	assert_int_equal(clue(&w, "on_the_way"), 2);
	leads(&w, "rejected_interval_length", "--interval");
	way_close(&w);
}

/* Every reason a collector can refuse for has a sentence; ours have one of their own. */
static void every_reason_is_explained(void **state)
{
	const char *next, *general = advice_clue("rejected_of_a_newer_role", &next);

	for (unsigned i = WIRE_END + 1; i < COLLECTOR_REJECTS; i++) {
		char name[64];

		snprintf(name, sizeof(name), "rejected_%s", counters_reject_name(i));
		if (i >= WIRE_ERRORS)
			assert_string_not_equal(advice_clue(name, &next), general);
		else
			assert_string_equal(advice_clue(name, &next), general);
		assert_true(strlen(next) > 5);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_lost),
		cmocka_unit_test(on_the_way),
		cmocka_unit_test(at_the_socket),
		cmocka_unit_test(in_a_full_table),
		cmocka_unit_test(at_the_agents_socket),
		cmocka_unit_test(by_trust),
		cmocka_unit_test(by_rate),
		cmocka_unit_test(replayed_beside_a_loss),
		cmocka_unit_test(of_another_fleet),
		cmocka_unit_test(every_reason_is_explained),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
