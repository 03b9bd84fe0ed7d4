/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows of hosts as datagrams ahead of their sending, and what stands in which. A datagram may be sent again and again: stamping
 * puts the numbers into it that change, so that sending a row costs far less than reading it does.
 */
#pragma once

#include "tools/gen/traffic.h"
#include "wire/interop.h"

struct pack_opts {
	const struct pack_profile *profile;
	bool events; /* of single connections */
	bool equal;  /* all of a host equally long but the last of each family, as far as the profile can */
	uint32_t interval_s, spread_ms;
	uint32_t size; /* bound on a datagram */
	uint32_t rate; /* sampling rate (standard) */
	uint64_t boot; /* of the first host; the others count on */
};

/* An item: the row's only one, or one of its events. */
struct pack_item {
	uint32_t row; /* in fleet.rows */
	uint16_t port, event;
};

/* A place that stamping writes to: offsets in the datagram. */
struct pack_spot {
	uint16_t sample;   /* of a flow sample's sequence number */
	uint16_t interval; /* of the interval in a record of ours; 0: it has none */
	uint32_t rows;     /* what the running count of rows grows by */
};

struct pack_datagram {
	uint64_t at; /* in pack.bytes */
	uint32_t len, host;
	uint32_t first_item, n_items, first_spot, n_spots;
	uint32_t rows; /* sum(rows) in it; of standard samples how many there are */
	uint32_t pool; /* what the agent's count of rows grows by: the sum over its spots */
};

struct pack {
	const struct fleet *fleet;
	struct pack_opts opts;
	uint8_t *bytes;
	struct pack_item *items;
	struct pack_spot *spots;
	struct pack_datagram *datagrams;
	uint32_t *samples; /* by host: sent so far, where a datagram has several */
	size_t n_bytes, cap_bytes;
	uint32_t n_items, cap_items, n_spots, cap_spots, n_datagrams, cap_datagrams;
	int err; /* -ENOMEM, once */
	/* of the datagram at work */
	uint32_t host, index;
	struct wire_head head;
	struct wire_build build;
	struct wire_interop interop;
	uint8_t sample[WIRE_SIZE_MAX];
	uint32_t n_sample, n_samples;
};

int pack_new(struct pack **ret, const struct fleet *f, const struct pack_opts *opts);
void pack_free(struct pack *p);
void pack_clear(struct pack *p); /* the memory stays */

/* What the host's records of the interval begin with. */
void pack_head(const struct pack *p, uint32_t host, uint32_t interval, struct wire_head *ret);

/* Appends the datagrams of all the host's rows in the interval; rows of the edge `not` (an index) are left out. -ENOMEM. */
int pack_host(struct pack *p, uint32_t host, uint32_t interval, uint32_t not_edge);

/* The item's values, as whoever reads its datagram sums them up. */
void pack_item_get(const struct pack *p, const struct pack_item *item, uint32_t interval, struct traffic_item *ret);

/* Writes the sender's running counts and the interval into a datagram, and counts it in `s`. */
void pack_stamp(struct pack *p, const struct pack_datagram *d, struct wire_sender *s, uint32_t interval,
		uint32_t uptime_ms);

/* --- what a row looks like */

/* A row with its names, for a profile. */
struct pack_row {
	const struct fleet_row *row;
	const struct fleet_pair *pair;
	struct wire_flow flow;
	const struct traffic_item *item;
};

struct pack_profile {
	const char *name;
	bool ours; /* hosts, listeners and health are sent beside */
	void (*open)(struct pack *p);
	int (*add)(struct pack *p, const struct pack_row *row); /* -ENOSPC: close, open, add again */
	void (*close)(struct pack *p);                          /* calls pack_done(); not with nothing added */
	/* Makes of an item's values what a reader can make of what was sent; NULL: the same. */
	void (*read)(const struct pack *p, const struct fleet_row *row, struct traffic_item *item);
};

extern const struct pack_profile pack_packed, pack_interop, pack_standard;

/* The ephemeral port that a standard sample of the item has. */
uint16_t standard_port(const struct traffic_item *item);

/* For profiles: room for `n` bytes of a datagram at the end (NULL: no memory), a spot in it, and that it is done. */
uint8_t *pack_room(struct pack *p, size_t n);
void pack_spot(struct pack *p, const struct pack_spot *spot);
void pack_done(struct pack *p, size_t n);
