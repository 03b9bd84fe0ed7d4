/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/tracepoint.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/load.h"
#include "base/table.h"

/* Tracefs, mounted or not: a mount that is never attached to a path gives it as well. */
int tracepoint_fs(void)
{
	static const char *const paths[] = {"/sys/kernel/tracing", "/sys/kernel/debug/tracing"};
	int fd;

	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		fd = open(paths[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd >= 0 && faccessat(fd, "events", F_OK, 0) == 0)
			return fd;
		if (fd >= 0)
			close(fd);
	}
	return load_unmounted("tracefs");
}

int tracepoint_read(int tracefs, const char *event, const char *file, char *ret, size_t size)
{
	char path[128];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "events/%s/%s", event, file);
	fd = openat(tracefs, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, ret, size - 1);
	if (n < 0)
		n = -errno;
	close(fd);
	if (n < 0)
		return (int)n;
	ret[n] = '\0';
	return 0;
}

struct bpf_link *tracepoint_attach(int tracefs, const char *event, struct bpf_program *prog)
{
	struct perf_event_attr attr = {.type = PERF_TYPE_TRACEPOINT, .size = sizeof(attr)};
	struct bpf_link *link;
	char text[32];
	int fd, r = tracepoint_read(tracefs, event, "id", text, sizeof(text));

	if (r < 0) {
		errno = -r;
		return NULL;
	}
	attr.config = strtoull(text, NULL, 10);
	fd = (int)syscall(SYS_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
	if (fd < 0)
		return NULL;
	link = bpf_program__attach_perf_event(prog, fd);
	if (!link) {
		r = errno;
		close(fd);
		errno = r;
	}
	return link;
}
