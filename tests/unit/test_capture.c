/* SPDX-License-Identifier: Apache-2.0 */
/* Capture files: what libpcap writes, pcapng by hand, both byte orders, cut and flipped at every place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <pcap/pcap.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/table.h"
#include "cli/capture.h"

struct bytes {
	uint8_t p[4096];
	size_t n;
	bool big; /* byte order of put32(), put16() */
};

static void put8(struct bytes *b, uint8_t v)
{
	assert_true(b->n < sizeof(b->p));
	b->p[b->n++] = v;
}

static void put16(struct bytes *b, uint16_t v)
{
	put8(b, b->big ? v >> 8 : v & 0xff);
	put8(b, b->big ? v & 0xff : v >> 8);
}

static void put32(struct bytes *b, uint32_t v)
{
	put16(b, b->big ? v >> 16 : v & 0xffff);
	put16(b, b->big ? v & 0xffff : v >> 16);
}

static void put_text(struct bytes *b, const char *text)
{
	for (; *text; text++)
		put8(b, (uint8_t)*text);
}

static struct str slice(const struct bytes *b)
{
	return (struct str){(const char *)b->p, b->n};
}

/* --- frames */

static void put_udp(struct bytes *b, const char *payload)
{
	put16(b, 40000);
	put16(b, 6343);
	put16(b, (uint16_t)(8 + strlen(payload)));
	put16(b, 0);
	put_text(b, payload);
}

static void put_ipv4(struct bytes *b, unsigned options, uint16_t fragment, const char *payload)
{
	size_t total = 20 + 4 * options + 8 + strlen(payload);

	put8(b, 0x45 + options);
	put8(b, 0);
	put16(b, (uint16_t)total);
	put16(b, 1);
	put16(b, fragment);
	put8(b, 64);
	put8(b, 17);
	put16(b, 0);
	put32(b, 0x0a000001);
	put32(b, 0x0a000002);
	for (unsigned i = 0; i < options; i++)
		put32(b, 0x01010101);
	put_udp(b, payload);
}

/* With a hop-by-hop header and, when wanted, a fragment header. */
static void put_ipv6(struct bytes *b, int fragment, const char *payload)
{
	put32(b, 0x60000000);
	put16(b, (uint16_t)(8 + (fragment >= 0 ? 8 : 0) + 8 + strlen(payload)));
	put8(b, 0);
	put8(b, 64);
	for (unsigned i = 0; i < 2; i++) {
		put32(b, 0x20010db8);
		put32(b, 0);
		put32(b, 0);
		put32(b, 1 + i);
	}
	put8(b, fragment >= 0 ? 44 : 17);
	put8(b, 0);
	put16(b, 0x0104);
	put32(b, 0);
	if (fragment >= 0) {
		put8(b, 17);
		put8(b, 0);
		put16(b, (uint16_t)fragment);
		put32(b, 7);
	}
	put_udp(b, payload);
}

static void put_ethernet(struct bytes *b, unsigned tags, uint16_t type)
{
	for (unsigned i = 0; i < 6; i++)
		put16(b, 0x0200);
	for (unsigned i = 0; i < tags; i++) {
		put16(b, i + 1 < tags ? 0x88a8 : 0x8100);
		put16(b, (uint16_t)(100 + i));
	}
	put16(b, type);
}

static void check_v4(uint32_t link, const struct bytes *b)
{
	struct capture_udp u;
	char text[IP_TEXT];

	assert_int_equal(capture_udp(link, slice(b), &u), 0);
	assert_string_equal(ip_format(&u.src, text), "10.0.0.1");
	assert_string_equal(ip_format(&u.dst, text), "10.0.0.2");
	assert_int_equal(u.src_port, 40000);
	assert_int_equal(u.dst_port, 6343);
	assert_true(str_eq(u.payload, STR("hello")));
	assert_false(u.cut);
}

