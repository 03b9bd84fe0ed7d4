/* SPDX-License-Identifier: Apache-2.0 */
/* The tables behind the messages, for flow/msg*.c only: what members a record has, of which kind, and where. */
#pragma once

#include "flow/msg.h"

enum schema_kind { INT, STRING, IP, PORTS, ADDRESSES, COUNTS, STATS }; /* see flow/schema.c */

struct schema_member {
	const char *name; /* NULL: end of the table */
	enum schema_kind kind;
	uint16_t offset, size; /* of the member */
	uint16_t count_offset; /* PORTS, ADDRESSES, COUNTS: of the number of items */
	uint16_t max;          /* of items; STATS: the view, FLOW_VIEWS = plain names */
	const char *doc;
	bool later; /* not in the first version of the record: has a default, 0 or empty, as statistics have */
};

struct schema_record {
	const char *name;
	const struct schema_member *members;
	size_t size; /* of the struct */
};

extern const struct schema_record schema_records[FLOW_MSG_TYPES];

/* CRC-64-AVRO of the type's schema; worked out once in a program. */
uint64_t schema_fingerprint(enum flow_msg_type type);

struct avrobin_cursor;

/* Reads one member, no STATS, and one statistic: into the zeroed record, and into a zeroed place of it. */
void schema_decode(struct avrobin_cursor *c, const struct schema_member *m, char *record);
void schema_decode_stat(struct avrobin_cursor *c, struct flow_stats *s, unsigned field);
