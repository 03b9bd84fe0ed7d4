/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secret keys from a file: one a line, 64 hexadecimal digits; a # begins a comment. Several are for the time in which one
 * takes another's place. Nothing of a key is ever in a message.
 */
#pragma once

#include <stdint.h>

#include "base/str.h"

#define KEYFILE_KEYS 8
#define KEYFILE_BYTES 32 /* of a key */

struct keyfile {
	unsigned n;
	uint8_t key[KEYFILE_KEYS][KEYFILE_BYTES];
};

/* -EINVAL with "path:line:column: what is wrong" in `why`; another -errno: it cannot be read, or others may (-EACCES). At least
 * one key. */
int keyfile_load(struct keyfile *ret, const char *path, char *why, size_t why_len);
int keyfile_parse(struct keyfile *ret, const char *path, struct str text, char *why, size_t why_len);

/* Overwrites the keys. */
void keyfile_wipe(struct keyfile *k);

/* 64 digits and a NUL. */
void keyfile_format(const uint8_t key[KEYFILE_BYTES], char text[2 * KEYFILE_BYTES + 1]);
