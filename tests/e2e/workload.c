/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/e2e/workload.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define CHUNK (1u << 20)

struct work_tally *tally;
static char zeros[CHUNK];

void work_die(const char *what, int err)
{
	fprintf(stderr, "workload: %s: %s\n", what, strerror(err));
	exit(1);
}

void work_report(void)
{
	const char *comma = "";
	unsigned i;

	printf("{\"attempts\":%lu,\"opened\":%lu,\"closed\":%lu,\"sent\":%lu,\"received\":%lu,\"resets_seen\":%lu,\"errors\":{",
	       tally->attempts, tally->opened, tally->closed, tally->sent, tally->received, tally->resets_seen);
	for (i = 0; i < 256; i++) {
		if (!tally->errors[i])
			continue;
		printf("%s\"%s\":%lu", comma, strerrorname_np((int)i), tally->errors[i]);
		comma = ",";
	}
	printf("}}\n");
	fflush(stdout);
}

const char *work_word_text(char **words, int n, const char *name)
{
	size_t len = strlen(name);
	int i;

	for (i = 0; i < n; i++)
		if (strncmp(words[i], name, len) == 0 && (words[i][len] == '=' || !words[i][len]))
			return words[i][len] ? words[i] + len + 1 : "1";
	return NULL;
}

uint64_t work_word(char **words, int n, const char *name, uint64_t def)
{
	const char *text = work_word_text(words, n, name);

	return text ? strtoull(text, NULL, 10) : def;
}

socklen_t work_address(const char *text, const char *port, struct sockaddr_storage *ret)
{
	struct sockaddr_in *v4 = (void *)ret;
	struct sockaddr_in6 *v6 = (void *)ret;

	memset(ret, 0, sizeof(*ret));
	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)atoi(port));
		return sizeof(*v4);
	}
	if (inet_pton(AF_INET6, text, &v6->sin6_addr) != 1)
		work_die(text, EINVAL);
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons((uint16_t)atoi(port));
	return sizeof(*v6);
}

static void work_seen_reset(void)
{
	if (errno == ECONNRESET || errno == EPIPE)
		TALLY(resets_seen, 1);
}

uint64_t work_send(int fd, uint64_t n, int flags)
{
	uint64_t done = 0;

	while (done < n) {
		ssize_t k = send(fd, zeros, n - done < CHUNK ? n - done : CHUNK, flags | MSG_NOSIGNAL);

		if (k <= 0) {
			work_seen_reset();
			break;
		}
		done += (uint64_t)k;
	}
	TALLY(sent, done);
	return done;
}

bool work_send_header(int fd, const struct work_header *h, int flags)
{
	ssize_t k = send(fd, h, sizeof(*h), flags | MSG_NOSIGNAL);

	if (k != sizeof(*h)) {
		work_seen_reset();
		return false;
	}
	TALLY(sent, sizeof(*h));
	return true;
}

uint64_t work_receive(int fd, uint64_t n)
{
	uint64_t done = 0;

	while (done < n) {
		/* MSG_TRUNC: the kernel throws the bytes away instead of copying them (tcp(7)). */
		ssize_t k = recv(fd, NULL, n - done < CHUNK ? n - done : CHUNK, MSG_TRUNC);

		if (k <= 0) {
			if (k < 0)
				work_seen_reset();
			break;
		}
		done += (uint64_t)k;
	}
	TALLY(received, done);
	return done;
}

int work_unix(const char *path, bool listening)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), r;

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", path);
	r = listening ? bind(fd, (void *)&sun, sizeof(sun)) : connect(fd, (void *)&sun, sizeof(sun));
	if (fd < 0 || r < 0 || (listening && listen(fd, 8) < 0))
		work_die(path, errno);
	return fd;
}

void work_pass(int unix_fd, int fd)
{
	char space[CMSG_SPACE(sizeof(int))] = {0}, byte = 'f';
	struct iovec iov = {&byte, 1};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof(space)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(int));
	if (sendmsg(unix_fd, &m, 0) != 1)
		work_die("passing a descriptor", errno);
	close(fd);
}

int work_take(int unix_fd)
{
	char space[CMSG_SPACE(sizeof(int))] = {0}, byte;
	struct iovec iov = {&byte, 1};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof(space)};
	struct cmsghdr *c;
	int fd;

	if (recvmsg(unix_fd, &m, 0) != 1 || !(c = CMSG_FIRSTHDR(&m)))
		return -1;
	memcpy(&fd, CMSG_DATA(c), sizeof(int));
	return fd;
}

int main(int argc, char **argv)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGPIPE, SIG_IGN);
	tally = mmap(NULL, sizeof(*tally), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (tally == MAP_FAILED)
		work_die("mmap", errno);
	if (argc >= 4 && strcmp(argv[1], "serve") == 0)
		return work_serve(argc - 2, argv + 2);
	if (argc == 3 && strcmp(argv[1], "handle") == 0)
		return work_handle(argc - 2, argv + 2);
	if (argc >= 4 && strcmp(argv[1], "activate") == 0)
		return work_activate(argc, argv);
	if (argc >= 4 && strcmp(argv[1], "udp-serve") == 0)
		return work_udp_serve(argc - 2, argv + 2);
	if (argc == 2 && strcmp(argv[1], "udp-client") == 0)
		return work_udp_client();
	if (argc == 2 && strcmp(argv[1], "client") == 0)
		return work_client(0, NULL);
	if (argc >= 3 && strcmp(argv[1], "client") == 0 && strcmp(argv[2], "with") == 0)
		return work_client(argc - 3, argv + 3);
	fprintf(stderr,
		"usage: workload serve ADDR PORT [option ...] | handle PATH | activate ADDR PORT ... | client\n");
	return 2;
}
