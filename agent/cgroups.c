/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/cgroups.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"

#define CGROUPS_DEPTH 64

struct cgroups_one {
	uint64_t id; /* 0: free */
	char *path;
	uint64_t walk;   /* the last one that saw it */
	int64_t gone_us; /* 0: there */
};

struct cgroups_tomb {
	uint64_t id;
	int64_t gone_us;
};

struct cgroups {
	char mount[256]; /* "" none */
	uint64_t walk;
	int64_t walked_us; /* INT64_MIN: never */
	size_t n, mask;
	struct cgroups_one *v; /* open addressing, at most half full */
	bool behind;           /* some were not told */
	/* what is gone, in that order; one that came back is no longer what it says */
	size_t tomb, n_tombs;
	struct cgroups_tomb tombs[CGROUPS_TOMBSTONES];
};

/* Three octal digits, as mountinfo writes blanks. */
static bool cgroups_octal(const char *p, char *ret)
{
	unsigned i, v = 0;

	for (i = 0; i < 3; i++) {
		if (p[i] < '0' || p[i] > '7')
			return false;
		v = v << 3 | (unsigned)(p[i] - '0');
	}
	*ret = (char)v;
	return true;
}

int cgroups_mount(struct str text, char *dst, size_t size)
{
	const char *p = text.p, *end = text.p + text.n;

	while (p && p < end) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		size_t len = (size_t)((nl ? nl : end) - p), n = 0, i;
		const char *dash = memmem(p, len, " - cgroup2 ", 11);
		const char *at = p;
		unsigned field;

		for (field = 0; dash && field < 4; field++) { /* the fifth is the mount point */
			at = memchr(at, ' ', (size_t)(dash - at));
			if (!at)
				break;
			at++;
		}
		if (dash && at) {
			for (i = 0; at + i < dash && at[i] != ' '; i++) {
				char c = at[i];

				if (c == '\\' && at + i + 3 < dash && cgroups_octal(at + i + 1, &c))
					i += 3;
				if (n == size - 1)
					return -ENAMETOOLONG;
				dst[n++] = c;
			}
			dst[n] = '\0';
			return 0;
		}
		p = nl ? nl + 1 : end;
	}
	return -ENOENT;
}

static void cgroups_find_mount(struct cgroups *c)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	struct buf b;

	if (!f)
		return;
	buf_init(&b, 4u << 20);
	while (!feof(f) && !ferror(f) && !b.err) {
		char chunk[4096];

		buf_put(&b, chunk, fread(chunk, 1, sizeof(chunk), f));
	}
	fclose(f);
	if (cgroups_mount(str_from(buf_text(&b)), c->mount, sizeof(c->mount)) < 0)
		c->mount[0] = '\0';
	buf_deinit(&b);
}

int cgroups_new(struct cgroups **ret, const char *mount)
{
	struct cgroups *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->mask = 255;
	c->walked_us = INT64_MIN;
	c->v = calloc(c->mask + 1, sizeof(*c->v));
	if (!c->v) {
		free(c);
		return -ENOMEM;
	}
	if (mount)
		snprintf(c->mount, sizeof(c->mount), "%s", mount);
	else
		cgroups_find_mount(c);
	*ret = c;
	return 0;
}

void cgroups_free(struct cgroups *c)
{
	size_t i;

	if (!c)
		return;
	for (i = 0; i <= c->mask; i++)
		free(c->v[i].path);
	free(c->v);
	free(c);
}

static struct cgroups_one *cgroups_find(struct cgroups_one *v, size_t mask, uint64_t id)
{
	size_t i;

	for (i = (id * 0x9e3779b97f4a7c15ull >> 32) & mask; v[i].id && v[i].id != id; i = (i + 1) & mask)
		;
	return &v[i];
}

static size_t cgroups_home(const struct cgroups *c, uint64_t id)
{
	return (id * 0x9e3779b97f4a7c15ull >> 32) & c->mask;
}

static int cgroups_grow(struct cgroups *c)
{
	size_t mask = c->mask * 2 + 1, i;
	struct cgroups_one *v = calloc(mask + 1, sizeof(*v));

	if (!v)
		return -ENOMEM;
	for (i = 0; i <= c->mask; i++)
		if (c->v[i].id)
			*cgroups_find(v, mask, c->v[i].id) = c->v[i];
	free(c->v);
	c->v = v;
	c->mask = mask;
	return 0;
}

static void cgroups_drop(struct cgroups *c, struct cgroups_one *o)
{
	size_t hole = (size_t)(o - c->v), i;

	free(o->path);
	c->n--;
	for (i = (hole + 1) & c->mask; c->v[i].id; i = (i + 1) & c->mask) { /* close the gap */
		if (((i - cgroups_home(c, c->v[i].id)) & c->mask) >= ((i - hole) & c->mask)) {
			c->v[hole] = c->v[i];
			hole = i;
		}
	}
	c->v[hole] = (struct cgroups_one){0};
}

/* The oldest tombstone falls. */
static void cgroups_fall(struct cgroups *c)
{
	const struct cgroups_tomb *t = &c->tombs[c->tomb];
	struct cgroups_one *o = cgroups_find(c->v, c->mask, t->id);

	if (o->id && o->gone_us == t->gone_us)
		cgroups_drop(c, o);
	c->tomb = (c->tomb + 1) % CGROUPS_TOMBSTONES;
	c->n_tombs--;
}

