/* SPDX-License-Identifier: Apache-2.0 */
/* Who is believed: signatures, replay, allow list, rate, and rules that change while threads ask. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/table.h"
#include "collector/allow.h"
#include "collector/trust.h"
#include "tests/unit/trust_files.h"
#include "wire/stamp.h"
#include "wire_sample.h"

#define T0 (SAMPLE_INTERVAL + 12ll)
#define OK COLLECTOR_REJECTS

static char folder[] = "/tmp/skyfall-trust-XXXXXX", keys[64], allow[64];
static char why[512];

static int setup(void **state)
{
	if (!mkdtemp(folder))
		return -1;
	snprintf(keys, sizeof(keys), "%s/keys", folder);
	snprintf(allow, sizeof(allow), "%s/allow", folder);
	return 0;
}

static int teardown(void **state)
{
	unlink(keys);
	unlink(allow);
	return rmdir(folder);
}

/* A collector's trust with one thread that asks. */
struct world {
	struct trust *trust;
	struct trust_reader *reader;
};

static void load(struct world *w, const struct trust_opts *o)
{
	int r = trust_load(w->trust, o, why, sizeof(why));

	if (r)
		fail_msg("%s", why);
	trust_look(w->reader);
}

static struct world world(const struct trust_opts *o)
{
	struct world w;

	assert_int_equal(trust_new(&w.trust, 1024, 8, 10), 0);
	assert_int_equal(trust_join(w.trust, &w.reader), 0);
	assert_true(trust_idle(w.reader));
	if (o)
		load(&w, o);
	return w;
}

/* Datagram `sequence` of an agent; fleet key < 0: not signed. */
struct letter {
	struct sample s;
	size_t n;
};

static void letter_at(struct letter *l, const char *agent, uint32_t sequence, int key, uint64_t boot, uint32_t interval)
{
	static struct wire_build b;
	struct wire_opts opts = {.auth = key >= 0};
	struct wire_sender sender = {.agent = sample_ip(agent), .sequence = sequence - 1};
	struct wire_head head = sample_head;
	struct flow_names names = sample_names(1);
	struct wire_flow row = sample_flow(1, false, &names);
	struct flow_stats stats = sample_stats(1);

	head.boot = boot;
	head.interval = interval;
	wire_build_open(&b, WIRE_FLOWS, &head, &opts);
	assert_int_equal(wire_flows_add(&b, &row, &stats), 1);
	l->s.n = l->n = wire_build_close(&b, &sender, 5, 0, l->s.p, sizeof(l->s.p));
	if (key >= 0) {
		struct wire_auth a = trust_agent((unsigned)key, &sender.agent);

		wire_auth_sign(&a, l->s.p, l->n);
	}
}

static void letter(struct letter *l, const char *agent, uint32_t sequence, int key)
{
	letter_at(l, agent, sequence, key, 7, SAMPLE_INTERVAL);
}

/* Both questions, as a receive thread asks them. COLLECTOR_REJECTS: believed. */
static unsigned ask_at(struct world *w, const struct letter *l, int64_t at_us, struct trust_verdict *ret)
{
	struct wire_head head = {0};
	struct wire_datagram d;
	struct wire_record r;
	unsigned e = wire_open(&d, l->s.p, l->n, 0);

	if (e)
		return e;
	*ret = trust_origin(w->reader, &d, (struct str){(const char *)l->s.p, l->n});
	if (ret->reject != OK)
		return ret->reject;
	if (wire_next(&d, &r) == WIRE_OK) {
		struct cursor c = cursor_over(r.body);

		if (wire_head_read(&c, &head))
			head = (struct wire_head){0};
	}
	return trust_fresh(w->reader, &d, &head, ret, at_us);
}

static unsigned ask(struct world *w, const struct letter *l)
{
	struct trust_verdict v;

	return ask_at(w, l, T0 * 1000000, &v);
}

