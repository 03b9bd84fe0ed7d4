/* SPDX-License-Identifier: Apache-2.0 */
/* The sender against collectors that this test plays: real sockets on loopback, a spread of 50 ms. */
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/health.h"
#include "agent/outbox.h"
#include "agent/send.h"
#include "base/clock.h"
#include "base/log.h"
#include "wire/auth.h"
#include "wire/health.h"

#define DEADLINE_US 10000000ll
#define BOOT 4711

/* What a collector got. */
struct got {
	unsigned datagrams, health;
	uint64_t rows;
	uint32_t sub_agent, sequence, pool, drops;
	bool gap;                     /* sequence or pool did not go on from the former one */
	struct flow_ledger lines[64]; /* of the last health record; names point nowhere */
	uint64_t counted[64];         /* their lines_too_big */
	uint64_t unsent[64];          /* their send_errors, datagrams */
	uint64_t unsent_rows[64];     /* their send_error */
	uint64_t acks_refused;
	unsigned n_lines;
	uint64_t send_errors;
};

static int collector[2] = {-1, -1};
static char texts[2][32];
static struct conf conf;
static struct batch_head head;
static struct loop *loop;
static struct outbox *outbox;
static const struct wire_auth *signs;   /* each datagram is signed by it; NULL: none is looked at */
static const struct wire_auth *answers; /* acks are signed by it; NULL: they are not */
static bool again;                      /* each ack comes twice */

