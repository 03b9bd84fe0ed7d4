/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows on a kernel about whose structures nothing is known (no BTF of it anywhere): `stable`.
 *
 * Three things are read, none of which depends on the layout of a struct:
 *  - the hook on classic tracepoints (agent/bpf/stable.bpf.c): who connected, when, how it ended; by cookie once it ended;
 *  - the kernel's message at the destruction of a socket (agent/destroys.h): its last tcp_info, cookie, namespace;
 *  - once an interval a dump of the open sockets (agent/diag.h): tcp_info, cookie, namespace.
 * A connection that lives between two dumps is known whole by the first two, joined by the cookie when the message is read,
 * which is always after the hook's part. One that a dump saw is kept in `conns` by cookie, with what was reported of it;
 * its end adds the rest. A dump finds the hook's part of a new connection by its addresses and ports.
 *
 * What it cannot know, and what is said of that
 *  1. User space pays for each connection (a message of 0.4 kB, three calls), the hook for a look-up more than that of `bpf`.
 *  2. Messages the kernel had no room for (`destroys_dropped`): those connections' bytes since their last dump are lost. Their ends
 *     are known by the hook and counted, in the namespace of their process, or the agent's own.
 *  3. disconnect() clears the socket: who closes with linger 0 has no sums of that connection since its last dump.
 *  4. Events the kernel passed over (agent/bpf/stable.bpf.c): begun or ended unseen; counted, without a process or cause (`recovered`).
 *  5. Not in tcp_info: segments marked lost. Not by the hook: a server's handshake, a failure before the SYN (no_route),
 *     before 5.14 the errors: what timed out or was unreachable is failed_other there.
 *  6. A socket closed by the stack while its program keeps the descriptor is counted as closed when that goes.
 *  7. Two namespaces with the same addresses and ports, both open at a dump: owner and handshake may be the other's.
 * So an open connection's last part may come an interval late, sums are exact all the same but for 2 to 4.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/conns.h"
#include "agent/destroys.h"
#include "agent/diag.h"
#include "agent/opens.h"
#include "agent/source.h"
#include "agent/stable.h"
#include "agent/stable_conn.h"
#include "agent/stable_live.h"
#include "agent/stable_owner.h"
#include "agent/stable_sums.h"
#include "base/clock.h"
#include "base/table.h"
#include "flow/key.h"
#include "flow/stats.h"

#define SCAN_FDS 50000    /* descriptors looked at in one collect */
#define LEFT_US 2000000   /* an end without its message: not waited for any longer */
#define UNSEEN_ROUNDS 60u /* dumps without a connection whose end nobody told */

struct source {
	uint32_t netns[64];
	size_t n_netns;
	uint32_t max_socks;
	struct netns_set ns;
	struct diag_set diag;
	struct destroys *destroys;
	struct stable *hook;
	struct conns *conns;
	struct fdscan *scan;
	struct procs *procs;
	struct stable_owners *owners;
	struct opens *opens;
	struct stable_live *live;
	uint32_t round;
	bool first;
	int64_t now_us; /* the cut; never steps */
	struct source_counts counts;
	uint64_t bad;
	/* of the look under way */
	struct agent_rows *rows;
	uint32_t inum;
};

static void source_stable_close(struct source *s)
{
	if (!s)
		return;
	stable_close(s->hook);
	destroys_free(s->destroys);
	diag_set_deinit(&s->diag);
	netns_set_deinit(&s->ns);
	stable_owners_free(s->owners);
	fdscan_free(s->scan);
	procs_free(s->procs);
	opens_free(s->opens);
	conns_free(s->conns);
	stable_live_free(s->live);
	free(s);
}

/* --- rows */

static struct agent_row *row_of(struct source *s, const struct conn *c)
{
	struct agent_row *row = agent_rows_get(s->rows, &c->key);

	s->counts.lost_rows_user += !row;
	if (row && c->tgid)
		row->val.tgid = c->tgid;
	return row;
}

/* What is known of a connection from its begin: once. */
static void conn_first(struct source *s, struct conn *c, const struct stable_sock *e)
{
	struct agent_row *row;

	if (c->tried)
		return;
	c->tried = 1;
	row = row_of(s, c);
	if (!row)
		return;
	row->val.attempts += c->key.role == SKY_ROLE_CLIENT;
	row->val.opened++;
	agent_row_port(&row->val, c->port);
	if (e && e->syn_ns && e->since_ns > e->syn_ns)
		row->val.handshake[flow_bucket((e->since_ns - e->syn_ns) / 1000)]++;
	if (!e || e->flags & STABLE_PARTIAL)
		s->counts.recovered++;
}

