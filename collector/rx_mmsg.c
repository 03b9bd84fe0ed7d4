/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recvmmsg() with UDP_GRO: one call brings up to MESSAGES buffers of 64 KiB, each one datagram, or a run of equally
 * long ones of the same sender (the last may be shorter) with their length in a control message. A run has one time of
 * arrival (SO_TIMESTAMPNS): a burst the kernel could glue together came within less than a millisecond.
 *
 * Datagrams of a fleet come from as many sockets, and nothing is glued: then a call brings many small ones. Of runs it is to
 * bring few, that the batch stays in the processor's cache until it is decoded: BATCH_BYTES, by the size of the last ones.
 * The buffers stand a page's fraction off 64 KiB apart; else the heads of all fell into the same few lines of the cache.
 */
#include "collector/rx.h"

#include <errno.h>
#include <linux/sock_diag.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef UDP_GRO
#define UDP_GRO 104
#endif
#ifndef SO_MEMINFO
#define SO_MEMINFO 55
#endif
#ifndef SO_RXQ_OVFL
#define SO_RXQ_OVFL 40
#endif

#define MESSAGES 128
#define MESSAGES_MIN 8
#define SEGMENTS (RX_PACKETS / MESSAGES) /* the kernel glues no more than 128 together */
#define BATCH_BYTES (1 << 20)
#define MESSAGE_BYTES 65536
#define STRIDE (MESSAGE_BYTES + 1472)
#define CONTROL_BYTES 256

struct rx {
	int fd, event;
	int family;
	unsigned vlen; /* messages to ask for */
	unsigned used; /* of msg, since they were made ready */
	uint64_t granted;
	uint64_t drops;
	struct mmsghdr msg[MESSAGES];
	struct iovec iov[MESSAGES];
	struct sockaddr_storage from[MESSAGES];
	char control[MESSAGES][CONTROL_BYTES] __attribute__((aligned(8)));
	struct worker_packet packets[RX_PACKETS];
	char *bytes; /* MESSAGES x STRIDE */
};

static int set(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value)) < 0 ? -errno : 0;
}

/* Asks for room beyond rmem_max where that is allowed; what was granted counts. */
static uint64_t set_rcvbuf(int fd, uint64_t bytes)
{
	int got = 0;
	socklen_t len = sizeof(got);
	int want = bytes > INT32_MAX / 2 ? INT32_MAX / 2 : (int)bytes;

	if (want && set(fd, SOL_SOCKET, SO_RCVBUFFORCE, want) < 0)
		(void)set(fd, SOL_SOCKET, SO_RCVBUF, want);
	if (getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &got, &len) < 0)
		return 0;
	return (uint64_t)got / 2; /* the kernel doubles it for its own book-keeping */
}

static socklen_t address(int family, const struct ip *ip, uint16_t port, uint32_t ifindex, struct sockaddr_storage *ret)
{
	if (family == AF_INET)
		return ip_to_sockaddr(ip, port, ret);
	*(struct sockaddr_in6 *)ret = (struct sockaddr_in6){
		.sin6_family = AF_INET6,
		.sin6_port = htons(port),
		.sin6_scope_id = !ip_is_v4(ip) && ip_is_link_local(ip) ? ifindex : 0,
	};
	memcpy(&((struct sockaddr_in6 *)ret)->sin6_addr, ip->b, 16);
	return sizeof(struct sockaddr_in6);
}

static int bound_socket(const struct rx_opts *o, int family, int *ret)
{
	struct sockaddr_storage sa = {0};
	struct ip listen = o->listen;
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0), r = 0;
	socklen_t len;

	if (fd < 0)
		return -errno;
	if (family == AF_INET && ip_is_zero(&listen))
		listen = ip_from_v4((const uint8_t[4]){0});
	if (family == AF_INET6)
		(void)set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
	if (o->share)
		r = set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	len = address(family, &listen, o->port, 0, &sa);
	if (!r && bind(fd, (struct sockaddr *)&sa, len) < 0)
		r = -errno;
	if (r < 0) {
		close(fd);
		return r;
	}
	/* Each is an extra: without it we receive slower, or know less. */
	(void)set(fd, SOL_SOCKET, SO_RXQ_OVFL, 1);
	(void)set(fd, SOL_SOCKET, SO_TIMESTAMPNS, 1);
	(void)set(fd, IPPROTO_UDP, UDP_GRO, 1);
	if (family == AF_INET6)
		(void)set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
	else if (ip_is_zero(&listen)) /* bound to an address, every answer leaves from there */
		(void)set(fd, IPPROTO_IP, IP_PKTINFO, 1);
	*ret = fd;
	return 0;
}

static void rx_close(struct rx *rx)
{
	if (!rx)
		return;
	if (rx->fd >= 0)
		close(rx->fd);
	if (rx->event >= 0)
		close(rx->event);
	free(rx->bytes);
	free(rx);
}

