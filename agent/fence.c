/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/fence.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "base/table.h"

#define FENCE_WRITES (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | O_APPEND)
#define FENCE_VMA 0x53564d41 /* PR_SET_VMA: the allocator names its memory */

static const int fence_calls[] = {
	/* memory */
	SCMP_SYS(brk),
	SCMP_SYS(mmap),
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(mprotect),
	SCMP_SYS(madvise),
	/* threads, signals, the end */
	SCMP_SYS(futex),
	SCMP_SYS(set_robust_list),
	SCMP_SYS(rseq),
	SCMP_SYS(sched_yield),
	SCMP_SYS(sched_getaffinity),
	SCMP_SYS(gettid),
	SCMP_SYS(getpid),
	SCMP_SYS(tgkill),
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(sigaltstack),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
	/* time */
	SCMP_SYS(clock_gettime),
	SCMP_SYS(clock_getres),
	SCMP_SYS(clock_nanosleep),
	SCMP_SYS(nanosleep),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(time),
	/* files, to read */
	SCMP_SYS(read),
	SCMP_SYS(readv),
	SCMP_SYS(pread64),
	SCMP_SYS(lseek),
	SCMP_SYS(close),
	SCMP_SYS(fstat),
	SCMP_SYS(stat),
	SCMP_SYS(lstat),
	SCMP_SYS(newfstatat),
	SCMP_SYS(statx),
	SCMP_SYS(statfs),
	SCMP_SYS(fstatfs),
	SCMP_SYS(getdents64),
	SCMP_SYS(readlink),
	SCMP_SYS(readlinkat),
	SCMP_SYS(access),
	SCMP_SYS(faccessat),
	SCMP_SYS(faccessat2),
	SCMP_SYS(name_to_handle_at),
	SCMP_SYS(fcntl),
	SCMP_SYS(dup),
	SCMP_SYS(getcwd),
	/* what is open for writing was so before */
	SCMP_SYS(write),
	SCMP_SYS(writev),
	/* sockets, the loop */
	SCMP_SYS(connect),
	SCMP_SYS(bind),
	SCMP_SYS(sendto),
	SCMP_SYS(sendmsg),
	SCMP_SYS(sendmmsg),
	SCMP_SYS(recvfrom),
	SCMP_SYS(recvmsg),
	SCMP_SYS(recvmmsg),
	SCMP_SYS(getsockname),
	SCMP_SYS(getpeername),
	SCMP_SYS(setsockopt),
	SCMP_SYS(getsockopt),
	SCMP_SYS(shutdown),
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(epoll_create1),
	SCMP_SYS(epoll_ctl),
	SCMP_SYS(epoll_wait),
	SCMP_SYS(epoll_pwait),
	SCMP_SYS(eventfd2),
	SCMP_SYS(pipe2),
	/* who and where we are, what we cost */
	SCMP_SYS(getuid),
	SCMP_SYS(geteuid),
	SCMP_SYS(getgid),
	SCMP_SYS(getegid),
	SCMP_SYS(uname),
	SCMP_SYS(sysinfo),
	SCMP_SYS(getrusage),
	SCMP_SYS(getpriority),
	SCMP_SYS(setpriority),
	SCMP_SYS(getrandom),
	SCMP_SYS(capget),
};

