/* SPDX-License-Identifier: Apache-2.0 */
/* Rows as the store gives them, for tests of what is made of rows. */
#pragma once

#include "store/query.h"

/* A row seen from both ends. bytes: c2s; a tenth of it s2c. */
static inline struct store_row shop_row(const char *client, const char *client_zone, const char *server,
					const char *server_zone, uint16_t port, uint64_t bytes)
{
	struct store_row r = {.seconds = 60, .edges = 1, .first = 100, .last = 159};
	struct flow_stats *c = &r.e.view[FLOW_VIEW_CLIENT], *s = &r.e.view[FLOW_VIEW_SERVER];

	r.e.name = (struct flow_edge_name){.client_service = str_from(client),
					   .client_zone = str_from(client_zone),
					   .server_service = str_from(server),
					   .server_zone = str_from(server_zone),
					   .port = port,
					   .protocol = 6};
	r.e.id = flow_edge_id(&r.e.name);
	r.e.observed = 3;
	r.e.client_rungs = r.e.server_rungs = 1 << FLOW_RUNG_VIEW;
	c->tx_bytes = s->rx_bytes = bytes;
	s->tx_bytes = c->rx_bytes = bytes / 10;
	c->tx_segs = s->rx_segs = bytes / 1000;
	s->tx_segs = c->rx_segs = bytes / 10000;
	c->attempts = c->opened = s->opened = c->closed = s->closed = 100;
	c->open_ms = s->open_ms = 60000;
	return r;
}

/* The map of reference/ui.md, more or less. Returns how many rows. */
static inline size_t shop_rows(struct store_row rows[16])
{
	size_t n = 0;

	rows[n++] = shop_row("web", "edge", "checkout", "shop", 8080, 900000000);
	rows[n++] = shop_row("web", "edge", "search", "shop", 8081, 300000000);
	rows[n++] = shop_row("checkout", "shop", "payments-db", "data", 5432, 4600000000);
	rows[n - 1].e.view[FLOW_VIEW_CLIENT].retransmitted = 96600;
	rows[n++] = shop_row("checkout", "shop", "catalog", "shop", 9000, 7000000);
	rows[n++] = shop_row("search", "shop", "catalog", "shop", 9000, 9000000);
	rows[n++] = shop_row("catalog", "shop", "ledger", "data", 9092, 20000000);
	rows[n++] = shop_row("search", "shop", "index", "data", 9200, 41000000);
	rows[n++] = shop_row("search", "shop", "unknown:10.0.7.0/24", "", 8443, 0);
	rows[n - 1].e.server_rungs = 1 << FLOW_RUNG_NONE;
	rows[n - 1].e.observed = 1;
	rows[n - 1].e.view[FLOW_VIEW_SERVER] = (struct flow_stats){0};
	rows[n - 1].e.view[FLOW_VIEW_CLIENT] = (struct flow_stats){.attempts = 12, .failed_refused = 12};
	return n;
}
