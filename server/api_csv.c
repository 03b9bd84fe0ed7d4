/* SPDX-License-Identifier: Apache-2.0 */
/* Arrays of objects as CSV (RFC 4180). */
#include <stdio.h>
#include <stdlib.h>

#include "base/table.h"
#include "server/api.h"

/* Would a spreadsheet run it? Some take the full-width signs of East Asian keyboards for the plain ones. */
static bool csv_formula(const char *s)
{
	static const char *const wide[] = {"\uff1d", "\uff0b", "\uff0d", "\uff20"}; /* = + - @ */

	for (size_t i = 0; i < ARRAY_LEN(wide); i++)
		if (!strncmp(s, wide[i], strlen(wide[i])))
			return true;
	return *s && strchr("=+-@\t\r\n", *s);
}

static void csv_text(struct buf *b, const char *s)
{
	bool quote = strpbrk(s, "\",\r\n") != NULL;

	if (csv_formula(s)) {
		quote = true;
		buf_printf(b, "\"'");
	} else if (quote) {
		buf_char(b, '"');
	}
	for (; *s; s++) {
		if (*s == '"')
			buf_char(b, '"');
		buf_char(b, *s);
	}
	if (quote)
		buf_char(b, '"');
}

/* Words with blanks between; of objects and numbers their JSON. Together one text, quoted once. */
static void csv_list(struct buf *b, const json_t *list)
{
	struct buf text;
	size_t i;
	json_t *x;

	buf_init(&text, 1u << 20);
	json_array_foreach(list, i, x)
	{
		char *json = json_is_string(x)
				     ? NULL
				     : json_dumps(x, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(10));

		buf_printf(&text, "%s%s", i ? " " : "", json ? json : json_is_string(x) ? json_string_value(x) : "");
		free(json);
	}
	csv_text(b, buf_text(&text));
	buf_deinit(&text);
}

static void csv_value(struct buf *b, const json_t *v)
{
	switch (v ? json_typeof(v) : JSON_NULL) {
	case JSON_STRING:
		csv_text(b, json_string_value(v));
		break;
	case JSON_INTEGER:
		buf_printf(b, "%lld", (long long)json_integer_value(v));
		break;
	case JSON_REAL:
		buf_printf(b, "%.10g", json_real_value(v));
		break;
	case JSON_TRUE:
	case JSON_FALSE:
		buf_printf(b, json_is_true(v) ? "true" : "false");
		break;
	case JSON_ARRAY:
		csv_list(b, v);
		break;
	default:
		break;
	}
}

/* The names of one object: "a", "b.c". Calls fn with the value. */
static void csv_walk(const json_t *o, const char *prefix, void (*fn)(void *arg, const char *name, json_t *v), void *arg)
{
	const char *key;
	json_t *v;

	json_object_foreach((json_t *)o, key, v)
	{
		char name[160];

		snprintf(name, sizeof(name), "%s%s", prefix, key);
		if (json_is_object(v) && strlen(name) < 100) {
			strcat(name, ".");
			csv_walk(v, name, fn, arg);
		} else {
			fn(arg, name, v);
		}
	}
}

static void csv_head(void *arg, const char *name, json_t *v)
{
	json_t *head = arg;

	if (!json_object_get(head, name))
		json_object_set_new(head, name, json_null());
}

static void csv_flat(void *arg, const char *name, json_t *v)
{
	json_object_set(arg, name, v);
}

void api_csv(const json_t *list, struct buf *b)
{
	json_t *head = json_object(), *row, *v;
	const char *key, *sep = "";
	size_t i;

	json_array_foreach(list, i, row) csv_walk(row, "", csv_head, head);
	json_object_foreach(head, key, v)
	{
		buf_printf(b, "%s", sep);
		csv_text(b, key);
		sep = ",";
	}
	buf_printf(b, "\r\n");
	json_array_foreach(list, i, row)
	{
		json_t *flat;

		if (b->err)
			break; /* full: the rest would only take time */
		flat = json_object();
		csv_walk(row, "", csv_flat, flat);
		sep = "";
		json_object_foreach(head, key, v)
		{
			buf_printf(b, "%s", sep);
			csv_value(b, json_object_get(flat, key));
			sep = ",";
		}
		buf_printf(b, "\r\n");
		json_decref(flat);
	}
	json_decref(head);
}
