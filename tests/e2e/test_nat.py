# SPDX-License-Identifier: Apache-2.0
"""Translated addresses: what two hosts see of one connection meets in one edge, under the tuple on the wire, and says
what was dialled. The hosts are lab/nat.py's."""

import signal
import time

from lab import case, nat, work
from lab.nat import BACKENDS, FRESH, FRESH6, PLAIN, PUBLISHED, REFUSING, SERVICE, SERVICE6
from lab.wait import middle_of_interval, until

CLIENT = "c-nat"
LOST_CONNECTIONS = 15000


class Nat(case.Case):
    """Servers live as long as the class and all clients are one service: whoever is at an address is known in every
    interval, also in one in which a loaded machine cuts one host's interval late. A case's rows begin with `began`."""

    options = ()
    a, b, q, service, dialled = "10.77.0.1", "10.77.0.2", "10.77.9.2", SERVICE, SERVICE
    fresh, fresh_dialled = FRESH, f"{FRESH}:80"

    @classmethod
    def setUpClass(cls):
        stack = nat.start(*cls.options)
        lab = stack.lab
        cls.servers = {port: work.serve(lab, host, f"s-{port}", address, port)
                       for port, host, address in ((BACKENDS[0], "b", cls.b), (BACKENDS[1], "b", cls.b),
                                                   (PUBLISHED, "q", cls.q), (PLAIN, "b", cls.b))}
        cls.meet(stack, lab)

    @classmethod
    def meet(cls, stack, lab):
        """The agent has met the addresses: one that is translated is watched by connection from then on."""
        began, n = time.time() - 1, 0
        for host, address, port in (("p", cls.b, PLAIN), ("p", cls.service, 80), ("a", cls.b, 8080)):
            client = work.client(lab, host, CLIENT)
            for command in (f"connect {address} {port} n=100", "talk 11 13", "close"):
                client.do(command)
            n += 100
            until(lambda: sum(e.get("client_closed", 0) for e in stack.edges(began, client=CLIENT)) == n,
                  case.VISIBLE_SECONDS, f"the first connections to {address}:{port} are seen")
            client.stop()

    @classmethod
    def tearDownClass(cls):
        for server in cls.servers.values():
            server.stop()
        case.Shared.drop()

    def setUp(self):
        super().setUp()
        self.client_service = CLIENT
        self.began = int(time.time()) + 1
        self.base = {port: dict(server.do("report")) for port, server in self.servers.items()}

    # --- what both ends say

    def talk(self, host, address, port, n, talk="talk primes"):
        """A client's n connections, begun and ended in one interval: hosts cut it some ms apart."""
        client = self.client(host=host)
        middle_of_interval(after=self.began)
        for command in (f"connect {address} {port} n={n}", talk, "close"):
            client.do(command)
        self.ended(client)
        return client

    def did(self, port, name):
        """What this case made a server do."""
        return self.servers[port].tally[name] - self.base[port][name]

    def ended(self, client):
        """The servers have seen the end of what the client closed."""
        client.do("report")
        until(lambda: all(s.do("report") for s in self.servers.values()) and
              sum(self.did(port, "closed") for port in self.servers) >= client.tally["closed"], 20,
              lambda: f"the servers see the end of {client.tally}")

    def edge_of(self, server, port=None, via=None):
        """The edge to this back end shows in both views just what that server did."""
        both = {"opened": self.did(server, "opened"), "closed": self.did(server, "closed"),
                "c2s_bytes": self.did(server, "received"), "s2c_bytes": self.did(server, "sent")}
        edge = self.expect({"client": {"attempts": both["opened"], **both}, "server": both}, server=f"s-{server}",
                           client=self.client_service, port=port or server)
        self.assertEqual(edge.get("via"), via)
        self.assertNotIn("nat_unsplit", edge.get("flags") or [])
        pairs = self.stack.api(f"edges/{edge['id']}", from_=int(self.began), to=int(time.time()) + 60)["pairs"]
        self.assertEqual([(p["client"], p["server"]) for p in pairs], [(self.a, self.b)])

    def only(self, *ports):
        """No edge of this client but these, and everything adds up."""
        edges = self.stack.edges(self.began, client=self.client_service)
        self.assertEqual(sorted(e["port"] for e in edges), sorted(ports),
                         [(e["server_service"], e["port"], e.get("via"), e.get("flags")) for e in edges])
        self.adds_up()


