/* SPDX-License-Identifier: Apache-2.0 */
/* Paths of real systems -> names; /proc and container engines' files in a folder of our own. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/cgpath.h"
#include "agent/cgroups.h"
#include "agent/containers.h"
#include "agent/names.h"
#include "agent/procs.h"
#include "base/table.h"
#include "tests/unit/host_files.h"

#define ID "4c01db0b339c8a1b5f5d8f3a2c2e17d0f8f4c1c5a0b2d3e4f5061728394a5b6c"
#define UID_ "12345678-9abc-def0-1234-56789abcdef0"
#define UID_U "12345678_9abc_def0_1234_56789abcdef0"

static const struct {
	const char *path, *unit, *container, *pod;
	bool system;
} paths[] = {
	/* systemd */
	{"/system.slice/nginx.service", "nginx.service", "", "", false},
	{"/system.slice/system-getty.slice/getty@tty1.service", "getty@tty1.service", "", "", false},
	{"/user.slice/user-1000.slice/session-3.scope", "session-3.scope", "", "", false},
	{"/user.slice/user-1000.slice/user@1000.service/app.slice/gnome-shell.service", "gnome-shell.service", "", "",
	 false},
	{"/system.slice/foo.service/payload/deep", "foo.service", "", "", false},
	{"/init.scope", "init.scope", "", "", false},
	{"/system.slice", "", "", "", false},
	{"/", "", "", "", false},
	{"", "", "", "", false},
	/* docker: systemd driver, cgroupfs driver, systemd inside the container */
	{"/system.slice/docker-" ID ".scope", "", "4c01db0b339c", "", false},
	{"/docker/" ID, "", "4c01db0b339c", "", false},
	{"/system.slice/docker.service/docker/" ID, "", "4c01db0b339c", "", false},
	{"/system.slice/docker-" ID ".scope/init.scope", "init.scope", "4c01db0b339c", "", false},
	{"/system.slice/docker.service", "docker.service", "", "", false},
	/* podman: as root, as a user, quadlet, conmon beside it */
	{"/machine.slice/libpod-" ID ".scope/container", "", "4c01db0b339c", "", false},
	{"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" ID ".scope", "", "4c01db0b339c", "", false},
	{"/system.slice/web.service/libpod-payload-" ID, "web.service", "4c01db0b339c", "", false},
	{"/machine.slice/libpod-conmon-" ID ".scope", "", "", "", false},
	/* kubernetes: v1 and v2, both drivers, the three runtimes, static pods */
	{"/kubepods/burstable/pod" UID_ "/" ID, "", "4c01db0b339c", UID_, false},
	{"/kubepods/pod" UID_ "/" ID, "", "4c01db0b339c", UID_, false},
	{"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" UID_U ".slice/cri-containerd-" ID ".scope",
	 "", "4c01db0b339c", UID_, false},
	{"/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" UID_U ".slice/crio-" ID ".scope", "",
	 "4c01db0b339c", UID_, false},
	{"/kubepods.slice/kubepods-pod" UID_U ".slice/crio-" ID ".scope/container", "", "4c01db0b339c", UID_, false},
	{"/kubepods.slice/kubepods-pod" UID_U ".slice/crio-conmon-" ID ".scope", "", "", UID_, false},
	{"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" UID_U ".slice/docker-" ID ".scope", "",
	 "4c01db0b339c", UID_, false},
	{"/system.slice/containerd.service/kubepods-burstable-pod" UID_U ".slice:cri-containerd:" ID, "",
	 "4c01db0b339c", UID_, false},
	{"/kubepods/burstable/pod0123456789abcdef0123456789abcdef/" ID, "", "4c01db0b339c",
	 "0123456789abcdef0123456789abcdef", false},
	{"/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/kubelet-kubepods-besteffort-pod" UID_U
	 ".slice/cri-containerd-" ID ".scope",
	 "", "4c01db0b339c", UID_, false},
	/* ECS, LXC, Incus */
	{"/ecs/0123456789abcdef0123456789abcdef/" ID, "", "4c01db0b339c", "", false},
	{"/lxc.payload.mail/system.slice/postfix.service", "postfix.service", "mail", "", true},
	{"/lxc/mail/system.slice/postfix.service", "postfix.service", "mail", "", true},
	{"/lxc.payload.mail", "", "mail", "", true},
	/* near misses */
	{"/docker/4c01db0b339c", "", "", "", false},
	{"/docker/" ID "0", "", "", "", false},
	{"/docker/4C01DB0B339C8A1B5F5D8F3A2C2E17D0F8F4C1C5A0B2D3E4F5061728394A5B6C", "", "", "", false},
	{"/kubepods/podnope/x", "", "", "", false},
	{"/pod" UID_U "x/x", "", "", "", false},
	{"//a//b.service//", "b.service", "", "", false},
	{"/.service", ".service", "", "", false},
	{"/pod", "", "", "", false},
};

