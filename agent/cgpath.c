/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/cgpath.h"

#include <stdint.h>
#include <string.h>

#include "base/table.h"

#define ID_LEN 64 /* hex digits of a container id */

static bool cgpath_hex(const char *p, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (!((p[i] >= '0' && p[i] <= '9') || (p[i] >= 'a' && p[i] <= 'f')))
			return false;
	return true;
}

static bool cgpath_digits(const char *p, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (p[i] < '0' || p[i] > '9')
			return false;
	return n > 0;
}

static bool cgpath_starts(struct str s, struct str prefix)
{
	return s.n >= prefix.n && memcmp(s.p, prefix.p, prefix.n) == 0;
}

static bool cgpath_ends(struct str s, struct str suffix)
{
	return s.n >= suffix.n && memcmp(s.p + s.n - suffix.n, suffix.p, suffix.n) == 0;
}

/* Where `c` stands first, or last; NULL. */
static const char *cgpath_first(struct str s, char c)
{
	size_t i;

	for (i = 0; i < s.n; i++)
		if (s.p[i] == c)
			return s.p + i;
	return NULL;
}

static const char *cgpath_last(struct str s, char c)
{
	size_t i;

	for (i = s.n; i > 0; i--)
		if (s.p[i - 1] == c)
			return s.p + i - 1;
	return NULL;
}

static struct str cgpath_skip(struct str s, size_t n)
{
	return (struct str){s.p + n, s.n - n};
}

/* What a container's component may begin with, where it is more than the container: every runtime has a word of its own
 * ("docker-", "cri-containerd-", "crio-", "nerdctl-", none). */
static const struct {
	struct str prefix;
	bool monitor; /* the runtime's own helper beside the container */
	bool owned;
} container_prefixes[] = {
	{{"crio-conmon-", 12}, true, false},
	{{"libpod-conmon-", 14}, true, false},
	{{"libpod-payload-", 15}, false, true},
};

/* "docker-<64 hex>.scope", "<64 hex>", "x.slice:cri-containerd:<64 hex>". */
static bool cgpath_container(struct str c, struct cgpath *ret, bool *ret_monitor)
{
	struct str id;
	size_t i;

	if (cgpath_ends(c, STR(".scope")))
		c.n -= 6;
	if (c.n < ID_LEN)
		return false;
	id = cgpath_skip(c, c.n - ID_LEN);
	if (!cgpath_hex(id.p, ID_LEN) || (id.p > c.p && id.p[-1] != '-' && id.p[-1] != ':'))
		return false;
	*ret_monitor = false;
	for (i = 0; i < ARRAY_LEN(container_prefixes); i++) {
		if (!str_eq((struct str){c.p, c.n - ID_LEN}, container_prefixes[i].prefix))
			continue;
		*ret_monitor = container_prefixes[i].monitor;
		ret->owned = container_prefixes[i].owned;
	}
	if (!*ret_monitor) {
		ret->container = (struct str){id.p, CGPATH_CONTAINER};
		ret->system = false; /* inside one that boots a system */
	}
	return true;
}

/* "lxc.payload.<name>"; the older layout "lxc/<name>" is seen by the caller. */
static bool cgpath_lxc(struct str c, struct cgpath *ret)
{
	static const struct str prefix = {"lxc.payload.", 12};

	if (!cgpath_starts(c, prefix) || c.n == prefix.n)
		return false;
	ret->container = cgpath_skip(c, prefix.n);
	ret->system = true;
	return true;
}

/* A pod's uid: 8-4-4-4-12 hex digits ('_' for '-' under the systemd driver), or 32 hex digits (static pods). */
static bool cgpath_uid(struct str s, char dst[40])
{
	static const uint8_t groups[] = {8, 4, 4, 4, 12};
	size_t i, at = 0;

	if (s.n == 32 && cgpath_hex(s.p, 32)) {
		str_copy(dst, 40, s);
		return true;
	}
	if (s.n != 36)
		return false;
	for (i = 0; i < ARRAY_LEN(groups); i++) {
		if (!cgpath_hex(s.p + at, groups[i]))
			return false;
		at += groups[i];
		if (at < 36 && s.p[at] != '-' && s.p[at] != '_')
			return false;
		at++;
	}
	str_copy(dst, 40, s);
	for (i = 0; i < 36; i++)
		if (dst[i] == '_')
			dst[i] = '-';
	return true;
}

/* "pod<uid>" or "kubepods-burstable-pod<uid>.slice". */
static bool cgpath_pod(struct str c, struct cgpath *ret)
{
	const char *colon = cgpath_first(c, ':');
	size_t i;

	if (colon)
		c.n = (size_t)(colon - c.p);
	if (cgpath_ends(c, STR(".slice")))
		c.n -= 6;
	for (i = 0; i + 3 < c.n; i++)
		if (memcmp(c.p + i, "pod", 3) == 0 && (i == 0 || c.p[i - 1] == '-') &&
		    cgpath_uid(cgpath_skip(c, i + 3), ret->pod))
			return true;
	return false;
}

void cgpath_parse(struct str path, struct cgpath *ret)
{
	const char *p = path.p, *end = path.p + path.n;
	struct str former = {NULL, 0};

	*ret = (struct cgpath){0};
	while (p < end) {
		const char *slash = memchr(p, '/', (size_t)(end - p));
		struct str c = {p, (size_t)((slash ? slash : end) - p)};
		bool monitor = false;

		p = slash ? slash + 1 : end;
		if (c.n == 0)
			continue;
		(void)cgpath_pod(c, ret);
		if (str_eq(former, STR("lxc"))) {
			ret->container = c;
			ret->system = true;
		} else if (cgpath_container(c, ret, &monitor) || cgpath_lxc(c, ret)) {
			if (!ret->owned) /* the unit above is the engine's */
				ret->unit = (struct str){NULL, 0};
		} else if (!ret->owned && (cgpath_ends(c, STR(".service")) || cgpath_ends(c, STR(".scope")))) {
			ret->unit = c;
		}
		former = c;
	}
}

