/* SPDX-License-Identifier: Apache-2.0 */
/* A picture after another: what was there stays. See layout.c. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "server/layout_work.h"

#define ANNEX_ROWS 2    /* slots of a band made because its zone had no room */
#define ANNEX_COLUMNS 6 /* at least */
#define ANNEX_COLUMNS_MAX 64
#define ANNEX_W 160

struct keep {
	struct work *w;
	const struct layout *prior;
	struct layout *l;
	struct layout_place *place; /* of each work node; column UINT32_MAX: none yet */
	uint8_t **taken;            /* a byte per half slot of each column of l */
	bool *used;                 /* places of prior that go on */
	size_t cap_bands, cap_columns;
};

static bool same_zone(const struct work_zone *z, const struct layout_band *b)
{
	return z->aside == b->aside && str_eq(z->name, b->zone);
}

/* Known nodes get their place. How many are new, and how many of prior's are gone. */
static void keep_match(struct keep *k, uint32_t *ret_new, uint32_t *ret_gone)
{
	const struct layout *p = k->prior;
	uint32_t fresh = 0, gone = 0;
	size_t i = 0;

	for (uint32_t v = 0; v < k->w->n; v++) {
		const struct work_node *n = &k->w->nodes[v];
		int c = -1;

		while (i < p->n && (c = str_cmp(p->places[i].id, n->in->id)) < 0)
			i++;
		k->place[v].column = UINT32_MAX;
		if (i < p->n && !c && same_zone(&k->w->zones[n->zone], &p->bands[p->places[i].band])) {
			k->place[v] = p->places[i];
			k->place[v].gone = false;
			k->used[i] = true;
		} else {
			fresh++;
		}
	}
	for (i = 0; i < p->n; i++)
		gone += !k->used[i] && !p->places[i].gone;
	*ret_new = fresh;
	*ret_gone = gone;
}

static bool keep_free(const struct keep *k, uint32_t column, uint32_t pos)
{
	return pos + 1 < k->l->columns[column].slots && !k->taken[column][pos] && !k->taken[column][pos + 1];
}

static void keep_take(struct keep *k, uint32_t column, uint32_t pos)
{
	k->taken[column][pos] = k->taken[column][pos + 1] = 1;
}

/* Where the neighbours would have it: right of its callers, left of whom it calls, at their mean height. */
static bool keep_wish(const struct keep *k, uint32_t v, int64_t *ret_x, int64_t *ret_y)
{
	const struct links *sides[2] = {&k->w->in, &k->w->out};
	int64_t x = 0, y = 0, n = 0;

	for (unsigned s = 0; s < 2; s++)
		for (uint32_t i = sides[s]->start[v]; i < sides[s]->start[v + 1]; i++) {
			const struct layout_place *p = &k->place[sides[s]->to[i]];

			if (p->column == UINT32_MAX)
				continue;
			x += p->x + (s ? -1 : 1) * (ANNEX_W + GAP);
			y += p->y;
			n++;
		}
	if (!n)
		return false;
	*ret_x = x / n;
	*ret_y = y / n;
	return true;
}

/* The nearest free place of its zone. False: there is none. */
static bool keep_nearest(struct keep *k, uint32_t v)
{
	const struct work_zone *z = &k->w->zones[k->w->nodes[v].zone];
	uint64_t best = UINT64_MAX;
	uint32_t column = 0, at = 0;
	int64_t x = 0, y = 0;
	bool wish = keep_wish(k, v, &x, &y);

	for (uint32_t c = 0; c < k->l->n_columns; c++) {
		const struct layout_column *col = &k->l->columns[c];

		if (!same_zone(z, &k->l->bands[col->band]))
			continue;
		for (uint32_t pos = 0; pos + 1 < col->slots; pos++) {
			int64_t dx = wish ? col->x + col->w / 2 - x : 0;
			int64_t dy = wish ? col->top + ((int64_t)pos + 1) * HALF - y : 0;
			uint64_t far = (uint64_t)(dx * dx + dy * dy);

			if (far < best && keep_free(k, c, pos)) {
				best = far;
				column = c;
				at = pos;
			}
		}
	}
	if (best == UINT64_MAX)
		return false;
	keep_take(k, column, at);
	k->place[v] = (struct layout_place){.column = column, .pos = at, .band = k->l->columns[column].band};
	return true;
}

/* A further band of the node's zone, below everything. */
static int keep_annex(struct keep *k, const struct work_zone *z)
{
	struct layout *l = k->l;
	int32_t bottom = MARGIN - BAND_GAP, right = MARGIN;
	uint32_t columns;

	for (size_t i = 0; i < l->n_bands; i++) {
		bottom = l->bands[i].y + l->bands[i].h > bottom ? l->bands[i].y + l->bands[i].h : bottom;
		right = l->bands[i].x + l->bands[i].w > right ? l->bands[i].x + l->bands[i].w : right;
	}
	columns = (uint32_t)((right - MARGIN - 2 * PAD + GAP) / (ANNEX_W + GAP));
	columns = columns < ANNEX_COLUMNS ? ANNEX_COLUMNS : columns;
	columns = columns > ANNEX_COLUMNS_MAX ? ANNEX_COLUMNS_MAX : columns;
	if (l->n_bands == k->cap_bands)
		return 1;
	for (uint32_t i = 0; i < columns; i++) {
		uint8_t *taken = calloc(ANNEX_ROWS * 2, 1);

		if (!taken)
			return -ENOMEM;
		k->taken[l->n_columns] = taken;
		l->columns[l->n_columns++] = (struct layout_column){.band = (uint32_t)l->n_bands,
								    .layer = i,
								    .x = MARGIN + PAD + (int32_t)i * (ANNEX_W + GAP),
								    .w = ANNEX_W,
								    .top = bottom + BAND_GAP + TITLE,
								    .slots = ANNEX_ROWS * 2};
	}
	l->bands[l->n_bands++] = (struct layout_band){.zone = z->name,
						      .x = MARGIN,
						      .y = bottom + BAND_GAP,
						      .w = (int32_t)columns * (ANNEX_W + GAP) - GAP + 2 * PAD,
						      .h = TITLE + ANNEX_ROWS * 2 * HALF + PAD,
						      .aside = z->aside};
	return 0;
}

