/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nanoseconds a row of a receive thread without its socket, by the number of keys; and of writing what was folded:
 *
 *     bench_fold [--v6 | --agents] [KEYS ...]        default 10000 100000 1000000
 *
 * Rows are events of single connections in the published proportions: KEYS_A_HOST conversations a host, PASSES events each
 * an interval over a few ephemeral ports. Hosts come in another order in each pass: between two events of a key all
 * other keys are touched. Datagrams are copied to where a socket would put them before the clock runs.
 *
 * --agents: the very datagrams of skyfall-gen --profile packed, rows as agents make them of an interval, PASSES times: what
 * ./bench collector measures with sockets. One datagram of each host, then the next of each.
 *
 * Prints name=value unit lines. CPU time of the thread; the best of several intervals, for others disturb the cache.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "collector/worker.h"
#include "tools/gen/conf.h"
#include "wire/flows.h"
#include "wire/put.h"

enum {
	KEYS_A_HOST = 64,
	SERVICES_A_HOST = 4,
	PASSES = 8,  /* events a key and interval */
	MADE = 2,    /* of them: different ones */
	BATCH = 128, /* datagrams a receive call brings */
	INTERVAL = 1700000010,
	ROUNDS = 5,
	ROUNDS_MAX = 9,
	SEQUENCE_AT = 16, /* in a datagram of an IPv4 agent */
};

struct made {
	uint32_t host, n;
	uint64_t at;
};

struct bench {
	bool v6, agents;
	unsigned made; /* passes that differ */
	uint32_t keys, hosts;
	uint64_t rnd;
	uint8_t *bytes;
	size_t n_bytes, cap_bytes;
	struct made *datagrams;
	uint32_t n_datagrams, cap_datagrams, pass_at[MADE + 1];
	uint32_t *sequence; /* by host */
	struct wire_build build;
	struct wire_flows flows;
	uint64_t rows; /* in one round of PASSES */
	uint8_t ring[BATCH][WIRE_SIZE];
	struct worker_packet packets[BATCH];
};

