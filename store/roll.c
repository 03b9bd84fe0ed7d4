/* SPDX-License-Identifier: Apache-2.0 */
#include "store/roll.h"

#include <errno.h>
#include <stdlib.h>

#include "store/query.h"

#define ROLL_TEXT 512 /* scope, via: each at most 255 bytes */

static void roll_keep_texts(struct roll *x, size_t i)
{
	struct flow_edge *e = &x->rows[i];
	char *p = x->texts + i * ROLL_TEXT;
	size_t scope = e->scope.n < 255 ? e->scope.n : 255, via = e->via.n < 255 ? e->via.n : 255;

	if (scope)
		memmove(p, e->scope.p, scope);
	if (via)
		memmove(p + 256, e->via.p, via);
	e->scope = (struct str){p, scope};
	e->via = (struct str){p + 256, via};
}

static void roll_add(struct flow_edge *a, const struct flow_edge *b)
{
	a->observed |= b->observed;
	a->client_rungs |= b->client_rungs;
	a->server_rungs |= b->server_rungs;
	a->flags |= b->flags;
	for (unsigned v = 0; v < FLOW_VIEWS; v++)
		flow_stats_add(&a->view[v], &b->view[v]);
}

static uint64_t roll_weight(const struct flow_edge *e)
{
	return store_best(e, FLOW_F_tx_bytes, true) + store_best(e, FLOW_F_tx_bytes, false);
}

static int roll_put(struct roll *x, struct flow_edge *e)
{
	e->interval = x->bucket;
	e->interval_s = x->length;
	e->revision = 0;
	return x->put(x->arg, e);
}

/* Writes the edge in hand. */
static int roll_flush(struct roll *x)
{
	int r = 0;

	for (size_t i = 0; !r && i < x->n; i++)
		r = roll_put(x, &x->rows[i]);
	if (!r && x->other)
		r = roll_put(x, &x->rows[x->cap]);
	x->n = 0;
	x->other = false;
	return r;
}

static void roll_to_other(struct roll *x, const struct flow_edge *e)
{
	struct flow_edge *o = &x->rows[x->cap];

	if (!x->other) {
		*o = (struct flow_edge){.id = e->id};
		roll_keep_texts(x, x->cap);
	}
	x->other = true;
	roll_add(o, e);
}

/* The newest row of the edge is whole (another key begins, or the edge ends): it stays, or joins `other`. */
static void roll_settle(struct roll *x)
{
	struct flow_edge *last;
	size_t least = 0;

	if (x->kind != COLUMNS_PAIRS || !x->n)
		return;
	last = &x->rows[x->n - 1];
	if (ip_is_zero(&last->client) && ip_is_zero(&last->server)) {
		roll_to_other(x, last);
		x->n--;
		return;
	}
	if (x->n < x->cap)
		return;
	/* rows[] has one place more than may stay. */
	for (size_t i = 1; i < x->n; i++)
		if (roll_weight(&x->rows[i]) < roll_weight(&x->rows[least]))
			least = i;
	roll_to_other(x, &x->rows[least]);
	x->rows[least] = *last;
	roll_keep_texts(x, least);
	x->n--;
}

int roll_row(struct roll *x, const struct flow_edge *key)
{
	struct flow_edge *e = x->n ? &x->rows[x->n - 1] : NULL;
	bool same;
	int r;

	if ((x->n || x->other) && (e ? e->id : x->rows[x->cap].id) != key->id) {
		if (x->n)
			roll_settle(x);
		r = roll_flush(x);
		if (r)
			return r;
		e = NULL;
	}
	same = e && (x->kind == COLUMNS_EDGES || (ip_eq(&e->client, &key->client) && ip_eq(&e->server, &key->server) &&
						  str_eq(e->scope, key->scope)));
	if (same) {
		roll_add(e, key);
		return 0;
	}
	if (e)
		roll_settle(x);
	x->rows[x->n] = *key;
	roll_keep_texts(x, x->n++);
	return 0;
}

int roll_end(struct roll *x)
{
	if (x->n)
		roll_settle(x);
	return roll_flush(x);
}

int roll_init(struct roll *x, size_t cap)
{
	/* Room for the kept, one more in hand, and `other`. */
	x->cap = x->kind == COLUMNS_PAIRS ? cap + 1 : 1;
	x->rows = malloc((x->cap + 1) * sizeof(*x->rows));
	x->texts = calloc(x->cap + 1, ROLL_TEXT);
	return x->rows && x->texts ? 0 : -ENOMEM;
}

void roll_deinit(struct roll *x)
{
	free(x->rows);
	free(x->texts);
}
