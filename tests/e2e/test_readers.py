# SPDX-License-Identifier: Apache-2.0
"""Collectors and decoders of others on the profile interop: what they make of our datagrams is what was put in.

The rows are reader_rows's, of every kind; what each must become is worked out here from the rows and sFlow's specification,
without the encoder. Last, an agent's own."""

import base64
import collections
import ipaddress
import os
import shutil
import socket
import struct
import subprocess
import tempfile
import time
import unittest

from lab import case, net, paths, readers, work
from lab.wait import until

MOST = 2**32 - 1
INTERNAL = 0x3fffffff
SECONDS = 60  # for a collector to write down what it read; the machine is shared

Packet = collections.namedtuple("Packet", "src dst src_port dst_port protocol bytes")


def ends(row):
    """Ports of both ends: an ephemeral one that is not the only one is not said."""
    one = row["ports"][0] if len(row["ports"]) == 1 and not row["ports_more"] else 0
    return {"client": (one, row["port"]), "server": (row["port"], one),
            "unknown": (row["port"], row["other_port"])}[row["view"]]


def samples_of(row):
    """[(packet, sent, rows of the record, the row)] in the order they are sent."""
    local, remote = ends(row)
    tx, rx, first = row["tx"], row["rx"], True
    found = []
    while first or tx or rx:
        sent, got = min(tx, MOST), min(rx, MOST)
        new = []
        if sent or not got:
            new.append((Packet(row["local"], row["remote"], local, remote, row["protocol"], sent), True))
        if got:
            new.append((Packet(row["remote"], row["local"], remote, local, row["protocol"], got), False))
        for i, (packet, direction) in enumerate(new):
            found.append((packet, direction, (row["rows"] if first else 0) if i == 0 else None, row))
        tx, rx, first = tx - sent, rx - got, False
    return found


def sums(packets):
    """{5-tuple: (samples, bytes)}"""
    found = collections.defaultdict(lambda: [0, 0])
    for packet in packets:
        found[packet[:5]][0] += 1
        found[packet[:5]][1] += packet.bytes
    return {key: tuple(value) for key, value in found.items()}


def socket_record(row):
    local, remote = ends(row)
    return struct.pack(">I", row["protocol"]) + b"".join(ipaddress.ip_address(row[end]).packed for end in ("local", "remote")) \
        + struct.pack(">II", local, remote)


