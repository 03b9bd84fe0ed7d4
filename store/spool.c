/* SPDX-License-Identifier: Apache-2.0 */
#include "store/spool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"

#define SPOOL_BATCH_MAX (256u << 20)

struct spool {
	char *folder;
	int dir, lock;
	uint64_t max, bytes;
	uint64_t first, end; /* numbers of the files there are: [first, end) with holes */
	uint64_t size;       /* of the oldest, as taken */
	char error[256];
	/* The batch in hand. */
	struct buf file;
	struct flow_edge *edges, *pairs;
	struct flow_ledger *ledgers;
	struct flow_host *hosts;
	struct flow_listener *listeners;
};

static void spool_name(uint64_t number, char dst[32])
{
	snprintf(dst, 32, "batch-%016llx", (unsigned long long)number);
}

static int spool_fail(struct spool *sp, const char *what, int r)
{
	snprintf(sp->error, sizeof(sp->error), "%.150s: %s: %s", sp->folder, what, strerror(-r));
	return r;
}

static int spool_look(struct spool *sp)
{
	DIR *d = opendir(sp->folder);
	struct dirent *e;

	if (!d)
		return -errno;
	sp->first = UINT64_MAX;
	while ((e = readdir(d))) {
		unsigned long long number;
		struct stat st;
		int end = -1;

		if (sscanf(e->d_name, "batch-%16llx%n", &number, &end) != 1 || end != 22 || e->d_name[end] ||
		    fstatat(sp->dir, e->d_name, &st, 0))
			continue;
		sp->bytes += (uint64_t)st.st_size;
		sp->first = number < sp->first ? number : sp->first;
		sp->end = number >= sp->end ? number + 1 : sp->end;
	}
	closedir(d);
	if (sp->first == UINT64_MAX)
		sp->first = sp->end;
	return 0;
}

