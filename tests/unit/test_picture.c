/* SPDX-License-Identifier: Apache-2.0 */
/* DOT, Mermaid and SVG, held against readers of others and against a strict grammar; with names that mean harm. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>

#include "server/picture.h"
#include "shop_rows.h"

struct pictures {
	struct buf dot, mermaid, svg;
};

static void draw(const struct store_row *rows, size_t n, struct pictures *ret)
{
	const struct map_ask ask = {0};
	struct layout_node nodes[64];
	struct layout_edge edges[64];
	struct layout *l;
	struct map *m;

	assert_int_equal(map_new(&m, rows, n, &ask), 0);
	assert_true(m->n_nodes <= 64 && m->n_edges <= 64);
	for (size_t i = 0; i < m->n_nodes; i++)
		nodes[i] = (struct layout_node){.id = m->nodes[i].id, .zone = m->nodes[i].zone, .w = 120};
	for (size_t i = 0; i < m->n_edges; i++)
		edges[i] = (struct layout_edge){m->edges[i].source, m->edges[i].target};
	assert_int_equal(layout_new(&l, nodes, m->n_nodes, edges, m->n_edges, NULL), 0);
	buf_init(&ret->dot, 0);
	buf_init(&ret->mermaid, 0);
	buf_init(&ret->svg, 0);
	picture_dot(m, NULL, &ret->dot);
	picture_mermaid(m, NULL, &ret->mermaid);
	picture_svg(m, l, &ret->svg);
	map_free(m);
	layout_free(l);
}

static void pictures_deinit(struct pictures *p)
{
	buf_deinit(&p->dot);
	buf_deinit(&p->mermaid);
	buf_deinit(&p->svg);
}

/* Gives the text to a command; what the command says, at most `size`. Its exit code. */
static int through(const char *command, struct buf *text, char *said, size_t size)
{
	char path[] = "/tmp/skyfall-picture-XXXXXX", line[2048];
	int fd = mkstemp(path), status;
	size_t n;
	FILE *f;

	assert_true(fd >= 0);
	f = fdopen(fd, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(text->p, 1, text->n, f), text->n);
	assert_int_equal(fclose(f), 0);
	snprintf(line, sizeof(line), "%s <%s 2>&1", command, path);
	f = popen(line, "r");
	assert_non_null(f);
	n = fread(said, 1, size - 1, f);
	said[n] = '\0';
	status = pclose(f);
	remove(path);
	return status;
}

/* Python's own reader of XML: the texts of boxes, one a line, and nothing that runs or loads. */
#define SVG_READER                                                                  \
	"/usr/bin/python3 -c '\n"                                                   \
	"import sys, xml.etree.ElementTree as t\n"                                  \
	"root = t.fromstring(sys.stdin.buffer.read())\n"                            \
	"ns = \"{http://www.w3.org/2000/svg}\"\n"                                   \
	"assert root.tag == ns + \"svg\", root.tag\n"                               \
	"allowed = set(\"svg title style defs marker path rect text g\".split())\n" \
	"for x in root.iter():\n"                                                   \
	"    assert x.tag.replace(ns, \"\") in allowed, x.tag\n"                    \
	"    for k, v in x.attrib.items():\n"                                       \
	"        assert not k.startswith(\"on\") and \"href\" not in k, k\n"        \
	"for g in root.iter(ns + \"g\"):\n"                                         \
	"    print(ascii(g.find(ns + \"title\").text))\n"                           \
	"'"

static void check_svg(struct buf *b, char *said, size_t size)
{
	if (through(SVG_READER, b, said, size))
		fail_msg("the SVG is no XML: %s", said);
}

/* Every line is one of these. */
static void check_lines(struct buf *b, const char *const *patterns, size_t n)
{
	char *copy = strdup(buf_text(b)), *next = copy, *line;

	assert_non_null(copy);
	while ((line = strsep(&next, "\n"))) {
		bool ok = !*line;

		for (size_t i = 0; !ok && i < n; i++) {
			regex_t r;

			assert_int_equal(regcomp(&r, patterns[i], REG_EXTENDED | REG_NOSUB), 0);
			ok = !regexec(&r, line, 0, NULL, 0);
			regfree(&r);
		}
		if (!ok)
			fail_msg("no such line: %s", line);
	}
	free(copy);
}

#define QUOTED "\"([^\"\\]|\\\\[\"\\])*\""

/* Our own lines, strictly; and Graphviz reads it, where there is one. */
static void check_dot(struct buf *b)
{
	static const char *const lines[] = {
		"^digraph skyfall \\{$",
		"^\trankdir=LR;$",
		"^\t(node|edge) \\[[a-z0-9=\", -]*\\];$",
		"^\tsubgraph cluster_[0-9]+ \\{$",
		"^\tlabel=" QUOTED ";$",
		"^\tn[0-9]+ \\[label=" QUOTED "(, style=dashed)?\\];$",
		"^\tn[0-9]+ -> n[0-9]+ \\[label=\"[a-zA-Z0-9_. ]+\", color=\"#[0-9a-f]{6}\"(, style=dashed)?\\];$",
		"^\t?\\}$",
	};
	char said[4096];

	check_lines(b, lines, sizeof(lines) / sizeof(*lines));
	if (!system("command -v dot >/dev/null") && through("dot -Tplain >/dev/null", b, said, sizeof(said)))
		fail_msg("dot: %s", said);
}

