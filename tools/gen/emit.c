/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/gen/emit.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "tools/gen/agent.h"

#define EMIT_AHEAD_US 1000    /* what is due within this goes at once */
#define EMIT_AGAIN UINT32_MAX /* tag of what goes a second time, and of what has no rows */

/* What became of a datagram with rows. */
enum { EMIT_SENT, EMIT_LOST, EMIT_FAILED };

struct emit_datagram {
	uint8_t is;
	bool twice;
};

struct emit {
	const struct fleet *fleet;
	struct truth *truth;
	struct emit_opts opts;
	struct line *line;
	struct pack *pack;
	int64_t start_us, from_us;
	struct wire_sender *senders; /* by host */
	struct counts counts;
	struct emit_datagram *became; /* of the host at work */
	uint32_t cap;
	uint64_t failed_rows;
	uint64_t rows_done; /* of the fleet's, in this interval */
	struct agent agent;
	struct foe foe;
};

static void emit_failed(void *arg, uint32_t tag)
{
	struct emit *e = arg;
	const struct pack_datagram *d;

	if (tag == EMIT_AGAIN)
		return;
	d = &e->pack->datagrams[tag];
	e->became[tag].is = EMIT_FAILED;
	wire_sender_failed(&e->senders[d->host], d->pool);
	e->failed_rows += d->rows;
}

static uint32_t emit_socket(const struct emit *e, uint32_t host, bool again)
{
	uint64_t sequence = e->senders[host].sequence;

	return e->opts.spray ? (uint32_t)dice(e->opts.fate.seed + again, sequence + ((uint64_t)host << 32)) : host;
}

static void emit_other(void *arg, const void *p, size_t n)
{
	struct emit *e = arg;

	line_put(e->line, emit_socket(e, e->agent.host, false), p, (uint32_t)n, EMIT_AGAIN);
	line_flush(e->line);
	e->counts.others++;
	e->counts.bytes += n;
}

int emit_new(struct emit **ret, const struct fleet *f, struct truth *truth, const struct emit_opts *opts)
{
	struct emit *e = calloc(1, sizeof(*e));
	int r = -ENOMEM;

	if (!e)
		goto out;
	e->fleet = f;
	e->truth = truth;
	e->opts = *opts;
	e->opts.line.failed = emit_failed;
	e->opts.line.arg = e;
	e->start_us = clock_mono_us();
	e->agent.fleet = f;
	e->agent.send = emit_other;
	e->agent.arg = e;
	e->senders = calloc(f->conf.hosts, sizeof(*e->senders));
	if (!e->senders)
		goto out;
	for (uint32_t i = 0; i < f->conf.hosts; i++)
		e->senders[i].agent = f->hosts[i].ip;
	r = pack_new(&e->pack, f, &opts->pack);
	if (r == 0)
		r = line_new(&e->line, &e->opts.line);
out:
	if (r < 0) {
		emit_free(e);
		return r;
	}
	*ret = e;
	return 0;
}

void emit_free(struct emit *e)
{
	if (!e)
		return;
	line_free(e->line);
	pack_free(e->pack);
	free(e->senders);
	free(e->became);
	free(e);
}

const struct counts *emit_counts(struct emit *e)
{
	e->counts.calls = line_calls(e->line);
	return &e->counts;
}

static uint32_t emit_uptime_ms(const struct emit *e)
{
	return (uint32_t)((clock_mono_us() - e->start_us) / 1000);
}

/* done: rows of the fleet, of all of them, that are out by then. */
static void emit_pace(struct emit *e, double done)
{
	int64_t spread = (int64_t)e->opts.pack.spread_ms * 1000, now = clock_wall_us();
	int64_t due = e->from_us + (int64_t)((double)spread * done / (e->fleet->n_rows + 1));

	if (due > now + EMIT_AHEAD_US) {
		line_flush(e->line);
		clock_sleep_until(due);
	} else if (now - due > e->counts.behind_us) {
		e->counts.behind_us = now - due;
	}
}

static void emit_put(struct emit *e, uint32_t i, bool again)
{
	const struct pack_datagram *d = &e->pack->datagrams[i];

	line_put(e->line, emit_socket(e, d->host, again), e->pack->bytes + d->at, d->len, again ? EMIT_AGAIN : i);
	if (!e->opts.line.gso)
		line_flush(e->line);
	e->counts.bytes += d->len;
}

/* Those of others, after a datagram that went. */
static void emit_foes(struct emit *e, uint32_t i)
{
	const struct pack_datagram *d = &e->pack->datagrams[i];
	uint64_t *counted[FOE_KINDS] = {[FOE_FORGED] = &e->counts.forged,
					[FOE_REPLAYED] = &e->counts.replayed,
					[FOE_ALTERED] = &e->counts.altered};

	for (unsigned kind = 0; kind < FOE_KINDS; kind++) {
		uint32_t n = foe_after(&e->foe, &e->opts.foes, kind, e->fleet, d->host, e->pack->bytes + d->at, d->len);

		if (!n)
			continue;
		line_flush(e->line); /* what went before it is there before it */
		line_put(e->line, emit_socket(e, d->host, true), e->foe.bytes, n, EMIT_AGAIN);
		line_flush(e->line);
		++*counted[kind];
		e->counts.bytes += n;
	}
}

