/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules file: renames services by what is known of them. One rule a line:
 *
 *     # what      pattern                     name
 *     unit        postgresql@*.service        postgres
 *     container   0123456789ab                billing-db
 *     exe         java                        search
 *     cgroup      /shop/web-?                 web
 *     pod         checkout-*                  checkout
 *     exe         "my server"                 "shop front"
 *
 * Words stand between blanks; one with blanks in it is put in double quotes ("\"" and "\\" inside). A pattern is a
 * shell's: * any text, ? one character, [a-z] one of. A pattern for a pod with a / in it is for <namespace>/<name>, one
 * without for the name alone. A # begins a comment. The first rule that matches names the service; SKYFALL_SERVICE in the
 * process's environment goes before all rules.
 */
#pragma once

#include <stdio.h>

#include "base/str.h"

#define RULES_MAX 4096 /* rules in a file */

enum rules_what { RULES_UNIT, RULES_CONTAINER, RULES_EXE, RULES_CGROUP, RULES_POD, RULES_WHATS };

struct rules;

/* Reads `path`. -errno, or -EINVAL with the first mistake as "path:line:column: what is wrong" in `why`. */
int rules_load(struct rules **ret, const char *path, char *why, size_t why_len);

/* The same from text; `name` stands for the path in messages. */
int rules_parse(struct rules **ret, const char *name, struct str text, char *why, size_t why_len);

void rules_free(struct rules *r); /* NULL is fine */

size_t rules_count(const struct rules *r);

/* The name that the first matching rule gives; n 0: none. facts[what].n 0: not known, no rule on it matches. Lives as
 * long as the rules. */
struct str rules_find(const struct rules *r, const struct str facts[RULES_WHATS]);
