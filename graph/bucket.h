/* SPDX-License-Identifier: Apache-2.0 */
/* One interval of one partition while it is open: a hash of keyed entries, in the order they came, all freed at once. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

/* First member of whatever a stage keeps. */
struct bucket_entry {
	struct bucket_entry *next; /* in the order they came */
	struct bucket_entry *next_hash;
	uint64_t hash;
};

struct bucket_chunk;

struct bucket {
	struct bucket *next; /* ascending intervals */
	uint32_t interval;   /* its start, s */
	uint16_t interval_s;
	bool late;          /* made after the interval had closed */
	int64_t first;      /* offset of its first row */
	uint64_t rows;      /* sum(rows) that came, the lost ones included */
	uint64_t rows_out;  /* sum(rows) the stage wrote, set by its emit() */
	uint64_t lost_late; /* sum(rows) too late for anything */
	struct bucket_entry *entries, **last;
	size_t n;
	size_t held; /* entries, and what the stage hangs on them: what max_entries counts */
	struct bucket_entry **hash;
	size_t n_hash;
	struct bucket_chunk *chunks;
};

struct bucket *bucket_new(uint32_t interval, uint16_t interval_s, int64_t first);
void bucket_free(struct bucket *b);

/* Memory that lives as long as the bucket, zeroed; NULL: none left. */
void *bucket_alloc(struct bucket *b, size_t n);
/* A copy of the text that lives as long as the bucket. -ENOMEM. */
int bucket_str(struct bucket *b, struct str s, struct str *ret);

/* The entry with this hash for which eq(entry, key) holds, or NULL. */
struct bucket_entry *bucket_find(const struct bucket *b, uint64_t hash,
				 bool (*eq)(const struct bucket_entry *e, const void *key), const void *key);
/* Adds an entry that is not there yet. -ENOMEM. */
int bucket_add(struct bucket *b, struct bucket_entry *e, uint64_t hash);
