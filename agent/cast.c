/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/cast.h"

#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>

#include "agent/bpf/event.h"

int cast_find(const struct btf *btf)
{
	int id = btf__find_by_name_kind(btf, "bpf_rdonly_cast", BTF_KIND_FUNC);

	return id > 0 ? id : 0;
}

static int cast_put(struct bpf_program *prog, struct bpf_prog_load_opts *opts, long id)
{
	size_t n = bpf_program__insn_cnt(prog);
	struct bpf_insn *code = calloc(n, sizeof(*code));
	int r;

	if (!code)
		return -ENOMEM;
	memcpy(code, bpf_program__insns(prog), n * sizeof(*code));
	for (size_t i = 0; i < n; i++) {
		if (code[i].code != (BPF_JMP | BPF_CALL) || code[i].src_reg || code[i].imm != SKY_CALL_CAST)
			continue;
		code[i].src_reg = BPF_PSEUDO_KFUNC_CALL;
		code[i].imm = (__s32)id;
	}
	r = bpf_program__set_insns(prog, code, n);
	free(code);
	return r;
}

/* libbpf up to 1.1 frees its list of handlers twice when the last one goes, so one that matches nothing stays. */
static void keep_one(void)
{
	static int kept;

	if (!kept)
		kept = libbpf_register_prog_handler("cast-none", BPF_PROG_TYPE_RAW_TRACEPOINT, 0, NULL);
}

int cast_begin(int id)
{
	LIBBPF_OPTS(libbpf_prog_handler_opts, opts, .cookie = id, .prog_prepare_load_fn = cast_put);

	keep_one();
	return libbpf_register_prog_handler("cast", BPF_PROG_TYPE_RAW_TRACEPOINT, 0, &opts);
}

void cast_end(int begun)
{
	if (begun > 0)
		libbpf_unregister_prog_handler(begun);
}
