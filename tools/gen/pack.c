/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/gen/pack.h"

#include <errno.h>
#include <stdlib.h>

#include "tools/gen/foe.h"
#include "wire/put.h"

/* --- memory */

int pack_new(struct pack **ret, const struct fleet *f, const struct pack_opts *opts)
{
	struct pack *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->fleet = f;
	p->opts = *opts;
	p->samples = calloc(f->conf.hosts, sizeof(*p->samples));
	if (!p->samples) {
		pack_free(p);
		return -ENOMEM;
	}
	*ret = p;
	return 0;
}

void pack_free(struct pack *p)
{
	if (!p)
		return;
	free(p->bytes);
	free(p->items);
	free(p->spots);
	free(p->samples);
	free(p->datagrams);
	free(p);
}

void pack_clear(struct pack *p)
{
	p->n_bytes = 0;
	p->n_items = p->n_spots = p->n_datagrams = 0;
}

/* Room for one more in an array that doubles. */
static void *pack_more(struct pack *p, void *v, uint32_t n, uint32_t *cap, size_t size)
{
	uint32_t more = *cap ? 2 * *cap : 256;
	void *to;

	if (n < *cap)
		return v;
	to = more > *cap ? reallocarray(v, more, size) : NULL;
	if (!to) {
		p->err = -ENOMEM;
		return v;
	}
	*cap = more;
	return to;
}

uint8_t *pack_room(struct pack *p, size_t n)
{
	if (p->cap_bytes - p->n_bytes < n) {
		size_t cap = p->cap_bytes ? 2 * p->cap_bytes : 1 << 20;
		uint8_t *bytes = realloc(p->bytes, cap);

		if (!bytes) {
			p->err = -ENOMEM;
			return NULL;
		}
		p->bytes = bytes;
		p->cap_bytes = cap;
	}
	return p->bytes + p->n_bytes;
}

void pack_spot(struct pack *p, const struct pack_spot *spot)
{
	p->spots = pack_more(p, p->spots, p->n_spots, &p->cap_spots, sizeof(*p->spots));
	if (p->n_spots < p->cap_spots)
		p->spots[p->n_spots++] = *spot;
}

/* Items and spots since the former datagram are this one's. */
void pack_done(struct pack *p, size_t n)
{
	struct pack_datagram *d, *last;

	p->datagrams = pack_more(p, p->datagrams, p->n_datagrams, &p->cap_datagrams, sizeof(*p->datagrams));
	if (p->err)
		return;
	last = p->n_datagrams ? &p->datagrams[p->n_datagrams - 1] : NULL;
	d = &p->datagrams[p->n_datagrams++];
	*d = (struct pack_datagram){.at = p->n_bytes, .len = (uint32_t)n, .host = p->host};
	d->first_item = last ? last->first_item + last->n_items : 0;
	d->first_spot = last ? last->first_spot + last->n_spots : 0;
	d->n_items = p->n_items - d->first_item;
	d->n_spots = p->n_spots - d->first_spot;
	for (uint32_t i = d->first_spot; i < p->n_spots; i++)
		d->pool += p->spots[i].rows;
	d->rows = p->opts.profile->ours ? d->pool : d->n_items;
	p->n_bytes += n;
}

/* --- our own record */

static void packed_open(struct pack *p)
{
	const struct wire_opts opts = {.size = p->opts.size, .auth = p->fleet->keys};

	wire_build_open(&p->build, WIRE_FLOWS, &p->head, &opts);
}

static int packed_add(struct pack *p, const struct pack_row *row)
{
	int r = wire_flows_add(&p->build, &row->flow, &row->item->stats);

	return r < 0 ? r : 0;
}

static void packed_close(struct pack *p)
{
	struct wire_sender s = {.agent = p->fleet->hosts[p->host].ip};
	uint16_t sample = ip_is_v4(&s.agent) ? 28 : 40;
	struct pack_spot spot = {.sample = sample + 8, .interval = sample + 52, .rows = (uint32_t)p->build.rows};
	uint8_t *dst = pack_room(p, WIRE_SIZE_MAX);

	if (!dst)
		return;
	pack_spot(p, &spot);
	pack_done(p, wire_build_close(&p->build, &s, 0, p->opts.equal ? p->build.size : 0, dst, WIRE_SIZE_MAX));
}

const struct pack_profile pack_packed = {"packed", true, packed_open, packed_add, packed_close, NULL};

/* --- hosts */

void pack_head(const struct pack *p, uint32_t host, uint32_t interval, struct wire_head *ret)
{
	*ret = (struct wire_head){.interval = interval,
				  .interval_s = p->opts.interval_s,
				  .spread_ms = p->opts.spread_ms,
				  .boot = p->opts.boot + host,
				  .net = str_from(p->fleet->conf.net),
				  .host = str_from(p->fleet->hosts[host].id)};
}

