/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What the reference probe (calls.bpf.c) and its reader share. The includer has the integer types. */
#pragma once

struct call_key {
	__u32 tgid, fd;
};

struct call_conn {
	__u64 sent, received, sends, receives;
	__u16 family, lport, rport; /* family 0: no TCP socket */
	__u16 pad;
	__u8 local[16], remote[16];
};
