# SPDX-License-Identifier: Apache-2.0
"""./bench agent --soak MINUTES: 5,000 connections/s and 2,000 cgroups that come and go, each with connections of its
own. Memory and maps must not grow, and the sums of all rows must be what the programs wrote down."""

import json
import os
import subprocess
import threading
import time

import measure
from lab.trace import OverProcess1
from measure import paths, wait, work

RATE, CGROUPS, EACH = 5000, 2000, 5  # EACH: connections made in a cgroup
LOOKS = 12  # at memory and maps, evenly over the time
UP, DOWN = 101, 211
MOST, PLACES = 1.05, 500  # growth from the middle third to the last that is none; 500: of 65,536 places for sockets
PORT, TALK = 7801, f"up={UP} down={DOWN}"
FIELDS = ("attempts", "opened", "closed", "tx_bytes", "rx_bytes")


class Reader(threading.Thread):
    """Adds up the agent's rows as they are printed."""

    def __init__(self, stream):
        super().__init__(daemon=True)
        self.stream, self.sums, self.health = stream, {"client": {}, "server": {}}, []
        self.services = {}  # openings of clients by name

    def run(self):
        for line in self.stream:
            said = json.loads(line)
            if said["type"] == "health":
                self.health.append(said)
            elif said["type"] == "row" and said["port"] == PORT:
                if said["view"] == "client":
                    name = str(said.get("service"))
                    self.services[name] = self.services.get(name, 0) + said.get("opened", 0)
                sums = self.sums[said["view"]]
                for name in FIELDS:
                    sums[name] = sums.get(name, 0) + said.get(name, 0)

    def closed(self):
        return sum(sums.get("closed", 0) for sums in self.sums.values())


class Cgroups:
    """One cgroup after another: made, a client in it, removed."""

    def __init__(self, lab):
        mounts = [line.split() for line in open("/proc/mounts", encoding="ascii")]
        root = next(m[1] for m in mounts if m[2] == "cgroup2")
        self.lab, self.count, self.folder = lab, 0, os.path.join(root, f"skyfall-soak-{os.getpid()}.slice")
        self.tally = {name: 0 for name in ("attempts", "opened", "closed", "sent", "received")}
        os.mkdir(self.folder)

    def next(self):
        path = os.path.join(self.folder, f"soak-{self.count}.service")
        os.mkdir(path)
        client = work.client(self.lab, "a", "", path)
        client.do(f"burst 10.77.0.2 {PORT} {EACH} 1 {TALK}")
        for name in self.tally:
            self.tally[name] += client.tally[name]
        client.stop()
        self.remove(path)
        self.count += 1

    def remove(self, path):
        def gone():
            try:
                os.rmdir(path)
            except OSError:
                return False
            return True
        wait.until(gone, 20, f"{path} is removed")

    def close(self):
        for entry in os.scandir(self.folder):
            if entry.is_dir():
                self.remove(entry.path)
        self.remove(self.folder)


def fill(pid):
    """{name: entries} of the agent's hash maps that can be listed."""
    found = {}
    for number, fields in measure.fdinfo(pid, "map_id").items():
        if fields["map_type"].strip() not in ("1", "9"):  # hash, LRU hash
            continue
        words = ["bpftool", "-j", "map", "dump", "id", str(number)]
        done = subprocess.run(words, capture_output=True, text=True)
        name = json.loads(subprocess.run(["bpftool", "-j", "map", "show", "id", str(number)], capture_output=True,
                                         text=True).stdout or "{}").get("name", str(number))
        if done.returncode == 0:
            found[name] = found.get(name, 0) + len(json.loads(done.stdout))
    return found


def load(lab, pid, seconds):
    """Runs it; ([(rss MiB, fill), ...] LOOKS of them, what the client and cgroups say, the server)."""
    server = work.serve(lab, "b", "soak-server", "10.77.0.2", PORT, "inline", "threads=4")
    client, cgroups, looks = work.client(lab, "a", "soak-client"), Cgroups(lab), []
    try:
        begin = time.monotonic()
        client.send(f"burst 10.77.0.2 {PORT} {10 ** 9} 4 seconds={int(seconds)} rate={RATE} {TALK}")
        while time.monotonic() < begin + seconds:
            now = time.monotonic() - begin
            if now >= seconds * (len(looks) + 1) / LOOKS:
                looks.append((measure.rss_mib(pid), fill(pid)))
            if cgroups.count < CGROUPS * now / seconds:
                cgroups.next()
            else:
                due = begin + seconds * (cgroups.count + 1) / CGROUPS
                wait.until(lambda due=due: time.monotonic() >= min(due, begin + seconds), seconds, "the next cgroup's time")
        client.read(120)
        looks.append((measure.rss_mib(pid), fill(pid)))
        wanted = client.tally["closed"] + cgroups.tally["closed"]
        wait.until(lambda: server.do("report")["closed"] >= wanted, 60, "the server sees all ends")
        return looks, {n: client.tally[n] + v for n, v in cgroups.tally.items()}, dict(server.tally), cgroups.count
    finally:
        client.stop()
        server.stop()
        cgroups.close()


