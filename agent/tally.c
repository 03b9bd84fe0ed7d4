/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/tally.h"

#include "agent/nat.h"
#include "flow/stats.h"

void tally_keep(struct conn *c, const struct sky_totals *t)
{
	c->tx = t->tx;
	c->rx = t->rx;
	c->tx_segs = t->tx_segs;
	c->rx_segs = t->rx_segs;
	c->retransmitted = t->retransmitted;
	c->lost = t->lost;
	c->dsack = t->dsack;
	c->delivered_ce = t->delivered_ce;
	c->busy = t->busy;
	c->rwnd = t->rwnd;
	c->sndbuf = t->sndbuf;
	c->segs = t->segs;
	c->known = 1;
}

/* Walks read without a lock, in an order in which they may read too little, hardly ever too much (a FIN counted before its
 * flag): then `now` is below `last`. While it lives, the difference waits for the next read; `last_word`: take it back. If
 * an interval ended in between the sum may be below 0 until the row's other connections are added (tally_settle()). */
static bool bytes_add(struct tally *w, __u64 *sum, uint64_t *last, uint64_t now, bool last_word)
{
	bool moved = now > *last;

	if (moved) {
		*sum += now - *last;
		*last = now;
	} else if (last_word && now < *last) {
		*sum -= *last - now;
		w->owing |= (int64_t)*sum < 0;
	}
	return moved;
}

static uint32_t step(uint32_t *last, uint32_t now)
{
	int32_t d = (int32_t)(now - *last);

	if (d <= 0)
		return 0;
	*last = now;
	return (uint32_t)d;
}

/* True when data moved. */
static bool deltas_add(struct tally *w, struct conn *c, struct sky_row_value *v, const struct sky_totals *t,
		       bool last_word)
{
	bool tx = bytes_add(w, &v->tx_bytes, &c->tx, t->tx, last_word);
	bool rx = bytes_add(w, &v->rx_bytes, &c->rx, t->rx, last_word);

	v->tx_segs += step(&c->tx_segs, t->tx_segs);
	v->rx_segs += step(&c->rx_segs, t->rx_segs);
	v->retransmitted += step(&c->retransmitted, t->retransmitted);
	v->lost += step(&c->lost, t->lost);
	v->dsack += step(&c->dsack, t->dsack);
	v->delivered_ce += step(&c->delivered_ce, t->delivered_ce);
	v->busy_us += (uint64_t)step(&c->busy, t->busy) * w->us_per_jiffy;
	v->rwnd_limited_us += (uint64_t)step(&c->rwnd, t->rwnd) * w->us_per_jiffy;
	v->sndbuf_limited_us += (uint64_t)step(&c->sndbuf, t->sndbuf) * w->us_per_jiffy;
	return tx || rx;
}

static void rtt_add(struct sky_row_value *v, uint32_t srtt_us, uint32_t min_rtt_us, uint32_t mdev_us, uint32_t cwnd)
{
	if (!srtt_us)
		return;
	v->srtt[flow_bucket(srtt_us)]++;
	v->jitter_us += mdev_us;
	if (srtt_us > min_rtt_us)
		v->queue_us += srtt_us - min_rtt_us;
	v->cwnd_segs += cwnd;
	v->rtt_samples++;
}

static void attempt_add(struct conn *c, struct sky_row_value *v)
{
	v->attempts += !c->tried && c->key.role == SKY_ROLE_CLIENT && !(c->key.flags & SKY_FLAG_JOINED);
	c->tried = 1;
}

/* The first that is heard of an established connection. */
static void first_add(struct conn *c, struct sky_row_value *v, const struct sky_first *first)
{
	if (c->known)
		return;
	c->known = 1;
	attempt_add(c, v);
	if (c->key.flags & SKY_FLAG_JOINED)
		return;
	v->opened++;
	if (first->handshake_us)
		v->handshake[flow_bucket(first->handshake_us)]++;
	rtt_add(v, first->srtt_us, first->srtt_us, first->mdev_us, first->cwnd);
}

static void open_add(struct conn *c, struct sky_row_value *v, uint64_t until_ms)
{
	if (until_ms <= c->until_ms)
		return;
	v->open_ms += until_ms - c->until_ms;
	c->until_ms = until_ms;
}

static void hints_add(const struct conn *c, struct sky_row_value *v)
{
	if (c->port)
		agent_row_port(v, c->port);
	if (c->tgid)
		v->tgid = c->tgid;
}

/* The row of a connection: under its tuple on the wire, once that is known. */
static struct agent_row *conn_row(struct tally *w, struct conn *c)
{
	struct sky_row_key key = c->key;

