/* SPDX-License-Identifier: Apache-2.0 */
/* ClickHouse over HTTP, and its two binary formats: Native (columns, what is written) and RowBinary (rows, what is read). */
#pragma once

#include "base/buf.h"
#include "base/ip.h"

struct clickhouse_http;

/* One connection, for one thread at a time. -EINVAL, -ENOMEM with a sentence in `why`. */
int clickhouse_http_new(struct clickhouse_http **ret, const char *url, char *why, size_t why_len);
void clickhouse_http_free(struct clickhouse_http *h);
const char *clickhouse_http_database(const struct clickhouse_http *h);
const char *clickhouse_http_where(const struct clickhouse_http *h); /* host:port/database, no password */

/* Sends a statement (and the data behind it) in body; the answer goes to ret (cleared first; NULL: not wanted).
 * with_database false: before it is there. -EAGAIN: no answer, or one that says "later"; -EPROTO: an error of the server's.
 * Its text is in error, its number in *ret_code (0: none). -ENOMEM: the answer is too large. */
int clickhouse_http_post(struct clickhouse_http *h, bool with_database, const struct buf *body, struct buf *ret,
			 int *ret_code, char *error, size_t error_len);

/* --- writing */
void clickhouse_quote(struct buf *sql, struct str s); /* as a string literal */
void clickhouse_varint(struct buf *b, uint64_t v);
void clickhouse_string(struct buf *b, struct str s);
/* Begins a Native block, a column of it; the values of all rows follow. */
void clickhouse_block(struct buf *b, unsigned columns, size_t rows);
void clickhouse_column(struct buf *b, const char *name, const char *type);

/* --- reading: bad is set, and zero returned, once there is not enough */
struct clickhouse_rows {
	const uint8_t *p, *end;
	bool bad;
};

struct clickhouse_rows clickhouse_rows(const struct buf *b);
/* Another row? */
bool clickhouse_more(const struct clickhouse_rows *r);
uint64_t clickhouse_uint(struct clickhouse_rows *r, unsigned bytes);
double clickhouse_float(struct clickhouse_rows *r);
uint64_t clickhouse_count(struct clickhouse_rows *r); /* of an array: at most what is left in bytes */
struct str clickhouse_text(struct clickhouse_rows *r);
struct ip clickhouse_ip(struct clickhouse_rows *r);
