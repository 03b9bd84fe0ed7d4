/* SPDX-License-Identifier: Apache-2.0 */
/* Who holds a socket, over a /proc of our own; and whose the rows of a listener are that was handed over. */
#include <fcntl.h>
#include <netinet/in.h>
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

#include "agent/handed.h"
#include "tests/unit/host_files.h"

#define S 1000000ll
#define PORT 7000
#define INODE 4711

static char root[64];

static void put(const char *path, const char *text)
{
	host_put(root, path, text);
}

static void process(unsigned pid, const char *comm, char state, const char *cgroup)
{
	char path[64], text[4200];

	snprintf(path, sizeof(path), "proc/%u/stat", pid);
	snprintf(text, sizeof(text), "%u (%s) %c 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20", pid, comm,
		 state);
	put(path, text);
	snprintf(path, sizeof(path), "proc/%u/comm", pid);
	snprintf(text, sizeof(text), "%s\n", comm);
	put(path, text);
	snprintf(path, sizeof(path), "proc/%u/environ", pid);
	put(path, "");
	snprintf(path, sizeof(path), "proc/%u/cgroup", pid);
	snprintf(text, sizeof(text), "0::%s\n", cgroup);
	put(path, text);
	snprintf(path, sizeof(path), "proc/%u/fd/.keep", pid);
	put(path, "");
}

static void holds(unsigned pid, unsigned fd, const char *what)
{
	char full[512];

	snprintf(full, sizeof(full), "%s/proc/%u/fd/%u", root, pid, fd);
	assert_int_equal(symlink(what, full), 0);
}

static void gone(unsigned pid)
{
	char command[256];

	snprintf(command, sizeof(command), "rm -r %s/proc/%u", root, pid);
	assert_int_equal(system(command), 0);
}

static uint64_t folder(const char *path)
{
	char full[512];

	snprintf(full, sizeof(full), "cg%s/x", path);
	put(full, "");
	snprintf(full, sizeof(full), "cg%s", path);
	return host_folder_id(root, full);
}

static int set_up(void **state)
{
	snprintf(root, sizeof(root), "/tmp/test_handed.XXXXXX");
	return mkdtemp(root) ? 0 : -1;
}

static int tear_down(void **state)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -r %s", root);
	return system(command);
}

static struct fdscan *scan_new(void)
{
	struct fdscan *f;
	char proc[96];

	snprintf(proc, sizeof(proc), "%s/proc", root);
	assert_int_equal(fdscan_new(&f, proc, 16), 0);
	return f;
}

static void scan(struct fdscan *f, int64_t now_us)
{
	while (fdscan_step(f, 7, now_us))
		;
}

static void test_init_is_the_last_choice(void **state)
{
	struct fdscan *f = scan_new();

	process(1, "anything", 'S', "/init.scope");
	holds(1, 30, "socket:[4711]");
	assert_int_equal(fdscan_pid(f, INODE, 1 * S), 0);
	scan(f, 1 * S);
	assert_int_equal(fdscan_pid(f, INODE, 2 * S), 1); /* nobody else */
	assert_int_equal(fdscan_better(f, INODE, 2 * S), 0);
	process(20, "web", 'S', "/web.service");
	holds(20, 3, "socket:[4711]");
	scan(f, 2 * S);
	assert_int_equal(fdscan_better(f, INODE, 3 * S), 20);
	assert_int_equal(fdscan_pid(f, INODE, 3 * S), 20);
	/* the service ends, init keeps it */
	gone(20);
	fdscan_gone(f, INODE, 4 * S);
	scan(f, 4 * S);
	assert_int_equal(fdscan_pid(f, INODE, 5 * S), 1);
	fdscan_free(f);
}

