/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/cost.h"

#include <bpf/bpf.h>
#include <stdio.h>
#include <unistd.h>

static bool cost_always(void)
{
	FILE *f = fopen("/proc/sys/kernel/bpf_stats_enabled", "re");
	int c = f ? fgetc(f) : EOF;

	if (f)
		fclose(f);
	return c == '1';
}

static void cost_switch(struct cost *c, bool on)
{
	if (c->fd >= 0 && !on) {
		close(c->fd);
		c->fd = -1;
	}
	if (c->fd < 0 && on)
		c->fd = bpf_enable_stats(BPF_STATS_RUN_TIME);
	c->fd = c->fd < 0 ? -1 : c->fd;
}

void cost_init(struct cost *c)
{
	*c = (struct cost){.fd = -1, .event_ns = COST_EVENT_NS, .measured_us = INT64_MIN};
	cost_switch(c, true);
	c->whole = c->fd >= 0;
}

void cost_deinit(struct cost *c)
{
	cost_switch(c, false);
}

void cost_add(struct cost *c, uint64_t run_ns, uint64_t events, bool on)
{
	uint64_t ns = run_ns - c->run_ns, n = events - c->events;

	if (c->whole) {
		c->ns += ns;
		if (n >= COST_EVENTS)
			c->event_ns = (double)ns / (double)n;
	} else {
		c->ns += (uint64_t)((double)n * c->event_ns);
		c->estimated_ns += (uint64_t)((double)n * c->event_ns);
	}
	c->run_ns = run_ns;
	c->events = events;
	c->whole = on;
}

void cost_interval(struct cost *c, uint64_t run_ns, uint64_t events, int64_t now_us)
{
	bool measured = c->whole && events - c->events >= COST_EVENTS, due;

	if (measured)
		c->measured_us = now_us;
	due = c->measured_us == INT64_MIN || now_us - c->measured_us >= COST_EVERY_US;
	c->always = cost_always();
	if (c->always || !due)
		cost_switch(c, false);
	else
		cost_switch(c, true);
	cost_add(c, run_ns, events, c->always || c->fd >= 0);
}
