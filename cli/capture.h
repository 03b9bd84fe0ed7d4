/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads capture files: pcap (draft-ietf-opsawg-pcap) and pcapng (draft-ietf-opsawg-pcapng), either byte order, and finds
 * the UDP datagram in a captured frame. Nothing in a file is trusted: every length is compared with what is there and
 * with CAPTURE_FRAME before it is used.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/ip.h"
#include "base/str.h"

#define CAPTURE_FRAME 262144  /* bytes of the largest frame or block we read; a larger one is passed */
#define CAPTURE_INTERFACES 64 /* of one section; frames of further ones are passed */

struct capture;

struct capture_frame {
	int64_t time_us;  /* since 1970; 0 where the file does not say */
	uint32_t link;    /* link type (tcpdump.org/linktypes.html) */
	struct str bytes; /* valid until the next call */
	bool cut;         /* captured shorter than it was */
};

/* Reads from `file`, which stays the caller's. -EBADMSG: no capture file; -EIO; -ENOMEM. Free with capture_free(); NULL is fine. */
int capture_new(struct capture **ret, FILE *file);
void capture_free(struct capture *p);

/* The next frame: 1; 0 at the end; -EBADMSG when the file breaks off or is damaged here; -EIO. */
int capture_next(struct capture *p, struct capture_frame *ret);

/* Frames and blocks that were passed because they were too large or of an interface we do not know. */
uint64_t capture_passed(const struct capture *p);

struct capture_udp {
	struct ip src, dst;
	uint16_t src_port, dst_port;
	struct str payload;
	bool cut; /* the frame holds less of it than was sent */
};

/* The UDP datagram in a frame: 0. -ENOMSG: another protocol, or a link type we do not know. -EMSGSIZE: a fragment (none is put
 * together). -EBADMSG: lengths that contradict each other. Ethernet with VLAN tags, Linux cooked (1, 2), raw IP, BSD loopback. */
int capture_udp(uint32_t link, struct str frame, struct capture_udp *ret);
