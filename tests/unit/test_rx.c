/* SPDX-License-Identifier: Apache-2.0 */
/* The collector with its real sockets and threads, on the loopback interface. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <errno.h>
#include <netinet/udp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "collector/collector.h"
#include "collector/rx.h"
#include "wire/ack.h"
#include "wire/flows.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

#define DEADLINE_US 10000000

static int connected(const char *ip, uint16_t port)
{
	struct sockaddr_storage sa;
	struct ip to;
	socklen_t len;
	int fd;

	assert_int_equal(ip_parse(ip, &to), 0);
	len = ip_to_sockaddr(&to, port, &sa);
	fd = socket(sa.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, len), 0);
	return fd;
}

static void send_run(int fd, const char *p, size_t n, uint16_t segment)
{
	char control[CMSG_SPACE(sizeof(segment))] __attribute__((aligned(8))) = {0};
	struct iovec iov = {(void *)p, n};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = IPPROTO_UDP;
	c->cmsg_type = UDP_SEGMENT;
	c->cmsg_len = CMSG_LEN(sizeof(segment));
	memcpy(CMSG_DATA(c), &segment, sizeof(segment));
	assert_int_equal(sendmsg(fd, &m, 0), n);
}

static size_t recv_all(struct rx *rx, struct str *ret, size_t want, struct account_peer *peer)
{
	static char kept[1 << 20];
	int64_t until = clock_mono_us() + DEADLINE_US;
	size_t n = 0, at = 0;

	while (n < want && clock_mono_us() < until) {
		const struct worker_packet *p;
		int got = rx_mmsg.recv(rx, &p);

		assert_true(got >= 0);
		for (int i = 0; i < got; i++) {
			assert_false(p[i].truncated);
			memcpy(kept + at, p[i].bytes.p, p[i].bytes.n);
			ret[n++] = (struct str){kept + at, p[i].bytes.n};
			at += p[i].bytes.n;
			*peer = p[i].peer;
		}
		if (!got)
			rx_mmsg.wait(rx, 100);
	}
	return n;
}

/* A run of equally long datagrams in one send comes out as the datagrams it was, over either family. */
static void runs_are_cut(const char *ip, const char *from)
{
	struct rx_opts o = {.rcvbuf = 1 << 20};
	static char run[41 * 1400];
	static struct str got[64];
	struct account_peer peer;
	struct rx *rx;
	int fd;

	for (size_t i = 0; i < sizeof(run); i++)
		run[i] = (char)(i / 1400);
	assert_int_equal(rx_mmsg.open(&rx, &o), 0);
	fd = connected(ip, rx_mmsg.port(rx));
	send_run(fd, run, 40 * 1400 + 77, 1400);
	assert_int_equal(send(fd, "alone", 5, 0), 5);
	assert_int_equal(send(fd, "", 0, 0), 0);
	assert_int_equal(recv_all(rx, got, 43, &peer), 43);
	for (unsigned i = 0; i < 40; i++) {
		assert_int_equal(got[i].n, 1400);
		assert_int_equal(got[i].p[0], i);
		assert_int_equal(got[i].p[1399], i);
	}
	assert_int_equal(got[40].n, 77);
	assert_int_equal(got[41].n, 5);
	assert_int_equal(got[42].n, 0);
	{
		struct ip local, remote;
		char buf[8];

		assert_int_equal(ip_parse(ip, &local), 0);
		assert_int_equal(ip_parse(from, &remote), 0);
		assert_true(ip_eq(&peer.ip, &remote));
		assert_true(ip_eq(&peer.local, &local));
		/* an answer reaches the connected socket: right source address and port */
		assert_true(rx_mmsg.send(rx, &peer, "ack", 3));
		assert_int_equal(recv(fd, buf, sizeof(buf), 0), 3);
	}
	close(fd);
	rx_mmsg.close(rx);
}

static void runs_are_cut_ipv4(void **state)
{
	runs_are_cut("127.0.0.3", "127.0.0.1"); /* not the address the kernel would answer from */
}

static void runs_are_cut_ipv6(void **state)
{
	runs_are_cut("::1", "::1");
}

