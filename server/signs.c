/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One table: a row is a share of sums, two thresholds and a sentence.
 *
 * 1. A sign is a function of the edge's sums alone: no memory, no baseline, no neighbour. So a page, the stream and a
 *    test say the same of the same range, and a longer range is not a chain of shorter ones.
 * 2. A share alone is no sign: it takes `least` events as well. One retransmit of three segments is nothing.
 * 3. An attempt is counted when it begins and fails up to two minutes later, so a short range may hold failures without
 *    their attempts. `of` is never below what failed and opened together.
 * 4. Causes add up: when half of the attempts or more fail, the commonest cause is serious even if no cause alone has
 *    half.
 * 5. What only a sender knows is taken from the sender of the direction; where it has no agent there is no sign.
 *    A reset is known to both ends (one sent it, one received it): the larger count, never their sum.
 * 6. Waiting for the reader counts only where data was waiting for a hundredth of the range: a share of nearly nothing
 *    is noise.
 *
 * Why no score: "12 of 12 refused" can be checked by whoever reads it, 0.83 cannot.
 */
#include "server/signs.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/table.h"
#include "store/query.h"

enum sign_kind { ATTEMPTS, RESETS, CUT, RETRANSMITS, WAITED };

static const struct sign_row {
	const char *name;
	enum sign_kind kind;
	uint8_t field; /* enum flow_field */
	const char *side;
	uint32_t least;      /* events for SIGN_LOOK */
	double look;         /* share */
	uint32_t least_more; /* likewise SIGN_SERIOUS */
	double serious;      /* > 1: never */
	const char *text;    /* what follows the number */
} table[] = {
	{"refused", ATTEMPTS, FLOW_F_failed_refused, "", 1, 0.01, 1, 0.5, "refused: nothing listens there"},
	{"timed_out", ATTEMPTS, FLOW_F_failed_timeout, "", 1, 0.01, 1, 0.5,
	 "never answered: dropped on the way, or the host is down"},
	{"unreachable", ATTEMPTS, FLOW_F_failed_unreachable, "", 1, 0.01, 1, 0.5,
	 "answered with 'unreachable' by the network"},
	{"no_local_port", ATTEMPTS, FLOW_F_failed_no_port, "", 1, 0.01, 1, 0.5,
	 "without a free local port: the client has too many connections to this server"},
	{"abandoned", ATTEMPTS, FLOW_F_failed_abandoned, "", 2, 0.05, 2, 0.5,
	 "given up by the client before an answer"},
	{"no_route", ATTEMPTS, FLOW_F_failed_no_route, "", 1, 0.01, 1, 0.5,
	 "without a route: the client's host knows no way there"},
	{"failed_other", ATTEMPTS, FLOW_F_failed_other, "", 1, 0.01, 1, 0.5, "stopped by some other error"},
	{"reset", RESETS, 0, "c2s", 2, 0.05, 10, 0.5, "reset by the client"},
	{"reset", RESETS, 0, "s2c", 2, 0.05, 10, 0.5, "reset by the server"},
	{"cut_off", CUT, FLOW_F_timed_out, "", 1, 0.01, 2, 0.5, "cut off by a timeout: the other end fell silent"},
	{"retransmits", RETRANSMITS, FLOW_F_retransmitted, "c2s", 5, 0.01, 20, 0.02,
	 "of the client were retransmitted"},
	{"retransmits", RETRANSMITS, FLOW_F_retransmitted, "s2c", 5, 0.01, 20, 0.02,
	 "of the server were retransmitted"},
	{"slow_reader", WAITED, FLOW_F_rwnd_limited_us, "c2s", 0, 0.2, 0, 0.5,
	 "the client had data to send, the server did not read fast enough"},
	{"slow_reader", WAITED, FLOW_F_rwnd_limited_us, "s2c", 0, 0.2, 0, 0.5,
	 "the server had data to send, the client did not read fast enough"},
	{"send_buffer", WAITED, FLOW_F_sndbuf_limited_us, "c2s", 0, 0.5, 0, 2,
	 "the client had data to send, its send buffer was the limit"},
	{"send_buffer", WAITED, FLOW_F_sndbuf_limited_us, "s2c", 0, 0.5, 0, 2,
	 "the server had data to send, its send buffer was the limit"},
};

_Static_assert(ARRAY_LEN(table) <= SIGNS_MAX, "room for every row of the table");

/* What the shares are of, worked out once an edge. */
struct sums {
	const struct flow_edge *e;
	uint64_t attempts, failed;
	uint64_t resets[2]; /* by the client, by the server */
	uint64_t closed;
	uint64_t range_us;
};

