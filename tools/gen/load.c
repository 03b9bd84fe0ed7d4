/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/gen/load.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "tools/gen/load_work.h"

#define LOAD_CHUNK 128 /* datagrams between looks at the clock */
#define LOAD_STEP_US 100000
#define LOAD_CALM_US 500000 /* after a load flat out, so that the last word of each host finds room */
#define LOAD_BURST_US 50000 /* what it comes too late by more than this is not made up for: that would be a burst */
#define LOAD_SAY_US 1000000
#define LOAD_OTHERS_S 50000 /* datagrams a second without rows, at the beginning */

static int64_t load_len_us(const struct load *l)
{
	return (int64_t)l->opts.emit.pack.interval_s * 1000000;
}

static int64_t load_grace_us(const struct load *l)
{
	int64_t tenth = load_len_us(l) / 10;

	return tenth > 100000 ? tenth : 100000;
}

/* Whose rows are sent now. */
static uint32_t load_interval_at(const struct load *l, int64_t wall_us)
{
	int64_t len = load_len_us(l);

	return (uint32_t)((wall_us - len - load_grace_us(l)) / len * (len / 1000000));
}

static uint32_t load_uptime_ms(const struct load_thread *t)
{
	return (uint32_t)((clock_mono_us() - t->start_us) / 1000);
}

static void load_speaker(struct load_thread *t, uint32_t host, uint32_t interval)
{
	t->agent.host = host;
	t->agent.sender = &t->load->senders[host];
	t->agent.uptime_ms = load_uptime_ms(t);
	pack_head(t->pack, host, interval, &t->agent.head);
}

static bool load_stopped(const struct load *l)
{
	return __atomic_load_n(&l->stop, __ATOMIC_RELAXED);
}

/* All hosts say who they are, before anything else; not faster than a collector can take it beside its work. */
static void *load_introduce(void *arg)
{
	struct load_thread *t = arg;
	struct load *l = t->load;

	t->start_us = clock_mono_us();
	for (uint32_t h = t->nth; h < l->fleet->conf.hosts && l->opts.emit.pack.profile->ours && !load_stopped(l);
	     h += l->opts.threads) {
		int64_t due_us = t->start_us + (int64_t)(t->counts.others * l->opts.threads * 1000000 / LOAD_OTHERS_S);
		int64_t wait_us = due_us - clock_mono_us();

		if (wait_us > 1000)
			clock_sleep_until(clock_wall_us() + wait_us);
		load_speaker(t, h, load_interval_at(l, clock_wall_us()));
		agent_introduce(&t->agent);
	}
	__atomic_sub_fetch(&l->running, 1, __ATOMIC_RELAXED);
	return NULL;
}

/* Ledger lines of the interval before, of hosts below `end`. */
static void load_lines(struct load_thread *t, uint32_t end)
{
	const struct load *l = t->load;

	if (!l->opts.emit.pack.profile->ours)
		return;
	for (; t->before.host < end; t->before.host += l->opts.threads) {
		uint32_t h = t->before.host;

		load_speaker(t, h, t->before.interval);
		agent_health(&t->agent, &(struct agent_line){.rows = t->before.rows[h], .failed = t->before.failed[h]});
	}
}

/* Evenly over the first half of the interval at work. */
static void load_lines_due(struct load_thread *t, int64_t now_us)
{
	int64_t len = load_len_us(t->load), hosts = t->load->fleet->conf.hosts;
	int64_t since = now_us - load_grace_us(t->load) - ((int64_t)t->interval * 1000000 + len);

	if (t->before.host < hosts)
		load_lines(t, (uint32_t)(since < len / 2 ? (since > 0 ? hosts * since / (len / 2) : 0) : hosts));
}

static void load_release(struct load_thread *t);

/* The interval at work is over. */
static void load_close(struct load_thread *t)
{
	uint32_t hosts = t->load->fleet->conf.hosts;

	if (t->held != UINT32_MAX)
		load_release(t);
	line_flush(t->line);
	load_lines(t, hosts);
	memcpy(t->before.rows, t->rows, hosts * sizeof(*t->rows));
	memcpy(t->before.failed, t->failed, hosts * sizeof(*t->failed));
	memset(t->rows, 0, hosts * sizeof(*t->rows));
	memset(t->failed, 0, hosts * sizeof(*t->failed));
	t->before.interval = t->interval;
	t->before.host = t->nth;
}

