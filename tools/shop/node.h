/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The programs of the shop. web asks api ten times a second; for each, api asks cache and db, now and then
 * a port of the cache where nobody listens, sends a mail twice a second, and pushes messages into a queue whose
 * reader is slow. The mail server's address vanishes NODE_MAIL_GONE_MS after the start.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define NODE_MAIL_GONE_MS 9000 /* no mail is sent within half a second of it, so none is cut in two */

struct node {
	const char *name;    /* of the namespace's end and the role: "web" */
	const char *address; /* in the shop's network */
	int (*run)(int stop_fd, int64_t start_us);
};

/* Servers first. They are stopped from the last to the first. */
extern const struct node nodes[];
extern const size_t nodes_n;

#define NODE_PREFIX "shop-" /* before the name: what the service is called */

const struct node *node_find(const char *name);
