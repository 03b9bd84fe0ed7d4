# SPDX-License-Identifier: Apache-2.0
"""Each datagram counted, to the byte, from both ends, on kernels as they come: the programs that see them are no tracing
programs, so the machine's kernel decides only whether they load and what a packet looks like there."""

NAMES = ["unconnected", "connected", "segments", "mmsg", "ipv6"]
COLUMNS = ("udp",)
SECONDS = 400


def words(line, full):
    """What the guest is told to do."""
    return "udp"


def column(name):
    """Of the closing table."""
    return COLUMNS[0]


def sums(rows, view, port):
    """Every number of a view's rows, added."""
    total = {}
    for row in rows:
        if row["type"] == "row" and row.get("protocol") == "udp" and (row["view"], row["port"]) == (view, port):
            for name, value in row.items():
                if isinstance(value, int):
                    total[name] = total.get(name, 0) + value
    return total


def differences(done, rows):
    """What the agent says against what the client did."""
    did, wrong = done["client"], []
    client = {"opened": did["opened"], "closed": did["closed"], "tx_segs": did["sent"], "tx_bytes": did["sent_bytes"],
              "rx_segs": did["received"], "rx_bytes": did["received_bytes"]}
    server = {"opened": 0, "rx_segs": did["sent"], "rx_bytes": did["sent_bytes"], "tx_segs": did["received"],
              "tx_bytes": did["received_bytes"]}
    for view, expected in (("client", client), ("server", server)):
        seen = sums(rows, view, done["port"])
        wrong += [f"{view} {name}: {seen.get(name, 0)}, expected {value}" for name, value in expected.items()
                  if seen.get(name, 0) != value]
    return wrong


def cases(said, kernel):
    """[(name, notes, wrong)] of a guest's words."""
    rows = [value for word, value in said if word == "agent"]
    done = {value["name"]: value for word, value in said if word == "how"}
    return [(name, (), differences(done[name], rows) if name in done else ["the guest did not come to it"])
            for name in NAMES]
