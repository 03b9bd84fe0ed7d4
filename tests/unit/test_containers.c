/* SPDX-License-Identifier: Apache-2.0 */
/* From a cgroup's path, as each runtime and driver makes it, and from what the runtime wrote on disk, to the names that come
 * out: one table. */
#include <errno.h>
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

#include "agent/containers.h"
#include "agent/names.h"
#include "base/table.h"
#include "tests/unit/host_files.h"

/* Ids: each runtime's files are under its own. */
#define TAIL "5a0b2d3e4f5061728394a5b6c"
#define DOCKER "d0c2e1db0b339c8a1b5f5d8f3a2c2e17d0f8f41" TAIL
#define DOCKER_PLAIN "d0c1a1db0b339c8a1b5f5d8f3a2c2e17d0f8f41" TAIL
#define DOCKER_POD "d0c0b1db0b339c8a1b5f5d8f3a2c2e17d0f8f41" TAIL
#define CONTAINERD "c0de01db0b339c8a1b5f5d8f3a2c2e17d0f8f41" TAIL
#define PAUSE "c0de02db0b339c8a1b5f5d8f3a2c2e17d0f8f41" TAIL
#define K3S "c0de03db0b339c8a1b5f5d8f3a2c2e17d0f8f41" TAIL
#define CRIO "c21001db0b339c8a1b5f5d8f3a2c2e17d0f8f41" TAIL
#define PODMAN "90d001db0b339c8a1b5f5d8f3a2c2e17d0f8f41" TAIL
#define NOBODY "000001db0b339c8a1b5f5d8f3a2c2e17d0f8f41" TAIL
#define UID_ "12345678-9abc-def0-1234-56789abcdef0"
#define UID_U "12345678_9abc_def0_1234_56789abcdef0"
#define STATIC "0123456789abcdef0123456789abcdef"
#define LOST "99999999-9abc-def0-1234-56789abcdef0"

static char root[] = "/tmp/test_containers.XXXXXX";

