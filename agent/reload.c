/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/reload.h"

#include <assert.h>
#include <stdlib.h>

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

void reload_now(void *arg)
{
	struct reload *r = arg;
	struct conf *to = malloc(sizeof(*to));
	char why[512] = "";
	unsigned i;
	int e;

	if (!r->cycle || !to) {
		free(to);
		return;
	}
	e = conf_reload(to, r->first, r->newest ? r->newest : r->first, r->argc, r->argv, why, sizeof(why));
	if (e != 0) {
		if (why[0])
			log_error("%s", why);
		log_error("not reloaded: everything stays as it was");
		reload_free(to);
		return;
	}
	if (why[0])
		log_warn("in force after the next start: %s", why);
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

void reload_deinit(struct reload *r)
{
	unsigned i;

	for (i = 0; i < RELOAD_LIVE; i++)
		reload_free(r->live[i]);
}
