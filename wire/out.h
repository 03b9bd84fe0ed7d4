/* SPDX-License-Identifier: Apache-2.0 */
/* Named values as text (name=value) or as members of a JSON object: for wire/print.c and wire/print_sflow.c. */
#pragma once

#include "base/buf.h"
#include "base/ip.h"
#include "base/str.h"

struct out {
	struct buf *b;
	bool json;
};

/* s in quotes. It is text without control characters (wire_text_ok). */
void out_text(const struct out *o, struct str s);

/* What stands before a value. */
void out_key(const struct out *o, struct str key);

void out_u64(const struct out *o, const char *key, uint64_t v);
void out_str(const struct out *o, const char *key, struct str v); /* text leaves out what is empty */
void out_ip(const struct out *o, const char *key, const struct ip *ip);
void out_id(const struct out *o, const char *key,
	    uint64_t id); /* larger than a JSON reader's numbers may be: a string */