static void test_waits_double(void **state)
{
	struct fdscan *f = scan_new();
	int64_t now = 1 * S, walks = 0, end = 601 * S;

	process(1, "systemd", 'S', "/init.scope");
	holds(1, 30, "socket:[4711]");
	for (; now < end; now += S) {
		assert_int_equal(fdscan_better(f, INODE, now), 0);
		if (!fdscan_step(f, 1, now))
			continue;
		walks++;
		scan(f, now);
	}
	assert_in_range(walks, 10, 20); /* not 600 */
	fdscan_free(f);
}

/* A process with very many descriptors is looked at last, and is looked at. */
static void test_many_descriptors(void **state)
{
	struct fdscan *f = scan_new();
	unsigned i, steps = 0;
	char link[32];

	process(10, "many", 'S', "/many.service");
	for (i = 0; i < 900; i++) {
		snprintf(link, sizeof(link), "socket:[%u]", 100000 + i);
		holds(10, 100 + i, link);
	}
	process(20, "web", 'S', "/web.service");
	holds(20, 3, "socket:[4711]");
	holds(20, 4, "pipe:[5]");
	holds(20, 5, "socket:[x]");
	(void)fdscan_pid(f, INODE, 1 * S);
	while (fdscan_step(f, 10, 1 * S))
		steps++;
	assert_int_equal(fdscan_pid(f, INODE, 2 * S), 20);
	assert_in_range(steps, 0, 10);
	for (i = 0; i < 900; i += 100)
		(void)fdscan_pid(f, 100000 + i, 2 * S);
	scan(f, 2 * S);
	for (i = 0; i < 900; i += 100)
		assert_int_equal(fdscan_pid(f, 100000 + i, 3 * S), 10);
	fdscan_free(f);
}

/* What is asked for while a walk is under way has one of its own, and only that. */
static void test_asked_meanwhile(void **state)
{
	struct fdscan *f = scan_new();
	unsigned pid, steps = 0;

	process(20, "web", 'S', "/web.service");
	holds(20, 3, "socket:[77]");
	for (pid = 30; pid < 33; pid++) {
		process(pid, "other", 'S', "/other.service");
		holds(pid, 3, "pipe:[5]");
	}
	(void)fdscan_pid(f, INODE, 1 * S); /* nobody holds it */
	while (steps++ < 6)
		assert_true(fdscan_step(f, 1, 1 * S));
	(void)fdscan_pid(f, 77, 1 * S);
	scan(f, 1 * S);
	assert_int_equal(fdscan_pid(f, 77, 2 * S), 20);
	assert_int_equal(fdscan_pid(f, INODE, 2 * S), 0);
	assert_false(fdscan_step(f, 100, 2 * S)); /* not before a minute is over */
	fdscan_free(f);
}

/* --- rows */

struct rig {
	struct fdscan *owners;
	struct listen *listen;
	struct names *names;
	struct agent_rows *rows;
	char proc[96], cg[96];
};

static struct rig rig_new(uint64_t cgroup)
{
	struct diag_sock s = {.lport = PORT, .inode = INODE, .state = 10, .cgroup = cgroup};
	struct rig r = {.owners = scan_new()};
	struct names_opts o = {.proc = r.proc, .cgroups = r.cg, .root = root};

	snprintf(r.proc, sizeof(r.proc), "%s/proc", root);
	snprintf(r.cg, sizeof(r.cg), "%s/cg", root);
	assert_int_equal(names_new(&r.names, &o), 0);
	assert_int_equal(agent_rows_new(&r.rows, 16), 0);
	assert_int_equal(listen_new(&r.listen, r.owners), 0);
	names_begin(r.names, 1 * S);
	listen_begin(r.listen, 1 * S);
	listen_saw(r.listen, 7, &s);
	scan(r.owners, 1 * S);
	listen_end(r.listen);
	return r;
}

static void rig_free(struct rig *r)
{
	listen_free(r->listen);
	fdscan_free(r->owners);
	names_free(r->names);
	agent_rows_free(r->rows);
}

