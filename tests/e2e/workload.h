/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs of known behaviour for the end-to-end tests: they write down what they did, in JSON lines.
 *
 * On a connection the client speaks first: a header (struct work_header, part of the payload and counted),
 * `up` bytes, and the server does what `how` says.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum work_how {
	WORK_ANSWER,    /* read up, write down, wait for the next header */
	WORK_AFTER_EOF, /* read up, wait for the end of the client's data, write down, close */
	WORK_UNREAD,    /* wait until up is in the receive queue, close without reading: a reset */
	WORK_RESET,     /* read up, close with linger 0: a reset */
	WORK_HOLD,      /* read nothing until the peer hangs up, then read what is there */
	WORK_CLOSE,     /* read up, write down, close first */
};

struct work_header {
	uint64_t up, down;
	uint32_t how;
	uint32_t reserved;
};

/* What a program did. All its threads and processes add here (shared memory). */
struct work_tally {
	uint64_t attempts, opened, closed;
	uint64_t sent, received; /* payload; sent: what left, not what write() took */
	uint64_t resets_seen;    /* ECONNRESET or EPIPE from a call */
	uint64_t errors[256];    /* failed connects by errno */
};

extern struct work_tally *tally; /* one per run of the program, shared with its children */

#define TALLY(member, n) __atomic_fetch_add(&tally->member, (n), __ATOMIC_RELAXED)

/* One line of JSON with the tally, flushed. */
void work_report(void);

/* Ends the program with a sentence. */
void work_die(const char *what, int err) __attribute__((noreturn));

/* The value of "name=..." among words, def when absent; bare `name` gives 1. */
uint64_t work_word(char **words, int n, const char *name, uint64_t def);
const char *work_word_text(char **words, int n, const char *name);

/* Address text and port to a socket address; returns its length. */
socklen_t work_address(const char *text, const char *port, struct sockaddr_storage *ret);

/* All n bytes or less on a reset or end; counted. Returns how many. */
uint64_t work_send(int fd, uint64_t n, int flags);
uint64_t work_receive(int fd, uint64_t n);
bool work_send_header(int fd, const struct work_header *h, int flags);

void work_talk(int fd, const struct work_header *h); /* header, up bytes; reads down bytes where they are an answer */
void work_closed(int fd);                            /* closes an open connection, counted */
void work_failed(int fd, int err);                   /* closes one that came to nothing, counted */

/* burst ADDR PORT N THREADS [up=N] [down=N] [seconds=N] [rate=N]: N short connections (or fewer, in that time), as fast
 * as they go or that many a second. Without up not a byte. */
void work_burst(char **words, int n);
/* pingpong SECONDS RATE: one byte to and fro on the open connections, a thread each, RATE calls a second in all
 * (send and receive, both ends). */
void work_pingpong(char **words, int n, const int *fds, int n_fds);

/* Passing a descriptor over a unix socket that listens at path. */
int work_unix(const char *path, bool listening);
void work_pass(int unix_fd, int fd);
int work_take(int unix_fd);

/* io_uring, by a worker thread of the kernel's. As accept() and connect(). */
int work_uring_accept(int fd);
int work_uring_connect(int fd, const struct sockaddr *sa, socklen_t len);

int work_listener(char **argv, int argc); /* ADDR PORT [option ...]: a listening socket */
int work_listen_fd(void);                 /* one that was handed over (LISTEN_FDS), or -1 */

void work_short(char **words, int n);
void work_become(char **words, int n, const int *fds, int n_fds);

/* The server's side of one connection, until it ends; closes fd. */
void work_serve_one(int fd);

/* UDP: workload_udp.c */
int work_udp_serve(int argc, char **argv); /* udp-serve ADDR PORT [gro] [accept] */
int work_udp_client(void);                 /* udp-client: reads commands on stdin */

int work_serve(int argc, char **argv);    /* serve ADDR PORT [option ...] */
int work_handle(int argc, char **argv);   /* handle PATH: serves connections others accepted */
int work_activate(int argc, char **argv); /* activate ADDR PORT ...: hands its listener over */
int work_client(int n_fds, char **fds);   /* reads commands on stdin; fds: connections that are open already */
