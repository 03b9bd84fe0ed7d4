/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host record: head; hostname, kernel, mode, version; part, parts; addresses. An address: typed address, prefix
 * length (in its own family: 0 .. 32 or 0 .. 128), host_only, network namespace.
 *
 * 1. Each part says who the host is, so one is enough to name it; a lost part loses its addresses until the next minute.
 * 2. Shares are cut by count, each address taken as IPv6: the same host gives the same parts.
 * Part 0 brings the standard records host_descr and host_adapters in a counter sample (sflow.org, sflow_host.txt): common
 * collectors learn the host's name from the one, and which switch ports it is on from the other.
 */
#include "wire/host.h"

#include <assert.h>
#include <errno.h>

#include "wire/put.h"

enum { ADDRESS_BYTES = 4 + 16 + 3 * 4, HOST_DESCR = 2000, HOST_ADAPTERS = 2001, OS_LINUX = 2, UUID_BYTES = 16 };
enum { ADAPTER_BYTES = 2 * 4 + 8, EXTRA_HEAD_BYTES = 5 * 4 };

#if defined(__x86_64__)
enum { MACHINE = 3 };
#elif defined(__aarch64__) || defined(__arm__)
enum { MACHINE = 10 };
#else
enum { MACHINE = 1 }; /* another one */
#endif

static int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A machine-id is 32 hex digits; other ids give zeros. */
static void host_uuid(struct str id, uint8_t uuid[UUID_BYTES])
{
	memset(uuid, 0, UUID_BYTES);
	if (id.n != 2 * UUID_BYTES)
		return;
	for (unsigned i = 0; i < UUID_BYTES; i++) {
		int high = hex_digit(id.p[2 * i]), low = hex_digit(id.p[2 * i + 1]);

		if (high < 0 || low < 0) {
			memset(uuid, 0, UUID_BYTES);
			return;
		}
		uuid[i] = (uint8_t)(high << 4 | low);
	}
}

/* How many adapters may go with a host record that has this size without them. */
static unsigned adapters_room(const struct wire_build *b, const struct wire_adapters *a)
{
	size_t fixed = wire_build_size(b) + 2 * 4, room = fixed < b->size ? (b->size - fixed) / 2 : 0;
	size_t n = room > 3 * 4 ? (room - 3 * 4) / ADAPTER_BYTES : 0;

	assert(a->n <= WIRE_ADAPTERS);
	return n < a->n ? n : a->n;
}

/* host_adapters: each with one MAC address, which takes 8 bytes. */
static uint8_t *put_adapters(uint8_t *p, const struct wire_adapters *a, unsigned n)
{
	p = put_u32(p, HOST_ADAPTERS);
	p = put_u32(p, 4 + n * ADAPTER_BYTES);
	p = put_u32(p, n);
	for (unsigned i = 0; i < n; i++) {
		p = put_u32(p, a->v[i].ifindex);
		p = put_u32(p, 1);
		p = put_fill(put_bytes(p, a->v[i].mac, sizeof(a->v[i].mac)), sizeof(a->v[i].mac));
	}
	return p;
}

/* host_descr. */
static uint8_t *put_descr(uint8_t *p, const struct flow_host *h, struct str id)
{
	uint8_t uuid[UUID_BYTES], *body = p + 8;
	char text[64];

	host_uuid(id, uuid);
	p = put_u32(p, HOST_DESCR) + 4;
	p = put_opaque(p, text, wire_text_clean(h->hostname, text, 64));
	p = put_bytes(p, uuid, UUID_BYTES);
	p = put_u32(p, MACHINE);
	p = put_u32(p, OS_LINUX);
	p = put_opaque(p, text, wire_text_clean(h->kernel, text, 32));
	put_u32(body - 4, p - body);
	return p;
}

/* A counter sample (0:2) with the standard records. */
static void put_extra(struct wire_build *b, const struct flow_host *h, struct str id, const struct wire_adapters *a)
{
	uint8_t *p = put_descr(b->extra + EXTRA_HEAD_BYTES, h, id), *q = b->extra;

	b->n_extra = p - b->extra;
	if (a)
		p = put_adapters(p, a, adapters_room(b, a));
	b->n_extra = p - b->extra;
	assert(b->n_extra <= sizeof(b->extra));
	q = put_u32(q, 2); /* 0:2 */
	q = put_u32(q, b->n_extra - 8);
	q = put_u32(q, 1);           /* sequence: these are not counted */
	q = put_u32(q, 2 << 24 | 1); /* physical entity 1 */
	put_u32(q, a ? 2 : 1);
}

/* Addresses that a part has room for. */
static unsigned host_share(const struct wire_build *b)
{
	size_t fixed = wire_build_size(b) + 8;

	return fixed < b->size ? (b->size - fixed) / ADDRESS_BYTES : 0;
}

