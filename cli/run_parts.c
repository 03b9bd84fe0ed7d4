/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <glob.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "cli/cmd.h"
#include "cli/run.h"

#define RUN_HEARD_MS 10000 /* an agent that has not been heard by then is reported as such */
#define RUN_SHOP_MS 30000
#define RUN_STOP_MS 10000
#define RUN_ARGS 512

void run_open_files(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur < l.rlim_max) {
		l.rlim_cur = l.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &l);
	}
}

struct run_args {
	char *v[RUN_ARGS + 1];
	size_t n;
};

static void run_arg(struct run_args *a, const char *name, const char *value)
{
	if (!value || a->n + 2 > RUN_ARGS)
		return;
	a->v[a->n++] = (char *)name;
	a->v[a->n++] = (char *)value;
}

int run_agent_start(struct run *r, char *why, size_t why_len)
{
	const struct run_conf *conf = r->conf;
	char path[4096], interval[24], spread[24];
	struct run_args a = {{path}, 1};
	int e;

	if (conf->agent)
		str_copy(path, sizeof(path), str_from(conf->agent));
	else
		child_find("skyfall-agent", "agent", path, sizeof(path));
	snprintf(interval, sizeof(interval), "%ums", conf->interval_ms);
	snprintf(spread, sizeof(spread), "%ums", conf->spread_ms);
	run_arg(&a, "--collector", r->roles.sflow_address);
	run_arg(&a, "--interval", interval);
	run_arg(&a, "--spread", spread);
	run_arg(&a, "--net", conf->net);
	run_arg(&a, "--host-id", conf->host_id);
	run_arg(&a, "--rules", conf->rules);
	run_arg(&a, "--key-file", conf->key_file);
	run_arg(&a, "--budget", "5"); /* intervals are ten times as many as a fleet's */
	for (size_t i = 0; i < conf->netns.n; i++)
		run_arg(&a, "--netns", conf->netns.v[i]);
	for (size_t i = 0; i < conf->local_nets.n; i++)
		run_arg(&a, "--local-net", conf->local_nets.v[i]);
	for (size_t i = 0; i < conf->no_local_nets.n; i++)
		run_arg(&a, "--no-local-net", conf->no_local_nets.v[i]);
	a.v[a.n++] = (char *)"--quiet";
	e = child_start(&r->agent, a.v, false);
	if (e < 0)
		snprintf(why, why_len, "cannot start the agent %s: %s", path, strerror(-e));
	return e;
}

/* Mode of a host heard since this run began; false when there is none. */
static bool run_agent_mode(struct run *r)
{
	json_t *answer = NULL;
	const json_t *hosts;
	bool found = false;

	if (client_get(r->client, "/api/v1/hosts", &answer) < 0)
		return false;
	hosts = json_object_get(answer, "hosts");
	for (size_t i = 0; i < json_array_size(hosts) && !found; i++) {
		const json_t *host = json_array_get(hosts, i);

		found = client_num(host, "last_seen", 0) >= (double)r->from_s && client_num(host, "reporting", 0) != 0;
		if (found)
			str_copy(r->mode, sizeof(r->mode), str_from(client_str(host, "mode", "?")));
	}
	json_decref(answer);
	return found;
}

bool run_agent_heard(struct run *r)
{
	int64_t until = clock_mono_us() + RUN_HEARD_MS * 1000;
	int status;

	while (!run_agent_mode(r)) {
		if (child_ended(&r->agent, &status)) {
			if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
				fprintf(stderr,
					"skyfall: cannot start skyfall-agent: is it built and installed beside skyfall? "
					"(--agent FILE says where, --no-agent goes without)\n");
			else if (WIFSIGNALED(status))
				fprintf(stderr, "skyfall: the agent died of signal %d (--no-agent goes without)\n",
					WTERMSIG(status));
			return false;
		}
		if (clock_mono_us() > until) {
			snprintf(r->mode, sizeof(r->mode), "started, not heard yet: `skyfall doctor` says more");
			break;
		}
		if (run_signalled(r, 50))
			return false;
	}
	return true;
}

/* --- reload */

bool run_has_terminal(void)
{
	int fd = open("/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

void run_reload(struct run *r)
{
	char why[512];

	if (!r->roles.collector)
		return;
	if (roles_reload(&r->roles, &r->opts, why, sizeof(why)) < 0) {
		log_error("not reloaded, everything stays as it was: %s", why);
		return;
	}
	if (r->agent.pid)
		(void)kill(r->agent.pid, SIGHUP);
	if (!r->conf->quiet)
		fprintf(stderr, CMD_PROGRAM ": reloaded\n");
}

/* --- the shop */

static void run_truth_clear(const char *folder)
{
	char pattern[4300];
	glob_t files;

	snprintf(pattern, sizeof(pattern), "%s/*.json", folder);
	if (glob(pattern, 0, NULL, &files) != 0)
		return;
	for (size_t i = 0; i < files.gl_pathc; i++)
		(void)unlink(files.gl_pathv[i]);
	globfree(&files);
}

int run_shop_start(struct run *r, char *why, size_t why_len)
{
	char path[4096], line[64];
	char *argv[] = {path, (char *)"--truth", r->truth, NULL};
	struct pollfd p;
	ssize_t n = 0;
	int e;

	snprintf(r->truth, sizeof(r->truth), "%s/shop", r->data);
	run_truth_clear(r->truth);
	child_find("skyfall-shop", "tools", path, sizeof(path));
	e = child_start(&r->shop, argv, true);
	if (e < 0) {
		snprintf(why, why_len, "cannot start %s: %s", path, strerror(-e));
		return e;
	}
	p = (struct pollfd){.fd = r->shop.out, .events = POLLIN};
	if (poll(&p, 1, RUN_SHOP_MS) > 0)
		n = read(r->shop.out, line, sizeof(line));
	if (n > 0)
		return 0;
	(void)child_stop(&r->shop, RUN_STOP_MS);
	*why = '\0'; /* the shop has said it */
	return -ECHILD;
}

void run_drain(struct run *r)
{
	(void)child_stop(&r->shop, RUN_SHOP_MS);
	(void)child_stop(&r->agent, RUN_STOP_MS);
	roles_drain(&r->roles);
}
