/* SPDX-License-Identifier: Apache-2.0 */
/* What the asking commands share: building the question, showing the answer, the exit code. */
#pragma once

#include "cli/client.h"
#include "cli/table.h"

/* Starts a path; each parameter that is not NULL is appended, escaped. */
void answer_path(struct buf *path, const char *resource);
void answer_param(struct buf *path, const char *name, const char *value);

/* The answer as it came, to standard output. */
int answer_verbatim(struct client *c, const char *path);

/* The table to standard output, as wide as the terminal. */
int answer_table(const struct table *t);

/* "10:00:00 to 10:05:00 (5 min)" in local time, with dates when not today. */
void answer_range(double from, double to, char *text, size_t size);
/* "10:00:00", with the date when not today. */
void answer_time(double at, char *text, size_t size);

/* Says what went wrong (one line on standard error) and gives the exit code; r >= 0: CMD_OK. c may be NULL. */
int answer_exit(const struct client *c, const char *command, int r);
