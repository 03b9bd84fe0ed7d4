/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A datagram is asked after twice: before anything in it is read (trust_origin: allow list, signature), and when the head of its
 * first record is known (trust_fresh: replay, rate), before anything is noted of it. What is refused has changed nothing but a
 * counter: no window, no clock, no row, no ack.
 *
 * 1. Each fleet key gives each agent a key of its own (wire/auth.c), so a good signature is one of the address the datagram names.
 *    All fleet keys are tried, the one that was good last time first. Keys made ready are kept per thread, a slot an address.
 * 2. Replay: per (agent, sub-agent, boot) a window of TRUST_WINDOW sequence numbers, one for all threads, since any socket may get
 *    any datagram. In it each number is good once; behind it none is.
 * 3. Whoever has no window yet, or jumps by more than TRUST_JUMP, must name an interval within TRUST_AGE_S of this host's clock. A
 *    window is given up only after SLOTS_FORGET_S of silence, twice that long, so what is in it cannot come back as new.
 * 4. mode accept: who has no key need not sign; but a name that has signed in the last SLOTS_FORGET_S is not believed without.
 * 5. Rate: a bucket per agent address that holds what an interval may bring, filled evenly (as a virtual time of arrival, one
 *    number). When signatures are asked for, what is forged or replayed takes nothing out of it.
 *
 * Rules are made whole, never changed, and replaced by a pointer. A thread says which it is using (a hazard pointer), and looks for
 * newer ones between two batches; those that nobody uses any more are freed at the next replacement.
 *
 * What it does not do. A datagram recorded before a restart of the collector, or sent to another one of the fleet, can be played to
 * this one, once, for TRUST_AGE_S: windows are neither kept nor shared. The source address is not looked at: agents are known by
 * the address in the datagram, which translation does not change. Nothing is secret: datagrams are signed, not ciphered. With no
 * key, the allow list and the rate are about what a datagram says of itself.
 *
 * Lost at the limits: past max_agents, newcomers that sign are refused (trust_full), since they could not be told from replays;
 * newcomers to the rate share one bucket.
 */
#include "collector/trust.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "collector/rules.h"
#include "collector/slots.h"

#define TRUST_SHARDS 64
#define TRUST_KNOWN_MIN 1024 /* keys made ready, a thread: twice max_agents, within these */
#define TRUST_KNOWN_MAX (1u << 18)
#define TRUST_JUMP (1u << 20) /* numbers passed at once */
#define TRUST_NO_KEY UINT8_MAX

static_assert(SLOTS_FORGET_S >= 2 * TRUST_AGE_S, "invariant 3");

struct trust_window {
	uint64_t seen[TRUST_WINDOW / 64]; /* a ring: bit sequence % TRUST_WINDOW */
	uint32_t top;
};

struct trust_shard {
	pthread_mutex_t lock;
	struct slots windows, buckets;
	struct trust_window *window;
	int64_t *bucket; /* virtual time of arrival, ns */
	int64_t others;  /* the bucket of those that found no room */
} __attribute__((aligned(64)));

/* An agent's address as the rules see it. */
struct trust_known {
	struct ip agent;
	uint32_t serial;
	bool allowed, unsigned_ok;
	uint8_t which; /* fleet key that `key` is of; TRUST_NO_KEY */
	struct wire_auth key;
};

struct trust_reader {
	struct trust *trust;
	_Atomic(struct rules *) rules; /* in use */
	struct trust_known *known;
};

struct trust {
	uint32_t interval_s, serial, n_known;
	_Atomic(struct rules *) rules;
	struct rules *replaced;
	unsigned n_readers, max_readers;
	struct trust_reader *readers;
	struct trust_shard shards[TRUST_SHARDS];
};

/* --- rules */

static bool rules_used(struct trust *t, const struct rules *r)
{
	for (unsigned i = 0; i < t->n_readers; i++)
		if (atomic_load(&t->readers[i].rules) == r)
			return true;
	return false;
}

static void rules_free_unused(struct trust *t)
{
	struct rules **at = &t->replaced;

	while (*at) {
		struct rules *r = *at;

		if (rules_used(t, r)) {
			at = &r->next;
			continue;
		}
		*at = r->next;
		rules_free(r);
	}
}