/* Files as the runtimes write them, shortened. */
static const struct {
	const char *path, *text;
} files[] = {
	{"var/lib/docker/containers/" DOCKER "/config.v2.json",
	 "{\"StreamConfig\":{},\"State\":{\"Running\":true,\"Pid\":4711},\"ID\":\"" DOCKER
	 "\",\"Config\":{\"Hostname\":\"d0c2e1db0b33\",\"Env\":[\"A=\\\"io.kubernetes.pod.name\\\":\\\"evil\\\"\"],\"Image\":"
	 "\"shop/frontend:2\",\"Labels\":{\"com.docker.compose.project\":\"shop\",\"com.docker.compose.service\":\"web\"}},"
	 "\"Image\":\"sha256:00\",\"Name\":\"/shop-web-1\"}"},
	{"var/lib/docker/containers/" DOCKER_PLAIN "/config.v2.json",
	 "{\"ID\":\"" DOCKER_PLAIN
	 "\",\"Config\":{\"Image\":\"registry.example:5000/team/postgres:15@sha256:0a\",\"Labels\":{}}"
	 ",\"Image\":\"sha256:00\",\"Name\":\"/eager_darwin\"}"},
	{"var/lib/docker/containers/" DOCKER_POD "/config.v2.json",
	 "{\"Config\":{\"Image\":\"sha256:00\",\"Labels\":{\"annotation.io.kubernetes.container.hash\":\"1\","
	 "\"io.kubernetes.container.name\":\"app\",\"io.kubernetes.pod.name\":\"cart-7d9c5b8f4-b2k7z\","
	 "\"io.kubernetes.pod.namespace\":\"shop\",\"io.kubernetes.pod.uid\":\"" UID_ "\"}}}"},
	{"run/containerd/io.containerd.runtime.v2.task/k8s.io/" CONTAINERD "/config.json",
	 "{\"ociVersion\":\"1.0.2\",\"process\":{\"args\":[\"/web\"]},\"annotations\":{\"io.kubernetes.cri.container-name\":"
	 "\"app\",\"io.kubernetes.cri.container-type\":\"container\",\"io.kubernetes.cri.image-name\":\"docker.io/shop/web:3\","
	 "\"io.kubernetes.cri.sandbox-id\":\"" PAUSE "\",\"io.kubernetes.cri.sandbox-name\":\"web-6d4cf56db6-x7k2p\","
	 "\"io.kubernetes.cri.sandbox-namespace\":\"shop\"}}"},
	{"run/containerd/io.containerd.runtime.v2.task/k8s.io/" PAUSE "/config.json",
	 "{\"annotations\":{\"io.kubernetes.cri.container-type\":\"sandbox\",\"io.kubernetes.cri.sandbox-name\":"
	 "\"web-6d4cf56db6-x7k2p\",\"io.kubernetes.cri.sandbox-namespace\":\"shop\"}}"},
	{"run/k3s/containerd/io.containerd.runtime.v2.task/k8s.io/" K3S "/config.json",
	 "{\"annotations\":{\"io.kubernetes.cri.container-name\":\"coredns\",\"io.kubernetes.cri.sandbox-name\":"
	 "\"coredns-576bfc4dc7-8hq4v\",\"io.kubernetes.cri.sandbox-namespace\":\"kube-system\"}}"},
	{"run/containers/storage/overlay-containers/" CRIO "/userdata/config.json",
	 "{\"annotations\":{\"io.container.manager\":\"cri-o\",\"io.kubernetes.container.name\":\"db\","
	 "\"io.kubernetes.pod.name\":\"db-0\",\"io.kubernetes.pod.namespace\":\"shop\",\"io.kubernetes.pod.uid\":\"" UID_
	 "\",\"io.kubernetes.cri-o.Image\":\"quay.io/db:1\"}}"},
	{"var/lib/containers/storage/overlay-containers/" PODMAN "/userdata/config.json",
	 "{\"annotations\":{\"io.container.manager\":\"libpod\",\"io.kubernetes.cri-o.TTY\":\"false\","
	 "\"io.podman.annotations.init\":\"FALSE\"}}"},
	{"var/lib/containers/storage/overlay-containers/containers.json",
	 "[{\"id\":\"" NOBODY "0\",\"names\":[\"x\"],\"metadata\":\"{}\"},{\"id\":\"" PODMAN
	 "\",\"names\":[\"till\"],\"image\":\"ca15\",\"metadata\":\"{\\\"image-name\\\":\\\"localhost/shop-till:1\\\","
	 "\\\"image-id\\\":\\\"ca15\\\",\\\"name\\\":\\\"till\\\",\\\"created-at\\\":1795437723}\",\"flags\":{}}]"},
	{"var/log/pods/shop_mail-9f8b7c6d5-q5w2r_" UID_ "/app/0.log", ""},
	{"var/log/pods/kube-system_etcd-node1_" STATIC "/etcd/0.log", ""},
};

/* What a service without any name is called here: the executable. */
#define EXE "exe"

