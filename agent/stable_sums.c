/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/stable_sums.h"

#include <errno.h>
#include <stddef.h>

#define HAS(d, field) ((d)->info_len >= offsetof(struct tcp_info, field) + sizeof((d)->info.field))

enum { /* linux/tcp_states.h */
       ESTABLISHED = 1,
       SYN_SENT,
       SYN_RECV,
       FIN_WAIT1,
       FIN_WAIT2,
       CLOSE = 7,
       CLOSE_WAIT,
       LAST_ACK,
       CLOSING = 11
};

static uint64_t less(uint64_t a, uint64_t b)
{
	return a < b ? 0 : a - b;
}

static uint32_t in_flight(const struct diag_sock *d)
{
	uint32_t unsent = HAS(d, tcpi_notsent_bytes) ? d->info.tcpi_notsent_bytes : 0;

	return (uint32_t)less(d->wqueue, unsent);
}

static void counters(const struct diag_sock *d, struct sky_totals *t)
{
	const struct tcp_info *i = &d->info;

	*t = (struct sky_totals){
		.tx_segs = i->tcpi_data_segs_out,
		.rx_segs = i->tcpi_data_segs_in,
		.retransmitted = i->tcpi_total_retrans,
		.dsack = i->tcpi_dsack_dups,
		.delivered_ce = i->tcpi_delivered_ce,
		.busy = (uint32_t)i->tcpi_busy_time,
		.rwnd = (uint32_t)i->tcpi_rwnd_limited,
		.sndbuf = (uint32_t)i->tcpi_sndbuf_limited,
		.segs = i->tcpi_segs_in + i->tcpi_segs_out,
		.srtt_us = i->tcpi_rtt,
		.mdev_us = i->tcpi_rttvar, /* the kernel puts mdev_us / 4 here */
		.min_rtt_us = HAS(d, tcpi_min_rtt) ? i->tcpi_min_rtt : ~0u,
		.cwnd = i->tcpi_snd_cwnd,
	};
}

#define RECENT_MS 200
#define NEGATIVE_MS (1u << 30) /* ticks since something that came after they were counted */

/* Something came so lately that it may be a FIN the state does not know of yet. */
static bool fin_may_be(const struct tcp_info *i)
{
	return i->tcpi_last_ack_recv < RECENT_MS || i->tcpi_last_ack_recv > NEGATIVE_MS;
}

void stable_sums_open(const struct diag_sock *d, bool client, bool before, struct sky_totals *ret)
{
	bool fin_in = d->state == CLOSE_WAIT || d->state == LAST_ACK || d->state == CLOSING;
	const struct tcp_info *i = &d->info;
	uint64_t payload = i->tcpi_bytes_sent - i->tcpi_bytes_retrans;

	counters(d, ret);
	ret->tx = less(i->tcpi_bytes_acked, (uint64_t)client + (d->state == FIN_WAIT2));
	if (HAS(d, tcpi_bytes_retrans) && ret->tx > payload)
		ret->tx = payload; /* a FIN was acknowledged */
	ret->rx = less(i->tcpi_bytes_received, fin_in || (!before && fin_may_be(i)));
	if (i->tcpi_last_data_recv != i->tcpi_last_data_sent)
		ret->turn = i->tcpi_last_data_recv < i->tcpi_last_data_sent ? 1 : -1;
}

bool stable_sums_guess(const struct diag_sock *d, const struct stable_sock *e)
{
	if (!d->info.tcpi_bytes_received)
		return false;
	if (!e || e->flags & STABLE_CLOSELESS)
		return true;
	return e->old == FIN_WAIT2 && e->flags & STABLE_LATER && !d->rqueue;
}

/* The peer's FIN is among the bytes received. See the top of agent/bpf/stable.bpf.c. */
static bool fin_received(const struct diag_sock *d, const struct stable_sock *e, bool client)
{
	if (!e || e->flags & STABLE_CLOSELESS)
		return d->rqueue > 0 || !client; /* most clients close first */
	if (e->old != FIN_WAIT2)
		return e->old == CLOSE_WAIT || e->old == LAST_ACK || e->old == CLOSING;
	if (e->flags & STABLE_RESET_IN || (e->error && e->error != EPIPE))
		return false;
	return d->rqueue > 0 || !(e->flags & (STABLE_AT_ONCE | STABLE_LATER));
}

/*
 * Sequence numbers that were acknowledged or are in flight: payload, a client's SYN, our FIN once it was sent. tcpi_bytes_sent
 * counts payload alone, each time it is sent, tcpi_bytes_retrans what was sent again. So the difference is SYN and FIN, unless
 * a first transmission failed in this host: then its bytes are counted as sent once more, and the difference is less than it
 * may be. 2: it is.
 */
