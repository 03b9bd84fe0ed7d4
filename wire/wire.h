/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The datagram between agent and collector: sFlow v5, our data as one enterprise record inside a
 * standard flow sample. wire/skyfall.x is the schema, docs/wire.md explains it with an example.
 *
 * This header: what all records share, and the walk over a datagram's samples and records. Then
 * wire/build.h opens and closes a datagram to send; wire/flows.h, wire/host.h, wire/listeners.h and
 * wire/health.h put into and take out of the records; wire/ack.h is the answer; wire/print.h shows it.
 *
 * What others send (standard sFlow) is walked by the same calls; wire/sflow.h names its records' fields, wire/packet.h reads a
 * sampled packet.
 *
 * Everything here is a pure function over the caller's memory: no socket, clock, malloc or log.
 * Strings that were read point into the datagram and live as long as its bytes do.
 */
#pragma once

#include "base/ip.h"
#include "base/str.h"
#include "wire/cursor.h"

#define WIRE_PORT 6343        /* UDP, IANA: sflow */
#define WIRE_ENTERPRISE 32473 /* default; reserved for examples by RFC 5612 */
#define WIRE_VERSION_RECORD 1 /* `version` of our records */
#define WIRE_SIZE 1400        /* default bound on a datagram we send, UDP payload bytes */
#define WIRE_SIZE_MIN 512
#define WIRE_SIZE_MAX 8972  /* a jumbo frame */
#define WIRE_STRING_MAX 255 /* bytes of one string */
#define WIRE_STRINGS 1024   /* bound on a record's string table */
#define WIRE_NAMES 320      /* bound on a record's names table */

/* Formats of our enterprise's records (flow data). */
enum wire_format {
	WIRE_FLOWS = 1,
	WIRE_HOST = 2,
	WIRE_LISTENERS = 3,
	WIRE_HEALTH = 4,
	WIRE_SECURITY = 5, /* reserved */
	WIRE_PAD = 14,     /* bytes to skip: makes datagrams of a run equally long */
	WIRE_AUTH = 15,    /* signature, always last: wire/auth.h */
};

/* Why something could not be read: the reason of a counter. WIRE_OK and WIRE_END are no failures. */
enum wire_error {
	WIRE_OK,
	WIRE_END,      /* nothing more */
	WIRE_SHORT,    /* ends in the middle of something */
	WIRE_VERSION,  /* not sFlow 5, or a record version we do not know */
	WIRE_LENGTH,   /* a length that contradicts what is inside, or no multiple of 4 */
	WIRE_COUNT,    /* a count greater than what the bytes can hold, or than our bound */
	WIRE_STRING,   /* a string index outside the table, or a string too long */
	WIRE_TEXT,     /* a string that is not UTF-8 text without control characters */
	WIRE_NAME,     /* a names index outside the table */
	WIRE_FAMILY,   /* an address type we do not know */
	WIRE_INTERVAL, /* an interval length that does not divide 60, or a start that is no multiple of it */
	WIRE_BODY,     /* a row's body shorter or longer than `present` says, or a broken histogram */
	WIRE_VALUE,    /* an enum or number out of range */
	WIRE_ERRORS
};

/* "ok", "end", "short", "version", "length", "count", "string", ... */
const char *wire_error_name(enum wire_error e);

/* What every record of ours begins with. */
struct wire_head {
	uint32_t interval;   /* its start, s since 1970, a multiple of interval_s */
	uint32_t interval_s; /* 1 .. 60, divides 60 */
	uint32_t spread_ms;  /* how long after the interval's end this agent sends */
	uint64_t boot;       /* the agent's boot id: new at each start */
	struct str net;      /* address space; "" the default */
	struct str host;     /* host id */
};

/* What a sample holds. Records of each kind are numbered for themselves: 0:2100 is a socket in one, a virtual host in another. */
enum wire_kind {
	WIRE_KIND_OTHER,    /* not of the standard: its body is not looked into */
	WIRE_KIND_FLOW,     /* 0:1, 0:3 expanded: a packet that was sampled; ours are of this kind */
	WIRE_KIND_COUNTERS, /* 0:2, 0:4 expanded */
	WIRE_KIND_DISCARD,  /* 0:5: a packet that was thrown away */
	WIRE_KINDS
};

