/* SPDX-License-Identifier: Apache-2.0 */
/* New processes of this machine, and of a folder that is no procfs. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/pids.h"

struct found {
	uint32_t v[4096];
	unsigned n;
};

static int note(void *arg, uint32_t pid)
{
	struct found *f = arg;

	f->v[f->n++] = pid;
	return f->n == 4096;
}

static bool has(const struct found *f, uint32_t pid)
{
	unsigned i;

	for (i = 0; i < f->n && f->v[i] != pid; i++)
		;
	return i < f->n;
}

struct waits {
	int up[2], end[2];
	pid_t tid;
};

static void *waits(void *arg)
{
	struct waits *w = arg;
	char c;

	w->tid = gettid();
	if (write(w->up[1], "x", 1) == 1)
		(void)!read(w->end[0], &c, 1);
	return NULL;
}

static void processes_not_threads(void **state)
{
	struct found now = {.n = 0}, none = {.n = 0};
	struct waits w = {.tid = 0};
	struct pids p;
	pthread_t t;
	pid_t child;
	int hold[2];
	char c;

	assert_int_equal(pids_init(&p, "/proc"), 0);
	assert_true(p.skew > 0);
	assert_int_equal(pipe(w.up) | pipe(w.end) | pipe(hold), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		close(hold[1]);
		_exit(read(hold[0], &c, 1) < 0);
	}
	assert_int_equal(pthread_create(&t, NULL, waits, &w), 0);
	assert_int_equal(read(w.up[0], &c, 1), 1);
	assert_true(pids_last(&p) > 0);

	assert_true(pids_between(&p, (uint32_t)child - 1, (uint32_t)child, note, &now) >= 0);
	assert_true(has(&now, (uint32_t)child));
	assert_int_equal(now.n, 1);
	now.n = 0;
	assert_true(pids_between(&p, (uint32_t)w.tid - 1, (uint32_t)w.tid, note, &now) >= 0);
	assert_int_equal(now.n, 0); /* there are /proc/TID, but it is no process */
	assert_true(pids_between(&p, (uint32_t)child, (uint32_t)child, note, &none) >= 0);
	assert_int_equal(none.n, 0);
	/* round: all but child .. child + 1 */
	assert_true(pids_between(&p, (uint32_t)child + 1, (uint32_t)child - 1, note, &now) >= 0);
	assert_true(has(&now, 1));
	assert_true(has(&now, (uint32_t)getpid()));
	assert_false(has(&now, (uint32_t)child));
	p.skew = -1; /* the same from a look at all */
	now.n = 0;
	assert_true(pids_between(&p, (uint32_t)child - 1, (uint32_t)child, note, &now) >= 0);
	assert_int_equal(now.n, 1);

	close(hold[1]);
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_int_equal(write(w.end[1], "e", 1), 1);
	pthread_join(t, NULL);
	pids_deinit(&p);
	pids_deinit(&p);
}

static void no_procfs(void **state)
{
	char root[] = "/tmp/skyfall-pids-XXXXXX", path[64];
	static const char *const names[] = {"7", "12", "x12", "12x", "99999999999"};
	struct found found = {.n = 0};
	struct pids p;
	unsigned i;

	assert_int_equal(pids_init(&p, "/nowhere"), -ENOENT);
	assert_int_equal(pids_last(&p), 0);
	assert_int_equal(pids_between(&p, 1, 2, note, &found), -EBADF);
	assert_non_null(mkdtemp(root));
	for (i = 0; i < 5; i++) {
		snprintf(path, sizeof(path), "%s/%s", root, names[i]);
		assert_int_equal(mkdir(path, 0700), 0);
	}
	assert_int_equal(pids_init(&p, root), 0);
	assert_int_equal(p.skew, -1);
	assert_int_equal(pids_last(&p), 0);
	assert_int_equal(pids_between(&p, 7, 4000000, note, &found), 0);
	assert_int_equal(found.n, 1);
	assert_int_equal(found.v[0], 12);
	pids_deinit(&p);
	for (i = 0; i < 5; i++) {
		snprintf(path, sizeof(path), "%s/%s", root, names[i]);
		assert_int_equal(rmdir(path), 0);
	}
	assert_int_equal(rmdir(root), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(processes_not_threads),
		cmocka_unit_test(no_procfs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
