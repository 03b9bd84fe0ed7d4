# SPDX-License-Identifier: Apache-2.0
"""`skyfall doctor --datagrams` says where each datagram went: what comes here is made to go wrong in each way."""

import re
import signal
import socket
import struct
import subprocess
import tempfile
import unittest

from lab import paths
from lab.wait import until


def datagram(sequence):
    return struct.pack(">II4sIIII", 5, 1, bytes([10, 9, 8, 7]), 0, sequence, 1 << 30, 0)


class Datagrams(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        ports = [self.free(kind) for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM)]
        self.api, self.to = f"127.0.0.1:{ports[0]}", ("127.0.0.1", ports[1])
        self.run = subprocess.Popen([paths.SKYFALL, "run", "--no-agent", "--data", folder.name, "--listen", self.api,
                                     "--sflow", f"127.0.0.1:{ports[1]}"], stdout=subprocess.DEVNULL,
                                    stderr=subprocess.DEVNULL)
        self.addCleanup(self.run.wait)
        self.addCleanup(self.run.terminate)
        until(lambda: self.doctor()[0] == 0, 20, "it answers")
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(self.socket.close)

    @staticmethod
    def free(kind):
        with socket.socket(socket.AF_INET, kind) as s:
            s.bind(("127.0.0.1", 0))
            return s.getsockname()[1]

    def doctor(self):
        done = subprocess.run([paths.SKYFALL, "doctor", "--datagrams", "--api", self.api], capture_output=True, text=True,
                              check=False)
        said = {}
        for label, n, unit in re.findall(r"^(\S+) +(\d+) (datagrams|rows|  +\S+)", done.stdout, re.M):
            said[label, unit.strip()] = int(n)
        return done.returncode, said, done.stdout

    def test_each_way_to_go_wrong(self):
        self.socket.sendto(b"\0\0\0\4nonsense", self.to)
        self.socket.sendto(b"\0\0\0\5", self.to)
        for sequence in (1, 2, 3, 3, 7, 500, 9):
            self.socket.sendto(datagram(sequence), self.to)
        until(lambda: self.doctor()[1].get(("missing", "datagrams")), 10, "the period ends")
        code, said, text = self.doctor()
        self.assertEqual(code, 1)
        self.assertEqual(said["received", "datagrams"], 9)
        self.assertEqual(said["refused", "version"], 1)
        self.assertEqual(said["refused", "short"], 1)
        self.assertEqual(said["duplicate", "datagrams"], 1)
        self.assertEqual(said["old", "datagrams"], 1)
        self.assertEqual(said["missing", "datagrams"], 500 - 5)
        self.assertEqual(said["socket", "datagrams"], 0)
        self.assertIn("from 127.0.0.1: 000000046e6f6e73656e7365", text)

    def test_the_socket_overflows(self):
        """While it stands still its sockets fill up: what they had no room for is missing, and told as the sockets'."""
        self.run.send_signal(signal.SIGSTOP)
        flood, after = 30000, 512
        for sequence in range(1, flood + 1):
            self.socket.sendto(datagram(sequence) + bytes(1300), self.to)
        self.run.send_signal(signal.SIGCONT)
        until(lambda: self.doctor()[1]["received", "datagrams"] > 0, 10, "it reads on")
        for sequence in range(flood + 1, flood + after + 1):
            self.socket.sendto(datagram(sequence), self.to)

        def all_told():
            said = self.doctor()[1]
            return (said["received", "datagrams"] + said["socket", "datagrams"] == flood + after and
                    said["missing", "datagrams"] == said["socket", "datagrams"] > 0)
        until(all_told, 20, "sent = received + dropped by the sockets, and just those are missing")
