/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/cells.h"

#include <assert.h>
#include <string.h>

static_assert(sizeof(struct cells_chunk) == 64 && sizeof(struct cells_windows) == 64, "a cache line");
static_assert(CELL_TAGS <= 256 && FLOW_FIELDS <= 64, "a tag is a byte");
static_assert((FLOW_PORTS - CELLS_PORTS) % 2 == 0, "two ports a cell");

static bool is_bucket(unsigned tag)
{
	return tag >= CELL_BUCKET && tag < CELL_PORTS;
}

/* The cell of the tag; a new one, in a new chunk if need be. */
static uint32_t *cell(struct cells_slab *s, struct cells *c, unsigned tag)
{
	uint32_t *link = &c->more;
	struct cells_chunk *k = NULL;

	while (*link) {
		k = &s->chunk[*link - 1];
		for (unsigned i = 0; i < CELLS_CHUNK; i++) {
			if (k->tag[i] == tag || !k->tag[i]) {
				k->tag[i] = (uint8_t)tag;
				return &k->value[i];
			}
		}
		link = &k->next;
	}
	assert(s->n < s->max);
	k = &s->chunk[s->n++];
	*link = s->n;
	memset(k, 0, sizeof(*k));
	k->tag[0] = (uint8_t)tag;
	return &k->value[0];
}

void cells_add(struct cells_slab *s, struct cells *c, unsigned tag, uint32_t v)
{
	uint32_t *to = cell(s, c, tag);

	if (!__builtin_add_overflow(*to, v, to))
		return;
	if (is_bucket(tag))
		*to = UINT32_MAX;
	else if (tag < CELL_HIGH)
		cells_add(s, c, tag - CELL_SUM + CELL_HIGH, 1);
}

/* Behind the row's own ports: the lower half of a cell first, each port less one and 0 for none would not do, so n_ports counts. */
void cells_port_chunk(struct cells_slab *s, struct cells *c, uint16_t port)
{
	for (unsigned i = CELLS_PORTS; i < c->n_ports; i++) {
		uint32_t two = *cell(s, c, CELL_PORTS + (i - CELLS_PORTS) / 2);

		if ((uint16_t)(two >> 16 * (i & 1)) == port)
			return;
	}
	if (c->n_ports == FLOW_PORTS) {
		c->ports_more += c->ports_more < UINT32_MAX;
		return;
	}
	*cell(s, c, CELL_PORTS + (c->n_ports - CELLS_PORTS) / 2) |= (uint32_t)port << 16 * (c->n_ports & 1);
	c->n_ports++;
}

static uint32_t capped(uint32_t a, uint32_t b)
{
	return a + b < a ? UINT32_MAX : a + b;
}

static const uint8_t hists[PLAN_HISTS] = {FLOW_F_srtt, FLOW_F_handshake};

static void take(struct flow_row *to, unsigned tag, uint32_t v)
{
	if (tag >= CELL_PORTS) {
		unsigned i = CELLS_PORTS + 2 * (tag - CELL_PORTS);

		to->ports[i] = (uint16_t)v;
		to->ports[i + 1] = (uint16_t)(v >> 16);
	} else if (tag >= CELL_BUCKET) {
		unsigned n = tag - CELL_BUCKET;
		uint32_t *bucket = flow_stats_hist(&to->stats, hists[n / FLOW_BUCKETS]) + n % FLOW_BUCKETS;

		*bucket = capped(*bucket, v);
	} else if (tag >= CELL_HIGH) {
		*flow_stats_u64(&to->stats, tag - CELL_HIGH) += (uint64_t)v << 32;
	} else {
		*flow_stats_u64(&to->stats, tag - CELL_SUM) += v;
	}
}

static void take_window(struct flow_row *to, const struct cells *c, const struct cells_windows *w, unsigned nth)
{
	uint32_t *bucket = flow_stats_hist(&to->stats, hists[nth]) + c->window[nth] - 1;

	for (unsigned i = CELLS_WINDOW(nth); i < CELLS_WINDOW_END(nth); i++)
		*bucket++ = w->count[i];
}

void cells_get(const struct cells_slab *s, const struct cells *c, const struct cells_windows *w, struct flow_row *to)
{
	const struct cells_chunk *k;

	to->flags = c->flags;
	to->n_ports = c->n_ports;
	to->ports_more = c->ports_more;
	memset(to->ports, 0, sizeof(to->ports));
	memcpy(to->ports, c->port, sizeof(c->port));
	for (unsigned i = 0; i < PLAN_HISTS; i++)
		if (c->window[i])
			take_window(to, c, w, i);
	for (uint32_t at = c->more; at; at = k->next) {
		k = &s->chunk[at - 1];
		for (unsigned i = 0; i < CELLS_CHUNK && k->tag[i]; i++)
			take(to, k->tag[i], k->value[i]);
	}
}
