/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/top.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/table.h"
#include "cli/answer.h"
#include "cli/cmd.h"
#include "cli/screen.h"
#include "cli/unit.h"

#define TOP_STALE_S 10 /* an agent that says nothing for so long is missed */

struct top {
	struct top_opts opts;
	struct top_view view;
	struct client *client;
	struct screen *screen;
	json_t *answer;  /* the rows' strings belong to it */
	int64_t next_us; /* monotonic: when to ask again */
};

const struct top_opts top_defaults = {.window_ms = 10000, .refresh_ms = 1000, .sort = "bytes", .quit = "quit"};

int top_new(struct top **ret, const struct top_opts *opts)
{
	struct top *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return -ENOMEM;
	t->opts = *opts;
	t->view.quit = opts->quit;
	t->view.note = opts->note;
	t->view.reverse = opts->reverse;
	t->view.odd = opts->odd;
	t->view.sort = &edge_row_sorts[0];
	for (size_t i = 0; i < edge_row_sorts_n; i++)
		if (strcmp(edge_row_sorts[i].name, opts->sort) == 0)
			t->view.sort = &edge_row_sorts[i];
	str_copy(t->view.filter, sizeof(t->view.filter), str_from(opts->filter));
	r = client_new(&t->client, opts->api);
	if (r < 0) {
		free(t);
		return r;
	}
	*ret = t;
	return 0;
}

void top_free(struct top *t)
{
	if (!t)
		return;
	screen_close(t->screen);
	client_free(t->client);
	json_decref(t->answer);
	free(t->view.rows);
	free(t);
}

/* --- asking */

static void top_say_state(struct top_view *v, const json_t *health)
{
	const char *sentence = client_str(health, "sentence", ""), *status = client_str(health, "status", "");
	double age = client_num(health, "newest_age_s", NAN);
	char text[UNIT_TEXT];

	unit_time_us(age * 1e6, text);
	v->state_bad = strcmp(status, "ok") != 0;
	if (age > TOP_STALE_S) {
		snprintf(v->state, sizeof(v->state), "nothing new for %s: run `skyfall doctor`", text);
		v->state_bad = true;
	} else {
		snprintf(v->state, sizeof(v->state), "%.0f of %.0f agents reporting, %s behind; %s", v->agents,
			 v->agents_known, text, sentence);
	}
}

static int top_ask_health(struct top *t, double *ret_interval)
{
	struct top_view *v = &t->view;
	json_t *health = NULL;
	const json_t *agents;
	int r = client_get(t->client, "/api/v1/health", &health);

	if (r < 0)
		return r;
	agents = json_object_get(health, "agents");
	*ret_interval = client_num(health, "interval_s", 1);
	v->agents = client_num(agents, "reporting", 0);
	v->agents_known = client_num(agents, "known", 0);
	v->newest_end = client_num(health, "newest", 0);
	if (v->newest_end > 0)
		v->newest_end += *ret_interval;
	top_say_state(v, health);
	json_decref(health);
	return 0;
}

/* Takes the answer's edges over; the former ones go. */
static int top_take(struct top *t, json_t *answer, double from, double to)
{
	const json_t *edges = json_object_get(answer, "edges");
	size_t n = json_array_size(edges);
	struct edge_row *rows = calloc(n ? n : 1, sizeof(*rows));
	double first = to;

	if (!rows)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		edge_row_read(json_array_get(edges, i), &rows[i]);
		if (rows[i].first > 0 && rows[i].first < first)
			first = rows[i].first;
	}
	/* A run younger than the window: the mean is over what there was. */
	if (first > from && n)
		from = first;
	free(t->view.rows);
	json_decref(t->answer);
	t->answer = json_incref(answer);
	t->view.rows = rows;
	t->view.n = n;
	t->view.matched = (size_t)client_num(answer, "matched", (double)n);
	t->view.seconds = to > from ? to - from : 1;
	return 0;
}

