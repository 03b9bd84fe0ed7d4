/* SPDX-License-Identifier: Apache-2.0 */
/* Messages of other versions: written by the Avro library under schemas that have more fields than ours, fewer, in another order. */
#include <avro.h>
#include <errno.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "flow/avrobin.h"
#include "flow/resolve.h"
#include "flow/schema.h"

enum { ROUNDS = 300, NUMBER = 4711 };

static const char *const newer[] = {
	"\"null\"",
	"\"boolean\"",
	"\"int\"",
	"\"long\"",
	"\"float\"",
	"\"double\"",
	"\"bytes\"",
	"\"string\"",
	"{\"type\":\"fixed\",\"name\":\"F%u\",\"size\":7}",
	"{\"type\":\"enum\",\"name\":\"E%u\",\"symbols\":[\"A\",\"B\",\"C\"]}",
	"{\"type\":\"array\",\"items\":\"string\"}",
	"{\"type\":\"map\",\"values\":{\"type\":\"array\",\"items\":\"double\"}}",
	"[\"null\",\"string\",{\"type\":\"map\",\"values\":\"long\"}]",
	"{\"type\":\"record\",\"name\":\"R%u\",\"fields\":[{\"name\":\"interval\",\"type\":\"string\"},"
	"{\"name\":\"x\",\"type\":[\"null\",\"long\"]}]}",
};

static void encode_ours(struct buf *b)
{
	struct flow_row row = {
		.interval = 1700000000,
		.interval_s = 10,
		.view = FLOW_VIEW_SERVER,
		.conv = {.net = STR("corp"), .port = 443, .protocol = 6},
		.names = {.service = STR("web"), .process = STR("nginx"), .quality = FLOW_OWNER_SCAN},
		.ports = {40000, 65535},
		.n_ports = 2,
	};

	ip_parse("10.1.2.3", &row.conv.client);
	ip_parse("2001:db8::9", &row.conv.server);
	for (unsigned f = 0; f < FLOW_FIELDS; f++) {
		if (flow_fields[f].width != FLOW_HIST)
			*flow_stats_u64(&row.stats, f) = (uint64_t)rand() << 20;
		else
			for (unsigned i = 0; i < 9; i++)
				flow_stats_hist(&row.stats, f)[i] = rand() % 5;
	}
	flow_msg_encode(b, FLOW_MSG_ROW, &row);
}

static json_t *our_schema(enum flow_msg_type type)
{
	struct buf b;
	json_t *json;

	buf_init(&b, 0);
	flow_msg_schema(&b, type, false);
	json = json_loadb(b.p, b.n, 0, NULL);
	buf_deinit(&b);
	assert_non_null(json);
	return json;
}

static json_t *field_of(json_t *schema, const char *name, size_t *ret_at)
{
	json_t *fields = json_object_get(schema, "fields"), *one;
	size_t i;

	json_array_foreach(fields, i, one) if (strcmp(json_string_value(json_object_get(one, "name")), name) == 0)
	{
		*ret_at = i;
		return one;
	}
	fail_msg("no field %s", name);
	return NULL;
}

static json_t *new_field(unsigned n)
{
	char type[256], name[16];
	json_t *field = json_object();

	snprintf(type, sizeof(type), newer[rand() % (sizeof(newer) / sizeof(*newer))], n);
	snprintf(name, sizeof(name), "new_%u", n);
	json_object_set_new(field, "name", json_string(name));
	json_object_set_new(field, "type", json_loads(type, JSON_DECODE_ANY, NULL));
	return field;
}

