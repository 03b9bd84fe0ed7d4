/* SPDX-License-Identifier: Apache-2.0 */
/* A picture from nothing: zones, layers, how tall; then layout_order.c; then coordinates. See layout.c. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "server/layout_work.h"

/* --- layers inside zones */

static int fresh_layers(struct work *w)
{
	struct layout_edge *inner = calloc(w->n_edges + 1, sizeof(*inner));
	uint32_t *level = calloc(w->n + 1, sizeof(*level)), *order = calloc(w->n + 1, sizeof(*order));
	struct links out = {0}, in = {0};
	size_t n = 0;
	int r = inner && level && order ? 0 : -ENOMEM;

	for (size_t i = 0; !r && i < w->n_edges; i++)
		if (w->nodes[w->edges[i].from].zone == w->nodes[w->edges[i].to].zone)
			inner[n++] = w->edges[i];
	if (!r)
		r = links_make(&out, w->n, inner, n, false);
	if (!r)
		r = links_make(&in, w->n, inner, n, true);
	if (!r)
		r = links_levels(&out, &in, level, order);
	for (uint32_t v = 0; !r && v < w->n; v++) {
		uint32_t nearest = UINT32_MAX;

		w->nodes[v].layer = level[v];
		w->nodes[v].order = order[v];
		/* Whom nobody calls stands right before the first it calls: short edges. */
		if (w->in.start[v] == w->in.start[v + 1])
			for (uint32_t k = out.start[v]; k < out.start[v + 1]; k++)
				if (level[out.to[k]] < nearest)
					nearest = level[out.to[k]];
		if (nearest != UINT32_MAX && nearest > 0)
			w->nodes[v].layer = nearest - 1;
	}
	links_free(&out);
	links_free(&in);
	free(inner);
	free(level);
	free(order);
	return r;
}

/* --- groups: the nodes of one layer of one zone */

struct sorted {
	uint32_t node, zone, layer, order;
};

static int sorted_order(const void *a, const void *b)
{
	const struct sorted *x = a, *y = b;

	if (x->zone != y->zone)
		return x->zone < y->zone ? -1 : 1;
	if (x->layer != y->layer)
		return x->layer < y->layer ? -1 : 1;
	return (x->order > y->order) - (x->order < y->order);
}

static int fresh_groups(struct work *w)
{
	struct sorted *v = calloc(w->n + 1, sizeof(*v));

	w->groups = calloc(w->n + 1, sizeof(*w->groups));
	w->members = calloc(w->n + 1, sizeof(*w->members));
	if (!v || !w->groups || !w->members) {
		free(v);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < w->n; i++)
		v[i] = (struct sorted){i, w->nodes[i].zone, w->nodes[i].layer, w->nodes[i].order};
	if (w->n)
		qsort(v, w->n, sizeof(*v), sorted_order);
	for (uint32_t i = 0; i < w->n; i++) {
		struct work_group *g = w->n_groups ? &w->groups[w->n_groups - 1] : NULL;

		if (!g || g->zone != v[i].zone || w->nodes[w->members[g->first]].layer != v[i].layer) {
			struct work_zone *z = &w->zones[v[i].zone];

			g = &w->groups[w->n_groups++];
			if (!z->layers)
				z->first_group = w->n_groups - 1;
			*g = (struct work_group){.zone = v[i].zone, .layer = z->layers++, .first = i};
		}
		w->members[i] = v[i].node;
		w->nodes[v[i].node].group = w->n_groups - 1;
		g->n++;
	}
	free(v);
	return 0;
}

/* --- zones: levels, and their order inside one */

struct zoned {
	uint32_t zone, level;
	uint64_t wish;
};

static int zoned_order(const void *a, const void *b)
{
	const struct zoned *x = a, *y = b;

	if (x->level != y->level)
		return x->level < y->level ? -1 : 1;
	if (x->wish != y->wish)
		return x->wish < y->wish ? -1 : 1;
	return (x->zone > y->zone) - (x->zone < y->zone);
}

