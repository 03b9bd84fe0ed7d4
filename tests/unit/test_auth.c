/* SPDX-License-Identifier: Apache-2.0 */
/* Signatures: Python's hmac says what they are, and no bit of a datagram or ack can be another. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/keyfile.h"
#include "base/table.h"
#include "wire/auth.h"
#include "wire/interop.h"
#include "wire/stamp.h"
#include "wire_sample.h"

static const struct vector {
	uint8_t fleet[32];
	struct ip agent;
	uint8_t key[32];
	size_t n;
	const uint8_t *signed_bytes;
} vectors[] = {
#include "auth_vectors.inc"
};

static struct wire_build build;

static void test_vectors(void **state)
{
	assert_true(ARRAY_LEN(vectors) >= 64);
	for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
		const struct vector *v = &vectors[i];
		uint8_t key[WIRE_AUTH_KEY], *copy = malloc(v->n);
		struct wire_auth auth;

		assert_non_null(copy);
		wire_auth_init(&auth, v->fleet);
		wire_auth_agent(&auth, &v->agent, key);
		assert_memory_equal(key, v->key, sizeof(key));
		wire_auth_init(&auth, key);
		assert_true(wire_auth_check(&auth, v->signed_bytes, v->n));
		memcpy(copy, v->signed_bytes, v->n);
		memset(copy + v->n - WIRE_AUTH_TAG, (int)i, WIRE_AUTH_TAG); /* whatever stands there */
		wire_auth_sign(&auth, copy, v->n);
		assert_memory_equal(copy, v->signed_bytes, v->n);
		free(copy);
	}
}

static struct wire_auth key_of(unsigned i)
{
	uint8_t key[WIRE_AUTH_KEY];
	struct wire_auth a;

	memset(key, (int)(1 + i), sizeof(key));
	wire_auth_init(&a, key);
	return a;
}

/* A datagram of flows, and a host's, which has a second sample. */
static void make(struct sample *s, bool host, size_t size, size_t pad_to, bool auth, bool v6)
{
	struct wire_opts opts = {.size = (uint32_t)size, .auth = auth};
	struct wire_sender sender = sample_sender();
	struct flow_names names = sample_names(1);
	static struct flow_host h;

	if (v6)
		sender.agent = sample_ip("2001:db8::7");
	if (host) {
		h = sample_host_of(3);
		s->n = wire_host_put(&build, &h, 0, &sample_head, &opts, &sender, 5, s->p, sizeof(s->p));
		return;
	}
	wire_build_open(&build, WIRE_FLOWS, &sample_head, &opts);
	for (unsigned i = 0;; i++) {
		struct wire_flow row = sample_flow(i, false, &names);
		struct flow_stats stats = sample_stats(i);

		if (wire_flows_add(&build, &row, &stats) < 0)
			break;
	}
	s->n = wire_build_close(&build, &sender, 5, pad_to, s->p, sizeof(s->p));
}

static void test_build(void **state)
{
	static const size_t sizes[] = {WIRE_SIZE_MIN + 500, 1400, 1404, WIRE_SIZE_MAX};
	static struct sample s;

	for (unsigned i = 0; i < ARRAY_LEN(sizes) * 8; i++) {
		size_t size = sizes[i / 8];
		bool host = i & 1, v6 = i & 2, pad = i & 4;
		struct wire_auth key = key_of(i);
		struct wire_sender sender = sample_sender();
		struct wire_datagram d;
		struct wire_record r;
		enum wire_error e;
		unsigned ours = 0, others = 0;

		if (v6)
			sender.agent = sample_ip("2001:db8::8");
		make(&s, host, size, pad ? size : 0, true, v6);
		assert_true(s.n && s.n <= size);
		if (pad && !host)
			assert_int_equal(s.n, size);
		wire_stamp(s.p, s.n, 0, &sender, 77);
		assert_true(wire_auth_has(s.p, s.n, WIRE_ENTERPRISE));
		assert_false(wire_auth_has(s.p, s.n, 1));
		assert_false(wire_auth_check(&key, s.p, s.n));
		wire_auth_sign(&key, s.p, s.n);
		assert_true(wire_auth_check(&key, s.p, s.n));
		/* it is read as if it were not signed */
		assert_int_equal(wire_open(&d, s.p, s.n, 0), WIRE_OK);
		assert_true(ip_eq(&d.agent, &sender.agent));
		while ((e = wire_next(&d, &r)) == WIRE_OK) {
			ours += r.ours;
			others += !r.ours;
		}
		assert_int_equal(e, WIRE_END);
		assert_int_equal(ours, 1);
		assert_int_equal(others, host ? 1 : 0); /* the host's description */
		assert_int_equal(wire_extent(s.p, s.n), s.n);
	}
}