	if (!c->port) {
		nat_attempt(w->nat, &key);
		return agent_rows_get(w->rows, &key);
	}
	if (c->settled < CONN_SETTLED)
		c->settled = nat_conn(w->nat, &c->key, &c->port, true) ? CONN_SETTLED : c->settled + 1;
	return agent_rows_near(w->rows, &c->key, &c->row);
}

/* It lives: `t` is what it did, NULL when nothing moved. No room in `rows` loses nothing: the next walk adds it. */
void tally_alive(struct tally *w, struct conn *c, const struct sky_first *first, const struct sky_totals *t)
{
	struct agent_row *row = conn_row(w, c);
	struct sky_row_value *v;

	c->dead_ms = 0;
	if (!row)
		return;
	v = &row->val;
	open_add(c, v, w->cut_ms);
	hints_add(c, v);
	if (!t)
		return;
	c->segs = t->segs;
	first_add(c, v, first);
	if (!deltas_add(w, c, v, t, false))
		return;
	rtt_add(v, t->srtt_us, t->min_rtt_us, t->mdev_us, t->cwnd);
	v->turn_samples++;
	v->turn_self += t->turn > 0;
	v->turn_peer += t->turn < 0;
}

static void tried_add(struct tally *w, struct conn *c)
{
	struct agent_row *row = c->tried ? NULL : conn_row(w, c);

	if (!row)
		return;
	attempt_add(c, &row->val);
	hints_add(c, &row->val);
}

void tally_trying(struct tally *w, struct conn *c)
{
	c->dead_ms = 0;
	tried_add(w, c);
}

static void failed_add(struct sky_row_value *v, const struct sky_final *f)
{
	v->failed_refused += f->end == SKY_FAILED_REFUSED;
	v->failed_timeout += f->end == SKY_FAILED_TIMEOUT;
	v->failed_unreachable += f->end == SKY_FAILED_UNREACHABLE;
	v->failed_no_port += f->end == SKY_FAILED_NO_PORT;
	v->failed_abandoned += f->end == SKY_FAILED_ABANDONED;
	v->failed_other += f->end == SKY_FAILED_OTHER;
	v->retransmitted += f->totals.retransmitted;
	v->lost += f->totals.lost;
}

static void closed_add(struct tally *w, struct conn *c, struct sky_row_value *v, const struct sky_final *f)
{
	v->closed++;
	v->reset_received += f->end == SKY_END_RESET_RECEIVED;
	v->reset_sent += f->end == SKY_END_RESET_SENT;
	v->timed_out += f->end == SKY_END_TIMED_OUT;
	first_add(c, v, &f->first);
	if (!c->until_ms)
		c->until_ms = f->since_ns / 1000000;
	open_add(c, v, f->at_ns / 1000000);
	if (f->end == SKY_END_UNSEEN)
		return;
	deltas_add(w, c, v, &f->totals, true);
	v->tx_undelivered += f->totals.undelivered;
	if (f->rtt_ok)
		rtt_add(v, f->totals.srtt_us, f->totals.min_rtt_us, f->totals.mdev_us, f->totals.cwnd);
}

/* Counts what a sum is below 0. */
static void sum_settle(__u64 *sum, uint64_t *count)
{
	if ((int64_t)*sum >= 0)
		return;
	*count += -*sum;
	*sum = 0;
}

void tally_settle(struct tally *w)
{
	for (size_t i = 0; w->owing && i < agent_rows_count(w->rows); i++) {
		struct sky_row_value *v = &agent_rows_at(w->rows, i)->val;

		sum_settle(&v->tx_bytes, &w->clamped);
		sum_settle(&v->rx_bytes, &w->fin_guessed);
	}
	w->owing = false;
}

void tally_end(struct tally *w, struct conn *c, const struct sky_final *f)
{
	struct agent_row *row = conn_row(w, c);

	if (!row) {
		w->lost++;
		return;
	}
	if (f->end >= SKY_FAILED_REFUSED) {
		attempt_add(c, &row->val);
		failed_add(&row->val, f);
	} else {
		closed_add(w, c, &row->val, f);
	}
	hints_add(c, &row->val);
}

void tally_dead(struct tally *w, struct conn *c, const struct sky_first *first)
{
	struct agent_row *row;

	if (!c->dead_ms)
		c->dead_ms = (uint32_t)w->now_ms | 1;
	if (!c->until_ms) {
		tried_add(w, c);
		return;
	}
	row = conn_row(w, c);
	if (row)
		first_add(c, &row->val, first);
}

void tally_unseen(struct tally *w, struct conn *c, const struct sky_first *first)
{
	uint64_t ns = c->until_ms * 1000000;
	struct sky_final f = {
		.since_ns = ns, .at_ns = ns, .end = ns ? SKY_END_UNSEEN : SKY_FAILED_OTHER, .first = *first};

	tally_end(w, c, &f);
}
