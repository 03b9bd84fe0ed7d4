/* SPDX-License-Identifier: Apache-2.0 */
/* Our encoder and decoder against each other and against Avro's own C library as the oracle. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <avro.h>
#include <cmocka.h>
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "flow/avrobin.h"
#include "flow/msg.h"

static void fill_stats(struct flow_stats *s, unsigned seed)
{
	unsigned f, i;

	for (f = 0; f < FLOW_FIELDS; f++) {
		if (flow_fields[f].width != FLOW_HIST)
			*flow_stats_u64(s, f) = (uint64_t)(f + 1) * 1000003 * seed;
		else
			for (i = 0; i < 20 + seed; i++)
				flow_stats_hist(s, f)[i] = (i * seed) % 7;
	}
}

static void fill_row(struct flow_row *row)
{
	*row = (struct flow_row){
		.interval = 4000000000u,
		.interval_s = 10,
		.view = FLOW_VIEW_SERVER,
		.flags = FLOW_JOINED,
		.conv = {.net = STR("corp"), .scope = STR("h1/4026531840"), .port = 443, .protocol = 6},
		.names = {.service = STR("web"), .process = STR("nginx"), .quality = FLOW_OWNER_INHERITED},
		.ports = {40000, 65535},
		.n_ports = 2,
		.ports_more = 7,
	};
	ip_parse("10.1.2.3", &row->conv.client);
	ip_parse("2001:db8::9", &row->conv.server);
	fill_stats(&row->stats, 3);
}

static void fill_edge(struct flow_edge *e)
{
	unsigned v;

	memset(e, 0, sizeof(*e));
	e->interval = 1700000000;
	e->interval_s = 60;
	e->id = 0xfedcba9876543210ull;
	e->revision = 1ull << 62;
	e->name = (struct flow_edge_name){
		.net = STR(""), .client_service = STR("a\"b"), .server_service = STR("b"), .port = 1, .protocol = 17};
	e->observed = 5;
	for (v = 0; v < FLOW_VIEWS; v++)
		fill_stats(&e->view[v], v + 1);
	for (v = 0; v < FLOW_FIELDS; v++) /* what a sample cannot show does not travel */
		if (flow_fields[v].seen == FLOW_HOST)
			memset((char *)&e->view[FLOW_VIEW_NETWORK] + flow_fields[v].offset, 0,
			       flow_fields[v].width == FLOW_HIST ? sizeof(uint32_t[FLOW_BUCKETS]) : sizeof(uint64_t));
}

/* Encodes, has the Avro library read it by our schema, and gives its value. */
static avro_value_t oracle_read(enum flow_msg_type type, const struct buf *b, avro_value_iface_t **ret_iface)
{
	avro_schema_t schema;
	avro_value_t value;
	avro_reader_t reader;
	struct buf text;

	buf_init(&text, 0);
	flow_msg_schema(&text, type, true);
	if (avro_schema_from_json_length(text.p, text.n, &schema) != 0)
		fail_msg("schema of %s: %s", flow_msg_name(type), avro_strerror());
	buf_deinit(&text);
	*ret_iface = avro_generic_class_from_schema(schema);
	assert_int_equal(avro_generic_value_new(*ret_iface, &value), 0);
	reader = avro_reader_memory(b->p + AVROBIN_HEADER, (int64_t)(b->n - AVROBIN_HEADER));
	assert_int_equal(avro_value_read(reader, &value), 0);
	avro_reader_free(reader);
	avro_schema_decref(schema);
	return value;
}

static int64_t oracle_long(avro_value_t *record, const char *name)
{
	avro_value_t field;
	int64_t v;

	if (avro_value_get_by_name(record, name, &field, NULL) != 0)
		fail_msg("no field %s", name);
	assert_int_equal(avro_value_get_long(&field, &v), 0);
	return v;
}

static void oracle_stats(avro_value_t *record, const struct flow_stats *s, unsigned view)
{
	char column[64];
	unsigned f;

	for (f = 0; f < FLOW_FIELDS; f++) {
		const char *name = view == FLOW_VIEWS ? flow_fields[f].name : flow_column(f, view, column);
		avro_value_t array, item;
		size_t n, i;
		int64_t v;

		if (!name)
			continue;
		if (flow_fields[f].width != FLOW_HIST) {
			assert_true((uint64_t)oracle_long(record, name) == flow_stats_get(s, f));
			continue;
		}
		assert_int_equal(avro_value_get_by_name(record, name, &array, NULL), 0);
		assert_int_equal(avro_value_get_size(&array, &n), 0);
		for (i = 0; i < FLOW_BUCKETS; i++) {
			v = 0;
			if (i < n) {
				avro_value_get_by_index(&array, i, &item, NULL);
				avro_value_get_long(&item, &v);
			}
			assert_int_equal(v, flow_stats_hist_get(s, f)[i]);
		}
	}
}

