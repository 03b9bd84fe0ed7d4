/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows on a kernel about whose structures nothing is known (no BTF of it anywhere): `stable`.
 *
 * Three things are read, none of which depends on the layout of a struct:
 *  - the hook on tracepoints, classic and raw (agent/bpf/stable.bpf.c): who connected, when, how it ended; by cookie once it
 *    ended, by addresses and ports where no program learned the cookie;
 *  - the kernel's message at the destruction of a socket (agent/destroys.h): its last tcp_info, cookie, namespace;
 *  - once an interval a dump of the open sockets (agent/diag.h): tcp_info, cookie, namespace.
 * A connection that lives between two dumps is known whole by the first two, joined by the cookie when the message is read,
 * which is always after the hook's part; a message that finds none waits for the end of the look, where the hook's sockets are gone
 * through for its addresses and ports (agent/stable_live.h). One that a dump saw is kept in `conns` by cookie, with what was reported of it;
 * its end adds the rest. A dump finds the hook's part of a new connection by its addresses and ports.
 *
 * What it cannot know, and what is said of that
 *  1. User space pays for each connection (a message of 0.4 kB, three calls), the hook for a look-up more than that of `bpf`.
 *  2. Messages the kernel had no room for (`destroys_dropped`): those connections' bytes since their last dump are lost. Their ends
 *     are known by the hook and counted, in the namespace of their process, or the agent's own.
 *  3. disconnect() clears the socket: who closes with linger 0 has no sums of that connection since its last dump.
 *  4. Events that reached neither kind of program (agent/bpf/stable.bpf.c): begun or ended unseen; counted, without a process or
 *     cause (`recovered`, `finalised`), bytes sent exact, those received off by one at most (`fin_guessed`).
 *  5. Not in tcp_info: segments marked lost. Not by the hook: a server's handshake, a failure before the SYN (no_route),
 *     before 5.14 the errors: what timed out or was unreachable is failed_other there.
 *  6. A socket closed by the stack while its program keeps the descriptor is counted as closed when that goes.
 *  7. Two namespaces with the same addresses and ports, both open at a dump: owner and handshake may be the other's.
 * So an open connection's last part may come an interval late, sums are exact all the same but for 2 to 4.
 *
 * Translated addresses: each connection is asked about by itself (agent/nat.h), those that live between two dumps when
 * their end is told. An address that stands for others needs no rows of its own here.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/budget.h"
#include "agent/cost.h"
#include "agent/destroys.h"
#include "agent/diag.h"
#include "agent/opens.h"
#include "agent/source.h"
#include "agent/stable.h"
#include "agent/stable_rows.h"
#include "base/clock.h"
#include "base/table.h"
#include "flow/key.h"
#include "flow/stats.h"

#define SCAN_FDS 50000 /* descriptors looked at in one collect */

struct source {
	uint32_t netns[64];
	size_t n_netns;
	uint32_t max_socks;
	struct netns_set ns;
	struct diag_set diag;
	struct destroys *destroys;
	struct fdscan *scan;
	struct procs *procs;
	struct opens *opens;
	struct stable_rows to;
	struct source_counts counts;
	struct cost cost;
	unsigned walk_every, walks; /* open ones are listed each so many collects; collects since */
	bool bypass;
	uint64_t bad;
};

static void source_stable_close(struct source *s)
{
	if (!s)
		return;
	cost_deinit(&s->cost);
	stable_close(s->to.hook);
	destroys_free(s->destroys);
	diag_set_deinit(&s->diag);
	netns_set_deinit(&s->ns);
	stable_owners_free(s->to.owners);
	fdscan_free(s->scan);
	procs_free(s->procs);
	opens_free(s->opens);
	conns_free(s->to.conns);
	stable_live_free(s->to.live);
	stable_rows_deinit(&s->to);
	free(s);
}

/* One that is gone is told once more. */
static int on_listening(void *arg, uint64_t key, const void *value)
{
	const struct stable_listener *l = value;
	struct source *s = arg;

	if (l->gone_ns)
		stable_forget_listener(s->to.hook, key);
	return stable_owners_event(s->to.owners, l);
}

static int on_listener(void *arg, const struct diag_sock *d)
{
	struct source *s = arg;

	stable_owners_dump(s->to.owners, s->to.inum, d);
	return 0;
}

/* Asks for the owner of a socket that is new. */
static int on_new(void *arg, const struct diag_sock *d)
{
	struct source *s = arg;

	if (!conns_find(s->to.conns, d->cookie))
		(void)fdscan_pid(s->scan, d->inode, s->to.now_us);
	return 0;
}

static int dump(struct source *s, uint32_t states, bool info, int (*fn)(void *arg, const struct diag_sock *d),
		void *arg)
{
	size_t i;
	int r = 0;

	for (i = 0; r == 0 && i < s->diag.n; i++) {
		s->to.inum = s->diag.v[i].ns.inum;
		r = diag_dump(s->diag.v[i].fd, states, info, fn, arg, &s->bad);
		if (r == -EINTR) /* torn: what it missed comes with the next one */
			r = 0;
	}
	return r;
}

