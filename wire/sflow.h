/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The standard's records by table: number -> name and fields. For showing them; who needs few fields fast (collector/network.c)
 * takes them from where they are.
 *
 * From: sFlow Version 5 (sflow.org, July 2004); sFlow Host Structures (July 2010) with the TCP, UDP and IP groups added later;
 * sFlow Application Structures (2012) and its sockets; the socket, tcp_info and entities records of sFlow's list of structures.
 */
#pragma once

#include "wire/wire.h"

enum sflow_type {
	SFLOW_U32,
	SFLOW_U64,
	SFLOW_FLOAT,
	SFLOW_MAC,     /* 6 bytes in 8 */
	SFLOW_IPV4,    /* 4 bytes */
	SFLOW_IPV6,    /* 16 bytes */
	SFLOW_ADDRESS, /* with its type before it */
	SFLOW_TEXT,    /* string<> */
	SFLOW_BYTES,   /* opaque<> */
	SFLOW_UUID,    /* opaque[16] */
	SFLOW_LIST,    /* T<>: a count, then that many of `of` */
};

struct sflow_field {
	const char *name; /* NULL: the only field of a list's element */
	enum sflow_type type;
	const struct sflow_struct *of; /* SFLOW_LIST */
};

/* Fields behind the first `n_old` came later: a sender may leave them out. Bytes behind the last are of a newer version. */
struct sflow_struct {
	const char *name;
	const struct sflow_field *fields;
	uint8_t n, n_old;
};

struct sflow_value {
	uint64_t n; /* U32, U64; LIST: the count */
	float f;
	struct ip ip;
	struct str bytes; /* TEXT, BYTES, MAC, UUID: in the datagram */
};

/* The record 0:`format` in a sample of this kind; NULL: not in the table. */
const struct sflow_struct *sflow_record(enum wire_kind kind, uint32_t format);

/* Reads one value. False: the bytes end before it does, or it is an address of no known type. */
bool sflow_value(struct cursor *c, enum sflow_type type, struct sflow_value *ret);

/* Rows of the table, for tests: i from 0; false when there are no more. */
bool sflow_table(unsigned i, enum wire_kind *ret_kind, uint32_t *ret_format, const struct sflow_struct **ret);
