/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/doctor.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/table.h"
#include "cli/answer.h"
#include "cli/cmd.h"
#include "cli/unit.h"

struct doctor_conf {
	const char *api, *from, *to;
	uint32_t since_ms, wait_ms;
	bool json, datagrams;
};

#define AT(member) .offset = offsetof(struct doctor_conf, member)

static const struct opt doctor_opts[] = {
	{.name = "since",
	 .type = OPT_TIME,
	 AT(since_ms),
	 .arg = "TIME",
	 .help = "look so far back (10m, 1h); default the last settled minute",
	 .min = 1000},
	{.name = "from",
	 .type = OPT_STRING,
	 AT(from),
	 .arg = "TIME",
	 .help = "start: -5m, seconds since 1970 or 2026-11-23T05:00:00Z"},
	{.name = "to",
	 .type = OPT_STRING,
	 AT(to),
	 .arg = "TIME",
	 .help = "end; default the newest interval that has settled"},
	{.name = "wait",
	 .letter = 'w',
	 .type = OPT_TIME,
	 AT(wait_ms),
	 .arg = "TIME",
	 .help = "first wait until what is measured up to now is stored, so long at most"},
	{.name = "datagrams",
	 .type = OPT_FLAG,
	 AT(datagrams),
	 .help = "instead: where agents' datagrams went since the collector started, and the newest one refused of each reason"},
	CLIENT_OPT(struct doctor_conf, api),
	{.name = "json",
	 .letter = 'j',
	 .type = OPT_FLAG,
	 AT(json),
	 .help = "the API's health answer as it is; the exit code stays"},
	{0},
};

const struct opt_command doctor_command = {
	.name = "doctor",
	.summary = "does every measured row arrive? where not, and what to do",
	.args = "",
	.about =
		"Follows the rows from the kernel to the store. At each hop: in = out + lost, lost by reason. The first hop\n"
		"that does not add up is where to look. Exit code: 0 all adds up, 1 it does not, 3 the API cannot be reached.",
	.opts = doctor_opts,
	.conf_size = sizeof(struct doctor_conf),
};

static const struct table_column doctor_columns[] = {
	{.title = "HOP"},
	{.title = "IN", .right = true},
	{.title = "OUT", .right = true},
	{.title = "LOST", .right = true},
	{.title = "MISSING", .right = true},
	{.title = "OF", .drop = 2},
	{.title = "BY", .right = true, .drop = 3},
	{.title = "", .cut_to = 16, .drop = 1},
};

/* "rows_full 12, send_error 3", and the hop's own note. */
static void doctor_losses(const json_t *hop, char *text, size_t size)
{
	const char *reason, *note = client_str(hop, "note", "");
	const json_t *n;
	size_t used = 0;

	text[0] = '\0';
	json_object_foreach(json_object_get(hop, "lost"), reason, n)
	{
		if (used < size && json_number_value(n) != 0)
			used += (size_t)snprintf(text + used, size - used, "%s%s %.0f", used ? ", " : "", reason,
						 json_number_value(n));
	}
	if (used < size && *note)
		snprintf(text + used, size - used, "%s%s", used ? "; " : "", note);
}

/* Exact: these numbers are compared, not admired. */
static void doctor_exact(struct table *t, double n, enum table_style style)
{
	char text[32];

	snprintf(text, sizeof(text), "%.0f", n);
	table_cell(t, n == 0 ? TABLE_DIM : style, isnan(n) ? "-" : text);
}

static void doctor_cells(struct table *t, const json_t *hop)
{
	bool ok = client_num(hop, "adds_up", 1) != 0;
	char text[256];

	table_cell(t, ok ? TABLE_PLAIN : TABLE_BAD, client_str(hop, "hop", "?"));
	doctor_exact(t, client_num(hop, "in", NAN), TABLE_PLAIN);
	doctor_exact(t, client_num(hop, "out", NAN), TABLE_PLAIN);
	doctor_exact(t, client_num(hop, "lost_total", NAN), TABLE_WARN);
	doctor_exact(t, client_num(hop, "missing", NAN), ok ? TABLE_PLAIN : TABLE_BAD);
	table_cell(t, TABLE_DIM, client_str(hop, "unit", ""));
	doctor_exact(t, client_num(hop, "instances", NAN), TABLE_PLAIN);
	doctor_losses(hop, text, sizeof(text));
	table_cell(t, ok ? TABLE_PLAIN : TABLE_BAD, text);
}

