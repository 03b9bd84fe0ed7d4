/* SPDX-License-Identifier: Apache-2.0 */
/* Programs that `skyfall run` keeps: started in a process group of their own (Ctrl-C reaches only us: we stop them in
 * order), and ended by the kernel when we die in any way. */
#pragma once

#include <stddef.h>
#include <stdbool.h>
#include <sys/types.h>

struct child {
	pid_t pid; /* 0: not running */
	int out;   /* what it prints, if asked for; -1 */
};

#define CHILD_NONE ((struct child){0, -1})

/* The program `name`: beside our own binary, in its build folder, in the usual folders, else by PATH.
 * `build`: folder inside the build tree ("agent"). */
void child_find(const char *name, const char *build, char *path, size_t size);

/* argv[0] is the path. Signals are unblocked in it. pipe_out: its standard output goes to ret->out. -errno. */
int child_start(struct child *ret, char *const argv[], bool pipe_out);

/* True when it has ended; *ret_status as waitpid says. */
bool child_ended(struct child *c, int *ret_status);

/* SIGTERM, waits; SIGKILL after timeout_ms. Returns the status of waitpid, 0 when it was not running. */
int child_stop(struct child *c, int timeout_ms);
