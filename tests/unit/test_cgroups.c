/* SPDX-License-Identifier: Apache-2.0 */
/* Paths of cgroups that were told, and of what a walk finds: order, tombstones, bounds. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/cgroups.h"
#include "tests/unit/host_files.h"

#define S 1000000ll
#define FIRST 1000000000ull /* no folder of a file system has this id */

static char root[64] = "/tmp/skyfall-cgroups-XXXXXX";

static struct cgroups *cgroups_here(void)
{
	struct cgroups *c;

	assert_int_equal(cgroups_new(&c, root), 0);
	return c;
}

static void assert_path(struct cgroups *c, uint64_t id, int64_t now_us, const char *path)
{
	struct str got = cgroups_path(c, id, now_us);
	char text[128];

	snprintf(text, sizeof(text), "%.*s", STR_FMT(got));
	assert_string_equal(text, path);
}

static void made(struct cgroups *c, uint64_t id, int64_t now_us)
{
	char path[64];

	snprintf(path, sizeof(path), "/jobs/job-%llu.service", (unsigned long long)id);
	cgroups_made(c, id, str_from(path), now_us);
}

static void told(void **state)
{
	struct cgroups *c = cgroups_here();

	made(c, FIRST, S);
	assert_path(c, FIRST, S, "/jobs/job-1000000000.service");
	cgroups_gone(c, FIRST, 2 * S);
	cgroups_gone(c, FIRST, 3 * S); /* again: nothing */
	assert_path(c, FIRST, 2 * S + CGROUPS_TOMBSTONE_US, "/jobs/job-1000000000.service");
	assert_path(c, FIRST, 3 * S + CGROUPS_TOMBSTONE_US, "");
	cgroups_gone(c, FIRST + 1, S); /* of one that was made before us */
	cgroups_gone(c, 0, S);
	cgroups_made(c, 0, STR("/x"), S);
	cgroups_made(c, FIRST + 2, (struct str){NULL, 0}, S);
	cgroups_free(c);
}

/* One asked for before it was told, and one that is looked for in vain. */
static void told_late(void **state)
{
	struct cgroups *c = cgroups_here();

	assert_path(c, FIRST, S, "");
	made(c, FIRST, 2 * S);
	assert_path(c, FIRST, 2 * S, "/jobs/job-1000000000.service");
	/* the tombstone of the time when it was not there falls, and it is not its */
	assert_path(c, FIRST, 3 * S + CGROUPS_TOMBSTONE_US, "/jobs/job-1000000000.service");
	cgroups_free(c);
}

static void many(void **state)
{
	struct cgroups *c = cgroups_here();
	uint64_t id;

	for (id = FIRST; id < FIRST + 10 * CGROUPS_TOMBSTONES; id++) {
		made(c, id, S);
		cgroups_gone(c, id, S);
		assert_true(cgroups_count(c) <= CGROUPS_TOMBSTONES + 1);
	}
	for (id -= CGROUPS_TOMBSTONES; id < FIRST + 10 * CGROUPS_TOMBSTONES; id++) { /* the latest have their names */
		char path[64];

		snprintf(path, sizeof(path), "/jobs/job-%llu.service", (unsigned long long)id);
		assert_path(c, id, 2 * S, path);
	}
	assert_path(c, FIRST, 2 * S, "");
	for (id = FIRST; id < FIRST + 2 * CGROUPS_MAX; id++) /* that live: a bound, and no harm */
		made(c, id, 3 * S);
	assert_true(cgroups_count(c) <= CGROUPS_MAX);
	assert_path(c, FIRST + 77, 3 * S, "/jobs/job-1000000077.service");
	cgroups_free(c);
}

/* What was not told is found out by reading the folders: who is new, and who is gone. */
static void missed(void **state)
{
	struct cgroups *c = cgroups_here();
	uint64_t here;

	host_put(root, "a.service/x", "");
	here = host_folder_id(root, "a.service");
	assert_path(c, here, S, "/a.service");
	made(c, FIRST, S);
	cgroups_missed(c);
	assert_path(c, here, S + 1, "/a.service"); /* too early to read again */
	assert_path(c, here, 2 * S, "/a.service"); /* now it is known that the other is not there */
	assert_path(c, FIRST, 2 * S + CGROUPS_TOMBSTONE_US, "/jobs/job-1000000000.service");
	assert_path(c, FIRST, 3 * S + CGROUPS_TOMBSTONE_US, "");
	assert_path(c, here, 3 * S + CGROUPS_TOMBSTONE_US, "/a.service");
	cgroups_free(c);
}

static int set_up(void **state)
{
	return mkdtemp(root) ? 0 : -1;
}

static int tear_down(void **state)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/a.service/x", root);
	(void)unlink(path);
	snprintf(path, sizeof(path), "%s/a.service", root);
	(void)rmdir(path);
	return rmdir(root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(told),
		cmocka_unit_test(told_late),
		cmocka_unit_test(many),
		cmocka_unit_test(missed),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
