# SPDX-License-Identifier: Apache-2.0
"""Exactness: programs of known behaviour, both views of their edge to the byte and the connection, from the API and
from SQLite, and a ledger that adds up after each."""

import os
import subprocess
import time

from lab import case, work
from lab.wait import middle_of_interval, until

FAIL_IN_THREADS = """
import errno, socket, sys, threading
failed = []
def fail():
    with socket.socket() as s:
        failed.append(s.connect_ex((sys.argv[1], int(sys.argv[2]))))
threads = [threading.Thread(target=fail) for _ in range(int(sys.argv[3]))]
for t in threads: t.start()
for t in threads: t.join()
print(failed.count(errno.ENETUNREACH), flush=True)
sys.stdin.read()
"""


class Exact(case.Case):
    """Connections that work."""

    def conversation(self, address, commands, options=(), listen=None, heavy=False, **more):
        """A server, a client that does the commands; then both views are what the two say."""
        server, client = self.server(listen or address, *options), self.client()
        if heavy:
            self.introduce(client)
        for command in commands:
            client.do(command)
        edge = self.expect(self.views(*self.tally(server, client), **more))
        self.adds_up()
        return edge

    def test_23_connections_of_prime_sizes(self):
        edge = self.conversation("10.77.0.2", [self.connect("10.77.0.2", "n=23"), "talk primes", "close"])
        self.assertEqual(edge["client_opened"], 23)
        self.assertEqual((edge["client_c2s_bytes"], edge["client_s2c_bytes"]), (1128364 + 23 * 24, 16510601))

    def test_ipv6(self):
        edge = self.conversation("fd77::2", [self.connect("fd77::2", "n=23"), "talk primes", "close"])
        pair = self.stack.api(f"edges/{edge['id']}", from_=int(self.began), to=int(time.time()) + 60)["pairs"]
        self.assertEqual([(p["client"], p["server"]) for p in pair], [("fd77::1", "fd77::2")])

    def test_ipv4_mapped(self):
        """An IPv6 socket that speaks IPv4: one conversation, under its IPv4 addresses."""
        edge = self.conversation("10.77.0.2", [self.connect("::ffff:10.77.0.2", "n=23"), "talk primes", "close"],
                                 listen="::")
        pair = self.stack.api(f"edges/{edge['id']}", from_=int(self.began), to=int(time.time()) + 60)["pairs"]
        self.assertEqual([(p["client"], p["server"]) for p in pair], [("10.77.0.1", "10.77.0.2")])

    def test_zero_bytes(self):
        self.conversation("10.77.0.2", [self.connect("10.77.0.2", "n=7"), "close"])

    def test_more_than_4_gib_on_one_connection(self):
        edge = self.conversation("10.77.0.2", [self.connect("10.77.0.2"), f"talk {(4 << 30) + 12345} 7", "close"],
                                 heavy=True)
        self.assertEqual(edge["client_c2s_bytes"], (4 << 30) + 12345 + 24)

    def test_more_than_4_gib_downwards(self):
        edge = self.conversation("10.77.0.2", [self.connect("10.77.0.2"), f"talk 7 {(4 << 30) + 54321}", "close"],
                                 heavy=True)
        self.assertEqual(edge["server_s2c_bytes"], (4 << 30) + 54321)

    def test_half_close(self):
        self.conversation("10.77.0.2", [self.connect("10.77.0.2", "n=3"), f"talk 1009 50021 {work.AFTER_EOF}", "eof",
                                        "drain", "close"])

    def test_server_closes_first(self):
        self.conversation("10.77.0.2", [self.connect("10.77.0.2", "n=3"), f"talk 31 1013 {work.CLOSE}", "drain",
                                        "close"])

    def test_sendfile(self):
        self.conversation("10.77.0.2", [self.connect("10.77.0.2", "n=3"), "sendfile 1000003 17", "close"])

    def test_nonblocking_connect(self):
        self.conversation("10.77.0.2", [self.connect("10.77.0.2", "n=5", "nonblock"), "talk 1009 2003", "close"])

    def test_reset_with_unread_data(self):
        """The server closes with 701 bytes unread: it resets; both ends counted them."""
        self.conversation("10.77.0.2", [self.connect("10.77.0.2", "n=3"), f"talk 701 0 {work.UNREAD}", "drain",
                                        "close"], server_reset_sent=3, client_reset_received=3)

    def test_reset_with_unsent_data(self):
        """The client fills the send queue of a server that does not read, and resets: what never left is not counted."""
        self.conversation("10.77.0.2", [self.connect("10.77.0.2", "n=2"), f"talk 701 0 {work.HOLD}", "stuff_reset"],
                          client_reset_sent=2, server_reset_received=2)

    def test_linger_zero_by_the_client(self):
        self.conversation("10.77.0.2", [self.connect("10.77.0.2", "n=5"), "talk 503 307", "reset"],
                          client_reset_sent=5, server_reset_received=5)

    def test_linger_zero_by_the_server(self):
        self.conversation("10.77.0.2", [self.connect("10.77.0.2", "n=5"), f"talk 503 0 {work.RESET}", "drain",
                                        "close"], server_reset_sent=5, client_reset_received=5)

    def test_prefork(self):
        self.conversation("10.77.0.2", [self.connect("10.77.0.2", "n=23"), "talk primes", "close"],
                          options=["prefork=3"])

    def test_reuseport(self):
        self.conversation("10.77.0.2", [self.connect("10.77.0.2", "n=23"), "talk primes", "close"],
                          options=["reuseport=3"])

    def test_mptcp(self):
        """Payload of the subflows; the socket above them is no TCP socket and is not counted."""
        self.conversation("10.77.0.2", [self.connect("10.77.0.2", "n=3", "mptcp"), "talk 1000 1003", "close"],
                          options=["mptcp"])

    def test_tcp_fast_open(self):
        """The second connection carries its data on the SYN."""
        line = f"tfo 10.77.0.2 {self.port} 101 53"
        self.conversation("10.77.0.2", [line, "close", line, "close", line, "close"], options=["tfo"])

    def test_no_byte_is_swapped(self):
        """Far more one way than the other: c2s is what the client sent, in both views."""
        edge = self.conversation("10.77.0.2", [self.connect("10.77.0.2"), "talk 1 999983", "close"])
        self.assertEqual((edge["client_c2s_bytes"], edge["server_c2s_bytes"]), (25, 25))
        self.assertEqual((edge["client_s2c_bytes"], edge["server_s2c_bytes"]), (999983, 999983))