static void test_modes(void **state)
{
	static const struct {
		const char *mode;
		bool key;
		unsigned plain, good, bad; /* not signed, signed, by a key that is none of the fleet's */
	} cases[] = {
		{NULL, false, OK, OK, OK},
		{"off", false, OK, OK, OK},
		{"off", true, OK, OK, OK},
		{"accept", true, OK, OK, COLLECTOR_REJECT_SIGNATURE},
		{"require", true, COLLECTOR_REJECT_UNSIGNED, OK, COLLECTOR_REJECT_SIGNATURE},
		{NULL, true, COLLECTOR_REJECT_UNSIGNED, OK, COLLECTOR_REJECT_SIGNATURE},
	};
	struct letter l;

	trust_keys(keys, 0, -1);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct trust_opts o = {.mode = cases[i].mode, .fleet_key = cases[i].key ? keys : NULL};
		struct world w = world(&o);

		letter(&l, "192.0.2.1", 5, -1);
		assert_int_equal(ask(&w, &l), cases[i].plain);
		letter(&l, "192.0.2.2", 5, 0);
		assert_int_equal(ask(&w, &l), cases[i].good);
		letter(&l, "192.0.2.3", 5, 1);
		assert_int_equal(ask(&w, &l), cases[i].bad);
		letter(&l, "192.0.2.1", 6, -1); /* a neighbour that signs is not this one */
		assert_int_equal(ask(&w, &l), cases[i].plain);
		trust_free(w.trust);
	}
}

static void test_wrong_options(void **state)
{
	struct trust_opts o = {.mode = "require"};
	struct world w = world(NULL);

	assert_int_equal(trust_load(w.trust, &o, why, sizeof(why)), -EINVAL);
	assert_non_null(strstr(why, "--fleet-key"));
	o = (struct trust_opts){.mode = "yes"};
	assert_int_equal(trust_load(w.trust, &o, why, sizeof(why)), -EINVAL);
	o = (struct trust_opts){.fleet_key = "/nowhere/keys"};
	assert_int_equal(trust_load(w.trust, &o, why, sizeof(why)), -ENOENT);
	trust_look(w.reader);
	assert_true(trust_idle(w.reader)); /* as before */
	trust_free(w.trust);
}

/* No bit of a signed datagram can be another, and what was refused does not spoil the right one. */
static void test_flips(void **state)
{
	struct trust_opts o = {.mode = "require", .fleet_key = keys};
	struct letter l, flipped;
	struct world w;

	trust_keys(keys, 0, 1);
	w = world(&o);
	letter(&l, "192.0.2.1", 5, 0);
	for (size_t bit = 0; bit < l.n * 8; bit++) {
		flipped = l;
		flipped.s.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_not_equal(ask(&w, &flipped), OK);
	}
	for (size_t n = 0; n < l.n; n++) {
		flipped = l;
		flipped.n = n;
		assert_int_not_equal(ask(&w, &flipped), OK);
	}
	assert_int_equal(ask(&w, &l), OK);
	assert_int_equal(ask(&w, &l), COLLECTOR_REJECT_REPLAYED);
	trust_free(w.trust);
}

/* A host's key signs as that host and as no other. */
static void test_other_address(void **state)
{
	struct trust_opts o = {.mode = "accept", .fleet_key = keys};
	struct ip mine = sample_ip("192.0.2.1");
	struct wire_auth key = trust_agent(0, &mine);
	static const char *const others[] = {"192.0.2.2", "2001:db8::1", "::"};
	struct letter l;
	struct world w;

	trust_keys(keys, 0, -1);
	w = world(&o);
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		letter(&l, others[i], 5, 0);
		wire_auth_sign(&key, l.s.p, l.n);
		assert_int_equal(ask(&w, &l), COLLECTOR_REJECT_SIGNATURE);
		letter(&l, others[i], 5, 0);
		assert_int_equal(ask(&w, &l), OK);
	}
	trust_free(w.trust);
}

/* In mode accept a name that signs is not believed without, for as long as it is remembered. */
static void test_downgrade(void **state)
{
	struct trust_opts o = {.mode = "accept", .fleet_key = keys};
	struct trust_verdict v;
	struct letter l;
	struct world w;

	trust_keys(keys, 0, -1);
	w = world(&o);
	letter(&l, "192.0.2.1", 5, -1);
	assert_int_equal(ask(&w, &l), OK);
	letter(&l, "192.0.2.1", 6, 0);
	assert_int_equal(ask(&w, &l), OK);
	letter(&l, "192.0.2.1", 7, -1);
	assert_int_equal(ask(&w, &l), COLLECTOR_REJECT_UNSIGNED);
	assert_int_equal(ask_at(&w, &l, (T0 + 600) * 1000000, &v), COLLECTOR_REJECT_UNSIGNED);
	assert_int_equal(ask_at(&w, &l, (T0 + 601) * 1000000, &v), OK);
	trust_free(w.trust);
}

