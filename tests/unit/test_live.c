/* SPDX-License-Identifier: Apache-2.0 */
/* The stream: frames and their differences, the ring, and the server whole: bus in, events out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>

#include "server/live.c" /* its ring is nobody else's business */
#include "server/signs.h"
#include "tests/unit/server_rig.h"

/* --- frames */

static int by_bytes(const void *a, const void *b)
{
	uint64_t x = ((const struct store_row *)a)->e.view[FLOW_VIEW_CLIENT].tx_bytes,
		 y = ((const struct store_row *)b)->e.view[FLOW_VIEW_CLIENT].tx_bytes;

	return x > y ? -1 : x < y;
}

/* A frame of n edges out of a world of 2n: which, and their numbers, by chance. All attempts of one in ten fail. */
static struct frame *random_frame(unsigned *seed, size_t n, uint32_t interval, char (*names)[16])
{
	struct store_rows rows = {.rows = calloc(2 * n, sizeof(*rows.rows))};
	struct frame *f;

	for (size_t i = 0; i < 2 * n; i++) {
		struct flow_edge *e = &rows.rows[rows.n].e;

		if (rand_r(seed) % 2)
			continue;
		*e = rig_edge(names[i], "db", interval, 1, (uint64_t)(rand_r(seed) % 3));
		e->view[FLOW_VIEW_CLIENT].attempts = 100;
		e->view[FLOW_VIEW_CLIENT].failed_refused = i % 10 ? 0 : 100;
		rows.rows[rows.n++].seconds = 1;
	}
	qsort(rows.rows, rows.n, sizeof(*rows.rows), by_bytes);
	rows.matched = rows.n;
	assert_int_equal(frame_new(&f, &rows, interval, 1, 7), 0);
	free(rows.rows);
	return f;
}

static json_t *parsed(struct buf *b)
{
	json_error_t error;
	json_t *root = json_loads(buf_text(b), 0, &error);

	if (!root)
		print_message("%s: %.300s\n", error.text, buf_text(b));
	assert_non_null(root);
	buf_clear(b);
	return root;
}

/* What a page does with an event. */
static void apply(json_t *edges, const json_t *event)
{
	static const char *const lists[] = {"edges", "add", "update"};
	json_t *x;
	size_t i;

	if (json_object_get(event, "edges"))
		json_object_clear(edges);
	for (unsigned k = 0; k < 3; k++)
		json_array_foreach(json_object_get(event, lists[k]), i, x)
		{
			const char *id = json_string_value(json_object_get(x, "id"));

			assert_int_equal(!json_object_get(edges, id), k != 2);
			json_object_set(edges, id, x);
		}
	json_array_foreach(json_object_get(event, "remove"), i, x)
		assert_int_equal(json_object_del(edges, json_string_value(x)), 0);
}

/* A snapshot and all deltas after it are the next snapshot; and nothing is sent that has not changed. */
static void test_deltas_lead_to_the_snapshot(void **state)
{
	json_t *have = json_object(), *want = json_object(), *event, *x;
	char names[800][16];
	struct frame *was = NULL, *f;
	unsigned seed = 4711;
	struct buf b;
	size_t i;

	for (i = 0; i < 800; i++)
		snprintf(names[i], sizeof(names[i]), "client-%zu", i);
	buf_init(&b, 0);
	for (uint32_t interval = 1; interval < 40; interval++) {
		f = random_frame(&seed, interval % 3 ? 400 : 5, interval, names);
		frame_delta(was, f, &b);
		event = parsed(&b);
		json_array_foreach(json_object_get(event, "update"), i, x)
			assert_false(json_equal(x, json_object_get(have, json_string_value(json_object_get(x, "id")))));
		apply(have, event);
		json_decref(event);
		frame_snapshot(f, &b);
		event = parsed(&b);
		assert_int_equal(json_integer_value(json_object_get(event, "interval")), interval);
		assert_int_equal(json_integer_value(json_object_get(event, "hosts")), 7);
		apply(want, event);
		json_decref(event);
		assert_true(json_equal(have, want));
		frame_delta(f, f, &b);
		assert_non_null(strstr(buf_text(&b), "\"add\":[],\"update\":[],\"remove\":[]"));
		buf_clear(&b);
		frame_free(was);
		was = f;
	}
	frame_free(was);
	buf_deinit(&b);
	json_decref(have);
	json_decref(want);
}

