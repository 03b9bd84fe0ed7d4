/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP over real sockets: files, feeds, and folders somebody tries to climb out of. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>

#include "server/http.h"
#include "tests/unit/http_rig.h"

#define CLIENTS 200

static const struct page_file sample = {
	.path = "/assets/a-1.js",
	.type = "text/javascript; charset=utf-8",
	.tag = "0123456789abcdef",
	.immutable = true,
	.raw = "hello hello hello",
	.raw_n = 17,
	.gz = "\x1f\x8b packed",
	.gz_n = 9,
};

struct world {
	struct http *http;
	int root;
	_Atomic unsigned opened, closed, value; /* of feeds; value: what they say */
};

/* A feed that says each value once, as a line. */
struct line_feed {
	struct world *w;
	unsigned said;
};

static ssize_t line_read(void *arg, char *p, size_t n)
{
	struct line_feed *f = arg;
	unsigned value = f->w->value;

	if (f->said == value)
		return 0;
	f->said = value;
	return snprintf(p, n, "%u\n", value);
}

static void line_close(void *arg)
{
	struct line_feed *f = arg;

	f->w->closed++;
	free(f);
}

/* Something comes, and is announced, after it has looked and before it is parked. */
static ssize_t race_read(void *arg, char *p, size_t n)
{
	struct line_feed *f = arg;
	ssize_t got = line_read(arg, p, n);

	if (!got && f->w->value < 100) {
		f->w->value++;
		http_wake(f->w->http);
	}
	return got;
}

/* A feed that never ends. */
static ssize_t flood_read(void *arg, char *p, size_t n)
{
	memset(p, 'x', n);
	return (ssize_t)n;
}

static void handle(void *arg, const struct http_request *req, struct http_reply *reply)
{
	struct world *w = arg;

	if (!strcmp(req->path, "/file")) {
		reply->file = &sample;
		reply->page = true;
	} else if (!strcmp(req->path, "/lines") || !strcmp(req->path, "/flood") || !strcmp(req->path, "/race")) {
		struct line_feed *f = calloc(1, sizeof(*f));
		ssize_t (*read)(void *, char *, size_t) = req->path[1] == 'l'   ? line_read
							  : req->path[1] == 'r' ? race_read
										: flood_read;

		f->w = w;
		reply->feed = (struct http_feed){read, line_close, f};
		reply->type = "text/plain";
		w->opened++;
	} else if (!strcmp(req->path, "/picture")) {
		reply->picture = true;
		buf_printf(&reply->body, "<svg/>");
	} else if (w->root >= 0) {
		reply->status = page_root_read(w->root, req->path, &reply->body, &reply->type) ? 404 : 200;
	} else {
		buf_printf(&reply->body, "other\n");
	}
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct http_opts opts = {.listen = "127.0.0.1:0", .threads = 3, .connections = 900, .timeout_s = 2};
	char why[256] = "";

	opts.handle = handle;
	opts.arg = w;
	w->root = -1;
	assert_int_equal(http_start(&w->http, &opts, why, sizeof(why)), 0);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	http_stop(w->http);
	if (w->root >= 0)
		close(w->root);
	free(w);
	return 0;
}

static void wait_for(const _Atomic unsigned *what, unsigned n)
{
	int64_t until = clock_mono_us() + RIG_US;

	while (*what != n && clock_mono_us() < until)
		(void)poll(NULL, 0, 1);
	assert_int_equal(*what, n);
}

/* --- files */

static void ask_file(struct world *w, const char *method, const char *headers, int status, size_t n,
		     const char *encoding)
{
	char text[256], *head;
	struct rig c;

	rig_open(&c, http_url(w->http), method, "/file", headers, 0);
	assert_int_equal(rig_head(&c, &head), status);
	assert_string_equal(rig_header(head, "ETag", text, sizeof(text)), "W/\"0123456789abcdef\"");
	assert_string_equal(rig_header(head, "Vary", text, sizeof(text)), "Accept-Encoding");
	assert_string_equal(rig_header(head, "Cache-Control", text, sizeof(text)),
			    "public, max-age=31536000, immutable");
	assert_string_equal(rig_header(head, "Content-Encoding", text, sizeof(text)), encoding);
	assert_non_null(strstr(rig_header(head, "Content-Security-Policy", text, sizeof(text)), "default-src 'none'"));
	assert_non_null(strstr(text, "script-src 'self'"));
	assert_null(strstr(text, "unsafe"));
	if (status == 200)
		assert_int_equal(atoi(rig_header(head, "Content-Length", text, sizeof(text))), n);
	/* The next answer on the connection begins where this one ends: no byte too many, no byte too few. */
	if (strcmp(method, "HEAD") == 0 || status == 304)
		n = 0;
	while (c.in.n - c.at < n)
		assert_true(rig_more(&c));
	if (n)
		assert_memory_equal(c.in.p + c.at, *encoding ? sample.gz : sample.raw, n);
	c.at += n;
	assert_int_equal(send(c.fd, "GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n", 36, MSG_NOSIGNAL), 36);
	assert_int_equal(rig_head(&c, &head), 200);
	assert_non_null(rig_until(&c, "other\n"));
	rig_close(&c);
}

