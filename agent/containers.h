/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a container engine or kubelet wrote on disk about a container or a pod: names. Their files are read as foreign text;
 * nobody is asked anything.
 *
 *     docker           /var/lib/docker/containers/<id>/config.v2.json          labels, image
 *     containerd       /run/containerd/io.containerd.runtime.v2.task/<namespace>/<id>/config.json   annotations
 *                      (k3s, rke2 and microk8s have it elsewhere)
 *     podman, cri-o    <run>/<driver>-containers/<id>/userdata/config.json     annotations
 *                      <lib>/<driver>-containers/containers.json               image, and cri-o's pod
 *     kubelet          /var/log/pods/<namespace>_<pod>_<uid>                   pods by their uid, whatever the runtime
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

#define CONTAINERS_MAX 1024

struct container {
	char name[256]; /* compose service, Kubernetes container, else the image without path and tag; "" unknown */
	char pod[256];  /* name of the pod; "" none */
	char ns[64];    /* its namespace; "" unknown */
};

struct containers;

/* root: put before every path ("" for the host's own). -ENOMEM */
int containers_new(struct containers **ret, const char *root);
void containers_free(struct containers *c);

/* By its id of 64 hex digits. NULL: nothing is known (looked for again after 10 s). Lives until the next call. */
const struct container *containers_get(struct containers *c, struct str id, int64_t now_us);

/* A pod by its uid as Kubernetes writes it; name stays empty. The same otherwise. */
const struct container *containers_pod(struct containers *c, struct str uid, int64_t now_us);

/* Reads an engine's JSON (docker's config.v2.json, an OCI bundle's config.json, what containers.json says of one). */
void container_read(struct str json, struct container *ret);

/* Finds a container in containers.json of podman and cri-o: the text of its "metadata", which is JSON in a string, without the
 * escapes, into dst. -ENOENT */
int container_metadata(struct str json, struct str id, char *dst, size_t size);

/* Takes <namespace>_<pod>_<uid> apart. False: it is not that of this uid. */
bool container_pod_folder(struct str name, struct str uid, struct container *ret);
