/* SPDX-License-Identifier: Apache-2.0 */
#include "server/views.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>

struct view {
	uint64_t key, used; /* used: the clock when asked for last; 0: free */
	struct layout *l;
	size_t bytes;
};

struct views {
	pthread_mutex_t lock; /* guards all below and the pictures' refs */
	uint64_t clock;
	size_t bytes, max_bytes;
	struct view v[VIEWS_MAX];
};

int views_new(struct views **ret, size_t max_bytes)
{
	struct views *v = calloc(1, sizeof(*v));

	if (!v)
		return -ENOMEM;
	pthread_mutex_init(&v->lock, NULL);
	v->max_bytes = max_bytes;
	*ret = v;
	return 0;
}

static void view_drop(struct layout *l)
{
	if (l && !--l->refs)
		layout_free(l);
}

/* What the allocator gave for it. */
static size_t view_bytes(const struct layout *l)
{
	return malloc_usable_size((void *)l) + malloc_usable_size(l->places) + malloc_usable_size(l->bands) +
	       malloc_usable_size(l->columns) + malloc_usable_size(l->of_node) + malloc_usable_size(l->text);
}

static void view_forget(struct views *v, struct view *at)
{
	view_drop(at->l);
	v->bytes -= at->bytes;
	*at = (struct view){0};
}

/* The one not asked for longest. */
static struct view *view_oldest(struct views *v)
{
	struct view *at = NULL;

	for (unsigned i = 0; i < VIEWS_MAX; i++)
		if (v->v[i].used && (!at || v->v[i].used < at->used))
			at = &v->v[i];
	return at;
}

void views_free(struct views *v)
{
	if (!v)
		return;
	for (unsigned i = 0; i < VIEWS_MAX; i++)
		view_drop(v->v[i].l);
	pthread_mutex_destroy(&v->lock);
	free(v);
}

const struct layout *views_get(struct views *v, uint64_t key)
{
	struct layout *l = NULL;

	pthread_mutex_lock(&v->lock);
	for (unsigned i = 0; i < VIEWS_MAX && !l; i++)
		if (v->v[i].used && v->v[i].key == key) {
			v->v[i].used = ++v->clock;
			l = v->v[i].l;
			l->refs++;
		}
	pthread_mutex_unlock(&v->lock);
	return l;
}

void views_done(struct views *v, const struct layout *l)
{
	pthread_mutex_lock(&v->lock);
	view_drop((struct layout *)l);
	pthread_mutex_unlock(&v->lock);
}

const struct layout *views_put(struct views *v, uint64_t key, struct layout *l)
{
	struct view *at = &v->v[0];

	/* Not kept: the one reference there is becomes the caller's. */
	if (!l->n)
		return l;
	pthread_mutex_lock(&v->lock);
	for (unsigned i = 0; i < VIEWS_MAX; i++) {
		if (v->v[i].used && v->v[i].key == key) {
			at = &v->v[i];
			break;
		}
		if (v->v[i].used < at->used)
			at = &v->v[i];
	}
	view_forget(v, at);
	l->refs++;
	*at = (struct view){key, ++v->clock, l, view_bytes(l)};
	v->bytes += at->bytes;
	while (v->bytes > v->max_bytes)
		view_forget(v, view_oldest(v));
	pthread_mutex_unlock(&v->lock);
	return l;
}

size_t views_bytes(struct views *v)
{
	size_t n;

	pthread_mutex_lock(&v->lock);
	n = v->bytes;
	pthread_mutex_unlock(&v->lock);
	return n;
}