static void doctor_head(const json_t *health)
{
	const json_t *agents = json_object_get(health, "agents"), *silent = json_object_get(agents, "silent");
	double from = client_num(health, "from", 0), to = client_num(health, "to", 0);
	double age = client_num(health, "newest_age_s", NAN);
	char range[96], text[UNIT_TEXT];

	answer_range(from, to, range, sizeof(range));
	printf("%s, intervals of %.0f s; newest ended %s ago\n", range, client_num(health, "interval_s", 0),
	       unit_time_us(age * 1e6, text));
	printf("%.0f of %.0f agents reporting", client_num(agents, "reporting", 0), client_num(agents, "known", 0));
	for (size_t i = 0; i < json_array_size(silent) && i < 5; i++)
		printf("%s %s", i ? "," : "; silent:", json_string_value(json_array_get(silent, i)));
	printf("; %s of the edge rows seen from both ends\n\n",
	       unit_percent(client_num(json_object_get(health, "edges"), "both_share", NAN), text));
}

static const json_t *doctor_hop(const json_t *chain, const char *name)
{
	for (size_t i = 0; i < json_array_size(chain); i++)
		if (strcmp(client_str(json_array_get(chain, i), "hop", ""), name) == 0)
			return json_array_get(chain, i);
	return NULL;
}

/* Which intervals, as far as the API says. */
static void doctor_when(const json_t *hop)
{
	const json_t *intervals = json_object_get(hop, "intervals");
	char at[40];

	for (size_t i = 0; i < json_array_size(intervals) && i < 5; i++) {
		const json_t *interval = json_array_get(intervals, i);

		answer_time(client_num(interval, "interval", 0), at, sizeof(at));
		printf("%s%s (%.0f)", i ? ", " : "  when:   ", at, client_num(interval, "missing", 0));
	}
	if (json_array_size(intervals))
		printf("%s\n", json_array_size(intervals) > 5 ? ", ..." : "");
}

/* The advice with the API's address where it says API. */
static void doctor_say_next(const char *next, const char *api)
{
	const char *at = strstr(next, "API");

	if (at)
		printf("  next:   %.*s%s%s\n", (int)(at - next), next, api, at + 3);
	else
		printf("  next:   %s\n", next);
}

/* What was lost by which reason, in words. */
static void doctor_say_losses(const json_t *chain, const char *api)
{
	const char *reason;
	const json_t *hop, *n;
	size_t i;

	json_array_foreach(chain, i, hop)
	{
		json_object_foreach(json_object_get(hop, "lost"), reason, n)
		{
			const char *text = client_str(json_object_get(hop, "lost_text"), reason, "");
			const char *next = client_str(json_object_get(hop, "lost_next"), reason, "");

			if (json_number_value(n) <= 0 || !*text)
				continue;
			printf("%s: %.0f %s %s: %s\n", client_str(hop, "hop", "?"), json_number_value(n),
			       client_str(hop, "unit", "rows"), reason, text);
			if (*next && !json_array_size(json_object_get(hop, "clues")))
				doctor_say_next(next, api);
		}
	}
}

/* Where datagrams went between agent and collector. */
static void doctor_say_clues(const json_t *network, const char *api)
{
	const json_t *clue;
	size_t i;

	json_array_foreach(json_object_get(network, "clues"), i, clue)
	{
		printf("network: %.0f datagrams %s: %s\n", client_num(clue, "datagrams", 0),
		       client_str(clue, "clue", "?"), client_str(clue, "text", ""));
		doctor_say_next(client_str(clue, "next", "skyfall doctor --datagrams"), api);
	}
}

