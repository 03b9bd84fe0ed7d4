/* SPDX-License-Identifier: Apache-2.0 */
/* The server whole: messages on a memory bus in, real HTTP out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/server_rig.h"

/* root.a.0.b: the thing there. */
static json_t *at(json_t *root, const char *path)
{
	char part[64];

	while (root && *path) {
		size_t n = strcspn(path, ".");

		snprintf(part, sizeof(part), "%.*s", (int)n, path);
		root = json_is_array(root) ? json_array_get(root, (size_t)atoi(part)) : json_object_get(root, part);
		path += n + (path[n] == '.');
	}
	return root;
}

static json_int_t num(json_t *root, const char *path)
{
	json_t *v = at(root, path);

	if (!json_is_integer(v))
		print_message("no number at %s\n", path);
	assert_true(json_is_integer(v));
	return json_integer_value(v);
}

static const char *text(json_t *root, const char *path)
{
	const char *s = json_string_value(at(root, path));

	if (!s)
		print_message("no text at %s\n", path);
	assert_non_null(s);
	return s;
}

static void refuse(struct world *w, const char *path, long status, const char *word)
{
	json_t *root = rig_json(w, path, status);

	if (!strstr(text(root, "error"), word))
		print_message("%s: %s\n", path, text(root, "error"));
	assert_non_null(strstr(text(root, "error"), word));
	assert_true(*text(root, "hint") != '\0');
	json_decref(root);
}

/* --- messages */

static struct flow_edge edge(const char *client, const char *server, uint16_t port, uint32_t interval,
			     uint64_t revision)
{
	struct flow_edge e = {.interval = interval,
			      .interval_s = 1,
			      .revision = revision,
			      .observed = 3,
			      .client_rungs = 1,
			      .server_rungs = 2};

	e.name.client_service = str_from(client);
	e.name.server_service = str_from(server);
	e.name.port = port;
	e.name.protocol = 6;
	e.id = flow_edge_id(&e.name);
	return e;
}

/* web -> api -> db, one host, ten intervals. */
static void shop(struct world *w)
{
	struct flow_host h = {.id = STR("h1"),
			      .hostname = STR("alpha"),
			      .kernel = STR("6.1"),
			      .mode = STR("bpf"),
			      .version = STR("0.1"),
			      .interval_s = 1,
			      .n_addresses = 2};
	struct flow_listener l = {.host = STR("h1"),
				  .netns = 1,
				  .port = 8080,
				  .protocol = 6,
				  .alive = 1,
				  .drops = 2,
				  .names.service = STR("api")};
	struct flow_ledger g = {.interval_s = 1, .boot = 1};

	h.interval = l.interval = l.since = w->now;
	h.addresses[0] = (struct flow_address){.ip = ip_from_v4((uint8_t[]){10, 0, 0, 1}), .bits = 120};
	h.addresses[1] =
		(struct flow_address){.ip = ip_from_v4((uint8_t[]){127, 0, 0, 1}), .bits = 104, .host_only = 1};
	rig_produce(w, BUS_HOSTS, 1, FLOW_MSG_HOST, &h);
	rig_produce(w, BUS_HOSTS, 2, FLOW_MSG_LISTENER, &l);
	for (uint32_t i = 0; i < 10; i++) {
		struct flow_edge e = edge("web", "api", 8080, w->now + i, i + 1), p;

		e.view[FLOW_VIEW_CLIENT].rows = e.view[FLOW_VIEW_SERVER].rows = 1;
		e.view[FLOW_VIEW_CLIENT].tx_bytes = e.view[FLOW_VIEW_SERVER].rx_bytes = 1009;
		e.view[FLOW_VIEW_CLIENT].rx_bytes = 499;
		e.view[FLOW_VIEW_SERVER].tx_bytes = 500;
		e.view[FLOW_VIEW_CLIENT].opened = e.view[FLOW_VIEW_SERVER].opened = 2;
		e.view[FLOW_VIEW_CLIENT].failed_refused = i == 4;
		e.view[FLOW_VIEW_CLIENT].open_ms = 3000;
		e.view[FLOW_VIEW_CLIENT].srtt[20] = 3;
		rig_store(w, &e);
		p = e;
		p.client = ip_from_v4((uint8_t[]){10, 0, 0, 1});
		p.server = ip_from_v4((uint8_t[]){10, 0, 0, 2});
		rig_produce(w, BUS_PAIRS, p.id, FLOW_MSG_PAIR, &p);
		e = edge("api", "db \"main\"", 5432, w->now + i, i + 1);
		e.observed = 1;
		e.view[FLOW_VIEW_CLIENT].rows = 1;
		e.view[FLOW_VIEW_CLIENT].tx_bytes = 7;
		rig_store(w, &e);
		g.interval = w->now + i;
		g.rows_in = g.rows_out = 3;
		for (unsigned k = 0; k < 4; k++) {
			static const char *const roles[] = {"agent", "collector", "pair", "edge"};

			g.role = str_from(roles[k]);
			g.instance = k ? STR("here") : STR("h1");
			g.n_info = 1;
			g.info[0] = (struct flow_count){STR("rss_bytes"), 5000};
			rig_produce(w, BUS_LEDGER, k, FLOW_MSG_LEDGER, &g);
		}
	}
	rig_written(w, 20);
}

