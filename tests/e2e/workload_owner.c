/* SPDX-License-Identifier: Apache-2.0 */
/* Ways in which a connection comes to be somebody's: handed over, made by io_uring, by processes that live for a moment. */
#include "tests/e2e/workload.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define LISTEN_FD 3 /* sd_listen_fds(3) */

/* --- io_uring, one call at a time, without a library */

struct uring {
	int fd;
	uint8_t *sq, *cq;
	struct io_uring_sqe *sqes;
	struct io_uring_params p;
};

static void *uring_map(const struct uring *u, size_t size, uint64_t what)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, u->fd, (off_t)what);

	if (p == MAP_FAILED)
		work_die("io_uring: mmap", errno);
	return p;
}

static void uring_open(struct uring *u)
{
	memset(u, 0, sizeof(*u));
	u->fd = (int)syscall(SYS_io_uring_setup, 4, &u->p);
	if (u->fd < 0)
		work_die("io_uring_setup", errno);
	u->sq = uring_map(u, u->p.sq_off.array + u->p.sq_entries * sizeof(uint32_t), IORING_OFF_SQ_RING);
	u->cq = uring_map(u, u->p.cq_off.cqes + u->p.cq_entries * sizeof(struct io_uring_cqe), IORING_OFF_CQ_RING);
	u->sqes = uring_map(u, u->p.sq_entries * sizeof(struct io_uring_sqe), IORING_OFF_SQES);
}

/* Submits one request, waits for its end; its result. */
static int uring_do(struct uring *u, const struct io_uring_sqe *sqe)
{
	uint32_t *tail = (uint32_t *)(u->sq + u->p.sq_off.tail), *head = (uint32_t *)(u->cq + u->p.cq_off.head);
	uint32_t mask = *(uint32_t *)(u->sq + u->p.sq_off.ring_mask), at = *tail & mask;
	const struct io_uring_cqe *cqes = (const void *)(u->cq + u->p.cq_off.cqes);
	int res;

	u->sqes[at] = *sqe;
	((uint32_t *)(u->sq + u->p.sq_off.array))[at] = at;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
	while (syscall(SYS_io_uring_enter, u->fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0)
		if (errno != EINTR)
			work_die("io_uring_enter", errno);
	res = cqes[*head & *(uint32_t *)(u->cq + u->p.cq_off.ring_mask)].res;
	__atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
	return res;
}

int work_uring_accept(int fd)
{
	static __thread struct uring u;
	struct io_uring_sqe sqe = {.opcode = IORING_OP_ACCEPT, .fd = fd, .flags = IOSQE_ASYNC};
	int r;

	if (!u.sqes)
		uring_open(&u);
	r = uring_do(&u, &sqe);
	if (r < 0)
		errno = -r;
	return r < 0 ? -1 : r;
}

int work_uring_connect(int fd, const struct sockaddr *sa, socklen_t len)
{
	static struct uring u;
	/* ASYNC: a worker thread of the kernel's does it, not the caller */
	struct io_uring_sqe sqe = {
		.opcode = IORING_OP_CONNECT, .fd = fd, .addr = (uintptr_t)sa, .off = len, .flags = IOSQE_ASYNC};
	int r;

	if (!u.sqes)
		uring_open(&u);
	r = uring_do(&u, &sqe);
	if (r < 0)
		errno = -r;
	return r < 0 ? -1 : 0;
}

/* --- moving and handing over */

static void enter_cgroup(const char *folder)
{
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/cgroup.procs", folder);
	f = fopen(path, "we");
	if (!f || fprintf(f, "0") < 0 || fclose(f))
		work_die(path, errno);
}

/* The one who waits: holds the listener as init does, and never accepts. */
static int wait_for(pid_t child)
{
	int status;

	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

/* The service's end of it: in its own cgroup, then another program with the listener at descriptor 3. */
static void activated(char **argv, int argc, const char *cgroup)
{
	char pid[32];

	enter_cgroup(cgroup);
	snprintf(pid, sizeof(pid), "%d", getpid());
	setenv("LISTEN_PID", pid, 1);
	setenv("LISTEN_FDS", "1", 1);
	argv[0] = (char *)"workload";
	argv[1] = (char *)"serve";
	execv(work_word_text(argv, argc, "program"), argv);
	work_die("exec", errno);
}

/* activate ADDR PORT cgroup=FOLDER program=FILE [name=COMM] [leave]: makes the listener, then runs FILE as `serve` in FOLDER
 * with it, as systemd does. leave: and ends. */
int work_activate(int argc, char **argv)
{
	const char *cgroup = work_word_text(argv, argc, "cgroup"), *name = work_word_text(argv, argc, "name");
	bool leave = work_word(argv, argc, "leave", 0);
	pid_t child;
	int fd;

	if (name)
		prctl(PR_SET_NAME, name);
	fd = work_listener(argv + 2, argc - 2);
	if (fd != LISTEN_FD && (dup2(fd, LISTEN_FD) < 0 || close(fd) < 0))
		work_die("dup2", errno);
	if (work_word(argv, argc, "move", 0)) { /* no other program: the same one goes elsewhere */
		enter_cgroup(cgroup);
		setenv("LISTEN_FDS", "1", 1);
		return work_serve(argc - 2, argv + 2);
	}
	child = fork();
	if (child < 0)
		work_die("fork", errno);
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, leave ? 0 : SIGKILL);
		activated(argv, argc, cgroup);
	}
	close(0);
	return leave ? 0 : wait_for(child);
}

int work_listen_fd(void)
{
	const char *fds = getenv("LISTEN_FDS");

	return fds && strcmp(fds, "1") == 0 ? LISTEN_FD : -1;
}

/* --- processes that live for a moment */

/* short ADDR PORT N: N processes one after the other, each with one connection and one call; about 5 ms each, mostly less. */
void work_short(char **w, int n)
{
	uint64_t i, count = strtoull(w[3], NULL, 10);
	struct work_header h = {101, 53, WORK_ANSWER, 0};
	struct sockaddr_storage sa;
	socklen_t len = work_address(w[1], w[2], &sa);

	for (i = 0; i < count; i++) {
		pid_t child = fork();
		int fd;

		if (child < 0)
			work_die("fork", errno);
		if (child > 0) {
			(void)wait_for(child);
			continue;
		}
		prctl(PR_SET_NAME, "moment");
		TALLY(attempts, 1);
		fd = socket(sa.ss_family, SOCK_STREAM, 0);
		if (connect(fd, (void *)&sa, len) < 0) {
			work_failed(fd, errno);
			_exit(0);
		}
		TALLY(opened, 1);
		work_talk(fd, &h);
		work_closed(fd);
		_exit(0);
	}
}

/* become PROGRAM UID: another user, then another program, which goes on with the open connections. */
void work_become(char **w, int n, const int *fds, int n_fds)
{
	char *argv[4 + 64] = {w[1], (char *)"client", (char *)"with"}, text[64][12];
	int i;

	for (i = 0; i < n_fds && i < 64; i++) {
		snprintf(text[i], sizeof(text[i]), "%d", fds[i]);
		argv[3 + i] = text[i];
	}
	if (setuid((uid_t)atoi(w[2])) < 0)
		work_die("setuid", errno);
	execv(w[1], argv);
	work_die("exec", errno);
}
