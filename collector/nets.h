/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which address spaces a collector takes. A file has a name a line; "" is that of agents which name none:
 *
 *     prod
 *     ""       # hosts from before we had two
 */
#pragma once

#include "base/buf.h"
#include "base/opt.h"

#define NETS_MAX 4096

struct nets {
	bool any; /* none was named: all are taken */
	size_t n;
	struct str *v;   /* sorted */
	struct str home; /* the first that was named: whatever names no space of its own is in it */
	struct buf text;
};

/* names: of the command line. file: NULL none. -EINVAL with "file:line:column: what is wrong", or what is wrong, in `why`;
 * another -errno: the file cannot be read. *ret is to be given to nets_deinit() in the end. */
int nets_load(struct nets *ret, const struct opt_list *names, const char *file, char *why, size_t why_len);
void nets_deinit(struct nets *n);

bool nets_has(const struct nets *n, struct str name);
