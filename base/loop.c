/* SPDX-License-Identifier: Apache-2.0 */
#include "base/loop.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/table.h"

#define LOOP_FDS 64
#define LOOP_TIMERS 64
#define LOOP_STEP_US 500000 /* less is a clock being slewed */

struct loop_source {
	int fd; /* -1: free */
	void (*fn)(void *arg, uint32_t events);
	void *arg;
};

struct loop_timer {
	int64_t wall_us;
	void (*fn)(void *arg); /* NULL: free */
	void *arg;
};

struct loop {
	int epoll, wake, signals;
	void (*hup)(void *arg);
	void *hup_arg;
	bool stop;
	struct loop_source fds[LOOP_FDS];
	struct loop_timer timers[LOOP_TIMERS];
	int64_t ahead; /* of the wall clock over the one that never steps, us */
};

static void loop_on_wake(void *arg, uint32_t events)
{
	struct loop *loop = arg;
	uint64_t n;

	if (read(loop->wake, &n, sizeof(n)) == sizeof(n))
		loop->stop = true;
}

static void loop_on_signal(void *arg, uint32_t events)
{
	struct loop *loop = arg;
	struct signalfd_siginfo info;

	if (read(loop->signals, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo != SIGHUP)
		loop->stop = true;
	else if (loop->hup)
		loop->hup(loop->hup_arg);
}

int loop_new(struct loop **ret)
{
	struct loop *loop = calloc(1, sizeof(*loop));
	size_t i;
	int r;

	if (!loop)
		return -ENOMEM;
	for (i = 0; i < LOOP_FDS; i++)
		loop->fds[i].fd = -1;
	loop->signals = -1;
	loop->wake = -1;
	loop->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll < 0) {
		r = -errno;
		goto out;
	}
	loop->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (loop->wake < 0) {
		r = -errno;
		goto out;
	}
	r = loop_fd(loop, loop->wake, EPOLLIN, loop_on_wake, loop);
	if (r < 0)
		goto out;
	*ret = loop;
	return 0;
out:
	loop_free(loop);
	return r;
}

void loop_free(struct loop *loop)
{
	if (!loop)
		return;
	if (loop->signals >= 0)
		close(loop->signals);
	if (loop->wake >= 0)
		close(loop->wake);
	if (loop->epoll >= 0)
		close(loop->epoll);
	free(loop);
}

int loop_fd(struct loop *loop, int fd, uint32_t events, void (*fn)(void *arg, uint32_t events), void *arg)
{
	struct epoll_event ev = {.events = events};
	size_t i;

	for (i = 0; i < LOOP_FDS && loop->fds[i].fd >= 0; i++)
		;
	if (i == LOOP_FDS)
		return -ENOSPC;
	ev.data.u32 = (uint32_t)i;
	if (epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &ev) < 0)
		return -errno;
	loop->fds[i] = (struct loop_source){fd, fn, arg};
	return 0;
}

void loop_fd_del(struct loop *loop, int fd)
{
	size_t i;

	for (i = 0; i < LOOP_FDS; i++) {
		if (loop->fds[i].fd != fd)
			continue;
		(void)epoll_ctl(loop->epoll, EPOLL_CTL_DEL, fd, NULL);
		loop->fds[i].fd = -1;
	}
}

int loop_at(struct loop *loop, int64_t wall_us, void (*fn)(void *arg), void *arg)
{
	size_t i;

	for (i = 0; i < LOOP_TIMERS; i++) {
		if (loop->timers[i].fn)
			continue;
		loop->timers[i] = (struct loop_timer){wall_us, fn, arg};
		return 0;
	}
	return -ENOSPC;
}

int loop_signals(struct loop *loop, void (*hup)(void *arg), void *arg)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	loop->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (loop->signals < 0)
		return -errno;
	loop->hup = hup;
	loop->hup_arg = arg;
	return loop_fd(loop, loop->signals, EPOLLIN, loop_on_signal, loop);
}

/* Milliseconds until the next timer, rounded up; at most a second, so that a stepped clock is noticed. */
static int loop_timeout(const struct loop *loop, int64_t now)
{
	int64_t next = now + 1000000;
	size_t i;

	for (i = 0; i < LOOP_TIMERS; i++)
		if (loop->timers[i].fn && loop->timers[i].wall_us < next)
			next = loop->timers[i].wall_us;
	return next <= now ? 0 : (int)((next - now + 999) / 1000);
}

static void loop_run_timers(struct loop *loop, int64_t now)
{
	size_t i;

	for (i = 0; i < LOOP_TIMERS; i++) {
		struct loop_timer t = loop->timers[i];

		if (!t.fn || t.wall_us > now)
			continue;
		loop->timers[i].fn = NULL; /* free before the call, which may set the next */
		t.fn(t.arg);
	}
}

/* The wall clock was set back: what was to happen in a second still does. Set forward, timers are due at once. */
static void loop_follow_clock(struct loop *loop)
{
	int64_t ahead = clock_wall_us() - clock_mono_us(), back = loop->ahead - ahead;
	size_t i;

	loop->ahead = ahead;
	for (i = 0; back > LOOP_STEP_US && i < LOOP_TIMERS; i++)
		loop->timers[i].wall_us -= back;
}

int loop_run(struct loop *loop)
{
	struct epoll_event ev[16];
	int i, n;

	loop->ahead = clock_wall_us() - clock_mono_us();
	while (!loop->stop) {
		n = epoll_wait(loop->epoll, ev, ARRAY_LEN(ev), loop_timeout(loop, clock_wall_us()));
		if (n < 0 && errno != EINTR)
			return -errno;
		for (i = 0; i < n; i++) {
			struct loop_source s = loop->fds[ev[i].data.u32];

			if (s.fd >= 0)
				s.fn(s.arg, ev[i].events);
		}
		loop_follow_clock(loop);
		loop_run_timers(loop, clock_wall_us());
	}
	loop->stop = false;
	return 0;
}

void loop_stop(struct loop *loop)
{
	uint64_t one = 1;

	(void)!write(loop->wake, &one, sizeof(one));
}
