/* SPDX-License-Identifier: Apache-2.0 */
#include "base/words.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

int words_load(struct buf *b, const char *path, size_t max, unsigned *ret_mode, char *why, size_t why_len)
{
	FILE *f = fopen(path, "re");
	struct stat st;
	int r = 0;

	if (!f) {
		r = -errno;
		snprintf(why, why_len, "cannot read %s: %s", path, strerror(-r));
		return r;
	}
	if (ret_mode)
		*ret_mode = fstat(fileno(f), &st) < 0 ? 0 : st.st_mode & 0777;
	buf_init(b, max);
	while (!feof(f) && !ferror(f) && !b->err) {
		char chunk[4096];

		buf_put(b, chunk, fread(chunk, 1, sizeof(chunk), f));
	}
	if (ferror(f)) {
		r = -EIO;
		snprintf(why, why_len, "cannot read %s: is it a directory?", path);
	} else if (b->err) {
		r = b->err;
		snprintf(why, why_len, "%s is larger than %zu bytes", path, max);
	}
	fclose(f);
	if (r < 0)
		buf_deinit(b);
	return r;
}

struct words words_over(const char *file, struct str text, char *why, size_t why_len)
{
	return (struct words){.file = file,
			      .p = text.p,
			      .line_end = text.p,
			      .end = text.n ? text.p + text.n : text.p,
			      .start = text.p,
			      .word = text.p,
			      .why = why,
			      .why_len = why_len};
}

bool words_line(struct words *w)
{
	const char *nl;

	w->p = w->number && w->line_end < w->end ? w->line_end + 1 : w->line_end;
	if (w->p >= w->end)
		return false;
	nl = memchr(w->p, '\n', (size_t)(w->end - w->p));
	w->line_end = nl ? nl : w->end;
	w->start = w->word = w->p;
	w->number++;
	return true;
}

static bool words_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

bool words_next(struct words *w, struct str *ret)
{
	while (w->p < w->line_end && words_blank(*w->p))
		w->p++;
	w->word = w->p;
	if (w->p == w->line_end || *w->p == '#')
		return false;
	while (w->p < w->line_end && !words_blank(*w->p))
		w->p++;
	*ret = (struct str){w->word, (size_t)(w->p - w->word)};
	return true;
}

int words_fail(const struct words *w, const char *what)
{
	snprintf(w->why, w->why_len, "%s:%u:%u: %s", w->file, w->number + !w->number,
		 (unsigned)(w->word - w->start) + 1, what);
	return -EINVAL;
}