static void sums_make(struct sums *s, const struct flow_edge *e, uint32_t seconds)
{
	const struct flow_stats *c = &e->view[FLOW_VIEW_CLIENT], *v = &e->view[FLOW_VIEW_SERVER];

	*s = (struct sums){.e = e, .range_us = (uint64_t)seconds * 1000000};
	for (size_t i = 0; i < FLOW_FAILURES; i++)
		s->failed += store_best(e, flow_failures[i].field, true);
	s->attempts = flow_more(store_best(e, FLOW_F_attempts, true), s->failed + store_best(e, FLOW_F_opened, true));
	s->resets[0] = flow_more(c->reset_sent, v->reset_received);
	s->resets[1] = flow_more(v->reset_sent, c->reset_received);
	s->closed = flow_more(store_best(e, FLOW_F_closed, true),
			      s->resets[0] + s->resets[1] + store_best(e, FLOW_F_timed_out, true));
}

static void sign_count(const struct sign_row *row, const struct sums *s, uint64_t *ret_count, uint64_t *ret_of)
{
	bool c2s = strcmp(row->side, "s2c") != 0;

	switch (row->kind) {
	case ATTEMPTS:
		*ret_count = store_best(s->e, row->field, true);
		*ret_of = s->attempts;
		break;
	case RESETS:
		*ret_count = s->resets[!c2s];
		*ret_of = s->closed;
		break;
	case CUT:
		*ret_count = store_best(s->e, row->field, true);
		*ret_of = s->closed;
		break;
	case RETRANSMITS:
		*ret_count = store_best(s->e, row->field, c2s);
		*ret_of = flow_more(store_best(s->e, FLOW_F_tx_segs, c2s), *ret_count);
		break;
	case WAITED:
		*ret_count = store_best(s->e, row->field, c2s);
		*ret_of = flow_more(store_best(s->e, FLOW_F_busy_us, c2s), *ret_count);
		break;
	}
}

static uint8_t sign_severity(const struct sign_row *row, const struct sums *s, uint64_t count, uint64_t of)
{
	double share = of ? (double)count / (double)of : 0;

	if (!count || (row->kind == WAITED && of < s->range_us / 100))
		return SIGN_NONE;
	if (count >= row->least_more && share >= row->serious)
		return SIGN_SERIOUS;
	return count >= row->least && share >= row->look ? SIGN_LOOK : SIGN_NONE;
}

static void sign_percent(double share, char text[16])
{
	if (share > 0 && share < 0.0995)
		snprintf(text, 16, "%.1f %%", share * 100);
	else
		snprintf(text, 16, "%.0f %%", share * 100);
}

static void sign_sentence(const struct sign_row *row, struct sign *x)
{
	const char *what = row->kind == ATTEMPTS ? "attempt" : "connection that ended";
	const char *many = row->kind == ATTEMPTS ? "attempts" : "connections that ended";
	unsigned long long count = x->count, of = x->of;
	char percent[16];

	sign_percent(x->share, percent);
	if (row->kind == WAITED)
		snprintf(x->text, sizeof(x->text), "for %s of the time %s", percent, row->text);
	else if (row->kind == RETRANSMITS)
		snprintf(x->text, sizeof(x->text), "%s of the segments %s (%llu of %llu)", percent, row->text, count,
			 of);
	else if (of == 1)
		snprintf(x->text, sizeof(x->text), "the only %s was %s", what, row->text);
	else if (count == of)
		snprintf(x->text, sizeof(x->text), "all %llu %s were %s", of, many, row->text);
	else
		snprintf(x->text, sizeof(x->text), "%llu of %llu %s %s %s", count, of, many,
			 count == 1 ? "was" : "were", row->text);
}

/* Worst first. A total order, so the same sums give the same list. */
int signs_compare(const void *a, const void *b)
{
	const struct sign *x = a, *y = b;

	if (x->severity != y->severity)
		return x->severity > y->severity ? -1 : 1;
	if (x->share != y->share)
		return x->share > y->share ? -1 : 1;
	if (x->count != y->count)
		return x->count > y->count ? -1 : 1;
	if (strcmp(x->name, y->name))
		return strcmp(x->name, y->name);
	return strcmp(x->side, y->side);
}

unsigned signs_of(const struct flow_edge *e, uint32_t seconds, struct sign ret[SIGNS_MAX])
{
	struct sign *commonest = NULL;
	struct sums s;
	unsigned n = 0;

	sums_make(&s, e, seconds);
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct sign x = {.name = table[i].name, .side = table[i].side};

		sign_count(&table[i], &s, &x.count, &x.of);
		x.severity = sign_severity(&table[i], &s, x.count, x.of);
		if (!x.severity)
			continue;
		x.share = (double)x.count / (double)x.of;
		sign_sentence(&table[i], &x);
		ret[n] = x;
		if (table[i].kind == ATTEMPTS && (!commonest || x.count > commonest->count))
			commonest = &ret[n];
		n++;
	}
	if (commonest && s.failed * 2 >= s.attempts)
		commonest->severity = SIGN_SERIOUS;
	if (n > 1)
		qsort(ret, n, sizeof(*ret), signs_compare);
	return n;
}

const char *signs_name(unsigned i)
{
	unsigned k = 0;

	for (size_t row = 0; row < ARRAY_LEN(table); row++) {
		if (row && !strcmp(table[row].name, table[row - 1].name))
			continue;
		if (k++ == i)
			return table[row].name;
	}
	return NULL;
}
