/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/stable_rows.h"

#include <stdlib.h>
#include <string.h>

#include "agent/stable_conn.h"
#include "agent/stable_sums.h"
#include "base/clock.h"
#include "flow/key.h"
#include "flow/stats.h"

#define LEFT_US 2000000   /* an end without its message: not waited for any longer */
#define UNSEEN_ROUNDS 60u /* dumps without a connection whose end nobody told */

#define LATE_MAX 4096 /* messages that wait for the end of a look */

struct stable_late {
	uint32_t netns; /* 0: done */
	struct diag_sock d;
};

void stable_rows_deinit(struct stable_rows *s)
{
	free(s->late);
}

/* --- rows */

void stable_rows_begin(struct stable_rows *s)
{
	s->told_us = clock_mono_us();
	nat_refresh(s->nat);
}

/* A connection is asked about that was established then (0: unknown). */
static void told_by(struct stable_rows *s, uint64_t since_ns)
{
	if (s->nat && (!since_ns || (int64_t)(since_ns / 1000) >= s->told_us))
		stable_rows_begin(s);
}

/* Its row, under its tuple on the wire once that is known. */
static struct agent_row *row_of(struct stable_rows *s, struct conn *c, bool live)
{
	struct agent_row *row;

	if (c->settled < CONN_SETTLED && c->key.role != SKY_ROLE_UNKNOWN)
		c->settled = nat_conn(s->nat, &c->key, &c->port, live) ? CONN_SETTLED : c->settled + 1;
	row = agent_rows_get(s->rows, &c->key);
	s->counts->lost_rows_user += !row;
	if (row && c->tgid)
		row->val.tgid = c->tgid;
	return row;
}

/* What is known of a connection from its begin: once. */
static void conn_first(struct stable_rows *s, struct conn *c, const struct stable_sock *e, bool live)
{
	struct agent_row *row;

	if (c->tried)
		return;
	c->tried = 1;
	row = row_of(s, c, live);
	if (!row)
		return;
	row->val.attempts += c->key.role == SKY_ROLE_CLIENT;
	row->val.opened++;
	agent_row_port(&row->val, c->port);
	if (e && e->syn_ns && e->since_ns > e->syn_ns)
		row->val.handshake[flow_bucket((e->since_ns - e->syn_ns) / 1000)]++;
	if (!e || e->flags & STABLE_PARTIAL)
		s->counts->recovered++;
}

/* An attempt that came to nothing. */
static void failed(struct stable_rows *s, uint32_t netns, const struct stable_sock *e, const struct diag_sock *d)
{
	struct conn c = {0};
	struct agent_row *row;

	stable_conn_key(&c, netns, e->local, e->remote);
	stable_conn_role(&c, SKY_ROLE_CLIENT, e->lport, e->rport);
	if (e->tgid)
		stable_owners_client(s->owners, e, &c.key.owner);
	c.tgid = e->tgid;
	if (!c.port) {
		nat_attempt(s->nat, &c.key);
		c.settled = CONN_SETTLED;
	}
	row = row_of(s, &c, false);
	if (!row)
		return;
	row->val.attempts++;
	row->val.retransmitted += d && d->rport ? d->info.tcpi_total_retrans : 0;
	stable_conn_end(&row->val, stable_sums_how(e, stable_knows_errors(s->hook)));
}

/* A connection ended. c: as dumps knew it. d and e, either may be NULL: the kernel's message, the hook's part. */
static void finished(struct stable_rows *s, struct conn *c, const struct diag_sock *d, const struct stable_sock *e)
{
	struct sky_totals t = {0};
	struct agent_row *row;

	conn_first(s, c, e, false);
	s->counts->finalised += !e || e->flags & STABLE_CLOSELESS;
	row = row_of(s, c, false);
	if (!row)
		return;
	stable_conn_end(&row->val, e ? stable_sums_how(e, stable_knows_errors(s->hook)) : SKY_END_UNSEEN);
	if (e)
		row->val.open_ms += stable_conn_ms(c->until_ms, e->at_ns / 1000000);
	if (d && stable_sums_end(d, e, c->key.role == SKY_ROLE_CLIENT, &t)) {
		stable_conn_add(c, row, &t, e && stable_sums_rtt_ok(e, &t));
		row->val.tx_undelivered += t.undelivered;
		s->counts->fin_guessed += stable_sums_guess(d, e);
	}
}