class Readers(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="skyfall-e2e-readers-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.datagrams, self.want = self.make()
        self.parsed = [readers.take_apart(data) for data in self.datagrams]

    def make(self, *words):
        file = os.path.join(self.folder, "datagrams")
        done = subprocess.run([os.path.join(paths.BUILD, "tests/e2e/reader_rows"), file, *map(str, words)],
                              capture_output=True, text=True, timeout=60, check=True)
        rows = [readers.json.loads(line) for line in done.stdout.splitlines()]
        with open(file, "rb") as datagrams:
            return list(readers.frames(datagrams.read())), [sample for row in rows for sample in samples_of(row)]

    def got(self):
        return [sample for datagram in self.parsed for sample in datagram["samples"]]

    def test_specification(self):
        """By the standard's text alone: each sample, its numbers and records; of several sizes, padded and not."""
        for words in ((), (1000,), (8972,), (1400, 1400)):
            self.datagrams, self.want = self.make(*words)
            self.parsed = [readers.take_apart(data) for data in self.datagrams]
            self.check_samples()
            if len(words) == 2:
                self.assertEqual({len(data) for data in self.datagrams}, {words[1]})

    def check_samples(self):
        self.assertEqual([d["sequence"] for d in self.parsed], list(range(1, len(self.parsed) + 1)))
        got, pool = self.got(), 1000
        self.assertEqual(len(got), len(self.want))
        for i, (sample, (packet, sent, rows, row)) in enumerate(zip(got, self.want)):
            pool += rows or 0
            self.assertEqual({k: v for k, v in sample.items() if k not in ("records", "n")},
                             {"sequence": i + 1, "source": 2 << 24 | 1, "rate": 1, "pool": pool, "drops": 3,
                              "input": INTERNAL if sent else 0, "output": 0 if sent else INTERNAL})
            records = [record for record in sample["records"] if record[0] != readers.PAD]
            v6 = ":" in packet.src
            self.assertEqual([form for form, _ in records],
                             [(0, 4 if v6 else 3), *([] if rows is None else [readers.FLOWS]), (0, 2101 if v6 else 2100),
                              *([(0, 2209)] if packet.protocol == 6 else [])])
            addresses = b"".join(ipaddress.ip_address(end).packed for end in packet[:2])
            self.assertEqual(records[0][1], struct.pack(">II", packet.bytes, packet.protocol) + addresses +
                             struct.pack(">4I", packet.src_port, packet.dst_port, 0, 0))
            bodies = dict(records)
            self.assertEqual(bodies[0, 2101 if v6 else 2100], socket_record(row))
            if packet.protocol == 6:
                info, n = readers.words(bodies[0, 2209]), row["samples"] or 1
                self.assertEqual((info[0], info[4], info[5], info[8], info[9]),
                                 (2 if sent else 1, row["lost"], row["retransmitted"], row["jitter"] // n, row["cwnd"] // n))

    def test_sfacctd(self):
        daemon = readers.sfacctd(self, self.folder)
        want = sums(packet for packet, *_ in self.want)

        def got():
            found = collections.defaultdict(lambda: (0, 0))
            for line in readers.json_values(daemon.out):
                key = (str(ipaddress.ip_address(line["ip_src"])), str(ipaddress.ip_address(line["ip_dst"])), line["port_src"],
                       line["port_dst"], {"tcp": 6, "udp": 17}[line["ip_proto"]])
                found[key] = tuple(map(sum, zip(found[key], (line["packets"], line["bytes"]))))
            return found

        daemon.feed(self.datagrams)
        until(lambda: sum(n for n, _ in got().values()) >= len(self.want), SECONDS, daemon.said)
        found = got()
        self.assertEqual({key: (found.get(key), want.get(key)) for key in {*found, *want} if found.get(key) != want.get(key)}, {})

    def test_goflow2(self):
        daemon = readers.goflow2(self, self.folder, "sample")
        daemon.feed(self.datagrams)
        lines = readers.wait_quiet(lambda: readers.json_values(daemon.out), len(self.want), SECONDS)
        protocols = {"TCP": 6, "UDP": 17}
        got = [Packet(line["src_addr"], line["dst_addr"], line["src_port"], line["dst_port"],
                      protocols.get(line["proto"], line["proto"]), line["bytes"]) for line in lines]
        self.assertEqual(sorted(got), sorted(packet for packet, *_ in self.want))  # its threads are not in step
        self.assertEqual({line["sampling_rate"] for line in lines}, {1})
        self.assertEqual({line["sampler_address"] for line in lines}, {"192.0.2.7"})

    def test_goflow2_raw(self):
        """Each record in its place, ours and those it does not know whole."""
        daemon = readers.goflow2(self, self.folder, "raw")
        daemon.feed(self.datagrams)
        lines = readers.wait_quiet(lambda: readers.json_values(daemon.out), len(self.datagrams), SECONDS)
        lines.sort(key=lambda line: line["message"]["sequence-number"])  # its threads are not in step
        self.assertEqual([line["message"]["sequence-number"] for line in lines], [d["sequence"] for d in self.parsed])
        got = [sample for line in lines for sample in line["message"]["samples"]]
        self.assertEqual(len(got), len(self.want))
        whole = 0
        for sample, ours, (packet, *_) in zip(got, self.got(), self.want):
            self.assertEqual([sample[name] for name in ("sample-pool", "drops", "input", "output", "sampling-rate")],
                             [ours[name] for name in ("pool", "drops", "input", "output", "rate")])
            self.assertEqual(len(sample["records"]), len(ours["records"]))
            for record, (form, body) in zip(sample["records"], ours["records"]):
                self.assertEqual(record["header"]["data-format"], form[0] << 12 | form[1])
                data = record["data"]
                if form in ((0, 3), (0, 4)):
                    self.assertEqual(Packet(data["src-ip"], data["dst-ip"], data["src-port"], data["dst-port"],
                                            data["protocol"], data["length"]), packet)
                else:
                    self.assertEqual(base64.b64decode(data["data"]), body)
                    whole += 1
        self.assertGreater(whole, 2 * len(self.want))

    def test_cistern(self):
        """It knows neither addresses nor sockets, but goes past them by their lengths, and past ours."""
        self.check_heads(readers.Readers.decode("cistern", self.datagrams))

    def check_heads(self, found):
        self.assertEqual([(d["agent"], d["sub_agent"], d["sequence"], d.get("error")) for d in found],
                         [(d["agent"], d["sub_agent"], d["sequence"], None) for d in self.parsed])
        names = ("sequence", "rate", "pool", "drops", "input", "output")
        self.assertEqual([[sample[name] for name in names] for d in found for sample in d["samples"]],
                         [[sample[name] for name in names] for sample in self.got()])

    def test_gopacket(self):
        """It gives a datagram up at a record of the standard that it does not know, 2100 first, and takes sampled_ipv4 and 6 from
        8 bytes before where they are. Without the former, and the latter set right, all it says is ours."""
        for datagram in readers.Readers.decode("gopacket", self.datagrams):
            self.assertRegex(datagram["error"], "Unsupported flow record type: 210[01]")
        found = readers.Readers.decode("gopacket", [readers.put_together(d, readers.SOCKETS) for d in self.parsed])
        self.check_heads(found)
        for sample, (packet, *_) in zip((s for d in found for s in d["samples"]), self.want):
            v6 = ":" in packet.src
            record, = sample["ipv6" if v6 else "ipv4"]
            said = struct.pack(">II", record["Length"], record["Protocol"])
            said += b"".join(ipaddress.ip_address(record[name]).packed for name in ("IPSrc", "IPDst"))
            said += struct.pack(">4I", *(record[name] for name in ("PortSrc", "PortDst", "TCPFlags")),
                                record["Priority" if v6 else "TOS"])
            true = struct.pack(">4I", 4 if v6 else 3, 56 if v6 else 32, packet.bytes, packet.protocol)
            true += b"".join(ipaddress.ip_address(end).packed for end in packet[:2])
            true += struct.pack(">II", packet.src_port, packet.dst_port)
            self.assertEqual(said, true)


class Agent(unittest.TestCase):
    """What an agent sends with --profile interop."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="skyfall-e2e-readers-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def test_agent(self):
        """An agent on host a and a client of its: sfacctd knows the bytes of its one connection."""
        case.Shared.drop()
        lab = net.Lab()
        self.addCleanup(lab.close)
        with lab.inside("a"):
            took = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            took.bind(("127.0.0.1", 0))
        self.addCleanup(took.close)
        took.settimeout(0.1)
        agent = lab.popen("a", [paths.AGENT, "--collector", f"127.0.0.1:{took.getsockname()[1]}", "--interval", "1s", "--no-ack",
                                "--profile", "interop", "--netns", lab.name("a"), "--quiet"], stdin=subprocess.DEVNULL)
        self.addCleanup(agent.wait, 20)
        self.addCleanup(agent.terminate)
        datagrams = []

        def take():
            try:
                while True:
                    datagrams.append(took.recv(65536))
            except (TimeoutError, BlockingIOError):
                return datagrams

        until(take, 20, "the agent sends")
        server = work.serve(lab, "b", "reader-server", "10.77.0.2", 7999)
        self.addCleanup(server.stop)
        client = work.client(lab, "a", "reader-client")
        self.addCleanup(client.stop)
        for command in ("connect 10.77.0.2 7999", "talk primes", "close"):
            client.do(command)
        tally = client.do("report")
        want = {("10.77.0.1", "10.77.0.2"): tally["sent"], ("10.77.0.2", "10.77.0.1"): tally["received"]}

        def packets():
            """Bytes between both hosts in the samples so far, by the standard's records alone."""
            found = collections.Counter()
            for data in take():
                for sample in readers.take_apart(data)["samples"]:
                    for form, body in sample["records"]:
                        if form == (0, 3) and 7999 in readers.words(body)[4:6]:
                            found[str(ipaddress.ip_address(body[8:12])), str(ipaddress.ip_address(body[12:16]))] += \
                                readers.words(body)[0]
            return found

        until(lambda: packets() == want, 20, lambda: f"{packets()}, expected {want}")
        daemon = readers.sfacctd(self, self.folder)
        daemon.feed(datagrams)

        def seen():
            found = collections.Counter()
            for line in readers.json_values(daemon.out):
                if 7999 in (line["port_src"], line["port_dst"]):
                    found[line["ip_src"], line["ip_dst"]] += line["bytes"]
            return found

        until(lambda: seen() == want, SECONDS, lambda: f"{seen()}, expected {want}: {daemon.said()}")


class Ours(case.Case):
    """Our own collector on the same: every row once, by our record, and no row by the standard's beside it."""

    def test_interop_here(self):
        self.addCleanup(self.stack.restart_agents)
        self.stack.restart_agents("--profile", "interop")
        self.began = time.time() - 1
        sampled = self.stack.metrics()["skyfall_collector_sampled_rows_total"]
        server, client = self.server("10.77.0.2"), self.client()
        for command in (self.connect("10.77.0.2", "n=7"), "talk primes", "close"):
            client.do(command)
        edge = self.expect(self.views(*self.tally(server, client)))
        self.assertFalse([name for name, value in edge.items() if name.startswith("network_") and value])
        self.assertEqual(self.stack.metrics()["skyfall_collector_sampled_rows_total"], sampled)
        self.adds_up()
