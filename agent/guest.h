/* SPDX-License-Identifier: Apache-2.0 */
/* The agent is a guest on its host (law L9). */
#pragma once

#include <stdbool.h>

/* Lets the host's applications go first: nice 19, idle io class. Before threads are made: they inherit it. */
void guest_yield(void);

/* Room for the descriptors that each network namespace costs (listing sockets, addresses, translations, ends): systemd gives
 * a service 1024, which two hundred containers use up. As far as the hard limit lets it. */
void guest_room(void);

/* What runs, as far as privileges depend on it. */
struct guest_needs {
	bool bpf;         /* the hook and its maps */
	bool other_netns; /* namespaces besides the agent's own */
	bool conntrack;   /* translations are read */
	bool datagrams;   /* UDP's are counted: programs for packets come and go with the budget */
	bool destroys;    /* the kernel's messages at the end of sockets, with a long queue (agent/destroys.h) */
};

/* Gives up every privilege but those that the running features need, for good. After everything is loaded and attached,
 * before threads are made. -errno. */
int guest_drop(const struct guest_needs *n);

/* The calling thread, and those it starts, come back among the applications: for the one that cuts intervals. On a
 * busy host nice 19 is seconds late, and a late cut puts rows into the wrong interval (law L3). */
void guest_on_time(void);
