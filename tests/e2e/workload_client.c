/* SPDX-License-Identifier: Apache-2.0 */
/* The client side: a small interpreter. Each line of stdin is a command, answered by one line: the tally. */
#include "tests/e2e/workload.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif
#define MAX_OPEN 16000
#define MAX_WORDS 16

/* Sizes of the "primes" talk: connection i sends primes[2i] and gets primes[2i + 1]. */
static const uint32_t primes[] = {2,      1009,  3,     2003,  5,      4001,    7,      8009,   11,     16001,
				  13,     32003, 17,    64007, 19,     128021,  23,     256019, 29,     512009,
				  31,     1021,  1033,  37,    2027,   41,      4049,   43,     8081,   47,
				  16033,  53,    32027, 59,    64033,  61,      128033, 67,     256033, 71,
				  512047, 73,    79,    83,    104729, 15485863};

static int open_fds[MAX_OPEN];
static int n_open;

void work_closed(int fd)
{
	close(fd);
	TALLY(closed, 1);
}

void work_failed(int fd, int err)
{
	TALLY(errors[err & 255], 1);
	close(fd);
}

static int new_socket(int family, char **w, int n)
{
	int fd = socket(family, SOCK_STREAM, work_word(w, n, "mptcp", 0) ? IPPROTO_MPTCP : 0);
	int size = (int)work_word(w, n, "sndbuf", 0);
	struct timeval limit = {30, 0};

	if (fd < 0)
		work_die("socket", errno);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (size)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	return fd;
}

/* A non-blocking connect and the wait for its end. 0 or an errno; ETIME: nothing happened in time. */
static int connect_wait(int fd, const struct sockaddr_storage *sa, socklen_t len, int wait_ms)
{
	struct pollfd p = {fd, POLLOUT, 0};
	socklen_t n = sizeof(int);
	int err = 0;

	fcntl(fd, F_SETFL, O_NONBLOCK);
	if (connect(fd, (const void *)sa, len) < 0 && errno != EINPROGRESS)
		return errno;
	if (poll(&p, 1, wait_ms) != 1)
		return ETIME;
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &n);
	fcntl(fd, F_SETFL, 0);
	return err;
}

/* connect ADDR PORT [n=N] [nonblock] [uring] [mptcp] [sndbuf=N] [wait_ms=N: give up after] */
static void do_connect(char **w, int n)
{
	uint64_t count = work_word(w, n, "n", 1), i;
	int wait_ms = (int)work_word(w, n, "wait_ms", 30000);
	struct sockaddr_storage sa;
	socklen_t len = work_address(w[1], w[2], &sa);

	for (i = 0; i < count && n_open < MAX_OPEN; i++) {
		int fd = new_socket(sa.ss_family, w, n), err = 0;

		TALLY(attempts, 1);
		if (work_word(w, n, "uring", 0))
			err = work_uring_connect(fd, (void *)&sa, len) < 0 ? errno : 0;
		else if (work_word(w, n, "nonblock", 0))
			err = connect_wait(fd, &sa, len, wait_ms);
		else if (connect(fd, (void *)&sa, len) < 0)
			err = errno;
		if (err) {
			work_failed(fd, err);
			continue;
		}
		TALLY(opened, 1);
		open_fds[n_open++] = fd;
	}
}

/* tfo ADDR PORT UP DOWN: header and up bytes ride on the SYN when the server's cookie is known. */
static void do_tfo(char **w, int n)
{
	struct sockaddr_storage sa;
	socklen_t len = work_address(w[1], w[2], &sa);
	struct work_header h = {strtoull(w[3], NULL, 10), strtoull(w[4], NULL, 10), WORK_ANSWER, 0};
	int fd = new_socket(sa.ss_family, w, n);
	char data[1200] = {0};
	ssize_t k, want = (ssize_t)(sizeof(h) + h.up);

	if (want > (ssize_t)sizeof(data))
		work_die("tfo: too much for a SYN", EINVAL);
	memcpy(data, &h, sizeof(h));
	TALLY(attempts, 1);
	k = sendto(fd, data, (size_t)want, MSG_FASTOPEN | MSG_NOSIGNAL, (void *)&sa, len);
	if (k != want) {
		work_failed(fd, errno);
		return;
	}
	TALLY(opened, 1);
	TALLY(sent, (uint64_t)k);
	work_receive(fd, h.down);
	open_fds[n_open++] = fd;
}

void work_talk(int fd, const struct work_header *h)
{
	bool answered = h->how == WORK_ANSWER || h->how == WORK_CLOSE;

	if (work_send_header(fd, h, h->up ? MSG_MORE : 0) && work_send(fd, h->up, 0) == h->up && answered)
		work_receive(fd, h->down);
}

/* talk UP DOWN [HOW], or talk primes: on every open connection. */
static void do_talk(char **w, int n)
{
	int i;

	for (i = 0; i < n_open; i++) {
		struct work_header h = {0};

		if (strcmp(w[1], "primes") == 0) {
			h.up = primes[2 * i % 46];
			h.down = primes[(2 * i + 1) % 46];
		} else {
			h.up = strtoull(w[1], NULL, 10);
			h.down = strtoull(w[2], NULL, 10);
			h.how = n > 3 ? (uint32_t)atoi(w[3]) : WORK_ANSWER;
		}
		work_talk(open_fds[i], &h);
	}
}

