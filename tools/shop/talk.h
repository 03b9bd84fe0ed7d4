/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shop's protocol: the client sends 8 bytes (length of the request with them, length of the answer wanted,
 * both big-endian), then the rest of the request; the server sends the answer; the client closes.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "tools/shop/tally.h"

/* Connected socket, counted, or -errno, counted. sndbuf 0: the kernel's choice. */
int talk_connect(struct tally_peer *t, const char *address, int sndbuf);

/* Exactly n bytes of filler, or -errno. What was sent, received counts. */
int talk_send(int fd, struct tally_peer *t, size_t n);
/* Exactly n bytes, thrown away; -ECONNRESET at an early end. */
int talk_receive(int fd, struct tally_peer *t, size_t n);

/* A whole exchange on a connection of its own. */
int talk_ask(struct tally_peer *t, const char *address, size_t request, size_t answer);

/* The server's half on an accepted socket: reads the request, calls think(arg), answers, waits for the end, closes. */
void talk_answer(int fd, struct tally_peer *t, void (*think)(void *arg), void *arg);
