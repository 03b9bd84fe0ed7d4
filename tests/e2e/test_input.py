# SPDX-License-Identifier: Apache-2.0
"""Bad input from people, the disk and the network: one line that says what and what to do, the right exit code, and
data that stays readable."""

import glob
import os
import random
import re
import socket
import subprocess
import time

from lab import case, paths
from lab.stack import Stack
from lab.wait import until


class Usage(case.Case):
    """Exit 2 for a wrong option, 1 for what the world refuses; one line each."""

    def refused(self, code, words, *expected, host="c"):
        """Runs to its end; exit code and one line on stderr that holds all of `expected`."""
        done = self.lab.run(host, words, timeout=20)
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        self.assertEqual(done.returncode, code, (words, done.stderr))
        self.assertEqual(len(lines), 1, done.stderr)
        for text in expected:
            self.assertIn(text, lines[0])
        return lines[0]

    def test_wrong_option(self):
        for words in (["run"], ["edges"], ["top"], ["hosts"], ["doctor"], ["dump"], ["collector"], ["graph"],
                      ["server"]):
            with self.subTest(words=words):
                self.refused(2, [paths.SKYFALL, *words, "--nonsense"], "nonsense")

    def test_wrong_option_of_the_agent(self):
        self.refused(2, [paths.AGENT, "--nonsense"], "nonsense")

    def test_wrong_value(self):
        self.refused(2, [paths.AGENT, "--interval", "fast"], "interval", "fast")
        self.refused(2, [paths.AGENT, "--interval", "7s"], "interval")
        self.refused(2, [paths.SKYFALL, "run", "--interval", "7s"], "interval")

    def test_every_value_of_every_option(self):
        """None takes the empty word, and none that wants a number takes something else. Which there are, --help says."""
        programs = [[paths.SKYFALL, word] for word in ("run", "top", "edges", "hosts", "doctor", "dump", "collector",
                                                       "graph", "server")] + [[paths.AGENT], [paths.GEN]]
        may_be_empty = ("net", "zone")
        numbers = ("N", "PORT", "BYTES", "NUMBER")
        found = 0
        for words in programs:
            text = self.lab.run("c", [*words, "--help"], timeout=20).stdout
            for option, kind in re.findall(r"^  (?:-., |    )--([a-z-]+) ([A-Z:]+|now\|TIME)", text, re.M):
                found += 1
                bad = [] if option in may_be_empty and kind == "NAME" else [""]
                if kind in numbers or (kind == "TIME" and option not in ("from", "to")):
                    bad += ["-1", "9" * 30, "rub bish", "0x10", " 5", "+5"]
                for value in bad:
                    with self.subTest(words=words, option=option, value=value):
                        self.refused(2, [*words, "--" + option, value], "--" + option)
        self.assertGreater(found, 60)

    def test_odd_values(self):
        """What a table of options cannot know."""
        gen = [paths.GEN, "--intervals", "0"]
        for value in ("rubbish", "-5", " 5", "5x", "0x5", "1e9", "99999999999999999999", "4294967295"):
            self.refused(2, [*gen, "--start", value], "--start")
        self.refused(2, [*gen, "--start", "1000000001", "--interval", "10s"], "--start")
        self.refused(2, [*gen, "--start", "3", "--past", "8"], "--start")
        self.refused(2, [*gen, "--spread", "1s"], "--spread")
        self.refused(2, [*gen, "--net", "a\tb"], "--net")
        for option in ("ipv6", "loss", "duplicate", "reorder"):
            for value in ("2", "101%", "-1", "nan", "1e-2", "0x1", "%", "1%%", "x"):
                self.refused(2, [*gen, "--" + option, value], "--" + option)
        for words, option in ((["--loss", "0.5", "--reorder", "0.6"], "loss"), (["--rate", "5", "--past", "1"], "rate"),
                              (["--flat-out", "--rate", "5"], "rate"), (["--threads", "2"], "threads"),
                              (["--for", "1s"], "for"), (["--profile", "standard", "--truth", "t"], "truth"),
                              (["--truth-rows", "-", "--json"], "json")):
            self.refused(2, [*gen, *words], "--" + option)
        self.refused(2, [*gen, "--keys", "1000", "--edges", "100", "--services", "60"], "more edges")
        self.refused(1, [*gen, "--truth", "/nonexistent/truth"], "--truth", "/nonexistent/truth")
        self.refused(1, [*gen, "--truth-rows", "/nonexistent/rows"], "--truth-rows", "/nonexistent/rows")
        self.refused(1, [*gen, "--inventory", "/nonexistent/zones"], "--inventory", "/nonexistent/zones")
        for words, option in (([paths.GEN], "collector"), ([paths.AGENT], "collector"), ([paths.SKYFALL, "run"], "sflow"),
                              ([paths.SKYFALL, "run"], "listen"), ([paths.SKYFALL, "server"], "listen"),
                              ([paths.SKYFALL, "dump"], "udp")):
            for value in ("127.0.0.1:65536", "127.0.0.1:", "127.0.0.1:+5", "[::1", "127.0.0.1:x"):
                with self.subTest(words=words, option=option, value=value):
                    self.refused(2, [*words, "--" + option, value], "--" + option)
        self.refused(2, [paths.GEN, "--collector", ":0"], "--collector")
        self.refused(2, [paths.SKYFALL, "run", "--net", "a\tb"], "--net")
        self.refused(2, [paths.SKYFALL, "run", "--host-id", "x" * 256], "--host-id")
        self.refused(2, [paths.SKYFALL, "run", "--for", "0"], "--for")
        self.refused(2, [paths.SKYFALL, "doctor", "--since", "0s"], "--since")

    def test_words_choose_rows_of_the_table_only(self):
        self.refused(2, [paths.SKYFALL, "edges", "--json", "shop"], "shop", "--service")

    def test_a_folder_nothing_is_stored_in(self):
        self.refused(1, [paths.SKYFALL, "server", "--data", "/nonexistent/data"], "/nonexistent/data", "--data")
        self.refused(2, [paths.SKYFALL, "server", "--interval", "7s"], "interval")

    def test_wrong_command(self):
        self.refused(2, [paths.SKYFALL, "nonsense"], "nonsense")

    def test_unreadable_rules_file(self):
        self.refused(1, [paths.AGENT, "--rules", "/nonexistent/rules", "--collector", "127.0.0.1"],
                     "/nonexistent/rules")

    def test_broken_rules_file(self):
        path = os.path.join(self.stack.folder, "rules")
        with open(path, "w", encoding="ascii") as file:
            file.write("# names\nthis is no rule at all ( [\n")
        self.refused(1, [paths.AGENT, "--rules", path, "--collector", "127.0.0.1"], path, "2")

    def test_check_config(self):
        """Options, their file and the rules are looked at, and nothing is done."""
        rules, config = self.stack.log("checked.rules"), self.stack.log("checked.conf")
        words = [paths.AGENT, "--check-config", "--config", config]
        for text, rule, code, told in (("collector 127.0.0.1\n", "exe a b", 0, "can be used"),
                                       ("collector 127.0.0.1\n", "exe a", 1, f"{rules}:1:6"),
                                       ("collector 127.0.0.1\ninterval 7s\n", "exe a b", 2, f"{config}:3:10"),
                                       ("collectors x\n", "exe a b", 2, f"{config}:2:1"),
                                       ("check-config\n", "exe a b", 2, f"{config}:2:1"),
                                       ("", "exe a b", 2, "--collector")):
            with open(rules, "w", encoding="ascii") as file:
                file.write(rule + "\n")
            with open(config, "w", encoding="ascii") as file:
                file.write(f"rules {rules}\n{text}")
            with self.subTest(text=text, rule=rule):
                done = self.lab.run("c", words, timeout=20)
                self.assertEqual(done.returncode, code, done.stderr)
                self.assertIn(told, done.stderr)
                self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)

    def test_unreadable_inventory(self):
        self.refused(1, [paths.SKYFALL, "run", "--no-agent", "--data", self.stack.folder + "/c1", "--inventory",
                         "/nonexistent/inventory"], "/nonexistent/inventory")

    def test_unknown_namespace(self):
        self.refused(1, [paths.AGENT, "--netns", "nonexistent", "--collector", "127.0.0.1"], "nonexistent")

    def test_nobody_at_the_api(self):
        done = self.lab.run("c", [paths.SKYFALL, "edges"], timeout=20)
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertEqual(len(done.stderr.strip().splitlines()), 1)

    def test_port_in_use(self):
        for kind, port in ((socket.SOCK_STREAM, 8343), (socket.SOCK_DGRAM, 6343)):
            with self.subTest(port=port):
                with self.lab.inside("c"):
                    taken = socket.socket(socket.AF_INET6, kind)
                self.addCleanup(taken.close)
                taken.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
                taken.bind(("::", port))
                if kind == socket.SOCK_STREAM:
                    taken.listen()
                self.refused(1, [paths.SKYFALL, "run", "--no-agent", "--data", f"{self.stack.folder}/c{port}"],
                             str(port))
                taken.close()

    def test_unwritable_data_folder(self):
        self.refused(1, [paths.SKYFALL, "run", "--no-agent", "--data", "/proc/nowhere"], "/proc/nowhere")
        folder = self.stack.folder + "/readonly"
        os.mkdir(folder)
        self.refused(1, ["unshare", "--mount", "sh", "-c",
                         'mount -t tmpfs -o ro none "$1" && exec "$2" run --no-agent --data "$1"', "sh", folder,
                         paths.SKYFALL], folder)


