/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/load.h"

#include <assert.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <time.h>
#include <unistd.h>

#include "agent/flow.skel.h"
#include "agent/cast.h"
#include "base/table.h"

#define MAX_CLOSED 16384
#define MAX_DIALS 4096
/* Allocating an element when it is used costs a connection 0.9 us in a virtual machine (the allocator refills itself by
 * interrupting its own CPU): a table of 14 MB is paid up front instead, only a larger one grows as needed. */
#define PREALLOC_SOCKS 65536
#define NAT_ROWS \
	13 /* sixteenths of the rows that may be rows by connection: above the fill at which they are drained */
/* Copies of the hook: a kernel that passes over a program that is busy (6.1+), and one that lets it be preempted (7.x). */
#define SKIPPED 2
#define PREEMPTED LOAD_COPIES
#define SOCKS_KEEP 4 /* free places are kept while this part of the table is in use (agent/bpf/entry.bpf.h) */

/* Where the v2 hierarchy is mounted nowhere (cgroup v1 only, a container, `ip netns exec`), its root is still there: a mount
 * that is never attached to a path gives it. */
int load_unmounted(const char *type)
{
	int fs = fsopen(type, FSOPEN_CLOEXEC), fd;

	if (fs < 0)
		return -errno;
	fd = fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) ? -1 : fsmount(fs, FSMOUNT_CLOEXEC, 0);
	if (fd < 0)
		fd = -errno;
	close(fs);
	return fd;
}

int load_cgroup2(void)
{
	FILE *f = setmntent("/proc/self/mounts", "re");
	struct mntent *m;
	int fd = -1;

	while (f && fd < 0 && (m = getmntent(f)))
		if (!strcmp(m->mnt_type, "cgroup2"))
			fd = open(m->mnt_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (f)
		endmntent(f);
	return fd < 0 ? load_unmounted("cgroup2") : fd;
}

/* What functions tell of the kernel that has them. */
static const struct {
	const char *name;
	bool on_demand;
	unsigned copies;
} told[] = {
	{"bpf_mem_alloc_init", true, 1},
	{"bpf_prog_inc_misses_counter", false, SKIPPED},
	{"init_srcu_struct_fast", false, PREEMPTED}, /* what tracepoints are guarded by instead of preemption off */
	{"__init_srcu_struct_fast", false, PREEMPTED},
};

static void ask_name(struct load *l, const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(told); i++) {
		if (strcmp(name, told[i].name))
			continue;
		l->on_demand |= told[i].on_demand;
		if (l->copies < told[i].copies)
			l->copies = told[i].copies;
	}
}

/* The same without BTF: the kernel's list of symbols, whose names anybody may read. */
static void ask_symbols(struct load *l)
{
	FILE *f = fopen("/proc/kallsyms", "re");
	char line[256], name[128];

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%*s %*c %127s", name) != 1)
			continue;
		ask_name(l, name);
	}
	if (f)
		fclose(f);
}

/* None of it can be tried without harm (an older kernel prints a warning with a stack, and with panic_on_warn stops): so
 * the kernel is asked for the functions that came with it, or just before. */
static void ask_kernel(struct load *l)
{
	struct btf *btf = l->btf[0] ? NULL : btf__load_vmlinux_btf();

	if (!btf || libbpf_get_error(btf)) {
		ask_symbols(l);
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(told); i++)
		if (btf__find_by_name_kind(btf, told[i].name, BTF_KIND_FUNC) > 0)
			ask_name(l, told[i].name);
	l->cast = cast_find(btf);
	btf__free(btf);
}

/* Sockets of the host now, times four, for kernels that need all places at once. */
static uint32_t socks_needed(uint32_t max)
{
	FILE *f = fopen("/proc/net/sockstat", "re");
	char line[256];
	unsigned inuse = 0;
	uint32_t want;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "TCP: inuse %u", &inuse) == 1)
			break;
	if (f)
		fclose(f);
	want = inuse * 4 < 16384 ? 16384 : inuse * 4;
	return want < max ? want : max;
}

static int row_map(const char *name, uint32_t max)
{
	int fd = bpf_map_create(BPF_MAP_TYPE_HASH, name, sizeof(struct sky_row_key), sizeof(struct sky_row_value), max,
				NULL);

	return fd < 0 ? -errno : fd;
}

