/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sends batches to the current collector, evenly over the spread, and listens to its answers. The health record goes
 * last: it says what really went out, with the lines of former intervals that no collector has acknowledged yet.
 *
 * Lost here: rows of a datagram that could not be sent even after the collector was changed (send_error). A refused send
 * is news of an earlier datagram: it is sent once more, to whoever is current then.
 */
#pragma once

#include "agent/batch.h"
#include "agent/conf.h"
#include "base/loop.h"

#define OUTBOX_LINES 24 /* unacknowledged ledger lines kept */

struct outbox;

/* loop: sending and acks happen in its thread. `head` is copied; its strings are not.
 * -errno with a sentence in `why`. */
int outbox_new(struct outbox **ret, const struct conf *conf, const struct batch_head *head, struct loop *loop,
	       char *why, size_t why_len);
void outbox_free(struct outbox *o);

/* In the loop's thread: other collectors, another spread. `conf` stays the caller's, until the next reload or outbox_free(). */
void outbox_reload(struct outbox *o, const struct conf *conf);

/* Hands a batch over (it is the outbox's then); from any thread. What is left of the former one goes at once. */
void outbox_push(struct outbox *o, struct batch *b);

/* In the loop's thread, after loop_run(): sends all there is, then the health record. */
void outbox_flush(struct outbox *o);
