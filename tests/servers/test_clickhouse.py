# SPDX-License-Identifier: Apache-2.0
"""The store on ClickHouse: the suite of tests/unit/test_store.c, on Debian's 18.16 and on today's engine."""

import os
import re
import subprocess
import unittest

import clickhouse
from lab import paths

PROGRAM = os.path.join(paths.BUILD, "tests", "unit", "test_store")


class ClickHouse(unittest.TestCase):
    def suite(self, today, name):
        with clickhouse.Server(today) as server:
            done = subprocess.run([PROGRAM], env={**os.environ, "SKYFALL_TEST_CLICKHOUSE": server.url,
                                                  "CMOCKA_MESSAGE_OUTPUT": "TAP"},
                                  capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=600, check=False)
        cases = re.findall(r"^(not )?ok \d+ - (\S+)", done.stdout, re.M)
        for bad, case in cases:
            with self.subTest(case):
                self.assertFalse(bad, done.stdout + done.stderr)
            print(f"{'not ok' if bad else 'ok'} - store on ClickHouse {name}: {case}", flush=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertGreaterEqual(len(cases), 15)

    def test_suite_on_18_16(self):
        self.suite(False, "18.16")

    def test_suite_on_today_s(self):
        self.suite(True, "of today")
