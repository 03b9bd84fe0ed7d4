/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/capture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	MAGIC_US = 0xa1b2c3d4,
	MAGIC_NS = 0xa1b23c4d,
	NG_SECTION = 0x0a0d0d0a,
	NG_ORDER = 0x1a2b3c4d,
	NG_INTERFACE = 1,
	NG_PACKET_OLD = 2,
	NG_PACKET_SIMPLE = 3,
	NG_PACKET = 6,
	NG_OPT_END = 0,
	NG_OPT_TSRESOL = 9,
	FILE_HEADER = 24,
	RECORD_HEADER = 16,
	SECTION_LEAST = 28,
};

struct interface {
	uint32_t link;
	uint8_t resolution; /* as in the file: 10^-n, or with the top bit 2^-n seconds */
};

struct capture {
	FILE *file;
	bool ng, swapped, nanos;
	uint32_t link; /* pcap */
	unsigned n_interfaces;
	struct interface interfaces[CAPTURE_INTERFACES];
	uint64_t passed;
	uint8_t buf[CAPTURE_FRAME];
};

static uint32_t get32(const struct capture *p, const uint8_t *at)
{
	uint32_t v;

	memcpy(&v, at, 4);
	return p->swapped ? __builtin_bswap32(v) : v;
}

static uint16_t get16(const struct capture *p, const uint8_t *at)
{
	uint16_t v;

	memcpy(&v, at, 2);
	return p->swapped ? __builtin_bswap16(v) : v;
}

/* 1, 0 when the file ends before the first byte, -EBADMSG when inside, -EIO. */
static int read_all(struct capture *p, void *to, size_t n)
{
	size_t got = fread(to, 1, n, p->file);

	if (got == n)
		return 1;
	if (ferror(p->file))
		return -EIO;
	return got ? -EBADMSG : 0;
}

/* Like read_all(), but the file must go on. */
static int read_more(struct capture *p, void *to, size_t n)
{
	int r = n ? read_all(p, to, n) : 1;

	return r ? r : -EBADMSG;
}

static int pass(struct capture *p, uint64_t n)
{
	while (n) {
		size_t part = n < sizeof(p->buf) ? n : sizeof(p->buf);
		int r = read_more(p, p->buf, part);

		if (r < 0)
			return r;
		n -= part;
	}
	p->passed++;
	return 1;
}

/* A section header after its first word: byte order, and its interfaces begin anew. */
static int ng_section(struct capture *p)
{
	uint8_t head[8];
	uint32_t order, length;
	int r = read_more(p, head, sizeof(head));

	if (r < 0)
		return r;
	memcpy(&order, head + 4, 4);
	if (order != NG_ORDER && order != __builtin_bswap32(NG_ORDER))
		return -EBADMSG;
	p->swapped = order != NG_ORDER;
	p->n_interfaces = 0;
	length = get32(p, head);
	if (length < SECTION_LEAST || length % 4 || length > sizeof(p->buf))
		return -EBADMSG;
	return read_more(p, p->buf, length - 12);
}

int capture_new(struct capture **ret, FILE *file)
{
	struct capture *p = malloc(sizeof(*p));
	uint8_t head[FILE_HEADER];
	uint32_t magic;
	int r;

	if (!p)
		return -ENOMEM;
	memset(p, 0, offsetof(struct capture, buf));
	p->file = file;
	r = read_more(p, head, 4);
	if (r < 0)
		goto out;
	memcpy(&magic, head, 4);
	p->ng = magic == NG_SECTION;
	if (p->ng) {
		r = ng_section(p);
		goto out;
	}
	p->swapped = magic == __builtin_bswap32(MAGIC_US) || magic == __builtin_bswap32(MAGIC_NS);
	p->nanos = magic == MAGIC_NS || magic == __builtin_bswap32(MAGIC_NS);
	r = -EBADMSG;
	if (!p->swapped && !p->nanos && magic != MAGIC_US)
		goto out;
	r = read_more(p, head + 4, sizeof(head) - 4);
	if (r > 0)
		p->link = get32(p, head + 20) & 0xfffffff; /* the upper bits tell of checksums */
out:
	if (r < 0) {
		free(p);
		return r;
	}
	*ret = p;
	return 0;
}

void capture_free(struct capture *p)
{
	free(p);
}

uint64_t capture_passed(const struct capture *p)
{
	return p->passed;
}