static int keep_place(struct keep *k)
{
	for (uint32_t v = 0; v < k->w->n; v++)
		if (k->place[v].column != UINT32_MAX)
			keep_take(k, k->place[v].column, k->place[v].pos);
	for (uint32_t v = 0; v < k->w->n; v++) {
		const struct layout_column *c;
		struct layout_place *p = &k->place[v];
		int32_t w = k->w->nodes[v].in->w;

		if (p->column != UINT32_MAX)
			continue;
		if (!keep_nearest(k, v)) {
			int r = keep_annex(k, &k->w->zones[k->w->nodes[v].zone]);

			if (r)
				return r;
			if (!keep_nearest(k, v))
				assert(!"an annex has room");
		}
		c = &k->l->columns[p->column];
		w = w < LAYOUT_BOX_MIN ? LAYOUT_BOX_MIN : w;
		p->layer = c->layer;
		p->x = c->x + c->w / 2;
		p->y = c->top + ((int32_t)p->pos + 1) * HALF;
		p->w = w < c->w ? w : c->w;
	}
	return 0;
}

static int place_order(const void *a, const void *b)
{
	return str_cmp(((const struct layout_place *)a)->id, ((const struct layout_place *)b)->id);
}

/* All places: of the graph's nodes, and of those gone whose place nobody needed. At most as many gone as there are. */
static int keep_list(struct keep *k)
{
	const struct layout *p = k->prior;
	struct layout *l = k->l;
	size_t text = 1, used = 0, gone = 0;

	for (uint32_t v = 0; v < k->w->n; v++) {
		k->place[v].id = k->w->nodes[v].in->id;
		l->places[l->n++] = k->place[v];
	}
	for (size_t i = 0; i < p->n && gone < k->w->n; i++) {
		const struct layout_place *x = &p->places[i];

		if (k->used[i] || !keep_free(k, x->column, x->pos))
			continue;
		/* The node may have moved to another zone: then its place is the new one. */
		if (bsearch(x, l->places, k->w->n, sizeof(*x), place_order))
			continue;
		keep_take(k, x->column, x->pos);
		l->places[l->n] = *x;
		l->places[l->n++].gone = true;
		gone++;
	}
	if (l->n)
		qsort(l->places, l->n, sizeof(*l->places), place_order);
	for (size_t i = 0; i < l->n; i++)
		text += l->places[i].id.n;
	for (size_t i = 0; i < l->n_bands; i++)
		text += l->bands[i].zone.n;
	free(l->text);
	l->text = malloc(text);
	if (!l->text)
		return -ENOMEM;
	for (size_t i = 0; i < l->n + l->n_bands; i++) {
		struct str *s = i < l->n ? &l->places[i].id : &l->bands[i - l->n].zone;

		if (s->n)
			memcpy(l->text + used, s->p, s->n);
		s->p = l->text + used;
		used += s->n;
	}
	return 0;
}

static int keep_start(struct keep *k)
{
	const struct layout *p = k->prior;
	int r;

	/* Far more bands than a fresh picture would need: then it is time for one. */
	k->cap_bands = 2 * (size_t)k->w->n_zones + 16;
	if (p->n_bands > k->cap_bands)
		return 1;
	k->cap_columns = p->n_columns + (k->cap_bands - p->n_bands) * ANNEX_COLUMNS_MAX;
	k->place = calloc(k->w->n + 1, sizeof(*k->place));
	k->used = calloc(p->n + 1, sizeof(*k->used));
	k->taken = calloc(k->cap_columns + 1, sizeof(*k->taken));
	if (!k->place || !k->used || !k->taken)
		return -ENOMEM;
	r = layout_alloc(&k->l, k->w->n + p->n, k->cap_bands, k->cap_columns, 0);
	if (r)
		return r;
	for (size_t i = 0; i < p->n_bands; i++)
		k->l->bands[k->l->n_bands++] = p->bands[i];
	for (size_t i = 0; i < p->n_columns; i++) {
		k->taken[i] = calloc(p->columns[i].slots + 1, 1);
		if (!k->taken[i])
			return -ENOMEM;
		k->l->columns[k->l->n_columns++] = p->columns[i];
	}
	return 0;
}

int layout_keep(struct work *w, const struct layout *prior, struct layout **ret)
{
	struct keep k = {.w = w, .prior = prior};
	uint32_t fresh = 0, gone = 0;
	int r;

	r = keep_start(&k);
	if (r)
		goto out;
	keep_match(&k, &fresh, &gone);
	r = 3 * ((uint64_t)fresh + gone) > w->n ? 1 : 0;
	if (!r)
		r = keep_place(&k);
	if (!r)
		r = keep_list(&k);
	if (!r) {
		*ret = k.l;
		k.l = NULL;
	}
out:
	for (size_t i = 0; k.taken && i < k.cap_columns; i++)
		free(k.taken[i]);
	free(k.taken);
	free(k.place);
	free(k.used);
	layout_free(k.l);
	return r;
}
