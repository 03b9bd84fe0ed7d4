/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/probe.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "agent/accept.h"
#include "agent/load.h"
#include "agent/netns.h"
#include "agent/source.h"
#include "agent/udp.h"
#include "base/table.h"

#include "agent/flow.skel.h" /* needs the types above */

/* A test adds to `why`; 0 or -errno. */
struct probe {
	char why[160];
};

static void say(struct probe *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(struct probe *p, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(p->why, sizeof(p->why), fmt, ap);
	va_end(ap);
}

static int kernel_types(struct probe *p)
{
	struct btf *btf = btf__load_vmlinux_btf();

	if (libbpf_get_error(btf))
		return -errno;
	say(p, "%u types", btf__type_cnt(btf));
	btf__free(btf);
	return 0;
}

/* The object with just one of its programs, small maps; NULL and errno. */
static struct flow *only(const char *name, bool typed)
{
	struct flow *s = flow__open();
	struct bpf_program *p;
	int r;

	if (!s)
		return NULL;
	bpf_object__for_each_program(p, s->obj)
	{
		bool wanted = !strcmp(bpf_program__name(p), name);

		bpf_program__set_autoload(p, wanted);
		if (wanted && typed) {
			bpf_program__set_type(p, BPF_PROG_TYPE_TRACING);
			bpf_program__set_expected_attach_type(p, BPF_TRACE_RAW_TP);
			(void)bpf_program__set_attach_target(p, 0, "inet_sock_set_state");
		}
	}
	s->rodata->hook_typed = typed;
	r = flow__load(s);
	if (!r)
		return s;
	flow__destroy(s);
	errno = -r;
	return NULL;
}

static int hook(bool typed)
{
	struct flow *s = only("state_a", typed);
	struct bpf_link *link;
	int r = 0;

	if (!s)
		return -errno;
	link = typed ? bpf_program__attach_trace(s->progs.state_a)
		     : bpf_program__attach_raw_tracepoint(s->progs.state_a, "inet_sock_set_state");
	if (!link)
		r = -errno;
	bpf_link__destroy(link);
	flow__destroy(s);
	return r;
}

static int hook_typed(struct probe *p)
{
	return hook(true);
}

static int hook_raw(struct probe *p)
{
	return hook(false);
}

static int walker(struct probe *p)
{
	LIBBPF_OPTS(bpf_test_run_opts, run);
	struct flow *s = only("walk", false);
	int r = 0;

	if (!s)
		return -errno;
	if (bpf_prog_test_run_opts(bpf_program__fd(s->progs.walk), &run))
		r = -errno;
	flow__destroy(s);
	return r;
}

static int iterator(struct bpf_program *prog, struct probe *p)
{
	struct bpf_link *link = bpf_program__attach_iter(prog, NULL);
	char line[sizeof(struct sky_adopted)];
	int fd, r = 0;

	if (!link)
		return -errno;
	fd = bpf_iter_create(bpf_link__fd(link));
	if (fd < 0 || read(fd, line, sizeof(line)) < 0)
		r = -errno;
	if (fd >= 0)
		close(fd);
	bpf_link__destroy(link);
	return r;
}

static int adopt_files(struct probe *p)
{
	struct flow *s = only("adopt_files", false);
	int r = s ? iterator(s->progs.adopt_files, p) : -errno;

	flow__destroy(s);
	return r;
}

static int adopt_tcp(struct probe *p)
{
	struct flow *s = only("adopt_tcp", false);
	int r = s ? iterator(s->progs.adopt_tcp, p) : -errno;

	flow__destroy(s);
	return r;
}

static int dial(struct probe *p)
{
	struct flow *s = only("dial_v4", false);
	struct bpf_link *link;
	int fd, r = 0;

	if (!s)
		return -errno;
	fd = load_cgroup2();
	if (fd < 0) {
		say(p, "the v2 cgroup hierarchy cannot be opened: %s", strerror(-fd));
		flow__destroy(s);
		return fd;
	}
	link = bpf_program__attach_cgroup(s->progs.dial_v4, fd);
	if (!link)
		r = -errno;
	bpf_link__destroy(link);
	close(fd);
	flow__destroy(s);
	return r;
}

static int accepts(struct probe *p, const char *how)
{
	struct load_opts opts = {.max_rows = 1024, .max_socks = 1024};
	struct accept *a;
	struct load l;
	int r = load_open(&l, &opts, p->why, sizeof(p->why));

	if (r)
		return r;
	r = accept_new(&a, &l, how, p->why, sizeof(p->why));
	if (!r)
		accept_free(a);
	load_close(&l);
	return r;
}

static int accept_fentry(struct probe *p)
{
	return accepts(p, "fentry");
}

static int accept_kprobe(struct probe *p)
{
	return accepts(p, "kprobe");
}

/* Attached for a moment, with small maps. */
static int datagrams(struct probe *p, enum udp_mode mode)
{
	struct udp_opts opts = {
		.mode = mode, .max_rows = 64, .max_socks = 64, .port_low = 32768, .port_high = 60999};
	struct udp *u;
	int r = udp_open(&u, &opts, p->why, sizeof(p->why));

	if (r == 0 && udp_mode(u) != mode)
		r = -EOPNOTSUPP;
	udp_close(u);
	return r;
}

static int udp_sockets(struct probe *p)
{
	return datagrams(p, UDP_CONNECT);
}

static int udp_bytes(struct probe *p)
{
	return datagrams(p, UDP_BYTES);
}

static int batch_map(int (*use)(int fd))
{
	int fd = bpf_map_create(BPF_MAP_TYPE_HASH, "probe", 4, 4, 8, NULL), r = 0;
	uint32_t one = 1;

	if (fd < 0)
		return -errno;
	if (bpf_map_update_elem(fd, &one, &one, BPF_ANY))
		r = -errno;
	if (!r)
		r = use(fd);
	close(fd);
	return r;
}

static int use_batch(int fd)
{
	uint32_t keys[8], vals[8], at, n = 8;

	return bpf_map_lookup_and_delete_batch(fd, NULL, &at, keys, vals, &n, NULL) && errno != ENOENT ? -errno : 0;
}

static int use_pop(int fd)
{
	uint32_t one = 1, val;

	return bpf_map_lookup_and_delete_elem(fd, &one, &val) ? -errno : 0;
}

static int batch(struct probe *p)
{
	return batch_map(use_batch);
}

static int pop(struct probe *p)
{
	return batch_map(use_pop);
}

static int run_stats(struct probe *p)
{
	int fd = bpf_enable_stats(BPF_STATS_RUN_TIME);

	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

static int nothing(void *arg)
{
	return 0;
}

static int namespaces(struct probe *p)
{
	struct netns_set set = {0};
	size_t reached = 0;
	int r = netns_scan(&set, NULL, 0);

	for (size_t i = 0; i < set.n; i++)
		reached += netns_run(&set.v[i], nothing, NULL) == 0;
	say(p, "%zu of %zu entered", reached, set.n);
	if (!r && reached < set.n)
		r = -EPERM;
	netns_set_deinit(&set);
	return r;
}

/* Everything together, in the sizes the agent uses. */
static int whole(struct probe *p)
{
	struct load_opts opts = {.max_rows = SOURCE_ROWS, .max_socks = SOURCE_SOCKS};
	struct load l;
	size_t most;
	int r = load_open(&l, &opts, p->why, sizeof(p->why));

	if (!r) {
		r = load_attach(&l, p->why, sizeof(p->why));
		if (r)
			load_close(&l);
	}
	if (r)
		return r;
	load_map_bytes(&l, &most);
	say(p, "%s, %s, maps of %.1f MB, HZ %u", l.typed ? "typed" : "raw", l.twin ? "attached twice" : "attached once",
	    (double)most / 1e6, l.hz);
	load_close(&l);
	return 0;
}

static const struct {
	const char *name;
	int (*run)(struct probe *p);
	const char *lost;
} probes[] = {
	{"kernel-types", kernel_types, "the hook; connections are polled by sock_diag: short ones are missed"},
	{"hook-typed", hook_typed, "speed: the hook reads field by field through a helper"},
	{"hook-raw", hook_raw, "nothing while hook-typed works"},
	{"walker", walker, "open connections: they would be counted at their end only"},
	{"map-batches", batch, "the hook: its maps cannot be drained"},
	{"take-one", pop, "a window of a microsecond in which a failed connect may be counted twice"},
	{"connect-calls", dial, "attempts that fail before a SYN (no route, prohibited)"},
	{"adopt-files", adopt_files, "owners of connections older than the agent, and those connections"},
	{"adopt-sockets", adopt_tcp, "older connections without a descriptor (accept queues, orphans)"},
	{"accept-fentry", accept_fentry, "nothing while accept-kprobe works"},
	{"accept-kprobe", accept_kprobe,
	 "who accepts, unless accept-fentry works: an accepted connection's owner is its listener's, or found by a scan"},
	{"udp-sockets", udp_sockets, "UDP: who connects to whom (--udp connect)"},
	{"udp-datagrams", udp_bytes, "UDP's datagrams and bytes (--udp bytes)"},
	{"namespaces", namespaces, "older connections and listeners of other network namespaces"},
	{"run-time-statistics", run_stats, "the agent's own cost in the kernel"},
	{"whole", whole, "the hook"},
};

size_t probe_all(struct probe_result *ret, size_t max)
{
	/* What fails is the answer, no error to print. */
	libbpf_print_fn_t print = libbpf_set_print(NULL);
	size_t n = 0;

	for (; n < ARRAY_LEN(probes) && n < max; n++) {
		struct probe p = {""};
		int r = probes[n].run(&p);

		ret[n] = (struct probe_result){.name = probes[n].name, .lost = probes[n].lost, .ok = r == 0};
		if (r && !p.why[0])
			say(&p, "%s", strerror(-r));
		memcpy(ret[n].why, p.why, sizeof(ret[n].why));
	}
	libbpf_set_print(print);
	return n;
}

void probe_print(FILE *to, bool json)
{
	struct probe_result v[ARRAY_LEN(probes)];
	size_t n = probe_all(v, ARRAY_LEN(v));

	for (size_t i = 0; i < n; i++) {
		if (json) /* no text here holds a quote or a control character */
			fprintf(to, "{\"feature\":\"%s\",\"ok\":%s,\"why\":\"%s\",\"lost_without\":\"%s\"}\n",
				v[i].name, v[i].ok ? "true" : "false", v[i].why, v[i].lost);
		else
			fprintf(to, "%-4s%-20s %s%s%s\n", v[i].ok ? "ok" : "no", v[i].name, v[i].why,
				v[i].ok ? "" : "; lost: ", v[i].ok ? "" : v[i].lost);
	}
}
