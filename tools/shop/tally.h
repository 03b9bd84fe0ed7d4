/* SPDX-License-Identifier: Apache-2.0 */
/* What a program of the shop did, as the program itself saw it: the truth the demo's numbers are held against. */
#pragma once

#include <stdint.h>

#define TALLY_PEERS 16

/* All conversations with one peer's port, from this side. */
struct tally_peer {
	const char *side; /* "client": this program connected; "server": it accepted */
	const char *peer; /* "shop-db"; "" on the server's side: it does not ask who calls */
	unsigned port;    /* of the server */
	uint64_t attempts, opened, refused, unreachable, timeout, failed_other;
	uint64_t sent, received; /* payload bytes */
};

/* The line for this conversation, made at the first call. Thread-safe; never NULL (more than TALLY_PEERS end the program). */
struct tally_peer *tally_peer(const char *side, const char *peer, unsigned port);

/* Adds to a counter of it, from any thread. */
void tally_add(uint64_t *counter, uint64_t n);

/* Counts a connect() that ended with this errno (0: it worked). */
void tally_connect(struct tally_peer *p, int error);

/* Writes all lines as a JSON array. -errno. */
int tally_write(const char *program, const char *path);
