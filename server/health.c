/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The chain.
 *
 *     kernel    agent          network   collector      bus    pair          bus   edge          bus   store        files
 *     opened -> drained/sent -> -------- received/put -> ----- read/emitted -> --- read/emitted -> --- read/written -> rows
 *
 * A role's own line gives in, out and losses by reason; between two roles in is the former's out and out the latter's in,
 * and what is lost there is known only as far as somebody noticed: gaps of sample_pool and refused rows for the network,
 * gaps in the markers' running counts for the bus. What is left over is `missing`.
 *
 * 1. A role's hop adds up when in = out + lost. That it does not would be a bug of that role, or a line written by half.
 * 2. A hop between roles adds up when in = out + lost as well. With a dead collector in between, nobody wrote lines for
 *    what it read and did not pass on: it shows as missing on the network, to the row.
 * 3. Two clocks read the kernel's and our own count of connections at nearly the same time. So at that hop alone 2 + 0.1 %
 *    are not called missing; and more on our side than on the kernel's is no loss.
 * 4. Rows of standard sFlow have no line before the collector's: what came in of them counts as put on the network too. So do
 *    those of datagrams that the network doubled and two threads of a collector took.
 * 5. Where between agent and collector a datagram went: the collectors count gaps in agents' numbers, what their sockets had no room
 *    for, and what they refused, by reason. A gap that neither explains is the way's: "on_the_way". It is too small by what strangers
 *    sent, which is refused too and leaves no gap, and too large by runs of datagrams that the socket dropped as one and counted as one.
 *    What is refused after its datagram's number was noted, or is a copy, explains no gap: another net, a broken row.
 *    A datagram that was refused before is not in the books at all, if it was an agent's only the clue tells of it.
 *
 * Pure sums, so lines may come in any order.
 */
#include "server/health.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/table.h"

enum role { ROLE_AGENT, ROLE_COLLECTOR, ROLE_PAIR, ROLE_EDGE, ROLE_STORE, ROLES };

static const char *const role_names[ROLES] = {"agent", "collector", "pair", "edge", "store"};

/* Hops and the roles on both of their sides; equal: inside a role. */
static const struct {
	const char *name;
	uint8_t from, to;
} hops[HEALTH_HOPS] = {
	[HEALTH_KERNEL] = {"kernel", ROLE_AGENT, ROLE_AGENT},
	[HEALTH_AGENT] = {"agent", ROLE_AGENT, ROLE_AGENT},
	[HEALTH_NETWORK] = {"network", ROLE_AGENT, ROLE_COLLECTOR},
	[HEALTH_COLLECTOR] = {"collector", ROLE_COLLECTOR, ROLE_COLLECTOR},
	[HEALTH_BUS] = {"bus", ROLE_COLLECTOR, ROLE_PAIR},
	[HEALTH_PAIR] = {"pair", ROLE_PAIR, ROLE_PAIR},
	[HEALTH_GRAPH_BUS] = {"graph bus", ROLE_PAIR, ROLE_EDGE},
	[HEALTH_EDGE] = {"edge", ROLE_EDGE, ROLE_EDGE},
	[HEALTH_STORE_BUS] = {"store bus", ROLE_EDGE, ROLE_STORE},
	[HEALTH_STORE] = {"store", ROLE_STORE, ROLE_STORE},
	[HEALTH_STORED] = {"stored", ROLE_STORE, ROLE_STORE},
};

/* What a line's further numbers say about a hop: lost there (+), or found again (-). */
static const struct {
	uint8_t role, hop;
	int8_t sign;
	const char *info, *reason;
} notices[] = {
	{ROLE_AGENT, HEALTH_KERNEL, 1, "socks_full", "socks_full"},
	{ROLE_AGENT, HEALTH_KERNEL, 1, "closed_full", "closed_full"},
	{ROLE_AGENT, HEALTH_KERNEL, 1, "destroys_dropped", "destroys_dropped"},
	{ROLE_AGENT, HEALTH_KERNEL, 1, "update_failed", "update_failed"},
	{ROLE_AGENT, HEALTH_KERNEL, 1, "eased_bypass", "eased_bypass"},
	{ROLE_COLLECTOR, HEALTH_NETWORK, 1, "lost_network_rows", "lost_network_rows"},
	{ROLE_COLLECTOR, HEALTH_NETWORK, -1, "found_network_rows", "lost_network_rows"},
	{ROLE_COLLECTOR, HEALTH_NETWORK, 1, "refused_rows", "refused_rows"},
	{ROLE_PAIR, HEALTH_BUS, 1, "lost_in_bus", "lost_in_bus"},
	{ROLE_EDGE, HEALTH_GRAPH_BUS, 1, "lost_in_bus", "lost_in_bus"},
};