static void test_files(void **state)
{
	struct world *w = *state;

	ask_file(w, "GET", NULL, 200, 17, "");
	ask_file(w, "GET", "Accept-Encoding: br, gzip;q=0.5\r\n", 200, 9, "gzip");
	ask_file(w, "GET", "Accept-Encoding: gzip;q=0, br\r\n", 200, 17, "");
	ask_file(w, "GET", "Accept-Encoding: gzipped\r\n", 200, 17, "");
	ask_file(w, "HEAD", "Accept-Encoding: gzip\r\n", 200, 9, "gzip");
	ask_file(w, "GET", "If-None-Match: \"other\", W/\"0123456789abcdef\"\r\n", 304, 0, "");
	ask_file(w, "GET", "If-None-Match: *\r\n", 304, 0, "");
	ask_file(w, "GET", "If-None-Match: W/\"0123456789abcdeX\"\r\n", 200, 17, "");
}

static void ask_policy(struct world *w, const char *path, const char *policy)
{
	char text[256], *head;
	struct rig c;

	rig_open(&c, http_url(w->http), "GET", path, NULL, 0);
	assert_int_equal(rig_head(&c, &head), 200);
	assert_string_equal(rig_header(head, "Content-Security-Policy", text, sizeof(text)), policy);
	rig_close(&c);
}

/* An answer of the API does nothing in a browser; a picture may look as it says, and does nothing else. */
static void test_policies(void **state)
{
	static const char none[] = "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'";
	char picture[160];

	snprintf(picture, sizeof(picture), "%s; style-src 'unsafe-inline'", none);
	ask_policy(*state, "/x", none);
	ask_policy(*state, "/picture", picture);
}

/* What is embedded names what is embedded. */
static void test_embedded(void **state)
{
	const struct page_file *f = page_find("/");

	assert_non_null(f);
	assert_ptr_equal(f, page_find("/index.html"));
	assert_string_equal(f->type, "text/html; charset=utf-8");
	assert_false(f->immutable);
	assert_memory_equal(f->raw, "<!doctype html>", 15);
	assert_null(strstr(f->raw, "<style"));
	assert_null(strstr(f->raw, "style="));
	assert_null(strstr(f->raw, "://"));
	for (const char *p = f->raw; (p = strstr(p, "=\"/assets/")); p++) {
		char path[128];

		snprintf(path, sizeof(path), "%.*s", (int)strcspn(p + 2, "\""), p + 2);
		assert_non_null(page_find(path));
		assert_true(page_find(path)->immutable);
	}
	assert_null(page_find("/assets/"));
	assert_null(page_find("/web/index.html"));
	assert_null(page_find(""));
}

/* --- a folder */

static void put(const char *folder, const char *name, const char *text)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static int ask_status(struct world *w, const char *path)
{
	char *head;
	struct rig c;
	int status;

	rig_open(&c, http_url(w->http), "GET", path, NULL, 0);
	status = rig_head(&c, &head);
	rig_close(&c);
	return status;
}

/* An address of 64 KiB is answered, in words; one that is just short enough gets through. */
static void test_address_too_long(void **state)
{
	static const struct {
		size_t n;
		int status;
	} sizes[] = {{16384, 200}, {16385, 414}, {65536, 414}};
	struct world *w = *state;
	char *path = malloc(65537), *head, type[64];
	struct rig c;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		memset(path, 'a', sizes[i].n);
		path[0] = '/';
		path[sizes[i].n] = '\0';
		rig_open(&c, http_url(w->http), "GET", path, "Connection: close\r\n", 0);
		assert_int_equal(rig_head(&c, &head), sizes[i].status);
		rig_header(head, "Content-Type", type, sizeof(type));
		if (sizes[i].status == 414) {
			assert_string_equal(type, "application/json");
			assert_non_null(rig_until(&c, "\"hint\": \"at most 16384 bytes\""));
		}
		rig_close(&c);
	}
	free(path);
	assert_int_equal(ask_status(w, "/index.html%00"), 400);
	/* It goes on. */
	assert_int_equal(ask_status(w, "/nothing"), 200);
}

