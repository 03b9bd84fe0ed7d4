/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fold table: rows of one conversation, interval, observer and names become one row (see fold.c).
 * Filled by one thread, then handed over as a whole; never used by two threads at once.
 */
#pragma once

#include "flow/msg.h"

#define FOLD_INTERVALS 256 /* intervals one table can hold side by side: as many may wait in the socket after a pause */

/* Why rows were not folded. Their sum(rows) is counted here and nowhere else. */
enum fold_loss {
	FOLD_LOST_TABLE,     /* no room for another conversation */
	FOLD_LOST_NAMES,     /* no room for another name or string */
	FOLD_LOST_INTERVALS, /* no room for another interval */
	FOLD_LOSSES
};

struct fold_opts {
	uint32_t max_rows;     /* conversations of all intervals */
	uint32_t max_names;    /* different names (struct flow_names) */
	uint32_t max_strings;  /* different strings in them, net names and scopes included */
	uint32_t string_bytes; /* all of them together */
	uint32_t max_roleless; /* rows without a role that keep their ports; more of them share port 0 */
};

/* What makes two rows one. All bytes count: fill it from {0}. */
struct fold_key {
	struct ip client, server;
	uint32_t interval;
	uint16_t port, other_port;
	uint32_t net, scope; /* fold_string() */
	uint32_t names;      /* fold_names() */
	uint8_t protocol, view;
	uint16_t zero;
};

/* A row to add. body and ports are read during fold_add() only. */
struct fold_item {
	struct fold_key key;
	uint32_t flags;
	uint32_t ports_more;
	uint64_t present; /* with body: checked by wire_body_check() */
	struct str body;
	uint8_t n_ports;
	uint16_t ports[FLOW_PORTS];
	uint64_t hash; /* inside */
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

/* Id of a string (at most FLOW_NAME_MAX * 2 bytes count) or of names, valid until fold_clear(). "" is 0. -ENOSPC. */
int fold_string(struct fold *f, struct str s, uint32_t *ret);
int fold_names(struct fold *f, const struct flow_names *n, uint32_t *ret);

/* Adds a batch: hashes all, prefetches all, adds all. What finds no room is counted as lost. */
void fold_add(struct fold *f, struct fold_item *items, size_t n);

/* Counts rows that could not even be offered. */
void fold_shed(struct fold *f, uint32_t interval, enum fold_loss why, uint64_t rows);

/* sum(rows) that the body of a row says. */
uint64_t fold_rows(uint64_t present, struct str body);

/* Folded rows: 0 .. fold_n() - 1. Strings of *ret live until fold_clear(). ret->interval_s is the caller's. */
uint32_t fold_n(const struct fold *f);
void fold_get(const struct fold *f, uint32_t i, struct flow_row *ret);

/* The counts by interval, in order of arrival; and those of rows whose interval found no place among them. */
const struct fold_count *fold_counts(const struct fold *f, size_t *ret_n);
const struct fold_count *fold_unplaced(const struct fold *f);

/* Rows without a role whose ports were dropped for want of room. */
uint64_t fold_roleless_merged(const struct fold *f);

/* How full the rows are, in thousandths. */
uint64_t fold_fill_pm(const struct fold *f);

/* Empties the table; the memory stays, and room for twice the rows is made ready. Takes time: not for the receive thread. */
void fold_clear(struct fold *f);

/* Memory of such a table when it is full. */
size_t fold_bytes(const struct fold_opts *opts);
