/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NETLINK_SOCK_DIAG: the kernel's own list of TCP sockets of one network namespace. Needs no privilege
 * in one's own namespace. Every message is looked at as foreign bytes.
 */
#pragma once

#include <linux/netlink.h>
#include <linux/tcp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/netns.h"
#include "base/ip.h"

/* Masks of states to dump, by the numbers of enum in linux/tcp_states.h. */
#define DIAG_LISTEN (1u << 10)
#define DIAG_CONNECTED \
	(1u << 1 | 1u << 4 | 1u << 5 | 1u << 8 | 1u << 9 | 1u << 11) /* ESTABLISHED to CLOSING, no TIME_WAIT */

/* UDP: with a peer (ESTABLISHED), without (CLOSE). */
#define DIAG_PEER (1u << 1)
#define DIAG_UNCONNECTED (1u << 7)

struct diag_sock {
	struct ip local, remote; /* IPv4 as ::ffff:a.b.c.d, also on sockets of the other family */
	uint16_t lport, rport;
	uint8_t family;          /* of the socket */
	uint8_t state;           /* TCP_ESTABLISHED ... */
	uint64_t cookie;         /* unique in this boot */
	uint32_t inode;          /* of the descriptor; 0: none (not accepted yet, orphan) */
	uint32_t rqueue, wqueue; /* listener: connections waiting to be accepted, their bound */
	uint64_t cgroup;         /* 0: the kernel does not say (before 5.8) */
	bool has_drops;
	uint32_t drops;    /* packets and connections dropped, wraps */
	uint32_t info_len; /* bytes of `info` the kernel filled; 0: none */
	struct tcp_info info;
};

/* Reads one message of a dump. -EBADMSG: too short, unknown family, attributes that do not fit. */
int diag_parse(const struct nlmsghdr *h, struct diag_sock *ret);

/* Dumps the sockets in `states` of both families, with tcp_info if wanted. fn returns 0, or -errno to end it. Returns 0 or
 * -errno; ret_bad is increased by the messages that could not be read. -EINTR: the table changed while it was read and
 * something may be missing; what was seen was seen. -EPROTONOSUPPORT: the kernel has no such list. */
int diag_dump(int fd, uint32_t states, bool info, int (*fn)(void *arg, const struct diag_sock *s), void *arg,
	      uint64_t *ret_bad);

/* The same for UDP. */
int diag_dump_udp(int fd, uint32_t states, int (*fn)(void *arg, const struct diag_sock *s), void *arg,
		  uint64_t *ret_bad);

/* What a dump's -errno says, and what to do. */
const char *diag_error(int r);

/* The sockets to ask by, one a namespace; they follow the namespaces that exist. */
struct diag_ns {
	struct netns ns;
	int fd;       /* NETLINK_SOCK_DIAG; -1: could not be opened */
	int route_fd; /* NETLINK_ROUTE; -1 */
	bool seen;
};

struct diag_set {
	struct diag_ns *v;
	size_t n, cap;
	uint64_t denied; /* namespaces that could not be entered */
};

/* Opens sockets in new namespaces of `ns` and closes those of namespaces that are gone (an open socket would
 * keep one alive). -ENOMEM */
int diag_follow(struct diag_set *set, const struct netns_set *ns);
void diag_set_deinit(struct diag_set *set);

/* Lists once, in the agent's own namespace: does it work? 0 or -errno. */
int diag_try(void);
