/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/btf/source.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/table.h"

#define SOURCE_MAX (2ul << 30) /* a vmlinux with debugging information has some hundred MB */
#define SOURCE_TRIES 16        /* places that look like the begin of a compressed kernel */

struct bytes {
	const unsigned char *p;
	size_t n;
};

static bool ends_with(const char *s, const char *end)
{
	size_t a = strlen(s), b = strlen(end);

	return a >= b && !strcmp(s + a - b, end);
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

bool source_likely(const char *path)
{
	const char *name = base_name(path);

	return ends_with(name, ".btf") || ends_with(name, ".btf.tar.xz") || !strncmp(name, "vmlinu", 6);
}

/* A release begins with a digit and has a dot. */
static bool release_copy(const char *from, size_t n, char ret[65])
{
	if (n == 0 || n > 64 || !isdigit((unsigned char)from[0]) || !memchr(from, '.', n))
		return false;
	memcpy(ret, from, n);
	ret[n] = '\0';
	return true;
}

bool source_release_of_name(const char *path, char ret[65])
{
	static const char *const ends[] = {".btf.tar.xz", ".btf"};
	const char *name = base_name(path), *dir;
	size_t i, n = strlen(name);

	for (i = 0; i < ARRAY_LEN(ends); i++)
		if (ends_with(name, ends[i])) {
			n -= strlen(ends[i]);
			break;
		}
	if (!strncmp(name, "vmlinux-", 8) || !strncmp(name, "vmlinuz-", 8))
		return release_copy(name + 8, n - 8, ret);
	if (release_copy(name, n, ret))
		return true;
	if (name == path)
		return false;
	for (dir = name - 1; dir > path && dir[-1] != '/'; dir--)
		;
	return release_copy(dir, (size_t)(name - 1 - dir), ret);
}

static void child(char *const argv[], const char *in, size_t offset, const char *out)
{
	int fd = open(in ? in : "/dev/null", O_RDONLY), to = 1, quiet = in ? open("/dev/null", O_WRONLY) : -1;
	const char *path = getenv("PATH");
	char with[4096];

	if (fd < 0 || lseek(fd, (off_t)offset, SEEK_SET) < 0 || dup2(fd, 0) < 0)
		_exit(126);
	if (out)
		to = open(out, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	if (to < 0 || dup2(to, 1) < 0 || (quiet >= 0 && dup2(quiet, 2) < 0))
		_exit(126);
	snprintf(with, sizeof(with), "%s:/usr/sbin:/sbin", path ? path : "/usr/bin:/bin");
	setenv("PATH", with, 1);
	execvp(argv[0], argv);
	_exit(127);
}

int source_run(char *const argv[], const char *in, size_t offset, const char *out)
{
	int status;
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (pid == 0)
		child(argv, in, offset, out);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -EINTR;
}

static int bytes_map(struct bytes *ret, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), r = 0;
	struct stat st;
	void *p;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		r = -errno;
	else if (!S_ISREG(st.st_mode) || st.st_size < 64 || (size_t)st.st_size > SOURCE_MAX)
		r = -EINVAL;
	if (r == 0) {
		p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
		if (p == MAP_FAILED)
			r = -errno;
		else
			*ret = (struct bytes){p, (size_t)st.st_size};
	}
	close(fd);
	return r;
}

static bool is_elf(const struct bytes *b)
{
	return !memcmp(b->p, "\177ELF", 4);
}

/* "Linux version 6.1.0-50-cloud-amd64 (..." somewhere in the kernel's constants. */
static void release_of_elf(const struct bytes *b, char ret[65])
{
	static const char text[] = "Linux version ";
	const unsigned char *p = b->p, *end = b->p + b->n;
	size_t n;

	while (!ret[0] && (p = memmem(p, (size_t)(end - p), text, sizeof(text) - 1))) {
		p += sizeof(text) - 1;
		for (n = 0; n < 65 && p + n < end && isgraph(p[n]); n++)
			;
		(void)release_copy((const char *)p, n, ret);
	}
}

/* The boot header of x86 (Documentation/arch/x86/boot.rst): kernel_version at 0x20e, counted from 0x200. */
static void release_of_boot(const struct bytes *b, char ret[65])
{
	size_t at, n;

	if (b->n < 0x400 || memcmp(b->p + 0x202, "HdrS", 4) != 0)
		return;
	at = 0x200u + b->p[0x20e] + ((size_t)b->p[0x20f] << 8);
	for (n = 0; n < 65 && at + n < b->n && isgraph(b->p[at + n]); n++)
		;
	(void)release_copy((const char *)b->p + at, n, ret);
}

static bool unpacked_elf(const char *path)
{
	struct bytes b;
	bool elf;

	if (bytes_map(&b, path) < 0)
		return false;
	elf = is_elf(&b);
	munmap((void *)b.p, b.n);
	return elf;
}

/* The compressed kernel inside vmlinuz: found by how it begins, as the kernel's own scripts/extract-vmlinux does. */
static int unpack(const struct bytes *b, const char *path, const char *to)
{
	static const struct {
		const char *magic;
		size_t n;
		char *argv[5];
	} ways[] = {
		{"\xfd"
		 "7zXZ",
		 6,
		 {"xz", "-dcq", "--single-stream", NULL}},
		{"\x28\xb5\x2f\xfd", 4, {"zstd", "-dcq", NULL}},
		{"\x1f\x8b\x08", 3, {"gzip", "-dcq", NULL}},
		{"\x02\x21\x4c\x18", 4, {"lz4", "-dcq", NULL}},
	};

	for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
		const unsigned char *p = b->p, *end = b->p + b->n;

		for (int tries = 0; tries < SOURCE_TRIES; tries++, p++) {
			p = memmem(p, (size_t)(end - p), ways[i].magic, ways[i].n);
			if (!p)
				break;
			/* what follows the kernel is no part of it: they may complain at its end */
			if (source_run(ways[i].argv, path, (size_t)(p - b->p), to) >= 0 && unpacked_elf(to))
				return 0;
		}
	}
	return -ENOEXEC;
}

