/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A loop that runs the programs on tracepoint inet_sock_set_state and little else: a socket listens and stops listening, two
 * events a turn. For each line "TURNS" on standard input it says the nanoseconds of CPU an event took.
 */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

static double cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

int main(void)
{
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char line[32];

	if (fd < 0 || bind(fd, (struct sockaddr *)&any, sizeof(any))) {
		perror("bench_entry");
		return 1;
	}
	while (fgets(line, sizeof(line), stdin)) {
		long turns = strtol(line, NULL, 10);
		double begin = cpu_ns();

		for (long i = 0; i < turns; i++)
			if (listen(fd, 1) || shutdown(fd, SHUT_RD)) {
				perror("bench_entry");
				return 1;
			}
		printf("%.3f\n", (cpu_ns() - begin) / (2.0 * (double)(turns > 0 ? turns : 1)));
		fflush(stdout);
	}
	return 0;
}
