# SPDX-License-Identifier: Apache-2.0
"""UDP: every datagram and byte on both views, whoever asked how; sockets with a peer where only those are asked for."""

import json
import subprocess
import time

from lab import case, paths, work
from lab.stack import Program
from lab.wait import middle_of_interval, until

PEERS = 64
KNOWN_SECONDS = 60  # its owner is looked for among all descriptors of the machine, 8,192 an interval
BYTES = ("--udp", "bytes", "--udp-peers", str(PEERS))
FIELDS = ("opened", "closed", "c2s_bytes", "s2c_bytes", "c2s_segs", "s2c_segs")
SUMS = FIELDS[2:]
NOT_KNOWN = ("attempts", "failed", "failed_by", "failed_refused", "resets", "retransmitted", "retransmit_ratio",
             "c2s_retransmitted", "c2s_lost", "reset_received", "handshake_p50_us", "srtt_p50_us")
MANY = "10.80.0.0/20"  # addresses of host a for one program each


class Udp(case.Case):
    """Agents that count datagrams."""

    options = BYTES
    listeners_told = True

    @classmethod
    def setUpClass(cls):
        case.Shared.get().restart_agents(*cls.options)

    @classmethod
    def tearDownClass(cls):
        case.Shared.get().restart_agents()

    def serve(self, address, *options, port=None, service=None, host="b"):
        middle_of_interval(most=0.7)
        program = work.Work(self.lab, host, service or self.server_service,
                            ["udp-serve", address, port or self.port, *options])
        program.read(work.START_SECONDS)
        self.addCleanup(program.stop)
        if self.listeners_told:
            until(lambda: self.listening(port or self.port, service or self.server_service), KNOWN_SECONDS,
                  "the server's port is known")
        return program

    def listening(self, port, service):
        """A host has said who waits for datagrams on the port: a client's first row finds its name then."""
        return any((one["port"], one["protocol"], one["service"]) == (port, "udp", service)
                   for host in self.stack.api("hosts")["hosts"] for one in host["listeners"])

    def ask(self, service=None, host="a"):
        program = work.Work(self.lab, host, service or self.client_service, ["udp-client"])
        self.addCleanup(program.stop)
        return program

    def open(self, address, *options, port=None):
        return " ".join(["open", address, str(port or self.port), *options])

    def told(self, server, client):
        """What both did, once the server has read everything; nothing was lost on the way."""
        client.do("report")
        until(lambda: server.do("report")["received"] >= client.tally["sent"], 20,
              lambda: f"all arrives: {server.tally} of {client.tally}")
        self.assertEqual(client.tally["unanswered"], 0)
        self.assertEqual((server.tally["received"], server.tally["received_bytes"]),
                         (client.tally["sent"], client.tally["sent_bytes"]))
        return client.tally, server.tally

    @staticmethod
    def sums(client):
        """What a conversation is, by its client's tally."""
        return {"c2s_bytes": client["sent_bytes"], "s2c_bytes": client["received_bytes"], "c2s_segs": client["sent"],
                "s2c_segs": client["received"]}

    def expect_udp(self, views, observed="both", fields=FIELDS, **query):
        """Waits until the edge shows just this; from SQLite too. The edge."""
        query = query or {"client": self.client_service, "port": self.port}
        expected = {f"{view}_{name}": views[view].get(name, 0) for view in views for name in fields}

        def differences():
            self.seen = self.find(**query)
            if self.seen is None:
                return {"edge": "none", "on the port": [
                    (e["client_service"], e["server_service"], e["observed_by"]) for e in self.stack.edges(
                        self.began, port=self.port)]}
            return {name: f"{self.seen.get(name, 0)}, expected {value}" for name, value in expected.items()
                    if self.seen.get(name, 0) != value}

        until(lambda: not differences(), case.VISIBLE_SECONDS, lambda: f"{query}: {differences()}")
        self.assertEqual((self.seen["protocol"], self.seen["observed_by"]), ("udp", observed))
        stored = self.stack.stored(self.seen["id"], self.began)
        self.assertEqual({name: stored.get(name, 0) for name in expected}, expected, "SQLite")
        return self.seen

    def both(self, tally, **opened):
        """Two views of one truth. opened: what the client (and the server) tell of sockets with a peer."""
        sums = self.sums(tally)
        return {"client": {**sums, **opened.get("client", {})}, "server": {**sums, **opened.get("server", {})}}

    def conversation(self, address, commands, options=(), listen=None, **opened):
        server, client = self.serve(listen or address, *options), self.ask()
        for command in commands:
            client.do(command)
        tally, _ = self.told(server, client)
        edge = self.expect_udp(self.both(tally, **opened))
        self.assertEqual(edge["server_service"], self.server_service)
        self.adds_up()
        return edge