/* sendfile UP DOWN: up bytes come from a file. */
static void do_sendfile(char **w, int n)
{
	struct work_header h = {strtoull(w[1], NULL, 10), strtoull(w[2], NULL, 10), WORK_ANSWER, 0};
	int file = memfd_create("payload", 0), i;

	if (file < 0 || ftruncate(file, (off_t)h.up) < 0)
		work_die("file", errno);
	for (i = 0; i < n_open; i++) {
		off_t at = 0;

		work_send_header(open_fds[i], &h, MSG_MORE);
		while ((uint64_t)at < h.up) {
			ssize_t k = sendfile(open_fds[i], file, &at, h.up - (uint64_t)at);

			if (k <= 0)
				work_die("sendfile", errno);
			TALLY(sent, (uint64_t)k);
		}
		work_receive(open_fds[i], h.down);
	}
	close(file);
}

static void do_eof(char **w, int n)
{
	int i;

	for (i = 0; i < n_open; i++)
		shutdown(open_fds[i], SHUT_WR);
}

/* drain: reads every open connection to its end. */
static void do_drain(char **w, int n)
{
	int i;

	for (i = 0; i < n_open; i++)
		work_receive(open_fds[i], UINT64_MAX);
}

static void do_close(char **w, int n)
{
	while (n_open)
		work_closed(open_fds[--n_open]);
}

static void reset(int fd)
{
	struct linger l = {1, 0};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	work_closed(fd);
}

static void do_reset(char **w, int n)
{
	while (n_open)
		reset(open_fds[--n_open]);
}

/* Bytes taken by write() so far that never left: SIOCOUTQNSD once it and SIOCOUTQ agree for a while
 * (nothing in flight: the peer's window is shut). */
static uint64_t never_sent(int fd)
{
	struct timespec ms = {0, 1000000};
	int unsent = -1, queued = 0, before = -1, quiet = 0;

	while (quiet < 100) {
		before = unsent;
		ioctl(fd, SIOCOUTQ, &queued);
		ioctl(fd, SIOCOUTQNSD, &unsent);
		quiet = queued == unsent && unsent == before ? quiet + 1 : 0;
		nanosleep(&ms, NULL);
	}
	return (uint64_t)unsent;
}

/* stuff_reset: fills every connection until nothing more goes in, then resets it with data unsent. */
static void do_stuff_reset(char **w, int n)
{
	while (n_open) {
		int fd = open_fds[--n_open];
		uint64_t unsent;

		do {
			while (work_send(fd, 1 << 16, MSG_DONTWAIT) > 0)
				;
			unsent = never_sent(fd);
		} while (unsent == 0);
		TALLY(sent, -unsent);
		reset(fd);
	}
}

/* pass PATH: gives every open connection to the process listening at PATH, and forgets it. */
static void do_pass(char **w, int n)
{
	int u = work_unix(w[1], false);

	while (n_open)
		work_pass(u, open_fds[--n_open]);
	close(u);
}

/* take PATH: listens at PATH; "taken" reads what was passed. */
static int take_fd = -1;

static void do_take(char **w, int n)
{
	take_fd = work_unix(w[1], true);
}

static void do_taken(char **w, int n)
{
	int u = accept(take_fd, NULL, NULL), fd;

	while ((fd = work_take(u)) >= 0)
		open_fds[n_open++] = fd;
	close(u);
	close(take_fd);
}

static void do_burst(char **w, int n)
{
	work_burst(w, n);
}

static void do_pingpong(char **w, int n)
{
	work_pingpong(w, n, open_fds, n_open);
}

static void do_become(char **w, int n)
{
	work_become(w, n, open_fds, n_open);
}

static void do_report(char **w, int n)
{
}

static const struct command {
	const char *name;
	int words; /* at least, the name included */
	void (*fn)(char **w, int n);
} commands[] = {
	{"connect", 3, do_connect},   {"tfo", 5, do_tfo},           {"talk", 2, do_talk},
	{"sendfile", 3, do_sendfile}, {"eof", 1, do_eof},           {"drain", 1, do_drain},
	{"close", 1, do_close},       {"reset", 1, do_reset},       {"stuff_reset", 1, do_stuff_reset},
	{"pass", 2, do_pass},         {"take", 2, do_take},         {"taken", 1, do_taken},
	{"burst", 5, do_burst},       {"pingpong", 3, do_pingpong}, {"report", 1, do_report},
	{"short", 4, work_short},     {"become", 3, do_become},
};

static void run_line(char *line)
{
	char *words[MAX_WORDS], *save = NULL, *word;
	size_t i;
	int n = 0;

	for (word = strtok_r(line, " \n", &save); word && n < MAX_WORDS; word = strtok_r(NULL, " \n", &save))
		words[n++] = word;
	for (i = 0; n && i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(words[0], commands[i].name) == 0 && n >= commands[i].words) {
			commands[i].fn(words, n);
			work_report();
			return;
		}
	}
	work_die(n ? words[0] : "empty line", EINVAL);
}

int work_client(int n_fds, char **fds)
{
	char line[256];

	if (n_fds > 0) { /* who commands waits for that: what comes earlier the program before would have read */
		for (; n_fds > 0 && n_open < MAX_OPEN; n_fds--)
			open_fds[n_open++] = atoi(*fds++);
		work_report();
	}

	while (fgets(line, sizeof(line), stdin))
		run_line(line);
	return 0;
}