static int listen_on(uint16_t port, uint16_t *ret_port)
{
	struct sockaddr_in a = {
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0), want = 4 << 20;
	socklen_t len = sizeof(a);

	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &want, sizeof(want));
	assert_int_equal(bind(fd, (struct sockaddr *)&a, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	*ret_port = ntohs(a.sin_port);
	return fd;
}

static void start(unsigned n_collectors)
{
	char why[256];
	unsigned i;

	log_set(LOG_ERROR, "test");
	conf = conf_defaults;
	conf.interval_s = 1;
	conf.spread_ms = 50;
	conf.n_collectors = n_collectors;
	for (i = 0; i < n_collectors; i++) {
		collector[i] = listen_on(0, &conf.collector[i].port);
		assert_int_equal(ip_parse("127.0.0.1", &conf.collector[i].ip), 0);
		snprintf(texts[i], sizeof(texts[i]), "127.0.0.1:%u", conf.collector[i].port);
		conf.collector[i].text = texts[i];
	}
	head = (struct batch_head){.wire = {.interval_s = 1, .spread_ms = 50, .boot = BOOT, .host = STR("h")},
				   .opts = {.size = 1400}};
	assert_int_equal(ip_parse("192.0.2.1", &head.agent), 0);
	assert_int_equal(loop_new(&loop), 0);
	assert_int_equal(outbox_new(&outbox, &conf, &head, loop, why, sizeof(why)), 0);
}

static void stop(void)
{
	int i;

	outbox_free(outbox);
	loop_free(loop);
	for (i = 0; i < 2; i++) {
		if (collector[i] >= 0)
			close(collector[i]);
		collector[i] = -1;
	}
}

/* A batch of `n` datagrams with two rows each. */
static void push(uint32_t interval, unsigned n)
{
	static struct wire_build build;
	struct flow_names names = {.service = STR("s")};
	struct batch *b = batch_new();
	unsigned i, j;

	b->line.interval = interval;
	b->line.interval_s = 1;
	b->line.rows_in = b->line.rows_out = 2 * n;
	for (i = 0; i < n; i++) {
		struct wire_sender s = {.agent = head.agent};
		uint8_t p[1400];

		head.wire.interval = interval;
		wire_build_open(&build, WIRE_FLOWS, &head.wire, &head.opts);
		for (j = 0; j < 2; j++) {
			struct wire_flow f = {.local = head.agent,
					      .remote = head.agent,
					      .port = (uint16_t)j,
					      .protocol = 6,
					      .names = &names};
			struct flow_stats stats = {.rows = 1, .tx_bytes = i};

			assert_int_equal(wire_flows_add(&build, &f, &stats), 1);
		}
		b->v = reallocarray(b->v, b->n + 1, sizeof(*b->v));
		b->cap = b->n + 1;
		b->v[b->n] = (struct batch_item){(uint32_t)b->bytes.n,
						 (uint32_t)wire_build_close(&build, &s, 0, 0, p, sizeof(p)), 2};
		buf_put(&b->bytes, p, b->v[b->n].len);
		b->n++;
	}
	outbox_push(outbox, b);
}

static void read_lines(struct got *g, const struct wire_record *r)
{
	static struct wire_health h;

	g->health++;
	g->n_lines = 0;
	assert_int_equal(wire_health_open(&h, r), WIRE_OK);
	while (g->n_lines < 64 && wire_health_next(&h, &g->lines[g->n_lines]) == WIRE_OK) {
		const struct flow_ledger *l = &g->lines[g->n_lines];

		g->unsent[g->n_lines] = flow_count_get(l->info, l->n_info, "send_errors");
		g->unsent_rows[g->n_lines] = flow_count_get(l->lost, l->n_lost, "send_error");
		g->send_errors += g->unsent_rows[g->n_lines];
		g->counted[g->n_lines++] = flow_count_get(l->info, l->n_info, "lines_too_big");
		if (g->n_lines == 1) /* of the newest line */
			g->acks_refused = flow_count_get(l->info, l->n_info, "acks_refused");
	}
}

/* Takes what lies in a collector's queue; ack: answers health records, with these flags. */
static void take(int fd, struct got *g, bool ack, uint32_t flags)
{
	struct sockaddr_storage from;
	socklen_t len = sizeof(from);
	uint8_t p[2000], answer[WIRE_ACK_SIGNED];
	size_t size = answers ? WIRE_ACK_SIGNED : WIRE_ACK_SIZE;
	ssize_t n;

	while ((n = recvfrom(fd, p, sizeof(p), 0, (struct sockaddr *)&from, &len)) > 0) {
		struct wire_datagram d;
		struct wire_record r;

		assert_int_equal(wire_open(&d, p, (size_t)n, 0), WIRE_OK);
		assert_int_equal(wire_next(&d, &r), WIRE_OK);
		assert_int_equal(wire_auth_has(p, (size_t)n, WIRE_ENTERPRISE), signs != NULL);
		assert_true(!signs || wire_auth_check(signs, p, (size_t)n));
		g->gap |= d.sub_agent == g->sub_agent && g->datagrams && d.sequence != g->sequence + 1;
		if (d.sub_agent != g->sub_agent)
			g->gap |= d.sequence != 1;
		g->datagrams++;
		g->sub_agent = d.sub_agent;
		g->sequence = d.sequence;
		g->pool = r.in->pool;
		g->drops = r.in->drops;
		if (r.format == WIRE_FLOWS)
			g->rows += 2;
		if (r.format != WIRE_HEALTH)
			continue;
		read_lines(g, &r);
		if (ack) {
			struct wire_ack a = {.boot = BOOT,
					     .sub_agent = d.sub_agent,
					     .interval = g->lines[0].interval,
					     .interval_s = 1,
					     .datagrams = g->datagrams,
					     .rows = g->rows,
					     .flags = flags};

			wire_ack_put(&a, answer);
			if (answers)
				wire_auth_ack(answers, answer);
			for (int i = 0; i <= again; i++)
				assert_int_equal(sendto(fd, answer, size, 0, (struct sockaddr *)&from, len), size);
		}
	}
}

static void end_loop(void *arg)
{
	loop_stop(arg);
}

/* Runs the loop in small steps until `fd` got `health` more records. */
static void run_until(int fd, struct got *g, unsigned health, bool ack, uint32_t flags)
{
	int64_t deadline = clock_mono_us() + DEADLINE_US;
	unsigned want = g->health + health;

	while (g->health < want) {
		assert_true(clock_mono_us() < deadline);
		assert_int_equal(loop_at(loop, clock_wall_us() + 2000, end_loop, loop), 0);
		assert_int_equal(loop_run(loop), 0);
		take(fd, g, ack, flags);
	}
	/* let the answer come in */
	assert_int_equal(loop_at(loop, clock_wall_us() + 2000, end_loop, loop), 0);
	assert_int_equal(loop_run(loop), 0);
}

static uint32_t now_interval(void)
{
	return (uint32_t)(clock_wall_us() / 1000000) - 1;
}

static void test_all_arrive_in_order(void **state)
{
	struct got g = {0};

	start(1);
	push(now_interval(), 300);
	run_until(collector[0], &g, 1, true, 0);
	assert_int_equal(g.datagrams, 301);
	assert_int_equal(g.rows, 600);
	assert_int_equal(g.pool, 600);
	assert_int_equal(g.drops, 0);
	assert_false(g.gap);
	assert_int_equal(g.n_lines, 1);
	assert_int_equal(g.lines[0].rows_out, 600);
	stop();
}

static void test_spread_is_not_a_burst(void **state)
{
	struct got g = {0}, early = {0};
	int64_t began;

	start(1);
	conf.spread_ms = 2000; /* a batch that is late gets a quarter of it at least */
	began = clock_wall_us();
	push(now_interval(), 40);
	while (clock_wall_us() - began < 100000) {
		assert_int_equal(loop_at(loop, clock_wall_us() + 2000, end_loop, loop), 0);
		assert_int_equal(loop_run(loop), 0);
	}
	take(collector[0], &early, false, 0);
	assert_in_range(early.datagrams, 1, 39);
	g = early;
	run_until(collector[0], &g, 1, false, 0);
	assert_int_equal(g.datagrams, 41);
	assert_false(g.gap);
	stop();
}

static void test_lines_are_repeated_until_acknowledged(void **state)
{
	uint32_t t = now_interval() - 10;
	struct got g = {0};

	start(1);
	push(t, 1);
	run_until(collector[0], &g, 1, false, 0);
	push(t + 1, 1);
	run_until(collector[0], &g, 1, false, 0);
	assert_int_equal(g.n_lines, 2); /* the former one was not answered */
	assert_int_equal(g.lines[0].interval, t + 1);
	assert_int_equal(g.lines[1].interval, t);
	g.datagrams = 0;
	push(t + 2, 1);
	run_until(collector[0], &g, 1, true, 0); /* 1 of rows, 1 of health: all of them */
	assert_int_equal(g.n_lines, 3);
	g.datagrams = 5; /* a count that is not what was sent: something was lost */
	push(t + 3, 1);
	run_until(collector[0], &g, 1, true, 0);
	assert_int_equal(g.n_lines, 1);
	push(t + 4, 1);
	run_until(collector[0], &g, 1, true, 0);
	assert_int_equal(g.n_lines, 2);
	stop();
}

static void test_stopping_collector_is_left_at_once(void **state)
{
	struct got g[2] = {{0}, {0}};
	unsigned first;

	start(2);
	push(now_interval() - 5, 1);
	/* who is the favourite is the hash's business */
	for (first = 2; first == 2;) {
		assert_int_equal(loop_at(loop, clock_wall_us() + 2000, end_loop, loop), 0);
		assert_int_equal(loop_run(loop), 0);
		for (unsigned i = 0; i < 2; i++) {
			take(collector[i], &g[i], true, WIRE_ACK_STOPPING);
			if (g[i].health)
				first = i;
		}
	}
	assert_int_equal(loop_at(loop, clock_wall_us() + 2000, end_loop, loop), 0);
	assert_int_equal(loop_run(loop), 0);
	push(now_interval() - 4, 1);
	run_until(collector[!first], &g[!first], 1, true, 0);
	assert_int_equal(g[!first].sub_agent, 8);
	assert_int_equal(g[!first].pool, 2); /* counts began anew */
	assert_false(g[!first].gap);
	assert_int_equal(g[!first].n_lines, 1); /* the former interval was acknowledged, by the one that stopped */
	stop();
}

static void test_refused_goes_to_the_next(void **state)
{
	struct got g[2] = {{0}, {0}};
	unsigned alive = 0;
	uint64_t out;

	start(2);
	/* the favourite is gone */
	for (unsigned i = 0; i < 2; i++) {
		struct send s;
		const char *v[2] = {texts[0], texts[1]};

		send_init(&s, STR("h"), v, 2, false);
		alive = !send_current(&s);
	}
	close(collector[!alive]);
	collector[!alive] = -1;
	push(now_interval() - 5, 10);
	run_until(collector[alive], &g[alive], 1, true, 0);
	out = g[alive].lines[0].rows_out;
	assert_int_equal(out, 20); /* every one was sent to somebody */
	assert_in_range(g[alive].rows, 2,
			18); /* the first ones to nobody: that is the network's loss, and rows_out says how much */
	assert_int_equal(g[alive].send_errors, 0);
	assert_false(g[alive].gap);
	stop();
}

/* What cannot be sent at all, to no collector there is, is a loss of the agent's own: taken off rows_out, told as soon as
 * there is a way again. */
static void test_unsendable_is_counted(void **state)
{
	struct got g = {0};
	struct ip there;
	uint32_t t = now_interval() - 5;
	int i;

	start(1);
	there = conf.collector[0].ip;
	outbox_free(outbox);
	assert_int_equal(ip_parse("255.255.255.255", &conf.collector[0].ip), 0); /* connect() is refused: EACCES */
	assert_int_equal(outbox_new(&outbox, &conf, &head, loop, (char[256]){0}, 256), 0);
	for (i = 0; i < 2; i++) {
		push(t + (uint32_t)i, 10 + (unsigned)i);
		outbox_flush(outbox);
	}
	take(collector[0], &g, false, 0);
	assert_int_equal(g.datagrams, 0);
	conf.collector[0].ip = there;
	conf.collector[0].text = "there"; /* another one than that to which there was no way */
	outbox_reload(outbox, &conf);
	push(t + 2, 3);
	run_until(collector[0], &g, 1, true, 0);
	assert_int_equal(g.rows, 6);
	assert_int_equal(g.n_lines, 3);
	for (i = 0; i < 3; i++) { /* the newest first */
		const struct flow_ledger *l = &g.lines[i];
		unsigned lost = i == 0 ? 0 : 2 * (10 + 2 - (unsigned)i);

		assert_int_equal(l->rows_in, i == 0 ? 6 : lost);
		assert_int_equal(l->rows_out, l->rows_in - lost);
		assert_int_equal(g.unsent_rows[i], lost);
		assert_int_equal(g.unsent[i], i == 0 ? 0 : lost / 2 + 1); /* datagrams, the health record among them */
	}
	assert_int_equal(g.send_errors, 2 * (10 + 11));
	stop();
}

static void test_flush_sends_all_at_once(void **state)
{
	struct got g = {0};

	start(1);
	conf.spread_ms = 900;
	push(now_interval() + 1, 100); /* the open interval */
	push(now_interval() + 2, 50);
	outbox_flush(outbox);
	take(collector[0], &g, false, 0);
	assert_int_equal(g.datagrams, 152);
	assert_int_equal(g.rows, 300);
	assert_int_equal(g.health, 2);
	stop();
}

static void test_odd_answers(void **state)
{
	struct sockaddr_storage from;
	socklen_t len = sizeof(from);
	struct got g = {0};
	uint8_t p[2000];
	unsigned i;

	start(1);
	push(now_interval() - 5, 0);
	run_until(collector[0], &g, 1, false, 0);
	push(now_interval() - 4, 0);
	while (recvfrom(collector[0], p, sizeof(p), 0, (struct sockaddr *)&from, &len) <= 0) {
		assert_int_equal(loop_at(loop, clock_wall_us() + 2000, end_loop, loop), 0);
		assert_int_equal(loop_run(loop), 0);
	}
	for (i = 0; i < 200; i++) { /* noise of all lengths, and an ack of somebody else's boot */
		memset(p, (int)i, sizeof(p));
		(void)sendto(collector[0], p, i, 0, (struct sockaddr *)&from, len);
	}
	wire_ack_put(&(struct wire_ack){.boot = BOOT + 1, .interval = 1, .flags = WIRE_ACK_STOPPING}, p);
	(void)sendto(collector[0], p, WIRE_ACK_SIZE, 0, (struct sockaddr *)&from, len);
	push(now_interval() - 3, 1);
	run_until(collector[0], &g, 1, false, 0);
	assert_int_equal(g.n_lines, 3);
	stop();
}

/* With keys every datagram is signed by the first, and acks count that any of them signed, each once. */
static void test_keys(void **state)
{
	static const struct {
		int key; /* 2: none of ours; -1: not signed */
		bool again, believed;
		unsigned refused; /* as the next line says */
	} cases[] = {{0, false, true, 0}, {-1, false, false, 1}, {2, false, false, 1}, {1, false, true, 0},
		     {0, true, true, 1},  {2, true, false, 2},   {0, false, true, 0}};
	struct wire_auth keys[3];
	uint32_t t = now_interval() - 20;
	unsigned waiting = 0, refused = 0;
	struct got g = {0};
	char why[256];
	size_t i;

	start(1);
	outbox_free(outbox);
	conf.keys.n = 2;
	for (i = 0; i < 3; i++) {
		memset(conf.keys.key[i], (int)i + 1, KEYFILE_BYTES);
		wire_auth_init(&keys[i], conf.keys.key[i]);
	}
	head.opts.auth = true;
	signs = &keys[0];
	assert_int_equal(outbox_new(&outbox, &conf, &head, loop, why, sizeof(why)), 0);
	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		answers = cases[i].key < 0 ? NULL : &keys[cases[i].key];
		again = cases[i].again;
		g.datagrams = 0;
		push(t + (uint32_t)i, 1);
		run_until(collector[0], &g, 1, true, 0);
		assert_int_equal(g.n_lines, waiting + 1); /* lines not acknowledged come again */
		assert_int_equal(g.acks_refused, refused);
		waiting = cases[i].believed ? 0 : waiting + 1;
		refused = cases[i].refused;
	}
	/* other keys while it runs */
	memcpy(conf.keys.key[0], conf.keys.key[2], KEYFILE_BYTES);
	outbox_reload(outbox, &conf);
	signs = answers = &keys[2];
	push(t + (uint32_t)i, 1);
	run_until(collector[0], &g, 1, true, 0);
	assert_int_equal(g.n_lines, 1);
	signs = answers = NULL;
	again = false;
	stop();
}

