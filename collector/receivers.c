/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/receivers.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/table.h"

#define IDLE_MS 500       /* a receive thread looks up at least so often */
#define DRAIN_US 2000000  /* most that a stop reads on from its sockets */
#define TINY_BYTES 262144 /* a thread that is away for some milliseconds loses datagrams of a fleet */
#define FEW 100           /* datagrams: after fewer than these the thread rests */
#define REST_NS 500000
#define REST_BYTES 1048576 /* least buffer for what comes meanwhile */
#define QUEUE_TURNS 16     /* calls that bring much between two looks at the socket's queue */

/* --- sockets */

/* Sockets that share a port would also share it with another collector of the same user, and each would get half. */
int receivers_open(struct receivers *r, const struct rx_ops *ops, unsigned n, const struct rx_opts *opts,
		   enum steer steer, uint64_t rcvbuf_max)
{
	struct rx_opts o = *opts;
	struct rx *probe;
	int e = ops->open(&probe, &o);

	r->ops = ops;
	r->rcvbuf_max = rcvbuf_max;
	r->steer = STEER_HASH;
	if (e < 0)
		return e;
	r->port = o.port = ops->port(probe);
	if (n == 1) {
		r->one[r->n++].rx = probe;
	} else {
		ops->close(probe);
		o.share = true;
	}
	for (; r->n < n; r->n++) {
		e = ops->open(&r->one[r->n].rx, &o);
		if (e < 0)
			return e;
	}
	if (n > 1) {
		e = ops->steer(r->one[0].rx, steer, n);
		if (e < 0)
			log_warn(
				"collector: the kernel refuses to choose sockets by '%s' (%s): by hash then, and one loud "
				"exporter fills one of them",
				steer_name(steer), strerror(-e));
		r->steer = e < 0 ? STEER_HASH : steer;
	}
	for (unsigned i = 0; i < n; i++) {
		r->one[i].all = r;
		r->one[i].asked = o.rcvbuf;
	}
	return 0;
}

int receivers_workers(struct receivers *r, const struct worker_opts *o)
{
	int e = 0;

	for (unsigned i = 0; i < r->n && !e; i++) {
		e = worker_new(&r->one[i].worker, o);
		r->workers[i] = r->one[i].worker;
	}
	return e;
}

void receivers_close(struct receivers *r)
{
	for (unsigned i = 0; i < r->n; i++) {
		r->ops->close(r->one[i].rx);
		worker_free(r->one[i].worker);
	}
	r->n = 0;
}

void receivers_wake(void *arg)
{
	struct receivers *r = arg;

	for (unsigned i = 0; i < r->n; i++)
		r->ops->wake(r->one[i].rx);
}

bool receivers_send(void *arg, const struct account_peer *to, const void *p, size_t n)
{
	struct receivers *r = arg;

	return r->ops->send(r->one[0].rx, to, p, n);
}

/* --- threads */

/* Datagrams the kernel dropped: counted, and a reason for a larger buffer. */
static void note_queue(struct receiver *t)
{
	uint64_t *known = &t->worker->counters.kernel_drops, max = t->all->rcvbuf_max;
	struct rx_queue q;

	t->all->ops->queue(t->rx, &q);
	t->may_rest = q.granted >= REST_BYTES;
	if (q.drops <= *known)
		return;
	counters_add(known, q.drops - *known);
	if (t->asked < max) {
		t->asked = t->asked > max / 2 ? max : 2 * t->asked;
		t->all->ops->resize(t->rx, t->asked);
	}
}

static void swap(struct receiver *t)
{
	struct worker *w = t->worker;
	struct timespec a, b;
	uint64_t ns;

	if (!swap_wanted(&w->lines_swap) && !swap_wanted(&w->pane_swap))
		return;
	clock_gettime(CLOCK_MONOTONIC, &a);
	worker_poll(w);
	clock_gettime(CLOCK_MONOTONIC, &b);
	ns = (uint64_t)((b.tv_sec - a.tv_sec) * 1000000000ll + b.tv_nsec - a.tv_nsec);
	counters_add(&w->counters.swaps, 1);
	counters_add(&w->counters.swap_stall_ns, ns);
	if (ns > t->stall_max_ns)
		__atomic_store_n(&t->stall_max_ns, ns, __ATOMIC_RELAXED);
}

static void *receive(void *arg)
{
	struct receiver *t = arg;
	const struct rx_ops *ops = t->all->ops;

	(void)pthread_setname_np(pthread_self(), "receive"); /* seen in top -H, and by what measures */
	for (;;) {
		const struct worker_packet *packets;
		bool stop = atomic_load(&t->all->stop); /* first: what comes after an empty recv() is then read */
		int n = ops->recv(t->rx, &packets);

		if (n > 0) {
			worker_batch(t->worker, packets, (size_t)n, clock_wall_us());
			__atomic_store_n(&t->heard_us, clock_mono_us(), __ATOMIC_RELAXED);
		}
		if (n < FEW || stop || !(++t->turns % QUEUE_TURNS))
			note_queue(t);
		swap(t);
		if (stop && !t->drain_until_us)
			t->drain_until_us = clock_mono_us() + DRAIN_US;
		if (stop && (n <= 0 || clock_mono_us() > t->drain_until_us))
			return NULL;
		if (n <= 0)
			ops->wait(t->rx, IDLE_MS);
		else if (n < FEW && t->may_rest && !stop)
			nanosleep(&(struct timespec){.tv_nsec = REST_NS}, NULL);
	}
}

