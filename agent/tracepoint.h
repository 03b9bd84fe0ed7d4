/* SPDX-License-Identifier: Apache-2.0 */
/* Classic tracepoints for programs that need no BTF of the kernel: their description, attaching. Tracefs need not be mounted. */
#pragma once

#include <stddef.h>

struct bpf_link;
struct bpf_program;

/* A descriptor of tracefs, or -errno. */
int tracepoint_fs(void);

/* A file of an event ("sock/inet_sock_set_state"), as text. -errno */
int tracepoint_read(int tracefs, const char *event, const char *file, char *ret, size_t size);

/* One event serves all CPUs: programs belong to the tracepoint, not to the descriptor's CPU. NULL: errno says why. */
struct bpf_link *tracepoint_attach(int tracefs, const char *event, struct bpf_program *prog);