class Same:
    """What holds for both families and in each mode that sees short connections."""

    def test_masquerade(self):
        self.talk("p", self.b, PLAIN, 23)
        self.edge_of(PLAIN)
        self.only(PLAIN)

    def balanced(self, host):
        self.talk(host, self.service, 80, 23)
        self.assertEqual(sum(self.did(port, "opened") for port in BACKENDS), 23)
        for port in BACKENDS:
            self.edge_of(port, via=f"{self.dialled}:80")
        self.only(*BACKENDS)

    def test_service_with_two_back_ends(self):
        """From the host itself."""
        self.balanced("a")

    def test_service_from_behind_masquerade(self):
        self.balanced("p")

    def test_published_port(self):
        """The server's view is put under what the outside dials."""
        self.talk("a", self.b, 8080, 23)
        self.edge_of(PUBLISHED, port=8080)
        self.only(8080)

    def test_refused_by_a_back_end(self):
        """That it failed is said of the back end, not of the address dialled."""
        client = self.client(host="p")
        middle_of_interval(after=self.began)
        client.do(f"connect {self.service} 82 n=5")
        client.do("report")
        edge = self.expect({"client": {"attempts": 5, "failed_refused": 5}}, observed="client", server="host:skyhost-b",
                           client=self.client_service, port=REFUSING)
        self.assertEqual(edge.get("via"), f"{self.dialled}:82")
        self.only(REFUSING)

    def test_open_connections(self):
        """Each is settled by itself, however many there are and whatever was known before."""
        client = self.client(host="p")
        middle_of_interval(after=self.began)
        client.do(f"connect {self.fresh} 80 n=40")
        for _ in range(3):
            middle_of_interval(after=int(time.time()))
            client.do("talk 1009 2003")
        client.do("close")
        self.ended(client)
        for port in BACKENDS:
            self.edge_of(port, via=self.fresh_dialled)
        self.only(*BACKENDS)



class Nat6(Same, Nat):

    a, b, q, service, dialled = "fd77::1", "fd77::2", "fd77:9::2", SERVICE6, f"[{SERVICE6}]"
    fresh, fresh_dialled = FRESH6, f"[{FRESH6}]:80"


class NatStable(Same, Nat):
    """In the mode that knows no structures of the kernel."""

    options = ("--source", "stable")


class Nat4(Same, Nat):

    def test_service_with_one_back_end(self):
        self.talk("p", SERVICE, 81, 7)
        self.edge_of(BACKENDS[0], via=f"{SERVICE}:81")
        self.only(BACKENDS[0])

    def test_a_first_burst_is_not_split_wrongly(self):
        """Before the agent knows of the address: what cannot be told apart stays on what was dialled, flagged, and with the
        rest adds up to all."""
        client = self.talk("p", FRESH, 80, 200, "talk 101 53")
        sent, received = client.tally["sent"], client.tally["received"]

        def sums():
            self.edges = self.stack.edges(self.began, client=self.client_service)
            return tuple(sum(e.get(f"client_{name}", 0) for e in self.edges)
                         for name in ("closed", "c2s_bytes", "s2c_bytes"))
        until(lambda: sums() == (200, sent, received), case.VISIBLE_SECONDS, lambda: f"{sums()} of {client.tally}")
        for edge in self.edges:
            if edge["port"] == 80:
                self.assertIn("nat_unsplit", edge["flags"])
            else:
                self.assertEqual(edge["via"], f"{FRESH}:80")
                self.assertLessEqual(edge.get("client_c2s_bytes", 0), self.did(edge["port"], "received"))
        self.adds_up()

    def told(self, name):
        """What host a's agent counted since the case began."""
        return sum(line["info"].get(name, 0) for line in self.lines())

    def lines(self):
        return self.stack.api("ledger", instance="id-a", from_=int(self.began), to=int(time.time()) + 60)["lines"]

    def test_lost_messages_of_tracking(self):
        """The agent stands still while more is translated than the kernel keeps messages of: counted, and the table is read
        again. What it does not tell any more is flagged, nothing is put where it did not go."""
        client, agent = self.client(host="p"), self.stack.agents["a"].process
        until(lambda: self.lines(), case.VISIBLE_SECONDS, "the agent's lines")
        self.assertEqual(self.told("nat_overflows"), 0)
        agent.send_signal(signal.SIGSTOP)
        try:
            for _ in range(LOST_CONNECTIONS // 1000):
                client.do(f"connect {self.service} 80 n=1000")
                client.do("close")
        finally:
            agent.send_signal(signal.SIGCONT)
        client.do("report")

        def all_seen():
            self.edges = self.stack.edges(self.began, client=self.client_service)
            return sum(e.get("client_closed", 0) for e in self.edges)
        until(lambda: all_seen() == client.tally["closed"], 30, lambda: f"{all_seen()} of {client.tally}")
        self.assertGreater(self.told("nat_overflows"), 0)
        self.ended(client)
        for edge in self.edges:
            if edge["port"] == 80:
                self.assertIn("nat_unsplit", edge["flags"])
            else:
                self.assertLessEqual(edge.get("client_closed", 0), self.did(edge["port"], "closed"))
        self.assertGreater(sum(e.get("client_closed", 0) for e in self.edges if e["port"] != 80), LOST_CONNECTIONS // 4)
        # and goes on
        self.began = int(time.time()) + 2
        self.base = {port: dict(server.do("report")) for port, server in self.servers.items()}
        self.balanced("p")

    def test_bridges_of_two_hosts_do_not_mix(self):
        """The same addresses and port on both hosts, at the same time: two edges, each with its own sums."""
        ends = {}
        for host, inner, n in (("a", "x", 7), ("b", "y", 11)):
            server = self.server("172.17.0.2", service=f"s-on-{host}", host=inner, port=9200)
            ends[host] = server, self.client(service=f"c-on-{host}", host=host), n
        middle_of_interval(after=self.began)
        for host, (server, client, n) in ends.items():
            for command in (f"connect 172.17.0.2 9200 n={n}", f"talk {1000 * n} 53", "close"):
                client.do(command)
        for host, (server, client, n) in ends.items():
            self.expect(self.views(*self.tally(server, client)), server=f"s-on-{host}", client=f"c-on-{host}")
        self.adds_up()
