/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How datagrams come in: a table of functions, one per way to receive. rx_mmsg.c is recvmmsg() on a UDP socket.
 */
#pragma once

#include "collector/steer.h"
#include "collector/worker.h"

#define RX_PACKETS 16384 /* datagrams one batch may hold at most */

struct rx_opts {
	struct ip listen;
	uint16_t port;
	uint64_t rcvbuf; /* asked */
	bool share;      /* several sockets on one port */
};

struct rx;

struct rx_queue {
	uint64_t granted; /* bytes, as one asks for them */
	uint64_t fill_pm; /* of that taken now, in thousandths; 0 where the kernel does not say */
	uint64_t drops;   /* datagrams the kernel dropped for want of room, since the socket was made */
};

struct rx_ops {
	const char *name;
	/* A bound socket with its memory. -errno of bind() and others. */
	int (*open)(struct rx **ret, const struct rx_opts *opts);
	void (*close)(struct rx *rx);
	/* What is there now, at most RX_PACKETS; valid until the next call. 0: nothing. -errno: hopeless. */
	int (*recv)(struct rx *rx, const struct worker_packet **ret);
	/* Waits for more, at most timeout_ms; returns early on rx_wake(). */
	void (*wait)(struct rx *rx, int timeout_ms);
	/* Any thread. */
	void (*wake)(struct rx *rx);
	/* Any thread. False: not sent. */
	bool (*send)(struct rx *rx, const struct account_peer *to, const void *p, size_t n);
	uint16_t (*port)(const struct rx *rx);
	/* Which of the sockets opened with `share`, n of them up to now, gets what. -errno: it stays the kernel's hash. */
	int (*steer)(struct rx *rx, enum steer how, unsigned n);
	/* Any thread. */
	void (*queue)(const struct rx *rx, struct rx_queue *ret);
	/* Asks for another size. The receiving thread's. */
	void (*resize)(struct rx *rx, uint64_t bytes);
};

extern const struct rx_ops rx_mmsg;
