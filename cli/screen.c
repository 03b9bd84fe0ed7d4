/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/screen.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/table.h"
#include "cli/table.h"

#define SCREEN_ESC_WAIT_MS 40 /* an escape sequence comes whole; a person's Esc comes alone */

struct screen {
	int in, out;
	size_t rows, cols;
	struct termios saved;
	char *shown; /* what the terminal shows; NULL: unknown */
	char typed[64];
	size_t n_typed;
};

/* --- keys */

static uint32_t screen_sequence(const char *p, size_t n)
{
	static const struct {
		const char *text;
		uint32_t key;
	} known[] = {
		{"[A", SCREEN_UP},       {"[B", SCREEN_DOWN},       {"[C", SCREEN_RIGHT},   {"[D", SCREEN_LEFT},
		{"OA", SCREEN_UP},       {"OB", SCREEN_DOWN},       {"OC", SCREEN_RIGHT},   {"OD", SCREEN_LEFT},
		{"[5~", SCREEN_PAGE_UP}, {"[6~", SCREEN_PAGE_DOWN}, {"[H", SCREEN_HOME},    {"[F", SCREEN_END},
		{"OH", SCREEN_HOME},     {"OF", SCREEN_END},        {"[1~", SCREEN_HOME},   {"[4~", SCREEN_END},
		{"[7~", SCREEN_HOME},    {"[8~", SCREEN_END},       {"[3~", SCREEN_DELETE},
	};

	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (strlen(known[i].text) == n && memcmp(known[i].text, p, n) == 0)
			return known[i].key;
	return SCREEN_OTHER;
}

/* Length of the escape sequence at p (p[0] is ESC), 0 when it has not come whole. */
static size_t screen_sequence_len(const char *p, size_t n)
{
	if (n < 2)
		return 0;
	if (p[1] == 'O')
		return n < 3 ? 0 : 3;
	if (p[1] != '[')
		return 1; /* Alt and a key: Esc, then the key */
	for (size_t i = 2; i < n; i++)
		if (p[i] >= 0x40 && p[i] <= 0x7e)
			return i + 1;
	return 0;
}

static uint32_t screen_character(const char *p, size_t n, bool final, size_t *ret_used)
{
	unsigned char c = (unsigned char)*p;
	size_t len = c >= 0xf8 ? 1 : c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1, used;
	uint32_t code = c;
	unsigned width;
	bool ok;

	if (len > n && !final) {
		*ret_used = 0;
		return SCREEN_NONE;
	}
	used = table_char(p, n, &width, &ok);
	*ret_used = used;
	if (!ok && c >= 0x80)
		return SCREEN_OTHER;
	if (used > 1)
		code &= 0x7fu >> used;
	for (size_t i = 1; i < used; i++)
		code = code << 6 | (p[i] & 0x3f);
	if (code == '\n')
		return SCREEN_ENTER;
	if (code == '\b')
		return SCREEN_BACKSPACE;
	return code ? code : SCREEN_OTHER;
}

uint32_t screen_key(const char *p, size_t n, bool final, size_t *ret_used)
{
	size_t len;

	*ret_used = 0;
	if (n == 0)
		return SCREEN_NONE;
	if (*p != SCREEN_ESC)
		return screen_character(p, n, final, ret_used);
	len = screen_sequence_len(p, n);
	if (len == 0 && !final)
		return SCREEN_NONE;
	*ret_used = len ? len : n;
	if (len == 1 || n == 1)
		return SCREEN_ESC;
	return len ? screen_sequence(p + 1, len - 1) : SCREEN_OTHER;
}

/* --- painting */

/* The line at `text` without its end; *next is where the following one starts, NULL after the last. */
static struct str screen_line(const char *text, const char **next)
{
	const char *end;

	*next = NULL;
	if (!text || !*text)
		return (struct str){NULL, 0};
	end = strchr(text, '\n');
	if (end && end[1])
		*next = end + 1;
	return (struct str){text, end ? (size_t)(end - text) : strlen(text)};
}

/* Length of the style (ESC [ digits ; m) at p, 0 if there is none. */
static size_t screen_style_len(const char *p, size_t n)
{
	size_t i = 2;

	if (n < 3 || p[0] != '\033' || p[1] != '[')
		return 0;
	while (i < n && ((p[i] >= '0' && p[i] <= '9') || p[i] == ';'))
		i++;
	return i < n && p[i] == 'm' ? i + 1 : 0;
}

static void screen_put_line(struct buf *out, struct str line, size_t cols)
{
	size_t used = 0;
	unsigned width;
	bool ok;

	while (line.n) {
		size_t len = screen_style_len(line.p, line.n);

		if (len) {
			buf_put(out, line.p, len);
		} else {
			len = table_char(line.p, line.n, &width, &ok);
			if (used + width > cols)
				break;
			used += width;
			if (ok)
				buf_put(out, line.p, len);
			else
				buf_char(out, '?');
		}
		line.p += len;
		line.n -= len;
	}
	buf_str(out, STR("\033[0m"));
	/* Only where the line is short: erasing at the margin would take the last character with it. */
	if (used < cols)
		buf_str(out, STR("\033[K"));
}

