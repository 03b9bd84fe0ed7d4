/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/outbox.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/health.h"
#include "agent/send.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "wire/ack.h"
#include "wire/health.h"
#include "wire/stamp.h"

#define OUTBOX_QUEUE 4        /* batches not begun */
#define OUTBOX_RUN 32         /* datagrams in one call */
#define OUTBOX_TICK_US 5000   /* what is due within this goes together */
#define OUTBOX_WAIT_MS 50     /* a full socket queue gets this long to drain */

struct outbox_line {
	struct flow_ledger line;
	bool used, acked;
	bool told; /* in a health record that went out */
	uint32_t sub_agent, datagrams; /* sent for this interval under the newest sub-agent id */
};

struct outbox {
	const struct conf *conf;
	struct batch_head head;
	struct loop *loop;
	struct send send;
	struct wire_sender sender;
	int fd, wake;
	bool gso, said_refused;
	int64_t start_us; /* of the agent, never steps */
	double phase;     /* 0 .. 1: where in its slot this agent sends, so that a fleet does not send in step */
	/* the batch being sent: item n is the health record */
	struct batch *now;
	size_t next;
	int64_t from_us, span_us; /* wall clock */
	struct outbox_line lines[OUTBOX_LINES];
	unsigned newest;
	uint64_t gso_refused, acks_bad;
	struct wire_build build;
	uint8_t health[WIRE_SIZE_MAX];
	/* handed over by the measuring thread */
	pthread_mutex_t lock;
	struct batch *queue[OUTBOX_QUEUE];
	unsigned queued;
	uint64_t dropped_rows; /* of batches that found no place */
};

static void outbox_on_wake(void *arg, uint32_t events);
static void outbox_on_answer(void *arg, uint32_t events);
static void outbox_tick(void *arg);

int outbox_source(const struct ip *to, uint16_t port, struct ip *ret)
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
		r = getsockname(fd, (struct sockaddr *)&sa, &len) < 0 ? -errno : ip_from_sockaddr((struct sockaddr *)&sa, ret, &none);
	}
	close(fd);
	return r;
}

