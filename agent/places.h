/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses in the kernel's map of sockets at which user space follows nobody: free places, and new ones it was told of by the
 * log (agent/bpf/log.bpf.h). In the order they came. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/bpf/event.h"

struct places;

/* -ENOMEM. Memory follows the most there were. */
int places_new(struct places **ret, size_t max);
void places_free(struct places *p);

size_t places_count(const struct places *p);
uint64_t places_at(const struct places *p, size_t i);
/* False: no room. */
bool places_add(struct places *p, uint64_t at);
/* The first n go. */
void places_cut(struct places *p, size_t n);

/* Maps the log, of so many rings. -errno */
int places_open_log(struct places *p, int map_fd, unsigned rings);
/* Sees nothing of what the log has up to now. True: lines are missing in what was read, or would be. */
bool places_log_lost(const struct places *p);
void places_skip_log(struct places *p);
/* New lines there are. */
uint64_t places_unread(const struct places *p);

/* Gives each new line; false when some are missing. */
bool places_read_log(struct places *p, void (*line)(void *arg, uint64_t line), void *arg);
