/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cgroup id -> path, for the v2 hierarchy wherever it is mounted (beside v1 too). Told as they are made and removed, where
 * somebody tells (agent/births.h); what is older, or was not told, is found by a walk over the directories, done when an unknown
 * id is met, at most once a while. What is gone keeps its name for two minutes, because the last connections of a unit end
 * after it; of more than CGROUPS_TOMBSTONES the latest do.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

#define CGROUPS_MAX 65536         /* directories followed */
#define CGROUPS_AGAIN_US 500000ll /* not more often than this */
#define CGROUPS_TOMBSTONE_US 120000000ll
#define CGROUPS_TOMBSTONES 16384

struct cgroups;

/* mount: NULL finds the cgroup2 mounts in /proc/self/mountinfo; without any every look-up fails. -ENOMEM */
int cgroups_new(struct cgroups **ret, const char *mount);
void cgroups_free(struct cgroups *c);

/* Path of the cgroup below its mount ("/" the root); n 0: unknown. Lives until the next call. now_us never steps. */
struct str cgroups_path(struct cgroups *c, uint64_t id, int64_t now_us);

/* Made, with this path below the root of the hierarchy; gone. In the order in which it happened. */
void cgroups_made(struct cgroups *c, uint64_t id, struct str path, int64_t now_us);
void cgroups_gone(struct cgroups *c, uint64_t id, int64_t now_us);

/* Some were made or removed without being told: the directories are read before the next answer that may be. */
void cgroups_missed(struct cgroups *c);

size_t cgroups_count(const struct cgroups *c); /* known, tombstones included */

/* First mount of type cgroup2 in the text of /proc/PID/mountinfo, octal escapes resolved, into dst. -ENOENT, -ENAMETOOLONG. */
int cgroups_mount(struct str mountinfo, char *dst, size_t size);