/* All datagrams with rows of one host, in order but for what fate holds back. */
static void emit_datagrams(struct emit *e, uint32_t host)
{
	const struct fleet_host *h = &e->fleet->hosts[host];
	uint32_t n = e->pack->n_datagrams, held = n;

	for (uint32_t i = 0; i < n; i++) {
		struct emit_datagram *b = &e->became[i];
		enum fate_is is;

		emit_pace(e, (double)e->rows_done + (double)h->n_rows * i / n);
		pack_stamp(e->pack, &e->pack->datagrams[i], &e->senders[host], e->agent.head.interval,
			   emit_uptime_ms(e));
		is = fate_of(&e->opts.fate, host, e->senders[host].sequence);
		*b = (struct emit_datagram){is == FATE_LOST ? EMIT_LOST : EMIT_SENT, is == FATE_TWICE};
		if (is == FATE_LOST)
			continue;
		if (is == FATE_HELD && held == n && i + 1 < n) {
			held = i;
			continue;
		}
		emit_put(e, i, false);
		if (is == FATE_TWICE)
			emit_put(e, i, true);
		emit_foes(e, i);
		if (held < n) {
			counts_put(&e->counts.late, e->pack->datagrams[held].rows);
			emit_put(e, held, false);
			held = n;
		}
	}
	if (held < n)
		emit_put(e, held, false);
	line_flush(e->line);
	e->rows_done += h->n_rows;
}

static void emit_count(struct emit *e)
{
	struct counts_of *to[] = {
		[EMIT_SENT] = &e->counts.sent, [EMIT_LOST] = &e->counts.lost, [EMIT_FAILED] = &e->counts.failed};

	for (uint32_t i = 0; i < e->pack->n_datagrams; i++) {
		const struct emit_datagram *b = &e->became[i];
		uint32_t rows = e->pack->datagrams[i].rows;

		counts_put(&e->counts.made, rows);
		counts_put(to[b->is], rows);
		if (b->twice)
			counts_put(&e->counts.twice, rows);
	}
}

/* Goes through the items once more: for the truth, and for the host's ledger line. */
static void emit_look_back(struct emit *e, uint32_t interval, struct agent_line *line)
{
	struct traffic_item item;

	for (uint32_t i = 0; i < e->pack->n_datagrams; i++) {
		const struct pack_datagram *d = &e->pack->datagrams[i];
		const struct emit_datagram *b = &e->became[i];

		for (uint32_t k = d->first_item; k < d->first_item + d->n_items; k++) {
			uint32_t row = e->pack->items[k].row;
			const struct flow_stats *s = &item.stats;

			pack_item_get(e->pack, &e->pack->items[k], interval, &item);
			truth_add(e->truth, row, &item, b->is == EMIT_SENT, b->is != EMIT_SENT, b->twice);
			line->rows += s->rows;
			line->attempts += s->attempts;
			*(e->fleet->rows[row].server ? &line->server : &line->client) += s->opened;
			line->closed += s->closed;
			line->open_ms += s->open_ms;
		}
	}
	line->failed = e->failed_rows;
}

/* Keys and ephemeral ports of what the host had to say: items of a key stand together. */
static void emit_keys(struct emit *e)
{
	const struct pack_item *v = e->pack->items;

	for (uint32_t i = 0; i < e->pack->n_items; i++) {
		bool key = !i || v[i].row != v[i - 1].row;

		e->counts.keys += key;
		e->counts.tuples += key || v[i].port != v[i - 1].port;
	}
}

static int emit_host(struct emit *e, uint32_t host, uint32_t interval, bool introduce)
{
	uint32_t last = e->fleet->conf.edges - 1, index = interval / e->opts.pack.interval_s;
	bool ours = e->opts.pack.profile->ours;
	struct agent_line line = {0};
	int r;

	e->failed_rows = 0;
	e->agent.host = host;
	e->agent.sender = &e->senders[host];
	e->agent.uptime_ms = emit_uptime_ms(e);
	pack_head(e->pack, host, interval, &e->agent.head);
	if (introduce && ours)
		agent_introduce(&e->agent);
	pack_clear(e->pack);
	r = pack_host(e->pack, host, interval, index < e->opts.late_index ? last : UINT32_MAX);
	if (r == 0 && e->pack->n_datagrams > e->cap) {
		free(e->became);
		e->cap = e->pack->n_datagrams;
		e->became = calloc(e->cap, sizeof(*e->became));
		r = e->became ? 0 : -ENOMEM;
		e->cap = e->became ? e->cap : 0;
	}
	if (r < 0)
		return r;
	emit_datagrams(e, host);
	emit_count(e);
	emit_keys(e);
	emit_look_back(e, interval, &line);
	if (ours)
		agent_health(&e->agent, &line);
	return truth_host(e->truth, host);
}

int emit_interval(struct emit *e, uint32_t interval, int64_t from_us, bool introduce)
{
	int r = 0;

	e->from_us = from_us;
	e->rows_done = 0;
	truth_begin(e->truth, interval, e->opts.pack.interval_s);
	for (uint32_t i = 0; i < e->fleet->conf.hosts && r == 0; i++)
		r = emit_host(e, i, interval, introduce);
	return r < 0 ? r : truth_interval(e->truth);
}