/* A socket to the current collector; counts begin anew. -1 stays when it cannot be had: sends fail and are counted. */
static int outbox_connect(struct outbox *o)
{
	unsigned c = send_current(&o->send);
	struct sockaddr_storage sa;
	socklen_t len = ip_to_sockaddr(&o->conf->collector[c].ip, o->conf->collector[c].port, &sa);
	int r = 0, want = 4 << 20;

	if (o->fd >= 0) {
		loop_fd_del(o->loop, o->fd);
		close(o->fd);
	}
	o->sender = (struct wire_sender){.agent = o->head.agent, .sub_agent = send_sub_agent(&o->send, 0)};
	o->fd = socket(sa.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (o->fd < 0)
		return -errno;
	(void)setsockopt(o->fd, SOL_SOCKET, SO_SNDBUF, &want, sizeof(want));
	if (connect(o->fd, (struct sockaddr *)&sa, len) < 0) {
		r = -errno;
		close(o->fd);
		o->fd = -1;
		return r;
	}
	return loop_fd(o->loop, o->fd, EPOLLIN, outbox_on_answer, o);
}

static void outbox_moved(struct outbox *o, bool moved, const char *because)
{
	int r;

	if (!moved)
		return;
	r = outbox_connect(o);
	log_info("%s: sending to %s now", because, o->conf->collector[send_current(&o->send)].text);
	if (r < 0)
		log_warn("cannot send to %s: %s", o->conf->collector[send_current(&o->send)].text, strerror(-r));
}

int outbox_new(struct outbox **ret, const struct conf *conf, const struct batch_head *head, struct loop *loop, char *why, size_t why_len)
{
	struct outbox *o = calloc(1, sizeof(*o));
	const char *texts[CONF_COLLECTORS];
	size_t i;
	int r;

	if (!o) {
		snprintf(why, why_len, "out of memory");
		return -ENOMEM;
	}
	o->conf = conf;
	o->head = *head;
	o->loop = loop;
	o->fd = o->wake = -1;
	o->gso = true;
	o->start_us = clock_mono_us();
	o->phase = (double)(hash64(head->wire.host.p, head->wire.host.n) >> 11) / (double)(1ull << 53);
	pthread_mutex_init(&o->lock, NULL);
	for (i = 0; i < conf->n_collectors; i++)
		texts[i] = conf->collector[i].text;
	send_init(&o->send, head->wire.host, texts, (unsigned)conf->n_collectors, conf->no_ack);
	r = outbox_connect(o);
	if (r < 0)
		snprintf(why, why_len, "cannot send to %s: %s", conf->collector[send_current(&o->send)].text, strerror(-r));
	if (r == 0) {
		o->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		r = o->wake < 0 ? -errno : loop_fd(loop, o->wake, EPOLLIN, outbox_on_wake, o);
		if (r < 0)
			snprintf(why, why_len, "%s", strerror(-r));
	}
	if (r < 0) {
		outbox_free(o);
		return r;
	}
	*ret = o;
	return 0;
}

void outbox_free(struct outbox *o)
{
	if (!o)
		return;
	if (o->fd >= 0) {
		loop_fd_del(o->loop, o->fd);
		close(o->fd);
	}
	if (o->wake >= 0) {
		loop_fd_del(o->loop, o->wake);
		close(o->wake);
	}
	while (o->queued)
		batch_free(o->queue[--o->queued]);
	batch_free(o->now);
	pthread_mutex_destroy(&o->lock);
	free(o);
}

void outbox_push(struct outbox *o, struct batch *b)
{
	uint64_t one = 1;

	pthread_mutex_lock(&o->lock);
	if (o->queued == OUTBOX_QUEUE) { /* the sending thread stands still: should not happen */
		o->dropped_rows += b->line.rows_out;
		batch_free(b);
	} else {
		o->queue[o->queued++] = b;
	}
	pthread_mutex_unlock(&o->lock);
	(void)!write(o->wake, &one, sizeof(one));
}

static struct batch *outbox_take(struct outbox *o)
{
	struct batch *b = NULL;

	pthread_mutex_lock(&o->lock);
	if (o->queued) {
		b = o->queue[0];
		memmove(o->queue, o->queue + 1, --o->queued * sizeof(*o->queue));
		b->line.rows_in += o->dropped_rows;
		health_lost(&b->line, "send_queue_full", o->dropped_rows);
		o->dropped_rows = 0;
	}
	pthread_mutex_unlock(&o->lock);
	return b;
}

/* --- ledger lines */

/* The line of the batch's interval: a place of its own, or the one it shares after the clock went back. */
static struct outbox_line *outbox_line(struct outbox *o, const struct flow_ledger *line)
{
	struct outbox_line *l;
	unsigned i;

	for (i = 0; i < OUTBOX_LINES; i++) {
		l = &o->lines[i];
		if (l->used && l->line.interval == line->interval) {
			health_merge(&l->line, line);
			l->acked = l->told = false;
			o->newest = i;
			return l;
		}
	}
	o->newest = (o->newest + 1) % OUTBOX_LINES;
	l = &o->lines[o->newest];
	*l = (struct outbox_line){.line = *line, .used = true, .sub_agent = o->sender.sub_agent};
	return l;
}

/* An ack that counts all datagrams of an interval has the health record among them, with all lines up to it: unless
 * that one was still to be sent when a stopping collector counted. */
static void outbox_acked(struct outbox *o, const struct wire_ack *a)
{
	bool whole = false;
	unsigned i;

	for (i = 0; i < OUTBOX_LINES; i++) {
		const struct outbox_line *l = &o->lines[i];

		whole |= l->told && l->line.interval == a->interval && l->sub_agent == a->sub_agent && l->datagrams > 0 &&
			 l->datagrams == a->datagrams;
	}
	for (i = 0; whole && i < OUTBOX_LINES; i++)
		if (o->lines[i].told && o->lines[i].line.interval <= a->interval)
			o->lines[i].acked = true;
}

/* --- sending */

/* One call: a run of datagrams equally long but for the last. Returns 0 or -errno. */
static int outbox_write(struct outbox *o, const void *p, size_t n, uint16_t segment)
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
	if (o->fd < 0)
		return -ENOTCONN;
	return sendmsg(o->fd, &m, 0) < 0 ? -errno : 0;
}

/* True for what the far end or the way to it said, in answer to something sent before. */
static bool outbox_refusal(int r)
{
	return r == -ECONNREFUSED || r == -EHOSTUNREACH || r == -ENETUNREACH || r == -EHOSTDOWN || r == -ENETDOWN || r == -ENOTCONN;
}

