# SPDX-License-Identifier: Apache-2.0
"""sFlow version 5 datagrams with random values, and what is in them. Written from the specification
(sflow_version_5.txt, sflow_host.txt, sflow_application.txt and the list of structures at sflow.org) and sharing
nothing with the code under test but the names it prints."""

import ipaddress
import math
import struct

import sflow_packet

FLOW, COUNTERS, FLOW_EXPANDED, COUNTERS_EXPANDED, DISCARD = 1, 2, 3, 4, 5
INTERNAL = 0x3fffffff


def u32(v):
    return struct.pack("!I", v)


def u64(v):
    return struct.pack("!Q", v)


def opaque(data):
    return u32(len(data)) + data + bytes(-len(data) % 4)


class Fields:
    """A record being made: its bytes, and its members as they are to be printed."""

    def __init__(self, rng):
        self.rng, self.data, self.says = rng, b"", {}

    def number(self):
        return self.rng.choice((0, 1, 0x7fffffff, 0x80000000, 0xffffffff, self.rng.getrandbits(32)))

    def words(self, names):
        for name in names.split():
            v = self.number()
            self.data += u32(v)
            self.says[name] = v
        return self

    def doubles(self, names):
        for name in names.split():
            v = self.rng.choice((0, 1 << 63, (1 << 64) - 1, self.rng.getrandbits(64)))
            self.data += u64(v)
            self.says[name] = v
        return self

    def floats(self, names):
        for name in names.split():
            raw = self.rng.choice((struct.pack("!f", self.rng.uniform(0, 500)), struct.pack("!I", 0x7fc00000)))
            v = struct.unpack("!f", raw)[0]
            self.data += raw
            self.says[name] = "not a number" if math.isnan(v) else v
        return self

    def text(self, name, longest):
        v = "".join(self.rng.choice("abc-. \"\\\u00e4\u4e2d0") for _ in range(self.rng.randrange(longest + 1)))
        self.data += opaque(v.encode())
        self.says[name] = v
        return self

    def mac(self, name):
        raw = sflow_packet.mac(self.rng)
        self.data += raw + b"\0\0"
        self.says[name] = raw.hex(":")
        return self

    def address(self, name, version, typed=False):
        if version == 0:
            raw, v = b"", ipaddress.IPv6Address(0)
        elif version == 4:
            v = ipaddress.IPv4Address(self.rng.getrandbits(32))
            raw = v.packed
        else:
            v = ipaddress.IPv6Address(0x20010db8 << 96 | self.rng.getrandbits(70))
            raw = v.packed
        self.data += (u32({0: 0, 4: 1, 6: 2}[version]) if typed else b"") + raw
        self.says[name] = str(v)
        return self

    def numbers(self, name, most):
        v = [self.number() for _ in range(self.rng.randrange(most + 1))]
        self.data += u32(len(v)) + b"".join(map(u32, v))
        self.says[name] = v
        return self


# --- flow records


def sampled_header(f):
    p = sflow_packet.packet(f.rng)
    kept = min(len(p.data), f.rng.choice((0, 54, 64, f.rng.randrange(140), 128, 128, 128, 256)))
    stripped = f.rng.choice((0, 4))
    frame = len(p.data) + stripped
    f.data += u32(p.header_protocol) + u32(frame) + u32(stripped) + opaque(p.data[:kept])
    f.says.update(header_protocol=p.header_protocol, frame_length=frame, stripped=stripped, header=p.data[:kept].hex(),
                  **sflow_packet.expected(p, kept, len(p.data)))


def sampled_ethernet(f):
    f.words("length").mac("src_mac").mac("dst_mac").words("ether_type")


def sampled_ipv4(f):
    f.words("length protocol").address("src", 4).address("dst", 4).words("src_port dst_port tcp_flags tos")


def sampled_ipv6(f):
    f.words("length protocol").address("src", 6).address("dst", 6).words("src_port dst_port tcp_flags priority")


def extended_switch(f):
    f.words("src_vlan src_priority dst_vlan dst_priority")


def extended_router(f):
    f.address("next_hop", f.rng.choice((0, 4, 6)), typed=True).words("src_mask_bits dst_mask_bits")


def extended_gateway(f):
    f.address("next_hop", f.rng.choice((4, 6)), typed=True).words("as src_as src_peer_as")
    path = []
    for _ in range(f.rng.randrange(4)):
        part = Fields(f.rng)
        part.words("type").numbers("as", 5)
        path.append(part)
    f.data += u32(len(path)) + b"".join(part.data for part in path)
    f.says["dst_as_path"] = [part.says for part in path]
    f.numbers("communities", 6).words("local_pref")


def extended_user(f):
    f.words("src_charset").text("src_user", 40).words("dst_charset").text("dst_user", 40)


def socket4(f):
    f.words("protocol").address("local", 4).address("remote", 4).words("local_port remote_port")


def socket6(f):
    f.words("protocol").address("local", 6).address("remote", 6).words("local_port remote_port")


