/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A packet's first bytes, as a switch or a host sampled them: who talks to whom, and how much payload. Only the outermost IP
 * header is read: of a tunnel, its ends.
 */
#pragma once

#include "wire/wire.h"

#define PACKET_VLANS 4 /* tags that are kept; more are passed */

enum packet_error {
	PACKET_OK,
	PACKET_OTHER, /* no IP in it (ARP, MPLS, ...), or a header_protocol other than the three below */
	PACKET_CUT,   /* the bytes end before addresses, protocol and length are known */
	PACKET_BAD,   /* they contradict themselves */
	PACKET_ERRORS
};

enum packet_header { PACKET_ETHERNET = 1, PACKET_IPV4 = 11, PACKET_IPV6 = 12 }; /* sFlow's header_protocol */

struct packet {
	struct ip src, dst;
	uint32_t ip_bytes; /* of the whole packet, IP header included */
	/* of them, what is behind TCP's (with options), UDP's, SCTP's or ICMP's header; of other protocols what is behind IP's.
	 * Where the header was cut, the least its kind can be is taken. */
	uint32_t payload;
	uint16_t src_port, dst_port; /* 0 unless has_ports */
	uint8_t protocol;            /* behind IPv6's extension headers */
	uint8_t tos, tcp_flags;
	bool has_ports;              /* TCP, UDP, SCTP, and they were not cut */
	bool fragment;               /* a part of a packet */
	bool later_fragment;         /* not its first one: the ports are in that one */
	uint8_t n_vlans;             /* tags there were */
	uint16_t vlan[PACKET_VLANS]; /* outermost first: the whole tag, priority in the upper bits */
};

const char *packet_error_name(enum packet_error e); /* "ok", "other", "cut", "bad" */

/* wire_bytes: what the packet had on the wire from the first of these bytes on (frame_length - stripped). */
enum packet_error packet_read(struct packet *ret, uint32_t header_protocol, uint32_t wire_bytes, struct str header);

/* Payload by ip_bytes and protocol alone: headers as short as they can be. For one that was not read from its bytes. */
uint32_t packet_least_payload(const struct packet *p);

/* Of records 0:1, 0:3 and 0:4. */
enum packet_error packet_of_header(struct packet *ret, struct str body);
enum packet_error packet_of_ipv4(struct packet *ret, struct str body);
enum packet_error packet_of_ipv6(struct packet *ret, struct str body);