/* An attempt that came to nothing. */
static void failed(struct source *s, uint32_t netns, const struct stable_sock *e, const struct diag_sock *d)
{
	struct conn c = {0};
	struct agent_row *row;

	stable_conn_key(&c, netns, e->local, e->remote);
	stable_conn_role(&c, SKY_ROLE_CLIENT, e->lport, e->rport);
	if (e->tgid)
		stable_owners_client(s->owners, e, &c.key.owner);
	c.tgid = e->tgid;
	row = row_of(s, &c);
	if (!row)
		return;
	row->val.attempts++;
	row->val.retransmitted += d && d->rport ? d->info.tcpi_total_retrans : 0;
	stable_conn_end(&row->val, stable_sums_how(e, stable_knows_errors(s->hook)));
}

/* A connection ended. c: as dumps knew it. d and e, either may be NULL: the kernel's message, the hook's part. */
static void finished(struct source *s, struct conn *c, const struct diag_sock *d, const struct stable_sock *e)
{
	struct sky_totals t = {0};
	struct agent_row *row;

	conn_first(s, c, e);
	s->counts.finalised += !e || e->flags & STABLE_CLOSELESS;
	row = row_of(s, c);
	if (!row)
		return;
	stable_conn_end(&row->val, e ? stable_sums_how(e, stable_knows_errors(s->hook)) : SKY_END_UNSEEN);
	if (e)
		row->val.open_ms += stable_conn_ms(c->until_ms, e->at_ns / 1000000);
	if (d && stable_sums_end(d, e, c->key.role == SKY_ROLE_CLIENT, &t)) {
		stable_conn_add(c, row, &t, e && stable_sums_rtt_ok(e, &t));
		row->val.tx_undelivered += t.undelivered;
	}
}

/* --- ends */

static int on_destroy(void *arg, uint32_t netns, const struct diag_sock *d)
{
	struct source *s = arg;
	struct stable_sock end;
	bool told = stable_take(s->hook, d->cookie, &end);
	struct conn *known = conns_find(s->conns, d->cookie), c = {.id = d->cookie};

	if (told && end.phase == STABLE_CONNECTING) {
		failed(s, netns, &end, d);
		return 0;
	}
	if (!told && !known && (!d->rport || !d->info.tcpi_segs_in || !d->info.tcpi_segs_out))
		return 0; /* it was never connected */
	if (known) {
		c = *known;
		conns_remove(s->conns, known);
	}
	if (!c.known) {
		stable_conn_key(&c, netns, told ? end.local : d->local.b, told ? end.remote : d->remote.b);
		stable_owners_conn(s->owners, &c, told ? &end : NULL, d);
		c.until_ms = told && end.since_ns ? end.since_ns / 1000000 : UINT64_MAX;
	}
	finished(s, &c, d, told ? &end : NULL);
	return 0;
}

/* The namespace of an end that came without the kernel's message; 0: none that is watched. */
static uint32_t left_netns(const struct source *s, const struct stable_sock *e)
{
	uint32_t inum = stable_owners_netns(e->tgid);
	size_t i;

	for (i = 0; inum && i < s->ns.n; i++)
		if (s->ns.v[i].inum == inum)
			return inum;
	return inum || s->n_netns ? 0 : netns_self();
}

static int on_left(void *arg, uint64_t key, const struct stable_sock *e)
{
	struct source *s = arg;
	struct conn *known = e->cookie ? conns_find(s->conns, e->cookie) : NULL, c = {0};
	uint32_t netns;

	if (e->cookie && s->now_us - (int64_t)(e->at_ns / 1000) < LEFT_US)
		return 0;
	stable_forget(s->hook, key);
	if (known && known->known) {
		finished(s, known, NULL, e);
		s->counts.lost_closed_full++;
		conns_remove(s->conns, known);
		return 0;
	}
	netns = left_netns(s, e);
	if (!netns)
		return 0;
	if (e->phase == STABLE_CONNECTING) {
		failed(s, netns, e, NULL);
		return 0;
	}
	stable_conn_key(&c, netns, e->local, e->remote);
	stable_owners_conn(s->owners, &c, e, NULL);
	c.until_ms = e->since_ns ? e->since_ns / 1000000 : UINT64_MAX;
	finished(s, &c, NULL, e);
	s->counts.lost_closed_full += e->cookie != 0;
	return 0;
}

/* --- dumps */

