/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define BUF_MAX (1ul << 30)

void buf_init(struct buf *b, size_t max)
{
	*b = (struct buf){.max = max ? max : BUF_MAX};
}

void buf_deinit(struct buf *b)
{
	free(b->p);
	*b = (struct buf){.max = b->max};
}

void buf_clear(struct buf *b)
{
	b->n = 0;
	b->err = 0;
}

static int buf_reserve(struct buf *b, size_t n)
{
	size_t cap = b->cap ? b->cap : 256;
	char *p;

	if (b->err)
		return b->err;
	if (n > b->max || b->n > b->max - n)
		return b->err = -ENOSPC;
	if (b->n + n < b->cap) /* one spare byte for buf_text() */
		return 0;
	while (cap <= b->n + n)
		cap *= 2;
	p = realloc(b->p, cap);
	if (!p)
		return b->err = -ENOMEM;
	b->p = p;
	b->cap = cap;
	return 0;
}

void *buf_grow(struct buf *b, size_t n)
{
	if (buf_reserve(b, n) < 0)
		return NULL;
	b->n += n;
	return b->p + b->n - n;
}

void buf_put(struct buf *b, const void *data, size_t n)
{
	void *to = buf_grow(b, n);

	if (to && n)
		memcpy(to, data, n);
}

void buf_str(struct buf *b, struct str s)
{
	buf_put(b, s.p, s.n);
}

void buf_char(struct buf *b, char c)
{
	buf_put(b, &c, 1);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0 || buf_reserve(b, (size_t)n) < 0)
		return;
	va_start(ap, fmt);
	vsnprintf(b->p + b->n, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->n += (size_t)n;
}

const char *buf_text(struct buf *b)
{
	if (b->err || buf_reserve(b, 0) < 0)
		return "";
	b->p[b->n] = '\0';
	return b->p;
}
