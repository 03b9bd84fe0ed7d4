/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What our programs take from the applications that run them. The kernel times programs only while its statistics are on
 * (BPF_ENABLE_STATS, by descriptor, from 5.8; the cost of two clock reads a run, for every program of the host). So they
 * are on for one interval in COST_EVERY_US; what is known of it is the time for an event (an attempt, an opening, an end),
 * and the other intervals are estimates: their events times that. Where statistics are always on, nothing is estimated.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define COST_EVERY_US 300000000ll
#define COST_EVENT_NS 600 /* until something was measured: docs/performance.md */
#define COST_EVENTS 50    /* fewer in an interval say nothing about one */

struct cost {
	int fd;      /* keeps the statistics on; -1 off */
	bool always; /* somebody else keeps them on */
	bool whole;  /* they have been on since the interval began */
	double event_ns;
	uint64_t run_ns, events; /* as told last */
	int64_t measured_us;
	/* running totals */
	uint64_t ns;           /* measured or estimated */
	uint64_t estimated_ns; /* part of it */
};

/* The first interval begins, measured if the kernel lets us. */
void cost_init(struct cost *c);
void cost_deinit(struct cost *c);

/* An interval ended. Both running totals: what the kernel's statistics say, the events counted. now_us never steps. */
void cost_interval(struct cost *c, uint64_t run_ns, uint64_t events, int64_t now_us);

/* The same without asking the kernel for anything: `on` are the statistics of the interval that begins. */
void cost_add(struct cost *c, uint64_t run_ns, uint64_t events, bool on);