static int archive(const char *path, const char *to, char *why, size_t why_len)
{
	char *argv[] = {"tar", "-xJO", NULL};

	if (source_run(argv, path, 0, to) == 0)
		return 0;
	snprintf(why, why_len, "tar could not unpack it");
	return -EBADMSG;
}

/* What kind of file it is by its content; its release where that tells. */
static int find_in(struct source_kernel *k, const struct bytes *b, const char *path, const char *unpacked, char *why,
		   size_t why_len)
{
	struct bytes elf;
	int r;

	if (b->p[0] == 0x9f && b->p[1] == 0xeb)
		return 0; /* BTF */
	if (is_elf(b)) {
		release_of_elf(b, k->release);
		return 0;
	}
	release_of_boot(b, k->release);
	r = unpack(b, path, unpacked);
	if (r < 0) {
		snprintf(why, why_len, "it is neither BTF nor a kernel that could be unpacked (xz, zstd, gzip, lz4)");
		return r;
	}
	snprintf(k->path, sizeof(k->path), "%s", unpacked);
	if (!k->release[0] && bytes_map(&elf, unpacked) == 0) {
		release_of_elf(&elf, k->release);
		munmap((void *)elf.p, elf.n);
	}
	return 0;
}

int source_find(struct source_kernel *ret, const char *path, const char *scratch, char *why, size_t why_len)
{
	struct source_kernel k = {.release = ""};
	char unpacked[SOURCE_PATH];
	struct utsname u;
	struct bytes b;
	int r;

	snprintf(unpacked, sizeof(unpacked), "%s/unpacked", scratch);
	snprintf(k.path, sizeof(k.path), "%s", path);
	if (!strncmp(path, "/sys/kernel/btf/", 16)) { /* cannot be mapped; it is this kernel's */
		if (uname(&u) == 0)
			(void)release_copy(u.release, strlen(u.release), k.release);
	} else if (ends_with(path, ".tar.xz")) {
		r = archive(path, unpacked, why, why_len);
		if (r < 0)
			return r;
		snprintf(k.path, sizeof(k.path), "%s", unpacked);
	} else {
		r = bytes_map(&b, path);
		if (r < 0) {
			snprintf(why, why_len, "%s",
				 r == -EINVAL ? "it is no file, or too small or large" : strerror(-r));
			return r;
		}
		r = find_in(&k, &b, path, unpacked, why, why_len);
		munmap((void *)b.p, b.n);
		if (r < 0)
			return r;
	}
	if (!k.release[0] && !source_release_of_name(path, k.release)) {
		snprintf(why, why_len, "its release is not known: name it RELEASE.btf, or give --release");
		(void)snprintf(k.release, sizeof(k.release), "%s", "");
	}
	*ret = k;
	return 0;
}
