/* SPDX-License-Identifier: Apache-2.0 */
/* Agents' links and two collectors on the loopback interface: one is stopped and started again while they send. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <pthread.h>
#include <stdio.h>

#include <cmocka.h>

#include "agent/link.h"
#include "base/clock.h"
#include "collector/collector.h"
#include "wire/flows.h"

#define AGENTS 16
#define DEADLINE_US 20000000

/* Agents of one thread, each sends a datagram of two rows every few milliseconds. */
struct fleet {
	struct conf conf;
	struct loop *loop;
	struct batch_head head[AGENTS];
	char host[AGENTS][16], text[2][32];
	struct link link[AGENTS];
	uint64_t sent; /* rows; any thread */
	bool stop;
	pthread_t thread;
};

static void fleet_acked(void *arg, const struct wire_ack *a)
{
}

static void fleet_talk(struct fleet *f, unsigned i)
{
	struct wire_build *b = malloc(sizeof(*b));
	struct wire_sender s = {.agent = f->head[i].agent};
	struct flow_names names = {.service = STR("web")};
	struct flow_stats stats = {.rows = 2};
	struct wire_flow row = {.port = 80, .protocol = 6, .names = &names};
	struct wire_head head = f->head[i].wire;
	struct batch_item item = {.rows = 2};
	uint8_t p[WIRE_SIZE];

	(void)ip_parse("10.0.0.1", &row.local);
	(void)ip_parse("10.0.0.2", &row.remote);
	head.interval = (uint32_t)(clock_wall_us() / 1000000);
	wire_build_open(b, WIRE_FLOWS, &head, NULL);
	assert_int_equal(wire_flows_add(b, &row, &stats), 1);
	item.len = (uint32_t)wire_build_close(b, &s, 0, 0, p, WIRE_SIZE);
	assert_int_equal(link_send(&f->link[i], p, &item, 1), 0);
	__atomic_store_n(&f->sent, f->sent + 2, __ATOMIC_RELAXED);
	free(b);
}

static void fleet_tick(void *arg)
{
	struct fleet *f = arg;

	if (__atomic_load_n(&f->stop, __ATOMIC_RELAXED)) {
		loop_stop(f->loop);
		return;
	}
	for (unsigned i = 0; i < AGENTS; i++)
		fleet_talk(f, i);
	(void)loop_at(f->loop, clock_wall_us() + 100, fleet_tick, f);
}

static void *fleet_run(void *arg)
{
	struct fleet *f = arg;

	(void)loop_run(f->loop);
	return NULL;
}

static void fleet_start(struct fleet *f, const uint16_t ports[2])
{
	assert_int_equal(loop_new(&f->loop), 0);
	f->conf.n_collectors = 2;
	for (unsigned i = 0; i < 2; i++) {
		snprintf(f->text[i], sizeof(f->text[i]), "127.0.0.1:%u", ports[i]);
		(void)ip_parse("127.0.0.1", &f->conf.collector[i].ip);
		f->conf.collector[i].port = ports[i];
		f->conf.collector[i].text = f->text[i];
	}
	for (unsigned i = 0; i < AGENTS; i++) {
		struct batch_head *h = &f->head[i];

		snprintf(f->host[i], sizeof(f->host[i]), "host-%u", i);
		h->wire = (struct wire_head){
			.interval_s = 1, .spread_ms = 200, .boot = 9 + i, .host = str_from(f->host[i])};
		h->agent = ip_from_v4((const uint8_t[4]){10, 9, 0, (uint8_t)i});
		link_init(&f->link[i], &f->conf, h, f->loop, fleet_acked, NULL);
	}
	assert_int_equal(loop_at(f->loop, clock_wall_us(), fleet_tick, f), 0);
	assert_int_equal(pthread_create(&f->thread, NULL, fleet_run, f), 0);
}

static void fleet_end(struct fleet *f)
{
	__atomic_store_n(&f->stop, true, __ATOMIC_RELAXED);
	assert_int_equal(pthread_join(f->thread, NULL), 0);
	for (unsigned i = 0; i < AGENTS; i++)
		link_deinit(&f->link[i]);
	loop_free(f->loop);
}

static struct collector *collect(struct bus *bus, uint16_t port)
{
	struct collector_opts o = collector_defaults;
	struct collector *c;
	char why[200];

	o.port = port;
	o.threads = 2;
	o.interval_s = 1;
	o.spread_ms = 200;
	o.max_rows = 1000;
	o.max_agents = 1000;
	o.bus = bus;
	o.instance = port ? "again" : NULL;
	assert_int_equal(collector_new(&c, &o, why, sizeof(why)), 0);
	assert_int_equal(collector_start(c), 0);
	return c;
}

static uint64_t rows_in(struct collector *c)
{
	struct collector_stats s;

	collector_stats(c, &s);
	return s.rows_in;
}

/* One of two is stopped and started again under way: each row sent is folded by one of the three. */
static void a_restart_costs_nothing(void **state)
{
	struct bus_memory_opts bo = {.partitions = 4, .max_bytes = 64 << 20, .start_us = clock_wall_us()};
	struct fleet *f = calloc(1, sizeof(*f));
	struct collector *a, *b, *again;
	struct collector_stats s[3];
	struct bus *bus;
	uint64_t before, until = (uint64_t)clock_mono_us() + DEADLINE_US;
	uint16_t ports[2];

	assert_int_equal(bus_memory_open(&bus, &bo), 0);
	a = collect(bus, 0);
	b = collect(bus, 0);
	ports[0] = collector_port(a);
	ports[1] = collector_port(b);
	fleet_start(f, ports);
	while ((rows_in(a) < 500 || rows_in(b) < 500) && (uint64_t)clock_mono_us() < until)
		;
	assert_true(rows_in(a) >= 500 && rows_in(b) >= 500); /* both have some of the agents */
	collector_stop(a);
	collector_stats(a, &s[0]);
	collector_free(a);
	again = collect(bus, ports[0]);
	before = rows_in(b);
	while (rows_in(b) < before + 2000 && (uint64_t)clock_mono_us() < until)
		;
	fleet_end(f);
	collector_stop(b);
	collector_stop(again);
	collector_stats(b, &s[1]);
	collector_stats(again, &s[2]);
	assert_int_equal(s[0].rows_in + s[1].rows_in + s[2].rows_in, f->sent);
	assert_int_equal(s[0].rows_out + s[1].rows_out + s[2].rows_out, f->sent);
	assert_int_equal(s[2].rows_in, 0); /* they come back after ten minutes */
	collector_free(b);
	collector_free(again);
	bus_close(bus);
	free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(a_restart_costs_nothing)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
