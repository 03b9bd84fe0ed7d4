/* SPDX-License-Identifier: Apache-2.0 */
/* A client on the loopback that knows its own bytes: no library between the test and the server. */
#pragma once

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"

#define RIG_US 20000000

struct rig {
	int fd;
	struct buf in;
	size_t at; /* of `in`: taken so far */
};

/* Connects and asks; url: "http://127.0.0.1:PORT". headers: each ended by CRLF; Host is localhost unless given. */
static inline void rig_open(struct rig *c, const char *url, const char *method, const char *path, const char *headers,
			    int rcvbuf)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct buf b;

	sa.sin_port = htons((uint16_t)atoi(strrchr(url, ':') + 1));
	*c = (struct rig){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
	assert_true(c->fd >= 0);
	if (rcvbuf)
		assert_int_equal(setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof(rcvbuf)), 0);
	assert_int_equal(connect(c->fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	buf_init(&c->in, 0);
	buf_init(&b, 0);
	headers = headers ? headers : "";
	buf_printf(&b, "%s %s HTTP/1.1\r\n%s%s\r\n", method, path,
		   strstr(headers, "Host: ") ? "" : "Host: localhost\r\n", headers);
	assert_int_equal(send(c->fd, b.p, b.n, MSG_NOSIGNAL), b.n);
	buf_deinit(&b);
}

static inline void rig_close(struct rig *c)
{
	close(c->fd);
	buf_deinit(&c->in);
}

/* More bytes: false at the end of the connection. Fails when none come. */
static inline bool rig_more(struct rig *c)
{
	struct pollfd p = {.fd = c->fd, .events = POLLIN};
	char text[65536];
	ssize_t n;

	if (poll(&p, 1, RIG_US / 1000) != 1)
		fail_msg("nothing came");
	n = recv(c->fd, text, sizeof(text), 0);
	if (n > 0)
		buf_put(&c->in, text, (size_t)n);
	return n > 0;
}

/* Everything up to `end`, without it, NUL-terminated in place of its first byte; NULL when the connection ended. */
static inline char *rig_until(struct rig *c, const char *end)
{
	for (;;) {
		char *found, *start;

		(void)buf_text(&c->in);
		start = c->in.p ? c->in.p + c->at : NULL;
		found = start ? strstr(start, end) : NULL;
		if (found) {
			*found = '\0';
			c->at = (size_t)(found - c->in.p) + strlen(end);
			return start;
		}
		if (!rig_more(c))
			return NULL;
	}
}

/* The answer's head: its status; *ret_head its lines. */
static inline int rig_head(struct rig *c, char **ret_head)
{
	char *head = rig_until(c, "\r\n\r\n");

	assert_non_null(head);
	*ret_head = head;
	assert_memory_equal(head, "HTTP/1.1 ", 9);
	return atoi(head + 9);
}

/* The value of a header in the head, up to the end of its line, copied; "" when absent. */
static inline const char *rig_header(const char *head, const char *name, char *ret, size_t size)
{
	size_t n = strlen(name);

	*ret = '\0';
	for (const char *p = strchr(head, '\n'); p; p = strchr(p, '\n')) {
		p++;
		if (strncasecmp(p, name, n) || p[n] != ':')
			continue;
		p += n + 1 + strspn(p + n + 1, " ");
		n = strcspn(p, "\r\n");
		assert_true(n < size);
		memcpy(ret, p, n);
		ret[n] = '\0';
		break;
	}
	return ret;
}