/* Of an agent that is not heard the books know nothing. */
static void doctor_say_silent(const json_t *health)
{
	size_t n = json_array_size(json_object_get(json_object_get(health, "agents"), "silent"));

	if (n)
		printf("%zu agent%s silent: stopped, cut off, or refused here.\n"
		       "  next:   there: systemctl status skyfall-agent; here: skyfall doctor --datagrams\n",
		       n, n == 1 ? " is" : "s are");
}

static int doctor_verdict(const json_t *health, const char *api)
{
	const char *bad = client_str(health, "first_bad", ""), *sentence = client_str(health, "sentence", "");
	bool adds_up = client_num(health, "adds_up", 0) != 0;
	const json_t *hop;

	if (*sentence)
		printf("\n%s\n", sentence);
	doctor_say_losses(json_object_get(health, "chain"), api);
	doctor_say_clues(doctor_hop(json_object_get(health, "chain"), "network"), api);
	doctor_say_silent(health);
	if (*bad) {
		hop = doctor_hop(json_object_get(health, "chain"), bad);
		printf("First hop that does not add up: %s, %.0f %s missing.\n", bad, client_num(hop, "missing", 0),
		       client_str(hop, "unit", "rows"));
		printf("  likely: %s\n", client_str(hop, "likely", "rows went missing there"));
		doctor_when(hop);
		doctor_say_next(client_str(hop, "next", "skyfall doctor --json"), api);
	} else if (strcmp(client_str(health, "status", ""), "no_data") == 0) {
		printf("  next:   skyfall hosts (is an agent reporting?)\n");
	}
	return adds_up && !*bad ? CMD_OK : CMD_FAILED;
}

int doctor_print(const json_t *health, const char *api)
{
	const json_t *chain = json_object_get(health, "chain");
	struct table *t;
	int r = table_new(&t, doctor_columns, ARRAY_LEN(doctor_columns));

	if (r < 0)
		return r;
	doctor_head(health);
	for (size_t i = 0; i < json_array_size(chain); i++)
		doctor_cells(t, json_array_get(chain, i));
	r = answer_table(t);
	table_free(t);
	return r < 0 ? r : doctor_verdict(health, api);
}

/* Waits until every interval that ended before now has settled. */
static int doctor_wait(struct client *c, uint32_t wait_ms)
{
	int64_t asked = clock_wall_us() / 1000000, until = clock_mono_us() + (int64_t)wait_ms * 1000;
	struct timespec pause = {.tv_nsec = 100000000};

	for (;;) {
		json_t *health = NULL;
		int r = client_get(c, "/api/v1/health", &health);
		double settled = client_num(health, "settled_to", 0), interval = client_num(health, "interval_s", 1);

		json_decref(health);
		if (r < 0)
			return r;
		if (settled + interval > (double)asked || clock_mono_us() >= until)
			return 0;
		nanosleep(&pause, NULL);
	}
}

static void doctor_path(const struct doctor_conf *conf, struct buf *path)
{
	char since[32];

	answer_path(path, "/api/v1/health");
	snprintf(since, sizeof(since), "-%us", (conf->since_ms + 999) / 1000);
	answer_param(path, "from", conf->from ? conf->from : conf->since_ms ? since : NULL);
	answer_param(path, "to", conf->to);
}

static int doctor_answer(struct client *c, const char *path, bool json)
{
	json_t *health;
	int r = client_get(c, path, &health);

	if (r < 0)
		return r;
	if (json) {
		json_dumpf(health, stdout, JSON_COMPACT | JSON_REAL_PRECISION(10));
		putchar('\n');
		r = client_num(health, "adds_up", 0) != 0 && !*client_str(health, "first_bad", "") ? CMD_OK
												   : CMD_FAILED;
	} else {
		r = doctor_print(health, client_api(c));
	}
	json_decref(health);
	return r;
}