/* The window against a model that remembers all, in a random walk with jumps. */
static void test_replay(void **state)
{
	struct trust_opts o = {.mode = "require", .fleet_key = keys};
	static uint8_t seen[1 << 17];
	uint32_t top = 0xffffff00u, first = top, dice = 1; /* soon it wraps */
	struct world w;
	struct letter l;
	unsigned accepted = 0, refused = 0;

	memset(seen, 0, sizeof(seen));
	trust_keys(keys, 0, -1);
	w = world(&o);
	letter(&l, "192.0.2.1", top, 0);
	assert_int_equal(ask(&w, &l), OK);
	seen[0] = 1;
	for (unsigned i = 0; i < 20000; i++) {
		uint32_t sequence;
		bool good;

		dice = dice * 1664525 + 1013904223;
		sequence = top + (i % 500 == 7 ? (dice >> 16) % 3000
				  : i % 7 == 3 ? 0u - (dice >> 16) % 2000
					       : (dice >> 16) % 9 - 4);
		if ((int32_t)(sequence - first) < 0 || sequence - first >= sizeof(seen))
			continue;
		good = (int32_t)(sequence - top) > 0 || (top - sequence < TRUST_WINDOW && !seen[sequence - first]);
		letter(&l, "192.0.2.1", sequence, 0);
		assert_int_equal(ask(&w, &l), good ? OK : COLLECTOR_REJECT_REPLAYED);
		seen[sequence - first] = 1;
		if ((int32_t)(sequence - top) > 0)
			top = sequence;
		accepted += good;
		refused += !good;
	}
	assert_true(accepted > 5000 && refused > 5000 && top - first > 0x200);
	trust_free(w.trust);
}

/* A restarted agent begins anew; a recorded one does not. */
static void test_stale(void **state)
{
	struct trust_opts o = {.mode = "require", .fleet_key = keys};
	struct trust_verdict v;
	struct letter l;
	struct world w;

	trust_keys(keys, 0, -1);
	w = world(&o);
	letter_at(&l, "192.0.2.1", 5, 0, 7, SAMPLE_INTERVAL);
	assert_int_equal(ask_at(&w, &l, (SAMPLE_INTERVAL + 301ll) * 1000000, &v), COLLECTOR_REJECT_STALE);
	assert_int_equal(ask_at(&w, &l, (SAMPLE_INTERVAL - 301ll) * 1000000, &v), COLLECTOR_REJECT_STALE);
	assert_int_equal(ask_at(&w, &l, (SAMPLE_INTERVAL + 300ll) * 1000000, &v), OK);
	/* who is known may have whatever clock */
	letter_at(&l, "192.0.2.1", 6, 0, 7, SAMPLE_INTERVAL - 86400);
	assert_int_equal(ask(&w, &l), OK);
	/* but does not jump so far with it that numbers come round again */
	letter_at(&l, "192.0.2.1", 7 + (1u << 21), 0, 7, SAMPLE_INTERVAL - 86400);
	assert_int_equal(ask(&w, &l), COLLECTOR_REJECT_STALE);
	letter_at(&l, "192.0.2.1", 7 + (1u << 21), 0, 7, SAMPLE_INTERVAL);
	assert_int_equal(ask(&w, &l), OK);
	/* another boot id or sub-agent: a window of its own */
	letter_at(&l, "192.0.2.1", 1, 0, 8, SAMPLE_INTERVAL);
	assert_int_equal(ask(&w, &l), OK);
	assert_int_equal(ask(&w, &l), COLLECTOR_REJECT_REPLAYED);
	letter_at(&l, "192.0.2.1", 6, 0, 7, SAMPLE_INTERVAL);
	assert_int_equal(ask(&w, &l), COLLECTOR_REJECT_REPLAYED);
	trust_free(w.trust);
}