static int load_open(struct load_thread *t, uint32_t interval)
{
	struct load_interval *v = reallocarray(t->intervals, t->n_intervals + 1, sizeof(*v));

	if (!v)
		return -ENOMEM;
	t->intervals = v;
	v += t->n_intervals;
	*v = (struct load_interval){.interval = interval};
	if (t->load->truth)
		v->times = calloc(t->pack->n_datagrams + 1, sizeof(*v->times));
	if (t->load->truth && !v->times)
		return -ENOMEM;
	t->n_intervals++;
	t->interval = interval;
	return 0;
}

static void load_put(struct load_thread *t, uint32_t i, bool again)
{
	const struct pack_datagram *d = &t->pack->datagrams[i];
	const struct load_opts *o = &t->load->opts;
	uint32_t socket = d->host / o->threads;

	if (o->emit.spray)
		socket = (uint32_t)dice(o->emit.fate.seed + again, t->counts.made.datagrams);
	line_put(t->line, socket, t->pack->bytes + d->at, d->len, again ? LOAD_AGAIN : i);
	t->counts.bytes += d->len;
}

static void load_release(struct load_thread *t)
{
	load_put(t, t->held, false);
	t->held = UINT32_MAX;
}

static void load_foes(struct load_thread *t, uint32_t i)
{
	const struct pack_datagram *d = &t->pack->datagrams[i];
	uint64_t *counted[FOE_KINDS] = {[FOE_FORGED] = &t->counts.forged,
					[FOE_REPLAYED] = &t->counts.replayed,
					[FOE_ALTERED] = &t->counts.altered};

	for (unsigned kind = 0; kind < FOE_KINDS; kind++) {
		uint32_t n = foe_after(&t->foe, &t->load->opts.emit.foes, kind, t->load->fleet, d->host,
				       t->pack->bytes + d->at, d->len);

		if (!n)
			continue;
		line_flush(t->line); /* what went before it is there before it */
		line_put(t->line, d->host / t->load->opts.threads, t->foe.bytes, n, LOAD_AGAIN);
		line_flush(t->line);
		++*counted[kind];
		t->counts.bytes += n;
	}
}

/* One datagram: stamped, and what fate makes of it. */
static void load_one(struct load_thread *t, uint32_t i)
{
	struct load *l = t->load;
	const struct pack_datagram *d = &t->pack->datagrams[i];
	struct wire_sender *s = &l->senders[d->host];
	struct load_times *times = l->truth ? &t->intervals[t->n_intervals - 1].times[i] : NULL;
	uint32_t rows = d->rows;
	enum fate_is is;

	pack_stamp(t->pack, d, s, t->interval, t->agent.uptime_ms);
	is = fate_of(&l->opts.emit.fate, d->host, s->sequence);
	t->rows[d->host] += rows;
	counts_put(&t->counts.made, rows);
	counts_put(is == FATE_LOST ? &t->counts.lost : &t->counts.sent, rows);
	if (times) {
		times->sent += is != FATE_LOST;
		times->unsent += is == FATE_LOST;
		times->twice += is == FATE_TWICE;
	}
	if (is == FATE_LOST)
		return;
	if (is == FATE_HELD && t->held == UINT32_MAX) {
		t->held = i;
		return;
	}
	load_put(t, i, false);
	if (is == FATE_TWICE) {
		counts_put(&t->counts.twice, rows);
		load_put(t, i, true);
	}
	load_foes(t, i);
	if (t->held != UINT32_MAX) {
		if (t->pack->datagrams[t->held].host == d->host)
			counts_put(&t->counts.late, t->pack->datagrams[t->held].rows);
		load_release(t);
	}
}

static void load_show(struct load_thread *t)
{
	pthread_mutex_lock(&t->lock);
	t->seen = t->counts;
	pthread_mutex_unlock(&t->lock);
}

/* Between chunks: the interval may be another, the rate may want a pause. False: the end. */
static bool load_between(struct load_thread *t)
{
	struct load *l = t->load;
	int64_t now_us = clock_wall_us();
	uint32_t interval = load_interval_at(l, now_us);

	load_show(t);
	while (l->opts.rate > 0 && !load_stopped(l)) {
		double done_us = (double)t->counts.made.rows * l->opts.threads / l->opts.rate * 1e6;
		int64_t due_us = t->begin_us + t->slip_us + (int64_t)done_us;
		int64_t wait_us = due_us - clock_mono_us();

		if (wait_us <= 0) {
			t->counts.behind_us = -wait_us > t->counts.behind_us ? -wait_us : t->counts.behind_us;
			t->slip_us += -wait_us > LOAD_BURST_US ? -wait_us - LOAD_BURST_US : 0;
			break;
		}
		line_flush(t->line);
		clock_sleep_until(clock_wall_us() + (wait_us < LOAD_STEP_US ? wait_us : LOAD_STEP_US));
		interval = load_interval_at(l, clock_wall_us());
		if (interval != t->interval)
			break;
	}
	if (load_stopped(l) || (l->end_us && clock_wall_us() >= l->end_us) ||
	    (l->opts.rows && t->counts.made.rows >= l->opts.rows / l->opts.threads))
		return false;
	if (interval > t->interval) {
		load_close(t);
		t->err = load_open(t, interval);
	}
	load_lines_due(t, now_us);
	t->agent.uptime_ms = load_uptime_ms(t);
	return !t->err;
}

