/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/unit.h"

#include <math.h>
#include <stdio.h>

/* n < 1000 in three significant digits; whole numbers without a point. */
static void unit_digits(double n, char *text, size_t size)
{
	if (n == floor(n))
		snprintf(text, size, "%.0f", n);
	else if (n < 0.005)
		snprintf(text, size, "<0.01");
	else if (n < 9.995)
		snprintf(text, size, "%.2f", n);
	else if (n < 99.95)
		snprintf(text, size, "%.1f", n);
	else
		snprintf(text, size, "%.0f", n);
}

struct unit_step {
	double times; /* how many of the former step make this one */
	const char *suffix;
};

/* Goes up the steps while the number would need four digits before its point. A whole number is exact and
 * stays bare only on the first step: "1.00 k", not "1 k". */
static char *unit_scale(double n, const struct unit_step *step, char text[UNIT_TEXT])
{
	char digits[16];
	size_t i = 0;

	if (isnan(n)) {
		snprintf(text, UNIT_TEXT, "-");
		return text;
	}
	if (n < 0)
		n = 0;
	while (step[i + 1].suffix && n >= step[i + 1].times * 0.9995) {
		n /= step[i + 1].times;
		i++;
	}
	if (i == 0)
		unit_digits(n, digits, sizeof(digits));
	else
		snprintf(digits, sizeof(digits), "%.*f", n < 9.995 ? 2 : n < 99.95 ? 1 : 0, n);
	snprintf(text, UNIT_TEXT, "%s%s", digits, step[i].suffix);
	return text;
}

char *unit_count(double n, char text[UNIT_TEXT])
{
	static const struct unit_step steps[] = {{1, ""},     {1e3, " k"}, {1e3, " M"},
						 {1e3, " G"}, {1e3, " T"}, {0, NULL}};

	return unit_scale(n, steps, text);
}

char *unit_bytes(double n, char text[UNIT_TEXT])
{
	static const struct unit_step steps[] = {{1, " B"},    {1e3, " kB"}, {1e3, " MB"}, {1e3, " GB"},
						 {1e3, " TB"}, {1e3, " PB"}, {0, NULL}};

	return unit_scale(n, steps, text);
}

char *unit_rate(double n, char text[UNIT_TEXT])
{
	static const struct unit_step steps[] = {{1, " B/s"},    {1e3, " kB/s"}, {1e3, " MB/s"},
						 {1e3, " GB/s"}, {1e3, " TB/s"}, {0, NULL}};

	return unit_scale(n, steps, text);
}

char *unit_time_us(double us, char text[UNIT_TEXT])
{
	static const struct unit_step steps[] = {{1, " us"},   {1e3, " ms"}, {1e3, " s"},
						 {60, " min"}, {60, " h"},   {0, NULL}};

	return unit_scale(us, steps, text);
}

char *unit_percent(double ratio, char text[UNIT_TEXT])
{
	static const struct unit_step steps[] = {{1, " %"}, {0, NULL}};

	return unit_scale(ratio * 100, steps, text);
}
