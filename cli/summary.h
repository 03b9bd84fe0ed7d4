/* SPDX-License-Identifier: Apache-2.0 */
/* What `skyfall run --for` says at its end. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "cli/client.h"

/* Waits until all intervals that began before `until_s` (s since 1970) are stored, at most timeout_ms. 0, or what the
 * API answered. A timeout is no error: the chain will show what is not there. */
int summary_settle(struct client *c, int64_t until_s, int timeout_ms);

/* Edges and the chain of [from, to). truth: folder of the demo's own numbers, NULL if there was none.
 * CMD_OK, CMD_FAILED when something does not add up (or the numbers differ), or negative. */
int summary_print(struct client *c, int64_t from, int64_t to, const char *truth, bool json);
