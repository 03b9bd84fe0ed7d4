/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/udp.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/bpf/udp.h"
#include "agent/dgram.skel.h"
#include "agent/load.h"
#include "agent/nat.h"
#include "base/clock.h"
#include "base/table.h"

#define UDP_BATCH 256
#define UDP_SWEEP 16    /* intervals between two walks over all sockets, those without a peer too */
#define UDP_NAT_ROWS 13 /* sixteenths of the rows until which translated ones are split; drained early at 12 */
#define UDP_ENTRY_NS 25 /* a packet's way into a program and out, which its own clock does not see */

struct udp {
	struct dgram *skel;
	enum udp_mode wanted, mode;
	int cgroup; /* root of the v2 hierarchy: programs of datagrams come and go */
	int inner[2];
	unsigned active;
	uint32_t max_rows;
	uint32_t round;
	struct nat *nat;
	pthread_t thread;
	int64_t began_us; /* the last swap */
	int swapped;
	uint64_t lost_rows_user, adopted;
};

static const char *const udp_names[] = {[UDP_OFF] = "off", [UDP_CONNECT] = "connect", [UDP_BYTES] = "bytes"};

int udp_parse(const char *text, enum udp_mode *ret)
{
	for (size_t i = 0; i < ARRAY_LEN(udp_names); i++)
		if (!strcmp(text, udp_names[i])) {
			*ret = (enum udp_mode)i;
			return 0;
		}
	return -EINVAL;
}

const char *udp_name(enum udp_mode mode)
{
	return udp_names[mode];
}

static int udp_maps(struct udp *u, const struct udp_opts *o)
{
	for (unsigned i = 0; i < 2; i++) {
		u->inner[i] = bpf_map_create(BPF_MAP_TYPE_HASH, i ? "udp_rows_b" : "udp_rows_a",
					     sizeof(struct sky_row_key), sizeof(struct sky_udp_row), u->max_rows, NULL);
		if (u->inner[i] < 0)
			return -errno;
	}
	bpf_map__set_max_entries(u->skel->maps.udp_socks, o->max_socks ? o->max_socks : UDP_SOCKS);
	return bpf_map__set_inner_map_fd(u->skel->maps.udp_rows, u->inner[0]);
}

static int udp_fill(struct udp *u, const struct udp_opts *o)
{
	uint32_t zero = 0, one = 1;

	if (bpf_map__update_elem(u->skel->maps.udp_rows, &zero, sizeof(zero), &u->inner[0], sizeof(int), BPF_ANY))
		return -errno;
	for (size_t i = 0; i < o->n_netns; i++)
		if (bpf_map__update_elem(u->skel->maps.watched, &o->netns[i], 4, &one, 4, BPF_ANY))
			return -errno;
	return 0;
}

static int udp_load(struct udp *u, const struct udp_opts *o, enum udp_mode mode)
{
	LIBBPF_OPTS(bpf_object_open_opts, open, .btf_custom_path = o->btf && o->btf[0] ? o->btf : NULL);
	int r;

	u->skel = dgram__open_opts(&open);
	if (!u->skel)
		return -errno;
	bpf_program__set_autoload(u->skel->progs.udp_create, mode == UDP_BYTES);
	bpf_program__set_autoload(u->skel->progs.udp_egress, mode == UDP_BYTES);
	bpf_program__set_autoload(u->skel->progs.udp_ingress, mode == UDP_BYTES);
	u->skel->rodata->watch_some = o->n_netns > 0;
	u->skel->rodata->max_peers = o->max_peers ? o->max_peers : UDP_PEERS;
	u->skel->rodata->nat_rows_max = u->max_rows / 16 * UDP_NAT_ROWS;
	u->skel->rodata->port_low = o->port_low;
	u->skel->rodata->port_high = o->port_high;
	r = udp_maps(u, o);
	if (!r)
		r = dgram__load(u->skel);
	return r ? r : udp_fill(u, o);
}

static int udp_attach_one(struct udp *u, struct bpf_program *p, struct bpf_link **link)
{
	*link = bpf_program__attach_cgroup(p, u->cgroup);
	return *link ? 0 : -errno;
}

