# SPDX-License-Identifier: Apache-2.0
"""A collector dies, is cut off, or is started anew under two agents that have another one to go to. What is missing then is what
the agents' books say went out and no collector's messages hold, to the row; and which rows those are is known from outside."""

import collections
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

from lab import case, net, paths
from lab.stack import Program
from lab.wait import until

AGENTS = {"a": "10.77.1.254", "b": "10.77.2.254"}  # on which address of m each finds the collectors
UDP = (6343, 6344)
EACH = 12  # connections a round, each to a port of its own: a row at each end
ROUNDS = 30
FIRST = 5000  # below the ephemeral range: services that listen there are told apart
CLIENT, SERVER = VIEWS = (0, 1)  # as messages have them
MOST = 4  # intervals


class Traffic:
    """From a to b, each second some connections. Which interval a row is in is the agents' to say: a cut may be late."""

    def __init__(self, lab):
        self.lab = lab
        self.bytes = {}  # (view, port): from client to server
        self.second = {}  # port: in which it was
        with lab.inside("b"):
            self.listening = {FIRST + n: socket.create_server(("10.77.0.2", FIRST + n)) for n in range(EACH * ROUNDS)}

    def speak(self):
        last = max(self.second.values(), default=0)
        until(lambda: 0.35 <= time.time() % 1 <= 0.6 and int(time.time()) > last, 5, "another second")
        for port in range(FIRST + len(self.second), FIRST + len(self.second) + EACH):
            with net.connect_inside(self.lab, "a", "10.77.0.2", port) as there:
                here, _ = self.listening[port].accept()
                there.sendall(bytes(port - FIRST + 1))
                there.shutdown(socket.SHUT_WR)
                with here:
                    while here.recv(65536):
                        pass
            self.second[port] = int(time.time())
            self.bytes.update({(view, port): port - FIRST + 1 for view in VIEWS})

    def newest(self):
        return max(self.second)

    def close(self):
        for listening in self.listening.values():
            listening.close()


