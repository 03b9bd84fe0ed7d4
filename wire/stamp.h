/* SPDX-License-Identifier: Apache-2.0 */
/* A datagram that was built ahead of its sending: who it counts for is known only when it goes. */
#pragma once

#include "wire/build.h"

/*
 * Writes agent, sub-agent and the running counts of `s` into a datagram that wire_build_close() or wire_host_put()
 * made with an agent address of the same family, and counts it in `s` as they do. rows: sum(rows) inside. Of several flow
 * samples (wire/interop.h) each keeps its distance to the last one's sample_pool. May be done again.
 */
void wire_stamp(void *datagram, size_t n, uint64_t rows, struct wire_sender *s, uint32_t uptime_ms);
