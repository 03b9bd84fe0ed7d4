/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/names.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/births.h"
#include "agent/cgpath.h"
#include "agent/cgroups.h"
#include "agent/containers.h"
#include "agent/procs.h"
#include "base/hash.h"

#define NAMES_PROCS 4096
#define NAMES_CHUNK (64u * 1024)
#define NAMES_SLOTS (NAMES_MAX * 2) /* power of two */

/* Strings of one interval, in pieces that are kept for the next. */
struct names_chunk {
	struct names_chunk *next;
	size_t n;
	char p[NAMES_CHUNK];
};

struct names_service {
	uint64_t hash; /* 0: free */
	int64_t seen_us;
};

struct names {
	struct names_opts opts;
	struct cgroups *cgroups;
	struct procs *procs;
	struct containers *containers;
	int64_t now_us;
	struct names_counts counts;
	struct flow_names *v;
	uint32_t n, cap;
	uint32_t slots[NAMES_SLOTS]; /* index + 1 of the names by their hash */
	struct names_chunk *chunks, *chunk;
	struct names_service services[NAMES_SERVICES];
};

int names_new(struct names **ret, const struct names_opts *opts)
{
	struct names *n = calloc(1, sizeof(*n));
	int r = n ? 0 : -ENOMEM;

	if (r == 0) {
		n->opts = *opts;
		r = cgroups_new(&n->cgroups, opts->cgroups);
	}
	if (r == 0)
		r = procs_new(&n->procs, opts->proc, NAMES_PROCS);
	if (r == 0)
		r = containers_new(&n->containers, opts->root ? opts->root : "");
	if (r < 0) {
		names_free(n);
		return r;
	}
	names_begin(n, 0);
	*ret = n;
	return 0;
}

void names_free(struct names *n)
{
	if (!n)
		return;
	while (n->chunks) {
		struct names_chunk *next = n->chunks->next;

		free(n->chunks);
		n->chunks = next;
	}
	free(n->v);
	containers_free(n->containers);
	procs_free(n->procs);
	cgroups_free(n->cgroups);
	births_free(n->opts.births);
	free(n);
}

static void names_born(void *arg, uint64_t id, struct str path)
{
	struct names *n = arg;

	if (path.n)
		cgroups_made(n->cgroups, id, path, n->now_us);
	else
		cgroups_gone(n->cgroups, id, n->now_us);
}

/* What the kernel told since the last time, before an id that it is about is asked for. */
static void names_births(struct names *n)
{
	uint64_t missed = n->counts.cgroups_missed;
	struct births_counts c;

	if (!n->opts.births)
		return;
	births_read(n->opts.births, names_born, n);
	births_counts(n->opts.births, &c);
	n->counts.cgroups_made = c.made;
	n->counts.cgroups_missed = c.missed;
	n->counts.cgroups_ns = c.cost_ns;
	if (c.missed != missed)
		cgroups_missed(n->cgroups);
}

void names_rules(struct names *n, const struct rules *rules)
{
	n->opts.rules = rules;
}

void names_begin(struct names *n, int64_t now_us)
{
	struct names_chunk *c;

	for (c = n->chunks; c; c = c->next)
		c->n = 0;
	n->chunk = n->chunks;
	n->n = 0;
	memset(n->slots, 0, sizeof(n->slots));
	n->now_us = now_us;
	procs_begin(n->procs);
	names_births(n);
}

void names_watch(struct names *n, int64_t now_us)
{
	n->now_us = now_us;
	names_births(n);
	procs_watch(n->procs);
}

/* A copy that lives as long as the interval. n 0 when memory is out. */
static struct str names_copy(struct names *n, struct str s)
{
	char *to;

	if (s.n == 0)
		return s;
	if (!n->chunk || n->chunk->n + s.n > NAMES_CHUNK) {
		struct names_chunk *c = n->chunk ? n->chunk->next : NULL;

		if (!c) {
			c = malloc(sizeof(*c));
			if (!c)
				return (struct str){NULL, 0};
			c->n = 0;
			c->next = NULL;
			*(n->chunk ? &n->chunk->next : &n->chunks) = c;
		}
		n->chunk = c;
	}
	to = n->chunk->p + n->chunk->n;
	memcpy(to, s.p, s.n);
	n->chunk->n += s.n;
	return (struct str){to, s.n};
}

static const struct flow_names names_other = {.service = {"other", 5}, .quality = FLOW_OWNER_UNKNOWN};

