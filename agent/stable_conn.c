/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/stable_conn.h"

#include <netinet/in.h>
#include <stddef.h>
#include <string.h>

#include "agent/stable_sums.h"
#include "flow/stats.h"

uint64_t stable_conn_ms(uint64_t from_ms, uint64_t to_ms)
{
	return to_ms > from_ms ? to_ms - from_ms : 0;
}

void stable_conn_role(struct conn *c, unsigned role, uint16_t lport, uint16_t rport)
{
	c->key.role = (uint8_t)role;
	c->key.service_port = role == SKY_ROLE_CLIENT ? rport : lport;
	c->key.other_port = role == SKY_ROLE_UNKNOWN ? rport : 0;
	c->port = role == SKY_ROLE_CLIENT ? lport : rport;
}

void stable_conn_key(struct conn *c, uint32_t netns, const uint8_t local[16], const uint8_t remote[16])
{
	c->key = (struct sky_row_key){.netns = netns, .protocol = IPPROTO_TCP};
	memcpy(c->key.local, local, 16);
	memcpy(c->key.remote, remote, 16);
}

/* Counters never go back; an unlocked read may once have shown one byte too many, which later growth makes up for. */
#define ADD_GROWN(to, field)                                \
	do {                                                \
		if (t->field > c->field) {                  \
			row->val.to += t->field - c->field; \
			c->field = t->field;                \
		}                                           \
	} while (0)
#define ADD_WRAPPED(to, field)                                  \
	do {                                                    \
		row->val.to += (uint32_t)(t->field - c->field); \
		c->field = t->field;                            \
	} while (0)

void stable_conn_add(struct conn *c, struct agent_row *row, const struct sky_totals *t, bool rtt)
{
	ADD_GROWN(tx_bytes, tx);
	ADD_GROWN(rx_bytes, rx);
	ADD_GROWN(tx_segs, tx_segs);
	ADD_GROWN(rx_segs, rx_segs);
	ADD_GROWN(retransmitted, retransmitted);
	ADD_GROWN(dsack, dsack);
	ADD_GROWN(delivered_ce, delivered_ce);
	ADD_WRAPPED(busy_us, busy);
	ADD_WRAPPED(rwnd_limited_us, rwnd);
	ADD_WRAPPED(sndbuf_limited_us, sndbuf);
	if (!rtt || !t->srtt_us)
		return;
	row->val.srtt[flow_bucket(t->srtt_us)]++;
	row->val.rtt_samples++;
	row->val.jitter_us += t->mdev_us;
	row->val.cwnd_segs += t->cwnd;
	if (t->min_rtt_us < t->srtt_us)
		row->val.queue_us += t->srtt_us - t->min_rtt_us;
}

/* From now on what it does is counted, what it did is not. */
void stable_conn_base(struct conn *c, const struct sky_totals *t)
{
	struct agent_row nowhere = {0};

	stable_conn_add(c, &nowhere, t, false);
}

void stable_conn_end(struct sky_row_value *v, unsigned how)
{
	static const size_t where[] = {
		[SKY_END_RESET_RECEIVED] = offsetof(struct sky_row_value, reset_received),
		[SKY_END_RESET_SENT] = offsetof(struct sky_row_value, reset_sent),
		[SKY_END_TIMED_OUT] = offsetof(struct sky_row_value, timed_out),
		[SKY_FAILED_REFUSED] = offsetof(struct sky_row_value, failed_refused),
		[SKY_FAILED_TIMEOUT] = offsetof(struct sky_row_value, failed_timeout),
		[SKY_FAILED_UNREACHABLE] = offsetof(struct sky_row_value, failed_unreachable),
		[SKY_FAILED_NO_PORT] = offsetof(struct sky_row_value, failed_no_port),
		[SKY_FAILED_ABANDONED] = offsetof(struct sky_row_value, failed_abandoned),
		[SKY_FAILED_OTHER] = offsetof(struct sky_row_value, failed_other),
	};

	if (how != SKY_END_NORMAL && how != SKY_END_UNSEEN)
		*(uint64_t *)((char *)v + where[how]) += 1;
	v->closed += how <= SKY_END_UNSEEN;
}

void stable_conn_sample(struct conn *c, struct agent_row *row, const struct diag_sock *d, uint64_t cut_ms)
{
	struct sky_totals t;
	bool moved;

	stable_sums_open(d, c->key.role == SKY_ROLE_CLIENT, false, &t);
	moved = t.tx_segs != c->tx_segs || t.rx_segs != c->rx_segs;
	stable_conn_add(c, row, &t, moved);
	row->val.open_ms += stable_conn_ms(c->until_ms, cut_ms);
	c->until_ms = cut_ms;
	if (!moved)
		return;
	row->val.turn_samples++;
	row->val.turn_self += t.turn > 0;
	row->val.turn_peer += t.turn < 0;
}
