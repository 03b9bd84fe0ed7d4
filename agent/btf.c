/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/btf.h"

#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/table.h"

#define BTF_FILE_MAX (256 << 20)

enum { KERNEL, FILE_ };

static bool type_ok(unsigned id, unsigned n)
{
	return id < n;
}

/* Everything a type points to is inside. */
static bool record_ok(const struct btf *btf, const struct btf_type *t, unsigned n)
{
	unsigned i, vlen = btf_vlen(t);

	if (!btf__str_by_offset(btf, t->name_off))
		return false;
	switch (btf_kind(t)) {
	case BTF_KIND_PTR:
	case BTF_KIND_TYPEDEF:
	case BTF_KIND_VOLATILE:
	case BTF_KIND_CONST:
	case BTF_KIND_RESTRICT:
	case BTF_KIND_FUNC:
	case BTF_KIND_VAR:
	case BTF_KIND_DECL_TAG:
	case BTF_KIND_TYPE_TAG:
		return type_ok(t->type, n);
	case BTF_KIND_ARRAY:
		return type_ok(btf_array(t)->type, n) && type_ok(btf_array(t)->index_type, n);
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
		for (i = 0; i < vlen; i++)
			if (!type_ok(btf_members(t)[i].type, n) || !btf__str_by_offset(btf, btf_members(t)[i].name_off))
				return false;
		return true;
	case BTF_KIND_ENUM:
		for (i = 0; i < vlen; i++)
			if (!btf__str_by_offset(btf, btf_enum(t)[i].name_off))
				return false;
		return true;
	case BTF_KIND_ENUM64:
		for (i = 0; i < vlen; i++)
			if (!btf__str_by_offset(btf, btf_enum64(t)[i].name_off))
				return false;
		return true;
	case BTF_KIND_FUNC_PROTO:
		for (i = 0; i < vlen; i++)
			if (!type_ok(btf_params(t)[i].type, n) || !btf__str_by_offset(btf, btf_params(t)[i].name_off))
				return false;
		return type_ok(t->type, n);
	case BTF_KIND_DATASEC:
		for (i = 0; i < vlen; i++)
			if (!type_ok(btf_var_secinfos(t)[i].type, n))
				return false;
		return true;
	default:
		return true;
	}
}

/* A chain of typedefs or arrays that comes back to itself would keep libbpf busy for ever. */
static bool ends(const struct btf *btf, unsigned id)
{
	const struct btf_type *t;
	unsigned steps;

	for (steps = 0; steps < 32; steps++) {
		t = btf__type_by_id(btf, id);
		if (btf_is_array(t))
			id = btf_array(t)->type;
		else if (btf_is_mod(t) || btf_is_typedef(t))
			id = t->type;
		else
			return true;
	}
	return false;
}

static int contents(const struct btf *btf, char *why, size_t why_len)
{
	static const char *const wanted[] = {"sock", "sock_common", "tcp_sock"};
	unsigned n = btf__type_cnt(btf), i;

	for (i = 1; i < n; i++) {
		if (record_ok(btf, btf__type_by_id(btf, i), n))
			continue;
		snprintf(why, why_len, "corrupt: type %u points outside", i);
		return -EBADMSG;
	}
	for (i = 1; i < n; i++) {
		if (ends(btf, i))
			continue;
		snprintf(why, why_len, "corrupt: type %u never ends", i);
		return -EBADMSG;
	}
	for (i = 0; i < ARRAY_LEN(wanted); i++) {
		if (btf__find_by_name_kind(btf, wanted[i], BTF_KIND_STRUCT) > 0)
			continue;
		snprintf(why, why_len, "it does not describe struct %s: no kernel's, or made for other programs",
			 wanted[i]);
		return -ENOENT;
	}
	snprintf(why, why_len, "%u types", n);
	return 0;
}

