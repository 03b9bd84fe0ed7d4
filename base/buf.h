/* SPDX-License-Identifier: Apache-2.0 */
/* A growing byte buffer with a sticky error: append freely, look at `err` once. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct buf {
	char *p;
	size_t n, cap, max; /* max: bound on n; 0 = 1 GiB */
	int err;            /* 0, -ENOMEM, -ENOSPC (bound reached); nothing is appended after an error */
};

void buf_init(struct buf *b, size_t max);
void buf_deinit(struct buf *b);
void buf_clear(struct buf *b); /* n = 0, err = 0, memory kept */
/* Room for n more bytes at the end, counted in; NULL and err set when it cannot be had. */
void *buf_grow(struct buf *b, size_t n);
void buf_put(struct buf *b, const void *data, size_t n);
void buf_str(struct buf *b, struct str s);
void buf_char(struct buf *b, char c);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A NUL after the end, not counted in n; returns the text ("" on error). */
const char *buf_text(struct buf *b);
