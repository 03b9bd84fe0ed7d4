# SPDX-License-Identifier: Apache-2.0
"""The page: layout of a large fleet, first paint, frames, size, and what 200 live clients cost. Method: docs/performance.md."""

import os
import subprocess
import sys

import measure

HERE = os.path.dirname(os.path.abspath(__file__))


def main():
    args = measure.arguments(__doc__)
    subprocess.run(["ninja", "-C", measure.paths.BUILD, "tests/bench/bench_layout"], check=True, stdout=sys.stderr)
    print(subprocess.run([os.path.join(measure.paths.BUILD, "tests/bench/bench_layout")], check=True,
                         capture_output=True, text=True).stdout, end="", flush=True)
    words = ["bash", os.path.join(HERE, "../ui/run"), "--bench", *(["--quick"] if args.quick else [])]
    sys.exit(subprocess.run(words, check=False).returncode)


main()