int trust_load(struct trust *t, const struct trust_opts *opts, char *why, size_t why_len)
{
	struct rules *r, *former;
	int e = rules_new(&r, opts, why, why_len);

	if (e < 0)
		return e;
	r->serial = ++t->serial;
	former = atomic_exchange(&t->rules, r);
	former->next = t->replaced;
	t->replaced = former;
	rules_free_unused(t);
	return 0;
}

void trust_look(struct trust_reader *r)
{
	struct rules *now = atomic_load_explicit(&r->trust->rules, memory_order_relaxed);

	if (now == atomic_load_explicit(&r->rules, memory_order_relaxed))
		return;
	do { /* said to be used before it is, and still the newest then: so it is not freed between */
		now = atomic_load(&r->trust->rules);
		atomic_store(&r->rules, now);
	} while (atomic_load(&r->trust->rules) != now);
}

static inline const struct rules *rules_of(const struct trust_reader *r)
{
	return atomic_load_explicit(&r->rules, memory_order_relaxed);
}

bool trust_idle(const struct trust_reader *r)
{
	return rules_of(r)->idle;
}

const struct nets *trust_nets(const struct trust_reader *r)
{
	return &rules_of(r)->nets;
}

/* --- making it */

static int shard_init(struct trust_shard *s, uint32_t max)
{
	int r = pthread_mutex_init(&s->lock, NULL);

	if (r)
		return -r;
	r = slots_init(&s->windows, 2 * max); /* a window, and the mark that it signs */
	if (!r)
		r = slots_init(&s->buckets, max);
	if (r < 0)
		return r;
	s->window = calloc(2 * (size_t)max, sizeof(*s->window));
	s->bucket = calloc(max, sizeof(*s->bucket));
	return s->window && s->bucket ? 0 : -ENOMEM;
}

int trust_new(struct trust **ret, uint32_t max_agents, unsigned readers, uint32_t interval_s)
{
	struct trust *t;
	int r = 0;

	if (!max_agents || max_agents > 1u << 26 || !interval_s)
		return -EINVAL;
	t = aligned_alloc(64, sizeof(*t));
	if (!t)
		return -ENOMEM;
	memset(t, 0, sizeof(*t));
	t->interval_s = interval_s;
	t->max_readers = readers;
	for (t->n_known = TRUST_KNOWN_MIN; t->n_known < TRUST_KNOWN_MAX && t->n_known / 2 < max_agents;)
		t->n_known *= 2;
	t->readers = calloc(readers, sizeof(*t->readers));
	t->rules = calloc(1, sizeof(struct rules));
	if (!t->readers || !t->rules)
		r = -ENOMEM;
	else
		*t->rules = (struct rules){.idle = true, .allow.any = true, .nets.any = true};
	/* They do not fill evenly. */
	for (unsigned i = 0; i < TRUST_SHARDS && !r; i++)
		r = shard_init(&t->shards[i], max_agents / TRUST_SHARDS * 5 / 4 + 32);
	if (r < 0) {
		trust_free(t);
		return r;
	}
	*ret = t;
	return 0;
}

void trust_free(struct trust *t)
{
	if (!t)
		return;
	for (unsigned i = 0; i < t->n_readers; i++) {
		if (t->readers[i].known)
			explicit_bzero(t->readers[i].known, t->n_known * sizeof(*t->readers[i].known));
		free(t->readers[i].known);
	}
	t->n_readers = 0;
	rules_free_unused(t);
	rules_free(t->rules);
	for (unsigned i = 0; i < TRUST_SHARDS; i++) {
		pthread_mutex_destroy(&t->shards[i].lock);
		slots_deinit(&t->shards[i].windows);
		slots_deinit(&t->shards[i].buckets);
		free(t->shards[i].window);
		free(t->shards[i].bucket);
	}
	free(t->readers);
	free(t);
}

int trust_join(struct trust *t, struct trust_reader **ret)
{
	struct trust_reader *r = &t->readers[t->n_readers];

	assert(t->n_readers < t->max_readers);
	r->known = calloc(t->n_known, sizeof(*r->known));
	if (!r->known)
		return -ENOMEM;
	r->trust = t;
	t->n_readers++;
	trust_look(r);
	*ret = r;
	return 0;
}

