/* SPDX-License-Identifier: Apache-2.0 */
/* skyfall-agent: reads this host's connections, names them, sends their sums. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "agent/btf.h"
#include "agent/conf.h"
#include "agent/cycle.h"
#include "agent/fence.h"
#include "agent/guest.h"
#include "agent/link.h"
#include "agent/netns.h"
#include "agent/ports.h"
#include "agent/probe.h"
#include "agent/reload.h"
#include "agent/udp_adopt.h"
#include "base/clock.h"
#include "base/log.h"

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

static int main_run(const struct conf *conf, struct cycle *cycle, struct host *host, struct loop *loop,
		    struct reload *reload)
{
	struct batch_head head = {
		.wire = {.interval_s = conf->interval_s,
			 .spread_ms = conf->spread_ms,
			 .boot = (uint64_t)clock_wall_us(),
			 .net = str_from(conf->net)},
		.opts = {.enterprise = (uint32_t)conf->enterprise,
			 .size = (uint32_t)conf->size,
			 .auth = conf->keys.n > 0},
		.interop = strcmp(conf->profile, "interop") == 0,
	};
	struct outbox *outbox = NULL;
	char why[512] = "", address[IP_TEXT];
	int r = 0;

	cycle_look(cycle);
	head.agent = main_address(conf, host);
	host_name_by(host, &head.agent);
	head.wire.host = str_from(host->id);
	if (!conf->print && head.opts.auth)
		log_info("signing as %s", ip_format(&head.agent, address));
	if (!conf->print)
		r = outbox_new(&outbox, conf, &head, loop, why, sizeof(why));
	if (r < 0) {
		log_error("%s", why);
		return r;
	}
	r = cycle_start(cycle, outbox, &head, main_done, loop);
	reload->cycle = cycle;
	reload->outbox = outbox;
	if (r == 0)
		r = loop_run(loop);
	cycle_stop(cycle);
	if (r == 0 && conf->once && cycle_failed(cycle))
		r = -EIO;
	if (outbox)
		outbox_flush(outbox);
	outbox_free(outbox);
	return r;
}

static int main_source(const struct conf *conf, const struct btf_choice *btf, struct nat *nat,
		       const struct source_ops **ret_ops, struct source **ret)
{
	struct source_opts opts = {
		.netns = conf->netns_inum,
		.n_netns = conf->n_netns,
		.max_rows = (uint32_t)conf->max_rows,
		.max_socks = (uint32_t)conf->max_socks,
		.btf = btf,
		.nat = nat,
	};
	char why[1024];
	int r = source_pick(conf->source, &opts, ret_ops, ret, why, sizeof(why));

	if (r < 0)
		log_error("%s", why);
	else if (why[0])
		log_warn("%s; going on with %s, which sees less (skyfall-agent --features)", why, (*ret_ops)->name);
	return r;
}

/* UDP is something more: without it the agent does its work. */
static struct udp *main_udp(const struct conf *conf, struct nat *nat, const char *btf)
{
	struct udp_opts opts = {.mode = conf->udp_mode,
				.netns = conf->netns_inum,
				.n_netns = conf->n_netns,
				.max_rows = (uint32_t)conf->max_rows,
				.max_socks = (uint32_t)conf->max_socks / UDP_SHARE,
				.max_peers = (uint32_t)conf->udp_peers,
				.nat = nat,
				.btf = btf};
	struct udp *udp = NULL;
	char why[256];
	int r;

	ports_given_out(&opts.port_low, &opts.port_high);
	r = udp_open(&udp, &opts, why, sizeof(why));
	if (r == 0 && udp)
		r = udp_adopt(udp, conf->netns_inum, conf->n_netns);
	if (r < 0)
		log_warn("UDP sockets older than the agent are not known: %s", strerror(-r));
	if (why[0])
		log_warn("UDP cannot be measured as asked: %s; going on with --udp %s", why, udp_name(udp_mode(udp)));
	return udp;
}