class Lasting(case.Case):
    """Connections that live longer than an interval."""

    def test_across_five_intervals(self):
        """What is said in an interval is counted in it, and the deltas sum up."""
        server, client = self.server("10.77.0.2"), self.client()
        said = {}
        middle_of_interval()
        client.do(self.connect("10.77.0.2"))
        for size in (1009, 2003, 4001, 8009, 16001, 32003):
            middle_of_interval(after=max(said, default=0))
            at = int(time.time())
            client.do(f"talk {size} {3 * size}")
            self.assertEqual(int(time.time()), at, "the talk ended in its interval")
            said[at] = size + 24
        middle_of_interval(after=at)
        client.do("close")
        edge = self.expect(self.views(*self.tally(server, client)))
        points = self.stack.api(f"edges/{edge['id']}/series", from_=min(said), to=max(said) + 1, step="1s")["points"]
        for view in ("client", "server"):
            self.assertEqual({p["at"]: p.get(f"{view}_c2s_bytes", 0) for p in points}, said)
            self.assertEqual({p["at"]: p.get(f"{view}_s2c_bytes", 0) for p in points},
                             {at: 3 * (size - 24) for at, size in said.items()})
        self.adds_up()

    def test_open_now(self):
        """Connections open through a whole interval: open_ms over its length is how many, while and after."""
        server, client = self.server("10.77.0.2"), self.client()
        client.do(self.connect("10.77.0.2", "n=7"))
        client.do("talk 11 13")
        begin = int(time.time()) + 1

        def open_in(at):
            edges = self.stack.api("edges", client=self.client_service, from_=at, to=at + 1)["edges"]
            return {view: round(e.get(f"{view}_open_ms", 0) / 1000) for e in edges for view in ("client", "server")}

        until(lambda: open_in(begin + 1) == {"client": 7, "server": 7}, case.VISIBLE_SECONDS,
              lambda: f"7 open in each view: {open_in(begin + 1)}")
        client.do("close")
        closed_at = int(time.time()) + 1
        self.expect(self.views(*self.tally(server, client)))
        until(lambda: self.stack.api("health")["settled_to"] > closed_at + 1, case.SETTLE_SECONDS, "settled")
        self.assertEqual(sum(open_in(closed_at).values()), 0)
        self.adds_up()


