/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/plan.h"

#include <assert.h>

#define HIST_COUNT(name, width, dir, column, unit, seen, meaning) +(FLOW_##width == FLOW_HIST)
static_assert(0
#define FIELD HIST_COUNT
#include "flow/fields.def"
#undef FIELD
		      == PLAN_HISTS,
	      "PLAN_HISTS is how many histograms the table has");
static_assert(PLANS == 256, "plan_place() takes 8 bits");

#define HOT_FIELD(name) FLOW_F_##name,
const uint8_t plan_hot_field[PLAN_HOTS] = {PLAN_HOT(HOT_FIELD)};

static unsigned hot_of(unsigned field)
{
	unsigned i = 0;

	while (i < PLAN_HOTS && plan_hot_field[i] != field)
		i++;
	return i;
}

/* The values that go to hot places, or those that do not. */
static void take(struct plan *p, bool hot)
{
	unsigned at = 0, segment = 0, hists = 0, words = 0;

	for (unsigned f = 0; f < FLOW_FIELDS; f++) {
		unsigned place = hot_of(f);
		bool here = p->present >> f & 1, wide = flow_fields[f].width == FLOW_U64;

		if (flow_fields[f].width == FLOW_HIST) {
			if (here) {
				p->hist_at[segment] = (uint8_t)at;
				p->hist_nth[segment++] = (uint8_t)hists;
				words++;
				at = 0;
			}
			hists++;
		} else if (here) {
			if (!words && !wide)
				p->first = (uint8_t)f;
			else if ((place < PLAN_HOTS) == hot)
				p->op[p->n_ops++] = (struct plan_op){.to = (uint8_t)(hot ? place : f),
								     .at = (uint8_t)(at + wide),
								     .segment = (uint8_t)segment,
								     .wide = wide};
			at += 1 + wide;
			words += 1 + wide;
		}
	}
	p->n_hists = (uint8_t)segment;
	p->bytes = (uint16_t)(4 * words);
}

void plan_make(struct plan *p, uint64_t present)
{
	*p = (struct plan){.present = present, .later = present >> FLOW_FIELDS != 0, .first = FLOW_FIELDS};
	take(p, true);
	p->n_hot = p->n_ops;
	take(p, false);
}
