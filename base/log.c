/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* The one state of the process that everybody shares: written before threads start. */
static enum log_level log_max = LOG_INFO;
static const char *log_program = "skyfall";
static bool log_journal;

static const struct {
	const char *word;
	const char *prefix; /* sd-daemon(3) */
} log_words[] = {
	[LOG_ERROR] = {"error", "<3>"},
	[LOG_WARN] = {"warning", "<4>"},
	[LOG_INFO] = {"", "<6>"},
	[LOG_DEBUG] = {"debug", "<7>"},
};

void log_set(enum log_level level, const char *program)
{
	log_max = level;
	log_program = program;
	log_journal = getenv("JOURNAL_STREAM") != NULL;
}

bool log_enabled(enum log_level level)
{
	return level <= log_max;
}

void log_at(enum log_level level, const char *fmt, ...)
{
	const char *word = log_words[level].word;
	char line[1024];
	va_list ap;

	if (!log_enabled(level))
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (log_journal)
		fprintf(stderr, "%s%s\n", log_words[level].prefix, line);
	else
		fprintf(stderr, "%s: %s%s%s\n", log_program, word, word[0] ? ": " : "", line);
}
