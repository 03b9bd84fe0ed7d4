/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/shop/lab.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define LAB_LOCK "/run/skyfall-demo.lock"
#define LAB_SLICE "skyfall_demo.slice"

/* Runs a command by the shell; what it says on failure is shown unless quiet. */
static int lab_run(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static int lab_run(const char *fmt, ...)
{
	char command[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(command, sizeof(command), fmt, ap);
	va_end(ap);
	return system(command) == 0 ? 0 : -1;
}

int lab_lock(void)
{
	int fd = open(LAB_LOCK, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		int r = errno == EWOULDBLOCK ? -EBUSY : -errno;

		close(fd);
		return r;
	}
	return 0;
}

/* --- cgroups */

/* Where the cgroup v2 hierarchy is mounted; "" if nowhere. */
static void lab_cgroup_root(char *path, size_t size)
{
	FILE *f = setmntent("/proc/self/mounts", "r");
	struct mntent *m;

	path[0] = '\0';
	while (f && (m = getmntent(f)))
		if (strcmp(m->mnt_type, "cgroup2") == 0) {
			snprintf(path, size, "%s", m->mnt_dir);
			break;
		}
	if (f)
		endmntent(f);
}

/* "<mount>/skyfall_demo.slice/shop-web.service"; n NULL: the slice. */
static int lab_cgroup(const struct node *n, char *path, size_t size)
{
	char root[256];

	lab_cgroup_root(root, sizeof(root));
	if (!root[0])
		return -ENOENT;
	if (n)
		snprintf(path, size, "%s/" LAB_SLICE "/" NODE_PREFIX "%s.service", root, n->name);
	else
		snprintf(path, size, "%s/" LAB_SLICE, root);
	return 0;
}

static void lab_cgroups_up(void)
{
	char path[512];

	if (lab_cgroup(NULL, path, sizeof(path)) < 0)
		return;
	(void)mkdir(path, 0755);
	for (size_t i = 0; i < nodes_n; i++)
		if (lab_cgroup(&nodes[i], path, sizeof(path)) == 0)
			(void)mkdir(path, 0755);
}

static void lab_cgroups_down(void)
{
	char path[512];

	for (size_t i = 0; i < nodes_n; i++)
		if (lab_cgroup(&nodes[i], path, sizeof(path)) == 0)
			(void)rmdir(path);
	if (lab_cgroup(NULL, path, sizeof(path)) == 0)
		(void)rmdir(path);
}

/* --- namespaces */

/* Ends what a former run left inside: it has lost the one who would have stopped it. */
static void lab_kill_inside(const char *name)
{
	char command[128], line[32];
	FILE *f;

	snprintf(command, sizeof(command), "ip netns pids " LAB_PREFIX "%s 2>/dev/null", name);
	f = popen(command, "re");
	while (f && fgets(line, sizeof(line), f)) {
		long pid = strtol(line, NULL, 10);

		if (pid > 1 && pid != getpid())
			kill((pid_t)pid, SIGKILL);
	}
	if (f)
		pclose(f);
}

static bool lab_is_there(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "/run/netns/" LAB_PREFIX "%s", name);
	return access(path, F_OK) == 0;
}

void lab_down(void)
{
	for (size_t i = 0; i <= nodes_n; i++) {
		const char *name = i < nodes_n ? nodes[i].name : "net";

		if (!lab_is_there(name))
			continue;
		lab_kill_inside(name);
		(void)lab_run("ip netns del " LAB_PREFIX "%s", name);
	}
	lab_cgroups_down();
}

/* One program's namespace: an end of a veth pair as eth0, the other on the bridge. Neighbours are given up after
 * a second, so that the vanished server is found unreachable within the demo. */
static int lab_up_node(const struct node *n)
{
	static const char *const settings[] = {"mcast_solicit=2", "ucast_solicit=1", "retrans_time_ms=300",
					       "delay_first_probe_time=1"};

	if (lab_run("ip netns add " LAB_PREFIX "%s", n->name) < 0 ||
	    lab_run("ip -n " LAB_PREFIX "net link add %s type veth peer name eth0 netns " LAB_PREFIX "%s", n->name,
		    n->name) < 0 ||
	    lab_run("ip -n " LAB_PREFIX "net link set %s master br0 up", n->name) < 0 ||
	    lab_run("ip -n " LAB_PREFIX "%s addr add %s/24 dev eth0", n->name, n->address) < 0 ||
	    lab_run("ip -n " LAB_PREFIX "%s link set lo up", n->name) < 0 ||
	    lab_run("ip -n " LAB_PREFIX "%s link set eth0 up", n->name) < 0)
		return -1;
	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
		const char *eq = strchr(settings[i], '=');

		/* Only makes the demo quicker: not worth failing for. */
		(void)lab_run("ip netns exec " LAB_PREFIX
			      "%s sh -c 'echo %s >/proc/sys/net/ipv4/neigh/eth0/%.*s' 2>/dev/null",
			      n->name, eq + 1, (int)(eq - settings[i]), settings[i]);
	}
	return 0;
}

int lab_up(void)
{
	lab_down();
	if (lab_run("ip netns add " LAB_PREFIX "net") < 0 ||
	    lab_run("ip -n " LAB_PREFIX "net link add br0 type bridge") < 0 ||
	    lab_run("ip -n " LAB_PREFIX "net link set br0 up") < 0)
		return -1;
	for (size_t i = 0; i < nodes_n; i++)
		if (lab_up_node(&nodes[i]) < 0)
			return -1;
	lab_cgroups_up();
	return 0;
}

int lab_enter(const struct node *n)
{
	char path[512];
	int fd, r = 0;

	snprintf(path, sizeof(path), "/run/netns/" LAB_PREFIX "%s", n->name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (setns(fd, CLONE_NEWNET) < 0)
		r = -errno;
	close(fd);
	if (r < 0 || lab_cgroup(n, path, sizeof(path)) < 0)
		return r;
	strncat(path, "/cgroup.procs", sizeof(path) - strlen(path) - 1);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd >= 0) {
		/* Without a cgroup of its own the program is named by its environment. */
		(void)!write(fd, "0", 1);
		close(fd);
	}
	return 0;
}

void lab_vanish(const struct node *n)
{
	(void)lab_run("ip -n " LAB_PREFIX "%s addr flush dev eth0", n->name);
	for (size_t i = 0; i < nodes_n; i++)
		(void)lab_run("ip -n " LAB_PREFIX "%s neigh flush to %s 2>/dev/null", nodes[i].name, n->address);
}