/* --- ends */

/* What the message tells of what the hook missed. */
static void mend(struct stable_sock *e, const struct diag_sock *d)
{
	if (e->flags & STABLE_UNNAMED && d->rport) {
		memcpy(e->local, d->local.b, sizeof(e->local));
		memcpy(e->remote, d->remote.b, sizeof(e->remote));
		e->rport = d->rport;
		if (e->phase == STABLE_OPEN)
			e->lport = d->lport;
		e->flags &= (uint16_t)~STABLE_UNNAMED;
	}
	if (e->phase == STABLE_CONNECTING && e->flags & STABLE_CLOSELESS && d->info.tcpi_bytes_acked) {
		e->phase = STABLE_OPEN; /* its SYN was acknowledged */
		e->flags |= STABLE_PARTIAL;
	}
}

/* e: the hook's part, NULL if there is none. */
static void destroyed(struct stable_rows *s, uint32_t netns, const struct diag_sock *d, struct stable_sock *e)
{
	struct conn *known = conns_find(s->conns, d->cookie), c = {.id = d->cookie};

	told_by(s, !e ? 0 : e->since_ns ? e->since_ns : e->at_ns);
	if (e)
		mend(e, d);
	if (e && e->phase == STABLE_CONNECTING) {
		failed(s, netns, e, d);
		return;
	}
	if (!e && !known && (!d->info.tcpi_segs_in || !d->info.tcpi_segs_out))
		return; /* it was never connected */
	if (known) {
		c = *known;
		conns_remove(s->conns, known);
	}
	if (!c.known) {
		stable_conn_key(&c, netns, e ? e->local : d->local.b, e ? e->remote : d->remote.b);
		stable_owners_conn(s->owners, &c, e, d);
		c.until_ms = e && e->since_ns ? e->since_ns / 1000000 : UINT64_MAX;
	}
	finished(s, &c, d, e);
}

/* False: no room. */
static bool late_add(struct stable_rows *s, uint32_t netns, const struct diag_sock *d)
{
	if (s->n_late == s->max_late) {
		size_t max = s->max_late ? s->max_late * 2 : 64;
		struct stable_late *v = max > LATE_MAX ? NULL : reallocarray(s->late, max, sizeof(*v));

		if (!v)
			return false;
		s->late = v;
		s->max_late = max;
	}
	s->late[s->n_late++] = (struct stable_late){.netns = netns, .d = *d};
	return true;
}

int stable_rows_destroyed(void *arg, uint32_t netns, const struct diag_sock *d)
{
	struct stable_rows *s = arg;
	struct stable_sock end;

	if (stable_take(s->hook, d->cookie, &end)) {
		destroyed(s, netns, d, &end);
		return 0;
	}
	if (!d->rport && !conns_find(s->conns, d->cookie))
		return 0; /* it never connected */
	if (!late_add(s, netns, d)) {
		s->n_hurried += d->rport && d->info.tcpi_segs_in && d->info.tcpi_segs_out;
		destroyed(s, netns, d, NULL);
	}
	return 0;
}

/* Messages that wait for the hook's part get it: destroyed sockets whose port it knows, or those without. How many do not. */
static size_t join(struct stable_rows *s, bool port)
{
	struct stable_sock end;
	size_t i, left = 0;

	for (i = 0; i < s->n_late; i++) {
		struct stable_late *late = &s->late[i];

		if (!late->netns)
			continue;
		left++;
		if (!stable_live_take(s->live, s->hook, &late->d, port, &end))
			continue;
		destroyed(s, late->netns, &late->d, &end);
		late->netns = 0;
		left--;
	}
	return left;
}

