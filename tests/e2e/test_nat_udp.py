# SPDX-License-Identifier: Apache-2.0
"""Translated addresses and datagrams: each where it went, in both views, whoever dialled what. The hosts are lab/nat.py's."""

import time

import test_udp
from lab import case, nat, work
from lab.nat import BACKENDS, FRESH, PLAIN, PUBLISHED, SERVICE, SERVICE6
from lab.wait import middle_of_interval, until


class Nat(test_udp.Udp):
    """Agents that count datagrams, on hosts that translate."""

    @classmethod
    def setUpClass(cls):
        lab = nat.start(*cls.options).lab
        # The agent has met the addresses: what goes to one that is translated is watched by port from then on.
        for host, address in (("a", SERVICE), ("p", SERVICE), ("p", SERVICE6)):
            first = work.Work(lab, host, "c-first", ["udp-client"])
            for command in (f"open {address} 80", "mmsg 1 11", "close"):
                first.do(command)
            first.stop()
        middle_of_interval(after=int(time.time()) + 2)

    @classmethod
    def tearDownClass(cls):
        case.Shared.drop()

    def servers(self, *ends):
        """A server at each of (port, host, address)."""
        return {port: self.serve(address, port=port, service=f"{self.server_service}-{port}", host=host)
                for port, host, address in ends}

    def read(self, servers, client, before=0):
        """What all did, once everything has arrived; before: what they had received."""
        client.do("report")
        until(lambda: sum(s.do("report")["received"] for s in servers.values()) - before >= client.tally["sent"], 20,
              lambda: f"all arrives: {[s.tally for s in servers.values()]} of {client.tally}")
        self.assertEqual(client.tally["unanswered"], 0)
        return client.tally

    def edge_of(self, server, tally, port, via=None, **opened):
        """Both views of the edge to a server show what it did, and which address was dialled."""
        sums = {"c2s_bytes": tally["received_bytes"], "s2c_bytes": tally["sent_bytes"], "c2s_segs": tally["received"],
                "s2c_segs": tally["sent"]}
        edge = self.expect_udp({"client": {**sums, **opened}, "server": sums},
                               server=f"{self.server_service}-{server}", client=self.client_service, port=port)
        self.assertEqual(edge.get("via"), via)
        self.assertNotIn("nat_unsplit", edge.get("flags") or [])

    def only(self, *ports):
        edges = self.stack.edges(self.began, client=self.client_service)
        self.assertEqual(sorted(e["port"] for e in edges), sorted(ports),
                         [(e["server_service"], e["port"], e.get("via"), e.get("flags")) for e in edges])
        self.adds_up()


