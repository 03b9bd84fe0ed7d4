/* SPDX-License-Identifier: Apache-2.0 */
/* Tiers: what they are called and how long their rows are, roll-ups, retention. */
#pragma once

#include "store/sqlite.h"

/* Length of a row, s. FINE: the run's interval. */
uint32_t tiers_length(const struct store *st, enum store_tier t);
/* How long rows of a kind are kept; 0: the tier is not made. */
uint32_t tiers_keep(const struct store *st, enum columns_kind kind, enum store_tier t);
/* The next coarser, finer tier made for a kind; STORE_TIERS: none. */
enum store_tier tiers_above(const struct store *st, enum columns_kind kind, enum store_tier t);
enum store_tier tiers_below(const struct store *st, enum columns_kind kind, enum store_tier t);

/* Loads what is dirty and what days there are. -errno. */
int tiers_load(struct store *st);

/* A row at `interval` came to tier t: its bucket above must be made again. Inside d's transaction. */
int tiers_mark(struct store *st, struct day *d, uint32_t interval);

/* Makes one dirty bucket that ended long enough before now_s. 1: did one; 0: none; -errno. */
int tiers_roll(struct store *st, uint32_t now_s);

/* Removes day files past their age. -errno. */
int tiers_retain(struct store *st, uint32_t now_s);

int dirty_add(struct dirty *d, uint32_t bucket); /* -ENOMEM */
void dirty_del(struct dirty *d, uint32_t bucket);
/* Any in [from, to)? */
bool dirty_any(const struct dirty *d, uint32_t from, uint32_t to);
