/* SPDX-License-Identifier: Apache-2.0 */
/* skyfall-agent: reads this host's connections, names them, sends their sums. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bpf/libbpf.h>

#include "agent/caps.h"
#include "agent/conf.h"
#include "agent/cycle.h"
#include "agent/features.h"
#include "agent/probe.h"
#include "agent/link.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/table.h"

static const struct source_ops *const sources[] = {&source_bpf, &source_diag}; /* the better one first */

/* Opens the wanted source, or the best that works here. */
static int main_source(const struct conf *conf, const struct source_ops **ret_ops, struct source **ret)
{
	struct source_opts opts = {.netns = conf->netns_inum,
				   .n_netns = conf->n_netns,
				   .max_rows = (uint32_t)conf->max_rows,
				   .max_socks = (uint32_t)conf->max_socks};
	bool any = strcmp(conf->source, "auto") == 0;
	char why[512] = "";
	int r = -ENOENT;
	size_t i;

	for (i = 0; i < ARRAY_LEN(sources); i++) {
		if (!any && strcmp(conf->source, sources[i]->name) != 0)
			continue;
		r = sources[i]->open(ret, &opts, why, sizeof(why));
		if (r == 0) {
			*ret_ops = sources[i];
			return 0;
		}
		if (any && i + 1 < ARRAY_LEN(sources))
			log_warn("%s: %s; going on with %s, which sees less (skyfall-agent --features)",
				 sources[i]->name, why, sources[i + 1]->name);
		else
			log_error("%s: %s", sources[i]->name, why);
	}
	return r;
}

/* The host's applications go first (law L9). */
static void main_be_a_guest(void)
{
	enum { IOPRIO_WHO_PROCESS = 1, IOPRIO_IDLE = 3 << 13 };

	(void)setpriority(PRIO_PROCESS, 0, 19);
	(void)syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_IDLE);
}

/* The address that names this agent: the one it sends from, unless that is nobody's name. */
static struct ip main_address(const struct conf *conf, const struct host *host)
{
	struct ip ip = {{0}};

	if (conf->n_collectors && link_source(&conf->collector[0].ip, conf->collector[0].port, &ip) == 0 &&
	    conf->n_netns == 0 && !ip_is_loopback(&ip))
		return ip;
	(void)host_address(host, &ip); /* an agent of a namespace is called by an address in there */
	return ip;
}

static void main_done(void *arg)
{
	loop_stop(arg);
}

static int main_run(const struct conf *conf, struct cycle *cycle, struct host *host, struct loop *loop)
{
	struct batch_head head = {
		.wire = {.interval_s = conf->interval_s,
			 .spread_ms = conf->spread_ms,
			 .boot = (uint64_t)clock_wall_us(),
			 .net = str_from(conf->net)},
		.opts = {.enterprise = (uint32_t)conf->enterprise, .size = (uint32_t)conf->size},
	};
	struct outbox *outbox = NULL;
	char why[512];
	int r = 0;

	cycle_look(cycle);
	head.agent = main_address(conf, host);
	host_name_by(host, &head.agent);
	head.wire.host = str_from(host->id);
	if (!conf->print)
		r = outbox_new(&outbox, conf, &head, loop, why, sizeof(why));
	if (r < 0) {
		log_error("%s", why);
		return r;
	}
	r = cycle_start(cycle, outbox, &head, main_done, loop);
	if (r == 0)
		r = loop_run(loop);
	cycle_stop(cycle);
	if (outbox)
		outbox_flush(outbox);
	outbox_free(outbox);
	return r;
}

static int main_measure(const struct conf *conf)
{
	const struct source_ops *ops = NULL;
	static struct host host; /* big */
	struct source *source = NULL;
	struct cycle *cycle = NULL;
	struct loop *loop = NULL;
	char why[512];
	int r;

	r = loop_new(&loop);
	if (r == 0)
		r = loop_signals(loop, NULL, NULL);
	if (r < 0) {
		log_error("%s", strerror(-r));
		goto out;
	}
	r = main_source(conf, &ops, &source);
	if (r < 0)
		goto out;
	r = caps_drop();
	if (r < 0)
		log_warn("privileges that are not needed any more could not be given up: %s", strerror(-r));
	host_init(&host, conf->host_id, conf->hostname, ops->name);
	r = cycle_new(&cycle, conf, ops, source, &host, why, sizeof(why));
	if (r < 0) {
		log_error("%s", why);
		ops->close(source);
		goto out;
	}
	log_info("measuring by %s, every %u s", ops->name, conf->interval_s);
	r = main_run(conf, cycle, &host, loop);
out:
	cycle_free(cycle);
	loop_free(loop);
	return r < 0 ? 1 : 0;
}

int main(int argc, char **argv)
{
	struct conf conf = conf_defaults;
	char why[512], **args;
	int r, n;

	if (argc == 2 && strcmp(argv[1], "--man") == 0) { /* for the build: docs/skyfall-agent.8 */
		opt_man("skyfall-agent", 8, conf_command.summary, (const struct opt_command *[]){&conf_command}, 1,
			stdout);
		return 0;
	}
	r = opt_parse("skyfall-agent", &conf_command, argc, argv, &conf, &args, &n);
	if (r != 0)
		return r == OPT_HELP ? 0 : 2;
	log_set(conf.quiet ? LOG_ERROR : LOG_INFO, "skyfall-agent");
	r = conf_check(&conf, why, sizeof(why));
	if (r < 0) {
		log_error("%s", why);
		conf_deinit(&conf);
		return r == -EINVAL ? 2 : 1;
	}
	(void)signal(SIGPIPE, SIG_IGN);
	libbpf_set_print(NULL); /* what matters of it comes back as `why` */
	if (conf.features) {
		probe_print(stdout, conf.json);
		conf_deinit(&conf);
		return 0;
	}
	main_be_a_guest();
	r = main_measure(&conf);
	conf_deinit(&conf);
	return r;
}
