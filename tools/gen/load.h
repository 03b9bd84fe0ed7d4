/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fleet as fast as can be, or at a rate: all datagrams are made once and sent round and round, with their sequence numbers and
 * intervals written anew. Each thread has hosts and sockets of its own.
 *
 * Rows of the interval that begins at T are sent from T + length + grace to T + 2 length + grace, grace a tenth of the length, at
 * least 100 ms: with a spread as long as the interval, which they announce, a collector closes T just when the next one begins.
 */
#pragma once

#include <signal.h>

#include "tools/gen/emit.h"

#define LOAD_THREADS 64

struct load_opts {
	struct emit_opts emit; /* late_index is not looked at */
	uint32_t threads;
	double rate;        /* rows/s of all threads; 0: flat out */
	uint64_t intervals; /* end after so many whole ones; 0: see for_us */
	int64_t for_us;     /* end after so long; 0: when *stop is set */
	uint64_t rows;      /* end when about so many rows are out; 0: no such end */
};

struct load;

/* Makes the datagrams. truth may be NULL. -ENOMEM, -errno of the sockets. */
int load_new(struct load **ret, const struct fleet *f, struct truth *truth, const struct load_opts *opts);
void load_free(struct load *l);

/* All hosts say who they are; then, with opts.intervals, waits for the beginning of one. *stop ends it early. -errno. */
int load_begin(struct load *l, const volatile sig_atomic_t *stop);

/* Sends until the end, or *stop; says `progress` about once a second. -errno. */
int load_run(struct load *l, const volatile sig_atomic_t *stop, void (*progress)(void *arg, const struct counts *now),
	     void *arg);

/* How long rows were sent: of the thread that took longest. */
int64_t load_took_us(const struct load *l);

/* Then: writes the truth, if there is one to write. -errno. */
int load_truth(struct load *l);

void load_counts(const struct load *l, struct counts *ret);

/* Datagrams a round, their bytes, and how long making them took. */
void load_made(const struct load *l, uint64_t *ret_datagrams, uint64_t *ret_bytes, int64_t *ret_us);
