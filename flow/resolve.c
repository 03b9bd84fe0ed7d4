/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Schema resolution (Avro 1.11 specification, "Schema Resolution"), as far as messages of ours can differ between versions.
 *
 *     the writer's schema (JSON)  ->  a tree of types             bounded: NODES
 *     the record's fields         ->  one step each, in order     with the member of ours that has its name, or none: passed by
 *
 * 1. Members without a default in our schema (flow/schema.c: all but the statistics, and what is added later) are what a message is
 *    about: a schema that lacks one is refused when it is made known, not row by row.
 * 2. A field has our name and another type: refused likewise. int is a long; bytes are a string.
 * 3. What is passed by is still read: a length or a branch that cannot be makes the message broken.
 * 4. Recursion ends: types are nested DEPTH deep at most, and a record cannot stand in itself.
 *
 * Unknown statistics of a newer writer are passed by: the older reader's sums lack them, as they did before the upgrade.
 */
#include "flow/resolve.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "flow/avrobin.h"
#include "flow/schema.h"

#define NODES 2048
#define DEPTH 8
#define NAMED 64
#define STEPS 1024
#define ITEMS_MAX (1u << 20) /* of an array or map that is passed by */

enum type { NONE, BOOLEAN, LONG, FLOAT, DOUBLE, STRINGS, FIXED, ARRAY, MAP, UNION, RECORD }; /* as they are read */

struct node {
	uint8_t type;
	uint8_t nothing;      /* takes no bytes: such items cannot be counted on to end */
	uint16_t first, next; /* child, and sibling; 0: none */
	uint32_t size;        /* of FIXED */
	const char *name;     /* of a record's field; in `json` */
};

struct step {
	uint16_t node;
	uint16_t field;                 /* STATS: which */
	const struct schema_member *to; /* NULL: passed by */
};

struct writer {
	uint64_t number;
	enum flow_msg_type type;
	struct node *nodes;
	struct step *steps;
	size_t n_steps;
};

struct resolve {
	struct writer writers[RESOLVE_SCHEMAS];
	size_t n;
};

/* A schema being read. */
struct parse {
	struct node *nodes;
	unsigned n;
	struct {
		const char *name;
		uint16_t node;
	} named[NAMED];
	unsigned n_named;
	char *why;
	size_t why_len;
};

/* --- the writer's schema */

static unsigned parse_fail(struct parse *p, const char *what, const char *name)
{
	snprintf(p->why, p->why_len, "%s '%s'", what, name ?: "");
	return 0;
}

static unsigned node_new(struct parse *p, enum type type)
{
	if (p->n == NODES)
		return parse_fail(p, "more types than can be read, from", "fields");
	p->nodes[p->n] = (struct node){.type = type};
	return p->n++;
}

static unsigned parse_type(struct parse *p, const json_t *json, unsigned depth);

/* "skyfall.Ip" and "Ip" are the same here: there is one name space. */
static const char *short_name(const char *name)
{
	const char *dot = name ? strrchr(name, '.') : NULL;

	return dot ? dot + 1 : name;
}

static unsigned parse_name(struct parse *p, const char *name)
{
	static const struct {
		const char *name;
		enum type type;
	} primitives[] = {
		{"null", NONE},   {"boolean", BOOLEAN}, {"int", LONG},      {"long", LONG},
		{"float", FLOAT}, {"double", DOUBLE},   {"bytes", STRINGS}, {"string", STRINGS},
	};

	for (size_t i = 0; i < sizeof(primitives) / sizeof(*primitives); i++)
		if (strcmp(primitives[i].name, name) == 0)
			return node_new(p, primitives[i].type);
	for (unsigned i = 0; i < p->n_named; i++) {
		if (strcmp(p->named[i].name, short_name(name)) == 0) {
			unsigned copy = node_new(p, NONE);

			p->nodes[copy] = p->nodes[p->named[i].node];
			p->nodes[copy].next = 0;
			return copy;
		}
	}
	return parse_fail(p, "unknown type", name);
}

/* A child behind the last one. */
static void link_child(struct parse *p, unsigned parent, unsigned *last, unsigned child)
{
	if (*last)
		p->nodes[*last].next = (uint16_t)child;
	else
		p->nodes[parent].first = (uint16_t)child;
	*last = child;
}