static void test_paths(void **state)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(paths); i++) {
		size_t n = strlen(paths[i].path);
		char *copy = malloc(n ? n : 1); /* no NUL behind: a read past the end is seen by the sanitizer */
		struct cgpath p;
		char got[400], want[400];

		memcpy(copy, paths[i].path, n);
		cgpath_parse((struct str){copy, n}, &p);
		snprintf(got, sizeof(got), "%s|%.*s|%.*s|%s|%d", paths[i].path, STR_FMT(p.unit), STR_FMT(p.container),
			 p.pod, p.system);
		snprintf(want, sizeof(want), "%s|%s|%s|%s|%d", paths[i].path, paths[i].unit, paths[i].container,
			 paths[i].pod, paths[i].system);
		assert_string_equal(got, want);
		free(copy);
	}
}

static void test_long_and_odd_paths(void **state)
{
	char path[4097], dst[256];
	struct cgpath p;
	size_t n = 0;

	while (n + 20 < 4096)
		n += (size_t)sprintf(path + n, "/%s", "nested.slice");
	n += (size_t)sprintf(path + n, "/last.service");
	cgpath_parse((struct str){path, n}, &p);
	assert_true(str_eq(p.unit, STR("last.service")));
	memset(path, 'a', 4096);
	cgpath_parse((struct str){path, 4096}, &p);
	assert_int_equal(p.unit.n, 0);
	cgpath_parse(STR("/system.slice/caf\xc3\xa9\xff.service"), &p);
	assert_int_equal(cgpath_service(p.unit, dst, sizeof(dst)), 6);
	assert_string_equal(dst, "caf\xc3\xa9?");
}

static const struct {
	const char *unit, *service;
} services[] = {
	{"nginx.service", "nginx"},
	{"foo@3.service", "foo@"},
	{"postgresql@15-main.service", "postgresql@"},
	{"user@1000.service", "user@"},
	{"dev-disk-by\\x2duuid.service", "dev-disk-by-uuid"},
	{"bad\\x2.service", "bad\\x2"},
	{"session-3.scope", ""},
	{"session-c1.scope", ""},
	{"init.scope", ""},
	{"run-u12.service", ""},
	{"run-rab12cd34ef.service", ""},
	{"run-p12-i34.service", ""},
	{"run-parts.service", "run-parts"},
	{"runner.service", "runner"},
	{"app-gnome-firefox-1234.scope", ""},
	{"tmux-spawn-01234567-89ab-cdef-0123-456789abcdef.scope", ""},
	{"machine-qemu\\x2d1\\x2dweb.scope", "machine-qemu-1-web"},
	{"vm-17.scope", ""},
	{"nginx", ""},
	{".service", ""},
	{"@.service", "@"},
	{"", ""},
};

static void test_services(void **state)
{
	char dst[256];
	size_t i, n;

	for (i = 0; i < ARRAY_LEN(services); i++) {
		strcpy(dst, "");
		n = cgpath_service(str_from(services[i].unit), dst, sizeof(dst));
		dst[n] = '\0';
		assert_string_equal(dst, services[i].service);
	}
}

static void test_pod_owners(void **state)
{
	static const char *const v[][2] = {
		{"web-6d4cf56db6-x7k2p", "web"},
		{"db-0", "db"},
		{"node-exporter-9qk7z", "node-exporter"},
		{"backup-28012345-abcde", "backup-28012345-abcde"},
		{"backup-28012345-x7k2p", "backup"},
		{"plain", "plain"},
		{"my-app", "my-app"},
		{"coredns-abcdefgh", "coredns-abcdefgh"},
		{"-x7k2p", "-x7k2p"},
		{"", ""},
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(v); i++)
		assert_int_equal(cgpath_pod_owner(str_from(v[i][0])), strlen(v[i][1]));
}

