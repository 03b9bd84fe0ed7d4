/* SPDX-License-Identifier: Apache-2.0 */
/* The walker's typed reads (agent/bpf/walk.bpf.h): a call of a function of the kernel's own, put into the program as it is
 * loaded. */
#pragma once

struct btf;

/* The function's id; 0: this kernel has none. */
int cast_find(const struct btf *btf);

/* Programs loaded from here to cast_end() get it. */
int cast_begin(int id);
void cast_end(int begun);
