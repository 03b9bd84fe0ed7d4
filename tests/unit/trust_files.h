/* SPDX-License-Identifier: Apache-2.0 */
/* Files of keys and prefixes, and what an agent with such a key signs: for test_trust.c and test_trusted.c. */
#pragma once

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/keyfile.h"
#include "wire/auth.h"

/* Writes `text` where only we may read it. */
static inline void trust_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");
	int r;

	assert(f);
	r = fchmod(fileno(f), 0600);
	assert(r == 0);
	fputs(text, f);
	r = fclose(f);
	assert(r == 0);
}

/* Fleet key i as a file has it: a line of digits. */
static inline const char *trust_key(unsigned i, char text[66])
{
	uint8_t key[KEYFILE_BYTES];

	memset(key, (int)(17 * (i + 1)), sizeof(key));
	keyfile_format(key, text);
	return strcat(text, "\n");
}

/* A file of these fleet keys, `i` first; second < 0: it alone. */
static inline void trust_keys(const char *path, unsigned i, int second)
{
	char text[140], other[66];

	trust_key(i, text);
	if (second >= 0)
		strcat(text, trust_key((unsigned)second, other));
	trust_file(path, text);
}

/* The key of an agent, made ready. */
static inline struct wire_auth trust_agent(unsigned i, const struct ip *agent)
{
	uint8_t key[KEYFILE_BYTES];
	struct wire_auth fleet, ret;

	memset(key, (int)(17 * (i + 1)), sizeof(key));
	wire_auth_init(&fleet, key);
	wire_auth_agent(&fleet, agent, key);
	wire_auth_init(&ret, key);
	return ret;
}