/* What a collector's line says of datagrams: a clue (+), or found again (-). So does "rejected_<reason>". */
static const struct {
	const char *info, *clue;
	int sign;
} clues[] = {
	{"lost_network_datagrams", "lost_network_datagrams", 1},
	{"found_network_datagrams", "lost_network_datagrams", -1},
	{"kernel_drops", "kernel_drops", 1},
	{"old_datagrams", "old_datagrams", 1},
};

/* Those that may be why a number is missing, see 5. */
static const char *const clues_of_gaps[] = {
	"kernel_drops",       "old_datagrams",      "rejected_short", "rejected_version",
	"rejected_family",    "rejected_truncated", "rejected_agent", "rejected_unsigned",
	"rejected_signature", "rejected_stale",     "rejected_rate",  "rejected_trust_full",
};

struct slot {
	uint32_t interval;
	uint64_t in[ROLES], out[ROLES], lost[ROLES];
	uint64_t more; /* of the collector's in: what no agent of ours put out, see 4 */
};

struct health {
	struct slot *slots; /* by interval */
	size_t n, cap;
	struct slot sum;
	uint64_t *instances; /* set of hashes of (role, name), open addressing; 0 free */
	size_t n_instances, cap_instances;
	unsigned count[ROLES];
	struct health_loss lost[HEALTH_HOPS][HEALTH_LOSSES];
	unsigned n_lost[HEALTH_HOPS];
	struct health_loss clue[HEALTH_CLUES];
	unsigned n_clues;
	uint64_t kernel_in, kernel_out;
	uint64_t stored, before_syn;
};

const char *health_hop_name(enum health_hop h)
{
	return hops[h].name;
}

int health_new(struct health **ret)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? 0 : -ENOMEM;
}

void health_free(struct health *h)
{
	if (!h)
		return;
	free(h->slots);
	free(h->instances);
	free(h);
}

static struct slot *health_slot(struct health *h, uint32_t interval)
{
	size_t lo = 0, hi = h->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (h->slots[mid].interval < interval)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo < h->n && h->slots[lo].interval == interval)
		return &h->slots[lo];
	if (h->n == h->cap) {
		size_t cap = h->cap ? h->cap * 2 : 64;
		struct slot *v = realloc(h->slots, cap * sizeof(*v));

		if (!v)
			return NULL;
		h->slots = v;
		h->cap = cap;
	}
	memmove(&h->slots[lo + 1], &h->slots[lo], (h->n - lo) * sizeof(*h->slots));
	h->slots[lo] = (struct slot){.interval = interval};
	h->n++;
	return &h->slots[lo];
}

static bool instance_put(uint64_t *set, size_t cap, uint64_t hash)
{
	size_t i = hash & (cap - 1);

	while (set[i] && set[i] != hash)
		i = (i + 1) & (cap - 1);
	if (set[i])
		return false;
	set[i] = hash;
	return true;
}

/* Counts an instance the first time. */
static int health_instance(struct health *h, enum role role, struct str name)
{
	uint64_t hash = hash64_seed(name.p, name.n, role) | 1;

	if (h->n_instances * 2 >= h->cap_instances) {
		size_t cap = h->cap_instances ? h->cap_instances * 2 : 64;
		uint64_t *set = calloc(cap, sizeof(*set));

		if (!set)
			return -ENOMEM;
		for (size_t i = 0; i < h->cap_instances; i++)
			if (h->instances[i])
				instance_put(set, cap, h->instances[i]);
		free(h->instances);
		h->instances = set;
		h->cap_instances = cap;
	}
	if (instance_put(h->instances, h->cap_instances, hash)) {
		h->n_instances++;
		h->count[role]++;
	}
	return 0;
}

