/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/e2e/workload.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

struct serve {
	int fd;
	int hand_fd;  /* where accepted connections go; -1 to serve them here */
	bool in_line; /* serve inside the accepting thread: for storms */
	bool uring;   /* io_uring accepts */
	bool apart;   /* a process for each connection */
};

static void linger_zero(int fd)
{
	struct linger l = {1, 0};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
}

/* Returns when n bytes wait in the receive queue, or the peer is gone. */
static void wait_unread(int fd, uint64_t n)
{
	int got = 0;

	while (ioctl(fd, FIONREAD, &got) == 0 && (uint64_t)got < n) {
		struct pollfd p = {fd, POLLRDHUP, 0};

		if (poll(&p, 1, 1) > 0)
			break;
	}
	TALLY(received, (uint64_t)got);
}

/* One header and what it asks for. False: the connection ends. */
static bool serve_header(int fd)
{
	struct work_header h;
	struct pollfd p = {fd, POLLRDHUP, 0};
	ssize_t k = recv(fd, &h, sizeof(h), MSG_WAITALL);

	if (k < 0 && (errno == ECONNRESET || errno == EPIPE))
		TALLY(resets_seen, 1);
	if (k > 0)
		TALLY(received, (uint64_t)k);
	if (k != sizeof(h))
		return false;
	switch ((enum work_how)h.how) {
	case WORK_UNREAD:
		wait_unread(fd, h.up);
		return false;
	case WORK_HOLD:
		while (poll(&p, 1, -1) < 0 && errno == EINTR)
			;
		work_receive(fd, UINT64_MAX);
		return false;
	case WORK_RESET:
		work_receive(fd, h.up);
		linger_zero(fd);
		return false;
	case WORK_AFTER_EOF:
		work_receive(fd, UINT64_MAX);
		work_send(fd, h.down, 0);
		return false;
	case WORK_ANSWER:
	case WORK_CLOSE:
		return work_receive(fd, h.up) == h.up && work_send(fd, h.down, 0) == h.down && h.how == WORK_ANSWER;
	}
	return false;
}

void work_serve_one(int fd)
{
	TALLY(opened, 1);
	while (serve_header(fd))
		;
	close(fd);
	TALLY(closed, 1);
}

static void *serve_thread(void *arg)
{
	work_serve_one((int)(intptr_t)arg);
	return NULL;
}

static void serve_apart(int fd)
{
	pthread_attr_t attr;
	pthread_t t;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, 64 << 10);
	if (pthread_create(&t, &attr, serve_thread, (void *)(intptr_t)fd) != 0)
		work_die("thread", errno);
	pthread_attr_destroy(&attr);
}

static void serve_process(int fd)
{
	pid_t child = fork();

	if (child < 0)
		work_die("fork", errno);
	if (child == 0) {
		work_serve_one(fd);
		_exit(0);
	}
	close(fd);
}

static void *accept_loop(void *arg)
{
	const struct serve *s = arg;

	for (;;) {
		int fd = s->uring ? work_uring_accept(s->fd) : accept(s->fd, NULL, NULL);

		if (fd < 0 && (errno == EINTR || errno == ECONNABORTED))
			continue;
		if (fd < 0)
			work_die("accept", errno);
		if (s->hand_fd >= 0)
			work_pass(s->hand_fd, fd);
		else if (s->in_line)
			work_serve_one(fd);
		else if (s->apart)
			serve_process(fd);
		else
			serve_apart(fd);
	}
	return NULL;
}

int work_listener(char **argv, int argc)
{
	struct sockaddr_storage sa;
	socklen_t len = work_address(argv[0], argv[1], &sa);
	int proto = work_word(argv, argc, "mptcp", 0) ? IPPROTO_MPTCP : 0;
	int fd = socket(sa.ss_family, SOCK_STREAM, proto), one = 1, n;

	if (fd < 0)
		work_die("socket", errno);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (work_word(argv, argc, "reuseport", 0))
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
	n = (int)work_word(argv, argc, "rcvbuf", 0);
	if (n)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &n, sizeof(n));
	n = 256;
	if (work_word(argv, argc, "tfo", 0) && setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN, &n, sizeof(n)) < 0)
		work_die("TCP_FASTOPEN", errno);
	if (bind(fd, (void *)&sa, len) < 0)
		work_die("bind", errno);
	if (listen(fd, 4096) < 0)
		work_die("listen", errno);
	return fd;
}

/* A child that accepts for ever: on the parent's listener, or on its own at the same port. */
static void fork_worker(struct serve s, char **argv, int argc)
{
	if (fork() != 0)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (s.fd < 0)
		s.fd = work_listener(argv, argc);
	TALLY(attempts, 1); /* of a server: its workers that are ready */
	accept_loop(&s);
}

static void wait_workers(uint64_t n)
{
	struct timespec ms = {0, 1000000};

	while (__atomic_load_n(&tally->attempts, __ATOMIC_ACQUIRE) < n)
		nanosleep(&ms, NULL);
	tally->attempts = 0;
}

/* Answers each line of stdin with a report; returns at its end, with a last one. */
static int answer_reports(void)
{
	char line[64];

	while (fgets(line, sizeof(line), stdin))
		work_report();
	return 0;
}

int work_serve(int argc, char **argv)
{
	uint64_t prefork = work_word(argv, argc, "prefork", 0), reuseport = work_word(argv, argc, "reuseport", 0);
	uint64_t threads = work_word(argv, argc, "threads", 1), i;
	const char *hand = work_word_text(argv, argc, "hand");
	static struct serve s;
	pthread_t t;

	s = (struct serve){work_listen_fd(), hand ? work_unix(hand, false) : -1, work_word(argv, argc, "inline", 0),
			   work_word(argv, argc, "uring", 0), work_word(argv, argc, "fork", 0)};
	if (s.apart)
		signal(SIGCHLD, SIG_IGN);
	if (!reuseport && s.fd < 0)
		s.fd = work_listener(argv, argc);
	for (i = 0; i < prefork + reuseport; i++)
		fork_worker(s, argv, argc);
	wait_workers(prefork + reuseport);
	for (i = 0; i < threads && prefork + reuseport == 0; i++)
		if (pthread_create(&t, NULL, accept_loop, &s) != 0)
			work_die("thread", errno);
	work_report();
	return answer_reports();
}

static void *handle_loop(void *arg)
{
	int listening = *(int *)arg, peer = accept(listening, NULL, NULL), fd;

	while ((fd = work_take(peer)) >= 0)
		serve_apart(fd);
	return NULL;
}

int work_handle(int argc, char **argv)
{
	static int fd;
	pthread_t t;

	fd = work_unix(argv[0], true);
	if (pthread_create(&t, NULL, handle_loop, &fd) != 0)
		work_die("thread", errno);
	work_report();
	return answer_reports();
}
