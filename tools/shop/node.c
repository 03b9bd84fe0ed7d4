/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/shop/node.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/table.h"
#include "tools/shop/talk.h"

#define NODE_WEB_MS 100 /* between two requests of web */
#define NODE_MAIL_MS 500
#define NODE_MESSAGE 8192 /* bytes of one message in the queue */
#define NODE_RETRY_MS 200 /* until api tries the queue again */
#define NODE_READ_MS 25   /* the slow reader's rest after each piece */
#define NODE_SMALL_BUFFER 8192
#define NODE_SENDBUF 32768

enum { PORT_API = 8080, PORT_DB = 5432, PORT_CACHE = 6379, PORT_NOBODY = 6380, PORT_QUEUE = 5672, PORT_MAIL = 25 };

static void node_sleep_ms(long ms)
{
	struct timespec t = {ms / 1000, ms % 1000 * 1000000};

	nanosleep(&t, NULL);
}

/* True when asked to stop; else waits so long. */
static bool node_stopped(int stop_fd, int wait_ms)
{
	struct pollfd p = {.fd = stop_fd, .events = POLLIN};

	return poll(&p, 1, wait_ms) > 0;
}

/* --- serving: a thread a connection; ends when told to and all are done */

struct node_service {
	unsigned port;
	int rcvbuf; /* 0: the kernel's choice */
	void (*serve)(int fd, struct tally_peer *t);
	struct tally_peer *tally;
	atomic_uint active;
};

struct node_call {
	struct node_service *service;
	int fd;
};

static void *node_call_thread(void *arg)
{
	struct node_call *call = arg;

	call->service->serve(call->fd, call->service->tally);
	atomic_fetch_sub(&call->service->active, 1);
	free(call);
	return NULL;
}

static void node_take(struct node_service *s, int fd)
{
	struct node_call *call = malloc(sizeof(*call));
	pthread_t thread;

	tally_connect(s->tally, 0);
	if (call) {
		*call = (struct node_call){s, fd};
		atomic_fetch_add(&s->active, 1);
		if (pthread_create(&thread, NULL, node_call_thread, call) == 0) {
			pthread_detach(thread);
			return;
		}
		atomic_fetch_sub(&s->active, 1);
	}
	free(call);
	close(fd);
}

static int node_listen(const struct node_service *s)
{
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons((uint16_t)s->port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1;

	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (s->rcvbuf)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &s->rcvbuf, sizeof(s->rcvbuf));
	if (bind(fd, (struct sockaddr *)&any, sizeof(any)) < 0 || listen(fd, 128) < 0) {
		int r = -errno;

		close(fd);
		return r;
	}
	return fd;
}

static int node_serve(struct node_service *s, int stop_fd)
{
	int fd = node_listen(s), conn;
	bool stopping = false;

	if (fd < 0)
		return fd;
	s->tally = tally_peer("server", "", s->port);
	while (!stopping) {
		struct pollfd p[2] = {{.fd = fd, .events = POLLIN}, {.fd = stop_fd, .events = POLLIN}};

		(void)poll(p, 2, -1);
		stopping = p[1].revents != 0;
		while ((conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC)) >= 0)
			node_take(s, conn);
	}
	close(fd);
	while (atomic_load(&s->active))
		node_sleep_ms(5);
	return 0;
}

/* --- the programs */

static void node_think_db(void *arg)
{
	node_sleep_ms(3);
}

static void node_serve_db(int fd, struct tally_peer *t)
{
	talk_answer(fd, t, node_think_db, NULL);
}

static void node_serve_plain(int fd, struct tally_peer *t)
{
	talk_answer(fd, t, NULL, NULL);
}

/* The slow reader: a small buffer, a rest after each piece. */
static void node_serve_queue(int fd, struct tally_peer *t)
{
	char piece[4096];
	ssize_t n;

	while ((n = recv(fd, piece, sizeof(piece), 0)) > 0) {
		tally_add(&t->received, (uint64_t)n);
		node_sleep_ms(NODE_READ_MS);
	}
	close(fd);
}

static int node_db(int stop_fd, int64_t start_us)
{
	struct node_service s = {.port = PORT_DB, .serve = node_serve_db};

	return node_serve(&s, stop_fd);
}

static int node_cache(int stop_fd, int64_t start_us)
{
	struct node_service s = {.port = PORT_CACHE, .serve = node_serve_plain};

	return node_serve(&s, stop_fd);
}

