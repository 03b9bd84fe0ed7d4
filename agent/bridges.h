/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bridges whose networks exist on this host only, by name and by what is attached to them:
 *
 *     docker0, br-<12 hex digits>, podman*, cni-podman*, virbr*, lxcbr*, lxdbr*, incusbr*
 *                   private networks made alike on every host, masqueraded: their addresses are this host's
 *     any other bridge with nothing attached but veth and tap (cni0, a lab's)
 *                   may be routed: its addresses go out as they are, so only conversations inside it are this host's
 *     a bridge with a card, a VLAN, a tunnel attached: a part of the network outside
 */
#pragma once

#include "agent/diag.h"
#include "agent/locals.h"

/* Adds the networks of all namespaces' bridges. What cannot be read is not added. */
void bridges_look(struct diag_set *ns, struct locals *locals);

/* A bridge of this name is one of the first kind. */
bool bridges_masqueraded(const char *name);

/* An address of a private range (RFC 1918, 6598, 4193). */
bool bridges_private(const struct ip *ip);
