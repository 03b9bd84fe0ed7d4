/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs the reference probe (bpf/calls.bpf.c) and reads its map once an interval:
 *
 *     bench_calls SECONDS
 *
 * Says "there" when it is attached; when its standard input closes, "SENT RECEIVED SENDS RECEIVES" of all connections.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/types.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/bench/bpf/calls.h"
#include "tests/bench/calls.skel.h"

#define BATCH 256

struct sums {
	uint64_t sent, received, sends, receives;
};

static void die(const char *what, int err)
{
	fprintf(stderr, "bench_calls: %s: %s\n", what, strerror(err));
	exit(1);
}

static void sums_add(struct sums *s, const struct call_conn *c)
{
	s->sent += c->sent;
	s->received += c->received;
	s->sends += c->sends;
	s->receives += c->receives;
}

static int conn_ended(void *arg, void *data, size_t size)
{
	if (size >= sizeof(struct call_conn))
		sums_add(arg, data);
	return 0;
}

/* What is open now, and what ended since. */
static void drain(struct calls *skel, struct ring_buffer *ring, struct sums *open)
{
	static struct call_key keys[BATCH];
	static struct call_conn values[BATCH];
	uint64_t at = 0;
	bool first = true;
	int err;

	memset(open, 0, sizeof(*open));
	ring_buffer__consume(ring);
	do {
		uint32_t n = BATCH;

		err = bpf_map_lookup_batch(bpf_map__fd(skel->maps.conns), first ? NULL : &at, &at, keys, values, &n,
					   NULL)
			      ? errno
			      : 0;
		if (err && err != ENOENT)
			die("reading the map", err);
		for (uint32_t i = 0; i < n; i++)
			sums_add(open, &values[i]);
		first = false;
	} while (!err);
}

int main(int argc, char **argv)
{
	int interval_ms = argc == 2 ? atoi(argv[1]) * 1000 : 0;
	struct pollfd in = {STDIN_FILENO, POLLIN, 0};
	struct sums ended = {0}, open = {0};
	struct ring_buffer *ring;
	struct calls *skel;

	if (interval_ms <= 0)
		return 2;
	setrlimit(RLIMIT_MEMLOCK, &(struct rlimit){RLIM_INFINITY, RLIM_INFINITY});
	skel = calls__open_and_load();
	if (!skel || calls__attach(skel))
		die("loading the probe", errno);
	ring = ring_buffer__new(bpf_map__fd(skel->maps.ended), conn_ended, &ended, NULL);
	if (!ring)
		die("ring", errno);
	puts("there");
	fflush(stdout);
	while (poll(&in, 1, interval_ms) == 0)
		drain(skel, ring, &open);
	drain(skel, ring, &open);
	printf("%ju %ju %ju %ju\n", (uintmax_t)(ended.sent + open.sent), (uintmax_t)(ended.received + open.received),
	       (uintmax_t)(ended.sends + open.sends), (uintmax_t)(ended.receives + open.receives));
	ring_buffer__free(ring);
	calls__destroy(skel);
	return 0;
}
