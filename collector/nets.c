/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/nets.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/words.h"
#include "flow/key.h"
#include "wire/wire.h"

#define NETS_TEXT (2u << 20)

static int compare(const void *a, const void *b)
{
	const struct str *x = a, *y = b;
	int r = memcmp(x->p, y->p, x->n < y->n ? x->n : y->n);

	return r ? r : (x->n > y->n) - (x->n < y->n);
}

static bool good(struct str name)
{
	return name.n <= FLOW_NAME_MAX && wire_text_ok(name);
}

static int add(struct nets *n, struct str name)
{
	struct str *v = n->v;

	if (n->n == NETS_MAX)
		return -E2BIG;
	if (!(n->n & (n->n - 1)))
		v = reallocarray(v, n->n ? 2 * n->n : 1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	n->v = v;
	v[n->n++] = name;
	return 0;
}

static int parse_line(struct nets *n, struct words *w)
{
	struct str name;
	int r;

	if (!words_next(w, &name))
		return 0;
	if (str_eq(name, STR("\"\"")))
		name.n = 0;
	if (!good(name))
		return words_fail(w, "is no name: UTF-8 of at most 255 bytes without control characters");
	r = add(n, name);
	if (!r && words_next(w, &name))
		return words_fail(w, "a word too many: a name a line");
	return r == -E2BIG ? words_fail(w, "more than 4096 names") : r;
}

int nets_load(struct nets *ret, const struct opt_list *names, const char *file, char *why, size_t why_len)
{
	struct nets n = {.any = !names->n && !file}; /* an empty file takes nobody */
	struct words w;
	int r = 0;

	why[0] = '\0';
	buf_init(&n.text, 0);
	for (size_t i = 0; i < names->n && !r; i++) {
		r = good(str_from(names->v[i])) ? add(&n, str_from(names->v[i])) : -EINVAL;
		if (r == -EINVAL)
			snprintf(why, why_len,
				 "--net: is no name: UTF-8 of at most 255 bytes without control characters");
	}
	if (!r && file)
		r = words_load(&n.text, file, NETS_TEXT, NULL, why, why_len);
	w = words_over(file, (struct str){n.text.p, n.text.n}, why, why_len);
	while (!r && file && words_line(&w))
		r = parse_line(&n, &w);
	if (r < 0) {
		if (!why[0])
			snprintf(why, why_len, "out of memory");
		nets_deinit(&n);
		return r;
	}
	if (n.n) {
		n.home = n.v[0];
		qsort(n.v, n.n, sizeof(*n.v), compare);
	}
	*ret = n;
	return 0;
}

void nets_deinit(struct nets *n)
{
	free(n->v);
	buf_deinit(&n->text);
	*n = (struct nets){0};
}

bool nets_has(const struct nets *n, struct str name)
{
	return n->any || (n->n && bsearch(&name, n->v, n->n, sizeof(*n->v), compare));
}
