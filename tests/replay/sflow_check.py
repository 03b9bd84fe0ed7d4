#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Standard sFlow from an independent encoder, as `skyfall dump` reads it: field by field.

    sflow_check.py SKYFALL [ROUNDS]
"""

import json
import random
import struct
import subprocess
import sys

import sflow_encode

SEED = 20040707
LINK_RAW = 101


def capture(datagrams):
    """A pcap file of them as UDP over IPv4."""
    out = [struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 262144, LINK_RAW)]
    for i, data in enumerate(datagrams):
        udp = struct.pack("!HHHH", 40000, 6343, 8 + len(data), 0) + data
        frame = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, b"\x0a\0\0\x09", b"\x0a\0\0\x01") + udp
        out.append(struct.pack("<IIII", 1700000000 + i, 0, len(frame), len(frame)) + frame)
    return b"".join(out)


def dump(skyfall, datagrams):
    """For each datagram the lines that are printed of it."""
    done = subprocess.run([skyfall, "dump", "--json", "--pcap", "-"], input=capture(datagrams), capture_output=True,
                          check=False, timeout=120)
    if done.returncode:
        sys.exit(f"dump: exit {done.returncode}: {done.stderr.decode()}")
    out = []
    for text in done.stdout.decode().splitlines():
        line = json.loads(text)
        if line["record"] == "received":
            out.append([])
        else:
            out[-1].append(line)
    return out


def same(a, b):
    """Equal; floats as far as they have digits."""
    if isinstance(a, float) or isinstance(b, float):
        return isinstance(a, (int, float)) and isinstance(b, (int, float)) and abs(a - b) <= 1e-6 * max(1, abs(a))
    return a == b


def differences(want, got):
    if len(want) != len(got):
        yield f"{len(got)} lines, expected {len(want)}: {[line['record'] for line in got]}"
    for w, g in zip(want, got):
        for key in sorted(set(w) | set(g)):
            if key not in w or key not in g or not same(w[key], g[key]):
                yield f"{w['record']}.{key}: {g.get(key, 'absent')}, expected {w.get(key, 'nothing')}"


def check(name, number, skyfall, made):
    got = dump(skyfall, [data for data, _ in made])
    wrong = [text for (_, want), lines in zip(made, got) for text in differences(want, lines)]
    if len(got) != len(made):
        wrong.append(f"{len(got)} datagrams, expected {len(made)}")
    fields = sum(len(line) for _, lines in made for line in lines)
    print(f"{'not ' if wrong else ''}ok {number} - {name}: {len(made)} datagrams, {fields} fields")
    for text in wrong[:20]:
        print(f"#   {text}")
    return not wrong


def main():
    rng = random.Random(SEED)
    skyfall, rounds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 2000
    good = check("every record in every form", 1, skyfall,
                 [d for _ in range(20) for d in sflow_encode.every_record(rng)])
    good &= check("any samples", 2, skyfall, [sflow_encode.any_datagram(rng) for _ in range(rounds)])
    good &= check("sampled packets", 3, skyfall, [sflow_encode.any_packet(rng) for _ in range(2 * rounds)])
    print("1..3")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