static void test_links(void **state)
{
	static const uint32_t raw[] = {12, 14, 101, 228};
	struct bytes b;
	struct capture_udp u;
	char text[IP_TEXT];

	for (unsigned tags = 0; tags <= 4; tags++) {
		b = (struct bytes){.big = true};
		put_ethernet(&b, tags, 0x0800);
		put_ipv4(&b, tags, 0x4000, "hello");
		put_text(&b, "padding of a short frame");
		check_v4(1, &b);
	}
	for (unsigned i = 0; i < ARRAY_LEN(raw); i++) {
		b = (struct bytes){.big = true};
		put_ipv4(&b, 0, 0, "hello");
		check_v4(raw[i], &b);
	}
	b = (struct bytes){.big = true}; /* Linux cooked */
	for (unsigned i = 0; i < 7; i++)
		put16(&b, 0);
	put16(&b, 0x0800);
	put_ipv4(&b, 0, 0, "hello");
	check_v4(113, &b);
	b = (struct bytes){.big = true}; /* version 2: the type stands first */
	put16(&b, 0x0800);
	for (unsigned i = 0; i < 9; i++)
		put16(&b, 0);
	put_ipv4(&b, 0, 0, "hello");
	check_v4(276, &b);
	b = (struct bytes){.big = true}; /* BSD loopback */
	put32(&b, 2);
	put_ipv4(&b, 0, 0, "hello");
	check_v4(0, &b);
	b = (struct bytes){.big = true};
	put_ethernet(&b, 1, 0x86dd);
	put_ipv6(&b, 0, "hello");
	assert_int_equal(capture_udp(1, slice(&b), &u), 0);
	assert_string_equal(ip_format(&u.src, text), "2001:db8::1");
	assert_string_equal(ip_format(&u.dst, text), "2001:db8::2");
	assert_true(u.dst_port == 6343 && str_eq(u.payload, STR("hello")));
}

static void test_not_ours(void **state)
{
	struct bytes b = {.big = true};
	struct capture_udp u;

	put_ipv4(&b, 0, 0x2000, "hello");
	assert_int_equal(capture_udp(101, slice(&b), &u), -EMSGSIZE); /* the first of several */
	b = (struct bytes){.big = true};
	put_ipv4(&b, 0, 0x0010, "hello");
	assert_int_equal(capture_udp(101, slice(&b), &u), -EMSGSIZE); /* a later one */
	b = (struct bytes){.big = true};
	put_ipv6(&b, 1, "hello");
	assert_int_equal(capture_udp(229, slice(&b), &u), -EMSGSIZE);
	b = (struct bytes){.big = true};
	put_ipv4(&b, 0, 0, "hello");
	b.p[9] = 6;
	assert_int_equal(capture_udp(101, slice(&b), &u), -ENOMSG); /* TCP */
	assert_int_equal(capture_udp(9999, slice(&b), &u), -ENOMSG);
	b = (struct bytes){.big = true};
	put_ethernet(&b, 0, 0x0806);
	assert_int_equal(capture_udp(1, slice(&b), &u), -ENOMSG); /* ARP */
	b = (struct bytes){.big = true};
	put_ethernet(&b, 5, 0x0800);
	put_ipv4(&b, 0, 0, "hello");
	assert_int_equal(capture_udp(1, slice(&b), &u), -ENOMSG); /* more tags than anybody uses */
	b = (struct bytes){.big = true};
	put_ipv4(&b, 0, 0, "hello");
	b.n -= 2; /* a snapshot length cut it */
	assert_int_equal(capture_udp(101, slice(&b), &u), 0);
	assert_true(u.cut && str_eq(u.payload, STR("hel")));
}

/* Whatever the bytes: no read outside (each is a copy of its exact size), the payload inside. */
static void test_broken_frames(void **state)
{
	struct bytes b = {.big = true};
	struct capture_udp u;

	put_ethernet(&b, 2, 0x86dd);
	put_ipv6(&b, 0, "hello");
	for (size_t n = 0; n <= b.n; n++) {
		for (size_t bit = 0; bit < 8 * n; bit++) {
			char *copy = malloc(n ? n : 1);

			assert_non_null(copy);
			memcpy(copy, b.p, n);
			copy[bit / 8] ^= (char)(1 << bit % 8);
			if (!capture_udp(1, (struct str){copy, n}, &u))
				assert_true(u.payload.p >= copy && u.payload.p + u.payload.n <= copy + n);
			free(copy);
		}
	}
}

/* --- files */

static FILE *file_of(const struct bytes *b)
{
	FILE *f = fmemopen((void *)(uintptr_t)b->p, b->n, "rb");

	assert_non_null(f);
	return f;
}