static const struct {
	const char *path, *service, *container, *pod, *unit;
} cases[] = {
	/* docker: cgroupfs and systemd drivers, v1 (below docker's own unit at times) and v2, systemd inside */
	{"/docker/" DOCKER, "web", "d0c2e1db0b33", "", ""},
	{"/system.slice/docker-" DOCKER ".scope", "web", "d0c2e1db0b33", "", ""},
	{"/system.slice/docker.service/docker/" DOCKER, "web", "d0c2e1db0b33", "", ""},
	{"/system.slice/docker-" DOCKER_PLAIN ".scope", "postgres", "d0c1a1db0b33", "", ""},
	{"/system.slice/docker-" DOCKER ".scope/init.scope", "web", "d0c2e1db0b33", "", "init.scope"},
	{"/system.slice/docker-" DOCKER ".scope/system.slice/nginx.service", "web", "d0c2e1db0b33", "",
	 "nginx.service"},
	{"/user.slice/user-1000.slice/user@1000.service/user.slice/docker-" DOCKER ".scope", "web", "d0c2e1db0b33", "",
	 ""},
	{"/custom.slice/custom-deep.slice/docker-" DOCKER ".scope", "web", "d0c2e1db0b33", "", ""},
	/* docker below kubelet (cri-dockerd), both drivers */
	{"/kubepods/burstable/pod" UID_ "/" DOCKER_POD, "cart", "d0c0b1db0b33", "shop/cart-7d9c5b8f4-b2k7z", ""},
	{"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" UID_U ".slice/docker-" DOCKER_POD ".scope",
	 "cart", "d0c0b1db0b33", "shop/cart-7d9c5b8f4-b2k7z", ""},
	/* containerd below kubelet: cgroupfs and systemd, guaranteed, burstable and best effort, v1 with the colons */
	{"/kubepods/pod" UID_ "/" CONTAINERD, "web", "c0de01db0b33", "shop/web-6d4cf56db6-x7k2p", ""},
	{"/kubepods/besteffort/pod" UID_ "/" CONTAINERD, "web", "c0de01db0b33", "shop/web-6d4cf56db6-x7k2p", ""},
	{"/kubepods.slice/kubepods-pod" UID_U ".slice/cri-containerd-" CONTAINERD ".scope", "web", "c0de01db0b33",
	 "shop/web-6d4cf56db6-x7k2p", ""},
	{"/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" UID_U ".slice/cri-containerd-" CONTAINERD
	 ".scope",
	 "web", "c0de01db0b33", "shop/web-6d4cf56db6-x7k2p", ""},
	{"/system.slice/containerd.service/kubepods-burstable-pod" UID_U ".slice:cri-containerd:" CONTAINERD, "web",
	 "c0de01db0b33", "shop/web-6d4cf56db6-x7k2p", ""},
	{"/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable-pod" UID_U
	 ".slice/cri-containerd-" PAUSE ".scope",
	 "web", "c0de02db0b33", "shop/web-6d4cf56db6-x7k2p", ""},
	{"/kubepods/burstable/pod" UID_ "/" K3S, "coredns", "c0de03db0b33", "kube-system/coredns-576bfc4dc7-8hq4v", ""},
	/* nerdctl, containerd alone: nothing on disk */
	{"/default/" NOBODY, "000001db0b33", "000001db0b33", "", ""},
	{"/system.slice/nerdctl-" NOBODY ".scope", "000001db0b33", "000001db0b33", "", ""},
	/* cri-o: both drivers, the systemd scope below the container's */
	{"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" UID_U ".slice/crio-" CRIO ".scope", "db",
	 "c21001db0b33", "shop/db-0", ""},
	{"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" UID_U ".slice/crio-" CRIO ".scope/container",
	 "db", "c21001db0b33", "shop/db-0", ""},
	{"/kubepods/burstable/pod" UID_ "/crio-" CRIO, "db", "c21001db0b33", "shop/db-0", ""},
	/* a pod whose container says nothing, or which is none: kubelet's own folders know its name */
	{"/kubepods/burstable/pod" UID_ "/" NOBODY, "mail", "000001db0b33", "shop/mail-9f8b7c6d5-q5w2r", ""},
	{"/kubepods.slice/kubepods-pod" UID_U ".slice/crio-conmon-" CRIO ".scope", "mail", "",
	 "shop/mail-9f8b7c6d5-q5w2r", ""},
	{"/kubepods/burstable/pod" STATIC "/" NOBODY, "etcd-node1", "000001db0b33", "kube-system/etcd-node1", ""},
	{"/kubepods/burstable/pod" LOST "/" NOBODY, "000001db0b33", "000001db0b33", LOST, ""},
	/* podman: as root with both managers, as a user, a quadlet, the monitor beside it */
	{"/machine.slice/libpod-" PODMAN ".scope", "shop-till", "90d001db0b33", "", ""},
	{"/machine.slice/libpod-" PODMAN ".scope/container", "shop-till", "90d001db0b33", "", ""},
	{"/libpod_parent/libpod-" PODMAN, "shop-till", "90d001db0b33", "", ""},
	{"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" NOBODY ".scope/container", "000001db0b33",
	 "000001db0b33", "", ""},
	{"/system.slice/till.service/libpod-payload-" PODMAN, "till", "90d001db0b33", "", "till.service"},
	{"/machine.slice/libpod-conmon-" PODMAN ".scope", EXE, "", "", ""},
	{"/machine.slice/machine-libpod_pod_" PODMAN ".slice/libpod-" PODMAN ".scope", "shop-till", "90d001db0b33", "",
	 ""},
	/* ECS */
	{"/ecs/" STATIC "/" NOBODY, "000001db0b33", "000001db0b33", "", ""},
	{"/ecs/0123456789abcdef0123456789abcdef-1234567890", EXE, "", "", ""},
	/* LXC and Incus: a system of its own, its units are services; systemd-nspawn and machines likewise */
	{"/lxc.payload.mail/system.slice/postfix.service", "postfix", "mail", "", "postfix.service"},
	{"/lxc.payload.mail", "mail", "mail", "", ""},
	{"/lxc/mail/system.slice/postfix@-.service", "postfix@", "mail", "", "postfix@-.service"},
	{"/lxc.payload.mail/system.slice/docker-" DOCKER ".scope", "web", "d0c2e1db0b33", "", ""},
	{"/lxc.monitor.mail", EXE, "", "", ""},
	{"/machine.slice/systemd-nspawn@web1.service/payload/system.slice/nginx.service", "nginx", "", "",
	 "nginx.service"},
	/* plain systemd, nested slices, a user's own, delegated, names with blanks and UTF-8 */
	{"/system.slice/system-postgresql.slice/postgresql@15-main.service", "postgresql@", "", "",
	 "postgresql@15-main.service"},
	{"/a.slice/a-b.slice/a-b-c.slice/deep.service", "deep", "", "", "deep.service"},
	{"/system.slice/runner.service/jobs/7/x", "runner", "", "", "runner.service"},
	{"/user.slice/user-1000.slice/user@1000.service/app.slice/syncthing.service", "syncthing", "", "",
	 "syncthing.service"},
	{"/user.slice/user-1000.slice/session-3.scope", EXE, "", "", "session-3.scope"},
	{"/system.slice/caf\xc3\xa9 \xe2\x98\x95.service", "caf\xc3\xa9 \xe2\x98\x95", "", "",
	 "caf\xc3\xa9 \xe2\x98\x95.service"},
	{"/system.slice/my\\x20shop.service", "my shop", "", "", "my\\x20shop.service"},
	{"/", EXE, "", "", ""},
	{"/podruntime/runtime", EXE, "", "", ""}, /* Talos */
};