/* Adds to the one of this name in a list. sign < 0: found again; never below zero in the report. */
static void health_add(struct health_loss *list, unsigned *list_n, unsigned max, struct str name, uint64_t n, int sign)
{
	char text[sizeof(list->name)];
	unsigned i;

	if (!n)
		return;
	str_copy(text, sizeof(text), name);
	for (i = 0; i < *list_n; i++)
		if (!strcmp(list[i].name, text))
			break;
	if (i == max)
		i--; /* the last one takes the rest */
	if (i == *list_n) {
		strcpy(list[i].name, text);
		++*list_n;
	}
	list[i].n += sign < 0 ? 0 - n : n;
}

static void health_lose(struct health *h, enum health_hop hop, struct str name, uint64_t n, int sign)
{
	health_add(h->lost[hop], &h->n_lost[hop], HEALTH_LOSSES, name, n, sign);
}

static bool is_refusal(struct str name)
{
	return name.n > 9 && !memcmp(name.p, "rejected_", 9);
}

/* What a collector's line says of datagrams. */
static void health_clues(struct health *h, const struct flow_ledger *l)
{
	for (unsigned i = 0; i < ARRAY_LEN(clues); i++)
		health_add(h->clue, &h->n_clues, HEALTH_CLUES, str_from(clues[i].clue),
			   flow_count_get(l->info, l->n_info, clues[i].info), clues[i].sign);
	for (unsigned i = 0; i < l->n_info; i++)
		if (is_refusal(l->info[i].name))
			health_add(h->clue, &h->n_clues, HEALTH_CLUES, l->info[i].name, l->info[i].n, 1);
}

int health_line(struct health *h, const struct flow_ledger *l, bool kernel)
{
	enum health_hop own = HEALTH_HOPS;
	enum role role = 0;
	struct slot *s;
	int r;

	while (role < ROLES && !str_eq(l->role, str_from(role_names[role])))
		role++;
	if (role == ROLES)
		return 0;
	s = health_slot(h, l->interval);
	if (!s)
		return -ENOMEM;
	r = health_instance(h, role, l->instance);
	if (r)
		return r;
	for (unsigned i = HEALTH_AGENT; i <= HEALTH_STORE; i++)
		if (hops[i].from == role && hops[i].to == role)
			own = i;
	s->in[role] += l->rows_in;
	s->out[role] += l->rows_out;
	if (role == ROLE_COLLECTOR) {
		uint64_t more = flow_count_get(l->info, l->n_info, "sampled_rows") +
				flow_count_get(l->info, l->n_info, "doubled_rows");

		s->more += more;
		h->sum.more += more;
		health_clues(h, l);
	}
	h->sum.in[role] += l->rows_in;
	h->sum.out[role] += l->rows_out;
	for (unsigned i = 0; i < l->n_lost; i++) {
		s->lost[role] += l->lost[i].n;
		health_lose(h, own, l->lost[i].name, l->lost[i].n, 1);
	}
	for (unsigned i = 0; i < ARRAY_LEN(notices); i++)
		if (notices[i].role == role && (notices[i].hop != HEALTH_KERNEL || kernel))
			health_lose(h, notices[i].hop, str_from(notices[i].reason),
				    flow_count_get(l->info, l->n_info, notices[i].info), notices[i].sign);
	if (role == ROLE_AGENT && kernel) {
		h->kernel_in += flow_count_get(l->info, l->n_info, "active_opens") +
				flow_count_get(l->info, l->n_info, "passive_opens");
		h->kernel_out += flow_count_get(l->info, l->n_info, "attempts") +
				 flow_count_get(l->info, l->n_info, "opened_server");
	}
	return 0;
}

void health_stored(struct health *h, uint64_t rows, uint64_t before_syn)
{
	h->stored = rows;
	h->before_syn = before_syn;
}

static int64_t hop_missing(const struct slot *s, enum health_hop hop)
{
	unsigned from = hops[hop].from, to = hops[hop].to;

	if (from == to)
		return (int64_t)(s->in[from] - s->out[from] - s->lost[from]);
	return (int64_t)(s->out[from] + (hop == HEALTH_NETWORK ? s->more : 0) - s->in[to]);
}

static bool explains_gap(const char *clue)
{
	for (unsigned i = 0; i < ARRAY_LEN(clues_of_gaps); i++)
		if (!strcmp(clues_of_gaps[i], clue))
			return true;
	return false;
}

