# SPDX-License-Identifier: Apache-2.0
"""The agent as a guest: what it may do, what it costs, how it is told something else while it runs, and where its rows go when a
collector does not answer. The host here is c, which no other agent watches; rows are read from standard output (Printing) or from
the stores of two collectors (Failover)."""

import ctypes
import json
import os
import signal
import socket
import struct
import subprocess
import time

from lab import case, net, paths
from lab.stack import Program, Stack
from lab.wait import middle_of_interval, until

HOST = "10.77.3.3"
HEADER = 24  # bytes the workload sends before what it is told to


def dns_answer(query, address):
    """To a question for A: the address; to any other: nothing of the kind."""
    end = query.index(b"\0", 12) + 5
    asked_a = query[end - 4:end - 2] == b"\0\1"
    record = b"\xc0\x0c\0\1\0\1" + struct.pack(">IH", 60, 4) + socket.inet_aton(address)
    return query[:2] + b"\x81\x80" + struct.pack(">HHHH", 1, asked_a, 0, 0) + query[12:end] + record * asked_a


class Agent(Program):
    """An agent that prints; its rows and ledger lines so far."""

    def __init__(self, test, *options, host="c", words=(), netns=True):
        self.folder = test.folder
        number = len(os.listdir(self.folder))
        self.out = os.path.join(self.folder, f"out-{number}")
        words = [*words, paths.AGENT, "--print", "--json", "--host-id", "id-guest",
                 *(["--netns", test.lab.name(host)] if netns else []), *options]
        words = ["sh", "-c", 'out=$1; shift; exec "$@" >"$out"', "sh", self.out, *words]
        super().__init__(test.lab, host, "agent", words, os.path.join(self.folder, f"log-{number}"))
        test.addCleanup(self.stop)
        until(lambda: "measuring" in self.tail() or not self.alive(), 20, "the agent measures")
        if not self.alive():
            raise AssertionError(self.tail())

    def lines(self, kind):
        with open(self.out, encoding="utf-8") as file:
            text = file.read()
        found = [json.loads(line) for line in text[:text.rfind("\n") + 1].splitlines()]
        return [line for line in found if line["type"] == kind]

    def sums(self, **query):
        """All numbers of the rows that show this, added."""
        total = {}
        for row in self.lines("row"):
            if all(row.get(name) == value for name, value in query.items()):
                for name, value in row.items():
                    if isinstance(value, int):
                        total[name] = total.get(name, 0) + value
        return total

    def counted(self, name):
        return sum({**line["info"], **line["lost"]}.get(name, 0) for line in self.lines("health"))

    def intervals(self):
        return len(self.lines("health"))

    def reload(self):
        self.process.send_signal(signal.SIGHUP)

    def next_interval(self):
        """What was reloaded is in force."""
        seen = self.intervals()
        until(lambda: self.intervals() > seen, 10, "an interval ends")


