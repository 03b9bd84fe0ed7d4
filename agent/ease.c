/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ease.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "agent/adopt.h"
#include "agent/flow.skel.h"

void ease_init(struct ease *e)
{
	*e = (struct ease){.walk_every = 1};
}

static bool ease_whole(const struct ease *e)
{
	return !e->bypass && !e->sample;
}

int ease_to(struct ease *e, const struct budget_step *step, struct load *l, struct walk *w, const uint32_t *netns,
	    size_t n_netns)
{
	struct ease was = *e;
	int r = 0;

	e->walk_every = step->walk_every;
	e->sample = step->sample;
	e->bypass = step->bypass;
	if (!ease_whole(e))
		l->skel->bss->adopted = 0;
	l->skel->data_guest->guest.sample = step->sample;
	l->skel->data_guest->guest.bypass = step->bypass;
	e->empty_due = step->bypass && !was.bypass;
	if (was.empty_due &&
	    !step->bypass) /* no collect came in between: the tables are as they were, and not to be trusted */
		ease_collected(&was, l, w);
	if ((was.bypass && !e->bypass) || (!ease_whole(&was) && ease_whole(e))) {
		r = l->adopt ? adopt_run(l, w, netns, n_netns, &e->adopted) : 0;
		l->skel->bss->adopted = r == 0 && l->adopt && ease_whole(e);
	}
	return r;
}

bool ease_walk_due(struct ease *e)
{
	if (++e->walks < e->walk_every)
		return false;
	e->walks = 0;
	return true;
}

static void ease_empty(const struct bpf_map *map)
{
	struct sky_listener_key key; /* the largest of them */
	int fd = bpf_map__fd(map);

	while (!bpf_map_get_next_key(fd, NULL, &key) && !bpf_map_delete_elem(fd, &key))
		;
}

void ease_collected(struct ease *e, struct load *l, struct walk *w)
{
	if (!e->empty_due)
		return;
	e->empty_due = false;
	ease_empty(l->skel->maps.socks);
	ease_empty(l->skel->maps.closed);
	ease_empty(l->skel->maps.dials);
	for (unsigned i = 0; i < SKY_DIALS; i++)
		l->skel->data_dials->dial_places[i].dial.pending = 0;
	if (l->adopt) { /* else nobody would tell them again */
		ease_empty(l->skel->maps.listening);
		ease_empty(l->skel->maps.listeners);
	}
	l->counters->socks_made = 0;
	l->counters->closed_made = l->counters->dials_made = 0;
	walk_forget(w);
}