void stable_rows_forget(struct stable_rows *s)
{
	size_t i;

	for (i = 0; i < conns_places(s->conns); i++) {
		struct conn *c = conns_at(s->conns, i);

		if (c)
			conns_remove(s->conns, c);
	}
	s->n_late = s->n_hurried = 0;
}

/* The message of an ended socket whose cookie no program learned; NULL: the kernel had no room for it. */
static struct stable_late *late_of(struct stable_rows *s, const struct stable_sock *e)
{
	size_t i;

	for (i = 0; i < s->n_late && stable_live_may(e); i++)
		if (s->late[i].netns && stable_live_same(e, &s->late[i].d))
			return &s->late[i];
	return NULL;
}

/* An ended one whose cookie no program learned and whose port one did. */
static int join_ended(void *arg, uint64_t key, const void *value)
{
	const struct stable_sock *e = value;
	struct stable_rows *s = arg;
	struct stable_late *late = e->cookie || !e->lport ? NULL : late_of(s, e);
	struct stable_sock end = *e;

	if (!late)
		return 0;
	stable_forget(s->hook, key);
	destroyed(s, late->netns, &late->d, &end);
	late->netns = 0;
	return 0;
}

/* A part without a port fits the message of each connection with that peer, so it is given to one of those for which there is no
 * other: else somebody's own part is left over, and told as one more. Sockets go from the hook's first table to its second, so
 * they are looked for in that order. */
int stable_rows_join(struct stable_rows *s)
{
	int r;

	if (!join(s, true))
		return 0;
	r = stable_ended(s->hook, join_ended, s);
	if (r == 0)
		join(s, false);
	return r;
}

/* A connection whose message is told alone: neither its CLOSE nor its destruction reached a program, and its address is another's by
 * now; or there was no room for the message to wait for it. Which of those it was is not known, but how many. An attempt's
 * message says too little to be told alone. */
static bool told_alone(struct stable_rows *s, const struct stable_sock *e)
{
	if (e->phase != STABLE_OPEN || e->cookie)
		return false;
	if (e->flags & STABLE_GONE)
		return s->n_hurried && s->n_hurried--;
	return e->flags & STABLE_CLOSELESS;
}

/* The namespace of an end that came without the kernel's message; 0: none that is watched. */
static uint32_t left_netns(const struct stable_rows *s, const struct stable_sock *e)
{
	uint32_t inum = stable_owners_netns(e->tgid);
	size_t i;

	for (i = 0; inum && i < s->ns->n; i++)
		if (s->ns->v[i].inum == inum)
			return inum;
	return inum || !s->all_netns ? 0 : netns_self();
}

/* An end whose message did not come, or tells nothing. */
static void left(struct stable_rows *s, const struct stable_sock *e)
{
	struct conn *known = e->cookie ? conns_find(s->conns, e->cookie) : NULL, c = {0};
	uint32_t netns;

	if (!e->rport || told_alone(s, e)) /* no name: of another protocol, or told alone as well */
		return;
	told_by(s, e->since_ns ? e->since_ns : e->at_ns);
	if (known && known->known) {
		finished(s, known, NULL, e);
		s->counts->lost_closed_full++;
		conns_remove(s->conns, known);
		return;
	}
	netns = left_netns(s, e);
	if (!netns)
		return;
	if (e->phase == STABLE_CONNECTING) {
		failed(s, netns, e, NULL);
		return;
	}
	stable_conn_key(&c, netns, e->local, e->remote);
	stable_owners_conn(s->owners, &c, e, NULL);
	c.until_ms = e->since_ns ? e->since_ns / 1000000 : UINT64_MAX;
	finished(s, &c, NULL, e);
	s->counts->lost_closed_full += e->cookie != 0;
}

