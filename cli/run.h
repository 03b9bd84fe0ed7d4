/* SPDX-License-Identifier: Apache-2.0 */
/* `skyfall run`: all roles, an agent, and on demand the demo and a live table. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/opt.h"
#include "cli/child.h"
#include "cli/client.h"
#include "cli/receive.h"
#include "cli/roles.h"

struct run_conf {
	const char *data, *listen, *web_root, *sflow, *inventory, *net, *rules, *host_id, *agent, *key_file;
	struct opt_list netns, local_nets, no_local_nets;
	uint32_t interval_ms, spread_ms, for_ms;
	struct receive_conf receive;
	bool no_agent, live, demo, quiet, json;
};

struct run {
	const struct run_conf *conf;
	struct roles_opts opts;
	struct roles roles;
	struct child agent, shop;
	struct client *client;
	char data[4096], truth[4200], mode[256];
	int64_t from_s; /* first interval of this run */
	int64_t end_us; /* monotonic; INT64_MAX: no end */
	int signals;    /* signalfd */
	bool stop;      /* a signal asked for it */
	bool terminal;  /* it was started from one */
	int exit_code;
};

/* 0, or -EINVAL with a sentence in `why`: what --option says must read as HOST:PORT. */
int run_address_check(const char *option, const char *text, char *why, size_t why_len);

/* The folder when none is given: /var/lib/skyfall for root, else below the user's state folder. */
void run_data_folder(const char *given, char *path, size_t size);

/* Waits up to wait_ms for a signal and takes those that came; true when one of them, now or before, asks to stop. */
bool run_signalled(struct run *r, int wait_ms);

/* --- run_parts.c: what is started and stopped */

/* As many open files as the system lets this process have: connections and the store's files share them. */
void run_open_files(void);

/* Starts the agent. -errno with a sentence in `why`. */
int run_agent_start(struct run *r, char *why, size_t why_len);
/* Waits until the agent's host is in the API; fills r->mode. False: it ended (it has said why itself), or a signal
 * asks to stop. */
bool run_agent_heard(struct run *r);
/* Starts the shop and waits until it is open. `why` is empty when the shop itself has said it. */
int run_shop_start(struct run *r, char *why, size_t why_len);
/* SIGHUP: keys, lists and names are read again, here and by the agent. */
void run_reload(struct run *r);
/* It has a controlling terminal now. */
bool run_has_terminal(void);
/* Stops shop, agent, collector, graph; the API still answers. */
void run_drain(struct run *r);
