/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two buffers between one writer and one reader that never wait for each other's work: the writer fills one
 * and, when asked, goes on in the other. The reader must have emptied that other one before it asks.
 *
 *     reader: swap_ask(); ... until swap_done(); uses buffer swap_given(), empties it; may ask again
 *     writer: between two batches: if (swap_wanted()) swap_do(); fills buffer swap_active()
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

struct swap {
	atomic_uint asked, done;
};

static inline void swap_ask(struct swap *s)
{
	atomic_fetch_add_explicit(&s->asked, 1, memory_order_release);
}

static inline bool swap_done(struct swap *s)
{
	return atomic_load_explicit(&s->done, memory_order_acquire) ==
	       atomic_load_explicit(&s->asked, memory_order_relaxed);
}

/* Reader, after swap_done(): the buffer that is its own now. */
static inline unsigned swap_given(struct swap *s)
{
	return (atomic_load_explicit(&s->done, memory_order_relaxed) + 1) & 1;
}

static inline bool swap_wanted(struct swap *s)
{
	return atomic_load_explicit(&s->asked, memory_order_acquire) !=
	       atomic_load_explicit(&s->done, memory_order_relaxed);
}

static inline unsigned swap_active(struct swap *s)
{
	return atomic_load_explicit(&s->done, memory_order_relaxed) & 1;
}

/* Writer: all it wrote to the former buffer is visible to the reader. */
static inline void swap_do(struct swap *s)
{
	atomic_fetch_add_explicit(&s->done, 1, memory_order_release);
}
