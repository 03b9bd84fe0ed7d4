/* SPDX-License-Identifier: Apache-2.0 */
/* What skyfall-gen promises of its fleet, its events and its way to the collector: tests that compare with its truth rest on it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tools/gen/fate.h"
#include "tools/gen/line.h"
#include "tools/gen/pack.h"

#define INDEX 170000000u

static struct fleet *make(const struct fleet_conf *conf)
{
	struct fleet *f;
	char why[256];

	assert_int_equal(fleet_new(&f, conf, why, sizeof(why)), 0);
	return f;
}

static struct fleet *make_keys(uint32_t keys, double ipv6)
{
	return make(&(struct fleet_conf){.hosts = 50,
					 .services = 400,
					 .edges = keys,
					 .zones = 3,
					 .seed = 3,
					 .net = "",
					 .ipv6 = ipv6,
					 .keys = keys});
}

static void test_keys(void **state)
{
	struct fleet *f = make_keys(4000, 0.25);
	uint32_t rows = 0, v6 = 0, agents6 = 0;

	(void)state;
	for (uint32_t h = 0; h < f->conf.hosts; h++) {
		agents6 += !ip_is_v4(&f->hosts[h].ip);
		for (uint32_t i = 0; i < f->hosts[h].n_rows; i++, rows++) {
			const struct fleet_row *r = &f->rows[f->hosts[h].first_row + i];
			const struct fleet_pair *p = &f->pairs[r->pair];

			v6 += r->v6;
			assert_int_equal(ip_is_v4(&p->client_ip), !r->v6);
			assert_int_equal(ip_is_v4(&p->server_ip), !r->v6);
			assert_int_equal(f->instances[r->instance].host, h);
			assert_true(!i || r[-1].v6 <= r->v6);
		}
	}
	assert_int_equal(rows, 4000);
	assert_int_equal(f->n_rows, 4000);
	assert_in_range(v6, 800, 1200);
	assert_in_range(agents6, 3, 25);
	fleet_free(f);
}

/* Both ends tell the same event, each from its side. */
static void same_event(const struct traffic_item *client, const struct traffic_item *server)
{
	assert_int_equal(client->stats.tx_bytes, server->stats.rx_bytes);
	assert_int_equal(client->stats.rx_bytes, server->stats.tx_bytes);
	assert_int_equal(client->stats.opened, server->stats.opened);
	assert_int_equal(client->stats.attempts, client->stats.opened);
	assert_int_equal(server->stats.attempts, 0);
	assert_int_equal(client->ports[0], server->ports[0]);
	assert_int_equal(client->stats.rows, 1);
}

static void test_events(void **state)
{
	struct fleet *f = make_keys(2000, 0);
	struct traffic_item client, server, later;
	unsigned other = 0, all = 0;

	(void)state;
	for (uint32_t pair = 0; pair < 200; pair++) {
		const struct fleet_row c = {.pair = pair}, s = {.pair = pair, .server = true};
		uint32_t ports = traffic_ports(f, &c, INDEX);
		bool taken[65536] = {false};

		assert_int_equal(ports, traffic_ports(f, &s, INDEX));
		for (uint32_t port = 0; port < ports; port++) {
			uint32_t events = traffic_events(f, &c, INDEX, port);

			assert_int_equal(events, traffic_events(f, &s, INDEX, port));
			for (uint32_t e = 0; e < events; e++) {
				traffic_event(f, &c, INDEX, port, e, &client);
				traffic_event(f, &s, INDEX, port, e, &server);
				same_event(&client, &server);
			}
			assert_true(client.ports[0] >= 32768 && client.ports[0] < 61000);
			assert_false(taken[client.ports[0]]);
			taken[client.ports[0]] = true;
		}
		traffic_event(f, &c, INDEX, 0, 0, &client);
		traffic_event(f, &c, INDEX + 1, 0, 0, &later);
		other += client.ports[0] != later.ports[0];
		all++;
	}
	assert_true(other > all * 9 / 10);
	fleet_free(f);
}

/* 12 events to 1.4 conversations to 4.6 pairs of ports, in any fleet of some size and any interval. */
static void test_published_mix(void **state)
{
	struct fleet *f = make_keys(20000, 0);

	(void)state;
	for (uint32_t index = INDEX; index < INDEX + 3; index++) {
		uint64_t ports = 0, events = 0, most = 0;

		for (uint32_t pair = 0; pair < f->n_pairs; pair++) {
			const struct fleet_row row = {.pair = pair};
			uint32_t n = traffic_ports(f, &row, index);

			most = n > most ? n : most;
			ports += n;
			for (uint32_t port = 0; port < n; port++)
				events += traffic_events(f, &row, index, port);
		}
		assert_true(fabs((double)ports / f->n_pairs - 3.3) < 0.07);
		assert_true(fabs((double)events / f->n_pairs - 12 / 1.4) < 0.25);
		assert_true(most > 100 && most <= TRAFFIC_PORTS);
	}
	fleet_free(f);
}

static void test_fate(void **state)
{
	const struct fate f = {.seed = 7, .lost = 0.01, .twice = 0.02, .held = 0.05}, none = {.seed = 7};
	uint32_t n[4] = {0}, again = 0;

	(void)state;
	for (uint32_t agent = 0; agent < 100; agent++) {
		for (uint32_t sequence = 1; sequence <= 1000; sequence++) {
			enum fate_is is = fate_of(&f, agent, sequence);

			n[is]++;
			again += fate_of(&f, agent, sequence) == is;
			assert_int_equal(fate_of(&none, agent, sequence), FATE_WELL);
		}
	}
	assert_int_equal(again, 100000);
	assert_in_range(n[FATE_LOST], 900, 1100);
	assert_in_range(n[FATE_TWICE], 1850, 2150);
	assert_in_range(n[FATE_HELD], 4750, 5250);
}

