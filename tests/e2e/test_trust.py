# SPDX-License-Identifier: Apache-2.0
"""Signed datagrams from a real agent to a real collector: who signs is believed, all others change nothing and are counted."""

import os
import re
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import unittest

from lab import net, paths
from lab.wait import until

SECONDS = 20
NOBODY = "192.0.2.77"  # an address that no agent here has


class Relay:
    """Between one agent and the collector, there and back; remembers what the agent sent."""

    def __init__(self, port):
        self.inside = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.inside.bind(("127.0.0.1", 0))
        self.outside = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.outside.connect(("127.0.0.1", port))
        self.port = self.inside.getsockname()[1]
        self.sent, self.acks, self.agent, self.stopping = [], [], None, False
        self.spoil = False  # answers are changed by a bit
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while not self.stopping:
            for ready in select.select([self.inside, self.outside], [], [], 0.1)[0]:
                if ready is self.inside:
                    data, self.agent = self.inside.recvfrom(65536)
                    self.sent.append(data)
                    self.outside.send(data)
                else:
                    data = self.outside.recv(65536)
                    self.acks.append(data)
                    if self.spoil:
                        data = data[:20] + bytes([data[20] ^ 1]) + data[21:]
                    self.inside.sendto(data, self.agent)

    def close(self):
        self.stopping = True
        self.thread.join()
        self.inside.close()
        self.outside.close()


