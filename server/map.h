/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model of the map: rows of the store as nodes and edges. Grouped by service, host, zone or net; focused; the best by
 * a sum, the rest in one node `other:`. Pure: rows in, map out. No JSON, no places.
 */
#pragma once

#include "server/signs.h"
#include "store/query.h"

#define MAP_PORTS 16
#define MAP_NODES_MAX 5000
#define MAP_ROWS_MAX 25000

enum map_group { MAP_SERVICE, MAP_HOST, MAP_ZONE, MAP_NET, MAP_GROUPS };
enum map_kind { MAP_KIND_SERVICE, MAP_KIND_HOST, MAP_KIND_ZONE, MAP_KIND_NET, MAP_KIND_UNKNOWN, MAP_KIND_OTHER };

extern const char *const map_groups[MAP_GROUPS];
const char *map_kind_name(enum map_kind k);

struct map_ask {
	enum map_group group;
	const char *metric; /* a name store_sort_known() knows; NULL = "bytes" */
	size_t limit;       /* nodes besides `other:`; 0 = MAP_NODES_MAX */
	const char *focus;  /* a node's id, or NULL */
	unsigned depth;     /* hops from it, in either direction */
	bool idle;          /* edges without a byte, an attempt or an open connection as well */
	bool signs_only;    /* only edges with a sign */
	/* MAP_HOST: name and id of the host with that address, NULL when nobody knows it; texts that outlive the map. */
	const char *(*host)(void *arg, const struct ip *ip, struct str scope, const char **ret_id);
	void *arg;
};

struct map_node {
	struct str id;   /* "service:web"; "other:" */
	struct str name; /* a part of it, mostly */
	struct str zone; /* the first by name, of all its rows; "" when none is known */
	enum map_kind kind;
	uint64_t bytes, in_bytes, out_bytes; /* of the edges at it; in: towards it */
	double rank;                         /* of the metric */
	uint32_t edges, members;             /* members: nodes in `other:` */
	uint8_t severity;
};

struct map_sign {
	struct sign sign;
	const struct store_row *row; /* whose it is */
};

struct map_edge {
	uint64_t id;                   /* hash of both ends' ids */
	uint32_t source, target;       /* indexes of nodes */
	const struct store_row *row;   /* one row as it is; of several: sums of their best views (see map.c) */
	uint32_t rows;                 /* how many rows */
	uint64_t store_edge;           /* the store's edge when it is a single one, else 0 */
	bool same_client, same_server; /* the services of row->e.name are those of all rows */
	uint16_t ports[MAP_PORTS];     /* the lowest ones */
	uint8_t n_ports, protocol;     /* protocol 0: several */
	uint8_t observed;
	uint64_t bytes;
	struct map_sign *signs; /* of all rows the worst of a kind, worst first */
	uint8_t n_signs;
};

struct map {
	struct map_node *nodes; /* by id */
	size_t n_nodes;
	struct map_edge *edges; /* by the ids of both ends */
	size_t n_edges;
	struct {
		size_t nodes, edges, signs;
	} matched; /* before focus and limit */
	struct {
		size_t nodes, edges; /* edges: with an end in it */
		uint64_t bytes;
	} other;
	bool focus_found;
	struct map_chunk *memory;
};

/* Rows of store_edges() (MAP_HOST: store_pairs()), ungrouped; they must outlive the map. -ENOMEM. */
int map_new(struct map **ret, const struct store_row *rows, size_t n, const struct map_ask *ask);
void map_free(struct map *m);
