# SPDX-License-Identifier: Apache-2.0
"""A datagram does not arrive: plain `skyfall doctor` names the hop, the likely reason and the next command. One place after the
other, with a real agent, a real socket and the kernel's packet filter. (Tables too small: tests/unit/test_where.c.)"""

import os
import signal
import socket
import subprocess
import time

from lab import case, paths
from lab.stack import Stack
from lab.wait import until

SECONDS = 30
NOBODY = "192.0.2.77"


class Where(case.Case):
    """Collector and agent on host c, with options of their own."""

    def setUp(self):
        super().setUp()
        self.stack = Stack(self.lab, home="c")
        self.addCleanup(self.stack.close)
        os.mkdir(self.stack.data)

    def begin(self, *options, agent=(), heard=True):
        self.stack.start_server(*options)
        self.stack.start_agent("c", *agent)
        if heard:
            self.stack.wait_agents("c")
        self.began = int(time.time())

    def nft(self, text):
        done = self.lab.run("c", ["nft", text])
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def drop(self, hook, rule):
        """Drops datagrams to the collector until restored."""
        self.nft(f"table inet where {{ counter gone {{ }}; chain way {{ type filter hook {hook} priority 0; "
                 f"udp dport 6343 {rule} counter name gone drop; }}; }}")
        self.addCleanup(self.lab.run, "c", ["nft", "destroy table inet where"])

    def dropped(self):
        return int(self.nft("list counter inet where gone").split("packets ")[1].split()[0])

    def restore(self):
        self.nft("delete table inet where")

    def file(self, name, text):
        path = os.path.join(self.stack.folder, name)
        with open(path, "w", encoding="ascii", opener=lambda p, flags: os.open(p, flags, 0o600)) as file:
            file.write(text)
        return path

    def words(self, *words):
        return subprocess.run([paths.SKYFALL, *words], capture_output=True, text=True, check=True, timeout=20).stdout

    def doctor(self, *expected):
        """What it prints, once all of that is in it."""
        said = ""

        def look():
            nonlocal said
            said = self.stack.skyfall("doctor", "--from", str(self.began), check=False)
            return all(text in said for text in expected)
        until(look, SECONDS, lambda: f"doctor says {expected}:\n{said}")
        return said

    def hop(self, name):
        health = self.stack.doctor(self.began)
        return health, next(hop for hop in health["chain"] if hop["hop"] == name)

    def clue(self, name):
        return {clue["clue"]: clue["datagrams"] for clue in self.hop("network")[1]["clues"]}.get(name, 0)

    def test_dropped_on_the_way(self):
        self.begin()
        self.drop("input", "numgen inc mod 3 == 0")
        until(lambda: self.dropped() >= 4, SECONDS, "some are dropped")
        gone = self.dropped()
        self.restore()
        self.doctor("datagrams on_the_way: never came", "next:   on both hosts: nft list ruleset; ip -s link")
        until(lambda: self.clue("on_the_way") >= gone, SECONDS, lambda: f"all {gone}: {self.clue('on_the_way')}")
        health, hop = self.hop("network")
        self.assertIn("never came", hop["likely"])
        self.assertEqual(self.clue("kernel_drops"), 0)
        self.assertEqual([h["hop"] for h in health["chain"] if h["lost_total"] or not h["adds_up"]],
                         ["network"] if hop["lost_total"] or not hop["adds_up"] else [])

    def test_no_room_in_the_socket(self):
        """The collector stands still while somebody fills its socket; the agent's datagrams find no room."""
        self.begin()
        self.stack.server.process.send_signal(signal.SIGSTOP)
        try:
            with self.lab.inside("c"):
                noise = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            for _ in range(30000):
                noise.sendto(bytes(1400), ("127.0.0.1", 6343))
            noise.close()
            until(lambda still=time.time(): time.time() > still + 2.2, 5, "two intervals are over")
        finally:
            self.stack.server.process.send_signal(signal.SIGCONT)
        self.doctor("datagrams kernel_drops: the collector's socket had no room", "--rcvbuf", "datagrams rejected_version")
        _, hop = self.hop("network")
        self.assertIn("no room", hop["likely"])

    def test_not_on_the_allow_list(self):
        self.begin("--allow", "192.0.2.0/24", heard=False)
        said = self.doctor("datagrams rejected_agent: of agents that the allow list does not have", "--allow-file")
        self.assertIn("refused", said)
        self.assertEqual(self.stack.doctor(self.began)["first_loss"], "network")
        said = self.stack.skyfall("doctor", "--datagrams", check=False)
        self.assertRegex(said, r"(?s)refused +\d+ +agent\n +\d+ s ago from \S+: 00000005")

    def test_wrong_key(self):
        fleet = self.file("fleet", self.words("key", "--new"))
        key = self.file("agent", self.words("key", NOBODY, "--fleet-key", fleet))
        self.begin("--fleet-key", fleet, agent=("--key-file", key), heard=False)
        self.doctor("datagrams rejected_signature: signed with a wrong key", "skyfall key ADDRESS --fleet-key FILE")

    def test_more_than_one_may_send(self):
        self.begin("--agent-rate", "1", heard=False)
        self.doctor("datagrams rejected_rate: more than one agent may send", "--agent-rate N")

    def test_the_agent_cannot_send(self):
        """Its own host refuses: the agent counts, and says so when it can again."""
        self.begin()
        self.drop("output", "")
        until(lambda: self.dropped() >= 4, SECONDS, "some are refused")
        self.restore()
        said = self.doctor("rows send_error: the agent could not send", "skyfall hosts says which")
        health, hop = self.hop("agent")
        self.assertTrue(hop["adds_up"], hop)
        self.assertEqual((hop["lost_total"], health["first_loss"]), (hop["lost"]["send_error"], "agent"), said)
