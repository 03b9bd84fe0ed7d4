/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A full-screen picture on an ANSI terminal (ECMA-48 sequences that every terminal of the last thirty years
 * knows), and its keys. No terminfo: what is not a terminal is not painted on.
 *
 * The picture is a list of lines. Only lines that changed are sent, so a still picture costs nothing and
 * nothing flickers; a line never reaches past the right margin, so nothing wraps.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define SCREEN_ROWS_MAX 1000
#define SCREEN_COLS_MAX 2000

/* Keys: a character as itself, else one of these. */
enum screen_key {
	SCREEN_NONE = 0,
	SCREEN_ENTER = '\r',
	SCREEN_ESC = 27,
	SCREEN_BACKSPACE = 127,
	SCREEN_UP = 0x110000, /* past the last character of Unicode */
	SCREEN_DOWN,
	SCREEN_LEFT,
	SCREEN_RIGHT,
	SCREEN_PAGE_UP,
	SCREEN_PAGE_DOWN,
	SCREEN_HOME,
	SCREEN_END,
	SCREEN_DELETE,
	SCREEN_OTHER, /* a sequence we do not know: swallowed whole */
};

/* The key at the start of n bytes typed; *ret_used of them belong to it. SCREEN_NONE with *ret_used 0: more must
 * come first (with `final`, a lone ESC is the Esc key). Pure. */
uint32_t screen_key(const char *p, size_t n, bool final, size_t *ret_used);

/* What must be sent so that a terminal showing `before` (NULL: anything) shows `after`: lines ended by '\n',
 * styles allowed, at most `rows` lines of `cols` columns. Pure. */
void screen_diff(const char *before, const char *after, size_t rows, size_t cols, struct buf *out);

struct screen;

/* Takes the terminal behind in and out: own page, no echo, no cursor. -ENOTTY, -errno. */
int screen_open(struct screen **ret, int in, int out);
/* Gives the terminal back as it was. */
void screen_close(struct screen *s);

size_t screen_rows(const struct screen *s);
size_t screen_cols(const struct screen *s);

/* Looks at the terminal's size again; true when it changed (the next picture is painted whole). */
bool screen_resized(struct screen *s);

/* Shows the picture. -errno when the terminal is gone. */
int screen_show(struct screen *s, const char *picture);

/* Waits up to timeout_ms for a key. SCREEN_NONE when none came, or a signal did, or wake_fd (-1: none) became readable.
 * -EIO: the terminal is gone. */
int64_t screen_wait_key(struct screen *s, int timeout_ms, int wake_fd);
