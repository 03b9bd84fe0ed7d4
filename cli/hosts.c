/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/table.h"
#include "cli/answer.h"
#include "cli/cmd.h"
#include "cli/unit.h"

struct hosts_conf {
	const char *api, *host;
	bool listeners, json, csv;
};

#define AT(member) .offset = offsetof(struct hosts_conf, member)

static const struct opt hosts_opts[] = {
	{.name = "host", .type = OPT_STRING, AT(host), .arg = "HOST", .help = "only this host: name, id or address"},
	{.name = "listeners",
	 .letter = 'l',
	 .type = OPT_FLAG,
	 AT(listeners),
	 .help = "also the listening ports and who owns them"},
	CLIENT_OPT(struct hosts_conf, api),
	{.name = "json", .letter = 'j', .type = OPT_FLAG, AT(json), .help = "the API's answer as it is"},
	{.name = "csv", .type = OPT_FLAG, AT(csv), .help = "comma-separated"},
	{0},
};

const struct opt_command hosts_command = {
	.name = "hosts",
	.summary = "hosts with an agent: what it can see there, what it costs, what it lost",
	.args = "",
	.opts = hosts_opts,
	.conf_size = sizeof(struct hosts_conf),
};

static const struct table_column host_columns[] = {
	{.title = "HOST", .cut_to = 10},
	{.title = "SOURCE", .drop = 2},
	{.title = "STATE"},
	{.title = "KERNEL", .cut_to = 6, .drop = 6},
	{.title = "ADDRESS", .drop = 4},
	{.title = "SEEN", .right = true},
	{.title = "ROWS", .right = true},
	{.title = "LOST", .right = true},
	{.title = "OPEN", .right = true, .drop = 7},
	{.title = "MEMORY", .right = true, .drop = 3},
	{.title = "HOST CPU", .right = true, .drop = 5},
	{.title = "LISTENS", .right = true, .drop = 8},
	{.title = "VERSION", .drop = 10},
	{.title = "ID", .drop = 11},
};

static const struct table_column listener_columns[] = {
	{.title = "HOST", .cut_to = 8},
	{.title = "ADDRESS", .cut_to = 8},
	{.title = "PORT", .right = true},
	{.title = "SERVICE", .cut_to = 8},
	{.title = "PROCESS", .cut_to = 8, .drop = 3},
	{.title = "STATE"},
	{.title = "QUEUE", .right = true, .drop = 2},
	{.title = "DROPS", .right = true, .drop = 1},
	{.title = "OWNER", .drop = 4},
	{.title = "NETNS", .right = true, .drop = 5},
};

static double hosts_lost(const json_t *host)
{
	const json_t *lost = json_object_get(json_object_get(host, "loss"), "lost"), *n;
	const char *reason;
	double sum = 0;

	json_object_foreach((json_t *)lost, reason, n) sum += json_number_value(n);
	return sum;
}

static size_t hosts_alive(const json_t *listeners)
{
	size_t n = 0;

	for (size_t i = 0; i < json_array_size(listeners); i++)
		n += client_num(json_array_get(listeners, i), "alive", 0) != 0;
	return n;
}

static void hosts_cells(struct table *t, const json_t *host)
{
	const json_t *cost = json_object_get(host, "cost"), *loss = json_object_get(host, "loss");
	bool reporting = client_num(host, "reporting", 0) != 0, eased = client_num(cost, "eased", 0) > 0;
	double lost = hosts_lost(host), busy = client_num(cost, "cpu_busy_pm", NAN);
	double age = client_num(host, "age_s", NAN);
	const char *id = client_str(host, "id", "?");
	char text[64];

	table_cell(t, TABLE_PLAIN, *client_str(host, "hostname", "") ? client_str(host, "hostname", "") : id);
	table_cell(t, strcmp(client_str(host, "mode", ""), "bpf") == 0 ? TABLE_PLAIN : TABLE_WARN,
		   client_str(host, "mode", "-"));
	table_cell(t,
		   !reporting ? TABLE_BAD
		   : eased    ? TABLE_WARN
			      : TABLE_GOOD,
		   !reporting ? "silent"
		   : eased    ? "measures less"
			      : "reporting"); /* above its budget */
	table_cell(t, TABLE_PLAIN, client_str(host, "kernel", "-"));
	table_cell(t, TABLE_PLAIN, client_str(host, "agent", "-"));
	/* An interval may end after the question was asked. */
	table_cell(t, TABLE_PLAIN, age <= 0 ? "now" : unit_time_us(age * 1e6, text));
	table_cell(t, TABLE_PLAIN, unit_count(client_num(loss, "rows_in", NAN), text));
	table_cell(t, lost > 0 ? TABLE_BAD : TABLE_DIM, unit_count(lost, text));
	table_cell(t, TABLE_PLAIN, unit_count(client_num(cost, "socks_open", NAN), text));
	table_cell(t, TABLE_PLAIN, unit_bytes(client_num(cost, "rss_bytes", NAN), text));
	table_cell(t, TABLE_PLAIN, unit_percent(busy / 1000, text));
	table_cell(t, TABLE_PLAIN, unit_count((double)hosts_alive(json_object_get(host, "listeners")), text));
	table_cell(t, TABLE_PLAIN, client_str(host, "version", "-"));
	table_cell(t, TABLE_DIM, id);
}

