/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fleet that is not there: hosts, services on them, and who calls whom. The same numbers and seed give the same fleet.
 *
 *   - Services stand in three layers: edge calls app, app calls app and data. A few are called by very many.
 *   - A service has instances, each with an address of its own on one host, as pods have: so a conversation belongs to one
 *     service at either end, and what both ends measure is known to the byte.
 *   - The sizes of edges follow Zipf: bytes/s of the k-th are 1/k^0.9 of the first's.
 *   - One edge in twenty comes from networks without an agent, one in twenty goes there: those have one observer.
 *   - Zone z has the addresses 10.z.0.0/16 and fd00:0:z::/48. That zones have names is the inventory's doing (fleet_inventory()).
 *   - Every instance has an address of either family; an edge is of one.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "base/buf.h"
#include "flow/key.h"
#include "wire/auth.h"

#define FLEET_LAYERS 3
#define FLEET_ZONES 200
#define FLEET_HOSTS 1000000
#define FLEET_HOST_ADDRESSES 250 /* of its instances: with the host's own as many as a host record holds */
#define FLEET_OUTSIDE 4          /* networks without an agent */

/* What is wrong with an edge. */
enum fleet_sign {
	FLEET_WELL,
	FLEET_REFUSED,
	FLEET_TIMEOUT,
	FLEET_RETRANSMITS,
	FLEET_SLOW_READER,
	FLEET_RESETS,
	FLEET_SIGNS
};

struct fleet_conf {
	uint32_t hosts, services, edges, zones;
	uint64_t seed;
	const char *net; /* address space; "" the default */
	bool odd_names;  /* some services and hosts are called as nobody should */
	bool inventory;  /* zones are known by name */
	double ipv6;     /* share of the edges, and of the agents' own addresses */
	uint32_t keys;   /* exactly so many rows; 0: what the edges give */
};

struct fleet_service {
	struct str name; /* at most FLOW_NAME_MAX bytes of it travel */
	struct str process;
	unsigned layer, zone;
	uint16_t port;
	uint32_t first, n; /* instances */
};

struct fleet_instance {
	struct ip ip[2]; /* IPv4, IPv6 */
	uint32_t service, host, netns;
	char container[13];
};

struct fleet_edge {
	int32_t client, server; /* service; -1 - k: outside network k */
	enum fleet_sign sign;
	bool v6;
	uint16_t port;
	double bytes_s, c2s_share, conns_s, rtt_us;
	uint32_t first, n;          /* pairs */
	struct flow_edge_name name; /* as it will be stored */
};

/* Two instances of an edge. An end without an agent has no instance: -1. */
struct fleet_pair {
	uint32_t edge;
	int32_t client, server; /* instance */
	struct ip client_ip, server_ip;
};

/* What one host measures of a pair. */
struct fleet_row {
	uint32_t pair;
	bool server, v6;
	uint32_t instance; /* whose names it carries */
};

struct fleet_host {
	struct ip ip;
	unsigned zone;
	uint32_t first_row, n_rows;           /* rows of one family and the same names are neighbours */
	uint32_t first_instance, n_instances; /* in fleet.by_host */
	char id[48];
	struct str hostname;
};

struct fleet {
	struct fleet_conf conf;
	struct fleet_service *services;
	struct fleet_instance *instances;
	struct fleet_edge *edges;
	struct fleet_pair *pairs;
	struct fleet_row *rows;
	struct fleet_host *hosts;
	uint32_t *by_host; /* instances, host by host */
	uint32_t n_instances, n_pairs, n_rows;
	struct wire_auth *keys; /* by host; NULL: nothing is signed (tools/gen/foe.h) */
	struct buf texts;       /* what names point into */
};

/* -EINVAL, -ENOSPC (what cannot be placed), -ENOMEM, with a sentence in `why`. */
int fleet_new(struct fleet **ret, const struct fleet_conf *conf, char *why, size_t why_len);
void fleet_free(struct fleet *f);

/* --- tools/gen/names.c */

/* What service `i` of its layer is called, its program and port. The name is NUL-terminated in `name`. */
#define FLEET_NAME 4200
void fleet_name(unsigned layer, uint32_t i, bool odd, char name[FLEET_NAME], const char **ret_process,
		uint16_t *ret_port);
void fleet_hostname(uint32_t host, unsigned zone, bool odd, char name[FLEET_NAME]);
void fleet_zone(unsigned zone, char name[32]);

/* The names an instance's rows and listeners carry. */
void fleet_names(const struct fleet *f, uint32_t instance, struct flow_names *ret);

/* The zones as a file for --inventory. False: could not be written. */
bool fleet_inventory(const struct fleet *f, FILE *out);
