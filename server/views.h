/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The last picture of each view of the map, so that the next one can leave the boxes where they are. A view is whatever
 * its caller hashes into a key. Bounded: the one not asked for longest goes. Thread-safe.
 */
#pragma once

#include "server/layout.h"

#define VIEWS_MAX 64

struct views;

int views_new(struct views **ret);
void views_free(struct views *v);

/* The picture of a view, NULL when there is none. To be given back to views_done(), also when it is NULL. */
const struct layout *views_get(struct views *v, uint64_t key);
void views_done(struct views *v, const struct layout *l);

/* The newest picture of a view; taken over, and given back to be looked at until views_done(). */
const struct layout *views_put(struct views *v, uint64_t key, struct layout *l);
