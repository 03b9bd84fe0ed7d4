/* SPDX-License-Identifier: Apache-2.0 */
/* Rows from the hook: swap, walk, drain (agent/bpf/flow.bpf.c describes the whole). */
#include "agent/source.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "agent/accept.h"
#include "agent/adopt.h"
#include "agent/cost.h"
#include "agent/drain.h"
#include "agent/ease.h"
#include "agent/flow.skel.h"
#include "agent/load.h"
#include "agent/nat.h"
#include "agent/opens.h"
#include "agent/walk.h"
#include "flow/stats.h"

#define SWEEP_EVERY 16 /* collects between two looks for listeners that are gone */

struct source {
	struct load load;
	struct walk *walk;
	struct opens *opens;
	struct accept *accept; /* NULL: this kernel does not tell who accepts */
	struct ease ease;
	struct cost cost;
	uint64_t own_ns; /* of programs that run for us, in our own time */
	const uint32_t *netns;
	size_t n_netns;
	struct drain_counts drained;
	struct source_counts counts;
	uint32_t collects;
};

static int64_t mono_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void source_bpf_close(struct source *s)
{
	if (!s)
		return;
	accept_free(s->accept);
	cost_deinit(&s->cost);
	load_close(&s->load);
	walk_free(s->walk);
	opens_free(s->opens);
	free(s);
}

/* What is to be known first, the hook, then what is older than it. */
static int source_start(struct source *s, const struct source_opts *opts, char *why, size_t why_len)
{
	int r;

	ease_init(&s->ease);
	if (s->load.adopt)
		(void)adopt_owners(&s->load, &s->ease.adopted); /* the passes after the hook tell whether it works */
	r = load_attach(&s->load, why, why_len);
	if (r)
		return r;
	if (accept_new(&s->accept, &s->load, NULL, why, why_len))
		s->accept = NULL; /* not fatal: owners of accepted connections are their listeners' */
	snprintf(why, why_len, "BPF: out of memory");
	r = opens_new(&s->opens, opts->netns, opts->n_netns);
	if (r)
		return r;
	if (s->load.adopt && adopt_run(&s->load, s->walk, opts->netns, opts->n_netns, &s->ease.adopted))
		s->load.adopt = false; /* not fatal: only what is older than the agent stays unknown */
	s->load.skel->bss->adopted = s->load.adopt;
	s->netns = opts->netns;
	s->n_netns = opts->n_netns;
	why[0] = '\0';
	return 0;
}

static int source_bpf_open(struct source **ret, const struct source_opts *opts, char *why, size_t why_len)
{
	struct load_opts lo = {.netns = opts->netns,
			       .n_netns = opts->n_netns,
			       .max_rows = opts->max_rows ? opts->max_rows : SOURCE_ROWS,
			       .max_socks = opts->max_socks ? opts->max_socks : SOURCE_SOCKS,
			       .btf = opts->btf};
	struct source *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	cost_init(&s->cost);
	r = load_open(&s->load, &lo, why, why_len);
	if (r) {
		cost_deinit(&s->cost);
		free(s);
		return r;
	}
	snprintf(why, why_len, "BPF: out of memory");
	s->load.nat = opts->nat;
	if (opts->nat)
		nat_list_by(opts->nat, IPPROTO_TCP, load_list, &s->load);
	r = walk_new(&s->walk, s->load.max_socks);
	if (!r)
		r = source_start(s, opts, why, why_len);
	if (r) {
		source_bpf_close(s);
		return r;
	}
	*ret = s;
	return 0;
}

static uint64_t failures(const struct sky_counters *c, enum sky_site site)
{
	uint64_t n = 0;

	for (unsigned f = 0; f < SKY_FAILS; f++)
		n += c->fail[site][f];
	return n;
}

/* A program user space runs, in its own time; the others run in the applications'. */
static bool source_runs(const struct flow *skel, const struct bpf_program *p)
{
	return p == skel->progs.walk || p == skel->progs.walk_cast || p == skel->progs.tick ||
	       p == skel->progs.adopt_files || p == skel->progs.adopt_tcp;
}

static void count_programs(struct source *s)
{
	struct flow *skel = s->load.skel;
	struct bpf_program *p;

	s->counts.bpf_run_ns = s->counts.bpf_runs = s->own_ns = 0;
	bpf_object__for_each_program(p, skel->obj)
	{
		struct bpf_prog_info info = {0};
		uint32_t len = sizeof(info);

		if (bpf_program__fd(p) < 0 || bpf_obj_get_info_by_fd(bpf_program__fd(p), &info, &len))
			continue;
		s->counts.bpf_run_ns += info.run_time_ns;
		s->counts.bpf_runs += info.run_cnt;
		if (source_runs(skel, p))
			s->own_ns += info.run_time_ns;
		for (unsigned i = 0; i < LOAD_COPIES; i++)
			if (p == load_hook(&s->load, i))
				s->counts.recursion_misses[i] = info.recursion_misses;
	}
}