class GuestCase(case.Case):

    def setUp(self):
        super().setUp()
        self.folder = os.path.join(self.stack.folder, self.name)
        os.mkdir(self.folder)

    def file(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def traffic(self, server, client, *options, say="talk 100 200"):
        for command in (self.connect(HOST, *options), say, "close"):
            client.do(command)
        return self.tally(server, client)

    def pair(self):
        return self.server(HOST, host="c"), self.client(host="c")

    def exact(self, agent, client, server):
        """Until the printed rows of this case's port are the tallies."""
        def differences():
            a, b = agent.sums(view="client", port=self.port), agent.sums(view="server", port=self.port)
            want = {"attempts": client["attempts"], "opened": client["opened"], "closed": client["closed"],
                    "tx_bytes": client["sent"], "rx_bytes": client["received"]}
            other = {"opened": server["opened"], "closed": server["closed"], "tx_bytes": server["sent"],
                     "rx_bytes": server["received"]}
            return [(view, name, seen.get(name, 0), value) for view, seen, wanted in
                    (("client", a, want), ("server", b, other)) for name, value in wanted.items()
                    if seen.get(name, 0) != value]
        until(lambda: not differences(), 15, differences)


class Privileges(GuestCase):

    def status(self, pid):
        with open(f"/proc/{pid}/status", encoding="ascii") as file:
            return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)

    def test_what_it_keeps(self):
        """SYS_ADMIN, SYS_PTRACE, DAC_READ_SEARCH, SYS_NICE, BPF, PERFMON, for connection tracking NET_ADMIN, and no other in
        any set; the filter is up in all threads; nice."""
        agent = Agent(self, "--interval", "1s")
        until(lambda: agent.intervals() >= 1, 10, "an interval")
        kept = sum(1 << cap for cap in (2, 12, 19, 21, 23, 38, 39))
        threads = os.listdir(f"/proc/{agent.process.pid}/task")
        self.assertGreaterEqual(len(threads), 2)
        for thread in threads:
            status = self.status(f"{agent.process.pid}/task/{thread}")
            for name in ("CapPrm", "CapEff", "CapBnd"):
                self.assertEqual(int(status[name], 16) & ~kept, 0, (name, status[name]))
            self.assertEqual((int(status["CapInh"], 16), int(status["CapAmb"], 16)), (0, 0))
            self.assertEqual((status["NoNewPrivs"], status["Seccomp"]), ("1", "2"))
        self.assertEqual(os.getpriority(os.PRIO_PROCESS, agent.process.pid), 19)
        io = ctypes.CDLL(None, use_errno=True).syscall(252, 1, agent.process.pid)  # ioprio_get of a process
        self.assertEqual(io >> 13, 3, "the idle class")

    def test_everything_still_works(self):
        """Behind the fence: a network namespace that appears later, a container's cgroup, names, a reload."""
        rules = self.file("rules", "exe nobody nobody\n")
        agent = Agent(self, "--interval", "1s", "--rules", rules, "--budget", "0", netns=False)
        until(lambda: agent.intervals() >= 1, 10, "an interval")
        name = f"sky{os.getpid()}-late"
        net.sh("ip", "netns", "add", name)
        self.addCleanup(net.sh, "ip", "netns", "delete", name)
        net.sh("ip", "-n", name, "link", "set", "lo", "up")
        self.lab.hosts = (*self.lab.hosts, "late")
        self.addCleanup(setattr, self.lab, "hosts", self.lab.hosts[:-1])
        container = "5f" * 32
        server = self.server("127.0.0.1", host="late", service="", cgroup=case.make_cgroup(self, f"docker-{container}.scope"))
        client = self.client(host="late")
        for command in (self.connect("127.0.0.1", "n=5"), "talk 10 20", "close"):
            client.do(command)
        self.exact(agent, *self.tally(server, client))
        rows = [row for row in agent.lines("row") if row["port"] == self.port]
        self.assertIn(container[:12], {row.get("container") for row in rows if row["view"] == "server"})
        self.assertIn(self.client_service, {row["service"] for row in rows if row["view"] == "client"})
        self.file("rules", f"container {container[:12]} behind-the-fence\n")
        agent.reload()
        until(lambda: "reloaded" in agent.tail(), 5, "it reloads")
        agent.next_interval()
        for command in (self.connect("127.0.0.1"), "talk 10 20", "close"):
            client.do(command)
        until(lambda: agent.sums(service="behind-the-fence", port=self.port).get("closed"), 10, "the new name")
        self.assertEqual(agent.counted("update_failed"), 0)