/* Zones of a level near those that call them: by the mean place of these in their own level. */
static int zones_sort(struct work *w, const struct links *in)
{
	struct zoned *v = calloc(w->n_zones + 1, sizeof(*v));
	uint64_t *place = calloc(w->n_zones + 1, sizeof(*place));
	uint32_t done = 0, top = 0;

	w->stack = calloc(w->n_zones + 1, sizeof(*w->stack));
	if (!v || !place || !w->stack) {
		free(v);
		free(place);
		return -ENOMEM;
	}
	for (uint32_t z = 0; z < w->n_zones; z++) {
		v[z] = (struct zoned){.zone = z, .level = w->zones[z].level};
		top = w->zones[z].level > top ? w->zones[z].level : top;
	}
	if (w->n_zones)
		qsort(v, w->n_zones, sizeof(*v), zoned_order);
	while (done < w->n_zones) {
		uint32_t n = 0;

		for (; done + n < w->n_zones && v[done + n].level == v[done].level; n++) {
			struct zoned *x = &v[done + n];
			uint64_t sum = 0, count = 0;

			for (uint32_t k = in->start[x->zone]; k < in->start[x->zone + 1]; k++)
				if (w->zones[in->to[k]].level < x->level) {
					sum += place[in->to[k]];
					count++;
				}
			x->wish = count ? sum / count : UINT64_MAX;
		}
		qsort(v + done, n, sizeof(*v), zoned_order);
		for (uint32_t i = 0; i < n; i++) {
			w->stack[done + i] = v[done + i].zone;
			place[v[done + i].zone] = (2 * (uint64_t)i + 1) * 1024 / n;
		}
		done += n;
	}
	free(v);
	free(place);
	return 0;
}

static int fresh_zones(struct work *w)
{
	struct layout_edge *edges = calloc(w->n_edges + 1, sizeof(*edges));
	uint32_t *level = calloc(w->n_zones + 1, sizeof(*level)), *order = calloc(w->n_zones + 1, sizeof(*order));
	struct links out = {0}, in = {0};
	uint32_t top = 0;
	size_t n = 0;
	int r = edges && level && order ? 0 : -ENOMEM;

	/* Repeats do no harm to levels, and a fixed order is enough: that of the nodes' ids. */
	for (size_t i = 0; !r && i < w->n_edges; i++) {
		uint32_t from = w->nodes[w->edges[i].from].zone, to = w->nodes[w->edges[i].to].zone;

		if (from != to)
			edges[n++] = (struct layout_edge){from, to};
	}
	if (!r)
		r = links_make(&out, w->n_zones, edges, n, false);
	if (!r)
		r = links_make(&in, w->n_zones, edges, n, true);
	if (!r)
		r = links_levels(&out, &in, level, order);
	for (uint32_t z = 0; !r && z < w->n_zones; z++) {
		w->zones[z].level = level[z];
		top = level[z] > top ? level[z] : top;
	}
	if (!r && w->n_zones && w->zones[w->n_zones - 1].aside)
		w->zones[w->n_zones - 1].level = top + 1;
	if (!r)
		r = zones_sort(w, &in);
	links_free(&out);
	links_free(&in);
	free(edges);
	free(level);
	free(order);
	return r;
}

/* --- how tall */

/* Columns of a layer and slots they need when one column takes at most `rows`. */
static uint32_t group_subs(const struct work_group *g, uint32_t rows)
{
	return (g->n + rows - 1) / rows;
}

static uint32_t group_rows(const struct work_group *g, uint32_t subs)
{
	return (g->n + subs - 1) / subs + (subs > 1); /* every second column is half a slot lower */
}

