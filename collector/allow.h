/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which agents may send, by prefixes of their addresses. A file has one a line:
 *
 *     10.0.0.0/8                  # agents of ours
 *     2001:db8::/32
 *     192.0.2.0/24  unsigned      # switches: they cannot sign, and need not where all others must
 */
#pragma once

#include "base/buf.h"
#include "base/ip.h"
#include "base/opt.h"

#define ALLOW_PREFIXES 65536

struct allow_range {
	struct ip first, last;
};

/* Ascending, apart from each other. */
struct allow_set {
	size_t n;
	struct allow_range *v;
};

struct allow {
	struct allow_set agents, unsigned_agents; /* the second are in the first as well */
	bool any;                                 /* nothing was named: all may */
};

/* prefixes: of the command line. file: NULL none. -EINVAL with "file:line:column: what is wrong", or the prefix, in `why`;
 * another -errno: the file cannot be read. *ret is to be given to allow_deinit() in the end. */
int allow_load(struct allow *ret, const struct opt_list *prefixes, const char *file, char *why, size_t why_len);
int allow_parse(struct allow *ret, const struct opt_list *prefixes, const char *file, struct str text, char *why,
		size_t why_len);
void allow_deinit(struct allow *a);

bool allow_agent(const struct allow *a, const struct ip *agent);
bool allow_unsigned(const struct allow *a, const struct ip *agent);