/* More than are shown: those with signs stay, then the largest; the sums are of all. */
static void test_bounded_signs_first(void **state)
{
	struct store_rows rows = {.n = 1200, .matched = 1200, .rows = calloc(1200, sizeof(*rows.rows))};
	static char names[1200][16];
	uint64_t bytes = 0;
	size_t signs = 0, i;
	json_t *event, *x;
	struct frame *f;
	struct buf b;

	for (i = 0; i < 1200; i++) {
		struct flow_edge *e = &rows.rows[i].e;

		snprintf(names[i], sizeof(names[i]), "c%zu", i);
		*e = rig_edge(names[i], "db", 60, 1, 5000 - i);
		bytes += 5000 - i;
		e->view[FLOW_VIEW_CLIENT].attempts = 50;
		/* The smallest of all. */
		e->view[FLOW_VIEW_CLIENT].failed_refused = i >= 1190 ? 50 : 0;
		rows.rows[i].seconds = 1;
	}
	assert_int_equal(frame_new(&f, &rows, 60, 1, 3), 0);
	buf_init(&b, 0);
	frame_snapshot(f, &b);
	event = parsed(&b);
	assert_int_equal(json_array_size(json_object_get(event, "edges")), FRAME_EDGES);
	json_array_foreach(json_object_get(event, "edges"), i, x)
	{
		size_t number = (size_t)atoi(json_string_value(json_object_get(x, "client_service")) + 1);

		assert_true(number < FRAME_EDGES - 10 || number >= 1190);
		assert_int_equal(json_array_size(json_object_get(x, "signs")) > 0, number >= 1190);
		assert_int_equal(json_integer_value(json_object_get(x, "severity")),
				 number >= 1190 ? SIGN_SERIOUS : SIGN_NONE);
		signs += number >= 1190;
	}
	assert_int_equal(signs, 10);
	x = json_object_get(event, "totals");
	assert_int_equal(json_integer_value(json_object_get(x, "edges")), 1200);
	assert_int_equal(json_integer_value(json_object_get(x, "bytes")), bytes);
	assert_int_equal(json_integer_value(json_object_get(x, "signs")), 10);
	assert_int_equal(json_integer_value(json_object_get(x, "failed")), 500);
	json_decref(event);
	frame_free(f);
	free(rows.rows);
	buf_deinit(&b);
}

/* --- the ring, without a thread */

static struct live *quiet_live(void)
{
	struct live *l = calloc(1, sizeof(*l));

	l->first = 1;
	l->opts.clients = 4;
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->changed, NULL);
	return l;
}

static void publish(struct live *l, uint32_t interval, size_t bytes)
{
	struct live_msg *m[2];

	for (unsigned i = 0; i < 2; i++) {
		m[i] = live_message(i ? "snapshot" : "delta", interval);
		for (size_t k = 0; k < bytes; k++)
			buf_char(&m[i]->text, 'x');
		buf_printf(&m[i]->text, "\n\n");
	}
	pthread_mutex_lock(&l->lock);
	live_publish(l, m[0], m[1]);
	l->fresh = true;
	pthread_mutex_unlock(&l->lock);
}

/* Everything there is for a client, in bites of n bytes. */
static const char *drink(struct http_feed *f, struct buf *b, size_t n, bool *ret_end)
{
	char text[4096];
	ssize_t got;

	buf_clear(b);
	while ((got = f->read(f->arg, text, n)) > 0)
		buf_put(b, text, (size_t)got);
	*ret_end = got == HTTP_FEED_END;
	return buf_text(b);
}