static struct agent_row *row(struct rig *r, uint64_t cgroup, uint32_t tgid, const char *comm, uint32_t flags)
{
	struct sky_row_key k = {.netns = 7,
				.protocol = IPPROTO_TCP,
				.role = SKY_ROLE_SERVER,
				.service_port = PORT,
				.local = {[10] = 0xff, [11] = 0xff, [12] = 10, [15] = 1},
				.owner = {.cgroup = cgroup, .flags = flags}};
	struct agent_row *row;

	memcpy(k.owner.comm, comm, strlen(comm));
	row = agent_rows_get(r->rows, &k);
	assert_non_null(row);
	row->val.tgid = tgid;
	return row;
}

static void is(struct rig *r, const struct agent_row *row, const char *service, uint8_t quality)
{
	const struct flow_names *got = names_at(r->names, names_of(r->names, &row->key.owner, row->val.tgid));
	char text[256];

	snprintf(text, sizeof(text), "%.*s", STR_FMT(got->service));
	assert_string_equal(text, service);
	assert_int_equal(got->quality, quality);
}

static void test_made_by_init(void **state)
{
	uint64_t init = folder("/init.scope");
	struct agent_row *inherited, *exact, *client, *udp;
	struct rig r;

	process(1, "systemd", 'S', "/init.scope");
	holds(1, 30, "socket:[4711]");
	process(20, "web", 'S', "/system.slice/web.service");
	holds(20, 3, "socket:[4711]");
	r = rig_new(init);
	inherited = row(&r, init, 1, "systemd", SKY_OWNER_INHERITED);
	exact = row(&r, folder("/system.slice/web.service"), 20, "web", 0);
	client = row(&r, init, 1, "systemd", 0);
	client->key.role = SKY_ROLE_CLIENT;
	udp = row(&r, init, 1, "systemd", SKY_OWNER_SCAN);
	udp->key.protocol = IPPROTO_UDP;
	assert_int_equal(handed_rows(r.rows, r.listen, r.names), 1);
	is(&r, inherited, "web", FLOW_OWNER_SCAN);
	is(&r, exact, "web", FLOW_OWNER_EXACT); /* the kernel saw it accept */
	is(&r, client, "systemd", FLOW_OWNER_EXACT);
	is(&r, udp, "systemd", FLOW_OWNER_SCAN); /* another socket on that port */
	rig_free(&r);
}

/* Nobody has taken it yet: init's, as the kernel says; then a service does, and one after it. */
static void test_made_by_init_and_kept(void **state)
{
	uint64_t init = folder("/init.scope");
	struct agent_row *one;
	struct rig r;

	process(1, "systemd", 'S', "/init.scope");
	holds(1, 30, "socket:[4711]");
	r = rig_new(init);
	one = row(&r, init, 1, "systemd", SKY_OWNER_INHERITED);
	assert_int_equal(handed_rows(r.rows, r.listen, r.names), 0);
	is(&r, one, "systemd", FLOW_OWNER_INHERITED);
	process(20, "web", 'S', "/system.slice/web.service");
	holds(20, 3, "socket:[4711]");
	listen_begin(r.listen, 5 * S);
	names_begin(r.names, 5 * S);
	assert_int_equal(handed_rows(r.rows, r.listen, r.names), 1);
	is(&r, one, "web", FLOW_OWNER_SCAN);
	gone(20);
	process(21, "web2", 'S', "/system.slice/web2.service");
	holds(21, 3, "socket:[4711]");
	agent_rows_clear(r.rows);
	one = row(&r, init, 1, "systemd", SKY_OWNER_INHERITED);
	listen_begin(r.listen, 6 * S);
	names_begin(r.names, 6 * S);
	assert_int_equal(handed_rows(r.rows, r.listen, r.names), 0); /* it is noticed that the former is gone */
	listen_step(r.listen);
	names_begin(r.names, 7 * S);
	assert_int_equal(handed_rows(r.rows, r.listen, r.names), 1);
	is(&r, one, "web2", FLOW_OWNER_SCAN);
	rig_free(&r);
}

