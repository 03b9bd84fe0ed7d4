/* SPDX-License-Identifier: Apache-2.0 */
/* agent/walk.c without a kernel: what is added to the rows when a connection is adopted, read, found dead, ended. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* their steps are nobody else's business */
#include "agent/ask.c"
#include "agent/tally.c"
#include "agent/walk.c"

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
	r->w->ask.tally.rows = r->rows;
	r->w->ask.tally.us_per_jiffy = 4000;
	r->w->ask.tally.cut_ms = 5000;
	r->w->ask.tally.now_ms = 5000;
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
	struct conn *c = ask_follow(&r->w->ask, &r->sock);

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

static void ended(struct rig *r, struct conn *c, const struct sky_final *f)
{
	tally_end(&r->w->ask.tally, c, f);
	ask_drop(&r->w->ask, c);
}

static void answered(struct rig *r, struct conn *c, __u32 status)
{
	conn_answer(&r->w->ask, c, &(struct sky_answer){.id = c->id, .status = status, .found = 1}, &r->sock);
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

	tally_alive(&r->w->ask.tally, c, &r->sock.first, &t);
	tally_alive(&r->w->ask.tally, c, &r->sock.first, NULL);
	t.tx = 1500;
	t.busy = 5;
	r->w->ask.tally.cut_ms = 5500;
	tally_alive(&r->w->ask.tally, c, &r->sock.first, &t);
	f.totals.tx_segs = 4;
	f.totals.busy = 5;
	f.totals.undelivered = 9;
	ended(r, c, &f);
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
	assert_int_equal(conns_count(r->w->ask.conns), 0);
}

/* A walk may read one byte too many (a FIN before its flag). It waits for the next read, or is taken back at the end. */
static void too_much_is_taken_back(void **state)
{
	struct rig *r = *state;
	struct conn *c = met(r);
	struct sky_totals t = {.rx = 101, .rx_segs = 1};
	struct sky_final f = final_of(0, 100, SKY_END_NORMAL);

	tally_alive(&r->w->ask.tally, c, &r->sock.first, &t);
	t.rx = 100;
	tally_alive(&r->w->ask.tally, c, &r->sock.first, &t);
	assert_int_equal(row(r)->rx_bytes, 101);
	ended(r, c, &f);
	assert_int_equal(row(r)->rx_bytes, 100);
	assert_int_equal(r->w->ask.tally.clamped, 0);
}

/* In the row of a later interval it is taken from what the others of that row did, told before or after. */
static void too_much_is_taken_from_a_later_row(void **state)
{
	struct rig *r = *state;
	struct conn *c = met(r);
	struct sky_totals t = {.rx = 101};
	struct sky_final f = final_of(0, 100, SKY_END_NORMAL);
	struct sky_row_value others = {.rx_bytes = 211};

	tally_alive(&r->w->ask.tally, c, &r->sock.first, &t);
	walk_settle(r->w, r->rows);
	assert_int_equal(row(r)->rx_bytes, 101);
	agent_rows_clear(r->rows);
	ended(r, c, &f);
	assert_int_equal(agent_rows_add(r->rows, &r->sock.key, &others), 0);
	walk_settle(r->w, r->rows);
	assert_int_equal(row(r)->rx_bytes, 210);
	assert_int_equal(r->w->ask.tally.fin_guessed, 0);
}

/* Where nothing is to take it from it stays, counted. */
static void what_cannot_be_taken_back_is_counted(void **state)
{
	struct rig *r = *state;
	struct conn *c = met(r);
	struct sky_totals t = {.rx = 101, .tx = 8};
	struct sky_final f = final_of(6, 100, SKY_END_NORMAL);

	tally_alive(&r->w->ask.tally, c, &r->sock.first, &t);
	agent_rows_clear(r->rows);
	ended(r, c, &f);
	walk_settle(r->w, r->rows);
	walk_settle(r->w, r->rows);
	assert_int_equal(row(r)->rx_bytes, 0);
	assert_int_equal(row(r)->tx_bytes, 0);
	assert_int_equal(walk_counts(r->w)->fin_guessed, 1);
	assert_int_equal(walk_counts(r->w)->clamped, 2);
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
	assert_int_equal(conns_count(r->w->ask.conns), 1);
	c = conns_find(r->w->ask.conns, 7);
	ended(r, c, &f);
	assert_int_equal(row(r)->attempts, 0);
	assert_int_equal(row(r)->opened, 0);
	assert_int_equal(row(r)->closed, 1);
	assert_int_equal(row(r)->tx_bytes, 1);
	assert_int_equal(row(r)->rx_bytes, 5);
}

static void ended_before_its_totals_were_read(void **state)
{
	struct rig *r = *state;
	struct conn *c = ask_follow(&r->w->ask, &r->sock);
	struct sky_final f = final_of(10, 20, SKY_END_NORMAL);

	f.first = r->sock.first;
	ended(r, c, &f);
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
	struct conn *c = ask_follow(&r->w->ask, &r->sock);
	struct sky_final f = final_of(0, 0, SKY_FAILED_REFUSED);

	tally_trying(&r->w->ask.tally, c);
	tally_trying(&r->w->ask.tally, c);
	ended(r, c, &f);
	assert_int_equal(row(r)->attempts, 1);
	assert_int_equal(row(r)->failed_refused, 1);
	assert_int_equal(row(r)->opened + row(r)->closed, 0);
}

