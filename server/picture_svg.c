/* SPDX-License-Identifier: Apache-2.0 */
/* The map as one SVG file: no script, no font, no link; its colours follow the reader's scheme. */
#include "server/picture.h"

#include "server/picture_text.h"

static void svg_put(struct buf *b, uint32_t c)
{
	switch (c) {
	case '<':
		buf_printf(b, "&lt;");
		break;
	case '>':
		buf_printf(b, "&gt;");
		break;
	case '&':
		buf_printf(b, "&amp;");
		break;
	case '"':
		buf_printf(b, "&quot;");
		break;
	case '\'':
		buf_printf(b, "&#39;");
		break;
	default:
		picture_utf8(b, c);
	}
}

static const char svg_style[] =
	"<style>"
	"text{font:13px system-ui,sans-serif;fill:#111827}.t{font-size:11px;fill:#4b5563}.z{fill:#eef1f6}"
	".n{fill:#fff;stroke:#d1d5db}.u{stroke:#6b7280;stroke-dasharray:4 3}.e{fill:none;stroke:#6b7280}"
	".a{fill:#6b7280}.d{stroke-dasharray:6 4}.s1{stroke:#b45309}.s2{stroke:#d55e00}.bg{fill:#fff}"
	".l{font-size:11px;text-anchor:middle;paint-order:stroke;stroke:#fff;stroke-width:4px}"
	"@media (prefers-color-scheme:dark){text{fill:#e5e7eb}.t{fill:#9ca3af}.z{fill:#1f2430}.n{fill:#111318;"
	"stroke:#4b5563}.u{stroke:#9ca3af}.e{stroke:#9ca3af}.a{fill:#9ca3af}.s1{stroke:#e69f00}.s2{stroke:#ff8a4c}"
	".bg{fill:#0d0f13}.l{stroke:#0d0f13}}"
	"</style>\n";

static void svg_bands(const struct layout *l, struct buf *b)
{
	for (size_t i = 0; i < l->n_bands; i++) {
		const struct layout_band *z = &l->bands[i];

		if (z->empty)
			continue;
		buf_printf(b, "<rect class=\"z\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"6\"/>\n", z->x, z->y,
			   z->w, z->h);
		if (!z->zone.n)
			continue;
		buf_printf(b, "<text class=\"t\" x=\"%d\" y=\"%d\">", z->x + 12, z->y + 18);
		picture_text(b, z->zone, (size_t)z->w / 7, svg_put);
		buf_printf(b, "</text>\n");
	}
}

/* Tenths of a pixel: 1 px below a kB, 0.4 px more each time ten times as much, 6.2 px for a petabyte. */
static unsigned svg_tenths(uint64_t bytes)
{
	unsigned w = 10;

	for (; bytes >= 1000; bytes /= 10)
		w += 4;
	return w;
}

/* From the right of one box to the left of the other; backwards around above, to itself a loop over the top. */
static void svg_path(const struct layout_place *s, const struct layout_place *t, struct buf *b)
{
	int32_t x1 = s->x + s->w / 2, y1 = s->y, x2 = t->x - t->w / 2 - 7, y2 = t->y, bend = (x2 - x1) / 2;

	if (s == t)
		buf_printf(b, "M%d %dc30 -12 20 -44 -%d -40c-%d -2 -%d 20 -%d 34", x1, y1 - 8, s->w / 2, s->w / 2,
			   s->w / 2, s->w / 2 - 4);
	else if (x2 >= x1)
		buf_printf(b, "M%d %dC%d %d %d %d %d %d", x1, y1, x1 + bend, y1, x2 - bend, y2, x2, y2);
	else
		buf_printf(b, "M%d %dC%d %d %d %d %d %d", x1, y1, x1 + 80, y1 + 50, x2 - 80, y2 + 50, x2, y2);
}

