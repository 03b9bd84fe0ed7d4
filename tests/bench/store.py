# SPDX-License-Identifier: Apache-2.0
"""./bench store: how fast both stores take rows and answer, in one run."""

import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "../e2e"), os.path.join(HERE, "../servers")]
import clickhouse  # noqa: E402  (the path comes first)
from lab import paths  # noqa: E402

PROGRAM = os.path.join(paths.BUILD, "tests", "bench", "bench_store")
UNITS = {"rows_per_s": "rows/s", "full_rows_per_s": "rows/s", "top_24h_ms": "ms", "tiers": "bits"}


def measure(name, where):
    done = subprocess.run([PROGRAM, where], check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    found = dict(line.split("=") for line in done.stdout.split())
    for what, value in found.items():
        print(f"{name}_{what}={value} {UNITS[what]}", flush=True)
    return {what: float(value) for what, value in found.items()}


def main():
    with tempfile.TemporaryDirectory(dir=paths.BUILD) as folder:
        sqlite = measure("sqlite", folder)
    with clickhouse.Server(place=paths.BUILD) as server:
        other = measure("clickhouse", server.url + "/bench")
    for what in ("rows_per_s", "full_rows_per_s", "top_24h_ms"):
        print(f"clickhouse_to_sqlite_{what}={other[what] / sqlite[what]:.2f} ratio", flush=True)


main()
