/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a datagram: every record is walked to its end and printed in both forms. The library's asserts and the
 * sanitizers are the judges. With libFuzzer:
 *
 *     clang -g -O1 -D_GNU_SOURCE -I. -fsanitize=fuzzer,address,undefined tests/fuzz/fuzz_datagram.c \
 *         $(find wire flow -name '*.c') base/{buf,hash,ip}.c -lxxhash && ./a.out tests/fuzz/corpus_datagram
 *
 * The unit test of the same name replays the corpus and mutations of it without libFuzzer.
 */
#include "tests/unit/wire_walk.h"
#include "wire/ack.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static struct walk_memory memory;
	static struct wire_print print;
	static struct walk w;
	struct wire_ack ack;
	struct buf out;

	walk_datagram(&w, &memory, p, n);
	(void)wire_ack_read(p, n, &ack);
	assert(wire_extent(p, n) <= n);
	buf_init(&out, 16 << 20);
	for (int json = 0; json < 2; json++) {
		print.json = json;
		unsigned bad = wire_print(&print, p, n, &out);

		/* both ways of reading agree on whether all is well */
		assert(!bad == !walk_errors(&w) || !wire_ack_read(p, n, &ack));
		buf_clear(&out);
	}
	buf_deinit(&out);
	return 0;
}
