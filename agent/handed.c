/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/handed.h"

#include <netinet/in.h>
#include <string.h>

/* Listeners of TCP are followed only: UDP's socket on the same port is another. */
static bool handed_accepted(const struct agent_row *row)
{
	return row->key.role == SKY_ROLE_SERVER && row->key.protocol == IPPROTO_TCP;
}

/* Init, or one like it: who makes sockets for others. Process 1 may be anything, in a container. */
static bool handed_by_init(const struct agent_row *row)
{
	const struct sky_owner *o = &row->key.owner;

	return o->tgid == 1 || row->val.tgid == 1 || strncmp(o->comm, "systemd", SKY_COMM) == 0;
}

static void handed_to(struct agent_row *row, uint32_t pid, const char comm[SKY_COMM])
{
	row->key.owner = (struct sky_owner){.tgid = pid, .flags = SKY_OWNER_SCAN};
	memcpy(row->key.owner.comm, comm, SKY_COMM);
	row->val.tgid = pid;
}

static uint32_t handed_holder(struct listen *l, const struct sky_row_key *k, bool better)
{
	return listen_holder(l, k->netns, (const struct ip *)k->local, k->service_port, better);
}

/* Made by init: whoever else holds the listener. */
static bool handed_init(struct agent_row *row, struct listen *l, struct names *n)
{
	const struct sky_row_key *k = &row->key;
	uint32_t pid = handed_holder(l, k, true);
	char comm[SKY_COMM];

	if (!pid)
		return false;
	if (names_where(n, pid, k->owner.cgroup, comm) == NAMES_GONE) { /* the service was started anew */
		listen_holder_gone(l, k->netns, (const struct ip *)k->local, k->service_port);
		return false;
	}
	handed_to(row, pid, comm);
	return true;
}

/* Made by another: who listened, if it lives somewhere else than the socket was made; where it ended, who holds it. */
static bool handed_moved(struct agent_row *row, struct listen *l, struct names *n)
{
	const struct sky_row_key *k = &row->key;
	uint32_t pid = k->owner.tgid ? k->owner.tgid : row->val.tgid;
	char comm[SKY_COMM];
	enum names_where where;

	if (!pid || k->owner.flags & SKY_OWNER_KERNEL)
		return false;
	where = names_where(n, pid, k->owner.cgroup, comm);
	if (where == NAMES_GONE) {
		pid = handed_holder(l, k, false);
		where = pid ? names_where(n, pid, k->owner.cgroup, comm) : NAMES_HERE;
		if (where == NAMES_GONE)
			listen_holder_gone(l, k->netns, (const struct ip *)k->local, k->service_port);
	}
	if (where != NAMES_ELSEWHERE)
		return false;
	handed_to(row, pid, comm);
	return true;
}

size_t handed_rows(struct agent_rows *rows, struct listen *listen, struct names *names)
{
	size_t i, done = 0;
	bool asked = false;

	for (i = 0; i < agent_rows_count(rows); i++) {
		struct agent_row *row = agent_rows_at(rows, i);

		if (handed_accepted(row) && handed_by_init(row))
			asked |= !handed_holder(listen, &row->key, true);
	}
	if (asked)
		listen_step(listen);
	for (i = 0; i < agent_rows_count(rows); i++) {
		struct agent_row *row = agent_rows_at(rows, i);

		if (!handed_accepted(row))
			continue;
		if (handed_by_init(row))
			done += handed_init(row, listen, names);
		else if (row->key.owner.flags & SKY_OWNER_INHERITED)
			done += handed_moved(row, listen, names);
	}
	return done;
}
