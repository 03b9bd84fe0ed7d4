/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/reload.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

static void reload_free(struct conf *c)
{
	if (!c)
		return;
	conf_deinit(c);
	free(c);
}

static void reload_done_with(struct reload *r, const struct conf *c)
{
	unsigned i;

	for (i = 0; c && i < RELOAD_LIVE; i++) {
		if (r->live[i] == c) {
			reload_free(r->live[i]);
			r->live[i] = NULL;
		}
	}
}

static void reload_refuse(struct conf *to, const char *why)
{
	if (why[0])
		log_error("%s", why);
	log_error("not reloaded: everything stays as it was");
	reload_free(to);
}

/* All its collectors have addresses: it is in force. */
static void reload_take(struct reload *r, struct conf *to)
{
	unsigned i;

	if (r->outbox)
		outbox_reload(r->outbox, to);
	reload_done_with(r, cycle_reload(r->cycle, to));
	for (i = 0; i < RELOAD_LIVE && r->live[i]; i++)
		;
	assert(i < RELOAD_LIVE);
	r->live[i] = to;
	r->newest = to;
	log_info("reloaded");
}

/* A collector without an address; n_collectors: none. */
static size_t reload_missing(const struct conf *c)
{
	size_t i;

	for (i = 0; i < c->n_collectors && !ip_is_zero(&c->collector[i].ip); i++)
		;
	return i;
}

static bool reload_ask(struct reload *r)
{
	struct resolve_name v[RESOLVE_MAX];
	const struct conf *c = r->asked;
	unsigned n = 0;
	size_t i;

	for (i = 0; i < c->n_collectors; i++) {
		if (!ip_is_zero(&c->collector[i].ip))
			continue;
		v[n] = (struct resolve_name){.port = c->collector[i].port};
		str_copy(v[n++].text, sizeof(v->text), str_from(c->collector[i].text));
	}
	return resolve_start(r->resolve, v, n);
}

static void reload_on_resolved(void *arg, const struct resolve_name *v, unsigned n)
{
	struct reload *r = arg;
	struct conf *to = r->asked;
	char why[512];
	size_t i;
	unsigned j;

	if (!to)
		return;
	for (i = 0; i < to->n_collectors; i++)
		for (j = 0; j < n && ip_is_zero(&to->collector[i].ip); j++)
			if (strcmp(v[j].text, to->collector[i].text) == 0)
				to->collector[i].ip = v[j].ip;
	i = reload_missing(to);
	if (i < to->n_collectors && r->other) {
		r->other = false;
		if (reload_ask(r))
			return;
	}
	r->asked = NULL;
	if (i == to->n_collectors) {
		reload_take(r, to);
		return;
	}
	snprintf(why, sizeof(why), "--collector: cannot find the address of '%s'", to->collector[i].text);
	reload_refuse(to, why);
}

/* Its names first. */
static void reload_wait(struct reload *r, struct conf *to)
{
	const char *name = to->collector[reload_missing(to)].text;

	r->asked = to;
	if (!r->resolve && resolve_new(&r->resolve, r->loop, reload_on_resolved, r) < 0) {
		r->asked = NULL;
		reload_refuse(to, "out of memory");
		return;
	}
	r->other = resolve_busy(r->resolve);
	if (r->other || reload_ask(r)) {
		log_info("looking up %s; until then everything stays as it is", name);
		return;
	}
	r->asked = NULL;
	reload_refuse(to, "names cannot be looked up: no memory or no thread");
}

void reload_now(void *arg)
{
	struct reload *r = arg;
	struct conf *to = malloc(sizeof(*to));
	char why[512] = "";

	if (!r->cycle || !to) {
		free(to);
		return;
	}
	if (conf_reload(to, r->first, r->newest ? r->newest : r->first, r->argc, r->argv, why, sizeof(why)) != 0) {
		reload_refuse(to, why);
		return;
	}
	if (why[0])
		log_warn("in force after the next start: %s", why);
	reload_free(r->asked);
	r->asked = NULL;
	if (reload_missing(to) < to->n_collectors)
		reload_wait(r, to);
	else
		reload_take(r, to);
}

void reload_deinit(struct reload *r)
{
	unsigned i;

	resolve_free(r->resolve);
	reload_free(r->asked);
	for (i = 0; i < RELOAD_LIVE; i++)
		reload_free(r->live[i]);
}
