/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a datagram: every record is walked to its end, printed in one form or the other and read by a collector's receive thread,
 * ours and the standard's. The library's asserts and the sanitizers are the judges. With libFuzzer:
 *
 *     tests/fuzz/run [SECONDS | libFuzzer's options]
 *
 * The unit test of the same name replays the corpus and mutations of it without libFuzzer.
 */
#include "tests/unit/wire_feed.h"
#include "wire/ack.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static struct feed feed;
	static struct wire_print print;
	static struct buf out; /* kept: growing it is most of the time */
	struct wire_ack ack;
	unsigned bad;

	if (!feed.worker) {
		feed_open(&feed, NULL);
		buf_init(&out, 16 << 20);
	}
	feed_datagram(&feed, p, n);
	(void)wire_ack_read(p, n, &ack);
	assert(wire_extent(p, n) <= n);
	print.json = n & 4; /* one form of each: together they would be most of the time */
	bad = wire_print(&print, p, n, &out);
	/* both ways of reading agree on whether all is well */
	assert(!bad == !walk_errors(&feed.walk) || !wire_ack_read(p, n, &ack));
	buf_clear(&out);
	return 0;
}
