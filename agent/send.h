/* SPDX-License-Identifier: Apache-2.0 */
/*
 * To which collector an agent sends, and under which sub-agent id. A state machine over what happens; time is an
 * argument, sockets are elsewhere (agent/outbox.c).
 *
 * 1. Every agent ranks the collectors by hash (rendezvous): each has its own favourite, and when one goes,
 *    only its agents move, spread over the others.
 * 2. A collector fails when it says that it stops, when a send is refused, or when three intervals went unanswered.
 *    The best one that has not failed in the last ten minutes is next; if all have, the one whose failure is longest
 *    ago, but then not more often than once in ten seconds.
 * 3. At the beginning of an interval an agent goes back to a better one whose ten minutes are over.
 * 4. Each change is a new sub-agent id (changes x 8 + thread): sequence and counts begin at 0, so what a
 *    collector counts never spans two of them. Nothing is sent twice. Another address of the same name is a change, too.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

#define SEND_MAX 64
#define SEND_BACK_US 600000000ll
#define SEND_HURRY_US 10000000ll
#define SEND_MISSING 3

struct send {
	unsigned n;
	unsigned rank[SEND_MAX];  /* collectors, the favourite first */
	int64_t failed[SEND_MAX]; /* by place in rank: when; INT64_MIN never */
	unsigned at;              /* place of the current one */
	bool no_ack;
	uint32_t moves; /* changes so far */
	int64_t moved_us;
	unsigned missing; /* unanswered intervals in a row */
	bool waiting;     /* something was sent to it in the last interval, nothing heard since */
};

/* The order in which `host` tries collectors: a permutation of 0 .. n - 1, best first. n <= SEND_MAX. */
void send_rank(struct str host, const char *const *collectors, unsigned n, unsigned *ret);

void send_init(struct send *s, struct str host, const char *const *collectors, unsigned n, bool no_ack);

/* Other collectors, or others besides: the current one stays if it is among them, as do failures; else the favourite is
 * next. was[i]: the former index of the new collector i, -1 none. True: the current collector changed. */
bool send_reload(struct send *s, struct str host, const char *const *collectors, unsigned n, const int *was,
		 int64_t now_us);

/* Collector i has another address now: another process, which deserves a new chance. True: it is the current one. */
bool send_renamed(struct send *s, unsigned i, int64_t now_us);

/* Index of the collector to send to now, as given to send_init(). */
unsigned send_current(const struct send *s);
uint32_t send_sub_agent(const struct send *s, unsigned thread);

/* What happened. True: the current collector changed. now_us never steps. */
bool send_interval(struct send *s, int64_t now_us); /* a new interval is about to be sent */
bool send_refused(struct send *s, int64_t now_us);  /* the host there, or the way to it, said no */
bool send_acked(struct send *s, bool stopping, int64_t now_us);
void send_sent(struct send *s); /* a datagram went out */
