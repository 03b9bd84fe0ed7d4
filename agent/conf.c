/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/conf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/budget.h"
#include "agent/netns.h"
#include "flow/key.h"
#include "wire/wire.h"

static int conf_interval(struct conf *c, char *why, size_t why_len)
{
	if (!opt_interval_ok(c->interval_ms)) {
		snprintf(why, why_len, OPT_INTERVAL_RULE);
		return -EINVAL;
	}
	c->interval_s = (uint16_t)(c->interval_ms / 1000);
	if (c->spread_ms == UINT32_MAX)
		c->spread_ms = c->interval_ms / 10 * 8;
	if (c->spread_ms >= c->interval_ms) {
		snprintf(why, why_len, "--spread: must be shorter than the interval");
		return -EINVAL;
	}
	return 0;
}

/* False: `now` (may be NULL) has no such collector. */
static bool conf_collector_known(struct conf *c, size_t i, const struct conf *now)
{
	size_t j;

	for (j = 0; now && j < now->n_collectors; j++) {
		if (strcmp(now->collector[j].text, c->collectors.v[i]) != 0)
			continue;
		c->collector[i] = now->collector[j];
		c->collector[i].text = c->collectors.v[i];
		return true;
	}
	return false;
}

static int conf_collectors(struct conf *c, const struct conf *now, char *why, size_t why_len)
{
	char reason[256];
	size_t i;
	int r;

	if (!c->print && !c->features && c->collectors.n == 0) {
		snprintf(why, why_len, "nowhere to send: give --collector HOST:PORT, or --print to see the rows here");
		return -EINVAL;
	}
	if (c->collectors.n > CONF_COLLECTORS) {
		snprintf(why, why_len, "--collector: more than %d", CONF_COLLECTORS);
		return -EINVAL;
	}
	for (i = 0; i < c->collectors.n; i++) {
		if (conf_collector_known(c, i, now))
			continue;
		r = (now ? ip_hostport : ip_resolve)(c->collectors.v[i], WIRE_PORT, &c->collector[i].ip,
						     &c->collector[i].port, reason, sizeof(reason));
		if (r >= 0 && ((r == 0 && ip_is_zero(&c->collector[i].ip)) || c->collector[i].port == 0)) {
			snprintf(why, why_len, "--collector: '%s' needs a host and a port above 0", c->collectors.v[i]);
			return -EINVAL;
		}
		if (r < 0) {
			snprintf(why, why_len, "--collector: %s", reason);
			return r;
		}
		c->collector[i].text = c->collectors.v[i];
	}
	c->n_collectors = c->collectors.n;
	return 0;
}

static int conf_text(const char *option, const char *text, char *why, size_t why_len)
{
	struct str s = str_from(text);

	if (s.n <= FLOW_NAME_MAX && wire_text_ok(s))
		return 0;
	snprintf(why, why_len, "--%s: must be UTF-8 text of at most %d bytes without control characters", option,
		 FLOW_NAME_MAX);
	return -EINVAL;
}

static int conf_check_all(struct conf *c, const struct conf *now, char *why, size_t why_len)
{
	char reason[256];
	size_t i;
	int r = conf_interval(c, why, why_len);

	if (r == 0 && budget_parse(c->budget, &c->budget_ppm) < 0) {
		snprintf(why, why_len, "--budget: '%s' is not a percentage of one core such as 1 or 0.5", c->budget);
		r = -EINVAL;
	}
	if (r == 0 && udp_parse(c->udp, &c->udp_mode) < 0) {
		snprintf(why, why_len, "--udp: must be off, connect or bytes");
		r = -EINVAL;
	}
	if (r == 0)
		r = conf_collectors(c, now, why, why_len);
	if (r == 0 && c->key_file) {
		r = keyfile_load(&c->keys, c->key_file, reason, sizeof(reason));
		if (r < 0)
			snprintf(why, why_len, "--key-file: %s", reason);
		r = r == -EINVAL ? -EBADMSG : r;
	}
	if (r == 0)
		r = conf_text("net", c->net, why, why_len);
	if (r == 0)
		r = conf_text("host-id", c->host_id, why, why_len);
	if (r == 0)
		r = conf_text("hostname", c->hostname, why, why_len);
	for (i = 0; r == 0 && i < c->local_nets.n; i++) {
		r = locals_add(&c->locals, c->local_nets.v[i]);
		if (r < 0)
			snprintf(why, why_len, "--local-net: '%s' is not a network such as 172.17.0.0/16",
				 c->local_nets.v[i]);
	}
	for (i = 0; r == 0 && i < c->no_local_nets.n; i++) {
		r = locals_route(&c->locals, c->no_local_nets.v[i]);
		if (r < 0)
			snprintf(why, why_len, "--no-local-net: '%s' is not a network such as 172.17.0.0/16",
				 c->no_local_nets.v[i]);
	}
	for (i = 0; r == 0 && i < c->netns.n; i++) {
		r = netns_resolve(c->netns.v[i], &c->netns_inum[i], reason, sizeof(reason));
		if (r < 0)
			snprintf(why, why_len, "--netns: %s", reason);
		r = r == -EINVAL ? -ENOENT : r; /* the word was fine, the world has no such namespace */
	}
	c->n_netns = r == 0 ? c->netns.n : 0;
	if (r == 0 && c->rules_file) {
		r = rules_load(&c->rules, c->rules_file, why, why_len);
		r = r == -EINVAL ? -EBADMSG : r;
	}
	return r;
}

