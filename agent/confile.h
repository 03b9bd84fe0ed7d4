/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options from a file: those of the command line by the same names, one a line.
 *
 *     collector   10.0.0.1:6343     # may be given again, as on the command line
 *     collector   sky.example:6343
 *     interval    10s
 *     rules       "/etc/skyfall/service names"
 *     no-ack
 *
 * Words stand between blanks; one with blanks in it is put in double quotes ("\"" and "\\" inside). A # begins a comment.
 * What the command line says as well goes before the file; lists are both together.
 */
#pragma once

#include <stddef.h>

#include "base/opt.h"
#include "base/str.h"

#define CONFILE_LINES 1000

struct confile;

/* Reads `path`. -EINVAL with the first mistake as "path:line:column: what is wrong" in `why`, or said on standard error by the
 * option itself (then `why` is ""); another -errno: it cannot be read. `once`: names that belong on a command line only, ends
 * with NULL. */
int confile_load(struct confile **ret, const char *path, const struct opt_command *cmd, const char *const *once,
		 char *why, size_t why_len);
int confile_parse(struct confile **ret, const char *path, struct str text, const struct opt_command *cmd,
		  const char *const *once, char *why, size_t why_len);
void confile_free(struct confile *f); /* NULL is fine */

/* The file's options as words of a command line: "--name=value". They live as long as the file. */
size_t confile_count(const struct confile *f);
char *confile_word(const struct confile *f, size_t i);

/* Where the file says `name` (its last place) as "path:line:column"; NULL: nowhere. Lives as long as the file. */
const char *confile_where(const struct confile *f, const char *name, size_t n);
