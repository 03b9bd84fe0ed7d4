/* SPDX-License-Identifier: Apache-2.0 */
/* What /metrics says about edges: running sums by (client, server, zones), since this server started. No ports and no
 * addresses, and at most TOTALS_MAX of them: all further ones are one called `other`. */
#pragma once

#include <pthread.h>

#include "base/buf.h"
#include "flow/msg.h"

#define TOTALS_MAX 2000

struct totals;

int totals_new(struct totals **ret);
void totals_free(struct totals *t);

/* A row that was stored. Any thread. */
void totals_add(struct totals *t, const struct flow_edge *e);

/* Prometheus text. */
void totals_write(struct totals *t, struct buf *b);

/* A label's value: quotes, backslashes and newlines escaped. */
void totals_label(struct buf *b, struct str s);
