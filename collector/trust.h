/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which datagrams are believed: the allow list, signatures and their replay, how many a second; and which address spaces are
 * taken. One for all receive threads; each reads the rules through a reader of its own, so they can be replaced while datagrams
 * come. See trust.c.
 */
#pragma once

#include "base/ip.h"
#include "base/opt.h"
#include "collector/counters.h"
#include "collector/nets.h"
#include "wire/auth.h"

#define TRUST_MODES "off|accept|require"
#define TRUST_WINDOW 1024 /* sequence numbers remembered behind the newest */
#define TRUST_AGE_S 300   /* who is heard for the first time says a time that far off at most */

struct trust_opts {
	const char *mode;       /* one of TRUST_MODES; NULL: require with a fleet key, else off */
	const char *fleet_key;  /* file of keys, the first signs acks; NULL: none */
	struct opt_list allow;  /* prefixes of agents; with no file: none given allow all */
	const char *allow_file; /* more of them; NULL: none */
	struct opt_list nets;   /* names of address spaces; with no file: none given allow all */
	const char *net_file;   /* more of them; NULL: none */
	uint32_t rate;          /* datagrams a second an agent may send, on average over an interval; 0: any */
};

struct trust;
struct trust_reader;

/* max_agents: how many are followed. readers: how many threads will join. Without rules all is believed. -ENOMEM, -EINVAL. */
int trust_new(struct trust **ret, uint32_t max_agents, unsigned readers, uint32_t interval_s);
void trust_free(struct trust *t); /* its readers too; NULL is fine */

/* Rules anew, from options and files. -EINVAL, -errno with a sentence in `why`: the former ones stay. One thread. Readers follow at
 * their next trust_look(). */
int trust_load(struct trust *t, const struct trust_opts *opts, char *why, size_t why_len);

/* One more that asks; before any datagram comes. -ENOMEM. */
int trust_join(struct trust *t, struct trust_reader **ret);

/* Between two batches, in the reader's thread: the newest rules from now on. */
void trust_look(struct trust_reader *r);

/* True while everything is believed: nothing needs to be asked. */
bool trust_idle(const struct trust_reader *r);

struct trust_verdict {
	unsigned reject;  /* enum collector_reject; COLLECTOR_REJECTS: believed so far */
	bool is_signed;   /* by the agent's key */
	bool by_late_key; /* not the first one of the fleet's */
};

/* Which address spaces are taken; valid until the next trust_look(). */
const struct nets *trust_nets(const struct trust_reader *r);

/* May this agent send, and was it this agent? bytes: the whole datagram. Nothing in it was used yet but its header. */
struct trust_verdict trust_origin(struct trust_reader *r, const struct wire_datagram *d, struct str bytes);

/* Is it new, and not too much? head: of its first record of ours, else zero. COLLECTOR_REJECTS: believed; it is noted as
 * seen. */
unsigned trust_fresh(struct trust_reader *r, const struct wire_datagram *d, const struct wire_head *head,
		     const struct trust_verdict *v, int64_t at_us);

/* Signs an ack for `agent` when there is a key; returns its bytes. */
size_t trust_ack(struct trust_reader *r, const struct ip *agent, uint8_t ack[WIRE_ACK_SIGNED]);