static void outbox_refused(struct outbox *o, int r)
{
	if (!o->said_refused) {
		log_warn("%s: %s; what is sent meanwhile is lost, and counted", o->conf->collector[send_current(&o->send)].text, strerror(-r));
		o->said_refused = true;
	}
	outbox_moved(o, send_refused(&o->send, clock_mono_us()), "refused");
}

/* Stamps and sends datagrams [first, first + n) of `v`, which stand one after another from `p` on. */
static int outbox_try(struct outbox *o, uint8_t *p, const struct batch_item *v, size_t n)
{
	struct wire_sender before = o->sender;
	uint32_t uptime_ms = (uint32_t)((clock_mono_us() - o->start_us) / 1000);
	size_t i, at = 0;
	int r;

	for (i = 0; i < n; i++) {
		wire_stamp(p + at, v[i].len, v[i].rows, &o->sender, uptime_ms);
		at += v[i].len;
	}
	r = outbox_write(o, p, at, n > 1 ? (uint16_t)v[0].len : 0);
	if (r < 0)
		o->sender = before; /* the numbers were not used */
	else
		send_sent(&o->send);
	return r;
}

/* Waits a moment for room in the socket's queue. */
static void outbox_wait(struct outbox *o)
{
	fd_set set;
	struct timeval t = {.tv_usec = OUTBOX_WAIT_MS * 1000};

	if (o->fd < 0 || o->fd >= FD_SETSIZE)
		return;
	FD_ZERO(&set);
	FD_SET(o->fd, &set);
	(void)select(o->fd + 1, NULL, &set, NULL, &t);
}

/* Sends a run; what cannot be sent is counted in the line. */
static void outbox_run(struct outbox *o, struct outbox_line *l, uint8_t *p, const struct batch_item *v, size_t n)
{
	uint32_t rows = 0;
	size_t i, at = 0;
	int r = outbox_try(o, p, v, n);

	if (r == -EAGAIN || r == -ENOBUFS) {
		outbox_wait(o);
		r = outbox_try(o, p, v, n);
	} else if (outbox_refusal(r)) {
		outbox_refused(o, r);
		r = outbox_try(o, p, v, n);
	} else if (r < 0 && n > 1) { /* this way out cannot cut: one by one */
		o->gso = false;
		o->gso_refused++;
		for (i = 0; i < n; at += v[i++].len)
			outbox_run(o, l, p + at, &v[i], 1);
		return;
	}
	if (l->sub_agent != o->sender.sub_agent) {
		l->sub_agent = o->sender.sub_agent;
		l->datagrams = 0;
	}
	for (i = 0; i < n; i++)
		rows += v[i].rows;
	if (r == 0) {
		l->datagrams += (uint32_t)n;
		health_info(&l->line, "datagrams", n);
		return;
	}
	o->sender.drops += rows;
	l->line.rows_out -= rows;
	health_lost(&l->line, "send_error", rows);
	health_info(&l->line, "send_errors", n);
}

/* The length of the longest run from item `first` on, at most `max`. */
static size_t outbox_run_length(const struct outbox *o, const struct batch_item *v, size_t max)
{
	size_t n = 1;

	if (!o->gso)
		return 1;
	while (n < max && n < OUTBOX_RUN && v[n - 1].len == v[0].len && v[n].len <= v[0].len)
		n++;
	return n;
}

static void outbox_send_health(struct outbox *o)
{
	struct wire_head head = o->head.wire;
	struct wire_sender s = {.agent = o->head.agent};
	struct outbox_line *newest = &o->lines[o->newest];
	struct batch_item item = {0};
	unsigned i;

	head.interval = newest->line.interval;
	wire_build_open(&o->build, WIRE_HEALTH, &head, &o->head.opts);
	for (i = 0; i < OUTBOX_LINES; i++) {
		struct outbox_line *l = &o->lines[(o->newest + OUTBOX_LINES - i) % OUTBOX_LINES]; /* the newest first */
		int r;

		if (!l->used || l->acked)
			continue;
		if (o->conf->no_ack && i >= SEND_MISSING) /* nobody says what arrived: each is said three times */
			continue;
		r = wire_health_add(&o->build, &l->line);
		if (r == -ENOSPC) { /* a datagram is full: the next */
			item.len = (uint32_t)wire_build_close(&o->build, &s, 0, 0, o->health, sizeof(o->health));
			outbox_run(o, newest, o->health, &item, 1);
			wire_build_open(&o->build, WIRE_HEALTH, &head, &o->head.opts);
			r = wire_health_add(&o->build, &l->line);
		}
		if (r < 0)
			break;
		l->told = true;
	}
	if (wire_build_empty(&o->build))
		return;
	item.len = (uint32_t)wire_build_close(&o->build, &s, 0, 0, o->health, sizeof(o->health));
	outbox_run(o, newest, o->health, &item, 1);
}

