/* SPDX-License-Identifier: Apache-2.0 */
#include "store/names.h"

#include <errno.h>
#include <stdlib.h>

/* The members of a name that all edges of a group share; the rest is emptied. */
static void group_name(enum store_group g, struct flow_edge_name *n)
{
	struct flow_edge_name k = {0};

	switch (g) {
	case STORE_BY_SERVICES:
		k.client_service = n->client_service;
		k.server_service = n->server_service;
		break;
	case STORE_BY_CLIENT:
		k.client_service = n->client_service;
		break;
	case STORE_BY_SERVER:
		k.server_service = n->server_service;
		break;
	case STORE_BY_ZONES:
		k.client_zone = n->client_zone;
		k.server_zone = n->server_zone;
		break;
	default:
		return;
	}
	*n = k;
}

static int name_order(const void *a, const void *b)
{
	const struct name *x = a, *y = b;

	return x->edge != y->edge ? (x->edge < y->edge ? -1 : 1) : 0;
}

static int name_group_order(const void *a, const void *b)
{
	const struct flow_edge_name *x = &(*(struct name *const *)a)->name, *y = &(*(struct name *const *)b)->name;
	int r = str_cmp(x->client_service, y->client_service);

	if (!r)
		r = str_cmp(x->server_service, y->server_service);
	if (!r)
		r = str_cmp(x->client_zone, y->client_zone);
	return r ? r : str_cmp(x->server_zone, y->server_zone);
}

/* Numbers the groups: equal names, equal number. */
static int names_group(struct names *x, enum store_group group)
{
	struct name **v = malloc((x->n + 1) * sizeof(*v));

	if (!v)
		return -ENOMEM;
	for (size_t i = 0; i < x->n; i++) {
		group_name(group, &x->v[i].name);
		v[i] = &x->v[i];
	}
	qsort(v, x->n, sizeof(*v), name_group_order);
	for (size_t i = 0; i < x->n; i++) {
		if (!i || name_group_order(&v[i - 1], &v[i]))
			x->groups++;
		v[i]->group = x->groups - 1;
	}
	free(v);
	return 0;
}

bool names_filtered(const struct store_filter *f)
{
	return f->net || f->service.p || f->client_service.p || f->server_service.p || f->zone.p || f->port ||
	       f->protocol || f->edge;
}

struct names_take {
	struct names *to;
	struct store_arena **a;
};

static int names_add(void *arg, uint64_t edge, const struct flow_edge_name *name)
{
	struct names_take *t = arg;
	struct names *x = t->to;
	struct name *n;

	if (x->n == x->cap) {
		size_t cap = x->cap ? x->cap * 2 : 256;
		struct name *v = realloc(x->v, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		x->v = v;
		x->cap = cap;
	}
	n = &x->v[x->n];
	*n = (struct name){.edge = edge, .name = *name};
	if (!arena_copy(t->a, name->net, &n->name.net) ||
	    !arena_copy(t->a, name->client_service, &n->name.client_service) ||
	    !arena_copy(t->a, name->client_zone, &n->name.client_zone) ||
	    !arena_copy(t->a, name->server_service, &n->name.server_service) ||
	    !arena_copy(t->a, name->server_zone, &n->name.server_zone))
		return -ENOMEM;
	x->n++;
	return 0;
}

int names_load(struct store_query *q, const struct store_filter *f, enum store_group group, struct store_arena **a,
	       struct names *ret)
{
	int r = q->ops->names(q, f, names_add, &(struct names_take){ret, a});

	if (r)
		return r;
	if (ret->n)
		qsort(ret->v, ret->n, sizeof(*ret->v), name_order);
	return group == STORE_BY_EDGE ? 0 : names_group(ret, group);
}

int names_load_of(struct store_query *q, const uint64_t *edges, size_t n, struct store_arena **a, struct names *ret)
{
	int r = n ? q->ops->names_of(q, edges, n, names_add, &(struct names_take){ret, a}) : 0;

	if (!r && ret->n)
		qsort(ret->v, ret->n, sizeof(*ret->v), name_order);
	return r;
}

void names_deinit(struct names *n)
{
	free(n->v);
	*n = (struct names){0};
}

const struct name *names_get(const struct names *n, uint64_t edge)
{
	struct name key = {.edge = edge};

	return n->n ? bsearch(&key, n->v, n->n, sizeof(*n->v), name_order) : NULL;
}
