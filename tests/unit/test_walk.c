/* SPDX-License-Identifier: Apache-2.0 */
/* agent/walk.c without a kernel: what is added to the rows when a connection is adopted, read, found dead, ended. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "agent/walk.c" /* its steps are nobody else's business */

struct rig {
	struct walk *w;
	struct agent_rows *rows;
	struct sky_sock sock;
};

static int set_up(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	assert_int_equal(walk_new(&r->w, 64), 0);
	assert_int_equal(agent_rows_new(&r->rows, 16), 0);
	r->w->rows = r->rows;
	r->w->us_per_jiffy = 4000;
	r->w->cut_ms = 5000;
	r->w->now_ms = 5000;
	r->sock = (struct sky_sock){.id = 7, .since_ns = 2000000000, .phase = SKY_OPEN, .lport = 40000, .rport = 80};
	r->sock.key.role = SKY_ROLE_CLIENT;
	r->sock.first = (struct sky_first){.handshake_us = 100, .srtt_us = 90, .mdev_us = 5, .cwnd = 10};
	*state = r;
	return 0;
}

static int tear_down(void **state)
{
	struct rig *r = *state;

	walk_free(r->w);
	agent_rows_free(r->rows);
	free(r);
	return 0;
}

/* A connection the walk meets for the first time. */
static struct conn *met(struct rig *r)
{
	struct conn *c = conn_make(r->w, &r->sock);

	assert_non_null(c);
	c->port = r->sock.lport;
	c->until_ms = r->sock.since_ns / 1000000;
	return c;
}

static const struct sky_row_value *row(const struct rig *r)
{
	assert_int_equal(agent_rows_count(r->rows), 1);
	return &agent_rows_at(r->rows, 0)->val;
}

static struct sky_final final_of(uint64_t tx, uint64_t rx, uint32_t end)
{
	return (struct sky_final){
		.totals = {.tx = tx, .rx = rx}, .since_ns = 2000000000, .at_ns = 6000000000, .end = end};
}

static void parts_add_up(void **state)
{
	struct rig *r = *state;
	struct conn *c = met(r);
	struct sky_totals t = {.tx = 1000,
			       .rx = 50,
			       .tx_segs = 3,
			       .rx_segs = 1,
			       .busy = 2,
			       .turn = -1,
			       .srtt_us = 100,
			       .min_rtt_us = 60,
			       .cwnd = 10};
	struct sky_final f = final_of(1700, 51, SKY_END_RESET_RECEIVED);

	conn_alive(r->w, c, &r->sock.first, &t);
	conn_alive(r->w, c, &r->sock.first, NULL);
	t.tx = 1500;
	t.busy = 5;
	r->w->cut_ms = 5500;
	conn_alive(r->w, c, &r->sock.first, &t);
	f.totals.tx_segs = 4;
	f.totals.busy = 5;
	f.totals.undelivered = 9;
	conn_end(r->w, c, &f);
	assert_int_equal(row(r)->attempts, 1);
	assert_int_equal(row(r)->opened, 1);
	assert_int_equal(row(r)->closed, 1);
	assert_int_equal(row(r)->reset_received, 1);
	assert_int_equal(row(r)->tx_bytes, 1700);
	assert_int_equal(row(r)->rx_bytes, 51);
	assert_int_equal(row(r)->tx_segs, 4);
	assert_int_equal(row(r)->tx_undelivered, 9);
	assert_int_equal(row(r)->busy_us, 20000);
	assert_int_equal(row(r)->open_ms, 4000);
	assert_int_equal(row(r)->rtt_samples, 3); /* established, two walks that saw data */
	assert_int_equal(row(r)->queue_us, 80);
	assert_int_equal(row(r)->turn_samples, 2);
	assert_int_equal(row(r)->turn_peer, 2);
	assert_int_equal(conns_count(r->w->conns), 0);
}

/* A walk may read one byte too many (a FIN before its flag). It waits for the next read, or is taken back at the end. */
static void too_much_is_taken_back(void **state)
{
	struct rig *r = *state;
	struct conn *c = met(r);
	struct sky_totals t = {.rx = 101, .rx_segs = 1};
	struct sky_final f = final_of(0, 100, SKY_END_NORMAL);

	conn_alive(r->w, c, &r->sock.first, &t);
	t.rx = 100;
	conn_alive(r->w, c, &r->sock.first, &t);
	assert_int_equal(row(r)->rx_bytes, 101);
	conn_end(r->w, c, &f);
	assert_int_equal(row(r)->rx_bytes, 100);
	assert_int_equal(r->w->counts.clamped, 0);
}

/* In a row of a later interval there is nothing to take it from: it stays, counted. */
static void what_cannot_be_taken_back_is_counted(void **state)
{
	struct rig *r = *state;
	struct conn *c = met(r);
	struct sky_totals t = {.rx = 101};
	struct sky_final f = final_of(0, 100, SKY_END_NORMAL);

	conn_alive(r->w, c, &r->sock.first, &t);
	agent_rows_clear(r->rows);
	conn_end(r->w, c, &f);
	assert_int_equal(row(r)->rx_bytes, 0);
	assert_int_equal(r->w->counts.clamped, 1);
}

