/* SPDX-License-Identifier: Apache-2.0 */
/* Messages of sock_diag and rtnetlink, broken ones too; listeners over time; a look at the real kernel. */
#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/fdscan.h"
#include "agent/host.h"
#include "agent/listen.h"

#define S 1000000ll

/* A message as the kernel makes it, with tcp_info of `info` bytes. */
static size_t message(char *p, uint8_t family, unsigned info)
{
	struct nlmsghdr *h = (struct nlmsghdr *)p;
	struct inet_diag_msg *m = NLMSG_DATA(h);
	uint32_t mem[SK_MEMINFO_VARS] = {[SK_MEMINFO_DROPS] = 77};
	uint64_t cgroup = 0x1122334455;
	struct nlattr *a;
	size_t n = NLMSG_LENGTH(sizeof(*m));

	memset(p, 0, 1024);
	m->idiag_family = family;
	m->idiag_state = 10;
	m->id.idiag_sport = htons(443);
	m->id.idiag_dport = htons(1234);
	m->id.idiag_cookie[0] = 5;
	m->id.idiag_cookie[1] = 6;
	m->idiag_rqueue = 3;
	m->idiag_wqueue = 128;
	m->idiag_inode = 4711;
	inet_pton(family, family == AF_INET ? "10.1.2.3" : "2001:db8::1", m->id.idiag_src);
	inet_pton(family, family == AF_INET ? "10.1.2.4" : "2001:db8::2", m->id.idiag_dst);
	a = (struct nlattr *)(p + n);
	*a = (struct nlattr){NLA_HDRLEN + sizeof(mem), INET_DIAG_SKMEMINFO};
	memcpy(a + 1, mem, sizeof(mem));
	n += NLA_ALIGN(a->nla_len);
	a = (struct nlattr *)(p + n);
	*a = (struct nlattr){NLA_HDRLEN + sizeof(cgroup), INET_DIAG_CGROUP_ID};
	memcpy(a + 1, &cgroup, sizeof(cgroup));
	n += NLA_ALIGN(a->nla_len);
	a = (struct nlattr *)(p + n);
	*a = (struct nlattr){(uint16_t)(NLA_HDRLEN + info), INET_DIAG_INFO};
	memset(a + 1, 1, info);
	n += NLA_ALIGN(a->nla_len);
	h->nlmsg_len = (uint32_t)n;
	return n;
}

static void test_parse(void **state)
{
	char p[1024], text[IP_TEXT];
	struct diag_sock s;

	message(p, AF_INET, 100);
	assert_int_equal(diag_parse((struct nlmsghdr *)p, &s), 0);
	assert_string_equal(ip_format(&s.local, text), "10.1.2.3");
	assert_string_equal(ip_format(&s.remote, text), "10.1.2.4");
	assert_int_equal(s.lport, 443);
	assert_int_equal(s.rport, 1234);
	assert_int_equal(s.cookie, 6ull << 32 | 5);
	assert_int_equal(s.inode, 4711);
	assert_int_equal(s.rqueue, 3);
	assert_int_equal(s.wqueue, 128);
	assert_true(s.has_drops);
	assert_int_equal(s.drops, 77);
	assert_int_equal(s.cgroup, 0x1122334455);
	assert_int_equal(s.info_len, 100); /* an older kernel's */
	assert_int_equal(s.info.tcpi_state, 1);
	message(p, AF_INET6, 600); /* a newer one's */
	assert_int_equal(diag_parse((struct nlmsghdr *)p, &s), 0);
	assert_string_equal(ip_format(&s.local, text), "2001:db8::1");
	assert_int_equal(s.info_len, sizeof(s.info));
	message(p, AF_UNIX, 0);
	assert_true(diag_parse((struct nlmsghdr *)p, &s) < 0);
}

static void test_parse_every_length(void **state)
{
	char p[1024];
	size_t n = message(p, AF_INET6, 200), i;

	for (i = NLMSG_HDRLEN; i <= n; i++) {
		char *copy = malloc(i); /* its end is guarded by the sanitizer */
		struct diag_sock s;

		memcpy(copy, p, i);
		((struct nlmsghdr *)copy)->nlmsg_len = (uint32_t)i;
		if (i < NLMSG_LENGTH(sizeof(struct inet_diag_msg)))
			assert_true(diag_parse((struct nlmsghdr *)copy, &s) < 0);
		else
			(void)diag_parse((struct nlmsghdr *)copy, &s);
		free(copy);
	}
	((struct nlattr *)(p + NLMSG_LENGTH(sizeof(struct inet_diag_msg))))->nla_len = 0; /* would never end */
	assert_true(diag_parse((struct nlmsghdr *)p, &(struct diag_sock){0}) < 0);
	((struct nlattr *)(p + NLMSG_LENGTH(sizeof(struct inet_diag_msg))))->nla_len = 65535;
	assert_true(diag_parse((struct nlmsghdr *)p, &(struct diag_sock){0}) < 0);
}

