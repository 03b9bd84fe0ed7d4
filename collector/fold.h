/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fold table: rows of one conversation, interval, observer and names become one row (see fold.c).
 * Filled by one thread, then handed over as a whole; never used by two threads at once.
 *
 *     if (fold_values(f, present, body)) {        false: the values are broken
 *             it = fold_item(f);                  fill it->key, fold_item_ends() being part of that, flags and ports
 *             fold_push(f);                       it waits: its body, ports and names must stay until fold_flush()
 *     }
 *     fold_flush(f);                              before the table is read or handed over
 */
#pragma once

#include "collector/plan.h"
#include "flow/msg.h"

#define FOLD_INTERVALS 256 /* intervals one table can hold side by side: as many may wait in the socket after a pause */

/* Why rows were not folded. Their sum(rows) is counted here and nowhere else. */
enum fold_loss {
	FOLD_LOST_TABLE,     /* no room for another conversation, or for more of what few rows have */
	FOLD_LOST_NAMES,     /* no room for another name or string */
	FOLD_LOST_INTERVALS, /* no room for another interval */
	FOLD_LOSSES
};

struct fold_opts {
	uint32_t max_rows;     /* conversations of all intervals */
	uint32_t max_chunks;   /* of 64 bytes, for what does not fit their rows; 0: four a row */
	uint32_t max_names;    /* different names (struct flow_names), nets and scopes */
	uint32_t max_strings;  /* different strings in them, net names and scopes included */
	uint32_t string_bytes; /* all of them together */
	uint32_t max_roleless; /* rows without a role that keep their ports; more of them share port 0 */
};

/* What makes two rows one. All bytes count. */
struct fold_key {
	uint64_t ends; /* fold_item_ends() */
	uint16_t port, other_port;
	uint32_t names; /* fold_names() */
	uint32_t interval;
	uint8_t protocol, view;
	uint8_t v6; /* ends is a hash: the addresses count besides */
	uint8_t zero;
};

/* IPv6 addresses, or one such and one of IPv4. */
struct fold_ends {
	struct ip client, server;
};

/* A row to add. */
struct fold_item {
	struct fold_key key;
	struct fold_ends ends; /* key.v6: only then */
	uint32_t ports_more;
	uint16_t flags;
	uint8_t n_ports;
	const uint8_t *ports; /* two bytes each, big-endian: as in a datagram */
	uint32_t rows;        /* sum(rows) of its values */
	/* inside: */
	uint32_t found, waits;
	const struct plan *plan;
	struct plan_body body;
	uint64_t hash;
};

/* What happened to rows of one interval since the table was cleared. */
struct fold_count {
	uint32_t interval;
	uint64_t rows_in; /* sum(rows) offered: folded + lost */
	uint64_t sampled; /* of them: of the network view */
	uint64_t lost[FOLD_LOSSES];
};

struct fold;

/* All memory is reserved now; pages come as they are used. -ENOMEM, -EINVAL. */
int fold_new(struct fold **ret, const struct fold_opts *opts);
void fold_free(struct fold *f);

/*
 * Number of a string (at most FLOW_NAME_MAX * 2 bytes count), or of names with net and scope, which are strings; valid until
 * fold_clear(). "" is 0. -ENOSPC.
 */
int fold_string(struct fold *f, struct str s, uint32_t *ret);
int fold_names(struct fold *f, uint32_t net, uint32_t scope, const struct flow_names *n, uint32_t *ret);

/* Sets key.ends, key.v6 and, where they count, ends. IPv4 in the 16-byte form is IPv4. */
void fold_item_ends(struct fold_item *it, const struct ip *client, const struct ip *server);

/* The same for IPv4: network order. */
static inline void fold_item_ends4(struct fold_item *it, const uint8_t client[4], const uint8_t server[4])
{
	memcpy(&it->key.ends, client, 4);
	memcpy((char *)&it->key.ends + 4, server, 4);
	it->key.v6 = 0;
}

/*
 * See above. fold_values() begins a row; false: as wire_body_check() says. it->rows is its sum(rows) then. fold_push() adds a
 * batch by itself when enough rows wait. Whatever finds no room is counted as lost.
 */
bool fold_values(struct fold *f, uint64_t present, struct str body);
struct fold_item *fold_item(struct fold *f);
void fold_push(struct fold *f);
void fold_flush(struct fold *f);

/*
 * The same with names that wait too: quicker than fold_names() where they change every few rows. fold_wait() gives them a number,
 * which is good for fold_push_named() as long as fold_batch() says the same; no more calls of it than rows are pushed.
 */
uint32_t fold_wait(struct fold *f, uint32_t net, uint32_t scope, const struct flow_names *n);
void fold_push_named(struct fold *f, uint32_t waiting);
uint32_t fold_batch(const struct fold *f);

/* Counts rows that could not even be offered. */
void fold_shed(struct fold *f, uint32_t interval, enum fold_loss why, uint64_t rows);

/* Folded rows: 0 .. fold_n() - 1. Strings of *ret live until fold_clear(). ret->interval_s is the caller's. */
uint32_t fold_n(const struct fold *f);
void fold_get(const struct fold *f, uint32_t i, struct flow_row *ret);

/* The counts by interval, in order of arrival; and those of rows whose interval found no place among them. */
const struct fold_count *fold_counts(const struct fold *f, size_t *ret_n);
const struct fold_count *fold_unplaced(const struct fold *f);

/* Rows without a role whose ports were dropped for want of room. */
uint64_t fold_roleless_merged(const struct fold *f);

/* How full the rows are, or the chunks if they are fuller, in thousandths. */
uint64_t fold_fill_pm(const struct fold *f);

/* Empties the table; the memory stays, and room for twice the rows is made ready. Takes time: not for the receive thread. */
void fold_clear(struct fold *f);

/* Memory of such a table when it is full; and of what is in it now. */
size_t fold_bytes(const struct fold_opts *opts);
size_t fold_used(const struct fold *f);