static int udp_attach_bytes(struct udp *u)
{
	struct dgram *s = u->skel;
	int r = udp_attach_one(u, s->progs.udp_create, &s->links.udp_create);

	if (!r)
		r = udp_attach_one(u, s->progs.udp_egress, &s->links.udp_egress);
	return r ? r : udp_attach_one(u, s->progs.udp_ingress, &s->links.udp_ingress);
}

/* The ends first: what begins has one then. */
static int udp_attach(struct udp *u, enum udp_mode mode)
{
	struct dgram *s = u->skel;
	int r = udp_attach_one(u, s->progs.udp_release, &s->links.udp_release);

	if (!r)
		r = udp_attach_one(u, s->progs.udp_connect4, &s->links.udp_connect4);
	if (!r)
		r = udp_attach_one(u, s->progs.udp_connect6, &s->links.udp_connect6);
	return r || mode != UDP_BYTES ? r : udp_attach_bytes(u);
}

static void udp_unload(struct udp *u)
{
	dgram__destroy(u->skel);
	u->skel = NULL;
	for (unsigned i = 0; i < 2; i++) {
		if (u->inner[i] >= 0)
			close(u->inner[i]);
		u->inner[i] = -1;
	}
}

/* Modes from the one wanted down to off; the reasons of those that failed go to `why`. */
static void udp_try(struct udp *u, const struct udp_opts *o, char *why, size_t why_len)
{
	size_t n = 0;
	int r;

	for (enum udp_mode mode = o->mode; mode > UDP_OFF; mode--) {
		r = udp_load(u, o, mode);
		if (!r)
			r = udp_attach(u, mode);
		if (!r) {
			u->mode = mode;
			return;
		}
		n += (size_t)snprintf(why + n, n < why_len ? why_len - n : 0, "%s%s: %s", n ? "; " : "", udp_name(mode),
				      strerror(-r));
		n = n < why_len ? n : why_len;
		udp_unload(u);
	}
}

/* An address that stands for others (agent/nat.h). */
static int udp_list(void *arg, const uint8_t address[16])
{
	struct udp *u = arg;
	uint32_t one = 1;

	if (bpf_map__update_elem(u->skel->maps.nat_ends, address, 16, &one, sizeof(one), BPF_ANY))
		return -errno;
	u->skel->bss->nat_listed++;
	return 0;
}

int udp_open(struct udp **ret, const struct udp_opts *opts, char *why, size_t why_len)
{
	struct udp *u;

	why[0] = '\0';
	*ret = NULL;
	if (opts->mode == UDP_OFF)
		return 0;
	u = calloc(1, sizeof(*u));
	if (!u)
		return -ENOMEM;
	u->inner[0] = u->inner[1] = -1;
	u->max_rows = opts->max_rows ? opts->max_rows : UDP_ROWS;
	u->wanted = opts->mode;
	u->cgroup = load_cgroup2();
	if (u->cgroup < 0)
		snprintf(why, why_len, "the v2 cgroup hierarchy cannot be opened: %s", strerror(-u->cgroup));
	else
		udp_try(u, opts, why, why_len);
	if (u->mode == UDP_OFF) {
		udp_close(u);
		return 0;
	}
	u->nat = opts->nat;
	if (u->nat)
		nat_list_by(u->nat, IPPROTO_UDP, udp_list, u);
	*ret = u;
	return 0;
}

void udp_close(struct udp *u)
{
	if (!u)
		return;
	if (u->nat)
		nat_list_by(u->nat, IPPROTO_UDP, NULL, NULL);
	udp_unload(u);
	if (u->cgroup >= 0)
		close(u->cgroup);
	free(u);
}

enum udp_mode udp_mode(const struct udp *u)
{
	return u ? u->mode : UDP_OFF;
}

int udp_know(struct udp *u, const struct sky_udp_sock *sock)
{
	if (bpf_map__update_elem(u->skel->maps.udp_socks, &sock->cookie, sizeof(sock->cookie), sock, sizeof(*sock),
				 BPF_NOEXIST))
		return errno == EEXIST ? 0 : -errno;
	u->adopted++;
	return 0;
}

