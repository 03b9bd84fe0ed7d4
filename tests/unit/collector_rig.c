/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/collector_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void must(int r, const char *what)
{
	if (r >= 0)
		return;
	fprintf(stderr, "rig: %s: %s\n", what, strerror(-r));
	abort();
}

static void *grown(void *p, size_t n, size_t size)
{
	if (n & (n - 1))
		return p;
	p = realloc(p, (n ? 2 * n : 1) * size);
	if (!p)
		abort();
	return p;
}

static bool keep_ack(void *arg, const struct account_peer *to, const void *p, size_t n)
{
	struct rig *r = arg;
	struct rig_ack a = {.at_us = r->now_us, .to = *to};

	if (wire_ack_read(p, n, &a.ack))
		abort();
	r->acks = grown(r->acks, r->n_acks, sizeof(*r->acks));
	r->acks[r->n_acks++] = a;
	return true;
}

void rig_open(struct rig *r, const struct rig_opts *o)
{
	static const enum bus_topic topics[] = {BUS_FLOWS, BUS_HOSTS, BUS_LEDGER}, flows = BUS_FLOWS;
	struct bus_memory_opts bo = {.partitions = o->partitions, .max_bytes = o->bus_bytes, .start_us = o->start_us};
	struct publish_opts po = {
		.interval_s = (uint16_t)o->interval_s,
		.fold_s = (uint16_t)o->fold_s,
		.spread_ms = o->spread_ms,
		.grace_ms = o->grace_ms,
		.instance = "c1",
		.start_us = o->start_us,
		.max_agents = 1024,
		.workers = r->workers,
		.n_workers = o->threads,
		.send = keep_ack,
		.arg = r,
	};

	*r = (struct rig){.opts = *o, .now_us = o->start_us, .step_us = o->start_us};
	if (!o->fold_s)
		r->opts.fold_s = o->interval_s;
	if (!r->opts.worker.fold.max_rows)
		r->opts.worker.fold = (struct fold_opts){.max_rows = 4096,
							 .max_names = 1024,
							 .max_strings = 4096,
							 .string_bytes = 65536,
							 .max_roleless = 1024};
	if (!r->opts.worker.max_agents)
		r->opts.worker.max_agents = 256;
	if (!r->opts.worker.record_bytes)
		r->opts.worker.record_bytes = 1 << 20;
	if (!r->opts.worker.enterprise)
		r->opts.worker.enterprise = WIRE_ENTERPRISE;
	r->opts.worker.interval_s = o->interval_s;
	r->opts.worker.fold_s = o->fold_s;
	must(bus_memory_open(&r->bus, &bo), "bus");
	if (o->slow_group)
		must(bus_reader_open(&r->slow, r->bus, o->slow_group, &flows, 1, NULL), "slow reader");
	must(bus_reader_open(&r->reader, r->bus, NULL, topics, 3, NULL), "reader");
	for (unsigned i = 0; i < o->threads; i++)
		must(worker_new(&r->workers[i], &r->opts.worker), "worker");
	po.bus = r->bus;
	must(publish_new(&r->publish, &po), "publish");
}

void rig_close(struct rig *r)
{
	publish_free(r->publish);
	for (unsigned i = 0; i < r->opts.threads; i++)
		worker_free(r->workers[i]);
	bus_reader_close(r->reader);
	bus_reader_close(r->slow);
	bus_close(r->bus);
	for (size_t i = 0; i < r->n_messages; i++)
		free(r->messages[i].bytes);
	free(r->messages);
	free(r->acks);
}

static void poll_all(struct rig *r)
{
	for (unsigned i = 0; i < r->opts.threads; i++)
		worker_poll(r->workers[i]);
}

static void read_all(struct rig *r)
{
	struct bus_msg m[64];
	int n;

	while ((n = bus_read(r->reader, m, 64, 0)) > 0) {
		for (int i = 0; i < n; i++) {
			struct rig_message *to;

			r->messages = grown(r->messages, r->n_messages, sizeof(*r->messages));
			to = &r->messages[r->n_messages++];
			*to = (struct rig_message){
				.topic = m[i].topic, .partition = m[i].partition, .n = m[i].value_len};
			to->bytes = malloc(to->n ? to->n : 1);
			if (!to->bytes)
				abort();
			memcpy(to->bytes, m[i].value, to->n);
		}
	}
	must(n, "read");
}

