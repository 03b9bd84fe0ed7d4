/* SPDX-License-Identifier: Apache-2.0 */
/* What one interval gave, built into datagrams and ready to be sent: handed from the measuring thread to the sending one. */
#pragma once

#include "agent/host.h"
#include "agent/listen.h"
#include "agent/named.h"
#include "base/buf.h"
#include "wire/build.h"

struct batch_item {
	uint32_t at, len; /* in bytes */
	uint32_t rows;    /* sum(rows) inside */
};

struct batch {
	struct flow_ledger line; /* rows_out: what is inside; lost: what did not get here */
	struct buf bytes;
	struct batch_item *v;
	size_t n, cap;
};

/* What all datagrams of an agent share. */
struct batch_head {
	struct wire_head wire; /* interval is set for each batch */
	struct wire_opts opts;
	struct ip agent;
	bool interop; /* rows as others read them too (wire/interop.h) */
};

/* NULL when memory is out. */
struct batch *batch_new(void);
void batch_free(struct batch *b);

/* Each adds datagrams; b is the caller's builder, reused. Rows that do not fit into any are counted in the line (too_big). -ENOMEM;
 * nothing is half added then. */
int batch_rows(struct batch *b, struct wire_build *w, const struct batch_head *head, const struct named *rows,
	       const struct names *names);
int batch_listeners(struct batch *b, struct wire_build *w, const struct batch_head *head, struct listen *l,
		    struct names *names, int64_t now_us);
int batch_host(struct batch *b, struct wire_build *w, const struct batch_head *head, struct host *h);
