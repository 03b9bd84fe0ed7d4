/* SPDX-License-Identifier: Apache-2.0 */
/* What `skyfall collector` and `skyfall run` are told alike about receiving: rows of their option tables, and what follows. */
#pragma once

#include "base/opt.h"
#include "collector/collector.h"

/* A member of the command's conf. */
struct receive_conf {
	struct trust_opts trust;
	uint64_t agent_rate, threads;
	const char *steer;
	uint32_t fold_ms;
};

#define RECEIVE_AT(conf, member, name) .offset = offsetof(conf, member) + offsetof(struct receive_conf, name)

/* Rows of an option table, behind a heading; `conf` has a struct receive_conf called `member`. */
#define RECEIVE_TRUST(conf, member)                                                                                    \
	{.name = "auth",                                                                                               \
	 .type = OPT_STRING,                                                                                           \
	 RECEIVE_AT(conf, member, trust.mode),                                                                         \
	 .arg = "MODE",                                                                                                \
	 .help = "signatures: off, accept (who has a key signs), require; default require with --fleet-key, else off", \
	 .choices = TRUST_MODES},                                                                                      \
		{.name = "fleet-key",                                                                                  \
		 .type = OPT_STRING,                                                                                   \
		 RECEIVE_AT(conf, member, trust.fleet_key),                                                            \
		 .arg = "FILE",                                                                                        \
		 .help = "the fleet's keys (`skyfall key --new`), one a line: all are good, the first signs answers"}, \
		{.name = "allow",                                                                                      \
		 .type = OPT_LIST,                                                                                     \
		 RECEIVE_AT(conf, member, trust.allow),                                                                \
		 .arg = "CIDR",                                                                                        \
		 .help = "only agents of this network (again for more)"},                                              \
		{.name = "allow-file",                                                                                 \
		 .type = OPT_STRING,                                                                                   \
		 RECEIVE_AT(conf, member, trust.allow_file),                                                           \
		 .arg = "FILE",                                                                                        \
		 .help = "more of them, one a line; the word unsigned behind one: its agents need not sign, such as "  \
			 "switches"},                                                                                  \
		{.name = "net-file",                                                                                   \
		 .type = OPT_STRING,                                                                                   \
		 RECEIVE_AT(conf, member, trust.net_file),                                                             \
		 .arg = "FILE",                                                                                        \
		 .help = "only agents of these address spaces, a name a line, \"\" for those that name none"},         \
	{                                                                                                              \
		.name = "agent-rate", .type = OPT_UINT, RECEIVE_AT(conf, member, agent_rate), .arg = "N",              \
		.help = "datagrams a second that one agent may send, on average over an interval; default any",        \
		.min = 1, .max = 1000000                                                                               \
	}

#define RECEIVE_FOLD(conf, member)                                                                                        \
	{                                                                                                                 \
		.name = "fold", .type = OPT_TIME, RECEIVE_AT(conf, member, fold_ms), .arg = "TIME",                       \
		.help = "rows over so many of the agents' intervals together, a part of 60s: fewer of them, seen later; " \
			"default one",                                                                                    \
		.min = 1000, .max = 60000                                                                                 \
	}

#define RECEIVE_THREADS(conf, member, text)                                                                         \
	{.name = "threads",                                                                                         \
	 .type = OPT_UINT,                                                                                          \
	 RECEIVE_AT(conf, member, threads),                                                                         \
	 .arg = "N",                                                                                                \
	 .help = "receive threads; default " text,                                                                  \
	 .max = COLLECTOR_THREADS},                                                                                 \
	{                                                                                                           \
		.name = "steer", .type = OPT_STRING, RECEIVE_AT(conf, member, steer), .arg = "HOW",                 \
		.help = "to which thread a datagram goes: evenly whoever sends, by sender, by CPU; default spread", \
		.choices = STEER_CHOICES                                                                            \
	}

/* Fills what follows into *co. The default of --fold is worked out: an interval. -EINVAL with a sentence in `why`. */
int receive_check(struct receive_conf *c, uint32_t interval_ms, struct collector_opts *co, char *why, size_t why_len);
