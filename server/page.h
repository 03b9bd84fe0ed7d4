/* SPDX-License-Identifier: Apache-2.0 */
/* The files of the page: embedded ones, made by web/build.mjs, or those of a folder (--web-root) while working on them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

struct page_file {
	const char *path; /* "/index.html", "/assets/app-1A2B3C4D.js" */
	const char *type;
	const char *tag; /* changes with the content */
	bool immutable;  /* the name does too */
	const char *raw;
	size_t raw_n;
	const char *gz; /* NULL: gzip makes it no smaller */
	size_t gz_n;
};

/* The embedded file of that path; "/" is index.html. NULL: there is none. A build without the page (-Dweb=false) has
 * only "/": how to build it. */
const struct page_file *page_find(const char *path);

/* Opens a folder to serve files from. Its descriptor, or -errno with a sentence in `why`. */
int page_root_open(const char *folder, char *why, size_t why_len);

/* A file under the folder, read whole: no link, no "..", nothing hidden, no type the page does not use, at most 16 MB.
 * path as asked for, decoded. -ENOENT: not to be had, whatever the reason; -ENOMEM. */
int page_root_read(int root, const char *path, struct buf *ret, const char **ret_type);
