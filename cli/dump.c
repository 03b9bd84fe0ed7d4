/* SPDX-License-Identifier: Apache-2.0 */
/* skyfall dump: datagrams from the network or from a capture file, every field named. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/loop.h"
#include "cli/cmd.h"
#include "cli/capture.h"
#include "wire/print.h"

struct dump_conf {
	const char *udp, *pcap;
	uint64_t port, count, enterprise;
	bool json, hex;
};

#define AT(member) .offset = offsetof(struct dump_conf, member)

static const struct opt dump_opts[] = {
	{.name = "udp",
	 .type = OPT_STRING,
	 AT(udp),
	 .arg = "HOST:PORT",
	 .help = "listen here and show what arrives; default :6343 unless --pcap is given"},
	{.name = "pcap",
	 .letter = 'r',
	 .type = OPT_STRING,
	 AT(pcap),
	 .arg = "FILE",
	 .help = "read a capture file (pcap or pcapng); - is standard input"},
	{.name = "port",
	 .letter = 'p',
	 .type = OPT_UINT,
	 AT(port),
	 .arg = "PORT",
	 .max = 65535,
	 .help = "of a capture: only datagrams from or to this port; 0 takes all; default 6343"},
	{.name = "count",
	 .letter = 'n',
	 .type = OPT_UINT,
	 AT(count),
	 .arg = "N",
	 .max = UINT32_MAX,
	 .help = "stop after so many datagrams; default 0: never"},
	{.name = "enterprise",
	 .type = OPT_UINT,
	 AT(enterprise),
	 .arg = "N",
	 .min = 1,
	 .max = 0xfffff,
	 .help = "enterprise number of the agents' records; default 32473"},
	{.name = "json", .letter = 'j', .type = OPT_FLAG, AT(json), .help = "a JSON object a line"},
	{.name = "hex",
	 .letter = 'x',
	 .type = OPT_FLAG,
	 AT(hex),
	 .help = "the bytes too, before what they mean (not with --json)"},
	{0},
};

const struct opt_command dump_command = {
	.name = "dump",
	.summary = "show the datagrams of agents, from the network or a capture file",
	.args = "",
	.about =
		"Every value is shown by its name; what cannot be read is shown as an error with its reason, in its place.",
	.opts = dump_opts,
	.conf_size = sizeof(struct dump_conf),
};

struct dump {
	const struct dump_conf *conf;
	struct loop *loop;
	int fd;
	struct buf out;
	uint64_t datagrams, unreadable;
	bool done; /* enough, or nobody reads what we print */
	int err;
	struct wire_print print;
	uint8_t datagram[65536];
};

static void dump_frame(struct dump *d, int64_t time_us, const struct ip *from, uint16_t port, size_t n)
{
	char text[IP_TEXT], time[32];
	time_t s = time_us / 1000000;
	struct tm tm;

	ip_format(from, text);
	if (d->conf->json) {
		buf_printf(&d->out,
			   "{\"record\":\"received\",\"time_us\":%" PRId64
			   ",\"from\":\"%s\",\"port\":%u,\"bytes\":%zu}\n",
			   time_us, text, port, n);
		return;
	}
	if (!gmtime_r(&s, &tm) || !strftime(time, sizeof(time), "%Y-%m-%d %H:%M:%S", &tm))
		snprintf(time, sizeof(time), "?");
	buf_printf(&d->out, "%s.%06d from %s port %u, %zu bytes\n", time, (int)(time_us % 1000000), text, port, n);
}

/* Sixteen a line, by words: what XDR is made of. */
static void dump_hex(struct dump *d, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (i % 16 == 0)
			buf_printf(&d->out, "%s  %04zx ", i ? "\n" : "", i);
		buf_printf(&d->out, "%s%02x", i % 4 ? "" : " ", p[i]);
	}
	buf_char(&d->out, '\n');
}

/* One UDP payload. Several datagrams in it: it was captured before the kernel segmented it. */
static void dump_payload(struct dump *d, int64_t time_us, const struct ip *from, uint16_t port, const uint8_t *p,
			 size_t n)
{
	size_t part;

	buf_clear(&d->out);
	do {
		part = wire_extent(p, n);
		dump_frame(d, time_us, from, port, part);
		if (d->conf->hex && !d->conf->json)
			dump_hex(d, p, part);
		d->unreadable += wire_print(&d->print, p, part, &d->out);
		d->datagrams++;
		p += part;
		n -= part;
		d->done = d->conf->count && d->datagrams >= d->conf->count;
	} while (n && part && !d->done);
	if (d->out.err)
		d->err = d->out.err;
	if (fwrite(d->out.p, 1, d->out.n, stdout) != d->out.n || fflush(stdout))
		d->done = true;
}

