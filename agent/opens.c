/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/opens.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/netns.h"

#define SCAN_MS 10000

struct space {
	uint32_t inum;
	int fd;                    /* its snmp file where it is held open, else -1 */
	bool found;                /* in the last scan */
	char path[40];             /* its snmp file where it is opened each time */
	uint64_t base[2], last[2]; /* active, passive */
};

struct opens {
	uint32_t *only;
	size_t n_only;
	struct netns_set set;
	struct space *v;
	size_t n;
	int64_t next_scan_ms;
	uint64_t gone[2]; /* of namespaces that are no more */
};

int opens_parse(const char *text, uint64_t ret[2])
{
	const char *p = strstr(text, "\nTcp: ");
	uint64_t v[2];

	p = p ? strstr(p + 1, "\nTcp: ") : NULL;
	if (!p || sscanf(p, "\nTcp: %*d %*d %*d %*d %" SCNu64 " %" SCNu64, &v[0], &v[1]) != 2)
		return -EPROTO;
	memcpy(ret, v, sizeof(v));
	return 0;
}

static int snmp_read(const struct space *s, uint64_t ret[2])
{
	char text[4096];
	int fd = s->fd >= 0 ? s->fd : open(s->path, O_RDONLY | O_CLOEXEC), err;
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = pread(fd, text, sizeof(text) - 1, 0);
	err = errno;
	if (fd != s->fd)
		close(fd);
	if (n < 0)
		return -err;
	text[n] = '\0';
	return opens_parse(text, ret);
}

static int snmp_open(void *arg)
{
	int *fd = arg;

	*fd = open("/proc/thread-self/net/snmp", O_RDONLY | O_CLOEXEC);
	return *fd < 0 ? -errno : 0;
}

/* A namespace with a process is read through it and not kept alive; a named one without is held open, until its name goes. */
static void space_reach(const struct opens *o, struct space *s, const struct netns *ns)
{
	int pid;

	if (!ns->path[0])
		snprintf(s->path, sizeof(s->path), "/proc/self/net/snmp");
	else if (!o->n_only && sscanf(ns->path, "/proc/%d/", &pid) == 1)
		snprintf(s->path, sizeof(s->path), "/proc/%d/net/snmp", pid);
	else if (s->fd < 0)
		(void)netns_run(ns, snmp_open, &s->fd);
}

static struct space *space_of(struct opens *o, uint32_t inum)
{
	struct space *v;

	for (size_t i = 0; i < o->n; i++)
		if (o->v[i].inum == inum)
			return &o->v[i];
	v = reallocarray(o->v, o->n + 1, sizeof(*v));
	if (!v)
		return NULL;
	o->v = v;
	v[o->n] = (struct space){.inum = inum, .fd = -1};
	return &v[o->n++];
}

static void spaces_scan(struct opens *o, bool first)
{
	if (netns_again(&o->set, o->only, o->n_only))
		return;
	for (size_t i = 0; i < o->n; i++)
		o->v[i].found = false;
	for (size_t i = 0; i < o->set.n; i++) {
		struct space *s = space_of(o, o->set.v[i].inum);

		if (!s)
			return;
		s->found = true;
		space_reach(o, s, &o->set.v[i]);
		if (first && !snmp_read(s, s->base))
			memcpy(s->last, s->base, sizeof(s->last));
	}
	for (size_t i = 0; i < o->n;) {
		struct space *s = &o->v[i];

		if (s->found && ++i)
			continue;
		for (unsigned k = 0; k < 2; k++)
			o->gone[k] += s->last[k] - s->base[k];
		if (s->fd >= 0)
			close(s->fd);
		*s = o->v[--o->n];
	}
}

int opens_new(struct opens **ret, const uint32_t *netns, size_t n_netns)
{
	struct opens *o = calloc(1, sizeof(*o));

	if (!o)
		return -ENOMEM;
	if (n_netns) {
		o->only = calloc(n_netns, sizeof(*o->only));
		if (!o->only) {
			free(o);
			return -ENOMEM;
		}
		memcpy(o->only, netns, n_netns * sizeof(*netns));
		o->n_only = n_netns;
	}
	spaces_scan(o, true);
	*ret = o;
	return 0;
}

void opens_free(struct opens *o)
{
	if (!o)
		return;
	for (size_t i = 0; i < o->n; i++)
		if (o->v[i].fd >= 0)
			close(o->v[i].fd);
	netns_set_deinit(&o->set);
	free(o->v);
	free(o->only);
	free(o);
}

void opens_scan(struct opens *o, int64_t now_ms)
{
	if (now_ms < o->next_scan_ms)
		return;
	if (o->next_scan_ms)
		spaces_scan(o, false);
	o->next_scan_ms = now_ms + SCAN_MS;
}

void opens_read(struct opens *o, uint64_t *ret_active, uint64_t *ret_passive)
{
	uint64_t sum[2] = {o->gone[0], o->gone[1]}, now[2];

	for (size_t i = 0; i < o->n; i++) {
		struct space *s = &o->v[i];

		if (!snmp_read(s, now) && now[0] >= s->last[0] && now[1] >= s->last[1])
			memcpy(s->last, now, sizeof(now));
		for (unsigned k = 0; k < 2; k++)
			sum[k] += s->last[k] - s->base[k];
	}
	*ret_active = sum[0];
	*ret_passive = sum[1];
}
