# SPDX-License-Identifier: Apache-2.0
"""What entering a program costs, and what the kernel's statistics add to a run of it: a loop of events (bench_entry) with 0, 4,
8 and 16 programs of nothing attached. The slope of its CPU over their number is what one costs."""

import os
import statistics
import subprocess

import measure
from measure import paths

LOOP = os.path.join(paths.BUILD, "tests", "bench", "bench_entry")
NUMBERS = (0, 4, 8, 16)
TURNS = 4000  # some 10 ms


class Loop:
    """bench_entry."""

    def __enter__(self):
        self.process = subprocess.Popen([LOOP], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def event_ns(self):
        self.process.stdin.write(f"{TURNS}\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()


def slope(points):
    """Least squares over [(x, y)]."""
    x, y = (statistics.fmean(values) for values in zip(*points))
    return sum((a - x) * (b - y) for a, b in points) / sum((a - x) ** 2 for a, _ in points)


def one_round(loop):
    """(slope, what the statistics report of a run; 0 when they are off)"""
    points, said = [], []
    for number in NUMBERS:
        programs = [measure.EmptyProgram().__enter__() for _ in range(number)]
        try:
            loop.event_ns()  # warms up
            before = [program.ran() for program in programs]
            points.append((number, loop.event_ns()))
            said += [(ns - was[0], runs - was[1]) for was, (ns, runs) in zip(before, (p.ran() for p in programs))]
        finally:
            for program in programs:
                program.__exit__()
    runs = sum(runs for _, runs in said)
    return slope(points), sum(ns for ns, _ in said) / runs if runs else 0


def quartiles(values):
    low, middle, high = statistics.quantiles(values, n=4)
    return middle, f"{middle:.1f} (half of the rounds within {low:.1f} to {high:.1f})"


class Entry:
    """ns of a run of a program of nothing: `off` without statistics, `on` with them, `said` what they report of it."""

    def __init__(self, rounds):
        off, on, said = [], [], []
        with Loop() as loop:
            for _ in range(rounds):  # in turns: the machine is not the same from one second to the next
                off.append(one_round(loop)[0])
                with measure.Statistics():
                    one, reported = one_round(loop)
                on.append(one)
                said.append(reported)
        self.off, off_text = quartiles(off)
        self.on, on_text = quartiles(on)
        self.said, said_text = quartiles(said)
        measure.note(f"a program of nothing, ns: {off_text}; with statistics {on_text}, of which they report {said_text}")

    def excess_ns(self):
        """What the statistics report of a run beyond what it costs when they are off."""
        return max(0, self.said - self.off)