def run(lab, minutes):
    """True when nothing grew and all sums are exact."""
    words = [paths.AGENT, "--print", "--json", "--interval", "10s", "--budget", "0", "--netns", lab.name("a"), "--netns",
             lab.name("b")]
    agent = lab.popen("b", words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        line = b""
        while b"measuring" not in line:
            line = agent.stderr.readline()
            if not line:
                raise AssertionError("the agent ended")
        reader = Reader(agent.stdout)
        reader.start()
        cpu = measure.cpu_seconds(agent.pid)
        with OverProcess1() as hidden:
            looks, client, server, cgroups = load(lab, agent.pid, minutes * 60)
            cpu = measure.cpu_seconds(agent.pid) - cpu
            seen = len(reader.health)
            wait.until(lambda: len(reader.health) >= seen + 2, 60, "two more intervals")
    finally:
        agent.terminate()
        agent.wait(60)
    reader.join(20)
    return tell(looks, client, server, cgroups, reader, hidden, minutes, cpu)


def tell(looks, client, server, cgroups, reader, hidden, minutes, cpu):
    rss, maps = [mib for mib, _ in looks], [sum(entries.values()) for _, entries in looks]
    third = len(looks) // 3
    measure.put("soak_minutes", minutes, "min")
    measure.put("soak_connections_per_s", client["opened"] / (60 * minutes), "/s", 0)
    measure.put("soak_cgroups", cgroups, "cgroups")
    measure.put("soak_cgroups_named", sum(name.startswith("soak-") for name in reader.services) - 1, "cgroups")
    measure.put("soak_user_cpu_pct", 100 * cpu / (60 * minutes), "%")
    measure.note(f"RSS: {' '.join(f'{mib:.1f}' for mib in rss)} MiB; entries in maps: {' '.join(map(str, maps))}")
    for name in sorted(looks[-1][1]):
        measure.note(f"map {name}: {' '.join(str(entries.get(name, 0)) for _, entries in looks)}")
    for name, part in (("first", slice(third)), ("middle", slice(third, 2 * third)), ("last", slice(2 * third, None))):
        measure.put(f"soak_rss_{name}_mib", max(rss[part]), "MiB", 1)
        measure.put(f"soak_maps_{name}", max(maps[part]), "entries")
    missing = {"opened": 0, "closed": 0, "tx_bytes": 0, "rx_bytes": 0}
    for view, side in (("client", client), ("server", server)):
        for name, wrote in (("opened", "opened"), ("closed", "closed"), ("tx_bytes", "sent"), ("rx_bytes", "received")):
            missing[name] += side[wrote] - reader.sums[view].get(name, 0)
    largest = sorted(reader.services.items(), key=lambda item: -item[1])[:5]
    measure.note(f"clients by name, the largest: {largest}")
    lost = {name: n for line in reader.health for name, n in line.get("lost", {}).items() if n}
    measure.note(f"missing {missing}; over process 1: {hidden.opened} openings, {hidden.closed} ends; lost {lost}")
    measure.put("soak_missing_openings", missing["opened"], "openings")
    measure.put("soak_missing_ends", missing["closed"], "ends")
    measure.put("soak_missing_bytes", missing["tx_bytes"] + missing["rx_bytes"], "bytes")
    measure.put("soak_hidden_events", hidden.opened + hidden.closed, "events")
    events = hidden.opened + hidden.closed
    exact = all(0 <= n <= events * limit for n, limit in zip(missing.values(), (1, 1, UP + DOWN + 24, UP + DOWN + 24)))
    # places kept for the next sockets, and pages of tables that nobody used before, come in the first two thirds
    flat = all(max(v[2 * third:]) <= max(v[third:2 * third]) * MOST + more for v, more in ((rss, 0.5), (maps, PLACES)))
    measure.note(f"sums {'exact' if exact else 'NOT exact'}, memory and maps {'flat' if flat else 'NOT flat'}")
    return exact and flat
