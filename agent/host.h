/* SPDX-License-Identifier: Apache-2.0 */
/* The host record: who this host is and which addresses it owns. */
#pragma once

#include <linux/netlink.h>

#include "agent/diag.h"
#include "agent/locals.h"
#include "flow/msg.h"
#include "wire/host.h"

#define HOST_EVERY_US 60000000ll
#define HOST_NET "/sys/class/net"

struct host {
	struct flow_host rec; /* net, id, boot, interval are the sender's business */
	char id[FLOW_NAME_MAX + 1], hostname[FLOW_NAME_MAX + 1], kernel[FLOW_NAME_MAX + 1];
	uint64_t hash;   /* of what was told last */
	int64_t told_us; /* INT64_MIN: never */
	uint64_t more;   /* addresses past FLOW_ADDRESSES */
};

/* id, hostname: NULL for the system's own. Without a machine id the id stays "" until host_name_by(). */
void host_init(struct host *h, const char *id, const char *hostname, const char *mode);

/* Without a machine id a host is called by a hash of its agent's address: 16 hex digits. */
void host_name_by(struct host *h, const struct ip *agent);

/* Reads the addresses of all namespaces in `ns` anew. The first -errno; what was read is kept. */
int host_look(struct host *h, struct diag_set *ns, const struct locals *locals);

/* True when the record is to be sent: at start, when it changed, once a minute. It counts as sent then. now_us never steps. */
bool host_due(struct host *h, int64_t now_us);

/* The first address that means something outside this host, IPv4 before IPv6; false: there is none. */
bool host_address(const struct host *h, struct ip *ret);

/*
 * The adapters of the agent's own namespace that have a device behind them, by ifindex, at most WIRE_ADAPTERS; where none
 * has (a container, a test's namespace) those that have a MAC address. net: HOST_NET. Unreadable: none.
 */
void host_adapters(const char *net, struct wire_adapters *ret);

/* Reads an RTM_NEWADDR message. -EBADMSG. */
int host_parse(const struct nlmsghdr *m, struct ip *ret, uint8_t *ret_bits);
