/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/demo.h"

#include <glob.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/table.h"
#include "cli/answer.h"

/* The addresses of tools/shop/node.c. */
const char demo_inventory[] = "networks:\n"
			      "- cidr: 10.77.0.11/32\n  owner: shop-db\n"
			      "- cidr: 10.77.0.12/32\n  owner: shop-cache\n"
			      "- cidr: 10.77.0.13/32\n  owner: shop-queue\n"
			      "- cidr: 10.77.0.14/32\n  owner: shop-mail\n"
			      "- cidr: 10.77.0.15/32\n  owner: shop-api\n"
			      "- cidr: 10.77.0.16/32\n  owner: shop-web\n";

/* A number: what the programs call it, on either side, and the API's columns that make it up. */
static const struct {
	const char *name, *title;
	const char *client, *server; /* members of a truth line; NULL: that side cannot know */
	const char *client_columns[5], *server_columns[5];
} numbers[] = {
	{"opened", "OPENED", "opened", "opened", {"client_opened"}, {"server_opened"}},
	{"refused", "REFUSED", "refused", NULL, {"client_failed_refused"}, {NULL}},
	{"unreachable", "UNREACHABLE", "unreachable", NULL, {"client_failed_unreachable"}, {NULL}},
	{"timeout", "TIMED OUT", "timeout", NULL, {"client_failed_timeout"}, {NULL}},
	{"other",
	 "OTHER",
	 "other",
	 NULL,
	 {"client_failed_other", "client_failed_no_route", "client_failed_no_port", "client_failed_abandoned"},
	 {NULL}},
	{"c2s_bytes", "C2S BYTES", "sent", "received", {"client_c2s_bytes"}, {"server_c2s_bytes"}},
	{"s2c_bytes", "S2C BYTES", "received", "sent", {"client_s2c_bytes"}, {"server_s2c_bytes"}},
};

json_t *demo_truth(const char *folder)
{
	json_t *all = json_array();
	char pattern[4096];
	glob_t files;

	snprintf(pattern, sizeof(pattern), "%s/*.json", folder);
	if (glob(pattern, 0, NULL, &files) == 0) {
		for (size_t i = 0; i < files.gl_pathc; i++) {
			json_t *lines = json_load_file(files.gl_pathv[i], 0, NULL);

			json_array_extend(all, lines);
			json_decref(lines);
		}
		globfree(&files);
	}
	if (json_array_size(all) > 0)
		return all;
	json_decref(all);
	return NULL;
}

static bool demo_is_client(const json_t *line)
{
	return strcmp(client_str(line, "side", ""), "client") == 0;
}

/* An edge is this line's when the program is at that end and the port is the same. What the peer is called is left open:
 * a port where nobody listens has no service of its own. */
static bool demo_belongs(const json_t *line, const json_t *edge)
{
	const char *end = demo_is_client(line) ? "client_service" : "server_service";

	return strcmp(client_str(edge, end, ""), client_str(line, "program", "?")) == 0 &&
	       client_num(edge, "port", 0) == client_num(line, "port", -1);
}

static json_t *demo_line(const json_t *line, const json_t *edges)
{
	bool client = demo_is_client(line), equal = true;
	json_t *wrote = json_object(), *shown = json_object();
	const char *peer = client_str(line, "peer", ""), *program = client_str(line, "program", "?");

	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		const char *member = client ? numbers[i].client : numbers[i].server;
		const char *const *columns = client ? numbers[i].client_columns : numbers[i].server_columns;
		double want = member ? client_num(line, member, 0) : 0, sum = 0;

		if (!member)
			continue;
		for (size_t k = 0; k < json_array_size(edges); k++)
			for (size_t c = 0; c < ARRAY_LEN(numbers[i].client_columns) && columns[c]; c++)
				if (demo_belongs(line, json_array_get(edges, k)))
					sum += client_num(json_array_get(edges, k), columns[c], 0);
		json_object_set_new(wrote, numbers[i].name, json_integer((json_int_t)want));
		json_object_set_new(shown, numbers[i].name, json_integer((json_int_t)sum));
		equal = equal && want == sum;
	}
	return json_pack("{s:s,s:s,s:i,s:s,s:o,s:o,s:b}", "client", client ? program : "", "server",
			 client ? peer : program, "port", (int)client_num(line, "port", 0), "view",
			 client ? "client" : "server", "program", wrote, "skyfall", shown, "equal", equal);
}

json_t *demo_compare(const json_t *truth, const json_t *edges)
{
	json_t *all = json_array();

	for (size_t i = 0; i < json_array_size(truth); i++)
		json_array_append_new(all, demo_line(json_array_get(truth, i), edges));
	return all;
}

static void demo_cells(struct table *t, const json_t *line, bool program)
{
	const json_t *n = json_object_get(line, program ? "program" : "skyfall");
	const json_t *other = json_object_get(line, program ? "skyfall" : "program");
	bool equal = client_num(line, "equal", 0) != 0;
	char text[32];

	snprintf(text, sizeof(text), "%.0f", client_num(line, "port", 0));
	table_cell(t, TABLE_PLAIN,
		   program ? *client_str(line, "client", "") ? client_str(line, "client", "") : "(all)" : "");
	table_cell(t, TABLE_PLAIN, program ? client_str(line, "server", "") : "");
	table_cell(t, TABLE_PLAIN, program ? text : "");
	table_cell(t, TABLE_PLAIN, program ? client_str(line, "view", "") : "");
	table_cell(t, TABLE_DIM, program ? "program" : "Skyfall");
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		double v = client_num(n, numbers[i].name, -1);
		bool same = v == client_num(other, numbers[i].name, -1);

		snprintf(text, sizeof(text), "%.0f", v);
		table_cell(t, !same ? TABLE_BAD : v <= 0 ? TABLE_DIM : TABLE_PLAIN, v < 0 ? "" : text);
	}
	table_cell(t, equal ? TABLE_GOOD : TABLE_BAD, program ? "" : equal ? "equal" : "differs");
}

int demo_print(const json_t *compared)
{
	struct table_column columns[6 + ARRAY_LEN(numbers)] = {{.title = "CLIENT"},
							       {.title = "SERVER"},
							       {.title = "PORT", .right = true},
							       {.title = "VIEW"},
							       {.title = "SAYS"}};
	size_t n = 5;
	struct table *t;
	int r, differ = 0;

	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		columns[n++] = (struct table_column){.title = numbers[i].title, .right = true};
	columns[n++] = (struct table_column){.title = ""};
	r = table_new(&t, columns, n);
	if (r < 0)
		return r;
	for (size_t i = 0; i < json_array_size(compared); i++) {
		const json_t *line = json_array_get(compared, i);

		differ += client_num(line, "equal", 0) == 0;
		demo_cells(t, line, true);
		demo_cells(t, line, false);
	}
	r = answer_table(t);
	table_free(t);
	return r < 0 ? r : differ;
}
