/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/resolve.h"

#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Belongs to the thread and to who asked, until both have let go. */
struct resolve_job {
	atomic_int held;
	int done; /* eventfd */
	unsigned n;
	struct resolve_name v[RESOLVE_MAX];
};

struct resolve {
	struct loop *loop;
	struct resolve_job *job; /* under way; NULL none */
	void (*fn)(void *arg, const struct resolve_name *v, unsigned n);
	void *arg;
};

static void resolve_let_go(struct resolve_job *j)
{
	if (atomic_fetch_sub(&j->held, 1) > 1)
		return;
	close(j->done);
	free(j);
}

/* The host's part of HOST:PORT, [HOST]:PORT or HOST. */
static void resolve_host(const char *text, char *ret, size_t size)
{
	const char *colon = strrchr(text, ':');
	size_t n = strlen(text);

	if (text[0] == '[')
		n = strcspn(++text, "]");
	else if (colon && strchr(text, ':') == colon)
		n = (size_t)(colon - text);
	n = n < size ? n : size - 1;
	memcpy(ret, text, n);
	ret[n] = '\0';
}

bool resolve_is_name(const char *text)
{
	char host[256];
	struct ip ip;

	resolve_host(text, host, sizeof(host));
	return ip_parse(host, &ip) < 0;
}

static void resolve_one(struct resolve_name *name)
{
	struct addrinfo want = {.ai_socktype = SOCK_DGRAM}, *all = NULL, *a;
	struct ip ip, first = {{0}};
	char host[256];
	uint16_t port;

	resolve_host(name->text, host, sizeof(host));
	if (getaddrinfo(host, NULL, &want, &all) != 0)
		return;
	for (a = all; a; a = a->ai_next) {
		if (ip_from_sockaddr(a->ai_addr, &ip, &port) < 0)
			continue;
		if (ip_eq(&ip, &name->ip))
			break;
		if (ip_is_zero(&first))
			first = ip;
	}
	if (!a && !ip_is_zero(&first))
		name->ip = first;
	freeaddrinfo(all);
}

static void *resolve_thread(void *arg)
{
	struct resolve_job *j = arg;
	uint64_t one = 1;
	unsigned i;

	for (i = 0; i < j->n; i++)
		if (resolve_is_name(j->v[i].text))
			resolve_one(&j->v[i]);
	(void)!write(j->done, &one, sizeof(one));
	resolve_let_go(j);
	return NULL;
}

static void resolve_on_done(void *arg, uint32_t events)
{
	struct resolve *r = arg;
	struct resolve_job *j = r->job;

	loop_fd_del(r->loop, j->done);
	r->job = NULL;
	r->fn(r->arg, j->v, j->n);
	resolve_let_go(j);
}

int resolve_new(struct resolve **ret, struct loop *loop,
		void (*fn)(void *arg, const struct resolve_name *v, unsigned n), void *arg)
{
	struct resolve *r = malloc(sizeof(*r));

	if (!r)
		return -ENOMEM;
	*r = (struct resolve){.loop = loop, .fn = fn, .arg = arg};
	*ret = r;
	return 0;
}

void resolve_free(struct resolve *r)
{
	if (!r)
		return;
	if (r->job) {
		loop_fd_del(r->loop, r->job->done);
		resolve_let_go(r->job);
	}
	free(r);
}

bool resolve_busy(const struct resolve *r)
{
	return r->job;
}

bool resolve_start(struct resolve *r, const struct resolve_name *v, unsigned n)
{
	struct resolve_job *j = r->job ? NULL : calloc(1, sizeof(*j));
	pthread_attr_t attr;
	pthread_t t;
	bool ok;

	assert(n <= RESOLVE_MAX);
	if (!j)
		return false;
	atomic_init(&j->held, 2);
	j->n = n;
	memcpy(j->v, v, n * sizeof(*v));
	j->done = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (j->done < 0) {
		free(j);
		return false;
	}
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	ok = loop_fd(r->loop, j->done, EPOLLIN, resolve_on_done, r) == 0;
	if (ok && pthread_create(&t, &attr, resolve_thread, j) != 0) {
		loop_fd_del(r->loop, j->done);
		ok = false;
	}
	pthread_attr_destroy(&attr);
	if (ok) {
		r->job = j;
		return true;
	}
	resolve_let_go(j);
	resolve_let_go(j);
	return false;
}
