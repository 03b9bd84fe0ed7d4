/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Readers and groups of the memory bus. A group gives partition p of a topic to its member number p modulo members, in
 * the order they joined. A partition moves in two steps, each taken by the reader concerned inside its own bus_read():
 * the old owner hears `revoked` and lets go, then the new one takes it at the committed offset and hears `assigned`. So
 * there is never a moment with two owners, and a callback runs in its reader's thread without the lock.
 */
#include "bus/memory.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct memory_reader *reader_of(struct bus_reader *r)
{
	return (struct memory_reader *)r;
}

static struct log *slot_log(struct memory_bus *m, const struct memory_slot *s)
{
	return &m->topics[s->topic].logs[s->partition];
}

static struct memory_slot *reader_slot(struct memory_reader *r, enum bus_topic t, unsigned partition)
{
	for (size_t i = 0; i < r->n_slots; i++) {
		if (r->slots[i].topic == t && r->slots[i].partition == partition)
			return &r->slots[i];
	}
	return NULL;
}

void memory_wake(struct memory_bus *m, uint32_t topics)
{
	for (struct memory_reader *r = m->readers; r; r = r->next) {
		if (r->waiting && r->topics & topics)
			pthread_cond_signal(&r->more);
	}
}

/* Who of a group shall read partition p of topic t. */
static struct memory_reader *group_target(struct memory_bus *m, struct memory_group *g, unsigned t, unsigned p)
{
	unsigned n = 0, at = 0;

	for (struct memory_reader *r = m->readers; r; r = r->next)
		n += r->group == g && r->topics & 1u << t;
	for (struct memory_reader *r = m->readers; r; r = r->next) {
		if (r->group == g && r->topics & 1u << t && at++ == p % n)
			return r;
	}
	return NULL;
}

static void group_assign(struct memory_bus *m, struct memory_group *g)
{
	for (unsigned t = 0; t < BUS_TOPICS; t++) {
		for (unsigned p = 0; g->parts[t] && p < m->topics[t].n; p++)
			g->parts[t][p].target = group_target(m, g, t, p);
	}
	memory_wake(m, ~0u);
}

static int group_add_topic(struct memory_bus *m, struct memory_group *g, enum bus_topic t)
{
	if (g->parts[t])
		return 0;
	g->parts[t] = calloc(m->topics[t].n, sizeof(*g->parts[t]));
	if (!g->parts[t])
		return -ENOMEM;
	for (unsigned p = 0; p < m->topics[t].n; p++) {
		g->parts[t][p].committed = -1;
		g->parts[t][p].start = log_oldest(&m->topics[t].logs[p]);
	}
	return 0;
}

static int group_get(struct memory_bus *m, const char *name, struct memory_group **ret)
{
	struct memory_group *g;

	for (g = m->groups; g; g = g->next) {
		if (strcmp(g->name, name) == 0) {
			*ret = g;
			return 0;
		}
	}
	g = calloc(1, sizeof(*g));
	if (!g)
		return -ENOMEM;
	g->name = strdup(name);
	if (!g->name) {
		free(g);
		return -ENOMEM;
	}
	g->next = m->groups;
	m->groups = g;
	*ret = g;
	return 0;
}

/* With the lock held: the reader's slots, one per partition of its topics. */
static int reader_slots(struct memory_bus *m, struct memory_reader *r)
{
	size_t n = 0;

	for (unsigned t = 0; t < BUS_TOPICS; t++)
		n += r->topics & 1u << t ? m->topics[t].n : 0;
	r->slots = calloc(n ? n : 1, sizeof(*r->slots));
	if (!r->slots)
		return -ENOMEM;
	for (unsigned t = 0; t < BUS_TOPICS; t++) {
		for (unsigned p = 0; r->topics & 1u << t && p < m->topics[t].n; p++) {
			struct memory_slot *s = &r->slots[r->n_slots++];

			s->topic = (enum bus_topic)t;
			s->partition = p;
			s->member = r->group ? &r->group->parts[t][p] : NULL;
			s->end_at_open = m->topics[t].logs[p].next;
			s->pos = s->member ? 0 : log_oldest(&m->topics[t].logs[p]);
		}
	}
	return 0;
}