static void svg_edge(const struct map *m, const struct layout *l, const struct map_edge *e, struct buf *b)
{
	const struct layout_place *s = &l->places[l->of_node[e->source]], *t = &l->places[l->of_node[e->target]];
	unsigned severity = e->n_signs ? e->signs->sign.severity : SIGN_NONE, tenths = svg_tenths(e->bytes);
	char text[32];

	buf_printf(b, "<path class=\"e%s%s\" stroke-width=\"%u.%u\" marker-end=\"url(#a)\" d=\"",
		   severity == SIGN_SERIOUS ? " s2"
		   : severity               ? " s1"
					    : "",
		   (e->observed & 3) == 3 ? "" : " d", tenths / 10, tenths % 10);
	svg_path(s, t, b);
	buf_printf(b, "\"><title>");
	picture_text(b, picture_name(&m->nodes[e->source], text), PICTURE_NAME_MAX, svg_put);
	buf_printf(b, " → ");
	picture_text(b, picture_name(&m->nodes[e->target], text), PICTURE_NAME_MAX, svg_put);
	buf_printf(b, ", ");
	picture_bytes(b, e->bytes);
	if (e->n_signs) {
		buf_printf(b, ": ");
		picture_text(b, str_from(e->signs->sign.text), SIGN_TEXT, svg_put);
	}
	buf_printf(b, "</title></path>\n");
	if (e->n_signs && s != t)
		buf_printf(b, "<text class=\"l\" x=\"%d\" y=\"%d\">%s%s</text>\n", (s->x + t->x) / 2,
			   (s->y + t->y) / 2 - 4, severity == SIGN_SERIOUS ? "▲ " : "△ ", e->signs->sign.name);
}

static void svg_node(const struct map_node *n, const struct layout_place *p, struct buf *b)
{
	char text[32];
	struct str name = picture_name(n, text);

	buf_printf(b, "<g><title>");
	picture_text(b, name, PICTURE_NAME_MAX, svg_put);
	buf_printf(b, "</title><rect class=\"n%s\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"6\"/>",
		   n->kind == MAP_KIND_UNKNOWN || n->kind == MAP_KIND_OTHER ? " u" : "", p->x - p->w / 2,
		   p->y - LAYOUT_BOX_H / 2, p->w, LAYOUT_BOX_H);
	buf_printf(b, "<text x=\"%d\" y=\"%d\">", p->x - p->w / 2 + 12, p->y - 2);
	picture_text(b, name, (size_t)(p->w - 24) * 2 / 15, svg_put);
	buf_printf(b, "</text><text class=\"t\" x=\"%d\" y=\"%d\">", p->x - p->w / 2 + 12, p->y + 14);
	picture_bytes(b, n->bytes);
	buf_printf(b, "</text></g>\n");
}

void picture_svg(const struct map *m, const struct layout *l, struct buf *b)
{
	int32_t w = l->width ? l->width : 400, h = l->height ? l->height : 60;

	buf_printf(b,
		   "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" "
		   "role=\"img\">\n<title>Skyfall: who talks to whom</title>\n",
		   w, h, w, h);
	buf_put(b, svg_style, sizeof(svg_style) - 1);
	buf_printf(
		b,
		"<defs><marker id=\"a\" viewBox=\"0 0 8 8\" refX=\"1\" refY=\"4\" markerWidth=\"8\" markerHeight=\"8\" "
		"markerUnits=\"userSpaceOnUse\" orient=\"auto\"><path class=\"a\" d=\"M0 0L8 4L0 8z\"/></marker></defs>\n"
		"<rect class=\"bg\" width=\"%d\" height=\"%d\"/>\n",
		w, h);
	svg_bands(l, b);
	if (!m->n_nodes)
		buf_printf(b, "<text x=\"16\" y=\"36\">nothing was measured in this range</text>\n");
	for (size_t i = 0; i < m->n_edges; i++)
		svg_edge(m, l, &m->edges[i], b);
	for (size_t i = 0; i < m->n_nodes; i++)
		svg_node(&m->nodes[i], &l->places[l->of_node[i]], b);
	buf_printf(b, "</svg>\n");
}
