/* SPDX-License-Identifier: Apache-2.0 */
/* Where something stands in a YAML file of the form "list: [{key: value}]". libcyaml tells what is wrong, but for keys not
 * where; this is read only once something is wrong. */
#pragma once

#include <stddef.h>

struct yaml_place {
	size_t line, column; /* from 1; 0: not found */
};

/* The nth key (from 0) called `key` in one mapping, the top one or an item of a list, whichever comes first. */
struct yaml_place yaml_place_key(const void *yaml, size_t n, const char *key, unsigned nth);

/* The value of `key` in item `i` of list `list`. */
struct yaml_place yaml_place_value(const void *yaml, size_t n, const char *list, size_t i, const char *key);
