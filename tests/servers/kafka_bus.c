/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The suite of every bus on a real broker, then what Kafka alone does. SKYFALL_KAFKA: its address. Each test has topics of
 * its own (another prefix). An argument: only tests of that name (with * and ?).
 */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <librdkafka/rdkafka.h>

#include "base/buf.h"
#include "base/clock.h"
#include "bus/bus.h"
#include "bus/topics.h"
#include "tests/unit/bus_suite.h"

static char folder[] = "/tmp/skyfall-kafka.XXXXXX";
static unsigned opened;

static const char *brokers(void)
{
	const char *b = getenv("SKYFALL_KAFKA");

	assert_non_null(b);
	return b;
}

/* Settings for another set of topics, and `more` of them. */
static void config_write(char path[128], size_t max_bytes, const char *more)
{
	FILE *file;

	snprintf(path, 128, "%s/%u", folder, ++opened);
	file = fopen(path, "w");
	assert_non_null(file);
	fprintf(file, "prefix = t%d-%u.\nlinger.ms = 5\nqueue.buffering.max.kbytes = %zu\n%s", (int)getpid(), opened,
		max_bytes / 1024, more);
	assert_int_equal(fclose(file), 0);
}

static void said(void *arg, bool good, const char *line)
{
	if (!good)
		print_error("%s\n", line);
}

static void make_topics(const char *config, unsigned partitions)
{
	const struct topics_opts to = {
		.brokers = brokers(), .config = config, .partitions = partitions, .replication = 1, .create = true};
	char why[512] = "";
	int r = topics_look(&to, said, NULL, why, sizeof(why));

	if (r)
		print_error("%d: %s\n", r, why);
	assert_int_equal(r, 0);
}

static int open_with(struct bus **ret, unsigned partitions, size_t max_bytes, const char *more)
{
	char path[128], why[512] = "";
	const struct bus_kafka_opts opts = {.brokers = brokers(), .config = path};
	int r;

	config_write(path, max_bytes, more);
	make_topics(path, partitions);
	r = bus_kafka_open(ret, &opts, why, sizeof(why));
	if (r)
		print_error("%s\n", why);
	return r;
}

static int open_kafka(struct bus **ret, unsigned partitions, size_t max_bytes)
{
	return open_with(ret, partitions, max_bytes, "");
}

static struct bus *open_more(unsigned partitions, const char *more)
{
	struct bus *bus = NULL;

	assert_int_equal(open_with(&bus, partitions, 8 << 20, more), 0);
	return bus;
}

/* --- Kafka alone */

/* Of two with one id the later wins: the other's transaction is not seen, its next one fences in turn. */
static void fenced_by_the_same_id(void **state)
{
	struct bus *bus = open_more(1, "");
	struct bus_producer *old = suite_producer(bus, "same"), *young = suite_producer(bus, "same");
	struct bus_reader *e = suite_reader(bus, NULL, BUS_EDGES);
	char why[256];
	int r;

	assert_int_equal(bus_begin(old), 0);
	assert_int_equal(suite_put(old, BUS_EDGES, 0, "", "old"), 0);
	assert_int_equal(bus_begin(young), 0);
	assert_int_equal(suite_put(young, BUS_EDGES, 0, "", "young"), 0);
	r = bus_commit(old, NULL, NULL, 0);
	bus_why(bus, why, sizeof(why));
	if (r != -ESTALE)
		print_error("%s\n", why);
	assert_int_equal(r, -ESTALE);
	assert_non_null(strstr(why, "same"));
	assert_int_equal(bus_commit(young, NULL, NULL, 0), 0);
	suite_expect(e, 1, "young ");
	assert_int_equal(bus_begin(old), 0);
	assert_int_equal(suite_put(old, BUS_EDGES, 0, "", "again"), 0);
	assert_int_equal(bus_commit(old, NULL, NULL, 0), 0);
	suite_expect(e, 1, "again ");
	suite_expect_nothing(e);
	bus_producer_close(old);
	bus_producer_close(young);
	bus_reader_close(e);
	bus_close(bus);
}

