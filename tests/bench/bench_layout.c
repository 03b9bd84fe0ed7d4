/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a picture of a large fleet costs: 2,000 services in 12 zones and 10,000 edges, most of them to the next tier, some
 * to hubs everybody calls, a few back. Prints CPU time, the median of nine runs.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "server/layout.h"

#define NODES 2000
#define EDGES 10000
#define ZONES 12
#define RUNS 9

static struct layout_node nodes[NODES];
static struct layout_edge edges[EDGES];
static char ids[NODES][32], zones[ZONES][16];

static uint32_t chance(uint32_t n)
{
	static uint64_t seed = 42;

	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(seed >> 33) % n;
}

/* Six tiers from the entry to the data; a service calls mostly the next tier of its own zone. */
static void fill(void)
{
	for (uint32_t z = 0; z < ZONES; z++)
		snprintf(zones[z], sizeof(zones[z]), "zone-%u", z);
	for (uint32_t i = 0; i < NODES; i++) {
		snprintf(ids[i], sizeof(ids[i]), "service:svc-%u", i);
		nodes[i] = (struct layout_node){.id = str_from(ids[i]), .zone = str_from(zones[i % ZONES]), .w = 130};
	}
	for (uint32_t e = 0; e < EDGES; e++) {
		uint32_t from = chance(NODES), tier = from * 6 / NODES, to;

		if (chance(10) == 0)
			to = NODES - 1 - chance(20);
		else if (chance(50) == 0)
			to = chance(NODES);
		else
			to = (tier < 5 ? tier + 1 : 5) * (NODES / 6) + chance(NODES / 6);
		if (chance(4) && tier < 5)
			to = to / ZONES * ZONES + from % ZONES;
		edges[e] = (struct layout_edge){from, to < NODES ? to : NODES - 1};
	}
}

static double cpu_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static int by_size(const void *a, const void *b)
{
	return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b);
}

/* Negative: it failed. */
static double median(const struct layout *prior)
{
	double ms[RUNS];

	for (unsigned i = 0; i < RUNS; i++) {
		struct layout *l = NULL;
		double start = cpu_ms();

		if (layout_new(&l, nodes, NODES, edges, EDGES, prior))
			return -1;
		ms[i] = cpu_ms() - start;
		layout_free(l);
	}
	qsort(ms, RUNS, sizeof(*ms), by_size);
	return ms[RUNS / 2];
}

int main(void)
{
	struct layout *prior = NULL;
	double fresh, kept;

	fill();
	fresh = median(NULL);
	if (layout_new(&prior, nodes, NODES, edges, EDGES, NULL))
		return 1;
	/* A tenth is new. */
	for (uint32_t i = 0; i < NODES; i += 10)
		ids[i][0] = 'S';
	kept = median(prior);
	layout_free(prior);
	if (fresh < 0 || kept < 0)
		return 1;
	printf("layout_2000_ms=%.1f ms\n", fresh);
	printf("layout_2000_kept_ms=%.1f ms\n", kept);
	return 0;
}
