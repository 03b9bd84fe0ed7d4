# SPDX-License-Identifier: Apache-2.0
"""Where the collector's time goes under a load: samples of its threads by perf (cpu-clock), each put to a stage by thread and by the
source file of the innermost function inlined there."""

import collections
import json
import os
import re
import shutil
import subprocess
import threading

import measure
from measure import paths

SECONDS = 4
HERTZ = 1999
STAGES = ("receive", "decode", "fold", "encode", "other")
FILES = (  # the first that fits
    (re.compile(r"(^|/)wire/"), "decode"),
    (re.compile(r"(^|/)collector/(rx|steer|receivers|collector)"), "receive"),
    (re.compile(r"(^|/)(collector|flow|base)/|xxh"), "fold"),
)


def text_of(pid):
    """[(first address, last, offset in the file)] of the program's code in memory."""
    found = []
    with open(f"/proc/{pid}/maps", encoding="ascii") as file:
        for line in file:
            words = line.split()
            if len(words) > 5 and words[5] == paths.SKYFALL and "x" in words[1]:
                first, last = (int(n, 16) for n in words[0].split("-"))
                found.append((first, last, int(words[2], 16)))
    return found


def source_files(addresses):
    """{address in the program's file: source file of the innermost function there}"""
    order = sorted(addresses)
    done = subprocess.run(["addr2line", "-e", paths.SKYFALL], input="\n".join(map(hex, order)), capture_output=True, text=True,
                          check=True)
    return {address: line.rsplit(":", 1)[0] for address, line in zip(order, done.stdout.splitlines())}


def stage(thread, file):
    if thread == "publish":
        return "encode"
    if thread != "receive":
        return "other"
    if file is None:  # the kernel
        return "receive"
    return next((name for pattern, name in FILES if pattern.search(file)), "fold")


def samples(collector, data):
    """Counter of (thread, address in the program's file; None in the kernel, -1 in a library)."""
    text = text_of(collector.process.pid)
    done = subprocess.run(["perf", "script", "-i", data, "-F", "comm,ip,dso"], capture_output=True, text=True, check=True)
    found = collections.Counter()
    for line in done.stdout.splitlines():
        got = re.match(r"\s*(\S+)\s+([0-9a-f]+) .*\((.*)\)", line)
        if not got:
            continue
        address = int(got[2], 16)
        at = next((address - first + offset for first, last, offset in text if first <= address < last), -1)
        found[got[1], None if address >> 63 else at] += 1
    return found


def run(collector, name, words):
    """Prints the stages' ns a row: receive, decode and fold of the receive thread, encode of the publishing one."""
    if not shutil.which("perf"):
        measure.note("breakdown: there is no perf (Debian: linux-perf)")
        return
    data = collector.file("perf.data")
    recorded = threading.Thread(target=subprocess.run, args=(
        ["perf", "record", "-q", "-e", "cpu-clock", "-F", str(HERTZ), "-o", data, "-p", str(collector.process.pid), "--", "sleep",
         str(SECONDS + 2 * collector.interval + 2)],), kwargs={"capture_output": True})
    recorded.start()
    _, cost = collector.load(SECONDS, *words)
    recorded.join()
    counted = samples(collector, data)
    files = source_files({at for _, at in counted if at is not None and at >= 0})
    stages, receive = collections.Counter(), collections.Counter()
    for (thread, at), n in counted.items():
        file = None if at is None else files.get(at, "library")
        stages[stage(thread, file)] += n
        if thread == "receive":
            receive[os.path.basename(file) if file else "kernel"] += n
    threads = {"encode": cost["publish"] / max(1, stages["encode"])}
    of_receive = cost["receive"] / max(1, sum(n for (thread, _), n in counted.items() if thread == "receive"))
    ns = {one: stages[one] * threads.get(one, of_receive) * 1e9 / cost["rows"] for one in STAGES}
    measure.note(f"breakdown {name}: {json.dumps({one: round(n, 1) for one, n in ns.items()})}, {sum(counted.values())} samples; receive thread: "
                 + ", ".join(f"{file} {100 * n / max(1, receive.total()):.0f} %" for file, n in receive.most_common(9)))
    for one in STAGES[:4]:
        measure.put(f"{one}_ns_per_row_{name}", ns[one], "ns", 1)
