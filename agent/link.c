/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/link.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "wire/stamp.h"

#define LINK_WAIT_MS 50 /* a full socket queue gets this long to drain */
#define LINK_ANSWERS 64 /* read in one go */
#define LINK_SNDBUF (4 << 20)

int link_source(const struct ip *to, uint16_t port, struct ip *ret)
{
	struct sockaddr_storage sa;
	socklen_t len = ip_to_sockaddr(to, port, &sa);
	int fd = socket(sa.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0), r = 0;
	uint16_t none;

	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&sa, len) < 0) {
		r = -errno;
	} else {
		len = sizeof(sa);
		r = getsockname(fd, (struct sockaddr *)&sa, &len) < 0
			    ? -errno
			    : ip_from_sockaddr((struct sockaddr *)&sa, ret, &none);
	}
	close(fd);
	return r;
}

const char *link_name(const struct link *l)
{
	return l->to[send_current(&l->send)].text;
}

static void link_on_answer(void *arg, uint32_t events);

/* A socket to the current collector; counts begin anew. -1 stays when it cannot be had: sends fail and are counted. */
static int link_connect(struct link *l)
{
	unsigned c = send_current(&l->send);
	struct sockaddr_storage sa;
	socklen_t len = ip_to_sockaddr(&l->to[c].ip, l->to[c].port, &sa);
	int r = 0, want = LINK_SNDBUF;

	if (l->fd >= 0) {
		loop_fd_del(l->loop, l->fd);
		close(l->fd);
	}
	l->sender = (struct wire_sender){.agent = l->sender.agent, .sub_agent = send_sub_agent(&l->send, 0)};
	l->acked_interval = 0;
	l->fd = socket(sa.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (l->fd < 0)
		return -errno;
	(void)setsockopt(l->fd, SOL_SOCKET, SO_SNDBUF, &want, sizeof(want));
	if (connect(l->fd, (struct sockaddr *)&sa, len) < 0) {
		r = -errno;
		close(l->fd);
		l->fd = -1;
		return r;
	}
	return loop_fd(l->loop, l->fd, EPOLLIN, link_on_answer, l);
}

static void link_try_connect(struct link *l)
{
	int r = link_connect(l);

	if (r < 0 && !l->said_refused)
		log_warn("cannot send to %s: %s; tried again every interval", link_name(l), strerror(-r));
	l->said_refused |= r < 0;
}

/* Somebody did not answer: perhaps its name leads elsewhere by now. */
static void link_look_up(struct link *l, int64_t every_us)
{
	int64_t now = clock_mono_us();
	unsigned i;

	for (i = 0; i < l->send.n && !resolve_is_name(l->to[i].text); i++)
		;
	if (i == l->send.n || !l->resolve || now - l->resolved_us < every_us)
		return;
	if (resolve_start(l->resolve, l->to, l->send.n))
		l->resolved_us = now;
}

static void link_moved(struct link *l, bool moved, const char *because)
{
	if (!moved)
		return;
	l->changes++;
	log_info("%s: sending to %s now", because, link_name(l));
	link_try_connect(l);
}

/* Answers for the names as they were asked for; meanwhile others may be there. */
static void link_on_resolved(void *arg, const struct resolve_name *v, unsigned n)
{
	struct link *l = arg;
	bool moved = false;
	unsigned i;

	for (i = 0; i < n && i < l->send.n; i++) {
		if (strcmp(v[i].text, l->to[i].text) != 0 || ip_eq(&v[i].ip, &l->to[i].ip))
			continue;
		l->to[i].ip = v[i].ip;
		moved |= send_renamed(&l->send, i, clock_mono_us());
	}
	if (moved)
		l->said_refused = false;
	link_moved(l, moved, "the name leads elsewhere");
}

static void link_collectors(struct link *l, const struct conf *conf, const char **ret_texts)
{
	size_t i;

	for (i = 0; i < conf->n_collectors; i++) {
		l->to[i] = (struct resolve_name){.ip = conf->collector[i].ip, .port = conf->collector[i].port};
		str_copy(l->to[i].text, sizeof(l->to[i].text), str_from(conf->collector[i].text));
		ret_texts[i] = conf->collector[i].text;
	}
}

/* A file may be read again with other keys; that datagrams have room for a tag was decided at the start. */
static void link_keys(struct link *l, const struct keyfile *keys)
{
	for (unsigned i = 0; i < keys->n; i++)
		wire_auth_init(&l->keys[i], keys->key[i]);
	l->n_keys = keys->n;
}

void link_init(struct link *l, const struct conf *conf, const struct batch_head *head, struct loop *loop,
	       void (*acked)(void *arg, const struct wire_ack *a), void *arg)
{
	const char *texts[CONF_COLLECTORS];

	*l = (struct link){
		.loop = loop,
		.host = head->wire.host,
		.sender.agent = head->agent,
		.fd = -1,
		.gso = true,
		.start_us = clock_mono_us(),
		.resolved_us = clock_mono_us(),
		.boot = head->wire.boot,
		.acked = acked,
		.arg = arg,
	};
	link_keys(l, &conf->keys);
	link_collectors(l, conf, texts);
	send_init(&l->send, l->host, texts, (unsigned)conf->n_collectors, conf->no_ack);
	(void)resolve_new(&l->resolve, loop, link_on_resolved, l); /* without it names stay what they are */
	link_try_connect(l);
}

void link_reload(struct link *l, const struct conf *conf)
{
	const char *texts[CONF_COLLECTORS];
	struct resolve_name former[SEND_MAX];
	unsigned i, j, n = l->send.n;
	int was[SEND_MAX];
	bool moved;

	link_keys(l, &conf->keys);
	memcpy(former, l->to, sizeof(former));
	link_collectors(l, conf, texts);
	for (i = 0; i < conf->n_collectors; i++) {
		for (j = 0; j < n && strcmp(former[j].text, l->to[i].text) != 0; j++)
			;
		was[i] = j < n ? (int)j : -1;
		if (j < n) /* it may have been looked up since */
			l->to[i].ip = former[j].ip;
	}
	moved = send_reload(&l->send, l->host, texts, (unsigned)conf->n_collectors, was, clock_mono_us());
	link_moved(l, moved, "reloaded");
	link_look_up(l, 0);
}

void link_deinit(struct link *l)
{
	resolve_free(l->resolve);
	l->resolve = NULL;
	if (l->fd < 0)
		return;
	loop_fd_del(l->loop, l->fd);
	close(l->fd);
	l->fd = -1;
}

void link_interval(struct link *l, uint32_t interval)
{
	bool silent = l->send.waiting;

	if (interval < l->interval) /* the clock went back */
		l->acked_interval = 0;
	l->interval = interval;
	link_look_up(l, l->send.missing || l->fd < 0 || l->said_refused ? LINK_FAILED_US : LINK_RESOLVE_US);
	link_moved(l, send_interval(&l->send, clock_mono_us()), silent ? "no answer" : "a better one is back");
	if (l->fd < 0) /* there was no way to it; there may be one now */
		link_try_connect(l);
}

/* One call: a run of datagrams equally long but for the last. Returns 0 or -errno. */
static int link_write(struct link *l, const void *p, size_t n, uint16_t segment)
{
	union {
		struct cmsghdr h;
		char room[CMSG_SPACE(sizeof(uint16_t))];
	} control = {0};
	struct iovec iov = {(void *)p, n};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	struct cmsghdr *c;

	if (segment) {
		m.msg_control = &control;
		m.msg_controllen = sizeof(control);
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_UDP;
		c->cmsg_type = UDP_SEGMENT;
		c->cmsg_len = CMSG_LEN(sizeof(segment));
		memcpy(CMSG_DATA(c), &segment, sizeof(segment));
	}
	if (l->fd < 0)
		return -ENOTCONN;
	return sendmsg(l->fd, &m, 0) < 0 ? -errno : 0;
}

/* True for what the far end or the way to it said, in answer to something sent before. */
static bool link_refusal(int r)
{
	return r == -ECONNREFUSED || r == -EHOSTUNREACH || r == -ENETUNREACH || r == -EHOSTDOWN || r == -ENETDOWN ||
	       r == -ENOTCONN;
}

static void link_refused(struct link *l, int r)
{
	if (!l->said_refused) {
		log_warn("%s: %s; what is sent meanwhile is lost, and counted", link_name(l), strerror(-r));
		l->said_refused = true;
	}
	link_moved(l, send_refused(&l->send, clock_mono_us()), "refused");
}

/* Stamps and sends datagrams [first, first + n) of `v`, which stand one after another from `p` on. */
static int link_try(struct link *l, uint8_t *p, const struct batch_item *v, size_t n)
{
	struct wire_sender before = l->sender;
	uint32_t uptime_ms = (uint32_t)((clock_mono_us() - l->start_us) / 1000);
	size_t i, at = 0;
	int r;

	for (i = 0; i < n; i++) {
		wire_stamp(p + at, v[i].len, v[i].rows, &l->sender, uptime_ms);
		if (l->n_keys)
			wire_auth_sign(&l->keys[0], p + at, v[i].len);
		at += v[i].len;
	}
	r = link_write(l, p, at, n > 1 ? (uint16_t)v[0].len : 0);
	if (r < 0)
		l->sender = before; /* the numbers were not used */
	else
		send_sent(&l->send);
	return r;
}

/* Waits a moment for room in the socket's queue. */
static void link_wait(const struct link *l)
{
	struct pollfd p = {.fd = l->fd, .events = POLLOUT};

	(void)poll(&p, 1, LINK_WAIT_MS);
}

int link_send(struct link *l, uint8_t *p, const struct batch_item *v, size_t n)
{
	int r = link_try(l, p, v, n);

	if (r == -EAGAIN || r == -ENOBUFS) {
		link_wait(l);
		r = link_try(l, p, v, n);
	} else if (link_refusal(r)) {
		link_refused(l, r);
		r = link_try(l, p, v, n);
	}
	if (r < 0 && n > 1 && !link_refusal(r) && r != -EAGAIN && r != -ENOBUFS) { /* this way out cannot cut */
		l->gso = false;
		l->gso_refused++;
	}
	return r;
}

size_t link_run(const struct link *l, const struct batch_item *v, size_t max)
{
	size_t n = 1;

	if (!l->gso)
		return 1;
	while (n < max && n < LINK_RUN && v[n - 1].len == v[0].len && v[n].len <= v[0].len)
		n++;
	return n;
}

/*
 * True for an answer to us. With keys: signed by one of them, and not heard before, or somebody could keep us at a collector
 * that is gone. A stop may be about the interval that was just counted: after it the sub-agent id is another.
 */
static bool link_believes(struct link *l, const uint8_t *p, size_t n, struct wire_ack *ret)
{
	bool good = !l->n_keys;

	if (wire_ack_read(p, n, ret) != WIRE_OK || ret->boot != l->boot || ret->sub_agent != l->sender.sub_agent)
		return false;
	for (unsigned i = 0; i < l->n_keys && !good; i++)
		good = wire_auth_ack_check(&l->keys[i], p, n);
	if (!good || !l->n_keys)
		return good;
	if (ret->interval < l->acked_interval ||
	    (ret->interval == l->acked_interval && !(ret->flags & WIRE_ACK_STOPPING)))
		return false;
	l->acked_interval = ret->interval;
	return true;
}

/* Answers of the collector, and errors that earlier datagrams met. */
static void link_on_answer(void *arg, uint32_t events)
{
	struct link *l = arg;
	uint8_t p[256];
	struct wire_ack a;
	unsigned i;

	for (i = 0; i < LINK_ANSWERS && l->fd >= 0; i++) {
		int fd = l->fd;
		ssize_t n = recv(fd, p, sizeof(p), 0);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n < 0) {
			link_refused(l, -errno);
			return;
		}
		if (!link_believes(l, p, (size_t)n, &a)) {
			l->acks_bad++;
			continue;
		}
		l->said_refused = false;
		l->acked(l->arg, &a);
		link_moved(l, send_acked(&l->send, a.flags & WIRE_ACK_STOPPING, clock_mono_us()),
			   "the collector stops");
	}
}