static const char *range(struct world *w, char *dst, const char *path, const char *more)
{
	sprintf(dst, "%s?from=%u&to=%u%s", path, w->now, w->now + 10, more);
	return dst;
}

static void test_edges(void **state)
{
	struct world *w = *state;
	char path[256];
	json_t *root;

	shop(w);
	root = rig_json(w, range(w, path, "/api/v1/edges", ""), 200);
	assert_int_equal(num(root, "matched"), 2);
	assert_string_equal(text(root, "edges.0.client_service"), "web");
	assert_string_equal(text(root, "edges.0.server_service"), "api");
	assert_int_equal(num(root, "edges.0.port"), 8080);
	assert_string_equal(text(root, "edges.0.protocol"), "tcp");
	assert_int_equal(strlen(text(root, "edges.0.id")), 16);
	assert_int_equal(num(root, "edges.0.client_c2s_bytes"), 10090);
	assert_int_equal(num(root, "edges.0.server_c2s_bytes"), 10090);
	assert_int_equal(num(root, "edges.0.client_s2c_bytes"), 4990);
	assert_int_equal(num(root, "edges.0.server_s2c_bytes"), 5000);
	assert_int_equal(num(root, "edges.0.derived.c2s_bytes"), 10090);
	assert_int_equal(num(root, "edges.0.derived.s2c_bytes"), 5000);
	assert_int_equal(num(root, "edges.0.derived.opened"), 20);
	assert_int_equal(num(root, "edges.0.derived.failed"), 1);
	assert_int_equal(num(root, "edges.0.derived.failed_by.refused"), 1);
	assert_float_equal(json_number_value(at(root, "edges.0.derived.mean_open")), 3.0, 1e-9);
	assert_true(json_number_value(at(root, "edges.0.derived.srtt_p50_us")) > (double)flow_bucket_floor(20) - 1);
	assert_null(at(root, "edges.0.client_lost"));
	assert_string_equal(text(root, "edges.0.observed_by"), "both");
	assert_string_equal(text(root, "edges.0.rungs.client.0"), "agent");
	assert_string_equal(text(root, "edges.0.rungs.server.0"), "listener");
	assert_string_equal(text(root, "edges.1.observed_by"), "client");
	assert_int_equal(num(root, "edges.0.first"), w->now);
	assert_int_equal(num(root, "edges.0.last"), w->now + 9);
	json_decref(root);
	root = rig_json(w, range(w, path, "/api/v1/edges", "&sort=client_c2s_bytes&order=asc&limit=1"), 200);
	assert_int_equal(json_array_size(at(root, "edges")), 1);
	assert_string_equal(text(root, "edges.0.client_service"), "api");
	json_decref(root);
	root = rig_json(w, range(w, path, "/api/v1/edges", "&server=api&port=8080&protocol=tcp&net="), 200);
	assert_int_equal(num(root, "matched"), 1);
	json_decref(root);
	root = rig_json(w, range(w, path, "/api/v1/edges", "&service=nobody"), 200);
	assert_int_equal(num(root, "matched"), 0);
	json_decref(root);
	root = rig_json(w, range(w, path, "/api/v1/edges", "&host=alpha"), 200);
	assert_int_equal(num(root, "matched"), 1);
	assert_int_equal(num(root, "edges.0.client_c2s_bytes"), 10090);
	json_decref(root);
	root = rig_json(w, range(w, path, "/api/v1/edges", "&host=10.0.0.0%2F24"), 200);
	assert_int_equal(num(root, "matched"), 1);
	json_decref(root);
	root = rig_json(w, range(w, path, "/api/v1/edges", "&group=client"), 200);
	assert_int_equal(num(root, "matched"), 2);
	assert_string_equal(text(root, "edges.0.client_service"), "web");
	assert_null(at(root, "edges.0.id"));
	json_decref(root);
	root = rig_json(w, "/api/v1/edges?from=-5m", 200);
	assert_int_equal(num(root, "edges.0.client_c2s_bytes"), 10090);
	json_decref(root);
}

