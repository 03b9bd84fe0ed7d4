/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was sent, edge by edge, as JSON lines: {"interval", "interval_s", "id", "net", "client_service", "client_zone",
 * "server_service", "server_zone", "protocol", "port", "observed_by", "sums": {column: n}, "histograms": {column: {bucket: n}}}.
 * Columns are the store's and the API's; of sums only those that are not 0.
 */
#pragma once

#include <stdio.h>

#include "flow/stats.h"
#include "tools/gen/fleet.h"

struct truth;

/* Writes to `out`, which stays the caller's. -ENOMEM. */
int truth_new(struct truth **ret, const struct fleet *f, FILE *out);
void truth_free(struct truth *t);

/* t may be NULL: nothing is done then. */
void truth_add(struct truth *t, const struct fleet_row *row, const struct flow_stats *s);

/* Writes what was added, and begins anew. -EIO. */
int truth_write(struct truth *t, uint32_t interval, uint32_t interval_s);