static void test_folder(void **state)
{
	static const char *const refused[] = {
		"/../secret.js",
		"/js/../../secret.js",
		"/%2e%2e/secret.js",
		"/..%2fsecret.js",
		"/js/%2e%2e/%2e%2e/secret.js",
		"//secret.js",
		"//etc/passwd",
		"/js//app.js",
		"/./index.html",
		"/out.js",
		"/outside/secret.js",
		"/.hidden.js",
		"/js",
		"/js/",
		"/js.js",
		"/pipe.js",
		"/key.pem",
		"/index.html/",
		"/nowhere.js",
	};
	struct world *w = *state;
	char top[] = "/tmp/skyfall-root-XXXXXX", root[64], path[128], why[256], *long_path;

	assert_non_null(mkdtemp(top));
	snprintf(root, sizeof(root), "%s/web", top);
	assert_true(page_root_open(root, why, sizeof(why)) < 0);
	assert_non_null(strstr(why, "--web-root"));
	assert_int_equal(mkdir(root, 0700), 0);
	assert_true(page_root_open(root, why, sizeof(why)) < 0);
	assert_non_null(strstr(why, "index.html"));
	put(top, "secret.js", "secret");
	put(root, "index.html", "<!doctype html>");
	put(root, ".hidden.js", "hidden");
	put(root, "key.pem", "key");
	snprintf(path, sizeof(path), "%s/js", root);
	assert_int_equal(mkdir(path, 0700), 0);
	put(root, "js/app.js", "app");
	snprintf(path, sizeof(path), "%s/js.js", root);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/out.js", root);
	assert_int_equal(symlink("../secret.js", path), 0);
	snprintf(path, sizeof(path), "%s/outside", root);
	assert_int_equal(symlink("..", path), 0);
	snprintf(path, sizeof(path), "%s/pipe.js", root);
	assert_int_equal(mkfifo(path, 0600), 0);
	w->root = page_root_open(root, why, sizeof(why));
	assert_true(w->root >= 0);

	assert_int_equal(ask_status(w, "/"), 200);
	assert_int_equal(ask_status(w, "/index.html"), 200);
	assert_int_equal(ask_status(w, "/js/app.js"), 200);
	assert_int_equal(ask_status(w, "/js/app%2ejs"), 200);
	/* What is asked for and what is opened are the same: nothing follows a NUL unseen. */
	assert_int_equal(ask_status(w, "/index.html%00/../../secret.js"), 400);
	assert_int_equal(ask_status(w, "/secret%00.js"), 400);
	for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
		int status = ask_status(w, refused[i]);

		if (status != 404)
			print_message("%s: %d\n", refused[i], status);
		assert_int_equal(status, 404);
	}
	long_path = malloc(8001);
	memset(long_path, 'a', 8000);
	long_path[0] = '/';
	strcpy(long_path + 7997, ".js");
	assert_int_equal(ask_status(w, long_path), 404);
	free(long_path);
	snprintf(path, sizeof(path), "rm -rf '%s'", top);
	assert_int_equal(system(path), 0);
}

/* --- feeds */