/* Some statistics gone, some fields added, all of them in another order; "skyfall.Ip" is defined where it comes first. */
static json_t *other_version(const struct flow_stats *gone)
{
	json_t *schema = our_schema(FLOW_MSG_ROW), *fields = json_object_get(schema, "fields");
	json_t *ip = json_deep_copy(json_object_get(field_of(schema, "client", &(size_t){0}), "type")), *one;
	unsigned added = rand() % 12;
	bool first = true;
	size_t i, at;

	for (unsigned f = 0; f < FLOW_FIELDS; f++)
		if (flow_stats_present(gone) >> f & 1) {
			field_of(schema, flow_fields[f].name, &at);
			json_array_remove(fields, at);
		}
	for (unsigned n = 0; n < added; n++)
		json_array_append_new(fields, new_field(n));
	for (i = json_array_size(fields); i-- > 1;) {
		json_t *last;

		at = (size_t)rand() % (i + 1);
		last = json_incref(json_array_get(fields, i));
		one = json_incref(json_array_get(fields, at));
		json_array_set_new(fields, i, one);
		json_array_set_new(fields, at, last);
	}
	json_array_foreach(fields, i, one)
	{
		const char *name = json_string_value(json_object_get(one, "name"));

		if (strcmp(name, "client") == 0 || strcmp(name, "server") == 0) {
			json_object_set(one, "type", first ? ip : json_object_get(ip, "name"));
			first = false;
		}
	}
	json_decref(ip);
	return schema;
}

/* Any value of its type. */
static void fill(avro_value_t *v)
{
	avro_value_t one;
	char key[16];
	size_t n;

	switch (avro_value_get_type(v)) {
	case AVRO_BOOLEAN:
		avro_value_set_boolean(v, rand() & 1);
		break;
	case AVRO_BYTES:
		avro_value_set_bytes(v, key, (size_t)rand() % sizeof(key));
		break;
	case AVRO_DOUBLE:
		avro_value_set_double(v, rand());
		break;
	case AVRO_FLOAT:
		avro_value_set_float(v, 0.5f);
		break;
	case AVRO_INT32:
		avro_value_set_int(v, rand() - rand());
		break;
	case AVRO_INT64:
		avro_value_set_long(v, -(int64_t)rand() * 77777);
		break;
	case AVRO_NULL:
		avro_value_set_null(v);
		break;
	case AVRO_STRING:
		avro_value_set_string(v, rand() & 1 ? "" : "text of some length");
		break;
	case AVRO_FIXED:
		avro_value_set_fixed(v, "1234567", 7);
		break;
	case AVRO_ENUM:
		avro_value_set_enum(v, rand() % 3);
		break;
	case AVRO_ARRAY:
		for (int i = rand() % 4; i > 0; i--) {
			avro_value_append(v, &one, NULL);
			fill(&one);
		}
		break;
	case AVRO_MAP:
		for (int i = rand() % 4; i > 0; i--) {
			snprintf(key, sizeof(key), "key%d", i);
			avro_value_add(v, key, &one, NULL, NULL);
			fill(&one);
		}
		break;
	case AVRO_UNION:
		avro_schema_t schema = avro_value_get_schema(v);

		avro_value_set_branch(v, rand() % (int)avro_schema_union_size(schema), &one);
		fill(&one);
		break;
	case AVRO_RECORD:
		avro_value_get_size(v, &n);
		for (size_t i = 0; i < n; i++) {
			avro_value_get_by_index(v, i, &one, NULL);
			fill(&one);
		}
		break;
	default:
		fail();
	}
}

static avro_value_t value_of(json_t *json)
{
	char *text = json_dumps(json, 0);
	avro_value_iface_t *iface;
	avro_schema_t schema;
	avro_value_t v;

	if (avro_schema_from_json_length(text, strlen(text), &schema) != 0)
		fail_msg("%s in %s", avro_strerror(), text);
	iface = avro_generic_class_from_schema(schema);
	assert_int_equal(avro_generic_value_new(iface, &v), 0);
	avro_schema_decref(schema);
	avro_value_iface_decref(iface);
	free(text);
	return v;
}

