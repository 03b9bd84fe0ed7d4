# SPDX-License-Identifier: Apache-2.0
"""A burst of short connections between two hosts, with receive packet steering off, on one CPU, on all, and on a CPU that
process 1 keeps busy: is every one of them counted, to the byte, from both ends?"""

CONNECTIONS = 2000
CONNECTIONS_FULL = 10000
MODES = {"off": "without steering", "one": "to one CPU", "all": "to all CPUs", "busy": "to one CPU, process 1 busy there"}
WORDS = f"steering {CONNECTIONS} {' '.join(MODES)}"
WORDS_FULL = f"steering {CONNECTIONS_FULL} {' '.join(MODES)}"
SECONDS = 600
COUNTED = ("attempts", "opened", "closed", "tx_bytes", "rx_bytes")


def sums(rows, view, port):
    """Every number of a view's rows, added."""
    total = {}
    for row in rows:
        if row["type"] == "row" and row["view"] == view and row["port"] == port:
            for name, value in row.items():
                if isinstance(value, int):
                    total[name] = total.get(name, 0) + value
    return total


def ledger(rows):
    """The agent's own numbers over the whole run."""
    total = {}
    for row in rows:
        if row["type"] == "health":
            for name, value in {**row["info"], **row["lost"]}.items():
                total[name] = total.get(name, 0) + value
    return total


def differences(mode, rows):
    """What the agent says against what the programs and the kernel say."""
    made = mode["client"]["opened"]
    truth = {"client": {"attempts": made, "opened": made, "closed": made, "tx_bytes": mode["client"]["sent"],
                        "rx_bytes": mode["client"]["received"]},
             "server": {"attempts": 0, "opened": made, "closed": made, "tx_bytes": mode["server"]["sent"],
                        "rx_bytes": mode["server"]["received"]}}
    wrong = [f"{who} counted {mode[who]} opened by the kernel, the client {made}"
             for who in ("active_opens", "passive_opens") if mode[who] != made]
    for view, expected in truth.items():
        seen = sums(rows, view, mode["port"])
        wrong += [f"{view} {name}: {seen.get(name, 0)}, expected {expected[name]}" for name in COUNTED
                  if seen.get(name, 0) != expected[name]]
        wrong += [f"{view} {name}: {value}" for name, value in seen.items() if name.startswith("failed_") and value]
    return wrong


def cases(said, release):
    """[(name, notes, wrong)] of a guest's words."""
    rows, done = [], []
    for word, value in said:
        if word == "agent":
            rows.append(value)
        elif word == "mode":
            done.append(case(value, rows))
            rows = []
    missing = [f"{MODES[name]}" for name in MODES if MODES[name] not in [name for name, _, _ in done]]
    return done + [(name, (), ["the guest did not come to it"]) for name in missing]


def case(mode, rows):
    own = ledger(rows)
    wrong = differences(mode, rows)
    misses = [own.get(f"recursion_misses_{which}", 0) for which in (0, 1)]
    notes = [f"{mode['client']['opened']} connections in {mode['ended'] - mode['began']:.1f} s; recursion misses "
             f"{misses[0]} and {misses[1]}; over process 1: {mode['over_1']} events; replaced {own.get('replaced', 0)}, "
             f"recovered {own.get('recovered', 0)}, finalised {own.get('finalised', 0)}, "
             f"failed updates {own.get('update_failed', 0)}"]
    return MODES[mode["name"]], notes, wrong
