/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of collectors looked up again, in a thread that does nothing else: a resolver may take half a minute, and the
 * sending loop must not. One look-up of all names at a time; the answers come in the loop's thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/ip.h"
#include "base/loop.h"

#define RESOLVE_MAX 64

struct resolve;

/* One name: what it is, where it led to last. An address that is still among those of its name stays. */
struct resolve_name {
	char text[256]; /* HOST:PORT */
	struct ip ip;
	uint16_t port;
};

/* fn: v[n] anew, names that lead nowhere now as they were. -errno */
int resolve_new(struct resolve **ret, struct loop *loop,
		void (*fn)(void *arg, const struct resolve_name *v, unsigned n), void *arg);

/* One that is under way is left behind: its answer goes nowhere. NULL is fine. */
void resolve_free(struct resolve *r);

bool resolve_busy(const struct resolve *r);

/* False: one is under way, or there is no memory or thread to be had. n <= RESOLVE_MAX. */
bool resolve_start(struct resolve *r, const struct resolve_name *v, unsigned n);

/* False for an address: nothing to look up. */
bool resolve_is_name(const char *text);