static void test_clean(void **state)
{
	char dst[8];

	assert_int_equal(cgpath_clean(STR("a\tb\x7f"), dst, sizeof(dst)), 4);
	assert_string_equal(dst, "a?b?");
	assert_int_equal(cgpath_clean(STR("abcdef\xc3\xa9"), dst, sizeof(dst)), 6); /* not half a character */
	assert_int_equal(cgpath_clean(STR("\xed\xa0\x80"), dst, sizeof(dst)), 3);   /* a surrogate */
	assert_string_equal(dst, "???");
	assert_int_equal(cgpath_clean(STR("\xc2\x85"), dst, sizeof(dst)), 1); /* a control character of two bytes */
	assert_int_equal(cgpath_clean(STR("\xf0\x9f"), dst, sizeof(dst)), 2);
}

static void test_proc_texts(void **state)
{
	bool v2;
	char comm[16];
	uint64_t start;

	assert_int_equal(procs_stat(STR("12 (a) b) (c) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20"), comm,
				    &start),
			 0);
	assert_string_equal(comm, "a) b) (c");
	assert_int_equal(start, 4711);
	assert_true(procs_stat(STR("12 (a) S 1 2 3"), comm, &start) < 0);
	assert_int_equal(procs_stat(STR("12 (a) Z 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20"), comm, &start),
			 -ESRCH);
	assert_true(procs_stat(STR("12 )a( S"), comm, &start) < 0);
	assert_true(procs_stat(STR(""), comm, &start) < 0);
	assert_true(
		str_eq(procs_cgroup(STR("9:name=systemd:/a.service\n4:memory:/m\n0::/\n"), &v2), STR("/a.service")));
	assert_true(str_eq(procs_cgroup(STR("9:name=systemd:/a.service\n0::/b:c\n"), &v2), STR("/b:c")));
	assert_true(str_eq(procs_cgroup(STR("9:name=systemd:/\n4:cpu,cpuacct:/m"), &v2), STR("/m")));
	assert_int_equal(procs_cgroup(STR("1:x:/\n0::/\n\n::\n:\n"), &v2).n, 0);
	assert_true(str_eq(procs_service(STR("A=1\0SKYFALL_SERVICE=web\0B=2")), STR("web")));
	assert_int_equal(procs_service(STR("XSKYFALL_SERVICE=web\0SKYFALL_SERVICE=\0")).n, 0);
	assert_int_equal(procs_service((struct str){NULL, 0}).n, 0);
}

/* What the kernel says, cut anywhere or with any byte changed: something is understood or nothing, no byte behind it is read. */
static void test_odd_proc_texts(void **state)
{
#define TEXT(s)                  \
	{                        \
		s, sizeof(s) - 1 \
	}
	static const struct str texts[] = {
		TEXT("4711 (a) b) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20 21\n"),
		TEXT("9:name=systemd:/system.slice/a.service\n4:cpu,cpuacct:/m\n0::/caf\xc3\xa9 x.service\n"),
		TEXT("29 22 0:25 / /sys rw - sysfs sysfs rw\n35 29 0:30 / /sys/fs/cg\\040x rw - cgroup2 cgroup2 rw\n"),
		TEXT("A=1\0SKYFALL_SERVICE=web\0B=2\0"),
	};
	size_t i, k;

	for (i = 0; i < ARRAY_LEN(texts); i++) {
		for (k = 0; k < 2 * texts[i].n; k++) {
			size_t n = k < texts[i].n ? k : texts[i].n;
			char *copy = malloc(n + !n), comm[16] = "", dst[64]; /* its end is guarded by the sanitizer */
			struct str text = {copy, n}, path;
			uint64_t start = 0;
			bool v2;

			memcpy(copy, texts[i].p, n);
			if (k >= texts[i].n)
				copy[k - texts[i].n] ^= 0x1f;
			(void)procs_stat(text, comm, &start);
			assert_int_equal(comm[15], 0);
			path = procs_cgroup(text, &v2);
			assert_true(path.n == 0 || (path.p >= copy && path.p + path.n <= copy + n));
			path = procs_service(text);
			assert_true(path.n == 0 || (path.p >= copy && path.p + path.n <= copy + n));
			(void)cgroups_mount(text, dst, sizeof(dst));
			free(copy);
		}
	}
}

static void test_mounts(void **state)
{
	char dst[64];

	assert_int_equal(
		cgroups_mount(
			STR("29 22 0:25 / /sys rw - sysfs sysfs rw\n35 29 0:30 / /sys/fs/cgroup/uni\\040fied rw,relatime shared:9 - cgroup2 cgroup2 rw\n"),
			dst, sizeof(dst)),
		0);
	assert_string_equal(dst, "/sys/fs/cgroup/uni fied");
	assert_true(cgroups_mount(STR("29 22 0:25 / /sys rw - sysfs cgroup2 rw\n"), dst, sizeof(dst)) < 0);
	assert_true(cgroups_mount(STR(" - cgroup2 "), dst, sizeof(dst)) < 0);
}

