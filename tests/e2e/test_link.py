# SPDX-License-Identifier: Apache-2.0
"""Delay, loss and rate that skyfall-link put between two hosts, as the agents measure them. The truth is what
skyfall-link did to the packets, and what the kernel says it sent again."""

import json
import signal
import subprocess
import time

from lab import case, paths

CONNECTIONS = 24
DELAY_US = 60000  # there and back: 40 + 20 ms
RETRANS_SEGS = 12  # its place in /proc/net/snmp


class Link(case.Case):
    """Between hosts a (10.79.0.1) and b (10.79.0.2), beside the good link."""

    def link(self, *options):
        ends = [f"{self.lab.name(host)}=10.79.0.{n}/24,fd79::{n}/64" for host, n in (("a", 1), ("b", 2))]
        self.process = subprocess.Popen([paths.LINK, *options, *ends], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        text=True)
        self.addCleanup(self.unlink)
        self.assertTrue(json.loads(self.process.stdout.readline())["up"])
        self.before = self.retrans_segs()

    def unlink(self):
        """Its last words."""
        if self.process.stdout.closed:
            return None
        self.process.send_signal(signal.SIGTERM)
        said = json.loads(self.process.stdout.readlines()[-1])
        self.assertEqual(self.process.wait(10), 0)
        self.process.stdout.close()
        return said

    def retrans_segs(self):
        said = {host: self.lab.run(host, ["cat", "/proc/net/snmp"]).stdout.splitlines() for host in ("a", "b")}
        return {host: int([line for line in lines if line.startswith("Tcp: ")][1].split()[RETRANS_SEGS])
                for host, lines in said.items()}

    def measured(self, commands):
        """The edge of a client that did this, exact in bytes, connections and what was sent again, with its histograms; and
        what was done to the packets."""
        server, client = self.server("10.79.0.2"), self.client()
        for command in commands:
            client.do(command)
        edge = self.expect(self.views(*self.tally(server, client)))
        self.adds_up()
        for host, column in (("a", "client_c2s_retransmitted"), ("b", "server_s2c_retransmitted")):
            self.assertEqual(edge.get(column, 0), self.retrans_segs()[host] - self.before[host], column)
        hists = self.stack.api(f"edges/{edge['id']}", from_=int(self.began), to=int(time.time()) + 60)["histograms"]
        return edge, hists, self.unlink()

    def near(self, value, truth, share, what):
        self.assertLessEqual(abs(value - truth), truth * share, f"{what}: {value}, in truth {truth}")

    def test_delay(self):
        """Nothing lost: every handshake and round trip is the delay there and back."""
        self.link("--delay", "40ms", "--delay-back", "20ms")
        edge, hists, truth = self.measured([self.connect("10.79.0.2", f"n={CONNECTIONS}"), "talk 20000 20000", "close"])
        for name in ("client_handshake", "server_handshake", "client_c2s_srtt", "server_s2c_srtt"):
            self.near(hists[name]["p50_us"], DELAY_US, 0.25, name)  # buckets are half an octave
        self.assertEqual(hists["client_handshake"]["count"], CONNECTIONS)
        self.assertEqual(truth["there"]["lost"] + truth["back"]["lost"], 0)
        self.assertEqual(edge.get("client_c2s_lost", 0) + edge.get("server_s2c_lost", 0), 0)

    def test_loss(self):
        """5 % there: what is sent again is what was lost, and the sender's kernel judged it so."""
        self.link("--delay", "20ms", "--delay-back", "20ms", "--loss", "5")
        edge, hists, truth = self.measured([self.connect("10.79.0.2", f"n={CONNECTIONS}"), "talk 60000 7", "close"])
        self.near(edge["client_c2s_retransmitted"], truth["there"]["lost"], 0.25, "sent again")
        self.near(edge["client_c2s_lost"], truth["there"]["lost"], 0.35, "lost")
        self.near(edge["client_c2s_retransmitted"] / edge["client_c2s_segs"], 0.05, 0.5, "share")
        self.near(hists["client_c2s_srtt"]["p50_us"], 40000, 0.25, "round trip")

    def test_rate(self):
        """4 Mbit/s: 1.5 MB take 3 s, its queue is in the round trip, and the sender was busy as long."""
        self.link("--delay", "5ms", "--rate", "4000")
        edge, _, truth = self.measured([self.connect("10.79.0.2"), "talk 1500000 7", "close"])
        seconds = truth["there"]["bytes_out"] * 8 / 4e6
        self.near(edge["client_c2s_busy_us"] / 1e6, seconds, 0.15, "busy")
        self.assertGreater(edge["client_c2s_queue_us"] / edge["client_c2s_rtt_samples"], 5000)

    def test_exit_codes(self):
        """A mistake is 2, what the world refuses is 1, and both are said in a line."""
        for words, code in (([], 2), (["--loss", "101", "a=10.0.0.1/8", "b=10.0.0.2/8"], 2), (["x", "y"], 2),
                            (["a=10.0.0.1", "b=10.0.0.2/8"], 2), (["10.0.0.1/8", "10.0.0.2/8"], 2),
                            (["no-such-namespace=10.0.0.1/8", "10.0.0.2/8"], 1), (["--help"], 0)):
            with self.subTest(words=words):
                done = subprocess.run([paths.LINK, *words], capture_output=True, text=True, check=False)
                self.assertEqual(done.returncode, code)
                self.assertEqual(done.stderr.count("\n"), 1 if code else 0, done.stderr)
