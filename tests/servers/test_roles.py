# SPDX-License-Identifier: Apache-2.0
"""Roles in processes of their own on a real broker: what the API says is what the generator sent, to the byte."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import unittest

import broker
import test_gen
from lab import net, paths
from lab.wait import until

FLEET = ("--hosts", "12", "--services", "40", "--edges", "120", "--zones", "6")


class Roles(unittest.TestCase):
    gen, api, read_truth, differences, check = (getattr(test_gen.Gen, name) for name in
                                                ("gen", "api", "read_truth", "differences", "check"))

    @classmethod
    def setUpClass(cls):
        cls.kafka = broker.Cluster(1).start()
        cls.addClassCleanup(cls.kafka.stop)

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="skyfall-servers-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.killer = None
        self.inventory, self.truth = os.path.join(self.folder, "zones.yaml"), os.path.join(self.folder, "truth")
        with open(f"{self.folder}/bus", "w", encoding="utf-8") as file:
            file.write(f"prefix = {os.path.basename(self.folder)}.\n")
        self.bus = ("--bus", f"kafka:{self.kafka.address}", "--bus-config", f"{self.folder}/bus")
        self.topics("--create", "--partitions", "4")

    def topics(self, *words, code=0):
        done = subprocess.run([paths.SKYFALL, "topics", *self.bus, *words], capture_output=True, text=True, timeout=120,
                              check=False)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout

    def role(self, *words):
        """Started; its standard output is a pipe."""
        log = open(f"{self.folder}/log", "a", encoding="utf-8")
        self.addCleanup(log.close)
        process = subprocess.Popen([paths.SKYFALL, *words, *self.bus], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=log, text=True, preexec_fn=net.die_with_parent)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait, 40)
        self.addCleanup(process.send_signal, signal.SIGINT)
        return process

    def graph(self, name):
        process = self.role("graph", "--name", name, "--inventory", self.inventory, "--json", "--metrics",
                            f"{self.folder}/{name}")
        self.assertTrue(process.stdout.readline(), "it ended")
        return process

    def metric(self, name, what):
        try:
            with open(f"{self.folder}/{name}", encoding="utf-8") as file:
                return sum(int(line.split()[-1]) for line in file if line.startswith(what))
        except FileNotFoundError:
            return 0

    def start(self, *more):
        """Graphs, a server, a collector; for check()."""
        self.graphs = [self.graph("g1"), self.graph("g2")]
        server = self.role("server", "--data", f"{self.folder}/data", "--listen", "127.0.0.1:0", "--interval", "1s")
        self.url = until(lambda: next((line.split()[1].rstrip("/") for line in server.stdout if "page" in line), None), 60,
                         "the server")
        until(lambda: all(self.metric(name, 'skyfall_graph_partitions{stage="pair"}') == 2 for name in ("g1", "g2")), 60,
              "two graphs share four partitions")
        collector = self.role("collector", "--sflow", "127.0.0.1:0", "--interval", "1s", "--spread", "200ms", "--json", "--metrics",
                              f"{self.folder}/collector", *more)
        if self.killer:
            self.killer.start()
            self.addCleanup(self.killer.join)
        return f"127.0.0.1:{json.loads(collector.stdout.readline())['sflow_port']}"

    def test_exact(self):
        self.check(FLEET, 60, "--intervals", "4")
        self.assertEqual(sum(self.metric(name, "skyfall_graph_aborts_total") for name in ("g1", "g2")), 0)

    def test_a_graph_is_killed(self):
        """kill -9 in the middle of it: the other takes over, every sum is there once."""
        def kill():
            until(lambda: self.metric("g1", 'skyfall_graph_commits_total{stage="pair"}') >= 4, 60, "g1 is at work")
            self.graphs[0].send_signal(signal.SIGKILL)

        self.killer = threading.Thread(target=kill)
        try:
            self.check(FLEET, 90, "--intervals", "8")
        except AssertionError as e:
            late = {name: self.metric(name, what) for name, what in
                    (("collector", "skyfall_collector_late_rows_total"), ("g1", 'skyfall_graph_late_rows_total{stage="pair"}'),
                     ("g2", 'skyfall_graph_late_rows_total{stage="pair"}'))}
            raise AssertionError(f"late rows: {late}; {e}") from None
        self.assertEqual(self.metric("g2", 'skyfall_graph_partitions{stage="pair"}'), 4)

    def test_topics(self):
        """Looked at, made once, and no partitions are added."""
        lines = self.topics("--check").splitlines()
        self.assertEqual([line.split()[0] for line in lines], ["ok"] * 8, lines)
        self.assertEqual(self.topics("--create").count("made"), 0)
        self.assertIn("4 partitions, must be 8", self.topics("--create", "--partitions", "8", code=1))
        with open(f"{self.folder}/bus", "a", encoding="utf-8") as file:
            file.write("prefix = another.\n")
        self.assertEqual(self.topics(code=1).count("missing"), 8)
        graph = subprocess.run([paths.SKYFALL, "graph", *self.bus], capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(graph.returncode, 1)
        self.assertIn("skyfall topics --create", graph.stderr)
