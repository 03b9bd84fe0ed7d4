/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define NETLINK_FOREIGN 1024 /* passed over in one call */

/* recv() for a netlink socket that takes what the kernel sent and nothing else. Our sockets live in namespaces of containers, whose
 * root (also a user namespace's) may send to them: such messages are passed over and counted in *foreign (may be NULL); with
 * EBADMSG after NETLINK_FOREIGN of them. */
ssize_t netlink_recv(int fd, void *buf, size_t size, int flags, uint64_t *foreign);
