/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inventory in memory: its networks sorted by (prefix length, longest first; address; net). A look-up goes through
 * the lengths that occur (few, in any real file) and searches each run by halves: no trie, nothing to rebalance, and
 * the oracle of the unit test is a loop over all lines.
 */
#include "policy/inventory.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cyaml/cyaml.h>

#include "base/buf.h"
#include "flow/key.h"
#include "policy/yaml_place.h"

#define FILE_MAX (16u << 20)
#define NETWORKS_MAX 1000000

/* As the file has it. */
struct yaml_network {
	const char *cidr, *net, *owner, *site, *zone, *rack;
};

struct yaml_file {
	struct yaml_network *networks;
	unsigned networks_count;
};

#define TEXT(member, flags) \
	CYAML_FIELD_STRING_PTR(#member, CYAML_FLAG_POINTER | (flags), struct yaml_network, member, 0, FLOW_NAME_MAX)

static const cyaml_schema_field_t network_fields[] = {
	TEXT(cidr, CYAML_FLAG_DEFAULT),
	TEXT(net, CYAML_FLAG_OPTIONAL),
	TEXT(owner, CYAML_FLAG_OPTIONAL),
	TEXT(site, CYAML_FLAG_OPTIONAL),
	TEXT(zone, CYAML_FLAG_OPTIONAL),
	TEXT(rack, CYAML_FLAG_OPTIONAL),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t network_value = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct yaml_network, network_fields),
};

static const cyaml_schema_field_t file_fields[] = {
	CYAML_FIELD_SEQUENCE("networks", CYAML_FLAG_POINTER, struct yaml_file, networks, &network_value, 0,
			     NETWORKS_MAX),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t file_value = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct yaml_file, file_fields),
};

struct inventory {
	struct yaml_file *file; /* owns the texts */
	struct inventory_network *v;
	size_t n;
	struct {
		unsigned bits;
		size_t from, to; /* in v */
	} runs[129];
	unsigned n_runs;
};

/* --- what libcyaml says when it refuses */

struct complaint {
	char text[200];
	size_t line, column;
};

static void complain(cyaml_log_t level, void *ctx, const char *fmt, va_list args)
{
	struct complaint *c = ctx;
	char text[512];
	const char *at;

	(void)level;
	vsnprintf(text, sizeof(text), fmt, args);
	text[strcspn(text, "\n")] = '\0';
	at = strstr(text, "(line: ");
	if (at && !c->line)
		(void)sscanf(at, "(line: %zu, column: %zu)", &c->line, &c->column);
	else if (!c->text[0] && strncmp(text, "Load: ", 6) == 0 && strncmp(text, "Load: Backtrace", 15) != 0)
		snprintf(c->text, sizeof(c->text), "%.180s", text + 6);
}

static const cyaml_config_t yaml_config = {
	.log_fn = complain,
	.log_level = CYAML_LOG_ERROR,
	.mem_fn = cyaml_mem,
	.flags = CYAML_CFG_NO_ALIAS, /* a few lines of aliases can stand for a billion */
};

/* The libcyaml message is about one of these keys, whose own place it does not give. */
static void complaint_place(struct complaint *c, const void *yaml, size_t n)
{
	static const struct {
		const char *begin;
		unsigned nth;
	} known[] = {{"Unexpected key: ", 0}, {"Mapping field already seen: ", 1}};
	struct yaml_place place;

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strncmp(c->text, known[i].begin, strlen(known[i].begin)) != 0)
			continue;
		place = yaml_place_key(yaml, n, c->text + strlen(known[i].begin), known[i].nth);
		if (place.line) {
			c->line = place.line;
			c->column = place.column;
		}
	}
}

