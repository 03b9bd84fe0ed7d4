/* SPDX-License-Identifier: Apache-2.0 */
/* What this host lets the agent do: each feature is tried, not read off a version. For skyfall-agent --features. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define PROBE_MAX 32 /* features there may be */

struct probe_result {
	const char *name;
	const char *lost; /* what is missing without it */
	bool ok;
	char why[200]; /* what was found, or why not */
};

/* Tries all (about 0.3 s; programs are attached for a moment). Returns how many of `ret` were filled. */
size_t probe_all(struct probe_result *ret, size_t max, const char *btf); /* btf: as for btf_choose() */

/* One line a feature: "ok"/"no", name, why; without it, what is lost. Or one JSON object a line. Last the mode the
 * agent would run in, why, and the steps it can take when it is above its budget (agent/budget.h). agent/probe_print.c */
void probe_print(FILE *to, const char *btf, bool json);
