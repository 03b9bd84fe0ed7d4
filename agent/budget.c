/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/budget.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUDGET_DOWN_N 3
#define BUDGET_DOWN_US 30000000ll
#define BUDGET_FAR 8 /* times the limit: no more waiting */
#define BUDGET_UP_N 6
#define BUDGET_UP_US 60000000ll
#define BUDGET_RELAPSE_US 600000000ll
#define BUDGET_PATIENCE 64

const struct budget_step budget_steps[BUDGET_STEPS] = {
	[BUDGET_FULL] = {"full", "eased_full", "everything is measured", 1, false, 0, false},
	[BUDGET_WALK_2] = {"walk_2", "eased_walk_2", "open connections are read every 2nd interval", 2, false, 0,
			   false},
	[BUDGET_WALK_4] = {"walk_4", "eased_walk_4", "open connections are read every 4th interval", 4, false, 0,
			   false},
	[BUDGET_UDP_OFF] = {"udp_off", "eased_udp_off", "UDP's datagrams are not counted", 4, true, 0, false},
	[BUDGET_SAMPLE_4] = {"sample_4", "eased_sample_4", "1 of 4 new connections is measured", 4, true, 2, false},
	[BUDGET_SAMPLE_16] = {"sample_16", "eased_sample_16", "1 of 16 new connections is measured", 4, true, 4, false},
	[BUDGET_SAMPLE_64] = {"sample_64", "eased_sample_64", "1 of 64 new connections is measured", 4, true, 6, false},
	[BUDGET_BYPASS] = {"bypass", "eased_bypass", "nothing is measured", 4, true, 0, true},
};

void budget_init(struct budget *b, uint64_t limit_ppm, uint32_t able)
{
	*b = (struct budget){
		.limit_ppm = limit_ppm,
		.able = able | 1u << BUDGET_FULL,
		.last_us = INT64_MIN,
		.up_us = INT64_MIN,
		.patience = 1,
	};
}

static bool budget_move(struct budget *b, int by)
{
	unsigned to = b->step;

	do
		to += (unsigned)by;
	while (to < BUDGET_STEPS && !(b->able & 1u << to));
	b->over = b->under = 0;
	if (to >= BUDGET_STEPS) /* there is none, also below 0 */
		return false;
	b->step = to;
	return true;
}

static bool budget_over(struct budget *b, int64_t began_us, int64_t now_us)
{
	bool far = b->share_ppm / BUDGET_FAR >= b->limit_ppm, moved;

	b->under = 0;
	if (b->over++ == 0)
		b->since_us = began_us;
	if (b->over < BUDGET_DOWN_N || (!far && now_us - b->since_us < BUDGET_DOWN_US))
		return false;
	moved = budget_move(b, 1);
	if (moved && b->up_us != INT64_MIN) {
		bool soon = now_us - b->up_us < BUDGET_RELAPSE_US;

		b->patience = !soon ? 1 : b->patience < BUDGET_PATIENCE ? b->patience * 2 : BUDGET_PATIENCE;
		b->up_us = INT64_MIN;
	}
	return moved;
}

static bool budget_under(struct budget *b, int64_t began_us, int64_t now_us)
{
	b->over = 0;
	if (b->under++ == 0)
		b->since_us = began_us;
	if (b->step == BUDGET_FULL || b->under < BUDGET_UP_N || now_us - b->since_us < BUDGET_UP_US * b->patience ||
	    !budget_move(b, -1))
		return false;
	b->up_us = now_us;
	return true;
}

bool budget_interval(struct budget *b, uint64_t cost_us, int64_t now_us)
{
	int64_t began = b->last_us;

	if (began != INT64_MIN && now_us <= began)
		return false; /* no time has passed: no share */
	b->last_us = now_us;
	if (began == INT64_MIN)
		return false;
	b->share_ppm = (uint64_t)((double)cost_us * 1e6 / (double)(now_us - began));
	if (b->limit_ppm == 0)
		return false;
	if (b->share_ppm > b->limit_ppm)
		return budget_over(b, began, now_us);
	if (b->share_ppm < b->limit_ppm / 2)
		return budget_under(b, began, now_us);
	b->over = b->under = 0;
	return false;
}

void budget_names(uint32_t able, char *ret, size_t size)
{
	size_t n = 0;
	unsigned i;

	ret[0] = '\0';
	for (i = BUDGET_FULL + 1; i < BUDGET_STEPS && n < size; i++)
		if (able & 1u << i)
			n += (size_t)snprintf(ret + n, size - n, "%s%s", n ? " " : "", budget_steps[i].name);
}

int budget_parse(const char *text, uint64_t *ret_ppm)
{
	double v;
	char *end;

	if (text[0] < '0' || text[0] > '9')
		return -EINVAL;
	v = strtod(text, &end);
	if (strspn(text, "0123456789.") != (size_t)(end - text) || (*end && strcmp(end, "%") != 0) || v > 100000)
		return -EINVAL;
	*ret_ppm = (uint64_t)(v * 10000 + 0.5);
	if (v > 0 && *ret_ppm == 0) /* so little is still a bound */
		*ret_ppm = 1;
	return 0;
}
