/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lag of a datagram is its arrival less the end of its interval: delay + (our clock - the agent's). Delay is
 * never negative, so the smallest lag of the last while is the agent's clock error plus next to nothing, and one datagram
 * that was held up proves nothing about a clock. "The last while" is this window of WINDOW intervals and the former one.
 *
 *   - smallest lag within +-2 intervals: the clock is right, nothing is moved; a datagram with a greater lag is late.
 *   - else all is moved by floor(smallest lag / interval), which puts it where a right clock would have.
 *   - a move once made is kept while the lag left over stays within a quarter interval around [0, 1), so a clock that
 *     drifts across the border does not flutter; and it ends only within 1.5 intervals.
 *   - all datagrams of one agent's interval move alike (law L3: time is never cut again).
 *   - whatever these say, nothing lands more than 2 intervals ahead or CLOCK_LATE behind: such a datagram is moved on its
 *     own. So the number of intervals that can be open is bounded, whatever an agent sends.
 */
#include "collector/clock.h"

#define WINDOW 4

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

static void note_lag(struct clock_agent *a, int64_t lag, int64_t window)
{
	if (!a->known || window < a->window || window > a->window + 1) {
		a->former_known = false;
		a->least_us = lag;
	} else if (window == a->window + 1) {
		a->former_known = true;
		a->former_us = a->least_us;
		a->least_us = lag;
	} else if (lag < a->least_us) {
		a->least_us = lag;
	}
	a->window = window;
}

static int64_t decide(const struct clock_agent *a, int64_t len)
{
	int64_t lag = a->former_known && a->former_us < a->least_us ? a->former_us : a->least_us;
	int64_t rest = lag - a->shift * len;

	if (a->shift == 0)
		return lag > CLOCK_FAR * len || lag < -CLOCK_FAR * len ? floor_div(lag, len) : 0;
	if (lag <= len + len / 2 && lag >= -len - len / 2)
		return 0;
	return rest < -len / 4 || rest > len + len / 4 ? floor_div(lag, len) : a->shift;
}

int64_t clock_shift(struct clock_agent *a, uint32_t interval, uint32_t interval_s, int64_t now_us)
{
	int64_t len = (int64_t)interval_s * 1000000;
	int64_t lag = now_us - (int64_t)interval * 1000000 - len;
	int64_t rest;

	note_lag(a, lag, floor_div(now_us, WINDOW * len));
	if (!a->known || a->interval != interval) {
		a->shift = decide(a, len);
		a->interval = interval;
		a->known = true;
	}
	rest = lag - a->shift * len;
	if (rest < -CLOCK_FAR * len || rest > CLOCK_LATE * len)
		a->shift = floor_div(lag, len);
	return a->shift;
}

int64_t clock_shift_known(const struct clock_agent *a, uint32_t interval, uint32_t interval_s, int64_t now_us)
{
	int64_t len = (int64_t)interval_s * 1000000;
	int64_t lag = now_us - (int64_t)interval * 1000000 - len;

	if (a->known)
		return a->shift;
	return lag > CLOCK_FAR * len || lag < -CLOCK_FAR * len ? floor_div(lag, len) : 0;
}

uint32_t clock_moved(uint32_t interval, uint32_t interval_s, int64_t shift)
{
	int64_t to = (int64_t)interval + shift * interval_s;

	return to < 0 ? 0 : to > UINT32_MAX ? UINT32_MAX : (uint32_t)to;
}