class Owners(case.Case):
    """Whose connection it is."""

    def test_accepted_socket_passed_on(self):
        """A worker process serves what another accepted: the service is the one that listens."""
        path = f"{self.stack.folder}/hand"
        worker = work.handle(self.lab, "b", "s-worker", path)
        self.addCleanup(worker.stop)
        self.server("10.77.0.2", f"hand={path}")
        client = self.client()
        for command in (self.connect("10.77.0.2", "n=5"), "talk 1009 2003", "close"):
            client.do(command)
        self.expect(self.views(*self.tally(worker, client)))
        self.adds_up()

    def test_connected_socket_passed_on(self):
        """One process connects, another talks: the service is the one that connected."""
        path = f"{self.stack.folder}/pass"
        server, client, other = self.server("10.77.0.2"), self.client(), self.client("c-other")
        client.do(self.connect("10.77.0.2", "n=5"))
        other.do(f"take {path}")
        client.do(f"pass {path}")
        other.do("taken")
        other.do("talk 1009 2003")
        other.do("close")
        both = {name: client.tally[name] + other.do("report")[name] for name in ("attempts", "opened", "closed",
                                                                                "sent", "received")}
        until(lambda: server.do("report")["closed"] == 5, 20, "the server sees the end")
        self.expect(self.views(both, server.tally))
        self.assertEqual(self.stack.edges(self.began, client="c-other"), [])
        self.adds_up()

    def test_named_by_cgroup(self):
        """Without SKYFALL_SERVICE: the systemd unit of the cgroup; an instance is its template."""
        client = self.client(service="", cgroup=self.cgroup("system.slice/e2e-shop@3.service"))
        server = self.server("10.77.0.2", service="", cgroup=self.cgroup("system.slice/e2e-till.service"))
        for command in (self.connect("10.77.0.2", "n=3"), "talk 1009 2003", "close"):
            client.do(command)
        views = self.views(*self.tally(server, client))
        edge = self.expect(views, server="e2e-till", port=self.port)
        self.assertEqual(edge["client_service"], "e2e-shop@")

    def cgroup(self, path):
        return case.make_cgroup(self, path)

    def test_two_client_services_behind_one_address(self):
        """Exact at pair level: each client view is its own, and the server's total is kept."""
        server = self.server("10.77.0.2")
        clients = [self.client(f"{self.client_service}-{n}") for n in (1, 2)]
        for client, n, size in zip(clients, (3, 5), (10007, 20011)):
            client.do(self.connect("10.77.0.2", f"n={n}"))
            client.do(f"talk {size} {2 * size}")
        for client in clients:
            client.do("close")
        until(lambda: server.do("report")["closed"] == 8, 20, "the server sees the end")
        columns = {"opened": "opened", "closed": "closed", "c2s_bytes": "sent", "s2c_bytes": "received"}
        want = {f"{c}-{n + 1}": None for n, c in enumerate([self.client_service] * 2)}
        want = {name: {column: client.tally[word] for column, word in columns.items()}
                for name, client in zip(want, clients)}

        def pairs():
            found = {}
            for edge in self.stack.edges(self.began, server=self.server_service):
                answer = self.stack.api(f"edges/{edge['id']}", from_=int(self.began), to=int(time.time()) + 60)
                self.assertEqual([(p["client"], p["server"]) for p in answer["pairs"]], [("10.77.0.1", "10.77.0.2")])
                found[edge["client_service"]] = answer["pairs"][0]
            return found

        def client_views():
            return {name: {c: pair.get(f"client_{c}", 0) for c in columns} for name, pair in pairs().items()}

        def server_total():
            return {c: sum(pair.get(f"server_{c}", 0) for pair in pairs().values()) for c in columns}

        total = {"opened": 8, "closed": 8, "c2s_bytes": server.tally["received"], "s2c_bytes": server.tally["sent"]}
        until(lambda: client_views() == want and server_total() == total, case.VISIBLE_SECONDS,
              lambda: f"{client_views()} and {server_total()}, expected {want} and {total}")
        for pair in pairs().values():
            self.assertIn("split", pair["flags"])
        self.adds_up()

    def test_one_observer(self):
        """A peer without an agent: the conversation is kept, and says who saw it."""
        server, client = self.server("10.77.3.3", host="c"), self.client()
        for command in (self.connect("10.77.3.3", "n=5"), "talk 1009 2003", "close"):
            client.do(command)
        views = self.views(*self.tally(server, client))
        del views["server"]
        edge = self.expect(views, observed="client", server="unknown:10.77.3.0/24")
        self.assertEqual(edge["rungs"], {"client": ["agent"], "server": ["none"]})
        self.adds_up()

    def test_one_observer_at_the_server(self):
        server, client = self.server("10.77.3.1", host="a"), self.client(host="c")
        for command in (self.connect("10.77.3.1", "n=5"), "talk 1009 2003", "close"):
            client.do(command)
        views = self.views(*self.tally(server, client))
        del views["client"]
        edge = self.expect(views, observed="server", port=self.port)
        self.assertEqual(edge["client_service"], "unknown:10.77.3.0/24")
        self.adds_up()


