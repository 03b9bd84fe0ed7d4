#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Standard sFlow through collector and graph: packets made here, sampled here, summed here; the edges must say the same.

    sflow_rows.py REPLAY

Writes a script for tests/replay/replay.c. Three hosts have an agent and listen; who talks to them has none. Of some traffic
the hosts' own rows come too: both stand beside each other and are never added.
"""

import collections
import ipaddress
import random
import struct
import subprocess
import sys
import tempfile

from sflow_encode import FLOW, FLOW_EXPANDED, COUNTERS, INTERNAL, opaque, part, u32

SEED = 6343
SERVERS = {"10.0.0.1": (80, "web"), "10.0.0.2": (5432, "db"), "2001:db8::5": (443, "front")}
NAMES = {4: "unknown:10.0.1.0/24", 6: "unknown:2001:db8:1::/48"}
INTERVALS = 3
TCP, UDP = 6, 17


def ip_packet(src, dst, src_port, dst_port, payload, protocol=TCP, options=0, flags=0x10):
    if protocol == TCP:
        inner = struct.pack("!HHIIBBHHH", src_port, dst_port, 1, 1, (20 + options) // 4 << 4, flags, 99, 0, 0)
        inner += bytes(options + payload)
    else:
        inner = struct.pack("!HHHH", src_port, dst_port, 8 + payload, 0) + bytes(payload)
    a, b = ipaddress.ip_address(src), ipaddress.ip_address(dst)
    if a.version == 4:
        return struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(inner), 0, 0, 64, protocol, 0, a.packed, b.packed) + inner
    return struct.pack("!IHBB16s16s", 6 << 28, len(inner), protocol, 64, a.packed, b.packed) + inner


def sampled_header(packet, version, ethernet=True):
    """The first 128 bytes; the length of all of it."""
    if ethernet:
        packet = bytes(12) + struct.pack("!H", 0x0800 if version == 4 else 0x86dd) + packet
    first = packet[:128]
    return part(0, 1, u32(1 if ethernet else 11 if version == 4 else 12) + u32(len(packet) + 4) + u32(4) + opaque(first))


def sampled_ip(src, dst, src_port, dst_port, length, protocol):
    a, b = ipaddress.ip_address(src), ipaddress.ip_address(dst)
    return part(0, 3 if a.version == 4 else 4, u32(length) + u32(protocol) + a.packed + b.packed + u32(src_port)
                + u32(dst_port) + u32(0x10) + u32(0))


def sampled_socket(local, remote, local_port, remote_port, protocol):
    a, b = ipaddress.ip_address(local), ipaddress.ip_address(remote)
    return part(0, 2100 if a.version == 4 else 2101, u32(protocol) + a.packed + b.packed + u32(local_port)
                + u32(remote_port))


def sampled_ethernet(length):
    return part(0, 2, u32(length) + bytes(8) + bytes(8) + u32(0x800))


def flow_sample(rng, rate, records):
    """One of either form; where it came in and went out does not matter."""
    ports = rng.choice(((0, 3), (INTERNAL, 0), (0, INTERNAL), (INTERNAL, INTERNAL)))
    if rng.random() < 0.5:
        body = u32(1) + u32(7) + u32(rate) + u32(0) + u32(0) + u32(ports[0]) + u32(ports[1])
        return part(0, FLOW, body + u32(len(records)) + b"".join(records))
    body = u32(1) + u32(0) + u32(7) + u32(rate) + u32(0) + u32(0) + u32(0) + u32(ports[0]) + u32(0) + u32(ports[1])
    return part(0, FLOW_EXPANDED, body + u32(len(records)) + b"".join(records))


class Traffic:
    """Makes samples and keeps what they must add up to."""

    def __init__(self, rng):
        self.rng = rng
        self.sums = collections.defaultdict(lambda: [0, 0, 0, 0])  # (interval, server) -> c2s, s2c bytes, segs
        self.rows = collections.Counter()

    def sample(self, interval):
        """One packet between a client and a server, shown in one of the ways there are."""
        rng = self.rng
        server = rng.choice(sorted(SERVERS))
        port = SERVERS[server][0]
        version = ipaddress.ip_address(server).version
        client = f"10.0.1.{rng.randrange(1, 6)}" if version == 4 else f"2001:db8:1::{rng.randrange(1, 6)}"
        client_port = rng.randrange(32768, 32768 + 40)
        down = rng.random() < 0.5
        ends = (server, client, port, client_port) if down else (client, server, client_port, port)
        payload = rng.choice((0, 1, 500, 1448))
        rate = rng.choice((0, 1, 400, 1 << 20, 0xffffffff))
        least = 40 if version == 4 else 60
        way = rng.choice(("header", "header", "ip header", "fields", "socket", "both"))
        if way == "fields":
            records = [sampled_ip(*ends, least + payload, TCP)]
        elif way == "socket":  # of a host that says its end of the socket and which way the packet went
            records = [sampled_ethernet(14 + least + payload), sampled_socket(server, client, port, client_port, TCP),
                       part(0, 2209, u32(2 if down else 1) + bytes(44))]
        else:
            packet = ip_packet(*ends, payload, options=12 * (way != "fields"))
            records = [sampled_header(packet, version, way != "ip header")]
            if way == "both":
                records += [sampled_ip(*ends, 9999, TCP)]
                rng.shuffle(records)
        if rng.random() < 0.3:
            records.insert(0, part(0, 1001, bytes(16)))
        self.rows[interval] += 1
        sums = self.sums[interval, server]
        times = max(rate, 1)
        sums[int(down)] += payload * times
        sums[2 + int(down)] += times if payload else 0
        return flow_sample(rng, rate, records)

    def nothing(self):
        """A sample that gives no row."""
        rng = self.rng
        return rng.choice((
            flow_sample(rng, 1, []),
            flow_sample(rng, 1, [part(0, 1001, bytes(16))]),
            flow_sample(rng, 1, [part(0, 1, u32(1) + u32(64) + u32(4) + opaque(bytes(12) + b"\x08\x06" + bytes(46)))]),
            flow_sample(rng, 1, [part(0, 1, u32(1) + u32(64) + u32(4) + opaque(bytes(20)))]),
            part(0, COUNTERS, u32(1) + u32(7) + u32(1) + part(0, 1, bytes(88))),
            part(8800, 3, bytes(8)),
        ))


def datagram(sequence, samples):
    return u32(5) + u32(1) + bytes((10, 9, 9, 9)) + u32(0) + u32(sequence) + u32(sequence * 10) + u32(len(samples)) + \
        b"".join(samples)


def script(rng):
    t = Traffic(rng)
    lines = ["fleet 1s 200ms 100ms", "agent a 10.0.0.1 1", "agent b 10.0.0.2 2", "agent c 10.0.0.3 3"]
    for i, (ip, (port, name)) in enumerate(sorted(SERVERS.items())):
        lines.append(f"host {'abc'[i]} {name}box {ip} 0.1")
        lines.append(f"listener {'abc'[i]} {ip} {port} {name} 0.1")
    sequence = 0
    for interval in range(INTERVALS):
        for i in range(60):
            sequence += 1
            samples = [t.sample(interval) if rng.random() < 0.85 else t.nothing() for _ in range(rng.randrange(1, 7))]
            lines.append(f"noise 10.9.9.9 {datagram(sequence, samples).hex()} {interval + 0.15 + i * 0.01:.2f}")
        if interval == 0:  # the same to web as its host saw it
            lines.append("row a server 10.0.0.1 10.0.1.1 80 web tx_bytes=11 rx_bytes=7 opened=1")
            lines.append("send a 0 1.05")
    # no listener anywhere: an edge of its own, between the two addresses, both directions in one
    for payload, src, dst in ((300, ("10.0.1.9", 700), ("10.0.1.8", 900)), (50, ("10.0.1.8", 900), ("10.0.1.9", 700))):
        sequence += 1
        packet = ip_packet(src[0], dst[0], src[1], dst[1], payload)
        lines.append(f"noise 10.9.9.9 {datagram(sequence, [flow_sample(rng, 10, [sampled_header(packet, 4)])]).hex()} 2.9")
        t.rows[2] += 1
    lines.append(f"until {INTERVALS + 3}")
    for (interval, server), (up, down, up_segs, down_segs) in sorted(t.sums.items()):
        port, name = SERVERS[server]
        client = NAMES[ipaddress.ip_address(server).version]
        seen = "observed=network"
        if (interval, name) == (0, "web"):
            seen = "observed=server+network server_opened=1 server_c2s_bytes=7 server_s2c_bytes=11"
        lines.append(f"edge {client} {name} {port} {interval} revisions=1 {seen} flags=sampled network_c2s_bytes={up}"
                     f" network_s2c_bytes={down} network_c2s_segs={up_segs} network_s2c_segs={down_segs}")
    lines.append(f"edge {NAMES[4]} {NAMES[4]} 0 2 revisions=1 observed=network flags=sampled,no_role network_c2s_bytes=500"
                 " network_s2c_bytes=3000 network_c2s_segs=10 network_s2c_segs=10")
    for interval in range(INTERVALS):
        rows = t.rows[interval] + (interval == 0)
        lines += [f"ledger collector {interval} in={rows} out={rows}", f"ledger pair {interval} in={rows} out={rows}"]
    return "\n".join(lines) + "\n"


def main():
    with tempfile.NamedTemporaryFile("w", suffix=".rpl") as file:
        file.write(script(random.Random(SEED)))
        file.flush()
        return subprocess.run([sys.argv[1], file.name], check=False, timeout=50).returncode


if __name__ == "__main__":
    sys.exit(main())
