/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/send.h"

#include <assert.h>
#include <string.h>

#include "base/hash.h"

void send_rank(struct str host, const char *const *collectors, unsigned n, unsigned *ret)
{
	uint64_t score[SEND_MAX], seed = hash64(host.p, host.n);
	unsigned i, j;

	assert(n <= SEND_MAX);
	for (i = 0; i < n; i++) {
		uint64_t mine = hash64_seed(collectors[i], strlen(collectors[i]), seed);

		for (j = i; j > 0 && score[j - 1] < mine; j--) {
			score[j] = score[j - 1];
			ret[j] = ret[j - 1];
		}
		score[j] = mine;
		ret[j] = i;
	}
}

void send_init(struct send *s, struct str host, const char *const *collectors, unsigned n, bool no_ack)
{
	unsigned i;

	assert(n > 0);
	*s = (struct send){.n = n, .no_ack = no_ack, .moved_us = INT64_MIN};
	send_rank(host, collectors, n, s->rank);
	for (i = 0; i < n; i++)
		s->failed[i] = INT64_MIN;
}

unsigned send_current(const struct send *s)
{
	return s->rank[s->at];
}

uint32_t send_sub_agent(const struct send *s, unsigned thread)
{
	return s->moves * 8 + thread;
}

static bool send_healthy(const struct send *s, unsigned i, int64_t now_us)
{
	return s->failed[i] == INT64_MIN || now_us - s->failed[i] >= SEND_BACK_US;
}

static bool send_move(struct send *s, unsigned to, int64_t now_us)
{
	s->missing = 0;
	s->waiting = false;
	if (to == s->at)
		return false;
	s->at = to;
	s->moves++;
	s->moved_us = now_us;
	return true;
}

static bool send_failed(struct send *s, int64_t now_us)
{
	unsigned i, oldest = 0;

	s->failed[s->at] = now_us;
	for (i = 0; i < s->n; i++) {
		if (send_healthy(s, i, now_us))
			return send_move(s, i, now_us);
		if (s->failed[i] < s->failed[oldest])
			oldest = i;
	}
	if (s->moved_us != INT64_MIN && now_us - s->moved_us < SEND_HURRY_US)
		oldest = s->at;
	return send_move(s, oldest, now_us);
}

bool send_reload(struct send *s, struct str host, const char *const *collectors, unsigned n, const int *was,
		 int64_t now_us)
{
	struct send old = *s;
	int64_t failed[SEND_MAX];
	unsigned i, j;
	bool kept = false;

	assert(n > 0);
	for (i = 0; i < old.n; i++)
		failed[old.rank[i]] = old.failed[i];
	s->n = n;
	send_rank(host, collectors, n, s->rank);
	s->at = 0;
	for (i = 0; i < n; i++) {
		j = s->rank[i];
		s->failed[i] = was[j] < 0 ? INT64_MIN : failed[was[j]];
		if (was[j] >= 0 && (unsigned)was[j] == old.rank[old.at]) {
			s->at = i;
			kept = true;
		}
	}
	if (kept)
		return false;
	s->missing = 0;
	s->waiting = false;
	s->moves++;
	s->moved_us = now_us;
	return true;
}

bool send_renamed(struct send *s, unsigned i, int64_t now_us)
{
	unsigned at = 0;

	while (s->rank[at] != i)
		at++;
	s->failed[at] = INT64_MIN;
	if (at != s->at)
		return false;
	s->missing = 0;
	s->waiting = false;
	s->moves++;
	s->moved_us = now_us;
	return true;
}

bool send_interval(struct send *s, int64_t now_us)
{
	unsigned i;

	if (!s->no_ack && s->waiting && ++s->missing >= SEND_MISSING)
		return send_failed(s, now_us);
	s->waiting = false;
	for (i = 0; i < s->at; i++)
		if (send_healthy(s, i, now_us))
			return send_move(s, i, now_us);
	return false;
}

bool send_refused(struct send *s, int64_t now_us)
{
	return send_failed(s, now_us);
}

bool send_acked(struct send *s, bool stopping, int64_t now_us)
{
	s->missing = 0;
	s->waiting = false;
	return stopping ? send_failed(s, now_us) : false;
}

void send_sent(struct send *s)
{
	s->waiting = true;
}
