/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's own count of connections, ActiveOpens and PassiveOpens of /proc/net/snmp, over all watched network
 * namespaces since the agent attached: the truth our own counts are held against (law L7). */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct opens;

/* Takes the counters of now as zero. Namespaces named in `netns` are held open; all others are looked up each time. */
int opens_new(struct opens **ret, const uint32_t *netns, size_t n_netns);
void opens_free(struct opens *o);

/* Sums since opens_new(). A namespace that appeared since counts from its first connection, one that is gone keeps its
 * last number. To be called as near as can be to the cut our own counts have. */
void opens_read(struct opens *o, uint64_t *ret_active, uint64_t *ret_passive);

/* ActiveOpens and PassiveOpens in the text of /proc/net/snmp. Two lines begin with "Tcp:": names, then numbers, the 5th and
 * 6th (RFC 1213's order). -EPROTO: they are not there; ret is as it was. */
int opens_parse(const char *text, uint64_t ret[2]);

/* Looks for namespaces that came or went, every ten seconds: slow, so not beside a cut. now_ms: a clock that never steps. */
void opens_scan(struct opens *o, int64_t now_ms);