/* What waited in the socket bears the time it came, a run of it one time. */
static void arrival_is_the_kernels(void **state)
{
	struct rx_opts o = {.rcvbuf = 1 << 20};
	static char run[3 * 1000];
	const struct worker_packet *p;
	int64_t before, after, until = clock_mono_us() + DEADLINE_US;
	struct rx *rx;
	int fd, n;

	assert_int_equal(rx_mmsg.open(&rx, &o), 0);
	fd = connected("127.0.0.1", rx_mmsg.port(rx));
	before = clock_wall_us();
	send_run(fd, run, sizeof(run), 1000);
	after = clock_wall_us();
	while (clock_wall_us() <= after + 20000) /* the reader is away */
		;
	while (!(n = rx_mmsg.recv(rx, &p)) && clock_mono_us() < until)
		rx_mmsg.wait(rx, 100);
	assert_true(n > 0);
	for (int i = 0; i < n; i++) {
		assert_in_range(p[i].at_us, before, after);
		assert_int_equal(p[i].at_us, p[0].at_us);
	}
	close(fd);
	rx_mmsg.close(rx);
}

static void dropped_datagrams_are_counted(void **state)
{
	struct rx_opts o = {.rcvbuf = 4096};
	const struct worker_packet *packets;
	struct account_peer peer;
	static struct str got[1000];
	struct rx_queue q;
	char p[1000] = {0};
	struct rx *rx;
	size_t n;
	int fd;

	assert_int_equal(rx_mmsg.open(&rx, &o), 0);
	fd = connected("127.0.0.1", rx_mmsg.port(rx));
	for (unsigned i = 0; i < 500; i++)
		assert_int_equal(send(fd, p, sizeof(p), 0), sizeof(p));
	rx_mmsg.queue(rx, &q); /* known though no datagram came after */
	assert_true(q.drops > 0 && q.drops < 500);
	assert_true(q.fill_pm > 500);
	n = recv_all(rx, got, 500 - q.drops, &peer);
	assert_int_equal(n, 500 - q.drops);
	assert_int_equal(rx_mmsg.recv(rx, &packets), 0);
	assert_int_equal(send(fd, p, sizeof(p), 0), sizeof(p)); /* brings the count with it */
	assert_int_equal(recv_all(rx, got, 1, &peer), 1);
	rx_mmsg.queue(rx, &q);
	assert_int_equal(q.drops, 500 - n);
	assert_true(q.fill_pm < 500);
	rx_mmsg.resize(rx, 1 << 17);
	rx_mmsg.queue(rx, &q);
	assert_int_equal(q.granted, 1 << 17);
	close(fd);
	rx_mmsg.close(rx);
}

/* --- which socket */

enum { GROUP = 4, RUN = 1 << STEER_RUN_BITS };

struct group {
	struct rx *rx[GROUP];
	uint16_t port;
};

static void group_open(struct group *g, enum steer how)
{
	struct rx_opts o = {.rcvbuf = 1 << 20, .share = true};

	for (unsigned i = 0; i < GROUP; i++) {
		assert_int_equal(rx_mmsg.open(&g->rx[i], &o), 0);
		g->port = o.port = rx_mmsg.port(g->rx[0]);
	}
	assert_int_equal(rx_mmsg.steer(g->rx[0], how, GROUP), 0);
}

static void group_close(struct group *g)
{
	for (unsigned i = 0; i < GROUP; i++)
		rx_mmsg.close(g->rx[i]);
}

/* Datagrams that each socket got. */
static unsigned group_take(struct group *g, unsigned n[GROUP])
{
	unsigned all = 0;

	for (unsigned i = 0; i < GROUP; i++) {
		const struct worker_packet *p;
		int got;

		n[i] = 0;
		while ((got = rx_mmsg.recv(g->rx[i], &p)) > 0)
			n[i] += (unsigned)got;
		all += n[i];
	}
	return all;
}

/* Head of a datagram as the specification has it. */
static size_t sflow_head(bool v6, uint32_t agent, uint32_t sequence, uint8_t p[64])
{
	uint32_t w[] = {5, v6 ? 2 : 1, agent, 0, 0, 0, 7, sequence, 1000, 0, 0, 0}, n = v6 ? 11 : 8;

	if (!v6)
		memcpy(&w[3], &w[6], 3 * sizeof(*w));
	else
		w[5] = agent;
	for (unsigned i = 0; i < n; i++) {
		w[i] = htonl(w[i]);
		memcpy(p + (size_t)4 * i, &w[i], 4);
	}
	return (size_t)4 * n;
}

static void send_head(int fd, bool v6, uint32_t agent, uint32_t sequence)
{
	uint8_t p[64];
	size_t n = sflow_head(v6, agent, sequence, p);

	assert_int_equal(send(fd, p, n, 0), n);
}