/* A transaction that rests longer than its time is ended by the broker: nothing of it is seen, and the next one works. */
static void too_slow_a_transaction(void **state)
{
	struct bus *bus = open_more(1, "transaction.timeout.ms = 2000\n");
	struct bus_producer *p = suite_producer(bus, "slow"), *q = suite_producer(bus, NULL);
	struct bus_reader *r = suite_reader(bus, NULL, BUS_EDGES);
	struct bus_msg m;

	assert_int_equal(bus_begin(p), 0);
	assert_int_equal(suite_put(p, BUS_EDGES, 0, "", "slow"), 0);
	do /* until it has reached the broker: then nothing behind it is readable */
		assert_int_equal(suite_put(q, BUS_EDGES, 0, "", "behind"), 0);
	while (bus_read(r, &m, 1, 400) == 1);
	suite_expect(r, 1, "behind "); /* the broker has ended it */
	assert_int_equal(bus_commit(p, NULL, NULL, 0), -ESTALE);
	assert_int_equal(bus_begin(p), 0);
	assert_int_equal(suite_put(p, BUS_EDGES, 0, "", "quick"), 0);
	assert_int_equal(bus_commit(p, NULL, NULL, 0), 0);
	suite_expect(r, 1, "quick ");
	bus_producer_close(p);
	bus_producer_close(q);
	bus_reader_close(r);
	bus_close(bus);
}

/* A member that does not read for too long is put out; what it still believes it has it cannot commit. */
static void put_out_of_the_group(void **state)
{
	struct bus *bus = open_more(1, "max.poll.interval.ms = 6000\n");
	struct bus_producer *q = suite_producer(bus, NULL), *p = suite_producer(bus, "p");
	struct bus_reader *a = suite_reader(bus, "g", BUS_FLOWS), *b, *e;
	struct bus_position pos = {.topic = BUS_FLOWS, .metadata = "a"};

	assert_int_equal(suite_put(q, BUS_FLOWS, 0, "", "1"), 0);
	suite_expect(a, 1, "1 ");
	b = suite_reader(bus, "g", BUS_FLOWS);
	suite_expect(b, 1, "1 "); /* while a sleeps */
	assert_int_equal(bus_begin(p), 0);
	assert_int_equal(suite_put(p, BUS_EDGES, 0, "", "stale"), 0);
	pos.offset = 1;
	assert_int_equal(bus_commit(p, a, &pos, 1), -ESTALE);
	assert_int_equal(bus_commit_positions(a, &pos, 1), -ESTALE);
	e = suite_reader(bus, NULL, BUS_EDGES);
	suite_expect_nothing(e);
	assert_int_equal(bus_begin(p), 0);
	assert_int_equal(suite_put(p, BUS_EDGES, 0, "", "good"), 0);
	strcpy(pos.metadata, "b");
	assert_int_equal(bus_commit(p, b, &pos, 1), 0);
	suite_expect(e, 1, "good ");
	assert_int_equal(bus_committed(b, BUS_FLOWS, 0, &pos), 0);
	assert_string_equal(pos.metadata, "b");
	bus_reader_close(a);
	bus_reader_close(b);
	bus_reader_close(e);
	bus_producer_close(p);
	bus_producer_close(q);
	bus_close(bus);
}

/* More than the queue holds: refused at once, never waited for; what was taken all arrives. */
static void full_queue(void **state)
{
	static char value[1000];
	struct bus *bus = NULL;
	struct bus_producer *p;
	struct bus_reader *r;
	struct bus_stats st;
	struct bus_msg m[64];
	int taken = 0, refused = 0, n;
	int64_t t, slowest = 0, until;

	assert_int_equal(open_with(&bus, 1, 256 << 10, "linger.ms = 500\ncompression.type = none\n"), 0);
	p = suite_producer(bus, NULL);
	r = suite_reader(bus, NULL, BUS_FLOWS);
	for (int i = 0; i < 5000; i++) {
		t = clock_mono_us();
		n = bus_produce(p, BUS_FLOWS, 0, NULL, 0, value, sizeof(value));
		t = clock_mono_us() - t;
		slowest = t > slowest ? t : slowest;
		assert_true(n == 0 || n == -EAGAIN);
		taken += n == 0;
		refused += n == -EAGAIN;
	}
	assert_true(refused > 0);
	assert_true(slowest < 100000);
	bus_stats(bus, &st);
	assert_int_equal(st.refused, refused);
	until = clock_mono_us() + SUITE_WAIT_MS * 1000;
	while (taken > 0 && clock_mono_us() < until) {
		n = bus_read(r, m, 64, 50);
		assert_true(n >= 0);
		taken -= n;
	}
	assert_int_equal(taken, 0);
	suite_expect_nothing(r);
	bus_producer_close(p);
	bus_reader_close(r);
	bus_close(bus);
}

