/* SPDX-License-Identifier: Apache-2.0 */
/* UDP. Each datagram of a client begins with the size of the answer it wants (u32, 0: none), or is shorter and wants none. */
#include "tests/e2e/workload.h"

#include <errno.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif
#ifndef SO_RCVBUFFORCE
#define SO_RCVBUFFORCE 33
#endif
#define SOCKETS 2048
#define WORDS 16
#define BATCH 64

/* What the program did, in datagrams and payload bytes; not shared. */
static struct {
	uint64_t opened, closed, sent, sent_bytes, received, received_bytes, unanswered;
} did;

static char data[65536];
static int fds[SOCKETS];
static int n_fds;
static struct sockaddr_storage peer; /* the client's server */
static socklen_t peer_len;
static bool connected;

static void report(void)
{
	printf("{\"opened\":%lu,\"closed\":%lu,\"sent\":%lu,\"sent_bytes\":%lu,\"received\":%lu,\"received_bytes\":%lu,"
	       "\"unanswered\":%lu}\n",
	       did.opened, did.closed, did.sent, did.sent_bytes, did.received, did.received_bytes, did.unanswered);
	fflush(stdout);
}

static int new_socket(int family)
{
	int fd = socket(family, SOCK_DGRAM, 0), size = 16 << 20, off = 0;

	if (fd < 0)
		work_die("socket", errno);
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	if (family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, 26 /* IPV6_V6ONLY */, &off, sizeof(off));
	return fd;
}

static void sent(ssize_t n, uint64_t datagrams)
{
	if (n < 0)
		work_die("sending a datagram", errno);
	did.sent += datagrams;
	did.sent_bytes += (uint64_t)n;
}

/* One datagram or, with UDP_GRO, several. Returns how many; 0: none came in time. */
static uint64_t receive(int fd, int ms, struct sockaddr_storage *from, socklen_t *from_len, ssize_t *ret_n)
{
	char space[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec iov = {data, sizeof(data)};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_name = from, .msg_control = space};
	struct pollfd p = {fd, POLLIN, 0};
	struct cmsghdr *c;
	uint64_t n = 1;
	int size;

	if (ms && poll(&p, 1, ms) <= 0)
		return 0;
	m.msg_namelen = from ? sizeof(*from) : 0;
	m.msg_controllen = sizeof(space);
	*ret_n = recvmsg(fd, &m, MSG_DONTWAIT);
	if (*ret_n < 0)
		return 0;
	if (from_len)
		*from_len = m.msg_namelen;
	for (c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
		if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
			memcpy(&size, CMSG_DATA(c), sizeof(size));
			n = ((uint64_t)*ret_n + (uint64_t)size - 1) / (uint64_t)size;
		}
	did.received += n;
	did.received_bytes += (uint64_t)*ret_n;
	return n;
}

static uint32_t wanted(ssize_t n)
{
	uint32_t size = 0;

	if (n >= (ssize_t)sizeof(size))
		memcpy(&size, data, sizeof(size));
	return size <= sizeof(data) - 64 ? size : 0;
}

/* A socket for one client, as QUIC servers that connect theirs do. */
static void accept_peer(int port_fd, const struct sockaddr_storage *from, socklen_t len)
{
	struct sockaddr_storage own;
	socklen_t own_len = sizeof(own);
	int fd = new_socket(from->ss_family), one = 1;

	if (getsockname(port_fd, (void *)&own, &own_len) < 0 || n_fds == SOCKETS)
		work_die("a socket for one client", errno);
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
	if (bind(fd, (void *)&own, own_len) < 0 || connect(fd, (const void *)from, len) < 0)
		work_die("a socket for one client", errno);
	did.opened++;
	fds[n_fds++] = fd;
}

static void answer(int fd, bool accepting)
{
	struct sockaddr_storage from;
	socklen_t len = 0;
	uint32_t size;
	ssize_t n;

	while (receive(fd, 0, &from, &len, &n)) {
		size = wanted(n);
		if (accepting && fd == fds[0]) {
			accept_peer(fd, &from, len);
			if (size)
				sent(send(fds[n_fds - 1], data, size, 0), 1);
		} else if (size) {
			sent(sendto(fd, data, size, 0, (void *)&from, len), 1);
		}
	}
}