static void test_addresses(void **state)
{
	struct {
		struct nlmsghdr h;
		struct ifaddrmsg a;
		struct rtattr at[2];
		uint8_t b[16];
	} m = {.h = {.nlmsg_type = RTM_NEWADDR}, .a = {.ifa_family = AF_INET, .ifa_prefixlen = 30}};
	char *p = (char *)&m + NLMSG_LENGTH(sizeof(struct ifaddrmsg)), text[IP_TEXT];
	struct rtattr local = {RTA_LENGTH(4), IFA_LOCAL}, peer = {RTA_LENGTH(4), IFA_ADDRESS};
	uint8_t bits;
	struct ip ip;

	memcpy(p, &local, 4);
	memcpy(p + 4, (uint8_t[]){10, 0, 0, 1}, 4);
	memcpy(p + 8, &peer, 4);
	memcpy(p + 12, (uint8_t[]){10, 0, 0, 2}, 4);
	m.h.nlmsg_len = NLMSG_LENGTH(sizeof(struct ifaddrmsg)) + 16;
	assert_int_equal(host_parse(&m.h, &ip, &bits), 0);
	assert_string_equal(ip_format(&ip, text), "10.0.0.1"); /* this end of the link, not the other */
	assert_int_equal(bits, 126);
	m.h.nlmsg_len = NLMSG_LENGTH(sizeof(struct ifaddrmsg)) + 7;
	assert_true(host_parse(&m.h, &ip, &bits) < 0);
	m.h.nlmsg_len = NLMSG_LENGTH(sizeof(struct ifaddrmsg)) - 1;
	assert_true(host_parse(&m.h, &ip, &bits) < 0);
	m.h.nlmsg_len = NLMSG_LENGTH(sizeof(struct ifaddrmsg)) + 16;
	m.a.ifa_prefixlen = 33;
	assert_true(host_parse(&m.h, &ip, &bits) < 0);
}

static void adapter(const char *net, const char *name, unsigned ifindex, int type, const char *mac, bool device)
{
	static const char *const files[] = {"type", "ifindex", "address"};
	char path[128], text[3][32];
	unsigned i;

	snprintf(text[0], sizeof(text[0]), "%d\n", type);
	snprintf(text[1], sizeof(text[1]), "%u\n", ifindex);
	snprintf(text[2], sizeof(text[2]), "%s\n", mac);
	snprintf(path, sizeof(path), "%s/%s", net, name);
	assert_int_equal(mkdir(path, 0700), 0);
	for (i = 0; i < 3; i++) {
		FILE *f;

		snprintf(path, sizeof(path), "%s/%s/%s", net, name, files[i]);
		f = fopen(path, "we");
		assert_non_null(f);
		fputs(text[i], f);
		fclose(f);
	}
	snprintf(path, sizeof(path), "%s/%s/device", net, name);
	if (device)
		assert_int_equal(mkdir(path, 0700), 0);
}

/* Those with a device; where none has one, those with a MAC address, the smallest ifindexes of too many. */
static void test_adapters(void **state)
{
	char net[] = "/tmp/skyfall-test-XXXXXX", name[16], command[64];
	struct wire_adapters a;
	unsigned i;

	assert_non_null(mkdtemp(net));
	host_adapters(net, &a);
	assert_int_equal(a.n, 0);
	adapter(net, "lo", 1, 772, "00:00:00:00:00:00", false);
	adapter(net, "dummy0", 3, 1, "00:00:00:00:00:00", false);
	for (i = 20; i > 0; i--) {
		snprintf(name, sizeof(name), "veth%u", i);
		adapter(net, name, 100 + i, 1, "02:00:00:00:00:01", false);
	}
	host_adapters(net, &a);
	assert_int_equal(a.n, WIRE_ADAPTERS);
	for (i = 0; i < a.n; i++)
		assert_int_equal(a.v[i].ifindex, 101 + i);
	adapter(net, "eth1", 300, 1, "02:ab:00:00:00:03", true);
	adapter(net, "eth0", 200, 1, "02:ab:00:00:00:02", true);
	adapter(net, "ib0", 400, 32, "02:ab:00:00:00:04", true);
	host_adapters(net, &a);
	assert_int_equal(a.n, 2);
	assert_int_equal(a.v[0].ifindex, 200);
	assert_memory_equal(a.v[1].mac, ((uint8_t[]){2, 0xab, 0, 0, 0, 3}), 6);
	snprintf(command, sizeof(command), "rm -r %s", net);
	assert_int_equal(system(command), 0);
	host_adapters(net, &a);
	assert_int_equal(a.n, 0);
}