/* First both keys are known, then agents change theirs, then the old one goes: nobody is refused on the way. */
static void test_rotation(void **state)
{
	struct trust_opts o = {.mode = "require", .fleet_key = keys};
	struct ip agent = sample_ip("192.0.2.1");
	struct wire_auth old = trust_agent(0, &agent), new = trust_agent(1, &agent);
	uint8_t ack[WIRE_ACK_SIGNED] = {0};
	struct trust_verdict v;
	struct letter l;
	struct world w;

	trust_keys(keys, 0, -1);
	w = world(&o);
	letter(&l, "192.0.2.1", 1, 0);
	assert_int_equal(ask_at(&w, &l, T0 * 1000000, &v), OK);
	assert_true(v.is_signed && !v.by_late_key);
	letter(&l, "192.0.2.1", 2, 1);
	assert_int_equal(ask(&w, &l), COLLECTOR_REJECT_SIGNATURE);
	trust_keys(keys, 0, 1);
	load(&w, &o);
	assert_int_equal(ask_at(&w, &l, T0 * 1000000, &v), OK);
	assert_true(v.is_signed && v.by_late_key);
	letter(&l, "192.0.2.1", 3, 0);
	assert_int_equal(ask_at(&w, &l, T0 * 1000000, &v), OK);
	assert_true(v.is_signed && !v.by_late_key);
	assert_int_equal(trust_ack(w.reader, &agent, ack), WIRE_ACK_SIGNED);
	assert_true(wire_auth_ack_check(&old, ack, sizeof(ack)) && !wire_auth_ack_check(&new, ack, sizeof(ack)));
	trust_keys(keys, 1, 0);
	load(&w, &o);
	assert_int_equal(trust_ack(w.reader, &agent, ack), WIRE_ACK_SIGNED);
	assert_true(!wire_auth_ack_check(&old, ack, sizeof(ack)) && wire_auth_ack_check(&new, ack, sizeof(ack)));
	trust_keys(keys, 1, -1);
	load(&w, &o);
	letter(&l, "192.0.2.1", 4, 0);
	assert_int_equal(ask(&w, &l), COLLECTOR_REJECT_SIGNATURE);
	letter(&l, "192.0.2.1", 3, 1); /* windows outlive the rules */
	assert_int_equal(ask(&w, &l), COLLECTOR_REJECT_REPLAYED);
	letter(&l, "192.0.2.1", 4, 1);
	assert_int_equal(ask(&w, &l), OK);
	o = (struct trust_opts){0};
	load(&w, &o);
	assert_int_equal(trust_ack(w.reader, &agent, ack), WIRE_ACK_SIZE);
	trust_free(w.trust);
}

static void test_allow(void **state)
{
	struct trust_opts o = {
		.mode = "require", .fleet_key = keys, .allow_file = allow, .allow = {.v = {"198.51.100.0/25"}, .n = 1}};
	static const struct {
		const char *agent;
		bool is_signed;
		unsigned want;
	} cases[] = {
		{"10.1.2.3", true, OK},
		{"10.1.2.3", false, COLLECTOR_REJECT_UNSIGNED},
		{"11.0.0.0", true, COLLECTOR_REJECT_AGENT},
		{"9.255.255.255", true, COLLECTOR_REJECT_AGENT},
		{"192.0.2.255", false, OK}, /* a switch */
		{"192.0.3.0", false, COLLECTOR_REJECT_AGENT},
		{"192.0.2.1", true, OK},
		{"192.0.2.1", false, COLLECTOR_REJECT_UNSIGNED}, /* it can, it turned out */
		{"2001:db8:0:ffff::1", true, OK},
		{"2001:db9::", true, COLLECTOR_REJECT_AGENT},
		{"198.51.100.127", true, OK},
		{"198.51.100.128", true, COLLECTOR_REJECT_AGENT},
		{"203.0.113.9", true, OK},
		{"203.0.113.10", true, COLLECTOR_REJECT_AGENT},
	};
	struct letter l;
	struct world w;

	trust_keys(keys, 0, -1);
	trust_file(allow,
		   "# ours\n10.0.0.0/8\n10.2.0.0/16\r\n\n 2001:db8::/32 # six\n192.0.2.0/24\tunsigned\n203.0.113.9\n");
	w = world(&o);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		letter(&l, cases[i].agent, 100 + (uint32_t)i, cases[i].is_signed ? 0 : -1);
		assert_int_equal(ask(&w, &l), cases[i].want);
	}
	trust_file(allow, ""); /* names nobody */
	o.allow.n = 0;
	load(&w, &o);
	letter(&l, "10.1.2.3", 300, 0);
	assert_int_equal(ask(&w, &l), COLLECTOR_REJECT_AGENT);
	trust_free(w.trust);
}