static void dump_ready(void *arg, uint32_t events)
{
	struct dump *d = arg;
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);
	ssize_t n = recvfrom(d->fd, d->datagram, sizeof(d->datagram), MSG_DONTWAIT, (struct sockaddr *)&sa, &len);
	struct ip from = {0};
	uint16_t port = 0;

	if (n < 0) {
		if (errno != EAGAIN && errno != EINTR && errno != ECONNREFUSED) {
			d->err = -errno;
			loop_stop(d->loop);
		}
		return;
	}
	(void)ip_from_sockaddr((struct sockaddr *)&sa, &from, &port);
	dump_payload(d, clock_wall_us(), &from, port, d->datagram, (size_t)n);
	if (d->done || d->err)
		loop_stop(d->loop);
}

/* -errno after saying what is wrong with the address. */
static int dump_bind(const char *where, int *ret_fd)
{
	struct sockaddr_storage sa;
	struct ip ip;
	uint16_t port;
	char why[128];
	socklen_t len;
	int fd, r = ip_resolve(where, WIRE_PORT, &ip, &port, why, sizeof(why));

	if (r < 0) {
		fprintf(stderr, CMD_PROGRAM " dump: --udp %s: %s\n", where, why);
		return r;
	}
	len = ip_to_sockaddr(&ip, port, &sa);
	fd = socket(sa.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&sa, len) < 0) {
		r = -errno;
		fprintf(stderr, CMD_PROGRAM " dump: --udp %s: %s%s\n", where, strerror(-r),
			r == -EADDRINUSE ? "; a collector listens there: capture with tcpdump and use --pcap" : "");
		if (fd >= 0)
			close(fd);
		return r;
	}
	*ret_fd = fd;
	return 0;
}

static int dump_network(struct dump *d)
{
	int r = dump_bind(d->conf->udp ? d->conf->udp : ":6343", &d->fd);

	if (r < 0)
		return r == -EINVAL ? CMD_USAGE : CMD_FAILED;
	r = loop_new(&d->loop);
	if (!r)
		r = loop_signals(d->loop, NULL, NULL);
	if (!r)
		r = loop_fd(d->loop, d->fd, EPOLLIN, dump_ready, d);
	if (!r)
		r = loop_run(d->loop);
	loop_free(d->loop);
	close(d->fd);
	if (!r)
		r = d->err;
	if (r < 0)
		fprintf(stderr, CMD_PROGRAM " dump: %s\n", strerror(-r));
	return r < 0 ? CMD_FAILED : CMD_OK;
}

/* All frames of the file. 0, -errno; what is not ours is counted in *ret_other. */
static int dump_frames(struct dump *d, struct capture *p, uint64_t *ret_other)
{
	struct capture_frame frame;
	struct capture_udp u;
	uint64_t want = d->conf->port;
	int r;

	while (!d->done && !d->err && (r = capture_next(p, &frame)) > 0) {
		if (capture_udp(frame.link, frame.bytes, &u) || (want && u.src_port != want && u.dst_port != want))
			++*ret_other;
		else
			dump_payload(d, frame.time_us, &u.src, u.src_port, (const uint8_t *)u.payload.p, u.payload.n);
	}
	return d->err ? d->err : d->done ? 0 : r;
}

static const char *dump_why(int r)
{
	return r == -EBADMSG ? "the file breaks off or is no pcap or pcapng capture" : strerror(-r);
}

static int dump_file(struct dump *d)
{
	const char *name = d->conf->pcap;
	bool standard = !strcmp(name, "-");
	FILE *file = standard ? stdin : fopen(name, "rbe");
	struct capture *p = NULL;
	uint64_t other = 0;
	int r = file ? capture_new(&p, file) : -errno;

	if (!r)
		r = dump_frames(d, p, &other);
	if (r < 0)
		fprintf(stderr, CMD_PROGRAM " dump: %s: %s\n", name, dump_why(r));
	if (p)
		other += capture_passed(p);
	if (p)
		fprintf(stderr,
			"%" PRIu64 " datagrams, %" PRIu64 " places in them unreadable; %" PRIu64
			" frames were something else\n",
			d->datagrams, d->unreadable, other);
	capture_free(p);
	if (file && !standard)
		fclose(file);
	return r < 0 ? CMD_FAILED : CMD_OK;
}

int cmd_dump(int argc, char **argv)
{
	struct dump_conf conf = {.port = WIRE_PORT, .enterprise = WIRE_ENTERPRISE};
	struct dump *d;
	char **args;
	int n, r = opt_parse(CMD_PROGRAM " dump", &dump_command, argc, argv, &conf, &args, &n);

	if (r)
		return r == OPT_HELP ? CMD_OK : CMD_USAGE;
	if (conf.udp && conf.pcap) {
		fprintf(stderr, CMD_PROGRAM " dump: --udp and --pcap: one of them, please\n");
		return CMD_USAGE;
	}
	d = calloc(1, sizeof(*d));
	if (!d) {
		fprintf(stderr, CMD_PROGRAM " dump: out of memory\n");
		return CMD_FAILED;
	}
	d->conf = &conf;
	d->print.json = conf.json;
	d->print.enterprise = (uint32_t)conf.enterprise;
	buf_init(&d->out, 64 << 20);
	r = conf.pcap ? dump_file(d) : dump_network(d);
	buf_deinit(&d->out);
	free(d);
	return r;
}
