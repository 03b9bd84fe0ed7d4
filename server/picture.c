/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOT and Mermaid. Ids in these are n0, n1, ...: a name never stands where a keyword could. Labels are quoted; what the
 * format cannot hold in quotes is replaced. Controls, and the characters that turn the direction of writing, become
 * U+FFFD everywhere: a name must not rearrange the line it stands in.
 */
#include "server/picture.h"

#include "server/picture_text.h"

size_t picture_char(struct str s, size_t at, uint32_t *ret)
{
	unsigned char c = (unsigned char)s.p[at];
	size_t n = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
	uint32_t v = c < 0x80 ? c : c & (0x7fu >> n);

	*ret = 0xfffd;
	if ((c >= 0x80 && c < 0xc2) || c > 0xf4 || at + n > s.n)
		return 1;
	for (size_t i = 1; i < n; i++) {
		if (((unsigned char)s.p[at + i] & 0xc0) != 0x80)
			return 1;
		v = v << 6 | ((unsigned char)s.p[at + i] & 0x3f);
	}
	/* Not shortest, surrogates, out of range. */
	if ((n == 3 && v < 0x800) || (n == 4 && (v < 0x10000 || v > 0x10ffff)) || (v >= 0xd800 && v < 0xe000))
		return 1;
	/* Controls (C0, DEL, C1), marks of direction, line separators, no characters at all. */
	if (v < 0x20 || (v >= 0x7f && v < 0xa0) || v == 0x61c || (v >= 0x200b && v <= 0x200f) ||
	    (v >= 0x2028 && v <= 0x202e) || (v >= 0x2066 && v <= 0x2069) || v == 0xfeff || (v & 0xfffe) == 0xfffe)
		return n;
	*ret = v;
	return n;
}

void picture_utf8(struct buf *b, uint32_t v)
{
	if (v < 0x80) {
		buf_char(b, (char)v);
	} else if (v < 0x800) {
		buf_char(b, (char)(0xc0 | v >> 6));
		buf_char(b, (char)(0x80 | (v & 0x3f)));
	} else if (v < 0x10000) {
		buf_char(b, (char)(0xe0 | v >> 12));
		buf_char(b, (char)(0x80 | (v >> 6 & 0x3f)));
		buf_char(b, (char)(0x80 | (v & 0x3f)));
	} else {
		buf_char(b, (char)(0xf0 | v >> 18));
		buf_char(b, (char)(0x80 | (v >> 12 & 0x3f)));
		buf_char(b, (char)(0x80 | (v >> 6 & 0x3f)));
		buf_char(b, (char)(0x80 | (v & 0x3f)));
	}
}

void picture_text(struct buf *b, struct str s, size_t max, void (*put)(struct buf *b, uint32_t c))
{
	size_t n = 0, length = 0;
	uint32_t c;

	for (size_t at = 0; at < s.n && length <= max; length++)
		at += picture_char(s, at, &c);
	for (size_t at = 0; at < s.n; n++) {
		if (length > max && n + 1 >= max) {
			put(b, 0x2026);
			return;
		}
		at += picture_char(s, at, &c);
		put(b, c);
	}
}

void picture_bytes(struct buf *b, uint64_t bytes)
{
	static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
	double v = (double)bytes;
	unsigned u = 0;

	while (v >= 999.5) {
		v /= 1000;
		u++;
	}
	if (!u)
		buf_printf(b, "%.0f B", v);
	else
		buf_printf(b, "%.*f %s", v < 9.995 ? 2 : v < 99.95 ? 1 : 0, v, units[u]);
}

struct str picture_name(const struct map_node *n, char text[32])
{
	if (n->kind == MAP_KIND_OTHER) {
		snprintf(text, 32, "other (%u)", n->members);
		return str_from(text);
	}
	if (n->name.n)
		return n->name;
	return n->kind == MAP_KIND_ZONE  ? STR("no zone")
	       : n->kind == MAP_KIND_NET ? STR("default net")
					 : STR("no name");
}

/* Each zone's nodes between open() and `close`; those without a zone last, between nothing. */
static void picture_zones(const struct map *m, struct buf *b,
			  void (*node)(const struct map *m, size_t i, struct buf *b),
			  void (*open)(struct buf *b, struct str zone, size_t number), const char *close)
{
	size_t number = 0;

	for (size_t i = 0; i < m->n_nodes; i++) {
		bool first = m->nodes[i].zone.n != 0;

		for (size_t k = 0; first && k < i; k++)
			first = !str_eq(m->nodes[k].zone, m->nodes[i].zone);
		if (!first)
			continue;
		open(b, m->nodes[i].zone, number++);
		for (size_t k = i; k < m->n_nodes; k++)
			if (str_eq(m->nodes[k].zone, m->nodes[i].zone))
				node(m, k, b);
		buf_printf(b, "%s", close);
	}
	for (size_t i = 0; i < m->n_nodes; i++)
		if (!m->nodes[i].zone.n)
			node(m, i, b);
}

