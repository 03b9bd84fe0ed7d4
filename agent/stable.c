/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/stable.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/load.h"
#include "agent/stable.skel.h"
#include "agent/tracepoint.h"
#include "base/table.h"

#define ENDED_MIN 16384 /* ends that wait for a look; there are eight in an interval */
#define FORMAT_MAX 8192

#define RAW_EVENTS 4

struct stable {
	struct stable_bpf *skel;
	struct bpf_link *raw[RAW_EVENTS][STABLE_COPIES];
	unsigned copies; /* of the programs on raw tracepoints */
	bool errors;
};

int stable_field(const char *format, const char *name, uint16_t *ret_offset, uint16_t *ret_size)
{
	const char *p = format;
	size_t n = strlen(name);

	while ((p = strstr(p, "field:"))) {
		const char *end = strchr(p, ';'), *at, *bracket;
		unsigned offset, size;

		if (!end)
			break;
		bracket = strncmp(p, "field:__data_loc ", 17) == 0 ? NULL : memchr(p, '[', (size_t)(end - p));
		at = (bracket ? bracket : end) - n;
		p += strlen("field:");
		if (at <= p || memcmp(at, name, n) != 0 || (at[-1] != ' ' && at[-1] != '*'))
			continue;
		if (sscanf(end, "; offset:%u; size:%u;", &offset, &size) != 2 || offset > 0xff || size > 0xff)
			return -EPROTO;
		*ret_offset = (uint16_t)offset;
		*ret_size = (uint16_t)size;
		return 0;
	}
	return -ENOENT;
}

#define AT(member) offsetof(struct stable_offsets, member)
#define NO_SIZE 0xffff

/* What is read of each event. `size` is where its size goes; else it must be the one expected. */
static const struct {
	const char *event, *name;
	size_t offset, size;
	uint16_t expected;
} fields[] = {
	{"sock/inet_sock_set_state", "skaddr", AT(state.skaddr), NO_SIZE, 8},
	{"sock/inet_sock_set_state", "oldstate", AT(state.oldstate), NO_SIZE, 4},
	{"sock/inet_sock_set_state", "newstate", AT(state.newstate), NO_SIZE, 4},
	{"sock/inet_sock_set_state", "sport", AT(state.sport), NO_SIZE, 2},
	{"sock/inet_sock_set_state", "dport", AT(state.dport), NO_SIZE, 2},
	{"sock/inet_sock_set_state", "family", AT(state.family), NO_SIZE, 2},
	{"sock/inet_sock_set_state", "protocol", AT(state.protocol), AT(state.protocol_size), 0},
	{"sock/inet_sock_set_state", "saddr", AT(state.saddr), NO_SIZE, 4},
	{"sock/inet_sock_set_state", "daddr", AT(state.daddr), NO_SIZE, 4},
	{"sock/inet_sock_set_state", "saddr_v6", AT(state.saddr_v6), NO_SIZE, 16},
	{"sock/inet_sock_set_state", "daddr_v6", AT(state.daddr_v6), NO_SIZE, 16},
	{"tcp/tcp_destroy_sock", "skaddr", AT(destroy.skaddr), NO_SIZE, 8},
	{"tcp/tcp_destroy_sock", "sock_cookie", AT(destroy.cookie), NO_SIZE, 8},
	{"tcp/tcp_receive_reset", "skaddr", AT(reset_in.skaddr), NO_SIZE, 8},
	{"tcp/tcp_send_reset", "skaddr", AT(reset_out.skaddr), NO_SIZE, 8},
	{"sock/inet_sk_error_report", "error", AT(error.error), NO_SIZE, 4},
	{"sock/inet_sk_error_report", "sport", AT(error.sport), NO_SIZE, 2},
	{"sock/inet_sk_error_report", "dport", AT(error.dport), NO_SIZE, 2},
};

static int event_fields(int tracefs, const char *event, struct stable_offsets *ret, char *why, size_t why_len)
{
	char format[FORMAT_MAX];
	uint16_t size;
	int r = tracepoint_read(tracefs, event, "format", format, sizeof(format));

	if (r < 0)
		snprintf(why, why_len, "the tracepoint %s cannot be read: %s", event, strerror(-r));
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(fields); i++) {
		if (strcmp(fields[i].event, event) != 0)
			continue;
		r = stable_field(format, fields[i].name, (uint16_t *)((char *)ret + fields[i].offset), &size);
		if (r == 0 && fields[i].size != NO_SIZE)
			*(uint16_t *)((char *)ret + fields[i].size) = size;
		else if (r == 0 && size != fields[i].expected)
			r = -EPROTO;
		if (r < 0)
			snprintf(why, why_len, "the tracepoint %s has no field %s as it is known", event,
				 fields[i].name);
	}
	return r;
}

