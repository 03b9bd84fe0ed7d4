#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Datagrams of standard sFlow for the unit tests that break them: each record in each form of sample, then several.

    sflow_corpus.py FILE     length (four bytes, big-endian) and bytes, one after the other
"""

import random
import sys

import sflow_encode

COUNT, LARGEST = 140, 640


def whole(data, lines):
    """No unknown address family by chance, no packet that was sampled broken: what is broken is the test's to say."""
    return len(data) <= LARGEST and not any(line.get("packet_error") for line in lines)


def main():
    rng = random.Random(5)
    made = [data for data, lines in sflow_encode.every_record(rng) if whole(data, lines)]
    while len(made) < COUNT:  # the others with packets to be seen in them
        data, lines = sflow_encode.any_datagram(rng)
        if whole(data, lines) and any("packet_src" in line for line in lines):
            made.append(data)
    with open(sys.argv[1], "wb") as file:
        for data in made[:COUNT]:
            file.write(len(data).to_bytes(4, "big") + data)


if __name__ == "__main__":
    main()