static void test_interop(void **state)
{
	static struct wire_interop x;
	static struct sample s;

	for (unsigned pad = 0; pad < 2; pad++) {
		struct wire_opts opts = {.size = 1400, .auth = true};
		struct wire_sender sender = sample_sender();
		struct flow_names names = sample_names(1);
		struct wire_auth key = key_of(pad);
		struct wire_datagram d;
		struct wire_record r;
		enum wire_error e;
		unsigned ours = 0, rows = 0;

		wire_interop_open(&x, &build, &sample_head, &opts);
		for (;; rows++) {
			struct wire_flow row = sample_flow(rows, false, &names);
			struct flow_stats stats = {.rows = 1, .tx_bytes = rows, .rx_bytes = rows};

			if (wire_interop_add(&x, &row, &stats, 0) < 0)
				break;
		}
		s.n = wire_interop_close(&x, &sender, 5, pad ? 1400 : 0, s.p, sizeof(s.p));
		assert_true(rows && s.n <= 1400 && (!pad || s.n == 1400));
		wire_auth_sign(&key, s.p, s.n);
		assert_true(wire_auth_has(s.p, s.n, WIRE_ENTERPRISE) && wire_auth_check(&key, s.p, s.n));
		assert_int_equal(wire_open(&d, s.p, s.n, 0), WIRE_OK);
		while ((e = wire_next(&d, &r)) == WIRE_OK)
			ours += r.ours;
		assert_int_equal(e, WIRE_END);
		assert_int_equal(ours, rows);
	}
}