/* May move other entries. */
static void cgroups_bury(struct cgroups *c, struct cgroups_one *o, int64_t now_us)
{
	struct cgroups_tomb t = {o->id, now_us ? now_us : 1};

	o->gone_us = t.gone_us;
	if (c->n_tombs == CGROUPS_TOMBSTONES)
		cgroups_fall(c);
	c->tombs[(c->tomb + c->n_tombs++) % CGROUPS_TOMBSTONES] = t;
}

static void cgroups_expire(struct cgroups *c, int64_t now_us)
{
	while (c->n_tombs && now_us - c->tombs[c->tomb].gone_us > CGROUPS_TOMBSTONE_US)
		cgroups_fall(c);
}

static struct cgroups_one *cgroups_add(struct cgroups *c, uint64_t id, struct str path)
{
	struct cgroups_one *o = cgroups_find(c->v, c->mask, id);

	if (!o->id) {
		if (c->n >= CGROUPS_MAX || (c->n * 2 > c->mask && cgroups_grow(c) < 0))
			return NULL;
		o = cgroups_find(c->v, c->mask, id);
		o->path = strndup(path.n ? path.p : "", path.n);
		if (!o->path)
			return NULL;
		o->id = id;
		c->n++;
	} else if (!str_eq(str_from(o->path), path)) { /* known as one that is not there */
		char *copy = strndup(path.n ? path.p : "", path.n);

		if (copy) {
			free(o->path);
			o->path = copy;
		}
	}
	o->walk = c->walk;
	o->gone_us = 0;
	return o;
}

void cgroups_made(struct cgroups *c, uint64_t id, struct str path, int64_t now_us)
{
	cgroups_expire(c, now_us);
	if (id && path.n)
		(void)cgroups_add(c, id, path);
}

void cgroups_gone(struct cgroups *c, uint64_t id, int64_t now_us)
{
	struct cgroups_one *o = id ? cgroups_find(c->v, c->mask, id) : NULL;

	if (o && o->id && !o->gone_us)
		cgroups_bury(c, o, now_us);
}

size_t cgroups_count(const struct cgroups *c)
{
	return c->n;
}

/* The handle of a cgroup directory is its id on every kernel; st_ino is that from 5.5 on only. */
static uint64_t cgroups_id(int dir, const char *name)
{
	union {
		struct file_handle h;
		char room[sizeof(struct file_handle) + 8];
	} u;
	struct stat st;
	uint64_t id;
	int mount_id;

	u.h.handle_bytes = 8;
	if (name_to_handle_at(dir, name, &u.h, &mount_id, 0) == 0 && u.h.handle_bytes == 8) {
		memcpy(&id, u.h.f_handle, 8);
		return id;
	}
	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 ? st.st_ino : 0;
}

/* Directory `name` of `parent` and all below; path: where it is, grows and shrinks back. */
static void cgroups_walk(struct cgroups *c, int parent, const char *name, struct buf *path, unsigned depth)
{
	uint64_t id = cgroups_id(parent, name);
	size_t len = path->n;
	struct dirent *e;
	DIR *d;
	int fd;

	if (id)
		(void)cgroups_add(c, id, len ? (struct str){path->p, len} : STR("/"));
	fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	d = fd >= 0 ? fdopendir(fd) : NULL;
	if (!d) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while (depth < CGROUPS_DEPTH && (e = readdir(d))) {
		if (e->d_type != DT_DIR || e->d_name[0] == '.')
			continue;
		buf_char(path, '/');
		buf_str(path, str_from(e->d_name));
		if (!path->err)
			cgroups_walk(c, dirfd(d), e->d_name, path, depth + 1);
		path->n = len;
		path->err = 0;
	}
	closedir(d);
}

static void cgroups_refresh(struct cgroups *c, int64_t now_us)
{
	struct buf path;
	size_t i;

	c->walked_us = now_us;
	c->walk++;
	c->behind = false;
	cgroups_expire(c, now_us);
	buf_init(&path, 4096);
	cgroups_walk(c, AT_FDCWD, c->mount, &path, 0);
	buf_deinit(&path);
	for (i = 0; i <= c->mask; i++)
		if (c->v[i].id && c->v[i].walk != c->walk && !c->v[i].gone_us)
			cgroups_bury(c, &c->v[i], now_us);
}

static bool cgroups_due(const struct cgroups *c, int64_t now_us)
{
	return c->mount[0] && (c->walked_us == INT64_MIN || now_us - c->walked_us >= CGROUPS_AGAIN_US);
}

void cgroups_missed(struct cgroups *c)
{
	c->behind = true;
}

struct str cgroups_path(struct cgroups *c, uint64_t id, int64_t now_us)
{
	struct cgroups_one *o;

	if (!id || !c->mount[0])
		return (struct str){NULL, 0};
	cgroups_expire(c, now_us);
	o = cgroups_find(c->v, c->mask, id);
	if ((!o->id || c->behind) && cgroups_due(c, now_us)) {
		cgroups_refresh(c, now_us);
		o = cgroups_find(c->v, c->mask, id);
		if (!o->id) { /* not there: no walk for it again until the tombstone falls */
			o = cgroups_add(c, id, (struct str){NULL, 0});
			if (o)
				cgroups_bury(c, o, now_us);
			o = cgroups_find(c->v, c->mask, id);
		}
	}
	return o->id ? str_from(o->path) : (struct str){NULL, 0};
}
