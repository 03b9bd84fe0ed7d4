/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/netlink.h"

#include <errno.h>
#include <linux/netlink.h>
#include <sys/socket.h>

ssize_t netlink_recv(int fd, void *buf, size_t size, int flags, uint64_t *foreign)
{
	unsigned i;

	for (i = 0; i < NETLINK_FOREIGN; i++) {
		struct sockaddr_nl from = {0};
		socklen_t len = sizeof(from);
		ssize_t n = recvfrom(fd, buf, size, flags, (struct sockaddr *)&from, &len);

		if (n < 0 || from.nl_pid == 0)
			return n;
		if (foreign)
			++*foreign;
	}
	errno = EBADMSG;
	return -1;
}
