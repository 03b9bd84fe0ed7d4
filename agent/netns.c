/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/netns.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/pids.h"
#include "base/table.h"

/* Where programs keep namespaces by name: iproute2, docker. */
static const char *const netns_folders[] = {"/run/netns", "/run/docker/netns"};

uint32_t netns_self(void)
{
	struct stat st;

	return stat("/proc/self/ns/net", &st) == 0 ? (uint32_t)st.st_ino : 0;
}

/* A file of nsfs is the namespace; a name whose namespace was unmounted is an ordinary file on another device. */
static int netns_inum(const char *path, uint32_t *ret)
{
	struct stat st, own;

	if (stat(path, &st) < 0)
		return -errno;
	if (stat("/proc/self/ns/net", &own) < 0)
		return -errno;
	if (st.st_dev != own.st_dev)
		return -EINVAL;
	*ret = (uint32_t)st.st_ino;
	return 0;
}

int netns_resolve(const char *text, uint32_t *ret_inum, char *why, size_t why_len)
{
	char path[NETNS_PATH];
	int r;

	if (text[0] && strspn(text, "0123456789") == strlen(text)) {
		unsigned long long v = strtoull(text, NULL, 10);

		if (v == 0 || v > UINT32_MAX) {
			snprintf(why, why_len, "'%s' is not the inode number of a network namespace", text);
			return -EINVAL;
		}
		*ret_inum = (uint32_t)v;
		return 0;
	}
	if (snprintf(path, sizeof(path), strchr(text, '/') ? "%s" : "/run/netns/%s", text) >= (int)sizeof(path)) {
		snprintf(why, why_len, "the name of the network namespace is too long");
		return -ENAMETOOLONG;
	}
	r = netns_inum(path, ret_inum);
	if (r == -EINVAL)
		snprintf(why, why_len, "%s is not a network namespace", path);
	else if (r < 0)
		snprintf(why, why_len, "cannot open the network namespace '%s': %s (see `ip netns`)", text,
			 strerror(-r));
	return r;
}

static bool netns_wanted(uint32_t inum, const uint32_t *only, size_t n_only)
{
	size_t i;

	for (i = 0; i < n_only; i++)
		if (only[i] == inum)
			return true;
	return n_only == 0;
}

static int netns_add(struct netns_set *set, uint32_t inum, const char *path)
{
	struct netns *v;
	size_t i;

	for (i = set->n; i-- > 0;)
		if (set->v[i].inum == inum)
			return 0;
	if (set->n == NETNS_MAX) {
		set->full++;
		return 0;
	}
	if ((set->n & (set->n - 1)) == 0) { /* grows at powers of two */
		v = reallocarray(set->v, set->n ? set->n * 2 : 1, sizeof(*v));
		if (!v)
			return -ENOMEM;
		set->v = v;
	}
	set->v[set->n].inum = inum;
	snprintf(set->v[set->n].path, NETNS_PATH, "%s", path);
	set->n++;
	return 0;
}

static int netns_scan_names(struct netns_set *set, const char *folder, const uint32_t *only, size_t n_only)
{
	DIR *d = opendir(folder);
	struct dirent *e;
	int r = 0;

	if (!d)
		return 0;
	while (r == 0 && (e = readdir(d))) {
		char path[NETNS_PATH];
		uint32_t inum = 0;

		if (e->d_name[0] == '.' ||
		    snprintf(path, sizeof(path), "%s/%s", folder, e->d_name) >= (int)sizeof(path))
			continue;
		if (netns_inum(path, &inum) == 0 && netns_wanted(inum, only, n_only))
			r = netns_add(set, inum, path);
	}
	closedir(d);
	return r;
}

/* Adds the namespace of a process. last: the one found last, neighbours mostly share it. */
static int netns_add_process(struct netns_set *set, const char *pid, uint32_t *last, const uint32_t *only,
			     size_t n_only)
{
	char path[NETNS_PATH], link[64];
	unsigned long inum;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%.10s/ns/net", pid);
	n = readlink(path, link, sizeof(link) - 1);
	if (n < 0) {
		set->hidden += errno == EACCES || errno == EPERM;
		return 0;
	}
	link[n] = '\0';
	if (sscanf(link, "net:[%lu]", &inum) != 1 || inum == *last)
		return 0;
	*last = (uint32_t)inum;
	return netns_wanted(*last, only, n_only) ? netns_add(set, *last, path) : 0;
}

/* The next `max` processes of the folder; ret_end: there are no more. */
static int netns_scan_some(struct netns_set *set, DIR *d, size_t max, const uint32_t *only, size_t n_only,
			   bool *ret_end)
{
	uint32_t last = 0;
	struct dirent *e = NULL;
	int r = 0;

	while (r == 0 && max > 0 && (e = readdir(d))) {
		if (e->d_name[0] < '0' || e->d_name[0] > '9' || strlen(e->d_name) > 10)
			continue;
		set->processes++;
		max--;
		r = netns_add_process(set, e->d_name, &last, only, n_only);
	}
	*ret_end = max > 0 && !e;
	return r;
}