class Datagrams(Udp):

    def test_udp_unconnected(self):
        """As a resolver asks: sendto and recvfrom, five sockets, a server with one."""
        edge = self.conversation("10.77.0.2", [self.open("10.77.0.2", "n=5"), "send 40 31 211", "close"])
        self.assertEqual((edge["client_c2s_segs"], edge["client_c2s_bytes"], edge["client_s2c_bytes"]),
                         (200, 200 * 31, 200 * 211))

    def test_udp_connected(self):
        ended = {"client": {"opened": 7, "closed": 7}}
        self.conversation("10.77.0.2", [self.open("10.77.0.2", "n=7", "connect"), "send 30 1009 503", "close"], **ended)

    def test_udp_open_over_intervals(self):
        """A connected socket that lives on: its part of each interval, and nothing twice."""
        server, client = self.serve("10.77.0.2"), self.ask()
        client.do(self.open("10.77.0.2", "n=3", "connect"))
        for _ in range(4):
            client.do("send 10 101 57")
            middle_of_interval(after=int(time.time()))
        tally, _ = self.told(server, client)
        edge = self.expect_udp(self.both(tally, client={"opened": 3}))
        client.do("close")
        edge = self.expect_udp(self.both(tally, client={"opened": 3, "closed": 3}))
        self.assertGreater(edge["client_open_ms"], 3 * 3000)
        self.adds_up()

    def test_udp_connected_server(self):
        """A server that connects a socket to each client, as some QUIC servers do."""
        server, client = self.serve("10.77.0.2", "accept"), self.ask()
        client.do(self.open("10.77.0.2", "n=4", "connect"))
        client.do("send 20 301 701")
        client.do("close")
        tally, _ = self.told(server, client)
        server.do("close")
        self.expect_udp(self.both(tally, client={"opened": 4, "closed": 4}, server={"opened": 4, "closed": 4}))
        self.adds_up()

    def test_udp_ipv6(self):
        edge = self.conversation("fd77::2", [self.open("fd77::2", "n=3"), "send 50 31 211", "close"])
        pair = self.stack.api(f"edges/{edge['id']}", from_=int(self.began), to=int(time.time()) + 60)["pairs"]
        self.assertEqual([(p["client"], p["server"]) for p in pair], [("fd77::1", "fd77::2")])

    def test_udp_mapped(self):
        """IPv6 sockets that speak IPv4, connected and not: one conversation under its IPv4 addresses."""
        edge = self.conversation("10.77.0.2", [self.open("::ffff:10.77.0.2", "n=3"), "send 50 31 211", "close",
                                               self.open("::ffff:10.77.0.2", "n=2", "connect"), "send 9 31 211",
                                               "close"], listen="::", client={"opened": 2, "closed": 2})
        pair = self.stack.api(f"edges/{edge['id']}", from_=int(self.began), to=int(time.time()) + 60)["pairs"]
        self.assertEqual([(p["client"], p["server"]) for p in pair], [("10.77.0.1", "10.77.0.2")])

    def test_udp_sendmmsg(self):
        self.conversation("10.77.0.2", [self.open("10.77.0.2"), "mmsg 1000 97", "close", self.open(
            "10.77.0.2", "connect"), "mmsg 500 97", "close"], client={"opened": 1, "closed": 1})

    def test_udp_segments(self):
        """UDP_SEGMENT: one call, many datagrams; the last one shorter. To a server with UDP_GRO, and to one without."""
        for options in ((), ("gro",)):
            with self.subTest(options=options):
                self.name = f"segments{len(options)}"
                self.client_service, self.server_service = f"c-{self.name}", f"s-{self.name}"
                self.port = self.port + len(options)
                self.conversation("10.77.0.2", [self.open("10.77.0.2"), "segments 50001 1000", "segments 999 1000",
                                                "close", self.open("10.77.0.2", "connect"), "segments 60000 1200",
                                                "close"], options, client={"opened": 1, "closed": 1})

    def test_udp_fragments(self):
        """Datagrams larger than the link's: cut by IP, counted as one."""
        self.conversation("10.77.0.2", [self.open("10.77.0.2"), "send 10 60001 30001", "close"])

    def test_udp_empty_datagrams(self):
        self.conversation("10.77.0.2", [self.open("10.77.0.2"), "mmsg 17 0", "close"])

    def test_udp_loopback(self):
        """Both ends on one host."""
        server, client = self.serve("127.0.0.1", host="a"), self.ask()
        for command in (self.open("127.0.0.1", "n=2"), "send 30 33 44", "close"):
            client.do(command)
        tally, _ = self.told(server, client)
        self.expect_udp(self.both(tally))
        self.adds_up()

    def test_udp_1000_peers(self):
        """A server whose clients have a thousand addresses: as many rows as are allowed, and one for all others; every
        sum is whole."""
        self.lab.ip("a", "route", "add", "local", MANY, "dev", "lo")
        self.addCleanup(self.lab.ip, "a", "route", "del", "local", MANY, "dev", "lo")
        self.lab.ip("b", "route", "add", MANY, "via", "10.77.0.1")
        self.addCleanup(self.lab.ip, "b", "route", "del", MANY, "via", "10.77.0.1")
        server, client = self.serve("10.77.0.2"), self.ask()
        client.do(f"peers 10.77.0.2 {self.port} 10.80.0.1 1000 61 1201")
        tally, _ = self.told(server, client)
        expected = self.sums(tally)
        self.assertEqual((expected["c2s_segs"], expected["s2c_bytes"]), (1000, 1201000))

        def seen():
            edges = self.stack.edges(self.began, server=self.server_service, port=self.port)
            return edges, {f"{view}_{name}": sum(e.get(f"{view}_{name}", 0) for e in edges)
                           for view in ("client", "server") for name in SUMS}

        want = {f"{view}_{name}": expected[name] for view in ("client", "server") for name in SUMS}
        until(lambda: seen()[1] == want, case.VISIBLE_SECONDS, lambda: f"{seen()[1]}, expected {want}")
        by_client = {e["client_service"]: e for e in seen()[0]}
        self.assertEqual(set(by_client), {self.client_service, "others"})
        others = by_client["others"]["server_c2s_segs"]
        intervals = int(time.time()) + 1 - int(self.began)
        self.assertGreaterEqual(others, 1000 - PEERS * intervals)
        self.assertGreater(others, 0)
        self.assertEqual(by_client[self.client_service]["client_c2s_segs"], 1000)
        self.assertEqual(by_client["others"]["observed_by"], "server")
        self.adds_up()

    def test_udp_older_than_the_agent(self):
        """A server and a client that were there first: what they do from then on, with their names."""
        server, client = self.serve("10.77.0.2"), self.ask()
        client.do(self.open("10.77.0.2", "n=2", "connect"))
        client.do("send 5 101 103")
        before = self.sums(self.told(server, client)[0])
        self.stack.restart_agents(*self.options)
        self.began = time.time()
        client.do("send 7 211 307")
        after = self.sums(self.told(server, client)[0])
        client.do("close")
        sums = {name: after[name] - before[name] for name in after}
        edge = self.expect_udp({"client": {**sums, "closed": 2}, "server": sums})
        self.assertIn("joined_in_progress", edge["flags"])
        self.adds_up()

    def test_udp_api_and_top(self):
        """What UDP has no word for is not there: it is not known, not 0."""
        edge = self.conversation("10.77.0.2", [self.open("10.77.0.2"), "send 9 31 211", "close"])
        for name in NOT_KNOWN:
            self.assertNotIn(f"client_{name}", edge)
            self.assertNotIn(name, edge["derived"])
        udp = self.stack.edges(self.began, protocol="udp", client=self.client_service)
        self.assertEqual([e["id"] for e in udp], [edge["id"]])
        self.assertEqual(self.stack.edges(self.began, protocol="tcp", client=self.client_service), [])
        top = self.stack.skyfall("top", "--once", "--filter", self.client_service)
        self.assertIn(self.server_service, top)


