/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/guest.h"

#include <errno.h>
#include <sys/capability.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/table.h"

#ifndef CAP_PERFMON /* headers before 5.8 */
#define CAP_PERFMON 38
#define CAP_BPF 39
#endif

static const cap_value_t guest_kept[] = {
	CAP_SYS_ADMIN,       /* enter network namespaces; BPF before 5.8 */
	CAP_SYS_PTRACE,      /* other users' /proc/PID/environ, fd, ns */
	CAP_DAC_READ_SEARCH, /* container engines' folders */
	CAP_NET_ADMIN,       /* run BPF programs of the network kind */
	CAP_BPF,
	CAP_PERFMON,
	CAP_SYS_NICE, /* one thread cuts intervals on time */
};

int guest_drop(void)
{
	cap_t have = cap_get_proc(), want = cap_init();
	cap_flag_value_t set;
	int r = 0;
	size_t i;

	if (!have || !want) {
		r = -ENOMEM;
		goto out;
	}
	for (i = 0; i < ARRAY_LEN(guest_kept); i++) { /* of these, what we have */
		if (cap_get_flag(have, guest_kept[i], CAP_PERMITTED, &set) < 0 || set != CAP_SET)
			continue;
		if (cap_set_flag(want, CAP_PERMITTED, 1, &guest_kept[i], CAP_SET) < 0 ||
		    cap_set_flag(want, CAP_EFFECTIVE, 1, &guest_kept[i], CAP_SET) < 0) {
			r = -errno;
			goto out;
		}
	}
	if (cap_set_proc(want) < 0)
		r = -errno;
out:
	if (have)
		cap_free(have);
	if (want)
		cap_free(want);
	return r;
}

void guest_yield(void)
{
	enum { IOPRIO_WHO_PROCESS = 1, IOPRIO_IDLE = 3 << 13 }; /* linux/ioprio.h, not there before 5.15 */

	(void)setpriority(PRIO_PROCESS, 0, 19);
	(void)syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_IDLE);
}

void guest_on_time(void)
{
	(void)setpriority(PRIO_PROCESS, 0, 0); /* of the calling thread only (setpriority(2)) */
}
