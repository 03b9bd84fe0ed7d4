# SPDX-License-Identifier: Apache-2.0
"""What a person types: run, the demo, the questions."""

import glob
import json
import os
import shutil
import signal
import subprocess
import tempfile
import unittest

from lab import case, net, paths
from lab.wait import until


class Run(unittest.TestCase):
    """`skyfall run` on this very host, on free ports."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="skyfall-e2e-run-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def start(self, *options):
        self.log = open(os.path.join(self.folder, "log"), "w+", encoding="utf-8")
        self.addCleanup(self.log.close)
        process = subprocess.Popen(
            [paths.SKYFALL, "run", "--json", "--data", f"{self.folder}/data", "--listen", "127.0.0.1:0", "--sflow",
             "127.0.0.1:0", *options], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.log, text=True,
            preexec_fn=net.die_with_parent)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        line = process.stdout.readline()
        self.assertTrue(line, self.said())
        return process, json.loads(line)

    def said(self):
        self.log.flush()
        self.log.seek(0)
        return self.log.read()[-2000:]

    @staticmethod
    def children(pid):
        found = []
        for path in glob.glob(f"/proc/{pid}/task/*/children"):
            with open(path, encoding="ascii") as file:
                found += [int(child) for child in file.read().split()]
        return found

    def test_demo_shows_what_the_shop_wrote(self):
        process, block = self.start("--demo", "--for", "15s")
        self.assertTrue(block["api"].startswith("http://127.0.0.1:"))
        last = json.loads(process.stdout.readlines()[-1])
        self.assertEqual(process.wait(60), 0, self.said())
        differing = [line for line in last["demo"] if not line["equal"]]
        self.assertEqual(differing, [])
        self.assertGreaterEqual(len(last["demo"]), 6)
        self.assertTrue(any(line["program"].get("refused") for line in last["demo"]), "a port refuses")
        self.assertTrue(any(line["program"].get("unreachable") for line in last["demo"]), "a server is unreachable")
        slow = max(last["edges"], key=lambda e: e.get("server_s2c_rwnd_limited_us", 0)
                   + e.get("client_c2s_rwnd_limited_us", 0))
        self.assertGreater(slow.get("server_s2c_rwnd_limited_us", 0) + slow.get("client_c2s_rwnd_limited_us", 0), 0,
                           "a reader is slow")
        self.assertTrue(last["health"]["adds_up"], last["health"])
        self.assertNotIn("skyfall-demo", net.sh("ip", "netns", "list"), "the shop's namespaces are gone")

    def test_agent_gets_its_options(self):
        """What is said to `run` about this host's agent is what the agent is started with."""
        given = ["--netns", str(os.stat("/proc/self/ns/net").st_ino), "--local-net", "192.168.50.0/24", "--local-net", "fd00::/8",
                 "--no-local-net", "172.17.0.0/16", "--no-local-net", "10.88.0.0/16", "--host-id", "id-run", "--net", "west"]
        program = os.path.join(self.folder, "agent")
        with open(program, "w", encoding="ascii") as file:
            file.write(f'#!/bin/sh\nprintf "%s\\n" "$@" >{self.folder}/words\nexec {paths.AGENT} "$@"\n')
        os.chmod(program, 0o755)
        process, _ = self.start("--agent", program, *given)
        with open(os.path.join(self.folder, "words"), encoding="utf-8") as file:
            words = file.read().split("\n")
        pairs = list(zip(words, words[1:]))
        for pair in zip(given[::2], given[1::2]):
            self.assertIn(pair, pairs)
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(15), 0, self.said())
        for option in ("--local-net", "--no-local-net"):
            done = subprocess.run([paths.SKYFALL, "run", "--data", f"{self.folder}/none", option, "172.17.0.0/33"],
                                  capture_output=True, text=True, timeout=20)
            self.assertEqual((done.returncode, option in done.stderr), (2, True), done.stderr)
            self.assertFalse(os.path.exists(f"{self.folder}/none"), "nothing was started")

    def test_ctrl_c_stops_all_of_it(self):
        process, _ = self.start()
        children = self.children(process.pid)
        self.assertGreaterEqual(len(children), 1, "the agent is a process of its own")
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(15), 0, self.said())
        until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in children), 5, "its children are gone")


class Questions(case.Case):
    """The command line against the API."""

    def test_questions(self):
        server, client = self.server("10.77.0.2"), self.client()
        for command in (self.connect("10.77.0.2", "n=5"), "talk 1009 2003", "close"):
            client.do(command)
        edge = self.expect(self.views(*self.tally(server, client)))
        found = [e for e in json.loads(self.stack.skyfall("edges", "--json"))["edges"] if e["id"] == edge["id"]]
        self.assertEqual([e["client_c2s_bytes"] for e in found], [edge["client_c2s_bytes"]])
        self.assertIn(self.client_service, self.stack.skyfall("edges"))
        hosts = json.loads(self.stack.skyfall("hosts", "--json"))["hosts"]
        self.assertLessEqual({"id-a", "id-b"}, {host["id"] for host in hosts})
        self.assertIn("skyhost-a", self.stack.skyfall("hosts"))
        self.adds_up()

    def test_services_and_ledger(self):
        server, client = self.server("10.77.0.2"), self.client()
        for command in (self.connect("10.77.0.2", "n=5"), "talk 1009 2003", "close"):
            client.do(command)
        edge = self.expect(self.views(*self.tally(server, client)))
        services = {s["service"]: s for s in self.stack.api("services", from_=int(self.began), limit=10000)["services"]}
        self.assertEqual(services[self.client_service]["as_client"]["client_c2s_bytes"], edge["client_c2s_bytes"])
        self.assertEqual(services[self.server_service]["as_server"]["server_s2c_bytes"], edge["server_s2c_bytes"])
        one = self.stack.api(f"services/{self.server_service}", from_=int(self.began))
        self.assertTrue(one)
        self.adds_up()
        roles = {line["role"] for line in self.stack.api("ledger", from_=int(self.began), limit=1000)["lines"]}
        self.assertLessEqual({"agent", "collector", "pair", "edge", "store"}, roles)

    def test_listeners_of_hosts(self):
        """The hosts answer shows who listens."""
        self.server("10.77.0.2")

        def listeners():
            host = next(h for h in self.stack.api("hosts")["hosts"] if h["id"] == "id-b")
            return [(one["service"], one["address"], one["alive"]) for one in host["listeners"]
                    if one["port"] == self.port]

        until(lambda: listeners() == [(self.server_service, "10.77.0.2", True)], case.VISIBLE_SECONDS,
              lambda: f"the listener is known: {listeners()}")

    def test_metrics_and_openapi(self):
        metrics = self.stack.metrics()
        for role in ("collector", "graph", "store", "http"):
            self.assertTrue(any(name.startswith(f"skyfall_{role}_") for name in metrics), role)
        document = self.stack.api("openapi.json")
        for path in document["paths"]:
            if "{" not in path and path != "/api/v1/stream":  # which has no end: tests/unit/test_live.c
                with self.subTest(path=path):
                    self.assertEqual(self.stack.raw(path)[0], 200)