def tcp_info(f):
    f.words("direction snd_mss rcv_mss unacked lost retrans path_mtu rtt_us rtt_var_us snd_cwnd reordering min_rtt_us")


def entities(f):
    f.words("src_class src_index dst_class dst_index")


FLOW_RECORDS = {
    1: ("sampled_header", sampled_header),
    2: ("sampled_ethernet", sampled_ethernet),
    3: ("sampled_ipv4", sampled_ipv4),
    4: ("sampled_ipv6", sampled_ipv6),
    1001: ("extended_switch", extended_switch),
    1002: ("extended_router", extended_router),
    1003: ("extended_gateway", extended_gateway),
    1004: ("extended_user", extended_user),
    2100: ("extended_socket_ipv4", socket4),
    2101: ("extended_socket_ipv6", socket6),
    2102: ("extended_proxy_socket_ipv4", socket4),
    2103: ("extended_proxy_socket_ipv6", socket6),
    2209: ("extended_tcp_info", tcp_info),
    2210: ("extended_entities", entities),
}

# --- counter records


def if_counters(f):
    f.words("index type").doubles("speed").words("direction status").doubles("in_octets")
    f.words("in_unicast in_multicast in_broadcast in_discards in_errors in_unknown").doubles("out_octets")
    f.words("out_unicast out_multicast out_broadcast out_discards out_errors promiscuous")


def host_descr(f):
    f.text("hostname", 20)
    raw = bytes(f.rng.randrange(256) for _ in range(16))
    f.data += raw
    f.says["uuid"] = raw.hex()
    f.words("machine_type os_name").text("os_release", 10)


def host_adapters(f):
    all_of_them = []
    for _ in range(f.rng.randrange(5)):
        one = Fields(f.rng).words("if_index")
        macs = [sflow_packet.mac(f.rng) for _ in range(f.rng.randrange(4))]
        one.data += u32(len(macs)) + b"".join(m + b"\0\0" for m in macs)
        one.says["macs"] = [m.hex(":") for m in macs]
        all_of_them.append(one)
    f.data += u32(len(all_of_them)) + b"".join(one.data for one in all_of_them)
    f.says["adapters"] = [one.says for one in all_of_them]


def host_parent(f):
    f.words("container_class container_index")


def host_cpu(f):
    f.floats("load_1 load_5 load_15").words("running processes cpus mhz uptime_s user_ms nice_ms system_ms idle_ms")
    f.words("wait_ms irq_ms softirq_ms interrupts context_switches")
    if f.rng.random() < 0.5:  # of a newer sender
        f.words("steal_ms guest_ms guest_nice_ms")


def host_memory(f):
    f.doubles("total free shared buffers cached swap_total swap_free").words("pages_in pages_out swap_in swap_out")


def host_disk(f):
    f.doubles("total free").words("fullest_part reads").doubles("bytes_read").words("read_ms writes")
    f.doubles("bytes_written").words("write_ms")


def host_net(f):
    f.doubles("bytes_in").words("packets_in errors_in drops_in")
    f.doubles("bytes_out").words("packets_out errors_out drops_out")


def mib2_ip(f):
    f.words("forwarding default_ttl in_receives in_hdr_errors in_addr_errors forw_datagrams in_unknown_protos")
    f.words("in_discards in_delivers out_requests out_discards out_no_routes reasm_timeout reasm_reqds reasm_oks")
    f.words("reasm_fails frag_oks frag_fails frag_creates")


def mib2_icmp(f):
    f.words("in_msgs in_errors in_dest_unreachs in_time_excds in_param_probs in_src_quenchs in_redirects in_echos")
    f.words("in_echo_reps in_timestamps in_addr_masks in_addr_mask_reps out_msgs out_errors out_dest_unreachs")
    f.words("out_time_excds out_param_probs out_src_quenchs out_redirects out_echos out_echo_reps out_timestamps")
    f.words("out_timestamp_reps out_addr_masks out_addr_mask_reps")


def mib2_tcp(f):
    f.words("rto_algorithm rto_min rto_max max_conn active_opens passive_opens attempt_fails estab_resets curr_estab")
    f.words("in_segs out_segs retrans_segs in_errs out_rsts in_csum_errors")


def mib2_udp(f):
    f.words("in_datagrams no_ports in_errors out_datagrams rcvbuf_errors sndbuf_errors in_csum_errors")


def virt_node(f):
    f.words("mhz cpus").doubles("memory memory_free").words("domains")


def virt_cpu(f):
    f.words("state cpu_ms cpus")


def virt_memory(f):
    f.doubles("memory memory_max")


def virt_disk(f):
    f.doubles("capacity allocation available").words("reads").doubles("bytes_read").words("writes")
    f.doubles("bytes_written").words("errors")