/* Whether a value is as openapi.json says: types, required members, none that it does not name, words of an enum. */
static void fits(json_t *doc, json_t *schema, json_t *v, const char *where)
{
	const char *ref = json_string_value(json_object_get(schema, "$ref")), *key;
	const char *type = json_string_value(json_object_get(schema, "type"));
	json_t *x, *words = json_object_get(schema, "enum"), *part;
	bool known = !words;
	size_t i;

	if (ref) {
		char path[96] = "components.schemas.";

		strcat(path, strrchr(ref, '/') + 1);
		fits(doc, at(doc, path), v, where);
		return;
	}
	/* allOf: each on its own would not know the other's members; the first is held against what it names. */
	if (json_object_get(schema, "allOf") || (json_is_null(v) && json_is_true(json_object_get(schema, "nullable"))))
		return;
	json_array_foreach(words, i, x) known |= json_equal(x, v);
	if (!known ||
	    (type &&
	     ((!strcmp(type, "integer") && !json_is_integer(v)) || (!strcmp(type, "number") && !json_is_number(v)) ||
	      (!strcmp(type, "string") && !json_is_string(v)) || (!strcmp(type, "boolean") && !json_is_boolean(v)) ||
	      (!strcmp(type, "array") && !json_is_array(v)) || (!strcmp(type, "object") && !json_is_object(v)))))
		fail_msg("%s is no %s as described", where, type ? type : "value");
	json_array_foreach(v, i, x) fits(doc, json_object_get(schema, "items"), x, where);
	json_array_foreach(json_object_get(schema, "required"), i, x) if (!json_object_get(v, json_string_value(x)))
		fail_msg("%s has no %s", where, json_string_value(x));
	json_object_foreach(v, key, x)
	{
		part = json_object_get(json_object_get(schema, "properties"), key);
		if (!part && !json_object_get(schema, "additionalProperties"))
			fail_msg("%s.%s is not described", where, key);
		if (part)
			fits(doc, part, x, key);
	}
}

static void test_graph_is_as_described(void **state)
{
	static const char *const asks[] = {
		"",           "&limit=1",     "&focus=service%3Aweb", "&group=host", "&group=zone",
		"&group=net", "&layout=none", "&only=signs&idle=show"};
	struct world *w = *state;
	json_t *doc, *schema, *root;
	char path[256];

	shop(w);
	doc = rig_json(w, "/api/v1/openapi.json", 200);
	schema = json_object_get(at(doc, "paths"), "/api/v1/graph");
	schema = at(json_object_get(at(schema, "get.responses.200.content"), "application/json"), "schema");
	assert_non_null(schema);
	for (size_t i = 0; i < sizeof(asks) / sizeof(*asks); i++) {
		root = rig_json(w, range(w, path, "/api/v1/graph", asks[i]), 200);
		fits(doc, schema, root, "graph");
		json_decref(root);
	}
	json_decref(doc);
}

/* UDP whose sockets alone were seen, and whose datagrams were counted. */
static void test_bytes_nobody_counted(void **state)
{
	struct flow_edge e = edge("web", "dns", 53, 0, 1);
	struct world *w = *state;
	char path[256];
	json_t *root;

	e.interval = w->now;
	e.name.protocol = 17;
	e.id = flow_edge_id(&e.name);
	e.view[FLOW_VIEW_CLIENT].rows = 1;
	e.view[FLOW_VIEW_CLIENT].opened = 4;
	rig_store(w, &e);
	rig_written(w, 1);
	root = rig_json(w, range(w, path, "/api/v1/edges", ""), 200);
	assert_int_equal(num(root, "edges.0.derived.opened"), 4);
	assert_null(at(root, "edges.0.derived.bytes"));
	assert_null(at(root, "edges.0.derived.c2s_bytes"));
	assert_null(at(root, "edges.0.derived.segs"));
	assert_null(at(root, "edges.0.derived.bytes_per_s"));
	json_decref(root);
	e.revision = 2;
	e.view[FLOW_VIEW_CLIENT].tx_bytes = 31;
	e.view[FLOW_VIEW_CLIENT].tx_segs = 1;
	rig_store(w, &e);
	rig_written(w, 2);
	root = rig_json(w, range(w, path, "/api/v1/edges", ""), 200);
	assert_int_equal(num(root, "edges.0.derived.bytes"), 31);
	assert_int_equal(num(root, "edges.0.derived.segs"), 1);
	json_decref(root);
}