static void test_container_texts(void **state)
{
	struct container c;

	container_read(
		STR("{\"Config\":{\"Image\":\"registry:5000/team/nginx:1.25\",\"Labels\":{\"com.docker.compose.service\":\"web\"}}}"),
		&c);
	assert_string_equal(c.name, "web");
	container_read(
		STR("{\"Image\":\"sha256:0123\",\"Config\":{\"Image\": \"registry:5000/team/nginx:1.25@sha256:12\"}}"),
		&c);
	assert_string_equal(c.name, ""); /* the first Image says nothing; better no name than a wrong one */
	container_read(STR("{\"Config\":{\"Image\":\"team/nginx\"}}"), &c);
	assert_string_equal(c.name, "nginx");
	container_read(
		STR("{\"annotations\":{\"io.kubernetes.cri.container-name\":\"app\",\"io.kubernetes.cri.sandbox-name\":\"shop-6d4cf56db6-x7k2p\"}}"),
		&c);
	assert_string_equal(c.name, "app");
	assert_string_equal(c.pod, "shop-6d4cf56db6-x7k2p");
	container_read(STR("\"Image\":\"never closed"), &c);
	assert_string_equal(c.name, "");
	container_read(STR("\"Image\""), &c);
	container_read(STR("Image"), &c);
}

/* --- the whole, over folders of our own */

static char root[] = "/tmp/test_names.XXXXXX";

static void put(const char *path, const char *text, size_t n)
{
	host_put_bytes(root, path, text, n);
}

static void put_proc(unsigned pid, const char *comm, unsigned start, const char *env, size_t env_n, const char *cgroup)
{
	char path[64], text[256];
	int n = snprintf(text, sizeof(text), "%u (%s) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 %u 20", pid, comm,
			 start);

	snprintf(path, sizeof(path), "proc/%u/stat", pid);
	put(path, text, (size_t)n);
	snprintf(path, sizeof(path), "proc/%u/environ", pid);
	put(path, env, env_n);
	snprintf(path, sizeof(path), "proc/%u/cgroup", pid);
	put(path, cgroup, strlen(cgroup));
}

static void remove_proc(unsigned pid)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/proc/%u/stat", root, pid);
	assert_int_equal(unlink(path), 0);
}

static uint64_t folder_id(const char *path)
{
	return host_folder_id(root, path);
}

static struct names *names_here(const struct rules *rules)
{
	char proc[128], cg[128];
	struct names_opts o = {.proc = proc, .cgroups = cg, .rules = rules};
	struct names *n;

	snprintf(proc, sizeof(proc), "%s/proc", root);
	snprintf(cg, sizeof(cg), "%s/cg", root);
	assert_int_equal(names_new(&n, &o), 0);
	return n;
}

static void check(struct names *n, uint64_t cgroup, uint32_t tgid, const char *comm, const char *service,
		  const char *unit)
{
	struct sky_owner o = {.cgroup = cgroup, .tgid = tgid};
	const struct flow_names *got;
	char text[256];

	memcpy(o.comm, comm, strnlen(comm, sizeof(o.comm)));
	got = names_at(n, names_of(n, &o, 0));
	snprintf(text, sizeof(text), "%.*s", STR_FMT(got->service));
	assert_string_equal(text, service);
	snprintf(text, sizeof(text), "%.*s", STR_FMT(got->unit));
	assert_string_equal(text, unit);
}

