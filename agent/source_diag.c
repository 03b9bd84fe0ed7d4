/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows out of sock_diag dumps alone: needs no privilege in one's own namespace and no BPF.
 *
 * Once an interval all connected TCP sockets are listed with their tcp_info; what moved since the last
 * list, by socket cookie, is added to the socket's row. What this cannot see, and what is said of it:
 * 1. A connection that lives between two lists is in no row (the kernel's ActiveOpens and PassiveOpens show how many).
 * 2. What a connection did between its last list and its end is lost: bytes are a lower bound.
 * 3. Failures, resets, handshake times and losses have no place in tcp_info: not in `present`.
 * 4. The owner is whoever holds the descriptor (a scan of /proc), or the socket's cgroup.
 *
 * The role (law L4) is observed: the kernel counts a client's SYN as an acknowledged byte, so bytes_acked is one more
 * than the payload of a client and not of a server, whenever nothing is in flight. Until a socket was seen so, a
 * listener on its local port makes it a server, else its role is unknown.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/budget.h"
#include "agent/diag.h"
#include "agent/fdscan.h"
#include "agent/nat.h"
#include "agent/opens.h"
#include "agent/procs.h"
#include "agent/source.h"
#include "agent/stable_sums.h"
#include "base/clock.h"
#include "base/hash.h"
#include "flow/key.h"
#include "flow/stats.h"

#define DIAG_ASKS 3         /* a namespace's translations may be read later than its first connection */
#define DIAG_SCAN_FDS 50000 /* descriptors looked at in one collect */

enum { TCP_FIN_WAIT2 = 5, TCP_CLOSE_WAIT = 8, TCP_LAST_ACK = 9, TCP_CLOSING = 11 }; /* linux/tcp_states.h */

/* What tcp_info said at the last list. */
struct diag_last {
	uint64_t tx, rx, busy, rwnd, sndbuf;
	uint32_t tx_segs, rx_segs, retrans, dsack, ce;
};

struct diag_conn {
	uint64_t cookie;
	struct sky_row_key key; /* role SKY_ROLE_UNKNOWN until settled */
	struct diag_last last;
	uint32_t inode;
	uint16_t lport, rport, wire_port;
	bool seen, counted_open, translated;
	uint8_t asked;           /* times it was looked up for a translated address */
	struct sky_row_key wire; /* translated: its key on the wire */
};

struct diag_listener {
	uint32_t netns;
	uint16_t port;
};

struct source {
	uint32_t netns[64];
	size_t n_netns;
	uint32_t max_socks;
	struct nat *nat;
	struct netns_set ns;
	struct diag_set diag;
	struct fdscan *scan;
	struct procs *procs;
	struct opens *opens;
	struct diag_conn *v;
	size_t n;
	uint32_t *index; /* of v, + 1, by cookie */
	size_t mask;
	struct diag_listener *listeners;
	size_t n_listeners, cap_listeners;
	unsigned walk_every, walks; /* a list each so many collects; collects since */
	bool bypass, first;
	int64_t former_us, now_us; /* of the lists; never steps */
	struct source_counts counts;
	/* of the list under way */
	struct agent_rows *rows;
	uint32_t inum;
	uint64_t bad;
};

static void source_diag_close(struct source *s)
{
	if (!s)
		return;
	diag_set_deinit(&s->diag);
	netns_set_deinit(&s->ns);
	fdscan_free(s->scan);
	procs_free(s->procs);
	opens_free(s->opens);
	free(s->listeners);
	free(s->index);
	free(s->v);
	free(s);
}

static size_t diag_slot(const struct source *s, uint64_t cookie)
{
	size_t i = hash64(&cookie, sizeof(cookie)) & s->mask;

	for (; s->index[i] && s->v[s->index[i] - 1].cookie != cookie; i = (i + 1) & s->mask)
		;
	return i;
}

static bool diag_listens(const struct source *s, uint32_t netns, uint16_t port)
{
	size_t i;

	for (i = 0; i < s->n_listeners; i++)
		if (s->listeners[i].netns == netns && s->listeners[i].port == port)
			return true;
	return false;
}

static int diag_on_listener(void *arg, const struct diag_sock *d)
{
	struct source *s = arg;
	struct diag_listener *v;

	if (s->n_listeners == s->cap_listeners) {
		size_t cap = s->cap_listeners ? s->cap_listeners * 2 : 64;

		v = reallocarray(s->listeners, cap, sizeof(*v));
		if (!v)
			return -ENOMEM;
		s->listeners = v;
		s->cap_listeners = cap;
	}
	if (!diag_listens(s, s->inum, d->lport))
		s->listeners[s->n_listeners++] = (struct diag_listener){s->inum, d->lport};
	return 0;
}

#define HAS(d, field) ((d)->info_len >= offsetof(struct tcp_info, field) + sizeof((d)->info.field))

static uint8_t diag_role(const struct source *s, const struct diag_sock *d, uint8_t former)
{
	uint8_t role = former != SKY_ROLE_UNKNOWN ? former : (uint8_t)stable_sums_role(d);

	return role == SKY_ROLE_UNKNOWN && diag_listens(s, s->inum, d->lport) ? SKY_ROLE_SERVER : role;
}

static void diag_role_set(struct diag_conn *c, uint8_t role)
{
	c->key.role = role;
	c->key.service_port = role == SKY_ROLE_CLIENT ? c->rport : c->lport;
	c->key.other_port = role == SKY_ROLE_UNKNOWN ? c->rport : 0;
}

static struct diag_last diag_totals(const struct diag_sock *d, uint8_t role)
{
	const struct tcp_info *t = &d->info;
	struct diag_last l = {
		.retrans = t->tcpi_total_retrans,
		.tx_segs = t->tcpi_data_segs_out,
		.rx_segs = t->tcpi_data_segs_in,
		.tx = t->tcpi_bytes_acked,
		.rx = t->tcpi_bytes_received,
		.busy = t->tcpi_busy_time,
		.rwnd = t->tcpi_rwnd_limited,
		.sndbuf = t->tcpi_sndbuf_limited,
		.dsack = t->tcpi_dsack_dups,
		.ce = t->tcpi_delivered_ce,
	};
	uint64_t control =
		(role == SKY_ROLE_CLIENT) + (d->state == TCP_FIN_WAIT2); /* SYN and FIN count as a byte each */

	l.tx -= l.tx < control ? l.tx : control;
	control = d->state == TCP_CLOSE_WAIT || d->state == TCP_LAST_ACK || d->state == TCP_CLOSING;
	l.rx -= l.rx < control ? l.rx : control;
	return l;
}

/* Counters never go back, but our correction for SYN and FIN may be late by one. */
#define GROWN(field) (now.field > c->last.field ? now.field - c->last.field : 0)

/* Its row, under its tuple on the wire once that is known, and its ephemeral port there. */
static struct agent_row *diag_row(struct source *s, struct diag_conn *c, uint16_t *ret_port)
{
	struct sky_row_key key;

	*ret_port = c->key.role == SKY_ROLE_CLIENT ? c->lport : c->rport;
	if (!c->translated && c->asked < DIAG_ASKS && c->key.role != SKY_ROLE_UNKNOWN) {
		if (!c->asked++)
			nat_refresh(s->nat);
		c->wire = c->key;
		c->wire_port = *ret_port;
		c->translated = nat_conn(s->nat, &c->wire, &c->wire_port, true);
	}
	if (!c->translated)
		return agent_rows_get(s->rows, &c->key);
	key = c->wire;
	key.owner = c->key.owner;
	*ret_port = c->wire_port;
	return agent_rows_get(s->rows, &key);
}

static void diag_add(struct source *s, struct diag_conn *c, const struct diag_sock *d, const struct diag_last *now_p)
{
	const struct diag_last now = *now_p;
	const struct tcp_info *t = &d->info;
	uint16_t port;
	struct agent_row *row = diag_row(s, c, &port);
	struct sky_row_value *v;
	bool moved;

	if (!row) {
		s->counts.lost_rows_user++;
		return;
	}
	v = &row->val;
	if (!c->counted_open) {
		v->opened++;
		*(c->key.role == SKY_ROLE_CLIENT ? &s->counts.opened_client : &s->counts.opened_server) += 1;
		c->counted_open = true;
		if (c->key.role != SKY_ROLE_UNKNOWN)
			agent_row_port(v, port);
	} else {
		v->open_ms += (uint64_t)(s->now_us - s->former_us) / 1000;
	}
	moved = GROWN(tx_segs) || GROWN(rx_segs);
	v->tx_bytes += GROWN(tx);
	v->rx_bytes += GROWN(rx);
	v->tx_segs += GROWN(tx_segs);
	v->rx_segs += GROWN(rx_segs);
	v->retransmitted += GROWN(retrans);
	v->dsack += GROWN(dsack);
	v->delivered_ce += GROWN(ce);
	v->busy_us += GROWN(busy);
	v->rwnd_limited_us += GROWN(rwnd);
	v->sndbuf_limited_us += GROWN(sndbuf);
	v->tgid = c->key.owner.tgid;
	if (!moved)
		return;
	v->srtt[flow_bucket(t->tcpi_rtt)]++;
	v->rtt_samples++;
	v->jitter_us += t->tcpi_rttvar; /* the kernel puts mdev_us / 4 here */
	v->cwnd_segs += t->tcpi_snd_cwnd;
	if (HAS(d, tcpi_min_rtt) && t->tcpi_min_rtt < t->tcpi_rtt)
		v->queue_us += t->tcpi_rtt - t->tcpi_min_rtt;
	v->turn_samples++;
	v->turn_self += t->tcpi_last_data_recv < t->tcpi_last_data_sent;
	v->turn_peer += t->tcpi_last_data_sent < t->tcpi_last_data_recv;
}

static void diag_owner(struct source *s, struct diag_conn *c, const struct diag_sock *d)
{
	struct sky_owner o = {.cgroup = d->cgroup, .flags = SKY_OWNER_SCAN};
	uint32_t pid = fdscan_pid(s->scan, c->inode, s->now_us);
	const struct procs_one *p = pid ? procs_get(s->procs, pid, NULL) : NULL;

	if (p) {
		memcpy(o.comm, p->comm, sizeof(o.comm));
		if (o.cgroup <= 1)
			o.tgid = pid;
	}
	c->key.owner = o;
}

static int diag_on_conn(void *arg, const struct diag_sock *d)
{
	struct source *s = arg;
	size_t slot = diag_slot(s, d->cookie);
	struct diag_conn *c;
	struct diag_last now;
	bool new = !s->index[slot];

	if (!d->info_len) /* what remains of a socket that waits for the peer's FIN; under a cookie of its own */
		return 0;
	if (new) {
		if (s->n == s->max_socks) {
			s->counts.lost_socks_full++;
			return 0;
		}
		c = &s->v[s->n++];
		s->index[slot] = (uint32_t)s->n;
		*c = (struct diag_conn){
			.cookie = d->cookie, .lport = d->lport, .rport = d->rport, .counted_open = s->first};
		c->key = (struct sky_row_key){
			.netns = s->inum, .protocol = IPPROTO_TCP, .flags = s->first ? FLOW_JOINED : 0};
		memcpy(c->key.local, d->local.b, 16);
		memcpy(c->key.remote, d->remote.b, 16);
	}
	c = &s->v[s->index[slot] - 1];
	c->seen = true;
	c->inode = d->inode ? d->inode : c->inode;
	diag_owner(s, c, d);
	diag_role_set(c, diag_role(s, d, c->key.role));
	now = diag_totals(d, c->key.role);
	if (!(new && s->first)) /* of older connections only what happens from now on counts */
		diag_add(s, c, d, &now);
	c->last = now;
	return 0;
}

/* Sockets that are gone: counted as closed, forgotten. */
static void diag_sweep(struct source *s)
{
	size_t i, kept = 0;

	for (i = 0; i < s->n; i++) {
		struct diag_conn *c = &s->v[i];
		struct agent_row *row;
		uint16_t port;

		if (c->seen) {
			c->seen = false;
			s->v[kept++] = *c;
			continue;
		}
		fdscan_forget(s->scan, c->inode);
		row = diag_row(s, c, &port);
		if (row)
			row->val.closed++;
		s->counts.closed++;
		s->counts.lost_rows_user += !row;
	}
	s->n = kept;
	memset(s->index, 0, (s->mask + 1) * sizeof(*s->index));
	for (i = 0; i < s->n; i++)
		s->index[diag_slot(s, s->v[i].cookie)] = (uint32_t)i + 1;
}

static int diag_list(struct source *s, uint32_t states, bool info, int (*fn)(void *arg, const struct diag_sock *d))
{
	size_t i;
	int r = 0;

	for (i = 0; r == 0 && i < s->diag.n; i++) {
		s->inum = s->diag.v[i].ns.inum;
		r = diag_dump(s->diag.v[i].fd, states, info, fn, s, &s->bad);
		if (r == -EINTR) /* torn: what it missed comes with the next list */
			r = 0;
	}
	return r;
}

/* Asks for the owner of a socket that is new. */
static int diag_on_new(void *arg, const struct diag_sock *d)
{
	struct source *s = arg;

	if (!s->index[diag_slot(s, d->cookie)])
		(void)fdscan_pid(s->scan, d->inode, s->now_us);
	return 0;
}

/* Lists all sockets: first those without an owner, that their rows have one from the beginning. */
static int diag_lists(struct source *s)
{
	int r;

	s->n_listeners = 0;
	procs_begin(s->procs);
	r = diag_list(s, DIAG_LISTEN, false, diag_on_listener);
	if (r == 0)
		r = diag_list(s, DIAG_CONNECTED, false, diag_on_new);
	(void)fdscan_step(s->scan, DIAG_SCAN_FDS, s->now_us);
	if (r == 0)
		r = diag_list(s, DIAG_CONNECTED, true, diag_on_conn);
	return r;
}

/* What is open now is older than we are: it is only remembered. */
static int diag_first(struct source *s)
{
	int r;

	s->n = 0;
	memset(s->index, 0, (s->mask + 1) * sizeof(*s->index));
	s->first = true;
	s->now_us = s->former_us = clock_mono_us();
	r = diag_lists(s);
	s->first = false;
	return r;
}

static int source_diag_open(struct source **ret, const struct source_opts *opts, char *why, size_t why_len)
{
	struct source *s = calloc(1, sizeof(*s));
	size_t places = 64;
	int r = -ENOMEM;

	if (!s)
		goto fail;
	s->n_netns = opts->n_netns < 64 ? opts->n_netns : 64;
	memcpy(s->netns, opts->netns, s->n_netns * sizeof(*s->netns));
	s->max_socks = opts->max_socks ? opts->max_socks : SOURCE_SOCKS;
	s->nat = opts->nat;
	while (places < s->max_socks * 2ul)
		places *= 2;
	s->mask = places - 1;
	s->v = calloc(s->max_socks, sizeof(*s->v));
	s->index = calloc(places, sizeof(*s->index));
	if (!s->v || !s->index)
		goto fail;
	r = fdscan_new(&s->scan, "/proc", s->max_socks);
	if (r == 0)
		r = procs_new(&s->procs, "/proc", 1024);
	if (r == 0)
		r = opens_new(&s->opens, s->netns, s->n_netns);
	if (r == 0)
		r = netns_scan(&s->ns, s->netns, s->n_netns);
	if (r == 0)
		r = diag_follow(&s->diag, &s->ns);
	if (r == 0 && s->diag.n == 0)
		r = -ENOENT;
	if (r < 0)
		goto fail;
	s->walk_every = 1;
	r = diag_first(s);
	if (r < 0)
		goto fail;
	*ret = s;
	return 0;
fail:
	snprintf(why, why_len, "%s",
		 r == -ENOENT ? "no network namespace can be entered (another one needs root)" : diag_error(r));
	source_diag_close(s);
	return r;
}

static int diag_look(struct source *s)
{
	int r = netns_scan(&s->ns, s->netns, s->n_netns);
	if (r == 0)
		r = diag_follow(&s->diag, &s->ns);
	if (r == 0)
		r = diag_lists(s);
	if (r < 0)
		return r;
	diag_sweep(s);
	s->former_us = s->now_us;
	return 0;
}

static int source_diag_collect(struct source *s, int64_t cut_us, struct agent_rows *rows,
			       struct source_counts *ret_counts)
{
	int r;

	if (!s->bypass && ++s->walks >= s->walk_every) {
		s->walks = 0;
		s->now_us = cut_us;
		s->rows = rows;
		r = diag_look(s);
		if (r < 0)
			return r;
	}
	opens_read(s->opens, &s->counts.active_opens, &s->counts.passive_opens);
	opens_scan(s->opens, cut_us / 1000);
	agent_rows_stamp(rows);
	s->counts.rows_out += agent_rows_count(rows);
	s->counts.socks_open = s->n;
	*ret_counts = s->counts;
	return 0;
}

static int source_diag_relieve(struct source *s, struct agent_rows *rows)
{
	return 0; /* nothing is held in the kernel */
}

static int source_diag_ease(struct source *s, const struct budget_step *step)
{
	bool was = s->bypass;

	s->walk_every = step->walk_every;
	s->bypass = step->bypass;
	return was && !s->bypass ? diag_first(s) : 0;
}

#define BIT(field) (1ull << FLOW_F_##field)

const struct source_ops source_diag = {
	.name = "sock_diag",
	.present = BIT(rows) | BIT(opened) | BIT(closed) | BIT(open_ms) | BIT(tx_bytes) | BIT(rx_bytes) | BIT(tx_segs) |
		   BIT(rx_segs) | BIT(retransmitted) | BIT(dsack) | BIT(delivered_ce) | BIT(srtt) | BIT(jitter_us) |
		   BIT(queue_us) | BIT(cwnd_segs) | BIT(rtt_samples) | BIT(busy_us) | BIT(rwnd_limited_us) |
		   BIT(sndbuf_limited_us) | BIT(turn_self) | BIT(turn_peer) | BIT(turn_samples) | BIT(owner_inherited) |
		   BIT(owner_scan) | BIT(owner_unknown),
	.open = source_diag_open,
	.collect = source_diag_collect,
	.relieve = source_diag_relieve,
	.ease = source_diag_ease,
	.eases = 1u << BUDGET_WALK_2 | 1u << BUDGET_WALK_4 | 1u << BUDGET_BYPASS,
	.close = source_diag_close,
};
