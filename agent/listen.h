/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listening TCP ports of all watched namespaces: who owns them, how many connections wait to be
 * accepted, how many were dropped. One row per (namespace, address, port); sockets that share one (SO_REUSEPORT)
 * are one row. A row goes out when it changed, and all of them once a minute; one that was not seen for three
 * minutes goes out as gone. A new one waits up to ten seconds for its owner to be found; without one its service is empty.
 */
#pragma once

#include "agent/diag.h"
#include "agent/fdscan.h"
#include "agent/names.h"
#include "flow/msg.h"

#define LISTEN_MAX 8192
#define LISTEN_EVERY_US 60000000ll
#define LISTEN_GONE_US 180000000ll

struct listen;

int listen_new(struct listen **ret,
	       struct fdscan *owners); /* owners: the caller's, used until listen_free(). -ENOMEM */
void listen_free(struct listen *l);

/* UDP sockets without a peer on ports the kernel does not give out, instead of TCP's listeners: `drops` are datagrams that found
 * the receive buffer full, queues are 0. It looks as seldom as keeps it below half a percent of a core. Before the first look. */
void listen_to_udp(struct listen *l, uint16_t port_low, uint16_t port_high);

/* A look at all namespaces: asks the kernel and takes what it says. now_us never steps. Returns 0 or the first -errno. */
int listen_look(struct listen *l, struct diag_set *ns, int64_t now_us);

/* The parts of listen_look(): begin, each socket, end. For tests. */
void listen_begin(struct listen *l, int64_t now_us);
void listen_saw(struct listen *l, uint32_t netns, const struct diag_sock *s);
void listen_end(struct listen *l);

/* The process that holds the listener a connection to (netns, local, port) came through; 0 not known (yet). better: not
 * init and its like, who made it for another: while only such a one is known it is 0, and looked for by listen_step(). */
uint32_t listen_holder(struct listen *l, uint32_t netns, const struct ip *local, uint16_t port, bool better);

/* That process is no more: another is looked for. */
void listen_holder_gone(struct listen *l, uint32_t netns, const struct ip *local, uint16_t port);

/* Looks at the next descriptors, if any process is looked for. */
void listen_step(struct listen *l);

/* Calls fn for each row that is due; names and drops are filled, net, host and interval are not. Its drops start anew then. */
void listen_due(struct listen *l, struct names *names, int64_t now_us,
		int (*fn)(void *arg, const struct flow_listener *row), void *arg);

size_t listen_count(const struct listen *l);
uint64_t listen_full(const struct listen *l); /* sockets without a row: LISTEN_MAX reached */
