/* SPDX-License-Identifier: Apache-2.0 */
/* What the agent was told by its options, checked and resolved. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/confile.h"
#include "agent/locals.h"
#include "agent/rules.h"
#include "agent/source.h"
#include "agent/udp.h"
#include "base/keyfile.h"
#include "base/opt.h"

#define CONF_COLLECTORS 64
#define CONF_NETNS 64

struct conf {
	/* as given */
	struct opt_list collectors, netns, local_nets, no_local_nets;
	uint32_t interval_ms, spread_ms; /* spread UINT32_MAX: 0.8 of the interval */
	const char *net, *host_id, *hostname, *rules_file, *source, *budget, *config;
	bool print, json, once, check, features, no_ack, quiet, man, completion, version;
	uint64_t max_socks, max_rows, enterprise, size;
	const char *udp;
	const char *profile; /* "packed", "interop" */
	const char *btf;     /* "auto", "off", a file, a folder */
	const char *nat;     /* "auto", "off" */
	const char *key_file;
	uint64_t udp_peers;
	/* resolved by conf_check() */
	enum udp_mode udp_mode;
	uint16_t interval_s;
	uint64_t budget_ppm;
	struct {
		struct ip ip; /* zero: a name nobody was asked for yet, after conf_reload() only */
		uint16_t port;
		const char *text;
	} collector[CONF_COLLECTORS];
	size_t n_collectors;
	struct keyfile keys; /* n 0: nothing is signed */
	uint32_t netns_inum[CONF_NETNS];
	size_t n_netns;
	struct locals locals;
	struct rules *rules;  /* NULL: none */
	struct confile *file; /* likewise; strings of the options lie in it */
};

extern const struct conf conf_defaults;
extern const struct opt_command conf_command;

/* --man, --completion, --version: prints it; false: none of them. */
bool conf_print(const struct conf *c, FILE *to);

/* Reads the command line, and the file it names with --config. 0, OPT_HELP, -EINVAL (what is wrong was said, or `why` says
 * it), another -errno. conf_deinit() is due in any case. */
int conf_parse(struct conf *c, int argc, char **argv, char *why, size_t why_len);

/* 0; -EINVAL: the words on the command line are wrong (exit 2); another -errno: the world is (exit 1). `why` says what and
 * what to do. conf_deinit() is due in any case. */
int conf_check(struct conf *c, char *why, size_t why_len);

/* Both again, checked, for an agent that runs on since `first`, which must live on. What takes effect at a start only stays as it
 * was; 0 with the names of such options that would have changed in `why`. now: in force; collectors it has are not looked up
 * anew, and names that are new are left without an address (zero): a resolver may be silent, and this must not take long. */
int conf_reload(struct conf *ret, const struct conf *first, const struct conf *now, int argc, char **argv, char *why,
		size_t why_len);
void conf_deinit(struct conf *c);
