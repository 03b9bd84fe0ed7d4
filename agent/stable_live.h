/* SPDX-License-Identifier: Apache-2.0 */
/* The hook's sockets by their addresses and ports, read when first asked for in an interval: open ones, and those that ended
 * while no program learned by which cookie. */
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

/* Takes the hook's part of a destroyed one, with its port, or one of a client whose port the hook does not know. False: it has none. */
bool stable_live_take(struct stable_live *l, struct stable *hook, const struct diag_sock *d, bool port,
		      struct stable_sock *ret);

/* Takes, from the place *at on, one that was destroyed before then, if they were read. False: no more. */
bool stable_live_take_old(struct stable_live *l, struct stable *hook, size_t *at, int64_t before_us,
			  struct stable_sock *ret);

/* A message may be of this socket: a connection, destroyed, or ended while nobody saw it. Not of an attempt that just ended: the same
 * socket may try again, and has one message. */
bool stable_live_may(const struct stable_sock *e);

/* And it is: same addresses and ports, as far as the hook knows them. */
bool stable_live_same(const struct stable_sock *e, const struct diag_sock *d);
