/* SPDX-License-Identifier: Apache-2.0 */
/* Attaches a program that does nothing where the agent's hook is, until its input ends: what any program costs there. */
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(void)
{
	const struct bpf_insn nothing[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0},
		{.code = BPF_JMP | BPF_EXIT},
	};
	int prog = bpf_prog_load(BPF_PROG_TYPE_RAW_TRACEPOINT, "empty", "GPL", nothing, 2, NULL), link;
	char c;

	link = prog < 0 ? -1 : bpf_raw_tracepoint_open("inet_sock_set_state", prog);
	if (link < 0) {
		fprintf(stderr, "bench_empty: %s\n", strerror(errno));
		return 1;
	}
	puts("attached");
	fflush(stdout);
	while (read(STDIN_FILENO, &c, 1) > 0)
		;
	return 0;
}
