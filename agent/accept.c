/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/accept.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/table.h"

/* clang-format off: the skeletons need the types above */
#include "agent/flow.skel.h"
#include "agent/accept.skel.h"
/* clang-format on */

struct accept {
	struct accepting *skel;
	struct bpf_program *prog;
	struct bpf_link *link;
};

static int accept_always(void)
{
	return 0;
}

/* Without this kind of event libbpf would write into the kernel's one text file of probes, which clashes with other tools
 * and leaves the probe behind when we are killed. */
static int accept_has_kprobes(void)
{
	return access("/sys/bus/event_source/devices/kprobe/type", R_OK) ? -ENOENT : 0;
}

/* Best first: a call of a program through fentry costs a tenth of a probe's. */
static const struct {
	const char *how, *program;
	int (*possible)(void);
} accept_ways[] = {
	{"fentry", "graft_fentry", accept_always},
	{"kprobe", "graft_kprobe", accept_has_kprobes},
};

static int accept_load(struct accept *a, const struct load *l, const char *program)
{
	LIBBPF_OPTS(bpf_object_open_opts, open, .btf_custom_path = l->btf[0] ? l->btf : NULL);
	struct bpf_program *p;
	int r;

	a->skel = accepting__open_opts(&open);
	if (!a->skel)
		return -errno;
	bpf_object__for_each_program(p, a->skel->obj)
	{
		bool wanted = !strcmp(bpf_program__name(p), program);

		bpf_program__set_autoload(p, wanted);
		if (wanted)
			a->prog = p;
	}
	r = bpf_map__reuse_fd(a->skel->maps.socks, bpf_map__fd(l->skel->maps.socks));
	if (!r)
		r = bpf_map__reuse_fd(a->skel->maps.news, bpf_map__fd(l->skel->maps.news));
	if (!r)
		r = accepting__load(a->skel);
	if (r)
		return r;
	a->link = bpf_program__attach(a->prog);
	return a->link ? 0 : -errno;
}

static void accept_unload(struct accept *a)
{
	bpf_link__destroy(a->link);
	accepting__destroy(a->skel);
	*a = (struct accept){0};
}

int accept_new(struct accept **ret, const struct load *l, const char *how, char *why, size_t why_len)
{
	/* What fails here is told by `why`, no error to print. */
	libbpf_print_fn_t print = libbpf_set_print(NULL);
	struct accept *a = calloc(1, sizeof(*a));
	size_t n = 0;
	int r = -ENOMEM;

	for (size_t i = 0; a && i < ARRAY_LEN(accept_ways) && r; i++) {
		if (how && strcmp(how, accept_ways[i].how) != 0)
			continue;
		r = accept_ways[i].possible();
		if (!r)
			r = accept_load(a, l, accept_ways[i].program);
		if (!r)
			break;
		accept_unload(a);
		if (n < why_len)
			n += (size_t)snprintf(why + n, why_len - n, "%s%s: %s", n ? ", " : "", accept_ways[i].how,
					      strerror(-r));
	}
	libbpf_set_print(print);
	if (r) {
		free(a);
		return r;
	}
	why[0] = '\0';
	*ret = a;
	return 0;
}

void accept_free(struct accept *a)
{
	if (!a)
		return;
	accept_unload(a);
	free(a);
}

uint64_t accept_counts(const struct accept *a, uint64_t *ret_run_ns, uint64_t *ret_runs)
{
	struct bpf_prog_info info = {0};
	uint32_t len = sizeof(info);

	*ret_run_ns = *ret_runs = 0;
	if (bpf_obj_get_info_by_fd(bpf_program__fd(a->prog), &info, &len) == 0) {
		*ret_run_ns = info.run_time_ns;
		*ret_runs = info.run_cnt;
	}
	return a->skel->bss->refined;
}
