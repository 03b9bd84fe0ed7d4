/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What signatures cost: nanoseconds a datagram to sign it at an agent, and to ask both of trust's questions at a collector, by
 * its length and the number of agents. One thread, in memory.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "collector/trust.h"
#include "wire/put.h"

#define ROUNDS 200000

static double cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void die(const char *why)
{
	fprintf(stderr, "bench_trust: %s\n", why);
	exit(1);
}

/* A datagram of n bytes: a header, and a sample that holds something and the tag. */
static void make(uint8_t *p, size_t n, uint32_t agent, uint32_t sequence)
{
	uint8_t *end = p + n - WIRE_AUTH_RECORD;

	memset(p, 0x5a, n);
	p = put_u32(put_u32(put_u32(p, 5), 1), 10u << 24 | agent);
	p = put_u32(put_u32(put_u32(put_u32(p, 0), sequence), 0), 1);
	put_u32(put_u32(end, WIRE_ENTERPRISE << 12 | WIRE_AUTH), WIRE_AUTH_TAG);
}

static struct wire_auth key_of(const uint8_t fleet_key[WIRE_AUTH_KEY], uint32_t agent)
{
	uint8_t b[4], key[WIRE_AUTH_KEY];
	struct wire_auth fleet, ret;
	struct ip ip;

	put_u32(b, 10u << 24 | agent);
	ip = ip_from_v4(b);
	wire_auth_init(&fleet, fleet_key);
	wire_auth_agent(&fleet, &ip, key);
	wire_auth_init(&ret, key);
	return ret;
}

/* ns to sign, ns to ask. keys: NULL asks without signatures. */
static void measure(const char *keys, size_t n, uint32_t agents, double *ret_sign, double *ret_ask)
{
	struct trust_opts o = {.fleet_key = keys, .mode = keys ? "require" : NULL};
	static const uint8_t fleet[WIRE_AUTH_KEY];
	struct wire_head head = {.interval = 1700000000, .interval_s = 10, .boot = 7};
	struct wire_auth *auth = malloc(agents * sizeof(*auth));
	static uint8_t batch[256][2048];
	double sign = 0, ask = 0;
	struct trust_reader *r;
	struct trust *t;
	char why[256];

	if (!auth || trust_new(&t, agents + 64, 1, 10) || trust_load(t, &o, why, sizeof(why)) || trust_join(t, &r))
		die("cannot begin");
	for (uint32_t a = 0; a < agents; a++)
		auth[a] = key_of(fleet, a);
	for (uint32_t i = 0; i < ROUNDS; i += 256) {
		double begin;

		for (uint32_t k = 0; k < 256; k++)
			make(batch[k], n, (i + k) % agents, (i + k) / agents + 1);
		begin = cpu_ns();
		for (uint32_t k = 0; k < 256; k++)
			wire_auth_sign(&auth[(i + k) % agents], batch[k], n);
		sign += cpu_ns() - begin;
		begin = cpu_ns();
		for (uint32_t k = 0; k < 256; k++) {
			struct trust_verdict v;
			struct wire_datagram d;

			if (wire_open(&d, batch[k], n, 0))
				die("a datagram that cannot be read");
			v = trust_origin(r, &d, (struct str){(const char *)batch[k], n});
			if (v.reject != COLLECTOR_REJECTS ||
			    trust_fresh(r, &d, &head, &v, 1700000010ll * 1000000) != COLLECTOR_REJECTS)
				die("a good datagram is refused");
		}
		ask += cpu_ns() - begin;
	}
	*ret_sign = sign / ROUNDS;
	*ret_ask = ask / ROUNDS;
	trust_free(t);
	free(auth);
}

int main(void)
{
	static const size_t lengths[] = {200, 700, 1400};
	static const uint32_t fleets[] = {1, 1000, 10000, 100000};
	char path[] = "/tmp/skyfall-bench-trust-XXXXXX";
	int fd = mkstemp(path);
	double sign, ask;

	if (fd < 0 || dprintf(fd, "%064d\n", 0) != 65)
		die("cannot write a key");
	close(fd);
	measure(NULL, 1400, 1, &sign, &ask);
	printf("not asked                            %6.0f ns\n", ask);
	for (unsigned l = 0; l < sizeof(lengths) / sizeof(*lengths); l++)
		for (unsigned f = 0; f < sizeof(fleets) / sizeof(*fleets); f++) {
			measure(path, lengths[l], fleets[f], &sign, &ask);
			printf("%5zu bytes %7u agents  sign %6.0f ns  ask %6.0f ns\n", lengths[l], fleets[f], sign,
			       ask);
		}
	unlink(path);
	return 0;
}