int memory_reader_open(struct bus_reader **ret, struct bus *bus, const char *group, const enum bus_topic *topics,
		       size_t n_topics, const struct bus_events *events)
{
	struct memory_bus *m = memory_of(bus);
	struct memory_reader *r = calloc(1, sizeof(*r)), **last;
	pthread_condattr_t attr;
	int err = 0;

	if (!r)
		return -ENOMEM;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&r->more, &attr);
	pthread_condattr_destroy(&attr);
	r->base.bus = bus;
	r->events = events ? *events : (struct bus_events){0};
	pthread_mutex_lock(&m->lock);
	if (group)
		err = group_get(m, group, &r->group);
	for (size_t i = 0; i < n_topics && err == 0; i++) {
		if (topics[i] >= BUS_TOPICS)
			err = -EINVAL;
		else if (r->group)
			err = group_add_topic(m, r->group, topics[i]);
		r->topics |= err == 0 ? 1u << topics[i] : 0;
	}
	if (err == 0)
		err = reader_slots(m, r);
	if (err == 0) {
		for (last = &m->readers; *last; last = &(*last)->next)
			;
		*last = r;
		if (r->group)
			group_assign(m, r->group);
	}
	pthread_mutex_unlock(&m->lock);
	if (err < 0) {
		pthread_cond_destroy(&r->more);
		free(r->slots);
		free(r);
		return err;
	}
	*ret = &r->base;
	return 0;
}

static void reader_release(struct memory_reader *r)
{
	for (size_t i = 0; i < r->n_held; i++)
		log_record_unref(r->held[i]);
	r->n_held = 0;
}

void memory_reader_close(struct bus_reader *base)
{
	struct memory_bus *m = memory_of(base->bus);
	struct memory_reader *r = reader_of(base), **at;

	pthread_mutex_lock(&m->lock);
	reader_release(r);
	for (at = &m->readers; *at != r; at = &(*at)->next)
		;
	*at = r->next;
	for (size_t i = 0; i < r->n_slots; i++) {
		if (r->slots[i].member && r->slots[i].member->owner == r)
			r->slots[i].member->owner = NULL;
	}
	if (r->group)
		group_assign(m, r->group);
	pthread_mutex_unlock(&m->lock);
	pthread_cond_destroy(&r->more);
	free(r->slots);
	free(r->held);
	free(r);
}

/* With the lock held, which it lets go of around callbacks. One step of what has to move; false: nothing. */
static bool reader_move(struct memory_bus *m, struct memory_reader *r, struct memory_slot *s)
{
	struct memory_member *part = s->member;
	bool mine = part ? part->target == r : true;

	if (s->assigned && !mine) {
		if (r->events.revoked) {
			pthread_mutex_unlock(&m->lock);
			r->events.revoked(r->events.arg, s->topic, s->partition);
			pthread_mutex_lock(&m->lock);
		}
		s->assigned = false;
		part->owner = NULL;
		memory_wake(m, 1u << s->topic);
		return true;
	}
	if (!s->assigned && mine && !(part && part->owner)) {
		s->assigned = true;
		if (part) {
			part->owner = r;
			s->pos = part->committed >= 0 ? part->committed : part->start;
		}
		if (r->events.assigned) {
			pthread_mutex_unlock(&m->lock);
			r->events.assigned(r->events.arg, s->topic, s->partition);
			pthread_mutex_lock(&m->lock);
		}
		return true;
	}
	return false;
}

/* Up to `max` messages of one partition. */
static size_t slot_gather(struct memory_bus *m, struct memory_reader *r, struct memory_slot *s, struct bus_msg *msgs,
			  size_t max)
{
	struct log_record *rec;
	size_t n = 0;

	while (n < max && (rec = log_find(slot_log(m, s), s->pos)) != NULL) {
		rec->refs++;
		r->held[r->n_held++] = rec;
		s->pos = rec->offset + 1;
		msgs[n++] = (struct bus_msg){.topic = s->topic,
					     .partition = s->partition,
					     .offset = rec->offset,
					     .key = rec->data,
					     .key_len = rec->key_len,
					     .value = rec->tombstone ? NULL : rec->data + rec->key_len,
					     .value_len = rec->value_len};
	}
	if (n > 0 && slot_log(m, s)->compacted)
		memory_retain(m, s->topic, s->partition);
	return n;
}

/* First an equal share of each partition, so that a reader with much to catch up moves through all of them at the same
 * pace, then whatever there is. */