static void put(const char *path, const char *text)
{
	host_put(root, path, text);
}

/* A host on which process 10 says `cgroup`; v2 or not is in it. */
static struct names *host(const char *cgroup, const struct rules *rules)
{
	static char proc[128];
	struct names_opts o = {.proc = proc, .cgroups = "/nowhere", .rules = rules, .root = root};
	struct names *n;

	snprintf(proc, sizeof(proc), "%s/proc", root);
	put("proc/10/stat", "10 (" EXE ") S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20");
	put("proc/10/environ", "");
	put("proc/10/cgroup", cgroup);
	assert_int_equal(names_new(&n, &o), 0);
	names_begin(n, 1000000);
	return n;
}

static const struct flow_names *named(struct names *n)
{
	struct sky_owner o = {.cgroup = 1, .tgid = 10, .comm = EXE};

	return names_at(n, names_of(n, &o, 0));
}

static void check(const char *how, const char *cgroup, size_t i)
{
	struct names *n = host(cgroup, NULL);
	const struct flow_names *got = named(n);
	char text[1024], want[1024];

	snprintf(text, sizeof(text), "%s %s: %.*s|%.*s|%.*s|%.*s", how, cases[i].path, STR_FMT(got->service),
		 STR_FMT(got->container), STR_FMT(got->pod), STR_FMT(got->unit));
	snprintf(want, sizeof(want), "%s %s: %s|%s|%s|%s", how, cases[i].path, cases[i].service, cases[i].container,
		 cases[i].pod, cases[i].unit);
	assert_string_equal(text, want);
	names_free(n);
}

/* The same path in each kind of hierarchy. */
static void test_paths(void **state)
{
	char text[2048];
	size_t i;

	for (i = 0; i < ARRAY_LEN(cases); i++) {
		snprintf(text, sizeof(text), "0::%s\n", cases[i].path);
		check("v2", text, i);
		snprintf(text, sizeof(text),
			 "12:cpuset:/\n11:net_cls,net_prio:/\n5:memory:%s\n4:cpu,cpuacct:%s\n1:name=systemd:%s\n",
			 cases[i].path, cases[i].path, cases[i].path);
		check("v1", text, i);
		snprintf(text, sizeof(text), "5:memory:%s\n4:pids:%s\n1:cpu:/\n", cases[i].path, cases[i].path);
		check("v1 without systemd", text, i);
		snprintf(text, sizeof(text), "5:memory:/m\n1:name=systemd:%s\n0::%s\n", cases[i].path, cases[i].path);
		check("hybrid", text, i);
		snprintf(text, sizeof(text), "5:memory:/m\n1:name=systemd:%s\n0::/\n", cases[i].path);
		if (strcmp(cases[i].path, "/") != 0)
			check("hybrid, v2 not used", text, i);
	}
}

