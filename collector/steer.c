/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets that share a port get what hash of addresses and ports says: all of one sender to one of them. One exporter louder
 * than a thread can read then loses datagrams, and those of the others there, while other threads sleep. A program of the
 * old kind (SO_ATTACH_REUSEPORT_CBPF, Linux 4.5, no privilege) reads the datagram instead:
 *
 *     socket = (mix(agent address, sub-agent) + (sequence number >> STEER_RUN_BITS)) mod n
 *
 * 1. An agent's datagrams go round all sockets, 2^STEER_RUN_BITS to each in turn: the loudest one is everyone's equal share.
 * 2. A datagram that the network doubled goes where the first one went, whatever address or port it came from: duplicates are
 *    found by the window of one thread. (Of a run that the kernel glued together the first one's number decides, so a copy
 *    within another run may go elsewhere, if a border of 2^STEER_RUN_BITS lies between the two first numbers.)
 * 3. A quiet agent (fewer datagrams an interval) mostly stays with one thread: names are interned once, samples of one
 *    key meet in one table. Keys of loud ones may come out of several tables, as more messages of that interval, never wrong.
 * 4. What is no sFlow 5 or too short goes anywhere, by chance: nobody knows what to count it to.
 *
 * A sender who wants to harm one socket can choose numbers so; with the hash he chooses ports, so nothing is lost by it.
 * Pure chance would be simpler but separates duplicates from their firsts. A program of the new kind could look at the
 * sockets' queues, but needs a capability, maps and a loader. STEER_CPU saves a way between CPUs where the card's
 * queues spread well, and only there.
 */
#include "collector/steer.h"

#include <errno.h>
#include <linux/filter.h>
#include <string.h>
#include <sys/socket.h>

#include "base/table.h"

#ifndef SO_ATTACH_REUSEPORT_CBPF
#define SO_ATTACH_REUSEPORT_CBPF 51
#endif

/* Head of a datagram (sFlow version 5, page 41 of its specification), from the UDP payload on. */
enum {
	VERSION = 0,
	ADDRESS_TYPE = 4,
	ADDRESS_V4 = 8,
	ADDRESS_V6_END = 20,
	AFTER_V4 = 12,
	AFTER_V6 = 24,
	SHORTEST = 32
};

#define LOAD(at) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (at))
#define MIX 0x9e3779b1 /* 2^32 by the golden ratio: neighbours come far apart */

/* A: which in a line of its own; X is used. */
#define PLACE(address, after)                                                                                \
	LOAD(address), BPF_STMT(BPF_MISC | BPF_TAX, 0), LOAD(after), BPF_STMT(BPF_ALU | BPF_ADD | BPF_X, 0), \
		BPF_STMT(BPF_ALU | BPF_MUL | BPF_K, MIX), BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 16),           \
		BPF_STMT(BPF_MISC | BPF_TAX, 0), LOAD((after) + 4),                                          \
		BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, STEER_RUN_BITS), BPF_STMT(BPF_ALU | BPF_ADD | BPF_X, 0)

static int attach(int fd, struct sock_filter *code, unsigned short n)
{
	struct sock_fprog program = {.len = n, .filter = code};

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof(program)) < 0 ? -errno : 0;
}

static int attach_spread(int fd, unsigned n)
{
	/* Jumps count from the next line on. */
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, SHORTEST, 0, 26), /* else: by chance */
		LOAD(VERSION),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 5, 0, 24),
		LOAD(ADDRESS_TYPE),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 2, 11, 0),
		PLACE(ADDRESS_V4, AFTER_V4), /* 10 */
		BPF_STMT(BPF_JMP | BPF_JA, 12),
		PLACE(ADDRESS_V6_END, AFTER_V6), /* 10 */
		BPF_STMT(BPF_JMP | BPF_JA, 1),
		LOAD(SKF_AD_OFF + SKF_AD_RANDOM),
		BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, n),
		BPF_STMT(BPF_RET | BPF_A, 0),
	};

	return attach(fd, code, ARRAY_LEN(code));
}

static int attach_cpu(int fd, unsigned n)
{
	struct sock_filter code[] = {
		LOAD(SKF_AD_OFF + SKF_AD_CPU),
		BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, n),
		BPF_STMT(BPF_RET | BPF_A, 0),
	};

	return attach(fd, code, ARRAY_LEN(code));
}

static int attach_none(int fd, unsigned n)
{
	return 0;
}

static const struct {
	const char *name;
	int (*attach)(int fd, unsigned n);
} ways[STEERS] = {
	[STEER_SPREAD] = {"spread", attach_spread},
	[STEER_HASH] = {"hash", attach_none},
	[STEER_CPU] = {"cpu", attach_cpu},
};

const char *steer_name(enum steer how)
{
	return ways[how].name;
}

enum steer steer_from(const char *name)
{
	unsigned i = 0;

	while (i < STEERS && strcmp(ways[i].name, name))
		i++;
	return i;
}

int steer_attach(int fd, enum steer how, unsigned n)
{
	return ways[how].attach(fd, n);
}
