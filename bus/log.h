/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One partition of the memory bus: records in the order of their offsets, the oldest dropped when nobody needs
 * them, or (compacted) the latest of each key. Not thread-safe: memory.c holds its lock around every call.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bus/bus.h"

struct log_record {
	int64_t offset;
	unsigned refs; /* the log, and readers that hold it */
	uint16_t topic, partition;
	bool tombstone;
	size_t key_len, value_len;
	struct log_record *next_key; /* same bucket of the key map (compacted), or next staged */
	char data[];                 /* key, value */
};

struct log {
	struct log_record **ring;
	size_t head, count, cap; /* cap: a power of two; holes (NULL) only where compacted */
	size_t reserved;         /* slots promised to transactions */
	size_t holes;
	int64_t next;  /* offset of the next record */
	size_t bytes;  /* of all records kept */
	size_t spent;  /* of these, of records below `floor` */
	int64_t floor; /* first offset a group still needs */
	bool compacted;
	struct log_record **keys; /* compacted: buckets of the key map */
	size_t n_keys, n_buckets, tombstones;
};

struct log_record *log_record_new(enum bus_topic t, unsigned partition, const void *key, size_t key_len,
				  const void *value, size_t value_len);
void log_record_unref(struct log_record *rec);
size_t log_record_bytes(const struct log_record *rec);

void log_init(struct log *log, int64_t first, bool compacted);
void log_deinit(struct log *log);

/* Promises room for n more records. -ENOMEM. */
int log_reserve(struct log *log, size_t n);
/* Takes over the caller's reference and one reserved slot; gives the record its offset. Cannot fail. */
void log_append(struct log *log, struct log_record *rec);
/* Returns the promise. */
void log_unreserve(struct log *log, size_t n);

/* First record at or after `offset`; NULL: none yet. */
struct log_record *log_find(const struct log *log, int64_t offset);
int64_t log_oldest(const struct log *log); /* its offset; log->next when empty */

/* Groups need records from `floor` on (it may go back when a group joins); drops what is older, but for
 * `history` bytes. */
void log_set_floor(struct log *log, int64_t floor, size_t history);
/* Compacted: drops tombstones below `read`: every open reader has seen them. */
void log_drop_tombstones(struct log *log, int64_t read);
/* Compacted, not empty: drops the record that has gone longest without being replaced. */
void log_drop_oldest(struct log *log);