static unsigned fin_by_sums(const struct diag_sock *d, bool client)
{
	uint64_t numbers = d->info.tcpi_bytes_acked + in_flight(d);
	uint64_t fin = numbers - client - (d->info.tcpi_bytes_sent - d->info.tcpi_bytes_retrans);

	return HAS(d, tcpi_bytes_retrans) && numbers && fin <= 1 ? (unsigned)fin : 2;
}

/* All was said and our FIN with it. A socket whose end nobody saw, and whose sums do not tell, closed in good order, most
 * likely. */
static bool fin_sent(const struct diag_sock *d, const struct stable_sock *e, bool client)
{
	if (HAS(d, tcpi_notsent_bytes) && d->info.tcpi_notsent_bytes)
		return false;
	if (!e || e->flags & STABLE_CLOSELESS)
		return fin_by_sums(d, client) > 0;
	return e->old == FIN_WAIT1 || e->old == FIN_WAIT2 || e->old == CLOSING || e->old == LAST_ACK;
}

bool stable_sums_end(const struct diag_sock *d, const struct stable_sock *e, bool client, struct sky_totals *ret)
{
	bool fin = fin_sent(d, e, client);
	uint32_t flight = in_flight(d);

	if (!d->rport)
		return false;
	counters(d, ret);
	ret->tx = less(d->info.tcpi_bytes_acked + flight, (uint64_t)client + fin);
	ret->rx = less(d->info.tcpi_bytes_received, fin_received(d, e, client));
	ret->undelivered = (uint32_t)less(flight, fin && flight);
	return true;
}

static unsigned how_failed(const struct stable_sock *e, bool errors)
{
	if (e->flags & STABLE_RESET_IN || e->error == ECONNREFUSED)
		return SKY_FAILED_REFUSED;
	if (e->error == ETIMEDOUT)
		return SKY_FAILED_TIMEOUT;
	if (e->error == EHOSTUNREACH || e->error == ENETUNREACH)
		return SKY_FAILED_UNREACHABLE;
	if (e->error || e->flags & STABLE_CLOSELESS)
		return SKY_FAILED_OTHER;
	if (e->flags & STABLE_NO_PORT)
		return SKY_FAILED_NO_PORT;
	return errors || e->flags & STABLE_AT_ONCE ? SKY_FAILED_ABANDONED : SKY_FAILED_OTHER;
}

unsigned stable_sums_how(const struct stable_sock *e, bool errors)
{
	if (e->phase == STABLE_CONNECTING)
		return how_failed(e, errors);
	if (e->flags & STABLE_CLOSELESS)
		return SKY_END_UNSEEN;
	if (e->flags & STABLE_RESET_IN)
		return SKY_END_RESET_RECEIVED;
	if (e->error && e->error != ECONNABORTED)
		return SKY_END_TIMED_OUT; /* ETIMEDOUT, or what ICMP said meanwhile */
	if (e->old == FIN_WAIT1 || e->error)
		return SKY_END_RESET_SENT;
	if (e->old == ESTABLISHED || e->old == CLOSE_WAIT)
		return e->flags & STABLE_RESET_OUT ? SKY_END_RESET_SENT : SKY_END_TIMED_OUT;
	return SKY_END_NORMAL;
}

bool stable_sums_rtt_ok(const struct stable_sock *e, const struct sky_totals *t)
{
	return t->tx_segs && t->srtt_us && e->old != FIN_WAIT2 && e->old != CLOSING;
}

unsigned stable_sums_role(const struct diag_sock *d)
{
	const struct tcp_info *i = &d->info;
	uint64_t payload;

	if (!HAS(d, tcpi_bytes_retrans) || i->tcpi_unacked || !d->info_len)
		return SKY_ROLE_UNKNOWN;
	if (d->state == CLOSE) /* SYN and FIN: nobody else has two more than the payload */
		return i->tcpi_bytes_acked == i->tcpi_bytes_sent - i->tcpi_bytes_retrans + 2 ? SKY_ROLE_CLIENT
											     : SKY_ROLE_UNKNOWN;
	if (d->state != ESTABLISHED && d->state != CLOSE_WAIT && d->state != FIN_WAIT2)
		return SKY_ROLE_UNKNOWN;
	payload = i->tcpi_bytes_sent - i->tcpi_bytes_retrans + (d->state == FIN_WAIT2);
	if (i->tcpi_bytes_acked == payload + 1)
		return SKY_ROLE_CLIENT;
	return i->tcpi_bytes_acked == payload ? SKY_ROLE_SERVER : SKY_ROLE_UNKNOWN;
}