/* Allowed when argument `arg`, of which only the bits of `mask` count, is `value`. */
static const struct {
	int call;
	unsigned arg;
	uint64_t mask, value;
} fence_some[] = {
	{SCMP_SYS(open), 1, FENCE_WRITES, 0},
	{SCMP_SYS(openat), 2, FENCE_WRITES, 0},
	{SCMP_SYS(clone), 0, CLONE_THREAD, CLONE_THREAD},
	{SCMP_SYS(setns), 1, UINT32_MAX, CLONE_NEWNET},
	{SCMP_SYS(prctl), 0, UINT32_MAX, PR_SET_NAME},
	{SCMP_SYS(prctl), 0, UINT32_MAX, FENCE_VMA},
	{SCMP_SYS(prlimit64), 2, UINT64_MAX, 0}, /* to read */
	{SCMP_SYS(ioctl), 1, UINT32_MAX, TCGETS},
	{SCMP_SYS(ioctl), 1, UINT32_MAX, TIOCGWINSZ},
	{SCMP_SYS(ioctl), 1, UINT32_MAX, FIONREAD}, /* the resolver */
	{SCMP_SYS(bpf), 0, UINT32_MAX, BPF_MAP_LOOKUP_ELEM},
	{SCMP_SYS(bpf), 0, UINT32_MAX, BPF_MAP_UPDATE_ELEM},
	{SCMP_SYS(bpf), 0, UINT32_MAX, BPF_MAP_DELETE_ELEM},
	{SCMP_SYS(bpf), 0, UINT32_MAX, BPF_MAP_GET_NEXT_KEY},
	{SCMP_SYS(bpf), 0, UINT32_MAX, BPF_MAP_LOOKUP_AND_DELETE_ELEM},
	{SCMP_SYS(bpf), 0, UINT32_MAX, BPF_MAP_LOOKUP_BATCH},
	{SCMP_SYS(bpf), 0, UINT32_MAX, BPF_MAP_LOOKUP_AND_DELETE_BATCH},
	{SCMP_SYS(bpf), 0, UINT32_MAX, BPF_MAP_UPDATE_BATCH},
	{SCMP_SYS(bpf), 0, UINT32_MAX, BPF_MAP_DELETE_BATCH},
	{SCMP_SYS(bpf), 0, UINT32_MAX, BPF_PROG_TEST_RUN},
	{SCMP_SYS(bpf), 0, UINT32_MAX, BPF_OBJ_GET_INFO_BY_FD},
	{SCMP_SYS(bpf), 0, UINT32_MAX, BPF_LINK_CREATE}, /* iterators, and a program of ours attached again */
	{SCMP_SYS(bpf), 0, UINT32_MAX, BPF_LINK_DETACH},
	{SCMP_SYS(bpf), 0, UINT32_MAX, BPF_ITER_CREATE},
	{SCMP_SYS(bpf), 0, UINT32_MAX, BPF_ENABLE_STATS},
};

/* Families and kinds of sockets: to collectors, to a resolver (TCP for long answers, a local one), to the kernel. */
static const struct {
	int family, type;
} fence_sockets[] = {
	{AF_INET, SOCK_DGRAM},  {AF_INET6, SOCK_DGRAM}, {AF_INET, SOCK_STREAM}, {AF_INET6, SOCK_STREAM},
	{AF_UNIX, SOCK_STREAM}, {AF_UNIX, SOCK_DGRAM},  {AF_NETLINK, SOCK_RAW}, {AF_NETLINK, SOCK_DGRAM},
};

static int fence_sockets_add(scmp_filter_ctx f)
{
	const uint64_t kinds = ~(uint64_t)(SOCK_CLOEXEC | SOCK_NONBLOCK) & UINT32_MAX;
	int r = 0;
	size_t i;

	for (i = 0; r == 0 && i < ARRAY_LEN(fence_sockets); i++)
		r = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2,
				     SCMP_A0(SCMP_CMP_EQ, (uint64_t)fence_sockets[i].family),
				     SCMP_A1(SCMP_CMP_MASKED_EQ, kinds, (uint64_t)fence_sockets[i].type));
	return r;
}

static int fence_rules(scmp_filter_ctx f)
{
	int r = 0;
	size_t i;

	for (i = 0; r == 0 && i < ARRAY_LEN(fence_calls); i++)
		r = seccomp_rule_add(f, SCMP_ACT_ALLOW, fence_calls[i], 0);
	for (i = 0; r == 0 && i < ARRAY_LEN(fence_some); i++)
		r = seccomp_rule_add(f, SCMP_ACT_ALLOW, fence_some[i].call, 1,
				     SCMP_CMP(fence_some[i].arg, SCMP_CMP_MASKED_EQ, fence_some[i].mask,
					      fence_some[i].value));
	if (r == 0)
		r = fence_sockets_add(f);
	/* its flags are in memory, where a filter cannot look: the C library takes clone() instead */
	return r ? r : seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
}

int fence_up(void)
{
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int r;

	if (!f)
		return -ENOMEM;
	r = seccomp_attr_set(f, SCMP_FLTATR_CTL_NNP, 1);
	if (r == 0)
		r = fence_rules(f);
	if (r == 0)
		r = seccomp_load(f);
	seccomp_release(f);
	return r;
}