class Failures(case.Case):
    """Attempts that come to nothing, by cause. They are at the client's end only."""

    def attempts(self, command, error, field, n, server, seconds=60):
        client = self.client()
        tally = client.do(command, seconds)
        self.assertEqual(tally["errors"], {error: n}, "what the program saw")
        edge = self.expect({"client": {"attempts": n, field: n}}, observed="client", server=server)
        self.adds_up()
        return edge

    def test_refused(self):
        self.attempts(self.connect("10.77.0.2", "n=5"), "ECONNREFUSED", "failed_refused", 5, "host:skyhost-b")

    def test_refused_nonblocking(self):
        self.attempts(self.connect("10.77.0.2", "n=5", "nonblock"), "ECONNREFUSED", "failed_refused", 5,
                      "host:skyhost-b")

    def test_timed_out(self):
        """A static neighbour entry to nobody: three SYNs without an answer."""
        self.attempts(self.connect("10.77.0.99", "n=1"), "ETIMEDOUT", "failed_timeout", 1, "unknown:10.77.0.0/24")

    def test_unreachable(self):
        """Neighbour resolution fails."""
        self.attempts(self.connect("10.77.0.98", "n=2"), "EHOSTUNREACH", "failed_unreachable", 2,
                      "unknown:10.77.0.0/24")

    def test_abandoned(self):
        """The program gives up before the kernel does."""
        self.attempts(self.connect("10.77.0.99", "n=3", "nonblock", "wait_ms=100"), "ETIME", "failed_abandoned", 3,
                      "unknown:10.77.0.0/24")

    def test_no_local_port(self):
        """A range of one port, which is taken."""
        before = self.lab.sysctl("a", "net.ipv4.ip_local_port_range", "9999 9999")
        self.addCleanup(self.lab.sysctl, "a", "net.ipv4.ip_local_port_range", before)
        server, client = self.server("10.77.0.2"), self.client()
        client.do(self.connect("10.77.0.2", "n=4"))
        self.assertEqual(client.tally["errors"], {"EADDRNOTAVAIL": 3})
        client.do("close")
        self.expect(self.views(*self.tally(server, client), client_failed_no_port=3))
        self.adds_up()

    def test_no_route(self):
        self.attempts(self.connect("203.0.113.5", "n=5"), "ENETUNREACH", "failed_no_route", 5,
                      "unknown:203.0.113.0/24")

    def test_no_route_of_many_threads(self):
        """More threads than there are places for marks of connect calls: each fails once, so none settles its own."""
        n = 1500
        with self.lab.popen("a", ["/usr/bin/python3", "-c", FAIL_IN_THREADS, "203.0.113.5", str(self.port), str(n)],
                            env={**os.environ, "SKYFALL_SERVICE": self.client_service}, stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE) as client:
            self.assertEqual(int(client.stdout.readline()), n, "what the program saw")
            self.expect({"client": {"attempts": n, "failed_no_route": n}}, observed="client",
                        server="unknown:203.0.113.0/24")
        self.adds_up()

    def test_blackhole_route(self):
        self.attempts(self.connect("198.51.100.7", "n=5"), "EINVAL", "failed_no_route", 5,
                      "unknown:198.51.100.0/24")
