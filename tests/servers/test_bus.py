# SPDX-License-Identifier: Apache-2.0
"""The bus on a real broker: what every bus must do, and what Kafka alone does (kafka_bus.c)."""

import os
import re
import subprocess
import unittest

import broker
from lab import paths

PROGRAM = os.path.join(paths.BUILD, "tests", "servers", "kafka_bus")


class Bus(unittest.TestCase):
    def test_suite_on_a_broker(self):
        with broker.Cluster(1) as kafka:
            done = subprocess.run([PROGRAM], env={**os.environ, "SKYFALL_KAFKA": kafka.address, "CMOCKA_MESSAGE_OUTPUT": "TAP"},
                                  capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=400, check=False)
        cases = re.findall(r"^(not )?ok \d+ - (\S+)", done.stdout, re.M)
        for bad, name in cases:
            with self.subTest(name):
                self.assertFalse(bad, done.stdout + done.stderr)
            print(f"{'not ok' if bad else 'ok'} - kafka bus: {name}", flush=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertGreaterEqual(len(cases), 17)