static unsigned parse_list(struct parse *p, enum type type, const json_t *list, unsigned depth)
{
	unsigned parent = node_new(p, type), last = 0;

	for (size_t i = 0; parent && i < json_array_size(list); i++) {
		const json_t *one = json_array_get(list, i);
		const char *name = type == RECORD ? json_string_value(json_object_get(one, "name")) : NULL;
		unsigned child = parse_type(p, type == RECORD ? json_object_get(one, "type") : one, depth + 1);

		if (!child)
			return 0;
		if (type == RECORD && !name)
			return parse_fail(p, "a field without a name after", last ? p->nodes[last].name : "");
		p->nodes[child].name = name;
		link_child(p, parent, &last, child);
	}
	return parent;
}

static unsigned parse_items(struct parse *p, enum type type, const json_t *items, unsigned depth)
{
	unsigned parent = node_new(p, type), child = parent ? parse_type(p, items, depth + 1) : 0;

	p->nodes[parent].first = (uint16_t)child;
	return child ? parent : 0;
}

static unsigned parse_object(struct parse *p, const json_t *json, unsigned depth)
{
	const char *type = json_string_value(json_object_get(json, "type"));
	const char *name = json_string_value(json_object_get(json, "name"));
	unsigned node = 0;

	if (!type)
		return parse_type(p, json_object_get(json, "type"), depth + 1);
	if (strcmp(type, "array") == 0)
		return parse_items(p, ARRAY, json_object_get(json, "items"), depth);
	if (strcmp(type, "map") == 0)
		return parse_items(p, MAP, json_object_get(json, "values"), depth);
	if (strcmp(type, "record") == 0) {
		node = parse_list(p, RECORD, json_object_get(json, "fields"), depth);
	} else if (strcmp(type, "enum") == 0) {
		node = node_new(p, LONG);
	} else if (strcmp(type, "fixed") == 0) {
		json_int_t size = json_integer_value(json_object_get(json, "size"));

		node = size > 0 && size < 65536 ? node_new(p, FIXED) : parse_fail(p, "size of", name);
		p->nodes[node].size = (uint32_t)size;
	} else {
		return parse_name(p, type);
	}
	if (node && name && p->n_named < NAMED) {
		p->named[p->n_named].name = short_name(name);
		p->named[p->n_named++].node = (uint16_t)node;
	}
	return node;
}

/* The node, 0: it cannot be read. */
static unsigned parse_type(struct parse *p, const json_t *json, unsigned depth)
{
	if (depth > DEPTH)
		return parse_fail(p, "types nested too deep at", json_string_value(json_object_get(json, "name")));
	if (json_is_string(json))
		return parse_name(p, json_string_value(json));
	if (json_is_array(json))
		return parse_list(p, UNION, json, depth);
	if (json_is_object(json))
		return parse_object(p, json, depth);
	return parse_fail(p, "not a type:", "");
}

/* --- its fields, with ours */

static bool stat_named(const struct schema_member *m, const char *name, unsigned *ret_field)
{
	char column[64];

	for (unsigned f = 0; f < FLOW_FIELDS; f++) {
		const char *own = m->max == FLOW_VIEWS ? flow_fields[f].name : flow_column(f, m->max, column);

		if (own && strcmp(own, name) == 0) {
			*ret_field = f;
			return true;
		}
	}
	return false;
}

/* The member of ours with that name; NULL: none. */
static const struct schema_member *member_named(enum flow_msg_type type, const char *name, unsigned *ret_field)
{
	for (const struct schema_member *m = schema_records[type].members; m->name; m++)
		if (m->kind == STATS ? stat_named(m, name, ret_field) : strcmp(m->name, name) == 0)
			return m;
	return NULL;
}

