# SPDX-License-Identifier: Apache-2.0
"""sFlow datagrams taken apart by the specification alone, and the collectors and decoders of others (tests/readers)."""

import ipaddress
import json
import os
import signal
import socket
import struct
import subprocess
import time

from . import net, paths
from .wait import until

INSTALL = (os.path.join(paths.ROOT, "tests", "peers.sh"), "sfacctd", "goflow2", "readers")
INSTALL_SECONDS = 600  # once: fetched and built from source
START_SECONDS = 30
ENTERPRISE = 32473
FLOWS, PAD = (ENTERPRISE, 1), (ENTERPRISE, 14)
SOCKETS = ((0, 2100), (0, 2101), (0, 2209))
# An address of its own: what others on this machine send to a port of 127.0.0.1 that was theirs before does not come here.
HERE = f"127.81.{os.getpid() >> 8 & 255}.{1 + os.getpid() % 250}"


def words(data):
    return struct.unpack(f">{len(data) // 4}I", data)


def parts(data, count):
    """Samples or records: [((enterprise, format), body)]."""
    found = []
    for _ in range(count):
        form, length = struct.unpack(">II", data[:8])
        found.append(((form >> 12, form & 0xfff), data[8:8 + length]))
        assert len(found[-1][1]) == length, "cut"
        data = data[8 + length:]
    assert not data, "bytes behind the last"
    return found


def take_apart(data):
    """A datagram of an agent with an IPv4 address: its flow samples."""
    version, family, _, sub_agent, sequence, _, count = words(data[:28])
    assert (version, family) == (5, 1)
    samples = []
    for form, body in parts(data[28:], count):
        if form == (0, 2):  # what the host is, as counters
            continue
        assert form == (0, 1), form
        names = ("sequence", "source", "rate", "pool", "drops", "input", "output", "n")
        samples.append(dict(zip(names, words(body[:32]))))
        samples[-1]["records"] = parts(body[32:], samples[-1]["n"])
    return {"agent": str(ipaddress.IPv4Address(data[8:12])), "sub_agent": sub_agent, "sequence": sequence,
            "samples": samples, "bytes": data}


def put_together(datagram, without):
    """It again, records of the formats `without` left out."""
    out = datagram["bytes"][:28]
    for sample in datagram["samples"]:
        kept = [(form, body) for form, body in sample["records"] if form not in without]
        names = ("sequence", "source", "rate", "pool", "drops", "input", "output")
        body = struct.pack(">8I", *(sample[name] for name in names), len(kept))
        for (enterprise, form), record in kept:
            body += struct.pack(">II", enterprise << 12 | form, len(record)) + record
        out += struct.pack(">II", 1, len(body)) + body
    return out


def frames(data):
    """Datagrams of a file that has each one's length before it."""
    while data:
        length = 4 + int.from_bytes(data[:4], "big")
        yield data[4:length]
        data = data[length:]


def framed(datagrams):
    return b"".join(len(data).to_bytes(4, "big") + data for data in datagrams)


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind((HERE, 0))
        return s.getsockname()[1]


def json_values(path):
    """Whole ones only: the writer may be in the middle of one. goflow2's workers write a value and the end of its line apart, so
    two values may share a line."""
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8") as file:
        text = file.read().lstrip()
    values = []
    while text:
        try:
            value, end = json.JSONDecoder().raw_decode(text)
        except json.JSONDecodeError:
            break
        values.append(value)
        text = text[end:].lstrip()
    return values


class Readers:
    """Installed once a run."""

    folder = None

    @classmethod
    def get(cls):
        if cls.folder is None:
            done = subprocess.run(INSTALL, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
            assert done.returncode == 0, done.stderr
            cls.folder = done.stdout.strip()
        return cls.folder

    @classmethod
    def decode(cls, which, datagrams):
        """What a decoder that is a Go module makes of each."""
        done = subprocess.run([os.path.join(cls.get(), "readers"), which], input=framed(datagrams), capture_output=True,
                              timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]


class Daemon:
    """A collector of others, listening on HERE:port. Its socket is open when it is returned, it is stopped by the test."""

    def __init__(self, test, folder, words_of, out, ready=""):
        self.port, self.out = free_port(), os.path.join(folder, out)
        self.log = os.path.join(folder, f"{out}.log")
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(words_of(self.port, self.out), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            preexec_fn=net.die_with_parent, cwd=folder)
        test.addCleanup(self.stop)
        until(self.listens, START_SECONDS, self.said)
        until(lambda: ready in self.said(), START_SECONDS, self.said)

    def listens(self):
        assert self.process.poll() is None, self.said()
        with open("/proc/net/udp", encoding="ascii") as v4, open("/proc/net/udp6", encoding="ascii") as v6:
            return f":{self.port:04X} " in v4.read() + v6.read()

    def said(self):
        with open(self.log, encoding="utf-8", errors="replace") as log:
            return log.read()[-2000:]

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def feed(self, datagrams):
        """Not faster than it can read: its queue must never be more than a few datagrams deep."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.connect((HERE, self.port))
            for data in datagrams:
                s.send(data)
                until(self.drained, 20, self.said)

    def drained(self):
        with open("/proc/net/udp", encoding="ascii") as v4, open("/proc/net/udp6", encoding="ascii") as v6:
            queues = [line.split()[4].split(":")[1] for line in (*v4, *v6) if f":{self.port:04X} " in line.split(" rem")[0]
                      and ":" in line.split()[4]]
        return all(int(queue, 16) < 65536 for queue in queues)


def sfacctd(test, folder):
    def words_of(port, out):
        conf = os.path.join(folder, "sfacctd.conf")
        with open(conf, "w", encoding="ascii") as file:
            file.write(f"daemonize: false\nsfacctd_ip: {HERE}\nsfacctd_port: {port}\nplugins: print\n"
                       "aggregate: src_host,dst_host,src_port,dst_port,proto\nprint_output: json\n"
                       f"print_output_file: {out}\nprint_output_file_append: true\nprint_refresh_time: 1\n")
        return [os.path.join(Readers.get(), "sfacctd"), "-f", conf]
    # What comes before its plugin runs is lost without a word.
    return Daemon(test, folder, words_of, "sfacctd", ready="Purging cache - END")


def goflow2(test, folder, produce):
    return Daemon(test, folder, lambda port, out: [
        os.path.join(Readers.get(), "goflow2"), "-listen", f"sflow://{HERE}:{port}", "-produce", produce, "-format", "json",
        "-transport", "file", "-transport.file", out, "-addr", ""], f"goflow2-{produce}")


def wait_quiet(read, enough, seconds):
    """What read() gives once it has `enough` of it, and a moment more in which nothing too many may come."""
    until(lambda: len(read()) >= enough, seconds, lambda: f"{len(read())} of {enough}")
    end = time.monotonic() + 0.5
    until(lambda: time.monotonic() >= end, 2, "a moment")
    return read()
