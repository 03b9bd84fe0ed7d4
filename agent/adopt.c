/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/adopt.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "agent/flow.skel.h"
#include "agent/netns.h"

struct adopting {
	struct walk *walk;
	struct bpf_link *link;
	uint64_t n;
};

/* Reads the iterator's lines: they are whole records, but a read may end inside one. */
static int lines_read(struct adopting *a, int fd)
{
	struct sky_adopted line;
	size_t have = 0;
	ssize_t n;

	while ((n = read(fd, (char *)&line + have, sizeof(line) - have)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		have += (size_t)n;
		if (have < sizeof(line))
			continue;
		walk_adopt(a->walk, &line.sock, &line.totals);
		a->n++;
		have = 0;
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

int adopt_owners(struct load *l)
{
	l->skel->bss->adopt_pass = SKY_ADOPT_OWNERS;
	return files_pass(l, &(struct adopting){0});
}

int adopt_run(struct load *l, struct walk *w, const uint32_t *netns, size_t n_netns, uint64_t *ret_n)
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
	if (r)
		return r;
	*ret_n = a.n;
	return 0;
}
