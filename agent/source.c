/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/source.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/table.h"

static const struct source_ops *const sources[] = {&source_bpf, &source_stable,
						   &source_diag}; /* the better one first */

const struct source_ops *source_named(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(sources); i++)
		if (strcmp(sources[i]->name, name) == 0)
			return sources[i];
	return NULL;
}

int source_pick(const char *name, const struct source_opts *opts, const struct source_ops **ret_ops,
		struct source **ret, char *why, size_t why_len)
{
	bool any = strcmp(name, "auto") == 0;
	char reason[512] = "";
	int r = -ENOENT;
	size_t i, n = 0;

	why[0] = '\0';
	for (i = 0; i < ARRAY_LEN(sources); i++) {
		if (!any && strcmp(name, sources[i]->name) != 0)
			continue;
		r = sources[i]->open(ret, opts, reason, sizeof(reason));
		if (r == 0) {
			*ret_ops = sources[i];
			return 0;
		}
		n += (size_t)snprintf(why + n, n < why_len ? why_len - n : 0, "%s%s: %s", n ? "; " : "",
				      sources[i]->name, reason);
		n = n < why_len ? n : why_len;
	}
	return r;
}
