/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Address translation: which tuple a connection has on the wire, and putting rows under it.
 *
 *     client's row    local, remote, port become those on the wire; what was dialled is kept beside (`via`)
 *     server's row    where this host translates what comes from outside (a published port, a node port): the peer and the
 *                     address the outside knows
 *
 * So both views of a connection meet under one key, whatever stands between. Filled from connection tracking (agent/nat_ct.h),
 * asked by whoever makes rows. Not for two threads at once.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/bpf/event.h"
#include "base/ip.h"

#define NAT_MAX 65536                /* translations kept: those of the last connections */
#define NAT_FRESH_US 120000000ll     /* a translation counts for connections found this long after it was made known */
#define NAT_FRESH_UDP_US 300000000ll /* UDP's: this long after it was made known or last asked for */

struct nat_tuple {
	struct ip src, dst; /* IPv4 as ::ffff:a.b.c.d */
	uint16_t sport, dport;
	uint8_t protocol, pad[3];
};

/* One tracked connection: as it came to the translating namespace and as it left it. */
struct nat_entry {
	struct nat_tuple before, after;
	uint32_t netns;
	uint16_t zone;
};

struct nat_counts {
	uint64_t entries;    /* made known */
	uint64_t translated; /* connections and rows put under the tuple on the wire */
	uint64_t unsplit;    /* rows left on the dialled address, flag nat_unsplit */
	uint64_t listed;     /* addresses to which rows are kept by connection */
	uint64_t full;       /* dialled addresses without a place: their rows are unsplit */
	uint64_t early;      /* translations forgotten before their time: more than NAT_MAX */
};

struct nat;

/* -ENOMEM. max: NAT_MAX, or less in tests. */
int nat_new(struct nat **ret, uint32_t max);
void nat_free(struct nat *n);

/* Makes a translation known. now_us never steps. */
void nat_put(struct nat *n, const struct nat_entry *e, int64_t now_us);

/* What time it is for the questions below. */
void nat_at(struct nat *n, int64_t now_us);

/* read() makes known all that happened up to its call. nat_refresh() calls it: after connections were found and before one
 * asks about them. NULL is fine as n. */
void nat_read_by(struct nat *n, void (*read)(void *arg), void *arg);
void nat_refresh(struct nat *n);

/* The addresses of this host, v of them; a server's row whose client is one of them stays as it is (the client's row is
 * put under the same tuple). Copied. -ENOMEM: as if nobody were from outside. */
int nat_own(struct nat *n, const struct ip *v, size_t count);

/* Called, once each, with an address that stands for others, or at which rows could not be told apart: rows to it (a
 * client's remote, a server's local) should be made by connection: key.other_port = the ephemeral port. One for each of
 * IPPROTO_TCP and IPPROTO_UDP; may be NULL. */
void nat_list_by(struct nat *n, uint8_t protocol, int (*list)(void *arg, const uint8_t address[16]), void *arg);

/* The key of one connection, alive (live) or ended. *port, its ephemeral port, becomes that on the wire. True: known; false: no
 * translation is known, the key is as it was. other_port is 0 afterwards. NULL is fine as n. */
bool nat_conn(struct nat *n, struct sky_row_key *key, uint16_t *port, bool live);

/* The same for a row in which the kernel has summed ended connections, or datagrams of an interval: only when all of them
 * are known to go one way, else it stays and is flagged. */
void nat_row(struct nat *n, struct sky_row_key *key, struct sky_row_value *val);

/* IPPROTO_TCP's or IPPROTO_UDP's rows made before that moment were all asked about: what was replaced before it is past for
 * those to come. NULL is fine as n. */
void nat_drained(struct nat *n, uint8_t protocol, int64_t began_us);

/* The key of an attempt that has no port yet: flagged if its address is one that is translated. */
void nat_attempt(struct nat *n, struct sky_row_key *key);

/* The address behind key.via; false for 0. */
bool nat_via(const struct nat *n, uint32_t via, struct ip *ret, uint16_t *ret_port);

/* Connections are forgotten and will be found anew: everything must be made known again. nat_again() tells once. */
void nat_forgot(struct nat *n);
bool nat_again(struct nat *n);

const struct nat_counts *nat_counts(const struct nat *n);
