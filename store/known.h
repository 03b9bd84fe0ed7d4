/* SPDX-License-Identifier: Apache-2.0 */
/* Which edges' names the writer knows to be in the store, and the day they were last written with. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct known;

struct known *known_new(void); /* NULL: no memory */
void known_free(struct known *k);
void known_clear(struct known *k);

/* Written on that day or later. -ENOMEM. */
int known_set(struct known *k, uint64_t edge, uint32_t day);
bool known_has(const struct known *k, uint64_t edge, uint32_t day);

/* On its way: known after known_commit(). True: it was noted already (of the last 64, else perhaps). */
bool known_pending(const struct known *k, uint64_t edge, uint32_t day);
int known_note(struct known *k, uint64_t edge, uint32_t day); /* -ENOMEM */
int known_commit(struct known *k);                            /* -ENOMEM */
void known_abort(struct known *k);