static size_t reader_gather(struct memory_bus *m, struct memory_reader *r, struct bus_msg *msgs, size_t max)
{
	size_t n = 0, assigned = 0, share;

	for (size_t i = 0; i < r->n_slots; i++)
		assigned += r->slots[i].assigned;
	share = assigned && max / assigned ? max / assigned : 1;
	for (unsigned pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < r->n_slots && n < max; i++) {
			struct memory_slot *s = &r->slots[(r->turn + i) % r->n_slots];
			size_t most = pass == 0 && share < max - n ? share : max - n;

			n += s->assigned ? slot_gather(m, r, s, msgs + n, most) : 0;
		}
	}
	r->turn = r->n_slots ? (r->turn + 1) % r->n_slots : 0;
	return n;
}

int memory_read(struct bus_reader *base, struct bus_msg *msgs, size_t max, int timeout_ms)
{
	struct memory_bus *m = memory_of(base->bus);
	struct memory_reader *r = reader_of(base);
	struct timespec until;
	size_t n = 0;

	if (max > r->cap_held) {
		struct log_record **held = realloc(r->held, max * sizeof(struct log_record *));

		if (!held)
			return -ENOMEM;
		r->held = held;
		r->cap_held = max;
	}
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += timeout_ms % 1000 * 1000000L;
	until.tv_sec += timeout_ms / 1000 + until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_mutex_lock(&m->lock);
	reader_release(r);
	for (;;) {
		for (size_t i = 0; i < r->n_slots; i++)
			(void)reader_move(m, r, &r->slots[i]);
		n = reader_gather(m, r, msgs, max);
		if (n > 0 || timeout_ms <= 0)
			break;
		r->waiting = true;
		if (pthread_cond_timedwait(&r->more, &m->lock, &until) == ETIMEDOUT)
			timeout_ms = 0; /* one last look */
		r->waiting = false;
	}
	pthread_mutex_unlock(&m->lock);
	return (int)n;
}

int memory_committed(struct bus_reader *base, enum bus_topic t, unsigned partition, struct bus_position *ret)
{
	struct memory_bus *m = memory_of(base->bus);
	struct memory_slot *s = reader_slot(reader_of(base), t, partition);

	if (!s || !s->member)
		return -EINVAL;
	pthread_mutex_lock(&m->lock);
	*ret = (struct bus_position){.topic = t, .partition = partition, .offset = s->member->committed};
	memcpy(ret->metadata, s->member->metadata, sizeof(ret->metadata));
	pthread_mutex_unlock(&m->lock);
	return 0;
}

int memory_seek(struct bus_reader *base, enum bus_topic t, unsigned partition, int64_t offset)
{
	struct memory_bus *m = memory_of(base->bus);
	struct memory_slot *s = reader_slot(reader_of(base), t, partition);

	if (!s || !s->assigned)
		return -EINVAL;
	pthread_mutex_lock(&m->lock);
	s->pos = offset;
	pthread_mutex_unlock(&m->lock);
	return 0;
}

int memory_commit_positions(struct memory_bus *m, struct memory_reader *r, const struct bus_position *pos, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct memory_slot *s = reader_slot(r, pos[i].topic, pos[i].partition);

		if (!s || !s->member || pos[i].offset < 0)
			return -EINVAL;
		if (s->member->owner != r)
			return -ESTALE;
	}
	for (size_t i = 0; i < n; i++) {
		struct memory_member *part = reader_slot(r, pos[i].topic, pos[i].partition)->member;

		part->committed = pos[i].offset;
		memcpy(part->metadata, pos[i].metadata, sizeof(part->metadata));
		part->metadata[sizeof(part->metadata) - 1] = '\0';
		memory_retain(m, pos[i].topic, pos[i].partition);
	}
	return 0;
}

int memory_reader_commit(struct bus_reader *base, const struct bus_position *pos, size_t n)
{
	struct memory_bus *m = memory_of(base->bus);
	int r;

	pthread_mutex_lock(&m->lock);
	r = memory_commit_positions(m, reader_of(base), pos, n);
	pthread_mutex_unlock(&m->lock);
	return r;
}

bool memory_caught_up(struct bus_reader *base)
{
	struct memory_bus *m = memory_of(base->bus);
	struct memory_reader *r = reader_of(base);
	bool all = true;

	pthread_mutex_lock(&m->lock);
	for (size_t i = 0; i < r->n_slots && all; i++) {
		const struct memory_slot *s = &r->slots[i];
		const struct log_record *rec;

		if (!s->assigned) {
			all = s->member ? s->member->target != r : false;
			continue;
		}
		rec = log_find(slot_log(m, s), s->pos);
		all = !rec || rec->offset >= s->end_at_open;
	}
	pthread_mutex_unlock(&m->lock);
	return all;
}
