/* SPDX-License-Identifier: Apache-2.0 */
/* The demo's shop (tools/shop): its truth held against the API's edges. */
#pragma once

#include <jansson.h>

/* Whom the addresses of the shop belong to, so that a server that vanished still has a name. */
extern const char demo_inventory[];

/* Reads every *.json of the folder: arrays of what each program did. NULL when there is none. */
json_t *demo_truth(const char *folder);

/* One object per line of truth: {"client","server","port","view","program":{...},"skyfall":{...},"equal":bool}; the numbers:
 * opened, refused, unreachable, other, c2s_bytes, s2c_bytes. edges: the API's array. */
json_t *demo_compare(const json_t *truth, const json_t *edges);

/* The same as a table. Returns how many lines differ, or negative. */
int demo_print(const json_t *compared);
