/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lag of a datagram is its arrival less the end of its interval: delay + (our clock - the agent's). Delay is
 * never negative, so the smallest lag of the last while is the agent's clock error plus next to nothing, and one datagram
 * that was held up proves nothing about a clock. "The last while" is this window of WINDOW intervals and the former one.
 * Arrival is the kernel's, not when we came to read: after a pause of ours all that waited would seem to come from wrong clocks.
 *
 *   - smallest lag within +-2 intervals: the clock is right, nothing is moved; a datagram with a greater lag is late.
 *   - else all is moved by floor(smallest lag / interval), which puts it where a right clock would have.
 *   - a move once made is kept while the lag left over stays within a quarter interval around [0, 1), so a clock that
 *     drifts across the border does not flutter; and it ends only within 1.5 intervals.
 *   - all datagrams of one agent's interval move alike (law L3: time is never cut again): the shift of an interval is
 *     decided with its first datagram and remembered for CLOCK_KEPT intervals, late ones included.
 *   - whatever these say, nothing lands more than 2 intervals ahead of its arrival or CLOCK_LATE behind: such a datagram is
 *     moved on its own. So the number of intervals that can be open is bounded, whatever an agent sends, by what the
 *     socket's buffer can hold of the time that we did not read, and that.
 *   - a ledger line is said up to 24 times, and a later saying replaces the former only at the same interval: it goes
 *     where the rows of its interval went, though the shift has changed since. A line of an interval of which no rows came
 *     takes the shift of now, and with it whatever comes of that interval later.
 *
 * What is remembered is of one receive thread and one collector: an agent whose clock is set while it changes collectors
 * (and with it the socket that hears it) may have its unacknowledged lines counted at two intervals. Rows never are.
 */
#include "collector/clock.h"

#include <assert.h>
#include <stdlib.h>

#define WINDOW 4

/* As the agent named it; 0: none. */
struct clock_kept {
	uint32_t interval;
	int64_t shift;
};

static_assert(CLOCK_KEPT == 64, "a bit each");

void clock_clear(struct clock_agent *a)
{
	free(a->kept);
	*a = (struct clock_agent){0};
}

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

static bool within(int64_t lag, int64_t shift, int64_t len)
{
	int64_t rest = lag - shift * len;

	return rest >= -CLOCK_FAR * len && rest <= CLOCK_LATE * len;
}

/* The shift of an interval, when it is decided. */
static bool kept(const struct clock_agent *a, uint32_t interval, uint32_t interval_s, int64_t *ret)
{
	uint32_t number = interval / interval_s;
	const struct clock_kept *k = a->kept ? &a->kept[number % CLOCK_KEPT] : NULL;
	uint32_t back = a->newest - number;

	if (k ? k->interval != interval : back >= CLOCK_KEPT || !(a->plain >> back & 1))
		return false;
	*ret = k ? k->shift : 0;
	return true;
}

static void keep_plain(struct clock_agent *a, uint32_t number)
{
	uint32_t by = number - a->newest;

	if (!a->plain || number > a->newest) {
		a->plain = a->plain && by < CLOCK_KEPT ? a->plain << by : 0;
		a->newest = number;
	}
	if (a->newest - number < CLOCK_KEPT)
		a->plain |= 1ull << (a->newest - number);
}

/* Without memory the next datagram decides again. */
static void keep(struct clock_agent *a, uint32_t interval, uint32_t interval_s, int64_t shift)
{
	uint32_t number = interval / interval_s;

	if (!a->kept && !shift) {
		keep_plain(a, number);
		return;
	}
	if (!a->kept) {
		a->kept = calloc(CLOCK_KEPT, sizeof(*a->kept));
		if (!a->kept)
			return;
		for (uint32_t i = 0; i < CLOCK_KEPT; i++) {
			if (a->plain >> i & 1)
				a->kept[(a->newest - i) % CLOCK_KEPT].interval = (a->newest - i) * interval_s;
		}
	}
	a->kept[number % CLOCK_KEPT] = (struct clock_kept){interval, shift};
}

/* The first datagram of an interval. */
static void begin(struct clock_agent *a, int64_t lag, int64_t len)
{
	a->shift = decide(a, len);
	if (!within(lag, a->shift, len))
		a->shift = floor_div(lag, len);
	a->known = true;
}

/* One that may not land where the others of its interval did; those like it follow it. */
static int64_t move_alone(struct clock_agent *a, uint32_t interval, int64_t lag, int64_t len)
{
	if (a->alone_of != interval || !within(lag, a->alone, len)) {
		a->alone_of = interval;
		a->alone = floor_div(lag, len);
	}
	return a->alone;
}

int64_t clock_shift(struct clock_agent *a, uint32_t interval, uint32_t interval_s, int64_t at_us)
{
	int64_t len = (int64_t)interval_s * 1000000;
	int64_t lag = at_us - (int64_t)interval * 1000000 - len;
	int64_t shift;

	note_lag(a, lag, floor_div(at_us, WINDOW * len));
	if (!a->known || !kept(a, interval, interval_s, &shift)) {
		begin(a, lag, len);
		shift = a->shift;
		keep(a, interval, interval_s, shift);
	}
	return within(lag, shift, len) ? shift : move_alone(a, interval, lag, len);
}

int64_t clock_shift_known(const struct clock_agent *a, uint32_t interval, uint32_t interval_s, int64_t at_us)
{
	int64_t len = (int64_t)interval_s * 1000000;
	int64_t lag = at_us - (int64_t)interval * 1000000 - len;

	if (a->known)
		return a->shift;
	return lag > CLOCK_FAR * len || lag < -CLOCK_FAR * len ? floor_div(lag, len) : 0;
}

int64_t clock_shift_line(struct clock_agent *a, uint32_t interval, uint32_t interval_s, int64_t otherwise)
{
	int64_t shift;

	if (kept(a, interval, interval_s, &shift))
		return shift;
	/* not in place of a newer one's */
	if (!a->kept || a->kept[interval / interval_s % CLOCK_KEPT].interval < interval)
		keep(a, interval, interval_s, otherwise);
	return otherwise;
}

uint32_t clock_moved(uint32_t interval, uint32_t interval_s, int64_t shift)
{
	int64_t to = (int64_t)interval + shift * interval_s;

	return to < 0 ? 0 : to > UINT32_MAX ? UINT32_MAX : (uint32_t)to;
}
