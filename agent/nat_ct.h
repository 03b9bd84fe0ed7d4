/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connection tracking by netlink, a socket a network namespace: new translated connections as they come, and the whole
 * table at the beginning and when messages were lost. Changes nothing on the host: loads no module, sets no sysctl. Where
 * tracking tells no events (nf_conntrack_events = 0) the table is read once an interval.
 */
#pragma once

#include <linux/netlink.h>

#include "agent/nat.h"
#include "agent/netns.h"

struct nat_ct_counts {
	uint64_t dumps, dumps_failed; /* one that failed is tried again at the next look */
	uint64_t overflows;           /* messages lost: the table was read again */
	uint64_t skipped; /* interval ends at which a table without events was not read: it takes too long */
	uint64_t bad;     /* messages that could not be read */
	uint64_t denied;  /* gauge: namespaces whose tracking cannot be read */
	uint64_t silent;  /* gauge: namespaces without events */
};

struct nat_ct_ns {
	struct netns ns;
	int fd;
	bool seen, silent, dump;
};

struct nat_ct {
	struct nat_ct_ns *v;
	size_t n, cap;
	int64_t poll_after_us;
	struct nat_ct_counts counts;
};

/* What there is on this host. */
enum nat_ct_have { NAT_CT_ABSENT, NAT_CT_NO_NETLINK, NAT_CT_HERE };
enum nat_ct_have nat_ct_have(void);

/* Sockets in new namespaces of `ns`, none in those that are gone; none at all while there is no tracking. `ct` begins
 * zeroed. -ENOMEM */
int nat_ct_follow(struct nat_ct *ct, const struct netns_set *ns);
void nat_ct_deinit(struct nat_ct *ct);

/* Makes known to `nat` what came since. whole: an interval ends, namespaces without events are asked too. now_us never steps. */
void nat_ct_read(struct nat_ct *ct, struct nat *nat, bool whole, int64_t now_us);

/* One message. 0; 1: nothing is translated, or no TCP or UDP; -EBADMSG. */
int nat_ct_parse(const struct nlmsghdr *h, struct nat_entry *ret);

/* The value of nf_conntrack_events in this namespace (0: no events); -errno. */
int nat_ct_events(void);
