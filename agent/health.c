/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/health.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/table.h"

/* The last place is for whatever finds none: lost rows stay a whole sum. */
static void health_add(struct flow_count *v, uint8_t *n, unsigned max, struct str name, uint64_t add)
{
	unsigned i;

	for (i = 0; i < *n; i++) {
		if (str_eq(v[i].name, name)) {
			v[i].n += add;
			return;
		}
	}
	if (*n < max)
		v[(*n)++] = (struct flow_count){*n + 1u < max ? name : STR("untold"), add};
	else
		v[max - 1].n += add;
}

void health_lost(struct flow_ledger *line, const char *name, uint64_t n)
{
	if (n)
		health_add(line->lost, &line->n_lost, FLOW_LOSSES, str_from(name), n);
}

void health_info(struct flow_ledger *line, const char *name, uint64_t n)
{
	health_add(line->info, &line->n_info, FLOW_INFOS, str_from(name), n);
}

void health_count(struct flow_ledger *line, const char *name, uint64_t n)
{
	if (n)
		health_info(line, name, n);
}

/* How the source's numbers are called. Losses are rows; what is lost before there is a row is a number. */
static const struct {
	const char *name;
	size_t offset;
	bool gauge, loss;
} health_names[] = {
	{"rows_full", offsetof(struct source_counts, lost_rows_full), false, true},
	{"rows_user_full", offsetof(struct source_counts, lost_rows_user), false, true},
	{"attempts", offsetof(struct source_counts, attempts), false, false},
	{"opened_client", offsetof(struct source_counts, opened_client), false, false},
	{"opened_server", offsetof(struct source_counts, opened_server), false, false},
	{"closed", offsetof(struct source_counts, closed), false, false},
	{"active_opens", offsetof(struct source_counts, active_opens), false, false},
	{"passive_opens", offsetof(struct source_counts, passive_opens), false, false},
	{"adopted", offsetof(struct source_counts, adopted), false, false},
	{"replaced", offsetof(struct source_counts, replaced), false, false},
	{"recovered", offsetof(struct source_counts, recovered), false, false},
	{"uncaused", offsetof(struct source_counts, uncaused), false, false},
	{"finalised", offsetof(struct source_counts, finalised), false, false},
	{"fin_guessed", offsetof(struct source_counts, fin_guessed), false, false},
	{"socks_full", offsetof(struct source_counts, lost_socks_full), false, false},
	{"closed_full", offsetof(struct source_counts, lost_closed_full), false, false},
	{"update_failed", offsetof(struct source_counts, lost_update), false, false},
	{"destroys_dropped", offsetof(struct source_counts, lost_destroys), false, false},
	{"dials_full", offsetof(struct source_counts, lost_dials), false, false},
	{"accepts", offsetof(struct source_counts, accepts), false, false},
	{"recursion_misses_0", offsetof(struct source_counts, recursion_misses[0]), false, false},
	{"recursion_misses_1", offsetof(struct source_counts, recursion_misses[1]), false, false},
	{"recursion_misses_2", offsetof(struct source_counts, recursion_misses[2]), false, false},
	{"recursion_misses_3", offsetof(struct source_counts, recursion_misses[3]), false, false},
	{"bpf_ns", offsetof(struct source_counts, bpf_run_ns), false, false},
	{"bpf_runs", offsetof(struct source_counts, bpf_runs), false, false},
	{"hook_ns", offsetof(struct source_counts, hook_ns), false, false},
	{"hook_estimated_ns", offsetof(struct source_counts, hook_estimated_ns), false, false},
	{"walk_us", offsetof(struct source_counts, walk_us), false, false},
	{"walk_piece_us", offsetof(struct source_counts, walk_piece_us), true, false},
	{"adopt_piece_us", offsetof(struct source_counts, adopt_piece_us), true, false},
	{"early_drains", offsetof(struct source_counts, early_drains), false, false},
	{"socks_open", offsetof(struct source_counts, socks_open), true, false},
};

void health_counts(struct flow_ledger *line, const struct source_counts *now, const struct source_counts *former)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(health_names); i++) {
		uint64_t a = *(const uint64_t *)((const char *)now + health_names[i].offset);
		uint64_t b = *(const uint64_t *)((const char *)former + health_names[i].offset);

		if (health_names[i].loss)
			health_lost(line, health_names[i].name, a - b);
		else
			health_count(line, health_names[i].name, health_names[i].gauge ? a : a - b);
	}
}

int health_stat(const char *text, uint64_t *ret_busy, uint64_t *ret_steal, uint64_t *ret_total)
{
	uint64_t v[8], total = 0;
	unsigned i;

	/* user nice system idle iowait irq softirq steal; guest times are in user and nice already */
	if (sscanf(text,
		   "cpu %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64,
		   &v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &v[6], &v[7]) != 8)
		return -EBADMSG;
	for (i = 0; i < 8; i++)
		total += v[i];
	*ret_total = total;
	*ret_steal = v[7];
	*ret_busy = total - v[3] - v[4] - v[7];
	return 0;
}

static bool health_read(const char *path, char *text, size_t size)
{
	FILE *f = fopen(path, "re");
	bool ok = f && fgets(text, (int)size, f);

	if (f)
		fclose(f);
	return ok;
}

void health_cost(struct flow_ledger *line, struct health_cost *c)
{
	struct health_cost now = {.known = true};
	unsigned long pages;
	struct rusage u;
	char text[256];

	if (getrusage(RUSAGE_SELF, &u) == 0)
		now.user_us = (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000 +
			      (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
	health_info(line, "user_us", now.user_us - c->user_us);
	if (health_read("/proc/self/statm", text, sizeof(text)) && sscanf(text, "%*u %lu", &pages) == 1)
		health_info(line, "rss_bytes", (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE));
	if (health_read("/proc/stat", text, sizeof(text)) &&
	    health_stat(text, &now.busy, &now.steal, &now.total) == 0 && c->known && now.total > c->total) {
		uint64_t total =
			now.total - c->total; /* idle and steal may go back a little, so may what is made of them */

		health_info(line, "cpu_busy_pm", (now.busy > c->busy ? now.busy - c->busy : 0) * 1000 / total);
		health_info(line, "cpu_steal_pm", (now.steal > c->steal ? now.steal - c->steal : 0) * 1000 / total);
	}
	*c = now;
}

void health_merge(struct flow_ledger *to, const struct flow_ledger *from)
{
	unsigned i;

	to->rows_in += from->rows_in;
	to->rows_out += from->rows_out;
	for (i = 0; i < from->n_lost; i++)
		health_add(to->lost, &to->n_lost, FLOW_LOSSES, from->lost[i].name, from->lost[i].n);
	for (i = 0; i < from->n_info; i++)
		health_add(to->info, &to->n_info, FLOW_INFOS, from->info[i].name, from->info[i].n);
}