static void *load_send(void *arg)
{
	struct load_thread *t = arg;
	uint32_t n = t->pack->n_datagrams, k = 0;

	t->begin_us = clock_mono_us();
	t->before.host = t->load->fleet->conf.hosts; /* there is none */
	t->err = load_open(t, load_interval_at(t->load, clock_wall_us()));
	while (n && !t->err && load_between(t)) {
		uint32_t end = k + LOAD_CHUNK < n ? k + LOAD_CHUNK : n;

		for (; k < end; k++)
			load_one(t, t->order ? t->order[k] : k);
		if (k == n) { /* before one is stamped anew it has to be gone */
			if (t->held != UINT32_MAX)
				load_release(t);
			line_flush(t->line);
			k = 0;
		}
	}
	t->end_us = clock_mono_us();
	if (t->load->opts.rate <= 0)
		clock_sleep_until(clock_wall_us() + LOAD_CALM_US);
	load_close(t);
	load_lines(t, t->load->fleet->conf.hosts);
	t->counts.calls = line_calls(t->line);
	load_show(t);
	__atomic_sub_fetch(&t->load->running, 1, __ATOMIC_RELAXED);
	return NULL;
}

void load_counts(const struct load *l, struct counts *ret)
{
	*ret = (struct counts){0};
	for (uint32_t i = 0; i < l->opts.threads; i++) {
		struct load_thread *t = (struct load_thread *)&l->threads[i];

		pthread_mutex_lock(&t->lock);
		counts_add(ret, &t->seen);
		pthread_mutex_unlock(&t->lock);
	}
}

/* Sleeps until the moment when the next interval's rows begin. */
static void load_wait_begin(struct load *l, const volatile sig_atomic_t *stop)
{
	uint32_t now = load_interval_at(l, clock_wall_us());
	int64_t at_us = ((int64_t)now + 2 * l->opts.emit.pack.interval_s) * 1000000 + load_grace_us(l);

	while (clock_wall_us() < at_us && !*stop)
		clock_sleep_until(at_us);
	l->end_us = at_us + (int64_t)l->opts.intervals * load_len_us(l);
}

int load_begin(struct load *l, const volatile sig_atomic_t *stop)
{
	int r;

	load_each(l, load_introduce);
	while (!*stop && __atomic_load_n(&l->running, __ATOMIC_RELAXED))
		clock_sleep_until(clock_wall_us() + LOAD_STEP_US / 10);
	if (*stop)
		__atomic_store_n(&l->stop, true, __ATOMIC_RELAXED);
	r = load_join(l);
	if (r == 0 && l->opts.intervals)
		load_wait_begin(l, stop);
	return r;
}

int load_run(struct load *l, const volatile sig_atomic_t *stop, void (*progress)(void *arg, const struct counts *now),
	     void *arg)
{
	int64_t say_us = clock_mono_us() + LOAD_SAY_US;

	if (!l->opts.intervals && l->opts.for_us)
		l->end_us = clock_wall_us() + l->opts.for_us;
	load_each(l, load_send);
	while (!*stop && __atomic_load_n(&l->running, __ATOMIC_RELAXED)) {
		clock_sleep_until(clock_wall_us() + LOAD_STEP_US);
		if (progress && clock_mono_us() >= say_us) {
			struct counts c;

			say_us += LOAD_SAY_US;
			load_counts(l, &c);
			progress(arg, &c);
		}
	}
	if (*stop)
		__atomic_store_n(&l->stop, true, __ATOMIC_RELAXED);
	return load_join(l);
}

int64_t load_took_us(const struct load *l)
{
	int64_t most = 0;

	for (uint32_t i = 0; i < l->opts.threads; i++) {
		int64_t us = l->threads[i].end_us - l->threads[i].begin_us;

		most = us > most ? us : most;
	}
	return most;
}
