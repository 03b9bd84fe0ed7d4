/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/pids.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#define PIDS_CHUNK 16384

/* 0: no process. */
static uint32_t pids_of(const char *name)
{
	unsigned long v;
	char *end;

	if (name[0] < '1' || name[0] > '9')
		return 0;
	v = strtoul(name, &end, 10);
	return *end || v > INT32_MAX ? 0 : (uint32_t)v;
}

/* Each entry says where the next one lies. Two neighbours that agree are believed. */
static int64_t pids_learn(int fd)
{
	char buf[PIDS_CHUNK] __attribute__((aligned(8)));
	int64_t skew = -1, next = -1;
	ssize_t n, at;

	while ((n = getdents64(fd, buf, sizeof(buf))) > 0) {
		for (at = 0; at < n;) {
			const struct dirent64 *e = (const void *)(buf + at);
			uint32_t pid = pids_of(e->d_name);

			if (pid && next >= 0) {
				if (next - pid == skew)
					return skew;
				skew = next - pid;
			}
			next = pid ? e->d_off : -1;
			at += e->d_reclen;
		}
	}
	return -1;
}

int pids_init(struct pids *p, const char *root)
{
	struct statfs fs;

	p->skew = -1;
	p->fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (p->fd < 0)
		return -errno;
	if (fstatfs(p->fd, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC)
		p->skew = pids_learn(p->fd);
	return 0;
}

void pids_deinit(struct pids *p)
{
	if (p->fd >= 0)
		close(p->fd);
	p->fd = -1;
}

/* The fifth word of /proc/loadavg. */
uint32_t pids_last(const struct pids *p)
{
	int fd = p->fd < 0 ? -1 : openat(p->fd, "loadavg", O_RDONLY | O_CLOEXEC);
	ssize_t n = -1;
	char text[128];
	const char *blank;

	if (fd >= 0) {
		n = read(fd, text, sizeof(text) - 1);
		close(fd);
	}
	if (n <= 0)
		return 0;
	text[n] = '\0';
	blank = strrchr(text, ' ');
	return blank ? (uint32_t)strtoul(blank, NULL, 10) : 0;
}

/* Those of first .. last. */
static int pids_range(const struct pids *p, uint32_t first, uint32_t last, int (*fn)(void *arg, uint32_t pid),
		      void *arg)
{
	char buf[PIDS_CHUNK] __attribute__((aligned(8)));
	ssize_t n, at;
	int r = 0;

	if (lseek(p->fd, p->skew < 0 ? 0 : first + p->skew, SEEK_SET) < 0)
		return -errno;
	while ((n = getdents64(p->fd, buf, sizeof(buf))) > 0) {
		for (at = 0; at < n;) {
			const struct dirent64 *e = (const void *)(buf + at);
			uint32_t pid = pids_of(e->d_name);

			at += e->d_reclen;
			if (pid > last && p->skew >= 0) /* they come in order */
				return 0;
			if (pid && pid >= first && pid <= last)
				r = fn(arg, pid);
			if (r)
				return r;
		}
	}
	return n < 0 ? -errno : 0;
}

int pids_between(const struct pids *p, uint32_t from, uint32_t to, int (*fn)(void *arg, uint32_t pid), void *arg)
{
	int r;

	if (p->fd < 0)
		return -EBADF;
	if (from <= to)
		return pids_range(p, from + 1, to, fn, arg);
	r = pids_range(p, from + 1, INT32_MAX, fn, arg);
	return r ? r : pids_range(p, 1, to, fn, arg);
}
