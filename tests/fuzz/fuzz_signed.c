/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a datagram to a collector that asks for signatures. The first byte says what is done with the others before: signed by a
 * good key or a wrong one, given a number of its own, changed after signing, sent twice; and whether unsigned ones are believed. The
 * judges, beside the sanitizers and the library's asserts: what must be refused is, and then has changed nothing but the count of
 * its reason; what was signed well is believed, once.
 *
 *     tests/fuzz/run [--signed] FOLDER [libFuzzer's options]
 */
#include "tests/unit/trust_files.h"
#include "tests/unit/wire_feed.h"
#include "wire/put.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

enum { SIGN = 1, KEY = 6, NUMBER = 8, SPOIL = 16, TWICE = 32, ACCEPT = 64 }; /* of the first byte */
enum { KEYS = 2, ANEW = 1 << 15, AGENTS = 1 << 15, DATAGRAM_MAX = 4096 };

struct side {
	struct feed feed;
	struct trust *trust;
};

static void side_open(struct side *s, const char *mode, const char *keys)
{
	const struct trust_opts o = {.mode = mode, .fleet_key = keys};
	char why[256];
	int r = trust_new(&s->trust, AGENTS, 1, 10);

	assert(!r);
	r = trust_load(s->trust, &o, why, sizeof(why));
	assert(!r);
	(void)r;
	feed_open(&s->feed, s->trust);
}

static void side_close(struct side *s)
{
	if (!s->trust)
		return;
	feed_clear(&s->feed);
	feed_close(&s->feed);
	trust_free(s->trust);
}

/* Both kinds of collector, anew now and then: their tables of agents fill up. */
static struct side *sides(bool accept)
{
	static struct side both[2];
	static unsigned runs;

	if (runs++ % ANEW == 0) {
		char folder[] = "/tmp/skyfall-fuzz-XXXXXX", keys[64];
		const char *made = mkdtemp(folder);

		assert(made);
		(void)made;
		snprintf(keys, sizeof(keys), "%s/keys", folder);
		trust_keys(keys, 0, 1);
		for (unsigned i = 0; i < 2; i++) {
			side_close(&both[i]);
			side_open(&both[i], i ? "accept" : "require", keys);
		}
		unlink(keys);
		rmdir(folder);
	}
	return &both[accept];
}

/* Nothing but how many came, and why this one was refused. */
static void nothing_changed(const struct counters_rx *before, const struct counters_rx *now, unsigned reason)
{
	struct counters_rx want = *before;

	want.datagrams = now->datagrams;
	want.bytes = now->bytes;
	want.batches = now->batches;
	want.rejected[reason]++;
	assert(!memcmp(&want, now, sizeof(want)));
}

/* Why it was refused as a whole, COLLECTOR_REJECTS when it was read. */
static unsigned feed_signed(struct side *s, bool require, const uint8_t *p, size_t n)
{
	struct counters_rx before = s->feed.worker->counters;
	const struct counters_rx *now = &s->feed.worker->counters;
	unsigned reason = COLLECTOR_REJECTS, i;

	feed_worker(&s->feed, p, n);
	for (i = COLLECTOR_REJECT_AGENT; i < COLLECTOR_REJECTS; i++)
		if (now->rejected[i] != before.rejected[i])
			reason = i;
	for (i = 0; i < WIRE_ERRORS && reason == COLLECTOR_REJECTS && require; i++)
		if (now->signed_datagrams == before.signed_datagrams && now->rejected[i] != before.rejected[i])
			reason = i; /* it is no datagram */
	assert(!require || (reason == COLLECTOR_REJECTS) == (now->signed_datagrams == before.signed_datagrams + 1));
	if (reason != COLLECTOR_REJECTS)
		nothing_changed(&before, now, reason);
	return reason;
}

static void acks(const struct wire_auth *key, const uint8_t *p, size_t n)
{
	const struct wire_ack ack = {.boot = n, .interval = 10, .interval_s = 10};
	uint8_t bytes[WIRE_ACK_SIGNED];
	struct wire_ack none;

	wire_ack_put(&ack, bytes);
	wire_auth_ack(key, bytes);
	assert(wire_auth_ack_check(key, bytes, sizeof(bytes)));
	bytes[p[n / 2] % sizeof(bytes)] ^= (uint8_t)(1 << n % 8);
	assert(!wire_auth_ack_check(key, bytes, sizeof(bytes)));
	assert(!wire_auth_ack_check(key, p, n) || wire_ack_read(p, n, &none)); /* no datagram is an ack */
}

/* Does to a datagram what `how` says. True when it is signed well then. */
static bool prepare(uint8_t *p, size_t n, uint8_t how)
{
	static const uint8_t number_at[] = {12, 16, 28}; /* behind an agent's address: none, IPv4, IPv6 */
	static uint32_t number;
	struct wire_datagram d;
	struct wire_auth key;
	bool well = false;

	if (wire_open(&d, p, n, 0) || !wire_auth_has(p, n, WIRE_ENTERPRISE))
		return false;
	if (how & NUMBER)
		put_u32(p + number_at[cursor_load32(p + 4)], ++number);
	if (!wire_auth_has(p, n, WIRE_ENTERPRISE)) /* too short for both */
		return false;
	key = trust_agent((how & KEY) / 2, &d.agent);
	if (how & SIGN) {
		wire_auth_sign(&key, p, n);
		assert(wire_auth_check(&key, p, n));
		acks(&key, p, n);
	}
	if (how & SPOIL) {
		p[n / 2] ^= (uint8_t)(1 << n % 8);
		assert(!(how & SIGN) || !wire_auth_check(&key, p, n));
		if (wire_open(&d, p, n, 0) || !wire_auth_has(p, n, WIRE_ENTERPRISE))
			return false;
	}
	for (unsigned i = 0; i < KEYS && !well; i++) {
		key = trust_agent(i, &d.agent);
		well = wire_auth_check(&key, p, n);
	}
	assert(!well || !(how & SIGN) || ((how & KEY) / 2 < KEYS && !(how & SPOIL)));
	return well;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t bytes[DATAGRAM_MAX];
	bool require, well;
	unsigned reason;
	struct side *s;
	uint8_t *p;
	size_t n;

	if (!size || size > DATAGRAM_MAX)
		return 0;
	n = size - 1;
	require = !(data[0] & ACCEPT);
	s = sides(!require);
	p = memcpy(bytes + DATAGRAM_MAX - n, data + 1, n); /* at the end, so that a read past it is seen */
	well = prepare(p, n, data[0]);
	reason = feed_signed(s, require, p, n);
	if (well)
		assert(reason != COLLECTOR_REJECT_SIGNATURE && reason != COLLECTOR_REJECT_UNSIGNED);
	else
		assert(!require || reason != COLLECTOR_REJECTS);
	if (data[0] & TWICE && well && reason == COLLECTOR_REJECTS) {
		reason = feed_signed(s, require, p, n);
		assert(reason == COLLECTOR_REJECT_REPLAYED);
	}
	return 0;
}