#define WIRE_PORT_INTERNAL 0x3fffffff /* as input or output: the device itself */

/* A sample. Compact or expanded makes no difference here. */
struct wire_sample {
	uint8_t kind; /* enum wire_kind */
	uint32_t enterprise, format;
	struct str body;
	/* all but the kind OTHER */
	uint32_t sequence, source_class, source_index, n_records;
	/* FLOW; drops: DISCARD too */
	uint32_t sampling_rate, pool, drops;
	/* FLOW and DISCARD. Formats: 0 an interface's number, 1 discarded (the reason), 2 several (how many) */
	uint32_t input_format, input, output_format, output;
	uint32_t reason; /* DISCARD */
};

/* A record inside a sample, or a sample of the kind OTHER as a whole: enterprise, format and body are the sample's then. */
struct wire_record {
	bool ours; /* in a flow sample, and enterprise is the wanted one: format is an enum wire_format */
	uint32_t enterprise, format;
	struct str body;
	const struct wire_sample *in; /* the datagram's, until the next call */
};

/* A datagram being read. */
struct wire_datagram {
	struct ip agent;
	uint32_t sub_agent, sequence, uptime_ms, n_samples;
	/* inside: */
	uint32_t enterprise, samples_left, records_left;
	bool cut;              /* the last sample is longer than the datagram */
	struct cursor cur;     /* over the samples */
	struct cursor sample;  /* over the records of the open sample */
	struct wire_sample in; /* it */
};

/* Reads the header. WIRE_SHORT, WIRE_VERSION, WIRE_FAMILY: nothing of it can be used. */
enum wire_error wire_open(struct wire_datagram *d, const void *p, size_t n, uint32_t enterprise);

/*
 * The next record, of whatever sample. WIRE_OK: *ret is filled (a sample of a kind that is not the standard's comes whole). WIRE_END: no more. Anything else: one sample or record is lost; call again, what can still be found
 * comes (it always ends). One of ours cut short by the datagram's end is given with the bytes there are. Padding and signatures are passed.
 */
enum wire_error wire_next(struct wire_datagram *d, struct wire_record *ret);

/*
 * The same in two steps, for whom samples matter: the next sample, what was not read of the former one passed by; then the
 * records of it. *ret of wire_sample_next() is d->in. Errors as above; WIRE_END ends the samples, or the sample.
 */
enum wire_error wire_sample_next(struct wire_datagram *d, const struct wire_sample **ret);
enum wire_error wire_record_next(struct wire_datagram *d, struct wire_record *ret);

/* True when a record of ours is in it that can be found. Changes nothing. */
bool wire_has_ours(const struct wire_datagram *d);

/*
 * Bytes that the datagram's samples take; n when they are cut or it is none. A capture of segmented sending (UDP_SEGMENT) holds
 * several datagrams as one: the next begins there.
 */
size_t wire_extent(const void *p, size_t n);

/* What stands counted at the end of a record, one after the other. */
struct wire_items {
	struct cursor cur;
	uint32_t left;
};

/* WIRE_OK: one stands at it->cur. WIRE_END. WIRE_LENGTH, WIRE_COUNT, once: count and bytes disagree. */
enum wire_error wire_items_next(struct wire_items *it);

/* Where the next one begins is not known: returns why, and WIRE_END comes next. */
enum wire_error wire_items_lost(struct wire_items *it, enum wire_error why);

/* Reads the head of one of our records at c. WIRE_SHORT, WIRE_VERSION, WIRE_STRING, WIRE_TEXT, WIRE_INTERVAL. */
enum wire_error wire_head_read(struct cursor *c, struct wire_head *ret);

/* An XDR address: type (0 unknown, 1 IPv4, 2 IPv6), then 0, 4 or 16 bytes. WIRE_SHORT, WIRE_FAMILY. */
enum wire_error wire_address(struct cursor *c, struct ip *ret);

/* A string of a record's head. WIRE_SHORT, WIRE_STRING, WIRE_TEXT. */
enum wire_error wire_text_read(struct cursor *c, struct str *ret);

/* True for UTF-8 without control characters: what a name may be. */
bool wire_text_ok(struct str s);

/* Copies s to dst, at most `max` bytes; what is no such text becomes '?'. Returns the bytes written. */
size_t wire_text_clean(struct str s, char *dst, size_t max);