class Connected(Udp):
    """Agents as they are by default: sockets with a peer, no datagrams."""

    options = ()

    def test_udp_by_default(self):
        """Who talks to whom, how many sockets and how long; the server is named by its port."""
        server, client = self.serve("10.77.0.2"), self.ask()
        for command in (self.open("10.77.0.2", "n=3", "connect"), "send 5 31 211"):
            client.do(command)
        self.told(server, client)
        self.expect_udp({"client": {"opened": 3}}, observed="client")
        client.do("close")
        edge = self.expect_udp({"client": {"opened": 3, "closed": 3}}, observed="client")
        self.assertEqual(edge["server_service"], self.server_service)
        self.assertGreater(edge["client_open_ms"], 0)
        for name in ("bytes", "c2s_bytes", "s2c_bytes", "bytes_per_s", "segs"):
            self.assertNotIn(name, edge["derived"])  # nobody counted: not known, not 0
        self.adds_up()

    def test_udp_connect_alone(self):
        """A socket that is connected and never used, as resolvers do to learn an address; and one that moves on."""
        server, client = self.serve("10.77.0.2"), self.ask()
        client.do(self.open("10.77.0.2", "n=9", "connect"))
        client.do("close")
        server.do("report")
        self.expect_udp({"client": {"opened": 9, "closed": 9}}, observed="client")
        self.adds_up()


