/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UDP beside whatever source measures TCP: sockets that connect (UDP_CONNECT), and each datagram (UDP_BYTES). What it sees, and
 * how, is told in agent/bpf/udp.bpf.c. Its rows go where the source's go.
 *
 * An interval's end: udp_begin() at the cut, udp_end() when there is time. All in one thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/rows.h"

#define UDP_SOCKS 16384 /* sockets followed */
#define UDP_SHARE 4     /* one for so many open connections followed */
#define UDP_ROWS 8192   /* folded between two drains */
#define UDP_PEERS 256   /* addresses a socket has rows of its own with in an interval; the rest is "others" */

enum udp_mode { UDP_OFF, UDP_CONNECT, UDP_BYTES };

struct udp_opts {
	enum udp_mode mode;
	const uint32_t *netns; /* inode numbers of the namespaces to watch; all when n_netns is 0 */
	size_t n_netns;
	uint32_t max_rows, max_socks, max_peers; /* 0: as above */
	uint16_t port_low, port_high;            /* ports the kernel gives out */
	struct nat *nat;                         /* what is known of translated addresses; may be NULL */
	const char *btf;                         /* file that tells its structs; NULL or "": the kernel's own BTF */
};

/* Running totals since it was opened. */
struct udp_counts {
	uint64_t socks_full;            /* times a socket found no place */
	uint64_t rows_full;             /* times a row found none */
	uint64_t lost_segs, lost_bytes; /* datagrams that are in no row for it */
	uint64_t lost_rows_user;        /* rows that found no room in `rows` */
	uint64_t others;                /* datagrams under "others" */
	uint64_t unread, late, ended;   /* agent/bpf/udp.h */
	uint64_t adopted;               /* sockets older than the agent */
	uint64_t packets;               /* runs of the packet programs, TCP's packets included */
	uint64_t cost_ns;               /* what they took, by samples */
};

struct nat;
struct udp;
struct sky_udp_sock;

/* "off", "connect", "bytes". -EINVAL */
int udp_parse(const char *text, enum udp_mode *ret);
const char *udp_name(enum udp_mode mode);

/* Opens what works, up to opts->mode; NULL and 0 when that is UDP_OFF. `why`: what did not work, "" when all did. Never
 * fails for what the kernel cannot do. -ENOMEM. Needs root; adopting follows (udp_adopt()). */
int udp_open(struct udp **ret, const struct udp_opts *opts, char *why, size_t why_len);
void udp_close(struct udp *u);

/* What is measured now: UDP_OFF for NULL. */
enum udp_mode udp_mode(const struct udp *u);

/* A socket the kernel lists, older than the agent. Left alone when it is known already. -errno */
int udp_know(struct udp *u, const struct sky_udp_sock *sock);

/* An interval ended at cut_us of the clock that never steps: what open sockets did is folded, the maps are swapped (in a thread of
 * its own: it may take seconds). NULL does nothing, here and below. -errno; udp_end() is not due then. */
int udp_begin(struct udp *u, int64_t cut_us);

/* Waits for the swap, adds the rows of the interval. -errno */
int udp_end(struct udp *u, struct agent_rows *rows);

/* Within an interval: drains a map that is 3/4 full. */
int udp_relieve(struct udp *u, struct agent_rows *rows);

/* Steps down to UDP_CONNECT for a while, or back up: the programs of each datagram are detached, and attached again if the
 * agent still may. -errno */
int udp_ease(struct udp *u, bool down);

/* On: the programs return at once, nothing is walked. Off: they begin anew, knowing nothing; udp_adopt() is due. True: it is
 * off now and was on. */
bool udp_bypass(struct udp *u, bool on);

void udp_counts(const struct udp *u, struct udp_counts *ret);

/* Time and runs of all programs by the kernel's statistics; 0 while they are off. */
void udp_stats(const struct udp *u, uint64_t *ret_ns, uint64_t *ret_runs);
