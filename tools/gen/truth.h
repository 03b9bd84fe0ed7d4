/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was sent, as JSON lines.
 *
 * By edge: {"interval", "interval_s", "id", "net", "client_service", "client_zone", "server_service", "server_zone", "protocol",
 * "port", "observed_by", "sums": {column: n}, "histograms": {column: {bucket: n}}}. Columns are the store's and the API's; of
 * sums only those that are not 0. What was lost on purpose or could not be sent is not in it; where there is such, "unsent" has
 * its sums, and "twice" the rows that went a second time beside.
 *
 * By row, what a collector folds into one: {"interval", "interval_s", "view", "net", "scope", "protocol", "client", "server",
 * "port", "other_port", "service", "process", "container", "ports": [n], "sums": {field: n}, "histograms": {field: {bucket: n}},
 * "unsent_rows", "twice_rows"}. view: 0 client, 1 server. ports: all ephemeral ports that were named, each once.
 * Of standard samples: view 2 (network), the end that sent as client, both ports in the key, no names; interval is the one whose
 * events they are, the collector's is the one they come in.
 */
#pragma once

#include <stdio.h>

#include "tools/gen/pack.h"

struct truth;

/* Writes to `edges` and `rows`, each may be NULL, both stay the caller's. samples: what is added are standard ones. -ENOMEM. */
int truth_new(struct truth **ret, const struct fleet *f, FILE *edges, FILE *rows, bool samples);
void truth_free(struct truth *t);

/* Of which interval is what comes now. t may be NULL, also below: nothing is done then. */
void truth_begin(struct truth *t, uint32_t interval, uint32_t interval_s);

/* An item that was sent `sent` times as another (new sequence number), not sent `unsent` times, and repeated `twice` times. Items of
 * a host come together, of samples also those of a port. */
void truth_add(struct truth *t, uint32_t row, const struct traffic_item *item, uint32_t sent, uint32_t unsent,
	       uint32_t twice);

/* All items of the host in this interval have been added: writes its rows. -EIO. */
int truth_host(struct truth *t, uint32_t host);

/* All hosts: writes the edges. */
int truth_interval(struct truth *t);