void rig_until(struct rig *r, int64_t t_us)
{
	while (r->step_us <= t_us) {
		if (r->step_us > r->now_us)
			r->now_us = r->step_us;
		r->step_us = publish_step(r->publish, r->now_us);
		poll_all(r);
		read_all(r);
	}
	r->now_us = t_us;
}

void rig_datagram(struct rig *r, unsigned thread, const struct account_peer *from, const void *p, size_t n)
{
	char *copy = malloc(n ? n : 1); /* of its own, so that a read past its end is seen */
	struct worker_packet packet = {.bytes = {copy, n}, .peer = *from, .at_us = r->at_us};

	if (!copy)
		abort();
	memcpy(copy, p, n);
	worker_batch(r->workers[thread], &packet, 1, r->now_us);
	worker_poll(r->workers[thread]);
	free(copy);
}

void rig_stop(struct rig *r, int64_t patience_us)
{
	int64_t until_us = r->now_us + patience_us;

	publish_stop(r->publish);
	while (!publish_done(r->publish)) {
		poll_all(r);
		r->step_us = publish_step(r->publish, r->now_us);
		read_all(r);
		if (!publish_done(r->publish) && r->now_us > until_us)
			publish_give_up(r->publish);
		if (r->step_us > r->now_us)
			r->now_us = r->step_us;
	}
	read_all(r);
}

void rig_drain(struct rig *r)
{
	struct bus_position pos;
	struct bus_msg m[64];
	int n;

	while ((n = bus_read(r->slow, m, 64, 0)) > 0) {
		for (int i = 0; i < n; i++) {
			pos = (struct bus_position){
				.topic = m[i].topic, .partition = m[i].partition, .offset = m[i].offset + 1};
			must(bus_commit_positions(r->slow, &pos, 1), "commit");
		}
	}
	must(n, "drain");
}

void rig_decode(const struct rig *r, size_t i, struct flow_msg *ret)
{
	must(flow_msg_decode(r->messages[i].bytes, r->messages[i].n, ret), "decode");
}

struct counters_rx rig_counters(const struct rig *r)
{
	struct counters_rx sum = {0};

	for (unsigned i = 0; i < r->opts.threads; i++)
		counters_sum_rx(&sum, &r->workers[i]->counters);
	return sum;
}

void rig_agent_open(struct rig_agent *a, const struct rig *r, const char *ip, const char *host, uint64_t boot)
{
	*a = (struct rig_agent){.start_us = r->now_us, .peer = {.port = 40000}};
	must(ip_parse(ip, &a->sender.agent), ip);
	a->peer.ip = a->sender.agent;
	a->head = (struct wire_head){
		.interval_s = r->opts.interval_s, .spread_ms = r->opts.spread_ms, .boot = boot, .host = str_from(host)};
	a->build = malloc(sizeof(*a->build));
	if (!a->build)
		abort();
}

void rig_agent_close(struct rig_agent *a)
{
	free(a->build);
}

size_t rig_agent_finish(struct rig_agent *a, int64_t now_us, uint8_t dst[WIRE_SIZE_MAX])
{
	return wire_build_close(a->build, &a->sender, (uint32_t)((now_us - a->start_us) / 1000), 0, dst, WIRE_SIZE_MAX);
}

size_t rig_agent_flows(struct rig_agent *a, uint32_t interval, const struct wire_flow *rows,
		       const struct flow_stats *stats, size_t n, int64_t now_us, uint8_t dst[WIRE_SIZE_MAX])
{
	struct wire_opts o = {.size = WIRE_SIZE_MAX};

	a->head.interval = interval;
	wire_build_open(a->build, WIRE_FLOWS, &a->head, &o);
	for (size_t i = 0; i < n; i++)
		must(wire_flows_add(a->build, &rows[i], &stats[i]), "row");
	return rig_agent_finish(a, now_us, dst);
}
