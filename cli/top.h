/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The live table. `top` asks the API once a second and shows the edges of the last seconds, on a terminal
 * as a full screen with keys, else as a plain picture. `skyfall run` keeps the same on its own terminal.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "cli/client.h"
#include "cli/edge_row.h"

#define TOP_ROWS 2000 /* edges asked for at once: the busiest */

struct top_opts {
	const char *api;
	uint32_t window_ms; /* what the rates are the mean of */
	uint32_t refresh_ms;
	const char *sort;   /* name in edge_row_sorts */
	const char *filter; /* to begin with; NULL: none */
	bool reverse;
	bool odd;         /* only edges with a note */
	const char *quit; /* what 'q' does, for the key line: "quit", "stop" */
	const char *note; /* a line of its own below the state; NULL: none */
};

extern const struct top_opts top_defaults;

/* What is known and what the person chose; the picture follows from it alone. */
struct top_view {
	struct edge_row *rows; /* NULL: none */
	size_t n, matched;
	double seconds;  /* the rates' denominator */
	bool asked;      /* an answer has come */
	char error[512]; /* why there is no newer answer; "" if there is */
	char state[256]; /* one sentence on how complete the picture is */
	bool state_bad;
	double newest_end, agents, agents_known;
	const struct edge_row_sort *sort;
	bool reverse, paused, help, typing;
	bool odd; /* only edges with a note */
	char filter[128];
	size_t selected, first; /* rows after the filter */
	const char *quit, *note;
	char clock[16]; /* "10:00:00" */
};

/* Rows of the table that fit on a terminal. */
size_t top_page(const struct top_view *v, size_t rows);

/* The full picture for a terminal. Moves first and selected into range. Pure but for the view. */
void top_paint(struct top_view *v, size_t rows, size_t cols, bool colour, struct buf *out);

/* True when the filters let the row through. */
bool top_shows(const struct top_view *v, const struct edge_row *row);

/* What a key does. False: leave. Pure but for the view. `page`: rows of the table. */
bool top_key(struct top_view *v, uint32_t key, size_t page);

struct top;

int top_new(struct top **ret, const struct top_opts *opts);
void top_free(struct top *t);

enum { TOP_GO, TOP_QUIT };

/* Takes the terminal. -ENOTTY. */
int top_open(struct top *t);

/* Shows the picture and waits for a key, the next refresh or wake_fd (-1: none); call again and again. TOP_GO, TOP_QUIT, -EIO. */
int top_step(struct top *t, int wake_fd);

/* Asks once. 0 or what client_get says; the sentence is in view.error. */
int top_ask(struct top *t);

/* The picture without a screen: head line and the table, to standard output. */
int top_print(struct top *t);
/* One line: time, edges, rates, state. */
void top_print_line(struct top *t);
