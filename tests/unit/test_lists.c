/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of the API: each as CSV says what its JSON says; services against the range before; and what openapi.json says
 * about both is so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>

#include "server/api.h"
#include "tests/unit/server_rig.h"

/* In a name: what CSV must quote, what a spreadsheet would run, and what a page must not. */
#define ODD "=cmd|' /C calc',\"<b>x</b>\"\n2"

static uint32_t fill(struct world *w)
{
	uint32_t now = (uint32_t)(clock_wall_us() / 1000000) - 40;
	struct flow_host h = {
		.id = STR("h1"), .hostname = STR(ODD), .mode = STR("bpf"), .interval_s = 1, .interval = now};
	struct flow_ledger g = {.interval = now, .interval_s = 1, .role = STR("agent"), .instance = STR("h1")};
	struct flow_listener l = {
		.host = STR("h1"), .port = 80, .protocol = 6, .alive = 1, .names.service = STR("api")};
	struct flow_edge e;

	h.n_addresses = 2;
	h.addresses[0] = (struct flow_address){.ip = ip_from_v4((uint8_t[]){10, 0, 0, 1}), .bits = 120};
	h.addresses[1] = (struct flow_address){.ip = ip_from_v4((uint8_t[]){10, 0, 0, 2}), .bits = 120};
	l.interval = l.since = now;
	rig_produce(w, BUS_HOSTS, 1, FLOW_MSG_HOST, &h);
	rig_produce(w, BUS_HOSTS, 2, FLOW_MSG_LISTENER, &l);
	rig_produce(w, BUS_LEDGER, 1, FLOW_MSG_LEDGER, &g);
	for (uint32_t i = 0; i < 20; i++) {
		bool before = i < 10;

		/* web speaks in both halves, old in the first, young in the second. */
		e = rig_edge("web", "api", now + i, i + 1, before ? 10 : 30);
		e.flags = 3;
		rig_store(w, &e);
		e.client = ip_from_v4((uint8_t[]){10, 0, 0, 1});
		e.server = ip_from_v4((uint8_t[]){10, 0, 0, 2});
		rig_produce(w, BUS_PAIRS, e.id, FLOW_MSG_PAIR, &e);
		e = rig_edge(before ? "old" : "young", ODD, now + i, i + 1, 1);
		rig_store(w, &e);
	}
	rig_written(w, 40);
	return now;
}

/* --- CSV */

/* Records of RFC 4180, each with as many fields as the first. */
static size_t csv_records(const char *p)
{
	size_t records = 0, fields = 0, first = 0;

	while (*p) {
		for (fields = 1;; fields++) {
			if (*p == '"') {
				for (p++; *p && (*p != '"' || p[1] == '"'); p++)
					p += *p == '"';
				assert_int_equal(*p, '"');
				p++;
			} else {
				p += strcspn(p, "\",\r\n");
			}
			if (*p != ',')
				break;
			p++;
		}
		assert_memory_equal(p, "\r\n", 2);
		p += 2;
		if (!records++)
			first = fields;
		assert_int_equal(fields, first);
	}
	return records - 1;
}