/* Sets rows, w_guess and stacks of all zones; the size of the picture. */
static void fresh_stacks(struct work *w, uint32_t rows, int64_t *ret_w, int64_t *ret_h)
{
	int64_t most = (int64_t)rows * 2 * HALF + TITLE + PAD, width = 0, height = 0, stack_w = 0, stack_h = 0;

	w->n_stacks = 0;
	for (uint32_t i = 0; i < w->n_zones; i++) {
		struct work_zone *z = &w->zones[w->stack[i]];
		int64_t h;

		z->rows = 1;
		z->w_guess = PAD;
		for (uint32_t k = 0; k < z->layers; k++) {
			const struct work_group *g = &w->groups[z->first_group + k];
			uint32_t subs = group_subs(g, rows), need = group_rows(g, subs);
			int32_t box = COLUMN_MIN;

			for (uint32_t m = 0; m < g->n; m++)
				if (w->nodes[w->members[g->first + m]].in->w > box)
					box = w->nodes[w->members[g->first + m]].in->w;
			z->w_guess += (int32_t)subs * ((box < LAYOUT_BOX_MAX ? box : LAYOUT_BOX_MAX) + GAP);
			z->rows = need > z->rows ? need : z->rows;
		}
		z->w_guess += PAD - GAP;
		h = (int64_t)z->rows * 2 * HALF + TITLE + PAD;
		if (!i || z->level != w->zones[w->stack[i - 1]].level || stack_h + BAND_GAP + h > most) {
			width += stack_w + (i ? BAND_GAP : 0);
			stack_w = stack_h = 0;
			w->n_stacks++;
		}
		z->stack = w->n_stacks - 1;
		stack_h += h + (stack_h ? BAND_GAP : 0);
		stack_w = z->w_guess > stack_w ? z->w_guess : stack_w;
		height = stack_h > height ? stack_h : height;
	}
	*ret_w = width + stack_w;
	*ret_h = height;
}

/* The number of boxes in a column with which the whole is nearest to 16:9. */
static uint32_t fresh_rows(struct work *w)
{
	uint64_t best_score = UINT64_MAX;
	uint32_t best = 1;

	for (uint32_t rows = 1; rows <= w->n + 1; rows += 1 + rows / 16) {
		int64_t width, height;
		uint64_t a, b, score;

		fresh_stacks(w, rows, &width, &height);
		a = (uint64_t)width * 9;
		b = (uint64_t)height * 16;
		score = a > b ? a * 1000 / (b ? b : 1) : b * 1000 / (a ? a : 1);
		if (score < best_score) {
			best_score = score;
			best = rows;
		}
	}
	return best;
}

/* Heights of the bands: as needed, and what is left of the picture's height shared out by rows. */
static void fresh_bands(struct work *w)
{
	for (uint32_t i = 0, n; i < w->n_zones; i += n) {
		int32_t need = -BAND_GAP, y = 0, spare, rows = 0;

		for (n = 0; i + n < w->n_zones && w->zones[w->stack[i + n]].stack == w->zones[w->stack[i]].stack; n++) {
			need += (int32_t)w->zones[w->stack[i + n]].rows * 2 * HALF + TITLE + PAD + BAND_GAP;
			rows += (int32_t)w->zones[w->stack[i + n]].rows;
		}
		spare = w->height - need;
		for (uint32_t k = 0; k < n; k++) {
			struct work_zone *z = &w->zones[w->stack[i + k]];
			int32_t more = (int32_t)((int64_t)spare * z->rows / rows) / HALF * HALF;

			z->y = y;
			z->h = (int32_t)z->rows * 2 * HALF + TITLE + PAD + more;
			if (k + 1 == n)
				z->h = w->height - y;
			y += z->h + BAND_GAP;
		}
	}
}

static void fresh_ordinals(struct work *w)
{
	uint32_t base = 0, most = 0;

	for (uint32_t i = 0; i < w->n_zones; i++) {
		struct work_zone *z = &w->zones[w->stack[i]];

		if (i && z->stack != w->zones[w->stack[i - 1]].stack) {
			base += most;
			most = 0;
		}
		most = z->layers > most ? z->layers : most;
		for (uint32_t k = 0; k < z->layers; k++)
			w->groups[z->first_group + k].ordinal = base + k;
	}
}

/* --- the picture */

static void fresh_columns(const struct work *w, struct layout *l, const struct work_zone *z, uint32_t band, int32_t x,
			  int32_t room)
{
	for (uint32_t k = 0; k < z->layers; k++) {
		struct work_group *g = &w->groups[z->first_group + k];

		g->column = (uint32_t)l->n_columns;
		for (uint32_t s = 0; s < g->subs; s++) {
			struct layout_column *c = &l->columns[l->n_columns++];

			*c = (struct layout_column){.band = band,
						    .layer = g->ordinal,
						    .x = x,
						    .w = COLUMN_MIN,
						    .top = z->y + MARGIN + TITLE,
						    .slots = (uint32_t)(z->h - TITLE - PAD) / HALF};
			for (uint32_t m = s; m < g->n; m += g->subs)
				if (w->nodes[w->members[g->first + m]].in->w > c->w)
					c->w = w->nodes[w->members[g->first + m]].in->w;
			c->w = c->w < LAYOUT_BOX_MAX ? c->w : LAYOUT_BOX_MAX;
			x += c->w + GAP + room;
		}
	}
}