int stable_rows_left(void *arg, uint64_t key, const void *value)
{
	const struct stable_sock *e = value;
	struct stable_rows *s = arg;
	struct stable_late *late = e->cookie ? NULL : late_of(s, e);
	struct stable_sock end = *e;

	if (!late && (e->cookie || e->flags & STABLE_GONE) &&
	    s->now_us - (int64_t)((e->gone_ns ?: e->at_ns) / 1000) < LEFT_US)
		return 0;
	stable_forget(s->hook, key);
	if (!late) {
		left(s, e);
		return 0;
	}
	destroyed(s, late->netns, &late->d, &end);
	late->netns = 0;
	return 0;
}

void stable_rows_alone(struct stable_rows *s)
{
	struct stable_sock end;
	size_t i, at = 0;

	for (i = 0; i < s->n_late; i++)
		if (s->late[i].netns)
			destroyed(s, s->late[i].netns, &s->late[i].d, NULL);
	s->n_late = 0;
	while (stable_live_take_old(s->live, s->hook, &at, s->now_us - LEFT_US, &end))
		left(s, &end);
}

/* --- dumps */

/* A connection no dump has seen before. False: who it is will be known at the next. */
static bool conn_new(struct stable_rows *s, struct conn *c, const struct diag_sock *d, bool again)
{
	const struct stable_sock *e = stable_live_find(s->live, s->hook, d);
	struct sky_totals t;

	if (!e && !again && !s->first)
		return false; /* it opened after the hook's entries were read */
	stable_conn_key(c, s->inum, d->local.b, d->remote.b);
	stable_owners_conn(s->owners, c, e, d);
	c->until_ms = e && e->since_ns ? e->since_ns / 1000000 : (uint64_t)s->now_us / 1000;
	c->known = 1;
	if (e || !s->first) {
		told_by(s, e ? e->since_ns : 0);
		if (s->rows)
			conn_first(s, c, e, true);
		return true;
	}
	c->key.flags = FLOW_JOINED;
	c->tried = 1;
	stable_sums_open(d, c->key.role == SKY_ROLE_CLIENT, true, &t);
	stable_conn_base(c, &t);
	s->counts->adopted++;
	return true;
}

int stable_rows_open(void *arg, const struct diag_sock *d)
{
	struct stable_rows *s = arg;
	struct conn *c = conns_find(s->conns, d->cookie);
	bool again = c != NULL;
	struct agent_row *row;

	if (!d->info_len) /* what remains of a socket that waits for the peer's FIN; under a cookie of its own */
		return 0;
	c = c ?: conns_add(s->conns, d->cookie);
	s->counts->lost_socks_full += !c;
	if (!c)
		return 0;
	c->round = s->round;
	if (!c->known && !conn_new(s, c, d, again))
		return 0;
	if (c->key.role == SKY_ROLE_UNKNOWN) {
		uint8_t flags = c->key.flags;

		stable_owners_conn(s->owners, c, NULL, d);
		c->key.flags = flags;
	} else if (c->key.owner.flags & SKY_OWNER_SCAN && !c->tgid) {
		stable_owners_scan(s->owners, d, &c->key.owner,
				   &c->tgid); /* its addresses may be those on the wire by now */
	}
	if (s->rows) {
		conn_first(s, c, NULL, true);
		row = row_of(s, c, true);
		if (row)
			stable_conn_sample(c, row, d, (uint64_t)s->now_us / 1000);
	}
	return 0;
}

/* Connections whose end neither part told: the message was dropped and the event passed over. */
void stable_rows_sweep(struct stable_rows *s)
{
	size_t i;

	for (i = 0; i < conns_places(s->conns); i++) {
		struct conn *c = conns_at(s->conns, i);

		if (!c || s->round - c->round < UNSEEN_ROUNDS)
			continue;
		if (c->known)
			finished(s, c, NULL, NULL);
		conns_remove(s->conns, c);
	}
}