static void test_ring(void **state)
{
	struct live *l = quiet_live();
	struct http_feed slow, fresh, back, more;
	struct live_stats s;
	struct buf b;
	bool end;

	buf_init(&b, 0);
	assert_int_equal(live_open(l, NULL, &slow), 0);
	/* Nothing is known yet: a greeting, so that the client sees it is connected. */
	assert_string_equal(drink(&slow, &b, 7, &end), LIVE_HELLO);
	publish(l, 100, 0);
	assert_string_equal(drink(&slow, &b, 1, &end), "id: 100\nevent: snapshot\ndata: \n\n");
	assert_string_equal(drink(&slow, &b, 7, &end), "");
	publish(l, 101, 2);
	publish(l, 101, 3);
	publish(l, 102, 4);
	assert_string_equal(drink(&slow, &b, 4096, &end),
			    "id: 101\nevent: delta\ndata: xx\n\nid: 101\nevent: delta\ndata: xxx\n\n"
			    "id: 102\nevent: delta\ndata: xxxx\n\n");
	/* Who comes back gets everything after the first of the interval it names. */
	assert_int_equal(live_open(l, "101", &back), 0);
	assert_string_equal(drink(&back, &b, 5, &end), LIVE_HELLO "id: 101\nevent: delta\ndata: xxx\n\n"
								  "id: 102\nevent: delta\ndata: xxxx\n\n");
	back.close(back.arg);
	/* Anything else begins anew. */
	static const char *const unknown[] = {"99", "103", "", "-1", "101 ", "x", "99999999999999999999999999"};
	for (size_t i = 0; i < sizeof(unknown) / sizeof(*unknown); i++) {
		assert_int_equal(live_open(l, unknown[i], &fresh), 0);
		assert_string_equal(drink(&fresh, &b, 4096, &end),
				    LIVE_HELLO "id: 102\nevent: snapshot\ndata: xxxx\n\n");
		fresh.close(fresh.arg);
	}
	/* A beat only to those who have nothing else. */
	l->beats++;
	assert_string_equal(drink(&slow, &b, 4096, &end), LIVE_BEAT);
	l->beats++;
	publish(l, 103, 0);
	assert_string_equal(drink(&slow, &b, 4096, &end), "id: 103\nevent: delta\ndata: \n\n");
	/* As far behind as can be, and one further. */
	for (uint32_t i = 0; i < LIVE_RING; i++)
		publish(l, 200 + i, 0);
	assert_int_equal(live_open(l, "103", &back), 0);
	assert_int_equal(live_open(l, "102", &fresh), 0);
	assert_int_equal(live_open(l, "200", &more), 0);
	assert_int_equal(live_open(l, NULL, &more), -EAGAIN);
	assert_string_equal(drink(&fresh, &b, 4096, &end), LIVE_HELLO "id: 263\nevent: snapshot\ndata: \n\n");
	publish(l, 300, 0);
	assert_string_equal(drink(&slow, &b, 4096, &end), LIVE_RESET);
	assert_true(end);
	slow.close(slow.arg);
	/* Bytes bound it as well: the newest stays whatever its size. */
	publish(l, 301, LIVE_BYTES);
	publish(l, 302, 100);
	assert_int_equal(l->first, l->seq);
	assert_int_equal(l->bytes, l->ring[l->seq % LIVE_RING]->text.n);
	live_stats(l, &s);
	assert_int_equal(s.clients, 3);
	assert_int_equal(s.cut, 1);
	assert_int_equal(s.refused, 1);
	back.close(back.arg);
	fresh.close(fresh.arg);
	more.close(more.arg);
	live_free(l);
	buf_deinit(&b);
}

/* --- the whole */

static void store_edge(struct world *w, const char *client, uint32_t interval, uint64_t revision, uint64_t bytes)
{
	struct flow_edge e = rig_edge(client, "db", interval, revision, bytes);

	rig_store(w, &e);
}

/* At once: nobody sees one without the others. */
static void store_three(struct world *w, uint32_t interval)
{
	struct bus_producer *alone = w->producer;

	assert_int_equal(bus_producer_open(&w->producer, w->bus, "three"), 0);
	assert_int_equal(bus_begin(w->producer), 0);
	store_edge(w, "a", interval, 1, 101);
	store_edge(w, "c", interval, 1, 300);
	store_edge(w, "d", interval, 1, 7);
	assert_int_equal(bus_commit(w->producer, NULL, NULL, 0), 0);
	bus_producer_close(w->producer);
	w->producer = alone;
}

static uint32_t now_s(void)
{
	return (uint32_t)(clock_wall_us() / 1000000);
}

static void follow(struct world *w, struct rig *c, const char *headers)
{
	char *head, type[64];

	rig_open(c, server_url(w->server), "GET", "/api/v1/stream", headers, 0);
	assert_int_equal(rig_head(c, &head), 200);
	assert_string_equal(rig_header(head, "Content-Type", type, sizeof(type)), "text/event-stream; charset=utf-8");
}