/* An address as ours: the same four fields in the same order. */
static bool address_fits(const struct node *nodes, const struct node *record)
{
	static const struct {
		const char *name;
		enum type type;
	} ours[] = {{"ip", FIXED}, {"bits", LONG}, {"host_only", LONG}, {"netns", LONG}};
	const struct node *n = &nodes[record->first];

	for (size_t i = 0; i < sizeof(ours) / sizeof(*ours); i++, n = &nodes[n->next])
		if (n == nodes || n->type != ours[i].type || strcmp(n->name, ours[i].name) != 0 ||
		    (n->type == FIXED && n->size != 16))
			return false;
	return n == nodes;
}

static bool fits(const struct node *nodes, const struct node *n, const struct schema_member *m, unsigned field)
{
	const struct node *item = &nodes[n->first];
	bool many = m->kind == STATS ? flow_fields[field].width == FLOW_HIST : m->kind == PORTS || m->kind == ADDRESSES;

	if (m->kind == COUNTS)
		return n->type == MAP && item->type == LONG;
	if (m->kind == ADDRESSES)
		return n->type == ARRAY && item->type == RECORD && address_fits(nodes, item);
	if (many)
		return n->type == ARRAY && item->type == LONG;
	if (m->kind == STRING)
		return n->type == STRINGS;
	if (m->kind == IP)
		return n->type == FIXED && n->size == 16;
	return n->type == LONG;
}

static int bind_field(struct parse *p, struct writer *w, unsigned node)
{
	const struct node *n = &p->nodes[node];
	unsigned field = 0;
	const struct schema_member *m = member_named(w->type, n->name, &field);

	if (m && !fits(p->nodes, n, m, field)) {
		parse_fail(p, "another type in", n->name);
		return -EINVAL;
	}
	if (w->n_steps == STEPS) {
		parse_fail(p, "more fields than can be read, from", n->name);
		return -EINVAL;
	}
	w->steps[w->n_steps++] = (struct step){.node = (uint16_t)node, .field = (uint16_t)field, .to = m};
	return 0;
}

static bool bound(const struct writer *w, const struct schema_member *m)
{
	for (size_t i = 0; i < w->n_steps; i++)
		if (w->steps[i].to == m)
			return true;
	return false;
}

/* Each field of ours once, and all of those there must be. */
static int bind_all(struct parse *p, struct writer *w, unsigned root)
{
	int r = 0;

	for (unsigned i = p->nodes[root].first; i && !r; i = p->nodes[i].next)
		r = bind_field(p, w, i);
	for (const struct schema_member *m = schema_records[w->type].members; m->name && !r; m++) {
		if (m->kind == STATS || m->later || bound(w, m))
			continue;
		parse_fail(p, "no field", m->name);
		r = -EINVAL;
	}
	return r;
}

static int type_named(struct parse *p, const json_t *json, enum flow_msg_type *ret)
{
	const char *name = json_string_value(json_object_get(json, "name"));

	for (unsigned t = 0; t < FLOW_MSG_TYPES; t++) {
		if (name && strcmp(short_name(name), flow_msg_name(t)) == 0) {
			*ret = t;
			return 0;
		}
	}
	parse_fail(p, "no message of ours is called", name);
	return -EINVAL;
}

static void writer_deinit(struct writer *w)
{
	free(w->nodes);
	free(w->steps);
}

/* The names in nodes are of `json`; they are not looked at any more once the fields are bound. */
static int writer_init(struct writer *w, const json_t *json, char *why, size_t why_len)
{
	struct parse p = {.why = why, .why_len = why_len, .n = 1};
	unsigned root;
	int r;

	p.nodes = calloc(NODES, sizeof(*p.nodes));
	w->nodes = p.nodes;
	w->steps = calloc(STEPS, sizeof(*w->steps));
	if (!w->nodes || !w->steps)
		return -ENOMEM;
	r = type_named(&p, json, &w->type);
	if (r < 0)
		return r;
	root = parse_type(&p, json, 0);
	if (root && p.nodes[root].type != RECORD)
		root = parse_fail(&p, "no record:", flow_msg_name(w->type));
	return root ? bind_all(&p, w, root) : -EINVAL;
}

/* --- the set */

int resolve_new(struct resolve **ret)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? 0 : -ENOMEM;
}

void resolve_free(struct resolve *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->n; i++)
		writer_deinit(&r->writers[i]);
	free(r);
}

