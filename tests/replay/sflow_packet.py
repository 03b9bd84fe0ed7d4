# SPDX-License-Identifier: Apache-2.0
"""Packets as a switch would sample them, written from RFC 791, 8200, 9293, 768, 792, 4443, 9260 and IEEE 802.1Q; and
what is in them. Shares nothing with the code under test."""

import dataclasses
import ipaddress
import random
import struct

TCP, UDP, ICMP, ICMP6, SCTP, GRE, ESP = 6, 17, 1, 58, 132, 47, 50
ETHERNET, IPV4, IPV6 = 1, 11, 12  # sFlow's header_protocol
OTHER_TYPES = (0x0806, 0x8847, 0x88cc, 0x8863)
VLAN_TYPES = (0x8100, 0x88a8, 0x9100)


@dataclasses.dataclass
class Packet:
    """Bytes on the wire from the first header on, and where its parts are."""
    header_protocol: int
    data: bytes = b""
    src: str = ""
    dst: str = ""
    protocol: int = 0
    src_port: int = 0
    dst_port: int = 0
    tos: int = 0
    tcp_flags: int = 0
    vlans: list = dataclasses.field(default_factory=list)
    tags_at: int = 0     # where the first VLAN tag stands
    ip_at: int = 0       # where IP begins
    ip_needs: int = 0    # bytes of headers up to where addresses, protocol and length are known
    inner_at: int = 0    # where what is behind IP's headers begins
    ip_bytes: int = 0
    inner_header: int = 0  # bytes of TCP's, UDP's ... header, options included
    least_header: int = 0
    fragment: bool = False
    later: bool = False
    other: bool = False  # no IP in it
    bad_from: int = 1 << 30  # it contradicts itself, which shows when so many bytes are kept

    def has_ports(self):
        return self.protocol in (TCP, UDP, SCTP) and not self.later


def mac(rng):
    return bytes(rng.randrange(256) for _ in range(6))


