/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel side of the mode `stable`: agent/bpf/stable.bpf.c loaded and attached to its tracepoints. No BTF of the kernel is
 * needed for it, nor a mounted tracefs. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/bpf/stable.h"

struct stable;

/* Loads and attaches. max_socks: sockets followed at one time. On failure `why` says in one line what and what to do. */
int stable_open(struct stable **ret, uint32_t max_socks, char *why, size_t why_len);
void stable_close(struct stable *s);

/* The kernel tells the errors connections end with (5.14 on): timed out and unreachable are told apart. */
bool stable_knows_errors(const struct stable *s);

/* Takes the entry of the socket that ended with this cookie. False: there is none. */
bool stable_take(struct stable *s, uint64_t cookie, struct stable_sock *ret);

/* Takes the entry with this key and id, ended and without a cookie, from among the sockets. False: it is another's by now. */
bool stable_take_gone(struct stable *s, uint64_t key, uint64_t id);

/* fn is called for each: ended sockets nobody took, sockets that live (both struct stable_sock), listeners (struct
 * stable_listener). It may forget this one by its key; it returns 0, or -errno, which ends it. */
int stable_ended(struct stable *s, int (*fn)(void *arg, uint64_t key, const void *value), void *arg);
int stable_sockets(struct stable *s, int (*fn)(void *arg, uint64_t key, const void *value), void *arg);
int stable_listening(struct stable *s, int (*fn)(void *arg, uint64_t key, const void *value), void *arg);
void stable_forget(struct stable *s, uint64_t key); /* an ended socket */
void stable_forget_listener(struct stable *s, uint64_t key);

/* On: the programs return at once. Off: they begin anew; what they knew is forgotten, for it is not true any more. */
void stable_bypass(struct stable *s, bool on);

const struct stable_counters *stable_counters(const struct stable *s); /* the kernel's, live */

/* Run time and number of runs of all programs (0 unless kernel statistics are on), and runs the kernel passed over. */
void stable_cost(const struct stable *s, uint64_t *ret_ns, uint64_t *ret_runs, uint64_t *ret_missed);

/* Finds a field in the text of an event's format: "field:__u16 sport; offset:24; size:2; signed:0;". -ENOENT */
int stable_field(const char *format, const char *name, uint16_t *ret_offset, uint16_t *ret_size);