/* Its CLOSE was seen by nobody: it ended when it was last seen alive. */
static void dead_is_opened_and_closed_once(void **state)
{
	struct rig *r = *state;
	struct conn *c = met(r);

	answered(r, c, SKY_DEAD);
	assert_int_equal(row(r)->opened, 1);
	assert_int_equal(row(r)->closed, 0);
	answered(r, c, SKY_DELETED);
	assert_int_equal(row(r)->opened, 1);
	assert_int_equal(row(r)->closed, 1);
	assert_int_equal(row(r)->open_ms, 0);
	assert_int_equal(r->w->ask.counts.finalised, 1);
}

/* Of one that was tried and then seen by nobody the attempt is known at once, its failure when it is surely gone. */
static void dead_while_connecting_is_an_attempt_at_once(void **state)
{
	struct rig *r = *state;
	struct conn *c;

	r->sock.phase = SKY_CONNECTING;
	c = ask_follow(&r->w->ask, &r->sock);
	answered(r, c, SKY_DEAD);
	assert_int_equal(row(r)->attempts, 1);
	assert_int_equal(row(r)->failed_other, 0);
	answered(r, c, SKY_DELETED);
	assert_int_equal(row(r)->attempts, 1);
	assert_int_equal(row(r)->failed_other, 1);
	assert_int_equal(row(r)->opened + row(r)->closed, 0);
}

static void unseen_ids_are_forgotten(void **state)
{
	struct rig *r = *state;
	struct conn *c = met(r);

	r->w->ask.round = 1;
	c->round = 1;
	for (r->w->ask.round = 2; r->w->ask.round <= 1 + UNSEEN_ROUNDS; r->w->ask.round++) {
		forget(r->w);
		assert_int_equal(conns_count(r->w->ask.conns), 1);
	}
	forget(r->w);
	assert_int_equal(conns_count(r->w->ask.conns), 0);
}

static void no_room_while_it_lives_loses_nothing(void **state)
{
	struct rig *r = *state;
	struct conn *c = met(r);
	struct sky_totals t = {.tx = 1000};
	struct sky_row_key k = {0};

	for (k.netns = 1; agent_rows_get(r->rows, &k); k.netns++)
		;
	tally_alive(&r->w->ask.tally, c, &r->sock.first, &t);
	agent_rows_clear(r->rows);
	tally_alive(&r->w->ask.tally, c, &r->sock.first, &t);
	assert_int_equal(row(r)->tx_bytes, 1000);
	assert_int_equal(row(r)->opened, 1);
}

/* Whoever is found at a place is followed from then on, with what the entry said. */
static void who_is_found_is_followed(void **state)
{
	struct rig *r = *state;
	struct sky_answer a = {.id = 7, .status = SKY_TOTALS, .found = 1, .totals = {.tx = 10, .segs = 5}};
	struct conn *c;

	place_answer(&r->w->ask, 0x4000, &a, &r->sock);
	c = conns_find(r->w->ask.conns, 7);
	assert_non_null(c);
	assert_int_equal(c->sk, 0x4000);
	assert_int_equal(c->segs, 5);
	assert_int_equal(row(r)->tx_bytes, 10);
	assert_int_equal(row(r)->open_ms, 3000);
	assert_int_equal(places_count(r->w->ask.places), 0);
	assert_int_equal(conn_how(&r->w->ask, c, 1), 0);
}

/* It ended while it was read: its end may come by `closed`, so it is followed until then, and its place asked about again. */
static void found_ending_is_followed_and_its_place_kept(void **state)
{
	struct rig *r = *state;
	struct sky_answer a = {.id = 7, .status = SKY_NONE, .found = 1};
	struct sky_final f = final_of(10, 0, SKY_END_NORMAL);
	struct conn *c;

	place_answer(&r->w->ask, 0x4000, &a, &r->sock);
	c = conns_find(r->w->ask.conns, 7);
	assert_non_null(c);
	assert_int_equal(c->sk, 0);
	assert_int_equal(places_count(r->w->ask.places), 1);
	assert_int_equal(places_at(r->w->ask.places, 0), 0x4000);
	f.first = r->sock.first;
	ended(r, c, &f);
	assert_int_equal(places_count(r->w->ask.places), 1); /* not twice */
	assert_int_equal(row(r)->opened, 1);
	assert_int_equal(row(r)->closed, 1);
	assert_int_equal(row(r)->tx_bytes, 10);
}