/* Everything is loaded, attached and allocated: from here on less is enough. */
static void main_give_up(const struct conf *conf, const struct source_ops *ops, const struct udp *udp)
{
	bool own = conf->n_netns == 1 && conf->netns_inum[0] == netns_self();
	struct guest_needs needs = {.bpf = ops != &source_diag,
				    .other_netns = !own,
				    .conntrack = strcmp(conf->nat, "off") != 0,
				    .datagrams = udp_mode(udp) == UDP_BYTES,
				    .destroys = ops == &source_stable};
	int r = guest_drop(&needs);

	if (r < 0)
		log_warn("privileges that are not needed any more could not be given up: %s", strerror(-r));
	r = fence_up();
	if (r < 0)
		log_warn("system calls that are not needed could not be given up: %s", strerror(-r));
}

static int main_measure(const struct conf *conf, struct loop *loop, struct reload *reload)
{
	const struct source_ops *ops = NULL;
	static struct host host; /* big */
	struct source *source = NULL;
	struct udp *udp;
	struct cycle *cycle = NULL;
	char why[512];
	struct nat *nat = NULL;
	struct btf_choice btf;
	char release[65];
	int r = 0;

	btf_choose(&btf, conf->btf, btf_release(release), "");
	if (strcmp(conf->btf, "auto") != 0 && strcmp(conf->btf, "off") != 0 && !btf.rung[1].ok)
		log_warn("--btf: %s", btf.rung[1].why);
	if (strcmp(conf->nat, "off") != 0)
		r = nat_new(&nat, NAT_MAX);
	if (r == 0)
		r = main_source(conf, &btf, nat, &ops, &source);
	if (r < 0) {
		nat_free(nat);
		return r;
	}
	udp = ops == &source_bpf ? main_udp(conf, nat, btf.path) : NULL;
	host_init(&host, conf->host_id, conf->hostname, ops->name);
	r = cycle_new(&cycle, conf, ops, source, &host, why, sizeof(why));
	if (r < 0) {
		log_error("%s", why);
		udp_close(udp);
		ops->close(source);
		nat_free(nat);
		return r;
	}
	cycle_nat(cycle, nat);
	if (cycle_udp(cycle, udp) < 0)
		log_warn("out of memory: UDP servers are not told to others");
	log_info("measuring by %s, every %u s", ops->name, conf->interval_s);
	main_give_up(conf, ops, udp);
	r = main_run(conf, cycle, &host, loop, reload);
	cycle_free(cycle);
	reload_deinit(reload);
	return r;
}

static int main_agent(const struct conf *conf, int argc, char **argv)
{
	struct reload reload = {.first = conf, .argc = argc, .argv = argv};
	struct loop *loop = NULL;
	int r;

	guest_room();
	if (conf->features) {
		probe_print(stdout, conf->btf, conf->json);
		return 0;
	}
	(void)signal(SIGPIPE, SIG_IGN);
	guest_yield();
	r = loop_new(&loop);
	reload.loop = loop;
	if (r == 0)
		r = loop_signals(loop, reload_now, &reload);
	if (r < 0)
		log_error("%s", strerror(-r));
	else
		r = main_measure(conf, loop, &reload);
	loop_free(loop);
	return r;
}

int main(int argc, char **argv)
{
	struct conf conf;
	char why[512];
	int r = conf_parse(&conf, argc, argv, why, sizeof(why));

	if (r == 0 && conf_print(&conf, stdout))
		goto out;
	log_set(conf.quiet ? LOG_ERROR : LOG_INFO, "skyfall-agent");
	if (r == 0)
		r = conf_check(&conf, why, sizeof(why));
	if (r < 0 && why[0])
		log_error("%s", why);
	if (r == 0 && conf.check)
		log_info("these options can be used");
	else if (r == 0)
		r = main_agent(&conf, argc, argv) < 0 ? -EIO : 0;
out:
	conf_deinit(&conf);
	return r == 0 || r == OPT_HELP ? 0 : r == -EINVAL ? 2 : 1;
}
