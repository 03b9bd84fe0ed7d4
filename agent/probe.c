/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/probe.h"

#include <assert.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "agent/accept.h"
#include "agent/diag.h"
#include "agent/load.h"
#include "agent/nat_ct.h"
#include "agent/netns.h"
#include "agent/source.h"
#include "agent/stable.h"
#include "agent/udp.h"
#include "base/table.h"

#include "agent/flow.skel.h" /* needs the types above */

/* A test adds to `why`; 0 or -errno. */
struct probe {
	const struct btf_choice *btf;
	char why[200];
};

static void say(struct probe *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(struct probe *p, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(p->why, sizeof(p->why), fmt, ap);
	va_end(ap);
}

static int rung(struct probe *p, unsigned i)
{
	say(p, "%s", p->btf->rung[i].why);
	return p->btf->rung[i].ok ? 0 : -ENOENT;
}

static int btf_kernel(struct probe *p)
{
	return rung(p, 0);
}

static int btf_file(struct probe *p)
{
	return rung(p, 1);
}

static int stable(struct probe *p)
{
	struct stable *s;
	int r = stable_open(&s, 1024, p->why, sizeof(p->why));

	if (r < 0)
		return r;
	say(p, "classic tracepoints, %s", stable_knows_errors(s) ? "with errors" : "without errors (before 5.14)");
	stable_close(s);
	return 0;
}

static int sock_diag(struct probe *p)
{
	int r = diag_try();

	if (r < 0)
		say(p, "%s", diag_error(r));
	return r;
}

/* The object with just one of its programs, small maps; NULL and errno. */
static struct flow *only(const struct probe *p, const char *name, bool typed)
{
	LIBBPF_OPTS(bpf_object_open_opts, open, .btf_custom_path = p->btf->path[0] ? p->btf->path : NULL);
	struct flow *s = flow__open_opts(&open);
	struct bpf_program *prog;
	int r;

	if (!s)
		return NULL;
	bpf_object__for_each_program(prog, s->obj)
	{
		bool wanted = !strcmp(bpf_program__name(prog), name);

		bpf_program__set_autoload(prog, wanted);
		if (wanted && typed) {
			bpf_program__set_type(prog, BPF_PROG_TYPE_TRACING);
			bpf_program__set_expected_attach_type(prog, BPF_TRACE_RAW_TP);
			(void)bpf_program__set_attach_target(prog, 0, "inet_sock_set_state");
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

static int hook(struct probe *p, bool typed)
{
	struct flow *s = only(p, "state_a", typed);
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
	return hook(p, true);
}

static int hook_raw(struct probe *p)
{
	return hook(p, false);
}

static int walker(struct probe *p)
{
	LIBBPF_OPTS(bpf_test_run_opts, run);
	struct flow *s = only(p, "walk", false);
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
	struct flow *s = only(p, "adopt_files", false);
	int r = s ? iterator(s->progs.adopt_files, p) : -errno;

	flow__destroy(s);
	return r;
}

static int adopt_tcp(struct probe *p)
{
	struct flow *s = only(p, "adopt_tcp", false);
	int r = s ? iterator(s->progs.adopt_tcp, p) : -errno;

	flow__destroy(s);
	return r;
}

static int dial(struct probe *p)
{
	struct flow *s = only(p, "dial_v4", false);
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
	struct load_opts opts = {.max_rows = 1024, .max_socks = 1024, .btf = p->btf};
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
	struct udp_opts opts = {.mode = mode,
				.max_rows = 64,
				.max_socks = 64,
				.port_low = 32768,
				.port_high = 60999,
				.btf = p->btf->path};
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

/* What there is is told; nothing is switched on. */
static int tracking(struct probe *p)
{
	struct netns_set set = {0};
	struct nat_ct ct = {0};
	enum nat_ct_have have = nat_ct_have();
	int r;

	if (have == NAT_CT_ABSENT) {
		say(p, "none here: nothing is translated");
		return 0;
	}
	if (have == NAT_CT_NO_NETLINK) {
		say(p, "its netlink module is not loaded (modprobe nf_conntrack_netlink)");
		return -ENOPROTOOPT;
	}
	r = netns_scan(&set, NULL, 0) < 0 ? -ENOMEM : nat_ct_follow(&ct, &set);
	say(p, "%zu of %zu namespaces%s", ct.n, set.n,
	    ct.counts.silent ? ", some tell no events (nf_conntrack_events = 0): their tables are read each interval"
			     : "");
	if (r == 0 && ct.counts.denied)
		r = -EPERM;
	nat_ct_deinit(&ct);
	netns_set_deinit(&set);
	return r;
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
	struct load_opts opts = {.max_rows = SOURCE_ROWS, .max_socks = SOURCE_SOCKS, .btf = p->btf};
	static const char *const times[] = {[1] = "once", [2] = "twice", [4] = "four times (may be preempted)"};
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
	say(p, "%s, attached %s, maps of %.1f MB, HZ %u", l.typed ? "typed" : "raw", times[l.copies],
	    (double)most / 1e6, l.hz);
	load_close(&l);
	return 0;
}

static const struct {
	const char *name;
	int (*run)(struct probe *p);
	const char *lost;
} probes[] = {
	{"btf-kernel", btf_kernel, "the hook, unless btf-file works"},
	{"btf-file", btf_file, "nothing while btf-kernel works"},
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
	{"connection-tracking", tracking,
	 "translated addresses: rows stay on the address dialled, or on a container's own"},
	{"namespaces", namespaces, "older connections and listeners of other network namespaces"},
	{"run-time-statistics", run_stats, "the agent's own cost in the kernel"},
	{"bpf", whole, "the hook: everything exact"},
	{"stable", stable, "owners, failures and short connections where bpf does not work"},
	{"sock_diag", sock_diag, "everything where nothing else works"},
};

static_assert(ARRAY_LEN(probes) <= PROBE_MAX, "they all have room");

size_t probe_all(struct probe_result *ret, size_t max, const char *btf)
{
	struct btf_choice choice;
	char release[65];
	/* What fails is the answer, no error to print. */
	libbpf_print_fn_t print = libbpf_set_print(NULL);
	size_t n = 0;

	btf_choose(&choice, btf, btf_release(release), "");
	for (; n < ARRAY_LEN(probes) && n < max; n++) {
		struct probe p = {.btf = &choice};
		int r = probes[n].run(&p);

		ret[n] = (struct probe_result){.name = probes[n].name, .lost = probes[n].lost, .ok = r == 0};
		if (r && !p.why[0])
			say(&p, "%s", strerror(-r));
		memcpy(ret[n].why, p.why, sizeof(ret[n].why));
	}
	libbpf_set_print(print);
	return n;
}