/* The next event: its data; kind and id as said. Comments and greetings are passed over. */
static json_t *event(struct rig *c, const char *kind, uint32_t id)
{
	char expect[64], *text;
	json_error_t error;
	json_t *root;

	do {
		text = rig_until(c, "\n\n");
		assert_non_null(text);
	} while (*text == ':' || !strncmp(text, "retry:", 6));
	snprintf(expect, sizeof(expect), "id: %u\nevent: %s\ndata: ", id, kind);
	if (strncmp(text, expect, strlen(expect)))
		print_message("%.200s\n", text);
	assert_memory_equal(text, expect, strlen(expect));
	root = json_loads(text + strlen(expect), 0, &error);
	assert_non_null(root);
	assert_int_equal(json_integer_value(json_object_get(root, "interval")), id);
	return root;
}

/* client:bytes of a list, as one text. */
static const char *list(const json_t *root, const char *name, struct buf *b)
{
	json_t *x;
	size_t i;

	buf_clear(b);
	json_array_foreach(json_object_get(root, name), i, x)
	{
		if (json_is_string(x))
			buf_printf(b, "%s ", json_string_value(x));
		else
			buf_printf(b, "%s:%lld ", json_string_value(json_object_get(x, "client_service")),
				   (long long)json_integer_value(json_object_get(x, "c2s_bytes")));
	}
	return buf_text(b);
}

static void has(const char *text, const char *words)
{
	char copy[128], *save;

	snprintf(copy, sizeof(copy), "%s", words);
	assert_int_equal(strlen(text), *words ? strlen(words) + 1 : 0);
	for (char *p = strtok_r(copy, " ", &save); p; p = strtok_r(NULL, " ", &save))
		assert_non_null(strstr(text, p));
}

static void test_changes_appear(void **state)
{
	struct world *w = *state;
	uint32_t first = now_s() - 2, second;
	char header[64], id[32];
	struct rig c, back;
	struct flow_edge b_edge = rig_edge("b", "db", 0, 0, 0);
	/* A name that is no UTF-8 is a host like others, and no end of the stream. */
	struct flow_ledger odd = {.interval = first, .interval_s = 1, .role = STR("agent"), .instance = STR("h\xff")},
			   even = {.interval = first, .interval_s = 1, .role = STR("agent"), .instance = STR("h2")};
	json_t *root;
	struct buf b;

	buf_init(&b, 0);
	rig_produce(w, BUS_LEDGER, 1, FLOW_MSG_LEDGER, &odd);
	rig_produce(w, BUS_LEDGER, 1, FLOW_MSG_LEDGER, &even);
	store_edge(w, "a", first, 1, 100);
	store_edge(w, "b", first, 1, 200);
	store_edge(w, "d", first, 1, 7);
	follow(w, &c, NULL);
	root = event(&c, "snapshot", first);
	/* What is stored while it is looked at may come a moment later. */
	while (json_array_size(json_object_get(root, "edges")) < 3 ||
	       json_integer_value(json_object_get(root, "hosts")) < 2) {
		json_decref(root);
		rig_close(&c);
		follow(w, &c, NULL);
		root = event(&c, "snapshot", first);
	}
	has(list(root, "edges", &b), "a:100 b:200 d:7");
	assert_int_equal(json_integer_value(json_object_get(json_object_get(root, "totals"), "bytes")), 307);
	json_decref(root);

	second = now_s();
	store_three(w, second);
	root = event(&c, "delta", second);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(root, "totals"), "bytes")), 408);
	has(list(root, "add", &b), "c:300");
	has(list(root, "update", &b), "a:101");
	snprintf(id, sizeof(id), "%016llx", (unsigned long long)b_edge.id);
	has(list(root, "remove", &b), id);
	json_decref(root);

	/* A later revision of what was shown: the sum, under the same interval. */
	store_edge(w, "c", second, 2, 5);
	root = event(&c, "delta", second);
	has(list(root, "add", &b), "");
	has(list(root, "update", &b), "c:305");
	has(list(root, "remove", &b), "");
	json_decref(root);

	/* Back after the first interval: the same changes, no snapshot. */
	snprintf(header, sizeof(header), "Last-Event-ID: %u\r\n", first);
	follow(w, &back, header);
	root = event(&back, "delta", second);
	has(list(root, "add", &b), "c:300");
	json_decref(root);
	root = event(&back, "delta", second);
	has(list(root, "update", &b), "c:305");
	json_decref(root);
	rig_close(&back);
	follow(w, &back, "Last-Event-ID: 12\r\n");
	root = event(&back, "snapshot", second);
	has(list(root, "edges", &b), "a:101 c:305 d:7");
	json_decref(root);
	rig_close(&back);
	rig_close(&c);
	buf_deinit(&b);
}

