/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The measuring thread. At each wall-clock multiple of the interval: collect -> name -> fold -> build, then hand
 * over to the outbox or print.
 *
 * 1. An interval is named by its start. Rows belong to the interval that had just ended when their collect was begun;
 *    nobody cuts them again. A collect may take long (the swap of the kernel's maps waits for running programs): the boundaries
 *    that passed meanwhile give no interval of their own, counted as `intervals_missed`.
 * 2. The interval that is open when the agent is stopped is collected at once and goes out under its own number: what was measured
 *    is not lost.
 * 3. Within an interval a map that fills up is drained early into the same rows.
 */
#pragma once

#include "agent/batch.h"
#include "agent/conf.h"
#include "agent/nat.h"
#include "agent/outbox.h"
#include "agent/source.h"
#include "agent/udp.h"

struct cycle;

/* Opens everything that measures. `source` is open and becomes the cycle's. `host` is initialised. On failure `why` says what. */
int cycle_new(struct cycle **ret, const struct conf *conf, const struct source_ops *ops, struct source *source,
	      struct host *host, char *why, size_t why_len);

/* UDP is measured beside the source; it becomes the cycle's. Before cycle_start(). -ENOMEM: its listeners are not told. */
int cycle_udp(struct cycle *c, struct udp *udp);

/* What is known of translated addresses, which the source asks; it becomes the cycle's. Before cycle_look(). */
void cycle_nat(struct cycle *c, struct nat *nat);

/* Looks at namespaces and addresses once: host_address() knows this host then. Before cycle_start(). */
void cycle_look(struct cycle *c);

/* outbox NULL: print to standard output. head is copied. done() is called, in the thread, when nothing more will come by itself (--once, or
 * standard output was closed). -errno */
int cycle_start(struct cycle *c, struct outbox *outbox, const struct batch_head *head, void (*done)(void *arg),
		void *arg);

/* Another configuration from the next interval on. Returns one that is not used any more, or NULL: the former one stays in use
 * until then. */
const struct conf *cycle_reload(struct cycle *c, const struct conf *conf);

/* True when some interval did not come out whole: not measured, not printed. After cycle_stop(). */
bool cycle_failed(const struct cycle *c);

/* Collects the open interval, hands it over, joins. */
void cycle_stop(struct cycle *c);
void cycle_free(struct cycle *c);

/* Start of the last whole interval at `wall_us`; of the open one if `open`. */
uint32_t cycle_interval(int64_t wall_us, uint16_t interval_s, bool open);
