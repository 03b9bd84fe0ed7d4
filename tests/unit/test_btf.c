/* SPDX-License-Identifier: Apache-2.0 */
/* agent/btf.c: which file tells a kernel's structs; broken ones are refused. tools/btf/source.c: whose file it is. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/btf.h"
#include "tools/btf/source.h"

struct world {
	char root[64], folder[128], file[256];
	void *raw;
	uint32_t n;
};

/* A BTF by libbpf's own hand: what a minimised file looks like. */
static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct btf *btf = btf__new_empty();
	const void *raw;
	char cmd[256];
	int u32;

	assert_non_null(w);
	strcpy(w->root, "/tmp/skyfall-btf-test.XXXXXX");
	assert_non_null(mkdtemp(w->root));
	snprintf(w->folder, sizeof(w->folder), "%s/usr/lib/skyfall/btf", w->root);
	snprintf(cmd, sizeof(cmd), "mkdir -p %s", w->folder);
	assert_int_equal(system(cmd), 0);
	snprintf(w->file, sizeof(w->file), "%s/9.9.9-test.btf", w->folder);
	u32 = btf__add_int(btf, "unsigned int", 4, 0);
	assert_true(btf__add_struct(btf, "sock_common", 8) > 0);
	assert_int_equal(btf__add_field(btf, "skc_daddr", u32, 0, 0), 0);
	assert_int_equal(btf__add_field(btf, "skc_state", u32, 32, 0), 0);
	assert_true(btf__add_struct(btf, "sock", 8) > 0);
	assert_int_equal(btf__add_field(btf, "__sk_common", u32 + 1, 0, 0), 0);
	assert_true(btf__add_array(btf, u32, u32, 3) > 0);
	assert_true(btf__add_typedef(btf, "three", u32 + 3) > 0);
	assert_true(btf__add_struct(btf, "tcp_sock", 16) > 0);
	assert_int_equal(btf__add_field(btf, "sk", u32 + 2, 0, 0), 0);
	raw = btf__raw_data(btf, &w->n);
	w->raw = malloc(w->n);
	memcpy(w->raw, raw, w->n);
	btf__free(btf);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;
	char cmd[256];

	snprintf(cmd, sizeof(cmd), "rm -r %s", w->root);
	assert_int_equal(system(cmd), 0);
	free(w->raw);
	free(w);
	return 0;
}

static void put(const char *path, const void *data, size_t n)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
}

static void a_good_file(void **state)
{
	struct world *w = *state;
	char why[200];

	put(w->file, w->raw, w->n);
	assert_int_equal(btf_check(w->file, why, sizeof(why)), 0);
	assert_string_equal(why, "7 types"); /* void is one */
}

/* Each single byte turned, each length: refused or taken, never anything worse. Half of the turned ones hit an id or an offset. */
static void broken_files(void **state)
{
	struct world *w = *state;
	unsigned char *bytes = malloc(w->n);
	unsigned refused = 0;
	char why[200];
	uint32_t i;

	for (i = 0; i < w->n; i++) {
		memcpy(bytes, w->raw, w->n);
		bytes[i] ^= 0xff;
		put(w->file, bytes, w->n);
		refused += btf_check(w->file, why, sizeof(why)) < 0;
	}
	assert_true(refused > w->n / 4);
	for (i = 0; i < w->n; i++) {
		put(w->file, w->raw, i);
		assert_true(btf_check(w->file, why, sizeof(why)) < 0);
		assert_true(strlen(why) > 0);
	}
	free(bytes);
}

/* A typedef of an array of that typedef. */
static void a_type_without_end(void **state)
{
	struct world *w = *state;
	struct btf *btf = btf__new(w->raw, w->n);
	struct btf_type *t = (struct btf_type *)btf__type_by_id(btf, 4);
	uint32_t n;
	const void *raw;
	char why[200];

	assert_true(btf_is_array(t));
	btf_array(t)->type = 5;
	raw = btf__raw_data(btf, &n);
	put(w->file, raw, n);
	assert_int_equal(btf_check(w->file, why, sizeof(why)), -EBADMSG);
	assert_non_null(strstr(why, "never ends"));
	btf__free(btf);
}

static void only_the_exact_release(void **state)
{
	struct world *w = *state;
	struct btf_choice c;

	put(w->file, w->raw, w->n);
	btf_choose(&c, "auto", "9.9.9-test", w->root);
	assert_true(c.rung[1].ok);
	btf_choose(&c, "auto", "9.9.9-tesu", w->root);
	assert_false(c.rung[1].ok);
	assert_non_null(strstr(c.rung[1].why, "9.9.9-tesu.btf"));
	btf_choose(&c, w->folder, "9.9.9-test", "");
	assert_true(c.rung[1].ok);
	btf_choose(&c, w->file, "1.2.3", ""); /* named itself: whatever its name */
	assert_true(c.rung[1].ok);
	assert_int_equal(c.won, 1);
	assert_string_equal(c.path, w->file);
	btf_choose(&c, "off", "9.9.9-test", w->root);
	assert_int_equal(c.won, -1);
}

static void a_broken_one_is_told(void **state)
{
	struct world *w = *state;
	struct btf_choice c;

	put(w->file, "no BTF at all", 13);
	btf_choose(&c, w->folder, "9.9.9-test", "");
	assert_false(c.rung[1].ok);
	assert_non_null(strstr(c.rung[1].why, "9.9.9-test.btf: corrupt"));
	assert_string_equal(c.path, "");
}

static void releases_in_names(void **state)
{
	static const struct {
		const char *path, *release;
	} t[] = {
		{"/a/6.1.0-50-cloud-amd64.btf", "6.1.0-50-cloud-amd64"},
		{"5.4.0-1009-aws.btf.tar.xz", "5.4.0-1009-aws"},
		{"boot/vmlinuz-5.10.0-46-amd64", "5.10.0-46-amd64"},
		{"/usr/lib/debug/boot/vmlinux-4.18.0-553.el8.x86_64", "4.18.0-553.el8.x86_64"},
		{"/usr/lib/modules/7.2.13+deb14/vmlinuz", "7.2.13+deb14"},
		{"vmlinux", NULL},
		{"/boot/vmlinuz", NULL},
		{"min.btf", NULL},
	};
	char release[65];

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		assert_int_equal(source_release_of_name(t[i].path, release), t[i].release != NULL);
		if (t[i].release)
			assert_string_equal(release, t[i].release);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_good_file, setup, teardown),
		cmocka_unit_test_setup_teardown(broken_files, setup, teardown),
		cmocka_unit_test_setup_teardown(a_type_without_end, setup, teardown),
		cmocka_unit_test_setup_teardown(only_the_exact_release, setup, teardown),
		cmocka_unit_test_setup_teardown(a_broken_one_is_told, setup, teardown),
		cmocka_unit_test(releases_in_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