class NatUdp(Nat):

    def masquerade(self, address):
        servers, client = self.servers((PLAIN, "b", address)), self.ask(host="p")
        client.do(self.open(address, "n=5", port=PLAIN))
        client.do("send 40 31 211")
        self.read(servers, client)
        self.edge_of(PLAIN, servers[PLAIN].tally, PLAIN)
        self.only(PLAIN)

    def test_udp_masquerade(self):
        self.masquerade("10.77.0.2")

    def test_udp_masquerade_ipv6(self):
        self.masquerade("fd77::2")

    def balanced(self, host, address, backend, text, *options, sockets=60, fields=test_udp.FIELDS):
        """Of many sockets each goes to one of two back ends, and stays with it."""
        servers = self.servers(*((port, "b", backend) for port in BACKENDS))
        client = self.ask(host=host)
        client.do(self.open(address, f"n={sockets}", *options, port=80))
        for _ in range(3):
            client.do("send 2 101 57")
            middle_of_interval(after=int(time.time()))
        client.do("close")
        self.read(servers, client)
        for port, server in servers.items():
            opened = {"opened": server.tally["received"] // 6, "closed": server.tally["received"] // 6} if options else {}
            self.edge_of(port, server.tally, port, via=f"{text}:80", **opened)
        self.only(*BACKENDS)

    def test_udp_service_from_the_host(self):
        """What is sent is seen behind the translation, what comes in front of it."""
        self.balanced("a", SERVICE, "10.77.0.2", SERVICE)

    def test_udp_service_from_behind_masquerade(self):
        self.balanced("p", SERVICE, "10.77.0.2", SERVICE)

    def test_udp_service_connected(self):
        self.balanced("p", SERVICE, "10.77.0.2", SERVICE, "connect")

    def test_udp_service_connected_on_the_host(self):
        self.balanced("a", SERVICE, "10.77.0.2", SERVICE, "connect")

    def test_udp_service_ipv6(self):
        self.balanced("p", SERVICE6, "fd77::2", f"[{SERVICE6}]", "connect")

    def published(self, address, inner):
        """Of a port that is known to be translated: before, what has more sockets than a row lists is flagged."""
        servers, client = self.servers((PUBLISHED, "q", inner)), self.ask(host="a")
        first = self.ask("c-first", host="a")
        first.do(self.open(address, "n=40", port=8080))
        first.do("send 1 31 211")
        until(lambda: sum(e.get("server_c2s_segs", 0) for e in self.stack.edges(
            self.began, server=f"{self.server_service}-{PUBLISHED}")) == 40,
              case.VISIBLE_SECONDS, "the port is met")
        servers[PUBLISHED].do("report")
        before = dict(servers[PUBLISHED].tally)
        client.do(self.open(address, "n=23", port=8080))
        client.do("send 10 31 211")
        self.read(servers, client, before["received"])
        self.edge_of(PUBLISHED, {name: value - before[name] for name, value in servers[PUBLISHED].tally.items()}, 8080)
        self.only(8080)

    def test_udp_published_port(self):
        self.published("10.77.0.2", "10.77.9.2")

    def test_udp_published_port_ipv6(self):
        self.published("fd77::2", "fd77:9::2")

    def test_udp_a_first_burst_is_not_split_wrongly(self):
        """More sockets than a row lists, at an address of which nothing is known: what cannot be told apart stays on what was
        dialled, flagged; no back end has more than it got, and all adds up."""
        servers = self.servers(*((port, "b", "10.77.0.2") for port in BACKENDS))
        client = self.ask(host="p")
        middle_of_interval(after=int(time.time()))
        client.do(self.open(FRESH, "n=200", port=80))
        client.do("send 1 101 53")
        tally = self.read(servers, client)

        def sums():
            self.edges = self.stack.edges(self.began, client=self.client_service)
            return tuple(sum(e.get(f"client_{name}", 0) for e in self.edges) for name in ("c2s_bytes", "s2c_bytes"))
        until(lambda: sums() == (tally["sent_bytes"], tally["received_bytes"]), case.VISIBLE_SECONDS,
              lambda: f"{sums()} of {tally}")
        for edge in self.edges:
            if edge["port"] == 80:
                self.assertIn("nat_unsplit", edge["flags"])
            else:
                self.assertEqual(edge["via"], f"{FRESH}:80")
                self.assertLessEqual(edge.get("client_c2s_bytes", 0), servers[edge["port"]].tally["received_bytes"])
        self.adds_up()


class NatUdpConnect(Nat):
    """Agents that follow sockets with a peer only."""

    options = ("--udp", "connect")

    def test_udp_connect_service(self):
        servers = self.servers(*((port, "b", "10.77.0.2") for port in BACKENDS))
        client = self.ask(host="p")
        client.do(self.open(SERVICE, "n=60", "connect", port=80))
        client.do("send 2 101 57")
        middle_of_interval(after=int(time.time()))
        client.do("close")
        self.read(servers, client)
        for port, server in servers.items():
            ended = server.tally["received"] // 2
            edge = self.expect_udp({"client": {"opened": ended, "closed": ended}}, observed="client", fields=("opened", "closed"),
                                   client=self.client_service, port=port)
            self.assertEqual((edge.get("via"), edge["server_service"]), (f"{SERVICE}:80", f"{self.server_service}-{port}"))
        self.only(*BACKENDS)
