# SPDX-License-Identifier: Apache-2.0
"""The programs under test: one `skyfall run` on host m, an agent on each of a and b, and what can be asked of them."""

import glob
import http.client
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time
import urllib.parse

from . import net, paths
from .wait import until

API_PORT = 8343
COLLECTOR = {"a": "10.77.1.254:6343", "b": "10.77.2.254:6343"}
START_SECONDS = 15
STOP_SECONDS = 15


class Http(http.client.HTTPConnection):
    """HTTP to a port inside a host's namespace."""

    def __init__(self, lab, host, port):
        super().__init__("127.0.0.1", port, timeout=10)
        self.lab, self.inside = lab, host

    def connect(self):
        self.sock = net.connect_inside(self.lab, self.inside, self.host, self.port, self.timeout)


class Program:
    """A started program with its output in a file."""

    def __init__(self, lab, host, name, words, log, uts=None):
        self.name, self.log = name, log
        if uts:  # a hostname of its own
            words = ["unshare", "--uts", "sh", "-c", 'hostname "$1"; shift; exec "$@"', "sh", uts, *words]
        with open(log, "ab") as out:
            self.process = lab.popen(host, words, stdin=subprocess.DEVNULL, stdout=out, stderr=out)

    def alive(self):
        return self.process.poll() is None

    def tail(self, lines=15):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return "".join(file.readlines()[-lines:])

    def stop(self, number=signal.SIGTERM, seconds=STOP_SECONDS):
        """Its exit code. One that does not stop in time is killed, and that is an error."""
        if self.alive():
            self.process.send_signal(number)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"{self.name} did not stop in {seconds} s:\n{self.tail()}") from None


class Stack:
    """The programs, their folder, and questions to them. home: the host of `skyfall run`."""

    def __init__(self, lab, home="m"):
        self.lab, self.home = lab, home
        self.folder = tempfile.mkdtemp(prefix="skyfall-e2e-")
        self.data = os.path.join(self.folder, "data")
        self.server = None
        self.agents = {}

    # --- starting and stopping

    def log(self, name):
        return os.path.join(self.folder, f"{name}.log")

    def start_server(self, *options):
        words = [paths.SKYFALL, "run", "--no-agent", "--quiet", "--data", self.data, *options]
        self.server = Program(self.lab, self.home, "skyfall run", words, self.log("run"), uts=f"skyhost-{self.home}")
        until(self.ready, START_SECONDS, lambda: f"the API answers:\n{self.server.tail()}")

    def ready(self):
        if not self.server.alive():
            raise AssertionError(f"skyfall run ended:\n{self.server.tail()}")
        try:
            return self.raw("/readyz")[0] == 200
        except OSError:
            return False

    def agent_words(self, host, *options):
        return [paths.AGENT, "--interval", "1s", "--spread", "0.2s", "--host-id", f"id-{host}", "--netns",
                self.lab.name(host), "--collector", COLLECTOR.get(host, "127.0.0.1:6343"), "--budget", "0", *options]

    def start_agent(self, host, *options):
        self.agents[host] = Program(self.lab, host, f"agent {host}", self.agent_words(host, *options),
                                    self.log(f"agent-{host}"), uts=f"skyhost-{host}")

    def start(self):
        """Everything, until both agents are heard."""
        self.start_server()
        for host in ("a", "b"):
            self.start_agent(host)
        self.wait_agents()
        return self

    def restart_agents(self, *options):
        """Both agents anew, and heard."""
        boots = self.boots()
        self.stop_agents()
        for host in ("a", "b"):
            self.start_agent(host, *options)
        self.wait_agents(other_than=boots.values())

    def boots(self):
        """{host id: boot of its agent} of those that report."""
        return {h["id"]: h["boot"] for h in self.api("hosts")["hosts"] if h["reporting"]}

    def wait_agents(self, *hosts, other_than=()):
        """Until the agents (of a and b) are heard; other_than: boots of their forerunners."""
        want = {f"id-{host}" for host in hosts or ("a", "b")}
        until(lambda: {name for name, boot in self.boots().items() if boot not in other_than} >= want,
              START_SECONDS, lambda: "both agents are heard:\n" + "".join(a.tail() for a in self.agents.values()))

    def stop_agents(self):
        for host in list(self.agents):
            self.agents.pop(host).stop()

    def stop_server(self, number=signal.SIGTERM):
        server, self.server = self.server, None
        return server.stop(number)

    def close(self):
        try:
            self.stop_agents()
            if self.server:
                self.stop_server()
        finally:
            if os.environ.get("SKYFALL_TEST_KEEP"):
                print(f"# kept: {self.folder}")
            else:
                shutil.rmtree(self.folder, ignore_errors=True)

    def alive(self):
        """An error when one of the programs is gone."""
        for program in (self.server, *self.agents.values()):
            if program and not program.alive():
                raise AssertionError(f"{program.name} ended:\n{program.tail()}")

    # --- questions

    def raw(self, path):
        """(status, body)"""
        connection = Http(self.lab, self.home, API_PORT)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def api(self, path, **query):
        query = {name.rstrip("_"): value for name, value in query.items()}
        status, body = self.raw(f"/api/v1/{path}?{urllib.parse.urlencode(query)}")
        if status != 200:
            raise AssertionError(f"{path} {query}: {status} {body[:400]!r}")
        return json.loads(body)

    def skyfall(self, *words, check=True, seconds=30):
        """Output of a question on the command line."""
        done = self.lab.run(self.home, [paths.SKYFALL, *words], timeout=seconds)
        if check and done.returncode:
            raise AssertionError(f"skyfall {' '.join(words)}: exit {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout

    def doctor(self, since, to=None):
        return json.loads(self.skyfall("doctor", "--json", "--from", str(int(since)),
                                       *(["--to", str(int(to))] if to else []), check=False))

    def edges(self, since, **query):
        """Edges since a time (s), the interval of now included."""
        return self.api("edges", from_=int(since), to=int(time.time()) + 60, limit=10000, **query)["edges"]

    def metrics(self):
        """Prometheus text as {name{labels}: value}."""
        _, body = self.raw("/metrics")
        lines = (line.rsplit(" ", 1) for line in body.decode().splitlines() if line and not line.startswith("#"))
        return {name: float(value) for name, value in lines}

    # --- the store's files, read past the API

    def stored(self, edge_id, since):
        """Sums of an edge over the files of the finest tier: {column: value}. edge_id: 16 hex digits."""
        number = int(edge_id, 16)
        number -= 1 << 64 if number >= 1 << 63 else 0  # SQLite's integers are signed
        sums = {}
        for path in sorted(glob.glob(os.path.join(self.data, "**", "edges-fine-*.db"), recursive=True)):
            db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)
            try:
                db.row_factory = sqlite3.Row
                for row in db.execute("SELECT * FROM edges WHERE edge = ? AND interval >= ?", (number, int(since))):
                    for name in row.keys():
                        if isinstance(row[name], int) and name.split("_")[0] in ("client", "server", "network"):
                            sums[name] = sums.get(name, 0) + row[name]
            finally:
                db.close()
        return sums