static const struct writer *writer_of(const struct resolve *r, uint64_t number)
{
	for (size_t i = 0; i < r->n; i++)
		if (r->writers[i].number == number)
			return &r->writers[i];
	return NULL;
}

bool resolve_has(const struct resolve *r, uint64_t number)
{
	return writer_of(r, number) != NULL;
}

int resolve_add(struct resolve *r, uint64_t number, struct str text, char *why, size_t why_len)
{
	struct writer w = {.number = number};
	json_error_t error;
	json_t *json;
	int e;

	if (resolve_has(r, number))
		return 0;
	snprintf(why, why_len, "%s", strerror(r->n == RESOLVE_SCHEMAS ? ENOSPC : ENOMEM));
	if (r->n == RESOLVE_SCHEMAS)
		return -ENOSPC;
	json = text.n <= RESOLVE_TEXT_MAX ? json_loadb(text.p, text.n, 0, &error) : NULL;
	if (!json) {
		snprintf(why, why_len, "no JSON: %s", text.n <= RESOLVE_TEXT_MAX ? error.text : "too long");
		return -EINVAL;
	}
	e = writer_init(&w, json, why, why_len);
	json_decref(json);
	if (e < 0)
		writer_deinit(&w);
	else
		r->writers[r->n++] = w;
	return e;
}

/* --- messages */

static void pass(struct avrobin_cursor *c, const struct node *nodes, const struct node *n);

/* An array's or a map's items, in blocks. Those without a byte each are bounded by their count. */
static void pass_items(struct avrobin_cursor *c, const struct node *nodes, const struct node *n)
{
	size_t block, all = 0;

	while ((block = avrobin_block(c, ITEMS_MAX - all)) > 0) {
		all += block;
		for (; block && !c->err; block--) {
			if (n->type == MAP)
				avrobin_bytes(c);
			pass(c, nodes, &nodes[n->first]);
		}
	}
}

static void pass_union(struct avrobin_cursor *c, const struct node *nodes, const struct node *n)
{
	uint64_t branch = (uint64_t)avrobin_long(c);
	unsigned i = n->first;

	for (; i && branch; branch--)
		i = nodes[i].next;
	if (i && !c->err)
		pass(c, nodes, &nodes[i]);
	else
		c->err = true;
}

/* Reads a value and forgets it. */
static void pass(struct avrobin_cursor *c, const struct node *nodes, const struct node *n)
{
	switch (n->type) {
	case NONE:
		break;
	case BOOLEAN:
		avrobin_fixed(c, 1);
		break;
	case LONG:
		avrobin_long(c);
		break;
	case FLOAT:
		avrobin_fixed(c, 4);
		break;
	case DOUBLE:
		avrobin_fixed(c, 8);
		break;
	case STRINGS:
		avrobin_bytes(c);
		break;
	case FIXED:
		avrobin_fixed(c, n->size);
		break;
	case UNION:
		pass_union(c, nodes, n);
		break;
	case RECORD:
		for (unsigned i = n->first; i && !c->err; i = nodes[i].next)
			pass(c, nodes, &nodes[i]);
		break;
	default:
		pass_items(c, nodes, n);
	}
}

int resolve_decode(const struct resolve *r, const void *p, size_t n, struct flow_msg *ret, uint64_t *ret_number)
{
	struct avrobin_cursor c = {p, (const uint8_t *)p + n, false};
	const struct writer *w;
	char *record = (char *)&ret->row;
	int e = flow_msg_decode(p, n, ret);

	if (e != -ENOKEY)
		return e;
	*ret_number = avrobin_header(&c);
	w = writer_of(r, *ret_number);
	if (!w)
		return -ENOKEY;
	ret->type = w->type;
	memset(record, 0, schema_records[w->type].size);
	for (size_t i = 0; i < w->n_steps && !c.err; i++) {
		const struct step *s = &w->steps[i];

		if (!s->to)
			pass(&c, w->nodes, &w->nodes[s->node]);
		else if (s->to->kind == STATS)
			schema_decode_stat(&c, (struct flow_stats *)(record + s->to->offset), s->field);
		else
			schema_decode(&c, s->to, record);
	}
	return c.err || c.p != c.end ? -EBADMSG : 0;
}
