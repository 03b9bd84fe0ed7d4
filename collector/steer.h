/* SPDX-License-Identifier: Apache-2.0 */
/* Which of the sockets that share a port a datagram goes to: a program the kernel runs for each. See steer.c. */
#pragma once

#include <stddef.h>

enum steer {
	STEER_SPREAD, /* by agent and sequence number: all sockets alike, whoever sends */
	STEER_HASH,   /* the kernel's: by addresses and ports, a sender always to the same socket */
	STEER_CPU,    /* by the CPU that took it from the network */
	STEERS
};

#define STEER_CHOICES "spread|hash|cpu"
#define STEER_RUN_BITS 6 /* 2^6 datagrams of an agent go to a socket before it is another's turn */

const char *steer_name(enum steer how);
enum steer steer_from(const char *name); /* STEERS: none of that name */

/* For all sockets of the group `fd` is bound in, `n` of them, numbered as they were bound. -errno: the kernel refuses, all stays
 * as it is, which is STEER_HASH after bind(). */
int steer_attach(int fd, enum steer how, unsigned n);
