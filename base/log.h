/* SPDX-License-Identifier: Apache-2.0 */
/* Messages of programs and roles, to standard error. Libraries (wire, flow, bus, store, policy) return errors instead. */
#pragma once

#include <stdbool.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* Set once at start, before threads. Default LOG_INFO. With systemd's journal (JOURNAL_STREAM) lines carry <3>-style levels. */
void log_set(enum log_level level, const char *program);

bool log_enabled(enum log_level level);
void log_at(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_at(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_at(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_at(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_at(LOG_DEBUG, __VA_ARGS__)
