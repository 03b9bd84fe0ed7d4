# SPDX-License-Identifier: Apache-2.0
"""What the measurements share: the lab, output, and what the kernel says about a process."""

import argparse
import ctypes
import glob
import json
import os
import struct
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../e2e"))
from lab.net import Lab  # noqa: E402,F401  (the path comes first)
from lab import work  # noqa: E402,F401
from lab.stack import Stack, Program  # noqa: E402,F401
from lab import paths, wait  # noqa: E402,F401

MIB = 1 << 20
SYSCALL_BPF = 321  # x86-64


def parser(what):
    made = argparse.ArgumentParser(description=what)
    made.add_argument("--quick", action="store_true", help="under 50 s, less sure numbers")
    return made


def arguments(what):
    return parser(what).parse_args()


def put(name, value, unit, digits=3):
    print(f"{name}={round(value, digits)} {unit}", flush=True)


def note(text):
    print(text, file=sys.stderr, flush=True)


def cpu_seconds(pid):
    """CPU time of all threads of a process (schedstat: ns, finer than ticks)."""
    total = 0
    for path in glob.glob(f"/proc/{pid}/task/*/schedstat"):
        with open(path, encoding="ascii") as file:
            total += int(file.read().split()[0])
    return total / 1e9


def rss_mib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS")) / 1024


def fdinfo(pid, word):
    """What the descriptors of BPF objects of a process say: {id: {field: value}}, word = "prog_id" or "map_id"."""
    found = {}
    for path in glob.glob(f"/proc/{pid}/fdinfo/*"):
        try:
            with open(path, encoding="ascii") as file:
                fields = dict(line.split(":\t", 1) for line in file.read().splitlines() if ":\t" in line)
        except OSError:
            continue
        if word in fields and "link_type" not in fields:
            found[int(fields[word])] = fields
    return found


def hooked(pid):
    """True once a program of the process is attached to a tracepoint."""
    for path in glob.glob(f"/proc/{pid}/fdinfo/*"):
        try:
            with open(path, encoding="ascii") as file:
                text = file.read()
        except OSError:
            continue
        if "link_type:\ttracing\n" in text or "link_type:\traw_tracepoint\n" in text:
            return True
    return False


def maps_mib(pid):
    """Memory the kernel charges for the BPF maps of a process."""
    return sum(int(fields["memlock"]) for fields in fdinfo(pid, "map_id").values()) / MIB


def programs(pid):
    """{name: (run_time_ns, runs)} of the BPF programs of a process; two of one name are added up."""
    found = {}
    for number in fdinfo(pid, "prog_id"):
        said = json.loads(subprocess.run(["bpftool", "-j", "prog", "show", "id", str(number)], check=True,
                                         capture_output=True, text=True).stdout)
        ns, runs = found.get(said["name"], (0, 0))
        found[said["name"]] = (ns + said.get("run_time_ns", 0), runs + said.get("run_cnt", 0))
    return found


class Cost:
    """What a process and its BPF programs take: CPU of the process, run time of the programs others run. Its own
    (BPF_PROG_RUN) are in the CPU of the process already."""

    OWN = ("walk", "tick", "adopt_", "udp_walk")

    def __init__(self, pid):
        self.pid = pid
        self.cpu = cpu_seconds(pid)
        self.run = self.runs()

    def runs(self):
        found = [v for name, v in programs(self.pid).items() if not name.startswith(self.OWN)]
        return sum(ns for ns, _ in found), sum(runs for _, runs in found)

    def stop(self):
        """It is the difference to now."""
        self.cpu = cpu_seconds(self.pid) - self.cpu
        ns, runs = self.runs()
        self.run = (ns - self.run[0], runs - self.run[1])

    def less(self, instrument_ns):
        """What the statistics report of each run beyond its cost, taken off."""
        self.gross = self.cpu + self.run[0] / 1e9
        self.kernel = max(0, self.run[0] - instrument_ns * self.run[1]) / 1e9
        self.seconds = self.cpu + self.kernel
        return self

    def __str__(self):
        return f"{1e3 * self.cpu:.1f} ms user, {1e3 * self.kernel:.1f} ms in {self.run[1]} runs"


def bpf(command, attributes):
    """The system call: a descriptor."""
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(attributes.ljust(128, b"\0"))
    fd = libc.syscall(SYSCALL_BPF, command, buffer, len(buffer) - 1)
    if fd < 0:
        raise OSError(ctypes.get_errno(), f"bpf({command})")
    return fd


class Statistics:
    """The kernel's BPF run-time statistics, on while this is open. By descriptor: two that overlap leave nothing switched
    on, as they did with /proc/sys/kernel/bpf_stats_enabled."""

    ENABLE_STATS, RUN_TIME = 32, 0

    def __enter__(self):
        self.fd = bpf(self.ENABLE_STATS, struct.pack("I", self.RUN_TIME))

    def __exit__(self, *_):
        os.close(self.fd)


class EmptyProgram:
    """A BPF program of nothing on the agent's tracepoint: what a run costs at the least (entry.py, difference.py)."""

    PROG_LOAD, RAW_TRACEPOINT_OPEN = 5, 17
    TYPE_RAW_TRACEPOINT = 17
    CODE = bytes.fromhex("b700000000000000" "9500000000000000")  # r0 = 0; exit

    def __enter__(self):
        self.keep = [ctypes.create_string_buffer(text) for text in (self.CODE, b"GPL", b"inet_sock_set_state")]
        code, licence, name = (ctypes.addressof(buffer) for buffer in self.keep)
        self.prog = bpf(self.PROG_LOAD, struct.pack("IIQQ", self.TYPE_RAW_TRACEPOINT, len(self.CODE) // 8, code, licence))
        self.link = bpf(self.RAW_TRACEPOINT_OPEN, struct.pack("QI", name, self.prog))
        return self

    def ran(self):
        """What the statistics say since they were first on: (ns, runs)."""
        with open(f"/proc/self/fdinfo/{self.prog}", encoding="ascii") as file:
            fields = dict(line.split(":\t", 1) for line in file.read().splitlines())
        return int(fields["run_time_ns"]), int(fields["run_cnt"])

    def ns(self):
        """What the statistics say of a run, since they were switched on."""
        ns, runs = self.ran()
        return ns / max(1, runs)

    def __exit__(self, *_):
        os.close(self.link)
        os.close(self.prog)
