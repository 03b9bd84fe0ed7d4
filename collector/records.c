/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/records.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#define WAITING 32 /* hosts whose parts are being collected; one datagram follows the other, so few at once */

struct frame {
	uint32_t topic, key_len, value_len;
};

void records_init(struct records *r, size_t max_bytes)
{
	buf_init(&r->bytes, max_bytes);
}

void records_deinit(struct records *r)
{
	buf_deinit(&r->bytes);
}

void records_clear(struct records *r)
{
	buf_clear(&r->bytes);
}

static size_t begin(struct records *r)
{
	size_t at = r->bytes.n;

	buf_grow(&r->bytes, sizeof(struct frame));
	return at;
}

/* Closes the frame begun at `at`, whose key ends at key_end; takes it back when it did not fit. */
static int end(struct records *r, size_t at, enum bus_topic topic, size_t key_end)
{
	struct frame f = {.topic = topic};

	if (r->bytes.err) {
		r->bytes.n = at;
		r->bytes.err = 0;
		return -ENOSPC;
	}
	f.key_len = (uint32_t)(key_end - at - sizeof(f));
	f.value_len = (uint32_t)(r->bytes.n - key_end);
	memcpy(r->bytes.p + at, &f, sizeof(f));
	return 0;
}

int records_host(struct records *r, const struct flow_host *h)
{
	size_t at = begin(r), key_end;

	flow_host_key(&r->bytes, h);
	key_end = r->bytes.n;
	flow_msg_encode(&r->bytes, FLOW_MSG_HOST, h);
	return end(r, at, BUS_HOSTS, key_end);
}

int records_listener(struct records *r, const struct flow_listener *l)
{
	size_t at = begin(r), key_end;

	flow_listener_key(&r->bytes, l);
	key_end = r->bytes.n;
	flow_msg_encode(&r->bytes, FLOW_MSG_LISTENER, l);
	return end(r, at, BUS_HOSTS, key_end);
}

int records_ledger(struct records *r, const struct flow_ledger *l)
{
	size_t at = begin(r), key_end;

	buf_str(&r->bytes, l->role);
	buf_char(&r->bytes, '/');
	buf_str(&r->bytes, l->instance);
	key_end = r->bytes.n;
	flow_msg_encode(&r->bytes, FLOW_MSG_LEDGER, l);
	return end(r, at, BUS_LEDGER, key_end);
}

bool records_next(const struct records *r, size_t *at, struct records_message *ret)
{
	struct frame f;
	const char *p;

	if (*at >= r->bytes.n)
		return false;
	p = r->bytes.p + *at;
	memcpy(&f, p, sizeof(f));
	p += sizeof(f);
	*ret = (struct records_message){f.topic, {p, f.key_len}, {p + f.key_len, f.value_len}};
	*at += sizeof(f) + f.key_len + f.value_len;
	return true;
}

struct waiting {
	uint64_t boot;
	uint64_t have; /* bit per part */
	unsigned parts;
	uint64_t age;
	struct flow_host host;
	char text[6][FLOW_NAME_MAX + 1]; /* the host's strings */
};

struct records_parts {
	uint64_t age;
	struct waiting waiting[WAITING];
};

int records_parts_new(struct records_parts **ret)
{
	struct records_parts *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	*ret = p;
	return 0;
}

void records_parts_free(struct records_parts *p)
{
	free(p);
}

static void keep_strings(struct waiting *w)
{
	struct flow_host *h = &w->host;
	struct str *s[] = {&h->net, &h->id, &h->hostname, &h->kernel, &h->mode, &h->version};

	for (unsigned i = 0; i < 6; i++)
		*s[i] = str_from(str_copy(w->text[i], sizeof(w->text[i]), *s[i]));
}

/* The host that waits for this part, else the oldest place, emptied. */
static struct waiting *place(struct records_parts *p, uint64_t boot, unsigned part, unsigned parts,
			     const struct flow_host *h, uint64_t *ret_given_up)
{
	struct waiting *oldest = &p->waiting[0];

	for (unsigned i = 0; i < WAITING; i++) {
		struct waiting *w = &p->waiting[i];

		if (w->have && w->boot == boot && w->parts == parts && w->host.interval == h->interval &&
		    !(w->have >> part & 1) && str_eq(w->host.id, h->id) && str_eq(w->host.net, h->net))
			return w;
		if (w->age < oldest->age)
			oldest = w;
	}
	*ret_given_up += oldest->have != 0;
	memset(oldest, 0, offsetof(struct waiting, host));
	return oldest;
}

bool records_parts_add(struct records_parts *p, uint64_t boot, unsigned part, unsigned parts, struct flow_host *h,
		       uint64_t *ret_given_up)
{
	struct waiting *w;

	assert(part < parts && parts <= 64);
	if (parts == 1)
		return true;
	w = place(p, boot, part, parts, h, ret_given_up);
	if (!w->have) {
		w->boot = boot;
		w->parts = parts;
		w->host = *h;
		keep_strings(w);
	} else {
		for (unsigned i = 0; i < h->n_addresses && w->host.n_addresses < FLOW_ADDRESSES; i++)
			w->host.addresses[w->host.n_addresses++] = h->addresses[i];
	}
	w->age = ++p->age;
	w->have |= 1ull << part;
	if (w->have != (parts == 64 ? UINT64_MAX : (1ull << parts) - 1))
		return false;
	*h = w->host;
	w->have = 0;
	w->age = 0;
	return true;
}
