/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/births.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/bpf/cgroup.h"
#include "agent/load.h"
#include "agent/stable.h"
#include "agent/tracepoint.h"

/* clang-format off: the skeleton needs the types above */
#include "agent/births.skel.h"
/* clang-format on */

#define MADE "cgroup/cgroup_mkdir"
#define GONE "cgroup/cgroup_rmdir"

struct births {
	struct births_bpf *skel;
	struct ring_buffer *ring;
	/* of a births_read() under way */
	void (*fn)(void *arg, uint64_t id, struct str path);
	void *arg;
};

static int births_on_record(void *ctx, void *data, size_t size)
{
	const struct cgroup_event *e = data;
	struct births *b = ctx;

	if (size >= offsetof(struct cgroup_event, path) && e->len <= size - offsetof(struct cgroup_event, path))
		b->fn(b->arg, e->id, (struct str){e->path, e->len});
	return 0;
}

/* Both events are of one class: their fields lie in the same places. */
static int births_offsets(int tracefs, struct cgroup_offsets *ret)
{
	uint16_t root_size, path_size;
	char format[4096];
	int r = tracepoint_read(tracefs, MADE, "format", format, sizeof(format));

	if (r == 0)
		r = stable_field(format, "root", &ret->root, &root_size);
	if (r == 0)
		r = stable_field(format, "id", &ret->id, &ret->id_size);
	if (r == 0)
		r = stable_field(format, "path", &ret->path, &path_size);
	if (r == 0 && (root_size != 4 || path_size != 4 || (ret->id_size != 4 && ret->id_size != 8)))
		r = -EPROTO;
	return r;
}

static int births_attach(struct births *b, int tracefs, const char **ret_step)
{
	struct births_bpf *k = b->skel;

	*ret_step = "load";
	if (births_bpf__load(k))
		return -errno;
	b->ring = ring_buffer__new(bpf_map__fd(k->maps.events), births_on_record, b, NULL);
	if (!b->ring)
		return -errno;
	*ret_step = "attach";
	k->links.on_gone = tracepoint_attach(tracefs, GONE, k->progs.on_gone);
	if (k->links.on_gone)
		k->links.on_made = tracepoint_attach(tracefs, MADE, k->progs.on_made);
	return k->links.on_made ? 0 : -errno;
}

int births_open(struct births **ret, char *why, size_t why_len)
{
	/* What fails here is told by `why`, no error to print. */
	libbpf_print_fn_t print = libbpf_set_print(NULL);
	struct births *b = calloc(1, sizeof(*b));
	struct cgroup_offsets offsets = {0};
	const char *step = "read " MADE;
	int tracefs = tracepoint_fs(), r = b ? tracefs : -ENOMEM;

	if (r >= 0)
		r = births_offsets(tracefs, &offsets);
	if (r == 0) {
		step = "open";
		libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
		b->skel = births_bpf__open();
		r = b->skel ? 0 : -errno;
	}
	if (r == 0) {
		memcpy((void *)&b->skel->rodata->at, &offsets, sizeof(offsets));
		r = births_attach(b, tracefs, &step);
	}
	if (tracefs >= 0)
		close(tracefs);
	libbpf_set_print(print);
	if (r < 0) {
		snprintf(why, why_len, "cannot %s: %s", step, strerror(-r));
		births_free(b);
		return r;
	}
	*ret = b;
	return 0;
}

void births_free(struct births *b)
{
	if (!b)
		return;
	ring_buffer__free(b->ring);
	births_bpf__destroy(b->skel);
	free(b);
}

void births_read(struct births *b, void (*fn)(void *arg, uint64_t id, struct str path), void *arg)
{
	b->fn = fn;
	b->arg = arg;
	(void)ring_buffer__consume(b->ring);
}

void births_counts(const struct births *b, struct births_counts *ret)
{
	const struct cgroup_counters *c = &b->skel->bss->counters;
	uint64_t ns, runs, passed;

	load_stats(b->skel->obj, &ns, &runs, &passed);
	*ret = (struct births_counts){c->made, c->gone, c->full + c->cut + passed, c->ns};
}