/* One sender, one agent: every socket gets a run in turn, the same number of each. */
static void a_loud_agent_is_everyones(void **state)
{
	unsigned n[GROUP];
	struct group g;
	int fd;

	group_open(&g, STEER_SPREAD);
	fd = connected("127.0.0.1", g.port);
	for (unsigned v6 = 0; v6 < 2; v6++) {
		unsigned seen = 0;

		for (unsigned run = 0; run < GROUP; run++) {
			for (uint32_t i = 0; i < RUN; i++)
				send_head(fd, v6, 0x0a000001, 0xffffff00 + run * RUN + i); /* up to the wrap */
			assert_int_equal(group_take(&g, n), RUN);
			for (unsigned i = 0; i < GROUP; i++) {
				assert_true(n[i] == 0 || n[i] == RUN);
				seen |= n[i] ? 1u << i : 0;
			}
		}
		assert_int_equal(seen, (1 << GROUP) - 1);
	}
	close(fd);
	group_close(&g);
}

/* A datagram comes to the same socket again, from whatever port. */
static void a_copy_follows_its_first(void **state)
{
	unsigned n[GROUP];
	struct group g;

	group_open(&g, STEER_SPREAD);
	for (uint32_t sequence = 0; sequence < 600; sequence += 37) {
		unsigned sockets = 0;

		for (unsigned copy = 0; copy < 6; copy++) {
			int fd = connected("127.0.0.1", g.port);

			send_head(fd, sequence & 1, 0x0a000002, sequence);
			close(fd);
		}
		assert_int_equal(group_take(&g, n), 6);
		for (unsigned i = 0; i < GROUP; i++)
			sockets += n[i] > 0;
		assert_int_equal(sockets, 1);
	}
	group_close(&g);
}

/* Many quiet agents, and what is no datagram of anyone: all sockets get some, none more than twice its share. */
static void many_quiet_ones_meet_everywhere(void **state)
{
	enum { MANY = 1000 };
	struct group g;
	int fd;

	group_open(&g, STEER_SPREAD);
	fd = connected("127.0.0.1", g.port);
	for (unsigned kind = 0; kind < 4; kind++) {
		unsigned n[GROUP];

		for (uint32_t i = 0; i < MANY; i++) {
			if (kind < 2)
				send_head(fd, kind, 0x0a000000 + i, 1);
			else if (kind == 2)
				assert_int_equal(send(fd, "short", i % 6, 0), i % 6);
			else
				assert_int_equal(send(fd, (char[100]){9}, 100, 0), 100);
		}
		assert_int_equal(group_take(&g, n), MANY);
		for (unsigned i = 0; i < GROUP; i++)
			assert_in_range(n[i], MANY / GROUP / 2, MANY / GROUP * 2);
	}
	close(fd);
	group_close(&g);
}

static void by_hash_a_sender_stays(void **state)
{
	unsigned n[GROUP], sockets = 0;
	struct group g;
	int fd;

	group_open(&g, STEER_HASH);
	fd = connected("127.0.0.1", g.port);
	for (uint32_t i = 0; i < 500; i++)
		send_head(fd, false, 0x0a000001, i);
	assert_int_equal(group_take(&g, n), 500);
	for (unsigned i = 0; i < GROUP; i++)
		sockets += n[i] > 0;
	assert_int_equal(sockets, 1);
	close(fd);
	group_close(&g);
}

/* On a CPU of our own the loopback interface delivers there. */
static void by_cpu(void **state)
{
	cpu_set_t before, one;
	unsigned n[GROUP];
	struct group g;
	int fd, cpu;

	group_open(&g, STEER_CPU);
	fd = connected("127.0.0.1", g.port);
	assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &before))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
		for (uint32_t i = 0; i < 50; i++)
			send_head(fd, false, 0x0a000001 + i, i * RUN);
		assert_int_equal(group_take(&g, n), 50);
		assert_int_equal(n[cpu % GROUP], 50);
	}
	assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
	close(fd);
	group_close(&g);
}

/* --- the role */

static size_t datagram(struct wire_build *b, struct wire_sender *s, uint32_t interval, uint64_t rows,
		       uint8_t p[WIRE_SIZE])
{
	struct wire_head head = {.interval = interval, .interval_s = 1, .spread_ms = 100, .boot = 9, .host = STR("h")};
	struct flow_names names = {.service = STR("web")};
	struct wire_flow f = {.port = 80, .protocol = 6, .names = &names};
	struct flow_stats stats = {.rows = rows};

	(void)ip_parse("10.0.0.1", &f.local);
	(void)ip_parse("10.0.0.2", &f.remote);
	wire_build_open(b, WIRE_FLOWS, &head, NULL);
	assert_int_equal(wire_flows_add(b, &f, &stats), 1);
	return wire_build_close(b, s, 0, 0, p, WIRE_SIZE);
}

