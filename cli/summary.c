/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/summary.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "cli/answer.h"
#include "cli/cmd.h"
#include "cli/demo.h"
#include "cli/doctor.h"
#include "cli/edge_row.h"

#define SUMMARY_EDGES 40 /* lines of the table; the API has the rest */
#define SUMMARY_POLL_MS 100

int summary_settle(struct client *c, int64_t until_s, int timeout_ms)
{
	int64_t deadline = clock_mono_us() + (int64_t)timeout_ms * 1000;
	struct timespec pause = {.tv_nsec = SUMMARY_POLL_MS * 1000000L};

	for (;;) {
		json_t *health = NULL;
		int r = client_get(c, "/api/v1/health", &health);
		double settled = client_num(health, "settled_to", 0);

		json_decref(health);
		if (r < 0 || settled >= (double)until_s || clock_mono_us() >= deadline)
			return r;
		nanosleep(&pause, NULL);
	}
}

/* Adds the edges whose note looks as bad as `style`; with `only`, just those with it in a service's name. */
static void summary_add(struct table *t, const json_t *edges, enum table_style style, const char *only)
{
	char note[EDGE_ROW_NOTE];

	for (size_t i = 0; i < json_array_size(edges) && table_rows(t) < SUMMARY_EDGES; i++) {
		struct edge_row row;

		edge_row_read(json_array_get(edges, i), &row);
		if (edge_row_note(&row, 0, note) == style && (!only || edge_row_matches(&row, only)))
			edge_row_cells(t, &row, 0);
	}
}

/* What fails comes first, then what is slow, then the rest by bytes. */
static int summary_edges(const json_t *edges, size_t matched, const char *only)
{
	struct table *t;
	int r;

	if (json_array_size(edges) == 0) {
		printf("\nNo connection was seen.\n");
		return 0;
	}
	r = table_new(&t, edge_row_totals, edge_row_columns);
	if (r < 0)
		return r;
	summary_add(t, edges, TABLE_BAD, only);
	summary_add(t, edges, TABLE_WARN, only);
	summary_add(t, edges, TABLE_PLAIN, only);
	printf("\n");
	r = answer_table(t);
	if (matched > table_rows(t))
		printf("... and %zu more edges%s\n", matched - table_rows(t), only ? " that are not the shop's" : "");
	table_free(t);
	return r;
}

static int summary_demo(const json_t *compared)
{
	int r;

	printf("\nThe shop's edges: what its programs wrote down, and what Skyfall measured\n\n");
	r = demo_print(compared);
	if (r == 0)
		printf("\nAll numbers are equal.\n");
	else if (r > 0)
		printf("\n%d of %zu lines differ.\n", r, json_array_size(compared));
	return r < 0 ? r : r ? CMD_FAILED : CMD_OK;
}

static int summary_text(const json_t *answer, const json_t *health, const json_t *compared, const char *api)
{
	const json_t *edges = json_object_get(answer, "edges");
	int worst = CMD_OK,
	    r = summary_edges(edges, (size_t)client_num(answer, "matched", 0), compared ? "shop-" : NULL);

	if (r >= 0 && compared)
		worst = r = summary_demo(compared);
	if (r >= 0) {
		printf("\n");
		r = doctor_print(health, api);
		worst = r > worst ? r : worst;
	}
	return r < 0 ? r : worst;
}

static int summary_json(const json_t *answer, json_t *health, json_t *compared)
{
	json_t *all = json_pack("{s:O,s:O,s:O?}", "edges", json_object_get(answer, "edges"), "health", health, "demo",
				compared);
	bool well = client_num(health, "adds_up", 0) != 0;

	for (size_t i = 0; i < json_array_size(compared); i++)
		well = well && client_num(json_array_get(compared, i), "equal", 0) != 0;
	json_dumpf(all, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(all);
	return well ? CMD_OK : CMD_FAILED;
}

int summary_print(struct client *c, int64_t from, int64_t to, const char *truth, bool json)
{
	json_t *answer = NULL, *health = NULL, *wrote = truth ? demo_truth(truth) : NULL, *compared = NULL;
	char path[128];
	int r;

	snprintf(path, sizeof(path), "/api/v1/edges?from=%lld&to=%lld&limit=10000", (long long)from, (long long)to);
	r = client_get(c, path, &answer);
	if (r < 0)
		goto out;
	snprintf(path, sizeof(path), "/api/v1/health?from=%lld&to=%lld", (long long)from, (long long)to);
	r = client_get(c, path, &health);
	if (r < 0)
		goto out;
	if (wrote)
		compared = demo_compare(wrote, json_object_get(answer, "edges"));
	r = json ? summary_json(answer, health, compared) : summary_text(answer, health, compared, client_api(c));
out:
	json_decref(answer);
	json_decref(health);
	json_decref(wrote);
	json_decref(compared);
	return r;
}