static void test_made_by_another(void **state)
{
	uint64_t made = folder("/system.slice/maker.service");
	struct agent_row *moved, *stayed, *ended, *zombie, *kernel, *unknown;
	struct rig r;

	(void)folder("/system.slice/new.service");
	process(30, "moved", 'S', "/system.slice/new.service");
	process(31, "stayed", 'S', "/system.slice/maker.service");
	process(33, "zombie", 'Z', "/system.slice/maker.service");
	process(34, "heir", 'S', "/system.slice/new.service");
	holds(34, 3, "socket:[4711]");
	r = rig_new(made);
	moved = row(&r, made, 30, "moved", SKY_OWNER_INHERITED);
	stayed = row(&r, made, 31, "stayed", SKY_OWNER_INHERITED);
	ended = row(&r, made, 32, "ended", SKY_OWNER_INHERITED);
	zombie = row(&r, made, 33, "zombie", SKY_OWNER_INHERITED);
	kernel = row(&r, made, 30, "kernel", SKY_OWNER_INHERITED | SKY_OWNER_KERNEL);
	unknown = row(&r, made, 0, "unknown", SKY_OWNER_INHERITED);
	assert_int_equal(handed_rows(r.rows, r.listen, r.names), 3);
	is(&r, moved, "new", FLOW_OWNER_SCAN);
	is(&r, stayed, "maker", FLOW_OWNER_INHERITED);
	is(&r, ended, "new", FLOW_OWNER_SCAN);
	is(&r, zombie, "new", FLOW_OWNER_SCAN);
	is(&r, kernel, "kernel", FLOW_OWNER_INHERITED);
	is(&r, unknown, "maker", FLOW_OWNER_INHERITED);
	rig_free(&r);
}

/* Moved once we know it: its cgroup is looked at again. */
static void test_moved_later(void **state)
{
	uint64_t made = folder("/system.slice/maker.service");
	struct agent_row *one;
	struct rig r;

	(void)folder("/system.slice/new.service");
	process(30, "runtime", 'S', "/system.slice/maker.service");
	holds(30, 3, "socket:[4711]");
	r = rig_new(made);
	one = row(&r, made, 30, "runtime", SKY_OWNER_INHERITED);
	assert_int_equal(handed_rows(r.rows, r.listen, r.names), 0);
	process(30, "runtime", 'S', "/system.slice/new.service");
	names_begin(r.names, 2 * S);
	assert_int_equal(handed_rows(r.rows, r.listen, r.names), 1);
	is(&r, one, "new", FLOW_OWNER_SCAN);
	rig_free(&r);
}

/* A path of 4 KiB: its end names, and is compared with its end. */
static void test_long_paths(void **state)
{
	char path[4000] = "";
	struct agent_row *one;
	uint64_t made;
	struct rig r;
	size_t n = 0;

	while (n < 3900)
		n += (size_t)sprintf(path + n, "/nested-slice-%04zu.slice", n);
	sprintf(path + n, "/deep.service");
	made = 0xdeadbeef; /* not to be found: nothing is known to be elsewhere */
	process(30, "deep", 'S', path);
	holds(30, 3, "socket:[4711]");
	r = rig_new(made);
	one = row(&r, made, 30, "deep", SKY_OWNER_INHERITED);
	assert_int_equal(handed_rows(r.rows, r.listen, r.names), 0);
	is(&r, one, "deep", FLOW_OWNER_INHERITED);
	rig_free(&r);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_init_is_the_last_choice), TEST(test_waits_double), TEST(test_many_descriptors),
		TEST(test_asked_meanwhile),         TEST(test_made_by_init), TEST(test_made_by_init_and_kept),
		TEST(test_made_by_another),         TEST(test_moved_later),  TEST(test_long_paths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
