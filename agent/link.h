/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way to the current collector: a connected UDP socket, the counts that belong to it, and the change to the next one
 * (agent/send.h decides). A refused send is news of an earlier datagram: it is sent once more, to whoever is current then.
 */
#pragma once

#include "agent/batch.h"
#include "agent/conf.h"
#include "agent/resolve.h"
#include "agent/send.h"
#include "base/loop.h"
#include "wire/auth.h"

#define LINK_RUN 32                 /* datagrams in one call */
#define LINK_RESOLVE_US 300000000ll /* names are looked up again this often */
#define LINK_FAILED_US 10000000ll   /* after a failure: not more often than this */

struct link {
	struct loop *loop;
	struct str host;
	struct send send;
	struct resolve_name to[SEND_MAX]; /* collectors as given */
	struct resolve *resolve;
	int64_t resolved_us;
	struct wire_sender sender; /* of the current collector */
	int fd;                    /* -1: there is no way; sends fail and are counted */
	bool gso;                  /* runs can be cut by the kernel or the card */
	bool said_refused;
	int64_t start_us; /* of the agent, never steps */
	uint64_t gso_refused, acks_bad, changes;
	uint64_t boot;
	unsigned n_keys; /* 0: nothing is signed, and any ack counts */
	struct wire_auth keys[KEYFILE_KEYS];
	uint32_t interval, acked_interval; /* the newest sent; the newest that a signed ack was about */
	void (*acked)(void *arg, const struct wire_ack *a);
	void *arg;
};

/* Connects to the favourite; where there is no way to it, again at each interval. acked() is called for each answer to
 * this agent, in the loop's thread. The link must not move in memory. */
void link_init(struct link *l, const struct conf *conf, const struct batch_head *head, struct loop *loop,
	       void (*acked)(void *arg, const struct wire_ack *a), void *arg);
void link_deinit(struct link *l);

/* Other collectors. What was sent to the former ones is theirs to acknowledge, and nobody listens any more. */
void link_reload(struct link *l, const struct conf *conf);

/* This interval is about to be sent: a silent collector is left, a better one is gone back to. */
void link_interval(struct link *l, uint32_t interval);

/* Items of `v`, counted from the first, that one link_send() may take; at most max, at least 1. */
size_t link_run(const struct link *l, const struct batch_item *v, size_t max);

/* Stamps, signs and sends n datagrams standing one after another from p on. All or nothing: 0, or -errno; `gso` is false then if it was
 * for being a run. */
int link_send(struct link *l, uint8_t *p, const struct batch_item *v, size_t n);

/* Name of the current collector, as given. */
const char *link_name(const struct link *l);

/* The address this host uses to reach `to`. -errno */
int link_source(const struct ip *to, uint16_t port, struct ip *ret);
