# SPDX-License-Identifier: Apache-2.0
"""Translated addresses on kernels as they come: what the client's host says of a connection and what the server's host says
meet under one tuple, whatever was dialled, and are what the server did."""

SCENARIOS = ("masquerade", "service", "both", "published", "both6")
UDP = ("udp_both", "udp_service", "udp_both6", "udp_published")
NAMES = [f"{mode} {name}" for mode in ("btf", "stable") for name in (*SCENARIOS, *(UDP if mode == "btf" else ()))]
COLUMNS = ("nat",)
SECONDS = 400
LINES = ("here", "5.10", "6.1", "newest")
EVERYWHERE = True
MODULES = ("crc32c_generic", "nf_conntrack_netlink", "nft_chain_nat", "nft_nat", "nft_masq", "nft_numgen")
PROGRAMS = {"usr/sbin/nft": "/usr/sbin/nft"}
VIA = {"service": "10.96.0.10:80", "both": "10.96.0.10:80", "both6": "[fd96::10]:80"}
A, B = "10.77.0.1", "10.77.0.2"
A6, B6 = "fd77::1", "fd77::2"
PORTS = {9103: 8080}  # under which the outside knows it


def words(line, full):
    """What the guest is told to do."""
    return "nat btf stable"


def column(name):
    """Of the closing table."""
    return COLUMNS[0]


def expected(name, served):
    """{(view, client's address, server's, port): sums} of what the servers did."""
    udp, want = name.startswith("udp_"), {}
    client, server = (A6, B6) if name.endswith("6") else (A, B)
    for port, did in served.items():
        c2s, s2c = (did["received_bytes"], did["sent_bytes"]) if udp else (did["received"], did["sent"])
        if not c2s:
            continue
        at = client, server, PORTS.get(port, port)
        want["client", *at] = {"tx_bytes": c2s, "rx_bytes": s2c}
        want["server", *at] = {"tx_bytes": s2c, "rx_bytes": c2s}
        if not udp:
            for view in ("client", "server"):
                want[view, *at].update(opened=did["opened"], closed=did["closed"])
    return want


def found(name, rows, names):
    """The same of what the agents say."""
    seen = {}
    for row in rows:
        if row["view"] not in ("client", "server") or row["protocol"] != ("udp" if name.startswith("udp_") else "tcp"):
            continue
        if not any(row.get(field, 0) for field in names):
            continue  # begun, no more: such a row has no port yet, and stays on what was dialled
        client, server = (row["local"], row["remote"])[:: 1 if row["view"] == "client" else -1]
        sums = seen.setdefault((row["view"], client, server, row["port"]), {})
        for field in names:
            sums[field] = sums.get(field, 0) + row.get(field, 0)
    return seen


def differences(name, served, rows):
    """What the agents say against what the servers did."""
    want = expected(name, served)
    names = next(iter(want.values()), {})
    seen, wrong = found(name, rows, names), []
    for at in sorted({*want, *seen}, key=str):
        if want.get(at) != seen.get(at):
            wrong.append(f"{at}: {seen.get(at)}, expected {want.get(at)}")
    rows = [row for row in rows if any(row.get(field, 0) for field in names)]
    dialled = {row.get("via") for row in rows if row["view"] == "client"}
    if dialled != {VIA.get(name.removeprefix("udp_"))}:
        wrong.append(f"dialled: {dialled}")
    flags = {row.get("flags") for row in rows} - {None, ""}
    return wrong + [f"flags {flags}"] * bool(flags)


def cases(said, kernel):
    """[(name, notes, wrong)] of a guest's words."""
    served = {}
    for word, value in said:
        if word == "served":
            served.setdefault(value["name"], {"began": value["began"], "did": {}})["did"][value["port"]] = value["did"]
            served[value["name"]]["ended"] = value["ended"]
    result = []
    for name in NAMES:
        mode, scenario = name.split()
        if name not in served:
            result.append((name, (), ["the guest did not come to it"]))
            continue
        one = served[name]
        rows = [value for word, value in said if word == mode and value["type"] == "row"
                and one["began"] <= value["interval"] < one["ended"]]
        result.append((name, (), differences(scenario, one["did"], rows)))
    return result
