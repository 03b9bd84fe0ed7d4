/* SPDX-License-Identifier: Apache-2.0 */
/* What a process behind the fence can and cannot do. Each case in a child of its own: the fence cannot be taken down. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <netdb.h>
#include <pthread.h>
#include <sched.h>
#include <sys/capability.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/fence.h"
#include "agent/guest.h"
#include "agent/netns.h"

#define FILE_NAME "/etc/skyfall-fence-test"

/* Runs fn behind the fence: how many of its checks failed, each named on standard error. */
static int behind(int (*fn)(void))
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		struct guest_needs all = {.bpf = true, .other_netns = true};

		if (guest_drop(&all) < 0 || fence_up() < 0)
			_exit(100);
		_exit(fn());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int refused(const char *what, long r, int want)
{
	if (r == -1 && errno == want)
		return 0;
	fprintf(stderr, "%s: %ld, %s\n", what, r, strerror(errno));
	return 1;
}

static int works(const char *what, long r)
{
	if (r >= 0)
		return 0;
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	return 1;
}

static int try_to_change_files(void)
{
	int bad = 0;

	bad += refused("make a file", open(FILE_NAME, O_WRONLY | O_CREAT, 0600), EPERM);
	bad += refused("write", open("/etc/hosts", O_WRONLY), EPERM);
	bad += refused("read and write", open("/etc/hosts", O_RDWR | O_CLOEXEC), EPERM);
	bad += refused("truncate", open("/etc/hosts", O_RDONLY | O_TRUNC), EPERM);
	bad += refused("append", openat(AT_FDCWD, "/etc/hosts", O_WRONLY | O_APPEND), EPERM);
	bad += refused("creat", syscall(SYS_creat, FILE_NAME, 0600), EPERM);
	bad += refused("unlink", unlink("/etc/hosts"), EPERM);
	bad += refused("rename", rename("/etc/hosts", FILE_NAME), EPERM);
	bad += refused("link", link("/etc/hosts", FILE_NAME), EPERM);
	bad += refused("symlink", symlink("/etc/hosts", FILE_NAME), EPERM);
	bad += refused("mkdir", mkdir(FILE_NAME, 0700), EPERM);
	bad += refused("chmod", chmod("/etc/hosts", 0600), EPERM);
	bad += refused("chown", chown("/etc/hosts", 1, 1), EPERM);
	bad += refused("mount", mount("none", "/mnt", "tmpfs", 0, ""), EPERM);
	bad += refused("openat2", syscall(437, AT_FDCWD, "/etc/hosts", NULL, 0), EPERM);
	return bad;
}

static void test_no_file_changes(void **state)
{
	struct stat before, after;

	assert_int_equal(stat("/etc/hosts", &before), 0);
	assert_int_equal(behind(try_to_change_files), 0);
	assert_int_equal(stat("/etc/hosts", &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);
	assert_int_equal(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
	assert_int_equal(access(FILE_NAME, F_OK), -1);
}

static int try_to_start_programs(void)
{
	char *argv[] = {(char *)"true", NULL}, *env[] = {NULL};
	int bad = 0;

	bad += refused("exec", execve("/bin/true", argv, env), EPERM);
	bad += refused("execveat", syscall(SYS_execveat, AT_FDCWD, "/bin/true", argv, env, 0), EPERM);
	bad += refused("fork", syscall(SYS_fork), EPERM);
	bad += refused("vfork", syscall(SYS_clone, CLONE_VM | CLONE_VFORK | SIGCHLD, NULL, NULL, NULL, NULL), EPERM);
	bad += refused("clone3", syscall(435, NULL, 0), ENOSYS);
	bad += refused("trace", ptrace(PTRACE_SEIZE, getppid(), NULL, NULL), EPERM);
	bad += refused("kill", kill(getppid(), 0), EPERM);
	return bad;
}

static void test_no_program_starts(void **state)
{
	assert_int_equal(behind(try_to_start_programs), 0);
}

static int try_sockets(void)
{
	static const struct {
		const char *name;
		int family, type;
	} bad_ones[] = {
		{"AF_PACKET", AF_PACKET, SOCK_RAW},
		{"AF_ALG", AF_ALG, SOCK_SEQPACKET},
		{"AF_VSOCK", AF_VSOCK, SOCK_STREAM},
		{"AF_BLUETOOTH", AF_BLUETOOTH, SOCK_RAW},
		{"raw IP", AF_INET, SOCK_RAW},
		{"raw IPv6", AF_INET6, SOCK_RAW},
		{"AF_UNIX seq", AF_UNIX, SOCK_SEQPACKET},
	};
	int bad = 0;

	for (size_t i = 0; i < sizeof(bad_ones) / sizeof(bad_ones[0]); i++)
		bad += refused(bad_ones[i].name, socket(bad_ones[i].family, bad_ones[i].type, 0), EPERM);
	bad += works("UDP", socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
	bad += works("UDP over IPv6", socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
	bad += works("netlink", socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 4));
	return bad;
}

static void test_few_kinds_of_sockets(void **state)
{
	assert_int_equal(behind(try_sockets), 0);
}

static int try_namespaces_and_bpf(void)
{
	union bpf_attr attr = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1};
	int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), bad = 0;
	struct bpf_insn code[] = {{.code = 0xb7}, {.code = 0x95}};

	bad += refused("another kind of namespace", setns(fd, CLONE_NEWNS), EPERM);
	bad += refused("any kind", setns(fd, 0), EPERM);
	bad += refused("unshare", unshare(CLONE_NEWNET), EPERM);
	bad += refused("a new map", syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr)), EPERM);
	attr = (union bpf_attr){.prog_type = BPF_PROG_TYPE_SOCKET_FILTER,
				.insns = (uintptr_t)code,
				.insn_cnt = 2,
				.license = (uintptr_t) "GPL"};
	bad += refused("a new program", syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr)), EPERM);
	bad += refused("perf events", syscall(SYS_perf_event_open, NULL, 0, 0, 0, 0), EPERM);
	bad += refused("a module", syscall(SYS_init_module, NULL, 0, ""), EPERM);
	return bad;
}

