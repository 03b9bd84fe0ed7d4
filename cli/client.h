/* SPDX-License-Identifier: Apache-2.0 */
/* Questions to the API over HTTP. One client per thread; answers are JSON objects. */
#pragma once

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define CLIENT_DEFAULT_API "http://127.0.0.1:8343"
#define CLIENT_ANSWER_MAX (64u << 20) /* bytes of one answer */

/* The option every question has; give it the member that holds the address. */
#define CLIENT_OPT(conf, member)                                                                                  \
	{                                                                                                         \
		.name = "api", .letter = 'a', .type = OPT_STRING, .offset = offsetof(conf, member), .arg = "URL", \
		.help = "where the API is; default $SKYFALL_API, else " CLIENT_DEFAULT_API                        \
	}

struct client;

/* api NULL: $SKYFALL_API, else the default. "host:port" means http. -ENOMEM. */
int client_new(struct client **ret, const char *api);
void client_free(struct client *c);

const char *client_api(const struct client *c);

/* GET path ("/api/v1/edges?limit=5"). *ret_json is the caller's (json_decref). Failure: -ECONNREFUSED, -ETIMEDOUT
 * and the like when nobody answered, -EPROTO when the answer is no JSON, -EINVAL when the question was
 * wrong, -EREMOTEIO when it is another error; the sentence is
 * in client_error(). */
int client_get(struct client *c, const char *path, json_t **ret_json);

/* The same, the answer as it came (appended to out). */
int client_get_raw(struct client *c, const char *path, struct buf *out);

/* What went wrong last and what to do, one line. */
const char *client_error(const struct client *c);

/* The exit code that a failed client_get means: CMD_USAGE, CMD_NO_API or CMD_FAILED. */
int client_exit_code(int r);

/* Appends text with everything but unreserved characters (RFC 3986) as %XX. */
void client_escape(struct buf *out, const char *text);

/* --- reading answers: a missing or odd member is the default, never a crash */
const char *client_str(const json_t *o, const char *key, const char *otherwise);
/* A number (integer, real, or true as 1); `otherwise` when absent or null. */
double client_num(const json_t *o, const char *key, double otherwise);