static int inventory_read_yaml(struct inventory *inv, const char *name, const void *yaml, size_t n, char *why,
			       size_t why_len)
{
	struct complaint c = {.line = 0};
	cyaml_config_t config = yaml_config;
	cyaml_err_t err;

	config.log_ctx = &c;
	err = cyaml_load_data(yaml, n, &config, &file_value, (cyaml_data_t **)&inv->file, NULL);
	if (err == CYAML_OK)
		return 0;
	complaint_place(&c, yaml, n);
	snprintf(why, why_len, "%s:%zu:%zu: %s", name, c.line ? c.line : 1, c.column ? c.column : 1,
		 c.text[0] ? c.text : cyaml_strerror(err));
	return err == CYAML_ERR_OOM ? -ENOMEM : -EINVAL;
}

/* --- meaning */

static struct ip prefix_mask(const struct ip *ip, unsigned bits)
{
	struct ip masked = {{0}};

	memcpy(masked.b, ip->b, bits / 8);
	if (bits % 8)
		masked.b[bits / 8] = (uint8_t)(ip->b[bits / 8] & (0xff00u >> bits % 8));
	return masked;
}

static const char *text_or_empty(const char *text)
{
	return text ? text : "";
}

/* NULL, or what is wrong with the CIDR. */
static const char *network_from_yaml(const struct yaml_network *from, struct inventory_network *to)
{
	struct ip masked;

	if (!strchr(from->cidr, '/') || ip_parse_prefix(from->cidr, &to->prefix, &to->bits) < 0)
		return "is not a network like 10.0.0.0/8 or 2001:db8::/32";
	masked = prefix_mask(&to->prefix, to->bits);
	if (!ip_eq(&masked, &to->prefix))
		return "has bits set to the right of its length";
	to->net = from->net;
	to->owner = text_or_empty(from->owner);
	to->site = text_or_empty(from->site);
	to->zone = text_or_empty(from->zone);
	to->rack = text_or_empty(from->rack);
	return NULL;
}

/* Longest first, then by address; without a net after those with one. */
static int network_cmp(const void *pa, const void *pb)
{
	const struct inventory_network *a = pa, *b = pb;
	int r;

	if (a->bits != b->bits)
		return a->bits > b->bits ? -1 : 1;
	r = memcmp(a->prefix.b, b->prefix.b, 16);
	if (r)
		return r;
	if (!a->net || !b->net)
		return !a->net - !b->net;
	return strcmp(a->net, b->net);
}

static void inventory_runs(struct inventory *inv)
{
	for (size_t i = 0; i < inv->n; i++) {
		if (!inv->n_runs || inv->runs[inv->n_runs - 1].bits != inv->v[i].bits) {
			inv->runs[inv->n_runs].bits = inv->v[i].bits;
			inv->runs[inv->n_runs++].from = i;
		}
		inv->runs[inv->n_runs - 1].to = i + 1;
	}
}

static int inventory_refuse(const char *name, const void *yaml, size_t n, size_t i, const char *cidr, const char *what,
			    char *why, size_t why_len)
{
	struct yaml_place place = yaml_place_value(yaml, n, "networks", i, "cidr");

	snprintf(why, why_len, "%s:%zu:%zu: '%s' %s", name, place.line, place.column, cidr, what);
	return -EINVAL;
}

/* Two lines for one network: says so at the later one. */
static int inventory_no_doubles(struct inventory *inv, const char *name, const void *yaml, size_t n, char *why,
				size_t why_len)
{
	for (size_t i = 1; i < inv->n; i++) {
		struct inventory_network other;
		size_t last = 0;

		if (network_cmp(&inv->v[i - 1], &inv->v[i]) != 0)
			continue;
		for (size_t k = 0; k < inv->n; k++) {
			(void)network_from_yaml(&inv->file->networks[k], &other);
			last = network_cmp(&other, &inv->v[i]) == 0 ? k : last;
		}
		return inventory_refuse(name, yaml, n, last, inv->file->networks[last].cidr, "is there twice", why,
					why_len);
	}
	return 0;
}