static int32_t columns_right(const struct layout *l, size_t first)
{
	int32_t right = 0;

	for (size_t i = first; i < l->n_columns; i++)
		if (l->columns[i].x + l->columns[i].w > right)
			right = l->columns[i].x + l->columns[i].w;
	return right;
}

static struct str fresh_text(struct layout *l, size_t *used, struct str s)
{
	struct str copy = {l->text + *used, s.n};

	if (s.n)
		memcpy(l->text + *used, s.p, s.n);
	*used += s.n;
	return copy;
}

static int32_t box_width(const struct layout_node *n, const struct layout_column *c)
{
	int32_t w = n->w < LAYOUT_BOX_MIN ? LAYOUT_BOX_MIN : n->w;

	return w < c->w ? w : c->w;
}

static void fresh_places(const struct work *w, struct layout *l, size_t *used)
{
	for (uint32_t i = 0; i < w->n; i++) {
		const struct work_group *g = &w->groups[w->nodes[i].group];
		uint32_t column = g->column + w->nodes[i].column;
		const struct layout_column *c = &l->columns[column];

		l->places[i] = (struct layout_place){.id = fresh_text(l, used, w->nodes[i].in->id),
						     .band = c->band,
						     .column = column,
						     .pos = w->nodes[i].pos,
						     .layer = c->layer,
						     .x = c->x + c->w / 2,
						     .y = c->top + ((int32_t)w->nodes[i].pos + 1) * HALF,
						     .w = box_width(w->nodes[i].in, c)};
	}
	l->n = w->n;
}

static int fresh_picture(const struct work *w, struct layout **ret)
{
	size_t columns = 0, text = 0, used = 0;
	int32_t x = MARGIN, room;
	struct layout *l;
	int r;

	for (uint32_t g = 0; g < w->n_groups; g++)
		columns += w->groups[g].subs;
	room = columns <= ROOM_COLUMNS ? ROOM : 0;
	for (uint32_t i = 0; i < w->n; i++)
		text += w->nodes[i].in->id.n;
	for (uint32_t z = 0; z < w->n_zones; z++)
		text += w->zones[z].name.n;
	r = layout_alloc(&l, w->n, w->n_zones, columns, text);
	if (r)
		return r;
	l->fresh = true;
	for (uint32_t i = 0, n; i < w->n_zones; i += n) {
		size_t first = l->n_columns;
		int32_t right;

		for (n = 0; i + n < w->n_zones && w->zones[w->stack[i + n]].stack == w->zones[w->stack[i]].stack; n++)
			fresh_columns(w, l, &w->zones[w->stack[i + n]], i + n, x + PAD, room);
		right = columns_right(l, first) + PAD;
		for (uint32_t k = 0; k < n; k++) {
			const struct work_zone *z = &w->zones[w->stack[i + k]];

			l->bands[l->n_bands++] = (struct layout_band){.zone = fresh_text(l, &used, z->name),
								      .x = x,
								      .y = z->y + MARGIN,
								      .w = right - x,
								      .h = z->h,
								      .aside = z->aside};
		}
		x = right + BAND_GAP + room;
	}
	fresh_places(w, l, &used);
	assert(used == text && l->n_columns == columns);
	*ret = l;
	return 0;
}

int layout_fresh(struct work *w, struct layout **ret)
{
	int64_t width, height;
	uint32_t rows;
	int r;

	r = fresh_layers(w);
	if (!r)
		r = fresh_groups(w);
	if (!r)
		r = fresh_zones(w);
	if (r)
		return r;
	rows = fresh_rows(w);
	fresh_stacks(w, rows, &width, &height);
	w->height = (int32_t)height;
	for (uint32_t g = 0; g < w->n_groups; g++)
		w->groups[g].subs = group_subs(&w->groups[g], rows);
	fresh_bands(w);
	fresh_ordinals(w);
	r = layout_order(w);
	return r ? r : fresh_picture(w, ret);
}