static int netns_scan_proc(struct netns_set *set, const uint32_t *only, size_t n_only)
{
	DIR *d = opendir("/proc");
	bool end;
	int r;

	if (!d)
		return -errno;
	set->processes = 0;
	r = netns_scan_some(set, d, SIZE_MAX, only, n_only, &end);
	closedir(d);
	return r;
}

struct netns_news {
	struct netns_set *set;
	const uint32_t *only;
	size_t n_only;
	uint32_t last;
};

static int netns_add_new(void *arg, uint32_t pid)
{
	struct netns_news *n = arg;
	char text[16];

	snprintf(text, sizeof(text), "%u", pid);
	return netns_add_process(n->set, text, &n->last, n->only, n->n_only);
}

/* Memory that is out leaves it to the slices. */
static void netns_pids(struct netns_set *set)
{
	set->pids = malloc(sizeof(*set->pids));
	if (set->pids && pids_init(set->pids, "/proc") < 0) {
		free(set->pids);
		set->pids = NULL;
	}
}

static int netns_scan_new(struct netns_set *set, const uint32_t *only, size_t n_only)
{
	struct netns_news n = {set, only, n_only, 0};
	uint32_t from = set->past_pid, to;

	if (!set->pids)
		netns_pids(set);
	to = set->pids ? pids_last(set->pids) : 0;
	set->past_pid = set->last_pid;
	set->last_pid = to;
	return from && to && from != to ? pids_between(set->pids, from, to, netns_add_new, &n) : 0;
}

static size_t netns_slice(size_t processes)
{
	size_t n = processes / 16;

	return n < NETNS_SLICE ? NETNS_SLICE : n > NETNS_SLICE_MAX ? NETNS_SLICE_MAX : n;
}

/* Each is still where it was found. */
static bool netns_there(const struct netns_set *set)
{
	uint32_t inum;
	size_t i;

	for (i = 0; i < set->n; i++)
		if (set->v[i].path[0] && (netns_inum(set->v[i].path, &inum) < 0 || inum != set->v[i].inum))
			return false;
	return true;
}

int netns_scan(struct netns_set *set, const uint32_t *only, size_t n_only)
{
	uint32_t self = netns_self();
	size_t i;
	int r = 0;

	set->n = 0;
	set->hidden = set->full = 0;
	if (self && netns_wanted(self, only, n_only))
		r = netns_add(set, self, "");
	for (i = 0; r == 0 && i < ARRAY_LEN(netns_folders); i++)
		r = netns_scan_names(set, netns_folders[i], only, n_only);
	if (r == 0)
		r = netns_scan_proc(set, only, n_only);
	return r;
}

int netns_again(struct netns_set *set, const uint32_t *only, size_t n_only)
{
	size_t processes = set->processes, i;
	uint64_t hidden = set->hidden, full = set->full;
	bool end = false;
	int r = 0;

	r = netns_scan_new(set, only, n_only);
	if (r < 0)
		return r;
	if (processes == 0 || set->n == 0 || !netns_there(set))
		return netns_scan(set, only, n_only);
	if (!set->proc)
		set->proc = opendir("/proc");
	for (i = 0; r == 0 && i < ARRAY_LEN(netns_folders); i++)
		r = netns_scan_names(set, netns_folders[i], only, n_only);
	if (r == 0 && set->proc)
		r = netns_scan_some(set, set->proc, netns_slice(processes), only, n_only, &end);
	if (end) { /* once round: from the beginning the next time */
		closedir(set->proc);
		set->proc = NULL;
	}
	set->processes = processes;
	set->hidden = hidden;
	set->full = full;
	return r;
}

void netns_set_deinit(struct netns_set *set)
{
	if (set->proc)
		closedir(set->proc);
	if (set->pids)
		pids_deinit(set->pids);
	free(set->pids);
	free(set->v);
	*set = (struct netns_set){0};
}

struct netns_call {
	const struct netns *ns;
	int (*fn)(void *arg);
	void *arg;
	int r;
};

static void *netns_thread(void *arg)
{
	struct netns_call *c = arg;
	struct stat st;
	int fd;

	if (c->ns->path[0]) {
		fd = open(c->ns->path, O_RDONLY | O_CLOEXEC);
		if (fd < 0) {
			c->r = -errno;
			return NULL;
		}
		/* the process of the path may be another one by now */
		c->r = fstat(fd, &st) < 0 ? -errno : (uint32_t)st.st_ino != c->ns->inum ? -ENOENT : 0;
		if (c->r == 0 && setns(fd, CLONE_NEWNET) < 0)
			c->r = -errno;
		close(fd);
		if (c->r < 0)
			return NULL;
	}
	c->r = c->fn(c->arg);
	return NULL;
}

int netns_run(const struct netns *ns, int (*fn)(void *arg), void *arg)
{
	struct netns_call c = {ns, fn, arg, 0};
	pthread_t t;
	int r;

	if (!ns->path[0])
		return fn(arg);
	r = pthread_create(&t, NULL, netns_thread, &c);
	if (r)
		return -r;
	pthread_join(t, NULL);
	return c.r;
}