/* "--interval: ..." becomes "FILE:3:10: --interval: ..." where the option came from a file. */
static void conf_say_where(const struct conf *c, char *why, size_t why_len)
{
	size_t n = strncmp(why, "--", 2) == 0 ? strcspn(why + 2, ": ") : 0;
	const char *where = n ? confile_where(c->file, why + 2, n) : NULL;
	char said[512];

	if (!where)
		return;
	snprintf(said, sizeof(said), "%s", why);
	snprintf(why, why_len, "%s: %s", where, said);
}

static int conf_check_since(struct conf *c, const struct conf *now, char *why, size_t why_len)
{
	int r;

	why[0] = '\0';
	r = conf_check_all(c, now, why, why_len);
	if (r < 0)
		conf_say_where(c, why, why_len);
	return r;
}

int conf_check(struct conf *c, char *why, size_t why_len)
{
	c->print |= c->json && !c->features && c->collectors.n == 0;
	return conf_check_since(c, NULL, why, why_len);
}

/* What stands on the command line comes last, so it wins. */
static int conf_parse_both(struct conf *c, int argc, char **argv)
{
	size_t i, n = confile_count(c->file);
	char **both = calloc((size_t)argc + n + 1, sizeof(*both)), **args;
	struct confile *file = c->file;
	int r, n_args;

	if (!both)
		return -ENOMEM;
	both[0] = argv[0];
	for (i = 0; i < n; i++)
		both[1 + i] = confile_word(file, i);
	memcpy(both + 1 + n, argv + 1, (size_t)(argc - 1) * sizeof(*both));
	*c = conf_defaults;
	c->file = file;
	r = opt_parse("skyfall-agent", &conf_command, argc + (int)n, both, c, &args, &n_args);
	free(both);
	return r;
}

int conf_parse(struct conf *c, int argc, char **argv, char *why, size_t why_len)
{
	static const char *const once[] = {"config", "check-config", "once",    "features",
					   "man",    "completion",   "version", NULL};
	char **args;
	int r, n;

	why[0] = '\0';
	*c = conf_defaults;
	r = opt_parse("skyfall-agent", &conf_command, argc, argv, c, &args, &n);
	if (r != 0 || !c->config)
		return r;
	r = confile_load(&c->file, c->config, &conf_command, once, why, why_len);
	return r ? r : conf_parse_both(c, argc, argv);
}

static bool conf_same(const struct opt *o, const void *a, const void *b)
{
	const struct opt_list *la = a, *lb = b;
	const char *sa, *sb;
	size_t i;

	switch (o->type) {
	case OPT_FLAG:
		return *(const bool *)a == *(const bool *)b;
	case OPT_STRING:
		sa = *(const char *const *)a;
		sb = *(const char *const *)b;
		return sa && sb ? strcmp(sa, sb) == 0 : sa == sb;
	case OPT_LIST:
		for (i = 0; i < la->n && i < lb->n && strcmp(la->v[i], lb->v[i]) == 0; i++)
			;
		return i == la->n && i == lb->n;
	case OPT_TIME:
		return *(const uint32_t *)a == *(const uint32_t *)b;
	default:
		return *(const uint64_t *)a == *(const uint64_t *)b;
	}
}

static size_t conf_size(enum opt_type type)
{
	static const size_t sizes[] = {
		[OPT_FLAG] = sizeof(bool),
		[OPT_STRING] = sizeof(const char *),
		[OPT_LIST] = sizeof(struct opt_list),
		[OPT_UINT] = sizeof(uint64_t),
		[OPT_TIME] = sizeof(uint32_t),
		[OPT_SIZE] = sizeof(uint64_t),
	};

	return sizes[type];
}

/* Options that take effect at a start only stay as they were; those that differ are named in `why`. */
static void conf_keep(struct conf *c, const struct conf *first, char *why, size_t why_len)
{
	static const char *const live = " collector rules interval spread budget local-net no-local-net ";
	const struct opt *o;
	char word[64];
	size_t n = 0;

	for (o = conf_command.opts; o->name || o->help; o++) {
		void *mine = (char *)c + o->offset;
		const void *his = (const char *)first + o->offset;

		if (o->type == OPT_GROUP)
			continue;
		snprintf(word, sizeof(word), " %s ", o->name);
		if (strstr(live, word))
			continue;
		if (!conf_same(o, mine, his) && n < why_len)
			n += (size_t)snprintf(why + n, why_len - n, "%s--%s", n ? ", " : "", o->name);
		memcpy(mine, his, conf_size(o->type));
	}
}

int conf_reload(struct conf *ret, const struct conf *first, const struct conf *now, int argc, char **argv, char *why,
		size_t why_len)
{
	char kept[256] = "";
	int r = conf_parse(ret, argc, argv, why, why_len);

	if (r != 0)
		return r;
	ret->print |= ret->json && ret->collectors.n == 0; /* as it was before they are compared */
	conf_keep(ret, first, kept, sizeof(kept));
	ret->netns.n = 0; /* they are resolved, and may be gone by name */
	r = conf_check_since(ret, now, why, why_len);
	if (r < 0)
		return r;
	ret->netns = first->netns;
	memcpy(ret->netns_inum, first->netns_inum, sizeof(ret->netns_inum));
	ret->n_netns = first->n_netns;
	snprintf(why, why_len, "%s", kept);
	return 0;
}

void conf_deinit(struct conf *c)
{
	rules_free(c->rules);
	confile_free(c->file);
	keyfile_wipe(&c->keys);
	c->rules = NULL;
	c->file = NULL;
}