static void test_graph(void **state)
{
	struct world *w = *state;
	char path[256];
	json_t *root, *again;
	json_int_t x;
	struct buf b;
	char *held;

	shop(w);
	root = rig_json(w, range(w, path, "/api/v1/graph", ""), 200);
	assert_int_equal(num(root, "matched.nodes"), 3);
	assert_int_equal(num(root, "matched.edges"), 2);
	assert_int_equal(num(root, "matched.signs"), 1);
	assert_int_equal(num(root, "completeness.edges"), 2);
	assert_int_equal(num(root, "completeness.both"), 1);
	assert_int_equal(num(root, "completeness.client_only"), 1);
	assert_int_equal(num(root, "completeness.hosts"), 1);
	assert_string_equal(text(root, "nodes.0.id"), "service:api");
	assert_string_equal(text(root, "nodes.1.id"), "service:db \"main\"");
	assert_string_equal(text(root, "nodes.2.id"), "service:web");
	assert_int_equal(num(root, "nodes.0.bytes"), 15160);
	assert_int_equal(num(root, "nodes.0.in_bytes"), 10090);
	assert_int_equal(num(root, "nodes.0.out_bytes"), 5070);
	assert_int_equal(num(root, "nodes.2.severity"), 1);
	assert_string_equal(text(root, "edges.1.source"), "service:web");
	assert_string_equal(text(root, "edges.1.kind"), "edge");
	assert_int_equal(num(root, "edges.1.ports.0"), 8080);
	assert_int_equal(num(root, "edges.1.derived.c2s_bytes"), 10090);
	assert_string_equal(text(root, "edges.1.signs.0.sign"), "refused");
	assert_string_equal(text(root, "edges.0.observed_by"), "client");
	/* web, api, db from left to right. */
	assert_true(num(root, "nodes.2.x") < num(root, "nodes.0.x") && num(root, "nodes.0.x") < num(root, "nodes.1.x"));
	assert_int_equal(num(root, "other.nodes"), 0);
	x = num(root, "nodes.2.x");
	/* Another sum is the same view. */
	again = rig_json(w, range(w, path, "/api/v1/graph", "&metric=opened"), 200);
	assert_int_equal(num(again, "nodes.2.x"), x);
	assert_false(json_is_true(at(again, "fresh")));
	json_decref(again);
	json_decref(root);
	root = rig_json(w, range(w, path, "/api/v1/graph", "&limit=1"), 200);
	assert_int_equal(json_array_size(at(root, "nodes")), 2);
	assert_string_equal(text(root, "nodes.0.kind"), "other");
	assert_int_equal(num(root, "nodes.0.members"), 2);
	assert_int_equal(num(root, "other.bytes"), 15160);
	json_decref(root);
	root = rig_json(w, range(w, path, "/api/v1/graph", "&focus=service%3Aweb&depth=1&layout=none"), 200);
	assert_int_equal(json_array_size(at(root, "nodes")), 2);
	assert_true(json_is_true(at(root, "focus.found")));
	assert_null(at(root, "nodes.0.x"));
	assert_null(at(root, "bands"));
	json_decref(root);
	root = rig_json(w, range(w, path, "/api/v1/graph", "&only=signs"), 200);
	assert_int_equal(json_array_size(at(root, "edges")), 1);
	json_decref(root);
	root = rig_json(w, range(w, path, "/api/v1/graph", "&group=host"), 200);
	assert_string_equal(text(root, "nodes.0.id"), "host:10.0.0.2");
	assert_string_equal(text(root, "nodes.0.kind"), "unknown");
	assert_string_equal(text(root, "nodes.1.id"), "host:h1");
	assert_string_equal(text(root, "nodes.1.name"), "alpha");
	assert_int_equal(num(root, "edges.0.derived.c2s_bytes"), 10090);
	json_decref(root);
	root = rig_json(w, range(w, path, "/api/v1/graph", "&group=zone"), 200);
	assert_string_equal(text(root, "nodes.0.kind"), "zone");
	assert_int_equal(num(root, "edges.0.edges"), 2);
	assert_int_equal(num(root, "edges.0.derived.bytes"), 15160);
	json_decref(root);
	root = rig_json(w, "/api/v1/graph?from=1000&to=2000", 200);
	assert_int_equal(json_array_size(at(root, "nodes")), 0);
	assert_true(json_is_null(at(root, "completeness.rows_lost")) || num(root, "completeness.rows_lost") == 0);
	json_decref(root);
	/* The pictures kept for the next ones are measured. */
	buf_init(&b, 0);
	assert_int_equal(rig_get(w, "/metrics", &b), 200);
	held = strstr(buf_text(&b), "\nskyfall_map_views_bytes ");
	assert_non_null(held);
	assert_true(atoi(strchr(held + 1, ' ')) > 100);
	buf_deinit(&b);
	refuse(w, "/api/v1/graph?group=colour", 400, "group cannot be colour");
	refuse(w, "/api/v1/graph?metric=beauty", 400, "no sum is called beauty");
	refuse(w, "/api/v1/graph?limit=5001", 400, "limit");
	refuse(w, "/api/v1/graph?depth=11", 400, "depth");
	refuse(w, "/api/v1/graph?format=pdf", 400, "format");
	refuse(w, "/api/v1/graph?format=svg&layout=none", 400, "places");
}