/* The message in `ours`, as a writer with that schema would have written it. */
static void write_as(json_t *schema, const struct buf *ours, struct buf *ret)
{
	json_t *own = our_schema(FLOW_MSG_ROW);
	avro_value_t from = value_of(own), to = value_of(schema), a, b;
	avro_reader_t reader = avro_reader_memory(ours->p + AVROBIN_HEADER, (int64_t)(ours->n - AVROBIN_HEADER));
	char room[65536];
	avro_writer_t writer = avro_writer_memory(room, sizeof(room));
	const char *name;
	size_t n;

	assert_int_equal(avro_value_read(reader, &from), 0);
	avro_value_get_size(&to, &n);
	for (size_t i = 0; i < n; i++) {
		avro_value_get_by_index(&to, i, &a, &name);
		if (avro_value_get_by_name(&from, name, &b, NULL) == 0)
			assert_int_equal(avro_value_copy(&a, &b), 0);
		else
			fill(&a);
	}
	assert_int_equal(avro_value_write(writer, &to), 0);
	avrobin_put_header(ret, NUMBER);
	buf_put(ret, room, (size_t)avro_writer_tell(writer));
	avro_writer_free(writer);
	avro_reader_free(reader);
	avro_value_decref(&from);
	avro_value_decref(&to);
	json_decref(own);
}

static int add(struct resolve *r, json_t *schema, char why[256])
{
	char *text = json_dumps(schema, 0);
	int e = resolve_add(r, NUMBER, str_from(text), why, 256);

	free(text);
	return e;
}

static void check_round(unsigned seed)
{
	struct flow_stats gone = {0};
	struct buf ours, theirs, again, want;
	static struct flow_msg msg, expected;
	struct resolve *r;
	char why[256];
	json_t *schema;
	uint64_t number = 0;

	srand(seed);
	for (unsigned f = 0; f < FLOW_FIELDS; f++)
		if (rand() % 4 == 0 && flow_fields[f].width != FLOW_HIST)
			*flow_stats_u64(&gone, f) = 1;
		else if (rand() % 4 == 0 && flow_fields[f].width == FLOW_HIST)
			flow_stats_hist(&gone, f)[0] = 1;
	buf_init(&ours, 0);
	buf_init(&theirs, 0);
	buf_init(&again, 0);
	buf_init(&want, 0);
	encode_ours(&ours);
	schema = other_version(&gone);
	write_as(schema, &ours, &theirs);
	assert_int_equal(resolve_new(&r), 0);
	assert_int_equal(resolve_decode(r, theirs.p, theirs.n, &msg, &number), -ENOKEY);
	assert_int_equal(number, NUMBER);
	if (add(r, schema, why) != 0)
		fail_msg("seed %u: %s", seed, why);
	assert_true(resolve_has(r, NUMBER));
	assert_int_equal(resolve_decode(r, theirs.p, theirs.n, &msg, &number), 0);
	assert_int_equal(flow_msg_decode(ours.p, ours.n, &expected), 0);
	for (unsigned f = 0; f < FLOW_FIELDS; f++) {
		if (!(flow_stats_present(&gone) >> f & 1))
			continue;
		if (flow_fields[f].width == FLOW_HIST)
			memset(flow_stats_hist(&expected.row.stats, f), 0, sizeof(uint32_t[FLOW_BUCKETS]));
		else
			*flow_stats_u64(&expected.row.stats, f) = 0;
	}
	flow_msg_encode(&again, msg.type, &msg.row);
	flow_msg_encode(&want, FLOW_MSG_ROW, &expected.row);
	assert_int_equal(again.n, want.n);
	assert_memory_equal(again.p, want.p, want.n);

	for (size_t n = 0; n < theirs.n; n++) { /* in memory of its own: sanitizers see the end */
		char *cut = malloc(n ? n : 1);

		memcpy(cut, theirs.p, n);
		assert_int_equal(resolve_decode(r, cut, n, &msg, &number), -EBADMSG);
		free(cut);
	}
	for (unsigned i = 0; i < 200; i++) { /* whatever comes of it, it ends */
		theirs.p[AVROBIN_HEADER + (size_t)rand() % (theirs.n - AVROBIN_HEADER)] ^= (char)(1 << rand() % 8);
		(void)resolve_decode(r, theirs.p, theirs.n, &msg, &number);
	}
	json_decref(schema);
	resolve_free(r);
	buf_deinit(&ours);
	buf_deinit(&theirs);
	buf_deinit(&again);
	buf_deinit(&want);
}

static void other_versions(void **state)
{
	for (unsigned seed = 1; seed <= ROUNDS; seed++)
		check_round(seed);
}