/* Programs and their events. Those that must be are first, the state's last of them: it is attached when all else listens. */
struct attachment {
	const char *event;
	struct bpf_program *prog;
	struct bpf_link **link;
	bool must;
};

#define EVENTS 5

/* Copies of the programs on raw tracepoints, one row an event. */
static void raw_programs(struct stable_bpf *k, struct bpf_program *ret[RAW_EVENTS][STABLE_COPIES])
{
	struct bpf_program *const v[RAW_EVENTS][STABLE_COPIES] = {
		{k->progs.destroy_a, k->progs.destroy_b, k->progs.destroy_c, k->progs.destroy_d},
		{k->progs.reset_in_a, k->progs.reset_in_b, k->progs.reset_in_c, k->progs.reset_in_d},
		{k->progs.reset_out_a, k->progs.reset_out_b, k->progs.reset_out_c, k->progs.reset_out_d},
		{k->progs.state_a, k->progs.state_b, k->progs.state_c, k->progs.state_d},
	};

	memcpy(ret, v, sizeof(v));
}

static void attachments(struct stable_bpf *k, struct attachment ret[EVENTS])
{
	const struct attachment v[EVENTS] = {
		{"tcp/tcp_destroy_sock", k->progs.on_destroy, &k->links.on_destroy, true},
		{"tcp/tcp_receive_reset", k->progs.on_reset_in, &k->links.on_reset_in, true},
		{"tcp/tcp_send_reset", k->progs.on_reset_out, &k->links.on_reset_out, false},
		{"sock/inet_sk_error_report", k->progs.on_error, &k->links.on_error, false},
		{"sock/inet_sock_set_state", k->progs.on_state, &k->links.on_state, true},
	};

	memcpy(ret, v, sizeof(v));
}

static int stable_prepare(struct stable *s, int tracefs, uint32_t max_socks, char *why, size_t why_len)
{
	struct bpf_program *raw[RAW_EVENTS][STABLE_COPIES];
	struct stable_offsets offsets = {0};
	struct attachment a[EVENTS];
	int r = 0;

	s->skel = stable_bpf__open();
	if (!s->skel) {
		snprintf(why, why_len, "BPF: cannot open: %s", strerror(errno));
		return -errno;
	}
	raw_programs(s->skel, raw);
	for (size_t i = 0; i < RAW_EVENTS; i++)
		for (unsigned copy = s->copies; copy < STABLE_COPIES; copy++)
			bpf_program__set_autoload(raw[i][copy], false);
	s->skel->rodata->raw_last = s->copies - 1;
	attachments(s->skel, a);
	for (size_t i = 0; r == 0 && i < EVENTS; i++) {
		r = event_fields(tracefs, a[i].event, &offsets, why, why_len);
		if (r < 0 && !a[i].must) {
			bpf_program__set_autoload(a[i].prog, false);
			a[i].prog = NULL;
			r = 0;
		}
	}
	memcpy((void *)&s->skel->rodata->at, &offsets, sizeof(offsets));
	bpf_map__set_max_entries(s->skel->maps.socks, max_socks);
	bpf_map__set_max_entries(s->skel->maps.ended, max_socks < ENDED_MIN ? ENDED_MIN : max_socks);
	return r;
}

/* Before the classic ones, so that an entry is mostly made before it is named; an event this kernel does not have is done
 * without. The skeleton has no place for more than one link a program, and there is one. */
static int raw_attach(struct stable *s, char *why, size_t why_len)
{
	struct bpf_program *raw[RAW_EVENTS][STABLE_COPIES];

	raw_programs(s->skel, raw);
	for (size_t i = 0; i < RAW_EVENTS; i++)
		for (unsigned copy = 0; copy < s->copies; copy++) {
			const char *event = strchr(bpf_program__section_name(raw[i][copy]), '/') + 1;

			s->raw[i][copy] = bpf_program__attach_raw_tracepoint(raw[i][copy], event);
			if (!s->raw[i][copy] && errno != ENOENT) {
				snprintf(why, why_len, "BPF: cannot attach to raw %s: %s", event, strerror(errno));
				return -errno;
			}
		}
	return 0;
}

static int stable_attach(struct stable *s, int tracefs, char *why, size_t why_len)
{
	struct attachment a[EVENTS];
	int r = raw_attach(s, why, why_len);

	if (r < 0)
		return r;
	attachments(s->skel, a);
	for (size_t i = 0; i < EVENTS; i++) {
		if (!bpf_program__autoload(a[i].prog))
			continue;
		*a[i].link = tracepoint_attach(tracefs, a[i].event, a[i].prog);
		if (*a[i].link || !a[i].must)
			continue;
		snprintf(why, why_len, "BPF: cannot attach to %s: %s", a[i].event, strerror(errno));
		return -errno;
	}
	s->errors = s->skel->links.on_error != NULL;
	return 0;
}