static uint64_t rnd(struct bench *b)
{
	b->rnd += 0x9e3779b97f4a7c15;
	uint64_t x = b->rnd;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

static double cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static struct ip address(const struct bench *b, uint32_t n)
{
	struct ip ip = {{0xfd, 0x00, [12] = (uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n}};

	return b->v6 ? ip : ip_from_v4(ip.b + 12);
}

static struct flow_stats event(struct bench *b, bool first)
{
	uint64_t tx = 100 + rnd(b) % 20000, rx = 200 + rnd(b) % 200000, rtt = 400 + rnd(b) % 200;
	struct flow_stats s = {
		.rows = 1,
		.attempts = first,
		.opened = first,
		.closed = first,
		.open_ms = 1 + rnd(b) % 4000,
		.tx_bytes = tx,
		.rx_bytes = rx,
		.tx_segs = tx / 1448 + 1,
		.rx_segs = rx / 1448 + 1,
		.retransmitted = rnd(b) % 100 == 0,
		.jitter_us = rtt / 10,
		.cwnd_segs = 10 + rnd(b) % 90,
		.rtt_samples = 1,
		.busy_us = tx / 50 + 1,
	};

	s.srtt[flow_bucket(rtt)] = 1;
	if (first)
		s.handshake[flow_bucket(rtt + rtt / 5)] = 1;
	return s;
}

static void *more(void *p, size_t n, size_t size)
{
	p = realloc(p, n * size);
	if (!p)
		abort();
	return p;
}

static void close_datagram(struct bench *b, uint32_t host)
{
	struct wire_sender sender = {
		.agent = {{[10] = 0xff, 0xff, 10, (uint8_t)(host >> 16), (uint8_t)(host >> 8), (uint8_t)host}}};

	if (b->n_bytes + WIRE_SIZE > b->cap_bytes) {
		b->cap_bytes = 2 * b->cap_bytes + (1 << 20);
		b->bytes = more(b->bytes, b->cap_bytes, 1);
	}
	if (b->n_datagrams == b->cap_datagrams) {
		b->cap_datagrams = 2 * b->cap_datagrams + 1024;
		b->datagrams = more(b->datagrams, b->cap_datagrams, sizeof(*b->datagrams));
	}
	b->datagrams[b->n_datagrams] = (struct made){.host = host, .at = b->n_bytes};
	b->datagrams[b->n_datagrams].n =
		(uint32_t)wire_build_close(&b->build, &sender, 0, 0, b->bytes + b->n_bytes, WIRE_SIZE);
	b->n_bytes += b->datagrams[b->n_datagrams++].n;
}

static void open_datagram(struct bench *b, uint32_t host)
{
	char id[33];
	struct wire_head head = {
		.interval = INTERVAL, .interval_s = 10, .spread_ms = 8000, .boot = host + 1, .host = {id, 32}};

	snprintf(id, sizeof(id), "%032x", host);
	wire_build_open(&b->build, WIRE_FLOWS, &head, NULL);
}

static void make_host(struct bench *b, uint32_t host)
{
	uint32_t first = host * KEYS_A_HOST;

	open_datagram(b, host);
	for (uint32_t k = 0; k < KEYS_A_HOST && first + k < b->keys; k++) {
		uint32_t service = (host * 7 + k / (KEYS_A_HOST / SERVICES_A_HOST)) % 5000;
		char name[32], container[16];
		struct flow_names names = {.service = {name, 0}, .process = STR("java"), .container = {container, 12}};
		struct flow_stats stats = event(b, rnd(b) % 26 < 10);
		struct wire_flow row = {
			.local = address(b, 10u << 24 | host),
			.remote = address(b, 11u << 24 | (first + k) % 50000),
			.port = (uint16_t)(1024 + service),
			.view = k % 2 ? FLOW_VIEW_CLIENT : FLOW_VIEW_SERVER,
			.protocol = 6,
			.n_ports = 1,
			.ports = {(uint16_t)(32768 + (first + k) * 7 % 20000 + rnd(b) % 4)},
			.names = &names,
		};

		names.service.n = (size_t)snprintf(name, sizeof(name), "service-%u", service);
		snprintf(container, sizeof(container), "%012x", host * SERVICES_A_HOST + service);
		if (wire_flows_add(&b->build, &row, &stats) == -ENOSPC) {
			close_datagram(b, host);
			open_datagram(b, host);
			if (wire_flows_add(&b->build, &row, &stats) != 1)
				abort();
		}
	}
	close_datagram(b, host);
}

/* One datagram of each host, then the next of each. */
static void make_agents(struct bench *b)
{
	struct conf c = conf_defaults;
	struct fleet *f;
	struct pack *p;
	char why[256];
	uint32_t left, *next;

	c.keys = b->keys;
	c.interval_ms = 10000;
	c.flat_out = true;
	c.profile = "packed";
	if (conf_check(&c) || fleet_new(&f, &c.fleet, why, sizeof(why)) < 0 || pack_new(&p, f, &c.opts.emit.pack) < 0)
		abort();
	b->hosts = f->conf.hosts;
	next = more(NULL, b->hosts + 1, sizeof(*next));
	for (uint32_t h = 0; h < b->hosts; h++) {
		next[h] = p->n_datagrams;
		if (pack_host(p, h, INTERVAL, UINT32_MAX) < 0)
			abort();
	}
	left = b->n_datagrams = p->n_datagrams;
	b->bytes = more(NULL, p->n_bytes, 1);
	b->datagrams = more(NULL, left, sizeof(*b->datagrams));
	for (uint32_t h = 0; left; h = (h + 1) % b->hosts) {
		const struct pack_datagram *d = &p->datagrams[next[h]];

		if (next[h] == p->n_datagrams || d->host != h)
			continue;
		b->datagrams[b->n_datagrams - left--] = (struct made){.host = h, .n = d->len, .at = b->n_bytes};
		memcpy(b->bytes + b->n_bytes, p->bytes + d->at, d->len);
		b->n_bytes += d->len;
		next[h]++;
	}
	b->made = 1;
	b->pass_at[1] = b->n_datagrams;
	free(next);
	pack_free(p);
	fleet_free(f);
}

static void make(struct bench *b)
{
	uint32_t *order = more(NULL, b->hosts, sizeof(*order));

	b->made = MADE;

	for (uint32_t i = 0; i < b->hosts; i++)
		order[i] = i;
	for (unsigned pass = 0; pass < MADE; pass++) {
		b->pass_at[pass] = b->n_datagrams;
		for (uint32_t i = b->hosts - 1; i > 0; i--) {
			uint32_t k = (uint32_t)(rnd(b) % (i + 1)), t = order[i];

			order[i] = order[k];
			order[k] = t;
		}
		for (uint32_t i = 0; i < b->hosts; i++)
			make_host(b, order[i]);
	}
	b->pass_at[MADE] = b->n_datagrams;
	free(order);
}

/* Copies the next datagrams to the ring and gives them numbers. */
static size_t receive(struct bench *b, uint32_t *at, uint32_t end)
{
	size_t n = 0;

	for (; n < BATCH && *at < end; n++, ++*at) {
		const struct made *m = &b->datagrams[*at];

		memcpy(b->ring[n], b->bytes + m->at, m->n);
		put_u32(b->ring[n] + SEQUENCE_AT, ++b->sequence[m->host]);
		b->packets[n] = (struct worker_packet){.bytes = {(char *)b->ring[n], m->n},
						       .at_us = (INTERVAL + 12) * 1000000ll};
	}
	return n;
}

/* Reads without folding. */
static void walk(struct bench *b, const struct worker_packet *p)
{
	struct wire_datagram d;
	struct wire_record r;
	struct wire_flow row;

	if (wire_open(&d, p->bytes.p, p->bytes.n, 0))
		abort();
	while (wire_next(&d, &r) == WIRE_OK) {
		if (wire_flows_open(&b->flows, &r))
			abort();
		while (wire_flows_next(&b->flows, &row) == WIRE_OK)
			b->rows += row.present & 1;
	}
}

/* One interval's rows; the worker's time a row, or (no worker) the decoder's. */
static double pass_all(struct bench *b, struct worker *w)
{
	double ns = 0;

	b->rows = w ? w->counters.rows : 0;
	for (unsigned pass = 0; pass < PASSES; pass++) {
		uint32_t at = b->pass_at[pass % b->made], end = b->pass_at[pass % b->made + 1];
		size_t n;

		while ((n = receive(b, &at, end))) {
			double t0 = cpu_ns();

			if (w)
				worker_batch(w, b->packets, n, (INTERVAL + 12) * 1000000ll);
			for (size_t i = 0; i < n && !w; i++)
				walk(b, &b->packets[i]);
			ns += cpu_ns() - t0;
		}
	}
	if (w)
		b->rows = w->counters.rows - b->rows;
	return ns / (double)b->rows;
}

/* What the publishing thread does with each row, but for the bus. */
static double encode(const struct fold *f, uint64_t *ret_rows, double *ret_bytes)
{
	static struct flow_row row;
	struct buf message;
	uint64_t bytes = 0;
	double t0 = cpu_ns();

	buf_init(&message, 0);
	for (uint32_t i = 0; i < fold_n(f); i++) {
		fold_get(f, i, &row);
		row.interval_s = 10;
		buf_clear(&message);
		flow_msg_encode(&message, FLOW_MSG_ROW, &row);
		bytes += message.n;
		*ret_rows += row.stats.rows;
	}
	buf_deinit(&message);
	*ret_bytes = (double)bytes / fold_n(f);
	return (cpu_ns() - t0) / fold_n(f);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double best(double *v, unsigned n)
{
	qsort(v, n, sizeof(v[0]), by_value);
	return v[0];
}

static void put(const struct bench *b, const char *name, double value, const char *unit)
{
	printf("fold_%s_%s%u=%.1f %s\n", name, b->agents ? "agents_" : b->v6 ? "v6_" : "", b->keys, value, unit);
}

static void measure(struct bench *b)
{
	const struct worker_opts o = {
		.fold = {.max_rows = b->keys + b->keys / 8,
			 .max_names = b->keys / 4 + 4096,
			 .max_strings = b->keys + 16384,
			 .string_bytes = b->keys * 16 + (1 << 20),
			 .max_roleless = 1024},
		.max_agents = b->hosts + 1024,
		.interval_s = 10,
		.record_bytes = 1 << 20,
	};
	double all[ROUNDS_MAX], decode[ROUNDS_MAX], out[ROUNDS_MAX], clear[ROUNDS_MAX], bytes = 0, used = 0;
	unsigned rounds = b->keys < 50000 ? ROUNDS_MAX : ROUNDS;
	struct worker *w;

	if (worker_new(&w, &o) < 0)
		abort();
	for (unsigned i = 0; i < rounds + 2; i++) { /* the first in either pane is with fresh pages */
		unsigned k = i < 2 ? 0 : i - 2;
		struct worker_pane *p;
		uint64_t rows = 0;
		double t0;

		all[k] = pass_all(b, w);
		swap_ask(&w->pane_swap);
		worker_poll(w);
		p = &w->pane[swap_given(&w->pane_swap)];
		out[k] = encode(p->fold, &rows, &bytes);
		if (rows != b->rows || fold_n(p->fold) != b->keys)
			abort();
		used = (double)fold_used(p->fold) / b->keys;
		t0 = cpu_ns();
		worker_pane_clear(p);
		clear[k] = (cpu_ns() - t0) / b->keys;
	}
	for (unsigned i = 0; i < rounds; i++)
		decode[i] = pass_all(b, NULL);
	put(b, "row_ns", best(all, rounds), "ns");
	put(b, "of_it_decode_ns", best(decode, rounds), "ns");
	put(b, "bytes_per_key", used, "bytes");
	put(b, "encode_ns", best(out, rounds), "ns");
	put(b, "clear_ns", best(clear, rounds), "ns");
	put(b, "message_bytes", bytes, "bytes");
	put(b, "rows_per_datagram", (double)b->keys * b->made / b->n_datagrams, "rows");
	worker_free(w);
}

int main(int argc, char **argv)
{
	static const char *const usual[] = {"10000", "100000", "1000000"};
	bool v6 = argc > 1 && !strcmp(argv[1], "--v6"), agents = argc > 1 && !strcmp(argv[1], "--agents");
	int first = 1 + (v6 || agents);
	const char *const *list = argc > first ? (const char *const *)argv + first : usual;
	int n = argc > first ? argc - first : 3;

	for (int i = 0; i < n; i++) {
		struct bench *b = calloc(1, sizeof(*b));

		if (!b)
			abort();
		b->v6 = v6;
		b->agents = agents;
		b->keys = (uint32_t)strtoul(list[i], NULL, 10);
		b->hosts = (b->keys + KEYS_A_HOST - 1) / KEYS_A_HOST;
		if (!b->keys)
			abort();
		(agents ? make_agents : make)(b);
		b->sequence = calloc(b->hosts, sizeof(*b->sequence));
		if (!b->sequence)
			abort();
		measure(b);
		free(b->sequence);
		free(b->datagrams);
		free(b->bytes);
		free(b);
	}
	return 0;
}