static void test_nothing_new_in_the_kernel(void **state)
{
	assert_int_equal(behind(try_namespaces_and_bpf), 0);
}

static void *thread(void *arg)
{
	*(int *)arg = 1;
	return NULL;
}

static int try_what_is_needed(void)
{
	struct addrinfo *a = NULL;
	int ran = 0, bad = 0;
	pthread_t t;

	bad += works("read", open("/proc/self/stat", O_RDONLY | O_CLOEXEC));
	bad += pthread_create(&t, NULL, thread, &ran) != 0;
	bad += pthread_join(t, NULL) != 0 || !ran;
	bad += works("epoll", epoll_create1(EPOLL_CLOEXEC));
	bad += getaddrinfo("localhost", "6343", NULL, &a) != 0;
	if (a)
		freeaddrinfo(a);
	free(malloc(8 << 20));
	if (geteuid() == 0)
		bad += works("a network namespace", setns(open("/proc/self/ns/net", O_RDONLY), CLONE_NEWNET));
	bad += refused("another prctl", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), EPERM);
	return bad;
}

static void test_what_is_needed_works(void **state)
{
	assert_int_equal(behind(try_what_is_needed), 0);
}

/* Capabilities after guest_drop(), as a mask of the effective set; 64 bits through a pipe. */
static uint64_t kept(const struct guest_needs *n, bool *ret_bounded)
{
	struct {
		uint64_t effective;
		bool bounded;
	} said = {0, true};
	int p[2];
	pid_t pid;

	assert_int_equal(pipe(p), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		cap_t have;
		cap_flag_value_t set;

		if (guest_drop(n) < 0)
			_exit(1);
		have = cap_get_proc();
		for (int c = 0; cap_get_bound(c) >= 0; c++) {
			if (cap_get_flag(have, c, CAP_EFFECTIVE, &set) == 0 && set == CAP_SET)
				said.effective |= 1ull << c;
			else if (geteuid() == 0 && cap_get_bound(c) == 1)
				said.bounded = false;
		}
		cap_free(have);
		_exit(write(p[1], &said, sizeof(said)) != sizeof(said) || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1);
	}
	close(p[1]);
	assert_int_equal(read(p[0], &said, sizeof(said)), sizeof(said));
	close(p[0]);
	waitpid(pid, NULL, 0);
	*ret_bounded = said.bounded;
	return said.effective;
}

#define C(cap) (1ull << (cap))

static void test_capabilities_follow_the_features(void **state)
{
	static const uint64_t always = C(CAP_SYS_PTRACE) | C(CAP_DAC_READ_SEARCH) | C(CAP_SYS_NICE);
	struct guest_needs n = {0};
	bool bounded;

	if (geteuid() != 0) { /* nothing to give up: nothing comes */
		assert_int_equal(kept(&n, &bounded), 0);
		return;
	}
	assert_int_equal(kept(&n, &bounded) & ~always, 0);
	assert_true(bounded);
	n.other_netns = true;
	assert_int_equal(kept(&n, &bounded) & ~always, C(CAP_SYS_ADMIN));
	n.other_netns = false;
	n.datagrams = true;
	assert_int_equal(kept(&n, &bounded) & ~always, C(CAP_NET_ADMIN));
	n.datagrams = false;
	n.destroys = true;
	assert_int_equal(kept(&n, &bounded) & ~always, C(CAP_NET_ADMIN));
	n.destroys = false;
	assert_int_equal(kept(&n, &bounded) & ~always, 0);
	n.conntrack = true;
	assert_int_equal(kept(&n, &bounded) & ~always, C(CAP_NET_ADMIN));
	n.bpf = true;
	assert_int_equal(kept(&n, &bounded) & ~always,
			 C(CAP_NET_ADMIN) | C(CAP_SYS_ADMIN) | C(CAP_PERFMON) | C(CAP_BPF));
	assert_true(bounded);
}

static void test_room_for_descriptors(void **state)
{
	struct rlimit l;
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		if (getrlimit(RLIMIT_NOFILE, &l) < 0)
			_exit(1);
		l.rlim_cur = 64;
		if (setrlimit(RLIMIT_NOFILE, &l) < 0)
			_exit(2);
		guest_room();
		if (getrlimit(RLIMIT_NOFILE, &l) < 0)
			_exit(3);
		_exit(l.rlim_cur == l.rlim_max || l.rlim_cur >= NETNS_MAX * 4 ? 0 : 4);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_file_changes),      cmocka_unit_test(test_no_program_starts),
		cmocka_unit_test(test_few_kinds_of_sockets), cmocka_unit_test(test_nothing_new_in_the_kernel),
		cmocka_unit_test(test_what_is_needed_works), cmocka_unit_test(test_capabilities_follow_the_features),
		cmocka_unit_test(test_room_for_descriptors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