/* --- DOT: in quotes, the quote, the backslash and entities (&#8238;) mean something */

static void dot_put(struct buf *b, uint32_t c)
{
	if (c == '"' || c == '\\')
		buf_char(b, '\\');
	picture_utf8(b, c);
	if (c == '&')
		buf_printf(b, "amp;");
}

static void dot_node(const struct map *m, size_t i, struct buf *b)
{
	char text[32];

	buf_printf(b, "\tn%zu [label=\"", i);
	picture_text(b, picture_name(&m->nodes[i], text), PICTURE_NAME_MAX, dot_put);
	buf_printf(b, "\"%s];\n", m->nodes[i].kind == MAP_KIND_UNKNOWN ? ", style=dashed" : "");
}

static void dot_zone(struct buf *b, struct str zone, size_t number)
{
	buf_printf(b, "\tsubgraph cluster_%zu {\n\tlabel=\"", number);
	picture_text(b, zone, PICTURE_NAME_MAX, dot_put);
	buf_printf(b, "\";\n");
}

static const char *const colours[] = {"#6b7280", "#e69f00", "#d55e00"};

/* The worst sign in its own word, or how much. */
static void edge_label(const struct map_edge *e, struct buf *b)
{
	if (e->n_signs)
		buf_printf(b, "%s", e->signs->sign.name);
	else
		picture_bytes(b, e->bytes);
}

void picture_dot(const struct map *m, const struct layout *l, struct buf *b)
{
	buf_printf(b, "digraph skyfall {\n\trankdir=LR;\n\tnode [shape=box, fontname=\"sans-serif\"];\n"
		      "\tedge [fontname=\"sans-serif\", fontsize=10];\n");
	picture_zones(m, b, dot_node, dot_zone, "\t}\n");
	for (size_t i = 0; i < m->n_edges; i++) {
		const struct map_edge *e = &m->edges[i];
		uint8_t severity = e->n_signs ? e->signs->sign.severity : SIGN_NONE;

		buf_printf(b, "\tn%u -> n%u [label=\"", e->source, e->target);
		edge_label(e, b);
		buf_printf(b, "\", color=\"%s\"%s];\n", colours[severity],
			   (e->observed & 3) == 3 ? "" : ", style=dashed");
	}
	buf_printf(b, "}\n");
}

/* --- Mermaid: in quotes, entities as #35; and no quote, and nothing that it or HTML would read */

static void mermaid_put(struct buf *b, uint32_t c)
{
	if (c < 0x80 && strchr("\"#&<>;`\\*_[]{}()|%", (int)c))
		buf_printf(b, "#%u;", c);
	else
		picture_utf8(b, c);
}

static void mermaid_node(const struct map *m, size_t i, struct buf *b)
{
	char text[32];

	buf_printf(b, "    n%zu[\"", i);
	picture_text(b, picture_name(&m->nodes[i], text), PICTURE_NAME_MAX, mermaid_put);
	buf_printf(b, "\"]\n");
}

static void mermaid_zone(struct buf *b, struct str zone, size_t number)
{
	buf_printf(b, "    subgraph z%zu[\"", number);
	picture_text(b, zone, PICTURE_NAME_MAX, mermaid_put);
	buf_printf(b, "\"]\n");
}

void picture_mermaid(const struct map *m, const struct layout *l, struct buf *b)
{
	buf_printf(b, "flowchart LR\n");
	picture_zones(m, b, mermaid_node, mermaid_zone, "    end\n");
	for (size_t i = 0; i < m->n_edges; i++) {
		const struct map_edge *e = &m->edges[i];

		buf_printf(b, "    n%u %s|\"", e->source, (e->observed & 3) == 3 ? "-->" : "-.->");
		edge_label(e, b);
		buf_printf(b, "\"| n%u\n", e->target);
	}
	for (size_t i = 0; i < m->n_edges; i++)
		if (m->edges[i].n_signs)
			buf_printf(b, "    linkStyle %zu stroke:%s\n", i, colours[m->edges[i].signs->sign.severity]);
}