static void check_libpcap(bool nanos, int link)
{
	char path[] = "/tmp/skyfall-test-XXXXXX";
	int fd = mkstemp(path);
	pcap_t *pc = pcap_open_dead_with_tstamp_precision(
		link, 65535, nanos ? PCAP_TSTAMP_PRECISION_NANO : PCAP_TSTAMP_PRECISION_MICRO);
	pcap_dumper_t *d = pcap_dump_fopen(pc, fdopen(fd, "wb"));
	struct capture *c;
	struct capture_frame frame;

	assert_non_null(d);
	for (unsigned i = 0; i < 20; i++) {
		uint8_t data[64];
		struct pcap_pkthdr h = {
			{1700000000 + i, nanos ? 123456000 + i * 1000 : 123456 + i}, i, i % 2 ? i : i + 1};

		memset(data, (int)i, sizeof(data));
		pcap_dump((u_char *)d, &h, data);
	}
	pcap_dump_close(d);
	pcap_close(pc);

	FILE *f = fopen(path, "rb");
	assert_non_null(f);
	assert_int_equal(capture_new(&c, f), 0);
	for (unsigned i = 0; i < 20; i++) {
		assert_int_equal(capture_next(c, &frame), 1);
		assert_true(frame.time_us == (1700000000 + (int64_t)i) * 1000000 + 123456 + i);
		assert_int_equal(frame.link, link);
		assert_int_equal(frame.bytes.n, i);
		assert_int_equal(frame.cut, !(i % 2));
		for (unsigned k = 0; k < i; k++)
			assert_int_equal(frame.bytes.p[k], i);
	}
	assert_int_equal(capture_next(c, &frame), 0);
	capture_free(c);
	fclose(f);
	unlink(path);
}

static void test_libpcap_files(void **state)
{
	check_libpcap(false, DLT_EN10MB);
	check_libpcap(true, DLT_EN10MB);
	check_libpcap(false, DLT_LINUX_SLL);
}

static void put_block(struct bytes *b, uint32_t type, const struct bytes *body)
{
	uint32_t n = 12 + (uint32_t)((body->n + 3) & ~3u);

	put32(b, type);
	put32(b, n);
	for (size_t i = 0; i < ((body->n + 3) & ~3u); i++)
		put8(b, i < body->n ? body->p[i] : 0);
	put32(b, n);
}

static void put_section(struct bytes *b)
{
	struct bytes body = {.big = b->big};

	put32(&body, 0x1a2b3c4d);
	put32(&body, 1);
	put32(&body, 0xffffffff);
	put32(&body, 0xffffffff);
	put_block(b, 0x0a0d0d0a, &body);
}

static void put_interface(struct bytes *b, uint16_t link, int resolution)
{
	struct bytes body = {.big = b->big};

	put16(&body, link);
	put16(&body, 0);
	put32(&body, 262144);
	if (resolution >= 0) {
		put16(&body, 2); /* a name first: to be passed */
		put16(&body, 3);
		put_text(&body, "eth");
		put8(&body, 0);
		put16(&body, 9);
		put16(&body, 1);
		put8(&body, (uint8_t)resolution);
		put8(&body, 0);
		put16(&body, 0);
		put16(&body, 0);
	}
	put_block(b, 1, &body);
}

static void put_packet(struct bytes *b, uint32_t interface, uint64_t time, const char *data, uint32_t was)
{
	struct bytes body = {.big = b->big};

	put32(&body, interface);
	put32(&body, (uint32_t)(time >> 32));
	put32(&body, (uint32_t)time);
	put32(&body, (uint32_t)strlen(data));
	put32(&body, was);
	put_text(&body, data);
	put_block(b, 6, &body);
}

/* Two sections of both byte orders, several interfaces, blocks to pass. */
static void make_ng(struct bytes *b)
{
	struct bytes simple = {0}, other = {0};

	*b = (struct bytes){.big = false};
	put_section(b);
	put_interface(b, 1, -1);
	put_interface(b, 113, 9);
	put_text(&other, "some statistics");
	put_block(b, 5, &other);
	put_packet(b, 0, 1700000000123456, "abc", 3);
	put_packet(b, 1, 1700000000123456789, "defgh", 99);
	put_packet(b, 2, 0, "of no interface", 15);
	put32(&simple, 4);
	put_text(&simple, "wxyz");
	put_block(b, 3, &simple);
	b->big = true;
	put_section(b);
	put_interface(b, 101, 0x80 | 10);
	put_packet(b, 0, 1700000000ull << 10 | 512, "ij", 2);
}