static void test_one_edge_and_its_series(void **state)
{
	struct world *w = *state;
	char path[256], base[64];
	struct flow_edge e;
	json_t *root;
	json_int_t sum = 0;

	shop(w);
	e = edge("web", "api", 8080, 0, 0);
	sprintf(base, "/api/v1/edges/%016llx", (unsigned long long)e.id);
	root = rig_json(w, range(w, path, base, ""), 200);
	assert_int_equal(num(root, "edge.client_c2s_bytes"), 10090);
	assert_int_equal(num(root, "views.client.s2c_bytes"), 4990);
	assert_int_equal(num(root, "views.server.s2c_bytes"), 5000);
	assert_int_equal(num(root, "histograms.client_c2s_srtt.count"), 30);
	assert_int_equal(num(root, "histograms.client_c2s_srtt.buckets.20"), 30);
	assert_int_equal(json_array_size(at(root, "bucket_floors_us")), FLOW_BUCKETS);
	assert_string_equal(text(root, "pairs.0.client"), "10.0.0.1");
	assert_string_equal(text(root, "pairs.0.client_hostname"), "alpha");
	assert_int_equal(num(root, "pairs.0.client_c2s_bytes"), 10090);
	assert_int_equal(json_array_size(at(root, "hosts")), 2);
	json_decref(root);
	strcat(base, "/series");
	root = rig_json(w, range(w, path, base, "&step=2s"), 200);
	assert_true(json_array_size(at(root, "points")) >= 5);
	for (size_t i = 0; i < json_array_size(at(root, "points")); i++)
		sum += num(json_array_get(at(root, "points"), i), "client_c2s_bytes");
	assert_int_equal(sum, 10090);
	json_decref(root);
	root = rig_json(w, range(w, path, base, "&step=1&format=json"), 200);
	assert_int_equal(json_array_size(at(root, "points")), 10);
	assert_int_equal(num(root, "points.3.at"), w->now + 3);
	assert_int_equal(num(root, "points.3.derived.opened"), 2);
	json_decref(root);
}

static void test_services_and_hosts(void **state)
{
	struct world *w = *state;
	char path[256];
	json_t *root;

	shop(w);
	root = rig_json(w, range(w, path, "/api/v1/services", ""), 200);
	assert_int_equal(num(root, "matched"), 3);
	assert_string_equal(text(root, "services.0.service"), "api");
	assert_int_equal(num(root, "services.0.as_server.client_c2s_bytes"), 10090);
	assert_int_equal(num(root, "services.0.as_client.client_c2s_bytes"), 70);
	assert_int_equal(num(root, "services.0.bytes"), 15160);
	json_decref(root);
	root = rig_json(w, range(w, path, "/api/v1/services/api", ""), 200);
	assert_string_equal(text(root, "callers.0.client_service"), "web");
	assert_string_equal(text(root, "callees.0.server_service"), "db \"main\"");
	assert_int_equal(num(root, "listeners.0.port"), 8080);
	assert_int_equal(num(root, "listeners.0.drops"), 2);
	assert_string_equal(text(root, "listeners.0.hostname"), "alpha");
	assert_string_equal(text(root, "hosts.0.address"), "10.0.0.2");
	json_decref(root);
	root = rig_json(w, range(w, path, "/api/v1/services/db%20%22main%22", ""), 200);
	assert_int_equal(num(root, "as_server.edges"), 1);
	json_decref(root);
	root = rig_json(w, "/api/v1/hosts", 200);
	assert_int_equal(json_array_size(at(root, "hosts")), 1);
	assert_string_equal(text(root, "hosts.0.hostname"), "alpha");
	assert_string_equal(text(root, "hosts.0.mode"), "bpf");
	assert_string_equal(text(root, "hosts.0.addresses.0.address"), "10.0.0.1");
	assert_int_equal(num(root, "hosts.0.addresses.0.prefix"), 24);
	assert_int_equal(num(root, "hosts.0.cost.rss_bytes"), 5000);
	assert_int_equal(num(root, "hosts.0.loss.rows_in"), 30);
	assert_int_equal(num(root, "hosts.0.last_seen"), w->now + 10);
	assert_int_equal(num(root, "hosts.0.listeners.0.port"), 8080);
	json_decref(root);
}

static void test_health(void **state)
{
	struct world *w = *state;
	struct flow_edge e;
	int64_t until = clock_mono_us() + 10000000;
	bool ok = false;
	char path[256];
	json_t *root = NULL;

	shop(w);
	/* The store's own lines follow a moment after the rows. */
	while (!ok && clock_mono_us() < until) {
		json_decref(root);
		root = rig_json(w, range(w, path, "/api/v1/health", ""), 200);
		ok = json_is_true(at(root, "adds_up"));
	}
	if (!ok)
		print_message("%s\n", text(root, "sentence"));
	assert_true(ok);
	assert_string_equal(text(root, "status"), "ok");
	assert_int_equal(num(root, "chain.1.in"), 30);
	assert_int_equal(num(root, "chain.10.out"), 30);
	assert_string_equal(text(root, "chain.10.hop"), "stored");
	assert_int_equal(num(root, "agents.known"), 1);
	assert_int_equal(num(root, "edges.rows"), 20);
	assert_int_equal(num(root, "edges.both"), 10);
	assert_int_equal(num(root, "newest"), w->now + 9);
	assert_true(json_is_null(at(root, "first_bad")));
	json_decref(root);
	root = rig_json(w, range(w, path, "/api/v1/ledger", "&role=agent"), 200);
	assert_int_equal(num(root, "matched"), 10);
	assert_string_equal(text(root, "lines.0.instance"), "h1");
	assert_int_equal(num(root, "lines.0.info.rss_bytes"), 5000);
	json_decref(root);
	/* A row more than the edge stage says it wrote. */
	e = edge("web", "api", 8080, w->now, 99);
	e.view[FLOW_VIEW_CLIENT].rows = 1;
	rig_store(w, &e);
	rig_written(w, 21);
	ok = false;
	root = NULL;
	until = clock_mono_us() + 10000000;
	while (!ok && clock_mono_us() < until) {
		json_decref(root);
		root = rig_json(w, range(w, path, "/api/v1/health", ""), 200);
		ok = !json_is_true(at(root, "adds_up")) && !strcmp(text(root, "first_bad"), "store bus");
	}
	assert_true(ok);
	assert_int_equal(num(root, "chain.8.missing"), -1);
	json_decref(root);
}

