# SPDX-License-Identifier: Apache-2.0
"""The wall clock set back an hour while datagrams of an interval wait to be sent: they go out all the same, each once, in
the time they had; what is open across the step is counted once. Only a machine's clock may be set, so only here."""

NAMES = ["datagrams that wait", "connections across the step", "the ledger"]
COLUMNS = ("clock",)
LINES = ("6.12",)  # nothing in it is the kernel's
PROGRAMS = {"bin/skyfall": "cli/skyfall"}
SECONDS = 300
PORTS, PORT = 60, 7200
HOUR = 3600
LATE_S = 12  # more than the interval: a machine of translated code, other work beside it


def words(line, full):
    """What the guest is told to do."""
    return f"clock {PORTS}"


def column(name):
    """Of the closing table."""
    return COLUMNS[0]


def waiting(step, rows):
    """Each row once, and not an hour later."""
    seen, wrong = {}, []
    for row in rows:
        if row["port"] >= 8000:
            seen.setdefault(row["port"], []).append((row["attempts"], row["failed_refused"]))
    wrong += [f"port {port}: {seen.get(port, 'nothing')}" for port in range(8000, 8000 + step["ports"])
              if seen.get(port) != [(1, 1)]]
    if not 0 < step["early"] < step["ports"]:
        wrong.append(f"{step['early']} of {step['ports']} were there at the step: none waited")
    if step["seconds"] > step["spread"] + LATE_S:
        wrong.append(f"the rest took {step['seconds']} s")
    return [f"{step['early']} of {step['ports']} rows before the step, the rest {step['seconds']} s after it"], wrong


def across(step, rows):
    """The connections that were open at the step, both views."""
    wrong = []
    for view in ("client", "server"):
        did, tried = step[view], step["client"]["attempts"] - step["ports"] if view == "client" else 0
        expected = {"attempts": tried, "opened": did["opened"], "closed": did["closed"], "tx_bytes": did["sent"],
                    "rx_bytes": did["received"]}
        mine = [row for row in rows if (row["view"], row["port"]) == (view, PORT)]
        wrong += [f"{view} {name}: {sum(row.get(name, 0) for row in mine)}, expected {value}"
                  for name, value in expected.items() if sum(row.get(name, 0) for row in mine) != value]
    return [], wrong


def ledger(rows, lines):
    """What the agent says it sent is what came; its intervals follow the clock."""
    last, order = {}, []
    for line in lines:
        at = line["line_interval"]
        last[at] = line  # without answers each is said three times, the last is whole
        if at not in order:
            order.append(at)
    wrong, jumps = [], [b - a for a, b in zip(order, order[1:])]
    if not any(-HOUR - 20 <= jump <= -HOUR + 20 for jump in jumps):
        wrong.append(f"no line is an hour before the former: {order}")
    out = sum(line["rows_out"] for line in last.values())
    if out != len(rows):
        wrong.append(f"it sent {out} rows, {len(rows)} came")
    wrong += [f"{at}: lost {line['lost']}" for at, line in last.items() if line["lost"]]
    wrong += [f"{at}: intervals missed" for at, line in last.items() if line["info"].get("intervals_missed")]
    return [f"intervals {order}"], wrong


def cases(said, kernel):
    """[(name, notes, wrong)] of a guest's words."""
    sent = [value for word, value in said if word == "sent"]
    rows = [value for value in sent if value["record"] == "flow"]
    lines = [value for value in sent if value["record"] == "ledger"]
    step = [value for word, value in said if word == "step"]
    if not step:
        return [(name, (), ["the guest did not come to it"]) for name in NAMES]
    found = (waiting(step[0], rows), across(step[0], rows), ledger(rows, lines))
    return [(name, *result) for name, result in zip(NAMES, found)]