/* A connection no dump has seen before. False: who it is will be known at the next. */
static bool conn_new(struct source *s, struct conn *c, const struct diag_sock *d, bool again)
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
		if (s->rows)
			conn_first(s, c, e);
		return true;
	}
	c->key.flags = FLOW_JOINED;
	c->tried = 1;
	stable_sums_open(d, c->key.role == SKY_ROLE_CLIENT, &t);
	stable_conn_base(c, &t);
	s->counts.adopted++;
	return true;
}

static int on_open(void *arg, const struct diag_sock *d)
{
	struct source *s = arg;
	struct conn *c = conns_find(s->conns, d->cookie);
	bool again = c != NULL;
	struct agent_row *row;

	if (!d->info_len) /* what remains of a socket that waits for the peer's FIN; under a cookie of its own */
		return 0;
	c = c ?: conns_add(s->conns, d->cookie);
	s->counts.lost_socks_full += !c;
	if (!c)
		return 0;
	c->round = s->round;
	if (!c->known && !conn_new(s, c, d, again))
		return 0;
	if (c->key.role == SKY_ROLE_UNKNOWN || (c->key.owner.flags & SKY_OWNER_SCAN && !c->tgid)) {
		uint8_t flags = c->key.flags;

		stable_owners_conn(s->owners, c, NULL, d);
		c->key.flags = flags;
	}
	if (s->rows) {
		conn_first(s, c, NULL);
		row = row_of(s, c);
		if (row)
			stable_conn_sample(c, row, d, (uint64_t)s->now_us / 1000);
	}
	return 0;
}

static int on_listener(void *arg, const struct diag_sock *d)
{
	struct source *s = arg;

	stable_owners_dump(s->owners, s->inum, d);
	return 0;
}

/* Asks for the owner of a socket that is new. */
static int on_new(void *arg, const struct diag_sock *d)
{
	struct source *s = arg;

	if (!conns_find(s->conns, d->cookie))
		(void)fdscan_pid(s->scan, d->inode, s->now_us);
	return 0;
}

static int dump(struct source *s, uint32_t states, bool info, int (*fn)(void *arg, const struct diag_sock *d))
{
	size_t i;
	int r = 0;

	for (i = 0; r == 0 && i < s->diag.n; i++) {
		s->inum = s->diag.v[i].ns.inum;
		r = diag_dump(s->diag.v[i].fd, states, info, fn, s, &s->bad);
		if (r == -EINTR) /* torn: what it missed comes with the next one */
			r = 0;
	}
	return r;
}

/* Connections whose end neither part told: the message was dropped and the event passed over. */
static void sweep(struct source *s)
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

/* Listeners, what ended, what is open. rows NULL: the first look, which only remembers. */
static int look(struct source *s, struct agent_rows *rows)
{
	int r;

	s->rows = rows;
	s->round++;
	stable_live_begin(s->live);
	procs_begin(s->procs);
	stable_owners_begin(s->owners, s->now_us);
	r = stable_listening(s->hook, stable_owners_event, s->owners);
	if (r == 0)
		r = dump(s, DIAG_LISTEN, false, on_listener);
	if (r == 0 && s->first)
		r = dump(s, DIAG_CONNECTED, false, on_new);
	(void)fdscan_step(s->scan, SCAN_FDS, s->now_us);
	if (r == 0 && s->first)
		r = dump(s, DIAG_LISTEN, false, on_listener);
	if (r == 0 && rows)
		r = destroys_read(s->destroys, on_destroy, s);
	if (r == 0)
		r = dump(s, DIAG_CONNECTED, true, on_open);
	if (r == 0 && rows)
		r = stable_ended(s->hook, on_left, s);
	if (r == 0 && rows)
		sweep(s);
	return r;
}

static int follow(struct source *s)
{
	int r = netns_scan(&s->ns, s->netns, s->n_netns);

	if (r == 0)
		r = destroys_follow(s->destroys, &s->ns);
	if (r == 0)
		r = diag_follow(&s->diag, &s->ns);
	return r;
}

static int source_stable_start(struct source *s, char *why, size_t why_len)
{
	int r = conns_new(&s->conns, s->max_socks);

	if (r == 0)
		r = fdscan_new(&s->scan, "/proc", s->max_socks);
	if (r == 0)
		r = procs_new(&s->procs, "/proc", 1024);
	if (r == 0)
		r = stable_owners_new(&s->owners, s->scan, s->procs);
	if (r == 0)
		r = stable_live_new(&s->live);
	if (r == 0)
		r = opens_new(&s->opens, s->netns, s->n_netns);
	if (r == 0)
		r = destroys_new(&s->destroys);
	if (r == 0)
		r = follow(s);
	if (r < 0) {
		snprintf(why, why_len, "sock_diag: %s", diag_error(r));
		return r;
	}
	r = stable_open(&s->hook, s->max_socks, why, why_len);
	if (r < 0)
		return r;
	s->first = true;
	s->now_us = clock_mono_us();
	r = look(s, NULL);
	s->first = false;
	if (r < 0)
		snprintf(why, why_len, "sock_diag: %s", diag_error(r));
	return r;
}

