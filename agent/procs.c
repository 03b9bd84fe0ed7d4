/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/procs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agent/cgpath.h"
#include "agent/pids.h"

#define PROCS_WAYS 8            /* places a pid may have in its bucket */
#define PROCS_READ (64u * 1024) /* bytes of an environment that are looked at */
#define PROCS_YOUNG_MS 1000

struct procs {
	struct pids pids;
	bool v1; /* there are hierarchies besides v2: what a process says of its own may name it when it is gone */
	uint64_t epoch, clock;
	size_t buckets;
	struct procs_one *v; /* buckets x PROCS_WAYS */
	/* watching: the pid made last at the former look, and who was new then */
	uint32_t last_pid;
	uint32_t recent[PROCS_NEW];
	unsigned n_recent;
	char buf[PROCS_READ];
};

/* A file of a process into p->buf, which these files give in one go; n 0 when it cannot be read. */
static struct str procs_read(struct procs *p, const char *pid, const char *file)
{
	char path[64];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", pid, file);
	fd = p->pids.fd < 0 ? -1 : openat(p->pids.fd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return (struct str){NULL, 0};
	n = read(fd, p->buf, sizeof(p->buf));
	close(fd);
	return (struct str){p->buf, n > 0 ? (size_t)n : 0};
}

static struct str procs_read_of(struct procs *p, uint32_t pid, const char *file)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", pid);
	return procs_read(p, text, file);
}

/* The host has v1 hierarchies, or does not say. */
static bool procs_has_v1(struct procs *p)
{
	struct str text = procs_read(p, "self", "cgroup");

	return text.n < 3 || memcmp(text.p, "0::", 3) != 0 ||
	       (const char *)memchr(text.p, '\n', text.n) != text.p + text.n - 1;
}

int procs_new(struct procs **ret, const char *root, size_t max)
{
	struct procs *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	(void)pids_init(&p->pids, root); /* without it no process is known */
	p->buckets = (max + PROCS_WAYS - 1) / PROCS_WAYS;
	p->v = calloc(p->buckets * PROCS_WAYS, sizeof(*p->v));
	if (!p->v) {
		procs_free(p);
		return -ENOMEM;
	}
	p->v1 = procs_has_v1(p);
	*ret = p;
	return 0;
}

void procs_free(struct procs *p)
{
	if (!p)
		return;
	pids_deinit(&p->pids);
	free(p->v);
	free(p);
}

void procs_begin(struct procs *p)
{
	p->epoch++;
}

int procs_stat(struct str text, char ret_comm[16], uint64_t *ret_start)
{
	const char *open = text.n ? memchr(text.p, '(', text.n) : NULL;
	const char *close = text.n ? memrchr(text.p, ')', text.n) : NULL; /* the name may hold any of these */
	const char *p, *end = text.p + text.n;
	uint64_t start = 0;
	unsigned field;

	if (!open || !close || close < open)
		return -EBADMSG;
	p = close + 1;
	if (end - p >= 2 && p[0] == ' ' && (p[1] == 'Z' || p[1] == 'X'))
		return -ESRCH;
	for (field = 2; field < 22; field++) { /* proc(5): the name is field 2, the start time 22 */
		p = p < end ? memchr(p, ' ', (size_t)(end - p)) : NULL;
		if (!p)
			return -EBADMSG;
		p++;
	}
	if (p == end || *p < '0' || *p > '9')
		return -EBADMSG;
	for (; p < end && *p >= '0' && *p <= '9'; p++)
		start = start * 10 + (uint64_t)(*p - '0');
	str_copy(ret_comm, 16, (struct str){open + 1, (size_t)(close - open - 1)});
	*ret_start = start;
	return 0;
}

uint64_t procs_environ(struct str text)
{
	const char *p = text.n ? memrchr(text.p, ')', text.n) : NULL, *end = text.p + text.n;
	unsigned field;
	uint64_t v = 0;

	for (field = 2; p && field < 50; field++) {
		p = p < end ? memchr(p, ' ', (size_t)(end - p)) : NULL;
		p = p ? p + 1 : NULL;
	}
	for (; p && p < end && *p >= '0' && *p <= '9'; p++)
		v = v * 10 + (uint64_t)(*p - '0');
	return v;
}

struct str procs_cgroup(struct str text, bool *ret_v2)
{
	const char *p = text.p, *end = text.p + text.n;
	struct str best = {NULL, 0};
	int best_rank = 0;

	while (p < end) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		const char *stop = nl ? nl : end;
		const char *first = memchr(p, ':', (size_t)(stop - p));
		const char *second = first ? memchr(first + 1, ':', (size_t)(stop - first - 1)) : NULL;

		if (second && stop - second > 2) { /* more than ":/" */
			struct str what = {first + 1, (size_t)(second - first - 1)};
			int rank = what.n == 0 ? 3 : str_eq(what, STR("name=systemd")) ? 2 : 1;

			if (rank > best_rank) {
				best = (struct str){second + 1, (size_t)(stop - second - 1)};
				best_rank = rank;
			}
		}
		p = nl ? nl + 1 : end;
	}
	*ret_v2 = best_rank == 3;
	return best;
}

