# SPDX-License-Identifier: Apache-2.0
"""The ways to measure on kernels without BTF, forced here: the same workload, exact in all that they can know."""

import json
import os
import platform
import subprocess
import tempfile

from lab import case, paths, work
from lab.stack import Program
from lab.wait import until

# The kernel's BTF hidden from what follows.
HIDDEN = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /sys/kernel/btf && exec "$@"', "sh"]


class Modes(case.Case):
    """Both agents measure in another way than the shared stack's."""

    OPTIONS = ()
    MODE = "bpf"

    @classmethod
    def setUpClass(cls):
        stack = case.Shared.get()
        boots = stack.boots().values()
        stack.stop_agents()
        for host in ("a", "b"):
            stack.agents[host] = Program(stack.lab, host, f"agent {host}",
                                         [*HIDDEN, *stack.agent_words(host, *cls.OPTIONS)],
                                         stack.log(f"agent-{host}"), uts=f"skyhost-{host}")
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

    def twenty_three(self):
        edge = self.conversation("10.77.0.2", [self.connect("10.77.0.2", "n=23"), "talk primes", "close"])
        self.assertEqual(edge["client_opened"], 23)
        self.assertEqual((edge["client_c2s_bytes"], edge["client_s2c_bytes"]), (1128364 + 23 * 24, 16510601))
        hosts = {host["id"]: host["mode"] for host in self.stack.api("hosts")["hosts"]}
        self.assertEqual({hosts["id-a"], hosts["id-b"]}, {self.MODE})


def features(*options):
    """What --features says with the kernel's BTF hidden: {feature: its line}, the mode's line."""
    done = subprocess.run([*HIDDEN, paths.AGENT, "--features", "--json", *options], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, check=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {line["feature"]: line for line in lines if "feature" in line}, lines[-1]


class BtfFile(Modes):
    """The kernel's structs known by a minimised file."""

    folder = tempfile.TemporaryDirectory(prefix="skyfall-btf-")
    OPTIONS = ("--source", "bpf", "--btf", folder.name)

    @classmethod
    def setUpClass(cls):
        subprocess.run([paths.BTF, "--quiet", "--output", cls.folder.name, "/sys/kernel/btf/vmlinux"], check=True)
        super().setUpClass()

    def test_btf_file(self):
        self.twenty_three()

    def test_btf_file_features(self):
        """A file for this release wins; one for another release does not; a corrupt one is told, and the next rung taken."""
        found, mode = features("--btf", self.folder.name)
        self.assertEqual((found["btf-kernel"]["ok"], found["btf-file"]["ok"], mode["mode"]), (False, True, "bpf"))
        self.assertEqual(mode["steps"], "walk_2 walk_4 udp_off sample_4 sample_16 sample_64 bypass")
        good = os.path.join(self.folder.name, f"{platform.release()}.btf")
        with tempfile.TemporaryDirectory(prefix="skyfall-btf-") as other, open(good, "rb") as file:
            data = file.read()
            self.assertLess(len(data), 20000)
            with open(os.path.join(other, f"{platform.release()}0.btf"), "wb") as copy:
                copy.write(data)
            found, mode = features("--btf", other)
            self.assertEqual((found["btf-file"]["ok"], mode["mode"]), (False, "stable"))
            with open(os.path.join(other, f"{platform.release()}.btf"), "wb") as copy:
                copy.write(data[:len(data) // 2])
            found, mode = features("--btf", other)
            self.assertEqual((found["btf-file"]["ok"], mode["mode"]), (False, "stable"))
            self.assertEqual(mode["steps"], "walk_2 walk_4 bypass")
            self.assertIn("corrupt", found["btf-file"]["why"])
            self.assertIn("corrupt", mode["why"])


class Stable(Modes):
    """Classic tracepoints and sock_diag: no BTF at all."""

    OPTIONS = ("--source", "stable")
    MODE = "stable"

    def test_stable_23_connections(self):
        self.twenty_three()

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