int inventory_parse(struct inventory **ret, const char *name, const void *yaml, size_t n, char *why, size_t why_len)
{
	struct inventory *inv = calloc(1, sizeof(*inv));
	int r = -ENOMEM;

	if (!inv)
		goto out;
	r = inventory_read_yaml(inv, name, yaml, n, why, why_len);
	if (r < 0)
		goto out;
	inv->n = inv->file ? inv->file->networks_count : 0;
	inv->v = calloc(inv->n + 1, sizeof(*inv->v));
	if (!inv->v) {
		r = -ENOMEM;
		goto out;
	}
	for (size_t i = 0; i < inv->n; i++) {
		const char *wrong = network_from_yaml(&inv->file->networks[i], &inv->v[i]);

		if (wrong) {
			r = inventory_refuse(name, yaml, n, i, inv->file->networks[i].cidr, wrong, why, why_len);
			goto out;
		}
	}
	qsort(inv->v, inv->n, sizeof(*inv->v), network_cmp);
	r = inventory_no_doubles(inv, name, yaml, n, why, why_len);
	if (r < 0)
		goto out;
	inventory_runs(inv);
	*ret = inv;
	inv = NULL;
out:
	if (r == -ENOMEM)
		snprintf(why, why_len, "%s: out of memory", name);
	inventory_free(inv);
	return r;
}

int inventory_load(struct inventory **ret, const char *path, char *why, size_t why_len)
{
	FILE *f = fopen(path, "rb");
	struct buf b;
	size_t n;
	int r;

	if (!f) {
		r = -errno;
		snprintf(why, why_len, "cannot read %s: %s", path, strerror(-r));
		return r;
	}
	buf_init(&b, FILE_MAX);
	do {
		char part[8192];

		n = fread(part, 1, sizeof(part), f);
		buf_put(&b, part, n);
	} while (n > 0 && b.err == 0);
	r = b.err == -ENOSPC ? -E2BIG : b.err;
	if (r == 0 && ferror(f))
		r = -EIO;
	fclose(f);
	if (r == 0)
		r = inventory_parse(ret, path, b.p ? b.p : "", b.n, why, why_len);
	else
		snprintf(why, why_len, "cannot read %s: %s", path, r == -E2BIG ? "larger than 16 MiB" : strerror(-r));
	buf_deinit(&b);
	return r;
}

void inventory_free(struct inventory *inv)
{
	if (!inv)
		return;
	if (inv->file)
		(void)cyaml_free(&yaml_config, &file_value, inv->file, 0);
	free(inv->v);
	free(inv);
}

size_t inventory_networks(const struct inventory *inv)
{
	return inv ? inv->n : 0;
}

const struct inventory_network *inventory_find(const struct inventory *inv, struct str net, const struct ip *ip)
{
	for (unsigned run = 0; inv && run < inv->n_runs; run++) {
		struct ip want = prefix_mask(ip, inv->runs[run].bits);
		size_t lo = inv->runs[run].from, hi = inv->runs[run].to, end = hi;

		while (lo < hi) {
			size_t mid = lo + (hi - lo) / 2;

			if (memcmp(inv->v[mid].prefix.b, want.b, 16) < 0)
				lo = mid + 1;
			else
				hi = mid;
		}
		for (; lo < end && ip_eq(&inv->v[lo].prefix, &want); lo++) {
			if (!inv->v[lo].net || str_eq(str_from(inv->v[lo].net), net))
				return &inv->v[lo];
		}
	}
	return NULL;
}

char *inventory_unknown(const struct ip *ip, struct str net, char text[INVENTORY_TEXT])
{
	bool v4 = ip_is_v4(ip);
	struct ip prefix = prefix_mask(ip, v4 ? 96 + 24 : 48);
	char addr[IP_TEXT];

	net.n = net.n < FLOW_NAME_MAX ? net.n : FLOW_NAME_MAX;
	snprintf(text, INVENTORY_TEXT, "unknown:%.*s%s%s/%d", STR_FMT(net), net.n ? "/" : "", ip_format(&prefix, addr),
		 v4 ? 24 : 48);
	return text;
}
