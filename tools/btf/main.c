/* SPDX-License-Identifier: Apache-2.0 */
/* skyfall-btf: the part of kernels' BTF that skyfall-agent needs, a file of some kB for each kernel. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/bpf/event.h"
#include "agent/bpf/udp.h"
#include "agent/btf.h"
#include "base/opt.h"
#include "tools/btf/source.h"

#include "agent/accept.skel.h" /* need the types above */
#include "agent/dgram.skel.h"
#include "agent/flow.skel.h"

#define OBJECTS 3

struct btf_conf {
	const char *output, *release;
	bool man, quiet;
};

#define AT(member) .offset = offsetof(struct btf_conf, member)

static const struct opt btf_opts[] = {
	{.name = "output",
	 .letter = 'o',
	 .type = OPT_STRING,
	 AT(output),
	 .arg = "FOLDER",
	 .help = "where RELEASE.btf goes (.)"},
	{.name = "release",
	 .letter = 'r',
	 .type = OPT_STRING,
	 AT(release),
	 .arg = "NAME",
	 .help = "what `uname -r` says there, if neither the file nor its name tells; with one FILE only"},
	{.name = "quiet", .letter = 'q', .type = OPT_FLAG, AT(quiet), .help = "say nothing but errors"},
	{.name = "man", .type = OPT_FLAG, AT(man), .help = "print the manual page (roff)"},
	{0},
};

static const struct opt_command btf_command = {
	.name = "skyfall-btf",
	.summary = "makes small BTF files for kernels that carry none, for skyfall-agent --btf",
	.args = "FILE ...",
	.about =
		"A FILE is a kernel's full BTF (RELEASE.btf, /sys/kernel/btf/vmlinux), a vmlinux with a .BTF section, a vmlinuz, a file of\n"
		"the BTFHub archive (RELEASE.btf.tar.xz), or a folder: all in it and below whose names look like one of these. Of each the types\n"
		"that the agent's programs ask for are kept. The release stands in a vmlinux and vmlinuz, else it is the file's name or\n"
		"its folder's. The agent takes a file for exactly its release. Needs bpftool. Exit: 0; 1 when one could not be made, with its\n"
		"reason on standard error, the others are; 2 for a mistake in the options.",
	.opts = btf_opts,
	.conf_size = sizeof(struct btf_conf),
	.min_args = 0, /* --man has none */
	.max_args = 64,
};

struct work {
	const struct btf_conf *conf;
	char scratch[64];
	char object[OBJECTS][96];
	unsigned made, failed;
};

static struct work *walked; /* nftw() passes nothing on */

static int complain(const char *what, const char *why)
{
	fprintf(stderr, "skyfall-btf: %s: %s\n", what, why);
	return 1;
}

static int write_file(const char *path, const void *data, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), r = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, data, n) != (ssize_t)n)
		r = -EIO;
	close(fd);
	return r;
}

/* The agent's programs as files, for bpftool. */
static int work_begin(struct work *w)
{
	const char *tmp = getenv("TMPDIR");
	size_t n[OBJECTS];
	const void *data[OBJECTS] = {flow__elf_bytes(&n[0]), dgram__elf_bytes(&n[1]), accepting__elf_bytes(&n[2])};
	int r = 0;

	if (snprintf(w->scratch, sizeof(w->scratch), "%.40s/skyfall-btf.XXXXXX", tmp ? tmp : "/tmp") < 0 ||
	    !mkdtemp(w->scratch))
		return -errno;
	for (unsigned i = 0; r == 0 && i < OBJECTS; i++) {
		snprintf(w->object[i], sizeof(w->object[i]), "%s/%u.bpf.o", w->scratch, i);
		r = write_file(w->object[i], data[i], n[i]);
	}
	return r;
}

static void work_end(struct work *w)
{
	char path[128];

	for (unsigned i = 0; i < OBJECTS; i++)
		(void)unlink(w->object[i]);
	snprintf(path, sizeof(path), "%s/unpacked", w->scratch);
	(void)unlink(path);
	(void)rmdir(w->scratch);
}