static void say_tiny(const struct receivers *r)
{
	uint64_t asked = r->one[0].asked;
	struct rx_queue q;

	r->ops->queue(r->one[0].rx, &q);
	if (q.granted >= TINY_BYTES && 2 * q.granted >= asked)
		return;
	log_warn(
		"collector: a socket's receive buffer is %llu bytes, %llu were asked for: datagrams will be dropped under load. "
		"Raise net.core.rmem_max (sysctl -w net.core.rmem_max=%llu) and start again, or give CAP_NET_ADMIN",
		(unsigned long long)q.granted, (unsigned long long)asked,
		(unsigned long long)(asked < TINY_BYTES ? 8 << 20 : asked));
}

int receivers_start(struct receivers *r)
{
	say_tiny(r);
	for (unsigned i = 0; i < r->n; i++) {
		int e = pthread_create(&r->one[i].thread, NULL, receive, &r->one[i]);

		if (e)
			return -e;
		r->one[i].started = true;
	}
	return 0;
}

void receivers_stop(struct receivers *r)
{
	atomic_store(&r->stop, true);
	receivers_wake(r);
	for (unsigned i = 0; i < r->n; i++) {
		if (r->one[i].started)
			pthread_join(r->one[i].thread, NULL);
		r->one[i].started = false;
	}
}

/* --- numbers */

int64_t receivers_heard_us(const struct receivers *r)
{
	int64_t us = 0;

	for (unsigned i = 0; i < r->n; i++) {
		int64_t heard_us = __atomic_load_n(&r->one[i].heard_us, __ATOMIC_RELAXED);

		us = heard_us > us ? heard_us : us;
	}
	return us;
}

struct thread_numbers {
	uint64_t datagrams, bytes, drops, asked, granted, fill_pm;
};

static void numbers(const struct receivers *r, unsigned i, struct thread_numbers *ret)
{
	const struct counters_rx *c = &r->one[i].worker->counters;
	struct rx_queue q;

	r->ops->queue(r->one[i].rx, &q);
	*ret = (struct thread_numbers){
		.datagrams = __atomic_load_n(&c->datagrams, __ATOMIC_RELAXED),
		.bytes = __atomic_load_n(&c->bytes, __ATOMIC_RELAXED),
		.drops = q.drops,
		.asked = __atomic_load_n(&r->one[i].asked, __ATOMIC_RELAXED),
		.granted = q.granted,
		.fill_pm = q.fill_pm,
	};
}

static const struct {
	const char *name, *type, *help;
	size_t at;
} thread_metrics[] = {
#define THREAD(name, type, member, help)                                  \
	{                                                                 \
		name, type, help, offsetof(struct thread_numbers, member) \
	}
	THREAD("datagrams_total", "counter", datagrams, "datagrams received by each thread"),
	THREAD("bytes_total", "counter", bytes, "bytes in them"),
	THREAD("kernel_drops_total", "counter", drops, "datagrams its socket had no room for"),
	THREAD("rcvbuf_asked_bytes", "gauge", asked, "receive buffer asked for its socket"),
	THREAD("rcvbuf_granted_bytes", "gauge", granted, "receive buffer its socket has"),
	THREAD("rcvbuf_fill_permille", "gauge", fill_pm, "of its receive buffer taken now"),
};

void receivers_metrics(const struct receivers *r, struct buf *b)
{
	struct thread_numbers n[COLLECTOR_THREADS];
	uint64_t stall_ns = 0;

	for (unsigned i = 0; i < r->n; i++) {
		uint64_t ns = __atomic_load_n(&r->one[i].stall_max_ns, __ATOMIC_RELAXED);

		stall_ns = ns > stall_ns ? ns : stall_ns;
		numbers(r, i, &n[i]);
	}
	for (size_t m = 0; m < ARRAY_LEN(thread_metrics); m++) {
		const char *name = thread_metrics[m].name;

		buf_printf(b, "# HELP skyfall_collector_thread_%s %s\n# TYPE skyfall_collector_thread_%s %s\n", name,
			   thread_metrics[m].help, name, thread_metrics[m].type);
		for (unsigned i = 0; i < r->n; i++)
			buf_printf(b, "skyfall_collector_thread_%s{thread=\"%u\"} %llu\n", name, i,
				   (unsigned long long)*(uint64_t *)((char *)&n[i] + thread_metrics[m].at));
	}
	buf_printf(
		b,
		"# HELP skyfall_collector_swap_stall_max_us longest that a swap of tables kept a receive thread from its socket\n"
		"# TYPE skyfall_collector_swap_stall_max_us gauge\nskyfall_collector_swap_stall_max_us %llu\n"
		"# HELP skyfall_collector_steer how a datagram finds its socket\n"
		"# TYPE skyfall_collector_steer gauge\nskyfall_collector_steer{by=\"%s\"} 1\n",
		(unsigned long long)(stall_ns + 999) / 1000, steer_name(r->steer));
}
