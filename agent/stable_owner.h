/* SPDX-License-Identifier: Apache-2.0 */
/* Whose connection it is, in the mode `stable`: listeners of this host with their owners, for their children; processes that
 * connected. Listeners come from the hook (who called listen(), when) and from dumps (which namespace, also the older ones). */
#pragma once

#include "agent/bpf/event.h"
#include "agent/conns.h"
#include "agent/diag.h"
#include "agent/fdscan.h"
#include "agent/procs.h"
#include "agent/stable.h"

struct stable_owners;

int stable_owners_new(struct stable_owners **ret, struct fdscan *scan, struct procs *procs); /* borrowed. -ENOMEM */
void stable_owners_free(struct stable_owners *o);

/* An interval begins: listeners that were not seen for some of them are forgotten. */
void stable_owners_begin(struct stable_owners *o, int64_t now_us);

int stable_owners_event(struct stable_owners *o, const struct stable_listener *l); /* the hook told of it; 0 */
void stable_owners_dump(struct stable_owners *o, uint32_t netns, const struct diag_sock *d);

/* Somebody listens there. */
bool stable_owners_listens(const struct stable_owners *o, uint32_t netns, uint16_t port, const uint8_t local[16]);

/* A child's owner: its listener's; all zero but for the flag when there is none. */
void stable_owners_child(const struct stable_owners *o, uint32_t netns, uint16_t port, const uint8_t local[16],
			 struct sky_owner *ret, uint32_t *ret_tgid);

/* Of the process that connected. */
void stable_owners_client(struct stable_owners *o, const struct stable_sock *e, struct sky_owner *ret);

/* Of a socket nobody saw begin: who holds its descriptor. */
void stable_owners_scan(struct stable_owners *o, const struct diag_sock *d, struct sky_owner *ret, uint32_t *ret_tgid);

/* Role, ports and owner of a connection whose addresses are set. e: the hook's part, d: what the kernel says of the socket; either
 * may be NULL. */
void stable_owners_conn(struct stable_owners *o, struct conn *c, const struct stable_sock *e,
			const struct diag_sock *d);

/* The network namespace a process lives in; 0: it is gone. */
uint32_t stable_owners_netns(uint32_t tgid);
