/* SPDX-License-Identifier: Apache-2.0 */
/* One end of a link: a tun device in a network namespace, up and with its addresses. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define END_ADDRESSES 4

struct end_conf {
	const char *netns;     /* a name of `ip netns` or a path; NULL: our own */
	const char *device;    /* what it is called there */
	const char *addresses; /* "10.0.0.1/24,fd00::1/64": with a length each */
	uint32_t mtu;
};

/* The device lives as long as the descriptor (which does not block): one read or write is one packet. The caller's
 * namespace is what it was. -errno, and `why` says in one line what could not be done. */
int end_open(const struct end_conf *conf, int *ret_fd, char *why, size_t why_len);

/* Are these END_ADDRESSES addresses at most, each with a length of its own? -EINVAL */
int end_check(const char *addresses);
