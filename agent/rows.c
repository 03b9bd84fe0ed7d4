/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/rows.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "flow/key.h"
#include "flow/stats.h"

static_assert(SKY_BUCKETS == FLOW_BUCKETS, "histograms");
static_assert(SKY_FLAG_JOINED == FLOW_JOINED && SKY_FLAG_SAMPLED == FLOW_SAMPLED, "flags");
#define SAME_U32(name) static_assert(offsetof(struct sky_row_value, name) == offsetof(struct flow_stats, name), #name);
#define SAME_U64 SAME_U32
#define SAME_HIST SAME_U32
#define FIELD(name, width, dir, column, unit, seen, meaning) SAME_##width(name)
#include "flow/fields.def"
#undef FIELD

/* Open addressing over the dense array `at`: 0 = free, else index + 1. */
struct agent_rows {
	struct agent_row *at;
	uint32_t *index;
	size_t mask, n, max;
};

int agent_rows_new(struct agent_rows **ret, size_t max)
{
	struct agent_rows *rows = calloc(1, sizeof(*rows));
	size_t places = 64;

	if (!rows)
		return -ENOMEM;
	while (places < max * 2)
		places *= 2;
	/* calloc() of this size maps fresh pages: what is never used costs no memory */
	rows->at = calloc(max, sizeof(*rows->at));
	rows->index = calloc(places, sizeof(*rows->index));
	if (!rows->at || !rows->index) {
		agent_rows_free(rows);
		return -ENOMEM;
	}
	rows->mask = places - 1;
	rows->max = max;
	*ret = rows;
	return 0;
}

void agent_rows_free(struct agent_rows *rows)
{
	if (!rows)
		return;
	free(rows->at);
	free(rows->index);
	free(rows);
}

struct agent_row *agent_rows_get(struct agent_rows *rows, const struct sky_row_key *key)
{
	size_t i = hash64(key, sizeof(*key)) & rows->mask;
	struct agent_row *row;

	for (; rows->index[i]; i = (i + 1) & rows->mask) {
		row = &rows->at[rows->index[i] - 1];
		if (!memcmp(&row->key, key, sizeof(*key)))
			return row;
	}
	if (rows->n == rows->max)
		return NULL;
	row = &rows->at[rows->n++];
	rows->index[i] = (uint32_t)rows->n;
	row->key = *key;
	memset(&row->val, 0, sizeof(row->val));
	return row;
}

struct agent_row *agent_rows_near(struct agent_rows *rows, const struct sky_row_key *key, uint32_t *place)
{
	struct agent_row *row;

	if (*place < rows->n && !memcmp(&rows->at[*place].key, key, sizeof(*key)))
		return &rows->at[*place];
	row = agent_rows_get(rows, key);
	if (row)
		*place = (uint32_t)(row - rows->at);
	return row;
}

static void hist_add(uint32_t *a, const uint32_t *b)
{
	for (unsigned i = 0; i < SKY_BUCKETS; i++)
		a[i] = a[i] + (uint64_t)b[i] > UINT32_MAX ? UINT32_MAX : a[i] + b[i];
}

int agent_rows_add(struct agent_rows *rows, const struct sky_row_key *key, const struct sky_row_value *val)
{
	struct agent_row *row = agent_rows_get(rows, key);
	uint32_t seen;

	if (!row)
		return -ENOSPC;
#define ADD_U32(name) row->val.name += val->name;
#define ADD_U64 ADD_U32
#define ADD_HIST(name) hist_add(row->val.name, val->name);
#define FIELD(name, width, dir, column, unit, seen_by, meaning) ADD_##width(name)
#include "flow/fields.def"
#undef FIELD
	seen = row->val.ports_seen + val->ports_seen;
	for (unsigned i = 0; i < SKY_PORTS && val->ports[i]; i++)
		agent_row_port(&row->val, val->ports[i]);
	row->val.ports_seen = seen;
	if (val->tgid)
		row->val.tgid = val->tgid;
	return 0;
}

#define SCALE(v, shift, max) ((v) > (max) >> (shift) ? (max) : (v) << (shift))

/* A row of one in 2^n connections stands for all of them: every sum times 2^n. */
static void agent_row_scale(struct agent_row *row)
{
	unsigned shift = row->key.sample;

#define SCALE_U32(name) row->val.name = SCALE(row->val.name, shift, UINT64_MAX);
#define SCALE_U64 SCALE_U32
#define SCALE_HIST(name)                           \
	for (unsigned i = 0; i < SKY_BUCKETS; i++) \
		row->val.name[i] = SCALE(row->val.name[i], shift, UINT32_MAX);
#define FIELD(name, width, dir, column, unit, seen_by, meaning) SCALE_##width(name)
#include "flow/fields.def"
#undef FIELD
	row->val.ports_seen = SCALE(row->val.ports_seen, shift, UINT32_MAX);
}

void agent_rows_scale(struct agent_rows *rows)
{
	for (size_t i = 0; i < rows->n; i++)
		if (rows->at[i].key.sample)
			agent_row_scale(&rows->at[i]);
}

void agent_rows_stamp(struct agent_rows *rows)
{
	for (size_t i = 0; i < rows->n; i++)
		rows->at[i].val.rows = 1;
}

size_t agent_rows_count(const struct agent_rows *rows)
{
	return rows->n;
}

struct agent_row *agent_rows_at(struct agent_rows *rows, size_t i)
{
	assert(i < rows->n);
	return &rows->at[i];
}

void agent_rows_clear(struct agent_rows *rows)
{
	memset(rows->index, 0, (rows->mask + 1) * sizeof(*rows->index));
	rows->n = 0;
}

void agent_row_port(struct sky_row_value *val, uint16_t port)
{
	val->ports_seen++;
	if (val->ports[SKY_PORTS - 1])
		return;
	for (unsigned i = 0; i < SKY_PORTS; i++) {
		if (val->ports[i] == port)
			return;
		if (!val->ports[i]) {
			val->ports[i] = port;
			return;
		}
	}
}

void agent_row_drained(struct sky_row_value *val)
{
	uint32_t left = val->ports_seen;
	bool twice = false;
	unsigned n = 0;

	for (; n < SKY_PORTS && val->ports[n]; n++)
		left -= val->ports[n];
	for (unsigned i = 0; i < n; i++)
		twice |= val->ports[i] == left;
	if (n < SKY_PORTS && n + 1 == val->opened && left <= UINT16_MAX && !twice)
		val->ports[n] = (uint16_t)left;
	val->ports_seen = (uint32_t)val->opened; /* each had one */
}
