/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the hosts topic says: which host has an address, what listens there. Kept in memory, looked up as of an interval.
 *
 * An address is found under (net, address); several hosts may claim one (it moved; a virtual address), so a look-up goes
 * through all of them. A listener is found under (net, host, protocol, port), then by namespace and by address or any.
 */
#pragma once

#include <stdint.h>

#include "base/str.h"
#include "flow/msg.h"

#define HOSTS_KEEP_S 600   /* a listener that went is kept this long for late rows */
#define HOSTS_UNSEEN_S 180 /* unsaid for this long: gone (the agent repeats every minute) */
#define HOSTS_HOST_S 86400 /* a host unsaid for this long is forgotten; until then its addresses keep its name */
#define HOSTS_MAX 2000000  /* records; past it new ones are refused */

struct hosts;

int hosts_new(struct hosts **ret);
void hosts_free(struct hosts *h);

/* One message of the topic; value NULL: a tombstone. Copies. -EBADMSG: not a host or listener. -ENOSPC: HOSTS_MAX.
 * -ENOMEM. */
int hosts_put(struct hosts *h, struct str key, const void *value, size_t value_len);

/* An end of a conversation, as of an interval. */
struct hosts_where {
	struct str net, scope; /* scope: "", "<host id>" or "<host id>/<netns>" */
	struct ip ip;
	uint32_t interval;
	uint16_t interval_s;
};

/* Service of whatever listened on (protocol, port) of that address. False: nobody that we know of. */
bool hosts_listener(const struct hosts *h, const struct hosts_where *at, uint8_t protocol, uint16_t port,
		    struct str *ret_service);

/* Name of the host that has the address (its hostname, else its id). */
bool hosts_name(const struct hosts *h, const struct hosts_where *at, struct str *ret_name);

/* Forgets listeners gone for longer than HOSTS_KEEP_S before `interval`, and hosts unsaid for HOSTS_HOST_S (a piece a
 * call). */
void hosts_expire(struct hosts *h, uint32_t interval);

void hosts_count(const struct hosts *h, uint64_t *ret_hosts, uint64_t *ret_listeners);