static int node_queue(int stop_fd, int64_t start_us)
{
	struct node_service s = {.port = PORT_QUEUE, .serve = node_serve_queue, .rcvbuf = NODE_SMALL_BUFFER};

	return node_serve(&s, stop_fd);
}

static int node_mail(int stop_fd, int64_t start_us)
{
	struct node_service s = {.port = PORT_MAIL, .serve = node_serve_plain};

	return node_serve(&s, stop_fd);
}

struct node_api {
	int stop_fd;
	int64_t start_us;
};

static void *node_api_mail(void *arg)
{
	const struct node_api *api = arg;
	struct tally_peer *t = tally_peer("client", NODE_PREFIX "mail", PORT_MAIL);

	while (!node_stopped(api->stop_fd, NODE_MAIL_MS)) {
		int64_t age_ms = (clock_mono_us() - api->start_us) / 1000;

		if (age_ms < NODE_MAIL_GONE_MS - 500 || age_ms > NODE_MAIL_GONE_MS + 500)
			(void)talk_ask(t, node_find("mail")->address, 3000 + (size_t)(age_ms % 500), 40);
	}
	return NULL;
}

static void *node_api_queue(void *arg)
{
	const struct node_api *api = arg;
	struct tally_peer *t = tally_peer("client", NODE_PREFIX "queue", PORT_QUEUE);
	int fd;
	char end;

	do /* the queue may open a moment later than this one */
		fd = talk_connect(t, node_find("queue")->address, NODE_SENDBUF);
	while (fd < 0 && !node_stopped(api->stop_fd, NODE_RETRY_MS));
	if (fd < 0)
		return NULL;
	while (!node_stopped(api->stop_fd, 0) && talk_send(fd, t, NODE_MESSAGE) == 0)
		;
	shutdown(fd, SHUT_WR);
	(void)recv(fd, &end, 1, 0);
	close(fd);
	return NULL;
}

/* What a request makes api do before it answers. */
static void node_api_think(void *arg)
{
	static atomic_uint count;
	unsigned n = atomic_fetch_add(&count, 1);

	(void)talk_ask(tally_peer("client", NODE_PREFIX "cache", PORT_CACHE), node_find("cache")->address, 120 + n % 40,
		       2048);
	(void)talk_ask(tally_peer("client", NODE_PREFIX "db", PORT_DB), node_find("db")->address, 300 + n % 200,
		       9000 + n % 1000);
	if (n % 4 == 0)
		(void)talk_ask(tally_peer("client", NODE_PREFIX "cache", PORT_NOBODY), node_find("cache")->address, 64,
			       64);
}

static void node_serve_api(int fd, struct tally_peer *t)
{
	talk_answer(fd, t, node_api_think, NULL);
}

static int node_api(int stop_fd, int64_t start_us)
{
	struct node_service s = {.port = PORT_API, .serve = node_serve_api};
	struct node_api api = {stop_fd, start_us};
	pthread_t mail, queue;
	int r;

	if (pthread_create(&mail, NULL, node_api_mail, &api) != 0)
		return -EAGAIN;
	if (pthread_create(&queue, NULL, node_api_queue, &api) != 0)
		return -EAGAIN;
	r = node_serve(&s, stop_fd);
	pthread_join(mail, NULL);
	pthread_join(queue, NULL);
	return r;
}

static int node_web(int stop_fd, int64_t start_us)
{
	struct tally_peer *t = tally_peer("client", NODE_PREFIX "api", PORT_API);

	for (unsigned n = 0; !node_stopped(stop_fd, NODE_WEB_MS); n++)
		(void)talk_ask(t, node_find("api")->address, 600 + n % 300, 12000 + n % 4000);
	return 0;
}

const struct node nodes[] = {
	{"db", "10.77.0.11", node_db},     {"cache", "10.77.0.12", node_cache}, {"queue", "10.77.0.13", node_queue},
	{"mail", "10.77.0.14", node_mail}, {"api", "10.77.0.15", node_api},     {"web", "10.77.0.16", node_web},
};
const size_t nodes_n = ARRAY_LEN(nodes);

const struct node *node_find(const char *name)
{
	for (size_t i = 0; i < nodes_n; i++)
		if (strcmp(nodes[i].name, name) == 0)
			return &nodes[i];
	return NULL;
}
