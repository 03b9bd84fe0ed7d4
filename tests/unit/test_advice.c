/* SPDX-License-Identifier: Apache-2.0 */
/* Is there a sentence for every reason a role can write into its ledger line? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "agent/health.h"
#include "base/table.h"
#include "collector/ledger.h"
#include "server/advice.h"

static void explained(const struct flow_ledger *line)
{
	char name[48];

	assert_true(line->n_lost > 0);
	for (unsigned i = 0; i < line->n_lost; i++) {
		str_copy(name, sizeof(name), line->lost[i].name);
		if (!*advice_loss(name))
			fail_msg("no sentence says what %s means", name);
	}
}

static void an_agents_losses(void **state)
{
	struct flow_ledger line = {0};
	struct source_counts all, none = {0};

	(void)state;
	memset(&all, 1, sizeof(all));
	health_counts(&line, &all, &none);
	health_lost(&line, "too_big", 1);         /* agent/batch.c */
	health_lost(&line, "send_queue_full", 1); /* agent/outbox.c */
	health_lost(&line, "send_error", 1);
	explained(&line);
}

static void a_collectors_losses(void **state)
{
	struct flow_ledger line;
	struct ledger ledger;

	(void)state;
	ledger_init(&ledger);
	for (unsigned i = 0; i < LEDGER_LOSSES; i++)
		ledger_of(&ledger, 60)->lost[i] = 1;
	ledger_fill(&ledger, ledger_of(&ledger, 60), STR("c"), 1, 1, &line);
	assert_int_equal(line.n_lost, LEDGER_LOSSES);
	explained(&line);
}

/* Of roles whose headers do not go together with these, and of the chain itself. */
static void other_losses(void **state)
{
	static const char *const names[] = {
		"late_unjoined",    "poison", /* graph/ledger.c */
		"too_old",                    /* server/lines.c */
		"socks_full",       "closed_full",
		"update_failed",    "eased_bypass", /* server/health.c */
		"destroys_dropped", "lost_network_rows",
		"refused_rows",     "lost_in_bus",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		assert_true(strlen(advice_loss(names[i])) > 20);
}

static void every_hop_has_advice(void **state)
{
	(void)state;
	for (unsigned i = 0; i < HEALTH_HOPS; i++) {
		assert_true(strlen(advice_likely(i)) > 20);
		assert_true(strlen(advice_next(i)) > 5);
	}
	assert_string_equal(advice_loss("of a newer role"), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_agents_losses),
		cmocka_unit_test(a_collectors_losses),
		cmocka_unit_test(other_losses),
		cmocka_unit_test(every_hop_has_advice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