class Reload(GuestCase):

    def test_rules_and_interval(self):
        """A mistake in either file is told with line and column and changes nothing; then both change."""
        rules = self.file("rules", "exe workload before\n")
        config = self.file("conf", f"interval 1s\nrules {rules}\n")
        agent = Agent(self, "--config", config, "--budget", "0")
        server = self.server(HOST, host="c", service="")
        client = self.client(host="c")
        client_tally, server_tally = self.traffic(server, client)
        until(lambda: agent.sums(service="before", view="server").get("closed"), 10, "named by the rules")
        for name, text, told in (("rules", "exe workload after\nexe workload\n", f"{rules}:2:13"),
                                 ("conf", f"interval 1s\nrules {rules}\nspread  soon\n", f"{config}:3:9"),
                                 ("conf", "interval 7s\n", f"{config}:1:10"),
                                 ("conf", "interval 1s\nunknown x\n", f"{config}:2:1")):
            self.file(name, text)
            agent.reload()
            until(lambda told=told: told in agent.tail(30), 5, lambda told=told: f"{told}: {agent.tail(30)}")
            if name == "rules":
                self.file("rules", "exe workload after\n")
        client_tally, server_tally = self.traffic(server, client)
        until(lambda: agent.sums(service="before", view="server").get("closed") == 2, 10, "the old rules stayed")
        self.assertEqual({line["interval_s"] for line in agent.lines("health")}, {1})
        self.file("conf", f"interval 2s\nrules {rules}\nmax-rows 100\n")
        agent.reload()
        until(lambda: "next start: --max-rows" in agent.tail(), 5, agent.tail)
        agent.next_interval()
        client_tally, server_tally = self.traffic(server, client)
        until(lambda: agent.lines("health")[-1]["interval_s"] == 2, 10, "the new interval")
        until(lambda: agent.sums(service="after", view="server").get("closed"), 10, "the new rules")
        self.exact(agent, client_tally, server_tally)
        for line in agent.lines("health"):
            self.assertEqual(line["interval"] % line["interval_s"], 0)
            self.assertEqual(line["info"].get("intervals_missed", 0), 0)


class Once(GuestCase):

    def run_once(self, *options, **kwargs):
        words = [paths.AGENT, "--once", "--json", "--interval", "1s", "--netns", self.lab.name("c"), *options]
        return self.lab.run("c", words, timeout=30, **kwargs)

    def test_once_json(self):
        done = self.run_once()
        self.assertEqual(done.returncode, 0, done.stderr)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual([line["type"] for line in lines if line["type"] != "row"], ["health"])
        self.assertEqual(lines[-1]["type"], "health")

    def test_nobody_reads(self):
        words = ["sh", "-c", '"$@" | true; exit "${PIPESTATUS[0]}"', "sh"]
        words[0] = "bash"
        done = self.lab.run("c", [*words, paths.AGENT, "--once", "--json", "--interval", "1s"], timeout=30)
        self.assertEqual(done.returncode, 1, done.stderr)


