/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A datagram being written: one flow sample with one record of ours.
 *
 *     wire_build_open(&b, WIRE_FLOWS, &head, &opts);
 *     for each row, sorted by address family and names:
 *         if (wire_flows_add(&b, &row) == -ENOSPC) {
 *             n = wire_build_close(&b, &sender, uptime_ms, 0, dst, sizeof(dst)); ... send ...
 *             wire_build_open(...); wire_flows_add(&b, &row);
 *         }
 *     close and send the last
 *
 * Strings and names are kept once per datagram. The builder is big (~60 KiB): one per thread, reused.
 */
#pragma once

#include "flow/msg.h"
#include "wire/wire.h"

struct wire_adapters;

struct wire_opts {
	uint32_t enterprise; /* 0: WIRE_ENTERPRISE */
	uint32_t
		size; /* bound on the datagram; 0: WIRE_SIZE; clamped to WIRE_SIZE_MIN .. WIRE_SIZE_MAX, made a multiple of 4 */
	bool auth;                            /* ends with room for a signature: wire_auth_sign() once it is complete */
	const struct wire_adapters *adapters; /* sent with a host record (wire/host.h); NULL: none */
};

/* What a sending thread counts on: one per (agent, sub-agent). All start at 0 with a new sub-agent id. */
struct wire_sender {
	struct ip agent;
	uint32_t sub_agent;
	uint32_t sequence; /* datagrams made; the next one carries sequence + 1 */
	uint32_t more;     /* flow samples made beyond one a datagram: sequence + more are all */
	uint32_t pool;     /* sum(rows) sent: `sample_pool` */
	uint32_t drops;    /* rows lost on this side, whatever the reason: `drops` */
};

struct wire_build {
	enum wire_format format;
	uint32_t enterprise;
	uint32_t size; /* bound */
	bool auth;
	uint32_t family;  /* of a flows record: 4 or 6; 0 none yet */
	uint32_t n_items; /* wire rows, listeners, ledger lines, addresses */
	uint64_t rows;    /* sum(rows) of the flows inside */
	/* the parts of the record, in the order they are sent */
	uint32_t n_head, strings_bytes, items_bytes;
	uint32_t n_strings, n_names;
	uint64_t strings_hash[WIRE_STRINGS];
	uint32_t strings_at[WIRE_STRINGS];
	uint32_t names[WIRE_NAMES][7];
	uint32_t n_extra;
	uint8_t head[2048];
	uint8_t extra[512]; /* a whole sample after ours */
	uint8_t strings[WIRE_SIZE_MAX];
	uint8_t items[WIRE_SIZE_MAX];
};

/* Begins an empty datagram. net and host of `head` over FLOW_NAME_MAX bytes are cut. opts may be NULL. */
void wire_build_open(struct wire_build *b, enum wire_format format, const struct wire_head *head,
		     const struct wire_opts *opts);

bool wire_build_empty(const struct wire_build *b);

/* Bytes the datagram would have now at most (an IPv4 agent address makes it 12 shorter). */
size_t wire_build_size(const struct wire_build *b);

/*
 * For the records' files. An item is added in one go or not at all: mark, put its strings and names into the tables, then
 * wire_build_item() with `n` bytes that make `count` items; when anything failed wire_build_undo() returns what to say
 * of `r`: -ENOSPC, or -EMSGSIZE when the datagram was empty.
 */
struct wire_mark {
	uint32_t n_strings, n_names, strings_bytes;
};
struct wire_mark wire_build_mark(const struct wire_build *b);
int wire_build_item(struct wire_build *b, const void *item, size_t n, unsigned count);
int wire_build_undo(struct wire_build *b, struct wire_mark mark, int r);

/* More of a record's own head, before the tables. */
void wire_build_head_text(struct wire_build *b, struct str s);
void wire_build_head_u32(struct wire_build *b, uint32_t v);

/*
 * Writes the datagram to dst and counts it in `s` (sequence, pool); returns its bytes. pad_to (0, or a multiple of 4
 * up to the bound): the datagram is made exactly that long with a padding record, if it is shorter. A pad_to
 * equal to the bound always works out. Returns 0, with nothing counted, when `cap` is too small (opts.size
 * suffices). The builder is then to be opened again.
 */
size_t wire_build_close(struct wire_build *b, struct wire_sender *s, uint32_t uptime_ms, size_t pad_to, void *dst,
			size_t cap);

/* The record alone, its format and length included: who closes datagrams of its own (wire/interop.h). Returns where it ends. */
size_t wire_build_record_size(const struct wire_build *b);
uint8_t *wire_build_record_put(const struct wire_build *b, uint8_t *dst);

/* A datagram (or a whole run) with sum(rows) of `rows` could not be sent: they leave `pool` and enter `drops`. */
void wire_sender_failed(struct wire_sender *s, uint64_t rows);