static uint32_t log_rings(void)
{
	uint32_t rings = 1;
	int cpus = libbpf_num_possible_cpus();

	while (cpus > 0 && rings < (uint32_t)cpus && rings < SKY_LOG_RINGS)
		rings *= 2;
	return rings;
}

static int size_maps(struct load *l)
{
	struct flow *s = l->skel;
	uint32_t lazy = l->on_demand && l->max_socks > PREALLOC_SOCKS ? BPF_F_NO_PREALLOC : 0;

	l->max_closed = MAX_CLOSED;
	l->max_dials = MAX_DIALS;
	if (!l->on_demand)
		l->max_socks = socks_needed(l->max_socks);
	l->socks_keep = l->max_socks / SOCKS_KEEP;
	for (unsigned i = 0; i < 2; i++) {
		l->inner[i] = row_map(i ? "rows_b" : "rows_a", l->max_rows);
		if (l->inner[i] < 0)
			return l->inner[i];
	}
	bpf_map__set_max_entries(s->maps.socks, l->max_socks);
	bpf_map__set_max_entries(s->maps.news, log_rings());
	bpf_map__set_map_flags(s->maps.socks, lazy);
	bpf_map__set_max_entries(s->maps.closed, l->max_closed);
	bpf_map__set_map_flags(s->maps.closed, lazy);
	bpf_map__set_max_entries(s->maps.dials, l->max_dials);
	return bpf_map__set_inner_map_fd(s->maps.rows, l->inner[0]);
}

/* Ways to load, best first: kernels and configurations miss different parts. */
struct way {
	bool typed; /* the hook through BTF, with typed pointers: each field costs 1 ns and not 6 to 30 */
	bool dial, dial_typed, adopt;
};

static const struct way ways[] = {
	{true, true, true, true},    {true, true, false, true},    {true, false, false, true},
	{true, false, false, false}, {false, true, false, true},   {false, false, false, true},
	{false, true, false, false}, {false, false, false, false},
};

static int set_typed(struct bpf_program *p)
{
	bpf_program__set_type(p, BPF_PROG_TYPE_TRACING);
	bpf_program__set_expected_attach_type(p, BPF_TRACE_RAW_TP);
	return bpf_program__set_attach_target(p, 0, "inet_sock_set_state");
}

struct bpf_program *load_hook(const struct load *l, unsigned i)
{
	struct bpf_program *const hooks[LOAD_COPIES] = {l->skel->progs.state_a, l->skel->progs.state_b,
							l->skel->progs.state_c, l->skel->progs.state_d};

	assert(i < LOAD_COPIES);
	return hooks[i];
}

/* One attempt to load, without the programs that are optional and not wanted. */
static int load_try(struct load *l, const struct load_opts *opts, const struct way *way)
{
	LIBBPF_OPTS(bpf_object_open_opts, open, .btf_custom_path = l->btf[0] ? l->btf : NULL);
	int r;

	l->inner[0] = l->inner[1] = -1;
	l->skel = flow__open_opts(&open);
	if (!l->skel)
		return -errno;
	bpf_program__set_autoload(l->skel->progs.dial_v4, way->dial);
	bpf_program__set_autoload(l->skel->progs.dial_v6, way->dial);
	bpf_program__set_autoload(l->skel->progs.adopt_files, way->adopt);
	bpf_program__set_autoload(l->skel->progs.adopt_tcp, way->adopt);
	bpf_program__set_autoload(l->skel->progs.walk, !l->cast);
	bpf_program__set_autoload(l->skel->progs.walk_cast, l->cast != 0);
	r = size_maps(l);
	for (unsigned i = 0; i < LOAD_COPIES && !r; i++) {
		bpf_program__set_autoload(load_hook(l, i), i < l->copies);
		if (way->typed)
			r = set_typed(load_hook(l, i));
	}
	if (r)
		goto fail;
	l->skel->rodata->hook_last = l->copies - 1;
	l->skel->rodata->hook_typed = way->typed;
	l->skel->rodata->dial_typed = way->dial_typed;
	l->skel->rodata->watch_some = opts->n_netns > 0;
	l->skel->rodata->socks_keep = l->socks_keep;
	l->skel->rodata->nat_rows_max = l->max_rows / 16 * NAT_ROWS;
	r = flow__load(l->skel);
	if (r)
		goto fail;
	l->typed = way->typed;
	l->dial = way->dial;
	l->adopt = way->adopt;
	return 0;
fail:
	load_close(l);
	return r;
}