/* Units whose name is made up each time they start. */
static bool cgpath_vague(struct str name, bool scope)
{
	static const struct str prefixes[] = {{"session-", 8}, {"run-", 4}, {"app-", 4}};
	const char *dash;
	size_t i;

	if (!scope) { /* systemd-run: "run-u12", "run-r<hex>", "run-p12-i34" */
		if (name.n <= 5 || !cgpath_starts(name, STR("run-")))
			return false;
		dash = cgpath_first(cgpath_skip(name, 5), '-');
		return strchr("urp", name.p[4]) &&
		       cgpath_hex(name.p + 5, (size_t)((dash ? dash : name.p + name.n) - name.p - 5));
	}
	if (str_eq(name, STR("init")))
		return true;
	for (i = 0; i < ARRAY_LEN(prefixes); i++)
		if (cgpath_starts(name, prefixes[i]))
			return true;
	/* "tmux-spawn-<uuid>", "something-4711" */
	if (name.n > 37 && name.p[name.n - 37] == '-' && cgpath_hex(name.p + name.n - 12, 12) &&
	    name.p[name.n - 13] == '-')
		return true;
	dash = cgpath_last(name, '-');
	return dash && cgpath_digits(dash + 1, (size_t)(name.p + name.n - dash - 1));
}

static int cgpath_nibble(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

size_t cgpath_service(struct str unit, char *dst, size_t size)
{
	bool scope = cgpath_ends(unit, STR(".scope"));
	char text[512];
	const char *at;
	size_t i, n = 0;

	if (!scope && !cgpath_ends(unit, STR(".service")))
		return 0;
	unit.n -= scope ? 6 : 8;
	if (unit.n == 0 || cgpath_vague(unit, scope))
		return 0;
	at = cgpath_first(unit, '@');
	if (at && at > unit.p)
		unit.n = (size_t)(at + 1 - unit.p);
	for (i = 0; i < unit.n && n < sizeof(text); i++) {
		if (unit.p[i] == '\\' && i + 3 < unit.n && unit.p[i + 1] == 'x' && cgpath_nibble(unit.p[i + 2]) >= 0 &&
		    cgpath_nibble(unit.p[i + 3]) >= 0) {
			text[n++] = (char)(cgpath_nibble(unit.p[i + 2]) << 4 | cgpath_nibble(unit.p[i + 3]));
			i += 3;
		} else {
			text[n++] = unit.p[i];
		}
	}
	return cgpath_clean((struct str){text, n}, dst, size);
}

/* Kubernetes makes suffixes of these letters only (no vowels, no 0 1 3): k8s.io/apimachinery util/rand. */
static bool cgpath_random(const char *p, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (!strchr("bcdfghjklmnpqrstvwxz2456789", p[i]))
			return false;
	return true;
}

size_t cgpath_pod_owner(struct str pod)
{
	const char *dash = cgpath_last(pod, '-');
	size_t tail;

	if (!dash || dash == pod.p)
		return pod.n;
	tail = (size_t)(pod.p + pod.n - dash - 1);
	if (cgpath_digits(dash + 1, tail) && tail <= 5) /* a StatefulSet's number */
		return (size_t)(dash - pod.p);
	if (tail != 5 || !cgpath_random(dash + 1, 5))
		return pod.n;
	pod.n = (size_t)(dash - pod.p);
	dash = cgpath_last(pod, '-');
	if (!dash || dash == pod.p)
		return pod.n;
	tail = (size_t)(pod.p + pod.n - dash - 1);
	/* a ReplicaSet's template hash, or a CronJob's time */
	if ((tail >= 6 && tail <= 10 && (cgpath_random(dash + 1, tail) || cgpath_digits(dash + 1, tail))))
		return (size_t)(dash - pod.p);
	return pod.n;
}

/* Length of the valid UTF-8 sequence at p (1 .. 4), 0 if there is none. */
static size_t cgpath_utf8(const unsigned char *p, size_t n)
{
	size_t len = p[0] < 0x80                   ? 1
		     : p[0] >= 0xc2 && p[0] < 0xe0 ? 2
		     : p[0] >= 0xe0 && p[0] < 0xf0 ? 3
		     : p[0] >= 0xf0 && p[0] < 0xf5 ? 4
						   : 0;
	size_t i;

	if (len == 0 || len > n)
		return 0;
	for (i = 1; i < len; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	if (len == 3 && ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f))) /* overlong, surrogate */
		return 0;
	if (len == 4 && ((p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f)))
		return 0;
	return len;
}

size_t cgpath_clean(struct str s, char *dst, size_t size)
{
	const unsigned char *p = (const unsigned char *)s.p;
	size_t i = 0, n = 0;

	while (i < s.n) {
		size_t len = cgpath_utf8(p + i, s.n - i);
		bool bad = len == 0 || (len == 1 && (p[i] < 0x20 || p[i] == 0x7f)) ||
			   (len == 2 && p[i] == 0xc2 && p[i + 1] < 0xa0);
		size_t out = bad ? 1 : len;

		if (n + out > size - 1)
			break;
		if (bad)
			dst[n] = '?';
		else
			memcpy(dst + n, s.p + i, len);
		n += out;
		i += len ? len : 1;
	}
	dst[n] = '\0';
	return n;
}