/* Rows of five of the agents' intervals: whatever the range, it is the same time of both that is balanced. */
static void test_health_of_merged_rows(void **state)
{
	struct world *w = *state;
	struct flow_ledger g = {.boot = 1};
	int64_t until = clock_mono_us() + RIG_US;
	uint32_t t = w->now - w->now % 5;
	static char data[96];
	char path[256];
	json_t *root;

	server_free(w->server);
	snprintf(data, sizeof(data), "%s/merged", w->path);
	w->opts.data = data;
	w->opts.store.interval_s = 5;
	rig_start(w);
	for (g.interval = t; g.interval < t + 15; g.interval++) {
		g.role = STR("agent");
		g.instance = STR("h1");
		g.interval_s = 1;
		g.rows_in = g.rows_out = 3;
		rig_produce(w, BUS_LEDGER, 0, FLOW_MSG_LEDGER, &g);
		if (g.interval % 5)
			continue;
		g.role = STR("collector");
		g.instance = STR("here");
		g.interval_s = 5;
		g.rows_in = g.rows_out = 15;
		rig_produce(w, BUS_LEDGER, 0, FLOW_MSG_LEDGER, &g);
	}
	snprintf(path, sizeof(path), "/api/v1/health?from=%u&to=%u", t + 2, t + 13);
	for (root = rig_json(w, path, 200); num(root, "chain.2.out") < 30 && clock_mono_us() < until;) {
		json_decref(root);
		root = rig_json(w, path, 200);
	}
	assert_string_equal(text(root, "chain.2.hop"), "network");
	assert_int_equal(num(root, "chain.2.in"), 30);
	assert_int_equal(num(root, "chain.2.out"), 30);
	assert_int_equal(num(root, "from"), t + 5);
	assert_int_equal(num(root, "to"), t + 15);
	json_decref(root);
}

/* Sums that wrap and ids that are no text, as a stranger could have them stored. */
static void test_hostile_lines(void **state)
{
	struct world *w = *state;
	struct flow_ledger g = {.interval_s = 1,
				.role = STR("agent"),
				.rows_in = INT64_MAX,
				.rows_out = 1,
				.n_lost = 1,
				.lost[0] = {STR("no_memory"), INT64_MAX}};
	struct flow_listener l = {.host = STR("\xff\xfe"), .netns = 1, .port = 1, .protocol = 6, .alive = 1};
	struct flow_host h = {.id = STR("\xff\xfe"), .hostname = STR("\xff"), .mode = STR("bpf"), .interval_s = 1};
	char path[256];
	json_t *root, *host = NULL;
	size_t k;

	for (uint32_t i = 0; i < 6; i++) {
		/* Two names that the store makes the same: it keeps what is no word as '_'. */
		g.n_lost = g.n_info = i % 2 ? 2 : 1;
		g.lost[1] = (struct flow_count){i < 2 ? STR("bad\xff") : STR("bad\xfe"), 7};
		g.info[0] = g.lost[1];
		g.info[1] = (struct flow_count){STR("bad\x80"), 5};
		g.interval = h.interval = l.interval = w->now + i / 2;
		g.instance = i % 2 ? h.id : STR("h2");
		rig_produce(w, BUS_LEDGER, 0, FLOW_MSG_LEDGER, &g);
		rig_produce(w, BUS_HOSTS, 11, FLOW_MSG_HOST, &h);
		rig_produce(w, BUS_HOSTS, 12, FLOW_MSG_LISTENER, &l);
	}
	h.id = STR("h2");
	rig_produce(w, BUS_HOSTS, 13, FLOW_MSG_HOST, &h);
	shop(w);
	root = rig_json(w, "/api/v1/hosts?host=h2", 200);
	assert_int_equal(num(root, "hosts.0.loss.rows_in"), (json_int_t)(3u * (uint64_t)INT64_MAX));
	assert_string_equal(text(root, "hosts.0.hostname"), "?");
	json_decref(root);
	root = rig_json(w, "/api/v1/hosts", 200);
	assert_int_equal(json_array_size(at(root, "hosts")), 3);
	json_array_foreach(at(root, "hosts"), k, host) if (!strcmp(text(host, "id"), "??")) break;
	assert_non_null(host);
	assert_int_equal(json_array_size(at(host, "listeners")), 1);
	assert_int_equal(num(host, "loss.lost.bad_"), 21);
	assert_int_equal(num(host, "cost.bad_"), 12);
	json_decref(root);
	root = rig_json(w, range(w, path, "/api/v1/health", ""), 200);
	assert_string_equal(text(root, "status"), "broken");
	assert_int_equal(num(root, "chain.1.lost.bad_"), 21);
	assert_int_equal(num(root, "agents.known"), 3);
	json_decref(root);
	root = rig_json(w, range(w, path, "/api/v1/ledger", "&instance=h2"), 200);
	assert_int_equal(num(root, "lines.0.missing"), -1);
	json_decref(root);
	json_decref(rig_json(w, "/api/v1/services/api", 200));
}