/* Half of the connections are for streams. The rest of the API answers on. */
static void test_streams_leave_room(void **state)
{
	struct world *w = *state;
	char *head, text[64], why[256] = "";
	struct rig c[12], x;

	server_free(w->server);
	w->server = NULL;
	w->opts.connections = 24;
	w->opts.threads = 2;
	assert_int_equal(server_new(&w->server, &w->opts, why, sizeof(why)), 0);
	assert_int_equal(server_start(w->server, why, sizeof(why)), 0);
	store_edge(w, "a", now_s() - 2, 1, 100);
	for (unsigned i = 0; i < 12; i++)
		follow(w, &c[i], NULL);
	rig_open(&x, server_url(w->server), "GET", "/api/v1/stream", NULL, 0);
	assert_int_equal(rig_head(&x, &head), 503);
	assert_string_equal(rig_header(head, "Retry-After", text, sizeof(text)), "10");
	assert_non_null(rig_until(&x, "no more are served"));
	rig_close(&x);
	rig_open(&x, server_url(w->server), "GET", "/metrics", NULL, 0);
	assert_int_equal(rig_head(&x, &head), 200);
	assert_non_null(rig_until(&x, "\nskyfall_stream_clients 12\n"));
	assert_non_null(rig_until(&x, "\nskyfall_stream_refused_total 1\n"));
	rig_close(&x);
	for (unsigned i = 0; i < 12; i++)
		rig_close(&c[i]);
	/* A place is free again once it is noticed that somebody left. */
	for (int status = 503; status != 200; rig_close(&x)) {
		rig_open(&x, server_url(w->server), "GET", "/api/v1/stream", NULL, 0);
		status = rig_head(&x, &head);
		(void)poll(NULL, 0, 20);
	}
}

/* 200 clients get the same bytes from one question an interval, and the server stops while they listen. */
static void test_many_clients(void **state)
{
	struct world *w = *state;
	struct rig *c = calloc(200, sizeof(*c));
	uint32_t first = now_s() - 2, second;
	char names[300][16], *text, *same = NULL, *head;
	struct rig x;

	for (unsigned i = 0; i < 300; i++) {
		snprintf(names[i], sizeof(names[i]), "client-%u", i);
		store_edge(w, names[i], first, 1, i);
	}
	for (unsigned i = 0; i < 200; i++)
		follow(w, &c[i], NULL);
	for (unsigned i = 0; i < 200; i++)
		json_decref(event(&c[i], "snapshot", first));
	second = now_s();
	for (unsigned i = 0; i < 300; i++)
		store_edge(w, names[i], second, 1, i + 1);
	for (unsigned i = 0; i < 200; i++) {
		do
			text = rig_until(&c[i], "\n\n");
		while (*text == ':' || strstr(text, "\"bytes\":44850"));
		if (!same)
			same = strdup(text);
		assert_string_equal(text, same);
	}
	free(same);
	rig_open(&x, server_url(w->server), "GET", "/metrics", NULL, 0);
	assert_int_equal(rig_head(&x, &head), 200);
	text = rig_until(&x, "\n# HELP skyfall_stream_event_bytes_total");
	assert_non_null(text);
	/* Not one for each client. */
	assert_true(atoi(strstr(text, "\nskyfall_stream_events_total ") + 29) < 10);
	rig_close(&x);
	server_free(w->server);
	w->server = NULL;
	for (unsigned i = 0; i < 200; i++) {
		while (rig_until(&c[i], "\n\n"))
			;
		rig_close(&c[i]);
	}
	free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_deltas_lead_to_the_snapshot),
		cmocka_unit_test(test_bounded_signs_first),
		cmocka_unit_test(test_ring),
		cmocka_unit_test_setup_teardown(test_changes_appear, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(test_streams_leave_room, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(test_many_clients, rig_setup, rig_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
