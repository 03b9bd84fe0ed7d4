/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/guest.h"

#include <errno.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/netns.h"
#include "base/table.h"

#ifndef CAP_PERFMON /* headers before 5.8 */
#define CAP_PERFMON 38
#define CAP_BPF 39
#endif

#define GUEST_FILES (NETNS_MAX * 8) /* descriptors */

static bool guest_always(const struct guest_needs *n)
{
	return true;
}

static bool guest_bpf(const struct guest_needs *n)
{
	return n->bpf;
}

static bool guest_bpf_old(const struct guest_needs *n)
{
	return n->bpf && cap_get_bound(CAP_BPF) < 0; /* before 5.8 */
}

static bool guest_netns(const struct guest_needs *n)
{
	return n->other_netns;
}

static bool guest_conntrack(const struct guest_needs *n)
{
	return n->conntrack;
}

static bool guest_datagrams(const struct guest_needs *n)
{
	return n->datagrams;
}

static bool guest_destroys(const struct guest_needs *n)
{
	return n->destroys;
}

/* What a feature that runs needs after everything is loaded and attached. */
static const struct {
	bool (*needed)(const struct guest_needs *n);
	cap_value_t cap;
	const char *why;
} guest_features[] = {
	{guest_always, CAP_SYS_PTRACE, "other users' /proc/PID: environment, descriptors, namespaces"},
	{guest_always, CAP_DAC_READ_SEARCH, "folders of container engines"},
	{guest_always, CAP_SYS_NICE, "one thread cuts intervals on time"},
	{guest_bpf, CAP_BPF, "maps, the walker"},
	{guest_bpf, CAP_PERFMON, "iterators"},
	{guest_bpf, CAP_SYS_ADMIN, "the kernel's statistics of programs"},
	{guest_bpf_old, CAP_SYS_ADMIN, "bpf(2)"},
	{guest_netns, CAP_SYS_ADMIN, "entering network namespaces"},
	{guest_conntrack, CAP_NET_ADMIN, "reading connection tracking"},
	{guest_datagrams, CAP_NET_ADMIN, "attaching programs for packets again"},
	{guest_destroys, CAP_NET_ADMIN, "queues longer than the system's bound"},
};

static bool guest_wants(const struct guest_needs *n, cap_value_t cap)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(guest_features); i++)
		if (guest_features[i].cap == cap && guest_features[i].needed(n))
			return true;
	return false;
}

/* Not even a program with file capabilities could bring the others back (none can be started either: agent/fence.h). */
static void guest_bound(const struct guest_needs *n)
{
	cap_value_t cap;

	for (cap = 0; cap_get_bound(cap) >= 0; cap++)
		if (!guest_wants(n, cap))
			(void)cap_drop_bound(cap);
}

int guest_drop(const struct guest_needs *n)
{
	cap_t have = cap_get_proc(), want = cap_init();
	cap_flag_value_t set;
	int r = have && want ? 0 : -ENOMEM;
	cap_value_t cap;

	guest_bound(n);
	for (cap = 0; r == 0 && cap_get_bound(cap) >= 0; cap++) {
		if (!guest_wants(n, cap) || cap_get_flag(have, cap, CAP_PERMITTED, &set) < 0 || set != CAP_SET)
			continue; /* of these, what we have */
		if (cap_set_flag(want, CAP_PERMITTED, 1, &cap, CAP_SET) < 0 ||
		    cap_set_flag(want, CAP_EFFECTIVE, 1, &cap, CAP_SET) < 0)
			r = -errno;
	}
	if (r == 0 && (cap_set_proc(want) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0))
		r = -errno;
	if (have)
		cap_free(have);
	if (want)
		cap_free(want);
	return r;
}

void guest_room(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) < 0 || l.rlim_cur >= GUEST_FILES)
		return;
	l.rlim_cur = l.rlim_max < GUEST_FILES ? l.rlim_max : GUEST_FILES;
	(void)setrlimit(RLIMIT_NOFILE, &l);
}

void guest_yield(void)
{
	enum { IOPRIO_WHO_PROCESS = 1, IOPRIO_IDLE = 3 << 13 }; /* linux/ioprio.h, not there before 5.15 */

	(void)setpriority(PRIO_PROCESS, 0, 19);
	(void)syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_IDLE);
}

void guest_on_time(void)
{
	(void)setpriority(PRIO_PROCESS, 0, 0); /* of the calling thread only (setpriority(2)) */
}
