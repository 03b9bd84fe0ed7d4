/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who sent it, and that nobody changed it on the way.
 *
 *     fleet key     32 random bytes, at the collectors only
 *     agent's key   HMAC-SHA-256(fleet key, agent address), at that agent: it can sign as itself and as nobody else
 *     tag           the first 16 bytes of HMAC-SHA-256(agent's key, datagram with 16 zeros where the tag is)
 *
 * 1. The tag covers every byte: the address that names the key, sub-agent, sequence number, all samples. Whether the record's
 *    head is where the samples say is of no importance: the last 24 bytes are looked at, and they are covered too.
 * 2. A tag says nothing about when. A datagram heard and sent again is as well signed as before: who checks keeps a window of
 *    numbers (collector/trust.c).
 * 3. Datagrams begin with 5 and acks with their magic, so neither is ever good as the other.
 *
 * A key is kept as SHA-256's state after HMAC's inner and outer pad: 64 bytes, and a tag costs no look-up, no memory and no
 * system call. OpenSSL's EVP_MAC keeps some 1.5 KiB a key, reads files when it is first used, which the agent must not, and took
 * 1.2 us for 1400 bytes with one context used again, 1.7 us with a copy for each, where this takes 0.95 (SHA extensions). The
 * compression function underneath is the same; its interface is deprecated since OpenSSL 3.0 in favour of that one, and there.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "wire/auth.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>

#include "wire/put.h"

enum {
	BLOCK = 64, /* bytes of SHA-256's */
	HASH = 32,
	ACK_LENGTH_AT = WIRE_ACK_SIZE - 4, /* of the tag's length */
};

static_assert(WIRE_ACK_SIGNED == WIRE_ACK_SIZE + WIRE_AUTH_TAG, "an ack ends with the tag");

static void pad_state(const uint8_t key[WIRE_AUTH_KEY], uint8_t pad, uint32_t ret[8])
{
	uint8_t block[BLOCK];
	SHA256_CTX c;

	for (unsigned i = 0; i < BLOCK; i++)
		block[i] = pad ^ (i < WIRE_AUTH_KEY ? key[i] : 0);
	SHA256_Init(&c);
	SHA256_Transform(&c, block);
	for (unsigned i = 0; i < 8; i++)
		ret[i] = c.h[i];
	OPENSSL_cleanse(block, sizeof(block));
}

void wire_auth_init(struct wire_auth *ret, const uint8_t key[WIRE_AUTH_KEY])
{
	pad_state(key, 0x36, ret->inner);
	pad_state(key, 0x5c, ret->outer);
}

/* Goes on where a pad's block ended. */
static void resume(SHA256_CTX *c, const uint32_t state[8])
{
	SHA256_Init(c);
	for (unsigned i = 0; i < 8; i++)
		c->h[i] = state[i];
	c->Nl = BLOCK * 8; /* bits so far */
}

/* HMAC of n bytes, and of `zeros` zero bytes after them. */
static void mac(const struct wire_auth *key, const void *p, size_t n, size_t zeros, uint8_t ret[HASH])
{
	static const uint8_t zero[WIRE_AUTH_TAG];
	SHA256_CTX c;

	resume(&c, key->inner);
	SHA256_Update(&c, p, n);
	SHA256_Update(&c, zero, zeros);
	SHA256_Final(ret, &c);
	resume(&c, key->outer);
	SHA256_Update(&c, ret, HASH);
	SHA256_Final(ret, &c);
}

void wire_auth_agent(const struct wire_auth *fleet, const struct ip *agent, uint8_t ret_key[WIRE_AUTH_KEY])
{
	static_assert(WIRE_AUTH_KEY == HASH, "a whole hash");
	mac(fleet, agent->b, sizeof(agent->b), 0, ret_key);
}

/* Where the number of records stands in a sample of format 1, 2, 3 or 4. */
static uint8_t *records_of(uint8_t *sample)
{
	static const uint8_t words[] = {[1] = 7, [2] = 2, [3] = 10, [4] = 3};
	uint32_t format = cursor_load32(sample);

	assert(format && format < sizeof(words));
	return sample + 8 + (size_t)words[format] * 4;
}

size_t wire_auth_add(void *datagram, size_t n, uint32_t enterprise)
{
	uint8_t *p = datagram, *end = p + n, *last = NULL, *count;

	for (p += cursor_load32(p + 4) == 1 ? 28 : 40; p < end; p += 8 + cursor_load32(p + 4))
		last = p;
	assert(last && p == end);
	count = records_of(last);
	put_u32(count, cursor_load32(count) + 1);
	put_u32(last + 4, cursor_load32(last + 4) + WIRE_AUTH_RECORD);
	end = put_u32(put_u32(end, enterprise << 12 | WIRE_AUTH), WIRE_AUTH_TAG);
	memset(end, 0, WIRE_AUTH_TAG);
	return n + WIRE_AUTH_RECORD;
}

bool wire_auth_has(const void *datagram, size_t n, uint32_t enterprise)
{
	const uint8_t *end = (const uint8_t *)datagram + n;

	return n >= WIRE_AUTH_RECORD && cursor_load32(end - WIRE_AUTH_RECORD) == (enterprise << 12 | WIRE_AUTH) &&
	       cursor_load32(end - WIRE_AUTH_TAG - 4) == WIRE_AUTH_TAG;
}

void wire_auth_sign(const struct wire_auth *key, void *datagram, size_t n)
{
	uint8_t hash[HASH];

	assert(n >= WIRE_AUTH_RECORD);
	mac(key, datagram, n - WIRE_AUTH_TAG, WIRE_AUTH_TAG, hash);
	memcpy((uint8_t *)datagram + n - WIRE_AUTH_TAG, hash, WIRE_AUTH_TAG);
}

bool wire_auth_check(const struct wire_auth *key, const void *datagram, size_t n)
{
	uint8_t hash[HASH];

	assert(n >= WIRE_AUTH_TAG);
	mac(key, datagram, n - WIRE_AUTH_TAG, WIRE_AUTH_TAG, hash);
	return !CRYPTO_memcmp((const uint8_t *)datagram + n - WIRE_AUTH_TAG, hash, WIRE_AUTH_TAG);
}

void wire_auth_ack(const struct wire_auth *key, uint8_t ack[WIRE_ACK_SIGNED])
{
	put_u32(ack + ACK_LENGTH_AT, WIRE_AUTH_TAG);
	wire_auth_sign(key, ack, WIRE_ACK_SIGNED);
}

bool wire_auth_ack_check(const struct wire_auth *key, const void *ack, size_t n)
{
	return n == WIRE_ACK_SIGNED && cursor_load32((const uint8_t *)ack + ACK_LENGTH_AT) == WIRE_AUTH_TAG &&
	       wire_auth_check(key, ack, n);
}