static int classic_next(struct capture *p, struct capture_frame *ret)
{
	uint8_t head[RECORD_HEADER];

	for (;;) {
		int r = read_all(p, head, sizeof(head));
		uint32_t captured, was, fraction;

		if (r <= 0)
			return r;
		captured = get32(p, head + 8);
		was = get32(p, head + 12);
		if (captured > sizeof(p->buf)) {
			r = pass(p, captured);
			if (r < 0)
				return r;
			continue;
		}
		r = read_more(p, p->buf, captured);
		if (r < 0)
			return r;
		fraction = get32(p, head + 4);
		*ret = (struct capture_frame){
			.time_us = (int64_t)get32(p, head) * 1000000 + (p->nanos ? fraction / 1000 : fraction),
			.link = p->link,
			.bytes = {(const char *)p->buf, captured},
			.cut = captured < was,
		};
		return 1;
	}
}

/* Interface description: link type, and among the options the unit of its times. */
static void ng_interface(struct capture *p, size_t n)
{
	struct interface *i = &p->interfaces[p->n_interfaces];
	size_t at = 8;

	if (n < 8 || p->n_interfaces == CAPTURE_INTERFACES)
		return;
	p->n_interfaces++;
	i->link = get16(p, p->buf);
	i->resolution = 6;
	while (at + 4 <= n) {
		uint16_t option = get16(p, p->buf + at), len = get16(p, p->buf + at + 2);

		at += 4;
		if (option == NG_OPT_END || len > n - at)
			return;
		if (option == NG_OPT_TSRESOL && len == 1)
			i->resolution = p->buf[at];
		at += (len + 3u) & ~3u;
	}
}

static int64_t ng_time_us(uint64_t t, uint8_t resolution)
{
	unsigned n = resolution & 0x7f;

	if (resolution & 0x80)
		return n > 63 ? 0
			      : (int64_t)((t >> n) * 1000000 +
					  (uint64_t)(((unsigned __int128)(t & ((1ull << n) - 1)) * 1000000) >> n));
	for (; n > 6; n--)
		t /= 10;
	for (; n < 6; n++)
		t *= 10;
	return (int64_t)t;
}

/* A block with a packet: where its parts stand. False: no such block, or broken. */
static bool ng_packet(struct capture *p, uint32_t type, size_t n, struct capture_frame *ret)
{
	const uint8_t *b = p->buf;
	size_t head = type == NG_PACKET_SIMPLE ? 4 : 20;
	uint32_t interface = 0, captured, was;
	uint64_t time = 0;

	if ((type != NG_PACKET && type != NG_PACKET_OLD && type != NG_PACKET_SIMPLE) || n < head)
		return false;
	if (type == NG_PACKET_SIMPLE) {
		was = get32(p, b);
		captured = was < n - head ? was : (uint32_t)(n - head);
	} else {
		interface = type == NG_PACKET ? get32(p, b) : get16(p, b);
		time = (uint64_t)get32(p, b + 4) << 32 | get32(p, b + 8);
		captured = get32(p, b + 12);
		was = get32(p, b + 16);
	}
	if (interface >= p->n_interfaces || captured > n - head) {
		p->passed++;
		return false;
	}
	*ret = (struct capture_frame){
		.time_us = ng_time_us(time, p->interfaces[interface].resolution),
		.link = p->interfaces[interface].link,
		.bytes = {(const char *)b + head, captured},
		.cut = captured < was,
	};
	return true;
}

static int ng_next(struct capture *p, struct capture_frame *ret)
{
	for (;;) {
		uint8_t head[8];
		uint32_t type, length;
		int r = read_all(p, head, 4);

		if (r <= 0)
			return r;
		memcpy(&type, head, 4);
		if (type == NG_SECTION) {
			r = ng_section(p);
			if (r < 0)
				return r;
			continue;
		}
		r = read_more(p, head + 4, 4);
		if (r < 0)
			return r;
		type = get32(p, head);
		length = get32(p, head + 4);
		if (length < 12 || length % 4)
			return -EBADMSG;
		r = length - 8 > sizeof(p->buf) ? pass(p, length - 8) : read_more(p, p->buf, length - 8);
		if (r < 0)
			return r;
		if (length - 8 > sizeof(p->buf))
			continue;
		if (type == NG_INTERFACE)
			ng_interface(p, length - 12);
		else if (ng_packet(p, type, length - 12, ret))
			return 1;
	}
}

int capture_next(struct capture *p, struct capture_frame *ret)
{
	return p->ng ? ng_next(p, ret) : classic_next(p, ret);
}