static struct bus *open_bus(void)
{
	struct bus_memory_opts o = {.partitions = 4, .max_bytes = 16 << 20, .start_us = clock_wall_us()};
	struct bus *bus;

	assert_int_equal(bus_memory_open(&bus, &o), 0);
	return bus;
}

static uint64_t rows_on(struct bus *bus)
{
	enum bus_topic flows = BUS_FLOWS;
	struct flow_msg *msg = malloc(sizeof(*msg));
	struct bus_reader *reader;
	struct bus_msg m[64];
	uint64_t rows = 0;
	int n;

	assert_int_equal(bus_reader_open(&reader, bus, NULL, &flows, 1, NULL), 0);
	while ((n = bus_read(reader, m, 64, 0)) > 0) {
		for (int i = 0; i < n; i++) {
			assert_int_equal(flow_msg_decode(m[i].value, m[i].value_len, msg), 0);
			rows += msg->type == FLOW_MSG_ROW ? msg->row.stats.rows : 0;
		}
	}
	bus_reader_close(reader);
	free(msg);
	return rows;
}

/* Two threads, intervals of a second, any port. */
static struct collector *small_collector(struct bus *bus)
{
	struct collector_opts o = collector_defaults;
	struct collector *c;
	char why[200];

	o.port = 0;
	o.threads = 2;
	o.interval_s = 1;
	o.spread_ms = 100;
	o.max_rows = 1000;
	o.max_agents = 100;
	o.bus = bus;
	assert_int_equal(collector_new(&c, &o, why, sizeof(why)), 0);
	return c;
}

/* Sockets to bus and back: rows arrive, agents hear of it within the interval, a stop loses nothing. */
static void from_socket_to_bus(void **state)
{
	struct bus *bus = open_bus();
	struct wire_build *b = malloc(sizeof(*b));
	struct wire_sender s = {.sub_agent = 3};
	struct collector_stats stats;
	struct collector *c;
	struct wire_ack ack;
	struct pollfd fd;
	uint8_t p[WIRE_SIZE];
	uint64_t sent = 0;
	struct buf text;
	int64_t until;

	(void)ip_parse("127.0.0.1", &s.agent);
	c = small_collector(bus);
	fd = (struct pollfd){connected("127.0.0.1", collector_port(c)), POLLIN, 0};
	assert_int_equal(collector_start(c), 0);
	until = clock_mono_us() + DEADLINE_US;
	do {
		size_t n = datagram(b, &s, (uint32_t)(clock_wall_us() / 1000000) - 1, 2, p);

		sent += 2;
		assert_int_equal(send(fd.fd, p, n, 0), n);
	} while (!poll(&fd, 1, 50) && clock_mono_us() < until);
	assert_int_equal(recv(fd.fd, p, sizeof(p), 0), WIRE_ACK_SIZE);
	assert_int_equal(wire_ack_read(p, WIRE_ACK_SIZE, &ack), WIRE_OK);
	assert_int_equal(ack.boot, 9);
	assert_int_equal(ack.sub_agent, 3);
	assert_true(ack.rows >= 2 && ack.rows <= sent);
	assert_int_equal(ack.rows, 2 * ack.datagrams);
	for (unsigned i = 0; i < 10; i++) { /* these are still in the socket when the stop comes */
		size_t n = datagram(b, &s, (uint32_t)(clock_wall_us() / 1000000), 2, p);

		sent += 2;
		assert_int_equal(send(fd.fd, p, n, 0), n);
	}
	collector_stop(c);
	collector_stats(c, &stats);
	assert_int_equal(stats.rows_in, sent);
	assert_int_equal(stats.rows_out, sent);
	assert_int_equal(stats.rows_lost, 0);
	assert_int_equal(stats.kernel_drops, 0);
	assert_int_equal(rows_on(bus), sent);
	do { /* the last ack says that we stop */
		assert_int_equal(poll(&fd, 1, DEADLINE_US / 1000), 1);
		assert_int_equal(recv(fd.fd, p, sizeof(p), 0), WIRE_ACK_SIZE);
		assert_int_equal(wire_ack_read(p, WIRE_ACK_SIZE, &ack), WIRE_OK);
	} while (!(ack.flags & WIRE_ACK_STOPPING));
	buf_init(&text, 0);
	collector_metrics(c, &text);
	assert_non_null(strstr(buf_text(&text), "\nskyfall_collector_rejected_total{reason=\"short\"} 0\n"));
	buf_deinit(&text);
	collector_free(c);
	close(fd.fd);
	bus_close(bus);
	free(b);
}

