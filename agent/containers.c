/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/containers.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/cgpath.h"
#include "base/table.h"

#define CONTAINER_FILE (1u << 20) /* bytes of a file that are read */
#define CONTAINER_AGAIN_US 10000000ll

/* Where the engines keep what they know. */
static const char *const container_files[] = {
	"/var/lib/docker/containers/%s/config.v2.json",
	"/run/containerd/io.containerd.runtime.v2.task/k8s.io/%s/config.json",
	"/run/containerd/io.containerd.runtime.v2.task/moby/%s/config.json",
	"/run/containerd/io.containerd.runtime.v2.task/default/%s/config.json",
	"/run/containers/storage/overlay-containers/%s/userdata/config.json",
	"/var/lib/containers/storage/overlay-containers/%s/userdata/config.json",
};

/* The first key found names it; the order is the order of preference. */
static const struct {
	struct str key;
	bool pod;
	bool image;
} container_keys[] = {
	{{"com.docker.compose.service", 26}, false, false},
	{{"io.podman.compose.service", 25}, false, false},
	{{"io.kubernetes.cri.container-name", 32}, false, false},
	{{"io.kubernetes.container.name", 28}, false, false},
	{{"io.kubernetes.cri-o.ContainerName", 33}, false, false},
	{{"io.kubernetes.cri.sandbox-name", 30}, true, false},
	{{"io.kubernetes.pod.name", 22}, true, false},
	{{"io.kubernetes.cri-o.KubeName", 28}, true, false},
	{{"io.podman.annotations.image", 27}, false, true},
	{{"Image", 5}, false, true},
};

struct containers_one {
	char id[65];
	bool known;
	int64_t tried_us;
	struct container c;
};

struct containers {
	char root[128];
	size_t n;
	struct containers_one *v;
	char *buf;
};

int containers_new(struct containers **ret, const char *root)
{
	struct containers *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	snprintf(c->root, sizeof(c->root), "%s", root);
	*ret = c;
	return 0;
}

void containers_free(struct containers *c)
{
	if (!c)
		return;
	free(c->v);
	free(c->buf);
	free(c);
}

/* Value of "key":"value" anywhere in the text. Not a JSON reader: keys are looked for as text, which is enough for keys as odd
 * as these, and cannot be led into loops or memory. */
static struct str container_value(struct str json, struct str key)
{
	const char *p = json.p, *end = json.p + json.n;

	while (p < end && (p = memmem(p, (size_t)(end - p), key.p, key.n))) {
		const char *q = p + key.n, *stop;
		bool quoted = p > json.p && p[-1] == '"';

		p++;
		if (!quoted || q == end || *q++ != '"')
			continue;
		while (q < end && (*q == ' ' || *q == ':'))
			q++;
		if (q == end || *q++ != '"')
			continue;
		stop = memchr(q, '"', (size_t)(end - q));
		if (stop && !memchr(q, '\\', (size_t)(stop - q)))
			return (struct str){q, (size_t)(stop - q)};
	}
	return (struct str){NULL, 0};
}

/* "registry:5000/team/nginx:1.25@sha256:..." -> "nginx"; an image by digest only has no name. */
static struct str container_image(struct str image)
{
	const char *at = image.n ? memchr(image.p, '@', image.n) : NULL, *slash, *colon;

	if (at)
		image.n = (size_t)(at - image.p);
	slash = image.n ? memrchr(image.p, '/', image.n) : NULL;
	if (slash) {
		image.n -= (size_t)(slash + 1 - image.p);
		image.p = slash + 1;
	}
	colon = image.n ? memchr(image.p, ':', image.n) : NULL;
	if (colon)
		image.n = (size_t)(colon - image.p);
	return str_eq(image, STR("sha256")) ? (struct str){NULL, 0} : image;
}

void container_read(struct str json, struct container *ret)
{
	size_t i;

	*ret = (struct container){0};
	for (i = 0; i < ARRAY_LEN(container_keys); i++) {
		char *dst = container_keys[i].pod ? ret->pod : ret->name;
		struct str v;

		if (dst[0])
			continue;
		v = container_value(json, container_keys[i].key);
		if (container_keys[i].image)
			v = container_image(v);
		(void)cgpath_clean(v, dst, sizeof(ret->name));
	}
}

static bool containers_load(struct containers *c, const char *file, const char *id, struct container *ret)
{
	char path[512];
	ssize_t n = 0;
	size_t at = 0;
	int fd, at_root;

	at_root = snprintf(path, sizeof(path), "%s", c->root);
	if (snprintf(path + at_root, sizeof(path) - (size_t)at_root, file, id) >= (int)(sizeof(path) - (size_t)at_root))
		return false;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return false;
	if (!c->buf)
		c->buf = malloc(CONTAINER_FILE);
	while (c->buf && at < CONTAINER_FILE && (n = read(fd, c->buf + at, CONTAINER_FILE - at)) > 0)
		at += (size_t)n;
	close(fd);
	if (!c->buf || at == 0)
		return false;
	container_read((struct str){c->buf, at}, ret);
	free(c->buf); /* seldom needed: not kept */
	c->buf = NULL;
	return ret->name[0] || ret->pod[0];
}

/* The container's place, or the one that was looked for longest ago. */
static struct containers_one *containers_place(struct containers *c, struct str id)
{
	struct containers_one *v, *oldest = c->v;
	size_t i;

	for (i = 0; i < c->n; i++) {
		if (memcmp(c->v[i].id, id.p, 64) == 0)
			return &c->v[i];
		if (c->v[i].tried_us < oldest->tried_us)
			oldest = &c->v[i];
	}
	if (c->n == CONTAINERS_MAX) {
		*oldest = (struct containers_one){0};
		return oldest;
	}
	v = reallocarray(c->v, c->n + 1, sizeof(*v));
	if (!v)
		return NULL;
	c->v = v;
	c->v[c->n] = (struct containers_one){0};
	return &c->v[c->n++];
}

const struct container *containers_get(struct containers *c, struct str id, int64_t now_us)
{
	struct containers_one *o = id.n == 64 ? containers_place(c, id) : NULL;
	size_t i;

	if (!o)
		return NULL;
	if (!o->known && (!o->id[0] || now_us - o->tried_us >= CONTAINER_AGAIN_US)) {
		memcpy(o->id, id.p, 64);
		o->tried_us = now_us;
		for (i = 0; i < ARRAY_LEN(container_files) && !o->known; i++)
			o->known = containers_load(c, container_files[i], o->id, &o->c);
	}
	return o->known ? &o->c : NULL;
}
