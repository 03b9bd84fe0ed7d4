/* SPDX-License-Identifier: Apache-2.0 */
/* The datagrams of a load, and in which order they go. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "tools/gen/load_work.h"

static void load_failed(void *arg, uint32_t tag)
{
	struct load_thread *t = arg;
	const struct pack_datagram *d;

	if (tag == LOAD_AGAIN)
		return;
	d = &t->pack->datagrams[tag];
	wire_sender_failed(&t->load->senders[d->host], d->pool);
	t->counts.sent.datagrams--;
	t->counts.sent.rows -= d->rows;
	counts_put(&t->counts.failed, d->rows);
	t->failed[d->host] += d->rows;
	if (t->load->truth) {
		struct load_times *times = &t->intervals[t->n_intervals - 1].times[tag];

		times->sent--;
		times->unsent++;
	}
}

static void load_other(void *arg, const void *p, size_t n)
{
	struct load_thread *t = arg;

	line_put(t->line, t->agent.host / t->load->opts.threads, p, (uint32_t)n, LOAD_AGAIN);
	line_flush(t->line);
	t->counts.others++;
	t->counts.bytes += n;
}

/*
 * One datagram of each host, then the next of each: as the datagrams of many agents mix on their way. Where one socket is one
 * agent's, or its order is tampered with, host after host.
 */
static int load_order(struct load_thread *t)
{
	const struct load_opts *o = &t->load->opts;
	uint32_t n = t->pack->n_datagrams, hosts = t->load->fleet->conf.hosts, k = 0, left = n;
	uint32_t *next;

	if ((o->emit.line.gso && o->emit.line.sockets > 1) || o->emit.fate.held > 0)
		return 0;
	t->order = malloc((n + 1) * sizeof(*t->order));
	next = calloc(hosts + 1, sizeof(*next));
	if (!t->order || !next) {
		free(next);
		return -ENOMEM;
	}
	for (uint32_t i = n; i-- > 0;)
		next[t->pack->datagrams[i].host] = i + 1;
	while (left) {
		for (uint32_t h = t->nth; h < hosts; h += o->threads) {
			uint32_t i = next[h];

			if (!i)
				continue;
			t->order[k++] = i - 1;
			next[h] = i < n && t->pack->datagrams[i].host == h ? i + 1 : 0;
			left--;
		}
	}
	free(next);
	return 0;
}

/* In memory as they are sent, so that neighbours of a run are one piece. */
static int load_sort(struct load_thread *t)
{
	struct pack *p = t->pack;
	uint8_t *bytes = malloc(p->n_bytes + 1);
	uint64_t at = 0;

	if (!bytes)
		return -ENOMEM;
	for (uint32_t k = 0; k < p->n_datagrams; k++) {
		struct pack_datagram *d = &p->datagrams[t->order[k]];

		memcpy(bytes + at, p->bytes + d->at, d->len);
		d->at = at;
		at += d->len;
	}
	free(p->bytes);
	p->bytes = bytes;
	p->cap_bytes = p->n_bytes + 1;
	return 0;
}

static void load_keys(struct load_thread *t)
{
	const struct pack_item *v = t->pack->items;

	for (uint32_t i = 0; i < t->pack->n_items; i++) {
		bool key = !i || v[i].row != v[i - 1].row;

		t->counts.keys += key;
		t->counts.tuples += key || v[i].port != v[i - 1].port;
	}
}

