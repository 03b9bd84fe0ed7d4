/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/log.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

#define RECORD_OVERHEAD (sizeof(struct log_record) + 24) /* ring slot and what malloc adds */

struct log_record *log_record_new(enum bus_topic t, unsigned partition, const void *key, size_t key_len,
				  const void *value, size_t value_len)
{
	struct log_record *rec;

	if (key_len > SIZE_MAX / 4 || value_len > SIZE_MAX / 4)
		return NULL;
	rec = malloc(sizeof(*rec) + key_len + value_len);
	if (!rec)
		return NULL;
	*rec = (struct log_record){.refs = 1,
				   .topic = (uint16_t)t,
				   .partition = (uint16_t)partition,
				   .tombstone = value == NULL,
				   .key_len = key_len,
				   .value_len = value ? value_len : 0};
	if (key_len)
		memcpy(rec->data, key, key_len);
	if (value && value_len)
		memcpy(rec->data + key_len, value, value_len);
	return rec;
}

void log_record_unref(struct log_record *rec)
{
	assert(rec->refs > 0);
	if (--rec->refs == 0)
		free(rec);
}

size_t log_record_bytes(const struct log_record *rec)
{
	return RECORD_OVERHEAD + rec->key_len + rec->value_len;
}

void log_init(struct log *log, int64_t first, bool compacted)
{
	*log = (struct log){.next = first, .floor = first, .compacted = compacted};
}

static struct log_record **log_slot(const struct log *log, size_t i)
{
	return &log->ring[(log->head + i) & (log->cap - 1)];
}

void log_deinit(struct log *log)
{
	for (size_t i = 0; i < log->count; i++) {
		if (*log_slot(log, i))
			log_record_unref(*log_slot(log, i));
	}
	free(log->ring);
	free(log->keys);
	*log = (struct log){0};
}

int log_reserve(struct log *log, size_t n)
{
	size_t cap = log->cap ? log->cap : 64;
	struct log_record **ring;

	while (cap < log->count + log->reserved + n)
		cap *= 2;
	if (cap != log->cap) {
		ring = malloc(cap * sizeof(struct log_record *));
		if (!ring)
			return -ENOMEM;
		for (size_t i = 0; i < log->count; i++)
			ring[i] = *log_slot(log, i);
		free(log->ring);
		log->ring = ring;
		log->head = 0;
		log->cap = cap;
	}
	log->reserved += n;
	return 0;
}

void log_unreserve(struct log *log, size_t n)
{
	assert(log->reserved >= n);
	log->reserved -= n;
}

/* First slot whose record has offset >= `offset`; count when none. Holes have none: skip to the right. */
static size_t log_search(const struct log *log, int64_t offset)
{
	size_t lo = 0, hi = log->count;

	if (log->count && *log_slot(log, 0)) { /* without holes the offset says where it is */
		int64_t first = (*log_slot(log, 0))->offset, at;

		if (offset <= first) /* before the difference: any offset may be asked for */
			return 0;
		at = offset - first;
		if ((uint64_t)at < log->count && *log_slot(log, (size_t)at) &&
		    (*log_slot(log, (size_t)at))->offset == offset)
			return (size_t)at;
	}
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2, i = mid;

		while (i < hi && !*log_slot(log, i))
			i++;
		if (i == hi)
			hi = mid;
		else if ((*log_slot(log, i))->offset >= offset)
			hi = mid;
		else
			lo = i + 1;
	}
	while (lo < log->count && !*log_slot(log, lo))
		lo++;
	return lo;
}

struct log_record *log_find(const struct log *log, int64_t offset)
{
	size_t i = log_search(log, offset);

	return i < log->count ? *log_slot(log, i) : NULL;
}

int64_t log_oldest(const struct log *log)
{
	const struct log_record *rec = log_find(log, INT64_MIN);

	return rec ? rec->offset : log->next;
}

static void log_pop_holes(struct log *log)
{
	while (log->count && !*log_slot(log, 0)) {
		log->head = (log->head + 1) & (log->cap - 1);
		log->count--;
		log->holes--;
	}
}

/* Closes the holes when they are the greater part. */
static void log_close_holes(struct log *log)
{
	size_t to = 0;

	if (log->holes * 2 <= log->count || log->count < 64)
		return;
	for (size_t i = 0; i < log->count; i++) {
		if (*log_slot(log, i))
			*log_slot(log, to++) = *log_slot(log, i);
	}
	log->count = to;
	log->holes = 0;
}

