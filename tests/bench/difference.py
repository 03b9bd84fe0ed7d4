# SPDX-License-Identifier: Apache-2.0
"""A part of ./bench agent: what the hook costs by difference, without the kernel's statistics. The same paced connections with
nothing attached, with programs of nothing, and with the agent, in turns; counted is the CPU of both ends' programs and of the
kernel's softirq threads. It needs no instrument, and is as noisy as the machine."""

import contextlib
import os
import statistics
import time

import measure
from measure import work

RATE = 20_000
EMPTY = 8  # programs of nothing: what entering one costs where the caches are a storm's
EVENTS = 5  # a connection and side passes the tracepoint so often


def softirq_threads():
    """Their process ids."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{name}/comm", encoding="utf-8", errors="replace") as file:
            if file.read().startswith("ksoftirqd/"):
                found.append(int(name))
    return found


def process_seconds(pid):
    """CPU time of a process, that of threads which ended included (its clock: linux/posix-timers.h)."""
    return time.clock_gettime(~pid << 3 | 2)


class Load:
    """Client and server of the storm, the same for all rounds."""

    def __init__(self, bench):
        self.port = next(bench.ports)
        self.server = work.serve(bench.lab, "b", "bench-server", "10.77.0.2", self.port, "inline", "threads=4")
        self.client = work.client(bench.lab, "a", "bench-client")
        self.pids = [self.server.pid, self.client.pid, *softirq_threads()]
        self.opened = 0

    def side_ns(self, seconds):
        """CPU of a connection and side; and how many were made a second."""
        before = sum(map(process_seconds, self.pids))
        self.client.do(f"burst 10.77.0.2 {self.port} {10 ** 9} 4 seconds={seconds} rate={RATE}", seconds + 30)
        took = sum(map(process_seconds, self.pids)) - before
        made, self.opened = self.client.tally["opened"] - self.opened, self.client.tally["opened"]
        return 1e9 * took / (2 * made), made / seconds

    def stop(self):
        self.client.stop()
        self.server.stop()


def statistics_on(pid):
    """True while a process keeps the kernel's statistics on."""
    links = (os.readlink(entry.path) for entry in os.scandir(f"/proc/{pid}/fd"))
    return any("bpf-stats" in link for link in links)


@contextlib.contextmanager
def agent(bench, load):
    """As it is most of the time: it measures itself by the statistics for one interval in five minutes, first in its first."""
    bench.start_agent("--interval", "1s")
    try:
        while statistics_on(bench.agent.process.pid):
            load.side_ns(1)
        yield
    finally:
        bench.stop_agent()


@contextlib.contextmanager
def empty(*_):
    with contextlib.ExitStack() as stack:
        for _ in range(EMPTY):
            stack.enter_context(measure.EmptyProgram())
        yield


def median_range(values):
    """(median, lower and upper bound with 95 % of confidence or more, of fewer than six values the least and the most: order
    statistics, whatever the distribution)"""
    order, n = sorted(values), len(values)
    chance, skip, term = 0.0, 0, 0.5 ** n
    while skip < n // 2 and 2 * (chance + term) <= 0.05:
        chance += term
        term *= (n - skip) / (skip + 1)
        skip += 1
    skip = max(0, skip - 1)
    return statistics.median(order), order[skip], order[n - 1 - skip]


def run(bench, rounds, seconds):
    """{arm: (ns a connection and side more than without, low, high)}"""
    arms = [("none", lambda *_: contextlib.nullcontext()), ("empty", empty), ("agent", agent)]
    more = {"empty": [], "agent": []}
    load = Load(bench)
    try:
        load.side_ns(1)  # warms up
        for number in range(rounds):
            found = {}
            for name, arm in arms[number % 3:] + arms[:number % 3]:
                with arm(bench, load):
                    found[name], rate = load.side_ns(seconds)
            measure.note(f"a connection and side, ns of CPU: {found} ({rate:.0f}/s)")
            for name, differences in more.items():
                differences.append(found[name] - found["none"])
    finally:
        load.stop()
    return {name: median_range(values) for name, values in more.items()}