int spool_open(struct spool **ret, const char *folder, uint64_t max_bytes, char *why, size_t why_len)
{
	struct spool *sp = calloc(1, sizeof(*sp));
	int r = -ENOMEM;

	if (!sp)
		return r;
	sp->dir = sp->lock = -1;
	sp->max = max_bytes;
	buf_init(&sp->file, SPOOL_BATCH_MAX);
	sp->folder = strdup(folder);
	if (!sp->folder)
		goto out;
	r = mkdir(folder, 0700) && errno != EEXIST ? -errno : 0;
	if (!r && ((sp->dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0 ||
		   (sp->lock = openat(sp->dir, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600)) < 0 ||
		   flock(sp->lock, LOCK_EX | LOCK_NB)))
		r = errno == EWOULDBLOCK ? -EBUSY : -errno;
	if (!r)
		r = spool_look(sp);
out:
	if (r) {
		snprintf(why, why_len, "the spool folder %.200s cannot be used: %s; name another or fix its owner",
			 folder, r == -EBUSY ? "another process has it" : strerror(-r));
		spool_close(sp);
		return r;
	}
	*ret = sp;
	return 0;
}

static void spool_drop(struct spool *sp)
{
	free(sp->edges);
	free(sp->pairs);
	free(sp->ledgers);
	free(sp->hosts);
	free(sp->listeners);
	sp->edges = sp->pairs = NULL;
	sp->ledgers = NULL;
	sp->hosts = NULL;
	sp->listeners = NULL;
}

void spool_close(struct spool *sp)
{
	if (!sp)
		return;
	spool_drop(sp);
	buf_deinit(&sp->file);
	if (sp->lock >= 0)
		close(sp->lock);
	if (sp->dir >= 0)
		close(sp->dir);
	free(sp->folder);
	free(sp);
}

static void spool_message(struct buf *b, enum flow_msg_type type, const void *record)
{
	size_t at = b->n;
	uint32_t n;

	if (!buf_grow(b, 4))
		return;
	flow_msg_encode(b, type, record);
	n = (uint32_t)(b->n - at - 4);
	if (!b->err)
		memcpy(b->p + at, &n, 4);
}

static void spool_encode(struct buf *b, const struct store_batch *batch)
{
	uint64_t sum;

	buf_clear(b);
	for (size_t i = 0; i < batch->n_edges; i++)
		spool_message(b, FLOW_MSG_EDGE, &batch->edges[i]);
	for (size_t i = 0; i < batch->n_pairs; i++)
		spool_message(b, FLOW_MSG_PAIR, &batch->pairs[i]);
	for (size_t i = 0; i < batch->n_ledgers; i++)
		spool_message(b, FLOW_MSG_LEDGER, &batch->ledgers[i]);
	for (size_t i = 0; i < batch->n_hosts; i++)
		spool_message(b, FLOW_MSG_HOST, &batch->hosts[i]);
	for (size_t i = 0; i < batch->n_listeners; i++)
		spool_message(b, FLOW_MSG_LISTENER, &batch->listeners[i]);
	sum = hash64(b->p, b->n);
	buf_put(b, &sum, sizeof(sum));
}

static int spool_write(struct spool *sp)
{
	int fd = openat(sp->dir, "new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), r = 0;
	char name[32];

	if (fd < 0)
		return -errno;
	for (size_t at = 0; at < sp->file.n;) {
		ssize_t n = write(fd, sp->file.p + at, sp->file.n - at);

		if (n < 0) {
			r = -errno;
			break;
		}
		at += (size_t)n;
	}
	if (!r && fsync(fd))
		r = -errno;
	close(fd);
	spool_name(sp->end, name);
	if (!r && renameat(sp->dir, "new", sp->dir, name))
		r = -errno;
	if (!r && fsync(sp->dir))
		r = -errno;
	return r;
}

int spool_put(struct spool *sp, const struct store_batch *b)
{
	int r;

	spool_encode(&sp->file, b);
	if (sp->file.err)
		return spool_fail(sp, "a batch is too large", -E2BIG);
	if (sp->bytes + sp->file.n > sp->max) {
		snprintf(sp->error, sizeof(sp->error), "%.150s is full (%llu bytes): what comes waits on the bus",
			 sp->folder, (unsigned long long)sp->bytes);
		return -ENOSPC;
	}
	r = spool_write(sp);
	if (r)
		return spool_fail(sp, "cannot be written", r);
	sp->bytes += sp->file.n;
	sp->end++;
	return 0;
}

/* Reads the file into sp->file; -ENOENT: a hole. */
static int spool_read(struct spool *sp, const char *name)
{
	int fd = openat(sp->dir, name, O_RDONLY | O_CLOEXEC), r = 0;
	struct stat st;
	char *to;

	if (fd < 0)
		return -errno;
	buf_clear(&sp->file);
	if (fstat(fd, &st))
		r = -errno;
	to = r ? NULL : buf_grow(&sp->file, (size_t)st.st_size);
	if (!r && !to)
		r = -ENOMEM;
	if (!r && read(fd, to, (size_t)st.st_size) != st.st_size)
		r = -EIO;
	sp->size = sp->file.n;
	close(fd);
	return r;
}

struct counts {
	size_t of[FLOW_MSG_TYPES];
};

/* Once to count, once to take. */
static int spool_walk(struct spool *sp, struct flow_msg *m, struct counts *c, struct store_batch *to)
{
	size_t end = sp->file.n - 8;
	uint32_t n;

	for (size_t at = 0; at < end; at += n) {
		if (end - at < 4)
			return -EBADMSG;
		memcpy(&n, sp->file.p + at, 4);
		at += 4;
		if (n > end - at || flow_msg_decode(sp->file.p + at, n, m))
			return -EBADMSG;
		if (!to) {
			c->of[m->type]++;
			continue;
		}
		switch (m->type) {
		case FLOW_MSG_EDGE:
			sp->edges[to->n_edges++] = m->edge;
			break;
		case FLOW_MSG_PAIR:
			sp->pairs[to->n_pairs++] = m->edge;
			break;
		case FLOW_MSG_LEDGER:
			sp->ledgers[to->n_ledgers++] = m->ledger;
			break;
		case FLOW_MSG_HOST:
			sp->hosts[to->n_hosts++] = m->host;
			break;
		case FLOW_MSG_LISTENER:
			sp->listeners[to->n_listeners++] = m->listener;
			break;
		default:
			return -EBADMSG;
		}
	}
	return 0;
}

static int spool_decode(struct spool *sp, struct store_batch *ret)
{
	struct flow_msg *m = malloc(sizeof(*m));
	struct counts c = {{0}};
	uint64_t sum;
	int r = -EBADMSG;

	*ret = (struct store_batch){0};
	spool_drop(sp);
	if (!m)
		return -ENOMEM;
	if (sp->file.n >= 8) {
		memcpy(&sum, sp->file.p + sp->file.n - 8, 8);
		if (sum == hash64(sp->file.p, sp->file.n - 8))
			r = spool_walk(sp, m, &c, NULL);
	}
	if (!r) {
		sp->edges = calloc(c.of[FLOW_MSG_EDGE] + 1, sizeof(*sp->edges));
		sp->pairs = calloc(c.of[FLOW_MSG_PAIR] + 1, sizeof(*sp->pairs));
		sp->ledgers = calloc(c.of[FLOW_MSG_LEDGER] + 1, sizeof(*sp->ledgers));
		sp->hosts = calloc(c.of[FLOW_MSG_HOST] + 1, sizeof(*sp->hosts));
		sp->listeners = calloc(c.of[FLOW_MSG_LISTENER] + 1, sizeof(*sp->listeners));
		r = sp->edges && sp->pairs && sp->ledgers && sp->hosts && sp->listeners ? spool_walk(sp, m, &c, ret)
											: -ENOMEM;
	}
	ret->edges = sp->edges;
	ret->pairs = sp->pairs;
	ret->ledgers = sp->ledgers;
	ret->hosts = sp->hosts;
	ret->listeners = sp->listeners;
	free(m);
	return r;
}

int spool_oldest(struct spool *sp, struct store_batch *ret)
{
	char name[32], aside[40];
	int r = -ENOENT;

	for (; sp->first < sp->end; sp->first++) {
		spool_name(sp->first, name);
		r = spool_read(sp, name);
		if (r != -ENOENT)
			break;
	}
	if (sp->first == sp->end)
		return -ENOENT;
	if (!r)
		r = spool_decode(sp, ret);
	if (r == -EBADMSG) {
		snprintf(aside, sizeof(aside), "damaged-%s", name);
		(void)renameat(sp->dir, name, sp->dir, aside);
		sp->bytes -= sp->size < sp->bytes ? sp->size : sp->bytes;
		sp->first++;
		snprintf(sp->error, sizeof(sp->error), "%.150s: %s is damaged and was set aside", sp->folder, name);
	} else if (r) {
		spool_fail(sp, "cannot be read", r);
	}
	return r;
}

void spool_done(struct spool *sp)
{
	char name[32];

	spool_name(sp->first++, name);
	(void)unlinkat(sp->dir, name, 0);
	sp->bytes -= sp->size < sp->bytes ? sp->size : sp->bytes;
}

uint64_t spool_bytes(const struct spool *sp)
{
	return sp->bytes;
}

const char *spool_error(const struct spool *sp)
{
	return sp->error;
}
