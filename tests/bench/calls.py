# SPDX-License-Identifier: Apache-2.0
"""A part of ./bench agent: the agent beside a probe that traces each send and receive call (bpf/calls.bpf.c), both at
work on the same calls in the same seconds."""

import os
import select
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


def run(bench, interval):
    """bench: an agent.Bench whose agent runs."""
    port = next(bench.ports)
    server = work.serve(bench.lab, "b", "bench-server", "10.77.0.2", port)
    client = work.client(bench.lab, "a", "bench-client")
    client.do(f"connect 10.77.0.2 {port} n={CONNECTIONS}")
    probe = Probe(interval)
    try:
        with measure.EmptyProgram() as empty, measure.Statistics():
            agent, theirs = measure.Cost(bench.agent.process.pid), measure.Cost(probe.pid)
            begin = time.monotonic()
            client.do(f"pingpong {bench.window} {RATE}", bench.window + 60)
            took = time.monotonic() - begin
            agent.stop()
            theirs.stop()
            bench.storm(seconds=1, count=100)  # runs the empty program
            for cost in (agent, theirs):
                cost.less(empty.own_ns())
        calls = 4 * client.tally["received"] / took
    finally:
        client.stop()
        server.stop()
        seen = probe.stop()
    measure.note(f"{calls:.0f} calls/s; probe {theirs} (it saw {(seen[2] + seen[3]) / took:.0f} calls/s), agent {agent}, "
                 f"{took:.1f} s")
    measure.put("calls_per_s", calls, "/s", 0)
    measure.put("call_tracing_cpu_pct", 100 * theirs.seconds / took, "%")
    measure.put("agent_cpu_pct_beside_it", 100 * agent.seconds / took, "%")
    measure.put("cost_vs_call_tracing_pct", 100 * agent.seconds / theirs.seconds, "%", 2)
