/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of one interval in user space: what a source drained, by kernel key. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "agent/bpf/event.h"

struct agent_row {
	struct sky_row_key key;
	struct sky_row_value val;
};

/* Hash of rows by key, bounded. Rows stay where they are until rows_clear(). */
struct agent_rows;

/* At most `max` rows. -ENOMEM. Free with agent_rows_free(); NULL is fine. */
int agent_rows_new(struct agent_rows **ret, size_t max);
void agent_rows_free(struct agent_rows *rows);

/* The row of `key`, made empty if new; NULL when `max` rows are there (the caller counts the loss). */
struct agent_row *agent_rows_get(struct agent_rows *rows, const struct sky_row_key *key);

/* The same, tried first where `*place` says: what this gave before for a key that is likely the same. Any value is fine. */
struct agent_row *agent_rows_near(struct agent_rows *rows, const struct sky_row_key *key, uint32_t *place);

/* Adds all fields, ports and the hint of `val` to the row of `key`. -ENOSPC when full. */
int agent_rows_add(struct agent_rows *rows, const struct sky_row_key *key, const struct sky_row_value *val);

/* Rows of sampled connections: every sum times 2^sample. Once, when the interval's rows are all there, before
 * agent_rows_stamp(). */
void agent_rows_scale(struct agent_rows *rows);

/* Sets rows = 1 in every row: what each counts in the ledger, however often it was merged here. */
void agent_rows_stamp(struct agent_rows *rows);

size_t agent_rows_count(const struct agent_rows *rows);
struct agent_row *agent_rows_at(struct agent_rows *rows, size_t i);
void agent_rows_clear(struct agent_rows *rows);

/* Adds an ephemeral port to the row: listed if new and there is room, counted always. */
void agent_row_port(struct sky_row_value *val, uint16_t port);

/* A row as the kernel leaves it: ports_seen is the sum of its ports while the list has room. It becomes their number, and one
 * port that is not listed because two CPUs wrote one place (agent/bpf/fold.bpf.h) is found by the sum. */
void agent_row_drained(struct sky_row_value *val);
