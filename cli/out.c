/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/out.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/table.h"
#include "flow/msg.h"

#define OUT_BATCH 512
#define OUT_WAIT_MS 100
#define OUT_PARTITIONS 64

static const enum bus_topic topics[] = {BUS_FLOWS, BUS_HOSTS, BUS_LEDGER};

struct out {
	struct bus_reader *reader;
	FILE *file;
	pthread_t thread;
	bool started, failed;
	atomic_bool last; /* the next time nothing comes is the end */
	struct buf line;
	struct flow_msg message;
	struct bus_msg msgs[OUT_BATCH];
	struct bus_position pos[ARRAY_LEN(topics) * OUT_PARTITIONS];
	size_t n_pos;
};

static void out_message(struct out *o, const struct bus_msg *m)
{
	if (!m->value)
		return;
	if (flow_msg_decode(m->value, m->value_len, &o->message) < 0) {
		o->failed = true;
		return;
	}
	flow_msg_json(&o->line, &o->message);
	buf_char(&o->line, '\n');
}

/* Read up to and with `m`. */
static void out_position(struct out *o, const struct bus_msg *m)
{
	size_t i = 0;

	while (i < o->n_pos && (o->pos[i].topic != m->topic || o->pos[i].partition != m->partition))
		i++;
	if (i == ARRAY_LEN(o->pos))
		return;
	o->n_pos += i == o->n_pos;
	o->pos[i] = (struct bus_position){.topic = m->topic, .partition = m->partition, .offset = m->offset + 1};
}

static int out_step(struct out *o)
{
	int n = bus_read(o->reader, o->msgs, OUT_BATCH, OUT_WAIT_MS);

	buf_clear(&o->line);
	o->n_pos = 0;
	for (int i = 0; i < n; i++) {
		out_message(o, &o->msgs[i]);
		out_position(o, &o->msgs[i]);
	}
	if (n > 0 && (o->line.err || fwrite(o->line.p, 1, o->line.n, o->file) != o->line.n || fflush(o->file)))
		o->failed = true;
	if (n > 0 && bus_commit_positions(o->reader, o->pos, o->n_pos) < 0)
		o->failed = true;
	return n;
}

static void *out_run(void *arg)
{
	struct out *o = arg;

	for (;;) {
		bool last = atomic_load(&o->last);

		if (out_step(o) <= 0 && last)
			return NULL;
	}
}

int out_new(struct out **ret, struct bus *bus, const char *path, char *why, size_t why_len)
{
	struct out *o = calloc(1, sizeof(*o));
	int r = o ? 0 : -ENOMEM;

	if (r == 0) {
		buf_init(&o->line, 64 << 20);
		o->file = strcmp(path, "-") ? fopen(path, "we") : stdout;
		r = o->file ? 0 : -errno;
	}
	if (r == 0)
		r = bus_reader_open(&o->reader, bus, "out", topics, ARRAY_LEN(topics), NULL);
	if (r == 0)
		r = -pthread_create(&o->thread, NULL, out_run, o);
	if (r < 0) {
		snprintf(why, why_len, "%s: %s", path, strerror(-r));
		(void)out_free(o);
		return r;
	}
	o->started = true;
	*ret = o;
	return 0;
}

int out_free(struct out *o)
{
	bool failed;

	if (!o)
		return 0;
	atomic_store(&o->last, true);
	if (o->started)
		pthread_join(o->thread, NULL);
	if (o->reader)
		bus_reader_close(o->reader);
	failed = o->failed || (o->file && o->file != stdout && fclose(o->file));
	buf_deinit(&o->line);
	free(o);
	return failed ? -EIO : 0;
}
