/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/allow.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/words.h"

#define ALLOW_TEXT (4u << 20)

static int compare(const void *a, const void *b)
{
	return memcmp(((const struct allow_range *)a)->first.b, ((const struct allow_range *)b)->first.b, 16);
}

/* Sorts, and makes one of those that overlap. */
static void settle(struct allow_set *s)
{
	size_t n = 0;

	if (!s->n)
		return;
	qsort(s->v, s->n, sizeof(*s->v), compare);
	for (size_t i = 1; i < s->n; i++) {
		if (memcmp(s->v[i].first.b, s->v[n].last.b, 16) > 0)
			s->v[++n] = s->v[i];
		else if (memcmp(s->v[i].last.b, s->v[n].last.b, 16) > 0)
			s->v[n].last = s->v[i].last;
	}
	s->n = n + 1;
}

static int add(struct allow_set *s, const struct ip *ip, unsigned bits)
{
	struct allow_range r = {*ip, *ip}, *v = s->v;

	if (s->n == ALLOW_PREFIXES)
		return -E2BIG;
	for (unsigned i = bits; i < 128; i++) {
		uint8_t bit = (uint8_t)(0x80 >> i % 8);

		r.first.b[i / 8] &= (uint8_t)~bit;
		r.last.b[i / 8] |= bit;
	}
	if (!(s->n & (s->n - 1)))
		v = reallocarray(s->v, s->n ? 2 * s->n : 1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	s->v = v;
	v[s->n++] = r;
	return 0;
}

static int parse_line(struct allow *a, struct words *w)
{
	char text[IP_TEXT];
	struct str word;
	struct ip ip;
	unsigned bits;
	int r;

	if (!words_next(w, &word))
		return 0;
	if (word.n >= sizeof(text) || ip_parse_prefix(str_copy(text, sizeof(text), word), &ip, &bits) < 0)
		return words_fail(w, "no network such as 10.0.0.0/8 or 2001:db8::/32");
	r = add(&a->agents, &ip, bits);
	if (r == 0 && words_next(w, &word)) {
		if (!str_eq(word, STR("unsigned")))
			return words_fail(w, "after the network only the word unsigned may stand");
		r = add(&a->unsigned_agents, &ip, bits);
		if (r == 0 && words_next(w, &word))
			return words_fail(w, "a word too many");
	}
	return r == -E2BIG ? words_fail(w, "more than 65536 networks") : r;
}

int allow_parse(struct allow *ret, const struct opt_list *prefixes, const char *file, struct str text, char *why,
		size_t why_len)
{
	struct words w = words_over(file, text, why, why_len);
	struct allow a = {0};
	int r = 0;

	why[0] = '\0';
	for (size_t i = 0; i < prefixes->n && !r; i++) {
		struct ip ip;
		unsigned bits;

		if (ip_parse_prefix(prefixes->v[i], &ip, &bits) < 0) {
			snprintf(why, why_len, "'%s' is no network such as 10.0.0.0/8 or 2001:db8::/32",
				 prefixes->v[i]);
			r = -EINVAL;
		} else {
			r = add(&a.agents, &ip, bits);
		}
	}
	while (!r && words_line(&w))
		r = parse_line(&a, &w);
	if (r < 0) {
		if (!why[0])
			snprintf(why, why_len, "out of memory");
		allow_deinit(&a);
		return r;
	}
	a.any = !prefixes->n && !file; /* an empty file allows nobody */
	settle(&a.agents);
	settle(&a.unsigned_agents);
	*ret = a;
	return 0;
}

int allow_load(struct allow *ret, const struct opt_list *prefixes, const char *file, char *why, size_t why_len)
{
	struct buf b;
	int r;

	if (!file)
		return allow_parse(ret, prefixes, NULL, STR(""), why, why_len);
	r = words_load(&b, file, ALLOW_TEXT, NULL, why, why_len);
	if (r < 0)
		return r;
	r = allow_parse(ret, prefixes, file, (struct str){b.p, b.n}, why, why_len);
	buf_deinit(&b);
	return r;
}

void allow_deinit(struct allow *a)
{
	free(a->agents.v);
	free(a->unsigned_agents.v);
	*a = (struct allow){0};
}

static bool in_set(const struct allow_set *s, const struct ip *ip)
{
	size_t low = 0, high = s->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (memcmp(s->v[mid].last.b, ip->b, 16) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low < s->n && memcmp(s->v[low].first.b, ip->b, 16) <= 0;
}

bool allow_agent(const struct allow *a, const struct ip *agent)
{
	return a->any || in_set(&a->agents, agent);
}

bool allow_unsigned(const struct allow *a, const struct ip *agent)
{
	return in_set(&a->unsigned_agents, agent);
}
