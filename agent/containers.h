/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a container engine wrote on disk about a container: its name, its pod. Files of the engines, read as
 * foreign text; no engine is asked anything.
 */
#pragma once

#include <stdint.h>

#include "base/str.h"

#define CONTAINERS_MAX 1024

struct container {
	char name[256]; /* compose service, Kubernetes container, else the image without path and tag; "" unknown */
	char pod[256];  /* name of the pod; "" none */
};

struct containers;

/* root: put before every path ("" for the host's own). -ENOMEM */
int containers_new(struct containers **ret, const char *root);
void containers_free(struct containers *c);

/* By its id of 64 hex digits. NULL: nothing is known (looked for again after 10 s). Lives until the next call. */
const struct container *containers_get(struct containers *c, struct str id, int64_t now_us);

/* Reads an engine's JSON (docker's config.v2.json, an OCI bundle's config.json, podman's container record). */
void container_read(struct str json, struct container *ret);