struct told {
	unsigned n;
	struct flow_listener last;
};

static int tell(void *arg, const struct flow_listener *row)
{
	struct told *t = arg;

	t->n++;
	t->last = *row;
	return 0;
}

struct world {
	struct fdscan *owners;
	struct listen *l;
	struct names *names;
};

static struct world world_new(void)
{
	struct names_opts o = {.proc = "/nowhere", .cgroups = "/nowhere"};
	struct world w;

	assert_int_equal(fdscan_new(&w.owners, "/nowhere", 100), 0);
	assert_int_equal(listen_new(&w.l, w.owners), 0);
	assert_int_equal(names_new(&w.names, &o), 0);
	return w;
}

static void world_free(struct world *w)
{
	listen_free(w->l);
	fdscan_free(w->owners);
	names_free(w->names);
}

/* One look in which `n` sockets were there. */
static struct told look(struct world *w, int64_t now, const struct diag_sock *s, unsigned n)
{
	struct told t = {0};
	unsigned i;

	listen_begin(w->l, now);
	for (i = 0; i < n; i++)
		listen_saw(w->l, 1, &s[i]);
	listen_end(w->l);
	names_begin(w->names, now);
	listen_due(w->l, w->names, now, tell, &t);
	return t;
}

static struct diag_sock socket_of(uint16_t port, uint32_t inode, uint32_t drops)
{
	return (struct diag_sock){.lport = port,
				  .inode = inode,
				  .drops = drops,
				  .has_drops = true,
				  .wqueue = 128,
				  .cgroup = 99,
				  .state = 10};
}

static void test_changed_rows_at_once(void **state)
{
	struct world w = world_new();
	struct diag_sock s[2] = {socket_of(80, 1, 500), socket_of(81, 2, 0)};
	struct told t;

	t = look(&w, 1 * S, s, 2);
	assert_int_equal(t.n, 2);
	t = look(&w, 2 * S, s, 2);
	assert_int_equal(t.n, 0);
	s[0].drops = 507;
	t = look(&w, 3 * S, s, 2);
	assert_int_equal(t.n, 1);
	assert_int_equal(t.last.port, 80);
	assert_int_equal(t.last.drops, 7); /* those before the first look are not told */
	s[0].rqueue = 5;
	t = look(&w, 4 * S, s, 2);
	assert_int_equal(t.n, 1);
	assert_int_equal(t.last.drops, 0);
	assert_int_equal(t.last.queue, 5);
	assert_int_equal(t.last.queue_max, 128);
	s[0].rqueue = 0;
	(void)look(&w, 5 * S, s, 2);
	t = look(&w, 61 * S, s, 2);
	assert_int_equal(t.n, 1); /* 81: a minute after its first */
	assert_int_equal(t.last.port, 81);
	s[1].inode = 22; /* restarted */
	t = look(&w, 62 * S, s, 2);
	assert_int_equal(t.n, 1);
	world_free(&w);
}

static void test_gone_after_three_minutes(void **state)
{
	struct world w = world_new();
	struct diag_sock s[2] = {socket_of(80, 1, 0), socket_of(81, 2, 0)};
	struct told t;

	(void)look(&w, 0, s, 2);
	t = look(&w, 179 * S, s, 1);
	assert_int_equal(t.n, 1); /* 80 is told again; 81 is neither there nor gone */
	assert_int_equal(t.last.port, 80);
	t = look(&w, 180 * S, s, 1);
	assert_int_equal(t.n, 1);
	assert_int_equal(t.last.port, 81);
	assert_int_equal(t.last.alive, 0);
	t = look(&w, 181 * S, s, 1);
	assert_int_equal(t.n, 0);
	assert_int_equal(listen_count(w.l), 2);
	t = look(&w, 241 * S, s, 1);
	assert_int_equal(listen_count(w.l), 1);
	t = look(&w, 242 * S, s, 2); /* back */
	assert_int_equal(t.n, 1);
	assert_int_equal(t.last.alive, 1);
	world_free(&w);
}