static void test_flips(void **state)
{
	static struct sample s;
	struct wire_auth key = key_of(0), other = key_of(1);

	for (unsigned host = 0; host < 2; host++) {
		make(&s, host, 1400, 0, true, false);
		wire_auth_sign(&key, s.p, s.n);
		assert_false(wire_auth_check(&other, s.p, s.n));
		for (size_t bit = 0; bit < s.n * 8; bit++) {
			s.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
			assert_false(wire_auth_has(s.p, s.n, WIRE_ENTERPRISE) && wire_auth_check(&key, s.p, s.n));
			s.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
		for (size_t n = 0; n < s.n; n++)
			assert_false(wire_auth_has(s.p, n, WIRE_ENTERPRISE) && wire_auth_check(&key, s.p, n));
		assert_true(wire_auth_check(&key, s.p, s.n));
	}
}

static void test_ack(void **state)
{
	struct wire_ack a = {.boot = 7,
			     .sub_agent = 8,
			     .interval = 1700000010,
			     .interval_s = 10,
			     .datagrams = 5,
			     .rows = 6},
			got;
	struct wire_auth key = key_of(0), other = key_of(1);
	uint8_t p[WIRE_ACK_SIGNED + 1] = {0};

	wire_ack_put(&a, p);
	assert_false(wire_auth_ack_check(&key, p, WIRE_ACK_SIZE));
	wire_auth_ack(&key, p);
	assert_true(wire_auth_ack_check(&key, p, WIRE_ACK_SIGNED));
	assert_false(wire_auth_ack_check(&other, p, WIRE_ACK_SIGNED));
	assert_false(wire_auth_ack_check(&key, p, WIRE_ACK_SIGNED + 1));
	assert_int_equal(wire_ack_read(p, WIRE_ACK_SIGNED, &got), WIRE_OK); /* an agent without a key reads it, too */
	assert_memory_equal(&a, &got, offsetof(struct wire_ack, flags));
	assert_int_equal(got.flags, 0);
	for (size_t bit = 0; bit < WIRE_ACK_SIGNED * 8; bit++) {
		p[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_false(wire_auth_ack_check(&key, p, WIRE_ACK_SIGNED));
		p[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (size_t n = 0; n < WIRE_ACK_SIGNED; n++)
		assert_false(wire_auth_ack_check(&key, p, n));
}

#define K1 "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define K2 "FFfe02030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1eAB"

static void test_keyfile(void **state)
{
	static const struct {
		const char *text;
		unsigned n;
		const char *why; /* after "keys:" */
	} cases[] = {
		{K1, 1, NULL},
		{"# old\n\n  " K1 "   # comment\r\n" K2 "\n", 2, NULL},
		{"", 0, "1:1: no key: a line of 64 hexadecimal digits"},
		{"# nothing\n", 0, "1:1: no key: a line of 64 hexadecimal digits"},
		{K1 "\n  abc\n", 0, "2:3: a key is 64 hexadecimal digits"},
		{K1 "0\n", 0, "1:1: a key is 64 hexadecimal digits"},
		{"\n0001020304050607g8090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", 0,
		 "2:1: a key is 64 hexadecimal digits"},
		{K1 " " K2, 0, "1:66: a word too many: one key a line"},
		{K1 "\n" K1 "\n" K1 "\n" K1 "\n" K1 "\n" K1 "\n" K1 "\n" K1 "\n" K2 "\n", 0, "9:1: more than 8 keys"},
	};
	char why[256], text[65];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct keyfile k = {.n = 77};
		int r = keyfile_parse(&k, "keys", str_from(cases[i].text), why, sizeof(why));

		if (cases[i].why) {
			assert_int_equal(r, -EINVAL);
			assert_memory_equal(why, "keys:", 5);
			assert_string_equal(why + 5, cases[i].why);
			assert_null(strstr(why, "0405060708")); /* no secret in it */
			assert_int_equal(k.n, 77);
			continue;
		}
		assert_int_equal(r, 0);
		assert_int_equal(k.n, cases[i].n);
		keyfile_format(k.key[0], text);
		assert_string_equal(text, K1);
		assert_true(k.n < 2 || (k.key[1][0] == 0xff && k.key[1][31] == 0xab));
	}
}

static void test_keyfile_load(void **state)
{
	char path[] = "/tmp/skyfall-key-XXXXXX", why[512];
	int fd = mkstemp(path);
	struct keyfile k;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, K1 "\n", 65), 65);
	assert_int_equal(keyfile_load(&k, path, why, sizeof(why)), 0);
	assert_int_equal(k.n, 1);
	assert_int_equal(fchmod(fd, 0644), 0);
	assert_int_equal(keyfile_load(&k, path, why, sizeof(why)), -EACCES);
	assert_non_null(strstr(why, "chmod 600"));
	assert_int_equal(fchmod(fd, 0640), 0); /* a group may be meant */
	assert_int_equal(keyfile_load(&k, path, why, sizeof(why)), 0);
	close(fd);
	unlink(path);
	assert_int_equal(keyfile_load(&k, path, why, sizeof(why)), -ENOENT);
	assert_non_null(strstr(why, path));
	assert_int_equal(keyfile_load(&k, "/tmp", why, sizeof(why)), -EIO);
	keyfile_wipe(&k);
	assert_int_equal(k.n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),      cmocka_unit_test(test_build), cmocka_unit_test(test_interop),
		cmocka_unit_test(test_flips),        cmocka_unit_test(test_ack),   cmocka_unit_test(test_keyfile),
		cmocka_unit_test(test_keyfile_load),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
