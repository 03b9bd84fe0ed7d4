/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/rules.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static_assert(KEYFILE_BYTES == WIRE_AUTH_KEY, "a file's keys sign");

void rules_free(struct rules *r)
{
	if (!r)
		return;
	allow_deinit(&r->allow);
	nets_deinit(&r->nets);
	explicit_bzero(r, sizeof(*r));
	free(r);
}

static int rules_mode(struct rules *r, const struct trust_opts *o, char *why, size_t why_len)
{
	static const char *const names[] = {
		[RULES_OFF] = "off", [RULES_ACCEPT] = "accept", [RULES_REQUIRE] = "require"};
	unsigned i;

	r->mode = r->n_keys ? RULES_REQUIRE : RULES_OFF;
	if (!o->mode)
		return 0;
	for (i = 0; i <= RULES_REQUIRE && strcmp(o->mode, names[i]); i++)
		;
	if (i > RULES_REQUIRE) {
		snprintf(why, why_len, "--auth must be off, accept or require");
		return -EINVAL;
	}
	if (i != RULES_OFF && !r->n_keys) {
		snprintf(why, why_len, "--auth %s needs keys to check signatures with: --fleet-key FILE", o->mode);
		return -EINVAL;
	}
	r->mode = i;
	return 0;
}

static int rules_keys(struct rules *r, const char *path, char *why, size_t why_len)
{
	struct keyfile file;
	int e;

	if (!path)
		return 0;
	e = keyfile_load(&file, path, why, why_len);
	if (e < 0)
		return e;
	r->n_keys = file.n;
	for (unsigned i = 0; i < file.n; i++)
		wire_auth_init(&r->fleet[i], file.key[i]);
	keyfile_wipe(&file);
	return 0;
}

int rules_new(struct rules **ret, const struct trust_opts *o, char *why, size_t why_len)
{
	struct rules *r = calloc(1, sizeof(*r));
	int e;

	if (!r) {
		snprintf(why, why_len, "out of memory");
		return -ENOMEM;
	}
	e = rules_keys(r, o->fleet_key, why, why_len);
	if (!e)
		e = rules_mode(r, o, why, why_len);
	if (!e)
		e = allow_load(&r->allow, &o->allow, o->allow_file, why, why_len);
	if (!e)
		e = nets_load(&r->nets, &o->nets, o->net_file, why, why_len);
	if (e < 0) {
		rules_free(r);
		return e;
	}
	r->cost_ns = o->rate ? 1000000000 / o->rate : 0;
	r->marks = r->mode == RULES_ACCEPT || r->allow.unsigned_agents.n;
	r->idle = r->mode == RULES_OFF && r->allow.any && !r->cost_ns;
	*ret = r;
	return 0;
}
