/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cgroup id -> path, for the v2 hierarchy wherever it is mounted (beside v1 too). A walk over its
 * directories, done anew when an unknown id is met, at most once a while; what is gone keeps its name for two
 * minutes, because the last connections of a unit end after it.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

#define CGROUPS_MAX 65536         /* directories followed */
#define CGROUPS_AGAIN_US 500000ll /* not more often than this */
#define CGROUPS_TOMBSTONE_US 120000000ll

struct cgroups;

/* mount: NULL finds the cgroup2 mounts in /proc/self/mountinfo; without any every look-up fails. -ENOMEM */
int cgroups_new(struct cgroups **ret, const char *mount);
void cgroups_free(struct cgroups *c);

/* Path of the cgroup below its mount ("/" the root); n 0: unknown. Lives until the next call. now_us never steps. */
struct str cgroups_path(struct cgroups *c, uint64_t id, int64_t now_us);

/* First mount of type cgroup2 in the text of /proc/PID/mountinfo, octal escapes resolved, into dst. -ENOENT, -ENAMETOOLONG. */
int cgroups_mount(struct str mountinfo, char *dst, size_t size);
