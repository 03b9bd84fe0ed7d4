# SPDX-License-Identifier: Apache-2.0
"""The mode for kernels without BTF, forced here: the same workload, exact in all that it can know."""

from lab import case, work
from lab.wait import until


class Stable(case.Case):
    """Both agents measure by classic tracepoints and sock_diag."""

    SOURCE = "stable"

    @classmethod
    def setUpClass(cls):
        stack = case.Shared.get()
        boots = stack.boots().values()
        stack.stop_agents()
        for host in ("a", "b"):
            stack.start_agent(host, "--source", cls.SOURCE)
        stack.wait_agents(other_than=boots)

    @classmethod
    def tearDownClass(cls):
        stack = case.Shared.get()
        boots = stack.boots().values()
        stack.stop_agents()
        for host in ("a", "b"):
            stack.start_agent(host)
        stack.wait_agents(other_than=boots)

    def conversation(self, address, commands, options=(), listen=None, **more):
        server, client = self.server(listen or address, *options), self.client()
        for command in commands:
            client.do(command)
        edge = self.expect(self.views(*self.tally(server, client), **more))
        self.adds_up()
        return edge

    def test_23_connections(self):
        edge = self.conversation("10.77.0.2", [self.connect("10.77.0.2", "n=23"), "talk primes", "close"])
        self.assertEqual(edge["client_opened"], 23)
        self.assertEqual((edge["client_c2s_bytes"], edge["client_s2c_bytes"]), (1128364 + 23 * 24, 16510601))
        hosts = {host["id"]: host["mode"] for host in self.stack.api("hosts")["hosts"]}
        self.assertEqual({hosts["id-a"], hosts["id-b"]}, {self.SOURCE})

    def test_stable_ipv6(self):
        self.conversation("fd77::2", [self.connect("fd77::2", "n=23"), "talk primes", "close"])

    def test_stable_ipv4_mapped(self):
        self.conversation("10.77.0.2", [self.connect("::ffff:10.77.0.2", "n=5"), "talk primes", "close"], listen="::")

    def test_stable_zero_bytes(self):
        self.conversation("10.77.0.2", [self.connect("10.77.0.2", "n=7"), "close"])

    def test_stable_half_close(self):
        self.conversation("10.77.0.2", [self.connect("10.77.0.2", "n=3"), f"talk 1009 50021 {work.AFTER_EOF}", "eof",
                                        "drain", "close"])

    def test_stable_server_closes_first(self):
        self.conversation("10.77.0.2", [self.connect("10.77.0.2", "n=3"), f"talk 31 1013 {work.CLOSE}", "drain",
                                        "close"])

    def test_stable_reset_with_unread_data(self):
        self.conversation("10.77.0.2", [self.connect("10.77.0.2", "n=3"), f"talk 701 0 {work.UNREAD}", "drain",
                                        "close"], server_reset_sent=3, client_reset_received=3)

    def test_stable_tcp_fast_open(self):
        line = f"tfo 10.77.0.2 {self.port} 101 53"
        self.conversation("10.77.0.2", [line, "close", line, "close", line, "close"], options=["tfo"])

    def test_stable_open_over_intervals(self):
        """What dumps saw and what came with the end add up to the whole."""
        server, client = self.server("10.77.0.2"), self.client()
        client.do(self.connect("10.77.0.2", "n=5"))
        client.do("talk 10007 20011")
        until(lambda: (self.find() or {}).get("client_open_ms", 0) > 5000, case.VISIBLE_SECONDS, "open for an interval")
        client.do("talk 30011 503")
        client.do("close")
        self.expect(self.views(*self.tally(server, client)))
        self.adds_up()

    def test_stable_linger_zero(self):
        """What it cannot know: the one who resets with linger 0 has no sums. The peer has."""
        server, client = self.server("10.77.0.2"), self.client()
        for command in (self.connect("10.77.0.2", "n=5"), "talk 503 307", "reset"):
            client.do(command)
        views = self.views(*self.tally(server, client), client_reset_sent=5, server_reset_received=5)
        until(lambda: (self.find() or {}).get("server_closed") == 5, case.VISIBLE_SECONDS, "the end is known")
        edge = self.find()
        for name in ("c2s_bytes", "s2c_bytes"):
            self.assertLessEqual(edge.get(f"client_{name}", 0), views["client"][name])
            views["client"][name] = edge.get(f"client_{name}", 0)
        self.expect(views)
        self.adds_up()

    def attempts(self, command, error, field, n, server):
        client = self.client()
        tally = client.do(command, 60)
        self.assertEqual(tally["errors"], {error: n}, "what the program saw")
        self.expect({"client": {"attempts": n, field: n}}, observed="client", server=server)
        self.adds_up()

    def test_stable_refused(self):
        self.attempts(self.connect("10.77.0.2", "n=5"), "ECONNREFUSED", "failed_refused", 5, "host:skyhost-b")

    def test_stable_refused_nonblocking(self):
        self.attempts(self.connect("10.77.0.2", "n=5", "nonblock"), "ECONNREFUSED", "failed_refused", 5,
                      "host:skyhost-b")

    def test_stable_timed_out(self):
        self.attempts(self.connect("10.77.0.99", "n=1"), "ETIMEDOUT", "failed_timeout", 1, "unknown:10.77.0.0/24")

    def test_stable_unreachable(self):
        self.attempts(self.connect("10.77.0.98", "n=2"), "EHOSTUNREACH", "failed_unreachable", 2,
                      "unknown:10.77.0.0/24")

    def test_stable_abandoned(self):
        self.attempts(self.connect("10.77.0.99", "n=3", "nonblock", "wait_ms=100"), "ETIME", "failed_abandoned", 3,
                      "unknown:10.77.0.0/24")
