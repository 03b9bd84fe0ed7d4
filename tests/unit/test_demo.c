/* SPDX-License-Identifier: Apache-2.0 */
/* The demo's comparison: what programs wrote down against the API's edges. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/client.h"
#include "cli/demo.h"

static const char truth_text[] =
	"[{\"program\":\"shop-api\",\"side\":\"client\",\"peer\":\"shop-db\",\"port\":5432,\"opened\":3,\"refused\":2,"
	"\"unreachable\":0,\"timeout\":0,\"other\":1,\"sent\":100,\"received\":900},"
	"{\"program\":\"shop-db\",\"side\":\"server\",\"peer\":\"\",\"port\":5432,\"opened\":3,\"sent\":900,\"received\":100}]";

/* The client's side lies in two edges: the server had two names. */
static const char edges_text[] =
	"[{\"client_service\":\"shop-api\",\"server_service\":\"shop-db\",\"port\":5432,\"client_opened\":3,\"server_opened\":3,"
	"\"client_c2s_bytes\":100,\"client_s2c_bytes\":900,\"server_c2s_bytes\":100,\"server_s2c_bytes\":900},"
	"{\"client_service\":\"shop-api\",\"server_service\":\"host:vm\",\"port\":5432,\"client_failed_refused\":2,"
	"\"client_failed_abandoned\":1},"
	"{\"client_service\":\"shop-api\",\"server_service\":\"shop-db\",\"port\":5433,\"client_opened\":77},"
	"{\"client_service\":\"other\",\"server_service\":\"host:vm\",\"port\":5432,\"client_opened\":77}]";

static json_t *parsed(const char *text)
{
	json_t *json = json_loads(text, 0, NULL);

	assert_non_null(json);
	return json;
}

static void test_equal(void **state)
{
	json_t *truth = parsed(truth_text), *edges = parsed(edges_text), *compared = demo_compare(truth, edges);
	const json_t *line = json_array_get(compared, 0);

	assert_int_equal(json_array_size(compared), 2);
	assert_string_equal(client_str(line, "client", ""), "shop-api");
	assert_string_equal(client_str(line, "server", ""), "shop-db");
	assert_true(json_is_true(json_object_get(line, "equal")));
	assert_true(client_num(json_object_get(line, "skyfall"), "refused", -1) == 2);
	assert_true(client_num(json_object_get(line, "skyfall"), "other", -1) == 1);
	line = json_array_get(compared, 1);
	assert_true(json_is_true(json_object_get(line, "equal")));
	/* A server cannot know what was refused. */
	assert_null(json_object_get(json_object_get(line, "program"), "refused"));
	assert_true(client_num(json_object_get(line, "skyfall"), "c2s_bytes", -1) == 100);
	json_decref(truth);
	json_decref(edges);
	json_decref(compared);
}

/* One byte more or less anywhere is seen. */
static void test_differs(void **state)
{
	static const char *const columns[] = {"client_opened",         "client_c2s_bytes", "client_s2c_bytes",
					      "client_failed_timeout", "server_opened",    "server_c2s_bytes",
					      "server_s2c_bytes"};

	for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++) {
		json_t *truth = parsed(truth_text), *edges = parsed(edges_text), *compared;
		json_t *edge = json_array_get(edges, 0);
		bool client = strncmp(columns[i], "client", 6) == 0;

		json_object_set_new(edge, columns[i], json_integer((json_int_t)client_num(edge, columns[i], 0) + 1));
		compared = demo_compare(truth, edges);
		assert_int_equal(json_is_true(json_object_get(json_array_get(compared, 0), "equal")), !client);
		assert_int_equal(json_is_true(json_object_get(json_array_get(compared, 1), "equal")), client);
		json_decref(truth);
		json_decref(edges);
		json_decref(compared);
	}
}

static void test_truth_files(void **state)
{
	char folder[] = "/tmp/test_demo.XXXXXX", path[64];
	json_t *truth;
	FILE *f;

	assert_non_null(mkdtemp(folder));
	assert_null(demo_truth(folder));
	snprintf(path, sizeof(path), "%s/a.json", folder);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(truth_text, f);
	fclose(f);
	truth = demo_truth(folder);
	assert_int_equal(json_array_size(truth), 2);
	json_decref(truth);
	/* A program that died left half a file: the others still count. */
	snprintf(path, sizeof(path), "%s/b.json", folder);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs("[{\"program\":", f);
	fclose(f);
	truth = demo_truth(folder);
	assert_int_equal(json_array_size(truth), 2);
	json_decref(truth);
	unlink(path);
	snprintf(path, sizeof(path), "%s/a.json", folder);
	unlink(path);
	rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_equal),
		cmocka_unit_test(test_differs),
		cmocka_unit_test(test_truth_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