int load_clock(const struct load *l, uint64_t *ret_jiffies, uint64_t *ret_ns)
{
	LIBBPF_OPTS(bpf_test_run_opts, run);

	if (bpf_prog_test_run_opts(bpf_program__fd(l->skel->progs.tick), &run))
		return -errno;
	*ret_jiffies = l->skel->bss->tick_jiffies;
	*ret_ns = l->skel->bss->tick_ns;
	return 0;
}

unsigned load_copies(void)
{
	struct load l = {.copies = 1};

	ask_kernel(&l);
	return l.copies;
}

/* Jiffies a second: no file tells it everywhere, so it is measured over a tenth of a second. */
static int measure_hz(struct load *l)
{
	static const unsigned known[] = {100, 250, 300, 1000};
	struct timespec wait = {0, 100000000};
	uint64_t j0 = 0, t0 = 0, j1 = 0, t1 = 0;
	double hz, best = 1e9;
	int r;

	r = load_clock(l, &j0, &t0);
	if (r)
		return r;
	nanosleep(&wait, NULL);
	r = load_clock(l, &j1, &t1);
	if (r)
		return r;
	hz = (double)(j1 - j0) * 1e9 / (double)(t1 - t0);
	for (unsigned i = 0; i < ARRAY_LEN(known); i++) {
		double off = hz > known[i] ? hz / known[i] : known[i] / (hz + 1e-9);

		if (off < best) {
			best = off;
			l->hz = known[i];
		}
	}
	l->skel->bss->us_per_jiffy = 1000000 / l->hz;
	return 0;
}

/* What the programs find when they start: the first row map, the namespaces to watch. */
static int fill_maps(struct load *l, const struct load_opts *opts)
{
	uint32_t one = 1, zero = 0;

	if (bpf_map__update_elem(l->skel->maps.rows, &zero, 4, &l->inner[0], 4, BPF_ANY))
		return -errno;
	for (size_t i = 0; i < opts->n_netns; i++)
		if (bpf_map__update_elem(l->skel->maps.watched, &opts->netns[i], 4, &one, 4, BPF_ANY))
			return -errno;
	return 0;
}

/* Takes an element out in one step; older kernels refuse for hash maps. */
static bool try_pop(struct load *l)
{
	struct sky_dial d = {0};
	uint64_t key = ~0ULL;

	return !bpf_map__update_elem(l->skel->maps.dials, &key, sizeof(key), &d, sizeof(d), BPF_ANY) &&
	       !bpf_map__lookup_and_delete_elem(l->skel->maps.dials, &key, sizeof(key), &d, sizeof(d), 0);
}

static struct bpf_link *attach_state(const struct load *l, struct bpf_program *p)
{
	return l->typed ? bpf_program__attach_trace(p) : bpf_program__attach_raw_tracepoint(p, "inet_sock_set_state");
}

static int attach(struct load *l)
{
	struct flow *s = l->skel;
	struct bpf_link **const links[LOAD_COPIES] = {&s->links.state_a, &s->links.state_b, &s->links.state_c,
						      &s->links.state_d};
	int fd;

	for (unsigned i = 0; i < l->copies; i++) {
		*links[i] = attach_state(l, load_hook(l, i));
		if (!*links[i])
			return -errno;
	}
	if (!l->dial)
		return 0;
	fd = load_cgroup2();
	if (fd >= 0) {
		s->links.dial_v4 = bpf_program__attach_cgroup(s->progs.dial_v4, fd);
		s->links.dial_v6 = bpf_program__attach_cgroup(s->progs.dial_v6, fd);
		close(fd);
	}
	l->dial = s->links.dial_v4 && s->links.dial_v6;
	return 0;
}

/* False: no rung has BTF; `why` tells of each. */
static bool choose_btf(struct load *l, const struct btf_choice *c, char *why, size_t why_len)
{
	if (!c)
		return true;
	if (c->won < 0) {
		snprintf(why, why_len, "no BTF of this kernel: %s: %s; %s: %s", c->rung[0].name, c->rung[0].why,
			 c->rung[1].name, c->rung[1].why);
		return false;
	}
	memcpy(l->btf, c->path, sizeof(l->btf));
	return true;
}

/* Typed pointers and iterators need the kernel's own BTF. */
static bool way_open(const struct load *l, const struct way *way)
{
	return !l->btf[0] || !(way->typed || way->dial_typed || way->adopt);
}

