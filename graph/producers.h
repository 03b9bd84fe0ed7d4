/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who writes into one partition, how far each of them is, and whether what they announce has come. A pure function of
 * the markers and rows given, in the order of the log.
 *
 * A producer is live from its first marker until the newest marker of all (`newest`) is 3 intervals beyond what it was
 * when the producer last wrote; writing makes it live again. Intervals up to the least marker of the live ones are
 * closed.
 *
 * The balance is the running sum: rows that came less rows that markers announced. Announced rows came before their
 * marker in the log, so a balance below zero is a loss of at least that much, at that moment. Rows of a producer that
 * has not marked yet may hide a loss of another, but only until a moment at which all are silent: collectors write in
 * the first half of an interval. A producer that dies between its rows and its marker leaves rows nobody announces,
 * which would hide losses for ever: after a restart or a silence, what stays above zero over PRODUCERS_SETTLE closings
 * is taken out (`unannounced`).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "flow/msg.h"

#define PRODUCERS_MAX 8192 /* of one partition; the longest silent makes room */
#define PRODUCERS_SILENT 3 /* intervals */
#define PRODUCERS_SETTLE 4 /* closings */

struct producer {
	uint64_t name; /* hash */
	uint64_t boot;
	uint32_t marked;   /* its newest marker; 0: expected, never wrote */
	uint32_t wrote_at; /* `newest` when it last wrote; 0: before the first marker of all */
	int64_t offset;    /* of its last marker */
};

struct producers {
	struct producer *v;
	size_t n, cap;
	uint32_t newest;     /* newest marker of all */
	uint16_t interval_s; /* of the newest marker; 0: none yet */
	int64_t balance;
	uint64_t lost;        /* rows announced that never came, since producers_take() */
	uint64_t unannounced; /* likewise, rows nobody announced */
	bool forgiving;       /* the log began before us: a first deficit is no loss */
	bool suspect;         /* a producer restarted or fell silent */
	int64_t low;          /* least balance since the last closing */
	int64_t lows[PRODUCERS_SETTLE];
	unsigned n_lows;
};

void producers_init(struct producers *ps, int64_t balance, bool forgiving);
void producers_deinit(struct producers *ps);

/* Awaits a producer before it has written anything. -ENOMEM. */
int producers_expect(struct producers *ps, struct str name);

/* A marker at `offset`. `count`: it is new (not read again after a restart), so it moves the balance. -ENOMEM. */
int producers_marker(struct producers *ps, const struct flow_marker *m, int64_t offset, bool count);

/* New rows came. */
void producers_rows(struct producers *ps, uint64_t rows);

/* Newest interval all live producers have marked; 0: none. */
uint32_t producers_closable(const struct producers *ps);

/* An interval closed: once for each advance. */
void producers_closed(struct producers *ps);

/* Offset of the oldest last marker of a live producer: reading from there finds them all again. INT64_MAX: none. */
int64_t producers_oldest(const struct producers *ps);

void producers_count(const struct producers *ps, uint32_t *ret_live, uint32_t *ret_silent);
