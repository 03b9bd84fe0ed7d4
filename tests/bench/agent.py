# SPDX-License-Identifier: Apache-2.0
"""What the agent costs: in the kernel for each connection, in user space, in memory, and to the application.

One agent watches both ends (hosts a and b); its datagrams go to a socket nobody reads. Method: docs/performance.md.
"""

import socket
import statistics
import sys
import time

import calls
import crowd
import difference
import entry
import measure
import soak
import translate
from measure import work

INTERVAL = 10  # the agent's default
PARTS = ("connections", "difference", "calls", "crowd", "throughput", "nat")
HOOKS = ("state_a", "state_b", "dial_v")  # the programs an application's calls run: both attachments, connect


class Bench:
    def __init__(self, lab, quick):
        self.lab, self.quick = lab, quick
        self.window = INTERVAL * (1 if quick else 3)  # whole intervals: each window holds as many of their ends
        self.ports = iter(range(7001, 9000))
        self.agent = None
        self.instrument_ns = 0  # see weigh()
        with lab.inside("b"):
            self.sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.sink.bind(("127.0.0.1", 6343))

    @staticmethod
    def words(host):
        return [measure.paths.AGENT, "--interval", f"{INTERVAL}s", "--host-id", host, "--no-ack", "--collector",
                "127.0.0.1:6343", "--budget", "0"]

    def start_agent(self, *options):
        self.agent = measure.Program(self.lab, "b", "agent", [*self.words("bench"), *options], "/dev/null")
        pid = self.agent.process.pid
        measure.wait.until(lambda: len(measure.fdinfo(pid, "prog_id")) > 1, 10, "the agent has loaded its programs")
        measure.wait.until(lambda: self.connections_seen(pid), 10, "its hook runs")

    def connections_seen(self, pid):
        """True once a connection made here runs the agent's hook."""
        with measure.Statistics():
            before = self.hook(pid)[1]
            self.storm(seconds=1, count=4)
            return self.hook(pid)[1] > before

    def stop_agent(self):
        self.agent.stop()
        self.agent = None

    def hook(self, pid):
        """(ns, runs) of the programs that applications run."""
        found = [v for name, v in measure.programs(pid).items() if name.startswith(HOOKS)]
        return sum(ns for ns, _ in found), sum(runs for _, runs in found)

    def storm(self, seconds, *options, count=10 ** 9, threads=4):
        """(connections, seconds they took)"""
        port = next(self.ports)
        server = work.serve(self.lab, "b", "bench-server", "10.77.0.2", port, "inline", f"threads={threads}")
        client = work.client(self.lab, "a", "bench-client")
        begin = time.monotonic()
        client.do(f"burst 10.77.0.2 {port} {count} {threads} seconds={seconds} {' '.join(options)}", seconds + 30)
        took = time.monotonic() - begin
        opened = client.tally["opened"]
        client.stop()
        server.stop()
        return opened, took

    def idle(self, seconds):
        begin = time.monotonic()
        measure.wait.until(lambda: time.monotonic() >= begin + seconds, seconds + 5, "idle")
        return time.monotonic() - begin

    # --- the numbers

    def weigh(self):
        """The instrument before what it measures: a run of a program of nothing with and without the statistics."""
        weighed = entry.Entry(10 if self.quick else 40)
        self.instrument_ns = weighed.excess_ns()
        measure.put("entry_ns", weighed.off, "ns", 1)
        measure.put("entry_with_statistics_ns", weighed.on, "ns", 1)
        measure.put("entry_reported_ns", weighed.said, "ns", 1)
        measure.put("instrument_ns_per_run", self.instrument_ns, "ns", 1)

    def difference(self):
        """The CPU of the same paced connections with the agent and without."""
        found = difference.run(self, *((3, 2) if self.quick else (20, 3)))
        per_run = difference.EMPTY * difference.EVENTS
        for name, value in zip(("", "_low", "_high"), found["agent"]):
            measure.put(f"cpu_pct_by_difference{name}", value * 2 * difference.RATE / 1e7, "%")
        for name, value in zip(("", "_low", "_high"), found["empty"]):
            measure.put(f"entry_ns_by_difference{name}", value / per_run, "ns", 1)

    def idle_cost(self):
        pid = self.agent.process.pid
        before = measure.cpu_seconds(pid)
        took = self.idle(self.window)
        return (measure.cpu_seconds(pid) - before) / took

    def connections(self, idle):
        """20,000 connections/s: what the programs run for each, and the agent's process more than idle."""
        pid = self.agent.process.pid
        with measure.EmptyProgram() as empty, measure.Statistics():
            before, (ns, runs), cost = measure.cpu_seconds(pid), self.hook(pid), measure.Cost(pid)
            connections, took = self.storm(self.window, "rate=20000")
            busy = (measure.cpu_seconds(pid) - before) / took
            ns, runs = self.hook(pid)[0] - ns, self.hook(pid)[1] - runs
            cost.stop()
            empty_ns = empty.ns()
        rate, sides = connections / took, 2 * connections
        measure.note(f"{rate:.0f} connections/s, {runs / sides:.2f} runs a side, {ns / runs:.0f} ns a run; "
                     f"agent {100 * busy:.3f} %, idle {100 * idle:.3f} %")
        cost.less(self.instrument_ns)
        measure.note(f"all of the agent: {cost} in {took:.1f} s")
        measure.put("connections_per_s", rate, "/s", 0)
        measure.put("cpu_pct_at_20k_conns", 100 * cost.seconds / took * 20000 / rate, "%")
        measure.put("cpu_pct_at_20k_conns_gross", 100 * cost.gross / took * 20000 / rate, "%")
        measure.put("kernel_ns_per_connection_side", (ns - self.instrument_ns * runs) / sides, "ns", 1)
        measure.put("kernel_ns_per_connection_side_gross", ns / sides, "ns", 1)
        measure.put("empty_program_ns", empty_ns, "ns", 1)
        measure.put("kernel_side_in_10_empty_programs", ns / sides / (10 * empty_ns), "ratio")
        measure.put("user_cpu_pct_per_20k_conns", 100 * (busy - idle) * 20000 / rate, "%")
        measure.put("user_cpu_pct_idle", 100 * idle, "%")

    def calls(self, idle):
        """70,000 send and receive calls a second on eight open connections."""
        port = next(self.ports)
        server = work.serve(self.lab, "b", "bench-server", "10.77.0.2", port)
        client = work.client(self.lab, "a", "bench-client")
        client.do(f"connect 10.77.0.2 {port} n=8")
        pid = self.agent.process.pid
        before, begin = measure.cpu_seconds(pid), time.monotonic()
        client.do(f"pingpong {self.window} 70000", self.window + 30)
        took = time.monotonic() - begin
        busy = (measure.cpu_seconds(pid) - before) / took
        measure.note(f"{4 * client.tally['received'] / took:.0f} calls/s, agent {100 * busy:.3f} % (idle {100 * idle:.3f})")
        measure.put("cpu_pct_at_70k_calls", 100 * busy, "%")
        client.stop()
        server.stop()

    def memory(self):
        pid = self.agent.process.pid
        measure.put("rss_mib", measure.rss_mib(pid), "MiB", 1)
        measure.put("maps_mib", measure.maps_mib(pid), "MiB", 1)

    def throughput(self, name, *options):
        """Connections a second with the agent over those without: median of pairs, order turned each time."""
        ratios = []
        for number in range(2 if self.quick else 12):
            rates = {}
            for with_agent in ((False, True) if number % 2 else (True, False)):
                if with_agent:
                    self.start_agent()
                connections, took = self.storm(1 if self.quick else 3, *options)
                rates[with_agent] = connections / took
                if with_agent:
                    self.stop_agent()
            ratios.append(rates[True] / rates[False])
        spread = " ".join(f"{r:.3f}" for r in sorted(ratios))
        measure.note(f"{name}: {spread}")
        measure.put(name, statistics.median(ratios), "ratio")