/* A label holds entities instead of everything that means something to Mermaid, Markdown or HTML. */
static void check_mermaid(struct buf *b)
{
	static const char *const lines[] = {
		"^flowchart LR$",
		"^    subgraph z[0-9]+\\[\"([^]\"&<>;`\\*_[{}()|%#]|#[0-9]+;)*\"\\]$",
		"^    n[0-9]+\\[\"([^]\"&<>;`\\*_[{}()|%#]|#[0-9]+;)*\"\\]$",
		"^    n[0-9]+ (-->|-\\.->)\\|\"[a-zA-Z0-9_. ]+\"\\| n[0-9]+$",
		"^    linkStyle [0-9]+ stroke:#[0-9a-f]{6}$",
		"^    end$",
	};

	check_lines(b, lines, sizeof(lines) / sizeof(*lines));
}

static void check(struct pictures *p, char *said, size_t size)
{
	assert_int_equal(p->dot.err | p->mermaid.err | p->svg.err, 0);
	check_dot(&p->dot);
	check_mermaid(&p->mermaid);
	check_svg(&p->svg, said, size);
}

static void keep(const char *name, struct buf *b)
{
	const char *folder = getenv("SKYFALL_TEST_KEEP");
	char path[256];
	FILE *f;

	if (!folder)
		return;
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fwrite(b->p, 1, b->n, f);
	fclose(f);
}

static void test_shop(void **state)
{
	struct store_row rows[16];
	struct pictures p;
	char said[4096];

	draw(rows, shop_rows(rows), &p);
	check(&p, said, sizeof(said));
	assert_non_null(strstr(said, "'payments-db'"));
	assert_non_null(strstr(buf_text(&p.dot), "label=\"retransmits\", color=\"#d55e00\"]"));
	assert_non_null(strstr(buf_text(&p.dot), "label=\"refused\", color=\"#d55e00\", style=dashed]"));
	assert_non_null(strstr(buf_text(&p.mermaid), "-.->|\"refused\"|"));
	assert_non_null(strstr(buf_text(&p.svg), "all 12 attempts were refused: nothing listens there"));
	keep("shop.svg", &p.svg);
	keep("shop.dot", &p.dot);
	keep("shop.mmd", &p.mermaid);
	pictures_deinit(&p);
}

static void test_nothing(void **state)
{
	struct pictures p;
	char said[4096];

	draw(NULL, 0, &p);
	check(&p, said, sizeof(said));
	assert_non_null(strstr(buf_text(&p.svg), "nothing was measured"));
	pictures_deinit(&p);
}

/* Names a stranger may choose. */
static void test_names_that_mean_harm(void **state)
{
	static char longest[4097];
	static const char *const names[] = {
		"</text><script>alert(1)</script>",
		"\"]; n0 -> n1; \"",
		"a\\",
		"\\\"",
		"line\nbreak\r\ttab",
		"]]> <!-- &amp; & ' \"",
		"end",
		"#quot; `code` **bold** %% comment",
		"\xe2\x80\xae"
		"txt.exe"
		"\xe2\x81\xa6",
		"\xff\xfe not text \xc3",
		"\xe6\x97\xa5\xe6\x9c\xac \xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d",
		"\x01\x02\x7f",
		"&#8238;txt.exe",
		"",
	};
	size_t n = sizeof(names) / sizeof(*names);
	struct store_row rows[16];
	struct pictures p;
	char said[16384];

	memset(longest, '<', sizeof(longest) - 1);
	for (size_t i = 0; i < n; i++)
		rows[i] = shop_row(names[i], names[(i + 3) % n], i + 1 < n ? names[i + 1] : longest, longest, 1,
				   1000 * i);
	draw(rows, n, &p);
	check(&p, said, sizeof(said));
	/* The reader of XML gets the name back as it was. */
	assert_non_null(strstr(said, "'</text><script>alert(1)</script>'"));
	assert_non_null(strstr(said, "\\ufffdtxt.exe\\ufffd"));
	assert_non_null(strstr(said, "'\\u65e5\\u672c \\u05e9\\u05dc\\u05d5\\u05dd'"));
	assert_non_null(strstr(said, "\\ufffd\\ufffd not text \\ufffd"));
	assert_non_null(strstr(buf_text(&p.dot), "label=\"&amp;#8238;txt.exe\""));
	/* 4 KiB become 119 and an ellipsis. */
	assert_non_null(strstr(said, "<<<<\\u2026'"));
	assert_null(strstr(buf_text(&p.svg), "<script"));
	assert_null(strstr(buf_text(&p.mermaid), "script>"));
	assert_true(p.svg.n < 64 * 1024);
	keep("harm.svg", &p.svg);
	pictures_deinit(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shop),
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_names_that_mean_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
