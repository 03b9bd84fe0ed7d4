/* SPDX-License-Identifier: Apache-2.0 */
/* The clocks. Only programs and roles read them; everything testable takes time as an argument. */
#pragma once

#include <stdint.h>
#include <time.h>

/* Wall clock, us since 1970. */
static inline int64_t clock_wall_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* A clock that never steps, us. */
static inline int64_t clock_mono_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* Sleeps until the wall clock shows `wall_us`; returns early on a signal. */
static inline void clock_sleep_until(int64_t wall_us)
{
	struct timespec t = {wall_us / 1000000, wall_us % 1000000 * 1000};

	clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &t, NULL);
}