int top_ask(struct top *t)
{
	struct top_view *v = &t->view;
	double interval = 1, from, to;
	json_t *answer = NULL;
	char path[160];
	int r = top_ask_health(t, &interval);

	if (r < 0)
		goto out;
	to = v->newest_end > 0 ? v->newest_end : (double)(clock_wall_us() / 1000000);
	from = to - fmax(interval, t->opts.window_ms / 1000.0);
	snprintf(path, sizeof(path), "/api/v1/edges?from=%.0f&to=%.0f&sort=bytes&limit=%d", from, to, TOP_ROWS);
	r = client_get(t->client, path, &answer);
	if (r < 0)
		goto out;
	r = top_take(t, answer, from, to);
	v->asked = true;
out:
	str_copy(v->error, sizeof(v->error), str_from(r < 0 ? client_error(t->client) : ""));
	json_decref(answer);
	return r;
}

/* --- showing */

static void top_clock(struct top_view *v)
{
	time_t now = time(NULL);
	struct tm tm;

	localtime_r(&now, &tm);
	strftime(v->clock, sizeof(v->clock), "%H:%M:%S", &tm);
}

int top_open(struct top *t)
{
	return screen_open(&t->screen, STDIN_FILENO, STDOUT_FILENO);
}

static int top_show(struct top *t)
{
	struct buf picture;
	int r;

	(void)screen_resized(t->screen);
	top_clock(&t->view);
	buf_init(&picture, 0);
	top_paint(&t->view, screen_rows(t->screen), screen_cols(t->screen), table_colour_wanted(STDOUT_FILENO),
		  &picture);
	r = screen_show(t->screen, buf_text(&picture));
	buf_deinit(&picture);
	return r;
}

int top_step(struct top *t, int wake_fd)
{
	int64_t now = clock_mono_us(), key;
	size_t rows = screen_rows(t->screen);

	if (now >= t->next_us) {
		if (!t->view.paused)
			(void)top_ask(t);
		t->next_us = now + (int64_t)t->opts.refresh_ms * 1000;
	}
	if (top_show(t) < 0)
		return -EIO;
	now = clock_mono_us();
	key = screen_wait_key(t->screen, t->next_us > now ? (int)((t->next_us - now) / 1000) + 1 : 0, wake_fd);
	if (key < 0)
		return -EIO;
	if (key != SCREEN_NONE && !top_key(&t->view, (uint32_t)key, top_page(&t->view, rows)))
		return TOP_QUIT;
	return TOP_GO;
}

int top_print(struct top *t)
{
	struct table *table;
	int r = table_new(&table, edge_row_rates, edge_row_columns);

	if (r < 0)
		return r;
	edge_row_order(t->view.rows, t->view.n, t->view.sort, t->view.reverse);
	for (size_t i = 0; i < t->view.n; i++)
		if (top_shows(&t->view, &t->view.rows[i]))
			edge_row_cells(table, &t->view.rows[i], t->view.seconds);
	top_print_line(t);
	if (table_rows(table))
		r = answer_table(table);
	table_free(table);
	return r;
}

void top_print_line(struct top *t)
{
	double bytes = 0, opened = 0, failing = 0, by = t->view.seconds > 0 ? t->view.seconds : 1;
	char rate[UNIT_TEXT], count[UNIT_TEXT];

	for (size_t i = 0; i < t->view.n; i++) {
		bytes += edge_row_bytes(&t->view.rows[i]);
		opened += t->view.rows[i].opened;
		failing += t->view.rows[i].failed > 0;
	}
	top_clock(&t->view);
	printf("%s  %zu edges  %s  %s opened/s  %.0f with failures  %s\n", t->view.clock, t->view.matched,
	       unit_rate(bytes / by, rate), unit_count(opened / by, count), failing, t->view.state);
	fflush(stdout);
}

/* --- the command */

struct top_conf {
	struct top_opts top;
	bool once, json;
};

#define AT(member) .offset = offsetof(struct top_conf, member)

