/* SPDX-License-Identifier: Apache-2.0 */
/* What the fleet's services, hosts and zones are called. */
#include <string.h>

#include "base/table.h"
#include "tools/gen/fleet.h"

struct word {
	const char *name, *process;
	uint16_t port;
};

static const struct word edge_words[] = {
	{"web", "nginx", 443},         {"gateway", "envoy", 8443},   {"mobile-api", "node", 8080},
	{"partner-api", "node", 8081}, {"login", "java", 8443},      {"static", "nginx", 80},
	{"graphql", "node", 4000},     {"websocket", "envoy", 8444},
};

static const struct word app_words[] = {
	{"auth", "java", 9000},         {"checkout", "java", 9001}, {"catalog", "java", 9002},
	{"search", "java", 9200},       {"basket", "go", 9003},     {"orders", "java", 9004},
	{"pricing", "python3", 9005},   {"shipping", "java", 9006}, {"payments", "java", 9007},
	{"recommend", "python3", 9008}, {"profile", "go", 9009},    {"mailer", "ruby", 9010},
	{"stock", "java", 9011},        {"invoices", "java", 9012}, {"fraud", "python3", 9013},
	{"reports", "python3", 9014},
};

static const struct word data_words[] = {
	{"cache", "redis-server", 6379}, {"orders-db", "postgres", 5432}, {"queue", "beam.smp", 5672},
	{"users-db", "postgres", 5432},  {"ledger-db", "postgres", 5432}, {"events", "java", 9092},
	{"index", "java", 9300},         {"objects", "minio", 9000},      {"metrics", "prometheus", 9090},
	{"secrets", "vault", 8200},
};

static const struct {
	const struct word *words;
	size_t n;
} layers[FLEET_LAYERS] = {
	{edge_words, ARRAY_LEN(edge_words)},
	{app_words, ARRAY_LEN(app_words)},
	{data_words, ARRAY_LEN(data_words)},
};

/* If a page ever runs one of these, window.skyfallRan is set. */
static const char *const odd_names[] = {
	"<img src=x onerror=\"window.skyfallRan='img'\">",
	"</script><script>window.skyfallRan='script'</script>",
	"\"'><svg/onload=window.skyfallRan='svg'>",
	"javascript:window.skyfallRan='url'",
	"{{constructor.constructor('window.skyfallRan=1')()}}${window.skyfallRan=1}",
	"\xd7\xa9\xd7\x99\xd7\xa8\xd7\x95\xd7\xaa-\xd7\xaa\xd7\xa9\xd7\x9c\xd7\x95\xd7\x9e\xd7\x99\xd7\x9d", /* Hebrew */
	"\xe2\x80\xaegpj.exe-\xd8\xae\xd8\xaf\xd9\x85\xd8\xa9", /* right-to-left override, Arabic */
	"a&b=c#d?e=%3Cb%3E/../../etc/passwd",
	"'; DROP TABLE edges; --",
	"  two  spaces  ",
	"other:",
	"service:web,\"quoted\"\\back",
	"z\xcc\x80\xcc\x81\xcc\x82\xcc\x83\xcc\x84\xcc\x88\xcc\x8c-\xf0\x9f\x94\xa5-\xe6\x9c\x8d\xe5\x8a\xa1", /* marks, emoji */
	NULL, /* 4 KiB */
};

static void name_long(char name[FLEET_NAME])
{
	for (size_t i = 0; i < 4096; i++)
		name[i] = (char)('a' + i % 26);
	name[4096] = '\0';
}

void fleet_name(unsigned layer, uint32_t i, bool odd, char name[FLEET_NAME], const char **ret_process,
		uint16_t *ret_port)
{
	const struct word *w = &layers[layer].words[i % layers[layer].n];
	uint32_t round = i / (uint32_t)layers[layer].n;

	*ret_process = w->process;
	*ret_port = w->port;
	if (odd && layer == 1 && i < ARRAY_LEN(odd_names)) {
		if (odd_names[i])
			snprintf(name, FLEET_NAME, "%s", odd_names[i]);
		else
			name_long(name);
	} else if (round) {
		snprintf(name, FLEET_NAME, "%s-%u", w->name, round + 1);
	} else {
		snprintf(name, FLEET_NAME, "%s", w->name);
	}
}

void fleet_zone(unsigned zone, char name[32])
{
	static const char *const words[FLEET_LAYERS] = {"edge", "app", "data"};

	if (zone < FLEET_LAYERS)
		snprintf(name, 32, "%s", words[zone]);
	else
		snprintf(name, 32, "%s-%u", words[zone % FLEET_LAYERS], zone / FLEET_LAYERS + 1);
}

void fleet_hostname(uint32_t host, unsigned zone, bool odd, char name[FLEET_NAME])
{
	char text[32];

	fleet_zone(zone, text);
	if (odd && host < ARRAY_LEN(odd_names) && odd_names[host])
		snprintf(name, FLEET_NAME, "%s", odd_names[host]);
	else
		snprintf(name, FLEET_NAME, "%s-%05u.example", text, host);
}

void fleet_names(const struct fleet *f, uint32_t instance, struct flow_names *ret)
{
	const struct fleet_instance *v = &f->instances[instance];
	const struct fleet_service *s = &f->services[v->service];

	*ret = (struct flow_names){.service = s->name,
				   .process = s->process,
				   .container = {v->container, 12},
				   .quality = FLOW_OWNER_EXACT};
}

bool fleet_inventory(const struct fleet *f, FILE *out)
{
	char name[32];

	fprintf(out, "# written by skyfall-gen\nnetworks:\n");
	for (unsigned z = 0; z < f->conf.zones; z++) {
		fleet_zone(z, name);
		fprintf(out, "  - cidr: 10.%u.0.0/16\n    owner: %s-network\n    site: gen\n    zone: %s\n", z, name,
			name);
		if (f->conf.ipv6 > 0)
			fprintf(out, "  - cidr: fd00:0:%x::/48\n    owner: %s-network\n    site: gen\n    zone: %s\n",
				z, name, name);
	}
	return !ferror(out);
}
