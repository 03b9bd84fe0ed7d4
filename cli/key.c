/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/ip.h"
#include "base/keyfile.h"
#include "cli/cmd.h"
#include "wire/auth.h"

#define KEY_ADDRESSES 4096

struct key_conf {
	const char *fleet_key;
	bool new;
};

static const struct opt key_options[] = {
	{.name = "fleet-key",
	 .letter = 'k',
	 .type = OPT_STRING,
	 .offset = offsetof(struct key_conf, fleet_key),
	 .arg = "FILE",
	 .help = "the fleet's keys, as the collectors have them; the first one counts"},
	{.name = "new",
	 .type = OPT_FLAG,
	 .offset = offsetof(struct key_conf, new),
	 .help = "a new fleet key instead, by chance"},
	{0},
};

const struct opt_command key_command = {
	.name = "key",
	.summary = "the key by which a host signs what it sends",
	.args = "[ADDRESS ...]",
	.about =
		"Each agent has a key of its own, made from the fleet's key and its address, so it can sign as itself and as nobody\n"
		"else. What is printed is what `skyfall-agent --key-file` reads. The agent says at its start as which address it signs.\n"
		"\n"
		"  (umask 077; skyfall key --new > fleet.key)               # once, for the collectors\n"
		"  skyfall key --fleet-key fleet.key 10.1.2.3 > agent.key   # for that host",
	.opts = key_options,
	.conf_size = sizeof(struct key_conf),
	.max_args = KEY_ADDRESSES,
};

static int key_say(const char *why, int code)
{
	fprintf(stderr, CMD_PROGRAM " key: %s\n", why);
	return code;
}

static int key_new(void)
{
	char text[2 * KEYFILE_BYTES + 1];
	uint8_t key[KEYFILE_BYTES];

	if (getrandom(key, sizeof(key), 0) != sizeof(key))
		return key_say("this system gives no random bytes", CMD_FAILED);
	keyfile_format(key, text);
	puts(text);
	return CMD_OK;
}

static int key_print(const struct wire_auth *fleet, char **args, int n)
{
	char text[2 * KEYFILE_BYTES + 1], said[IP_TEXT];
	uint8_t key[KEYFILE_BYTES];
	struct ip ip;

	for (int i = 0; i < n; i++) {
		if (ip_parse(args[i], &ip) < 0) {
			fprintf(stderr, CMD_PROGRAM " key: '%s' is no address such as 10.1.2.3 or 2001:db8::1\n",
				args[i]);
			return CMD_USAGE;
		}
	}
	for (int i = 0; i < n; i++) {
		(void)ip_parse(args[i], &ip);
		wire_auth_agent(fleet, &ip, key);
		keyfile_format(key, text);
		if (n == 1)
			puts(text);
		else
			printf("%s  # %s\n", text, ip_format(&ip, said));
	}
	return CMD_OK;
}

int cmd_key(int argc, char **argv)
{
	struct key_conf conf = {0};
	struct keyfile file;
	struct wire_auth fleet;
	char **args, why[512];
	int n, r = opt_parse(CMD_PROGRAM " key", &key_command, argc, argv, &conf, &args, &n);

	if (r)
		return r == OPT_HELP ? CMD_OK : CMD_USAGE;
	if (conf.new ? n || conf.fleet_key : !n)
		return key_say("give addresses of hosts, or --new alone", CMD_USAGE);
	if (conf.new)
		return key_new();
	if (!conf.fleet_key)
		return key_say("whose hosts are they? --fleet-key FILE has the fleet's key", CMD_USAGE);
	if (keyfile_load(&file, conf.fleet_key, why, sizeof(why)) < 0)
		return key_say(why, CMD_FAILED);
	wire_auth_init(&fleet, file.key[0]);
	keyfile_wipe(&file);
	return key_print(&fleet, args, n);
}