int stable_open(struct stable **ret, uint32_t max_socks, char *why, size_t why_len)
{
	struct stable *s = calloc(1, sizeof(*s));
	int tracefs = tracepoint_fs(), r;

	if (!s || tracefs < 0) {
		r = s ? tracefs : -ENOMEM;
		snprintf(why, why_len, s ? "tracefs cannot be opened: %s" : "%s", strerror(-r));
		goto fail;
	}
	libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
	s->copies = load_copies();
	r = stable_prepare(s, tracefs, max_socks, why, why_len);
	if (r < 0)
		goto fail;
	r = stable_bpf__load(s->skel);
	if (r < 0) {
		snprintf(why, why_len, "BPF: cannot load: %s", strerror(-r));
		goto fail;
	}
	r = stable_attach(s, tracefs, why, why_len);
	if (r < 0)
		goto fail;
	close(tracefs);
	*ret = s;
	return 0;
fail:
	if (tracefs >= 0)
		close(tracefs);
	stable_close(s);
	return r;
}

void stable_close(struct stable *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < RAW_EVENTS; i++)
		for (unsigned copy = 0; copy < STABLE_COPIES; copy++)
			bpf_link__destroy(s->raw[i][copy]);
	stable_bpf__destroy(s->skel);
	free(s);
}

bool stable_knows_errors(const struct stable *s)
{
	return s->errors;
}

const struct stable_counters *stable_counters(const struct stable *s)
{
	return &s->skel->bss->counters;
}

bool stable_take(struct stable *s, uint64_t cookie, struct stable_sock *ret)
{
	int fd = bpf_map__fd(s->skel->maps.ended);

	return !bpf_map_lookup_elem(fd, &cookie, ret) && !bpf_map_delete_elem(fd, &cookie);
}

bool stable_take_gone(struct stable *s, uint64_t key, uint64_t id)
{
	int fd = bpf_map__fd(s->skel->maps.socks);
	struct stable_sock e;

	return !bpf_map_lookup_elem(fd, &key, &e) && e.id == id && !bpf_map_delete_elem(fd, &key);
}

void stable_forget(struct stable *s, uint64_t key)
{
	(void)bpf_map_delete_elem(bpf_map__fd(s->skel->maps.ended), &key);
}

void stable_forget_listener(struct stable *s, uint64_t key)
{
	(void)bpf_map_delete_elem(bpf_map__fd(s->skel->maps.listening), &key);
}

/* All elements of a hash map. One that is deleted meanwhile would send the kernel back to the begin: so the next key is
 * asked for before fn may delete this one. */
static int each(const struct bpf_map *map, void *value, int (*fn)(void *arg, uint64_t key, const void *value),
		void *arg)
{
	int fd = bpf_map__fd(map), r = 0;
	uint64_t key, next;
	uint32_t left = bpf_map__max_entries(map) * 2; /* whatever happens meanwhile, it ends */
	bool more = bpf_map_get_next_key(fd, NULL, &next) == 0;

	while (r == 0 && more && left--) {
		key = next;
		more = bpf_map_get_next_key(fd, &key, &next) == 0;
		if (bpf_map_lookup_elem(fd, &key, value) == 0)
			r = fn(arg, key, value);
	}
	return r;
}

int stable_ended(struct stable *s, int (*fn)(void *arg, uint64_t key, const void *value), void *arg)
{
	struct stable_sock value;

	return each(s->skel->maps.ended, &value, fn, arg);
}

int stable_sockets(struct stable *s, int (*fn)(void *arg, uint64_t key, const void *value), void *arg)
{
	struct stable_sock value;

	return each(s->skel->maps.socks, &value, fn, arg);
}

int stable_listening(struct stable *s, int (*fn)(void *arg, uint64_t key, const void *value), void *arg)
{
	struct stable_listener value;

	return each(s->skel->maps.listening, &value, fn, arg);
}

static void empty(const struct bpf_map *map)
{
	int fd = bpf_map__fd(map);
	uint64_t key;

	while (bpf_map_get_next_key(fd, NULL, &key) == 0 && bpf_map_delete_elem(fd, &key) == 0)
		;
}

void stable_bypass(struct stable *s, bool on)
{
	if (!on) {
		empty(s->skel->maps.socks);
		empty(s->skel->maps.ended);
		empty(s->skel->maps.listening);
	}
	s->skel->bss->bypass = on;
}

void stable_cost(const struct stable *s, uint64_t *ret_ns, uint64_t *ret_runs, uint64_t *ret_missed)
{
	load_stats(s->skel->obj, ret_ns, ret_runs, ret_missed);
}
