/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/answer.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/cmd.h"
#include "cli/unit.h"

void answer_path(struct buf *path, const char *resource)
{
	buf_str(path, str_from(resource));
}

void answer_param(struct buf *path, const char *name, const char *value)
{
	if (!value)
		return;
	buf_printf(path, "%c%s=", memchr(path->p, '?', path->n) ? '&' : '?', name);
	client_escape(path, value);
}

int answer_verbatim(struct client *c, const char *path)
{
	struct buf out;
	int r;

	buf_init(&out, 0);
	r = client_get_raw(c, path, &out);
	if (r == 0) {
		fwrite(out.p, 1, out.n, stdout);
		if (out.n && out.p[out.n - 1] != '\n')
			putchar('\n');
	}
	buf_deinit(&out);
	return r;
}

int answer_table(const struct table *t)
{
	struct table_look look = table_look_default;
	struct buf out;
	int r;

	look.width = table_width_of(STDOUT_FILENO);
	look.colour = table_colour_wanted(STDOUT_FILENO);
	buf_init(&out, 0);
	r = table_render(t, &look, &out);
	if (r == 0)
		fwrite(out.p, 1, out.n, stdout);
	buf_deinit(&out);
	return r;
}

void answer_time(double at, char *text, size_t size)
{
	time_t when = (time_t)at, now = time(NULL);
	struct tm tm, today;

	localtime_r(&when, &tm);
	localtime_r(&now, &today);
	strftime(text, size, tm.tm_yday == today.tm_yday && tm.tm_year == today.tm_year ? "%H:%M:%S" : "%F %H:%M:%S",
		 &tm);
}

void answer_range(double from, double to, char *text, size_t size)
{
	char a[40], b[40], length[UNIT_TEXT];

	answer_time(from, a, sizeof(a));
	answer_time(to, b, sizeof(b));
	snprintf(text, size, "%s to %s (%s)", a, b, unit_time_us((to - from) * 1e6, length));
}

int answer_exit(const struct client *c, const char *command, int r)
{
	if (r >= 0)
		return CMD_OK;
	fprintf(stderr, CMD_PROGRAM " %s: %s\n", command, c && *client_error(c) ? client_error(c) : strerror(-r));
	return client_exit_code(r);
}
