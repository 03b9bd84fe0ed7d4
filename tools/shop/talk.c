/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/shop/talk.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define TALK_MAX (16u << 20) /* a request or answer is never longer */

int talk_connect(struct tally_peer *t, const char *address, int sndbuf)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)t->port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), r = 0;

	if (fd < 0 || inet_pton(AF_INET, address, &to.sin_addr) != 1)
		r = -EINVAL;
	if (r == 0 && sndbuf)
		(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &sndbuf, sizeof(sndbuf));
	if (r == 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		r = -errno;
	tally_connect(t, -r);
	if (r == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return r;
}

int talk_send(int fd, struct tally_peer *t, size_t n)
{
	static const char filler[16384];

	while (n) {
		ssize_t w = send(fd, filler, n < sizeof(filler) ? n : sizeof(filler), MSG_NOSIGNAL);

		if (w < 0)
			return -errno;
		tally_add(&t->sent, (uint64_t)w);
		n -= (size_t)w;
	}
	return 0;
}

static int talk_read(int fd, struct tally_peer *t, void *p, size_t n)
{
	ssize_t r = recv(fd, p, n, MSG_WAITALL);

	if (r < 0)
		return -errno;
	tally_add(&t->received, (uint64_t)r);
	return (size_t)r == n ? 0 : -ECONNRESET;
}

int talk_receive(int fd, struct tally_peer *t, size_t n)
{
	char sink[16384];
	int r = 0;

	while (n && r == 0) {
		size_t piece = n < sizeof(sink) ? n : sizeof(sink);

		r = talk_read(fd, t, sink, piece);
		n -= piece;
	}
	return r;
}

int talk_ask(struct tally_peer *t, const char *address, size_t request, size_t answer)
{
	uint32_t head[2] = {htonl((uint32_t)request), htonl((uint32_t)answer)};
	int fd = talk_connect(t, address, 0), r;

	if (fd < 0)
		return fd;
	r = send(fd, head, sizeof(head), MSG_NOSIGNAL) == sizeof(head) ? 0 : -EIO;
	if (r == 0) {
		tally_add(&t->sent, sizeof(head));
		r = talk_send(fd, t, request - sizeof(head));
	}
	if (r == 0)
		r = talk_receive(fd, t, answer);
	close(fd);
	return r;
}

void talk_answer(int fd, struct tally_peer *t, void (*think)(void *arg), void *arg)
{
	uint32_t head[2];
	char end;

	if (talk_read(fd, t, head, sizeof(head)) < 0)
		goto out;
	head[0] = ntohl(head[0]);
	head[1] = ntohl(head[1]);
	if (head[0] < sizeof(head) || head[0] > TALK_MAX || head[1] > TALK_MAX)
		goto out;
	if (talk_receive(fd, t, head[0] - sizeof(head)) < 0)
		goto out;
	if (think)
		think(arg);
	if (talk_send(fd, t, head[1]) == 0)
		(void)recv(fd, &end, 1, 0);
out:
	close(fd);
}