static void test_wrong_questions(void **state)
{
	struct world *w = *state;
	struct buf b;

	refuse(w, "/api/v1/nothing", 404, "/api/v1/nothing");
	refuse(w, "/api", 404, "nothing is called");
	refuse(w, "/api/v1/edges?sort=beauty", 400, "no sum is called beauty");
	refuse(w, "/api/v1/edges?limit=0", 400, "limit cannot be 0");
	refuse(w, "/api/v1/edges?limit=10001", 400, "limit");
	refuse(w, "/api/v1/edges?limit=-1", 400, "limit");
	refuse(w, "/api/v1/edges?limit=5x", 400, "limit");
	refuse(w, "/api/v1/edges?port=65536", 400, "port");
	refuse(w, "/api/v1/edges?from=yesterday", 400, "no time is written yesterday");
	refuse(w, "/api/v1/edges?from=-1m&to=-2m", 400, "is empty");
	refuse(w, "/api/v1/edges?colour=red", 400, "no parameter colour");
	refuse(w, "/api/v1/edges?group=taste", 400, "no group is called taste");
	refuse(w, "/api/v1/edges?limit=5&limit=6", 400, "limit is given twice");
	refuse(w, "/api/v1/edges?sort=bytes&port=1&sort=beauty", 400, "sort is given twice");
	refuse(w, "/api/v1/edges?limit", 400, "limit has no value");
	refuse(w, "/api/v1/edges?limit=", 400, "limit cannot be");
	refuse(w, "/api/v1/edges?limit=99999999999999999999", 400, "limit cannot be 9999");
	refuse(w, "/api/v1/edges?&", 400, "no parameter (empty)");
	refuse(w, "/metrics?x=1", 400, "no parameter x");
	refuse(w, "/api/v1/edges%00", 400, "%00 has no place");
	refuse(w, "/api/v1/edges?service=a%00b", 400, "%00 has no place");
	refuse(w, "/api/v1/edges?protocol=TCP", 400, "protocol cannot be TCP");
	refuse(w, "/api/v1/edges?from=4294967295", 400, "is empty");
	json_decref(rig_json(w, "/api/v1/edges?to=4294967295", 200));
	refuse(w, "/api/v1/edges?order=sideways", 400, "order");
	refuse(w, "/api/v1/edges?host=nowhere", 404, "no host is called nowhere");
	refuse(w, "/api/v1/edges?format=xml", 400, "no format is called xml");
	refuse(w, "/api/v1/edges?protocol=900", 400, "protocol");
	refuse(w, "/api/v1/edges/123", 404, "no edge is called 123");
	refuse(w, "/api/v1/edges/0000000000000001", 404, "no edge has the id");
	refuse(w, "/api/v1/edges/0000000000000001/verdicts", 404, "no edge is called");
	refuse(w, "/api/v1/services/nobody", 404, "no service is called nobody");
	refuse(w, "/api/v1/health?from=0&to=1000000000", 400, "cannot be balanced");
	buf_init(&b, 0);
	assert_int_equal(rig_ask(w, "DELETE", "/api/v1/edges", "", &b), 405);
	assert_int_equal(rig_ask(w, "GET", "/api/v1/edges", "Host: evil.example\r\n", &b), 403);
	assert_int_equal(rig_get(w, "/healthz", &b), 200);
	assert_int_equal(rig_get(w, "/readyz", &b), 200);
	buf_deinit(&b);
}

static void extra(void *arg, struct buf *b)
{
	buf_printf(b, "skyfall_test_extra %d\n", *(int *)arg);
}

