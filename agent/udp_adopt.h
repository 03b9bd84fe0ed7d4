/* SPDX-License-Identifier: Apache-2.0 */
/* UDP sockets older than the agent: the kernel's own lists (sock_diag) of all watched namespaces, their owners from /proc. */
#pragma once

#include "agent/diag.h"
#include "agent/udp.h"

/* After the programs are attached: what they know already stays as it is. Without a list (no udp_diag) sockets become known by
 * their first datagram. -errno of the first list that failed; the others were read. */
int udp_adopt(struct udp *u, const uint32_t *netns, size_t n_netns);

/* What the kernel lists as what the programs keep; pid 0: not known. */
void udp_adopt_fill(struct sky_udp_sock *ret, const struct diag_sock *s, uint32_t netns, uint32_t pid, int64_t now_ns);
