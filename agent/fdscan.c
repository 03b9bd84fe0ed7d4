/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/fdscan.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FDSCAN_AGAIN_US (60 * 1000000ll)
#define FDSCAN_SHALLOW 64       /* descriptors of a process that a first walk looks at */
#define FDSCAN_CUT 64           /* processes with more that are remembered for the second */
#define FDSCAN_POOR_US 500000ll /* first wait before a poor answer is looked for again; doubles, seven times at most */

struct fdscan_one {
	uint32_t inode; /* 0: free */
	uint32_t pid;
	bool open;      /* wanted by the walk to come or under way */
	bool late;      /* asked for after the walk under way began */
	bool poor;      /* pid is one who makes sockets for others; a better one is looked for */
	uint8_t tries;  /* walks that found no better one */
	int64_t missed; /* when a whole walk did not find it, or only a poor one; 0 never */
};

struct fdscan {
	char root[64];
	size_t max, n, n_open;
	size_t mask;
	struct fdscan_one *v; /* open addressing, at most half full */
	DIR *proc;            /* a walk under way */
	DIR *fds;
	uint32_t pid;
	int8_t pid_poor;          /* -1: not looked at */
	unsigned pid_fds;         /* looked at so far */
	bool deep;                /* the walk is the second, over all descriptors */
	uint32_t cut[FDSCAN_CUT]; /* whom the first left before the end */
	unsigned n_cut;           /* more than FDSCAN_CUT: more than can be remembered */
};

int fdscan_new(struct fdscan **ret, const char *root, size_t max)
{
	struct fdscan *f = calloc(1, sizeof(*f));
	size_t cap = 64;

	if (!f)
		return -ENOMEM;
	while (cap < max * 2)
		cap *= 2;
	f->v = calloc(cap, sizeof(*f->v));
	if (!f->v) {
		free(f);
		return -ENOMEM;
	}
	f->max = max;
	f->mask = cap - 1;
	snprintf(f->root, sizeof(f->root), "%s", root);
	*ret = f;
	return 0;
}

static void fdscan_end(struct fdscan *f)
{
	if (f->fds)
		closedir(f->fds);
	if (f->proc)
		closedir(f->proc);
	f->fds = f->proc = NULL;
}

void fdscan_free(struct fdscan *f)
{
	if (!f)
		return;
	fdscan_end(f);
	free(f->v);
	free(f);
}

static size_t fdscan_home(const struct fdscan *f, uint32_t inode)
{
	return (inode * 2654435769u) & f->mask;
}

static struct fdscan_one *fdscan_find(struct fdscan *f, uint32_t inode)
{
	size_t i;

	for (i = fdscan_home(f, inode); f->v[i].inode && f->v[i].inode != inode; i = (i + 1) & f->mask)
		;
	return &f->v[i];
}

static void fdscan_ask(struct fdscan *f, struct fdscan_one *o)
{
	o->open = true;
	o->late = f->proc;
	f->n_open++;
}

uint32_t fdscan_pid(struct fdscan *f, uint32_t inode, int64_t now_us)
{
	struct fdscan_one *o;

	if (inode == 0)
		return 0;
	o = fdscan_find(f, inode);
	if (o->inode && o->pid)
		return o->pid;
	if (!o->inode) {
		if (f->n == f->max)
			return 0;
		*o = (struct fdscan_one){.inode = inode};
		f->n++;
	}
	if (!o->open && (o->missed == 0 || now_us - o->missed >= FDSCAN_AGAIN_US))
		fdscan_ask(f, o);
	return 0;
}

uint32_t fdscan_better(struct fdscan *f, uint32_t inode, int64_t now_us)
{
	uint32_t pid = fdscan_pid(f, inode, now_us);
	struct fdscan_one *o = pid ? fdscan_find(f, inode) : NULL;

	if (!o || !o->poor)
		return pid;
	if (!o->open && now_us - o->missed >= FDSCAN_POOR_US << o->tries)
		fdscan_ask(f, o);
	return 0;
}

void fdscan_gone(struct fdscan *f, uint32_t inode, int64_t now_us)
{
	struct fdscan_one *o = inode ? fdscan_find(f, inode) : NULL;

	if (!o || !o->inode || !o->pid)
		return;
	o->pid = 0;
	o->poor = false;
	o->tries = 0;
	o->missed = 0;
	(void)fdscan_pid(f, inode, now_us);
}

void fdscan_forget(struct fdscan *f, uint32_t inode)
{
	size_t i, hole, home;
	struct fdscan_one *o = inode ? fdscan_find(f, inode) : NULL;

	if (!o || !o->inode)
		return;
	f->n_open -= o->open;
	f->n--;
	hole = (size_t)(o - f->v);
	for (i = (hole + 1) & f->mask; f->v[i].inode; i = (i + 1) & f->mask) { /* close the gap */
		home = fdscan_home(f, f->v[i].inode);
		if (((i - home) & f->mask) >= ((i - hole) & f->mask)) {
			f->v[hole] = f->v[i];
			hole = i;
		}
	}
	f->v[hole] = (struct fdscan_one){0};
}

