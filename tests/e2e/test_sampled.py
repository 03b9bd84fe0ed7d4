# SPDX-License-Identifier: Apache-2.0
"""Standard sFlow at the collector's port: what a switch sampled stands beside what both hosts counted, never added."""

import itertools
import os
import random
import socket
import sys

from lab import case, paths
from lab.wait import until

sys.path.insert(0, os.path.join(paths.ROOT, "tests", "replay"))
import sflow_rows  # noqa: E402  (the path comes first)

RATE = 100


class Sampled(case.Case):
    """One switch, address 10.9.9.9, between the hosts."""

    sequence = itertools.count(1)

    def setUp(self):
        super().setUp()
        with self.lab.inside("m"):
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(self.socket.close)

    def send(self, *samples):
        self.socket.sendto(sflow_rows.datagram(next(self.sequence), samples), ("127.0.0.1", 6343))

    def counted(self, name):
        return self.stack.metrics()[f"skyfall_collector_{name}_total"]

    def test_switch_beside_hosts(self):
        server, client = self.server("10.77.0.2"), self.client()
        for command in (self.connect("10.77.0.2", "n=7"), "talk primes", "close"):
            client.do(command)
        views = self.views(*self.tally(server, client))
        self.expect(views)
        before = self.counted("sampled_rows")
        rng = random.Random(1)
        for i in range(10):  # there and back
            up = sflow_rows.ip_packet("10.77.0.1", "10.77.0.2", 40000 + i, self.port, 1000 + i, options=12)
            down = sflow_rows.ip_packet("10.77.0.2", "10.77.0.1", self.port, 40000 + i, 10, options=12)
            self.send(*(sflow_rows.flow_sample(rng, RATE, [sflow_rows.sampled_header(packet, 4)])
                        for packet in (up, down)))
        sampled = {"c2s_bytes": RATE * 10045, "s2c_bytes": RATE * 100, "c2s_segs": RATE * 10, "s2c_segs": RATE * 10}
        views["network"] = {"rows": 20, **sampled}
        until(lambda: (self.find() or {}).get("network_rows") == 20, case.VISIBLE_SECONDS, "the switch's rows are stored")
        edge = self.expect(views, observed="both+network")
        self.assertIn("sampled", edge["flags"])
        self.assertNotIn("no_role", edge["flags"])
        self.assertEqual({name: edge.get(f"network_{name}") for name in sampled}, sampled)
        self.assertEqual(self.counted("sampled_rows") - before, 20)
        self.adds_up()

    def test_switch_alone(self):
        """Between addresses nobody has an agent on: an edge of its own, one for both directions, without a port."""
        rng = random.Random(2)
        lengths = {"10.201.7.1": 300, "10.202.7.1": 50}
        for (src, size), dst in zip(lengths.items(), reversed(lengths)):
            ports = (1111, 2222) if src < dst else (2222, 1111)
            packet = sflow_rows.ip_packet(src, dst, *ports, size)
            self.send(sflow_rows.flow_sample(rng, RATE, [sflow_rows.sampled_header(packet, 4, False)]))
        query = {"client": "unknown:10.201.7.0/24"}
        until(lambda: (self.find(**query) or {}).get("network_rows") == 2, case.VISIBLE_SECONDS, "it is stored")
        edge = self.find(**query)
        self.assertEqual((edge["server_service"], edge["port"], edge["observed_by"]),
                         ("unknown:10.202.7.0/24", 0, "network"))
        self.assertIn("no_role", edge["flags"])
        self.assertEqual((edge["network_c2s_bytes"], edge["network_s2c_bytes"]), (RATE * 300, RATE * 50))
        self.assertFalse([name for name in edge if name.startswith(("client_c2s", "server_c2s")) and edge[name]])
        self.adds_up()
