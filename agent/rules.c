/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/rules.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>

#include "base/buf.h"
#include "flow/key.h"

#define RULES_TEXT (1u << 20) /* bytes of a file */
#define RULES_FACT 4096       /* bytes of a path that are compared */

struct rule {
	enum rules_what what;
	char *pattern, *name;
};

struct rules {
	size_t n;
	struct rule *v;
};

static const char *const rules_words[RULES_WHATS] = {
	[RULES_UNIT] = "unit", [RULES_CONTAINER] = "container", [RULES_EXE] = "exe", [RULES_CGROUP] = "cgroup",
	[RULES_POD] = "pod",
};

struct rules_line {
	const char *p, *end, *start;
	unsigned number;
	const char *file;
	char *why;
	size_t why_len;
};

static int rules_fail(const struct rules_line *l, const char *at, const char *what)
{
	snprintf(l->why, l->why_len, "%s:%u:%u: %s", l->file, l->number, (unsigned)(at - l->start) + 1, what);
	return -EINVAL;
}

/* The next word into *ret (malloc); 0 also when there is none (then *ret is NULL). ret_at: where it began. */
static int rules_word(struct rules_line *l, char **ret, const char **ret_at)
{
	struct buf b;
	bool quoted;

	*ret = NULL;
	while (l->p < l->end && (*l->p == ' ' || *l->p == '\t' || *l->p == '\r'))
		l->p++;
	*ret_at = l->p;
	if (l->p == l->end || *l->p == '#')
		return 0;
	buf_init(&b, 0);
	quoted = *l->p == '"';
	l->p += quoted;
	while (l->p < l->end && (quoted ? *l->p != '"' : *l->p != ' ' && *l->p != '\t' && *l->p != '\r')) {
		if (quoted && *l->p == '\\' && l->p + 1 < l->end)
			l->p++;
		buf_char(&b, *l->p++);
	}
	if (quoted && l->p == l->end) {
		buf_deinit(&b);
		return rules_fail(l, *ret_at, "the quote is not closed");
	}
	l->p += quoted;
	*ret = b.err ? NULL : strdup(buf_text(&b));
	buf_deinit(&b);
	return *ret ? 0 : -ENOMEM;
}

static int rules_what(const struct rules_line *l, const char *word, const char *at, enum rules_what *ret)
{
	int i;

	for (i = 0; i < RULES_WHATS; i++) {
		if (strcmp(word, rules_words[i]) == 0) {
			*ret = (enum rules_what)i;
			return 0;
		}
	}
	return rules_fail(l, at, "a rule begins with unit, container, exe, cgroup or pod");
}

