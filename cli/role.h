/* SPDX-License-Identifier: Apache-2.0 */
/* What a role that runs in a process of its own does besides its work. */
#pragma once

#include <stdint.h>

#include "base/buf.h"
#include "bus/bus.h"

/* Takes SIGINT, SIGTERM and SIGHUP away from every thread to come; a signalfd for them. -errno. */
int role_signals(void);

/* Writes what `fill` appends to the file: whole or not at all, so who reads it meanwhile sees the former one. */
void role_metrics(const char *path, void (*fill)(void *arg, struct buf *b), void *arg);

/* Says what the bus has to say when it is new, at most one line every ten seconds. */
struct role_bus {
	struct bus *bus;
	int64_t said_us; /* monotonic */
	char said[512];
};
void role_watch(struct role_bus *w, int64_t now_us);