static void pack_values(const struct pack *p, const struct pack_item *item, uint32_t interval, struct traffic_item *ret)
{
	const struct fleet_row *row = &p->fleet->rows[item->row];
	uint32_t index = interval / p->opts.interval_s;

	if (p->opts.events)
		traffic_event(p->fleet, row, index, item->port, item->event, ret);
	else
		traffic_row(p->fleet, row, index, p->opts.interval_s, ret);
}

static void pack_add(struct pack *p, const struct pack_item *item, bool *open)
{
	const struct fleet *f = p->fleet;
	struct traffic_item values;
	struct pack_row row = {.row = &f->rows[item->row], .item = &values};
	struct flow_names names;
	int r;

	fleet_names(f, row.row->instance, &names);
	row.pair = &f->pairs[row.row->pair];
	pack_values(p, item, p->head.interval, &values);
	row.flow = (struct wire_flow){
		.local = row.row->server ? row.pair->server_ip : row.pair->client_ip,
		.remote = row.row->server ? row.pair->client_ip : row.pair->server_ip,
		.port = f->edges[row.pair->edge].port,
		.view = row.row->server ? FLOW_VIEW_SERVER : FLOW_VIEW_CLIENT,
		.protocol = IPPROTO_TCP,
		.n_ports = values.n_ports,
		.ports_more = values.ports_more,
		.names = &names,
	};
	memcpy(row.flow.ports, values.ports, sizeof(values.ports));
	r = *open ? p->opts.profile->add(p, &row) : -ENOSPC;
	if (r == -ENOSPC) {
		if (*open)
			p->opts.profile->close(p);
		p->opts.profile->open(p);
		*open = true;
		r = p->opts.profile->add(p, &row);
	}
	if (r < 0)
		p->err = r;
	p->items = pack_more(p, p->items, p->n_items, &p->cap_items, sizeof(*p->items));
	if (!p->err)
		p->items[p->n_items++] = *item;
}

static void pack_events(struct pack *p, uint32_t row, bool *open)
{
	const struct fleet_row *r = &p->fleet->rows[row];
	uint32_t ports = traffic_ports(p->fleet, r, p->index);

	for (uint32_t port = 0; port < ports && !p->err; port++) {
		uint32_t events = traffic_events(p->fleet, r, p->index, port);

		for (uint32_t event = 0; event < events && !p->err; event++)
			pack_add(p, &(struct pack_item){row, (uint16_t)port, (uint16_t)event}, open);
	}
}

int pack_host(struct pack *p, uint32_t host, uint32_t interval, uint32_t not_edge)
{
	const struct fleet *f = p->fleet;
	const struct fleet_host *h = &f->hosts[host];
	bool open = false;

	p->host = host;
	p->index = interval / p->opts.interval_s;
	pack_head(p, host, interval, &p->head);
	for (uint32_t i = h->first_row; i < h->first_row + h->n_rows && !p->err; i++) {
		if (f->pairs[f->rows[i].pair].edge == not_edge)
			continue;
		if (p->opts.events)
			pack_events(p, i, &open);
		else
			pack_add(p, &(struct pack_item){.row = i}, &open);
	}
	if (open)
		p->opts.profile->close(p);
	return p->err;
}

void pack_item_get(const struct pack *p, const struct pack_item *item, uint32_t interval, struct traffic_item *ret)
{
	pack_values(p, item, interval, ret);
	if (p->opts.profile->read)
		p->opts.profile->read(p, &p->fleet->rows[item->row], ret);
}

void pack_stamp(struct pack *p, const struct pack_datagram *d, struct wire_sender *s, uint32_t interval,
		uint32_t uptime_ms)
{
	const struct pack_spot *spot = p->spots + d->first_spot;
	uint8_t *b = p->bytes + d->at, *head = b + (ip_is_v4(&s->agent) ? 12 : 24);

	s->sequence++;
	put_u32(put_u32(put_u32(head, s->sub_agent), s->sequence), uptime_ms);
	for (uint32_t i = 0; i < d->n_spots; i++, spot++) {
		s->pool += spot->rows;
		s->more += p->opts.profile->ours && i > 0;
		put_u32(b + spot->sample, p->opts.profile->ours ? s->sequence + s->more : ++p->samples[d->host]);
		put_u32(put_u32(b + spot->sample + 12, s->pool), s->drops);
		if (spot->interval)
			put_u32(b + spot->interval, interval);
	}
	foe_sign(p->fleet, d->host, b, d->len);
}