static void host_open(struct wire_build *b, const struct flow_host *h, const struct wire_head *head,
		      const struct wire_opts *opts)
{
	wire_build_open(b, WIRE_HOST, head, opts);
	wire_build_head_text(b, h->hostname);
	wire_build_head_text(b, h->kernel);
	wire_build_head_text(b, h->mode);
	wire_build_head_text(b, h->version);
	put_extra(b, h, head->host, opts ? opts->adapters : NULL);
}

static unsigned host_parts(const struct flow_host *h, unsigned share)
{
	return h->n_addresses && share ? (h->n_addresses + share - 1) / share : 1;
}

unsigned wire_host_parts(struct wire_build *b, const struct flow_host *h, const struct wire_head *head,
			 const struct wire_opts *opts)
{
	host_open(b, h, head, opts);
	wire_build_head_u32(b, 0);
	wire_build_head_u32(b, 0);
	return host_parts(h, host_share(b));
}

static int add_address(struct wire_build *b, const struct flow_address *a)
{
	bool v4 = ip_is_v4(&a->ip);
	uint8_t item[ADDRESS_BYTES], *p = item;

	p = put_u32(p, v4 ? 1 : 2);
	p = put_bytes(p, a->ip.b + (v4 ? 12 : 0), v4 ? 4 : 16);
	p = put_u32(p, v4 && a->bits >= 96 ? a->bits - 96u : a->bits);
	p = put_u32(p, a->host_only);
	p = put_u32(p, a->netns);
	return wire_build_item(b, item, p - item, 1);
}

size_t wire_host_put(struct wire_build *b, const struct flow_host *h, unsigned part, const struct wire_head *head,
		     const struct wire_opts *opts, struct wire_sender *s, uint32_t uptime_ms, void *dst, size_t cap)
{
	unsigned parts = wire_host_parts(b, h, head, opts), share = host_share(b);
	unsigned end = (part + 1) * share < h->n_addresses ? (part + 1) * share : h->n_addresses;

	assert(part < parts && h->n_addresses <= FLOW_ADDRESSES);
	if (wire_build_size(b) > b->size || (h->n_addresses && !share))
		return 0;
	b->n_head -= 8;
	wire_build_head_u32(b, part);
	wire_build_head_u32(b, parts);
	for (unsigned i = part * share; i < end; i++)
		if (add_address(b, &h->addresses[i]))
			return 0;
	if (part)
		b->n_extra = 0;
	return wire_build_close(b, s, uptime_ms, 0, dst, cap);
}

/* WIRE_VALUE: this one is no good, the next may be. */
static enum wire_error read_address(struct cursor *c, struct flow_address *ret)
{
	enum wire_error e = wire_address(c, &ret->ip);
	uint32_t bits, max;

	if (e)
		return e;
	max = ip_is_v4(&ret->ip) ? 32 : 128;
	bits = cursor_u32(c);
	ret->bits = (uint8_t)(bits + (128 - max));
	ret->host_only = cursor_u32(c) != 0;
	ret->netns = cursor_u32(c);
	if (c->err)
		return WIRE_SHORT;
	return bits > max ? WIRE_VALUE : WIRE_OK;
}

static void read_addresses(struct cursor *c, struct flow_host *ret, unsigned *ret_bad)
{
	uint32_t n = cursor_u32(c);

	ret->n_addresses = 0;
	*ret_bad = c->err; /* even the count is missing: something was lost */
	for (uint32_t i = 0; i < n && !c->err; i++) {
		struct flow_address a;
		enum wire_error e = read_address(c, &a);

		if (e == WIRE_OK && ret->n_addresses < FLOW_ADDRESSES)
			ret->addresses[ret->n_addresses++] = a;
		else if (e == WIRE_SHORT || e == WIRE_FAMILY) {
			*ret_bad += n - i; /* where the next one begins is not known */
			return;
		} else {
			++*ret_bad;
		}
	}
	*ret_bad += cursor_left(c) != 0;
}

enum wire_error wire_host_read(const struct wire_record *r, struct wire_head *ret_head, struct flow_host *ret,
			       unsigned *ret_part, unsigned *ret_parts, unsigned *ret_bad)
{
	struct cursor c = cursor_over(r->body);
	enum wire_error e = wire_head_read(&c, ret_head);
	struct str *const texts[] = {&ret->hostname, &ret->kernel, &ret->mode, &ret->version};

	if (e)
		return e;
	for (unsigned i = 0; i < 4; i++) {
		e = wire_text_read(&c, texts[i]);
		if (e)
			return e;
	}
	*ret_part = cursor_u32(&c);
	*ret_parts = cursor_u32(&c);
	if (c.err)
		return WIRE_SHORT;
	if (*ret_part >= *ret_parts || *ret_parts > FLOW_ADDRESSES)
		return WIRE_VALUE;
	ret->net = ret_head->net;
	ret->id = ret_head->host;
	ret->boot = ret_head->boot;
	ret->interval = ret_head->interval;
	ret->interval_s = (uint16_t)ret_head->interval_s;
	read_addresses(&c, ret, ret_bad);
	return WIRE_OK;
}
