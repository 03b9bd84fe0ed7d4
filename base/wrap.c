/* SPDX-License-Identifier: Apache-2.0 */
#include "base/wrap.h"

#include <string.h>
#include <sys/ioctl.h>

size_t wrap_columns(FILE *out)
{
	struct winsize w = {0};

	return ioctl(fileno(out), TIOCGWINSZ, &w) == 0 ? w.ws_col : 0;
}

/* Bytes of the next line of at most `room`; the longest word where none fits. */
static size_t wrap_line(const char *text, size_t room)
{
	size_t n = 0, word;

	for (;;) {
		word = strcspn(text + n, " \n");
		if (n && n + word > room)
			return n - 1;
		n += word;
		if (!text[n] || (text[n] == '\n' && text[n + 1] == '\n'))
			return n;
		n++;
	}
}

void wrap_put(FILE *out, const char *text, size_t indent, size_t columns)
{
	if (columns < indent + WRAP_LEAST) {
		fprintf(out, "%s\n", text);
		return;
	}
	for (;;) {
		size_t n = wrap_line(text, columns - indent), i;

		for (i = 0; i < n; i++)
			fputc(text[i] == '\n' ? ' ' : text[i], out);
		fputc('\n', out);
		text += n;
		if (text[0] == '\n' && text[1] == '\n')
			fputc(*text++, out);
		if (!*text)
			return;
		text++;
		fprintf(out, "%*s", (int)indent, "");
	}
}
