/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a script: these datagrams at these times -> these edges. A line is a command; # begins a comment.
 *
 *     fleet 1s 200ms 100ms [partitions]       interval, spread, grace; first, once
 *     agent NAME ADDRESS BOOT [NET]
 *     restart AGENT BOOT                      it counts from the beginning
 *     row AGENT ROLE LOCAL REMOTE PORT SERVICE [via=TEXT] [flags=N] [field=N ...]    ROLE: client, server; rows=1 unless said
 *     send AGENT INTERVAL AT [twice|lost]     its rows, as of that interval, at that time (s, collector's clock)
 *     host AGENT HOSTNAME ADDRESS AT
 *     listener AGENT ADDRESS PORT SERVICE AT
 *     noise FROM HEX AT                       a datagram of these bytes
 *     stall FROM UNTIL                        the collector stands still; what is sent meanwhile waits in its socket
 *     until AT                                lets time pass
 *     edge CLIENT SERVER PORT INTERVAL [revisions=N] [observed=WORD] [via=TEXT] [flags=WORDS] [column=N ...]   what must be; every scalar
 *                                             column that is not named must be 0. INTERVAL: a number or all
 *     none CLIENT SERVER PORT INTERVAL        no such row
 *     rows N                                  edge rows so far, revisions counted
 *     ledger ROLE INTERVAL in=N out=N [lost.REASON=N ...]
 *
 * Times and intervals count from 0, which stands for 1 700 000 040. Each edge, none, rows and ledger line is a test case.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/opt.h"
#include "base/table.h"
#include "tests/replay/world.h"

#define EPOCH 1700000040u /* a multiple of 60 */
#define MAX_WORDS 48
#define LONGEST 8192 /* line */

struct script {
	struct world *world;
	const char *path;
	unsigned line;
	unsigned cases, bad;
	char *names[WORLD_AGENTS];
	unsigned n_agents;
	char detail[512]; /* what is wrong with the case at hand */
};

static void wrong(const struct script *s, const char *what) __attribute__((noreturn));
static void wrong(const struct script *s, const char *what)
{
	fprintf(stderr, "%s:%u: %s\n", s->path, s->line, what);
	exit(2);
}

static uint64_t number(const struct script *s, const char *text)
{
	char *end;
	uint64_t v = strtoull(text, &end, 10);

	if (end == text || *end)
		wrong(s, text);
	return v;
}

static int64_t time_us(const struct script *s, const char *text)
{
	char *end;
	double v = strtod(text, &end);

	if (end == text || *end)
		wrong(s, text);
	return (int64_t)EPOCH * 1000000 + (int64_t)(v * 1e6 + 0.5);
}

static struct ip address(const struct script *s, const char *text)
{
	struct ip ip;

	if (ip_parse(text, &ip))
		wrong(s, text);
	return ip;
}

static unsigned agent(const struct script *s, const char *name)
{
	for (unsigned i = 0; i < s->n_agents; i++)
		if (strcmp(s->names[i], name) == 0)
			return i;
	wrong(s, "no such agent");
}

static void differs(struct script *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void differs(struct script *s, const char *fmt, ...)
{
	size_t n = strlen(s->detail);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(s->detail + n, sizeof(s->detail) - n, fmt, ap);
	va_end(ap);
}

/* "name=N": the value, when the word is about `name`. */
static bool word_is(const struct script *s, const char *word, const char *name, uint64_t *ret)
{
	size_t n = strlen(name);

	if (strncmp(word, name, n) != 0 || word[n] != '=')
		return false;
	*ret = number(s, word + n + 1);
	return true;
}

static void do_fleet(struct script *s, char **w, int n)
{
	struct world_opts o = {.start_us = (int64_t)EPOCH * 1000000,
			       .partitions = n > 4 ? (unsigned)number(s, w[4]) : 1};
	uint32_t interval_ms;

	if (opt_time_ms(w[1], &interval_ms) || opt_time_ms(w[2], &o.spread_ms) || opt_time_ms(w[3], &o.grace_ms))
		wrong(s, "no time");
	o.interval_s = (uint16_t)(interval_ms / 1000);
	s->world = world_new(&o);
}

static void do_agent(struct script *s, char **w, int n)
{
	struct ip ip = address(s, w[2]);

	if (s->n_agents == WORLD_AGENTS)
		wrong(s, "too many agents");
	world_agent(s->world, w[1], &ip, number(s, w[3]), n > 4 ? w[4] : "");
	s->names[s->n_agents++] = strdup(w[1]);
}

static void do_restart(struct script *s, char **w, int n)
{
	world_restart(s->world, agent(s, w[1]), number(s, w[2]));
}

static void do_row(struct script *s, char **w, int n)
{
	struct flow_names names = {.service = str_from(w[6])};
	struct wire_flow row = {.local = address(s, w[3]),
				.remote = address(s, w[4]),
				.port = (uint16_t)number(s, w[5]),
				.view = strcmp(w[2], "client") == 0 ? FLOW_VIEW_CLIENT : FLOW_VIEW_SERVER,
				.protocol = 6,
				.names = &names};
	struct flow_stats stats = {.rows = 1};

	for (int i = 7; i < n; i++) {
		unsigned f;
		uint64_t v = 0;

		if (strncmp(w[i], "via=", 4) == 0) {
			names.via = str_from(w[i] + 4);
			continue;
		}
		if (word_is(s, w[i], "flags", &v)) {
			row.flags = (uint8_t)v;
			continue;
		}
		for (f = 0; f < FLOW_FIELDS && !word_is(s, w[i], flow_fields[f].name, &v); f++)
			;
		if (f == FLOW_FIELDS || flow_fields[f].width == FLOW_HIST)
			wrong(s, w[i]);
		*flow_stats_u64(&stats, f) = v;
	}
	world_row(s->world, agent(s, w[1]), &row, &stats);
}

static void do_send(struct script *s, char **w, int n)
{
	enum world_fate fate = WORLD_ARRIVES;

	if (n > 4)
		fate = strcmp(w[4], "lost") == 0 ? WORLD_LOST : WORLD_TWICE;
	world_send(s->world, agent(s, w[1]), EPOCH + (uint32_t)number(s, w[2]), time_us(s, w[3]), fate);
}

static void do_host(struct script *s, char **w, int n)
{
	static struct flow_host h;
	int64_t at = time_us(s, w[4]);

	h = (struct flow_host){.hostname = str_from(w[2]),
			       .kernel = STR("6.1.0"),
			       .mode = STR("bpf"),
			       .version = STR("0"),
			       .n_addresses = 1};
	h.addresses[0].ip = address(s, w[3]);
	h.addresses[0].bits = 128;
	world_host(s->world, agent(s, w[1]), &h, (uint32_t)(at / 1000000), at);
}

static void do_listener(struct script *s, char **w, int n)
{
	int64_t at = time_us(s, w[5]);
	struct flow_listener l = {.addr = address(s, w[2]),
				  .port = (uint16_t)number(s, w[3]),
				  .protocol = 6,
				  .alive = 1,
				  .since = (uint32_t)(at / 1000000),
				  .names = {.service = str_from(w[4])}};

	world_listener(s->world, agent(s, w[1]), &l, (uint32_t)(at / 1000000), at);
}

static void do_noise(struct script *s, char **w, int n)
{
	uint8_t bytes[LONGEST / 2];
	size_t len = strlen(w[2]) / 2;
	struct ip from = address(s, w[1]);

	for (size_t i = 0; i < len && i < sizeof(bytes); i++)
		if (sscanf(w[2] + 2 * i, "%2hhx", &bytes[i]) != 1)
			wrong(s, "no hex digits");
	world_bytes(s->world, &from, bytes, len, time_us(s, w[3]));
}

static void do_stall(struct script *s, char **w, int n)
{
	world_stall(s->world, time_us(s, w[1]), time_us(s, w[2]));
}

static void do_until(struct script *s, char **w, int n)
{
	world_until(s->world, time_us(s, w[1]));
}

static uint32_t interval(const struct script *s, const char *text)
{
	return strcmp(text, "all") == 0 ? 0 : EPOCH + (uint32_t)number(s, text);
}

static struct flow_edge_name edge_name(const struct script *s, char **w)
{
	return (struct flow_edge_name){.client_service = str_from(w[1]),
				       .server_service = str_from(w[2]),
				       .port = (uint16_t)number(s, w[3]),
				       .protocol = 6};
}

/* Every scalar column of every view: what the words say, else 0. */
static void compare_columns(struct script *s, const struct flow_edge *e, char **w, int n)
{
	for (unsigned v = 0; v < FLOW_VIEWS; v++) {
		for (unsigned f = 0; f < FLOW_FIELDS; f++) {
			char column[64];
			uint64_t want = 0, got;

			if (flow_fields[f].width == FLOW_HIST || !flow_column(f, v, column))
				continue;
			for (int i = 5; i < n; i++)
				if (word_is(s, w[i], column, &want))
					w[i] = (char *)"";
			got = flow_stats_get(&e->view[v], f);
			/* `rows` balances the ledger; scripts look at it there. */
			if (got != want && f != FLOW_F_rows)
				differs(s, " %s=%lu, expected %lu;", column, got, want);
		}
	}
	for (int i = 5; i < n; i++)
		if (w[i][0])
			wrong(s, w[i]);
}

static void do_edge(struct script *s, char **w, int n)
{
	struct flow_edge_name name = edge_name(s, w);
	static struct flow_edge e;
	char text[48], flags[96];
	unsigned revisions;

	if (!world_edge(s->world, &name, interval(s, w[4]), &e, &revisions)) {
		differs(s, " no such row");
		return;
	}
	for (int i = 5; i < n; i++) {
		uint64_t v;

		if (word_is(s, w[i], "revisions", &v)) {
			if (v != revisions)
				differs(s, " %u revisions;", revisions);
			w[i] = (char *)"";
		} else if (strncmp(w[i], "observed=", 9) == 0) {
			if (strcmp(flow_observed_text(e.observed, text), w[i] + 9) != 0)
				differs(s, " observed by %s;", text);
			w[i] = (char *)"";
		} else if (strncmp(w[i], "via=", 4) == 0) {
			if (!str_eq(e.via, str_from(w[i] + 4)))
				differs(s, " via %.*s;", STR_FMT(e.via));
			w[i] = (char *)"";
		} else if (strncmp(w[i], "flags=", 6) == 0) {
			if (strcmp(flow_flags_text(e.flags, flags), w[i] + 6) != 0)
				differs(s, " flags %s;", flags);
			w[i] = (char *)"";
		}
	}
	compare_columns(s, &e, w, n);
}

static void do_none(struct script *s, char **w, int n)
{
	struct flow_edge_name name = edge_name(s, w);
	static struct flow_edge e;
	unsigned revisions;

	if (world_edge(s->world, &name, interval(s, w[4]), &e, &revisions))
		differs(s, " there is one");
}

static void do_rows(struct script *s, char **w, int n)
{
	if (world_edges(s->world) != number(s, w[1]))
		differs(s, " there are %zu", world_edges(s->world));
}

static void do_ledger(struct script *s, char **w, int n)
{
	static struct flow_ledger l;
	uint64_t in = 0, out = 0, lost = 0, want = 0, v;

	if (!world_ledger(s->world, str_from(w[1]), interval(s, w[2]), &l)) {
		differs(s, " no such line");
		return;
	}
	for (int i = 3; i < n; i++) {
		if (strncmp(w[i], "lost.", 5) == 0) {
			char *value = strchr(w[i], '=');

			if (!value)
				wrong(s, w[i]);
			*value = '\0';
			v = flow_count_get(l.lost, l.n_lost, w[i] + 5);
			if (v != number(s, value + 1))
				differs(s, " %s=%lu;", w[i], v);
			want += number(s, value + 1);
		} else if (!word_is(s, w[i], "in", &in) && !word_is(s, w[i], "out", &out)) {
			wrong(s, w[i]);
		}
	}
	for (unsigned i = 0; i < l.n_lost; i++)
		lost += l.lost[i].n;
	if (l.rows_in != in || l.rows_out != out || lost != want)
		differs(s, " in=%lu out=%lu lost=%lu", l.rows_in, l.rows_out, lost);
}

static const struct command {
	const char *name;
	int words; /* at least, the name included */
	bool is_case;
	void (*fn)(struct script *s, char **w, int n);
} commands[] = {
	{"fleet", 4, false, do_fleet},       {"agent", 4, false, do_agent},  {"row", 7, false, do_row},
	{"restart", 3, false, do_restart},   {"send", 4, false, do_send},    {"host", 5, false, do_host},
	{"listener", 6, false, do_listener}, {"noise", 4, false, do_noise},  {"until", 2, false, do_until},
	{"stall", 3, false, do_stall},       {"edge", 5, true, do_edge},     {"none", 5, true, do_none},
	{"rows", 2, true, do_rows},          {"ledger", 3, true, do_ledger},
};

static void run_line(struct script *s, char *line)
{
	char *words[MAX_WORDS], *save = NULL, text[512];
	int n = 0;

	line[strcspn(line, "#\n")] = '\0';
	str_copy(text, sizeof(text), str_from(line));
	for (char *word = strtok_r(line, " \t", &save); word && n < MAX_WORDS; word = strtok_r(NULL, " \t", &save))
		words[n++] = word;
	if (n == 0)
		return;
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		if (strcmp(words[0], commands[i].name) != 0 || n < commands[i].words)
			continue;
		if (!s->world && i != 0)
			wrong(s, "fleet comes first");
		s->detail[0] = '\0';
		commands[i].fn(s, words, n);
		if (!commands[i].is_case)
			return;
		s->cases++;
		s->bad += s->detail[0] != '\0';
		printf("%sok %u - line %u: %s%s%s\n", s->detail[0] ? "not " : "", s->cases, s->line, text,
		       s->detail[0] ? "\n#  " : "", s->detail);
		return;
	}
	wrong(s, "no such command, or too few words");
}

int main(int argc, char **argv)
{
	struct script s = {.path = argc == 2 ? argv[1] : ""};
	static char line[LONGEST];
	FILE *file = argc == 2 ? fopen(argv[1], "r") : NULL;

	if (!file) {
		fprintf(stderr, "replay: %s: %s\n", s.path, argc == 2 ? strerror(errno) : "wants one script");
		return 2;
	}
	while (fgets(line, sizeof(line), file)) {
		s.line++;
		run_line(&s, line);
	}
	fclose(file);
	world_free(s.world);
	for (unsigned i = 0; i < s.n_agents; i++)
		free(s.names[i]);
	printf("1..%u\n", s.cases);
	return s.bad ? 1 : 0;
}
