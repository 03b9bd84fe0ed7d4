# SPDX-License-Identifier: Apache-2.0
"""A part of ./bench agent: 50,000 processes and 100,000 open sockets. What it costs the agent to start there, to name
things and to read the sockets, and whether a connection made meanwhile has to wait."""

import json
import os
import select
import socket
import statistics
import subprocess
import threading
import time

import measure
from measure import paths, wait

PROCESSES, SOCKETS, HOLD = 50_000, 100_000, 15_000  # HOLD: sockets one process may have
PIDS = "/proc/sys/kernel/pid_max"
CROWD = os.path.join(paths.BUILD, "tests", "bench", "bench_crowd")
ADDRESS = "10.77.0.2"


class Crowd:
    """One bench_crowd process; gone when its standard input closes."""

    def __init__(self, lab, *words):
        self.process = lab.popen("b", [CROWD, *map(str, words)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def said(self, seconds=120):
        ready, _, _ = select.select([self.process.stdout], [], [], seconds)
        if not ready or not self.process.stdout.readline():
            raise AssertionError("bench_crowd did not get there")

    def move(self, share):
        self.process.stdin.write(f"move {share}\n".encode())
        self.process.stdin.flush()
        self.said()

    def close(self):
        self.process.stdin.close()
        self.process.wait(120)
        self.process.stdout.close()


class Connects(threading.Thread):
    """Connections one after another, the longest of them, and how many there were when an agent's hook was there first."""

    def __init__(self, lab):
        super().__init__()
        self.lab, self.done, self.worst, self.count = lab, threading.Event(), 0, 0
        self.agent = self.hooked = None

    def run(self):
        with self.lab.inside("b"):
            server = socket.create_server(("127.0.0.1", 7999))
            while not self.done.is_set():
                begin = time.monotonic()
                client = socket.create_connection(("127.0.0.1", 7999))
                self.worst = max(self.worst, time.monotonic() - begin)
                server.accept()[0].close()
                client.close()
                self.count += 1
                if self.agent and self.hooked is None and measure.hooked(self.agent):
                    self.hooked = self.count
                self.done.wait(0.005)
            server.close()


def health(path):
    with open(path, encoding="ascii") as file:
        text = file.read()
    lines = (json.loads(line) for line in text[:text.rfind("\n") + 1].splitlines() if '"type":"health"' in line)
    return [line["info"] for line in lines]


def lost(out, connects):
    """Connections made since the hook was there that are in no row: none should be. One may have begun before it."""
    with open(out, encoding="ascii") as file:
        rows = [json.loads(line) for line in file if '"type":"row"' in line and '"port":7999,' in line]
    seen = sum(row.get("closed", 0) for row in rows if row["view"] == "client")
    made = connects.count - connects.hooked
    return seen, made, max(0, made - 1 - seen)


def run(lab, quick=False, log=measure.note):
    """Prints the numbers. quick: a tenth of the crowd."""
    part = 10 if quick else 1
    with open(PIDS, encoding="ascii") as file:
        before = file.read()
    crowds = []
    try:
        with open(PIDS, "w", encoding="ascii") as file:
            file.write(str(max(int(before), 200_000)))
        crowds.append(Crowd(lab, "processes", PROCESSES // part))
        for number, at in enumerate(range(0, SOCKETS // part, HOLD)):
            crowds.append(Crowd(lab, "sockets", min(HOLD, SOCKETS // part - at), ADDRESS, 7900 + number))
        for crowd in crowds:
            crowd.said()
        start(lab, crowds[1:], log)
    finally:
        for crowd in crowds:
            crowd.close()
        with open(PIDS, "w", encoding="ascii") as file:
            file.write(before)


def start(lab, holders, log):
    connects, out = Connects(lab), f"/tmp/skyfall-bench-{os.getpid()}"
    with open(out, "wb") as file:
        connects.start()
        wait.until(lambda: connects.count > 100, 20, "connections without an agent")
        alone, connects.worst = connects.worst, 0
        begin = time.monotonic()
        agent = lab.popen("b", [paths.AGENT, "--print", "--json", "--interval", "5s", "--budget", "0", "--max-socks",
                                "262144"], stdout=file, stderr=subprocess.PIPE)
        connects.agent = agent.pid
    try:
        words = b""
        while b"measuring" not in words:
            words = agent.stderr.readline()
            if not words:
                raise AssertionError("the agent ended")
        took, cpu = time.monotonic() - begin, measure.cpu_seconds(agent.pid)
        wait.until(lambda: health(out), 30, "the first interval")
        first = measure.cpu_seconds(agent.pid)
        worst = connects.worst
        connects.done.set()
        connects.join()
        before = len(health(out))
        wait.until(lambda: len(health(out)) > before + 1, 30, "the rows of all of them")
        seen, made, missing = lost(out, connects)
        log(f"{seen} connections in rows, {made} made since the hook was there")
        log(f"measuring after {took:.2f} s; {connects.count} connections meanwhile, the longest {1000 * worst:.1f} ms "
            f"(alone {1000 * alone:.1f} ms)")
        measure.put("startup_cpu_s_50k_processes", cpu, "s")
        measure.put("startup_s_50k_processes", took, "s")
        measure.put("first_interval_cpu_s_50k_processes", first - cpu, "s")
        measure.put("startup_piece_max_us", health(out)[0]["adopt_piece_us"], "us", 0)
        measure.put("startup_connect_max_ms", 1000 * worst, "ms", 1)
        measure.put("startup_lost_connections", missing, "", 0)
        walks(holders, out, log)
        settled = measure.cpu_seconds(agent.pid), time.monotonic()
        seen = len(health(out))
        wait.until(lambda: len(health(out)) >= seen + 4, 60, "four intervals")
        measure.put("idle_cpu_pct_50k_processes", 100 * (measure.cpu_seconds(agent.pid) - settled[0]) /
                    (time.monotonic() - settled[1]), "%")
        measure.put("rss_mib_100k_sockets", measure.rss_mib(agent.pid), "MiB", 1)
        measure.put("maps_mib_100k_sockets", measure.maps_mib(agent.pid), "MiB", 1)
    finally:
        connects.done.set()
        agent.terminate()
        agent.wait(60)
        agent.stderr.close()
        os.unlink(out)


def walks(holders, out, log):
    """A fifth of the sockets moved: CPU of the walk that reads them."""
    seen, pieces = [], []
    for _ in range(3):
        before = len(health(out))
        for holder in holders:
            holder.move(5)
        wait.until(lambda before=before: len(health(out)) > before + 1, 60, "an interval")
        seen += [info["walk_us"] / 1000 for info in health(out)[before:] if "walk_us" in info]
        pieces += [info.get("walk_piece_us", 0) for info in health(out)[before:]]
    log(f"walks: {' '.join(f'{ms:.0f}' for ms in seen)} ms, {health(out)[-1].get('socks_open')} sockets")
    measure.put("walk_cpu_ms_100k_sockets", max(seen), "ms", 1)
    measure.put("walk_cpu_ms_100k_sockets_median", statistics.median(seen), "ms", 1)
    measure.put("walk_piece_max_us", max(pieces), "us", 0)


if __name__ == "__main__":
    options = measure.arguments(__doc__)
    with measure.Lab() as one:
        run(one, options.quick)
