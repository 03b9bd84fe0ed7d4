/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way to the collector: the sockets that agents send from, and a batch of datagrams that goes out in as few calls as can be.
 * A line belongs to one thread. What collectors answer is not read.
 */
#pragma once

#include <stdbool.h>

#include "base/ip.h"

#define LINE_BATCH 1024 /* datagrams of a batch */
#define LINE_SOCKETS 16384

struct line_opts {
	struct ip collector;
	uint16_t port;
	uint32_t sockets; /* 1 .. LINE_SOCKETS */
	bool gso;         /* neighbours of one socket and length in one call (UDP_SEGMENT) */
	/* A datagram could not be sent, though tried twice; may be NULL. */
	void (*failed)(void *arg, uint32_t tag);
	void *arg;
};

struct line;

/* -errno: of socket() or connect(); -EMFILE: the limit of open files is too low for so many sockets. */
int line_new(struct line **ret, const struct line_opts *opts);
void line_free(struct line *l);

/* Takes a datagram into the batch; its bytes must stay as they are until line_flush(). A full batch is sent. */
void line_put(struct line *l, uint32_t socket, const void *p, uint32_t n, uint32_t tag);

/* Sends what waits. Blocks while the socket has no room. */
void line_flush(struct line *l);

/* Calls of sendmmsg() so far. */
uint64_t line_calls(const struct line *l);