uint32_t fdscan_inode(const char *link)
{
	unsigned long v;
	int n = 0;

	if (sscanf(link, "socket:[%lu]%n", &v, &n) != 1 || !n || link[n] || v > UINT32_MAX)
		return 0;
	return (uint32_t)v;
}

/* Init and its like make sockets and hand them over: who else holds one is the one that serves it. */
static bool fdscan_hands_over(struct fdscan *f)
{
	char path[128], comm[32] = "";
	FILE *file;

	if (f->pid_poor >= 0)
		return f->pid_poor;
	snprintf(path, sizeof(path), "%s/%u/comm", f->root, f->pid);
	file = fopen(path, "re");
	if (file && !fgets(comm, sizeof(comm), file))
		comm[0] = '\0';
	if (file)
		fclose(file);
	f->pid_poor = f->pid == 1 || strcmp(comm, "systemd\n") == 0;
	return f->pid_poor;
}

static void fdscan_look(struct fdscan *f, const char *name)
{
	struct fdscan_one *o;
	uint32_t inode;
	char link[64];
	ssize_t n = readlinkat(dirfd(f->fds), name, link, sizeof(link) - 1);

	if (n < 0 && errno == EACCES) { /* what holds for one descriptor holds for all of the process */
		closedir(f->fds);
		f->fds = NULL;
	}
	if (n <= 0)
		return;
	link[n] = '\0';
	inode = fdscan_inode(link);
	o = inode ? fdscan_find(f, inode) : NULL;
	if (!o || !o->inode || !o->open)
		return;
	o->poor = fdscan_hands_over(f);
	o->pid = f->pid;
	if (o->poor)
		return; /* unless the rest of the walk finds another */
	o->open = false;
	f->n_open--;
}

/* A whole walk is done: what was asked for before it began is not there, the rest is looked for by another one. */
static void fdscan_missed(struct fdscan *f, int64_t now_us)
{
	size_t i;

	fdscan_end(f);
	f->deep = false;
	for (i = 0; i <= f->mask; i++) {
		struct fdscan_one *o = &f->v[i];

		if (!o->inode || !o->open)
			continue;
		if (!o->late) {
			o->open = false;
			o->missed = now_us;
			o->tries += o->tries < 7;
			f->n_open--;
		}
		o->late = false;
	}
}

/* False: the first walk saw all of it. */
static bool fdscan_was_cut(const struct fdscan *f, uint32_t pid)
{
	unsigned i;

	for (i = 0; i < f->n_cut && i < FDSCAN_CUT && f->cut[i] != pid; i++)
		;
	return i < f->n_cut;
}

static void fdscan_cut(struct fdscan *f)
{
	if (f->n_cut < FDSCAN_CUT)
		f->cut[f->n_cut] = f->pid;
	f->n_cut++;
}

/* The next process with readable descriptors; false at the end. */
static bool fdscan_process(struct fdscan *f)
{
	struct dirent *e;
	char path[128];

	while ((e = readdir(f->proc))) {
		if (e->d_name[0] < '1' || e->d_name[0] > '9' || strlen(e->d_name) > 10)
			continue;
		f->pid = (uint32_t)strtoul(e->d_name, NULL, 10);
		if (f->deep && !fdscan_was_cut(f, f->pid))
			continue;
		snprintf(path, sizeof(path), "%s/%.10s/fd", f->root, e->d_name);
		f->fds = opendir(path);
		if (!f->fds)
			continue;
		f->pid_poor = -1;
		f->pid_fds = 0;
		return true;
	}
	return false;
}

static bool fdscan_begin(struct fdscan *f, bool deep)
{
	fdscan_end(f);
	f->proc = opendir(f->root);
	f->deep = deep;
	if (!deep)
		f->n_cut = 0;
	return f->proc;
}

/* Two walks: what is made to be handed over is among the first descriptors of whoever has it, and one process with very many
 * is not to keep it waiting. The second is over those with more only. */
bool fdscan_step(struct fdscan *f, size_t fds, int64_t now_us)
{
	struct dirent *e;

	if (f->n_open == 0) {
		fdscan_end(f);
		return false;
	}
	if (!f->proc && !fdscan_begin(f, false))
		return false;
	while (fds > 0 && f->n_open > 0) {
		if (!f->fds && !fdscan_process(f)) {
			if (!f->deep && f->n_cut && fdscan_begin(f, true))
				continue;
			fdscan_missed(f, now_us);
			return f->n_open > 0;
		}
		e = readdir(f->fds);
		if (e && !f->deep && f->pid_fds++ == FDSCAN_SHALLOW) {
			fdscan_cut(f);
			e = NULL;
		}
		if (!e) {
			closedir(f->fds);
			f->fds = NULL;
		} else if (e->d_name[0] != '.') {
			fdscan_look(f, e->d_name);
		}
		fds--;
	}
	return f->n_open > 0;
}