static void test_allow_mistakes(void **state)
{
	static const struct {
		const char *text, *why;
	} cases[] = {
		{"10.0.0.0/8\n  10.0.0.0/33\n", "f:2:3: no network such as 10.0.0.0/8 or 2001:db8::/32"},
		{"10.0.0.0/8 signed", "f:1:12: after the network only the word unsigned may stand"},
		{"10.0.0.0/8 unsigned too", "f:1:21: a word too many"},
		{"host.example\n", "f:1:1: no network such as 10.0.0.0/8 or 2001:db8::/32"},
		{"::1/129", "f:1:1: no network such as 10.0.0.0/8 or 2001:db8::/32"},
	};
	struct opt_list none = {.n = 0}, bad = {.v = {"10.0.0.0/x"}, .n = 1};
	struct allow a;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(allow_parse(&a, &none, "f", str_from(cases[i].text), why, sizeof(why)), -EINVAL);
		assert_string_equal(why, cases[i].why);
	}
	assert_int_equal(allow_load(&a, &bad, NULL, why, sizeof(why)), -EINVAL);
	assert_non_null(strstr(why, "10.0.0.0/x"));
	assert_int_equal(allow_load(&a, &none, "/nowhere/allow", why, sizeof(why)), -ENOENT);
}

/* Random prefixes against asking each of them. */
static void test_allow_model(void **state)
{
	enum { N = 300 };
	static char text[N * 40];
	struct opt_list none = {.n = 0};
	struct ip prefix[N];
	unsigned bits[N], dice = 9, hits = 0;
	struct allow a;

	text[0] = '\0';
	for (unsigned i = 0; i < N; i++) {
		char line[40];

		dice = dice * 1664525 + 1013904223;
		bits[i] = 8 + (dice >> 24) % 25;
		snprintf(line, sizeof(line), "%u.%u.%u.%u/%u\n", 10 + (dice >> 20) % 3, (dice >> 12) & 255,
			 (dice >> 9) & 255, (dice >> 16) & 255, bits[i] = bits[i] < 14 ? 14 : bits[i]);
		strcat(text, line);
		line[strlen(line) - 1] = '\0';
		assert_int_equal(ip_parse_prefix(line, &prefix[i], &bits[i]), 0);
	}
	assert_int_equal(allow_parse(&a, &none, "f", str_from(text), why, sizeof(why)), 0);
	for (unsigned i = 0; i < 20000; i++) {
		struct ip ip;
		bool in = false;

		dice = dice * 1664525 + 1013904223;
		ip = ip_from_v4((const uint8_t[]){(uint8_t)(10 + (dice >> 30)), (uint8_t)(dice >> 22),
						  (uint8_t)(dice >> 14), (uint8_t)(dice >> 6)});
		if (i % 3 == 0)
			ip = prefix[i % N];
		for (unsigned j = 0; j < N; j++)
			in |= ip_in_prefix(&ip, &prefix[j], bits[j]);
		assert_int_equal(allow_agent(&a, &ip), in);
		hits += in;
	}
	assert_true(hits > 7000 && hits < 19000);
	allow_deinit(&a);
}

static void test_rate(void **state)
{
	struct trust_opts o = {.rate = 5};
	struct trust_verdict v;
	unsigned taken = 0, other = 0;
	struct letter l;
	struct world w = world(&o);

	/* ten seconds' worth at once, then five a second, however many come */
	for (unsigned i = 0; i < 200; i++) {
		letter(&l, "192.0.2.1", i, -1);
		taken += ask(&w, &l) == OK;
	}
	assert_in_range(taken, 50, 51);
	taken = 0;
	for (unsigned ms = 1; ms <= 20000; ms += 10) {
		letter(&l, "192.0.2.1", ms, -1);
		taken += ask_at(&w, &l, T0 * 1000000 + ms * 1000ll, &v) == OK;
		if (ms % 1000 == 1) {
			letter(&l, "192.0.2.2", ms, -1);
			other += ask_at(&w, &l, T0 * 1000000 + ms * 1000ll, &v) == OK;
		}
	}
	assert_in_range(taken, 99, 101);
	assert_int_equal(other, 20);
	letter(&l, "192.0.2.1", 1, -1);
	(void)ask_at(&w, &l, T0 * 1000000 + 20000000, &v);
	assert_int_equal(ask_at(&w, &l, T0 * 1000000 + 20000000, &v), COLLECTOR_REJECT_RATE);
	assert_int_equal(ask_at(&w, &l, (T0 - 3600) * 1000000, &v), OK); /* the clock was set back */
	trust_free(w.trust);
}