static void delete_up_to(const char *topic, int64_t offset)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_DeleteRecords_t *del;
	rd_kafka_queue_t *queue;
	rd_kafka_event_t *event;
	rd_kafka_t *rk;
	char why[256];

	rd_kafka_conf_set(conf, "bootstrap.servers", brokers(), NULL, 0);
	rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof(why));
	assert_non_null(rk);
	queue = rd_kafka_queue_new(rk);
	rd_kafka_topic_partition_list_add(list, topic, 0)->offset = offset;
	del = rd_kafka_DeleteRecords_new(list);
	rd_kafka_DeleteRecords(rk, &del, 1, NULL, queue);
	event = rd_kafka_queue_poll(queue, SUITE_WAIT_MS);
	assert_non_null(event);
	assert_int_equal(rd_kafka_event_error(event), 0);
	rd_kafka_event_destroy(event);
	rd_kafka_DeleteRecords_destroy(del);
	rd_kafka_topic_partition_list_destroy(list);
	rd_kafka_queue_destroy(queue);
	rd_kafka_destroy(rk);
}

/* What retention takes before it is read is counted, both when a reader comes and while it reads. */
static void retention_is_told(void **state)
{
	struct bus *bus = open_more(1, "");
	struct bus_producer *q = suite_producer(bus, NULL);
	struct bus_reader *r = suite_reader(bus, "g", BUS_FLOWS);
	struct bus_position pos = {.topic = BUS_FLOWS, .offset = 1};
	struct bus_stats st;
	char name[64];

	for (const char *v = "abcdef"; *v; v++)
		assert_int_equal(bus_produce(q, BUS_FLOWS, 0, NULL, 0, v, 1), 0);
	suite_expect(r, 6, "a b c d e f ");
	assert_int_equal(bus_commit_positions(r, &pos, 1), 0);
	bus_reader_close(r);
	snprintf(name, sizeof(name), "t%d-%u.skyfall.flows", (int)getpid(), opened);
	delete_up_to(name, 4);
	r = suite_reader(bus, "g", BUS_FLOWS);
	suite_expect(r, 2, "e f ");
	bus_stats(bus, &st);
	assert_int_equal(st.expired, 3);
	assert_int_equal(bus_seek(r, BUS_FLOWS, 0, 1), 0); /* what is known to be gone is not asked for */
	suite_expect(r, 2, "e f ");
	delete_up_to(name, 5);
	assert_int_equal(bus_seek(r, BUS_FLOWS, 0, 4), 0);
	suite_expect(r, 1, "f ");
	bus_stats(bus, &st);
	assert_int_equal(st.expired, 4);
	bus_reader_close(r);
	bus_producer_close(q);
	bus_close(bus);
}

static long counted(struct buf *b, const char *name)
{
	const char *at = strstr(buf_text(b), name);

	return at ? atol(strchr(at, '}') + 1) : -1;
}

/* librdkafka's statistics, under the names of what wrote and read. */
static void statistics(void **state)
{
	struct bus *bus = open_more(1, "statistics.interval.ms = 100\n");
	struct bus_producer *p = suite_producer(bus, "p");
	struct bus_reader *r = suite_reader(bus, "g", BUS_FLOWS);
	int64_t until = clock_mono_us() + SUITE_WAIT_MS * 1000;
	struct bus_msg m;
	struct buf b;
	bool seen = false;

	buf_init(&b, 0);
	assert_int_equal(bus_begin(p), 0);
	assert_int_equal(suite_put(p, BUS_FLOWS, 0, "", "x"), 0);
	assert_int_equal(bus_commit(p, NULL, NULL, 0), 0);
	suite_expect(r, 1, "x ");
	while (!seen && clock_mono_us() < until) {
		assert_int_equal(bus_read(r, &m, 1, 20), 0);
		assert_int_equal(bus_begin(p), 0);
		assert_int_equal(bus_abort(p), 0);
		buf_clear(&b);
		bus_metrics(bus, &b);
		seen = counted(&b, "produced_messages_total{client=\"producer p\"}") >= 1 &&
		       counted(&b, "consumed_messages_total{client=\"reader g\"}") >= 1;
	}
	if (!seen)
		print_error("%s\n", buf_text(&b));
	assert_true(seen);
	buf_deinit(&b);
	bus_producer_close(p);
	bus_reader_close(r);
	bus_close(bus);
}

