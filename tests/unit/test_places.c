/* SPDX-License-Identifier: Apache-2.0 */
/* agent/places.c: the list, and a log written as agent/bpf/log.bpf.h writes it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/places.h"

#define CPUS 2

struct rig {
	struct places *p;
	struct sky_log *log;
	int fd;
	uint64_t seen[3 * SKY_LOG_LINES];
	size_t n;
};

static int set_up(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	r->fd = memfd_create("log", MFD_CLOEXEC);
	assert_int_equal(ftruncate(r->fd, CPUS * sizeof(*r->log)), 0);
	r->log = mmap(NULL, CPUS * sizeof(*r->log), PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, 0);
	assert_ptr_not_equal(r->log, MAP_FAILED);
	assert_int_equal(places_new(&r->p, 100), 0);
	assert_int_equal(places_open_log(r->p, r->fd, CPUS), 0);
	*state = r;
	return 0;
}

static int tear_down(void **state)
{
	struct rig *r = *state;

	places_free(r->p);
	munmap(r->log, CPUS * sizeof(*r->log));
	close(r->fd);
	free(r);
	return 0;
}

static void write_line(struct rig *r, unsigned cpu, uint64_t line)
{
	struct sky_log *l = &r->log[cpu];

	l->line[l->n % SKY_LOG_LINES] = line | sky_log_lap(l->n);
	l->n++;
}

static void see(void *arg, uint64_t line)
{
	struct rig *r = arg;

	r->seen[r->n++] = line;
}

static void lines_are_read_once(void **state)
{
	struct rig *r = *state;

	for (unsigned turn = 0; turn < 3; turn++) { /* round the ring */
		for (uint64_t i = 0; i < SKY_LOG_LINES - 1; i++)
			write_line(r, 1, 64 * (i + 1));
		write_line(r, 0, 64 * 9999 | SKY_LOG_OWNER);
		r->n = 0;
		assert_false(places_log_lost(r->p));
		assert_true(places_read_log(r->p, see, r));
		assert_int_equal(r->n, SKY_LOG_LINES);
		assert_int_equal(r->seen[0], 64 * 9999 | SKY_LOG_OWNER);
		for (uint64_t i = 0; i < SKY_LOG_LINES - 1; i++)
			assert_int_equal(r->seen[1 + i], 64 * (i + 1));
		r->n = 0;
		assert_true(places_read_log(r->p, see, r));
		assert_int_equal(r->n, 0);
	}
}

static void overwritten_lines_are_told(void **state)
{
	struct rig *r = *state;

	for (uint64_t i = 0; i < SKY_LOG_LINES - 1; i++)
		write_line(r, 0, 64 * i);
	assert_false(places_log_lost(r->p));
	write_line(r, 0, 64);
	assert_true(places_log_lost(r->p));
	assert_false(places_read_log(r->p, see, r));
	assert_false(places_log_lost(r->p));
	assert_true(places_read_log(r->p, see, r));
}

static void a_torn_line_is_told(void **state)
{
	struct rig *r = *state;

	write_line(r, 1, 64);
	r->log[1].torn++;
	assert_true(places_log_lost(r->p));
	places_skip_log(r->p);
	assert_false(places_log_lost(r->p));
	assert_true(places_read_log(r->p, see, r));
	assert_int_equal(r->n, 0);
}

/* `n` seen before the line: what is there is of the turn before, or nothing. */
static void a_line_that_is_not_there_yet_is_told(void **state)
{
	struct rig *r = *state;

	for (unsigned turn = 0; turn < 9; turn++) {
		r->n = 0;
		write_line(r, 0, 64);
		r->log[0].n++;
		assert_false(places_log_lost(r->p));
		assert_false(places_read_log(r->p, see, r));
		assert_int_equal(r->n, 1);
		assert_int_equal(r->seen[0], 64);
		for (uint64_t i = 3; i < SKY_LOG_LINES; i++) /* on to a place that the turn before wrote */
			write_line(r, 0, 64 * i);
		assert_true(places_read_log(r->p, see, r));
	}
}

static void places_are_a_bounded_queue(void **state)
{
	struct rig *r = *state;

	for (uint64_t i = 0; i < 100; i++)
		assert_true(places_add(r->p, i));
	assert_false(places_add(r->p, 100));
	places_cut(r->p, 98);
	assert_int_equal(places_count(r->p), 2);
	assert_int_equal(places_at(r->p, 0), 98);
	assert_int_equal(places_at(r->p, 1), 99);
	assert_true(places_add(r->p, 100));
	assert_int_equal(places_at(r->p, 2), 100);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(lines_are_read_once),        TEST(overwritten_lines_are_told),
		TEST(a_torn_line_is_told),        TEST(a_line_that_is_not_there_yet_is_told),
		TEST(places_are_a_bounded_queue),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
