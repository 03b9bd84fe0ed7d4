/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/containers.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/cgpath.h"
#include "base/table.h"

#define CONTAINER_FILE (1u << 20) /* bytes of a file that are read */
#define CONTAINER_AGAIN_US 10000000ll
#define CONTAINERS_PODS 4096 /* folders looked at for one */

/* Where the engines keep what they know, a file a container. */
static const char *const container_files[] = {
	"/var/lib/docker/containers/%s/config.v2.json",
	"/var/snap/docker/common/var-lib-docker/containers/%s/config.v2.json",
	"/run/containerd/io.containerd.runtime.v2.task/k8s.io/%s/config.json",
	"/run/containerd/io.containerd.runtime.v2.task/moby/%s/config.json",
	"/run/containerd/io.containerd.runtime.v2.task/default/%s/config.json",
	"/run/k3s/containerd/io.containerd.runtime.v2.task/k8s.io/%s/config.json",
	"/var/snap/microk8s/common/run/containerd/io.containerd.runtime.v2.task/k8s.io/%s/config.json",
	"/run/containers/storage/overlay-containers/%s/userdata/config.json",
	"/run/containers/storage/vfs-containers/%s/userdata/config.json",
	"/var/lib/containers/storage/overlay-containers/%s/userdata/config.json",
	"/var/lib/containers/storage/vfs-containers/%s/userdata/config.json",
};

/* And one file for all of them: podman's image is nowhere else. */
static const char *const container_lists[] = {
	"/var/lib/containers/storage/overlay-containers/containers.json",
	"/var/lib/containers/storage/vfs-containers/containers.json",
};

enum container_what { CONTAINER_NAME, CONTAINER_POD, CONTAINER_NS, CONTAINER_IMAGE };

/* The first key found names it; the order is the order of preference. */
static const struct {
	struct str key;
	enum container_what what;
} container_keys[] = {
#define KEY(text, what)                        \
	{                                      \
		{text, sizeof(text) - 1}, what \
	}
	KEY("com.docker.compose.service", CONTAINER_NAME),
	KEY("com.docker.swarm.service.name", CONTAINER_NAME),
	KEY("io.podman.compose.service", CONTAINER_NAME),
	KEY("io.kubernetes.cri.container-name", CONTAINER_NAME),
	KEY("io.kubernetes.container.name", CONTAINER_NAME),
	KEY("io.kubernetes.cri-o.ContainerName", CONTAINER_NAME),
	KEY("metadata-name", CONTAINER_NAME),
	KEY("io.kubernetes.cri.sandbox-name", CONTAINER_POD),
	KEY("io.kubernetes.pod.name", CONTAINER_POD),
	KEY("io.kubernetes.cri-o.KubeName", CONTAINER_POD),
	KEY("io.kubernetes.cri.sandbox-namespace", CONTAINER_NS),
	KEY("io.kubernetes.pod.namespace", CONTAINER_NS),
	KEY("io.kubernetes.cri-o.Namespace", CONTAINER_NS),
	KEY("io.podman.annotations.image", CONTAINER_IMAGE),
	KEY("nerdctl/image-name", CONTAINER_IMAGE),
	KEY("image-name", CONTAINER_IMAGE),
	KEY("Image", CONTAINER_IMAGE),
};

struct containers_one {
	char id[65]; /* of a container, or the uid of a pod */
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
		enum container_what what = container_keys[i].what;
		char *dst = what == CONTAINER_POD ? ret->pod : what == CONTAINER_NS ? ret->ns : ret->name;
		size_t size = what == CONTAINER_NS ? sizeof(ret->ns) : sizeof(ret->name);
		struct str v;

		if (dst[0])
			continue;
		v = container_value(json, container_keys[i].key);
		if (what == CONTAINER_IMAGE)
			v = container_image(v);
		(void)cgpath_clean(v, dst, size);
	}
}

/* Where the text goes on behind `what`; NULL. */
static const char *container_behind(const char *p, const char *end, struct str what)
{
	p = p && p < end ? memmem(p, (size_t)(end - p), what.p, what.n) : NULL;
	return p ? p + what.n : NULL;
}

int container_metadata(struct str json, struct str id, char *dst, size_t size)
{
	static const struct str begin = {"{\"id\":\"", 7}, key = {"\"metadata\":\"", 12};
	const char *p = json.p, *end = json.p + json.n, *next, *stop;
	size_t n = 0;

	while ((p = container_behind(p, end, begin)) &&
	       ((size_t)(end - p) <= id.n || memcmp(p, id.p, id.n) != 0 || p[id.n] != '"'))
		;
	next = container_behind(p, end, begin); /* what is behind it is another's */
	stop = next ? next : end;
	p = container_behind(p, stop, key);
	if (!p)
		return -ENOENT;
	for (; p < stop && *p != '"' && n + 1 < size; p++) {
		p += *p == '\\' && p + 1 < stop;
		dst[n++] = *p;
	}
	dst[n] = '\0';
	return 0;
}