/* --- origin */

static void agent_key(const struct rules *rules, unsigned which, const struct ip *agent, struct wire_auth *ret)
{
	uint8_t key[WIRE_AUTH_KEY];

	wire_auth_agent(&rules->fleet[which], agent, key);
	wire_auth_init(ret, key);
	explicit_bzero(key, sizeof(key));
}

static struct trust_known *known_of(struct trust_reader *r, const struct rules *rules, const struct ip *agent)
{
	struct trust_known *k = &r->known[hash64(agent, sizeof(*agent)) % r->trust->n_known];

	if (k->serial != rules->serial || !ip_eq(&k->agent, agent)) {
		k->agent = *agent;
		k->serial = rules->serial;
		k->allowed = allow_agent(&rules->allow, agent);
		k->unsigned_ok = allow_unsigned(&rules->allow, agent);
		k->which = TRUST_NO_KEY;
	}
	return k;
}

static bool signed_by(struct trust_known *k, const struct rules *rules, struct str bytes)
{
	if (k->which != TRUST_NO_KEY && wire_auth_check(&k->key, bytes.p, bytes.n))
		return true;
	for (unsigned i = 0; i < rules->n_keys; i++) {
		struct wire_auth key;

		if (i == k->which)
			continue;
		agent_key(rules, i, &k->agent, &key);
		if (!wire_auth_check(&key, bytes.p, bytes.n))
			continue;
		k->key = key;
		k->which = (uint8_t)i;
		return true;
	}
	return false;
}

struct trust_verdict trust_origin(struct trust_reader *r, const struct wire_datagram *d, struct str bytes)
{
	const struct rules *rules = rules_of(r);
	struct trust_verdict v = {.reject = COLLECTOR_REJECTS};
	struct trust_known *k;

	if (rules->idle)
		return v;
	k = known_of(r, rules, &d->agent);
	if (!k->allowed)
		v.reject = COLLECTOR_REJECT_AGENT;
	else if (rules->mode == RULES_OFF)
		return v;
	else if (!wire_auth_has(bytes.p, bytes.n, d->enterprise))
		v.reject =
			rules->mode == RULES_REQUIRE && !k->unsigned_ok ? COLLECTOR_REJECT_UNSIGNED : COLLECTOR_REJECTS;
	else if (!signed_by(k, rules, bytes))
		v.reject = COLLECTOR_REJECT_SIGNATURE;
	else
		v.is_signed = true;
	v.by_late_key = v.is_signed && k->which;
	return v;
}

size_t trust_ack(struct trust_reader *r, const struct ip *agent, uint8_t ack[WIRE_ACK_SIGNED])
{
	const struct rules *rules = rules_of(r);
	struct wire_auth key;

	if (!rules->n_keys)
		return WIRE_ACK_SIZE;
	agent_key(rules, 0, agent, &key);
	wire_auth_ack(&key, ack);
	return WIRE_ACK_SIGNED;
}

/* --- freshness */

/* True when a datagram of this time may begin a window. */
static bool timely(const struct wire_head *head, int64_t at_us)
{
	int64_t off = at_us / 1000000 - head->interval;

	return head->interval_s && off <= TRUST_AGE_S && off >= -TRUST_AGE_S;
}

static void window_begin(struct trust_window *w, uint32_t sequence)
{
	memset(w->seen, 0, sizeof(w->seen));
	w->top = sequence;
	w->seen[sequence % TRUST_WINDOW / 64] = 1ull << sequence % 64;
}

/* Numbers between the former top and the new one were not seen. */
static void window_advance(struct trust_window *w, uint32_t sequence)
{
	if (sequence - w->top >= TRUST_WINDOW) {
		window_begin(w, sequence);
		return;
	}
	while (w->top != sequence) {
		w->top++;
		w->seen[w->top % TRUST_WINDOW / 64] &= ~(1ull << w->top % 64);
	}
	w->seen[sequence % TRUST_WINDOW / 64] |= 1ull << sequence % 64;
}

