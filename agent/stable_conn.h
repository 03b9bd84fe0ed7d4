/* SPDX-License-Identifier: Apache-2.0 */
/* One connection of the mode `stable` (a struct conn, id = cookie): its row's key, and what it adds to its row. */
#pragma once

#include <stdbool.h>

#include "agent/bpf/event.h"
#include "agent/conns.h"
#include "agent/diag.h"
#include "agent/rows.h"

void stable_conn_key(struct conn *c, uint32_t netns, const uint8_t local[16], const uint8_t remote[16]);
void stable_conn_role(struct conn *c, unsigned role, uint16_t lport, uint16_t rport);

/* Adds what grew since the last call, and, with rtt, a sample of how it is now. */
void stable_conn_add(struct conn *c, struct agent_row *row, const struct sky_totals *t, bool rtt);

/* An open one at an interval's end. */
void stable_conn_sample(struct conn *c, struct agent_row *row, const struct diag_sock *d, uint64_t cut_ms);

/* From now on what it does is counted, what it did is not. */
void stable_conn_base(struct conn *c, const struct sky_totals *t);

/* how: enum sky_end. */
void stable_conn_end(struct sky_row_value *v, unsigned how);

uint64_t stable_conn_ms(uint64_t from_ms, uint64_t to_ms); /* 0 when `from` is later */
