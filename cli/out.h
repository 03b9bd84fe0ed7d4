/* SPDX-License-Identifier: Apache-2.0 */
/* Everything on a bus's topics of rows, as JSON lines in a file: what a collector made of what came, for people and tests. */
#pragma once

#include "bus/bus.h"

struct out;

/* Reads flows, hosts and ledger of `bus` in a thread of its own from now on; path "-": standard output. -errno with a sentence
 * in `why`. */
int out_new(struct out **ret, struct bus *bus, const char *path, char *why, size_t why_len);

/* Writes what is left on the bus: nobody may produce any more. -EIO: not all could be written. NULL is fine. */
int out_free(struct out *o);