static void hosts_listener_cells(struct table *t, const json_t *host, const json_t *l)
{
	bool alive = client_num(l, "alive", 0) != 0;
	double drops = client_num(l, "drops", 0), queue = client_num(l, "queue", 0),
	       max = client_num(l, "queue_max", 0);
	char text[64];

	table_cell(t, TABLE_PLAIN, client_str(host, "hostname", client_str(host, "id", "?")));
	table_cell(t, TABLE_PLAIN, client_str(l, "address", "-"));
	snprintf(text, sizeof(text), "%.0f", client_num(l, "port", 0));
	table_cell(t, TABLE_PLAIN, text);
	table_cell(t, TABLE_PLAIN, client_str(l, "service", "-"));
	table_cell(t, TABLE_PLAIN, client_str(l, "process", "-"));
	table_cell(t, alive ? TABLE_GOOD : TABLE_DIM, alive ? "open" : "gone");
	snprintf(text, sizeof(text), "%.0f/%.0f", queue, max);
	table_cell(t, max > 0 && queue >= max ? TABLE_BAD : TABLE_PLAIN, text);
	table_cell(t, drops > 0 ? TABLE_BAD : TABLE_DIM, unit_count(drops, text));
	table_cell(t, TABLE_DIM, client_str(l, "owner_quality", "-"));
	snprintf(text, sizeof(text), "%.0f", client_num(l, "netns", 0));
	table_cell(t, TABLE_DIM, text);
}

static int hosts_print_listeners(const json_t *hosts)
{
	struct table *t;
	int r = table_new(&t, listener_columns, ARRAY_LEN(listener_columns));

	if (r < 0)
		return r;
	for (size_t i = 0; i < json_array_size(hosts); i++) {
		const json_t *host = json_array_get(hosts, i), *listeners = json_object_get(host, "listeners");

		for (size_t k = 0; k < json_array_size(listeners); k++)
			hosts_listener_cells(t, host, json_array_get(listeners, k));
	}
	putchar('\n');
	r = answer_table(t);
	table_free(t);
	return r;
}

static int hosts_print(const json_t *answer, bool listeners)
{
	const json_t *hosts = json_object_get(answer, "hosts");
	size_t n = json_array_size(hosts);
	struct table *t;
	int r;

	if (n == 0) {
		printf("No agent has reported yet. `skyfall run` starts one here, `./run --agent-only HOST:PORT` on other hosts.\n");
		return 0;
	}
	r = table_new(&t, host_columns, ARRAY_LEN(host_columns));
	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++)
		hosts_cells(t, json_array_get(hosts, i));
	r = answer_table(t);
	table_free(t);
	return r == 0 && listeners ? hosts_print_listeners(hosts) : r;
}

int cmd_hosts(int argc, char **argv)
{
	struct hosts_conf conf = {0};
	struct client *c = NULL;
	json_t *answer = NULL;
	struct buf path;
	char **args;
	int n, r = opt_parse(CMD_PROGRAM " hosts", &hosts_command, argc, argv, &conf, &args, &n);

	if (r)
		return r == OPT_HELP ? CMD_OK : CMD_USAGE;
	buf_init(&path, 0);
	answer_path(&path, "/api/v1/hosts");
	answer_param(&path, "host", conf.host);
	answer_param(&path, "format", conf.csv ? "csv" : NULL);
	r = client_new(&c, conf.api);
	if (r == 0 && (conf.json || conf.csv))
		r = answer_verbatim(c, buf_text(&path));
	else if (r == 0 && (r = client_get(c, buf_text(&path), &answer)) == 0)
		r = hosts_print(answer, conf.listeners);
	r = answer_exit(c, "hosts", r);
	json_decref(answer);
	client_free(c);
	buf_deinit(&path);
	return r;
}