static int udp_ask(struct udp *u, uint64_t cut_ns)
{
	char packet[64] = {0};
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = packet, .data_size_in = sizeof(packet));

	if (!u->skel->data_ask->ask.n)
		return 0;
	u->skel->data_ask->ask.cut_ns = cut_ns;
	if (bpf_prog_test_run_opts(bpf_program__fd(u->skel->progs.udp_walk), &run))
		return -errno;
	u->skel->data_ask->ask.n = 0;
	return 0;
}

/* Every socket with a peer; now and then all, to find those whose release was missed. */
static int udp_walk(struct udp *u, uint64_t cut_ns)
{
	int fd = bpf_map__fd(u->skel->maps.udp_socks), err = 0, r = 0;
	struct sky_udp_sock *socks = malloc(UDP_BATCH * sizeof(*socks));
	struct sky_udp_ask *ask = &u->skel->data_ask->ask;
	uint64_t keys[UDP_BATCH];
	bool all = u->round++ % UDP_SWEEP == 0, first = true;
	uint32_t at = 0, n;

	if (!socks)
		return -ENOMEM;
	ask->n = 0;
	while (!err && !r) {
		n = UDP_BATCH;
		err = bpf_map_lookup_batch(fd, first ? NULL : &at, &at, keys, socks, &n, NULL) ? errno : 0;
		if (err && err != ENOENT)
			break;
		for (uint32_t i = 0; i < n && !r; i++) {
			if (!all && !socks[i].dialled)
				continue;
			ask->cookie[ask->n++] = keys[i];
			if (ask->n == SKY_SLICE)
				r = udp_ask(u, cut_ns);
		}
		first = false;
	}
	if (!r)
		r = udp_ask(u, cut_ns);
	free(socks);
	return r ? r : err && err != ENOENT ? -err : 0;
}

static void *udp_swap(void *arg)
{
	struct udp *u = arg;
	uint32_t zero = 0;

	u->swapped = bpf_map__update_elem(u->skel->maps.udp_rows, &zero, sizeof(zero), &u->inner[!u->active],
					  sizeof(int), BPF_ANY)
			     ? -errno
			     : 0;
	return NULL;
}

static void udp_row(const struct sky_udp_row *from, struct sky_row_value *to)
{
	uint32_t listed = 0;

	memset(to, 0, sizeof(*to));
	to->opened = from->opened;
	to->closed = from->closed;
	to->open_ms = from->open_ms;
	to->tx_bytes = from->sums.tx_bytes;
	to->rx_bytes = from->sums.rx_bytes;
	to->tx_segs = from->sums.tx_segs;
	to->rx_segs = from->sums.rx_segs;
	to->tgid = from->tgid;
	memcpy(to->ports, from->ports, sizeof(to->ports));
	while (listed < SKY_PORTS && to->ports[listed])
		listed++;
	to->ports_seen = listed + (listed == SKY_PORTS || from->listed != listed); /* at least */
	if (to->opened > to->ports_seen)
		to->ports_seen = (uint32_t)to->opened;
}

static int udp_take(struct udp *u, int fd, struct agent_rows *rows)
{
	struct sky_row_key *keys = malloc(UDP_BATCH * sizeof(*keys));
	struct sky_udp_row *vals = malloc(UDP_BATCH * sizeof(*vals));
	struct sky_row_value val;
	uint32_t at = 0, n;
	bool first = true;
	int err = keys && vals ? 0 : ENOMEM;

	while (!err) {
		n = UDP_BATCH;
		err = bpf_map_lookup_and_delete_batch(fd, first ? NULL : &at, &at, keys, vals, &n, NULL) ? errno : 0;
		if (err && err != ENOENT)
			break;
		for (uint32_t i = 0; i < n; i++) {
			udp_row(&vals[i], &val);
			nat_row(u->nat, &keys[i], &val);
			u->lost_rows_user += agent_rows_add(rows, &keys[i], &val) != 0;
		}
		first = false;
	}
	free(keys);
	free(vals);
	return err == ENOENT ? 0 : -err;
}

