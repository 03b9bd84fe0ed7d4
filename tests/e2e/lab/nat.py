# SPDX-License-Identifier: Apache-2.0
"""Two hosts that translate addresses, IPv4 and IPv6 alike, TCP and UDP alike.

    p 10.77.8.2 -- 10.77.8.1 a ---- b 10.77.9.1 -- 10.77.9.2 q
    p fd77:8::2 -- fd77:8::1        b fd77:9::1 -- fd77:9::2 q

p, a pod of host a, is masqueraded; SERVICE:80 on a is a service with two back ends on b, drawn by lot for each
connection, as kube-proxy does; 10.77.0.2:8080 on b is a port published for q, a container of b. x and y are containers on
the docker0 of a and of b, with the same address: 172.17.0.2."""

from . import case
from .net import Lab, sh
from .stack import Stack

SERVICE, FRESH = "10.96.0.10", "10.96.0.11"  # of those that are FRESH the agent knows nothing yet
SERVICE6, FRESH6 = "fd96::10", "fd96::11"
BACKENDS = (9101, 9102)
PUBLISHED, PLAIN, REFUSING = 9103, 9104, 9105
FAMILIES = (("ip", "10.77.0.2", (SERVICE, FRESH), "10.77.8.0/24", "10.77.9.2:{port}"),
            ("ip6", "fd77::2", (SERVICE6, FRESH6), "fd77:8::/64", "[fd77:9::2]:{port}"))


def rules_a():
    """Services for whoever is on the host or behind it, and those behind it masqueraded."""
    for family, backend, services, network, _ in FAMILIES:
        ends = ", ".join(f"{i} : {backend} . {port}" for i, port in enumerate(BACKENDS))
        at = backend if family == "ip" else f"[{backend}]"
        lines = []
        for protocol in ("tcp", "udp"):
            for service in services:
                lines.append(f"{family} daddr {service} {protocol} dport 80 dnat to numgen random mod 2 map {{ {ends} }}")
            lines.append(f"{family} daddr {services[0]} {protocol} dport 81 dnat to {at}:{BACKENDS[0]}")
            lines.append(f"{family} daddr {services[0]} {protocol} dport 82 dnat to {at}:{REFUSING}")
        yield f"""table {family} nat {{
  chain services {{
    {chr(10).join(lines)}
  }}
  chain in {{ type nat hook prerouting priority -100; jump services; }}
  chain out {{ type nat hook output priority -100; jump services; }}
  chain post {{ type nat hook postrouting priority 100; {family} saddr {network} oifname "to-b" masquerade; }}
}}"""


def rules_b():
    """A published port."""
    for family, address, _, _, inner in FAMILIES:
        lines = "\n".join(f"{family} daddr {address} {protocol} dport 8080 dnat to {inner.format(port=PUBLISHED)}"
                          for protocol in ("tcp", "udp"))
        yield f"""table {family} nat {{
  chain in {{ type nat hook prerouting priority -100;
    {lines}
  }}
}}"""


def behind(lab, inner, outer, number):
    """A namespace behind a host, which forwards for it."""
    lab.hosts += (inner,)
    sh("ip", "netns", "add", lab.name(inner))
    lab.ip(inner, "link", "set", "lo", "up")
    sh("ip", "-n", lab.name(outer), "link", "add", f"to-{inner}", "type", "veth", "peer", "name", "eth0", "netns",
       lab.name(inner))
    for host, device, last in ((outer, f"to-{inner}", 1), (inner, "eth0", 2)):
        lab.ip(host, "address", "add", f"10.77.{number}.{last}/24", "dev", device)
        lab.ip(host, "address", "add", f"fd77:{number}::{last}/64", "dev", device, "nodad")
        lab.ip(host, "link", "set", device, "up")
    lab.ip(inner, "route", "add", "default", "via", f"10.77.{number}.1")
    lab.ip(inner, "-6", "route", "add", "default", "via", f"fd77:{number}::1")
    lab.sysctl(outer, "net.ipv4.ip_forward", "1")
    lab.sysctl(outer, "net.ipv6.conf.all.forwarding", "1")


def bridged(lab, inner, outer):
    """A container on the host's docker0."""
    lab.hosts += (inner,)
    sh("ip", "netns", "add", lab.name(inner))
    lab.ip(outer, "link", "add", "docker0", "type", "bridge")
    lab.ip(outer, "address", "add", "172.17.0.1/16", "dev", "docker0")
    lab.ip(outer, "link", "set", "docker0", "up")
    sh("ip", "-n", lab.name(outer), "link", "add", f"to-{inner}", "type", "veth", "peer", "name", "eth0", "netns",
       lab.name(inner))
    lab.ip(outer, "link", "set", f"to-{inner}", "master", "docker0", "up")
    lab.ip(inner, "address", "add", "172.17.0.2/16", "dev", "eth0")
    lab.ip(inner, "link", "set", "eth0", "up")


def start(*options):
    """The lab and a stack in it, shared by the cases of a class: case.Shared.drop() ends them."""
    case.Shared.drop()
    lab = case.Shared.lab = Lab()
    behind(lab, "p", "a", 8)
    behind(lab, "q", "b", 9)
    bridged(lab, "x", "a")
    bridged(lab, "y", "b")
    lab.ip("a", "route", "add", "10.96.0.0/16", "via", "10.77.0.2")
    lab.ip("a", "-6", "route", "add", "fd96::/64", "via", "fd77::2")
    for host, rules in (("a", rules_a()), ("b", rules_b())):
        done = lab.run(host, ["nft", "\n".join(rules)])
        if done.returncode:
            raise RuntimeError(done.stderr)
    stack = case.Shared.stack = Stack(lab)
    stack.start_server()
    stack.start_agent("a", "--netns", lab.name("p"), "--netns", lab.name("x"), *options)
    stack.start_agent("b", "--netns", lab.name("q"), "--netns", lab.name("y"), *options)
    stack.wait_agents()
    return stack