/* Beside the file it becomes, so that an agent never finds half of one. */
static int make(const struct work *w, const struct source_kernel *k, char *why, size_t why_len)
{
	char fresh[PATH_MAX], path[PATH_MAX];
	char *argv[] = {"bpftool",
			"gen",
			"min_core_btf",
			(char *)k->path,
			fresh,
			(char *)w->object[0],
			(char *)w->object[1],
			(char *)w->object[2],
			NULL};
	int r;

	r = btf_check(k->path, why, why_len);
	if (r < 0)
		return r;
	if (strchr(k->release, '/') ||
	    snprintf(fresh, sizeof(fresh), "%s/.%s.btf.new", w->conf->output, k->release) >= (int)sizeof(fresh)) {
		snprintf(why, why_len, "'%.64s' cannot be the name of a file", k->release);
		return -EINVAL;
	}
	snprintf(path, sizeof(path), "%s/%s.btf", w->conf->output, k->release);
	r = source_run(argv, NULL, 0, NULL);
	if (r != 0) {
		snprintf(why, why_len, r == 127 ? "bpftool is not installed" : "bpftool gen min_core_btf: exit %d", r);
		(void)unlink(fresh);
		return -EIO;
	}
	r = btf_check(fresh, why, why_len);
	if (r == 0 && (chmod(fresh, 0644) < 0 || rename(fresh, path) < 0)) {
		r = -errno;
		snprintf(why, why_len, "%s cannot be written: %s", k->release, strerror(-r));
	}
	if (r < 0)
		(void)unlink(fresh);
	return r;
}

static void one(struct work *w, const char *path)
{
	struct source_kernel k = {.release = ""};
	char why[256] = "";
	struct stat st;
	int r = source_find(&k, path, w->scratch, why, sizeof(why));

	if (r == 0 && w->conf->release)
		snprintf(k.release, sizeof(k.release), "%s", w->conf->release);
	if (r == 0 && !k.release[0])
		r = -EINVAL;
	if (r == 0)
		r = make(w, &k, why, sizeof(why));
	if (r < 0) {
		w->failed++;
		(void)complain(path, why[0] ? why : strerror(-r));
		return;
	}
	w->made++;
	if (w->conf->quiet)
		return;
	snprintf(why, sizeof(why), "%.128s/%s.btf", w->conf->output, k.release);
	printf("%s: %lld bytes, from %s\n", why, stat(why, &st) == 0 ? (long long)st.st_size : -1, path);
	fflush(stdout);
}

static int below(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	if (type == FTW_F && source_likely(path))
		one(walked, path);
	return 0;
}

static int each(struct work *w, char **args, int n)
{
	struct stat st;

	for (int i = 0; i < n; i++) {
		unsigned before = w->made + w->failed;

		if (stat(args[i], &st) < 0) {
			w->failed += (unsigned)complain(args[i], strerror(errno));
			continue;
		}
		if (!S_ISDIR(st.st_mode)) {
			one(w, args[i]);
			continue;
		}
		walked = w;
		if (nftw(args[i], below, 16, FTW_PHYS) < 0)
			w->failed += (unsigned)complain(args[i], strerror(errno));
		if (w->made + w->failed == before)
			w->failed += (unsigned)complain(args[i], "nothing in it looks like a kernel or its BTF");
	}
	return w->failed != 0;
}

static int usage(const char *why)
{
	fprintf(stderr, "skyfall-btf: %s; see 'skyfall-btf --help'\n", why);
	return 2;
}

int main(int argc, char **argv)
{
	static const struct opt_command *const commands[] = {&btf_command};
	struct btf_conf conf = {.output = "."};
	struct work w = {.conf = &conf};
	char **args;
	struct stat st;
	int r, n;

	r = opt_parse("skyfall-btf", &btf_command, argc, argv, &conf, &args, &n);
	if (r != 0)
		return r == OPT_HELP ? 0 : 2;
	if (conf.man) {
		opt_man("skyfall-btf", 1, btf_command.summary, commands, 1, stdout);
		return 0;
	}
	if (n == 0)
		return usage("of which kernels? give a file or a folder");
	if (conf.release && (n != 1 || (stat(args[0], &st) == 0 && S_ISDIR(st.st_mode))))
		return usage("--release is for one file");
	if (stat(conf.output, &st) < 0 || !S_ISDIR(st.st_mode))
		return usage("--output must be a folder that exists");
	r = work_begin(&w);
	r = r < 0 ? complain("scratch files", strerror(-r)) : each(&w, args, n);
	work_end(&w);
	return r;
}
