/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/child.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/table.h"

void child_find(const char *name, const char *build, char *path, size_t size)
{
	static const char *const folders[] = {"", "../sbin/", "../libexec/skyfall/"};
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	self[n > 0 ? n : 0] = '\0';
	slash = strrchr(self, '/');
	if (slash)
		*slash = '\0';
	snprintf(path, size, "%s/../%s/%s", self, build, name);
	if (access(path, X_OK) == 0)
		return;
	for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
		snprintf(path, size, "%s/%s%s", self, folders[i], name);
		if (access(path, X_OK) == 0)
			return;
	}
	snprintf(path, size, "%s", name);
}

int child_start(struct child *ret, char *const argv[], bool pipe_out)
{
	pid_t parent = getpid(), pid;
	int ends[2] = {-1, -1};
	sigset_t none;

	if (pipe_out && pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid < 0) {
		int r = -errno;

		if (pipe_out) {
			close(ends[0]);
			close(ends[1]);
		}
		return r;
	}
	if (pid == 0) {
		/* Between fork and exec of a program with threads: only calls that signal handlers may make. */
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		setpgid(0, 0);
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		if (pipe_out)
			dup2(ends[1], STDOUT_FILENO);
		if (getppid() == parent)
			execvp(argv[0], argv);
		_exit(127);
	}
	if (pipe_out)
		close(ends[1]);
	*ret = (struct child){pid, ends[0]};
	return 0;
}

static void child_gone(struct child *c)
{
	if (c->out >= 0)
		close(c->out);
	*c = CHILD_NONE;
}

bool child_ended(struct child *c, int *ret_status)
{
	if (c->pid <= 0 || waitpid(c->pid, ret_status, WNOHANG) != c->pid)
		return false;
	child_gone(c);
	return true;
}

int child_stop(struct child *c, int timeout_ms)
{
	int64_t until = clock_mono_us() + (int64_t)timeout_ms * 1000;
	struct timespec pause = {.tv_nsec = 5000000};
	int status = 0;

	if (c->pid <= 0)
		return 0;
	kill(c->pid, SIGTERM);
	while (!child_ended(c, &status)) {
		if (clock_mono_us() > until) {
			kill(c->pid, SIGKILL);
			waitpid(c->pid, &status, 0);
			child_gone(c);
			break;
		}
		nanosleep(&pause, NULL);
	}
	return status;
}
