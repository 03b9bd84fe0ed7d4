/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/confile.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

#define CONFILE_TEXT (1u << 20)

struct confile_one {
	char *word;  /* --name=value */
	char *where; /* path:line:column, of the value */
	size_t name; /* its length */
};

struct confile {
	size_t n;
	struct confile_one v[CONFILE_LINES];
};

struct confile_line {
	const char *p, *end, *start;
	unsigned number;
	const char *path;
	char *why;
	size_t why_len;
};

static int confile_fail(const struct confile_line *l, const char *at, const char *what)
{
	snprintf(l->why, l->why_len, "%s:%u:%u: %s", l->path, l->number, (unsigned)(at - l->start) + 1, what);
	return -EINVAL;
}

static bool confile_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* The next word into `to`; ret_at: where it began, NULL when there is none. */
static int confile_next(struct confile_line *l, struct buf *to, const char **ret_at)
{
	const char *at;
	bool quoted;

	while (l->p < l->end && confile_blank(*l->p))
		l->p++;
	*ret_at = NULL;
	if (l->p == l->end || *l->p == '#')
		return 0;
	at = l->p;
	quoted = *l->p == '"';
	l->p += quoted;
	while (l->p < l->end && (quoted ? *l->p != '"' : !confile_blank(*l->p))) {
		if (quoted && *l->p == '\\' && l->p + 1 < l->end)
			l->p++;
		buf_char(to, *l->p++);
	}
	if (quoted && l->p == l->end)
		return confile_fail(l, at, "the quote is not closed");
	l->p += quoted;
	*ret_at = at;
	return 0;
}

static const struct opt *confile_option(const struct opt_command *cmd, const char *name)
{
	const struct opt *o;

	for (o = cmd->opts; o->name || o->help; o++)
		if (o->type != OPT_GROUP && strcmp(o->name, name) == 0)
			return o;
	return NULL;
}

/* The option as the command line would take it: what is wrong with it is said there, once, in the same words. */
static int confile_try(const struct opt_command *cmd, char *word, char *where)
{
	char *argv[] = {where, word, NULL}, **args;
	void *scratch = calloc(1, cmd->conf_size);
	int r, n;

	if (!scratch)
		return -ENOMEM;
	r = opt_parse(where, cmd, 2, argv, scratch, &args, &n);
	free(scratch);
	return r ? -EINVAL : 0;
}

static int confile_add(struct confile *f, const struct confile_line *l, const struct opt_command *cmd, struct buf *word,
		       size_t name, const char *at)
{
	struct confile_one *one = &f->v[f->n];
	int r;

	if (f->n == CONFILE_LINES)
		return confile_fail(l, at, "more than 1000 options");
	if (word->err)
		return -ENOMEM;
	*one = (struct confile_one){.word = strdup(buf_text(word)), .name = name};
	if (asprintf(&one->where, "%s:%u:%u", l->path, l->number, (unsigned)(at - l->start) + 1) < 0)
		one->where = NULL;
	f->n++; /* what there is of it is freed with the file */
	if (!one->word || !one->where)
		return -ENOMEM;
	r = confile_try(cmd, one->word, one->where);
	if (r == -EINVAL)
		l->why[0] = '\0'; /* said */
	return r;
}

static int confile_value(struct confile *f, struct confile_line *l, const struct opt_command *cmd, const struct opt *o,
			 const char *at_name, struct buf *word)
{
	size_t name = word->n - 2;
	const char *at = at_name, *more;
	struct buf rest;
	int r = 0;

	if (o->type != OPT_FLAG) {
		buf_char(word, '=');
		r = confile_next(l, word, &at);
		if (r == 0 && !at)
			r = confile_fail(l, l->p, "the value is missing");
	}
	if (r < 0)
		return r;
	buf_init(&rest, 0);
	r = confile_next(l, &rest, &more);
	buf_deinit(&rest);
	if (r == 0 && more)
		r = confile_fail(l, more, "a word too many; a value with blanks is put in double quotes");
	return r ? r : confile_add(f, l, cmd, word, name, at);
}

static int confile_line(struct confile *f, struct confile_line *l, const struct opt_command *cmd,
			const char *const *once)
{
	const struct opt *o;
	struct buf word;
	const char *at;
	int r;

	buf_init(&word, 0);
	buf_str(&word, STR("--"));
	r = confile_next(l, &word, &at);
	if (r < 0 || !at)
		goto out;
	o = confile_option(cmd, buf_text(&word) + 2);
	if (!o) {
		r = confile_fail(l, at, "no such option (they are called as on the command line, without '--')");
		goto out;
	}
	for (; *once; once++) {
		if (strcmp(*once, o->name) == 0) {
			r = confile_fail(l, at, "belongs on the command line only");
			goto out;
		}
	}
	r = confile_value(f, l, cmd, o, at, &word);
out:
	buf_deinit(&word);
	return r;
}

int confile_parse(struct confile **ret, const char *path, struct str text, const struct opt_command *cmd,
		  const char *const *once, char *why, size_t why_len)
{
	struct confile_line l = {.p = text.p, .path = path, .why = why, .why_len = why_len};
	const char *end = text.p + text.n;
	struct confile *f = calloc(1, sizeof(*f));
	int r = f ? 0 : -ENOMEM;

	while (r == 0 && l.p < end) {
		const char *nl = memchr(l.p, '\n', (size_t)(end - l.p)), *zero;

		l.start = l.p;
		l.end = nl ? nl : end;
		l.number++;
		zero = memchr(l.p, '\0', (size_t)(l.end - l.p));
		r = zero ? confile_fail(&l, zero, "a zero byte: this is not a text file")
			 : confile_line(f, &l, cmd, once);
		l.p = nl ? nl + 1 : end;
	}
	if (r < 0) {
		if (r == -ENOMEM)
			snprintf(why, why_len, "out of memory");
		confile_free(f);
		return r;
	}
	*ret = f;
	return 0;
}

int confile_load(struct confile **ret, const char *path, const struct opt_command *cmd, const char *const *once,
		 char *why, size_t why_len)
{
	FILE *file = fopen(path, "re");
	struct buf b;
	int r;

	if (!file) {
		r = -errno;
		snprintf(why, why_len, "cannot read the options file %s: %s", path, strerror(-r));
		return r == -EINVAL ? -EIO : r;
	}
	buf_init(&b, CONFILE_TEXT);
	while (!feof(file) && !ferror(file) && !b.err) {
		char chunk[4096];

		buf_put(&b, chunk, fread(chunk, 1, sizeof(chunk), file));
	}
	if (ferror(file)) {
		r = -EIO;
		snprintf(why, why_len, "cannot read the options file %s: is it a directory?", path);
	} else if (b.err) {
		r = b.err;
		snprintf(why, why_len, "the options file %s is larger than 1 MiB", path);
	} else {
		r = confile_parse(ret, path, (struct str){b.p, b.n}, cmd, once, why, why_len);
	}
	fclose(file);
	buf_deinit(&b);
	return r;
}

void confile_free(struct confile *f)
{
	if (!f)
		return;
	while (f->n--) {
		free(f->v[f->n].word);
		free(f->v[f->n].where);
	}
	free(f);
}

size_t confile_count(const struct confile *f)
{
	return f ? f->n : 0;
}

char *confile_word(const struct confile *f, size_t i)
{
	return f->v[i].word;
}

const char *confile_where(const struct confile *f, const char *name, size_t n)
{
	size_t i;

	for (i = confile_count(f); i-- > 0;)
		if (f->v[i].name == n && strncmp(f->v[i].word + 2, name, n) == 0)
			return f->v[i].where;
	return NULL;
}
