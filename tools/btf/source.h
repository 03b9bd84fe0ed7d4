/* SPDX-License-Identifier: Apache-2.0 */
/* A kernel's full BTF out of what one has of it: a BTF file, an ELF vmlinux, a compressed vmlinuz, a BTFHub archive file. */
#pragma once

#include <stddef.h>
#include <stdbool.h>

#define SOURCE_PATH 1024

struct source_kernel {
	char release[65];       /* as `uname -r` says it there */
	char path[SOURCE_PATH]; /* what libbpf can read: the file given, or one in the scratch folder */
};

/* scratch: a folder for what is unpacked, overwritten each time. -errno and a sentence in `why`. */
int source_find(struct source_kernel *ret, const char *path, const char *scratch, char *why, size_t why_len);

/* By its name, a file of a folder is worth looking at. */
bool source_likely(const char *path);

/* The release in a file's name or folder: "6.1.0-50-cloud-amd64.btf", "vmlinux-6.1.0-50-cloud-amd64",
 * "/usr/lib/debug/lib/modules/6.1.0-50-cloud-amd64/vmlinux". False: none. */
bool source_release_of_name(const char *path, char ret[65]);

/* Runs a program of PATH or /usr/sbin with its input and output at these files (NULL: none, and what it complains about is
 * shown), input from an offset on. Its exit code, or -errno. */
int source_run(char *const argv[], const char *in, size_t offset, const char *out);