/* Forged and replayed ones take nothing from the one they say to be. */
static void test_rate_signed(void **state)
{
	struct trust_opts o = {.mode = "require", .fleet_key = keys, .rate = 1};
	struct letter l, forged;
	struct world w;

	trust_keys(keys, 0, -1);
	w = world(&o);
	letter(&l, "192.0.2.1", 1, 0);
	assert_int_equal(ask(&w, &l), OK);
	letter(&forged, "192.0.2.1", 2, 1);
	for (unsigned i = 0; i < 100; i++) {
		assert_int_equal(ask(&w, &l), COLLECTOR_REJECT_REPLAYED);
		assert_int_equal(ask(&w, &forged), COLLECTOR_REJECT_SIGNATURE);
	}
	for (unsigned i = 2; i <= 10; i++) {
		letter(&l, "192.0.2.1", i, 0);
		assert_int_equal(ask(&w, &l), OK);
	}
	trust_free(w.trust);
}

/* Past the bound newcomers are refused, those inside are not, and the silent make room. */
static void test_full(void **state)
{
	struct trust_opts o = {.mode = "require", .fleet_key = keys};
	struct trust *t;
	struct world w;
	struct letter l;
	struct trust_verdict v;
	unsigned taken = 0, full = 0;

	trust_keys(keys, 0, -1);
	assert_int_equal(trust_new(&t, 64, 1, 10), 0);
	w.trust = t;
	assert_int_equal(trust_join(t, &w.reader), 0);
	load(&w, &o);
	for (unsigned i = 0; i < 6000; i++) {
		unsigned r;
		char ip[32];

		snprintf(ip, sizeof(ip), "10.0.%u.%u", i / 250, i % 250);
		letter(&l, ip, 1, 0);
		r = ask(&w, &l);
		taken += r == OK;
		full += r == COLLECTOR_REJECT_TRUST_FULL;
	}
	assert_int_equal(taken + full, 6000);
	assert_true(full && taken >= 64);
	letter(&l, "10.0.0.0", 2, 0);
	assert_int_equal(ask(&w, &l), OK);
	letter_at(&l, "10.0.23.249", 1, 0, 7, SAMPLE_INTERVAL + 700);
	assert_int_equal(ask_at(&w, &l, (T0 + 700) * 1000000, &v), OK);
	trust_free(t);
}

/* Rules change all the time while threads ask: each datagram is judged by one set of them or another, whole. */
struct asker {
	struct world w;
	pthread_t thread;
	atomic_bool *stop;
	unsigned number;
	uint64_t good; /* read while it asks */
	uint64_t other;
};

static void *asking(void *arg)
{
	struct asker *a = arg;
	struct letter *l = malloc(sizeof(*l));
	struct ip ip = sample_ip("192.0.2.0");
	char text[IP_TEXT];

	ip.b[15] = (uint8_t)(1 + a->number);
	ip_format(&ip, text);
	for (uint32_t i = 1; !atomic_load(a->stop); i++) {
		struct trust_verdict v;
		unsigned r;

		memset(l, 0, sizeof(*l));
		{
			struct wire_sender s = {.agent = ip, .sequence = i - 1};
			struct wire_auth key = trust_agent(i & 1, &ip);
			static _Thread_local struct wire_build b;
			struct wire_opts opts = {.auth = true};
			struct flow_names names = sample_names(1);
			struct wire_flow row = sample_flow(1, false, &names);
			struct flow_stats stats = sample_stats(1);

			wire_build_open(&b, WIRE_FLOWS, &sample_head, &opts);
			(void)wire_flows_add(&b, &row, &stats);
			l->n = wire_build_close(&b, &s, 5, 0, l->s.p, sizeof(l->s.p));
			wire_auth_sign(&key, l->s.p, l->n);
		}
		trust_look(a->w.reader);
		r = ask_at(&a->w, l, T0 * 1000000, &v);
		if (r == OK && v.is_signed && v.by_late_key == (i & 1))
			__atomic_add_fetch(&a->good, 1, __ATOMIC_RELAXED);
		else
			__atomic_add_fetch(&a->other, 1, __ATOMIC_RELAXED);
	}
	free(l);
	return NULL;
}