static void test_whole(void **state)
{
	struct names *n;
	char why[128];
	struct rules *rules;
	char folder[256];
	uint64_t gone;

	put("cg/system.slice/nginx.service/x", "", 0);
	put("cg/system.slice/old.service/x", "", 0);
	put("cg/user.slice/session-1.scope/x", "", 0);
	put("cg/odd/place/x", "", 0);
	put_proc(10, "java", 100, "A=1\0SKYFALL_SERVICE=search\0", 27, "0::/system.slice/nginx.service\n");
	put_proc(11, "perl", 100, "A=1", 3, "9:name=systemd:/system.slice/mail.service\n0::/\n");
	put_proc(12, "bash", 100, "", 0, "0::/\n");
	put_proc(13, "ruled", 100, "", 0, "0::/\n");
	assert_int_equal(rules_parse(&rules, "r", STR("exe ruled by-rule\nunit nginx* front\n"), why, sizeof(why)), 0);
	n = names_here(NULL);
	names_begin(n, 1000000);
	check(n, folder_id("cg/system.slice/nginx.service"), 0, "nginx", "nginx", "nginx.service");
	check(n, folder_id("cg/system.slice/nginx.service"), 10, "java", "search", "nginx.service");
	check(n, folder_id("cg/user.slice/session-1.scope"), 0, "vi", "vi", "session-1.scope");
	check(n, folder_id("cg/odd/place"), 0, "made", "made", "");
	check(n, 1, 11, "perl", "mail", "mail.service"); /* v1: by the process */
	check(n, 1, 12, "bash", "bash", "");
	check(n, 1, 99, "never", "never", ""); /* gone before anybody looked */
	check(n, 0xdeadbeef, 0, "lost", "lost", "");
	check(n, 0, 0, "", "", "");
	/* the last connections of a unit end after it */
	gone = folder_id("cg/system.slice/old.service");
	check(n, gone, 0, "old", "old", "old.service");
	snprintf(folder, sizeof(folder), "rm -r %s/cg/system.slice/old.service", root);
	assert_int_equal(system(folder), 0);
	names_begin(n, 2000000 + CGROUPS_AGAIN_US);
	check(n, 0xabcdef, 0, "x", "x", ""); /* an unknown id: a new walk */
	check(n, gone, 0, "old", "old", "old.service");
	names_begin(n, 3000000 + CGROUPS_TOMBSTONE_US + CGROUPS_AGAIN_US);
	check(n, 0xabcdee, 0, "x", "x", "");
	names_begin(n, 9000000 + 2 * CGROUPS_TOMBSTONE_US);
	check(n, 0xabcded, 0, "x", "x", "");
	check(n, gone, 0, "old", "old", "");
	/* a dead process keeps its name, another one with its pid does not get it */
	remove_proc(10);
	names_begin(n, 10000000 + 2 * CGROUPS_TOMBSTONE_US);
	check(n, 1, 10, "java", "search", "nginx.service");
	check(n, 1, 10, "other", "other", "");
	put_proc(10, "java", 200, "", 0, "0::/\n");
	names_begin(n, 11000000 + 2 * CGROUPS_TOMBSTONE_US);
	check(n, 1, 10, "java", "java", "");
	names_free(n);
	/* rules come after the environment, before all else */
	put_proc(10, "java", 300, "SKYFALL_SERVICE=search\0", 23, "0::/system.slice/nginx.service\n");
	n = names_here(rules);
	names_begin(n, 1);
	check(n, folder_id("cg/system.slice/nginx.service"), 0, "nginx", "front", "nginx.service");
	check(n, folder_id("cg/system.slice/nginx.service"), 10, "java", "search", "nginx.service");
	check(n, 1, 13, "ruled", "by-rule", "");
	names_free(n);
	rules_free(rules);
}

static void test_bounds(void **state)
{
	struct names *n = names_here(NULL);
	struct names_counts c;
	unsigned i, others = 0;

	names_begin(n, 1000);
	for (i = 0; i < NAMES_SERVICES + 50; i++) {
		struct sky_owner o = {.cgroup = 1};
		const struct flow_names *got;

		snprintf(o.comm, sizeof(o.comm), "s%u", i);
		got = names_at(n, names_of(n, &o, 0));
		others += str_eq(got->service, STR("other"));
	}
	names_counts(n, &c);
	assert_int_equal(others, 50);
	assert_int_equal(c.services_full, 50);
	/* the places of services that were not seen for an hour are given again; those that were seen keep theirs */
	names_begin(n, 2000 + NAMES_SERVICE_US);
	check(n, 1, 0, "s1049", "s1049", "");
	names_free(n);
}

static void test_names_full(void **state)
{
	struct names *n = names_here(NULL);
	struct names_counts c;
	unsigned i;

	names_begin(n, 1000);
	put("cg/system.slice/nginx.service/x", "", 0);
	for (i = 0; i < NAMES_MAX + 100; i++) { /* one service, many executables */
		struct sky_owner o = {.cgroup = folder_id("cg/system.slice/nginx.service")};

		snprintf(o.comm, sizeof(o.comm), "p%u", i);
		assert_true(names_of(n, &o, 0) < names_count(n));
	}
	names_counts(n, &c);
	assert_true(c.names_full >= 100);
	assert_true(names_count(n) <= NAMES_MAX);
	names_free(n);
}