/* In the order of the way: what the collector's metrics say, and what it means. */
static const struct {
	const char *name, *less, *label, *unit, *text;
	bool bad;
} doctor_stations[] = {
	{"agent_drops", NULL, "agent", "rows", "agents say they lost them before or while sending: skyfall hosts",
	 true},
	{"lost_network_datagrams", "found_network_datagrams", "missing", "datagrams",
	 "gaps in agents' numbers: on the way, or at the socket (next line)", true},
	{"kernel_drops", NULL, "socket", "datagrams", "the socket had no room: --rcvbuf, --threads, net.core.rmem_max",
	 true},
	{"lost_network_rows", "found_network_rows", "missing", "rows", "in these gaps, and in what could not be read",
	 true},
	{"datagrams", NULL, "received", "datagrams", "read from the sockets", false},
	{"duplicates", NULL, "duplicate", "datagrams", "seen before, not folded", false},
	{"doubled_datagrams", NULL, "doubled", "datagrams", "duplicates that two threads folded", true},
	{"old_datagrams", NULL, "old", "datagrams", "too late to tell from duplicates, not folded", true},
	{"rows_lost", NULL, "shed", "rows", "the tables or the bus were full: skyfall doctor names it", true},
};

/* A counter of the collector, 0 when it is not there. */
static double doctor_counter(const char *text, const char *name)
{
	char head[96];
	const char *at;

	if (!name)
		return 0;
	snprintf(head, sizeof(head), "\nskyfall_collector_%s_total ", name);
	at = strstr(text, head);
	return at ? strtod(at + strlen(head), NULL) : 0;
}

/* "reason"} 12" as it stands behind the label's name: a line, with the newest such datagram. True: any. */
static bool doctor_reason(const char *text, const char *reason)
{
	int len = (int)strcspn(reason, "\"");
	double n = reason[len] ? strtod(reason + len + 2, NULL) : 0, when;
	char head[160], from[64], bytes[80];
	const char *sample;

	if (n == 0)
		return false;
	printf("%-10s %12.0f %-10s %.*s\n", "refused", n, "", len, reason);
	snprintf(head, sizeof(head), "skyfall_collector_rejected_sample{reason=\"%.*s\"", len, reason);
	sample = strstr(text, head);
	if (sample &&
	    sscanf(sample + strlen(head), ",from=\"%63[^\"]\",bytes=\"%79[^\"]\"} %lf", from, bytes, &when) == 3)
		printf("%34s %.0f s ago from %s: %s\n", "", (double)clock_wall_us() / 1e6 - when, from, bytes);
	return true;
}

/* The way of datagrams, from the collector's metrics. CMD_FAILED when something was lost or refused. */
static int doctor_datagrams(struct client *c)
{
	static const char head[] = "\nskyfall_collector_rejected_total{reason=\"";
	const char *text, *at;
	bool bad = false;
	struct buf b;
	int r;

	buf_init(&b, 0);
	r = client_get_raw(c, "/metrics", &b);
	text = r ? "" : buf_text(&b);
	for (size_t i = 0; !r && i < ARRAY_LEN(doctor_stations); i++) {
		double n =
			doctor_counter(text, doctor_stations[i].name) - doctor_counter(text, doctor_stations[i].less);

		bad |= doctor_stations[i].bad && n > 0;
		printf("%-10s %12.0f %-10s %s\n", doctor_stations[i].label, n, doctor_stations[i].unit,
		       doctor_stations[i].text);
	}
	for (at = strstr(text, head); at; at = strstr(at + 1, head))
		bad |= doctor_reason(text, at + sizeof(head) - 1);
	buf_deinit(&b);
	return r < 0 ? r : bad ? CMD_FAILED : CMD_OK;
}

int cmd_doctor(int argc, char **argv)
{
	struct doctor_conf conf = {0};
	struct client *c = NULL;
	struct buf path;
	char **args;
	int n, r = opt_parse(CMD_PROGRAM " doctor", &doctor_command, argc, argv, &conf, &args, &n);

	if (r)
		return r == OPT_HELP ? CMD_OK : CMD_USAGE;
	buf_init(&path, 0);
	doctor_path(&conf, &path);
	r = client_new(&c, conf.api);
	if (r == 0 && conf.wait_ms)
		r = doctor_wait(c, conf.wait_ms);
	if (r == 0)
		r = conf.datagrams ? doctor_datagrams(c) : doctor_answer(c, buf_text(&path), conf.json);
	if (r < 0)
		r = answer_exit(c, "doctor", r);
	client_free(c);
	buf_deinit(&path);
	return r;
}
