/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/gen/line.h"

#include <assert.h>
#include <errno.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define SNDBUF (4 << 20)
#define RUN 46 /* datagrams of one call: the kernel takes 64, and 64 KiB in all */
#define RUN_BYTES 65000
#define MESSAGES 128 /* of one sendmmsg() */

struct waiting {
	const uint8_t *p;
	uint32_t n, socket, tag;
};

union control {
	struct cmsghdr h;
	char room[CMSG_SPACE(sizeof(uint16_t))];
};

struct line {
	struct line_opts opts;
	int *fds;
	uint64_t calls;
	uint32_t n;
	struct waiting v[LINE_BATCH];
	struct iovec iov[LINE_BATCH];
	struct mmsghdr m[MESSAGES];
	uint32_t first[MESSAGES]; /* in v, of each message */
	union control control[MESSAGES];
};

static int line_connect(const struct line_opts *o, int *ret_fd)
{
	struct sockaddr_storage sa;
	socklen_t len = ip_to_sockaddr(&o->collector, o->port, &sa);
	int want = SNDBUF, none = 0, fd = socket(sa.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	if (o->sockets == 1)
		(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &want, sizeof(want));
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &none, sizeof(none)); /* answers find no room */
	return connect(fd, (struct sockaddr *)&sa, len) < 0 ? -errno : 0;
}

int line_new(struct line **ret, const struct line_opts *opts)
{
	struct line *l = calloc(1, sizeof(*l));
	int r = l ? 0 : -ENOMEM;

	if (r == 0) {
		l->opts = *opts;
		l->fds = malloc(opts->sockets * sizeof(*l->fds));
		r = l->fds ? 0 : -ENOMEM;
	}
	for (uint32_t i = 0; r == 0 && i < opts->sockets; i++)
		l->fds[i] = -1;
	for (uint32_t i = 0; r == 0 && i < opts->sockets; i++)
		r = line_connect(opts, &l->fds[i]);
	if (r < 0) {
		line_free(l);
		return r;
	}
	*ret = l;
	return 0;
}

void line_free(struct line *l)
{
	if (!l)
		return;
	for (uint32_t i = 0; l->fds && i < l->opts.sockets; i++)
		if (l->fds[i] >= 0)
			close(l->fds[i]);
	free(l->fds);
	free(l);
}

uint64_t line_calls(const struct line *l)
{
	return l->calls;
}

void line_put(struct line *l, uint32_t socket, const void *p, uint32_t n, uint32_t tag)
{
	if (l->n == LINE_BATCH)
		line_flush(l);
	l->v[l->n++] = (struct waiting){p, n, socket % l->opts.sockets, tag};
}

/* How many from `i` on go in one message: equally long but for the last. */
static uint32_t line_run(const struct line *l, uint32_t i)
{
	const struct waiting *v = &l->v[i];
	uint32_t n = 1, most = l->n - i, bytes = v->n;

	if (!l->opts.gso)
		return 1;
	most = most < RUN ? most : RUN;
	while (n < most && v[n].socket == v->socket && v[n - 1].n == v->n && v[n].n <= v->n &&
	       bytes + v[n].n <= RUN_BYTES)
		bytes += v[n++].n;
	return n;
}

/* Fills message `k` with `n` datagrams from `i` on; neighbours in memory share a vector. */
static void line_message(struct line *l, uint32_t k, uint32_t i, uint32_t n)
{
	struct msghdr *h = &l->m[k].msg_hdr;
	struct iovec *iov = &l->iov[i];
	uint16_t segment = (uint16_t)l->v[i].n;

	*h = (struct msghdr){.msg_iov = iov, .msg_iovlen = 1};
	*iov = (struct iovec){(void *)l->v[i].p, l->v[i].n};
	for (uint32_t j = i + 1; j < i + n; j++) {
		if ((const uint8_t *)iov->iov_base + iov->iov_len == l->v[j].p) {
			iov->iov_len += l->v[j].n;
			continue;
		}
		*++iov = (struct iovec){(void *)l->v[j].p, l->v[j].n};
		h->msg_iovlen++;
	}
	l->first[k] = i;
	if (n == 1)
		return;
	h->msg_control = &l->control[k];
	h->msg_controllen = sizeof(l->control[k]);
	l->control[k].h = (struct cmsghdr){CMSG_LEN(sizeof(segment)), SOL_UDP, UDP_SEGMENT};
	memcpy(CMSG_DATA(&l->control[k].h), &segment, sizeof(segment));
}

static void line_failed(struct line *l, uint32_t from, uint32_t to)
{
	for (uint32_t i = from; i < to && l->opts.failed; i++)
		l->opts.failed(l->opts.arg, l->v[i].tag);
}

/* Messages 0 .. n - 1, of one socket; `end`: in v, after the last. A refused send is news of an earlier datagram: once more. */
static void line_send(struct line *l, uint32_t n, uint32_t end)
{
	int fd = l->fds[l->v[l->first[0]].socket];
	uint32_t at = 0, tries = 0;

	while (at < n) {
		int sent = sendmmsg(fd, l->m + at, n - at, 0);

		l->calls++;
		if (sent > 0) {
			at += (uint32_t)sent;
			tries = 0;
		} else if (errno != EINTR && tries++ > 0) {
			line_failed(l, l->first[at], at + 1 < n ? l->first[at + 1] : end);
			at++;
			tries = 0;
		}
	}
}

void line_flush(struct line *l)
{
	uint32_t i = 0;

	while (i < l->n) {
		uint32_t socket = l->v[i].socket, k = 0;

		while (i < l->n && k < MESSAGES && l->v[i].socket == socket) {
			uint32_t n = line_run(l, i);

			line_message(l, k++, i, n);
			i += n;
		}
		line_send(l, k, i);
	}
	l->n = 0;
}
