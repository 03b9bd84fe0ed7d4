/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where rows come from. Three sources exist: source_bpf.c (the hook, the fold, the walker), source_stable.c (no BTF of the
 * kernel: classic tracepoints and sock_diag) and source_diag.c (sock_diag dumps: not root, or no BPF). All give the same
 * rows; what a source cannot measure is missing from its `present`.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/rows.h"

struct btf_choice;

struct source_opts {
	const uint32_t *netns; /* inode numbers of the namespaces to watch; all when n_netns is 0 */
	size_t n_netns;
	uint32_t max_rows;            /* the kernel folds between two drains; 0: SOURCE_ROWS */
	uint32_t max_socks;           /* open connections tracked; 0: SOURCE_SOCKS */
	const struct btf_choice *btf; /* NULL: the kernel's own */
	struct nat *nat;              /* what is known of translated addresses, told before each collect; may be NULL */
};

#define SOURCE_ROWS 8192
#define SOURCE_SOCKS 65536

/* Running totals since the source was opened; losses split by reason. Exported in `health`. */
struct source_counts {
	uint64_t rows_out;                                       /* rows handed out: what the ledger starts with */
	uint64_t attempts, opened_client, opened_server, closed; /* by our own count, all rows */
	uint64_t active_opens, passive_opens; /* the kernel's own count (/proc/net/snmp), watched namespaces */
	uint64_t replaced;                    /* entries replaced while open: each a CLOSE that reached no program */
	uint64_t fin_guessed; /* ends whose received bytes may be one off: was there a FIN among them? */
	uint64_t finalised;   /* open entries found dead by a walk: likewise */
	uint64_t uncaused;    /* attempts that failed and whose begin reached no program, counted as without a route */
	uint64_t recovered;   /* connections whose begin reached no program, counted at their end all the same */
	uint64_t lost_socks_full, lost_rows_full, lost_closed_full, lost_update, lost_rows_user;
	uint64_t lost_dials;           /* connect calls not watched for an early failure: their table was full */
	uint64_t lost_destroys;        /* messages about ended sockets the kernel had no room for (stable) */
	uint64_t adopted;              /* connections that were open before us */
	uint64_t accepts;              /* connections whose acceptor was seen */
	uint64_t recursion_misses[4];  /* of each copy of the hook */
	uint64_t bpf_run_ns, bpf_runs; /* all our programs; 0 unless kernel statistics are on */
	uint64_t hook_ns;              /* what our programs took from applications; agent/cost.h */
	uint64_t hook_estimated_ns;    /* the part of it that is no measurement */
	uint64_t walk_us;              /* CPU spent in walks */
	uint64_t adopt_piece_us; /* gauge: the longest run of the kernel's half of looking for what is older than us */
	uint64_t walk_piece_us;  /* gauge: the longest run of the kernel's half of the last walk */
	uint64_t socks_open;     /* gauge: entries tracked now */
	uint64_t rows_map_used;  /* gauge: rows in the map drained last */
	uint64_t early_drains;
};

struct source;
struct budget_step;

struct source_ops {
	const char *name; /* "bpf", "stable", "sock_diag" */
	uint64_t present; /* bits of the fields it can measure */
	int (*open)(struct source **ret, const struct source_opts *opts, char *why, size_t why_len);
	/* An interval ended at `cut_us` of the clock that never steps (open_ms is cut there): adds its rows to
	 * `rows`, each with rows = 1. Blocks until drained, up to seconds on a busy host (own thread calls it). */
	int (*collect)(struct source *s, int64_t cut_us, struct agent_rows *rows, struct source_counts *ret_counts);
	/* Called some times within an interval: drains a map that is 3/4 full, into `rows`. */
	int (*relieve)(struct source *s, struct agent_rows *rows);
	/* The step in force from now on (agent/budget.h), between two collects. -errno: it came back and does not know what was
	 * open already. */
	int (*ease)(struct source *s, const struct budget_step *step);
	uint32_t eases; /* bits of the steps it can take */
	void (*close)(struct source *s);
};

extern const struct source_ops source_bpf, source_stable, source_diag;

/* NULL: there is none of this name. */
const struct source_ops *source_named(const char *name);

/* Opens the source called `name`, or with "auto" the best that works here. `why`: what did not work, also when another one
 * did; "" if nothing failed. -errno */
int source_pick(const char *name, const struct source_opts *opts, const struct source_ops **ret_ops,
		struct source **ret, char *why, size_t why_len);
