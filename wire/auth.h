/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signed datagrams and acks: HMAC-SHA-256 (RFC 2104, RFC 6234) cut to 16 bytes, over all bytes with the tag's own zero. In a
 * datagram the tag is the body of its last record, data format enterprise:15: its last 16 bytes. See auth.c.
 */
#pragma once

#include "wire/ack.h"
#include "wire/wire.h"

#define WIRE_AUTH_KEY 32    /* bytes of a key */
#define WIRE_AUTH_TAG 16    /* of a tag */
#define WIRE_AUTH_RECORD 24 /* of the record: format, length, tag */

/* A key made ready to sign with: as secret as the key. */
struct wire_auth {
	uint32_t inner[8], outer[8];
};

void wire_auth_init(struct wire_auth *ret, const uint8_t key[WIRE_AUTH_KEY]);

/* The key of one agent: HMAC-SHA-256(fleet key, the 16 bytes of its address; IPv4 as ::ffff:a.b.c.d). */
void wire_auth_agent(const struct wire_auth *fleet, const struct ip *agent, uint8_t ret_key[WIRE_AUTH_KEY]);

/* Adds the record, its tag zero, to the last sample of a datagram that was made here and has WIRE_AUTH_RECORD more bytes
 * of room. Returns its new length. */
size_t wire_auth_add(void *datagram, size_t n, uint32_t enterprise);

/* True when the datagram ends with such a record. Whatever bytes these are. */
bool wire_auth_has(const void *datagram, size_t n, uint32_t enterprise);

/* Writes the tag of a datagram that has the record. */
void wire_auth_sign(const struct wire_auth *key, void *datagram, size_t n);

/* Takes equally long for any tag. The datagram has the record. */
bool wire_auth_check(const struct wire_auth *key, const void *datagram, size_t n);

/* Makes an ack of WIRE_ACK_SIZE bytes one of WIRE_ACK_SIGNED. */
void wire_auth_ack(const struct wire_auth *key, uint8_t ack[WIRE_ACK_SIGNED]);

/* True for an ack of exactly WIRE_ACK_SIGNED bytes with the key's tag. */
bool wire_auth_ack_check(const struct wire_auth *key, const void *ack, size_t n);
