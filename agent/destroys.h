/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel sends when a TCP socket is destroyed: its addresses, cookie and last tcp_info (groups
 * SKNLGRP_INET_TCP_DESTROY and 6 of NETLINK_SOCK_DIAG, 4.3 on). A listener for each network namespace. What the kernel could
 * not send, because nobody had read for too long, it counts.
 */
#pragma once

#include "agent/diag.h"
#include "agent/netns.h"

struct destroys;

int destroys_new(struct destroys **ret); /* -ENOMEM */
void destroys_free(struct destroys *d);

/* Listens in new namespaces, and no longer in those that are gone. Returns 0, -ENOMEM, or -errno when nobody listens. */
int destroys_follow(struct destroys *d, const struct netns_set *ns);

/* Listens nowhere any more, until destroys_follow(): the kernel makes no messages for nobody. What waited is lost, uncounted. */
void destroys_silence(struct destroys *d);

/* Calls fn for messages that wait, for all of them or as many as one go may be. fn returns 0, or -errno to end it. */
int destroys_read(struct destroys *d, int (*fn)(void *arg, uint32_t netns, const struct diag_sock *s), void *arg);

/* The last go was not enough: messages of long ago may still wait. */
bool destroys_behind(const struct destroys *d);

uint64_t destroys_dropped(const struct destroys *d); /* messages the kernel had no room for */
uint64_t destroys_bad(const struct destroys *d);     /* messages that could not be read */