static void test_every_list_as_csv(void **state)
{
	static const struct {
		const char *path, *list;
	} lists[] = {
		{"/api/v1/edges?", "edges"},
		{"/api/v1/edges/$?", "pairs"},
		{"/api/v1/edges/$/series?step=1&", "points"},
		{"/api/v1/services?", "services"},
		{"/api/v1/services?compare=previous&", "services"},
		{"/api/v1/services/api?", "callers"},
		{"/api/v1/services/web?list=callees&", "callees"},
		{"/api/v1/services/api?list=listeners&", "listeners"},
		{"/api/v1/services/api?list=hosts&", "hosts"},
		{"/api/v1/hosts?", "hosts"},
		{"/api/v1/health?", "chain"},
		{"/api/v1/ledger?", "lines"},
	};
	struct world *w = *state;
	uint32_t now = fill(w);
	struct flow_edge e = rig_edge("web", "api", now, 0, 0);
	char path[256], id[20], range[64];
	json_t *root;
	struct buf b;

	buf_init(&b, 0);
	snprintf(id, sizeof(id), "%016llx", (unsigned long long)e.id);
	snprintf(range, sizeof(range), "from=%u&to=%u", now + 10, now + 20);
	for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++) {
		size_t n, records;

		n = strcspn(lists[i].path, "$");
		n = (size_t)snprintf(path, sizeof(path), "%.*s%s%s", (int)n, lists[i].path, lists[i].path[n] ? id : "",
				     lists[i].path + n + (lists[i].path[n] == '$'));
		if (strcmp(lists[i].path, "/api/v1/hosts?"))
			n += (size_t)snprintf(path + n, sizeof(path) - n, "%s&", range);
		path[n - 1] = '\0';
		root = rig_json(w, path, 200);
		strcat(path, strchr(path, '?') ? "&format=csv" : "?format=csv");
		assert_int_equal(rig_get(w, path, &b), 200);
		records = csv_records(buf_text(&b));
		if (records != json_array_size(json_object_get(root, lists[i].list)))
			print_message("%s: %s\n", path, buf_text(&b));
		assert_int_equal(records, json_array_size(json_object_get(root, lists[i].list)));
		assert_null(strstr(buf_text(&b), ",=cmd"));
		json_decref(root);
	}
	snprintf(path, sizeof(path), "/api/v1/edges?format=csv&%s", range);
	assert_int_equal(rig_get(w, path, &b), 200);
	assert_non_null(strstr(buf_text(&b), ",joined_in_progress sampled,"));
	assert_non_null(strstr(buf_text(&b), ",\"'=cmd|' /C calc',\"\"<b>x</b>\"\"\n2\","));
	assert_int_equal(rig_get(w, "/api/v1/hosts?format=csv", &b), 200);
	assert_non_null(strstr(buf_text(&b), "\"{\"\"address\"\":\"\"10.0.0.1\"\""));
	assert_int_equal(rig_get(w, "/api/v1/services/api?list=fruit", &b), 400);
	assert_int_equal(rig_get(w, "/api/v1/health?format=xml", &b), 400);
	buf_deinit(&b);
}

/* What a spreadsheet would take for a formula is quoted, and behind an apostrophe; nothing else is changed. */
static void test_no_formula(void **state)
{
	static const struct {
		const char *name, *cell;
	} cells[] = {
		{"=1+1", "\"'=1+1\""},
		{"+1", "\"'+1\""},
		{"-1", "\"'-1\""},
		{"@x", "\"'@x\""},
		{"\t=1", "\"'\t=1\""},
		{"\r=1", "\"'\r=1\""},
		{"\n=1", "\"'\n=1\""},
		{"a=1", "a=1"},
		{"\uff1d1+1", "\"'\uff1d1+1\""},
		{"\uff0b1", "\"'\uff0b1\""},
		{"\uff0d1", "\"'\uff0d1\""},
		{"\uff20x", "\"'\uff20x\""},
		{"\uff21b", "\uff21b"},
		{"a\uff1d", "a\uff1d"},
		{"a-b+c@d", "a-b+c@d"},
		{"a\rb", "\"a\rb\""},
		{"\"a\"", "\"\"\"a\"\"\""},
		{"", ""},
	};
	char expect[64];
	json_t *list;
	struct buf b;

	buf_init(&b, 0);
	for (size_t i = 0; i < sizeof(cells) / sizeof(*cells); i++) {
		list = json_pack("[{s:s, s:[s, s], s:i}]", "name", cells[i].name, "words", cells[i].name, "z", "n", -1);
		assert_non_null(list);
		buf_clear(&b);
		api_csv(list, &b);
		snprintf(expect, sizeof(expect), "name,words,n\r\n%s,", cells[i].cell);
		assert_memory_equal(buf_text(&b), expect, strlen(expect));
		assert_int_equal(csv_records(buf_text(&b)), 1);
		assert_string_equal(buf_text(&b) + b.n - 5, ",-1\r\n");
		json_decref(list);
	}
	buf_deinit(&b);
}

static json_int_t number(const json_t *o, const char *a, const char *b)
{
	o = json_object_get(o, a);
	return json_integer_value(b ? json_object_get(o, b) : o);
}

