/* SPDX-License-Identifier: Apache-2.0 */
/* The hook's open connections by their addresses and ports, read when first asked for in an interval. */
#pragma once

#include "agent/diag.h"
#include "agent/stable.h"

struct stable_live;

int stable_live_new(struct stable_live **ret); /* -ENOMEM */
void stable_live_free(struct stable_live *l);

/* What was read is of yesterday. */
void stable_live_begin(struct stable_live *l);

/* The hook's part of an open connection; NULL: it has none, or memory is out. Lives until stable_live_begin(). */
const struct stable_sock *stable_live_find(struct stable_live *l, struct stable *hook, const struct diag_sock *d);
