/* SPDX-License-Identifier: Apache-2.0 */
/* Whose netlink messages are taken, and what a kernel without TCP's list answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/diag.h"
#include "agent/netlink.h"

static int open_netlink(uint32_t *ret_port)
{
	struct sockaddr_nl a = {.nl_family = AF_NETLINK};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	socklen_t len = sizeof(a);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	*ret_port = a.nl_pid;
	return fd;
}

/* What a container's root may do: send to whoever listens in its namespace. */
static void forge(int fd, uint32_t port)
{
	struct sockaddr_nl to = {.nl_family = AF_NETLINK, .nl_pid = port};
	struct nlmsghdr h = {.nlmsg_len = sizeof(h), .nlmsg_type = NLMSG_DONE};

	assert_int_equal(sendto(fd, &h, sizeof(h), 0, (struct sockaddr *)&to, sizeof(to)), sizeof(h));
}

static void test_only_the_kernel_is_heard(void **state)
{
	struct nlmsghdr ask = {.nlmsg_len = sizeof(ask), .nlmsg_type = NLMSG_MIN_TYPE, .nlmsg_flags = NLM_F_ACK};
	uint64_t foreign = 0;
	struct nlmsghdr *h;
	uint32_t port, other;
	char buf[4096];
	int fd, forger;

	if (geteuid() != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		return; /* here nobody may send: there is nothing to tell apart */
	fd = open_netlink(&port);
	forger = open_netlink(&other);
	for (unsigned i = 0; i < 3; i++)
		forge(forger, port);
	ask.nlmsg_flags |= NLM_F_REQUEST;
	assert_int_equal(send(fd, &ask, sizeof(ask), 0), sizeof(ask));
	assert_true(netlink_recv(fd, buf, sizeof(buf), MSG_DONTWAIT, &foreign) >= (ssize_t)sizeof(*h));
	h = (struct nlmsghdr *)buf;
	assert_int_equal(h->nlmsg_type, NLMSG_ERROR); /* the kernel's answer to a request that says nothing */
	assert_int_equal(foreign, 3);
	forge(forger, port);
	assert_int_equal(netlink_recv(fd, buf, sizeof(buf), MSG_DONTWAIT, NULL), -1);
	assert_int_equal(errno, EAGAIN);
	close(forger);
	close(fd);
}

/* Answers two requests as a kernel does that has no tcp_diag. */
static void *no_module(void *arg)
{
	struct {
		struct nlmsghdr h;
		struct nlmsgerr e;
	} answer = {.h = {.nlmsg_len = sizeof(answer), .nlmsg_type = NLMSG_ERROR}, .e.error = -ENOENT};
	int fd = *(int *)arg;
	char buf[256];

	for (unsigned i = 0; i < 2; i++) {
		if (recv(fd, buf, sizeof(buf), 0) <= 0 || send(fd, &answer, sizeof(answer), 0) < 0)
			break;
	}
	return NULL;
}

static int none(void *arg, const struct diag_sock *s)
{
	fail_msg("a socket out of nothing");
	return 0;
}

static void test_no_list_is_an_error(void **state)
{
	uint64_t bad = 0;
	pthread_t t;
	int fd[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fd), 0);
	assert_int_equal(pthread_create(&t, NULL, no_module, &fd[1]), 0);
	assert_int_equal(diag_dump(fd[0], DIAG_CONNECTED, true, none, NULL, &bad), -EPROTONOSUPPORT);
	assert_int_equal(pthread_join(t, NULL), 0);
	assert_non_null(strstr(diag_error(-EPROTONOSUPPORT), "tcp_diag"));
	assert_string_equal(diag_error(-EPERM), strerror(EPERM));
	close(fd[0]);
	close(fd[1]);
}

static void test_own_namespace_can_be_listed(void **state)
{
	assert_int_equal(diag_try(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_own_namespace_can_be_listed),
		cmocka_unit_test(test_no_list_is_an_error),
		cmocka_unit_test(test_only_the_kernel_is_heard),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
