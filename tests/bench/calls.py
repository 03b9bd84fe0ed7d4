# SPDX-License-Identifier: Apache-2.0
"""A part of ./bench agent: the agent beside a probe that traces each send and receive call (bpf/calls.bpf.c), both at
work on the same calls in the same seconds."""

import os
import select
import signal
import subprocess
import time

import measure
from measure import paths, work

PROBE = os.path.join(paths.BUILD, "tests", "bench", "bench_calls")
RATE = 100_000  # calls a second asked for; 70,000 are wanted
CONNECTIONS = 8


class Probe:
    """bench_calls, its map read as often as the agent sends."""

    def __init__(self, interval):
        self.process = subprocess.Popen([PROBE, str(interval)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        ready, _, _ = select.select([self.process.stdout], [], [], 20)
        if not ready or self.process.stdout.readline() != b"there\n":
            self.process.kill()
            raise AssertionError("the reference probe did not start")

    @property
    def pid(self):
        return self.process.pid

    def stop(self):
        """(bytes sent, bytes received, sends, receives) it saw."""
        self.process.stdin.close()
        words = self.process.stdout.readline().split()
        self.process.wait(20)
        self.process.stdout.close()
        return [int(word) for word in words]


class Alone:
    """A second agent, in a PID namespace of its own: it sees no other process. What the first takes more is for processes
    that others start meanwhile, on a shared machine most of it."""

    def __init__(self, bench):
        words = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", *bench.words("alone")]
        self.program = measure.Program(bench.lab, "b", "agent alone", words, "/dev/null")
        self.pid = 0
        measure.wait.until(self.found, 20, "the agent alone has loaded its programs")

    def found(self):
        parent = self.program.process.pid
        with open(f"/proc/{parent}/task/{parent}/children", encoding="ascii") as file:
            children = file.read().split()
        self.pid = int(children[0]) if children else 0
        return self.pid and len(measure.fdinfo(self.pid, "prog_id")) > 1

    def stop(self):
        os.kill(self.pid, signal.SIGTERM)
        self.program.process.wait(20)


def born():
    """Processes started on this machine since it runs."""
    with open("/proc/stat", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("processes "))


def run(bench, interval):
    """bench: an agent.Bench whose agent runs."""
    port = next(bench.ports)
    server = work.serve(bench.lab, "b", "bench-server", "10.77.0.2", port)
    client = work.client(bench.lab, "a", "bench-client")
    client.do(f"connect 10.77.0.2 {port} n={CONNECTIONS}")
    probe, alone = Probe(interval), Alone(bench)
    bench.idle(interval)  # its first interval looks at everything
    try:
        with measure.Statistics():
            agent, theirs = measure.Cost(bench.agent.process.pid), measure.Cost(probe.pid)
            second = measure.Cost(alone.pid)
            begin, processes = time.monotonic(), born()
            client.do(f"pingpong {bench.window} {RATE}", bench.window + 60)
            took = time.monotonic() - begin
            processes = born() - processes
            for cost in (agent, second, theirs):
                cost.stop()
                cost.less(bench.instrument_ns)
        calls = 4 * client.tally["received"] / took
    finally:
        client.stop()
        server.stop()
        seen = probe.stop()
        alone.stop()
    measure.note(f"{calls:.0f} calls/s; probe {theirs} (it saw {(seen[2] + seen[3]) / took:.0f} calls/s), agent {agent}, "
                 f"one that sees no other process {second}; {processes / took:.1f} processes born a second")
    measure.put("calls_per_s", calls, "/s", 0)
    measure.put("call_tracing_cpu_pct", 100 * theirs.seconds / took, "%")
    measure.put("agent_cpu_pct_beside_it", 100 * agent.seconds / took, "%")
    measure.put("processes_born_per_s", processes / took, "/s", 1)
    measure.put("cost_vs_call_tracing_pct", 100 * agent.seconds / theirs.seconds, "%", 2)
    measure.put("cost_vs_call_tracing_pct_alone", 100 * second.seconds / theirs.seconds, "%", 2)
