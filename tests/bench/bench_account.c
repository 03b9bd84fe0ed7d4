/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What following agents costs: memory of all threads' windows, clocks, lines and sets and of the merge, as the kernel counts it,
 * after enough periods that every table was used; and time a datagram.
 *
 *     bench_account [AGENTS] [THREADS]
 *
 * Datagrams come as skyfall collector's own choice of sockets lets them: an agent stays with one thread for 64 datagrams.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "collector/tally.h"

enum { PERIODS = 20, DATAGRAMS = 8, THREADS_MAX = 64, INTERVAL_S = 10 };

#define START_US 1700000000000000ll

struct thread {
	struct account account;
	struct account_lines lines[2];
};

static struct thread threads[THREADS_MAX];

static uint64_t resident(void)
{
	unsigned long long pages = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	if (!f || fscanf(f, "%*u %llu", &pages) != 1)
		exit(1);
	fclose(f);
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void hear(struct thread *t, struct account_lines *lines, uint32_t agent, uint32_t sequence, int64_t at_us)
{
	struct account_seen s = {
		.key = {.agent = ip_from_v4(
				(const uint8_t[4]){10, (uint8_t)(agent >> 16), (uint8_t)(agent >> 8), (uint8_t)agent}),
			.boot = 7},
		.sequence = sequence,
		.uptime_ms = 1u << 30,
		.at_us = at_us,
	};
	struct account_track *track;
	struct account_line *line;
	enum account_verdict v = account_datagram(&t->account, lines, &s, &track, &line);

	if (v != ACCOUNT_NEW || !line)
		exit(1);
	(void)clock_shift(account_clock(&t->account, track), (uint32_t)(at_us / 1000000 / INTERVAL_S - 1) * INTERVAL_S,
			  INTERVAL_S, at_us);
	account_rows(lines, line, &s, &(struct account_read){.rows = 24, .placed = true, .pool = 24 * sequence});
}

int main(int argc, char **argv)
{
	uint32_t agents = argc > 1 ? (uint32_t)atoi(argv[1]) : 100000, n = argc > 2 ? (uint32_t)atoi(argv[2]) : 2;
	uint64_t before = resident(), most = 0;
	double heard = 0, merged = 0;
	struct tally_sums sums = {0};
	struct tally tally;

	if (!agents || !n || n > THREADS_MAX || tally_init(&tally, agents, n, START_US) < 0)
		return 1;
	for (uint32_t t = 0; t < n; t++) {
		if (account_init(&threads[t].account, agents) < 0 ||
		    account_lines_init(&threads[t].lines[0], agents) < 0 ||
		    account_lines_init(&threads[t].lines[1], agents) < 0)
			return 1;
	}
	for (uint32_t p = 0; p < PERIODS; p++) {
		int64_t now_us = START_US + (int64_t)p * INTERVAL_S * 1000000;
		double at = seconds();

		for (uint32_t t = 0; t < n; t++)
			account_lines_begin(&threads[t].lines[p % 2], p + 1);
		for (uint32_t i = 0; i < agents * DATAGRAMS; i++) {
			uint32_t sequence = p * DATAGRAMS + i / agents, agent = i % agents;
			struct thread *t = &threads[(agent + sequence / 64) % n];

			hear(t, &t->lines[p % 2], agent, sequence, now_us);
		}
		heard += seconds() - at;
		at = seconds();
		tally_begin(&tally);
		for (uint32_t t = 0; t < n; t++)
			tally_add(&tally, &threads[t].lines[p % 2], now_us, &sums);
		for (uint32_t t = 0; t < n; t++) {
			for (uint32_t i = 0; i < threads[t].lines[p % 2].n; i++)
				(void)tally_close(&tally, &threads[t].lines[p % 2].line[i], now_us, &sums);
		}
		if (resident() - before > most)
			most = resident() - before;
		for (uint32_t t = 0; t < n; t++)
			account_lines_clear(&threads[t].lines[p % 2]);
		merged += seconds() - at;
	}
	if (sums.lost_datagrams || sums.doubled_datagrams || sums.datagrams != (uint64_t)PERIODS * DATAGRAMS * agents)
		return 1;
	printf("{\"agents\":%u,\"threads\":%u,\"state_mb\":%.1f,\"bytes_per_agent\":%.0f,\"datagram_ns\":%.0f,"
	       "\"merge_ms\":%.1f}\n",
	       agents, n, (double)most / 1e6, (double)most / agents, heard / (double)sums.datagrams * 1e9,
	       merged / PERIODS * 1e3);
	for (uint32_t t = 0; t < n; t++) {
		account_deinit(&threads[t].account);
		account_lines_deinit(&threads[t].lines[0]);
		account_lines_deinit(&threads[t].lines[1]);
	}
	tally_deinit(&tally);
	return 0;
}