static void adopted_counts_from_then_on(void **state)
{
	struct rig *r = *state;
	struct sky_totals t = {.tx = 5000, .rx = 70};
	struct sky_final f = final_of(5001, 75, SKY_END_NORMAL);
	struct conn *c;

	r->sock.key.flags = SKY_FLAG_JOINED;
	walk_adopt(r->w, &r->sock, &t);
	walk_adopt(r->w, &r->sock, &t); /* one descriptor more */
	assert_int_equal(conns_count(r->w->conns), 1);
	c = conns_find(r->w->conns, 7);
	conn_end(r->w, c, &f);
	assert_int_equal(row(r)->attempts, 0);
	assert_int_equal(row(r)->opened, 0);
	assert_int_equal(row(r)->closed, 1);
	assert_int_equal(row(r)->tx_bytes, 1);
	assert_int_equal(row(r)->rx_bytes, 5);
}

static void ended_before_its_totals_were_read(void **state)
{
	struct rig *r = *state;
	struct conn *c = conn_make(r->w, &r->sock);
	struct sky_final f = final_of(10, 20, SKY_END_NORMAL);

	f.first = r->sock.first;
	conn_end(r->w, c, &f);
	assert_int_equal(row(r)->attempts, 1);
	assert_int_equal(row(r)->opened, 1);
	assert_int_equal(row(r)->closed, 1);
	assert_int_equal(row(r)->tx_bytes, 10);
	assert_int_equal(row(r)->open_ms, 4000);
	assert_int_equal(row(r)->rtt_samples, 1);
}

static void an_attempt_is_counted_once(void **state)
{
	struct rig *r = *state;
	struct conn *c = conn_make(r->w, &r->sock);
	struct sky_final f = final_of(0, 0, SKY_FAILED_REFUSED);

	conn_trying(r->w, c);
	conn_trying(r->w, c);
	conn_end(r->w, c, &f);
	assert_int_equal(row(r)->attempts, 1);
	assert_int_equal(row(r)->failed_refused, 1);
	assert_int_equal(row(r)->opened + row(r)->closed, 0);
}

/* Its CLOSE was seen by nobody: it ended when it was last seen alive. */
static void dead_is_opened_and_closed_once(void **state)
{
	struct rig *r = *state;
	struct conn *c = met(r);

	conn_dead(r->w, c, &r->sock.first, SKY_DEAD);
	assert_int_equal(row(r)->opened, 1);
	assert_int_equal(row(r)->closed, 0);
	conn_dead(r->w, c, &r->sock.first, SKY_DELETED);
	assert_int_equal(row(r)->opened, 1);
	assert_int_equal(row(r)->closed, 1);
	assert_int_equal(row(r)->open_ms, 0);
	assert_int_equal(r->w->counts.finalised, 1);
}

/* Of one that was tried and then seen by nobody the attempt is known at once, its failure when it is surely gone. */
static void dead_while_connecting_is_an_attempt_at_once(void **state)
{
	struct rig *r = *state;
	struct conn *c;

	r->sock.phase = SKY_CONNECTING;
	c = conn_make(r->w, &r->sock);
	conn_dead(r->w, c, &r->sock.first, SKY_DEAD);
	assert_int_equal(row(r)->attempts, 1);
	assert_int_equal(row(r)->failed_other, 0);
	conn_dead(r->w, c, &r->sock.first, SKY_DELETED);
	assert_int_equal(row(r)->attempts, 1);
	assert_int_equal(row(r)->failed_other, 1);
	assert_int_equal(row(r)->opened + row(r)->closed, 0);
}

static void unseen_ids_are_forgotten(void **state)
{
	struct rig *r = *state;
	struct conn *c = met(r);

	r->w->round = 1;
	c->round = 1;
	for (r->w->round = 2; r->w->round <= 1 + UNSEEN_ROUNDS; r->w->round++) {
		forget(r->w);
		assert_int_equal(conns_count(r->w->conns), 1);
	}
	forget(r->w);
	assert_int_equal(conns_count(r->w->conns), 0);
}

static void no_room_while_it_lives_loses_nothing(void **state)
{
	struct rig *r = *state;
	struct conn *c = met(r);
	struct sky_totals t = {.tx = 1000};
	struct sky_row_key k = {0};

	for (k.netns = 1; agent_rows_get(r->rows, &k); k.netns++)
		;
	conn_alive(r->w, c, &r->sock.first, &t);
	agent_rows_clear(r->rows);
	conn_alive(r->w, c, &r->sock.first, &t);
	assert_int_equal(row(r)->tx_bytes, 1000);
	assert_int_equal(row(r)->opened, 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(parts_add_up),
		TEST(too_much_is_taken_back),
		TEST(what_cannot_be_taken_back_is_counted),
		TEST(adopted_counts_from_then_on),
		TEST(ended_before_its_totals_were_read),
		TEST(an_attempt_is_counted_once),
		TEST(dead_is_opened_and_closed_once),
		TEST(dead_while_connecting_is_an_attempt_at_once),
		TEST(unseen_ids_are_forgotten),
		TEST(no_room_while_it_lives_loses_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