struct str procs_service(struct str block)
{
	static const struct str name = {"SKYFALL_SERVICE=", 16};
	const char *p = block.p, *end = block.p + block.n;

	while (p < end) {
		const char *zero = memchr(p, '\0', (size_t)(end - p));
		struct str v = {p, (size_t)((zero ? zero : end) - p)};

		if (v.n > name.n && memcmp(v.p, name.p, name.n) == 0)
			return (struct str){v.p + name.n, v.n - name.n};
		p = zero ? zero + 1 : end;
	}
	return (struct str){NULL, 0};
}

static struct procs_one *procs_place(struct procs *p, uint32_t pid, bool *ret_known)
{
	struct procs_one *v = p->v + pid % p->buckets * PROCS_WAYS, *oldest = v;
	unsigned i;

	for (i = 0; i < PROCS_WAYS; i++) {
		if (v[i].pid == pid) {
			*ret_known = true;
			return &v[i];
		}
		if (v[i].used < oldest->used)
			oldest = &v[i];
	}
	*ret_known = false;
	return oldest;
}

static bool procs_young(uint64_t start_ticks)
{
	long hz = sysconf(_SC_CLK_TCK);
	struct timespec t;
	int64_t age_ms;

	clock_gettime(CLOCK_BOOTTIME, &t);
	age_ms = (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000 - (int64_t)(start_ticks * 1000 / (uint64_t)hz);
	return age_ms < PROCS_YOUNG_MS;
}

/* A path too long for its place is cut in front, between two folders: it is the end that names. */
static void procs_place_cgroup(struct procs *p, struct procs_one *o, struct str path, bool v2)
{
	o->placed = p->epoch;
	o->v2 = v2;
	if (path.n >= sizeof(o->cgroup)) {
		const char *from = path.p + path.n - (sizeof(o->cgroup) - 1);
		const char *slash = memchr(from, '/', (size_t)(path.p + path.n - from));

		path = slash ? (struct str){slash, (size_t)(path.p + path.n - slash)} : (struct str){path.p, 0};
	}
	str_copy(o->cgroup, sizeof(o->cgroup), path);
}

static void procs_fill(struct procs *p, struct procs_one *o)
{
	struct str path;
	bool v2;

	(void)cgpath_clean(procs_service(procs_read_of(p, o->pid, "environ")), o->service, sizeof(o->service));
	if (p->v1) { /* else it is read when it is asked for: the kernel says where sockets live */
		path = procs_cgroup(procs_read_of(p, o->pid, "cgroup"), &v2);
		procs_place_cgroup(p, o, path, v2);
	}
	o->young = procs_young(o->start);
}

/* What was read of it holds: the same process, and the same program in it. */
static bool procs_same(const struct procs_one *o, const struct procs_one *now)
{
	if (o->start != now->start || strcmp(o->comm, now->comm) != 0)
		return false;
	return now->environ ? o->environ == now->environ : !o->young;
}

const struct procs_one *procs_get(struct procs *p, uint32_t pid, const char *comm)
{
	struct procs_one *o, new = {0};
	struct str text;
	bool known;

	if (pid == 0)
		return NULL;
	o = procs_place(p, pid, &known);
	if (known && o->epoch == p->epoch && (o->alive || !comm || strncmp(comm, o->comm, sizeof(o->comm)) == 0))
		goto found;
	text = procs_read_of(p, pid, "stat");
	if (procs_stat(text, new.comm, &new.start) < 0) { /* gone: what is remembered, if it was the same one */
		if (!known || (comm && strncmp(comm, o->comm, sizeof(o->comm)) != 0))
			return NULL;
		o->alive = false;
		o->epoch = p->epoch;
		goto found;
	}
	new.environ = procs_environ(text);
	if (!known || !procs_same(o, &new)) {
		new.pid = pid;
		procs_fill(p, &new);
		*o = new;
	}
	o->alive = true;
	o->epoch = p->epoch;
found:
	o->used = ++p->clock;
	return o;
}

void procs_moved(struct procs *p, uint32_t pid)
{
	struct procs_one *o;
	struct str path;
	bool known, v2;

	o = pid ? procs_place(p, pid, &known) : NULL;
	if (!o || !known || !o->alive || o->placed == p->epoch)
		return;
	path = procs_cgroup(procs_read_of(p, pid, "cgroup"), &v2);
	if (path.n)
		procs_place_cgroup(p, o, path, v2);
}

static int procs_new_one(void *arg, uint32_t pid)
{
	struct procs *p = arg;

	if (p->n_recent == PROCS_NEW)
		return 1;
	p->recent[p->n_recent++] = pid;
	(void)procs_get(p, pid, NULL);
	return 0;
}

void procs_watch(struct procs *p)
{
	uint32_t from = p->last_pid, to = pids_last(&p->pids);
	unsigned i, again = p->n_recent;

	p->epoch++;
	for (i = 0; i < again; i++)
		(void)procs_get(p, p->recent[i], NULL);
	p->n_recent = 0;
	p->last_pid = to;
	if (from && to && from != to)
		(void)pids_between(&p->pids, from, to, procs_new_one, p);
}