def parts(bench, only):
    """Prints the numbers of the parts chosen."""
    if only & {"connections", "calls"}:
        bench.weigh()
        bench.storm(1)  # warms up
        bench.start_agent()
        idle = bench.idle_cost()
        if "connections" in only:
            bench.connections(idle)
        if "calls" in only:
            bench.calls(idle)
            calls.run(bench, INTERVAL)
        bench.memory()
        bench.stop_agent()
    if "difference" in only:
        bench.difference()
    if "crowd" in only:
        crowd.run(bench.lab, bench.quick)
    if "throughput" in only:
        bench.throughput("throughput_ratio_with_agent")
        bench.throughput("throughput_ratio_with_agent_1k", "up=1000", "down=1000")
    if "nat" in only:
        translate.run(bench.lab, bench.quick)


def main():
    parser = measure.parser(__doc__)
    parser.add_argument("--only", metavar="PART", nargs="+", choices=PARTS, default=PARTS, help=f"of {' '.join(PARTS)}")
    parser.add_argument("--soak", metavar="MINUTES", type=float, nargs="?", const=30,
                        help="only this: 5,000 connections/s and 2,000 cgroups that come and go, so long (30)")
    args = parser.parse_args()
    with measure.Lab() as lab:
        if args.soak:
            sys.exit(0 if soak.run(lab, args.soak) else 1)
        parts(Bench(lab, args.quick), set(args.only))


if __name__ == "__main__":
    main()