/* What one interval of a host says is in its datagrams, whatever their form; and sequence and pool go on from one to the next. */
static void check_pack(const struct pack_profile *profile, bool events, bool equal)
{
	struct fleet *f = make_keys(1000, 0.3);
	const struct pack_opts opts = {.profile = profile,
				       .events = events,
				       .equal = equal,
				       .interval_s = 10,
				       .spread_ms = 2000,
				       .size = WIRE_SIZE,
				       .rate = 5};
	struct wire_sender s = {.agent = f->hosts[0].ip};
	uint32_t items = 0, pool = 0;
	struct pack *p;

	assert_int_equal(pack_new(&p, f, &opts), 0);
	assert_int_equal(pack_host(p, 0, INDEX * 10, UINT32_MAX), 0);
	for (uint32_t i = 0; i < p->n_datagrams; i++) {
		const struct pack_datagram *d = &p->datagrams[i];
		struct wire_datagram w;
		struct wire_record r = {0};
		uint32_t ours = 0;

		pack_stamp(p, d, &s, INDEX * 10 + 10, 77);
		pool += d->pool;
		assert_true(d->len <= WIRE_SIZE);
		assert_true(!equal || d->len == WIRE_SIZE);
		assert_int_equal(wire_extent(p->bytes + d->at, d->len), d->len);
		assert_int_equal(wire_open(&w, p->bytes + d->at, d->len, WIRE_ENTERPRISE), WIRE_OK);
		assert_true(ip_eq(&w.agent, &f->hosts[0].ip));
		assert_int_equal(w.sequence, i + 1);
		assert_int_equal(w.uptime_ms, 77);
		while (wire_next(&w, &r) == WIRE_OK) {
			struct cursor c = cursor_over(r.body);
			struct wire_head head;

			ours += r.ours;
			assert_true(!r.ours || wire_head_read(&c, &head) == WIRE_OK);
			assert_true(!r.ours || head.interval == INDEX * 10 + 10);
			assert_true(profile->ours || r.in->sampling_rate == 5);
		}
		assert_int_equal(r.in->pool, pool);
		assert_int_equal(ours, profile == &pack_interop ? d->n_items : profile->ours);
		items += d->n_items;
	}
	assert_int_equal(items, p->n_items);
	assert_int_equal(s.pool, pool);
	assert_true(events ? items > f->hosts[0].n_rows : items == f->hosts[0].n_rows);
	pack_free(p);
	fleet_free(f);
}

static void test_pack(void **state)
{
	(void)state;
	check_pack(&pack_packed, false, false);
	check_pack(&pack_packed, true, true);
	check_pack(&pack_interop, false, false);
	check_pack(&pack_interop, true, true);
	check_pack(&pack_standard, false, false);
	check_pack(&pack_standard, true, false);
}

static int listen_here(uint16_t *ret_port)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct timeval wait = {5, 0};
	socklen_t len = sizeof(sa);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	*ret_port = ntohs(sa.sin_port);
	return fd;
}

/* Runs of one length, a shorter one at the end, another socket between, pieces not in order: all come whole and in order. */
static void check_line(bool gso)
{
	static const uint16_t lengths[] = {100, 100, 100, 60, 100, 100, 200, 200, 200, 200, 52, 52, 1400};
	static uint8_t bytes[sizeof(lengths) / 2][1400];
	struct line_opts o = {.sockets = 2, .gso = gso};
	uint32_t n = sizeof(lengths) / sizeof(*lengths);
	struct line *l;
	int fd = listen_here(&o.port);

	assert_int_equal(ip_parse("127.0.0.1", &o.collector), 0);
	assert_int_equal(line_new(&l, &o), 0);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t at = n - 1 - i; /* not as they stand in memory */

		memset(bytes[at], (int)i, lengths[i]);
		line_put(l, i == 8, bytes[at], lengths[i], i);
	}
	line_flush(l);
	assert_true(gso || line_calls(l) == 3);
	for (uint32_t i = 0; i < n; i++) {
		uint8_t got[2000];

		assert_int_equal(recv(fd, got, sizeof(got), 0), lengths[i]);
		assert_int_equal(got[0], i);
		assert_int_equal(got[lengths[i] - 1], i);
	}
	line_free(l);
	close(fd);
}

static void test_line(void **state)
{
	(void)state;
	check_line(false);
	check_line(true);
}

static void note_failed(void *arg, uint32_t tag)
{
	*(uint64_t *)arg |= 1ull << tag;
}

/* What the kernel does not take is told by its tag, and keeps nothing back; that nobody listens is news of a former datagram. */
static void test_line_failed(void **state)
{
	static uint8_t bytes[70000];
	uint64_t failed = 0;
	struct line_opts o = {.sockets = 1, .failed = note_failed, .arg = &failed};
	struct line *l;

	(void)state;
	close(listen_here(&o.port));
	assert_int_equal(ip_parse("127.0.0.1", &o.collector), 0);
	assert_int_equal(line_new(&l, &o), 0);
	for (uint32_t i = 0; i < 20; i++)
		line_put(l, 0, bytes, i % 5 == 3 ? sizeof(bytes) : 100, i);
	line_flush(l);
	assert_int_equal(failed, 1 << 3 | 1 << 8 | 1 << 13 | 1 << 18);
	line_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys),        cmocka_unit_test(test_events), cmocka_unit_test(test_published_mix),
		cmocka_unit_test(test_fate),        cmocka_unit_test(test_pack),   cmocka_unit_test(test_line),
		cmocka_unit_test(test_line_failed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
