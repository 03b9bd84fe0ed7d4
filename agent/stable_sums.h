/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a connection did, out of what the kernel says of its socket without BPF: a dump of sock_diag while it is open, the message at
 * its destruction, and how it ended. Pure functions. The formulas are those of agent/bpf/sock.bpf.h in the terms of sock_diag:
 * idiag_wqueue is write_seq - snd_una, tcpi_notsent_bytes write_seq - snd_nxt, so their difference is what is in flight.
 * The times of a sky_totals are microseconds here (and wrap).
 */
#pragma once

#include "agent/bpf/event.h"
#include "agent/bpf/stable.h"
#include "agent/diag.h"

/* Of an open one: what was acknowledged. A dump says the state before it takes the socket's lock and the sums under it, so a FIN
 * may have come in between: what may be one is left out, and comes with the next or the end. before: it is what others count from, and nothing
 * is left out. */
void stable_sums_open(const struct diag_sock *d, bool client, bool before, struct sky_totals *ret);

/* Whole life. e: how it ended; NULL: nobody saw that. False: the program used disconnect (a reset with linger 0 does), after
 * which the kernel has forgotten all sums; ret is untouched. */
bool stable_sums_end(const struct diag_sock *d, const struct stable_sock *e, bool client, struct sky_totals *ret);

/* Nothing tells whether one of the received bytes was a FIN: it is what is most likely. */
bool stable_sums_guess(const struct diag_sock *d, const struct stable_sock *e);

/* enum sky_end. errors: the kernel tells errors. */
unsigned stable_sums_how(const struct stable_sock *e, bool errors);

/* Its last round trip is worth a sample: data was sent, and the delayed ACK of our FIN did not spoil it. */
bool stable_sums_rtt_ok(const struct stable_sock *e, const struct sky_totals *t);

/* The kernel counts a client's SYN as an acknowledged byte: enum sky_role where that shows, else unknown. */
unsigned stable_sums_role(const struct diag_sock *d);
