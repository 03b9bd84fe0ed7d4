/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two tables that flows and listeners carry before their rows (health: the first only): strings, each once, and
 * names, which are seven words: string indexes of service, process, unit, container, pod, via, then owner quality.
 * String index 0 is "", i is the i-th of the table. Names count from 0.
 */
#pragma once

#include "wire/build.h"

struct wire_tables {
	uint32_t n_strings, n_names;
	struct str strings[WIRE_STRINGS + 1];  /* [0] is "" */
	uint8_t strings_bad[WIRE_STRINGS + 1]; /* enum wire_error of those that are no text */
	struct flow_names names[WIRE_NAMES];
	uint8_t names_bad[WIRE_NAMES]; /* enum wire_error: rows that use such names are lost, others are not */
};

/* Reads the string table. WIRE_SHORT, WIRE_COUNT, WIRE_LENGTH. */
enum wire_error wire_tables_strings(struct wire_tables *t, struct cursor *c);

/* Reads the names table, after the strings. WIRE_SHORT, WIRE_COUNT. */
enum wire_error wire_tables_names(struct wire_tables *t, struct cursor *c);

/* The text behind an index. WIRE_STRING, WIRE_TEXT. */
enum wire_error wire_tables_text(const struct wire_tables *t, uint32_t index, struct str *ret);

/* Index of the text (cut to FLOW_NAME_MAX, made clean) in the builder's table. -ENOSPC: table or datagram full. */
int wire_tables_string(struct wire_build *b, struct str s);

/* Likewise of names. */
int wire_tables_name(struct wire_build *b, const struct flow_names *n);
