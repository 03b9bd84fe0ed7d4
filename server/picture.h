/* SPDX-License-Identifier: Apache-2.0 */
/* The map in three other languages. Names are foreign: each format escapes what it must and cuts what is too long. */
#pragma once

#include "base/buf.h"
#include "server/layout.h"
#include "server/map.h"

#define PICTURE_NAME_MAX 120 /* characters of a name */

/* Graphviz; zones are clusters. l is not used. */
void picture_dot(const struct map *m, const struct layout *l, struct buf *b);
/* Mermaid's flowchart; zones are subgraphs. l is not used. */
void picture_mermaid(const struct map *m, const struct layout *l, struct buf *b);
/* One file that needs nothing else, light and dark. l: of this map. */
void picture_svg(const struct map *m, const struct layout *l, struct buf *b);