/* A count's name that is no text is shown as other texts are; two that look the same then are one. */
static void test_counts_are_never_dropped(void **state)
{
	/* As long as is shown, and the last character broken by it. */
	static const char longest[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\u00e9";
	const struct flow_count c[] = {{STR("plain"), 1},     {STR("\u00e9"), 2}, {STR("x\xff"), 3}, {STR("x\xfe"), 4},
				       {STR("bad\n\xc3"), 5}, {STR(longest), 6},  {{NULL, 0}, 7}};
	json_t *o = api_counts(c, sizeof(c) / sizeof(*c)), *v;
	json_int_t sum = 0;
	const char *key;

	assert_int_equal(number(o, "plain", NULL), 1);
	assert_int_equal(number(o, "\u00e9", NULL), 2);
	assert_int_equal(number(o, "x?", NULL), 3 + 4);
	assert_int_equal(number(o, "bad??", NULL), 5);
	json_object_foreach(o, key, v) sum += json_integer_value(v);
	assert_int_equal(sum, 28);
	json_decref(o);
}

/* --- the range before */

static void test_services_before(void **state)
{
	static const struct {
		const char *name;
		json_int_t bytes, before;
	} expect[] = {{"api", 300, 100}, {"web", 300, 100}, {ODD, 10, 10}, {"young", 10, 0}, {"old", 0, 10}};
	struct world *w = *state;
	uint32_t now = fill(w);
	json_t *root, *x, *p;
	char path[128];
	struct buf b;

	snprintf(path, sizeof(path), "/api/v1/services?compare=previous&from=%u&to=%u", now + 10, now + 20);
	root = rig_json(w, path, 200);
	assert_int_equal(number(root, "previous", "from"), now);
	assert_int_equal(number(root, "previous", "to"), now + 10);
	/* Who is gone is told, and not counted. */
	assert_int_equal(number(root, "matched", NULL), 4);
	assert_int_equal(json_array_size(json_object_get(root, "services")), 5);
	for (size_t i = 0; i < 5; i++) {
		x = json_array_get(json_object_get(root, "services"), i);
		p = json_object_get(x, "previous");
		assert_string_equal(json_string_value(json_object_get(x, "service")), expect[i].name);
		assert_int_equal(number(x, "bytes", NULL), expect[i].bytes);
		assert_int_equal(number(p, "bytes", NULL), expect[i].before);
	}
	x = json_array_get(json_object_get(root, "services"), 1);
	p = json_object_get(x, "previous");
	assert_int_equal(number(x, "as_client", "client_c2s_bytes"), 300);
	assert_int_equal(number(p, "as_client", "client_c2s_bytes"), 100);
	assert_int_equal(number(p, "as_client", "edges"), 1);
	assert_int_equal(number(p, "as_server", "edges"), 0);
	json_decref(root);
	/* Ascending: those of this range the other way round, who is gone still last. */
	strcat(path, "&order=asc&limit=5");
	root = rig_json(w, path, 200);
	x = json_object_get(root, "services");
	assert_string_equal(json_string_value(json_object_get(json_array_get(x, 0), "service")), "young");
	assert_string_equal(json_string_value(json_object_get(json_array_get(x, 4), "service")), "old");
	json_decref(root);
	/* Not asked for: not there. */
	snprintf(path, sizeof(path), "/api/v1/services?from=%u&to=%u", now + 10, now + 20);
	root = rig_json(w, path, 200);
	assert_int_equal(json_array_size(json_object_get(root, "services")), 4);
	assert_null(json_object_get(json_array_get(json_object_get(root, "services"), 0), "previous"));
	assert_null(json_object_get(root, "previous"));
	json_decref(root);
	/* Nothing comes before the beginning of time. */
	root = rig_json(w, "/api/v1/services?compare=previous&from=0&to=100", 200);
	json_decref(root);
	buf_init(&b, 0);
	assert_int_equal(rig_get(w, "/api/v1/services?compare=yesterday", &b), 400);
	buf_deinit(&b);
}

/* More services at one side than are read: the number is said to be the least there can be, and is no more. */
static void test_services_uncounted(void **state)
{
	struct world *w = *state;
	uint32_t now = (uint32_t)(clock_wall_us() / 1000000) - 40;
	char name[16], path[128];
	json_t *root;

	for (unsigned i = 0; i <= API_LIMIT_MAX; i++) {
		struct flow_edge e;

		snprintf(name, sizeof(name), "s%u", i);
		e = rig_edge(name, "api", now, i + 1, 10 + i);
		rig_store(w, &e);
		if ((i + 1) % 1000)
			continue;
		rig_written(w, i + 1); /* the bus is small */
		if (i + 1 != API_LIMIT_MAX)
			continue;
		/* With the server one more than are read at a side, and all are counted. */
		snprintf(path, sizeof(path), "/api/v1/services?limit=1&from=%u&to=%u", now, now + 1);
		root = rig_json(w, path, 200);
		assert_int_equal(number(root, "matched", NULL), API_LIMIT_MAX + 1);
		assert_true(json_is_true(json_object_get(root, "complete")));
		json_decref(root);
	}
	rig_written(w, API_LIMIT_MAX + 1);
	root = rig_json(w, path, 200);
	assert_true(number(root, "matched", NULL) > API_LIMIT_MAX);
	assert_true(number(root, "matched", NULL) <= API_LIMIT_MAX + 2);
	assert_true(json_is_false(json_object_get(root, "complete")));
	json_decref(root);
}

/* --- openapi.json */

/* What is answered is described: every member of an answer of this schema, and those below. */
static void described(const json_t *all, const json_t *schema, const json_t *v, const char *where)
{
	const char *ref = json_string_value(json_object_get(schema, "$ref")), *key;
	json_t *x, *properties;
	char path[256];
	size_t i;

	if (ref) {
		const json_t *schemas = json_object_get(json_object_get(all, "components"), "schemas");

		schema = json_object_get(schemas, strrchr(ref, '/') + 1);
		assert_non_null(schema);
	}
	json_array_foreach(json_object_get(schema, "required"), i, x) if (!json_object_get(v, json_string_value(x)))
		fail_msg("%s: %s is required and not answered", where, json_string_value(x));
	json_array_foreach(v, i, x) described(all, json_object_get(schema, "items"), x, where);
	properties = json_object_get(schema, "properties");
	if (!json_is_object(v) || json_object_get(schema, "additionalProperties"))
		return;
	json_object_foreach((json_t *)v, key, x)
	{
		snprintf(path, sizeof(path), "%s.%s", where, key);
		if (!json_object_get(properties, key))
			fail_msg("%s is answered and not described", path);
		described(all, json_object_get(properties, key), x, path);
	}
}

/* How the JSON of a path's answer is described. */
static json_t *at_path(const json_t *all, const char *path)
{
	static const char *const steps[] = {"get", "responses", "200", "content", "application/json"};
	json_t *o = json_object_get(json_object_get(all, "paths"), path);

	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++)
		o = json_object_get(o, steps[i]);
	assert_non_null(o);
	return o;
}

