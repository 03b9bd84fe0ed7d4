/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Batches on disk while the store is away: a folder with a file for each,
 *
 *     batch-<number, 16 hex digits>    { u32 length, message as on the bus }..., u64 XXH3-64 of all before
 *
 * written under another name, synced, renamed. Oldest first out; a file is removed when its batch is stored. What is in
 * the folder at the start belongs to a former process and is stored as well. One process at a time (flock on `lock`).
 */
#pragma once

#include "store/store.h"

struct spool;

/* Makes the folder if need be. -errno with a sentence in `why`. */
int spool_open(struct spool **ret, const char *folder, uint64_t max_bytes, char *why, size_t why_len);
void spool_close(struct spool *sp);

/* -ENOSPC: the bound is reached, or the disk is full; -errno. Text in spool_error(). */
int spool_put(struct spool *sp, const struct store_batch *b);

/* The oldest batch; it lives until the next call. -ENOENT: none; -EBADMSG: that file is damaged, it was set aside (renamed). */
int spool_oldest(struct spool *sp, struct store_batch *ret);
void spool_done(struct spool *sp); /* it is stored */

uint64_t spool_bytes(const struct spool *sp);
const char *spool_error(const struct spool *sp);