static void test_row(void **state)
{
	avro_value_iface_t *iface;
	struct flow_msg msg;
	avro_value_t value;
	struct flow_row row;
	struct buf b;

	fill_row(&row);
	buf_init(&b, 0);
	flow_msg_encode(&b, FLOW_MSG_ROW, &row);
	value = oracle_read(FLOW_MSG_ROW, &b, &iface);
	assert_int_equal(oracle_long(&value, "interval"), 4000000000u);
	assert_int_equal(oracle_long(&value, "ports_more"), 7);
	oracle_stats(&value, &row.stats, FLOW_VIEWS);
	avro_value_decref(&value);
	avro_value_iface_decref(iface);

	assert_int_equal(flow_msg_decode(b.p, b.n, &msg), 0);
	assert_int_equal(msg.type, FLOW_MSG_ROW);
	assert_true(flow_conv_eq(&msg.row.conv, &row.conv));
	assert_true(flow_names_eq(&msg.row.names, &row.names));
	assert_memory_equal(&msg.row.stats, &row.stats, sizeof(row.stats));
	assert_memory_equal(msg.row.ports, row.ports, sizeof(row.ports));
	assert_int_equal(msg.row.n_ports, 2);
	assert_int_equal(msg.row.view, FLOW_VIEW_SERVER);
	buf_deinit(&b);
}

static void test_edge_and_pair(void **state)
{
	static const enum flow_msg_type types[] = {FLOW_MSG_EDGE, FLOW_MSG_PAIR};
	static struct flow_edge e;
	static struct flow_msg msg;
	unsigned t, v;

	fill_edge(&e);
	for (t = 0; t < 2; t++) {
		avro_value_iface_t *iface;
		avro_value_t value;
		struct buf b;

		if (types[t] == FLOW_MSG_PAIR)
			ip_parse("192.0.2.1", &e.client);
		buf_init(&b, 0);
		flow_msg_encode(&b, types[t], &e);
		value = oracle_read(types[t], &b, &iface);
		for (v = 0; v < FLOW_VIEWS; v++)
			oracle_stats(&value, &e.view[v], v);
		assert_true((uint64_t)oracle_long(&value, "edge") == e.id);
		avro_value_decref(&value);
		avro_value_iface_decref(iface);
		assert_int_equal(flow_msg_decode(b.p, b.n, &msg), 0);
		assert_memory_equal(msg.edge.view, e.view, sizeof(e.view));
		assert_true(msg.edge.id == e.id && msg.edge.revision == e.revision);
		assert_true(str_eq(msg.edge.name.client_service, e.name.client_service));
		assert_memory_equal(&msg.edge.client, &e.client, sizeof(e.client));
		buf_deinit(&b);
	}
}

static void test_ledger_host_listener(void **state)
{
	static struct flow_ledger l = {.interval = 9,
				       .interval_s = 1,
				       .role = STR("agent"),
				       .instance = STR("h"),
				       .boot = 1ull << 63,
				       .rows_in = 5,
				       .rows_out = 3,
				       .n_lost = 1,
				       .n_info = 2,
				       .lost = {{STR("rows_full"), 2}},
				       .info = {{STR("user_us"), 77}, {STR("b"), 1}}};
	static struct flow_host h = {.id = STR("h"), .hostname = STR("box"), .n_addresses = 2};
	static struct flow_listener s = {.host = STR("h"), .port = 80, .alive = 1, .queue_max = 128};
	static struct flow_msg msg;
	avro_value_iface_t *iface;
	avro_value_t value;
	struct buf b;

	buf_init(&b, 0);
	flow_msg_encode(&b, FLOW_MSG_LEDGER, &l);
	value = oracle_read(FLOW_MSG_LEDGER, &b, &iface);
	assert_int_equal(oracle_long(&value, "rows_in"), 5);
	avro_value_decref(&value);
	avro_value_iface_decref(iface);
	assert_int_equal(flow_msg_decode(b.p, b.n, &msg), 0);
	assert_int_equal(flow_count_get(msg.ledger.lost, msg.ledger.n_lost, "rows_full"), 2);
	assert_int_equal(flow_count_get(msg.ledger.info, msg.ledger.n_info, "user_us"), 77);
	assert_true(msg.ledger.boot == 1ull << 63);

	ip_parse("10.0.0.1", &h.addresses[0].ip);
	h.addresses[1].netns = 4026531840u;
	buf_clear(&b);
	flow_msg_encode(&b, FLOW_MSG_HOST, &h);
	value = oracle_read(FLOW_MSG_HOST, &b, &iface);
	avro_value_decref(&value);
	avro_value_iface_decref(iface);
	assert_int_equal(flow_msg_decode(b.p, b.n, &msg), 0);
	assert_int_equal(msg.host.n_addresses, 2);
	assert_true(msg.host.addresses[1].netns == 4026531840u);

	buf_clear(&b);
	flow_msg_encode(&b, FLOW_MSG_LISTENER, &s);
	assert_int_equal(flow_msg_decode(b.p, b.n, &msg), 0);
	assert_int_equal(msg.listener.queue_max, 128);
	buf_deinit(&b);
}

