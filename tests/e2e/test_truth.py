# SPDX-License-Identifier: Apache-2.0
"""What a collector makes of what a fleet sends: every sum of every row equal to the truth, or to the truth less what was counted
as lost. From skyfall-gen over UDP to the messages on the bus."""

import concurrent.futures
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import unittest

from lab import net, paths
from lab.wait import until

KEY = ("view", "net", "scope", "protocol", "client", "server", "port", "other_port", "service", "process", "container")
NOT_SUMS = {"type", "interval", "interval_s", "flags", "unit", "pod", "via", "owner_quality", "ports", "ports_more", *KEY}
THREADS = (1, 2, 4)


def add(into, values):
    for name, value in values.items():
        if isinstance(value, dict):
            add(into.setdefault(name, {}), value)
        else:
            into[name] = into.get(name, 0) + value


class Sums:
    """What several messages of one key come to."""

    def __init__(self):
        self.sums, self.ports, self.more, self.messages = {}, set(), 0, 0

    def take(self, message):
        add(self.sums, {name: value for name, value in message.items() if name not in NOT_SUMS})
        self.ports.update(message["ports"])
        self.more += message["ports_more"]
        self.messages += 1


class Run:
    """One collector that a fleet sent to: both are over."""

    def __init__(self, folder, threads, words, listen="127.0.0.1:0", more=(), meanwhile=None):
        """meanwhile: called again and again with the collector's process while the fleet sends."""
        self.folder, self.meanwhile = folder, meanwhile
        self.log = open(self.file("log"), "ab")
        self.process = subprocess.Popen(
            [paths.SKYFALL, "collector", "--sflow", listen, "--interval", "1s", "--threads", str(threads), "--out",
             self.file("messages"), "--metrics", self.file("metrics"), "--rows", "400000", "--rcvbuf", "64M", "--json", *more],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.log, text=True, preexec_fn=net.die_with_parent)
        try:
            port = json.loads(self.process.stdout.readline())["sflow_port"]
            self.sent = self.send(listen.rsplit(":", 1)[0] + f":{port}", words)
            self.process.send_signal(signal.SIGINT)
            self.totals = json.loads(self.process.stdout.read())
            self.exit = self.process.wait(20)
        finally:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
            self.log.close()
        self.read()

    def file(self, name):
        return os.path.join(self.folder, name)

    def send(self, collector, words):
        words = [paths.GEN, "--collector", collector, "--truth-rows", self.file("truth"), "--json", "--quiet", *words]
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              preexec_fn=net.die_with_parent) as fleet:
            while self.meanwhile and fleet.poll() is None:
                self.meanwhile(self)
            said, wrong = fleet.communicate(timeout=60)
        if fleet.returncode:
            raise AssertionError(f"{words}: {fleet.returncode}: {wrong}")
        return json.loads(said)

    def read(self):
        self.messages = {}
        with open(self.file("messages"), encoding="utf-8") as file:
            for line in file:
                message = json.loads(line)
                self.messages.setdefault(message["type"], []).append(message)
        with open(self.file("truth"), encoding="utf-8") as file:
            self.truth = [json.loads(line) for line in file]
        with open(self.file("metrics"), encoding="utf-8") as file:
            self.metrics = {name: int(value) for name, value in re.findall(r"^skyfall_collector_(\S+) (\d+)$", file.read(), re.M)}

    def folded(self, interval=True):
        """{key: Sums} of the messages."""
        keys = {}
        for message in self.messages.get("Flow", ()):
            key = (message["interval"] if interval else 0, *(message[name] for name in KEY))
            keys.setdefault(key, Sums()).take(message)
        return keys

    def expected(self, interval=True, fold=1):
        """{key: what its sums should be} of the truth, histograms among them; those that were never sent are left out. fold: s
        that a row is of."""
        keys = {}
        for line in self.truth:
            if line["sums"]:
                key = (line["interval"] // fold * fold if interval else 0, *(line[name] for name in KEY))
                at = keys.setdefault(key, ({}, set()))
                add(at[0], {**line["sums"], **line["histograms"]})
                at[1].update(line["ports"])
        return keys


class Slow(Run):
    """The collector gets a moment now and then only, while it is sent to: what it can sustain is a fraction of what comes."""

    MOMENT, PAUSE = 0.002, 0.04

    def send(self, collector, words):
        over = threading.Event()

        def hold():
            while not over.wait(self.MOMENT):
                self.process.send_signal(signal.SIGSTOP)
                over.wait(self.PAUSE)
                self.process.send_signal(signal.SIGCONT)

        holder = threading.Thread(target=hold)
        holder.start()
        try:
            return super().send(collector, words)
        finally:
            over.set()
            holder.join()


class Truth(unittest.TestCase):
    def start(self, threads, *words, **more):
        folder = tempfile.mkdtemp(prefix="skyfall-e2e-truth-")
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        run = Run(folder, threads, words, **more)
        self.assertEqual(run.exit, 0)
        self.assertEqual(run.metrics["kernel_drops_total"], 0, "sent slowly enough for this machine")
        return run

    def check_sums(self, run, interval=True, fold=1):
        """Every row of the truth, and no other, with every sum, histogram and ephemeral port."""
        got, want = run.folded(interval), run.expected(interval, fold)
        self.assertGreater(len(want), 0)
        wrong = [f"{key}: {'nobody sent it' if key not in want else 'never came'}" for key in got.keys() ^ want.keys()]
        for key in got.keys() & want.keys():
            sums, ports = want[key]
            if got[key].sums != sums:
                differ = {n for n in sums.keys() | got[key].sums.keys() if sums.get(n) != got[key].sums.get(n)}
                wrong.append(f"{key}: " + ", ".join(f"{n} {got[key].sums.get(n)} of {sums.get(n)}" for n in sorted(differ)))
            elif not got[key].ports <= ports or (len(ports) <= 16 and got[key].ports != ports):
                wrong.append(f"{key}: ports {sorted(got[key].ports)} of {sorted(ports)}")
        self.assertFalse(wrong, f"{len(wrong)} of {len(want)} rows\n" + "\n".join(wrong[:10]))
        return got

    def check_books(self, run):
        """Rows come and go: what was sent is in the messages, in the markers, and in the ledger."""
        flows = run.messages["Flow"]
        rows = sum(m["rows"] for m in flows)
        self.assertEqual((rows, run.metrics["rows_total"], run.metrics["rows_out_total"]), (run.sent["rows"],) * 3)
        markers = run.messages["Marker"]
        self.assertEqual((sum(m["rows"] for m in markers), sum(m["messages"] for m in markers)), (rows, len(flows)))
        lines = {}
        for line in run.messages["Ledger"]:
            lines[line["role"], line["instance"], line["interval"]] = line  # written again it replaces its former self
            self.assertEqual(line["rows_in"], line["rows_out"] + sum(line["lost"].values()), line)
        self.assertEqual(sum(n["rows_out"] for (role, *_), n in lines.items() if role == "collector"), rows)
        return lines

    def check_agents(self, run, lines):
        """The agents' own lines: what they sent is what came and what is missing on the way."""
        sent = sum(n["rows_out"] for (role, *_), n in lines.items() if role == "agent")
        self.assertEqual(sent, run.sent["made_rows"])
        self.assertEqual(sent, run.metrics["rows_total"] + self.lost(run, "rows"))

    @staticmethod
    def lost(run, what):
        return run.metrics[f"lost_network_{what}_total"] - run.metrics[f"found_network_{what}_total"]

    def all_threads(self, *words, **more):
        for threads in THREADS:
            with self.subTest(threads=threads):
                run = self.start(threads, *words, **more)
                self.check_sums(run)
                self.check_agents(run, self.check_books(run))
                self.assertEqual(run.metrics["threads"], threads)

    def test_rows(self):
        """As agents fold them, half of all IPv6; interval by interval."""
        self.all_threads("--intervals", "2", "--ipv6", "50%", "--sockets", "40", "--hosts", "40")

    def test_events(self):
        self.all_threads("--intervals", "2", "--ipv6", "0.3", "--events", "--sockets", "20", "--gso")

    def test_merged_intervals(self):
        """--fold: rows, markers and the collector's lines of longer intervals, equal to the truth of all in each; agents' lines stay
        as they said them, and the bus has fewer rows."""
        for threads, fold, more in ((1, 2, ()), (2, 3, ("--ipv6", "20%", "--loss", "1%")), (4, 60, ("--events", "--keys", "600"))):
            with self.subTest(threads=threads, fold=fold):
                run = self.start(threads, "--intervals", "7", "--sockets", "20", "--hosts", "20", *more, more=("--fold", f"{fold}s"))
                self.check_sums(run, fold=fold)
                lines = self.check_books(run)
                self.check_agents(run, lines)
                for message in (*run.messages["Flow"], *run.messages["Marker"]):
                    self.assertEqual((message["interval_s"], message["interval"] % fold), (fold, 0))
                lengths = {role: {n["interval_s"] for (r, *_), n in lines.items() if r == role} for role in ("agent", "collector")}
                self.assertEqual(lengths, {"agent": {1}, "collector": {fold}})
                self.assertEqual(self.lost(run, "rows"), run.sent["lost_rows"])
                self.assertLess(len(run.messages["Flow"]), 0.7 * len({(n["interval"], *(n[k] for k in KEY)) for n in run.truth}))

    def test_not_believed(self):
        """All sign; beside them go forged, replayed (some of them old) and altered datagrams, on a bad way: nothing of the truth
        changes, no loss is made up, and each is refused and counted."""
        folder = tempfile.mkdtemp(prefix="skyfall-e2e-truth-")
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        keys = os.path.join(folder, "keys")
        with open(keys, "w", encoding="ascii", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            file.write(subprocess.run([paths.SKYFALL, "key", "--new"], capture_output=True, text=True, check=True).stdout)
        foes = ("--key-file", keys, "--forged", "3%", "--replayed", "5%", "--altered", "4%", "--ipv6", "30%")
        for threads, words in ((1, ("--intervals", "2")), (2, ("--intervals", "2", "--profile", "interop")),
                               (4, ("--intervals", "2", "--events", "--loss", "1%", "--reorder", "2%", "--duplicate", "1%")),
                               (2, ("--rate", "30000", "--for", "1s", "--gso", "--loss", "1%"))):
            with self.subTest(threads=threads, words=words):
                run = self.start(threads, "--keys", "2000", "--sockets", "40", *words, *foes, more=("--fleet-key", keys))
                sent, got = run.sent, run.metrics
                self.check_sums(run)
                lines = self.check_books(run)
                if "--intervals" in words:
                    self.check_agents(run, lines)
                beside = {kind: sent[f"{kind}_datagrams"] for kind in ("forged", "replayed", "altered")}
                self.assertGreater(min(beside.values()), 5)
                refused = {name: n for name, n in got.items() if name.startswith("rejected_total") and n}
                self.assertEqual(sum(refused.values()), sum(beside.values()) + sent["twice_datagrams"], refused)
                self.assertEqual(refused['rejected_total{reason="replayed"}'], beside["replayed"] + sent["twice_datagrams"])
                self.assertGreaterEqual(refused['rejected_total{reason="signature"}'], beside["forged"])
                self.assertEqual(got["signed_datagrams_total"], sent["datagrams"] + sent["other_datagrams"])
                self.assertEqual((self.lost(run, "datagrams"), self.lost(run, "rows")),
                                 (sent["lost_datagrams"], sent["lost_rows"]))

    def test_reload_under_load(self):
        """Keys, allow list and address spaces are read again some dozens of times while signed datagrams come as at a rate: not one is
        lost, refused or folded wrongly. Among the readings are files with mistakes."""
        folder = tempfile.mkdtemp(prefix="skyfall-e2e-truth-")
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        keys = [subprocess.run([paths.SKYFALL, "key", "--new"], capture_output=True, text=True, check=True).stdout for _ in "ab"]
        files = {name: os.path.join(folder, name) for name in ("fleet", "own", "allow", "nets")}

        def write(name, text):
            """Never half of it."""
            with open(files[name] + ".new", "w", encoding="ascii", opener=lambda p, f: os.open(p, f, 0o600)) as file:
                file.write(text)
            os.rename(files[name] + ".new", files[name])

        good = {"fleet": ("".join(keys), "".join(reversed(keys))), "allow": ("0.0.0.0/0\n::/0\n", "::/0\n0.0.0.0/1\n128.0.0.0/1 unsigned\n"),
                "nets": ("far\nnear\n", "# all\nnear\n\"\"\nfar\n")}
        bad = {"fleet": "no key\n", "allow": "10.0.0.0/8 signed\n", "nets": "two words\n"}
        for name, texts in good.items():
            write(name, texts[0])
        write("own", keys[0])
        self.times = 0

        def said(run, text):
            with open(run.file("log"), encoding="utf-8") as file:
                return file.read().count(text)

        def again(run):
            name = ("fleet", "allow", "nets")[self.times % 3]
            mistake = self.times % 7 == 6
            write(name, bad[name] if mistake else good[name][self.times // 3 % 2])
            before = said(run, "reloaded")
            run.process.send_signal(signal.SIGHUP)
            until(lambda: said(run, "reloaded") > before, 10, "it has read them")
            if mistake:
                write(name, good[name][0])
            self.times += 1

        run = self.start(2, "--rate", "30000", "--for", "4s", "--keys", "2000", "--sockets", "40", "--key-file", files["own"], "--net",
                         "far", "--loss", "1%", "--ipv6", "30%", meanwhile=again,
                         more=("--fleet-key", files["fleet"], "--allow-file", files["allow"], "--net-file", files["nets"]))
        print(f"# {self.times} times read, {said(run, 'not reloaded')} with a mistake; {run.sent['rows']} rows")
        self.check_sums(run)
        self.check_books(run)
        self.assertGreater(self.times, 20)
        self.assertGreater(said(run, "not reloaded"), 2)
        self.assertEqual({n: v for n, v in run.metrics.items() if n.startswith("rejected_total") and v}, {})
        self.assertEqual(run.metrics["signed_datagrams_total"], run.sent["datagrams"] + run.sent["other_datagrams"])
        self.assertEqual((self.lost(run, "datagrams"), self.lost(run, "rows")), (run.sent["lost_datagrams"], run.sent["lost_rows"]))

    def test_over_ipv6(self):
        run = self.start(2, "--intervals", "2", "--ipv6", "1", "--sockets", "8", "--net", "far", listen="[::1]:0")
        self.check_sums(run)
        self.check_agents(run, self.check_books(run))
        self.assertTrue(all(":" in m["client"] and m["net"] == "far" for m in run.messages["Flow"]))

    def test_bad_way(self):
        """1 % lost, 3 % overtaken, 2 % twice: the truth less what is lost, and that counted to the datagram and the row."""
        for threads in THREADS:
            with self.subTest(threads=threads):
                run = self.start(threads, "--intervals", "2", "--events", "--ipv6", "20%", "--sockets", "50", "--hosts", "30",
                                 "--keys", "2000", "--loss", "1%", "--reorder", "3%", "--duplicate", "2%")
                self.check_sums(run)
                self.check_agents(run, self.check_books(run))
                sent = run.sent
                self.assertGreater(min(sent["lost_rows"], sent["overtaken_rows"], sent["twice_rows"]), 0)
                self.assertEqual(sent["made_rows"], sent["rows"] + sent["lost_rows"])
                self.assertEqual((self.lost(run, "datagrams"), self.lost(run, "rows")),
                                 (sent["lost_datagrams"], sent["lost_rows"]))
                self.assertEqual(run.metrics["duplicates_total"], sent["twice_datagrams"])
                # overtaken by one that another thread got: nobody can tell, and it is not late there
                late = run.metrics["late_datagrams_total"]
                self.assertIn(sent["overtaken_datagrams"] - late, range(1 + (sent["overtaken_datagrams"] // 10 if threads > 1 else 0)))
                self.assertEqual(sum(line["unsent_rows"] for line in run.truth), sent["lost_rows"])

    def test_any_socket(self):
        """An agent's datagrams come to any of the threads, some are lost: none is counted as lost that only came elsewhere."""
        for threads in THREADS:
            with self.subTest(threads=threads):
                run = self.start(threads, "--intervals", "2", "--events", "--keys", "1500", "--sockets", "64", "--spray", "--loss",
                                 "2%", "--reorder", "2%")
                self.check_sums(run)
                self.check_agents(run, self.check_books(run))
                self.assertEqual((self.lost(run, "datagrams"), self.lost(run, "rows")),
                                 (run.sent["lost_datagrams"], run.sent["lost_rows"]))
                if threads > 1:
                    load = [n for name, n in run.metrics.items() if name.startswith("thread_datagrams_total")]
                    self.assertGreater(min(load), 0)

    def test_load(self):
        """Round and round at a rate, with runs cut by the kernel, from two threads; over several intervals."""
        for more in ((), ("--gso", "--profile", "interop"), ("--gso", "--loss", "1%", "--duplicate", "1%", "--reorder", "1%")):
            with self.subTest(more=more):
                run = self.start(2, "--keys", "3000", "--ipv6", "20%", "--rate", "40000", "--for", "1s", "--threads", "2",
                                 "--sockets", "60", *more)
                self.check_sums(run)
                self.check_books(run)
                self.assertGreater(run.sent["made_rows"], 30000)
                self.assertEqual(self.lost(run, "rows"), run.sent["lost_rows"])
                self.assertEqual(run.metrics["duplicates_total"], run.sent["twice_datagrams"])

    def never_quiet(self, run):
        """What was sent is folded, or counted to the datagram and the row."""
        sent, got = run.sent, run.metrics
        self.assertGreater(got["kernel_drops_total"], 100, "it was too much")
        self.assertEqual(sent["datagrams"] + sent["other_datagrams"], got["datagrams_total"] + got["kernel_drops_total"])
        self.assertEqual(self.lost(run, "datagrams"), got["kernel_drops_total"])
        self.assertEqual(sent["rows"], got["rows_total"] + self.lost(run, "rows"))
        self.assertEqual(got["rows_total"], got["rows_out_total"] + got["rows_lost_total"])
        self.assertEqual(sum(m["rows"] for m in run.messages["Flow"]), got["rows_out_total"])

    def overloaded(self, kind, words, more):
        folder = tempfile.mkdtemp(prefix="skyfall-e2e-truth-")
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        run = kind(folder, 2, ("--for", "2s", "--keys", "5000", "--hosts", "40", "--sockets", "40", *words), more=more)
        self.never_quiet(run)
        return run

    def test_never_a_quiet_loss(self):
        """As fast as can be into a buffer of a few datagrams; how large that is, and what each socket took, is told."""
        run = self.overloaded(Run, ("--flat-out",), ("--rcvbuf", "128K"))
        for what, total in (("datagrams_total", run.metrics["datagrams_total"]), ("rcvbuf_asked_bytes", 2 << 17),
                            ("rcvbuf_granted_bytes", 2 << 17), ("kernel_drops_total", run.metrics["kernel_drops_total"])):
            self.assertEqual(sum(run.metrics[f'thread_{what}{{thread="{i}"}}'] for i in range(2)), total, what)

    def test_three_times_what_it_can_take(self):
        """Three times as many rows as the collector can read while it is never idle, and more; then with too small a table as well."""
        for more in ((), ("--rows", "500")):
            with self.subTest(more=more):
                run = self.overloaded(Slow, ("--flat-out",), ("--rcvbuf", "128K", *more))
                self.assertGreaterEqual(run.sent["rows"], 3 * run.metrics["rows_total"], "it came three times as fast")
                self.assertGreater(run.metrics["rows_out_total"], 0)
                self.assertEqual(run.metrics["rows_lost_total"] > 0, bool(more))

    def test_all_threads_profiles_families_ways(self):
        """1, 2 and 4 threads x each profile x IPv4 and IPv6, rows and way x a good way and one that loses, overtakes and doubles: the
        truth, or the truth less what is counted."""
        def one(threads, profile, ipv6, bad):
            words = ["--intervals", "2", "--events", "--hosts", "12", "--keys", "300", "--sockets", "12", "--ipv6", ipv6,
                     "--profile", profile, *(("--loss", "3%", "--reorder", "5%", "--duplicate", "4%") if bad else ())]
            return self.start(threads, *words, listen="[::1]:0" if ipv6 == "1" else "127.0.0.1:0")

        product = list(itertools.product(THREADS, ("packed", "interop", "standard"), ("0", "1"), (False, True)))
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            runs = [pool.submit(one, *case) for case in product]
            for (threads, profile, ipv6, bad), made in zip(product, runs):
                with self.subTest(threads=threads, profile=profile, ipv6=ipv6, bad=bad):
                    run, ours = made.result(), profile != "standard"
                    self.assertEqual(run.metrics["threads"], threads)
                    self.check_sums(run, interval=ours)
                    lines = self.check_books(run)
                    self.assertEqual({":" in m["client"] for m in run.messages["Flow"]}, {ipv6 == "1"})
                    self.assertEqual(run.metrics["duplicates_total"], run.sent["twice_datagrams"])
                    self.assertEqual(bad, min(run.sent[f"{what}_rows"] for what in ("lost", "overtaken", "twice")) > 0)
                    if ours:
                        self.check_agents(run, lines)
                        self.assertEqual((self.lost(run, "datagrams"), self.lost(run, "rows")),
                                         (run.sent["lost_datagrams"], run.sent["lost_rows"]))
                    else:  # nobody says what is behind an agent's last datagram, or before its first
                        self.assertEqual(run.metrics["sampled_rows_total"], run.sent["rows"])
                        self.assertLessEqual(self.lost(run, "datagrams"), run.sent["lost_datagrams"])

    def test_published_mix(self):
        """12 events to 1.4 messages, and over 3 ephemeral ports a conversation: what folding saves."""
        run = self.start(2, "--intervals", "1", "--spread", "900ms", "--events", "--keys", "8000", "--sockets", "100")
        got = self.check_sums(run)
        self.check_books(run)
        sent = run.sent
        self.assertEqual(len(got), 8000)
        self.assertAlmostEqual(sent["made_rows"] / sent["keys"], 12 / 1.4, delta=0.5)
        self.assertAlmostEqual(sent["tuples"] / sent["keys"], 3.3, delta=0.2)
        self.assertLessEqual(len(run.messages["Flow"]), sent["made_rows"] / 8)

    def test_interop(self):
        """Each row twice, in our words and in the standard's: counted once."""
        for threads, more in ((1, ()), (2, ("--events",)), (4, ("--events", "--gso", "--loss", "2%", "--duplicate", "1%"))):
            with self.subTest(threads=threads, more=more):
                run = self.start(threads, "--intervals", "2", "--ipv6", "30%", "--profile", "interop", "--sockets", "10", *more)
                self.check_sums(run)
                self.check_agents(run, self.check_books(run))
                self.assertEqual((self.lost(run, "datagrams"), self.lost(run, "rows")),
                                 (run.sent["lost_datagrams"], run.sent["lost_rows"]))
                self.assertEqual(run.metrics["sampled_rows_total"], 0)

    def test_standard(self):
        """Samples of others, scaled by their rate; the interval is that in which they came."""
        for threads, rate in ((1, 1), (2, 400), (4, 7)):
            with self.subTest(threads=threads, rate=rate):
                run = self.start(threads, "--intervals", "2", "--events", "--ipv6", "40%", "--profile", "standard", "--sampling",
                                 str(rate), "--sockets", "20", "--loss", "1%")
                self.check_sums(run, interval=False)
                self.check_books(run)
                self.assertEqual(run.metrics["sampled_rows_total"], run.sent["rows"])
                self.assertGreater(run.sent["lost_rows"], 0)
