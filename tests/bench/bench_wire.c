/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nanoseconds a row of wire/: encoding, and decoding with the addition into sums (what a collector does before it folds).
 * Prints name=value unit lines. The middle of several rounds; the machine is noisy.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "wire/flows.h"

enum { ROUNDS = 9, DATAGRAMS = 20000, SLOTS = 64 };

static struct wire_build build;
static struct wire_flows flows;
static struct flow_stats sums[SLOTS];

static const struct wire_head head = {.interval = 1700000010,
				      .interval_s = 10,
				      .spread_ms = 8000,
				      .boot = 1,
				      .host = {"0123456789abcdef0123456789abcdef", 32}};

/* What a host's usual row holds: opened and closed, bytes both ways, some times. */
static struct flow_stats typical(unsigned i)
{
	struct flow_stats s = {
		.rows = 1,
		.attempts = 3,
		.opened = 3,
		.closed = 3,
		.open_ms = 1234,
		.tx_bytes = 100000 + i,
		.rx_bytes = 5000,
		.tx_segs = 80,
		.rx_segs = 12,
		.jitter_us = 100,
		.queue_us = 200,
		.cwnd_segs = 30,
		.rtt_samples = 3,
		.busy_us = 900,
	};

	s.srtt[6] = 2;
	s.srtt[7] = 1;
	s.handshake[6] = 3;
	return s;
}

/* One full datagram; returns its rows. */
static unsigned encode(uint8_t *dst, size_t *ret_n)
{
	struct wire_sender sender = {.agent = {{[10] = 0xff, 0xff, 10, 0, 0, 1}}};
	unsigned n = 0;
	int r;

	wire_build_open(&build, WIRE_FLOWS, &head, NULL);
	do {
		struct flow_names names = {.service = n < 6 ? STR("web") : STR("api"),
					   .process = STR("nginx"),
					   .unit = STR("nginx.service")};
		struct flow_stats stats = typical(n);
		struct wire_flow row = {.local = sender.agent,
					.remote = {{[10] = 0xff, 0xff, 10, 0, 1, n}},
					.port = 443,
					.view = FLOW_VIEW_SERVER,
					.protocol = 6,
					.n_ports = 3,
					.ports = {40000, 40001, 40002},
					.names = &names};

		r = wire_flows_add(&build, &row, &stats);
		n++;
	} while (r > 0);
	*ret_n = wire_build_close(&build, &sender, 0, 0, dst, WIRE_SIZE);
	return n - 1;
}

/* Reads all of it; `add` into sums that stay in the cache. */
static void decode(const uint8_t *p, size_t n, bool add)
{
	struct wire_datagram d;
	struct wire_record r;
	struct wire_flow row;

	if (wire_open(&d, p, n, 0))
		abort();
	while (wire_next(&d, &r) == WIRE_OK) {
		if (wire_flows_open(&flows, &r))
			abort();
		while (wire_flows_next(&flows, &row) == WIRE_OK)
			if (add)
				wire_body_add(row.present, row.body, &sums[row.remote.b[15] % SLOTS]);
	}
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double middle(double v[ROUNDS])
{
	qsort(v, ROUNDS, sizeof(v[0]), by_value);
	return v[ROUNDS / 2];
}

int main(void)
{
	uint8_t p[WIRE_SIZE];
	double put[ROUNDS], walk[ROUNDS], add[ROUNDS];
	size_t n;
	unsigned rows = encode(p, &n);

	for (unsigned i = 0; i < ROUNDS; i++) {
		int64_t t0 = clock_mono_us(), t1, t2, t3;
		double per_row = 1000.0 / ((double)rows * DATAGRAMS);

		for (unsigned k = 0; k < DATAGRAMS; k++)
			encode(p, &n);
		t1 = clock_mono_us();
		for (unsigned k = 0; k < DATAGRAMS; k++)
			decode(p, n, false);
		t2 = clock_mono_us();
		for (unsigned k = 0; k < DATAGRAMS; k++)
			decode(p, n, true);
		t3 = clock_mono_us();
		put[i] = (double)(t1 - t0) * per_row;
		walk[i] = (double)(t2 - t1) * per_row;
		add[i] = (double)(t3 - t2) * per_row;
	}
	printf("wire_rows_per_datagram=%u rows\nwire_bytes_per_row=%.0f bytes\n", rows, (double)n / rows);
	printf("wire_encode_ns=%.1f ns\nwire_decode_ns=%.1f ns\nwire_decode_add_ns=%.1f ns\n", middle(put),
	       middle(walk), middle(add));
	return sums[0].rows == 0;
}
