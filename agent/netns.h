/* SPDX-License-Identifier: Apache-2.0 */
/* Network namespaces of this host: finding them, running something inside one. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NETNS_MAX 4096 /* namespaces looked at */
#define NETNS_PATH 280
#define NETNS_SLICE 64       /* processes netns_again() looks at, */
#define NETNS_SLICE_MAX 1024 /* a sixteenth of all, between these two */

struct netns {
	uint32_t inum;         /* inode number: its name in keys. The kernel may use it again for a later one */
	char path[NETNS_PATH]; /* to open it by; may be gone by now. "" : the agent's own */
};

struct pids;

struct netns_set {
	struct netns *v;
	size_t n;
	uint64_t hidden; /* processes whose namespace could not be seen: not root */
	uint64_t full;   /* names and processes whose namespace is past NETNS_MAX */
	/* of netns_again() */
	size_t processes;            /* there were, the last time all were looked at */
	void *proc;                  /* DIR: how far it came */
	struct pids *pids;           /* who is new */
	uint32_t last_pid, past_pid; /* the one made last, at the former look and the one before it */
};

/* The agent's own namespace; 0 when /proc is not there. */
uint32_t netns_self(void);

/* "NAME" in /run/netns, a path such as /proc/PID/ns/net, or an inode number. -ENOENT, ... with a sentence in `why`. */
int netns_resolve(const char *text, uint32_t *ret_inum, char *why, size_t why_len);

/* Fills `set` anew (zeroed before the first time): all namespaces with a process, a name or a bind mount in /run/netns and
 * /run/docker/netns; of these only those in `only` if n_only is not 0. The agent's own comes first. -errno */
int netns_scan(struct netns_set *set, const uint32_t *only, size_t n_only);

/* The same for a set that was filled before, in pieces: processes that are new since the look before the former one (they may go
 * to a namespace of their own a moment after they begin), and a slice of the others (who may have moved). All of them when a
 * namespace cannot be found any more where it was. -errno */
int netns_again(struct netns_set *set, const uint32_t *only, size_t n_only);
void netns_set_deinit(struct netns_set *set);

/* Calls fn in a thread that lives in `ns` for this call. Returns what fn returned, or -errno when it could not go there. */
int netns_run(const struct netns *ns, int (*fn)(void *arg), void *arg);
