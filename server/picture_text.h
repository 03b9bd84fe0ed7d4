/* SPDX-License-Identifier: Apache-2.0 */
/* What the pictures share: names as text that does no harm. For picture*.c only. */
#pragma once

#include <stdio.h>

#include "server/picture.h"

/* The character at `at`, and how many bytes it takes; U+FFFD for what is no text, a control or a mark of direction. */
size_t picture_char(struct str s, size_t at, uint32_t *ret);
void picture_utf8(struct buf *b, uint32_t c);

/* Each character through put(); more than `max` of them: cut, an ellipsis at the end. */
void picture_text(struct buf *b, struct str s, size_t max, void (*put)(struct buf *b, uint32_t c));

/* "1.23 MB" */
void picture_bytes(struct buf *b, uint64_t bytes);

/* What a node is called. */
struct str picture_name(const struct map_node *n, char text[32]);
