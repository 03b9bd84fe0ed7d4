/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A crowded host for measurements:
 *
 *     bench_crowd processes N              N processes that do nothing
 *     bench_crowd sockets N ADDRESS PORT   N open TCP sockets, both ends of N / 2 connections; a line "move SHARE" on standard
 *                                          input moves data on one in SHARE of them
 *
 * Says a line when it is there and after each "move"; all of it goes with its standard input.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void die(const char *what)
{
	fprintf(stderr, "bench_crowd: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void say(const char *text)
{
	if (write(STDOUT_FILENO, text, strlen(text)) < 0)
		die("standard output");
}

static void processes(unsigned n)
{
	pid_t *pids = calloc(n, sizeof(*pids));
	char c;
	unsigned i;

	if (!pids)
		die("memory");
	for (i = 0; i < n; i++) {
		pids[i] = fork();
		if (pids[i] < 0)
			die("fork");
		if (pids[i] == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			for (;;)
				pause();
		}
	}
	say("there\n");
	while (read(STDIN_FILENO, &c, 1) > 0)
		;
	for (i = 0; i < n; i++)
		kill(pids[i], SIGKILL);
	while (wait(NULL) > 0)
		;
}

static void sockets(unsigned n, const char *address, unsigned port)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	struct rlimit all = {n + 64, n + 64};
	unsigned pairs = n / 2, i, share;
	int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), *ends = calloc(n, sizeof(*ends));
	char line[64];

	if (inet_pton(AF_INET, address, &sa.sin_addr) != 1 || !ends || setrlimit(RLIMIT_NOFILE, &all) < 0)
		die("setting up");
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(listener, (struct sockaddr *)&sa, sizeof(sa)) < 0 || listen(listener, 128) < 0)
		die("listen");
	for (i = 0; i < pairs; i++) {
		ends[2 * i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (ends[2 * i] < 0 || connect(ends[2 * i], (struct sockaddr *)&sa, sizeof(sa)) < 0)
			die("connect");
		ends[2 * i + 1] = accept(listener, NULL, NULL);
		if (ends[2 * i + 1] < 0)
			die("accept");
	}
	say("there\n");
	while (fgets(line, sizeof(line), stdin)) {
		if (sscanf(line, "move %u", &share) != 1 || !share)
			continue;
		for (i = 0; i < pairs; i += share)
			if (write(ends[2 * i], "x", 1) != 1 || read(ends[2 * i + 1], line, 1) != 1)
				die("move");
		say("moved\n");
	}
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "processes") == 0)
		processes((unsigned)atoi(argv[2]));
	else if (argc == 5 && strcmp(argv[1], "sockets") == 0)
		sockets((unsigned)atoi(argv[2]), argv[3], (unsigned)atoi(argv[4]));
	else
		return 2;
	return 0;
}