static int load_ways(struct load *l, const struct load_opts *opts)
{
	libbpf_print_fn_t print = libbpf_set_print(NULL); /* a way that is closed is no error */
	int r = -EINVAL, cast = cast_begin(l->cast);

	for (size_t i = 0; i < ARRAY_LEN(ways) && r; i++)
		if (way_open(l, &ways[i]))
			r = load_try(l, opts, &ways[i]);
	cast_end(cast);
	libbpf_set_print(print);
	if (!r || !l->cast)
		return r;
	l->cast = 0;
	return load_ways(l, opts);
}

int load_open(struct load *ret, const struct load_opts *opts, char *why, size_t why_len)
{
	struct load l = {.max_rows = opts->max_rows, .max_socks = opts->max_socks, .copies = 1};
	const char *step = "load";
	int r = -EINVAL;

	if (geteuid()) {
		snprintf(
			why, why_len,
			"not root: the kernel's counters need BPF; run as root or with CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN");
		return -EPERM;
	}
	libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
	if (!choose_btf(&l, opts->btf, why, why_len))
		return -ESRCH;
	ask_kernel(&l);
	r = load_ways(&l, opts);
	if (r)
		goto out;
	l.counters = &l.skel->bss->counters;
	l.walk = &l.skel->data_walk->walk_data;
	l.pop = try_pop(&l);
	step = "run a program";
	r = measure_hz(&l);
	if (r)
		goto out;
	step = "fill the maps";
	r = fill_maps(&l, opts);
out:
	if (r) {
		snprintf(why, why_len, "BPF: cannot %s: %s", step, strerror(-r));
		load_close(&l);
		return r;
	}
	*ret = l;
	return 0;
}

int load_attach(struct load *l, char *why, size_t why_len)
{
	int r = attach(l);

	if (r)
		snprintf(why, why_len, "BPF: cannot attach: %s", strerror(-r));
	return r;
}

void load_close(struct load *l)
{
	flow__destroy(l->skel);
	l->skel = NULL;
	for (unsigned i = 0; i < 2; i++) {
		if (l->inner[i] > 0)
			close(l->inner[i]);
		l->inner[i] = -1;
	}
}

void load_stats(const struct bpf_object *obj, uint64_t *ret_ns, uint64_t *ret_runs, uint64_t *ret_missed)
{
	struct bpf_program *p;

	*ret_ns = *ret_runs = *ret_missed = 0;
	bpf_object__for_each_program(p, obj)
	{
		struct bpf_prog_info info = {0};
		uint32_t len = sizeof(info);

		if (bpf_program__fd(p) < 0 || bpf_obj_get_info_by_fd(bpf_program__fd(p), &info, &len))
			continue;
		*ret_ns += info.run_time_ns;
		*ret_runs += info.run_cnt;
		*ret_missed += info.recursion_misses;
	}
}

/* What a map may take: struct htab_elem is 48 bytes and the key and value are rounded up to 8. */
static size_t map_most(int fd)
{
	struct bpf_map_info info = {0};
	uint32_t len = sizeof(info);
	size_t per;

	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		return 0;
	per = (info.key_size + 7) / 8 * 8 + (info.value_size + 7) / 8 * 8;
	if (info.type == BPF_MAP_TYPE_HASH)
		per += 48 + 16; /* element, bucket */
	return per * info.max_entries;
}

static size_t map_now(int fd)
{
	char path[64], line[128];
	size_t n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "memlock: %zu", &n) == 1)
			break;
	if (f)
		fclose(f);
	return n;
}

int load_list(void *arg, const uint8_t address[16])
{
	struct load *l = arg;
	uint32_t one = 1;

	if (bpf_map__update_elem(l->skel->maps.nat_ends, address, 16, &one, sizeof(one), BPF_ANY))
		return -errno;
	l->skel->bss->nat_listed++;
	return 0;
}

size_t load_map_bytes(const struct load *l, size_t *ret_most)
{
	size_t now = 0, most = 0;
	struct bpf_map *map;

	bpf_object__for_each_map(map, l->skel->obj)
	{
		now += map_now(bpf_map__fd(map));
		most += map_most(bpf_map__fd(map));
	}
	for (unsigned i = 0; i < 2; i++) {
		now += map_now(l->inner[i]);
		most += map_most(l->inner[i]);
	}
	*ret_most = most;
	return now;
}