/* udp-serve ADDR PORT [gro] [accept]: lines on stdin are answered by what was done so far; "close" ends connected ones. */
int work_udp_serve(int argc, char **argv)
{
	bool accepting = work_word(argv + 2, argc - 2, "accept", 0);
	struct pollfd p[SOCKETS + 1];
	struct sockaddr_storage at;
	socklen_t len = work_address(argv[0], argv[1], &at);
	char line[256];
	int one = 1, i;

	fds[n_fds++] = new_socket(at.ss_family);
	(void)setsockopt(fds[0], SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
	if (work_word(argv + 2, argc - 2, "gro", 0))
		(void)setsockopt(fds[0], IPPROTO_UDP, UDP_GRO, &one, sizeof(one));
	if (bind(fds[0], (void *)&at, len) < 0)
		work_die(argv[0], errno);
	report();
	for (;;) {
		p[0] = (struct pollfd){0, POLLIN, 0};
		for (i = 0; i < n_fds; i++)
			p[i + 1] = (struct pollfd){fds[i], POLLIN, 0};
		if (poll(p, (nfds_t)n_fds + 1, -1) < 0)
			work_die("poll", errno);
		for (i = n_fds; i > 0; i--)
			if (p[i].revents)
				answer(fds[i - 1], accepting);
		if (!p[0].revents)
			continue;
		if (!fgets(line, sizeof(line), stdin))
			return 0;
		for (; strncmp(line, "close", 5) == 0 && n_fds > 1; did.closed++)
			close(fds[--n_fds]);
		report();
	}
}

static void await(int fd)
{
	ssize_t n;

	if (!receive(fd, 5000, NULL, NULL, &n))
		did.unanswered++;
}

/* open ADDR PORT [n=N] [connect] [bind=PORT] [mapped] */
static void cmd_open(char **w, int n)
{
	uint64_t i, count = work_word(w + 2, n - 2, "n", 1), port = work_word(w + 2, n - 2, "bind", 0);
	struct sockaddr_in6 own = {.sin6_port = htons((uint16_t)port)};

	peer_len = work_address(w[0], w[1], &peer);
	connected = work_word(w + 2, n - 2, "connect", 0);
	for (i = 0; i < count && n_fds < SOCKETS; i++) {
		int fd = new_socket(peer.ss_family);

		own.sin6_family = peer.ss_family;
		if (port && bind(fd, (void *)&own, peer_len) < 0)
			work_die("bind", errno);
		if (connected && connect(fd, (void *)&peer, peer_len) < 0)
			work_die("connect", errno);
		did.opened += connected;
		fds[n_fds++] = fd;
	}
}

static ssize_t send_one(int fd, size_t size)
{
	return connected ? send(fd, data, size, 0) : sendto(fd, data, size, 0, (void *)&peer, peer_len);
}

/* send N SIZE ANSWER */
static void cmd_send(char **w, int n)
{
	uint64_t count = strtoull(w[0], NULL, 10), size = strtoull(w[1], NULL, 10);
	uint32_t want = (uint32_t)strtoul(w[2], NULL, 10);
	int i;

	for (i = 0; i < n_fds; i++)
		for (uint64_t k = 0; k < count; k++) {
			memcpy(data, &want, sizeof(want));
			sent(send_one(fds[i], size), 1);
			if (want)
				await(fds[i]);
		}
}

/* mmsg N SIZE: without an answer */
static void cmd_mmsg(char **w, int n)
{
	unsigned left = (unsigned)strtoul(w[0], NULL, 10), i;
	struct iovec iov = {data, strtoul(w[1], NULL, 10)};
	struct mmsghdr m[BATCH];

	memset(data, 0, sizeof(uint32_t));
	while (left) {
		unsigned now = left < BATCH ? left : BATCH;
		int done;

		for (i = 0; i < now; i++)
			m[i].msg_hdr = (struct msghdr){.msg_iov = &iov,
						       .msg_iovlen = 1,
						       .msg_name = connected ? NULL : &peer,
						       .msg_namelen = connected ? 0 : peer_len};
		done = sendmmsg(fds[0], m, now, 0);
		if (done <= 0)
			work_die("sendmmsg", errno);
		did.sent += (unsigned)done;
		did.sent_bytes += (unsigned)done * iov.iov_len;
		left -= (unsigned)done;
	}
}

/* segments SIZE SEGMENT: one send call, cut by the kernel */
static void cmd_segments(char **w, int n)
{
	uint64_t size = strtoull(w[0], NULL, 10);
	int segment = atoi(w[1]), none = 0;

	memset(data, 0, sizeof(uint32_t));
	if (setsockopt(fds[0], IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof(segment)) < 0)
		work_die("UDP_SEGMENT", errno);
	sent(send_one(fds[0], size), (size + (uint64_t)segment - 1) / (uint64_t)segment);
	(void)setsockopt(fds[0], IPPROTO_UDP, UDP_SEGMENT, &none, sizeof(none));
}

/* peers ADDR PORT FROM N SIZE ANSWER: N sockets, one after the other, each from the next IPv4 address */
static void cmd_peers(char **w, int n)
{
	struct sockaddr_storage base;
	struct sockaddr_in *v4 = (void *)&base;
	uint32_t want = (uint32_t)strtoul(w[5], NULL, 10);
	uint64_t i, count = strtoull(w[3], NULL, 10);

	peer_len = work_address(w[0], w[1], &peer);
	work_address(w[2], "0", &base);
	for (i = 0; i < count; i++) {
		int fd = new_socket(AF_INET);

		if (bind(fd, (void *)&base, sizeof(*v4)) < 0)
			work_die("bind", errno);
		memcpy(data, &want, sizeof(want));
		sent(sendto(fd, data, strtoul(w[4], NULL, 10), 0, (void *)&peer, peer_len), 1);
		await(fd);
		close(fd);
		v4->sin_addr.s_addr = htonl(ntohl(v4->sin_addr.s_addr) + 1);
	}
}

static void cmd_close(char **w, int n)
{
	while (n_fds) {
		close(fds[--n_fds]);
		did.closed += connected;
	}
}

static void cmd_report(char **w, int n)
{
}

static const struct {
	const char *name;
	int words;
	void (*run)(char **w, int n);
} commands[] = {
	{"open", 2, cmd_open},   {"send", 3, cmd_send},   {"mmsg", 2, cmd_mmsg},     {"segments", 2, cmd_segments},
	{"peers", 6, cmd_peers}, {"close", 0, cmd_close}, {"report", 0, cmd_report},
};

/* udp-client: a line of stdin is a command, answered by a line. */
int work_udp_client(void)
{
	char line[512], *w[WORDS], *save;
	size_t i;
	int n;

	while (fgets(line, sizeof(line), stdin)) {
		for (n = 0; n < WORDS && (w[n] = strtok_r(n ? NULL : line, " \n", &save)); n++)
			;
		for (i = 0; n && i < sizeof(commands) / sizeof(commands[0]); i++)
			if (strcmp(commands[i].name, w[0]) == 0)
				break;
		if (!n || i == sizeof(commands) / sizeof(commands[0]) || n - 1 < commands[i].words)
			work_die(line, EINVAL);
		commands[i].run(w + 1, n - 1);
		report();
	}
	return 0;
}