static void a_free_place_is_kept_and_one_that_is_gone_is_not(void **state)
{
	struct rig *r = *state;

	place_answer(&r->w->ask, 0x4000, &(struct sky_answer){.status = SKY_FREE}, NULL);
	place_answer(&r->w->ask, 0x4800, &(struct sky_answer){.status = SKY_NONE}, NULL);
	place_answer(&r->w->ask, 0x5000, &(struct sky_answer){.status = SKY_DELETED}, NULL);
	assert_int_equal(places_count(r->w->ask.places), 1);
	assert_int_equal(places_at(r->w->ask.places, 0), 0x4000);
	assert_int_equal(conns_count(r->w->ask.conns), 0);
}

/* Its address goes to `places` once, whether a walk or `closed` tells first; with its entry deleted it does not. */
static void an_address_is_let_go_once(void **state)
{
	struct rig *r = *state;
	struct conn *c = met(r);

	c->sk = 0x4000;
	answered(r, c, SKY_NONE);
	assert_int_equal(places_count(r->w->ask.places), 1);
	ask_drop(&r->w->ask, c);
	assert_int_equal(places_count(r->w->ask.places), 1);
	c = met(r);
	c->sk = 0x4000;
	answered(r, c, SKY_DELETED);
	assert_int_equal(conns_count(r->w->ask.conns), 0);
	assert_int_equal(places_count(r->w->ask.places), 1);
}

/* Connecting when it was found, established when it is next read. */
static void established_between_two_walks(void **state)
{
	struct rig *r = *state;
	struct sky_answer a = {.id = 7, .status = SKY_ATTEMPT, .found = 1};
	struct sky_sock s = r->sock;
	struct conn *c;

	s.phase = SKY_CONNECTING;
	s.lport = 0;
	place_answer(&r->w->ask, 0x4000, &a, &s);
	c = conns_find(r->w->ask.conns, 7);
	assert_int_equal(row(r)->attempts, 1);
	assert_int_equal(conn_how(&r->w->ask, c, 1), SKY_ASK_FORCE);
	a = (struct sky_answer){.id = 7, .status = SKY_TOTALS, .found = 1, .totals = {.tx = 1}};
	conn_answer(&r->w->ask, c, &a, &r->sock);
	assert_int_equal(row(r)->attempts, 1);
	assert_int_equal(row(r)->opened, 1);
	assert_int_equal(row(r)->tx_bytes, 1);
	assert_int_equal(row(r)->open_ms, 3000);
}

/* Accepted by another program than the one that listens, after it was read. */
static void an_owner_told_later_is_taken(void **state)
{
	struct rig *r = *state;
	struct conn *c = met(r);
	struct sky_answer a = {.id = 7, .status = SKY_OWNED, .found = 1};

	r->sock.key.owner.cgroup = 99;
	place_answer(&r->w->ask, 0x4000, &a, &r->sock);
	assert_int_equal(c->key.owner.cgroup, 99);
	a.id = 8; /* nobody we follow */
	place_answer(&r->w->ask, 0x4000, &a, &r->sock);
	assert_int_equal(conns_count(r->w->ask.conns), 1);
	assert_int_equal(places_count(r->w->ask.places), 0);
}

/* In ASK_TURNS walks each idle connection is looked up once. */
static void idle_ones_are_looked_up_in_turn(void **state)
{
	struct rig *r = *state;
	struct conn *c = met(r);
	unsigned looks = 0;

	c->known = 1;
	for (r->w->ask.round = 1; r->w->ask.round <= ASK_TURNS; r->w->ask.round++)
		looks += conn_how(&r->w->ask, c, 5) == SKY_ASK_LOOK;
	assert_int_equal(looks, 1);
}

static void listing_finds_what_was_not_told(void **state)
{
	struct rig *r = *state;
	struct conn *c = met(r);
	struct sky_sock other = {.id = 9}, known = {.id = 10, .told = sky_told_mark(0x6000)};

	list_entry(r->w, 0x4000, &r->sock, false);
	assert_int_equal(c->sk, 0x4000);
	list_entry(r->w, 0x6000, &known, false);
	assert_int_equal(places_count(r->w->ask.places), 0);
	list_entry(r->w, 0x5000, &other, false);
	assert_int_equal(places_count(r->w->ask.places), 1);
	list_entry(r->w, 0x6000, &known, true);
	assert_int_equal(places_count(r->w->ask.places), 2);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(parts_add_up),
		TEST(too_much_is_taken_back),
		TEST(too_much_is_taken_from_a_later_row),
		TEST(what_cannot_be_taken_back_is_counted),
		TEST(adopted_counts_from_then_on),
		TEST(ended_before_its_totals_were_read),
		TEST(an_attempt_is_counted_once),
		TEST(dead_is_opened_and_closed_once),
		TEST(dead_while_connecting_is_an_attempt_at_once),
		TEST(unseen_ids_are_forgotten),
		TEST(no_room_while_it_lives_loses_nothing),
		TEST(who_is_found_is_followed),
		TEST(found_ending_is_followed_and_its_place_kept),
		TEST(a_free_place_is_kept_and_one_that_is_gone_is_not),
		TEST(an_address_is_let_go_once),
		TEST(established_between_two_walks),
		TEST(an_owner_told_later_is_taken),
		TEST(idle_ones_are_looked_up_in_turn),
		TEST(listing_finds_what_was_not_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
