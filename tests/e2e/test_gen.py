# SPDX-License-Identifier: Apache-2.0
"""A fleet that skyfall-gen makes up: what the API says of it is what was sent, to the byte."""

import glob
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import time
import unittest
import urllib.request

from lab import net, paths
from lab.wait import until

SMALL = ("--hosts", "12", "--services", "40", "--edges", "120", "--zones", "6", "--odd-names")
LARGE = ("--hosts", "200", "--services", "2000", "--edges", "10000", "--zones", "6")


class Gen(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="skyfall-e2e-gen-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.inventory, self.truth = os.path.join(self.folder, "zones.yaml"), os.path.join(self.folder, "truth")

    def gen(self, *words):
        done = subprocess.run([paths.GEN, *words, "--inventory", self.inventory, "--quiet"], capture_output=True,
                              text=True, timeout=120, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)

    def start(self, *more):
        log = open(os.path.join(self.folder, "log"), "w", encoding="utf-8")
        self.addCleanup(log.close)
        process = subprocess.Popen(
            [paths.SKYFALL, "run", "--no-agent", "--json", "--data", f"{self.folder}/data", "--listen", "127.0.0.1:0",
             "--sflow", "127.0.0.1:0", "--inventory", self.inventory, *more], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=log, text=True, preexec_fn=net.die_with_parent)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait, 20)
        self.addCleanup(process.send_signal, signal.SIGINT)
        self.process = process
        block = json.loads(process.stdout.readline())
        self.url = block["api"]
        return f"127.0.0.1:{block['sflow_port']}"

    def api(self, path):
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}", timeout=30) as answer:
            return json.load(answer)

    def read_truth(self):
        """{edge id: (line without sums, sums, histograms)} over all intervals, and the range they cover."""
        edges, begins = {}, set()
        with open(self.truth, encoding="utf-8") as file:
            for text in file:
                line = json.loads(text)
                begins.add(line["interval"])
                _, sums, histograms = edges.setdefault(line["id"], (line, {}, {}))
                for name, value in line["sums"].items():
                    sums[name] = sums.get(name, 0) + value
                for name, buckets in line["histograms"].items():
                    into = histograms.setdefault(name, {})
                    for bucket, value in buckets.items():
                        into[bucket] = into.get(bucket, 0) + value
        return edges, min(begins), max(begins) + 1, len(begins)

    def differences(self, edges, begin, end):
        got = {e["id"]: e for e in self.api(f"edges?from={begin}&to={end}&limit=10000")["edges"]}
        wrong = [f"{e['client_service']} -> {e['server_service']}: nobody sent it" for e in got.values()
                 if e["id"] not in edges]
        for number, (line, sums, _) in edges.items():
            e = got.get(number, {})
            said = {name: value for name, value in e.items()
                    if name.split("_")[0] in ("client", "server", "network") and isinstance(value, int)}
            keys = ("observed_by", "client_service", "server_service", "client_zone", "server_zone", "port", "net")
            if said != sums or [e.get(k) for k in keys] != [line[k] for k in keys]:
                wrong.append(f"{line['client_service'][:40]} -> {line['server_service'][:40]}: " + ", ".join(
                    f"{n} {said.get(n, 0)} of {v}" for n, v in sums.items() if said.get(n, 0) != v))
        return wrong

    def check(self, fleet, seconds, *more, fold=1):
        self.gen(*fleet, "--intervals", "0")
        collector = self.start("--fold", f"{fold}s")
        self.gen(*fleet, "--collector", collector, "--truth", self.truth, *more)
        edges, begin, end, intervals = self.read_truth()
        begin, end = begin // fold * fold, -(-end // fold) * fold
        until(lambda: not self.differences(edges, begin, end), seconds,
              lambda: "\n".join(self.differences(edges, begin, end)[:20]))
        until(lambda: self.api(f"health?from={begin}&to={end}")["adds_up"], seconds, "the chain of sums adds up")
        return edges, begin, end, intervals

    def test_fleet_small(self):
        """With odd names, past intervals and an edge that begins late; histograms too."""
        edges, begin, end, intervals = self.check(SMALL, 15, "--intervals", "4", "--past", "6", "--late", "2")
        self.assertEqual((len(edges), intervals, end - begin), (120, 10, 10))
        self.assertEqual({line["observed_by"] for line, _, _ in edges.values()}, {"both", "client", "server"})
        self.assertLessEqual({"edge", "app", "data", "app-2"}, {line["server_zone"] for line, _, _ in edges.values()})
        for number in sorted(edges)[:10]:
            said = self.api(f"edges/{number}?from={begin}&to={end}")["histograms"]
            said = {name: {str(b): n for b, n in enumerate(h["buckets"]) if n} for name, h in said.items()}
            self.assertEqual(said, edges[number][2])

    def test_fleet_merged(self):
        """Rows of five intervals, from the collector to the store: the same sums, and every hop adds up."""
        edges, begin, end, _ = self.check(SMALL, 25, "--intervals", "11", fold=5)
        health = self.api(f"health?from={begin}&to={end}")
        self.assertEqual((health["interval_s"], health["agents"]["reporting"]), (5, 12))
        points = [self.api(f"edges/{number}/series?from={begin}&to={end}&step=5s")["points"] for number in sorted(edges)[:5]]
        self.assertEqual({point["at"] % 5 for at in points for point in at}, {0})
        with sqlite3.connect(next(glob.iglob(f"{self.folder}/data/**/edges-fine-*.db", recursive=True))) as store:
            rows = store.execute("SELECT interval_s, interval % 5, count(*) FROM edges GROUP BY 1, 2").fetchall()
        self.assertEqual([row[:2] for row in rows], [(5, 0)])
        self.assertLess(rows[0][2], len(edges) * 5)

    def test_signed_and_reloaded(self):
        """`skyfall run` believes who signs; after SIGHUP another inventory names the zones, another key is good, and a file with a
        mistake changes nothing."""
        keys = []
        for name in ("one", "other"):
            keys.append(os.path.join(self.folder, name))
            with open(keys[-1], "w", encoding="ascii", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
                file.write(subprocess.run([paths.SKYFALL, "key", "--new"], capture_output=True, text=True, check=True).stdout)
        fleet = os.path.join(self.folder, "fleet")
        shutil.copy(keys[0], fleet)
        self.gen(*SMALL, "--intervals", "0")
        collector = self.start("--fleet-key", fleet)

        def send(*words):
            done = subprocess.run([paths.GEN, *SMALL, "--collector", collector, "--intervals", "2", "--quiet", *words],
                                  capture_output=True, text=True, timeout=60, check=False)
            self.assertEqual(done.returncode, 0, done.stderr)

        def zones(since):
            return {e["server_zone"] for e in self.api(f"edges?from={since}&limit=10000")["edges"]}

        def refused(reason):
            with urllib.request.urlopen(f"{self.url}/metrics", timeout=30) as answer:
                text = answer.read().decode()
            return int(re.search(f'rejected_total{{reason="{reason}"}} (\\d+)', text)[1])

        def reload(text):
            with open(os.path.join(self.folder, "log"), encoding="utf-8") as file:
                before = file.read().count(text)
            self.process.send_signal(signal.SIGHUP)

            def again():
                with open(os.path.join(self.folder, "log"), encoding="utf-8") as file:
                    return file.read().count(text) > before
            until(again, 20, text)

        begin = int(time.time()) - 1
        send()
        until(lambda: refused("unsigned") > 10, 20, "who does not sign is refused")
        self.assertEqual(zones(begin), set())
        send("--key-file", keys[0])
        until(lambda: "app-2" in zones(begin), 20, lambda: zones(begin))
        with open(self.inventory, encoding="utf-8") as file:
            text = file.read()
        with open(self.inventory, "w", encoding="utf-8") as file:
            file.write(text.replace("app-2", "moved"))
        shutil.copy(keys[1], fleet)
        reload(": reloaded")
        begin = int(time.time())
        send("--key-file", keys[1])
        until(lambda: "moved" in zones(begin), 20, lambda: zones(begin))
        self.assertNotIn("app-2", zones(begin))
        with open(self.inventory, "w", encoding="utf-8") as file:
            file.write("zones: [")
        reload("everything stays as it was")

    def test_fleet_large(self):
        edges, *_ = self.check(LARGE, 40, "--intervals", "3")
        self.assertEqual(len(edges), 10000)
        hosts = self.api("hosts")["hosts"]
        self.assertEqual(len(hosts), 200)

    def test_same_seed_same_fleet(self):
        """Times apart, two runs write the same truth; another seed does not."""
        begin = int(time.time())
        texts = []
        for seed in ("5", "5", "6"):
            self.gen("--seed", seed, "--intervals", "1", "--start", str(begin - 5), "--truth", self.truth, "--collector",
                     self.sink())
            with open(self.truth, encoding="utf-8") as file:
                texts.append(file.read())
        self.assertEqual(texts[0], texts[1])
        self.assertNotEqual(texts[0], texts[2])

    def sink(self):
        """A UDP port that somebody has and nobody reads."""
        taken = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(taken.close)
        taken.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{taken.getsockname()[1]}"
