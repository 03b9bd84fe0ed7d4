/* SPDX-License-Identifier: Apache-2.0 */
/* What comes from the tables of flow/: Avro schemas, the reference of fields. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "cli/cmd.h"
#include "flow/msg.h"

struct schema_conf {
	bool json;
};

static const struct opt schema_opts[] = {{0}};
static const struct opt fields_opts[] = {
	{.name = "json",
	 .letter = 'j',
	 .type = OPT_FLAG,
	 .offset = offsetof(struct schema_conf, json),
	 .help = "as a JSON array"},
	{0},
};

const struct opt_command schema_command = {
	.name = "schema",
	.summary = "the Avro schemas of what travels between roles (JSON)",
	.args = "[TYPE]",
	.about = "TYPE: Flow, Marker, Edge, Pair, Host, Listener, Ledger; none: an object with all of them.",
	.opts = schema_opts,
	.max_args = 1,
};

const struct opt_command fields_command = {
	.name = "fields",
	.summary = "everything that is measured: docs/fields.md",
	.args = "",
	.opts = fields_opts,
	.conf_size = sizeof(struct schema_conf),
};

static int schema_print(enum flow_msg_type type)
{
	struct buf b;
	int r;

	buf_init(&b, 0);
	flow_msg_schema(&b, type, true);
	r = b.err;
	fputs(buf_text(&b), stdout);
	buf_deinit(&b);
	return r;
}

int cmd_schema(int argc, char **argv)
{
	char **args;
	int n, r = opt_parse(CMD_PROGRAM " schema", &schema_command, argc, argv, NULL, &args, &n);
	bool found = false;

	if (r)
		return r == OPT_HELP ? CMD_OK : CMD_USAGE;
	if (n == 0)
		putchar('{');
	for (int type = 0; type < FLOW_MSG_TYPES && r == 0; type++) {
		const char *name = flow_msg_name((enum flow_msg_type)type);

		if (n == 1 && strcasecmp(name, args[0]) != 0)
			continue;
		if (n == 0)
			printf("%s\n\"%s\": ", type ? "," : "", name);
		found = true;
		r = schema_print((enum flow_msg_type)type);
	}
	printf(n == 0 ? "\n}\n" : found ? "\n" : "");
	if (!found) {
		fprintf(stderr, CMD_PROGRAM " schema: there is no type '%s'; see " CMD_PROGRAM " schema --help\n",
			args[0]);
		return CMD_USAGE;
	}
	return r < 0 ? CMD_FAILED : CMD_OK;
}

static const char *const width_names[] = {[FLOW_U32] = "u32", [FLOW_U64] = "u64", [FLOW_HIST] = "histogram"};
static const char *const dir_names[] = {[FLOW_CONN] = "conversation", [FLOW_TX] = "sent", [FLOW_RX] = "received"};
static const char *const seen_names[] = {[FLOW_HOST] = "host", [FLOW_ALL] = "host, network"};

/* The columns of one field over the views, each between `open` and `close`. */
static void fields_columns(unsigned field, const char *open, const char *close)
{
	char column[64];
	bool first = true;

	for (int view = 0; view < FLOW_VIEWS; view++) {
		const char *name = flow_column(field, (enum flow_view)view, column);

		if (!name)
			continue;
		printf("%s%s%s%s", first ? "" : ", ", open, name, close);
		first = false;
	}
}

static void fields_json(void)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < FLOW_FIELDS; i++) {
		const struct flow_field_info *f = &flow_fields[i];
		json_t *columns = json_array();
		char column[64];

		for (int view = 0; view < FLOW_VIEWS; view++)
			if (flow_column(i, (enum flow_view)view, column))
				json_array_append_new(columns, json_string(column));
		json_array_append_new(list, json_pack("{s:i,s:s,s:s,s:s,s:s,s:s,s:o}", "bit", (int)i, "name", f->name,
						      "width", width_names[f->width], "belongs_to", dir_names[f->dir],
						      "unit", f->unit, "meaning", f->meaning, "columns", columns));
	}
	json_dumpf(list, stdout, JSON_INDENT(1));
	putchar('\n');
	json_decref(list);
}

static void fields_markdown(void)
{
	printf("<!-- made by `skyfall fields` from flow/fields.def: do not edit -->\n# What is measured\n\n"
	       "Every field is a sum over an interval; merging two is addition. Names are those of the end that measures:\n"
	       "tx is what it sends, rx what it receives. In an edge each view keeps its own columns, each directional\n"
	       "one as c2s (client to server) or s2c. *Bit* is the place in the datagram's `present` word.\n"
	       "A histogram has %d buckets of microseconds: below 8, then steps of 2^k and 1.5 * 2^k, the last from 2^24 on.\n\n"
	       "| bit | name | width | belongs to | unit | known to | meaning |\n|---|---|---|---|---|---|---|\n",
	       FLOW_BUCKETS);
	for (unsigned i = 0; i < FLOW_FIELDS; i++) {
		const struct flow_field_info *f = &flow_fields[i];

		printf("| %u | `%s` | %s | %s | %s | %s | %s |\n", i, f->name, width_names[f->width], dir_names[f->dir],
		       f->unit, seen_names[f->seen], f->meaning);
	}
	printf("\n## Columns of a stored edge\n\nThe API names them alike; a column that is zero is left out there.\n\n"
	       "| field | columns |\n|---|---|\n");
	for (unsigned i = 0; i < FLOW_FIELDS; i++) {
		printf("| `%s` | ", flow_fields[i].name);
		fields_columns(i, "`", "`");
		printf(" |\n");
	}
}

int cmd_fields(int argc, char **argv)
{
	struct schema_conf conf = {0};
	char **args;
	int n, r = opt_parse(CMD_PROGRAM " fields", &fields_command, argc, argv, &conf, &args, &n);

	if (r)
		return r == OPT_HELP ? CMD_OK : CMD_USAGE;
	if (conf.json)
		fields_json();
	else
		fields_markdown();
	return CMD_OK;
}