static bool due(struct source *s)
{
	if (!s->to.first && ++s->walks < s->walk_every)
		return false;
	s->walks = 0;
	return true;
}

/* Listeners, what ended, what is open. rows NULL: the first look, which only remembers. */
static int look(struct source *s, struct agent_rows *rows)
{
	bool open = due(s);
	int r;

	s->to.rows = rows;
	s->to.round += open;
	stable_rows_begin(&s->to);
	stable_live_begin(s->to.live);
	procs_begin(s->procs);
	stable_owners_begin(s->to.owners, s->to.now_us);
	r = stable_listening(s->to.hook, on_listening, s);
	if (r == 0 && open)
		r = dump(s, DIAG_LISTEN, false, on_listener, s);
	if (r == 0 && s->to.first)
		r = dump(s, DIAG_CONNECTED, false, on_new, s);
	(void)fdscan_step(s->scan, SCAN_FDS, s->to.now_us);
	if (r == 0 && s->to.first)
		r = dump(s, DIAG_LISTEN, false, on_listener, s);
	if (r == 0 && rows)
		r = destroys_read(s->destroys, stable_rows_destroyed, &s->to);
	if (r == 0 && open)
		r = dump(s, DIAG_CONNECTED, true, stable_rows_open, &s->to);
	if (r == 0 && rows)
		r = stable_rows_join(&s->to);
	if (r == 0 && rows &&
	    !destroys_behind(s->destroys)) { /* else an end would be told now, and by its message again */
		r = stable_ended(s->to.hook, stable_rows_left, &s->to);
		stable_rows_alone(&s->to);
	}
	if (r == 0 && rows && open)
		stable_rows_sweep(&s->to);
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

/* What is open now is older than we are. */
static int begin(struct source *s)
{
	int r;

	s->to.first = true;
	s->to.now_us = clock_mono_us();
	r = look(s, NULL);
	s->to.first = false;
	return r;
}

static int source_stable_start(struct source *s, char *why, size_t why_len)
{
	int r = conns_new(&s->to.conns, s->max_socks);

	if (r == 0)
		r = fdscan_new(&s->scan, "/proc", s->max_socks);
	if (r == 0)
		r = procs_new(&s->procs, "/proc", 1024);
	if (r == 0)
		r = stable_owners_new(&s->to.owners, s->scan, s->procs);
	if (r == 0)
		r = stable_live_new(&s->to.live);
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
	r = stable_open(&s->to.hook, s->max_socks, why, why_len);
	if (r < 0)
		return r;
	r = begin(s);
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
	s->to.ns = &s->ns;
	s->to.all_netns = s->n_netns == 0;
	s->to.counts = &s->counts;
	s->to.nat = opts->nat;
	s->max_socks = opts->max_socks ? opts->max_socks : SOURCE_SOCKS;
	s->walk_every = 1;
	cost_init(&s->cost);
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
	const struct stable_counters *k = stable_counters(s->to.hook);
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
	c->socks_open = conns_count(s->to.conns);
	stable_cost(s->to.hook, &c->bpf_run_ns, &c->bpf_runs, &c->recursion_misses[0]);
	cost_interval(&s->cost, c->bpf_run_ns, c->attempts + c->opened_client + c->opened_server + c->closed,
		      clock_mono_us());
	c->hook_ns = s->cost.ns;
	c->hook_estimated_ns = s->cost.estimated_ns;
	*ret = *c;
	ret->lost_socks_full += k->socks_full;
	ret->lost_destroys = destroys_dropped(s->destroys);
	ret->lost_closed_full -= c->lost_closed_full < ret->lost_destroys ? c->lost_closed_full : ret->lost_destroys;
}

static int source_stable_collect(struct source *s, int64_t cut_us, struct agent_rows *rows,
				 struct source_counts *ret_counts)
{
	int r;

	s->to.now_us = cut_us;
	opens_read(s->opens, &s->counts.active_opens, &s->counts.passive_opens);
	r = s->bypass ? 0 : follow(s);
	if (r == 0 && !s->bypass)
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

	if (s->bypass)
		return 0;
	s->to.rows = rows;
	r = stable_listening(s->to.hook, on_listening, s);
	return r < 0 ? r : destroys_read(s->destroys, stable_rows_destroyed, &s->to);
}

/* Bypass: the programs return at once, nobody listens to the kernel, so it makes no messages; nothing is listed. Coming back is
 * starting anew. */
static int source_stable_ease(struct source *s, const struct budget_step *step)
{
	bool was = s->bypass;
	int r = 0;

	s->walk_every = step->walk_every;
	s->bypass = step->bypass;
	if (s->bypass && !was) {
		stable_bypass(s->to.hook, true);
		destroys_silence(s->destroys);
		stable_rows_forget(&s->to);
	} else if (was && !s->bypass) {
		r = follow(s);
		stable_bypass(s->to.hook, false);
		if (r == 0)
			r = begin(s);
	}
	return r;
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
	.ease = source_stable_ease,
	.eases = 1u << BUDGET_WALK_2 | 1u << BUDGET_WALK_4 | 1u << BUDGET_BYPASS,
	.close = source_stable_close,
};
