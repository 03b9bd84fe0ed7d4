/* SPDX-License-Identifier: Apache-2.0 */
/* What store/spool.h promises: batches come back in their order and to the field, over a restart; bounds and damage are told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/spool.h"

struct world {
	char path[64];
	struct spool *sp;
	char why[400];
};

static void reopen(struct world *w, uint64_t max)
{
	spool_close(w->sp);
	w->sp = NULL;
	assert_int_equal(spool_open(&w->sp, w->path, max, w->why, sizeof(w->why)), 0);
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	strcpy(w->path, "/tmp/skyfall-spool-XXXXXX");
	assert_non_null(mkdtemp(w->path));
	reopen(w, 1 << 20);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;
	char cmd[100];

	spool_close(w->sp);
	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", w->path);
	assert_int_equal(system(cmd), 0);
	free(w);
	return 0;
}

static struct flow_edge row(uint32_t interval)
{
	struct flow_edge e = {.interval = interval, .interval_s = 10, .revision = 7, .observed = 3};

	e.name = (struct flow_edge_name){
		.client_service = STR("web"), .server_service = STR("db"), .protocol = 6, .port = 5432};
	e.id = flow_edge_id(&e.name);
	e.view[FLOW_VIEW_CLIENT].tx_bytes = interval + 1;
	e.view[FLOW_VIEW_SERVER].srtt[3] = interval + 2;
	return e;
}

static int put(struct world *w, uint32_t interval)
{
	struct flow_edge e = row(interval), p = row(interval);
	struct flow_ledger l = {.interval = interval, .role = STR("agent"), .instance = STR("h"), .rows_in = 4};
	struct flow_listener n = {.host = STR("h"), .port = 80, .interval = interval, .drops = 3};
	struct flow_host h = {.id = STR("h"), .hostname = STR("alpha"), .interval = interval};
	struct store_batch b = {.edges = &e,
				.n_edges = 1,
				.pairs = &p,
				.n_pairs = 1,
				.ledgers = &l,
				.n_ledgers = 1,
				.hosts = &h,
				.n_hosts = 1,
				.listeners = &n,
				.n_listeners = 1};

	p.client = ip_from_v4((uint8_t[]){10, 0, 0, 1});
	p.scope = STR("host-a");
	return spool_put(w->sp, &b);
}

static void take(struct world *w, uint32_t interval)
{
	struct flow_edge e = row(interval);
	struct store_batch b;

	assert_int_equal(spool_oldest(w->sp, &b), 0);
	assert_int_equal(b.n_edges, 1);
	assert_int_equal(b.edges->interval, interval);
	assert_true(b.edges->id == e.id && b.edges->revision == 7);
	assert_memory_equal(b.edges->view, e.view, sizeof(e.view));
	assert_true(str_eq(b.edges->name.server_service, STR("db")));
	assert_int_equal(b.n_pairs, 1);
	assert_true(str_eq(b.pairs->scope, STR("host-a")));
	assert_int_equal(b.n_ledgers, 1);
	assert_int_equal(b.ledgers->rows_in, 4);
	assert_int_equal(b.n_hosts, 1);
	assert_true(str_eq(b.hosts->hostname, STR("alpha")));
	assert_int_equal(b.n_listeners, 1);
	assert_int_equal(b.listeners->drops, 3);
}

static void test_batches_come_back_in_order(void **state)
{
	struct world *w = *state;
	struct store_batch b;

	for (uint32_t i = 0; i < 5; i++)
		assert_int_equal(put(w, 100 + i * 10), 0);
	take(w, 100);
	take(w, 100); /* not done: the same again */
	spool_done(w->sp);
	take(w, 110);
	reopen(w, 1 << 20);
	take(w, 110);
	spool_done(w->sp);
	assert_int_equal(put(w, 150), 0);
	for (uint32_t i = 2; i < 6; i++) {
		take(w, 100 + i * 10);
		spool_done(w->sp);
	}
	assert_int_equal(spool_oldest(w->sp, &b), -ENOENT);
	assert_int_equal(spool_bytes(w->sp), 0);
}

static void test_a_bound_is_kept(void **state)
{
	struct world *w = *state;
	uint64_t one;

	assert_int_equal(put(w, 100), 0);
	one = spool_bytes(w->sp);
	assert_true(one > 0);
	reopen(w, one * 2);
	assert_int_equal(spool_bytes(w->sp), one);
	assert_int_equal(put(w, 110), 0);
	assert_int_equal(put(w, 120), -ENOSPC);
	assert_non_null(strstr(spool_error(w->sp), "full"));
	take(w, 100);
	spool_done(w->sp);
	assert_int_equal(put(w, 120), 0);
}

static void test_a_damaged_file_is_set_aside(void **state)
{
	struct world *w = *state;
	char path[120];
	int fd;

	assert_int_equal(put(w, 100), 0);
	assert_int_equal(put(w, 110), 0);
	snprintf(path, sizeof(path), "%s/batch-%016x", w->path, 0);
	fd = open(path, O_WRONLY);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, "\xff", 1, 20), 1);
	close(fd);
	assert_int_equal(spool_oldest(w->sp, &(struct store_batch){0}), -EBADMSG);
	assert_non_null(strstr(spool_error(w->sp), "damaged"));
	snprintf(path, sizeof(path), "%s/damaged-batch-%016x", w->path, 0);
	assert_int_equal(access(path, F_OK), 0);
	take(w, 110);
}

static void test_a_folder_that_cannot_be_used(void **state)
{
	struct world *w = *state;
	struct spool *other = NULL;

	assert_int_equal(spool_open(&other, w->path, 1, w->why, sizeof(w->why)), -EBUSY);
	assert_non_null(strstr(w->why, "another process has it"));
	assert_true(spool_open(&other, "/proc/skyfall", 1, w->why, sizeof(w->why)) < 0);
	assert_non_null(strstr(w->why, "cannot be used"));
	assert_null(other);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_batches_come_back_in_order),
		T(test_a_bound_is_kept),
		T(test_a_damaged_file_is_set_aside),
		T(test_a_folder_that_cannot_be_used),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
