/* SPDX-License-Identifier: Apache-2.0 */
#include "graph/split.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A unit still to be given out. */
struct remainder {
	unsigned __int128 left;
	size_t i;
};

struct split {
	const struct flow_stats *const *weights;
	size_t n;
	bool facing;
	uint64_t *ratio, *fallback, *parts; /* [n] */
	struct remainder *rest;             /* [n] */
};

static int remainder_cmp(const void *pa, const void *pb)
{
	const struct remainder *a = pa, *b = pb;

	if (a->left != b->left)
		return a->left > b->left ? -1 : 1;
	return a->i < b->i ? -1 : 1;
}

static void split_into(uint64_t total, const uint64_t *weights, size_t n, uint64_t *parts, struct remainder *rest)
{
	unsigned __int128 sum = 0;
	uint64_t given = 0;

	for (size_t i = 0; i < n; i++)
		sum += weights[i];
	for (size_t i = 0; i < n; i++) {
		unsigned __int128 product = (unsigned __int128)total * (sum ? weights[i] : 1), of = sum ? sum : n;

		parts[i] = (uint64_t)(product / of);
		rest[i] = (struct remainder){product % of, i};
		given += parts[i];
	}
	if (given == total)
		return;
	assert(total - given < n);
	qsort(rest, n, sizeof(*rest), remainder_cmp);
	for (size_t i = 0; given < total; i++, given++)
		parts[rest[i].i]++;
}

int split_number(uint64_t total, const uint64_t *weights, size_t n, uint64_t *ret_parts)
{
	struct remainder *rest = malloc(n * sizeof(*rest));

	if (!rest)
		return -ENOMEM;
	split_into(total, weights, n, ret_parts, rest);
	free(rest);
	return 0;
}

static int split_init(struct split *s, const struct flow_stats *const *weights, size_t n, bool facing)
{
	*s = (struct split){.weights = weights, .n = n, .facing = facing};
	s->ratio = calloc(n, 3 * sizeof(uint64_t));
	s->rest = malloc(n * sizeof(*s->rest));
	if (!s->ratio || !s->rest) {
		free(s->ratio);
		free(s->rest);
		return -ENOMEM;
	}
	s->fallback = s->ratio + n;
	s->parts = s->fallback + n;
	return 0;
}

/* The field in which the weights' end counted what field f counts; FLOW_FIELDS: it cannot know. */
static unsigned split_same(unsigned f, bool facing)
{
	enum flow_dir dir = flow_fields[f].dir == FLOW_TX ? FLOW_RX : FLOW_TX;

	if (!facing || flow_fields[f].dir == FLOW_CONN)
		return f;
	for (unsigned g = 0; g < FLOW_FIELDS; g++) {
		if (flow_fields[g].dir == dir && strcmp(flow_fields[g].column, flow_fields[f].column) == 0)
			return g;
	}
	return FLOW_FIELDS;
}

static bool split_any(const uint64_t *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (v[i])
			return true;
	}
	return false;
}

/* Weights for a field whose own are zero. `dir`: seen from the weights' end. */
static void split_fallback(struct split *s, enum flow_dir dir)
{
	for (unsigned rule = 0; rule < 3; rule++) {
		for (size_t i = 0; i < s->n; i++) {
			const struct flow_stats *w = s->weights[i];

			if (rule == 0)
				s->fallback[i] =
					(dir != FLOW_RX ? w->tx_bytes : 0) + (dir != FLOW_TX ? w->rx_bytes : 0);
			else
				s->fallback[i] = rule == 1 ? w->opened + w->attempts : w->rows;
		}
		if (split_any(s->fallback, s->n))
			return;
	}
}

static void split_shares(struct split *s, uint64_t total)
{
	split_into(total, split_any(s->ratio, s->n) ? s->ratio : s->fallback, s->n, s->parts, s->rest);
}

static void split_field(struct split *s, unsigned f, const struct flow_stats *whole, struct flow_stats *const *parts)
{
	unsigned same = split_same(f, s->facing);
	enum flow_dir dir = flow_fields[f].dir;

	if (s->facing && dir != FLOW_CONN)
		dir = dir == FLOW_TX ? FLOW_RX : FLOW_TX;
	split_fallback(s, dir);
	if (flow_fields[f].width != FLOW_HIST) {
		if (!flow_stats_get(whole, f))
			return;
		for (size_t i = 0; i < s->n; i++)
			s->ratio[i] = same < FLOW_FIELDS ? flow_stats_get(s->weights[i], same) : 0;
		split_shares(s, flow_stats_get(whole, f));
		for (size_t i = 0; i < s->n; i++)
			*flow_stats_u64(parts[i], f) += s->parts[i];
		return;
	}
	for (unsigned k = 0; k < FLOW_BUCKETS; k++) {
		if (!flow_stats_hist_get(whole, f)[k])
			continue;
		for (size_t i = 0; i < s->n; i++)
			s->ratio[i] = same < FLOW_FIELDS ? flow_stats_hist_get(s->weights[i], same)[k] : 0;
		split_shares(s, flow_stats_hist_get(whole, f)[k]);
		for (size_t i = 0; i < s->n; i++)
			flow_stats_hist(parts[i], f)[k] += (uint32_t)s->parts[i];
	}
}

int split_stats(const struct flow_stats *whole, const struct flow_stats *const *weights, size_t n, bool facing,
		struct flow_stats *const *parts)
{
	struct split s;
	int r;

	if (n == 1) {
		flow_stats_add(parts[0], whole);
		return 0;
	}
	r = split_init(&s, weights, n, facing);
	if (r < 0)
		return r;
	for (unsigned f = 0; f < FLOW_FIELDS; f++)
		split_field(&s, f, whole, parts);
	free(s.ratio);
	free(s.rest);
	return 0;
}
