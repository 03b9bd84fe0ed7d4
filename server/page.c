/* SPDX-License-Identifier: Apache-2.0 */
#include "server/page.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/table.h"

#define PAGE_FILE_MAX (16u << 20)
#define PAGE_PATH_MAX 512

#ifdef PAGE_ABSENT
#define PAGE_ABSENT_TEXT                                                                                              \
	"<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Skyfall</title></head><body>"          \
	"<h1>Skyfall</h1><p>This program was built without its page. The API answers all the same, see "              \
	"<a href=\"/api/v1/openapi.json\">/api/v1/openapi.json</a>.</p><p>To have the page: install nodejs and npm, " \
	"then <code>meson configure BUILD -Dweb=true</code> and <code>ninja -C BUILD</code>.</p></body></html>\n"
static const struct page_file page_files[] = {
	{"/index.html", "text/html; charset=utf-8", "none", false, PAGE_ABSENT_TEXT, sizeof(PAGE_ABSENT_TEXT) - 1, NULL,
	 0},
};
#else
#include "web/page.inc"
#endif

static const struct {
	const char *end, *type;
} page_types[] = {
	{".html", "text/html; charset=utf-8"},
	{".js", "text/javascript; charset=utf-8"},
	{".css", "text/css; charset=utf-8"},
	{".svg", "image/svg+xml"},
	{".png", "image/png"},
	{".woff2", "font/woff2"},
};

const struct page_file *page_find(const char *path)
{
	if (!strcmp(path, "/"))
		path = "/index.html";
	for (size_t i = 0; i < ARRAY_LEN(page_files); i++)
		if (!strcmp(page_files[i].path, path))
			return &page_files[i];
	return NULL;
}

int page_root_open(const char *folder, char *why, size_t why_len)
{
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0 && !faccessat(fd, "index.html", R_OK, 0))
		return fd;
	snprintf(why, why_len, "--web-root %.200s: %s; the build puts the page's files into BUILD/web/page", folder,
		 fd < 0 ? strerror(errno) : "no index.html that can be read is in it");
	if (fd < 0)
		return -errno;
	close(fd);
	return -ENOENT;
}

static const char *page_type(const char *path)
{
	const char *end = strrchr(path, '.');

	for (size_t i = 0; end && i < ARRAY_LEN(page_types); i++)
		if (!strcmp(end, page_types[i].end))
			return page_types[i].type;
	return NULL;
}

/* Walks down one name at a time, without following a link; so what is opened lies in the folder, whatever happens to it
 * meanwhile. */
static int page_open_under(int root, const char *path)
{
	int at = fcntl(root, F_DUPFD_CLOEXEC, 0);

	while (at >= 0) {
		char name[PAGE_PATH_MAX];
		size_t n = strcspn(path, "/");
		bool last = path[n] == '\0';
		int next = -1;

		if (n && *path != '.' && n < sizeof(name)) {
			memcpy(name, path, n);
			name[n] = '\0';
			next = openat(at, name,
				      O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | (last ? 0 : O_DIRECTORY));
		}
		close(at);
		if (last)
			return next;
		at = next;
		path += n + 1;
	}
	return -1;
}

int page_root_read(int root, const char *path, struct buf *ret, const char **ret_type)
{
	const char *type;
	struct stat st;
	ssize_t n = 0;
	char *p;
	int fd;

	if (!strcmp(path, "/"))
		path = "/index.html";
	type = page_type(path);
	if (*path != '/' || !type || strlen(path) >= PAGE_PATH_MAX)
		return -ENOENT;
	fd = page_open_under(root, path + 1);
	if (fd < 0)
		return -ENOENT;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_size > PAGE_FILE_MAX) {
		close(fd);
		return -ENOENT;
	}
	/* A file being written may grow or shrink: what is there, up to the bound. */
	do {
		p = buf_grow(ret, 65536);
		if (!p) {
			close(fd);
			return -ENOMEM;
		}
		n = read(fd, p, 65536);
		ret->n -= 65536 - (size_t)(n > 0 ? n : 0);
	} while (n > 0 && ret->n <= PAGE_FILE_MAX);
	close(fd);
	if (n < 0 || ret->n > PAGE_FILE_MAX)
		return -ENOENT;
	*ret_type = type;
	return 0;
}
