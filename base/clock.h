/* SPDX-License-Identifier: Apache-2.0 */
/* The clocks. Only programs and roles read them; everything testable takes time as an argument. */
#pragma once

#include <stdint.h>
#include <time.h>

static inline int64_t clock_us(clockid_t which)
{
	struct timespec t;

	clock_gettime(which, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* Wall clock, us since 1970. */
static inline int64_t clock_wall_us(void)
{
	return clock_us(CLOCK_REALTIME);
}

/* A clock that never steps, us. */
static inline int64_t clock_mono_us(void)
{
	return clock_us(CLOCK_MONOTONIC);
}

/* CPU time of the calling thread, us. */
static inline int64_t clock_thread_us(void)
{
	return clock_us(CLOCK_THREAD_CPUTIME_ID);
}

/* Sleeps until the wall clock shows `wall_us`; returns early on a signal. */
static inline void clock_sleep_until(int64_t wall_us)
{
	struct timespec t = {wall_us / 1000000, wall_us % 1000000 * 1000};

	clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &t, NULL);
}