/* Index of names equal to *want; their strings are copied. */
static uint32_t names_intern(struct names *n, const struct flow_names *want)
{
	size_t i = flow_names_hash(want) & (NAMES_SLOTS - 1);
	struct flow_names *v;

	for (; n->slots[i]; i = (i + 1) & (NAMES_SLOTS - 1))
		if (flow_names_eq(&n->v[n->slots[i] - 1], want))
			return n->slots[i] - 1;
	if (n->n == n->cap) {
		uint32_t cap = n->cap ? n->cap * 2 : 64;

		v = reallocarray(n->v, cap, sizeof(*v));
		if (!v)
			goto full;
		n->v = v;
		n->cap = cap;
	}
	/* the last place is kept for `other` */
	if (n->n >= NAMES_MAX - 1 && want != &names_other)
		goto full;
	v = &n->v[n->n];
	*v = (struct flow_names){
		.service = names_copy(n, want->service),
		.process = names_copy(n, want->process),
		.unit = names_copy(n, want->unit),
		.container = names_copy(n, want->container),
		.pod = names_copy(n, want->pod),
		.via = names_copy(n, want->via),
		.quality = want->quality,
	};
	n->slots[i] = ++n->n;
	return n->n - 1;
full:
	n->counts.names_full++;
	if (want != &names_other && n->n > 0)
		return names_intern(n, &names_other);
	return 0;
}

/* True when the service may have a place of its own. */
static bool names_service(struct names *n, struct str service)
{
	uint64_t h = hash64(service.p, service.n) | 1;
	struct names_service *s, *place = NULL;
	size_t i;

	for (i = 0; i < NAMES_SERVICES; i++) {
		s = &n->services[(h + i) % NAMES_SERVICES];
		if (s->hash == h) {
			s->seen_us = n->now_us;
			return true;
		}
		if (!place && (!s->hash || n->now_us - s->seen_us > NAMES_SERVICE_US))
			place = s;
		if (!s->hash)
			break;
	}
	if (!place)
		return false;
	*place = (struct names_service){h, n->now_us};
	return true;
}

/* All that was found out about an owner. Texts are clean and cut. */
struct names_facts {
	char unit[FLOW_NAME_MAX + 1], container[FLOW_NAME_MAX + 1], pod[FLOW_NAME_MAX + 1], path[4096];
	char service[FLOW_NAME_MAX + 1], process[32], env[FLOW_NAME_MAX + 1];
	char container_name[FLOW_NAME_MAX + 1];
	char pod_name[FLOW_NAME_MAX + 1]; /* without its namespace; "" its name is not known */
	bool system, owned;
};

/* A pod is called <namespace>/<name> where both are known. */
static void names_pod_facts(const struct container *known, struct names_facts *f)
{
	struct str ns = str_from(known->ns), pod = str_from(known->pod);

	if (!pod.n)
		return;
	str_copy(f->pod_name, sizeof(f->pod_name), pod);
	if (ns.n && ns.n + 1 + pod.n < sizeof(f->pod))
		snprintf(f->pod, sizeof(f->pod), "%.*s/%.*s", STR_FMT(ns), STR_FMT(pod));
	else
		str_copy(f->pod, sizeof(f->pod), pod);
}

static void names_path_facts(struct names *n, struct str path, struct names_facts *f)
{
	const struct container *known = NULL;
	struct cgpath p;

	cgpath_parse(path, &p);
	(void)cgpath_clean(path, f->path, sizeof(f->path));
	(void)cgpath_clean(p.unit, f->unit, sizeof(f->unit));
	(void)cgpath_clean(p.container, f->container, sizeof(f->container));
	snprintf(f->pod, sizeof(f->pod), "%s", p.pod);
	f->system = p.system;
	f->owned = p.owned;
	if (p.container.n && !p.system)
		known = containers_get(n->containers, (struct str){p.container.p, 64}, n->now_us);
	if (known) {
		snprintf(f->container_name, sizeof(f->container_name), "%s", known->name);
		names_pod_facts(known, f);
	}
	if (p.pod[0] && !f->pod_name[0]) {
		known = containers_pod(n->containers, str_from(p.pod), n->now_us);
		if (known)
			names_pod_facts(known, f);
	}
}

static struct str names_by_facts(const struct names *n, struct names_facts *f)
{
	const struct str facts[RULES_WHATS] = {
		[RULES_UNIT] = str_from(f->unit),
		[RULES_CONTAINER] = str_from(f->container_name[0] ? f->container_name : f->container),
		[RULES_EXE] = str_from(f->process),
		[RULES_CGROUP] = str_from(f->path),
		[RULES_POD] = str_from(f->pod),
	};
	bool nested = f->container[0] && !f->owned && !f->system;
	struct str s;

	if (f->env[0])
		return str_from(f->env);
	s = rules_find(n->opts.rules, facts);
	if (s.n)
		return s;
	if (f->pod_name[0])
		return (struct str){f->pod_name, cgpath_pod_owner(str_from(f->pod_name))};
	if (nested && f->container_name[0])
		return str_from(f->container_name);
	if (!nested && f->unit[0]) {
		s = (struct str){f->service, cgpath_service(str_from(f->unit), f->service, sizeof(f->service))};
		if (s.n)
			return s;
	}
	if (f->container[0])
		return str_from(f->container);
	return str_from(f->process);
}