/* A line that fits no datagram holds up no other; a later one says that it is missing. */
static void test_a_line_too_big_is_counted(void **state)
{
	static char names[FLOW_LOSSES][100];
	char why[256];
	struct got g = {0};
	struct batch *b = batch_new();
	uint64_t counted = 0;
	unsigned i;

	start(1);
	head.opts.size = WIRE_SIZE_MIN;
	outbox_free(outbox);
	assert_int_equal(outbox_new(&outbox, &conf, &head, loop, why, sizeof(why)), 0);
	push(now_interval() - 5, 1);
	run_until(collector[0], &g, 1, false, 0);
	b->line.interval = now_interval() - 4;
	b->line.interval_s = 1;
	for (i = 0; i < FLOW_LOSSES; i++) {
		snprintf(names[i], sizeof(names[i]), "%02u%080u", i, 0);
		health_lost(&b->line, names[i], 1);
	}
	outbox_push(outbox, b);
	run_until(collector[0], &g, 1, false, 0);
	assert_int_equal(g.n_lines, 1); /* the former, which is not acknowledged */
	push(now_interval() - 3, 1);
	run_until(collector[0], &g, 1, false, 0);
	assert_int_equal(g.n_lines, 2);
	for (i = 0; i < g.n_lines; i++)
		counted += g.counted[i];
	assert_int_equal(counted, 1);
	stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_arrive_in_order),
		cmocka_unit_test(test_spread_is_not_a_burst),
		cmocka_unit_test(test_lines_are_repeated_until_acknowledged),
		cmocka_unit_test(test_stopping_collector_is_left_at_once),
		cmocka_unit_test(test_refused_goes_to_the_next),
		cmocka_unit_test(test_unsendable_is_counted),
		cmocka_unit_test(test_flush_sends_all_at_once),
		cmocka_unit_test(test_odd_answers),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_a_line_too_big_is_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