static void report_clue(struct health_report *r, const struct health_loss *c)
{
	unsigned i = r->n_clues;

	if ((int64_t)c->n <= 0 || i == HEALTH_CLUES)
		return;
	for (r->n_clues++; i > 0 && r->clues[i - 1].n < c->n; i--)
		r->clues[i] = r->clues[i - 1];
	r->clues[i] = *c;
}

static void report_clues(const struct health *h, struct health_report *r)
{
	struct health_loss way = {.name = "on_the_way"};
	uint64_t gaps = 0, known = 0;

	for (unsigned i = 0; i < h->n_clues; i++) {
		const struct health_loss *c = &h->clue[i];
		bool copies = !strcmp(c->name, "rejected_replayed"); /* the network doubles some: nothing is lost */

		report_clue(r, c);
		if (!strcmp(c->name, "lost_network_datagrams"))
			gaps = (int64_t)c->n > 0 ? c->n : 0;
		else if (explains_gap(c->name))
			known += c->n;
		r->refused += is_refusal(str_from(c->name)) && !copies ? c->n : 0;
	}
	way.n = gaps > known ? gaps - known : 0;
	report_clue(r, &way);
}

static void health_intervals(const struct health *h, enum health_hop hop, struct health_report *r)
{
	if (hop == HEALTH_KERNEL || hop == HEALTH_STORED)
		return;
	for (size_t i = 0; i < h->n && r->n_intervals < HEALTH_INTERVALS_MAX; i++) {
		int64_t missing = hop_missing(&h->slots[i], hop);

		if (!missing)
			continue;
		r->intervals[r->n_intervals].interval = h->slots[i].interval;
		r->intervals[r->n_intervals++].missing = missing;
	}
}

static void health_hop(const struct health *h, enum health_hop hop, struct health_report *r)
{
	unsigned from = hops[hop].from, to = hops[hop].to;
	int64_t slack = 0;

	*r = (struct health_report){.instances = h->count[from]};
	switch (hop) {
	case HEALTH_KERNEL:
		/* Differences between two readings: a namespace that went away can make one negative. */
		r->in = (int64_t)h->kernel_in < 0 ? 0 : h->kernel_in;
		r->out = h->kernel_out - (h->before_syn < h->kernel_out ? h->before_syn : h->kernel_out);
		slack = 2 + (int64_t)(r->in / 1000);
		break;
	case HEALTH_STORED:
		r->in = h->sum.out[ROLE_STORE];
		r->out = h->stored;
		break;
	default:
		r->in = from == to ? h->sum.in[from] : h->sum.out[from];
		r->out = from == to ? h->sum.out[to] : h->sum.in[to];
		if (hop == HEALTH_NETWORK)
			r->in += h->sum.more;
	}
	for (unsigned i = 0; i < h->n_lost[hop]; i++) {
		/* More found again than lost: the loss was noticed before the range began. */
		if ((int64_t)h->lost[hop][i].n <= 0)
			continue;
		r->lost[r->n_lost++] = h->lost[hop][i];
		r->lost_total += h->lost[hop][i].n;
	}
	/* Between roles a gap may be noticed in one interval and belong to another: it explains what is missing, no more. */
	if ((from != to || hop == HEALTH_KERNEL) && r->n_lost) {
		int64_t gap = (int64_t)(r->in - r->out);
		uint64_t most = gap > 0 ? (uint64_t)gap : 0;

		for (unsigned i = r->n_lost; i-- > 0 && r->lost_total > most;) {
			uint64_t over = r->lost_total - most, cut = over < r->lost[i].n ? over : r->lost[i].n;

			r->lost[i].n -= cut;
			r->lost_total -= cut;
		}
	}
	if (hop == HEALTH_NETWORK)
		report_clues(h, r);
	r->missing = (int64_t)(r->in - r->out - r->lost_total);
	r->adds_up = hop == HEALTH_KERNEL ? r->missing <= slack : r->missing == 0;
	if (!r->adds_up || r->lost_total)
		health_intervals(h, hop, r);
}

enum health_hop health_chain(struct health *h, struct health_report ret[HEALTH_HOPS])
{
	enum health_hop first = HEALTH_HOPS;

	for (unsigned i = 0; i < HEALTH_HOPS; i++) {
		health_hop(h, i, &ret[i]);
		if (!ret[i].adds_up && first == HEALTH_HOPS)
			first = i;
	}
	return first;
}