static void test_texts(void **state)
{
	struct world *w = *state;
	char path[256], words[96];
	json_t *root, *list;
	struct buf b;
	int seven = 7;

	server_free(w->server);
	w->server = NULL;
	{
		char why[256];

		assert_int_equal(server_new(&w->server, &w->opts, why, sizeof(why)), 0);
		assert_int_equal(server_add_metrics(w->server, extra, &seven), 0);
		assert_int_equal(server_start(w->server, why, sizeof(why)), 0);
	}
	shop(w);
	buf_init(&b, 0);
	assert_int_equal(rig_get(w, range(w, path, "/api/v1/edges", "&format=csv"), &b), 200);
	assert_non_null(strstr(buf_text(&b), "id,net,client_service"));
	assert_non_null(strstr(buf_text(&b), ",web,"));
	assert_non_null(strstr(buf_text(&b), "\"db \"\"main\"\"\""));
	assert_int_equal(rig_get(w, "/metrics", &b), 200);
	assert_non_null(strstr(buf_text(&b), "skyfall_test_extra 7\n"));
	assert_non_null(
		strstr(buf_text(&b),
		       "skyfall_edge_bytes_total{client=\"web\",server=\"api\",client_zone=\"\",server_zone=\"\","
		       "direction=\"c2s\"} 10090\n"));
	assert_non_null(strstr(buf_text(&b), "server=\"db \\\"main\\\"\""));
	assert_non_null(strstr(buf_text(&b), "skyfall_store_edges_total 20\n"));
	buf_deinit(&b);
	root = rig_json(w, "/api/v1/openapi.json", 200);
	assert_non_null(json_object_get(at(root, "paths"), "/api/v1/edges/{id}/series"));
	/* The words of the flags are those that answers hold. */
	list = at(root, "components.schemas.Edge.properties.flags.items.enum");
	for (unsigned i = 0; i < 6; i++)
		assert_string_equal(json_string_value(json_array_get(list, i)), flow_flags_text(1u << i, words));
	assert_int_equal(json_array_size(list), 6);
	assert_string_equal(flow_flags_text(1u << 6, words), "");
	json_decref(root);
}

static void test_poison_is_put_aside(void **state)
{
	struct world *w = *state;
	enum bus_topic dead = BUS_DEAD;
	struct bus_reader *r;
	struct bus_msg m;
	int64_t until = clock_mono_us() + 10000000;
	struct server_stats s;

	assert_int_equal(bus_reader_open(&r, w->bus, NULL, &dead, 1, NULL), 0);
	assert_int_equal(bus_produce(w->producer, BUS_EDGES, 0, "k", 1, "not a message", 13), 0);
	shop(w);
	while (bus_read(r, &m, 1, 100) == 0)
		assert_true(clock_mono_us() < until);
	assert_int_equal(m.value_len, 13);
	assert_memory_equal(m.value, "not a message", 13);
	server_stats(w->server, &s);
	assert_int_equal(s.poison, 1);
	bus_reader_close(r);
}

/* What is on the bus when the server stops is in the store when it starts again. */
static void test_stop_writes_what_is_there(void **state)
{
	struct world *w = *state;
	json_t *root;

	for (uint32_t i = 0; i < 3000; i++) {
		struct flow_edge e = edge("web", "api", 8080, w->now + i % 20, i + 1);

		e.view[FLOW_VIEW_CLIENT].tx_bytes = 1;
		rig_store(w, &e);
	}
	server_free(w->server);
	w->server = NULL;
	rig_start(w);
	root = rig_json(w, "/api/v1/edges", 200);
	assert_int_equal(num(root, "edges.0.client_c2s_bytes"), 3000);
	json_decref(root);
}

static void test_starting_says_what_is_wrong(void **state)
{
	struct world *w = *state;
	struct server_opts opts = w->opts;
	struct server *s = NULL;
	char why[256], other[80];

	assert_true(server_new(&s, &opts, why, sizeof(why)) < 0);
	assert_non_null(strstr(why, "in use by process"));
	snprintf(other, sizeof(other), "%s/two", w->path);
	opts.data = other;
	opts.bus = NULL;
	opts.listen = server_url(w->server) + strlen("http://");
	assert_int_equal(server_new(&s, &opts, why, sizeof(why)), 0);
	assert_true(server_start(s, why, sizeof(why)) < 0);
	assert_non_null(strstr(why, "the port is in use"));
	server_free(s);
	opts.listen = "256.1.1.1:99";
	assert_int_equal(server_new(&s, &opts, why, sizeof(why)), 0);
	assert_true(server_start(s, why, sizeof(why)) < 0);
	assert_non_null(strstr(why, "cannot listen on 256.1.1.1:99"));
	server_free(s);
}

#define T(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_edges),
		T(test_bytes_nobody_counted),
		T(test_graph),
		T(test_graph_is_as_described),
		T(test_one_edge_and_its_series),
		T(test_services_and_hosts),
		T(test_health),
		T(test_health_of_merged_rows),
		T(test_hostile_lines),
		T(test_wrong_questions),
		T(test_texts),
		T(test_poison_is_put_aside),
		T(test_stop_writes_what_is_there),
		T(test_starting_says_what_is_wrong),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
