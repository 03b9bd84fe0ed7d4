/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages whose writer has another version of our schemas: a rolling upgrade has both for a while. What the reader has and the
 * writer has not gets its default (0), what the writer has and the reader has not is passed by. See resolve.c.
 *
 * One set belongs to one thread.
 */
#pragma once

#include "flow/msg.h"

#define RESOLVE_SCHEMAS 64      /* other versions known at once */
#define RESOLVE_TEXT_MAX 262144 /* bytes of one */

struct resolve;

/* -ENOMEM. */
int resolve_new(struct resolve **ret);
void resolve_free(struct resolve *r);

/*
 * Makes a schema known under a number: its fingerprint, or a registry's id. Known already: nothing happens. -EINVAL with a
 * sentence in `why`: it is none of our messages' or cannot be read as one; -ENOSPC: too many, -ENOMEM.
 */
int resolve_add(struct resolve *r, uint64_t number, struct str json, char *why, size_t why_len);
bool resolve_has(const struct resolve *r, uint64_t number);

/* As flow_msg_decode(), of our own and of all known schemas. -ENOKEY: written with another one, whose fingerprint is in
 * *ret_number. */
int resolve_decode(const struct resolve *r, const void *p, size_t n, struct flow_msg *ret, uint64_t *ret_number);
