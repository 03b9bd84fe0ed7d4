/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the hook learns how this kernel's structs are laid out: the rungs before `stable`.
 *
 *   kernel   /sys/kernel/btf/vmlinux, or a vmlinux where libbpf looks for one (/boot)
 *   file     <folder>/<release>.btf, release being what `uname -r` says, made by skyfall-btf
 *
 * A file is taken for exactly its release, never for a near one: distributions change structs between builds of one version, and
 * a wrong offset does not fail, it reads something else. The name is all there is to go by, so nothing is proven: a release
 * that was built twice with different options needs a folder each (--btf).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define BTF_FOLDERS                                        \
	{                                                  \
		"/etc/skyfall/btf", "/usr/lib/skyfall/btf" \
	}
#define BTF_PATH 512

/* One rung, tried or not. */
struct btf_rung {
	const char *name; /* "kernel", "file" */
	bool ok;
	char why[200]; /* what was found, or why not */
};

struct btf_choice {
	struct btf_rung rung[2];
	int won;             /* its index; -1: none */
	char path[BTF_PATH]; /* of the file; "": the kernel's own */
};

/* how: NULL or "auto", "off", a file (it comes before the kernel's own), a folder to look in instead of the usual ones. root: "" but
 * for tests. */
void btf_choose(struct btf_choice *ret, const char *how, const char *release, const char *root);

/* Whether a file can be used: it can be read, nothing in it points outside, and it describes a kernel's sockets. On failure
 * -errno and a sentence in `why`, else what it is. Bytes from outside: libbpf believes them. */
int btf_check(const char *path, char *why, size_t why_len);

/* The release of the running kernel. */
const char *btf_release(char ret[65]);