static unsigned window_judge(struct trust_window *w, uint32_t sequence, const struct wire_head *head, int64_t at_us)
{
	uint32_t ahead = sequence - w->top, back = w->top - sequence;
	uint64_t *word = &w->seen[sequence % TRUST_WINDOW / 64], bit = 1ull << sequence % 64;

	if (ahead && ahead < 1u << 31) {
		if (ahead > TRUST_JUMP && !timely(head, at_us))
			return COLLECTOR_REJECT_STALE;
		window_advance(w, sequence);
		return COLLECTOR_REJECTS;
	}
	if (back >= TRUST_WINDOW || *word & bit)
		return COLLECTOR_REJECT_REPLAYED;
	*word |= bit;
	return COLLECTOR_REJECTS;
}

static unsigned judge_signed(struct trust_shard *s, const struct wire_datagram *d, const struct wire_head *head,
			     int64_t at_us)
{
	struct slots_key key = {.agent = d->agent, .sub_agent = d->sub_agent, .boot = head->boot};
	int64_t now_s = at_us / 1000000;
	uint32_t slot = slots_find(&s->windows, &key, now_s, INT64_MAX);
	bool new;

	if (slot != SLOTS_NONE) {
		unsigned reject = window_judge(&s->window[slot], d->sequence, head, at_us);

		if (reject == COLLECTOR_REJECTS)
			(void)slots_take(&s->windows, &key, now_s, &new);
		return reject;
	}
	if (!timely(head, at_us))
		return COLLECTOR_REJECT_STALE;
	slot = slots_take(&s->windows, &key, now_s, &new);
	if (slot == SLOTS_NONE)
		return COLLECTOR_REJECT_TRUST_FULL;
	window_begin(&s->window[slot], d->sequence);
	return COLLECTOR_REJECTS;
}

/* Invariant 4. `foreign` tells the mark from a window. */
static unsigned judge_mark(struct trust_shard *s, const struct wire_datagram *d, bool is_signed, int64_t now_s)
{
	struct slots_key key = {.agent = d->agent, .foreign = 1};
	bool new;

	if (is_signed)
		(void)slots_take(&s->windows, &key, now_s, &new);
	else if (slots_find(&s->windows, &key, now_s, SLOTS_FORGET_S) != SLOTS_NONE)
		return COLLECTOR_REJECT_UNSIGNED;
	return COLLECTOR_REJECTS;
}

static unsigned judge_rate(struct trust_shard *s, const struct wire_datagram *d, int64_t cost_ns, uint32_t interval_s,
			   int64_t at_us)
{
	struct slots_key key = {.agent = d->agent};
	int64_t now_ns = at_us * 1000, room_ns = (int64_t)interval_s * 1000000000, *at = &s->others;
	bool new = false;
	uint32_t slot = slots_take(&s->buckets, &key, at_us / 1000000, &new);

	if (slot != SLOTS_NONE)
		at = &s->bucket[slot];
	if (new || *at < now_ns || *at > now_ns + room_ns + cost_ns) /* the last: the clock went back */
		*at = now_ns;
	if (*at + cost_ns > now_ns + room_ns && *at > now_ns)
		return COLLECTOR_REJECT_RATE;
	*at += cost_ns;
	return COLLECTOR_REJECTS;
}

unsigned trust_fresh(struct trust_reader *r, const struct wire_datagram *d, const struct wire_head *head,
		     const struct trust_verdict *v, int64_t at_us)
{
	const struct rules *rules = rules_of(r);
	struct trust_shard *s = &r->trust->shards[hash64_seed(&d->agent, sizeof(d->agent), 1) % TRUST_SHARDS];
	unsigned reject = COLLECTOR_REJECTS;

	if (rules->idle || (rules->mode == RULES_OFF && !rules->cost_ns))
		return reject;
	pthread_mutex_lock(&s->lock);
	if (v->is_signed)
		reject = judge_signed(s, d, head, at_us);
	if (reject == COLLECTOR_REJECTS && rules->marks && rules->mode != RULES_OFF)
		reject = judge_mark(s, d, v->is_signed, at_us / 1000000);
	if (reject == COLLECTOR_REJECTS && rules->cost_ns)
		reject = judge_rate(s, d, rules->cost_ns, r->trust->interval_s, at_us);
	pthread_mutex_unlock(&s->lock);
	return reject;
}
