/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/said.h"

#define LEDGER_OLD_S 86400 /* a ledger line older than a day is nobody's */

static void kept(struct worker *w, int r)
{
	if (r < 0)
		counters_add(&w->counters.records_full, 1);
}

enum wire_error said_host(struct worker *w, struct reading *rd, const struct wire_record *r)
{
	struct worker_state *s = w->state;
	struct wire_head head;
	unsigned part, parts, bad;
	uint64_t given_up = 0;
	enum wire_error e = wire_host_read(r, &head, &s->host, &part, &parts, &bad);

	if (e)
		return e;
	if (!reading_accepted(w, rd->packet, &head))
		return WIRE_OK;
	if (parts > 64) {
		reading_refuse(w, COLLECTOR_REJECT_HOST, rd->packet);
		return WIRE_OK;
	}
	if (bad)
		reading_refuse(w, WIRE_VALUE, rd->packet);
	s->host.agent = rd->packet->peer.ip;
	s->host.interval = clock_moved(head.interval, head.interval_s, rd->shift);
	if (records_parts_add(s->parts, head.boot, part, parts, &s->host, &given_up))
		kept(w, records_host(&reading_pane(w)->records, &s->host));
	counters_add(&w->counters.host_incomplete, given_up);
	return WIRE_OK;
}

enum wire_error said_listeners(struct worker *w, struct reading *rd, const struct wire_record *r)
{
	struct wire_listeners *l = &w->state->listeners;
	struct flow_listener *to = &w->state->listener;
	enum wire_error e = wire_listeners_open(l, r);

	if (e)
		return e;
	if (!reading_accepted(w, rd->packet, &l->head))
		return WIRE_OK;
	while ((e = wire_listeners_next(l, to)) != WIRE_END) {
		if (e) {
			reading_refuse(w, e, rd->packet);
			continue;
		}
		to->interval = clock_moved(l->head.interval, l->head.interval_s, rd->shift);
		to->since = clock_moved(to->since, l->head.interval_s, rd->shift);
		kept(w, records_listener(&reading_pane(w)->records, to));
	}
	return WIRE_OK;
}

/* A line of an interval that is neither within the last day nor about now is of no use to anyone. */
static bool ledger_interval_ok(const struct worker *w, const struct flow_ledger *l, int64_t at_us)
{
	int64_t age = at_us / 1000000 - l->interval;

	return l->interval_s == w->state->opts.interval_s && l->interval % l->interval_s == 0 && age <= LEDGER_OLD_S &&
	       age >= -(int64_t)(CLOCK_FAR + 1) * l->interval_s;
}

/* Where the rows of the line's interval went. */
static int64_t line_shift(struct worker *w, const struct reading *rd, const struct flow_ledger *l, uint32_t interval_s)
{
	bool known = rd->track && l->interval_s == interval_s;

	return known ? clock_shift_line(account_clock(&w->state->account, rd->track), l->interval, interval_s,
					rd->shift)
		     : rd->shift;
}

enum wire_error said_health(struct worker *w, struct reading *rd, const struct wire_record *r)
{
	struct wire_health *h = &w->state->health;
	struct flow_ledger *to = &w->state->ledger;
	enum wire_error e = wire_health_open(h, r);

	if (e)
		return e;
	if (!reading_accepted(w, rd->packet, &h->head))
		return WIRE_OK;
	while ((e = wire_health_next(h, to)) != WIRE_END) {
		if (e) {
			reading_refuse(w, e, rd->packet);
			continue;
		}
		to->interval = clock_moved(to->interval, to->interval_s, line_shift(w, rd, to, h->head.interval_s));
		if (ledger_interval_ok(w, to, rd->at_us))
			kept(w, records_ledger(&reading_pane(w)->records, to));
		else
			reading_refuse(w, COLLECTOR_REJECT_LEDGER, rd->packet);
	}
	return WIRE_OK;
}