def inner(rng, p, payload):
    """The layer behind IP and its payload; sets what it says."""
    p.src_port, p.dst_port = rng.randrange(65536), rng.randrange(65536)
    if p.protocol == TCP:
        options = bytes(4 * rng.choice((0, 0, 3, 5, 10)))
        p.tcp_flags = rng.randrange(256)
        head = struct.pack("!HHIIBBHHH", p.src_port, p.dst_port, rng.getrandbits(32), rng.getrandbits(32),
                           (20 + len(options)) // 4 << 4, p.tcp_flags, 1000, 0, 0) + options
        p.least_header = 20
    elif p.protocol == UDP:
        head = struct.pack("!HHHH", p.src_port, p.dst_port, 8 + len(payload), 0)
        p.least_header = 8
    elif p.protocol == SCTP:
        head = struct.pack("!HHII", p.src_port, p.dst_port, 1, 2)
        p.least_header = 12
    elif p.protocol in (ICMP, ICMP6):
        head = struct.pack("!BBHI", 8, 0, 0, 7)
        p.least_header = 8
    else:
        head = b""
        p.least_header = 0
    if not p.has_ports():
        p.src_port = p.dst_port = 0
    p.inner_header = len(head)
    return head + payload


def ipv4(rng, p, payload):
    options = bytes([1]) * (4 * rng.choice((0, 0, 0, 1, 10)))
    part = rng.choice((0, 0, 0, 0x2000, 0x2000 | 185, 0x4000, 7, 0x1000))  # whole, first fragment, later, don't fragment, last
    p.fragment, p.later = bool(part & 0x3fff), bool(part & 0x1fff)
    p.protocol = rng.choice((TCP, TCP, TCP, UDP, UDP, ICMP, SCTP, GRE, ESP))
    p.tos = rng.randrange(256)
    p.src, p.dst = (str(ipaddress.IPv4Address(rng.getrandbits(32))) for _ in range(2))
    if p.later:
        body, p.src_port, p.dst_port, p.tcp_flags, p.inner_header, p.least_header = payload, 0, 0, 0, 0, 0
    else:
        body = inner(rng, p, payload)
    p.ip_bytes = 20 + len(options) + len(body)
    p.ip_needs, p.inner_at = 20, 20 + len(options)
    return struct.pack("!BBHHHBBH4s4s", 0x40 | p.inner_at // 4, p.tos, p.ip_bytes, 1, part, 64, p.protocol, 0,
                       ipaddress.IPv4Address(p.src).packed, ipaddress.IPv4Address(p.dst).packed) + options + body


def extensions(rng, p):
    """IPv6 extension headers as (their number, their bytes but the first)."""
    out = []
    for number in rng.sample((0, 43, 60, 51, 135, 139, 140), rng.choice((0, 0, 1, 2, 4))):
        words = rng.randrange(3)
        if number == 51:  # counted in words of four bytes, less two
            out.append((number, bytes([words + 4]) + bytes(2 + 4 * (words + 5))))
        else:             # in words of eight, less one
            out.append((number, bytes([words]) + bytes(6 + 8 * words)))
    kind = rng.choice((None, None, None, 1, 185 << 3 | 1, 1 << 3))
    if kind is not None:  # whole, first, later, last
        p.fragment, p.later = True, bool(kind >> 3)
        out.append((44, b"\0" + struct.pack("!HI", kind, 99)))
    return out


def ipv6(rng, p, payload):
    chain = extensions(rng, p)
    p.protocol = rng.choice((TCP, TCP, TCP, UDP, UDP, ICMP6, SCTP, GRE, ESP, 59))
    p.tos = rng.randrange(256)
    p.src, p.dst = (str(ipaddress.IPv6Address(0x20010db8 << 96 | rng.getrandbits(64))) for _ in range(2))
    if p.later:
        body, p.src_port, p.dst_port, p.tcp_flags, p.inner_header, p.least_header = payload, 0, 0, 0, 0, 0
    else:
        body = inner(rng, p, payload)
    numbers = [number for number, _ in chain] + [p.protocol]
    between = b"".join(bytes([numbers[i + 1]]) + rest for i, (_, rest) in enumerate(chain))
    p.inner_at = p.ip_needs = 40 + len(between)
    p.ip_bytes = p.inner_at + len(body)
    return struct.pack("!IHBB16s16s", 6 << 28 | p.tos << 20 | rng.getrandbits(20), p.ip_bytes - 40, numbers[0], 64,
                       ipaddress.IPv6Address(p.src).packed, ipaddress.IPv6Address(p.dst).packed) + between + body


def no_length(p):
    """As a host sees what its network card is to cut into segments: IP says 0, the frame's length holds."""
    at = p.ip_at + (2 if p.ip_needs == 20 else 4)
    p.data = p.data[:at] + bytes(2) + p.data[at + 2:]


def spoil(rng, p):
    """One thing wrong."""
    data, four = bytearray(p.data), p.ip_needs == 20
    head = p.ip_at + (20 if four else 40)
    kind = rng.choice(("version", "length", "header", "header"))
    if kind == "version":
        data[p.ip_at] ^= 0x90
        p.bad_from = head
    elif kind == "length" and four:  # less than its own header
        data[p.ip_at + 2:p.ip_at + 4] = struct.pack("!H", rng.randrange(1, 20))
        p.bad_from = head
    elif kind == "length" and p.inner_at > 40:  # less than its first extension header
        data[p.ip_at + 4:p.ip_at + 6] = struct.pack("!H", rng.randrange(1, 8))
        p.bad_from = head + 8
    elif four and kind == "header":
        data[p.ip_at] = 0x40 | rng.randrange(5)
        p.bad_from = head
    elif p.protocol == TCP and not p.later:
        data[p.ip_at + p.inner_at + 12] = rng.randrange(5) << 4
        p.bad_from = p.ip_at + p.inner_at + 14
    p.data = bytes(data)


def packet(rng: random.Random):
    """One at random."""
    p = Packet(rng.choice((ETHERNET, ETHERNET, ETHERNET, IPV4, IPV6)))
    payload = bytes(rng.choice((0, 0, 1, 100, 1300, rng.randrange(9000))))
    four = rng.random() < 0.5 if p.header_protocol == ETHERNET else p.header_protocol == IPV4
    p.other = p.header_protocol == ETHERNET and rng.random() < 0.08
    before = b""
    if p.header_protocol == ETHERNET:
        before = mac(rng) + mac(rng)
        p.tags_at = len(before)
        for _ in range(rng.choice((0, 0, 1, 2, 4))):
            tag = rng.getrandbits(16)
            p.vlans.append(tag & 0xfff)
            before += struct.pack("!HH", rng.choice(VLAN_TYPES), tag)
        kind = rng.choice(OTHER_TYPES) if p.other else 0x0800 if four else 0x86dd
        if not p.other and rng.random() < 0.1:  # IEEE 802.3 with LLC and SNAP
            before += struct.pack("!H", 1000) + b"\xaa\xaa\x03\0\0\0"
        before += struct.pack("!H", kind)
    p.ip_at = len(before)
    p.data = before + (payload if p.other else (ipv4 if four else ipv6)(rng, p, payload))
    if not p.other and rng.random() < 0.1:
        no_length(p)
    elif not p.other and rng.random() < 0.1:
        spoil(rng, p)
    return p


def expected(p: Packet, kept: int, on_wire: int):
    """What can be known of it when `kept` bytes were sampled: as members of the decoded record."""
    tags = [v for i, v in enumerate(p.vlans) if kept >= p.tags_at + 2 + 4 * (i + 1)]
    out = {"packet_vlans": tags} if tags else {}
    if kept >= p.bad_from:
        return {**out, "packet_error": "bad"}
    if kept < p.ip_at or (not p.other and kept < p.ip_at + p.ip_needs):
        return {**out, "packet_error": "cut"}
    if p.other:
        return {**out, "packet_error": "other"}
    there = max(0, kept - p.ip_at - p.inner_at)
    header = p.least_header
    flags = 0
    if p.protocol == TCP and not p.later and there >= 14:
        header, flags = p.inner_header, p.tcp_flags
    out.update(packet_src=p.src, packet_dst=p.dst, packet_protocol=p.protocol, packet_tos=p.tos, packet_tcp_flags=flags,
               packet_fragment=int(p.fragment), packet_later_fragment=int(p.later), packet_bytes=p.ip_bytes,
               packet_payload=max(0, p.ip_bytes - p.inner_at - header))
    if p.has_ports() and there >= 4:
        out.update(packet_src_port=p.src_port, packet_dst_port=p.dst_port)
    return out
