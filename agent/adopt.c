/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/adopt.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "agent/flow.skel.h"
#include "agent/netns.h"
#include "base/clock.h"

struct adopting {
	struct walk *walk;
	struct bpf_link *link;
	struct adopt_told told;
};

/* read(), its time taken. */
static ssize_t piece_read(struct adopting *a, int fd, void *to, size_t n)
{
	uint64_t began = (uint64_t)clock_thread_us(), took;
	ssize_t r = read(fd, to, n);

	took = (uint64_t)clock_thread_us() - began;
	if (took > a->told.piece_us)
		a->told.piece_us = took;
	return r;
}

/* Reads the iterator's lines: they are whole records, but a read may end inside one. */
static int lines_read(struct adopting *a, int fd)
{
	struct sky_adopted line;
	size_t have = 0;
	ssize_t n;

	while ((n = piece_read(a, fd, (char *)&line + have, sizeof(line) - have)) != 0) {
		if (n < 0 && (errno == EINTR || errno == EAGAIN)) /* EAGAIN: a million objects without a line */
			continue;
		if (n < 0)
			return -errno;
		have += (size_t)n;
		if (have < sizeof(line))
			continue;
		have = 0;
		if (!line.sock.id) /* agent/bpf/adopt.bpf.h: a pause */
			continue;
		walk_adopt(a->walk, &line.sock, &line.totals);
		a->told.taken++;
	}
	return 0;
}

/* The iterator looks into the namespace of the thread that creates it. */
static int iterate(void *arg)
{
	struct adopting *a = arg;
	int fd = bpf_iter_create(bpf_link__fd(a->link)), r;

	if (fd < 0)
		return -errno;
	r = lines_read(a, fd);
	close(fd);
	return r;
}

static int files_pass(struct load *l, struct adopting *a)
{
	int r;

	a->link = bpf_program__attach_iter(l->skel->progs.adopt_files, NULL);
	if (!a->link)
		return -errno;
	r = iterate(a);
	bpf_link__destroy(a->link);
	return r;
}

static int netns_pass(struct load *l, struct adopting *a, const struct netns_set *set)
{
	a->link = bpf_program__attach_iter(l->skel->progs.adopt_tcp, NULL);
	if (!a->link)
		return -errno;
	for (size_t i = 0; i < set->n; i++)
		(void)netns_run(&set->v[i], iterate, a);
	bpf_link__destroy(a->link);
	return 0;
}

static void told_add(struct adopt_told *ret, const struct adopt_told *one)
{
	ret->taken += one->taken;
	if (one->piece_us > ret->piece_us)
		ret->piece_us = one->piece_us;
}

int adopt_owners(struct load *l, struct adopt_told *ret)
{
	struct adopting a = {0};
	int r;

	l->skel->bss->adopt_pass = SKY_ADOPT_OWNERS;
	r = files_pass(l, &a);
	told_add(ret, &a.told);
	return r;
}

int adopt_run(struct load *l, struct walk *w, const uint32_t *netns, size_t n_netns, struct adopt_told *ret)
{
	struct adopting a = {.walk = w};
	struct netns_set set = {0};
	int r = netns_scan(&set, netns, n_netns);

	for (uint32_t pass = SKY_ADOPT_LISTENERS; pass <= SKY_ADOPT_OPEN && !r; pass++) {
		l->skel->bss->adopt_pass = pass;
		r = files_pass(l, &a);
		if (!r)
			r = netns_pass(l, &a, &set);
	}
	netns_set_deinit(&set);
	told_add(ret, &a.told);
	return r;
}