/* Who does not produce is heard all the same: what librdkafka tells every few seconds does not pile up. */
static void idle_producers_are_heard(void **state)
{
	static const char *const idle[] = {"requests_total{client=\"producer\"}",
					   "requests_total{client=\"producer p\"}"};
	struct bus *bus = open_more(1, "statistics.interval.ms = 100\n");
	struct bus_producer *p = suite_producer(bus, "p"), *q = suite_producer(bus, NULL);
	int64_t until = clock_mono_us() + SUITE_WAIT_MS * 1000;
	char why[256];
	struct buf b;
	bool seen = false;

	buf_init(&b, 0);
	while (!seen && clock_mono_us() < until) {
		bus_why(bus, why, sizeof(why));
		buf_clear(&b);
		bus_metrics(bus, &b);
		seen = counted(&b, idle[0]) >= 1 && counted(&b, idle[1]) >= 1;
	}
	if (!seen)
		print_error("%s\n", buf_text(&b));
	assert_true(seen);
	buf_deinit(&b);
	bus_producer_close(p);
	bus_producer_close(q);
	bus_close(bus);
}

static void open_fails(const char *where, const char *config, int want, const char *word)
{
	const struct bus_kafka_opts opts = {.brokers = where, .config = config};
	struct bus *bus = NULL;
	char why[512] = "";
	int r = bus_kafka_open(&bus, &opts, why, sizeof(why));

	if (r != want || !strstr(why, word))
		print_error("%d, %s\n", r, why);
	assert_int_equal(r, want);
	assert_non_null(strstr(why, word));
	assert_null(bus);
}

static void bad_settings(void **state)
{
	char path[128];

	config_write(path, 1 << 20, "no.such.thing = 1\n");
	open_fails(brokers(), path, -EINVAL, ":4: No such configuration property");
	config_write(path, 1 << 20, "# fine\n\nlinger.ms = often # now and then\n");
	open_fails(brokers(), path, -EINVAL, ":6: ");
	config_write(path, 1 << 20, "enable.idempotence = false\n");
	open_fails(brokers(), path, -EINVAL, ":4: enable.idempotence is not for this file");
	config_write(path, 1 << 20, "what\n");
	open_fails(brokers(), path, -EINVAL, ":4: a line is");
	config_write(path, 1 << 20, "prefix = a/b\n");
	open_fails(brokers(), path, -EINVAL, ":4: prefix");
	open_fails(brokers(), "/nonexistent/file", -ENOENT, "/nonexistent/file");
	config_write(path, 1 << 20, "");
	open_fails(brokers(), path, -ENOENT, "skyfall topics --create");
	open_fails("127.0.0.1:1", path, -ETIMEDOUT, "127.0.0.1:1");
	config_write(
		path, 1 << 20,
		"security.protocol = SASL_PLAINTEXT\nsasl.mechanism = PLAIN\nsasl.username = a\nsasl.password = b\n");
	open_fails(brokers(), path, -EACCES, "Authentication failure"); /* it speaks no SASL */
}

int main(int argc, char **argv)
{
	static const struct bus_implementation implementation = {"kafka", open_kafka, 400};
	static const struct CMUnitTest kafka[] = {
		cmocka_unit_test(fenced_by_the_same_id),    cmocka_unit_test(too_slow_a_transaction),
		cmocka_unit_test(put_out_of_the_group),     cmocka_unit_test(full_queue),
		cmocka_unit_test(retention_is_told),        cmocka_unit_test(statistics),
		cmocka_unit_test(idle_producers_are_heard), cmocka_unit_test(bad_settings),
	};
	char command[64];
	int failed;

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	if (!mkdtemp(folder))
		return 1;
	failed = bus_suite_run(&implementation) + cmocka_run_group_tests_name("kafka alone", kafka, NULL, NULL);
	snprintf(command, sizeof(command), "rm -rf '%s'", folder);
	return system(command) || failed;
}
