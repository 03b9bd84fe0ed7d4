/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/cycle.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/births.h"
#include "agent/bridges.h"
#include "agent/budget.h"
#include "agent/fdscan.h"
#include "agent/guest.h"
#include "agent/handed.h"
#include "agent/health.h"
#include "agent/nat_ct.h"
#include "agent/names_told.h"
#include "agent/nat_told.h"
#include "agent/ports.h"
#include "agent/print.h"
#include "agent/udp_adopt.h"
#include "agent/udp_told.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/wrap.h"

#define CYCLE_RELIEFS 8         /* looks at the fill of the maps in an interval */
#define CYCLE_SCAN_US 2000000ll /* namespaces and addresses are not looked for more often than this */

struct cycle {
	const struct conf *conf;
	const struct source_ops *ops;
	struct source *source;
	struct udp *udp; /* NULL: off */
	struct udp_counts udp_former;
	struct host *host;
	struct agent_rows *rows;
	struct names *names;
	struct named named;
	struct listen *listen;
	struct listen *listen_udp; /* NULL: UDP is off */
	struct fdscan *owners;
	struct netns_set netns;
	struct diag_set diag;
	struct locals locals; /* as configured, and the bridges' */
	struct nat *nat;      /* NULL: translations are not looked for */
	struct nat_ct nat_ct;
	struct nat_told nat_former;
	bool cutting;
	int64_t scanned_us; /* never steps */
	struct source_counts former;
	struct names_counts names_former;
	uint64_t folded_former, missed;
	struct health_cost cost;
	struct budget budget;
	uint64_t cost_us; /* of the process and its programs, so far */
	uint32_t last;    /* interval handed over last */
	/* output */
	struct outbox *outbox;
	struct batch_head head;
	struct wire_build *build;
	void (*done)(void *arg);
	void *done_arg;
	/* thread */
	pthread_t thread;
	bool started, stop, failed;
	const struct conf *pending, *retired; /* reloaded, not in force yet; no longer in force */
	pthread_mutex_t lock;
	pthread_cond_t cond;
};

uint32_t cycle_interval(int64_t wall_us, uint16_t interval_s, bool open)
{
	int64_t s = wall_us / 1000000;

	return (uint32_t)(s - s % interval_s - (open ? 0 : interval_s));
}

int cycle_new(struct cycle **ret, const struct conf *conf, const struct source_ops *ops, struct source *source,
	      struct host *host, char *why, size_t why_len)
{
	struct names_opts names = {.proc = "/proc", .rules = conf->rules};
	struct cycle *c = calloc(1, sizeof(*c));
	pthread_condattr_t attr;
	uint16_t low, high;
	int r = c ? 0 : -ENOMEM;

	if (!c)
		goto fail;
	if (ops != &source_diag && births_open(&names.births, why, why_len) < 0)
		log_warn("cgroups that live for less than an interval may stay without a name: %s", why);
	c->conf = conf;
	c->ops = ops;
	budget_init(&c->budget, conf->budget_ppm, ops->eases);
	c->host = host;
	c->scanned_us = INT64_MIN;
	pthread_mutex_init(&c->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC); /* the wall clock may be set while somebody waits */
	pthread_cond_init(&c->cond, &attr);
	pthread_condattr_destroy(&attr);
	ports_given_out(&low, &high);
	/* twice what the kernel holds: the rows of open connections join those of a drained map */
	r = agent_rows_new(&c->rows, conf->max_rows * 2);
	if (r == 0)
		r = names_new(&c->names, &names);
	if (r == 0)
		r = named_init(&c->named, low, high);
	if (r == 0)
		r = fdscan_new(&c->owners, "/proc", LISTEN_MAX);
	if (r == 0)
		r = listen_new(&c->listen, c->owners);
	c->build = r == 0 ? malloc(sizeof(*c->build)) : NULL;
	if (r == 0 && !c->build)
		r = -ENOMEM;
	if (r == 0) {
		c->source = source;
		*ret = c;
		return 0;
	}
fail:
	snprintf(why, why_len, "out of memory");
	cycle_free(c);
	return r;
}