/* The path that names: the socket's v2 one, else what /proc says of the process; `holds`: the process was seen with the
 * socket, and where it lives counts first. */
static struct str names_path(struct names *n, uint64_t cgroup, const struct procs_one *proc, bool holds)
{
	struct str path = {NULL, 0};

	if (proc && (!proc->placed || proc->young))
		procs_moved(n->procs, proc->pid);
	if (holds && proc && proc->v2)
		return str_from(proc->cgroup);
	if (cgroup > 1) {
		path = cgroups_path(n->cgroups, cgroup, n->now_us);
		n->counts.unknown_cgroups += path.n == 0;
	}
	if (path.n <= 1 && proc)
		path = str_from(proc->cgroup);
	return path;
}

static uint32_t names_build(struct names *n, uint64_t cgroup, uint32_t pid, const char *comm, bool kernel, bool holds,
			    uint8_t quality)
{
	const struct procs_one *proc = kernel ? NULL : procs_get(n->procs, pid, comm);
	struct names_facts *f = &(struct names_facts){0};
	struct flow_names out = {.quality = quality};

	if (kernel)
		snprintf(f->process, sizeof(f->process), "kernel");
	else
		(void)cgpath_clean(comm && comm[0] ? (struct str){comm, strnlen(comm, SKY_COMM)}
						   : str_from(proc ? proc->comm : ""),
				   f->process, sizeof(f->process));
	if (proc)
		snprintf(f->env, sizeof(f->env), "%.*s", FLOW_NAME_MAX, proc->service);
	if (!kernel)
		names_path_facts(n, names_path(n, cgroup, proc, holds), f);
	out.service = names_by_facts(n, f);
	if (out.service.n == 0)
		out.quality = FLOW_OWNER_UNKNOWN;
	else if (!names_service(n, out.service)) {
		n->counts.services_full++;
		return names_intern(n, &names_other);
	}
	out.process = str_from(f->process);
	out.unit = str_from(f->unit);
	out.container = str_from(f->container);
	out.pod = str_from(f->pod);
	return names_intern(n, &out);
}

uint32_t names_of(struct names *n, const struct sky_owner *o, uint32_t tgid)
{
	uint8_t quality = o->flags & SKY_OWNER_SCAN        ? FLOW_OWNER_SCAN
			  : o->flags & SKY_OWNER_INHERITED ? FLOW_OWNER_INHERITED
							   : FLOW_OWNER_EXACT;
	char comm[SKY_COMM + 1] = "";

	memcpy(comm, o->comm, SKY_COMM);
	return names_build(n, o->cgroup, o->tgid ? o->tgid : tgid, comm[0] ? comm : NULL, o->flags & SKY_OWNER_KERNEL,
			   false, quality);
}

uint32_t names_of_pid(struct names *n, uint32_t pid, uint64_t cgroup)
{
	return names_build(n, cgroup, pid, NULL, false, true,
			   pid          ? FLOW_OWNER_SCAN
			   : cgroup > 1 ? FLOW_OWNER_INHERITED
					: FLOW_OWNER_UNKNOWN);
}

enum names_where names_where(struct names *n, uint32_t pid, uint64_t cgroup, char comm[SKY_COMM])
{
	const struct procs_one *proc = procs_get(n->procs, pid, NULL);
	struct str path, own;

	if (!proc || !proc->alive)
		return NAMES_GONE;
	procs_moved(n->procs, pid);
	memset(comm, 0, SKY_COMM);
	memcpy(comm, proc->comm, strnlen(proc->comm, SKY_COMM));
	if (cgroup <= 1 || !proc->v2)
		return NAMES_HERE;
	own = str_from(proc->cgroup);
	path = cgroups_path(n->cgroups, cgroup, n->now_us);
	/* a long one is cut in front; in a cgroup namespace both begin at its root, but for what the kernel told */
	if (path.n > own.n)
		path = (struct str){path.p + path.n - own.n, own.n};
	return path.n == 0 || str_eq(path, own) ? NAMES_HERE : NAMES_ELSEWHERE;
}

uint32_t names_via(struct names *n, uint32_t index, struct str via)
{
	struct flow_names want = n->v[index];

	want.via = via;
	return names_intern(n, &want);
}

const struct flow_names *names_at(const struct names *n, uint32_t index)
{
	return &n->v[index];
}

uint32_t names_count(const struct names *n)
{
	return n->n;
}

void names_counts(const struct names *n, struct names_counts *ret)
{
	*ret = n->counts;
}