static int source_stable_open(struct source **ret, const struct source_opts *opts, char *why, size_t why_len)
{
	struct source *s = calloc(1, sizeof(*s));
	int r;

	if (!s) {
		snprintf(why, why_len, "out of memory");
		return -ENOMEM;
	}
	s->n_netns = opts->n_netns < ARRAY_LEN(s->netns) ? opts->n_netns : ARRAY_LEN(s->netns);
	memcpy(s->netns, opts->netns, s->n_netns * sizeof(*s->netns));
	s->max_socks = opts->max_socks ? opts->max_socks : SOURCE_SOCKS;
	r = source_stable_start(s, why, why_len);
	if (r < 0) {
		source_stable_close(s);
		return r;
	}
	*ret = s;
	return 0;
}

static void count(struct source *s, struct agent_rows *rows, struct source_counts *ret)
{
	const struct stable_counters *k = stable_counters(s->hook);
	struct source_counts *c = &s->counts;
	size_t i;

	for (i = 0; i < agent_rows_count(rows); i++) {
		const struct agent_row *row = agent_rows_at(rows, i);

		c->attempts += row->val.attempts;
		c->closed += row->val.closed;
		*(row->key.role == SKY_ROLE_CLIENT ? &c->opened_client : &c->opened_server) += row->val.opened;
	}
	c->rows_out += agent_rows_count(rows);
	c->replaced = k->replaced;
	c->lost_update = k->listening_full + k->ended_full + destroys_bad(s->destroys) + s->bad;
	c->socks_open = conns_count(s->conns);
	stable_cost(s->hook, &c->bpf_run_ns, &c->bpf_runs, &c->recursion_misses[0]);
	*ret = *c;
	ret->lost_socks_full += k->socks_full;
	ret->lost_destroys = destroys_dropped(s->destroys);
	ret->lost_closed_full -= c->lost_closed_full < ret->lost_destroys ? c->lost_closed_full : ret->lost_destroys;
}

static int source_stable_collect(struct source *s, int64_t cut_us, struct agent_rows *rows,
				 struct source_counts *ret_counts)
{
	int r;

	s->now_us = cut_us;
	opens_read(s->opens, &s->counts.active_opens, &s->counts.passive_opens);
	r = follow(s);
	if (r == 0)
		r = look(s, rows);
	if (r < 0)
		return r;
	agent_rows_stamp(rows);
	count(s, rows, ret_counts);
	opens_scan(s->opens, cut_us / 1000);
	return 0;
}

/* What ended meanwhile, so that neither the kernel's queue nor the hook's table fills. */
static int source_stable_relieve(struct source *s, struct agent_rows *rows)
{
	int r;

	s->rows = rows;
	r = stable_listening(s->hook, stable_owners_event, s->owners);
	return r < 0 ? r : destroys_read(s->destroys, on_destroy, s);
}

#define BIT(field) (1ull << FLOW_F_##field)

const struct source_ops source_stable = {
	.name = "stable",
	.present = BIT(rows) | BIT(attempts) | BIT(opened) | BIT(closed) | BIT(failed_refused) | BIT(failed_timeout) |
		   BIT(failed_unreachable) | BIT(failed_no_port) | BIT(failed_abandoned) | BIT(failed_other) |
		   BIT(reset_received) | BIT(reset_sent) | BIT(timed_out) | BIT(open_ms) | BIT(tx_bytes) |
		   BIT(rx_bytes) | BIT(tx_undelivered) | BIT(tx_segs) | BIT(rx_segs) | BIT(retransmitted) | BIT(dsack) |
		   BIT(delivered_ce) | BIT(srtt) | BIT(jitter_us) | BIT(queue_us) | BIT(cwnd_segs) | BIT(rtt_samples) |
		   BIT(handshake) | BIT(busy_us) | BIT(rwnd_limited_us) | BIT(sndbuf_limited_us) | BIT(turn_self) |
		   BIT(turn_peer) | BIT(turn_samples),
	.open = source_stable_open,
	.collect = source_stable_collect,
	.relieve = source_stable_relieve,
	.close = source_stable_close,
};