class Trust(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="skyfall-e2e-trust-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.keys = [self.skyfall("key", "--new").strip() for _ in range(2)]
        self.logs = 0

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, *lines):
        with open(self.path(name), "w", encoding="ascii", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            file.write("\n".join(lines) + "\n")
        return self.path(name)

    def skyfall(self, *words):
        return subprocess.run([paths.SKYFALL, *words], capture_output=True, text=True, check=True, timeout=20).stdout

    def agent_key(self, fleet, address):
        return self.skyfall("key", address, "--fleet-key", self.write("one", self.keys[fleet])).strip()

    def start(self, *words):
        self.logs += 1
        log = open(self.path(f"log{self.logs}"), "w", encoding="utf-8")
        self.addCleanup(log.close)
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True,
                                   preexec_fn=net.die_with_parent)
        process.log = log.name
        self.addCleanup(self.stop, process)
        return process

    def stop(self, process):
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(20)
        process.stdout.close()

    def start_collector(self, *words):
        self.collector = self.start(paths.SKYFALL, "collector", "--sflow", "127.0.0.1:0", "--interval", "1s", "--out",
                                    self.path("out"), "--metrics", self.path("metrics"), "--json", *words)
        self.port = int(re.search(r'"sflow_port":(\d+)', self.collector.stdout.readline())[1])

    def start_agent(self, port, *words):
        return self.start(paths.AGENT, "--collector", f"127.0.0.1:{port}", "--interval", "1s", "--spread", "100ms",
                          "--source", "sock_diag", *words)

    def counted(self, name):
        try:
            with open(self.path("metrics"), encoding="ascii") as file:
                for line in file:
                    if line.startswith(f"skyfall_collector_{name} "):
                        return int(line.split()[1])
        except FileNotFoundError:
            pass
        return 0

    def rejected(self, reason):
        return self.counted(f'rejected_total{{reason="{reason}"}}')

    def grown(self, name, by=1):
        """Waits until a counter has grown by as much from now on."""
        before = self.counted(name)
        until(lambda: self.counted(name) >= before + by, SECONDS, lambda: f"{name} grows from {before} by {by}")

    def said(self, process, pattern):
        def look():
            with open(process.log, encoding="utf-8") as file:
                return re.search(pattern, file.read())
        return until(look, SECONDS, f"a line with {pattern}")

    def reload(self, process, times):
        process.send_signal(signal.SIGHUP)

        def look():
            with open(process.log, encoding="utf-8") as file:
                return file.read().count("reloaded") >= times
        until(look, SECONDS, "it has reloaded")

    def signing_agent(self, port):
        """An agent that signs by fleet key 0, and its address: which it is it says itself, so it starts with a wrong one."""
        agent = self.start_agent(port, "--key-file", self.write("agent", self.agent_key(0, NOBODY)))
        address = self.said(agent, r"signing as (\S+)")[1]
        self.grown('rejected_total{reason="signature"}')  # a host signs only as itself
        self.assertEqual(self.counted("signed_datagrams_total"), 0)
        self.write("agent", self.agent_key(0, address))
        self.reload(agent, 1)
        self.grown("signed_datagrams_total", 2)
        return agent, address

    def test_signed_forged_replayed_altered(self):
        self.start_collector("--fleet-key", self.write("fleet", self.keys[0]))
        relay = Relay(self.port)
        self.addCleanup(relay.close)
        agent, _ = self.signing_agent(relay.port)
        self.grown("acks_total")
        until(lambda: relay.acks, SECONDS, "the agent is answered")
        self.assertEqual({len(ack) for ack in relay.acks}, {64})

        plain = self.start_agent(self.port)
        self.grown('rejected_total{reason="unsigned"}', 2)
        self.stop(plain)

        self.stop(agent)
        until(lambda: self.counted("signed_datagrams_total") + self.rejected("signature") == len(relay.sent), SECONDS,
              "all that it sent is counted")
        before = {name: self.counted(name) for name in ("rows_total", "signed_datagrams_total", "foreign_total")}
        replayed, signature = self.rejected("replayed"), self.rejected("signature")
        stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(stranger.close)
        good = relay.sent[-1]
        for number in range(10):
            stranger.sendto(good, ("127.0.0.1", self.port))
            at = 28 + number * (len(good) - 28) // 10
            stranger.sendto(good[:at] + bytes([good[at] ^ 1 << number % 8]) + good[at + 1:], ("127.0.0.1", self.port))
        until(lambda: self.rejected("replayed") == replayed + 10, SECONDS, "replayed ones are counted")
        until(lambda: self.rejected("signature") == signature + 10, SECONDS, "altered ones are counted")
        for name, value in before.items():
            self.assertEqual(self.counted(name), value, name)
        stranger.settimeout(0.2)
        with self.assertRaises(TimeoutError):  # the collector's next answers go to who signed
            stranger.recv(100)
        self.stop(self.collector)
        self.assertEqual(self.rejected("replayed"), replayed + 10)

    def test_rotation_live(self):
        """The fleet changes its key without one refused or lost datagram."""
        self.start_collector("--fleet-key", self.write("fleet", self.keys[0]), "--auth", "require")
        agent, address = self.signing_agent(self.port)
        refused = self.rejected("signature")
        old, new = self.agent_key(0, address), self.agent_key(1, address)
        self.write("fleet", *self.keys)
        self.reload(self.collector, 1)
        self.assertEqual(self.counted("signed_late_key_total"), 0)
        self.write("agent", new, old)
        self.reload(agent, 2)
        self.grown("signed_late_key_total", 2)
        self.write("fleet", self.keys[1], self.keys[0])
        self.reload(self.collector, 2)
        self.grown("signed_datagrams_total", 2)
        late = self.counted("signed_late_key_total")
        self.grown("signed_datagrams_total", 2)
        self.assertEqual(self.counted("signed_late_key_total"), late)
        self.write("fleet", self.keys[1])
        self.reload(self.collector, 3)
        self.write("agent", new)
        self.reload(agent, 3)
        self.grown("signed_datagrams_total", 3)
        self.assertEqual(self.rejected("signature"), refused)
        until(lambda: self.counted("lost_network_datagrams_total") == refused, SECONDS, "only the first ones are missed")
        self.write("fleet", "not a key")
        self.collector.send_signal(signal.SIGHUP)
        self.said(self.collector, r"everything stays as it was: .*fleet:1:1: a key is 64 hexadecimal digits")
        self.grown("signed_datagrams_total", 2)

    def test_accept_and_allow(self):
        """Who has no key is heard until it has signed once; who is not on the list is not heard at all."""
        self.start_collector("--fleet-key", self.write("fleet", self.keys[0]), "--auth", "accept", "--allow-file",
                             self.write("allow", "0.0.0.0/0", "::/0"))
        plain = self.start_agent(self.port)
        self.grown("datagrams_total", 3)
        self.assertEqual(self.rejected("unsigned"), 0)
        self.signing_agent(self.port)
        self.grown('rejected_total{reason="unsigned"}')  # the same host's other agent has no key
        self.stop(plain)
        self.write("allow", f"{NOBODY}/32")
        self.reload(self.collector, 1)
        self.grown('rejected_total{reason="agent"}', 2)
        signed = self.counted("signed_datagrams_total")
        self.grown('rejected_total{reason="agent"}', 2)
        self.assertEqual(self.counted("signed_datagrams_total"), signed)

    def test_spoilt_answers(self):
        """An agent with a key passes over answers that were changed on the way, says how many, and leaves that collector."""
        self.start_collector("--fleet-key", self.write("fleet", self.keys[0]))
        relay, straight = Relay(self.port), Relay(self.port)
        self.addCleanup(relay.close)
        self.addCleanup(straight.close)
        relay.spoil = straight.spoil = True
        agent = self.start(paths.AGENT, "--collector", f"127.0.0.1:{relay.port}", "--collector",
                           f"127.0.0.1:{straight.port}", "--interval", "1s", "--spread", "100ms", "--source", "sock_diag",
                           "--key-file", self.write("agent", self.agent_key(0, NOBODY)))
        self.write("agent", self.agent_key(0, self.said(agent, r"signing as (\S+)")[1]))
        self.reload(agent, 1)
        self.said(agent, r"no answer: sending to ")
        relay.spoil = straight.spoil = False
        until(lambda: b"acks_refused" in b"".join(relay.sent + straight.sent), SECONDS, "the agent's ledger says how many")