static void check_frame(struct capture *c, const char *data, int64_t time_us, uint32_t link, bool cut)
{
	struct capture_frame f;

	assert_int_equal(capture_next(c, &f), 1);
	assert_true(str_eq(f.bytes, str_from(data)));
	assert_true(f.time_us == time_us);
	assert_int_equal(f.link, link);
	assert_int_equal(f.cut, cut);
}

static void test_pcapng(void **state)
{
	static struct bytes b;
	struct capture_frame frame;
	struct capture *c;

	make_ng(&b);
	FILE *f = file_of(&b);
	assert_int_equal(capture_new(&c, f), 0);
	check_frame(c, "abc", 1700000000123456, 1, false);
	check_frame(c, "defgh", 1700000000123456, 113, true);
	check_frame(c, "wxyz", 0, 1, false);
	assert_int_equal(capture_passed(c), 1);
	check_frame(c, "ij", 1700000000500000, 101, false);
	assert_int_equal(capture_next(c, &frame), 0);
	capture_free(c);
	fclose(f);
}

static void make_pcap(struct bytes *b, bool big)
{
	*b = (struct bytes){.big = big};
	put32(b, 0xa1b2c3d4);
	put16(b, 2);
	put16(b, 4);
	put32(b, 0);
	put32(b, 0);
	put32(b, 65535);
	put32(b, 1);
	for (unsigned i = 0; i < 3; i++) {
		put32(b, 1700000000);
		put32(b, i);
		put32(b, 5);
		put32(b, 5);
		put_text(b, "hello");
	}
}

static void test_swapped(void **state)
{
	static struct bytes b;
	struct capture *c;

	for (int big = 0; big < 2; big++) {
		make_pcap(&b, big);
		FILE *f = file_of(&b);
		assert_int_equal(capture_new(&c, f), 0);
		for (unsigned i = 0; i < 3; i++)
			check_frame(c, "hello", 1700000000000000 + i, 1, false);
		capture_free(c);
		fclose(f);
	}
}

/* Reads to the end; how many frames came. */
static unsigned read_file(struct bytes *b, int *ret_end)
{
	struct capture_frame frame;
	struct capture *c;
	unsigned n = 0;
	FILE *f = b->n ? file_of(b) : fopen("/dev/null", "rb");
	int r = capture_new(&c, f);

	if (r == 0) {
		while ((r = capture_next(c, &frame)) > 0 && n < 1000) {
			assert_true(frame.bytes.n <= b->n);
			n++;
		}
		capture_free(c);
	}
	fclose(f);
	*ret_end = r;
	return n;
}

static void test_broken_files(void **state)
{
	static struct bytes whole, b;

	for (int kind = 0; kind < 2; kind++) {
		unsigned all, last = 0;
		int end;

		if (kind)
			make_ng(&whole);
		else
			make_pcap(&whole, true);
		all = read_file(&whole, &end);
		assert_int_equal(end, 0);
		for (size_t n = 0; n < whole.n; n++) {
			b = whole;
			b.n = n;
			unsigned got = read_file(&b, &end);

			assert_true(got >= last && got <= all);
			assert_true(end == 0 || end == -EBADMSG);
			last = got;
		}
		for (size_t bit = 0; bit < 8 * whole.n; bit++) {
			b = whole;
			b.p[bit / 8] ^= 1u << bit % 8;
			(void)read_file(&b, &end);
		}
	}
	/* a frame that claims four gigabytes is passed over, and there is no such file */
	make_pcap(&b, false);
	memset(b.p + 24 + 8, 0xff, 4);
	int end;
	assert_int_equal(read_file(&b, &end), 0);
	assert_int_equal(end, -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_links),         cmocka_unit_test(test_not_ours),
		cmocka_unit_test(test_broken_frames), cmocka_unit_test(test_libpcap_files),
		cmocka_unit_test(test_pcapng),        cmocka_unit_test(test_swapped),
		cmocka_unit_test(test_broken_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