class Budget(GuestCase):

    def test_steps_back_and_comes_again(self):
        """Far above its budget it goes down step by step to nothing, says so, and after a reload everything is exact again."""
        config = self.file("conf", "budget 0.0001\n")
        agent = Agent(self, "--config", config, "--interval", "1s")
        server, client = self.pair()
        self.traffic(server, client)
        steps = ("every 2nd", "every 4th", "1 of 4 ", "1 of 16 ", "1 of 64 ", "nothing is measured")
        for step in steps:
            until(lambda step=step: step in agent.tail(30), 20, lambda: agent.tail(30))
        until(lambda: agent.counted("eased_bypass") >= 2, 10, "it stays there")
        self.assertTrue(all(agent.counted(f"eased_{name}") for name in ("walk_2", "walk_4", "sample_4", "sample_64")))
        client.do(self.connect(HOST, "n=10"))
        client.do("talk 10 20")
        until(lambda: server.do("report")["opened"] >= 11, 10, "the connections are open")
        before = agent.sums(port=self.port)
        quiet = agent.intervals()
        until(lambda: agent.intervals() >= quiet + 2, 10, "intervals of bypass")
        self.assertEqual(agent.sums(port=self.port), before)
        self.file("conf", "budget 0\n")
        agent.reload()
        until(lambda: "eased" not in agent.lines("health")[-1]["info"], 10, "everything is measured")
        # what was open meanwhile is known as older than the agent: what it does from now on is exact
        client.do("talk 1000 3000")
        client.do("close")
        until(lambda: agent.sums(view="client", port=self.port).get("closed", 0) == before.get("closed", 0) // 2 + 10, 10,
              lambda: agent.sums(view="client", port=self.port))
        after, was = agent.sums(view="client", port=self.port), before
        self.assertEqual(after["tx_bytes"] + after["rx_bytes"], (was["tx_bytes"] + was["rx_bytes"]) // 2 + 10 * (4000 + HEADER))
        self.assertEqual(after["opened"], was["opened"] // 2)

    def test_udp_bypass(self):
        """In bypass no program looks at UDP either: what connects and ends meanwhile is in no row; what is open when it is over is
        older than the measuring, and its end is seen."""
        config = self.file("conf", "budget 0.0001\n")
        agent = Agent(self, "--config", config, "--interval", "1s", "--udp", "connect")

        def dial():
            with self.lab.inside("c"):
                udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.addCleanup(udp.close)
            udp.connect((HOST, self.port))
            return udp

        def seen():
            found = agent.sums(protocol="udp", port=self.port)
            return found.get("opened", 0), found.get("closed", 0)
        old = dial()
        until(lambda: seen() == (1, 0), 10, seen)
        until(lambda: agent.counted("eased_bypass") >= 1, 60, lambda: agent.tail(30))
        dial().close()
        old.close()
        late = dial()
        quiet = agent.intervals()
        until(lambda: agent.intervals() >= quiet + 2, 10, "intervals of bypass")
        self.assertEqual(seen(), (1, 0))
        self.file("conf", "budget 0\n")
        agent.reload()
        until(lambda: "eased" not in agent.lines("health")[-1]["info"], 10, "everything is measured")
        agent.next_interval()
        dial().close()
        late.close()
        until(lambda: seen() == (2, 2), 10, seen)

    def steps_without_sampling(self, source):
        """The steps of a mode that takes no samples: open ones listed less often, to the byte all the same; then nothing; then
        everything again."""
        config = self.file("conf", "budget 0.0001\n")
        agent = Agent(self, "--config", config, "--interval", "1s", "--source", source)
        server, client = self.pair()
        client.do(self.connect(HOST, "n=3"))
        for step in ("every 2nd", "every 4th", "nothing is measured"):
            client.do("talk 100 200")
            until(lambda step=step: step in agent.tail(30), 20, lambda: agent.tail(30))
        self.assertNotIn("1 of ", agent.tail(30))
        until(lambda: agent.counted("eased_bypass") >= 2, 10, "it stays there")
        self.assertTrue(agent.counted("eased_walk_2") and agent.counted("eased_walk_4"))
        before = agent.sums(view="client", port=self.port)
        self.assertEqual(before["tx_bytes"] + before["rx_bytes"], 3 * 3 * (300 + HEADER))
        client.do("talk 100 200")
        client.do(self.connect(HOST, "n=7"))
        until(lambda: server.do("report")["opened"] >= 10, 10, "the connections are open")
        quiet = agent.intervals()
        until(lambda: agent.intervals() >= quiet + 2, 10, "intervals of bypass")
        self.assertEqual(agent.sums(view="client", port=self.port), before)
        self.file("conf", "budget 0\n")
        agent.reload()
        until(lambda: "eased" not in agent.lines("health")[-1]["info"], 10, "everything is measured")
        agent.next_interval()
        client.do("talk 1000 3000")
        want = 10 * (4000 + HEADER)

        def grown():
            now = agent.sums(view="client", port=self.port)
            return sum(now[name] - before[name] for name in ("tx_bytes", "rx_bytes"))
        until(lambda: grown() == want, 10, lambda: (grown(), want))
        client.do("close")
        until(lambda: agent.sums(view="client", port=self.port).get("closed") == 10, 10, "all are closed")
        self.assertEqual(agent.sums(view="client", port=self.port)["opened"], before["opened"])

    def test_stable_steps(self):
        self.steps_without_sampling("stable")

    def test_sock_diag_steps(self):
        self.steps_without_sampling("sock_diag")

    def test_visible_in_the_api(self):
        program = Program(self.lab, "a", "agent", [
            paths.AGENT, "--interval", "1s", "--spread", "0.2s", "--host-id", "id-eased", "--netns", self.lab.name("c"),
            "--collector", "10.77.1.254:6343", "--budget", "0.0001"], self.stack.log("agent-eased"))
        self.addCleanup(program.stop)

        def cost():
            return next((h.get("cost", {}) for h in self.stack.api("hosts")["hosts"] if h["id"] == "id-eased"), {})
        until(lambda: cost().get("eased"), 20, "the step is in the API")
        self.assertIn("cost_us", cost())


class Sampling(GuestCase):

    def test_sums_are_scaled(self):
        """1 of 4, then of 16: rows are flagged and multiplied, and the sums are right within the sample's error."""
        agent = Agent(self, "--interval", "1s", "--budget", "0.0001")
        server, client = self.pair()
        until(lambda: "1 of 4 " in agent.tail(), 20, agent.tail)
        client.do(f"burst {HOST} {self.port} 4000 2 up=100 down=100", 60)
        made = self.tally(server, client)[0]["opened"]
        quiet = agent.intervals()
        until(lambda: agent.intervals() >= quiet + 2, 10, "intervals after it")
        rows = [row for row in agent.lines("row") if row["port"] == self.port]
        self.assertTrue(rows)
        self.assertTrue(all("sampled" in row.get("flags", "") for row in rows), rows[:2])
        for view in ("client", "server"):
            seen = agent.sums(view=view, port=self.port)
            print(f"# {view}: {seen['closed']} of {made} connections, {seen['tx_bytes']} bytes")
            self.assertAlmostEqual(seen["closed"] / made, 1, delta=0.25)  # four standard deviations of 1 of 16
            self.assertEqual(seen["opened"], seen["closed"])
            self.assertEqual((seen["tx_bytes"], seen["rx_bytes"]), ((100 + HEADER) * seen["closed"], 100 * seen["closed"])
                             if view == "client" else (100 * seen["closed"], (100 + HEADER) * seen["closed"]))


class Limits(GuestCase):

    def test_more_sockets_than_places(self):
        """1,500 connections open at once, 1,024 places: those without one are counted whole at their end; the sums are exact."""
        agent = Agent(self, "--interval", "1s", "--max-socks", "1024", "--budget", "0")
        server, client = self.pair()
        client.do(self.connect(HOST, "n=1500"))
        for _ in range(3):
            client.do("talk 100 300")
            middle_of_interval(after=time.time())
        client.do("close")
        self.exact(agent, *self.tally(server, client))
        self.assertGreater(agent.counted("socks_full"), 0)
        self.assertGreater(agent.counted("recovered"), 0)

    def test_stable_more_ends_than_the_queue_holds(self):
        """The agent stands still while 50,000 connections end: the kernel has no room for all its messages. They are counted as
        dropped; every connection and its end is counted all the same, bytes are missing and never too many."""
        agent = Agent(self, "--interval", "1s", "--source", "stable", "--max-socks", "131072", "--budget", "0")
        server, client = self.pair()
        client.do(f"burst {HOST} {self.port} 100 2 up=10 down=10", 30)
        until(lambda: agent.sums(view="client", port=self.port).get("closed") == 100, 10, "it measures")
        agent.process.send_signal(signal.SIGSTOP)
        client.do(f"burst {HOST} {self.port} 50000 4 up=10 down=10", 120)
        agent.process.send_signal(signal.SIGCONT)
        tally = self.tally(server, client)[0]

        def seen():
            sums = agent.sums(view="client", port=self.port)
            return sums.get("closed", 0), sums.get("opened", 0), sums.get("attempts", 0)
        until(lambda: seen() == (50100,) * 3, 30, seen)
        dropped = agent.counted("destroys_dropped")
        sums = agent.sums(view="client", port=self.port)
        missing = tally["sent"] - sums["tx_bytes"]
        print(f"# {dropped} messages dropped, {missing} of {tally['sent']} bytes missing")
        self.assertGreater(dropped, 0)
        self.assertTrue(0 < missing <= dropped * (10 + HEADER), (missing, dropped))

    def test_more_ends_than_the_list_holds(self):
        """20,000 sockets that a walk has read end while the agent stands still, its list of ends holds 16,384: the others are counted
        (`closed_full`). Every connection and its end is in a row all the same, and only what those did since the walk is missing."""
        agent = Agent(self, "--interval", "1s", "--budget", "0")
        server, client = self.pair()
        client.do(self.connect(HOST, "n=10000"), 120)
        client.do("talk 100 200", 120)
        walked = 10000 * (300 + HEADER)

        def bytes_of(view):
            sums = agent.sums(view=view, port=self.port)
            return sums.get("tx_bytes", 0) + sums.get("rx_bytes", 0)
        for view in ("client", "server"):
            until(lambda view=view: bytes_of(view) == walked, 20, lambda view=view: (view, bytes_of(view), walked))
        agent.process.send_signal(signal.SIGSTOP)
        client.do("talk 10 20", 120)
        client.do("close", 120)
        client_tally, server_tally = self.tally(server, client)
        agent.process.send_signal(signal.SIGCONT)

        def seen(view):
            sums = agent.sums(view=view, port=self.port)
            return sums.get("opened", 0), sums.get("closed", 0)
        for view in ("client", "server"):
            until(lambda view=view: seen(view) == (10000, 10000), 20, lambda view=view: (view, seen(view)))
        full = agent.counted("closed_full")
        missing = sum(tally["sent"] + tally["received"] for tally in (client_tally, server_tally))
        missing -= bytes_of("client") + bytes_of("server")
        print(f"# {full} ends without a place, {missing} bytes missing")
        self.assertEqual(full, 2 * 10000 - 16384)
        self.assertEqual(missing, full * (30 + HEADER))

    def test_more_rows_than_places(self):
        """200 addresses in a moment, 64 rows: what has no place is counted, and no row has what is another's."""
        addresses = [f"10.77.9.{n}" for n in range(1, 201)]
        for address in addresses:
            self.lab.ip("c", "address", "add", f"{address}/32", "dev", "lo")
            self.addCleanup(self.lab.ip, "c", "address", "delete", f"{address}/32", "dev", "lo")
        agent = Agent(self, "--interval", "1s", "--max-rows", "64", "--budget", "0")
        server, client = self.server("0.0.0.0", host="c"), self.client(host="c")
        middle_of_interval()
        for address in addresses:
            client.do(f"connect {address} {self.port}")
        client.do("talk 7 11")
        client.do("close")
        self.tally(server, client)
        seen = agent.intervals()
        until(lambda: agent.intervals() >= seen + 3, 10, "intervals after it")
        rows = {}
        for row in agent.lines("row"):
            if row["port"] == self.port:
                key = (row["view"], row["remote" if row["view"] == "client" else "local"])
                rows[key] = {name: rows.get(key, {}).get(name, 0) + row.get(name, 0) for name in
                             ("opened", "closed", "tx_bytes", "rx_bytes")}
        for key, row in rows.items():
            sent = {"client": (7 + HEADER, 11), "server": (11, 7 + HEADER)}[key[0]]
            self.assertLessEqual(row["opened"], 1, (key, row))
            self.assertLessEqual(row["closed"], 1, (key, row))
            self.assertLessEqual((row["tx_bytes"], row["rx_bytes"]), sent, (key, row))
        counted = agent.counted("rows_full") + agent.counted("rows_user_full")
        missing = {name: 2 * len(addresses) - sum(row[name] for row in rows.values()) for name in ("opened", "closed")}
        self.assertGreater(missing["opened"], 0, "every row found a place: this showed nothing")
        self.assertLessEqual(max(missing.values()), counted, missing)


class Clock(GuestCase):

    def test_set_back_an_hour(self):
        """The wall clock jumps an hour back while it measures: it goes on at once, under the hour's numbers, and every connection is
        counted once, those across the jump too."""
        path = os.path.join(self.folder, "shift")
        with open(path, "wb") as file:
            file.write(bytes(8))
        agent = Agent(self, "--interval", "1s", "--budget", "0", words=(
            "env", f"LD_PRELOAD={paths.BUILD}/tests/e2e/shift_clock.so", f"SHIFT_CLOCK={path}"))
        server, client = self.pair()
        until(lambda: agent.intervals() >= 2, 10, "intervals")
        client.do(self.connect(HOST, "n=7"))
        client.do("talk 100 200")
        middle_of_interval()
        with open(path, "r+b") as file:
            file.write((-3600).to_bytes(8, "little", signed=True))
        stepped = agent.intervals()
        until(lambda: agent.intervals() >= stepped + 3, 10, "it goes on")
        client.do("talk 1000 2000")
        client.do("close")
        self.exact(agent, *self.tally(server, client))
        intervals = [line["interval"] for line in agent.lines("health")]
        self.assertTrue(any(3595 <= a - b <= 3605 for a, b in zip(intervals, intervals[1:])), intervals)
        self.assertLessEqual(agent.counted("intervals_missed"), 1)
        self.assertLessEqual(agent.sums(view="client", port=self.port)["open_ms"], 7 * 1000 * (len(intervals) + 2))


class Failover(GuestCase):
    """One agent, two collectors: the shared one on m and one on c. It looks at c from a, where it has a way to both."""

    def setUp(self):
        super().setUp()
        self.other = Stack(self.lab, home="c")
        self.addCleanup(self.other.close)
        self.other.start_server()
        self.stacks = {"m": self.stack, "c": self.other}
        self.made = {}  # interval -> connections
        self.last = self.spoken = 0

    def start(self, *collectors, words=(), config=None):
        collectors = () if config else collectors or ("10.77.1.254:6343", "10.77.3.3:6343")
        self.agent = Program(self.lab, "a", "agent", [
            *words, paths.AGENT, "--interval", "1s", "--spread", "0.2s", "--host-id", "id-failover", "--netns",
            self.lab.name("c"), "--budget", "0", *(word for c in collectors for word in ("--collector", c)), *(["--config", config] if config else [])],
            self.stack.log(f"agent-{self.name}"))
        self.addCleanup(self.agent.stop)
        until(lambda: "measuring" in self.agent.tail(), 20, "the agent measures")
        self.server_, self.client_ = self.pair()

    def speak(self):
        """One connection within an interval of its own."""
        while True:
            middle_of_interval(after=self.last)
            at = int(time.time())
            self.traffic(self.server_, self.client_)
            self.last = int(time.time())
            self.spoken += 1
            if time.time() < at + 0.9:  # else nobody can say which interval it is in: once more
                self.made[at] = 1
                return

    def stored(self, home):
        """{interval: client_closed} in one store."""
        stack = self.stacks[home]
        if not stack.server:
            return {}
        edges = stack.edges(self.began, client=self.client_service)
        if not edges:
            return {}
        points = stack.api(f"edges/{edges[0]['id']}/series", from_=int(self.began), to=int(time.time()) + 1,
                           step="1s")["points"]
        return {p["at"]: p["client_closed"] for p in points if p.get("client_closed")}

    def reached(self, home):
        return max(self.made, default=0) in self.stored(home)

    def first(self):
        """Who gets the rows: (that one, the other one)."""
        self.speak()
        until(lambda: self.reached("m") or self.reached("c"), 10, "somebody gets them")
        return ("m", "c") if self.reached("m") else ("c", "m")

    def check(self, homes, most_lost):
        """Nothing is counted twice, no interval is in two places, no more is missing than may be: how many."""
        stored = [self.stored(home) for home in homes]
        intervals = [at for s in stored for at in s]
        self.assertEqual(len(intervals), len(set(intervals)), stored)
        missing = self.spoken - sum(n for s in stored for n in s.values())
        self.assertTrue(0 <= missing <= most_lost, (missing, self.made, stored))
        return missing

    def until_taken_over(self, home, seconds=15):
        began = time.time()
        while time.time() < began + seconds:
            self.speak()
            if self.stored(home):
                until(lambda: self.reached(home), 10, "the rest comes, too")
                return
        self.fail(f"nobody took over: {self.agent.tail()}")

    def test_blackholed_at_the_peer(self):
        """Datagrams to the first vanish at its host, and so do its answers: after three silent intervals the other one has it."""
        self.start()
        first, other = self.first()
        self.lab.ip(first, "rule", "add", "pref", "5", "dev", "to-a", "blackhole")
        self.lab.ip(first, "rule", "add", "pref", "10", "lookup", "local")
        self.lab.ip(first, "rule", "delete", "pref", "0")
        try:
            self.until_taken_over(other)
        finally:
            self.lab.ip(first, "rule", "add", "pref", "0", "lookup", "local")
            self.lab.ip(first, "rule", "delete", "pref", "10")
            self.lab.ip(first, "rule", "delete", "pref", "5")
        self.speak()
        until(lambda: self.reached(other), 10, "it stays there")
        missing = self.check((first, other), most_lost=5)
        print(f"# {missing} of {self.spoken} intervals lost to the hole")
        self.assertGreaterEqual(missing, 1)
        self.assertIn("no answer: sending to", self.agent.tail(30))

    def test_refused(self):
        """Nobody listens there: the host says so, and what was refused news of goes to the other one at once."""
        self.start("10.77.1.254:6399", "10.77.3.3:6343")
        self.until_taken_over("c")
        for _ in range(2):
            self.speak()
        until(lambda: self.reached("c"), 10, "all came")
        self.check(("c",), most_lost=1)

    def test_stopping(self):
        """A collector added while it runs changes nothing at first. When the other one stops it says so in its last answer, and
        the next interval is the new one's. Nothing is counted twice."""
        config = self.file("conf", "collector 10.77.3.3:6343\n")
        self.start(words=(), config=config)
        self.speak()
        until(lambda: self.reached("c"), 10, "it has it")
        self.file("conf", "collector 10.77.1.254:6343\ncollector 10.77.3.3:6343\n")
        self.agent.process.send_signal(signal.SIGHUP)
        until(lambda: "reloaded" in self.agent.tail(), 5, self.agent.tail)
        self.speak()
        until(lambda: self.reached("c") or self.reached("m"), 10, "somebody has it")
        before = {home: self.stored(home) for home in ("c", "m")}
        self.assertEqual(self.other.stop_server(), 0)
        self.until_taken_over("m")
        stored = [before["c"], self.stored("m")]
        self.assertFalse(set(stored[0]) & set(stored[1]), stored)
        missing = self.spoken - sum(n for s in stored for n in s.values())
        self.assertTrue(0 <= missing <= 2, (missing, stored))

    def test_name_leads_elsewhere(self):
        """The collector's name gets another address: after a refusal it is looked up again."""
        hosts = self.file("hosts", "10.77.3.3 sky.test\n")
        words = ["unshare", "--mount", "sh", "-c", 'mount --bind "$1" /etc/hosts; shift; exec "$@"', "sh", hosts]
        self.assertEqual(self.other.stop_server(), 0)
        self.start("sky.test:6343", words=words)
        until(lambda: "refused" in self.agent.tail(), 20, self.agent.tail)
        with open(hosts, "w", encoding="ascii") as file:  # the same file, as the mount holds it
            file.write("10.77.1.254 sky.test\n")
        until(lambda: "the name leads elsewhere" in self.agent.tail(30), 30, lambda: self.agent.tail(30))
        self.speak()
        until(lambda: self.reached("m"), 10, "rows come")
        self.assertEqual(self.stored("m")[max(self.made)], 1)

    def test_silent_resolver(self):
        """SIGHUP with the name of another collector while the resolver does not answer: rows keep flowing to the old one, and what
        needs no look-up can be reloaded. When the resolver answers they go to the new one."""
        with self.lab.inside("a"):
            resolver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            resolver.bind(("127.0.0.1", 53))
        self.addCleanup(resolver.close)
        told = self.file("resolv.conf", "nameserver 127.0.0.1\noptions timeout:20 attempts:1\n")
        words = ["unshare", "--mount", "sh", "-c", 'mount --bind "$1" /etc/resolv.conf; shift; exec "$@"', "sh", told]
        config = self.file("conf", "collector 10.77.1.254:6343\n")
        self.start(words=words, config=config)
        self.speak()
        until(lambda: self.reached("m"), 10, "it has it")
        self.file("conf", "collector sky.test:6343\nspread 0.1s\n")
        self.agent.process.send_signal(signal.SIGHUP)
        until(lambda: "looking up sky.test" in self.agent.tail(), 5, self.agent.tail)
        for _ in range(4):
            self.speak()
            until(lambda: self.reached("m"), 5, "nothing waits for the resolver")
        self.file("conf", "collector 10.77.1.254:6343\nrules /nowhere\n")
        self.agent.process.send_signal(signal.SIGHUP)
        until(lambda: "not reloaded" in self.agent.tail(), 2, self.agent.tail)
        self.file("conf", "collector sky.test:6343\n")
        self.agent.process.send_signal(signal.SIGHUP)
        until(lambda: self.agent.tail(30).count("looking up sky.test") == 2, 2, self.agent.tail)
        resolver.settimeout(20)
        while "sending to sky.test" not in self.agent.tail(30):
            query, peer = resolver.recvfrom(512)
            resolver.sendto(dns_answer(query, "10.77.3.3"), peer)
        self.assertIn("reloaded", self.agent.tail(30))
        self.speak()
        until(lambda: self.reached("c"), 10, "the new one has it")
        self.check(("m", "c"), most_lost=1)
