/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses that mean something on this host only: loopback, link-local, the networks of --local-net, and those of bridges
 * (agent/bridges.h) but for --no-local-net. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/ip.h"

#define LOCALS_MAX 128
#define LOCALS_ROUTED 32

struct locals {
	size_t n;
	uint32_t full; /* bridges' networks past LOCALS_MAX */
	struct {
		struct ip prefix;
		unsigned bits;
		bool inside; /* only between two of its addresses: what leaves it keeps them */
	} v[LOCALS_MAX];
	size_t n_routed;
	struct {
		struct ip prefix;
		unsigned bits;
	} routed[LOCALS_ROUTED];
};

/* Adds "10.1.0.0/16". -EINVAL, -ENOSPC. */
int locals_add(struct locals *l, const char *cidr);

/* What lies in "172.17.0.0/16" is no bridge's own, whatever the bridge is called. Before locals_bridge(). -EINVAL, -ENOSPC. */
int locals_route(struct locals *l, const char *cidr);

/* Adds the network of a bridge with this address; one that is there already stays. */
void locals_bridge(struct locals *l, const struct ip *ip, unsigned bits, bool inside);

/* The wire's scope of one address in namespace `netns`: 0 global, 1 this host, else the namespace's inode number. */
uint32_t locals_scope(const struct locals *l, const struct ip *ip, uint32_t netns);

/* Of a conversation: the narrower one of its two ends. */
uint32_t locals_scope_pair(const struct locals *l, const struct ip *a, const struct ip *b, uint32_t netns);