static void test_rules_on_pods(void **state)
{
	static const struct {
		const char *rule, *service;
	} rules[] = {{"pod web-* by-name\n", "by-name"},
		     {"pod shop/* by-namespace\n", "by-namespace"},
		     {"pod shop/web-* both\n", "both"},
		     {"pod shop* no\n", "web"},
		     {"pod other/* no\n", "web"}};
	size_t i;

	for (i = 0; i < ARRAY_LEN(rules); i++) {
		const struct flow_names *got;
		struct rules *r;
		struct names *n;
		char why[128];

		assert_int_equal(rules_parse(&r, "r", str_from(rules[i].rule), why, sizeof(why)), 0);
		n = host("0::/kubepods/pod" UID_ "/" CONTAINERD "\n", r);
		got = named(n);
		assert_true(str_eq(got->service, str_from(rules[i].service)));
		assert_true(str_eq(got->pod, STR("shop/web-6d4cf56db6-x7k2p")));
		names_free(n);
		rules_free(r);
	}
}

/* Cut anywhere, or with any byte changed: no read past the end, no endless loop, and never another container's text. */
static void test_broken_files(void **state)
{
	char metadata[64];
	struct container c;
	size_t i, k;

	for (i = 0; i < ARRAY_LEN(files); i++) {
		size_t n = strlen(files[i].text);

		for (k = 0; k <= n; k++) {
			char *copy = malloc(n + !n);

			memcpy(copy, files[i].text, k);
			container_read((struct str){copy, k}, &c);
			(void)container_metadata((struct str){copy, k}, STR(PODMAN), metadata, sizeof(metadata));
			memcpy(copy, files[i].text, n);
			if (k < n)
				copy[k] = '"';
			container_read((struct str){copy, n}, &c);
			(void)container_metadata((struct str){copy, n}, STR(PODMAN), metadata, sizeof(metadata));
			free(copy);
		}
	}
	assert_int_equal(container_metadata(STR("[]"), STR(PODMAN), metadata, sizeof(metadata)), -ENOENT);
	assert_int_equal(container_metadata((struct str){NULL, 0}, STR(PODMAN), metadata, sizeof(metadata)), -ENOENT);
	/* one without metadata does not get the next one's */
	assert_int_equal(
		container_metadata(STR("[{\"id\":\"" NOBODY "\"},{\"id\":\"" PODMAN "\",\"metadata\":\"{}\"}]"),
				   STR(NOBODY), metadata, sizeof(metadata)),
		-ENOENT);
}

static void test_pod_folders(void **state)
{
	struct container c;

	assert_true(container_pod_folder(STR("shop_web-0_" UID_), STR(UID_), &c));
	assert_string_equal(c.ns, "shop");
	assert_string_equal(c.pod, "web-0");
	assert_false(container_pod_folder(STR("shop_web-0_" UID_), STR(LOST), &c));
	assert_false(container_pod_folder(STR(UID_), STR(UID_), &c));
	assert_false(container_pod_folder(STR("_" UID_), STR(UID_), &c));
	assert_false(container_pod_folder(STR("shop_" UID_), STR(UID_), &c));
	assert_false(container_pod_folder(STR("shop__" UID_), STR(UID_), &c));
	assert_false(container_pod_folder(STR(""), STR(UID_), &c));
}

static int set_up(void **state)
{
	size_t i;

	if (!mkdtemp(root))
		return -1;
	for (i = 0; i < ARRAY_LEN(files); i++)
		put(files[i].path, files[i].text);
	return 0;
}

static int tear_down(void **state)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -r %s", root);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_rules_on_pods),
		cmocka_unit_test(test_broken_files),
		cmocka_unit_test(test_pod_folders),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
