/* SPDX-License-Identifier: Apache-2.0 */
/* The SQLite store's tiers: which buckets are out of date, roll-ups, retention. */
#pragma once

#include "store/sqlite.h"
#include "store/tiers.h"

/* Loads what is dirty and what days there are. -errno. */
int marks_load(struct sqlite *st);

/* A row at `interval` came to tier t: its bucket above must be made again. Inside d's transaction. */
int marks_add(struct sqlite *st, struct day *d, uint32_t interval);

/* Makes one dirty bucket that ended long enough before now_s. 1: did one; 0: none; -errno. */
int sqlite_roll(struct sqlite *st, uint32_t now_s);

/* Removes day files past their age. -errno. */
int marks_retain(struct sqlite *st, uint32_t now_s);