static void test_shared_port_is_one_row(void **state)
{
	struct world w = world_new();
	struct diag_sock s[3] = {socket_of(80, 1, 10), socket_of(80, 2, 20), socket_of(80, 3, 0)};
	struct told t;

	s[0].rqueue = s[2].rqueue = 2;
	t = look(&w, 1 * S, s, 3);
	assert_int_equal(t.n, 1);
	assert_int_equal(t.last.queue, 4);
	assert_int_equal(t.last.queue_max, 384);
	s[0].drops += 1;
	s[1].drops += 2;
	t = look(&w, 2 * S, s, 3);
	assert_int_equal(t.last.drops, 3);
	world_free(&w);
}

static void test_bound(void **state)
{
	struct world w = world_new();
	struct diag_sock s = socket_of(0, 0, 0);
	unsigned i;

	listen_begin(w.l, 1);
	for (i = 0; i < LISTEN_MAX + 10; i++) {
		s.local.b[0] = (uint8_t)(i >> 8);
		s.lport = (uint16_t)i & 0xff;
		listen_saw(w.l, 1, &s);
	}
	listen_end(w.l);
	assert_int_equal(listen_count(w.l), LISTEN_MAX);
	assert_int_equal(listen_full(w.l), 10);
	world_free(&w);
}

static void test_inodes(void **state)
{
	assert_int_equal(fdscan_inode("socket:[4711]"), 4711);
	assert_int_equal(fdscan_inode("socket:[4711"), 0);
	assert_int_equal(fdscan_inode("socket:[]"), 0);
	assert_int_equal(fdscan_inode("pipe:[4711]"), 0);
	assert_int_equal(fdscan_inode("socket:[99999999999]"), 0);
	assert_int_equal(fdscan_inode("/tmp/socket:[1]"), 0);
}

static uint32_t found_inode;
static uint16_t wanted_port;

static int find_port(void *arg, const struct diag_sock *s)
{
	if (s->state == 10 && s->lport == wanted_port) {
		assert_true(ip_is_loopback(&s->local));
		assert_int_equal(s->wqueue, 17);
		found_inode = s->inode;
	}
	return 0;
}

/* A listener of this process, as the kernel tells it and as /proc says who holds it. */
static void test_the_kernel(void **state)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct netns_set set = {0};
	struct diag_set diag = {0};
	uint32_t self = netns_self();
	struct fdscan *scan;
	uint64_t bad = 0;

	assert_int_equal(bind(fd, (struct sockaddr *)&a, len), 0);
	assert_int_equal(listen(fd, 17), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	wanted_port = ntohs(a.sin_port);
	assert_int_equal(netns_scan(&set, &self, 1), 0);
	assert_int_equal(set.n, 1);
	assert_int_equal(diag_follow(&diag, &set), 0);
	assert_int_equal(diag.n, 1);
	assert_int_equal(diag_dump(diag.v[0].fd, DIAG_LISTEN, false, find_port, NULL, &bad), 0);
	assert_int_equal(bad, 0);
	assert_int_not_equal(found_inode, 0);
	assert_int_equal(fdscan_new(&scan, "/proc", 10), 0);
	assert_int_equal(fdscan_pid(scan, found_inode, 1 * S), 0);
	assert_int_equal(fdscan_pid(scan, 1, 1 * S), 0); /* nobody holds it */
	while (fdscan_step(scan, 100, 1 * S))
		;
	assert_int_equal(fdscan_pid(scan, found_inode, 2 * S), getpid());
	assert_false(fdscan_step(scan, 100, 2 * S)); /* the other one is not looked for all the time */
	assert_int_equal(fdscan_pid(scan, 1, 30 * S), 0);
	assert_false(fdscan_step(scan, 100, 30 * S));
	assert_int_equal(fdscan_pid(scan, 1, 61 * S), 0);
	assert_true(fdscan_step(scan, 1, 61 * S));
	fdscan_forget(scan, found_inode);
	assert_int_equal(fdscan_pid(scan, found_inode, 62 * S), 0);
	fdscan_free(scan);
	diag_set_deinit(&diag);
	netns_set_deinit(&set);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_parse_every_length),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_adapters),
		cmocka_unit_test(test_changed_rows_at_once),
		cmocka_unit_test(test_gone_after_three_minutes),
		cmocka_unit_test(test_shared_port_is_one_row),
		cmocka_unit_test(test_bound),
		cmocka_unit_test(test_inodes),
		cmocka_unit_test(test_the_kernel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