static void *load_make(void *arg)
{
	struct load_thread *t = arg;
	struct load *l = t->load;
	struct line_opts lo = l->opts.emit.line;
	uint32_t hosts = l->fleet->conf.hosts;

	lo.sockets = lo.sockets / l->opts.threads + (t->nth < lo.sockets % l->opts.threads);
	lo.sockets = lo.sockets ? lo.sockets : 1;
	lo.failed = load_failed;
	lo.arg = t;
	t->agent.fleet = l->fleet;
	t->agent.send = load_other;
	t->agent.arg = t;
	t->held = UINT32_MAX;
	t->rows = calloc(hosts, sizeof(*t->rows));
	t->failed = calloc(hosts, sizeof(*t->failed));
	t->before.rows = calloc(hosts, sizeof(*t->before.rows));
	t->before.failed = calloc(hosts, sizeof(*t->before.failed));
	t->err = t->rows && t->failed && t->before.rows && t->before.failed
			 ? pack_new(&t->pack, l->fleet, &l->opts.emit.pack)
			 : -ENOMEM;
	for (uint32_t h = t->nth; h < hosts && !t->err; h += l->opts.threads)
		t->err = pack_host(t->pack, h, l->base, UINT32_MAX);
	if (!t->err)
		t->err = load_order(t);
	if (!t->err && t->order)
		t->err = load_sort(t);
	if (!t->err)
		t->err = line_new(&t->line, &lo);
	if (!t->err)
		load_keys(t);
	return NULL;
}

void load_each(struct load *l, void *(*fn)(void *arg))
{
	l->running = 0;
	for (uint32_t i = 0; i < l->opts.threads; i++) {
		struct load_thread *t = &l->threads[i];
		int r = pthread_create(&t->thread, NULL, fn, t);

		t->started = !r;
		if (r)
			t->err = -r;
		if (!r)
			__atomic_add_fetch(&l->running, 1, __ATOMIC_RELAXED);
	}
}

int load_join(struct load *l)
{
	int r = 0;

	for (uint32_t i = 0; i < l->opts.threads; i++) {
		struct load_thread *t = &l->threads[i];

		if (t->started)
			pthread_join(t->thread, NULL);
		t->started = false;
		r = r ? r : t->err;
	}
	return r;
}

int load_new(struct load **ret, const struct fleet *f, struct truth *truth, const struct load_opts *opts)
{
	struct load *l = calloc(1, sizeof(*l));
	int64_t begin_us = clock_mono_us();
	uint32_t len = opts->emit.pack.interval_s;
	int r = -ENOMEM;

	if (!l)
		return r;
	l->fleet = f;
	l->truth = truth;
	l->opts = *opts;
	l->base = (uint32_t)(clock_wall_us() / 1000000) / len * len;
	l->senders = calloc(f->conf.hosts, sizeof(*l->senders));
	for (uint32_t i = 0; l->senders && i < f->conf.hosts; i++)
		l->senders[i].agent = f->hosts[i].ip;
	for (uint32_t i = 0; i < opts->threads; i++) {
		l->threads[i].load = l;
		l->threads[i].nth = i;
		pthread_mutex_init(&l->threads[i].lock, NULL);
	}
	if (l->senders) {
		load_each(l, load_make);
		r = load_join(l);
	}
	if (r < 0) {
		load_free(l);
		return r;
	}
	l->made_us = clock_mono_us() - begin_us;
	*ret = l;
	return 0;
}

void load_free(struct load *l)
{
	if (!l)
		return;
	for (uint32_t i = 0; i < l->opts.threads; i++) {
		struct load_thread *t = &l->threads[i];

		line_free(t->line);
		pack_free(t->pack);
		for (uint32_t k = 0; k < t->n_intervals; k++)
			free(t->intervals[k].times);
		free(t->intervals);
		free(t->order);
		free(t->rows);
		free(t->failed);
		free(t->before.rows);
		free(t->before.failed);
		pthread_mutex_destroy(&t->lock);
	}
	free(l->senders);
	free(l);
}

void load_made(const struct load *l, uint64_t *ret_datagrams, uint64_t *ret_bytes, int64_t *ret_us)
{
	*ret_datagrams = *ret_bytes = 0;
	*ret_us = l->made_us;
	for (uint32_t i = 0; i < l->opts.threads; i++) {
		*ret_datagrams += l->threads[i].pack->n_datagrams;
		*ret_bytes += l->threads[i].pack->n_bytes;
	}
}
