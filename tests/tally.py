#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Counts test cases.

    tally.py meson FOLDER SUITE   TAP lines out of a meson build's test log, a binary without any counts as one case
    tally.py count FILE           prints "passed failed" of a TAP text
"""

import json
import re
import sys

CASE = re.compile(r"^(not )?ok\b(?: \d+)?(?: - (.*))?$", re.M)


def meson(folder, suite):
    """Prints every case of the last run of a suite; what failed with the output of its binary."""
    with open(f"{folder}/meson-logs/testlog.json", encoding="utf-8") as file:
        for line in file:
            test = json.loads(line)
            name = test["name"].split(" / ")[-1]
            said = test.get("stdout", "") + "\n" + test.get("stderr", "")
            cases = CASE.findall(said)
            good = test["result"] == "OK"
            if good and not cases:
                cases = [("", "")]
            for bad, case in cases:
                print(f"{'not ok' if bad else 'ok'} - {suite} {name}: {case or 'all'}")
            if not good and not any(bad for bad, _ in cases):
                print(f"not ok - {suite} {name}: {test['result'].lower()}, exit {test.get('returncode')}")
            if not good:
                print("\n".join(f"#   {text}" for text in said.strip().split("\n")[-60:]))


def count(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        bads = [bool(bad) for bad, _ in CASE.findall(file.read())]
    print(bads.count(False), bads.count(True))


if __name__ == "__main__":
    {"meson": meson, "count": count}[sys.argv[1]](*sys.argv[2:])
