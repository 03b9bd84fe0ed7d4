/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a cgroup's path says about who lives in it: unit, container, pod. Pure functions over the text;
 * the path may be anything (names are the users' own, up to 4 KiB, not always UTF-8).
 */
#pragma once

#include <stdbool.h>

#include "base/str.h"

#define CGPATH_CONTAINER 12 /* hex digits of a container id that are kept */

struct cgpath {
	struct str unit;      /* last *.service or *.scope that is no container: points into the path; n 0: none */
	struct str container; /* 12 hex digits, or an LXC container's name: points into the path */
	char pod[40];         /* uid of the pod as Kubernetes writes it; "" none */
	bool system;          /* the container boots a system of its own (LXC, Incus): its units are services */
	bool owned;           /* the unit runs just this container (podman's quadlets): it names the service */
};

/* Reads a path as it stands below the mount of its hierarchy ("/system.slice/ssh.service"). Never fails: what is not understood
 * leaves its field empty. */
void cgpath_parse(struct str path, struct cgpath *ret);

/*
 * The service a unit stands for: "nginx.service" -> "nginx", "foo@3.service" -> "foo@", escapes resolved. Returns its
 * length; 0 when the unit says nothing lasting (sessions, systemd-run, desktop scopes): the executable names it then.
 */
size_t cgpath_service(struct str unit, char *dst, size_t size);

/* A pod's name without what its owners appended: "web-6d4cf56db6-x7k2p" -> "web", "db-0" -> "db", "agent-9qk7z" ->
 * "agent". Returns the length of the rest. */
size_t cgpath_pod_owner(struct str pod);

/* Copies `s` to dst as a name may be: UTF-8 without control characters (others become '?'), at most size - 1 bytes, cut between
 * characters. Returns its length. */
size_t cgpath_clean(struct str s, char *dst, size_t size);
