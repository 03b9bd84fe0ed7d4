/* SPDX-License-Identifier: Apache-2.0 */
#include "base/keyfile.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/words.h"

#define KEYFILE_TEXT 65536

static int keyfile_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool keyfile_read(struct str word, uint8_t key[KEYFILE_BYTES])
{
	size_t i;

	if (word.n != 2 * KEYFILE_BYTES)
		return false;
	for (i = 0; i < KEYFILE_BYTES; i++) {
		int high = keyfile_digit(word.p[2 * i]), low = keyfile_digit(word.p[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		key[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

int keyfile_parse(struct keyfile *ret, const char *path, struct str text, char *why, size_t why_len)
{
	struct words w = words_over(path, text, why, why_len);
	struct keyfile k = {0};
	struct str word;
	int r = 0;

	while (r == 0 && words_line(&w)) {
		if (!words_next(&w, &word))
			continue;
		if (k.n == KEYFILE_KEYS)
			r = words_fail(&w, "more than 8 keys");
		else if (!keyfile_read(word, k.key[k.n]))
			r = words_fail(&w, "a key is 64 hexadecimal digits");
		else if (words_next(&w, &word))
			r = words_fail(&w, "a word too many: one key a line");
		k.n++;
	}
	if (r == 0 && !k.n)
		r = words_fail(&w, "no key: a line of 64 hexadecimal digits");
	if (r == 0)
		*ret = k;
	keyfile_wipe(&k);
	return r;
}

int keyfile_load(struct keyfile *ret, const char *path, char *why, size_t why_len)
{
	struct buf b;
	unsigned mode;
	int r = words_load(&b, path, KEYFILE_TEXT, &mode, why, why_len);

	if (r < 0)
		return r;
	if (mode & 07) {
		snprintf(why, why_len, "%s holds a secret and anybody may read or change it (mode %04o): chmod 600 %s",
			 path, mode, path);
		r = -EACCES;
	} else {
		r = keyfile_parse(ret, path, (struct str){b.p, b.n}, why, why_len);
	}
	if (b.cap)
		explicit_bzero(b.p, b.cap);
	buf_deinit(&b);
	return r;
}

void keyfile_wipe(struct keyfile *k)
{
	explicit_bzero(k, sizeof(*k));
}

void keyfile_format(const uint8_t key[KEYFILE_BYTES], char text[2 * KEYFILE_BYTES + 1])
{
	size_t i;

	for (i = 0; i < KEYFILE_BYTES; i++)
		snprintf(text + 2 * i, 3, "%02x", key[i]);
}
