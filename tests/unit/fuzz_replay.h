/* SPDX-License-Identifier: Apache-2.0 */
/* A fuzz target over its corpus, and over mutations of it that are the same each time. The target's source and FUZZ_CORPUS, its
 * folder, are there before. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>

enum { FILES = 1024, LARGEST = 4096, ROUNDS = 3000 };

static struct {
	uint8_t p[LARGEST];
	size_t n;
} files[FILES];
static unsigned n_files;

static int load(void **state)
{
	DIR *dir = opendir(FUZZ_CORPUS);
	struct dirent *e;

	assert_non_null(dir);
	while ((e = readdir(dir))) {
		char path[512];
		FILE *f;

		if (e->d_name[0] == '.')
			continue;
		assert_true(n_files < FILES);
		snprintf(path, sizeof(path), "%s/%s", FUZZ_CORPUS, e->d_name);
		f = fopen(path, "rb");
		assert_non_null(f);
		files[n_files].n = fread(files[n_files].p, 1, LARGEST, f);
		assert_true(files[n_files].n > 0);
		n_files++;
		fclose(f);
	}
	closedir(dir);
	return n_files < 6; /* one of each record at least */
}

/* An exact copy, for the sanitizers. */
static void feed(const uint8_t *p, size_t n)
{
	uint8_t *copy = malloc(n ? n : 1);

	assert_non_null(copy);
	memcpy(copy, p, n);
	assert_int_equal(LLVMFuzzerTestOneInput(copy, n), 0);
	free(copy);
}

static void test_corpus(void **state)
{
	for (unsigned i = 0; i < n_files; i++)
		feed(files[i].p, files[i].n);
}

static void test_mutations(void **state)
{
	static uint8_t p[LARGEST];
	uint64_t x = 0x9e3779b97f4a7c15;

	for (unsigned round = 0; round < ROUNDS; round++) {
		unsigned i = round % n_files;
		size_t n = files[i].n;

		memcpy(p, files[i].p, n);
		for (unsigned k = 0; k < 1 + round % 5; k++) {
			x = x * 6364136223846793005 + 1442695040888963407;
			size_t at = (x >> 33) % n;

			if (x >> 62 == 0) /* another file's tail */
				memcpy(p + at, files[(i + 1) % n_files].p,
				       n - at < files[(i + 1) % n_files].n ? n - at : files[(i + 1) % n_files].n);
			else if (x >> 62 == 1)
				memset(p + at / 4 * 4, 0xff, 4 < n - at / 4 * 4 ? 4 : n - at / 4 * 4);
			else
				p[at] ^= 1u << ((x >> 20) & 7);
		}
		feed(p, x % 7 ? n : (x >> 8) % n);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_corpus), cmocka_unit_test(test_mutations)};

	return cmocka_run_group_tests(tests, load, NULL);
}