/* --- the key map of a compacted log */

static struct log_record **log_key_find(struct log *log, const struct log_record *like)
{
	uint64_t h = hash64(like->data, like->key_len);
	struct log_record **at = &log->keys[h & (log->n_buckets - 1)];

	while (*at && ((*at)->key_len != like->key_len || memcmp((*at)->data, like->data, like->key_len) != 0))
		at = &(*at)->next_key;
	return at;
}

static void log_keys_grow(struct log *log)
{
	size_t n = log->n_buckets ? log->n_buckets * 2 : 64;
	struct log_record **keys = calloc(n, sizeof(struct log_record *));

	if (!keys)
		return; /* longer chains, nothing worse */
	for (size_t i = 0; i < log->n_buckets; i++) {
		for (struct log_record *rec = log->keys[i], *next; rec; rec = next) {
			struct log_record **head = &keys[hash64(rec->data, rec->key_len) & (n - 1)];

			next = rec->next_key;
			rec->next_key = *head;
			*head = rec;
		}
	}
	free(log->keys);
	log->keys = keys;
	log->n_buckets = n;
}

/* Out of the ring, the sums and the reference; the caller has taken it out of the key map. */
static void log_remove(struct log *log, struct log_record *rec)
{
	size_t i = log_search(log, rec->offset);

	assert(i < log->count && *log_slot(log, i) == rec);
	*log_slot(log, i) = NULL;
	log->holes++;
	log->bytes -= log_record_bytes(rec);
	log->tombstones -= rec->tombstone;
	log_record_unref(rec);
	log_pop_holes(log);
}

static void log_key_put(struct log *log, struct log_record *rec)
{
	struct log_record **at, *old;

	if (log->n_keys >= log->n_buckets)
		log_keys_grow(log);
	if (!log->n_buckets)
		return; /* no memory for a map: kept like any log */
	at = log_key_find(log, rec);
	old = *at;
	rec->next_key = old ? old->next_key : NULL;
	*at = rec;
	if (old)
		log_remove(log, old);
	else
		log->n_keys++;
	log_close_holes(log);
}

void log_append(struct log *log, struct log_record *rec)
{
	assert(log->reserved > 0 && log->count < log->cap);
	log->reserved--;
	rec->offset = log->next++;
	rec->next_key = NULL;
	*log_slot(log, log->count++) = rec;
	log->bytes += log_record_bytes(rec);
	log->tombstones += rec->tombstone;
	if (log->compacted)
		log_key_put(log, rec);
}

static void log_key_drop(struct log *log, struct log_record *rec)
{
	struct log_record **at = log->n_buckets ? log_key_find(log, rec) : NULL;

	if (at && *at == rec) {
		*at = rec->next_key;
		log->n_keys--;
	}
	log_remove(log, rec);
}

void log_drop_oldest(struct log *log)
{
	struct log_record *rec = log_find(log, INT64_MIN);

	assert(log->compacted && rec);
	log_key_drop(log, rec);
	log_close_holes(log);
}

void log_drop_tombstones(struct log *log, int64_t read)
{
	for (size_t i = 0; log->tombstones && log->n_buckets && i < log->count; i++) {
		struct log_record *rec = *log_slot(log, i);

		if (!rec || !rec->tombstone)
			continue;
		if (rec->offset >= read)
			break;
		log_key_drop(log, rec);
		i = (size_t)-1; /* the ring has moved; tombstones are rare */
	}
	log_close_holes(log);
}

void log_set_floor(struct log *log, int64_t floor, size_t history)
{
	if (log->compacted)
		return;
	if (floor > log->next)
		floor = log->next;
	if (floor < log->floor) { /* a group came that needs more: count again */
		log->spent = 0;
		log->floor = log_oldest(log);
	}
	for (size_t i = log_search(log, log->floor); i < log->count; i++) {
		if ((*log_slot(log, i))->offset >= floor)
			break;
		log->spent += log_record_bytes(*log_slot(log, i));
	}
	log->floor = floor;
	while (log->count && log->spent > history && (*log_slot(log, 0))->offset < log->floor) {
		struct log_record *rec = *log_slot(log, 0);

		log->spent -= log_record_bytes(rec);
		log->bytes -= log_record_bytes(rec);
		log->head = (log->head + 1) & (log->cap - 1);
		log->count--;
		log_record_unref(rec);
	}
}