/* Each value reaches each of many clients once, whenever it comes; none of them holds a thread. */
static void test_many_feeds(void **state)
{
	struct world *w = *state;
	struct rig *c = calloc(CLIENTS, sizeof(*c));
	char *head, text[16];

	for (unsigned i = 0; i < CLIENTS; i++)
		rig_open(&c[i], http_url(w->http), "GET", "/lines", NULL, 0);
	wait_for(&w->opened, CLIENTS);
	for (unsigned value = 1; value <= 20; value++) {
		w->value = value;
		http_wake(w->http);
		assert_int_equal(ask_status(w, "/x"), 200);
		for (unsigned i = 0; i < CLIENTS; i++) {
			if (value == 1)
				assert_int_equal(rig_head(&c[i], &head), 200);
			snprintf(text, sizeof(text), "%u", value);
			assert_string_equal(rig_until(&c[i], "\n"), text);
		}
	}
	/* Some leave: it is known once there is something to tell them. */
	for (unsigned i = 0; i < CLIENTS / 2; i++)
		rig_close(&c[i]);
	for (unsigned value = 21; w->closed < CLIENTS / 2; value++) {
		w->value = value;
		http_wake(w->http);
		assert_non_null(rig_until(&c[CLIENTS - 1], "\n"));
		assert_true(value < 100000);
	}
	assert_int_equal(w->closed, CLIENTS / 2);
	assert_int_equal(http_stuck(w->http), 0);
	/* The rest is open while all stops. */
	http_stop(w->http);
	w->http = NULL;
	assert_int_equal(w->closed, CLIENTS);
	for (unsigned i = CLIENTS / 2; i < CLIENTS; i++) {
		while (rig_until(&c[i], "\n"))
			;
		rig_close(&c[i]);
	}
	free(c);
}

static void test_no_wake_is_lost(void **state)
{
	struct world *w = *state;
	struct rig c;
	char *head;

	rig_open(&c, http_url(w->http), "GET", "/race", NULL, 0);
	assert_int_equal(rig_head(&c, &head), 200);
	assert_non_null(rig_until(&c, "\n100\n"));
	rig_close(&c);
}

/* Stop while values come as fast as they can, from several sides. */
static void test_stop_while_streaming(void **state)
{
	struct world *w = *state;
	struct rig c[20];

	for (unsigned i = 0; i < 20; i++)
		rig_open(&c[i], http_url(w->http), "GET", i % 2 ? "/lines" : "/flood", NULL, 0);
	wait_for(&w->opened, 20);
	for (unsigned i = 0; i < 2000; i++) {
		w->value++;
		http_wake(w->http);
	}
	http_stop(w->http);
	w->http = NULL;
	assert_int_equal(w->closed, 20);
	for (unsigned i = 0; i < 20; i++)
		rig_close(&c[i]);
}

/* A client that takes nothing is cut, others do not notice. HEAD ends at once. */
static void test_stuck_client(void **state)
{
	struct world *w = *state;
	struct rig stuck, other;
	char *head;

	rig_open(&stuck, http_url(w->http), "GET", "/flood", NULL, 4096);
	rig_open(&other, http_url(w->http), "GET", "/lines", NULL, 0);
	wait_for(&w->opened, 2);
	while (!w->closed) {
		w->value++;
		http_wake(w->http);
		assert_non_null(rig_until(&other, "\n"));
	}
	assert_int_equal(http_stuck(w->http), 1);
	rig_close(&stuck);
	rig_close(&other);
	rig_open(&other, http_url(w->http), "HEAD", "/lines", NULL, 0);
	assert_int_equal(rig_head(&other, &head), 200);
	rig_close(&other);
	wait_for(&w->opened, 3);
}

/* No line, half a line, too much of it: an answer or an end, never a wait without one. */
static void test_broken_requests(void **state)
{
	static const char *const wrong[] = {"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nhi",
					    "GET / HTTP/9.9\r\n\r\n", "\r\n\r\n\r\n", "GET",
					    "\x16\x03\x01\x02\r\n\r\n"};
	struct world *w = *state;
	struct rig c;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		rig_open(&c, http_url(w->http), "GET", "/x", "Connection: close\r\n", 0);
		while (rig_more(&c))
			;
		rig_close(&c);
		rig_open(&c, http_url(w->http), "GET", "/x", NULL, 0);
		assert_non_null(rig_until(&c, "other\n"));
		assert_int_equal(send(c.fd, wrong[i], strlen(wrong[i]), MSG_NOSIGNAL), strlen(wrong[i]));
		assert_int_equal(shutdown(c.fd, SHUT_WR), 0);
		while (rig_more(&c))
			;
		rig_close(&c);
	}
	assert_int_equal(ask_status(w, "/x"), 200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_files, setup, teardown),
		cmocka_unit_test_setup_teardown(test_policies, setup, teardown),
		cmocka_unit_test_setup_teardown(test_address_too_long, setup, teardown),
		cmocka_unit_test(test_embedded),
		cmocka_unit_test_setup_teardown(test_folder, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_feeds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_wake_is_lost, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stop_while_streaming, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stuck_client, setup, teardown),
		cmocka_unit_test_setup_teardown(test_broken_requests, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