class Network(case.Case):
    """Datagrams that are none."""

    def test_noise_at_the_collectors_port(self):
        """Random bytes, empty and huge datagrams: counted, and the neighbours' are read as before."""
        rejected = self.rejected()
        numbers = random.Random(1)
        with self.lab.inside("m"):
            sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for n in range(500):
            sender.sendto(numbers.randbytes(n * 7 % 1400), ("127.0.0.1", 6343))
            head = b"\0\0\0\5\0\0\0\1\x0a\x4d\0\1" + n.to_bytes(4, "big") + b"\0\0\0\1\0\0\0\1\xff\xff\xff\xff"
            sender.sendto(head + numbers.randbytes(n), ("127.0.0.1", 6343))
        sender.close()
        server, client = self.server("10.77.0.2"), self.client()
        for command in (self.connect("10.77.0.2", "n=23"), "talk primes", "close"):
            client.do(command)
        self.expect(self.views(*self.tally(server, client)))
        self.assertGreaterEqual(self.rejected() - rejected, 500)
        self.stack.alive()

    def rejected(self):
        return sum(value for name, value in self.stack.metrics().items()
                   if name.startswith("skyfall_collector_") and ("reject" in name or "bad" in name))


class DiskFull(case.Case):
    """A store without room says so, loses what it says, keeps what it had, and goes on when there is room."""

    def setUp(self):
        super().setUp()
        self.shared = self.stack
        self.stack = Stack(self.lab, home="c")
        self.addCleanup(self.stack.close)
        os.mkdir(self.stack.data)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "none", self.stack.data], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", self.stack.data], check=True)
        self.addCleanup(self.stack.stop_agents)

    def speak(self, server, client):
        for command in (self.connect("10.77.3.3", "n=5"), "talk 1009 2003", "close"):
            client.do(command)
        return self.tally(server, client)

    def test_disk_full(self):
        self.stack.start_server()
        self.stack.start_agent("c")
        self.stack.wait_agents("c")
        server, client = self.server("10.77.3.3", host="c"), self.client(host="c")
        self.expect(self.views(*self.speak(server, client)))
        before = self.find()
        filler = os.path.join(self.stack.data, "filler")
        with open(filler, "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass
        self.began, first = time.time() + 1, self.began
        until(lambda: time.time() > self.began + 1, 5, "a later interval")
        self.speak(server, client)
        until(lambda: self.stack.api("health")["writer"]["error"], 20, "the writer says what is wrong")
        said = self.stack.api("health")["writer"]["error"]
        self.assertTrue("full" in said or "space" in said, said)
        self.stack.alive()
        old = self.stack.api("edges", client=self.client_service, from_=int(first), to=int(self.began))["edges"]
        self.assertEqual([e["client_c2s_bytes"] for e in old], [before["client_c2s_bytes"]])
        os.unlink(filler)
        until(lambda: not self.stack.api("health")["writer"]["error"], 30, "it writes again when there is room")
        until(lambda: self.find() is not None, 20, "what waited in memory is stored")
        self.stack.stop_agents()
        self.stack.stop_server()
        self.assertTrue(glob.glob(self.stack.data + "/**/edges-fine-*.db", recursive=True))
        self.stack.start_server()
        old = self.stack.api("edges", client=self.client_service, from_=int(first), to=int(self.began))["edges"]
        self.assertEqual([e["client_c2s_bytes"] for e in old], [before["client_c2s_bytes"]])