bool container_pod_folder(struct str name, struct str uid, struct container *ret)
{
	const char *first = name.n ? memchr(name.p, '_', name.n) : NULL;
	struct str ns, pod;

	/* neither a namespace nor the name of a pod has a '_' (RFC 1123) */
	if (!first || name.n < uid.n + 3 || memcmp(name.p + name.n - uid.n, uid.p, uid.n) != 0 ||
	    name.p[name.n - uid.n - 1] != '_')
		return false;
	ns = (struct str){name.p, (size_t)(first - name.p)};
	pod = (struct str){first + 1, name.n - ns.n - 1};
	if (pod.n < uid.n + 2)
		return false;
	pod.n -= uid.n + 1;
	*ret = (struct container){0};
	(void)cgpath_clean(ns, ret->ns, sizeof(ret->ns));
	(void)cgpath_clean(pod, ret->pod, sizeof(ret->pod));
	return true;
}

/* A file of the host's, up to CONTAINER_FILE bytes, into c->buf; n 0 when there is none. */
static struct str containers_file(struct containers *c, const char *file, const char *id)
{
	int fd, at_root, rest;
	char path[512];
	ssize_t n = 0;
	size_t at = 0;

	at_root = snprintf(path, sizeof(path), "%s", c->root);
	rest = (int)sizeof(path) - at_root;
	if (snprintf(path + at_root, (size_t)rest, file, id) >= rest)
		return (struct str){NULL, 0};
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return (struct str){NULL, 0};
	if (!c->buf)
		c->buf = malloc(CONTAINER_FILE);
	while (c->buf && at < CONTAINER_FILE && (n = read(fd, c->buf + at, CONTAINER_FILE - at)) > 0)
		at += (size_t)n;
	close(fd);
	return (struct str){c->buf, c->buf ? at : 0};
}

static void containers_drop(struct containers *c)
{
	free(c->buf); /* seldom needed: not kept */
	c->buf = NULL;
}

/* What one source does not say, the next may. */
static void container_add(struct container *to, const struct container *from)
{
	if (!to->name[0])
		memcpy(to->name, from->name, sizeof(to->name));
	if (!to->pod[0])
		memcpy(to->pod, from->pod, sizeof(to->pod));
	if (!to->ns[0])
		memcpy(to->ns, from->ns, sizeof(to->ns));
}

static bool containers_load(struct containers *c, const char *id, struct container *ret)
{
	struct str key = {id, strlen(id)};
	struct container one;
	char metadata[4096];
	size_t i;

	*ret = (struct container){0};
	for (i = 0; i < ARRAY_LEN(container_files) && !ret->name[0]; i++) {
		struct str text = containers_file(c, container_files[i], id);

		if (text.n) {
			container_read(text, &one);
			container_add(ret, &one);
		}
	}
	for (i = 0; i < ARRAY_LEN(container_lists) && !ret->name[0]; i++) {
		struct str text = containers_file(c, container_lists[i], id);

		if (text.n && container_metadata(text, key, metadata, sizeof(metadata)) == 0) {
			container_read(str_from(metadata), &one);
			container_add(ret, &one);
		}
	}
	containers_drop(c);
	return ret->name[0] || ret->pod[0];
}

static bool containers_load_pod(struct containers *c, const char *uid, struct container *ret)
{
	struct str key = {uid, strlen(uid)};
	unsigned seen = 0;
	struct dirent *e;
	bool found = false;
	char path[256];
	DIR *d;

	snprintf(path, sizeof(path), "%s/var/log/pods", c->root);
	d = opendir(path);
	while (d && !found && seen++ < CONTAINERS_PODS && (e = readdir(d)))
		found = container_pod_folder(str_from(e->d_name), key, ret);
	if (d)
		closedir(d);
	return found;
}

/* The place of a container or pod, or the one that was looked for longest ago. */
static struct containers_one *containers_place(struct containers *c, struct str id)
{
	struct containers_one *v, *oldest = c->v;
	size_t i;

	for (i = 0; i < c->n; i++) {
		if (str_eq(str_from(c->v[i].id), id))
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

static const struct container *containers_look(struct containers *c, struct str id, int64_t now_us,
					       bool (*load)(struct containers *c, const char *id,
							    struct container *ret))
{
	struct containers_one *o = containers_place(c, id);

	if (!o)
		return NULL;
	if (!o->known && (!o->id[0] || now_us - o->tried_us >= CONTAINER_AGAIN_US)) {
		str_copy(o->id, sizeof(o->id), id);
		o->tried_us = now_us;
		o->known = load(c, o->id, &o->c);
	}
	return o->known ? &o->c : NULL;
}

const struct container *containers_get(struct containers *c, struct str id, int64_t now_us)
{
	return id.n == 64 ? containers_look(c, id, now_us, containers_load) : NULL;
}

const struct container *containers_pod(struct containers *c, struct str uid, int64_t now_us)
{
	return uid.n == 36 || uid.n == 32 ? containers_look(c, uid, now_us, containers_load_pod) : NULL;
}
