/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that costs nothing until it is touched: the table can be large where traffic is, and is small where it is not. */
#pragma once

#include <stddef.h>
#include <sys/mman.h>

#define PAGES_BYTES 4096
#define PAGES_HUGE \
	((size_t)16 << 20) /* from here on huge pages are asked for: a small site has none, so pays for none */

/* Zeros; NULL when there is no more. */
static inline void *pages_map(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	if (bytes >= PAGES_HUGE)
		(void)madvise(p, bytes, MADV_HUGEPAGE);
	return p;
}

static inline void pages_unmap(void *p, size_t bytes)
{
	if (p)
		munmap(p, bytes);
}

/* Has the kernel give the pages now. What is in them may be lost. */
static inline void pages_touch(void *p, size_t bytes)
{
	for (size_t at = 0; at < bytes; at += PAGES_BYTES)
		((volatile char *)p)[at] = 0;
}