static const struct opt top_opts_table[] = {
	{.name = "window",
	 .letter = 'w',
	 .type = OPT_TIME,
	 AT(top.window_ms),
	 .arg = "TIME",
	 .help = "rates are the mean of so long; default 10s",
	 .min = 1000,
	 .max = 3600000},
	{.name = "refresh",
	 .type = OPT_TIME,
	 AT(top.refresh_ms),
	 .arg = "TIME",
	 .help = "how often to ask; default 1s",
	 .min = 100},
	{.name = "sort",
	 .letter = 's',
	 .type = OPT_STRING,
	 AT(top.sort),
	 .arg = "COLUMN",
	 .help = "order; default bytes",
	 .choices = "bytes|client|server|c2s|s2c|opened|failed|open|srtt|p99|retrans"},
	{.name = "reverse", .letter = 'r', .type = OPT_FLAG, AT(top.reverse), .help = "the other way round"},
	{.name = "filter",
	 .letter = 'f',
	 .type = OPT_STRING,
	 AT(top.filter),
	 .arg = "WORDS",
	 .help = "only edges with these words in a service, a zone, or as the port"},
	{.name = "odd",
	 .letter = 'e',
	 .type = OPT_FLAG,
	 AT(top.odd),
	 .help = "only edges with a note: failures, slow readers, resets"},
	{.name = "once",
	 .letter = '1',
	 .type = OPT_FLAG,
	 AT(once),
	 .help = "print one picture and end; so it is without a terminal"},
	CLIENT_OPT(struct top_conf, top.api),
	{.name = "json", .letter = 'j', .type = OPT_FLAG, AT(json), .help = "one answer of the API as it is"},
	{0},
};

const struct opt_command top_command = {
	.name = "top",
	.summary = "who talks to whom now: a live table",
	.args = "",
	.about =
		"Rates are means over the last seconds (--window). On a terminal it stays: q quits, s sorts, r reverses,\n"
		"/ filters, e leaves only what is odd, space pauses, ? explains keys and columns.",
	.opts = top_opts_table,
	.conf_size = sizeof(struct top_conf),
};

static int top_json(struct top *t)
{
	char path[96];

	snprintf(path, sizeof(path), "/api/v1/edges?from=-%us&limit=%d", (t->opts.window_ms + 999) / 1000, TOP_ROWS);
	return answer_verbatim(t->client, path);
}

static int top_live(struct top *t)
{
	struct signalfd_siginfo info;
	sigset_t stop;
	int r, fd;

	sigemptyset(&stop);
	sigaddset(&stop, SIGINT);
	sigaddset(&stop, SIGTERM);
	sigaddset(&stop, SIGHUP);
	sigaddset(&stop, SIGWINCH);
	sigprocmask(SIG_BLOCK, &stop, NULL);
	fd = signalfd(-1, &stop, SFD_NONBLOCK | SFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	do {
		r = top_step(t, fd);
		if (read(fd, &info, sizeof(info)) == sizeof(info) && info.ssi_signo != SIGWINCH)
			r = TOP_QUIT;
	} while (r == TOP_GO);
	close(fd);
	return 0;
}

int cmd_top(int argc, char **argv)
{
	struct top_conf conf = {.top = top_defaults};
	struct top *t = NULL;
	char **args;
	int n, r = opt_parse(CMD_PROGRAM " top", &top_command, argc, argv, &conf, &args, &n);

	if (r)
		return r == OPT_HELP ? CMD_OK : CMD_USAGE;
	r = top_new(&t, &conf.top);
	if (r < 0)
		return answer_exit(NULL, "top", r);
	/* The first question is asked before the terminal is taken: an error is one line, not a screen. */
	r = conf.json ? top_json(t) : top_ask(t);
	if (r == 0 && !conf.json)
		r = conf.once || top_open(t) < 0 ? top_print(t) : top_live(t);
	r = answer_exit(t->client, "top", r);
	top_free(t);
	return r;
}
