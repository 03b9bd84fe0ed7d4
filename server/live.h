/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The live stream (Server-Sent Events): what changed in the newest complete interval, one question to the store for all
 * who listen, none while nobody does.
 *
 * Complete is an interval that ended settle_ms ago, of which or after which something was stored. Rows stored later
 * for the interval shown last come with the same interval again.
 *
 *     live_new -> live_start -> live_open ... -> live_stop -> live_free
 */
#pragma once

#include "server/http.h"
#include "store/store.h"

#define LIVE_RING 64

struct live;

struct live_opts {
	struct store *store;
	uint16_t interval_s;
	uint32_t settle_ms;
	unsigned clients;        /* at once; more are refused */
	void (*wake)(void *arg); /* there is something to read; any time from live_start() to live_stop() */
	void *arg;
};

int live_new(struct live **ret, const struct live_opts *opts);
int live_start(struct live *l);
void live_stop(struct live *l);
void live_free(struct live *l); /* after the last feed was closed */

/* Rows of intervals from oldest to newest came into the store. By the writer. */
void live_stored(struct live *l, uint32_t oldest, uint32_t newest);

/* A client: after the event `last` (its Last-Event-ID, NULL none) when that can be continued, else from a snapshot on.
 * -EAGAIN: too many. */
int live_open(struct live *l, const char *last, struct http_feed *ret);

struct live_stats {
	uint64_t clients, opened, refused, cut; /* cut: too far behind */
	uint64_t events, event_bytes;           /* made, not counted per client */
	uint64_t sent_bytes, failed;            /* failed: questions to the store */
};

void live_stats(struct live *l, struct live_stats *ret);
