/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What agents say besides flows, waiting to be put on the bus: host, listener and ledger messages, already
 * encoded. Host records in several parts are put together here.
 */
#pragma once

#include "bus/bus.h"
#include "flow/msg.h"
#include "wire/wire.h"

struct records {
	struct buf bytes; /* frames, see records_next() */
};

void records_init(struct records *r, size_t max_bytes);
void records_deinit(struct records *r);
void records_clear(struct records *r);

/* One message. -ENOSPC: no room, nothing was added. */
int records_host(struct records *r, const struct flow_host *h);
int records_listener(struct records *r, const struct flow_listener *l);
int records_ledger(struct records *r, const struct flow_ledger *l);

struct records_message {
	enum bus_topic topic;
	struct str key, value;
};

/* The message at *at, which moves behind it; begin with 0. False: no more. */
bool records_next(const struct records *r, size_t *at, struct records_message *ret);

/* Parts of host records that wait for the others. */
struct records_parts;

int records_parts_new(struct records_parts **ret);
void records_parts_free(struct records_parts *p);

/*
 * Adds part `part` of `parts` of `h` (of the agent that booted at `boot`). True: *h is now complete, its strings live until the
 * next call. `ret_given_up` grows by hosts forgotten because their other parts did not come.
 */
bool records_parts_add(struct records_parts *p, uint64_t boot, unsigned part, unsigned parts, struct flow_host *h,
		       uint64_t *ret_given_up);