static void count_accepts(struct source *s)
{
	uint64_t ns, runs;

	if (!s->accept)
		return;
	s->counts.accepts = accept_counts(s->accept, &ns, &runs);
	s->counts.bpf_run_ns += ns;
	s->counts.bpf_runs += runs;
}

static void count_rows(struct source_counts *c, struct agent_rows *rows)
{
	for (size_t i = 0; i < agent_rows_count(rows); i++) {
		const struct agent_row *row = agent_rows_at(rows, i);

		if (row->key.protocol != IPPROTO_TCP) /* UDP's, drained early */
			continue;
		c->attempts += row->val.attempts;
		c->closed += row->val.closed;
		if (row->key.role == SKY_ROLE_CLIENT)
			c->opened_client += row->val.opened;
		else
			c->opened_server += row->val.opened;
	}
	c->rows_out += agent_rows_count(rows);
}

static void count(struct source *s, struct agent_rows *rows, struct source_counts *ret)
{
	const struct sky_counters *k = s->load.counters;
	const struct walk_counts *w = walk_counts(s->walk);
	struct source_counts *c = &s->counts;

	count_rows(c, rows);
	count_programs(s);
	count_accepts(s);
	c->replaced = k->replaced;
	c->recovered = k->recovered;
	c->uncaused = k->uncaused;
	c->finalised = w->finalised;
	c->fin_guessed = w->fin_guessed;
	c->lost_socks_full = failures(k, SKY_SITE_SOCKS);
	c->lost_rows_full = failures(k, SKY_SITE_ROWS);
	c->lost_closed_full = failures(k, SKY_SITE_CLOSED);
	c->lost_dials = failures(k, SKY_SITE_DIALS);
	c->lost_update = failures(k, SKY_SITE_LISTENERS) + w->unknown + w->clamped;
	c->lost_rows_user = s->drained.lost_user + w->lost_user;
	c->adopted = s->ease.adopted.taken;
	c->adopt_piece_us = s->ease.adopted.piece_us;
	c->walk_us = w->cpu_us;
	c->walk_piece_us = w->piece_us;
	c->socks_open = w->open;
	c->rows_map_used = s->drained.used;
	cost_interval(&s->cost, c->bpf_run_ns - s->own_ns,
		      c->attempts + c->opened_client + c->opened_server + c->closed, mono_ns() / 1000);
	c->hook_ns = s->cost.ns;
	c->hook_estimated_ns = s->cost.estimated_ns;
	*ret = *c;
}

/* The swap acts at once and returns late; meanwhile the kernel's own count is read and the walk reads what is open, both
 * on time. */
static int source_take(struct source *s, int64_t cut_us, struct agent_rows *rows)
{
	struct drain swap;
	int r = drain_begin(&swap, &s->load), walked;

	if (r)
		return r;
	opens_read(s->opens, &s->counts.active_opens, &s->counts.passive_opens);
	walked = ease_walk_due(&s->ease) ? walk_run(s->walk, &s->load, cut_us * 1000, rows)
					 : walk_closed(s->walk, &s->load, rows);
	if (s->load.dial && !walked)
		walked = drain_dials(&s->load, rows, &s->drained);
	if (++s->collects % SWEEP_EVERY == 0 && !walked)
		walked = drain_listeners(&s->load);
	r = drain_end(&swap, rows, &s->drained);
	return r ? r : walked;
}

static int source_bpf_collect(struct source *s, int64_t cut_us, struct agent_rows *rows,
			      struct source_counts *ret_counts)
{
	int r = source_take(s, cut_us, rows);

	walk_settle(s->walk, rows); /* rows are used even if some could not be had */
	if (r)
		return r;
	agent_rows_scale(rows);
	agent_rows_stamp(rows);
	ease_collected(&s->ease, &s->load, s->walk);
	count(s, rows, ret_counts);
	opens_scan(s->opens, mono_ns() / 1000000);
	return 0;
}

static int source_bpf_ease(struct source *s, const struct budget_step *step)
{
	return ease_to(&s->ease, step, &s->load, s->walk, s->netns, s->n_netns);
}

static int source_bpf_relieve(struct source *s, struct agent_rows *rows)
{
	struct drain swap;
	int r = 0;

	if (s->load.counters->closed_made > s->load.max_closed / 4 * 3)
		r = walk_closed(s->walk, &s->load, rows);
	if (!r && s->load.counters->dials_made > (int64_t)s->load.max_dials / 2)
		r = drain_dials(&s->load, rows, &s->drained);
	if (r || !drain_needed(&s->load))
		return r;
	s->counts.early_drains++;
	r = drain_begin(&swap, &s->load);
	return r ? r : drain_end(&swap, rows, &s->drained);
}

const struct source_ops source_bpf = {
	.name = "bpf",
	.present = FLOW_FIELDS == 64 ? ~0ULL : (1ULL << FLOW_FIELDS % 64) - 1,
	.open = source_bpf_open,
	.collect = source_bpf_collect,
	.relieve = source_bpf_relieve,
	.ease = source_bpf_ease,
	.eases = BUDGET_ALL & ~(1u << BUDGET_UDP_OFF),
	.close = source_bpf_close,
};