static void make_messages(struct rx *rx)
{
	for (unsigned i = 0; i < MESSAGES; i++) {
		rx->iov[i] = (struct iovec){rx->bytes + (size_t)i * STRIDE, MESSAGE_BYTES};
		rx->msg[i].msg_hdr = (struct msghdr){
			.msg_name = &rx->from[i],
			.msg_iov = &rx->iov[i],
			.msg_iovlen = 1,
			.msg_control = rx->control[i],
		};
	}
}

static int rx_open(struct rx **ret, const struct rx_opts *o)
{
	bool v4 = ip_is_v4(&o->listen);
	struct rx *rx = calloc(1, sizeof(*rx));
	int r = -ENOMEM;

	if (!rx)
		return r;
	rx->fd = rx->event = -1;
	rx->family = v4 ? AF_INET : AF_INET6;
	rx->vlen = rx->used = MESSAGES;
	rx->bytes = malloc((size_t)MESSAGES * STRIDE);
	if (!rx->bytes)
		goto out;
	make_messages(rx);
	r = bound_socket(o, rx->family, &rx->fd);
	if (r < 0 && r != -EADDRINUSE && !v4 && ip_is_zero(&o->listen)) {
		rx->family = AF_INET; /* a host without IPv6 */
		r = bound_socket(o, AF_INET, &rx->fd);
	}
	if (r < 0)
		goto out;
	rx->granted = set_rcvbuf(rx->fd, o->rcvbuf);
	rx->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = rx->event < 0 ? -errno : 0;
out:
	if (r < 0) {
		rx_close(rx);
		return r;
	}
	*ret = rx;
	return 0;
}

/* The kernel counts in 32 bits. */
static void note_drops(struct rx *rx, uint32_t n)
{
	__atomic_store_n(&rx->drops, rx->drops + (uint32_t)(n - (uint32_t)rx->drops), __ATOMIC_RELAXED);
}

/* Reads the control messages of `m`; returns the length of the datagrams inside, 0 when it is only one. *ret_at_us: their
 * arrival, left alone when the kernel does not say. */
static size_t read_control(struct rx *rx, struct msghdr *m, struct account_peer *peer, int64_t *ret_at_us)
{
	size_t segment = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		const void *data = CMSG_DATA(c);

		if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
			int n;

			memcpy(&n, data, sizeof(n));
			segment = n > 0 ? (size_t)n : 0;
		} else if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_RXQ_OVFL) {
			uint32_t n;

			memcpy(&n, data, sizeof(n));
			note_drops(rx, n);
		} else if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS) {
			struct timespec t;

			memcpy(&t, data, sizeof(t));
			*ret_at_us = (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			struct in6_pktinfo i;

			memcpy(&i, data, sizeof(i));
			memcpy(peer->local.b, &i.ipi6_addr, 16);
			peer->ifindex = i.ipi6_ifindex;
		} else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo i;

			memcpy(&i, data, sizeof(i));
			peer->local = ip_from_v4((const uint8_t *)&i.ipi_addr);
			peer->ifindex = (uint32_t)i.ipi_ifindex;
		}
	}
	return segment;
}

/* Appends the datagrams of one message. */
static size_t cut(struct rx *rx, unsigned i, size_t n_packets)
{
	struct msghdr *m = &rx->msg[i].msg_hdr;
	size_t left = rx->msg[i].msg_len, at = 0, last = n_packets + SEGMENTS - 1, segment;
	struct account_peer peer = {0};
	int64_t at_us = 0;

	(void)ip_from_sockaddr((struct sockaddr *)&rx->from[i], &peer.ip, &peer.port);
	segment = read_control(rx, m, &peer, &at_us);
	do {
		size_t n = segment && segment < left && n_packets < last ? segment : left;

		rx->packets[n_packets++] = (struct worker_packet){
			.bytes = {(char *)rx->iov[i].iov_base + at, n},
			.peer = peer,
			.at_us = at_us,
			.truncated = (m->msg_flags & MSG_TRUNC) || (segment && n > segment),
		};
		at += n;
		left -= n;
	} while (left);
	return n_packets;
}

/* What the kernel changed in the messages it filled. */
static void make_ready(struct rx *rx)
{
	for (unsigned i = 0; i < rx->used; i++) {
		rx->msg[i].msg_hdr.msg_namelen = sizeof(rx->from[i]);
		rx->msg[i].msg_hdr.msg_controllen = CONTROL_BYTES;
	}
	rx->used = 0;
}

static void adapt(struct rx *rx, uint64_t bytes, unsigned n)
{
	uint64_t fit = BATCH_BYTES / (bytes / n + 1);

	rx->vlen = fit < MESSAGES_MIN ? MESSAGES_MIN : fit > MESSAGES ? MESSAGES : (unsigned)fit;
}