/* Or something went wrong, which will be seen. */
static bool all_asked(struct asker *a, uint64_t n)
{
	for (unsigned i = 0; i < 2; i++)
		if (__atomic_load_n(&a[i].good, __ATOMIC_RELAXED) < n &&
		    !__atomic_load_n(&a[i].other, __ATOMIC_RELAXED))
			return false;
	return true;
}

/* Names of the command line and of a file; a mistake leaves the former ones. */
static void test_nets(void **state)
{
	static const struct {
		const char *text, *why;
	} bad[] = {
		{"prod\nlab two\n", "nets:2:5: a word too many"},
		{"prod\n\xff\n", "nets:2:1: is no name"},
	};
	struct trust_opts o = {.nets = {.v = {"prod", "lab"}, .n = 2}};
	struct world w;
	char path[200];

	w = world(&o);
	assert_true(nets_has(trust_nets(w.reader), STR("prod")) && nets_has(trust_nets(w.reader), STR("lab")));
	assert_false(nets_has(trust_nets(w.reader), STR("")) || nets_has(trust_nets(w.reader), STR("pro")));
	assert_true(str_eq(trust_nets(w.reader)->home, STR("prod")));
	snprintf(path, sizeof(path), "%s/nets", folder);
	trust_file(path, "# ours\nzoo\n\n\"\"  # no name\nalpha\n");
	o.net_file = path;
	load(&w, &o);
	trust_look(w.reader);
	assert_true(nets_has(trust_nets(w.reader), STR("")) && nets_has(trust_nets(w.reader), STR("zoo")) &&
		    nets_has(trust_nets(w.reader), STR("alpha")) && nets_has(trust_nets(w.reader), STR("lab")));
	assert_false(nets_has(trust_nets(w.reader), STR("beta")));
	o.nets.n = 0;
	load(&w, &o);
	trust_look(w.reader);
	assert_true(str_eq(trust_nets(w.reader)->home, STR("zoo")));
	assert_false(nets_has(trust_nets(w.reader), STR("prod")));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		trust_file(path, bad[i].text);
		assert_int_equal(trust_load(w.trust, &o, why, sizeof(why)), -EINVAL);
		assert_non_null(strstr(why, bad[i].why));
		trust_look(w.reader);
		assert_true(nets_has(trust_nets(w.reader), STR("zoo")));
	}
	trust_file(path, "# nobody\n");
	load(&w, &o);
	trust_look(w.reader);
	assert_false(nets_has(trust_nets(w.reader), STR("")));
	o.net_file = NULL;
	load(&w, &o);
	trust_look(w.reader);
	assert_true(nets_has(trust_nets(w.reader), STR("any")));
	unlink(path);
	trust_free(w.trust);
}

static void test_reload_live(void **state)
{
	struct trust_opts o = {.mode = "require", .fleet_key = keys, .allow_file = allow};
	struct world w;
	struct asker askers[2];
	atomic_bool stop = false;

	trust_keys(keys, 0, 1);
	trust_file(allow, "192.0.2.0/24\n");
	w = world(&o);
	for (unsigned i = 0; i < 2; i++) {
		askers[i] = (struct asker){.w.trust = w.trust, .stop = &stop, .number = i};
		assert_int_equal(trust_join(w.trust, &askers[i].w.reader), 0);
	}
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&askers[i].thread, NULL, asking, &askers[i]), 0);
	for (unsigned i = 0; i < 400 || !all_asked(askers, 100); i++)
		load(&w, &o);
	atomic_store(&stop, true);
	for (unsigned i = 0; i < 2; i++) {
		pthread_join(askers[i].thread, NULL);
		assert_int_equal(askers[i].other, 0);
	}
	trust_free(w.trust);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nets),           cmocka_unit_test(test_modes),
		cmocka_unit_test(test_wrong_options),  cmocka_unit_test(test_flips),
		cmocka_unit_test(test_other_address),  cmocka_unit_test(test_downgrade),
		cmocka_unit_test(test_replay),         cmocka_unit_test(test_stale),
		cmocka_unit_test(test_rotation),       cmocka_unit_test(test_allow),
		cmocka_unit_test(test_allow_mistakes), cmocka_unit_test(test_allow_model),
		cmocka_unit_test(test_rate),           cmocka_unit_test(test_rate_signed),
		cmocka_unit_test(test_full),           cmocka_unit_test(test_reload_live),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
