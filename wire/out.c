/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/out.h"

#include <inttypes.h>
#include <stdio.h>

void out_text(const struct out *o, struct str s)
{
	buf_char(o->b, '"');
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '"' || s.p[i] == '\\')
			buf_char(o->b, '\\');
		buf_char(o->b, s.p[i]);
	}
	buf_char(o->b, '"');
}

void out_key(const struct out *o, struct str key)
{
	if (!o->json) {
		buf_printf(o->b, " %.*s=", STR_FMT(key));
		return;
	}
	buf_char(o->b, ',');
	out_text(o, key);
	buf_char(o->b, ':');
}

void out_u64(const struct out *o, const char *key, uint64_t v)
{
	out_key(o, str_from(key));
	buf_printf(o->b, "%" PRIu64, v);
}

void out_str(const struct out *o, const char *key, struct str v)
{
	bool plain = v.n;

	if (!o->json && !v.n)
		return;
	for (size_t i = 0; i < v.n; i++)
		plain &= v.p[i] != ' ' && v.p[i] != '"' && v.p[i] != '=';
	out_key(o, str_from(key));
	if (plain && !o->json)
		buf_str(o->b, v);
	else
		out_text(o, v);
}

void out_ip(const struct out *o, const char *key, const struct ip *ip)
{
	char text[IP_TEXT];

	out_str(o, key, str_from(ip_format(ip, text)));
}

/* Larger than a JSON reader's numbers may be: as a string. */
void out_id(const struct out *o, const char *key, uint64_t id)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, id);
	out_str(o, key, str_from(text));
}