int btf_check(const char *path, char *why, size_t why_len)
{
	libbpf_print_fn_t print;
	char reason[96];
	struct btf *btf;
	struct stat st;
	int r;

	if (stat(path, &st) < 0) {
		r = -errno;
		snprintf(why, why_len, "%s", strerror(-r));
		return r;
	}
	if (!S_ISREG(st.st_mode) || st.st_size > BTF_FILE_MAX) {
		snprintf(why, why_len, "it is no file, or a very large one");
		return -EINVAL;
	}
	print = libbpf_set_print(NULL); /* its reasons are below */
	btf = btf__parse(path, NULL);
	r = libbpf_get_error(btf);
	libbpf_set_print(print);
	if (r) {
		libbpf_strerror(r, reason, sizeof(reason));
		snprintf(why, why_len, "corrupt, or no BTF: %s", reason);
		return r;
	}
	r = contents(btf, why, why_len);
	btf__free(btf);
	return r;
}

const char *btf_release(char ret[65])
{
	struct utsname u;

	snprintf(ret, 65, "%s", uname(&u) == 0 ? u.release : "");
	return ret;
}

static void try_kernel(struct btf_choice *c)
{
	libbpf_print_fn_t print = libbpf_set_print(NULL);
	struct btf *btf = btf__load_vmlinux_btf();
	int r = libbpf_get_error(btf);

	libbpf_set_print(print);
	if (r) {
		snprintf(c->rung[KERNEL].why, sizeof(c->rung[KERNEL].why),
			 "this kernel was built without it, or hides it");
		return;
	}
	snprintf(c->rung[KERNEL].why, sizeof(c->rung[KERNEL].why), "%u types", btf__type_cnt(btf));
	btf__free(btf);
	c->rung[KERNEL].ok = true;
	if (c->won < 0)
		c->won = KERNEL;
}

/* False: there is no such file. */
static bool try_file(struct btf_choice *c, const char *path)
{
	struct btf_rung *rung = &c->rung[FILE_];
	char why[128];
	int r = btf_check(path, why, sizeof(why));

	snprintf(rung->why, sizeof(rung->why), "%.60s%s: %.120s", strlen(path) > 60 ? "..." : "",
		 path + (strlen(path) > 60 ? strlen(path) - 60 : 0), why);
	if (r == -ENOENT && access(path, F_OK) < 0)
		return false;
	rung->ok = r == 0;
	if (!rung->ok || c->won >= 0)
		return true;
	c->won = FILE_;
	snprintf(c->path, sizeof(c->path), "%s", path);
	return true;
}

static void try_folders(struct btf_choice *c, const char *const *folders, size_t n, const char *release,
			const char *root)
{
	char path[BTF_PATH];
	size_t i;

	for (i = 0; i < n; i++) {
		if (snprintf(path, sizeof(path), "%s%s/%s.btf", root, folders[i], release) >= (int)sizeof(path))
			continue;
		if (try_file(c, path))
			return;
	}
	snprintf(c->rung[FILE_].why, sizeof(c->rung[FILE_].why), "no %.80s.btf in %.80s", release,
		 n > 1 ? "/etc/skyfall/btf, /usr/lib/skyfall/btf" : folders[0]);
}

void btf_choose(struct btf_choice *ret, const char *how, const char *release, const char *root)
{
	static const char *const folders[] = BTF_FOLDERS;
	struct stat st;

	*ret = (struct btf_choice){.rung = {{.name = "kernel"}, {.name = "file"}}, .won = -1};
	if (how && !strcmp(how, "off")) {
		snprintf(ret->rung[KERNEL].why, sizeof(ret->rung[KERNEL].why), "not asked: --btf off");
		snprintf(ret->rung[FILE_].why, sizeof(ret->rung[FILE_].why), "not asked: --btf off");
		return;
	}
	if (how && strcmp(how, "auto") != 0) {
		if (stat(how, &st) == 0 && S_ISDIR(st.st_mode)) {
			try_kernel(ret);
			try_folders(ret, &how, 1, release, "");
			return;
		}
		(void)try_file(ret, how);
		try_kernel(ret);
		return;
	}
	try_kernel(ret);
	try_folders(ret, folders, ARRAY_LEN(folders), release, root);
}