/* Sends up to item `until` of the batch; item n is the health record, with which it ends. */
static void outbox_send(struct outbox *o, size_t until)
{
	struct batch *b = o->now;
	struct outbox_line *l = &o->lines[o->newest];

	while (o->next < until && o->next < b->n) {
		const struct batch_item *v = &b->v[o->next];
		size_t max = (until < b->n ? until : b->n) - o->next;
		size_t n = outbox_run_length(o, v, max);

		outbox_run(o, l, (uint8_t *)b->bytes.p + v->at, v, n);
		o->next += n;
	}
	if (until <= b->n)
		return;
	outbox_send_health(o);
	batch_free(b);
	o->now = NULL;
}

static void outbox_begin(struct outbox *o, struct batch *b)
{
	int64_t end = ((int64_t)b->line.interval + b->line.interval_s) * 1000000;
	int64_t spread = (int64_t)o->conf->spread_ms * 1000, now = clock_wall_us();

	outbox_moved(o, send_interval(&o->send, clock_mono_us()), o->send.missing ? "no answer" : "better one");
	o->now = b;
	o->next = 0;
	(void)outbox_line(o, &b->line);
	o->from_us = now > end ? now : end;
	o->span_us = end + spread - o->from_us;
	if (o->span_us < spread / 4) /* late: still no burst */
		o->span_us = spread / 4;
}

/* When item i is due, wall clock. */
static int64_t outbox_due(const struct outbox *o, size_t i)
{
	return o->from_us + (int64_t)(((double)i + o->phase) / (double)(o->now->n + 1) * (double)o->span_us);
}

static void outbox_tick(void *arg)
{
	struct outbox *o = arg;
	int64_t now = clock_wall_us();
	size_t until;

	if (!o->now)
		return;
	if (now < o->from_us - 60000000) /* the clock went back */
		o->from_us = now;
	for (until = o->next; until <= o->now->n && outbox_due(o, until) <= now + OUTBOX_TICK_US / 2; until++)
		;
	if (until > o->next)
		outbox_send(o, until);
	if (o->now)
		(void)loop_at(o->loop, outbox_due(o, o->next) > now + OUTBOX_TICK_US ? outbox_due(o, o->next) : now + OUTBOX_TICK_US, outbox_tick, o);
}

static void outbox_on_wake(void *arg, uint32_t events)
{
	struct outbox *o = arg;
	struct batch *b;
	uint64_t n;

	(void)!read(o->wake, &n, sizeof(n));
	while ((b = outbox_take(o))) {
		bool ticking = o->now != NULL;

		if (o->now)
			outbox_send(o, o->now->n + 1);
		outbox_begin(o, b);
		if (!ticking)
			outbox_tick(o);
	}
}

void outbox_flush(struct outbox *o)
{
	struct batch *b;

	if (o->now)
		outbox_send(o, o->now->n + 1);
	while ((b = outbox_take(o))) {
		outbox_begin(o, b);
		outbox_send(o, o->now->n + 1);
	}
}

/* Answers of the collector, and errors that earlier datagrams met. */
static void outbox_on_answer(void *arg, uint32_t events)
{
	struct outbox *o = arg;
	uint8_t p[256];
	struct wire_ack a;
	unsigned i;

	for (i = 0; i < 64 && o->fd >= 0; i++) {
		int fd = o->fd;
		ssize_t n = recv(fd, p, sizeof(p), 0);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n < 0) {
			outbox_refused(o, -errno);
			return;
		}
		if (wire_ack_read(p, (size_t)n, &a) != WIRE_OK || a.boot != o->head.wire.boot || a.sub_agent != o->sender.sub_agent) {
			o->acks_bad++;
			continue;
		}
		o->said_refused = false;
		outbox_acked(o, &a);
		outbox_moved(o, send_acked(&o->send, a.flags & WIRE_ACK_STOPPING, clock_mono_us()), "the collector stops");
	}
}
