/* SPDX-License-Identifier: Apache-2.0 */
/* The printed form: each line JSON for a JSON reader, every field by its name, broken input in its place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>

#include "wire/print.h"
#include "wire_sample.h"

static struct wire_print print;
static struct sample s;

/* Line i of the output as JSON; NULL past the end. */
static json_t *line(struct buf *out, unsigned i)
{
	const char *p = buf_text(out);
	json_error_t why;
	json_t *j;

	while (i-- && p)
		p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL;
	if (!p || !*p)
		return NULL;
	j = json_loads(p, JSON_DISABLE_EOF_CHECK | JSON_REJECT_DUPLICATES, &why);
	if (!j)
		fail_msg("%s: %.200s", why.text, p);
	return j;
}

static json_int_t num(const json_t *j, const char *key)
{
	json_t *v = json_object_get(j, key);

	assert_true(json_is_integer(v));
	return json_integer_value(v);
}

static const char *text(const json_t *j, const char *key)
{
	const char *v = json_string_value(json_object_get(j, key));

	assert_non_null(v);
	return v;
}

static void check_frame(const json_t *j, const char *record)
{
	assert_string_equal(text(j, "record"), record);
	assert_string_equal(text(j, "agent"), "192.0.2.7");
	assert_int_equal(num(j, "sub_agent"), 8);
	assert_int_equal(num(j, "sequence"), 42);
	assert_int_equal(num(j, "drops"), 3);
	assert_int_equal(num(j, "interval"), SAMPLE_INTERVAL);
	assert_int_equal(num(j, "interval_s"), 10);
	assert_string_equal(text(j, "boot"), "1234605616436508552");
	assert_string_equal(text(j, "net"), "lab");
}

static void test_flow_lines(void **state)
{
	unsigned n = sample_flows(&s, true, 4000);
	struct buf out;

	buf_init(&out, 0);
	print.json = true;
	assert_int_equal(wire_print(&print, s.p, s.n, &out), 0);
	for (unsigned i = 0; i < n; i++) {
		json_t *j = line(&out, i);
		struct flow_names names = sample_names(i / 4);
		struct wire_flow row = sample_flow(i, true, &names);
		struct flow_stats stats = sample_stats(i);
		char ip[IP_TEXT];

		check_frame(j, "flow");
		assert_string_equal(text(j, "view"), flow_view_name(row.view));
		assert_string_equal(text(j, "remote"), ip_format(&row.remote, ip));
		assert_string_equal(text(j, "service"), names.service.p);
		assert_int_equal(num(j, "port"), row.port);
		assert_int_equal(json_array_size(json_object_get(j, "ephemeral_ports")), row.n_ports);
		for (unsigned f = 0; f < FLOW_FIELDS; f++) {
			json_t *v = json_object_get(j, flow_fields[f].name), *bucket;
			json_int_t sum = 0;
			const char *edge;

			if (flow_fields[f].width != FLOW_HIST) {
				assert_true(json_integer_value(v) == (json_int_t)flow_stats_get(&stats, f));
				continue;
			}
			json_object_foreach(v, edge, bucket)
			{
				unsigned b = flow_bucket(strtoull(edge, NULL, 10));

				assert_true(json_integer_value(bucket) == flow_stats_hist_get(&stats, f)[b]);
				sum += json_integer_value(bucket);
			}
			assert_true((uint64_t)sum == flow_hist_count(flow_stats_hist_get(&stats, f)));
		}
		json_decref(j);
	}
	assert_null(line(&out, n));
	buf_deinit(&out);
}

static void test_other_records(void **state)
{
	struct buf out;
	json_t *j;

	buf_init(&out, 0);
	print.json = true;
	sample_host(&s);
	assert_int_equal(wire_print(&print, s.p, s.n, &out), 0);
	j = line(&out, 0);
	check_frame(j, "host");
	assert_string_equal(text(j, "hostname"), "box1");
	json_decref(j);
	j = line(&out, 1);
	check_frame(j, "address");
	assert_string_equal(text(j, "address"), "10.1.0.0");
	assert_int_equal(num(j, "prefix"), 24);
	json_decref(j);
	j = line(&out, 6);
	assert_string_equal(text(j, "record"), "counters_sample");
	assert_int_equal(num(j, "records"), 1);
	json_decref(j);
	j = line(&out, 7);
	assert_string_equal(text(j, "record"), "host_descr");
	assert_string_equal(text(j, "hostname"), "box1");
	json_decref(j);
	assert_null(line(&out, 8));

	buf_clear(&out);
	sample_listeners(&s, 6);
	assert_int_equal(wire_print(&print, s.p, s.n, &out), 0);
	j = line(&out, 5);
	check_frame(j, "listener");
	assert_int_equal(num(j, "port"), 85);
	assert_int_equal(num(j, "drops"), 3); /* the sample's: see listener_drops */
	assert_int_equal(num(j, "listener_drops"), 1ll << 33);
	json_decref(j);

	buf_clear(&out);
	sample_health(&s, 5);
	assert_int_equal(wire_print(&print, s.p, s.n, &out), 0);
	j = line(&out, 4);
	check_frame(j, "ledger");
	assert_int_equal(num(json_object_get(j, "lost"), "rows_full"), 4);
	assert_int_equal(num(json_object_get(j, "info"), "opened_client"), 1ll << 40);
	json_decref(j);

	buf_clear(&out);
	uint8_t ack[WIRE_ACK_SIZE];
	wire_ack_put(&sample_ack_value, ack);
	assert_int_equal(wire_print(&print, ack, sizeof(ack), &out), 0);
	j = line(&out, 0);
	assert_string_equal(text(j, "record"), "ack");
	assert_int_equal(num(j, "rows"), 5ll << 32);
	json_decref(j);
	buf_deinit(&out);
}

/* Anything cut: what is there, then the reason; always JSON. */
static void test_cut(void **state)
{
	struct buf out;

	buf_init(&out, 0);
	for (unsigned kind = 0; kind < SAMPLES; kind++) {
		sample_make(&s, kind);
		for (size_t n = 0; n < s.n; n += 1 + (n > 300) * 7) {
			unsigned errors = 0, bad;
			json_t *j;

			buf_clear(&out);
			print.json = true;
			bad = wire_print(&print, s.p, n, &out);
			for (unsigned i = 0; (j = line(&out, i)); i++) {
				errors += !strcmp(text(j, "record"), "error");
				json_decref(j);
			}
			assert_true(bad > 0 && errors > 0);
			buf_clear(&out);
			print.json = false;
			assert_int_equal(wire_print(&print, s.p, n, &out), bad);
			assert_non_null(strstr(buf_text(&out), "reason="));
		}
	}
	buf_deinit(&out);
}

static void test_text(void **state)
{
	struct buf out;
	unsigned n = sample_flows(&s, false, WIRE_SIZE_MAX), lines = 0;

	buf_init(&out, 0);
	print.json = false;
	assert_int_equal(wire_print(&print, s.p, s.n, &out), 0);
	for (const char *p = buf_text(&out); (p = strchr(p, '\n')); p++)
		lines++;
	assert_int_equal(lines, n + 2); /* the datagram, the record, its rows */
	for (unsigned f = 0; f < FLOW_FIELDS; f++) {
		char key[64];

		snprintf(key, sizeof(key), " %s=", flow_fields[f].name);
		assert_non_null(strstr(out.p, key));
	}
	assert_non_null(strstr(out.p, "service=\"db \xc3\xa4\""));
	buf_deinit(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_flow_lines),
		cmocka_unit_test(test_other_records),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
