/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/period.h"

#include <stdio.h>

#include "base/log.h"
#include "wire/ack.h"

#define LOG_EVERY_S 60 /* at most one line per reason */
#define STOP_TELL 4    /* intervals within which an agent was heard to be told that we stop */

int period_init(struct period *p, const struct publish_opts *opts, struct counters_publish *counters)
{
	int r;

	*p = (struct period){.opts = opts, .counters = counters, .spread_ms = opts->spread_ms};
	pthread_mutex_init(&p->samples_lock, NULL);
	r = tally_init(&p->tally, opts->max_agents, opts->n_workers, opts->start_us);
	if (!r && opts->trust)
		r = trust_join(opts->trust, &p->trust);
	return r < 0 ? r : sources_tally_init(&p->sources, opts->max_agents);
}

void period_deinit(struct period *p)
{
	tally_deinit(&p->tally);
	sources_tally_deinit(&p->sources);
}

static void ack(struct period *p, const struct tally_agent *a, const struct ip *agent, uint32_t sub_agent,
		uint32_t interval, bool stopping)
{
	bool counted = a->period == p->tally.period;
	struct wire_ack ack = {
		.boot = a->boot,
		.sub_agent = sub_agent,
		.interval = counted && a->interval ? a->interval : interval,
		.interval_s = p->opts->interval_s,
		.flags = stopping ? WIRE_ACK_STOPPING : 0,
		.datagrams = counted ? (uint32_t)a->period_datagrams : 0,
		.rows = counted ? a->period_rows : 0,
	};
	uint8_t bytes[WIRE_ACK_SIGNED];
	size_t n;

	if (p->opts->no_ack || !a->boot)
		return;
	wire_ack_put(&ack, bytes);
	n = p->trust ? trust_ack(p->trust, agent, bytes) : WIRE_ACK_SIZE;
	if (p->opts->send(p->opts->arg, &a->peer, bytes, n))
		counters_add(&p->counters->acks, 1);
	else
		counters_add(&p->counters->ack_errors, 1);
}

/* Agents that were not heard since the last swap have to hear of the stop as well. */
static void ack_stop(struct period *p, uint32_t interval, int64_t now_us)
{
	int64_t since_s = now_us / 1000000 - (int64_t)STOP_TELL * p->opts->interval_s - 1;

	for (uint32_t i = 0; i < p->tally.slots.n; i++) {
		uint32_t sub_agent;
		const struct tally_agent *a = tally_agent(&p->tally, i, since_s, &sub_agent);

		if (a)
			ack(p, a, &p->tally.slots.slot[i].key.agent, sub_agent, interval, true);
	}
}

static const char *hex_of(const struct worker_refused *r, char *hex)
{
	hex[0] = '\0';
	for (unsigned k = 0; k < r->n_head; k++)
		snprintf(hex + 2 * (size_t)k, 3, "%02x", r->head[k]);
	return hex;
}

void period_samples(struct period *p, struct buf *b)
{
	buf_printf(b, "# HELP skyfall_collector_rejected_sample newest datagram refused for this reason: when (s since "
		      "1970), whose, how it begins\n# TYPE skyfall_collector_rejected_sample gauge\n");
	pthread_mutex_lock(&p->samples_lock);
	for (unsigned i = 0; i < COLLECTOR_REJECTS; i++) {
		const struct period_sample *s = &p->samples[i];
		char ip[IP_TEXT], hex[2 * sizeof(s->is.head) + 1];

		if (s->at_s)
			buf_printf(b,
				   "skyfall_collector_rejected_sample{reason=\"%s\",from=\"%s\",bytes=\"%s\"} %lld\n",
				   counters_reject_name(i), ip_format(&s->is.from, ip), hex_of(&s->is, hex),
				   (long long)s->at_s);
	}
	pthread_mutex_unlock(&p->samples_lock);
}

static void keep_samples(struct period *p, const struct worker_lines *l, int64_t now_us)
{
	pthread_mutex_lock(&p->samples_lock);
	for (unsigned i = 0; i < COLLECTOR_REJECTS; i++) {
		if (l->refused[i].n)
			p->samples[i] = (struct period_sample){l->refused[i], now_us / 1000000};
	}
	pthread_mutex_unlock(&p->samples_lock);
}

