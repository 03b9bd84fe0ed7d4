# SPDX-License-Identifier: Apache-2.0
"""The include rule: which folder may include which (DESIGN 8, ARCHITECTURE.md). Any other arrow is an error."""

import re

# Folder -> folders of ours it may include, besides itself.
MAY = {
    "base": set(),
    "flow": {"base"},
    "wire": {"flow", "base"},
    "bus": {"flow", "base"},
    "store": {"flow", "base"},
    "policy": {"flow", "base"},
    "agent": {"wire", "flow", "base"},
    "collector": {"wire", "bus", "flow", "base"},
    "graph": {"bus", "policy", "flow", "base"},
    "archive": {"bus", "flow", "base"},
    "server": {"bus", "store", "policy", "flow", "base"},
}
ANYTHING = {"cli", "tools", "tests"}

# Library headers that only some folders may include: prefix of the header -> folders, files.
LIBRARIES = (
    (("bpf/", "linux/bpf", "libelf", "gelf"), {"agent"}),
    (("microhttpd",), {"server"}),
    (("sqlite3",), {"store"}),
    (("cyaml/",), {"policy"}),
    (("librdkafka/",), {"bus"}),
    (("curl/",), {"store", "archive"}),
    (("pcap",), {"wire"}),
    (("openssl/",), {"wire"}),
    (("seccomp", "sys/capability"), {"agent"}),
)

# The kernel side shares only these with the rest.
KERNEL_SIDE = "agent/bpf/"
KERNEL_SIDE_MAY = ("agent/bpf/", "flow/fields.def")

INCLUDE = re.compile(r'^\s*#\s*include\s+(?:"([^"]+)"|<([^>]+)>)', re.M)


def _library(path, folder, header):
    for prefixes, folders in LIBRARIES:
        if header.startswith(prefixes) and folder not in folders | ANYTHING:
            return f"{path}: <{header}> belongs to {' '.join(sorted(folders))}"
    return None


def _ours(path, folder, header, exists):
    target = header.split("/")[0]
    if "/" not in header and folder == "tests":
        return None  # what a build step made, or a neighbour
    if "/" not in header:
        return f'{path}: "{header}" is not written from the root'
    if ".." in header.split("/"):
        return f'{path}: "{header}" climbs'
    if path.startswith(KERNEL_SIDE) and not header.startswith(KERNEL_SIDE_MAY):
        return f'{path}: the kernel side may not include "{header}"'
    if not exists(header):
        return None if header.endswith((".skel.h", ".inc")) else f'{path}: "{header}" does not exist'
    if target == folder or folder in ANYTHING or target in MAY.get(folder, ()):
        return None
    return f'{path}: {folder} may not include {target} ("{header}")'


def violations(files, exists):
    """files: (path from the root, text) pairs. exists(path): is it in the tree? A list of sentences."""
    found = []
    for path, text in files:
        folder = path.split("/")[0]
        if folder not in MAY and folder not in ANYTHING:
            found.append(f"{path}: folder {folder} is not in the include rule")
            continue
        for ours, library in INCLUDE.findall(text):
            wrong = _ours(path, folder, ours, exists) if ours else _library(path, folder, library)
            if wrong:
                found.append(wrong)
    return found


def self_test():
    """Each rule must be able to fail: sentences where one is blind."""
    def blind(path, line, expect):
        got = violations([(path, line)], lambda _: True)
        return [] if bool(got) == expect else [f"include rule: {line!r} in {path}: {got or 'passed'}"]

    return [
        *blind("wire/flows.c", '#include "base/buf.h"', False),
        *blind("wire/flows.c", '#include "wire/cursor.h"', False),
        *blind("wire/flows.c", '#include "bus/bus.h"', True),
        *blind("base/buf.c", '#include "flow/key.h"', True),
        *blind("collector/fold.c", '#include "agent/rows.h"', True),
        *blind("collector/fold.c", '  #  include "graph/graph.h"', True),
        *blind("graph/pair.c", '#include "store/store.h"', True),
        *blind("cli/run.c", '#include "store/store.h"', False),
        *blind("wire/flows.c", '#include "cursor.h"', True),
        *blind("wire/flows.c", '#include "wire/../bus/bus.h"', True),
        *blind("collector/rx.c", "#include <sqlite3.h>", True),
        *blind("collector/rx.c", "#include <stdio.h>", False),
        *blind("agent/bpf/sock.bpf.c", '#include "base/ip.h"', True),
        *blind("agent/bpf/sock.bpf.c", '#include "flow/fields.def"', False),
        *blind("elsewhere/x.c", '#include "base/ip.h"', True),
    ]
