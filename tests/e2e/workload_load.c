/* SPDX-License-Identifier: Apache-2.0 */
/* Load: many short connections, or many calls on open ones. */
#include "tests/e2e/workload.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define MAX_THREADS 64
#define PACE_STEP 16 /* connections or round trips between two looks at the clock */

/* Even pace and an end: shared by both loads. */
struct pace {
	int64_t start_ns, end_ns; /* end 0: none */
	uint64_t rate;            /* steps a second of one thread; 0: as fast as it goes */
};

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static struct pace pace_new(uint64_t seconds, uint64_t rate)
{
	int64_t now = now_ns();

	return (struct pace){now, seconds ? now + (int64_t)seconds * 1000000000ll : 0, rate};
}

/* True while step i is to be done; waits for its time. */
static bool pace_go(const struct pace *p, uint64_t i)
{
	int64_t due;

	if (i % PACE_STEP)
		return true;
	if (p->end_ns && now_ns() >= p->end_ns)
		return false;
	if (p->rate) {
		due = p->start_ns + (int64_t)(i * 1000000000ull / p->rate);
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &(struct timespec){due / 1000000000, due % 1000000000},
				NULL);
	}
	return true;
}

struct burst {
	struct sockaddr_storage sa;
	socklen_t len;
	uint64_t n;
	struct work_header h;
	struct pace pace;
	bool silent; /* connect and close, no byte */
};

static void *burst_thread(void *arg)
{
	const struct burst *b = arg;
	uint64_t i;

	for (i = 0; i < b->n && pace_go(&b->pace, i); i++) {
		int fd = socket(b->sa.ss_family, SOCK_STREAM, 0);

		TALLY(attempts, 1);
		if (connect(fd, (const void *)&b->sa, b->len) < 0) {
			work_failed(fd, errno);
			continue;
		}
		TALLY(opened, 1);
		if (!b->silent)
			work_talk(fd, &b->h);
		work_closed(fd);
	}
	return NULL;
}

void work_burst(char **w, int n)
{
	uint64_t count = strtoull(w[3], NULL, 10), threads = strtoull(w[4], NULL, 10), i;
	struct burst b[MAX_THREADS];
	pthread_t t[MAX_THREADS];

	if (threads < 1 || threads > MAX_THREADS)
		work_die("burst: threads", EINVAL);
	for (i = 0; i < threads; i++) {
		memset(&b[i], 0, sizeof(b[i]));
		b[i].len = work_address(w[1], w[2], &b[i].sa);
		b[i].n = count / threads + (i < count % threads);
		b[i].h.up = work_word(w, n, "up", 0);
		b[i].h.down = work_word(w, n, "down", 0);
		b[i].h.how = WORK_ANSWER;
		b[i].pace = pace_new(work_word(w, n, "seconds", 0), work_word(w, n, "rate", 0) / threads);
		b[i].silent = !work_word_text(w, n, "up");
		if (pthread_create(&t[i], NULL, burst_thread, &b[i]) != 0)
			work_die("thread", errno);
	}
	for (i = 0; i < threads; i++)
		pthread_join(t[i], NULL);
}

struct pingpong {
	int fd;
	struct pace pace;
};

/* The server answers a header of nothing up and one byte down: two calls at each end. */
static void *pingpong_thread(void *arg)
{
	const struct pingpong *p = arg;
	struct work_header h = {0, 1, WORK_ANSWER, 0};
	uint64_t i;

	for (i = 0; pace_go(&p->pace, i); i++)
		work_talk(p->fd, &h);
	return NULL;
}

void work_pingpong(char **w, int n, const int *fds, int n_fds)
{
	uint64_t seconds = strtoull(w[1], NULL, 10), rate = strtoull(w[2], NULL, 10);
	struct pingpong p[MAX_THREADS];
	pthread_t t[MAX_THREADS];
	int i;

	if (n_fds < 1 || n_fds > MAX_THREADS)
		work_die("pingpong: connections", EINVAL);
	for (i = 0; i < n_fds; i++) {
		p[i] = (struct pingpong){fds[i], pace_new(seconds, rate / 4 / (uint64_t)n_fds)};
		if (pthread_create(&t[i], NULL, pingpong_thread, &p[i]) != 0)
			work_die("thread", errno);
	}
	for (i = 0; i < n_fds; i++)
		pthread_join(t[i], NULL);
}
