/* SPDX-License-Identifier: Apache-2.0 */
/* agent/bpf/event.h means the same to both compilers: the BPF object's own type information against this one's offsets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <cmocka.h>

#include "agent/bpf/event.h"
#include "agent/flow.skel.h"

struct member {
	const char *name;
	size_t offset, size;
};

#define M(type, member)                                                                    \
	{                                                                                  \
#member, offsetof(struct type, member), sizeof(((struct type *)0)->member) \
	}

static void check(struct btf *btf, const char *type, size_t size, const struct member *m, size_t n)
{
	int id = btf__find_by_name_kind(btf, type, BTF_KIND_STRUCT);
	const struct btf_type *t;

	assert_true(id > 0);
	t = btf__type_by_id(btf, (uint32_t)id);
	assert_int_equal(t->size, size);
	assert_int_equal(btf_vlen(t), n);
	for (size_t i = 0; i < n; i++) {
		const struct btf_member *b = btf_members(t) + i;

		assert_string_equal(btf__name_by_offset(btf, b->name_off), m[i].name);
		assert_int_equal(btf_member_bit_offset(t, (uint32_t)i), m[i].offset * 8);
		assert_int_equal(btf__resolve_size(btf, b->type), m[i].size);
	}
}

#define CHECK(btf, type, members) check(btf, #type, sizeof(struct type), members, sizeof(members) / sizeof(members[0]))

static void both_compilers_agree(void **state)
{
	static const struct member owner[] = {M(sky_owner, cgroup), M(sky_owner, tgid), M(sky_owner, flags),
					      M(sky_owner, comm)};
	static const struct member key[] = {M(sky_row_key, owner),        M(sky_row_key, local),
					    M(sky_row_key, remote),       M(sky_row_key, netns),
					    M(sky_row_key, service_port), M(sky_row_key, other_port),
					    M(sky_row_key, protocol),     M(sky_row_key, role),
					    M(sky_row_key, flags),        M(sky_row_key, sample),
					    M(sky_row_key, via)};
	static const struct member value[] = {
#define FIELD(name, width, dir, column, unit, seen, meaning) M(sky_row_value, name),
#include "flow/fields.def"
#undef FIELD
		M(sky_row_value, ports_seen),
		M(sky_row_value, tgid),
		M(sky_row_value, ports),
		M(sky_row_value, pad)
	};
	static const struct member sock[] = {M(sky_sock, id),     M(sky_sock, key),   M(sky_sock, since_ns),
					     M(sky_sock, walked), M(sky_sock, turn),  M(sky_sock, first),
					     M(sky_sock, told),   M(sky_sock, tgid),  M(sky_sock, lport),
					     M(sky_sock, rport),  M(sky_sock, phase), M(sky_sock, pad)};
	static const struct member totals[] = {M(sky_totals, tx),
					       M(sky_totals, rx),
					       M(sky_totals, tx_segs),
					       M(sky_totals, rx_segs),
					       M(sky_totals, retransmitted),
					       M(sky_totals, lost),
					       M(sky_totals, dsack),
					       M(sky_totals, delivered_ce),
					       M(sky_totals, busy),
					       M(sky_totals, rwnd),
					       M(sky_totals, sndbuf),
					       M(sky_totals, segs),
					       M(sky_totals, srtt_us),
					       M(sky_totals, mdev_us),
					       M(sky_totals, min_rtt_us),
					       M(sky_totals, cwnd),
					       M(sky_totals, turn),
					       M(sky_totals, undelivered)};
	static const struct member final[] = {M(sky_final, totals), M(sky_final, first), M(sky_final, since_ns),
					      M(sky_final, at_ns),  M(sky_final, end),   M(sky_final, rtt_ok)};
	static const struct member ask[] = {M(sky_ask, sk), M(sky_ask, id), M(sky_ask, segs), M(sky_ask, how)};
	static const struct member answer[] = {M(sky_answer, id), M(sky_answer, status), M(sky_answer, found),
					       M(sky_answer, totals)};
	static const struct member told[] = {M(sky_log, n), M(sky_log, torn), M(sky_log, pad), M(sky_log, line)};
	static const struct member dial[] = {M(sky_dial, key), M(sky_dial, at), M(sky_dial, tgid),
					     M(sky_dial, pending)};
	static const struct member place[] = {M(sky_dial_place, dial), M(sky_dial_place, thread),
					      M(sky_dial_place, busy), M(sky_dial_place, pad)};
	struct flow *skel = flow__open();
	struct btf *btf;

	assert_non_null(skel);
	btf = bpf_object__btf(skel->obj);
	assert_non_null(btf);
	CHECK(btf, sky_owner, owner);
	CHECK(btf, sky_row_key, key);
	CHECK(btf, sky_row_value, value);
	CHECK(btf, sky_sock, sock);
	CHECK(btf, sky_totals, totals);
	CHECK(btf, sky_final, final);
	CHECK(btf, sky_ask, ask);
	CHECK(btf, sky_answer, answer);
	CHECK(btf, sky_log, told);
	CHECK(btf, sky_dial, dial);
	CHECK(btf, sky_dial_place, place);
	flow__destroy(skel);
}

/* Where the clock counts ticks, more than one socket is born in each, at one address too: ids and marks tell them apart. */
static void born_in_one_tick(void **state)
{
	struct sky_handled here = {0};
	uint64_t id = sky_id(&here, 1000000, 1), next;

	assert_int_equal(id, 1000000ull << 12 | 1);
	for (unsigned i = 0; i < 16; i++, id = next) {
		next = sky_id(&here, 1000000, 1);
		assert_true(next > id);
		assert_int_not_equal(sky_walk_mark(id), 0);
		assert_int_not_equal(sky_walk_mark(id), sky_walk_mark(next));
	}
	assert_int_equal(sky_id(&here, 2000000, 1), 2000000ull << 12 | 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(both_compilers_agree), cmocka_unit_test(born_in_one_tick)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
