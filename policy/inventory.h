/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose address is it, and where does it stand: networks read from a YAML file (docs/inventory.md).
 * Pure after loading: an inventory never changes and may be shared by any number of threads.
 */
#pragma once

#include <stddef.h>

#include "base/ip.h"
#include "base/str.h"

struct inventory;

/* One line of the file. Texts live as long as the inventory; "" where the file says nothing. */
struct inventory_network {
	struct ip prefix;  /* bits beyond `bits` are zero */
	unsigned bits;     /* in the 16-byte form: IPv4 96 + n */
	const char *net;   /* address space it belongs to; NULL: every one that has no closer line of its own */
	const char *owner; /* who answers for it: the name of an endpoint nobody else can name */
	const char *site, *zone, *rack;
};

/* Reads a file. Networks a file does not name inherit nothing. On failure: -ENOENT, -EACCES (cannot read), -EINVAL
 * (what is in it), -E2BIG (over 16 MiB or a million networks), -ENOMEM, and one sentence in `why` with the file and,
 * for -EINVAL, the line and column of the mistake. */
int inventory_load(struct inventory **ret, const char *path, char *why, size_t why_len);

/* The same from memory; `name` stands for the file in messages. */
int inventory_parse(struct inventory **ret, const char *name, const void *yaml, size_t n, char *why, size_t why_len);

void inventory_free(struct inventory *inv);

/* The longest prefix that holds `ip` in address space `net`; of two equally long ones that which names the net.
 * NULL: none. inv may be NULL (then none). The answer lives as long as the inventory. */
const struct inventory_network *inventory_find(const struct inventory *inv, struct str net, const struct ip *ip);

size_t inventory_networks(const struct inventory *inv); /* how many lines it has */

#define INVENTORY_TEXT 320 /* enough for any inventory_unknown(): a name of 255 bytes and a prefix */

/* What an address nobody knows is called: "unknown:<net>/10.1.2.0/24", "unknown:10.1.2.0/24" in the default net,
 * IPv6 by its /48. Returns `text`. */
char *inventory_unknown(const struct ip *ip, struct str net, char text[INVENTORY_TEXT]);