static int rx_recv(struct rx *rx, const struct worker_packet **ret)
{
	size_t n_packets = 0;
	uint64_t bytes = 0;
	int n;

	make_ready(rx);
	n = recvmmsg(rx->fd, rx->msg, rx->vlen, MSG_DONTWAIT, NULL);
	if (n < 0)
		return errno == EBADF || errno == ENOTSOCK ? -errno : 0;
	for (unsigned i = 0; i < (unsigned)n; i++) {
		n_packets = cut(rx, i, n_packets);
		bytes += rx->msg[i].msg_len;
	}
	rx->used = (unsigned)n;
	if (n)
		adapt(rx, bytes, (unsigned)n);
	*ret = rx->packets;
	return (int)n_packets;
}

static void rx_wait(struct rx *rx, int timeout_ms)
{
	struct pollfd fds[] = {{rx->fd, POLLIN, 0}, {rx->event, POLLIN, 0}};
	uint64_t n;

	if (poll(fds, 2, timeout_ms) > 0 && fds[1].revents & POLLIN)
		(void)!read(rx->event, &n, sizeof(n));
}

static void rx_wake(struct rx *rx)
{
	uint64_t one = 1;

	(void)!write(rx->event, &one, sizeof(one));
}

/* The answer leaves from the address that was asked: agents' sockets are connected to it. */
static size_t put_source(const struct rx *rx, const struct account_peer *to, void *control)
{
	struct cmsghdr *c = control;

	if (ip_is_zero(&to->local))
		return 0;
	if (rx->family == AF_INET6) {
		struct in6_pktinfo i = {.ipi6_ifindex = ip_is_link_local(&to->local) ? to->ifindex : 0};

		memcpy(&i.ipi6_addr, to->local.b, 16);
		*c = (struct cmsghdr){CMSG_LEN(sizeof(i)), IPPROTO_IPV6, IPV6_PKTINFO};
		memcpy(CMSG_DATA(c), &i, sizeof(i));
		return CMSG_SPACE(sizeof(i));
	}
	struct in_pktinfo i = {0};

	memcpy(&i.ipi_spec_dst, to->local.b + 12, 4);
	*c = (struct cmsghdr){CMSG_LEN(sizeof(i)), IPPROTO_IP, IP_PKTINFO};
	memcpy(CMSG_DATA(c), &i, sizeof(i));
	return CMSG_SPACE(sizeof(i));
}

static bool rx_send(struct rx *rx, const struct account_peer *to, const void *p, size_t n)
{
	char control[CMSG_SPACE(sizeof(struct in6_pktinfo))] __attribute__((aligned(8))) = {0};
	struct sockaddr_storage sa = {0};
	struct iovec iov = {(void *)p, n};
	struct msghdr m = {.msg_name = &sa, .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control};

	m.msg_namelen = address(rx->family, &to->ip, to->port, to->ifindex, &sa);
	m.msg_controllen = put_source(rx, to, control);
	return sendmsg(rx->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)n;
}

static uint16_t rx_port(const struct rx *rx)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);
	uint16_t port = 0;
	struct ip ip;

	if (!getsockname(rx->fd, (struct sockaddr *)&sa, &len))
		(void)ip_from_sockaddr((struct sockaddr *)&sa, &ip, &port);
	return port;
}

static int rx_steer(struct rx *rx, enum steer how, unsigned n)
{
	return steer_attach(rx->fd, how, n);
}

/* The kernel's own count is newer than what the last datagram brought, and there is none after the last. */
static void rx_queue(const struct rx *rx, struct rx_queue *ret)
{
	uint32_t info[SK_MEMINFO_VARS] = {0};
	socklen_t len = sizeof(info);

	*ret = (struct rx_queue){.granted = __atomic_load_n(&rx->granted, __ATOMIC_RELAXED),
				 .drops = __atomic_load_n(&rx->drops, __ATOMIC_RELAXED)};
	if (getsockopt(rx->fd, SOL_SOCKET, SO_MEMINFO, info, &len) < 0 || len < sizeof(info)) /* Linux < 4.12 */
		return;
	ret->drops += (uint32_t)(info[SK_MEMINFO_DROPS] - (uint32_t)ret->drops);
	if (info[SK_MEMINFO_RCVBUF])
		ret->fill_pm = info[SK_MEMINFO_RMEM_ALLOC] * 1000ull / info[SK_MEMINFO_RCVBUF];
}

static void rx_resize(struct rx *rx, uint64_t bytes)
{
	__atomic_store_n(&rx->granted, set_rcvbuf(rx->fd, bytes), __ATOMIC_RELAXED);
}

const struct rx_ops rx_mmsg = {
	.name = "recvmmsg",
	.open = rx_open,
	.close = rx_close,
	.recv = rx_recv,
	.wait = rx_wait,
	.wake = rx_wake,
	.send = rx_send,
	.port = rx_port,
	.steer = rx_steer,
	.queue = rx_queue,
	.resize = rx_resize,
};