void cycle_free(struct cycle *c)
{
	if (!c)
		return;
	if (c->source)
		c->ops->close(c->source);
	udp_close(c->udp);
	free(c->build);
	nat_ct_deinit(&c->nat_ct);
	nat_free(c->nat);
	diag_set_deinit(&c->diag);
	netns_set_deinit(&c->netns);
	listen_free(c->listen);
	listen_free(c->listen_udp);
	fdscan_free(c->owners);
	named_deinit(&c->named);
	names_free(c->names);
	agent_rows_free(c->rows);
	pthread_cond_destroy(&c->cond);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

int cycle_udp(struct cycle *c, struct udp *udp)
{
	int r = udp ? listen_new(&c->listen_udp, c->owners) : 0;

	c->udp = udp;
	if (udp_mode(udp) == UDP_BYTES)
		c->budget.able |= 1u << BUDGET_UDP_OFF;
	if (c->listen_udp)
		listen_to_udp(c->listen_udp, c->named.port_low, c->named.port_high);
	return r;
}

static void cycle_nat_read(void *arg)
{
	struct cycle *c = arg;

	nat_ct_read(&c->nat_ct, c->nat, c->cutting, clock_mono_us());
	c->cutting = false;
}

void cycle_nat(struct cycle *c, struct nat *nat)
{
	c->nat = nat;
	c->named.nat = nat;
	if (nat)
		nat_read_by(nat, cycle_nat_read, c);
}

/* Whose tracking is read, and which addresses are this host's own. */
static void cycle_nat_look(struct cycle *c)
{
	struct ip own[FLOW_ADDRESSES];

	if (!c->nat)
		return;
	(void)nat_ct_follow(&c->nat_ct, &c->netns);
	for (size_t i = 0; i < c->host->rec.n_addresses; i++)
		own[i] = c->host->rec.addresses[i].ip;
	if (!c->host->more)
		(void)nat_own(c->nat, own, c->host->rec.n_addresses);
}

void cycle_look(struct cycle *c)
{
	int64_t now = clock_mono_us();

	if (c->scanned_us != INT64_MIN && now - c->scanned_us < CYCLE_SCAN_US)
		return;
	c->scanned_us = now;
	if (netns_again(&c->netns, c->conf->netns_inum, c->conf->n_netns) < 0 || diag_follow(&c->diag, &c->netns) < 0)
		return; /* memory is out: the former ones serve */
	c->locals = c->conf->locals;
	bridges_look(&c->diag, &c->locals);
	(void)host_look(c->host, &c->diag, &c->locals);
	cycle_nat_look(c);
}

static void cycle_line(struct cycle *c, struct flow_ledger *line, uint32_t interval, const struct source_counts *counts)
{
	line->interval = interval;
	line->interval_s = c->conf->interval_s;
	line->rows_in = agent_rows_count(c->rows);
	health_counts(line, counts, &c->former);
	udp_told(line, c->udp, &c->udp_former);
	nat_told(line, c->nat, &c->nat_ct, &c->nat_former);
	line->rows_in +=
		counts->lost_rows_full - c->former.lost_rows_full + counts->lost_rows_user - c->former.lost_rows_user;
	names_told(line, c->names, &c->names_former);
	health_count(line, "ports_folded", c->named.ports_folded - c->folded_former);
	health_count(line, "intervals_missed", c->missed);
	health_count(line, "listeners", listen_count(c->listen));
	health_count(line, "listeners_full", listen_full(c->listen));
	health_count(line, "netns_hidden", c->netns.hidden);
	health_count(line, "netns_denied", c->diag.denied);
	health_count(line, "netns_full", c->netns.full);
	health_count(line, "bridges_full", c->locals.full);
	health_cost(line, &c->cost);
	c->former = *counts;
	c->folded_former = c->named.ports_folded;
	c->missed = 0;
}

/* Everything that can do less does as much as the step says. */
static void cycle_ease(struct cycle *c, const struct budget_step *step)
{
	int r = c->ops->ease ? c->ops->ease(c->source, step) : 0;

	if (r < 0)
		log_warn("what was opened meanwhile is not known and counted from its end on: %s", strerror(-r));
	if (udp_bypass(c->udp, step->bypass) && udp_adopt(c->udp, c->conf->netns_inum, c->conf->n_netns) < 0)
		log_warn("UDP sockets made meanwhile are not known");
	r = udp_ease(c->udp, step->udp_off);
	if (r < 0)
		log_warn("datagrams cannot be counted again: %s; going on with --udp %s", strerror(-r),
			 udp_name(udp_mode(c->udp)));
}

/* What the interval cost, told; and what follows from it for the next. */
static void cycle_budget(struct cycle *c, struct flow_ledger *line, const struct source_counts *counts, int64_t now_us)
{
	const struct budget_step *step = &budget_steps[c->budget.step];
	uint64_t cost_us =
		c->cost.user_us + (counts->hook_ns + c->udp_former.cost_ns + c->names_former.cgroups_ns) / 1000;
	uint64_t spent = cost_us - c->cost_us;

	c->cost_us = cost_us;
	health_info(line, "cost_us", spent);
	health_count(line, "eased", c->budget.step);
	health_count(line, "sample_n", step->sample ? 1u << step->sample : 0);
	if (c->budget.step)
		health_count(line, step->counter, 1);
	if (!budget_interval(&c->budget, spent, now_us))
		return;
	step = &budget_steps[c->budget.step];
	health_count(line, "eased_changes", 1);
	log_warn("%.2f %% of a core, the budget is %.2f %%: %s", (double)c->budget.share_ppm / 10000,
		 (double)c->budget.limit_ppm / 10000, step->text);
	cycle_ease(c, step);
}

static void cycle_print(struct cycle *c, uint32_t interval, struct flow_ledger *line)
{
	struct print_head head = {interval, c->conf->interval_s, c->conf->net, c->host->id, wrap_columns(stdout)};
	struct buf out;
	size_t i;

	for (i = 0; i < c->named.n; i++)
		line->rows_out += named_stats(&c->named.v[i])->rows;
	buf_init(&out, 0);
	if (c->conf->json) {
		print_json(&out, &head, &c->named, c->names);
		print_health_json(&out, &head, line);
	} else {
		print_table(&out, &head, &c->named, c->names);
	}
	if (out.err)
		log_error("an interval could not be printed: %s", strerror(-out.err));
	c->failed |= out.err != 0;
	if (fwrite(out.p, 1, out.n, stdout) != out.n || fflush(stdout) != 0) {
		c->failed = true;
		c->done(c->done_arg); /* the reader went away */
	}
	buf_deinit(&out);
}

static int cycle_send(struct cycle *c, uint32_t interval, struct batch *b, bool listened, int64_t now_us)
{
	int r;

	c->head.wire.interval = interval;
	r = batch_rows(b, c->build, &c->head, &c->named, c->names);
	if (r == 0 && listened)
		r = batch_listeners(b, c->build, &c->head, c->listen, c->names, now_us);
	if (r == 0 && c->listen_udp && listen_look(c->listen_udp, &c->diag, now_us) == 0)
		r = batch_listeners(b, c->build, &c->head, c->listen_udp, c->names, now_us);
	if (r == 0 && host_due(c->host, now_us))
		r = batch_host(b, c->build, &c->head, c->host);
	if (r == 0)
		outbox_push(c->outbox, b);
	return r;
}

/* TCP and UDP, cut at the same moment. */
static int cycle_rows(struct cycle *c, int64_t now_us, struct source_counts *counts)
{
	int udp, r;

	c->cutting = true;
	udp = udp_begin(c->udp, now_us);
	r = c->ops->collect(c->source, now_us, c->rows, counts);

	if (udp == 0)
		udp = udp_end(c->udp, c->rows);
	agent_rows_stamp(c->rows);
	return r < 0 ? r : udp;
}

/* An interval ended, or the agent does. */
static void cycle_collect(struct cycle *c, bool open)
{
	uint32_t interval = cycle_interval(clock_wall_us(), c->conf->interval_s, open);
	int64_t now_us = clock_mono_us();
	struct source_counts counts = c->former;
	struct batch *b;
	bool listened;
	int r;

	r = cycle_rows(c, now_us, &counts);
	c->failed |= r < 0;
	if (r < 0)
		log_error("rows could not be collected: %s", strerror(-r));
	if (c->last && interval > c->last + c->conf->interval_s)
		c->missed += (interval - c->last) / c->conf->interval_s - 1;
	c->last = interval;
	cycle_look(c);
	names_begin(c->names, now_us);
	listened = listen_look(c->listen, &c->diag, now_us) == 0;
	(void)handed_rows(c->rows, c->listen, c->names);
	b = batch_new();
	r = b ? named_fold(&c->named, c->rows, c->names, &c->locals, now_us) : -ENOMEM;
	if (r == 0) {
		cycle_line(c, &b->line, interval, &counts);
		if (!open)
			cycle_budget(c, &b->line, &counts, now_us);
		if (c->outbox)
			r = cycle_send(c, interval, b, listened, now_us);
		else
			cycle_print(c, interval, &b->line);
	}
	c->failed |= r < 0;
	if (r < 0) {
		log_error("an interval of %zu rows is lost: %s", agent_rows_count(c->rows), strerror(-r));
		c->former.lost_rows_user -= agent_rows_count(c->rows); /* told with the next line */
	}
	if (r < 0 || !c->outbox)
		batch_free(b);
	agent_rows_clear(c->rows);
}

/* Waits so long; true: the agent stops. */
static bool cycle_wait(struct cycle *c, int64_t us)
{
	int64_t until = clock_mono_us() + us;
	struct timespec t = {until / 1000000, until % 1000000 * 1000};
	bool stop;
	int r = 0;

	pthread_mutex_lock(&c->lock);
	while (!c->stop && r != ETIMEDOUT)
		r = pthread_cond_timedwait(&c->cond, &c->lock, &t);
	stop = c->stop;
	pthread_mutex_unlock(&c->lock);
	return stop;
}

/* Waits for the end of the interval, relieving full maps meanwhile; true: the agent stops. */
static bool cycle_wait_end(struct cycle *c)
{
	int64_t length = (int64_t)c->conf->interval_s * 1000000, piece = length / CYCLE_RELIEFS;
	int64_t end =
		((int64_t)cycle_interval(clock_wall_us(), c->conf->interval_s, true) + c->conf->interval_s) * 1000000;
	int64_t now;

	while ((now = clock_wall_us()) < end) {
		if (end - now > length) /* the clock went back: this interval is another one */
			return false;
		if (cycle_wait(c, now + piece < end ? piece : end - now))
			return true;
		if (clock_wall_us() >= end)
			break;
		nat_refresh(c->nat);
		(void)c->ops->relieve(c->source, c->rows);
		(void)udp_relieve(c->udp, c->rows);
		names_watch(c->names, clock_mono_us());
	}
	return false;
}

/* Between two intervals: what was reloaded is in force. */
static void cycle_take(struct cycle *c)
{
	const struct conf *to;

	pthread_mutex_lock(&c->lock);
	to = c->pending;
	c->pending = NULL;
	c->retired = to ? c->conf : c->retired;
	pthread_mutex_unlock(&c->lock);
	if (!to)
		return;
	if (to->budget_ppm != c->conf->budget_ppm) {
		bool stepped = c->budget.step != BUDGET_FULL;

		budget_init(&c->budget, to->budget_ppm, c->budget.able);
		if (stepped)
			cycle_ease(c, &budget_steps[BUDGET_FULL]);
	}
	names_rules(c->names, to->rules);
	if (to->interval_s != c->conf->interval_s)
		c->last = 0; /* other boundaries: none of them was missed */
	c->head.wire.interval_s = to->interval_s;
	c->head.wire.spread_ms = to->spread_ms;
	c->conf = to;
}

const struct conf *cycle_reload(struct cycle *c, const struct conf *conf)
{
	const struct conf *unused;

	pthread_mutex_lock(&c->lock);
	unused = c->pending ? c->pending : c->retired;
	c->pending = conf;
	c->retired = NULL;
	pthread_mutex_unlock(&c->lock);
	return unused;
}

bool cycle_failed(const struct cycle *c)
{
	return c->failed;
}

static void *cycle_thread(void *arg)
{
	struct cycle *c = arg;

	guest_on_time();
	for (;;) {
		if (cycle_wait_end(c)) {
			struct budget_step last = budget_steps[c->budget.step];

			last.walk_every = 1; /* the last word on open connections */
			cycle_ease(c, &last);
			cycle_collect(c, true);
			return NULL;
		}
		cycle_collect(c, false);
		cycle_take(c);
		if (c->conf->once)
			break;
	}
	c->done(c->done_arg);
	while (!cycle_wait(c, 1000000))
		;
	return NULL;
}

int cycle_start(struct cycle *c, struct outbox *outbox, const struct batch_head *head, void (*done)(void *arg),
		void *arg)
{
	int r;

	c->outbox = outbox;
	c->head = *head;
	c->done = done;
	c->done_arg = arg;
	r = pthread_create(&c->thread, NULL, cycle_thread, c);
	c->started = r == 0;
	return -r;
}

void cycle_stop(struct cycle *c)
{
	if (!c->started)
		return;
	pthread_mutex_lock(&c->lock);
	c->stop = true;
	pthread_cond_signal(&c->cond);
	pthread_mutex_unlock(&c->lock);
	pthread_join(c->thread, NULL);
	c->started = false;
}
