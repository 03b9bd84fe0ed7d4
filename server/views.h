/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The last picture of each view of the map, so that the next one can leave the boxes where they are. A view is whatever
 * its caller hashes into a key. Bounded in number and in bytes: those not asked for longest go. Thread-safe.
 */
#pragma once

#include "server/layout.h"

#define VIEWS_MAX 64
#define VIEWS_BYTES (64u << 20)

struct views;

/* max_bytes: what all pictures kept may take; a larger one is given back by views_put(), but not kept. -ENOMEM. */
int views_new(struct views **ret, size_t max_bytes);
void views_free(struct views *v);

/* The picture of a view, NULL when there is none. To be given back to views_done(), also when it is NULL. */
const struct layout *views_get(struct views *v, uint64_t key);
void views_done(struct views *v, const struct layout *l);

/* The newest picture of a view; taken over, and given back to be looked at until views_done(). One without boxes takes
 * no other's place: nothing in this range, and what comes back afterwards is where it was. */
const struct layout *views_put(struct views *v, uint64_t key, struct layout *l);

/* Memory of the pictures kept. */
size_t views_bytes(struct views *v);