static void test_answers_are_described(void **state)
{
	static const struct {
		const char *path, *ask;
	} asks[] = {
		{"/api/v1/edges", "/api/v1/edges?"},
		{"/api/v1/services", "/api/v1/services?compare=previous&"},
		{"/api/v1/services/{id}", "/api/v1/services/api?"},
		{"/api/v1/ledger", "/api/v1/ledger?"},
		{"/api/v1/health", "/api/v1/health?"},
	};
	struct world *w = *state;
	uint32_t now = fill(w);
	json_t *all = rig_json(w, "/api/v1/openapi.json", 200), *get, *root;
	char path[128], *head;
	struct rig c;

	for (size_t i = 0; i < sizeof(asks) / sizeof(*asks); i++) {
		snprintf(path, sizeof(path), "%sfrom=%u&to=%u", asks[i].ask, now + 10, now + 20);
		get = at_path(all, asks[i].path);
		root = rig_json(w, path, 200);
		described(all, json_object_get(get, "schema"), root, asks[i].path);
		json_decref(root);
	}
	root = rig_json(w, "/api/v1/hosts", 200);
	get = at_path(all, "/api/v1/hosts");
	described(all, json_object_get(get, "schema"), root, "hosts");
	json_decref(root);
	/* The stream's first event, and the next. */
	for (unsigned i = 0; i < 2; i++) {
		static const char *const schemas[] = {"StreamSnapshot", "StreamDelta"};
		const char *text;
		json_error_t error;

		if (!i) {
			rig_open(&c, server_url(w->server), "GET", "/api/v1/stream", NULL, 0);
			rig_head(&c, &head);
		} else {
			struct flow_edge e = rig_edge("web", "api", now + 30, 1, 77);

			e.view[FLOW_VIEW_CLIENT].srtt[5] = e.view[FLOW_VIEW_SERVER].srtt[5] = 1;
			e.view[FLOW_VIEW_CLIENT].attempts = e.view[FLOW_VIEW_CLIENT].failed_refused = 100;
			rig_store(w, &e);
		}
		do
			text = rig_until(&c, "\n\n");
		while (!strstr(text, "data: "));
		root = json_loads(strstr(text, "data: ") + 6, 0, &error);
		assert_non_null(root);
		described(all,
			  json_object_get(json_object_get(json_object_get(all, "components"), "schemas"), schemas[i]),
			  root, schemas[i]);
		json_decref(root);
	}
	rig_close(&c);
	json_decref(all);
}

#define T(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_every_list_as_csv),
		cmocka_unit_test(test_no_formula),
		cmocka_unit_test(test_counts_are_never_dropped),
		T(test_services_before),
		T(test_services_uncounted),
		T(test_answers_are_described),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