static void put_last_pid(unsigned pid)
{
	char text[64];

	put("proc/loadavg", text, (size_t)snprintf(text, sizeof(text), "0.00 0.01 0.05 1/99 %u\n", pid));
}

/* A process that is gone is known if it was read meanwhile. */
static void assert_was_read(struct procs *p, unsigned pid, const char *comm, bool read)
{
	const struct procs_one *o;

	remove_proc(pid);
	procs_begin(p);
	o = procs_get(p, pid, comm);
	assert_int_equal(o != NULL, read);
	if (o)
		assert_false(o->alive);
}

#define STAT_18 " S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 "
#define STAT_49 " 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 "

/* An exec that nothing else shows. */
static void test_exec(void **state)
{
	const struct procs_one *o;
	struct procs *p;
	char proc[128];
	unsigned i;
	static const struct {
		const char *stat, *environ, *service;
	} v[] = {
		{"600 (same)" STAT_18 "77" STAT_49 "4096 4200 0\n", "SKYFALL_SERVICE=one", "one"},
		{"600 (same)" STAT_18 "77" STAT_49 "4096 4200 0\n", "SKYFALL_SERVICE=not", "one"}, /* not read again */
		{"600 (same)" STAT_18 "77" STAT_49 "8192 8200 0\n", "SKYFALL_SERVICE=two", "two"},
		{"600 (same)" STAT_18 "78" STAT_49 "8192 8200 0\n", "SKYFALL_SERVICE=six", "six"}, /* another process */
	};

	assert_int_equal(procs_environ(str_from(v[2].stat)), 8192);
	assert_int_equal(procs_environ(STR("1 (x) S 1 2")), 0);
	assert_int_equal(procs_environ(STR("")), 0);
	snprintf(proc, sizeof(proc), "%s/proc", root);
	put_proc(600, "same", 77, "", 0, "0::/\n");
	assert_int_equal(procs_new(&p, proc, 64), 0);
	for (i = 0; i < ARRAY_LEN(v); i++) {
		put("proc/600/stat", v[i].stat, strlen(v[i].stat));
		put("proc/600/environ", v[i].environ, strlen(v[i].environ));
		procs_begin(p);
		o = procs_get(p, 600, NULL);
		assert_non_null(o);
		assert_string_equal(o->service, v[i].service);
	}
	procs_free(p);
}

static void test_watch(void **state)
{
	struct procs *p;
	char proc[128];

	snprintf(proc, sizeof(proc), "%s/proc", root);
	assert_int_equal(procs_new(&p, proc, 64), 0);
	put_proc(490, "old", 90, "", 0, "0::/\n");
	put_last_pid(499);
	procs_watch(p);
	put_proc(500, "brief", 100, "SKYFALL_SERVICE=flash\0", 22, "0::/\n");
	put_last_pid(501);
	procs_watch(p);
	assert_string_equal(procs_get(p, 500, "brief")->service, "flash");
	assert_was_read(p, 500, "brief", true);
	assert_was_read(p, 490, "old", false);

	put_proc(5000, "one", 200, "", 0, "0::/\n"); /* many new ones */
	put_last_pid(9000);
	procs_watch(p);
	put_proc(20, "two", 300, "", 0, "0::/\n"); /* the pids went round */
	put_proc(4000, "three", 300, "", 0, "0::/\n");
	put_last_pid(30);
	procs_watch(p);
	assert_was_read(p, 5000, "one", true);
	assert_was_read(p, 20, "two", true);
	assert_was_read(p, 4000, "three", false);
	procs_free(p);
}

static int set_up(void **state)
{
	return mkdtemp(root) ? 0 : -1;
}

static int tear_down(void **state)
{
	char cmd[64];

	snprintf(cmd, sizeof(cmd), "rm -r %s", root);
	return system(cmd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_long_and_odd_paths),
		cmocka_unit_test(test_services),
		cmocka_unit_test(test_pod_owners),
		cmocka_unit_test(test_clean),
		cmocka_unit_test(test_proc_texts),
		cmocka_unit_test(test_odd_proc_texts),
		cmocka_unit_test(test_mounts),
		cmocka_unit_test(test_container_texts),
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_names_full),
		cmocka_unit_test(test_exec),
		cmocka_unit_test(test_watch),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