/* Every cut and every flipped bit: refused or read as something else, never out of bounds (run under ASan). */
static void test_broken_bytes(void **state)
{
	static struct flow_msg msg;
	struct flow_row row;
	uint8_t *copy;
	struct buf b;
	size_t i;

	fill_row(&row);
	buf_init(&b, 0);
	flow_msg_encode(&b, FLOW_MSG_ROW, &row);
	for (i = 0; i < b.n; i++) {
		copy = malloc(i ? i : 1); /* exact size: a read past the end is seen */
		assert_non_null(copy);
		memcpy(copy, b.p, i);
		assert_int_equal(flow_msg_decode(copy, i, &msg), -EBADMSG);
		free(copy);
	}
	for (i = 0; i < b.n * 8; i++) {
		copy = malloc(b.n);
		assert_non_null(copy);
		memcpy(copy, b.p, b.n);
		copy[i / 8] ^= (uint8_t)(1u << i % 8);
		(void)flow_msg_decode(copy, b.n, &msg);
		free(copy);
	}
	buf_char(&b, 0);
	assert_int_equal(flow_msg_decode(b.p, b.n, &msg), -EBADMSG); /* bytes left over */
	buf_deinit(&b);
}

/* Vectors of the Avro specification's reference implementation: schema "int" and "null". */
static void test_fingerprint(void **state)
{
	assert_true(avrobin_fingerprint("\"int\"", 5) == 0x7275d51a3f395c8full);
	assert_true(avrobin_fingerprint("\"null\"", 6) == 0x63dd24e7cc258f8aull);
}

static void check_number(json_t *o, const char *name, uint64_t want)
{
	assert_int_equal(json_integer_value(json_object_get(o, name)), want);
}

static void check_text(json_t *o, const char *name, const char *want)
{
	assert_string_equal(json_string_value(json_object_get(o, name)), want);
}

/* A JSON library reads what was written. */
static void test_json(void **state)
{
	struct flow_msg *m = calloc(1, sizeof(*m));
	json_t *o, *hist;
	struct buf b;

	(void)state;
	buf_init(&b, 0);
	m->type = FLOW_MSG_ROW;
	fill_row(&m->row);
	m->row.stats.lost = 0;
	m->row.names.unit = STR("a \"b\" \\ \x01");
	flow_msg_json(&b, m);
	o = json_loads(buf_text(&b), 0, NULL);
	assert_non_null(o);
	check_text(o, "type", "Flow");
	check_text(o, "client", "10.1.2.3");
	check_text(o, "server", "2001:db8::9");
	check_text(o, "unit", "a \"b\" \\ \x01");
	check_number(o, "interval", 4000000000u);
	check_number(o, "ports_more", 7);
	check_number(o, "tx_bytes", m->row.stats.tx_bytes);
	assert_null(json_object_get(o, "lost"));
	assert_int_equal(json_integer_value(json_array_get(json_object_get(o, "ports"), 1)), 65535);
	hist = json_object_get(o, "srtt");
	check_number(hist, "2", m->row.stats.srtt[2]);
	assert_int_equal(m->row.stats.srtt[2], 6);
	json_decref(o);
	buf_clear(&b);
	m->type = FLOW_MSG_EDGE;
	fill_edge(&m->edge);
	flow_msg_json(&b, m);
	o = json_loads(buf_text(&b), 0, NULL);
	check_text(o, "edge", "18364758544493064720");
	check_number(o, "client_c2s_bytes", m->edge.view[FLOW_VIEW_CLIENT].tx_bytes);
	check_number(o, "server_c2s_bytes", m->edge.view[FLOW_VIEW_SERVER].rx_bytes);
	json_decref(o);
	buf_deinit(&b);
	free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_row),
		cmocka_unit_test(test_edge_and_pair),
		cmocka_unit_test(test_ledger_host_listener),
		cmocka_unit_test(test_broken_bytes),
		cmocka_unit_test(test_fingerprint),
		cmocka_unit_test(test_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