void screen_diff(const char *before, const char *after, size_t rows, size_t cols, struct buf *out)
{
	if (!before)
		buf_str(out, STR("\033[0m\033[2J"));
	for (size_t row = 0; row < rows; row++) {
		const char *next_before = NULL, *next_after = NULL;
		struct str a = screen_line(before, &next_before), b = screen_line(after, &next_after);

		if (!str_eq(a, b)) {
			buf_printf(out, "\033[%zu;1H", row + 1);
			screen_put_line(out, b, cols);
		}
		before = next_before;
		after = next_after;
	}
}

/* --- the terminal */

static int screen_write(int fd, const char *p, size_t n)
{
	while (n) {
		ssize_t w = write(fd, p, n);

		if (w < 0 && errno == EAGAIN) {
			struct pollfd room = {.fd = fd, .events = POLLOUT};

			(void)poll(&room, 1, 1000);
			continue;
		}
		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0)
			return -errno;
		p += w;
		n -= (size_t)w;
	}
	return 0;
}

static void screen_measure(struct screen *s)
{
	struct winsize size;

	s->rows = 24;
	s->cols = 80;
	if (ioctl(s->out, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0) {
		s->rows = size.ws_row < SCREEN_ROWS_MAX ? size.ws_row : SCREEN_ROWS_MAX;
		s->cols = size.ws_col < SCREEN_COLS_MAX ? size.ws_col : SCREEN_COLS_MAX;
	}
}

int screen_open(struct screen **ret, int in, int out)
{
	static const char enter[] = "\033[?1049h\033[?25l\033[?7l"; /* own page, no cursor, no wrapping */
	struct screen *s;
	struct termios raw;
	int r;

	if (!isatty(in) || !isatty(out))
		return -ENOTTY;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->in = in;
	s->out = out;
	if (tcgetattr(in, &s->saved) < 0) {
		r = -errno;
		goto out;
	}
	raw = s->saved;
	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO | IEXTEN); /* ISIG stays: Ctrl-C is a signal as everywhere */
	raw.c_iflag &= ~(tcflag_t)(IXON | ICRNL);
	raw.c_cc[VMIN] = 0;
	raw.c_cc[VTIME] = 0;
	if (tcsetattr(in, TCSANOW, &raw) < 0) {
		r = -errno;
		goto out;
	}
	screen_measure(s);
	r = screen_write(out, enter, sizeof(enter) - 1);
	if (r < 0) {
		(void)tcsetattr(in, TCSANOW, &s->saved);
		goto out;
	}
	*ret = s;
	s = NULL;
	r = 0;
out:
	free(s);
	return r;
}

void screen_close(struct screen *s)
{
	static const char leave[] = "\033[0m\033[?7h\033[?25h\033[?1049l";

	if (!s)
		return;
	(void)screen_write(s->out, leave, sizeof(leave) - 1);
	(void)tcsetattr(s->in, TCSAFLUSH, &s->saved);
	free(s->shown);
	free(s);
}

size_t screen_rows(const struct screen *s)
{
	return s->rows;
}

size_t screen_cols(const struct screen *s)
{
	return s->cols;
}

bool screen_resized(struct screen *s)
{
	size_t rows = s->rows, cols = s->cols;

	screen_measure(s);
	if (rows == s->rows && cols == s->cols)
		return false;
	free(s->shown);
	s->shown = NULL;
	return true;
}

int screen_show(struct screen *s, const char *picture)
{
	struct buf out;
	int r;

	buf_init(&out, 0);
	screen_diff(s->shown, picture, s->rows, s->cols, &out);
	r = out.err ? out.err : screen_write(s->out, out.p, out.n);
	free(s->shown);
	s->shown = r < 0 ? NULL : strdup(picture);
	buf_deinit(&out);
	return r;
}

static uint32_t screen_take(struct screen *s, bool final)
{
	size_t used;
	uint32_t key = screen_key(s->typed, s->n_typed, final, &used);

	s->n_typed -= used;
	memmove(s->typed, s->typed + used, s->n_typed);
	return key;
}

int64_t screen_wait_key(struct screen *s, int timeout_ms, int wake_fd)
{
	for (;;) {
		struct pollfd fds[2] = {{.fd = s->in, .events = POLLIN}, {.fd = wake_fd, .events = POLLIN}};
		bool full = s->n_typed == sizeof(s->typed);
		uint32_t key = screen_take(s, full);
		ssize_t n;
		int r;

		if (key != SCREEN_NONE)
			return key;
		r = poll(fds, 2, s->n_typed ? SCREEN_ESC_WAIT_MS : timeout_ms);
		if (r < 0)
			return errno == EINTR ? SCREEN_NONE : -EIO;
		if (r == 0)
			return screen_take(s, true);
		if (!fds[0].revents)
			return SCREEN_NONE;
		n = read(s->in, s->typed + s->n_typed, sizeof(s->typed) - s->n_typed);
		if (n <= 0)
			return n < 0 && (errno == EINTR || errno == EAGAIN) ? SCREEN_NONE : -EIO;
		s->n_typed += (size_t)n;
	}
}