COUNTER_RECORDS = {
    1: ("if_counters", if_counters),
    2000: ("host_descr", host_descr),
    2001: ("host_adapters", host_adapters),
    2002: ("host_parent", host_parent),
    2003: ("host_cpu", host_cpu),
    2004: ("host_memory", host_memory),
    2005: ("host_disk_io", host_disk),
    2006: ("host_net_io", host_net),
    2007: ("mib2_ip", mib2_ip),
    2008: ("mib2_icmp", mib2_icmp),
    2009: ("mib2_tcp", mib2_tcp),
    2010: ("mib2_udp", mib2_udp),
    2100: ("virt_node", virt_node),
    2101: ("virt_cpu", virt_cpu),
    2102: ("virt_memory", virt_memory),
    2103: ("virt_disk_io", virt_disk),
    2104: ("virt_net_io", host_net),
}

# --- samples


def part(enterprise, number, body):
    return u32(enterprise << 12 | number) + opaque(body)


def record(rng, table, number):
    """(bytes, what is printed of it) of a record; numbers of no table give one that is passed by."""
    f = Fields(rng)
    if number in table:
        name, fill = table[number]
        fill(f)
        if rng.random() < 0.1:  # of a newer version: longer
            more = 4 * rng.randrange(1, 4)
            if name != "host_cpu":
                f.data += bytes(more)
                f.says["more_bytes"] = more
        return part(0, number, f.data), {"record": name, **f.says}
    enterprise = rng.choice((0, 9, 4300, 0xfffff))
    n = rng.randrange(40)
    return part(enterprise, number, bytes(n)), {"record": "other_record", "enterprise": enterprise, "format": number,
                                                "bytes": n}


def numbers_of(rng, table, at_least):
    """Some of a table's records, and now and then one of nobody's."""
    out = [at_least] if at_least else rng.sample(sorted(table), rng.randrange(4))
    return out + [3999] * (rng.random() < 0.2)


def sample(rng, kind, must=None):
    """(bytes, lines): a sample with the record `must` in it, or with some."""
    table = COUNTER_RECORDS if kind in (COUNTERS, COUNTERS_EXPANDED) else FLOW_RECORDS
    wide = kind in (FLOW_EXPANDED, COUNTERS_EXPANDED, DISCARD)
    f = Fields(rng).words("sample_sequence")
    says = f.says
    says["source_class"] = rng.choice((0, 1, 2, 3))
    says["source_index"] = rng.choice((0, 1, INTERNAL, 0xffffff)) if wide else rng.randrange(1 << 24)
    if not wide:
        says["source_index"] &= 0xffffff
    f.data += u32(says["source_class"]) + u32(says["source_index"]) if wide else \
        u32(says["source_class"] << 24 | says["source_index"])
    if kind in (FLOW, FLOW_EXPANDED):
        f.words("sampling_rate sample_pool drops")
        for way in ("input", "output"):
            says[way + "_format"] = rng.choice((0, 1, 2))
            says[way] = rng.choice((0, 3, INTERNAL, rng.getrandbits(30)))
            f.data += u32(says[way + "_format"]) + u32(says[way]) if wide else \
                u32(says[way + "_format"] << 30 | says[way])
    elif kind == DISCARD:
        f.words("drops input output reason")
        says["input_format"] = says["output_format"] = 0
    made = [record(rng, table, n) for n in numbers_of(rng, table, must)]
    says["records"] = len(made)
    name = {FLOW: "flow_sample", FLOW_EXPANDED: "flow_sample", DISCARD: "discarded_packet"}
    shared = {key: says[key] for key in ("sample_sequence", "source_class", "source_index")}
    shared["sample_pool"], shared["drops"] = says.get("sample_pool", 0), says.get("drops", 0)
    lines = [{"record": name.get(kind, "counters_sample"), **says}]
    lines += [{**shared, **line} for _, line in made]
    return part(0, kind, f.data + u32(len(made)) + b"".join(data for data, _ in made)), lines


def other_sample(rng):
    """Of an enterprise: passed by."""
    n = rng.randrange(60)
    return part(8800, 7, bytes(n)), [{"record": "other_sample", "enterprise": 8800, "format": 7, "bytes": n}]


def datagram(rng, samples):
    """(bytes, lines) of samples."""
    f = Fields(rng)
    f.data += u32(5)
    f.address("agent", rng.choice((4, 6)), typed=True).words("sub_agent sequence uptime_ms")
    data = f.data + u32(len(samples)) + b"".join(data for data, _ in samples)
    return data, [{**f.says, **line} for _, lines in samples for line in lines]


def every_record(rng):
    """Datagrams that hold each record in each form of sample."""
    for kinds, table in (((FLOW, FLOW_EXPANDED, DISCARD), FLOW_RECORDS),
                         ((COUNTERS, COUNTERS_EXPANDED), COUNTER_RECORDS)):
        for number in table:
            for kind in kinds:
                yield datagram(rng, [sample(rng, kind, number)])


def any_packet(rng):
    return datagram(rng, [sample(rng, FLOW, 1)])


def any_datagram(rng):
    samples = [sample(rng, rng.choice((FLOW, COUNTERS, FLOW_EXPANDED, COUNTERS_EXPANDED, DISCARD)))
               for _ in range(rng.randrange(5))]
    if rng.random() < 0.2:
        samples.insert(rng.randrange(len(samples) + 1), other_sample(rng))
    return datagram(rng, samples)
