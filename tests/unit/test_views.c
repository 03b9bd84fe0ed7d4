/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>

#include "server/views.h"

static struct layout *picture(const char *id)
{
	struct layout_node n = {.id = str_from(id), .w = 100};
	struct layout *l;

	assert_int_equal(layout_new(&l, &n, 1, NULL, 0, NULL), 0);
	return l;
}

static void put(struct views *v, uint64_t key, const char *id)
{
	views_done(v, views_put(v, key, picture(id)));
}

static bool has(struct views *v, uint64_t key, const char *id)
{
	const struct layout *l = views_get(v, key);
	bool ok = l && str_eq(l->places[0].id, str_from(id));

	views_done(v, l);
	return ok;
}

static void test_the_oldest_goes(void **state)
{
	struct views *v;
	const struct layout *l;

	assert_int_equal(views_new(&v, VIEWS_BYTES), 0);
	assert_null(views_get(v, 0));
	for (uint64_t key = 0; key < VIEWS_MAX; key++)
		put(v, key, "a");
	assert_true(has(v, 0, "a"));
	/* 0 was asked for last, so 1 is the oldest. */
	put(v, 1000, "b");
	assert_true(has(v, 0, "a"));
	assert_true(has(v, 1000, "b"));
	assert_null(views_get(v, 1));
	/* A newer picture of the same view; whoever holds the former keeps it. */
	l = views_get(v, 0);
	put(v, 0, "c");
	assert_true(str_eq(l->places[0].id, STR("a")));
	assert_true(has(v, 0, "c"));
	views_done(v, l);
	assert_true(has(v, 2, "a"));
	views_free(v);
	views_free(NULL);
}

static void test_an_empty_one_takes_no_place(void **state)
{
	const struct layout *l;
	struct layout *empty;
	struct views *v;

	assert_int_equal(views_new(&v, VIEWS_BYTES), 0);
	put(v, 1, "a");
	assert_int_equal(layout_new(&empty, NULL, 0, NULL, 0, NULL), 0);
	l = views_put(v, 1, empty);
	assert_ptr_equal(l, empty);
	assert_int_equal(l->n, 0);
	views_done(v, l);
	assert_true(has(v, 1, "a"));
	views_free(v);
}

/* Some pictures that together take more than there may be: the newest stay. */
static void test_bounded_in_bytes(void **state)
{
	const size_t names = 100000;
	char *id = malloc(names + 1);
	const struct layout *l;
	struct views *v;

	memset(id, 'x', names);
	id[names] = '\0';
	assert_int_equal(views_new(&v, names * 4), 0);
	assert_int_equal(views_bytes(v), 0);
	put(v, 1, id);
	assert_true(views_bytes(v) > names && views_bytes(v) < names * 5 / 4);
	for (uint64_t key = 2; key < 20; key++) {
		put(v, key, id);
		assert_true(views_bytes(v) <= names * 4);
	}
	assert_true(has(v, 17, id) && has(v, 18, id) && has(v, 19, id));
	assert_null(views_get(v, 16));
	/* A smaller one of the same view gives back what the former took. */
	for (uint64_t key = 17; key < 20; key++)
		put(v, key, "a");
	assert_true(views_bytes(v) < names / 10);
	assert_true(has(v, 17, "a"));
	views_free(v);
	/* One that is too large alone can be looked at, but is not kept. */
	assert_int_equal(views_new(&v, names / 2), 0);
	l = views_put(v, 1, picture(id));
	assert_true(str_eq(l->places[0].id, str_from(id)));
	assert_int_equal(views_bytes(v), 0);
	views_done(v, l);
	assert_null(views_get(v, 1));
	views_free(v);
	free(id);
}

static void *hammer(void *arg)
{
	for (unsigned i = 0; i < 5000; i++) {
		uint64_t key = i % (VIEWS_MAX + 7);
		const struct layout *l = views_get(arg, key);

		if (l && l->n != 1)
			return arg;
		views_done(arg, l);
		put(arg, key, "x");
	}
	return NULL;
}

static void test_threads(void **state)
{
	pthread_t t[4];
	struct views *v;

	assert_int_equal(views_new(&v, VIEWS_BYTES), 0);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&t[i], NULL, hammer, v), 0);
	for (unsigned i = 0; i < 4; i++) {
		void *bad;

		assert_int_equal(pthread_join(t[i], &bad), 0);
		assert_null(bad);
	}
	views_free(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_oldest_goes),
		cmocka_unit_test(test_an_empty_one_takes_no_place),
		cmocka_unit_test(test_bounded_in_bytes),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