class Full(Udp):
    """More sockets than there are places."""

    options = ()
    listeners_told = False

    def test_udp_tables_full(self):
        """400 sockets where 256 have places: what is not in a row is counted, to the datagram and byte."""
        log = self.stack.log("agent-c")
        agent = Program(self.lab, "c", "agent c", [
            paths.AGENT, "--print", "--json", "--interval", "1s", "--budget", "0", "--netns", self.lab.name("c"),
            "--udp", "bytes", "--max-socks", "1024"], log)
        self.addCleanup(agent.stop)
        until(lambda: "measuring" in agent.tail(), work.START_SECONDS, agent.tail)
        server, client = self.serve("127.0.0.1", host="c"), self.ask(host="c")
        for command in (self.open("127.0.0.1", "n=400"), "send 3 101 0"):
            client.do(command)
        tally, _ = self.told(server, client)
        client.do("close")
        agent.stop()
        self.assertEqual(tally["sent"], 1200)
        with open(log, encoding="utf-8") as file:
            said = [json.loads(line) for line in file if line.startswith("{")]
        rows = [row for row in said if row["type"] == "row" and row["port"] == self.port]
        lost = {name: sum(line["info"].get(f"udp_{name}", 0) for line in said if line["type"] == "health")
                for name in ("lost_datagrams", "lost_bytes", "socks_full")}
        client_segs, client_bytes = (sum(row.get(name, 0) for row in rows if row["view"] == "client")
                                     for name in ("tx_segs", "tx_bytes"))
        server_segs = sum(row.get("rx_segs", 0) for row in rows if row["view"] == "server")
        self.assertEqual(client_segs + lost["lost_datagrams"], 1200)
        self.assertEqual(client_bytes + lost["lost_bytes"], 1200 * 101)
        self.assertEqual(server_segs, 1200)  # its socket was there first
        self.assertGreaterEqual(client_segs, 3 * 200)
        self.assertGreaterEqual(lost["lost_datagrams"], 3 * 144)
        self.assertGreaterEqual(lost["socks_full"], 144)


class Off(Udp):

    options = ("--udp", "off")
    listeners_told = False

    def programs(self, pid):
        """Names of the programs a process holds."""
        found = []
        for entry in json.loads(subprocess.run(["bpftool", "-j", "prog", "show"], capture_output=True,
                                               check=True).stdout):
            if any(p["pid"] == pid for p in entry.get("pids", ())):
                found.append(entry["name"])
        return found

    def test_udp_off(self):
        """Nothing is attached, nothing is said."""
        server, client = self.serve("10.77.0.2"), self.ask()
        for command in (self.open("10.77.0.2", "n=3", "connect"), "send 5 31 211", "close"):
            client.do(command)
        self.told(server, client)
        self.settled()
        self.assertIsNone(self.find())
        maps = json.loads(subprocess.run(["bpftool", "-j", "map", "show"], capture_output=True, check=True).stdout)
        mine = {agent.process.pid for agent in self.stack.agents.values()}
        self.assertEqual([m["name"] for m in maps if m.get("name", "").startswith("udp_") and
                          mine & {p["pid"] for p in m.get("pids", ())}], [])
