/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/role.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>

#include "base/log.h"

#define SAY_EVERY_US 10000000

int role_signals(void)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

void role_metrics(const char *path, void (*fill)(void *arg, struct buf *b), void *arg)
{
	char fresh[4200];
	struct buf b;
	FILE *file;
	bool whole;

	buf_init(&b, 0);
	fill(arg, &b);
	snprintf(fresh, sizeof(fresh), "%s.new", path);
	file = fopen(fresh, "we");
	whole = file && fwrite(b.p, 1, b.n, file) == b.n;
	if (file && fclose(file) != 0)
		whole = false;
	if (!whole || rename(fresh, path) < 0)
		log_warn("%s: %s", fresh, strerror(errno));
	buf_deinit(&b);
}

void role_watch(struct role_bus *w, int64_t now_us)
{
	char text[sizeof(w->said)];

	if (w->said[0] && now_us - w->said_us < SAY_EVERY_US)
		return;
	bus_why(w->bus, text, sizeof(text));
	if (strcmp(text, w->said) == 0)
		return;
	log_warn("the bus: %s", text);
	memcpy(w->said, text, sizeof(text));
	w->said_us = now_us;
}