static int udp_swap_begin(struct udp *u)
{
	u->skel->bss->counters.rows_made = 0;
	u->began_us = clock_mono_us();
	return -pthread_create(&u->thread, NULL, udp_swap, u);
}

int udp_begin(struct udp *u, int64_t cut_us)
{
	int r = u && !u->skel->bss->bypass ? udp_walk(u, (uint64_t)cut_us * 1000) : 0;

	if (r || !u)
		return r;
	u->skel->bss->epoch++;
	return udp_swap_begin(u);
}

int udp_end(struct udp *u, struct agent_rows *rows)
{
	int r;

	if (!u)
		return 0;
	r = -pthread_join(u->thread, NULL);
	if (!r)
		r = u->swapped;
	if (r)
		return r;
	u->active = !u->active;
	nat_refresh(u->nat); /* of whatever is in the map, the translation was told */
	r = udp_take(u, u->inner[!u->active], rows);
	if (!r)
		nat_drained(u->nat, IPPROTO_UDP, u->began_us);
	return r;
}

int udp_relieve(struct udp *u, struct agent_rows *rows)
{
	int r;

	if (!u || u->skel->bss->counters.rows_made <= u->max_rows / 4 * 3)
		return 0;
	r = udp_swap_begin(u);
	return r ? r : udp_end(u, rows);
}

static void udp_detach_bytes(struct udp *u)
{
	struct bpf_link **links[] = {&u->skel->links.udp_egress, &u->skel->links.udp_ingress,
				     &u->skel->links.udp_create};

	for (size_t i = 0; i < ARRAY_LEN(links); i++) {
		bpf_link__destroy(*links[i]);
		*links[i] = NULL;
	}
}

int udp_ease(struct udp *u, bool down)
{
	int r;

	if (!u || u->wanted != UDP_BYTES || (u->mode == UDP_CONNECT) == down)
		return 0;
	if (down) {
		udp_detach_bytes(u);
		u->mode = UDP_CONNECT;
		return 0;
	}
	r = udp_attach_bytes(u);
	if (r)
		udp_detach_bytes(u);
	else
		u->mode = UDP_BYTES;
	return r;
}

bool udp_bypass(struct udp *u, bool on)
{
	bool was = u && u->skel->bss->bypass;
	uint64_t cookie;
	int fd;

	if (!u || was == on)
		return false;
	if (was) { /* sockets were released meanwhile */
		fd = bpf_map__fd(u->skel->maps.udp_socks);
		while (!bpf_map_get_next_key(fd, NULL, &cookie) && !bpf_map_delete_elem(fd, &cookie))
			;
	}
	u->skel->bss->bypass = on;
	return was;
}

void udp_counts(const struct udp *u, struct udp_counts *ret)
{
	const struct sky_udp_counters *k;

	*ret = (struct udp_counts){0};
	if (!u)
		return;
	k = &u->skel->bss->counters;
	*ret = (struct udp_counts){
		.socks_full = k->socks_full,
		.rows_full = k->rows_full,
		.lost_segs = k->lost_segs,
		.lost_bytes = k->lost_bytes,
		.lost_rows_user = u->lost_rows_user,
		.others = k->others,
		.unread = k->unread,
		.late = k->late,
		.ended = k->ended,
		.adopted = u->adopted,
	};
	for (unsigned i = 0; i < SKY_CPUS; i++) {
		const struct sky_udp_cost *c = &u->skel->bss->cost[i];

		ret->packets += c->runs;
		ret->cost_ns += c->sampled_ns * SKY_UDP_SAMPLE + c->runs * UDP_ENTRY_NS;
	}
}

void udp_stats(const struct udp *u, uint64_t *ret_ns, uint64_t *ret_runs)
{
	uint64_t missed;

	*ret_ns = *ret_runs = 0;
	if (u)
		load_stats(u->skel->obj, ret_ns, ret_runs, &missed);
}
