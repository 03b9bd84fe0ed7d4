/* SPDX-License-Identifier: Apache-2.0 */
/* Who accepted a connection, told by the kernel where it lets itself be asked (agent/bpf/accept.bpf.c). Optional. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "agent/load.h"

struct accept;

/* Attaches beside a loaded hook, whose entries it corrects; how: one way only, NULL the best that works. -errno: no way worked, `why` says what was tried; the owner of
 * an accepted connection is its listener's then. */
int accept_new(struct accept **ret, const struct load *l, const char *how, char *why, size_t why_len);
void accept_free(struct accept *a);

/* Connections whose acceptor was noted so far; ret_run_ns, ret_runs: as the kernel's statistics say. */
uint64_t accept_counts(const struct accept *a, uint64_t *ret_run_ns, uint64_t *ret_runs);
