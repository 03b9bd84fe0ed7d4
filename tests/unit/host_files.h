/* SPDX-License-Identifier: Apache-2.0 */
/* Files of a made-up host below a folder of the test's, for what reads /proc and cgroups. After cmocka.h. */
#pragma once

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Writes the file root/path, folders included. */
static inline void host_put_bytes(const char *root, const char *path, const void *bytes, size_t n)
{
	char full[1024], *p;
	FILE *f;

	snprintf(full, sizeof(full), "%s/%s", root, path);
	for (p = full + strlen(root) + 1; (p = strchr(p, '/')); p++) {
		*p = '\0';
		(void)mkdir(full, 0700);
		*p = '/';
	}
	f = fopen(full, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, n, f), n);
	fclose(f);
}

static inline void host_put(const char *root, const char *path, const char *text)
{
	host_put_bytes(root, path, text, strlen(text));
}

/* The id of the folder root/path, as the agent finds it. */
static inline uint64_t host_folder_id(const char *root, const char *path)
{
	union {
		struct file_handle h;
		char room[sizeof(struct file_handle) + 8];
	} u;
	char full[1024];
	struct stat st;
	uint64_t id;
	int mount;

	snprintf(full, sizeof(full), "%s/%s", root, path);
	u.h.handle_bytes = 8;
	if (name_to_handle_at(AT_FDCWD, full, &u.h, &mount, 0) == 0 && u.h.handle_bytes == 8) {
		memcpy(&id, u.h.f_handle, 8);
		return id;
	}
	assert_int_equal(stat(full, &st), 0);
	return st.st_ino;
}