/* An agent of its own thread: sends without a pause until it is told that the collector stops. */
struct talker {
	pthread_t thread;
	uint16_t port;
	uint64_t sent;
	bool told;
};

static void *talk(void *arg)
{
	struct talker *t = arg;
	struct wire_build *b = malloc(sizeof(*b));
	struct wire_sender s = {.sub_agent = 3};
	struct pollfd fd = {connected("127.0.0.1", t->port), POLLIN, 0};
	int64_t until = clock_mono_us() + DEADLINE_US;
	uint8_t p[WIRE_SIZE];

	(void)ip_parse("127.0.0.1", &s.agent);
	while (!t->told && clock_mono_us() < until) {
		struct wire_ack ack;
		size_t n = datagram(b, &s, (uint32_t)(clock_wall_us() / 1000000), 2, p);

		assert_int_equal(send(fd.fd, p, n, 0), n);
		__atomic_store_n(&t->sent, t->sent + 2, __ATOMIC_RELAXED);
		if (poll(&fd, 1, 1) > 0) {
			assert_int_equal(recv(fd.fd, p, sizeof(p), 0), WIRE_ACK_SIZE);
			assert_int_equal(wire_ack_read(p, WIRE_ACK_SIZE, &ack), WIRE_OK);
			t->told = ack.flags & WIRE_ACK_STOPPING;
		}
	}
	close(fd.fd);
	free(b);
	return NULL;
}

/* A stop in the midst of it: agents hear of it while they are still heard, so every row they sent is there. */
static void a_stop_loses_nothing(void **state)
{
	struct bus *bus = open_bus();
	struct collector_stats stats;
	int64_t until = clock_mono_us() + DEADLINE_US;
	struct talker t = {0};
	struct collector *c;

	c = small_collector(bus);
	t.port = collector_port(c);
	assert_int_equal(collector_start(c), 0);
	assert_int_equal(pthread_create(&t.thread, NULL, talk, &t), 0);
	do {
		collector_stats(c, &stats);
	} while (stats.rows_in < 20 && clock_mono_us() < until);
	collector_stop(c);
	assert_int_equal(pthread_join(t.thread, NULL), 0);
	collector_stats(c, &stats);
	assert_true(t.told);
	assert_int_equal(stats.rows_in, t.sent);
	assert_int_equal(stats.rows_out, t.sent);
	assert_int_equal(rows_on(bus), t.sent);
	collector_free(c);
	bus_close(bus);
}

static void a_port_in_use_is_said(void **state)
{
	struct bus *bus = open_bus();
	struct collector_opts o = collector_defaults;
	struct collector *c, *second;
	char why[200] = "";

	o.port = 0;
	o.threads = 2; /* shares its port among its own sockets, not with another collector */
	o.max_rows = 100;
	o.bus = bus;
	assert_int_equal(collector_new(&c, &o, why, sizeof(why)), 0);
	o.port = collector_port(c);
	assert_int_equal(collector_new(&second, &o, why, sizeof(why)), -EADDRINUSE);
	assert_non_null(strstr(why, "in use"));
	o.interval_s = 7;
	assert_int_equal(collector_new(&second, &o, why, sizeof(why)), -EINVAL);
	collector_free(c);
	collector_free(NULL);
	bus_close(bus);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(runs_are_cut_ipv4),
		cmocka_unit_test(runs_are_cut_ipv6),
		cmocka_unit_test(arrival_is_the_kernels),
		cmocka_unit_test(dropped_datagrams_are_counted),
		cmocka_unit_test(a_loud_agent_is_everyones),
		cmocka_unit_test(a_copy_follows_its_first),
		cmocka_unit_test(many_quiet_ones_meet_everywhere),
		cmocka_unit_test(by_hash_a_sender_stays),
		cmocka_unit_test(by_cpu),
		cmocka_unit_test(from_socket_to_bus),
		cmocka_unit_test(a_stop_loses_nothing),
		cmocka_unit_test(a_port_in_use_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