/* Every type's own schema is one that fits, histograms, maps and addresses included. */
static void own_schemas(void **state)
{
	for (unsigned t = 0; t < FLOW_MSG_TYPES; t++) {
		json_t *schema = our_schema(t);
		struct resolve *r;
		char why[256];

		assert_int_equal(resolve_new(&r), 0);
		if (add(r, schema, why) != 0)
			fail_msg("%s: %s", flow_msg_name(t), why);
		resolve_free(r);
		json_decref(schema);
	}
}

static void refused(const char *text, size_t n, const char *reason)
{
	struct resolve *r;
	char why[256] = "";

	assert_int_equal(resolve_new(&r), 0);
	assert_int_equal(resolve_add(r, NUMBER, (struct str){text, n}, why, sizeof(why)), -EINVAL);
	if (!strstr(why, reason))
		fail_msg("'%s' does not say '%s'", why, reason);
	assert_false(resolve_has(r, NUMBER));
	resolve_free(r);
}

static void refused_json(json_t *schema, const char *reason)
{
	char *text = json_dumps(schema, 0);

	refused(text, strlen(text), reason);
	free(text);
	json_decref(schema);
}

static void schemas_that_are_refused(void **state)
{
	json_t *schema = our_schema(FLOW_MSG_ROW);
	struct buf deep;
	size_t at;

	field_of(schema, "interval", &at);
	json_array_remove(json_object_get(schema, "fields"), at);
	refused_json(schema, "no field 'interval'");
	schema = our_schema(FLOW_MSG_ROW);
	json_object_set_new(field_of(schema, "port", &at), "type", json_string("string"));
	refused_json(schema, "another type in 'port'");
	schema = our_schema(FLOW_MSG_ROW);
	json_object_set_new(field_of(schema, "port", &at), "type", json_string("skyfall.Flow"));
	refused_json(schema, "unknown type 'skyfall.Flow'"); /* in itself */
	schema = our_schema(FLOW_MSG_ROW);
	json_object_set_new(schema, "name", json_string("skyfall.Flows"));
	refused_json(schema, "no message of ours is called 'skyfall.Flows'");
	schema = our_schema(FLOW_MSG_ROW);
	json_object_set_new(schema, "type", json_string("array"));
	refused_json(schema, "not a type");
	refused("{\"name\":\"Flow\",\"type\":\"long\"}", 29, "no record");
	refused("{", 1, "no JSON");
	refused("", 0, "no JSON");
	refused("[]", 2, "no message of ours");
	buf_init(&deep, 0);
	buf_printf(&deep, "{\"name\":\"Flow\",\"type\":\"record\",\"fields\":[{\"name\":\"x\",\"type\":");
	for (unsigned i = 0; i < 1000; i++)
		buf_printf(&deep, "[");
	for (unsigned i = 0; i < 1000; i++)
		buf_printf(&deep, "]");
	buf_printf(&deep, "}]}");
	refused(deep.p, deep.n, "too deep");
	buf_clear(&deep);
	buf_printf(&deep, "{\"name\":\"Flow\",\"type\":\"record\",\"fields\":[");
	for (unsigned i = 0; i < 5000; i++)
		buf_printf(&deep, "%s{\"name\":\"x%u\",\"type\":\"long\"}", i ? "," : "", i);
	buf_printf(&deep, "]}");
	refused(deep.p, deep.n, "more ");
	buf_deinit(&deep);
}

static void only_so_many(void **state)
{
	json_t *schema = our_schema(FLOW_MSG_LEDGER);
	char *text = json_dumps(schema, 0), why[256];
	struct resolve *r;

	assert_int_equal(resolve_new(&r), 0);
	for (unsigned i = 0; i < RESOLVE_SCHEMAS; i++)
		assert_int_equal(resolve_add(r, i, str_from(text), why, sizeof(why)), 0);
	assert_int_equal(resolve_add(r, 0, str_from(text), why, sizeof(why)), 0);
	assert_int_equal(resolve_add(r, RESOLVE_SCHEMAS, str_from(text), why, sizeof(why)), -ENOSPC);
	resolve_free(r);
	free(text);
	json_decref(schema);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(other_versions),
		cmocka_unit_test(own_schemas),
		cmocka_unit_test(schemas_that_are_refused),
		cmocka_unit_test(only_so_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
