/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shop's surroundings: a namespace with a bridge (skyfall-demo-net), one namespace a program joined to it
 * by veth (skyfall-demo-web, ...), and a cgroup each. Nothing of the host's own network is touched.
 */
#pragma once

#include <stddef.h>

#include "tools/shop/node.h"

#define LAB_PREFIX "skyfall-demo-"

/* Only one shop at a time on a host. -EBUSY. Kept until the process ends. */
int lab_lock(void);

/* Removes what a former run left, then builds. Prints what failed; -1. */
int lab_up(void);
/* Removes everything; fine when nothing is there. */
void lab_down(void);

/* Puts the calling process into the node's namespace and, where a cgroup v2 hierarchy can be written, cgroup. -errno. */
int lab_enter(const struct node *n);

/* Takes the address of a node away and lets its peers forget where it was. */
void lab_vanish(const struct node *n);
