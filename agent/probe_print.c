/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "agent/budget.h"
#include "agent/probe.h"
#include "agent/source.h"
#include "base/table.h"
#include "base/wrap.h"

#define PRINT_AT 25 /* column where what was found begins */

/* A JSON string with its quotes. */
static void put_text(FILE *to, const char *s)
{
	fputc('"', to);
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			fprintf(to, "\\%c", *s);
		else if ((unsigned char)*s < 0x20)
			fprintf(to, "\\u%04x", (unsigned)*s);
		else
			fputc(*s, to);
	}
	fputc('"', to);
}

static void print_one(FILE *to, bool json, const struct probe_result *v)
{
	char text[1024];

	if (!json) {
		snprintf(text, sizeof(text), "%s%s%s", v->why, v->ok ? "" : "; lost: ", v->ok ? "" : v->lost);
		fprintf(to, "%-4s%-20s ", v->ok ? "ok" : "no", v->name);
		wrap_put(to, text, PRINT_AT, wrap_columns(to));
		return;
	}
	fprintf(to, "{\"feature\":\"%s\",\"ok\":%s,\"why\":", v->name, v->ok ? "true" : "false");
	put_text(to, v->why);
	fprintf(to, ",\"lost_without\":\"%s\"}\n", v->lost);
}

static const struct probe_result *find(const struct probe_result *v, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(v[i].name, name))
			return &v[i];
	return NULL;
}

/* What the agent would run with, and why not with something better. */
static void print_winner(FILE *to, bool json, const struct probe_result *v, size_t n)
{
	static const char *const modes[] = {"bpf", "stable", "sock_diag"};
	const struct probe_result *won = NULL, *bpf = find(v, n, "bpf"), *kernel = find(v, n, "btf-kernel");
	char why[400] = "nothing works", steps[128] = "", text[640];
	uint32_t able = 0;

	for (size_t i = 0; i < ARRAY_LEN(modes) && !won; i++) {
		const struct probe_result *r = find(v, n, modes[i]);

		won = r && r->ok ? r : NULL;
	}
	if (won && won == bpf)
		snprintf(why, sizeof(why), "structs known by %s", kernel->ok ? "the kernel's BTF" : "a BTF file");
	else if (won)
		snprintf(why, sizeof(why), "bpf: %s", bpf->why);
	if (won)
		able = source_named(won->name)->eases | (won == bpf && find(v, n, "udp-datagrams")->ok)
								<< BUDGET_UDP_OFF;
	budget_names(able, steps, sizeof(steps));
	if (!json) {
		snprintf(text, sizeof(text), "mode %s: %s; steps above the budget: %s", won ? won->name : "none", why,
			 steps);
		wrap_put(to, text, 0, wrap_columns(to));
		return;
	}
	fprintf(to, "{\"mode\":\"%s\",\"why\":", won ? won->name : "none");
	put_text(to, why);
	fprintf(to, ",\"steps\":\"%s\"}\n", steps);
}

void probe_print(FILE *to, const char *btf, bool json)
{
	struct probe_result v[PROBE_MAX];
	size_t n = probe_all(v, ARRAY_LEN(v), btf);

	for (size_t i = 0; i < n; i++)
		print_one(to, json, &v[i]);
	print_winner(to, json, v, n);
}
