# SPDX-License-Identifier: Apache-2.0
"""A burst of short connections between two hosts, with receive packet steering off, to one CPU, to all, to a CPU that
process 1 keeps busy, to all with programs that do not preempt each other, and over network cards: is every connection
counted, to the byte, from both ends?

On kernels before 7 every one must be. From some release between 6.18 and 7.2 on a tracepoint leaves preemption on: a
program preempted inside the hook keeps its attachment busy for whatever runs on that CPU meanwhile, steering or not. There
are four there, and should all be busy a small share may be missing, none where programs do not preempt each other. It is a
machine of translated code: the hook takes 40 times as long as on a real one, and is interrupted that much more often."""

import re

CONNECTIONS = 500
CONNECTIONS_FULL = 10000
MODES = {"off": "not steered", "one": "to one CPU", "all": "to all CPUs", "busy": "to one CPU, process 1 busy there",
         "alone": "to all CPUs, no program preempts another",
         "card": "by a card's interrupts", "card_all": "by a card's interrupts, to all CPUs",
         "stable": "to all CPUs, without BTF"}
INTERRUPTS = "interrupts the hook"
NAMES = [*MODES.values(), INTERRUPTS]
COLUMNS = ("steering",)
SECONDS = 600
COUNTED = ("attempts", "opened", "closed", "tx_bytes", "rx_bytes")

RECURSION_COUNTED = (6, 1)  # before that a program interrupted by itself runs, and nothing is passed over
PREEMPTED = (7, 0)
PREEMPTED_SHARE = 0.002  # of a view's sum; seen: none with four copies of the hook, 0.33 % with two
# PassiveOpens is one too high now and then, on every kernel: most likely a child made twice, by two CPUs that work on one
# handshake, of which the kernel drops one.
PASSIVE_TWICE = 0.005


def words(line, full):
    """What the guest is told to do."""
    return f"steering {CONNECTIONS_FULL if full else CONNECTIONS} {' '.join(MODES)}"


def column(name):
    """Of the closing table."""
    return COLUMNS[0]


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


def differences(mode, rows, share):
    """What the agent says against what the programs and the kernel say; share: how much of it may be missing."""
    made, wrong = mode["client"]["opened"], []
    if mode["active_opens"] != made:
        wrong.append(f"ActiveOpens {mode['active_opens']}, the client made {made}")
    if not made <= mode["passive_opens"] <= made * (1 + PASSIVE_TWICE):
        wrong.append(f"PassiveOpens {mode['passive_opens']}, the client made {made}")
    guessed = ledger(rows).get("fin_guessed", 0)  # was there a FIN among the bytes received?
    for view, tried in (("client", made), ("server", 0)):
        expected = {"attempts": tried, "opened": made, "closed": made, "tx_bytes": mode[view]["sent"],
                    "rx_bytes": mode[view]["received"]}
        seen = sums(rows, view, mode["port"])
        wrong += [f"{view} {name}: {seen.get(name, 0)}, expected {expected[name]}" for name in COUNTED
                  if abs(seen.get(name, 0) - expected[name]) > expected[name] * share + (name == "rx_bytes") * guessed]
        wrong += [f"{view} {name}: {value}" for name, value in seen.items()
                  if name.startswith("failed_") and value > made * share]
    return wrong


def missing(mode, rows):
    """How much of the larger sums of the agent differs from the truth: a note."""
    made = mode["client"]["opened"]
    seen = {view: sums(rows, view, mode["port"]) for view in ("client", "server")}
    parts = [f"{view} {name} {seen[view].get(name, 0) - truth:+d}" for view in seen
             for name, truth in (("opened", made), ("closed", made), ("tx_bytes", mode[view]["sent"]),
                                 ("rx_bytes", mode[view]["received"])) if seen[view].get(name, 0) != truth]
    return ", ".join(parts) or "exact"


def case(mode, rows, release):
    """(name, notes, wrong) of one mode."""
    own = ledger(rows)
    preempted = release >= PREEMPTED and mode["name"] != "alone"
    note = (f"{mode['client']['opened']} connections in {mode['ended'] - mode['began']:.1f} s: {missing(mode, rows)}; "
            f"recursion misses {misses(own)}; {mode['over_1']} events over process 1; PassiveOpens "
            f"{mode['passive_opens'] - mode['client']['opened']:+d}")
    note += "".join(f"; {name} {own[name]}" for name in ("replaced", "recovered", "finalised", "fin_guessed", "update_failed")
                    if own.get(name))
    return MODES[mode["name"]], [note], differences(mode, rows, PREEMPTED_SHARE if preempted else 0)


def misses(own):
    """Events that each attachment passed over."""
    return [own.get(f"recursion_misses_{which}", 0) for which in range(4)]


def cases(said, kernel):
    """[(name, notes, wrong)] of a guest's words."""
    release = tuple(int(number) for number in re.findall(r"[0-9]+", kernel.release)[:2])
    rows, done, interrupted = [], [], 0
    for word, value in said:
        if word == "agent":
            rows.append(value)
        elif word == "mode":
            done.append(case(value, rows, release))
            interrupted += sum(misses(ledger(rows))) if value["name"] != "stable" else 0
            rows = []
    names = [name for name, _, _ in done]
    done += [(name, (), ["the guest did not come to it"]) for name in MODES.values() if name not in names]
    if release >= RECURSION_COUNTED:
        done.append((INTERRUPTS, (), [] if interrupted else ["it never did: the cases above show nothing"]))
    return done
