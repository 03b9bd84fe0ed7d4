/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small files of words: lines of words between blanks, a # begins a comment. Mistakes are told as
 * "file:line:column: what is wrong".
 *
 *     struct words w = words_over(path, text, why, why_len);
 *     while (words_line(&w))
 *         while (words_next(&w, &word))
 *             if (!good(word)) return words_fail(&w, "must be good");
 */
#pragma once

#include "base/buf.h"

struct words {
	const char *file;
	const char *p, *line_end, *end; /* what is left */
	const char *start, *word;       /* of the line; of the newest word in it */
	unsigned number;
	char *why;
	size_t why_len;
};

/* The whole file into b, at most `max` bytes; ret_mode (may be NULL): its permission bits. -errno with a sentence. */
int words_load(struct buf *b, const char *path, size_t max, unsigned *ret_mode, char *why, size_t why_len);

/* file: what it is called in messages. */
struct words words_over(const char *file, struct str text, char *why, size_t why_len);

/* Goes on to the next line. False: there is none. */
bool words_line(struct words *w);

/* The next word of the line. False: there is none. */
bool words_next(struct words *w, struct str *ret);

/* Says what is wrong with the newest word, or that one is missing behind it. Returns -EINVAL. */
int words_fail(const struct words *w, const char *what);
