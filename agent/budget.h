/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Steps the agent takes back when it costs the host more than it may (law L9). A state machine over what each interval
 * cost; time is an argument. Who acts on a step is told by its row (agent/cycle.c, source_ops.ease).
 *
 * 1. The cost of an interval is a share of one core: all CPU of the process and what its BPF programs took from applications.
 * 2. Above the budget for 3 intervals and 30 s: the next step, one at a time. Eight times above it, 3 intervals are enough.
 * 3. Below half the budget for 6 intervals and 60 s: a step back up. Between half and whole nothing happens.
 * 4. Who is above it again within ten minutes of coming up waits twice as long the next time, up to 64 minutes. So bypass, which
 *    costs nothing and says nothing of what full measuring would cost, is tried again ever more seldom.
 * 5. The first interval counts for nothing: starting is not measuring.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	BUDGET_FULL,
	BUDGET_WALK_2,
	BUDGET_WALK_4,
	BUDGET_UDP_OFF,
	BUDGET_SAMPLE_4,
	BUDGET_SAMPLE_16,
	BUDGET_SAMPLE_64,
	BUDGET_BYPASS,
	BUDGET_STEPS
};

/* All of what is in force at a step. */
struct budget_step {
	const char *name;
	const char *counter; /* in `health`: intervals spent there */
	const char *text;    /* for the log */
	uint8_t walk_every;
	bool udp_off;
	uint8_t sample; /* one in 2^sample new connections */
	bool bypass;
};

extern const struct budget_step budget_steps[BUDGET_STEPS];

#define BUDGET_ALL ((1u << BUDGET_STEPS) - 1)

struct budget {
	uint64_t limit_ppm; /* millionths of a core; 0: no bound */
	uint32_t able;      /* bit: the step does something here; others are passed over */
	unsigned step;
	uint64_t share_ppm; /* of the interval told last */
	int64_t last_us;    /* INT64_MIN: nothing told yet */
	int64_t since_us;   /* over the limit, or below half of it, since then */
	unsigned over, under;
	int64_t up_us; /* of the last step up; INT64_MIN: none */
	unsigned patience;
};

/* able: bits of the steps that somebody acts on. */
void budget_init(struct budget *b, uint64_t limit_ppm, uint32_t able);

/* cost_us: since the former call. True: `step` is another one now. now_us never steps. */
bool budget_interval(struct budget *b, uint64_t cost_us, int64_t now_us);

/* The names of these steps, with blanks between. */
void budget_names(uint32_t able, char *ret, size_t size);

/* "1", "0.5", "2%": percent of one core, into millionths; 0: no bound. -EINVAL, also above 100,000 %. */
int budget_parse(const char *text, uint64_t *ret_ppm);