static void log_refused(struct period *p, const struct worker_lines *l, int64_t now_us)
{
	for (unsigned i = 0; i < COLLECTOR_REJECTS; i++) {
		const struct worker_refused *r = &l->refused[i];
		char ip[IP_TEXT], hex[2 * sizeof(r->head) + 1];

		p->refused[i].n += r->n;
		if (!r->n || (p->refused[i].logged_s && now_us / 1000000 - p->refused[i].logged_s < LOG_EVERY_S))
			continue;
		log_warn("collector: refused %llu times (%s: %s), the last from %s, beginning %s",
			 (unsigned long long)p->refused[i].n, counters_reject_name(i), counters_reject_text(i),
			 ip_format(&r->from, ip), hex_of(r, hex));
		p->refused[i].n = 0;
		p->refused[i].logged_s = now_us / 1000000;
	}
}

static struct worker_lines *lines(const struct period *p, unsigned worker)
{
	struct worker *w = p->opts->workers[worker];

	return &w->lines[swap_given(&w->lines_swap)];
}

static void tally_all(struct period *p, uint32_t interval, bool stopping, int64_t now_us, struct tally_sums *sums)
{
	tally_begin(&p->tally);
	for (unsigned w = 0; w < p->opts->n_workers; w++)
		tally_add(&p->tally, &lines(p, w)->agents, now_us, sums);
	for (unsigned w = 0; w < p->opts->n_workers; w++) {
		const struct account_lines *l = &lines(p, w)->agents;

		for (uint32_t i = 0; i < l->n; i++) {
			const struct tally_agent *a = tally_close(&p->tally, &l->line[i], now_us, sums);

			if (a && !stopping)
				ack(p, a, &l->line[i].key.agent, l->line[i].key.sub_agent, interval, false);
		}
	}
	if (stopping)
		ack_stop(p, interval, now_us);
}

static void count(struct period *p, const struct tally_sums *s)
{
	struct counters_publish *c = p->counters;

	__atomic_store_n(&p->agents, s->agents, __ATOMIC_RELAXED);
	counters_add(&c->lost_network_datagrams, s->lost_datagrams);
	counters_add(&c->found_network_datagrams, s->found_datagrams);
	counters_add(&c->lost_network_rows, s->lost_rows);
	counters_add(&c->found_network_rows, s->found_rows);
	counters_add(&c->agent_drops, s->agent_drops);
	counters_add(&c->restarts, s->restarts);
	counters_add(&c->doubled_datagrams, s->doubled_datagrams);
	counters_add(&c->doubled_rows, s->doubled_rows);
	counters_add(&c->unmerged_datagrams, s->unset);
}

/* to = now - before, counter by counter; before = now. */
static void grown(uint64_t *to, const uint64_t *now, uint64_t *before, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		to[i] = now[i] - before[i];
		before[i] = now[i];
	}
}

void period_take(struct period *p, uint32_t interval, bool stopping, int64_t now_us, struct ledger_info *ret)
{
	struct counters_rx rx = {0};
	uint32_t spread_ms = 0;

	*ret = (struct ledger_info){0};
	if (p->trust)
		trust_look(p->trust);
	tally_all(p, interval, stopping, now_us, &ret->tally);
	count(p, &ret->tally);
	for (unsigned w = 0; w < p->opts->n_workers; w++) {
		struct worker_lines *l = lines(p, w);

		if (l->spread_ms > spread_ms)
			spread_ms = l->spread_ms;
		log_refused(p, l, now_us);
		keep_samples(p, l, now_us);
		for (uint32_t i = 0; i < l->sources.n; i++)
			counters_add(&p->counters->sampler_drops,
				     sources_tally_add(&p->sources, &l->sources.line[i], now_us / 1000000));
		worker_lines_clear(l);
		counters_sum_rx(&rx, &p->opts->workers[w]->counters);
	}
	if (spread_ms)
		p->spread_ms = spread_ms;
	grown((uint64_t *)&ret->rx, (const uint64_t *)&rx, (uint64_t *)&p->rx_before, sizeof(rx) / 8);
	grown((uint64_t *)&ret->publish, (const uint64_t *)p->counters, (uint64_t *)&p->counters_before,
	      sizeof(ret->publish) / 8);
}