class Moves(unittest.TestCase):
    def setUp(self):
        case.Shared.drop()
        self.folder = tempfile.mkdtemp(prefix="skyfall-e2e-moves-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.lab = net.Lab()
        self.addCleanup(self.lab.close)
        self.outs, self.collectors, self.agents = [], {}, {}
        for port in UDP:
            self.collect(port)
        self.traffic = Traffic(self.lab)
        self.addCleanup(self.traffic.close)
        for host, address in AGENTS.items():
            self.agents[host] = Program(self.lab, host, f"agent {host}", [
                paths.AGENT, "--interval", "1s", "--spread", "0.2s", "--host-id", f"id-{host}", "--netns", self.lab.name(host),
                "--udp", "off", "--budget", "0", *(word for port in UDP for word in ("--collector", f"{address}:{port}"))],
                os.path.join(self.folder, f"agent-{host}"))
            self.addCleanup(self.agents[host].stop)
        for agent in self.agents.values():
            until(lambda agent=agent: "measuring" in agent.tail(), 20, agent.tail)
        self.traffic.speak()
        until(lambda: {view for view, *_ in self.where()} == set(VIEWS), 10, "somebody gets the rows")

    def collect(self, port):
        out = os.path.join(self.folder, f"out-{port}-{len(self.outs)}")
        self.outs.append((port, out))
        self.collectors[port] = Program(self.lab, "m", f"collector {port}", [
            paths.SKYFALL, "collector", "--sflow", f":{port}", "--interval", "1s", "--spread", "200ms", "--threads", "2", "--out",
            out, "--name", f"c{port}", "--metrics", f"{out}.metrics"], os.path.join(self.folder, f"log-{port}"))
        self.addCleanup(self.stop, self.collectors[port])
        until(lambda: "on UDP port" in self.collectors[port].tail(), 10, self.collectors[port].tail)

    @staticmethod
    def stop(program):
        if program.alive():
            program.stop()

    def messages(self, kind):
        """(port of the collector, message); what was killed may have left half a line."""
        for port, out in self.outs:
            if not os.path.exists(out):
                continue
            with open(out, encoding="utf-8") as file:
                for line in file:
                    if line.endswith("\n") and f'"{kind}"' in line:
                        message = json.loads(line)
                        if message["type"] == kind:
                            yield port, message

    def where(self):
        """{(view, port of the collector)} of the newest connection."""
        return {(m["view"], port) for port, m in self.messages("Flow") if m["port"] == self.traffic.newest()}

    def of(self, view):
        """Who collects that view now."""
        return next(port for v, port in self.where() if v == view)

    def at(self, part):
        """Waits for that part of a second to come."""
        until(lambda: part <= time.time() % 1 < part + 0.1, 5, "the moment")

    def settle(self, n):
        for _ in range(n):
            self.traffic.speak()
        until(lambda: {view for view, *_ in self.where()} == set(VIEWS), 10, "all rows of an interval come again")

    def finish(self):
        """Everything ends in order. The seconds of the connections that are missing at an end, {second: rows}: as many as the
        books say."""
        for program in (*self.agents.values(), *(c for c in self.collectors.values() if c.alive())):
            self.assertEqual(program.stop(), 0, program.tail())
        lines = {}
        for _, line in self.messages("Ledger"):
            if line["role"] == "agent":  # said again until somebody acknowledges it
                key = line["instance"], line["interval"]
                lines[key] = max(line, lines.get(key, line), key=lambda x: x["rows_in"])
        self.assertFalse([line for line in lines.values() if line["lost"]])
        sent = sum(line["rows_out"] for line in lines.values())
        self.assertEqual(sent, len(self.traffic.bytes), "a row for each end of each connection")
        got = collections.Counter()
        for _, m in self.messages("Flow"):
            got[m["view"], m["port"]] += m["rows"]
            self.assertEqual(m["tx_bytes" if m["view"] == CLIENT else "rx_bytes"], self.traffic.bytes[m["view"], m["port"]], m)
        self.assertEqual({key: n for key, n in got.items() if n != 1}, {}, "nothing twice")
        missing = collections.Counter(self.traffic.second[port] for _, port in self.traffic.bytes.keys() - got.keys())
        print(f"# {sent} rows went out, {sum(got.values())} came in; missing: {sorted(missing.items())}")
        self.assertEqual(sent - sum(got.values()), sum(missing.values()))
        if missing:
            self.assertLess(max(missing) - min(missing), MOST, missing)
        return missing

    def kill(self, part):
        victim = self.of(CLIENT)
        self.traffic.speak()
        self.at(part)
        self.assertEqual(self.collectors[victim].stop(signal.SIGKILL), -signal.SIGKILL)
        self.settle(3)
        self.assertNotIn(victim, {port for _, port in self.where()})
        self.assertIn(len(self.finish()), range(1, MOST + 1))

    def test_kill_9(self):
        """While it holds an open interval: that is gone, what it had written stays, the agents are with the other one at once."""
        self.kill(0.1)

    def test_kill_9_at_any_moment(self):
        self.kill(random.Random(time.time()).uniform(0.3, 0.9))

    def drop(self, hook, match):
        self.lab.run("m", ["nft", "add", "table", "inet", "hole"], check=True)
        self.lab.run("m", ["nft", f"add chain inet hole way {{ type filter hook {hook} priority 0; }}"], check=True)
        self.lab.run("m", ["nft", f"add rule inet hole way {match} drop"], check=True)

    def test_lost_path(self):
        """Datagrams to it vanish without a word: after three silent intervals the agents go elsewhere, and what they had sent is
        missing. It lives, and knows nothing of it."""
        victim = self.of(CLIENT)
        self.drop("input", f"udp dport {victim}")
        self.settle(7)
        self.assertNotIn(victim, {port for _, port in self.where()})
        missing = self.finish()
        self.assertIn(len(missing), range(3, MOST + 1))

    def test_lost_answers(self):
        """Only its answers vanish: it is left all the same, and nothing is missing and nothing twice."""
        victim = self.of(CLIENT)
        self.drop("output", f"udp sport {victim}")
        self.settle(7)
        self.assertNotIn(victim, {port for _, port in self.where()})
        self.assertFalse(self.finish())

    def restart(self, part):
        victim = self.of(CLIENT)
        self.traffic.speak()
        self.at(part)
        self.assertEqual(self.collectors[victim].stop(), 0)
        self.collect(victim)
        self.settle(3)
        self.assertFalse(self.finish())

    def test_restart(self):
        """In order, while agents send: it says that it goes, and is heard; what comes late is late, nothing is missing."""
        self.restart(0.05)

    def test_restart_at_any_moment(self):
        self.restart(random.Random(time.time()).uniform(0.1, 0.9))