static int rules_name_check(const struct rules_line *l, const char *name, const char *at)
{
	const char *p;

	if (!name)
		return rules_fail(l, at, "the name is missing: <what> <pattern> <name>");
	if (!name[0])
		return rules_fail(l, at, "the name is empty");
	if (strlen(name) > FLOW_NAME_MAX)
		return rules_fail(l, at, "the name is longer than 255 bytes");
	for (p = name; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return rules_fail(l, at, "the name contains a control character");
	return 0;
}

/* One line; a line without a rule adds nothing. */
static int rules_line(struct rules *r, struct rules_line *l)
{
	char *what = NULL, *pattern = NULL, *name = NULL, *more = NULL;
	const char *at_what, *at_pattern, *at_name, *at_more;
	struct rule *v, rule = {0};
	int ret;

	ret = rules_word(l, &what, &at_what);
	if (ret < 0 || !what)
		goto out;
	ret = rules_what(l, what, at_what, &rule.what);
	if (ret < 0)
		goto out;
	ret = rules_word(l, &pattern, &at_pattern);
	if (ret == 0 && (!pattern || !pattern[0]))
		ret = rules_fail(l, at_pattern, "the pattern is missing: <what> <pattern> <name>");
	if (ret < 0)
		goto out;
	ret = rules_word(l, &name, &at_name);
	if (ret == 0)
		ret = rules_name_check(l, name, at_name);
	if (ret < 0)
		goto out;
	ret = rules_word(l, &more, &at_more);
	if (ret == 0 && more)
		ret = rules_fail(l, at_more, "a word too many; a name with blanks is put in double quotes");
	if (ret == 0 && r->n == RULES_MAX)
		ret = rules_fail(l, at_what, "more than 4096 rules");
	if (ret < 0)
		goto out;
	ret = -ENOMEM;
	v = reallocarray(r->v, r->n + 1, sizeof(*v));
	if (!v)
		goto out;
	r->v = v;
	rule.pattern = pattern;
	rule.name = name;
	r->v[r->n++] = rule;
	pattern = name = NULL;
	ret = 0;
out:
	free(what);
	free(pattern);
	free(name);
	free(more);
	return ret;
}

int rules_parse(struct rules **ret, const char *name, struct str text, char *why, size_t why_len)
{
	struct rules_line l = {.p = text.p, .file = name, .why = why, .why_len = why_len};
	const char *end = text.p + text.n;
	struct rules *r;
	int e = 0;

	r = calloc(1, sizeof(*r));
	if (!r) {
		snprintf(why, why_len, "out of memory");
		return -ENOMEM;
	}
	while (l.p < end && e == 0) {
		const char *nl = memchr(l.p, '\n', (size_t)(end - l.p)), *zero;

		l.start = l.p;
		l.end = nl ? nl : end;
		l.number++;
		zero = memchr(l.p, '\0', (size_t)(l.end - l.p));
		e = zero ? rules_fail(&l, zero, "a zero byte: this is not a text file") : rules_line(r, &l);
		l.p = nl ? nl + 1 : end;
	}
	if (e < 0) {
		if (e == -ENOMEM)
			snprintf(why, why_len, "out of memory");
		rules_free(r);
		return e;
	}
	*ret = r;
	return 0;
}

int rules_load(struct rules **ret, const char *path, char *why, size_t why_len)
{
	struct buf b;
	FILE *f;
	int r;

	f = fopen(path, "re");
	if (!f) {
		r = -errno;
		snprintf(why, why_len, "cannot read the rules file %s: %s", path, strerror(-r));
		return r;
	}
	buf_init(&b, RULES_TEXT);
	while (!feof(f) && !ferror(f) && !b.err) {
		char chunk[4096];

		buf_put(&b, chunk, fread(chunk, 1, sizeof(chunk), f));
	}
	if (ferror(f)) {
		r = -EIO;
		snprintf(why, why_len, "cannot read the rules file %s: is it a directory?", path);
	} else if (b.err) {
		r = b.err;
		snprintf(why, why_len, "the rules file %s is larger than 1 MiB", path);
	} else {
		r = rules_parse(ret, path, (struct str){b.p, b.n}, why, why_len);
	}
	fclose(f);
	buf_deinit(&b);
	return r;
}

void rules_free(struct rules *r)
{
	size_t i;

	if (!r)
		return;
	for (i = 0; i < r->n; i++) {
		free(r->v[i].pattern);
		free(r->v[i].name);
	}
	free(r->v);
	free(r);
}

size_t rules_count(const struct rules *r)
{
	return r ? r->n : 0;
}

/* A pod's name without its namespace. */
static struct str rules_after_slash(struct str s)
{
	const char *slash = s.n ? memrchr(s.p, '/', s.n) : NULL;

	return slash ? (struct str){slash + 1, (size_t)(s.p + s.n - slash - 1)} : s;
}

struct str rules_find(const struct rules *r, const struct str facts[RULES_WHATS])
{
	char text[RULES_FACT];
	size_t i;

	for (i = 0; r && i < r->n; i++) {
		struct str fact = facts[r->v[i].what];

		if (r->v[i].what == RULES_POD && !strchr(r->v[i].pattern, '/'))
			fact = rules_after_slash(fact);
		if (fact.n == 0 || fact.n >= sizeof(text))
			continue;
		if (fnmatch(r->v[i].pattern, str_copy(text, sizeof(text), fact), 0) == 0)
			return str_from(r->v[i].name);
	}
	return (struct str){NULL, 0};
}
