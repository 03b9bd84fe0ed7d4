# SPDX-License-Identifier: Apache-2.0
"""Whose a connection is whose cgroup was gone before anybody read the tree: its unit's, in every mode the kernel is asked in.
As many may be without as the agent says that it was not told of (cgroups_missed), or did not see begin (recovered): from 7 on
a program that is preempted has others on its CPU passed over."""

NAMES = ("btf", "file", "stable")
COLUMNS = ("births",)
SECONDS = 300
CGROUPS = 20


def words(line, full):
    """What the guest is told to do."""
    return f"births {CGROUPS} {' '.join(NAMES)}"


def column(name):
    """Of the closing table."""
    return COLUMNS[0]


def wrong(mode, rows, health, count):
    """(notes, what is wrong)"""
    mine = [row for row in rows if row["port"] == mode["port"] and row["view"] == "client"]
    named = {row["service"] for row in mine if row.get("unit", "").startswith(f"{mode['name']}-")}
    opened = sum(row.get("opened", 0) for row in mine)
    missed, recovered = (sum(line["info"].get(name, 0) for line in health) for name in ("cgroups_missed", "recovered"))
    expected = {f"{mode['name']}-{i}" for i in range(count)}
    lacks = [] if named <= expected and len(expected - named) <= missed + recovered else [
        f"named by their unit: {len(named)} of {count}; the others {sorted({r['service'] for r in mine} - named)}"]
    lacks += [f"{opened} connections, expected {count}"] if opened != count else []
    return [f"{len(named)} of {count} cgroups named, {missed} not told, {recovered} not seen to begin"], lacks


def cases(said, kernel):
    """[(name, notes, wrong)] of a guest's words."""
    done, lines = {}, []
    for word, value in said:
        if word == "agent":
            lines.append(value)
        elif word == "case":
            rows, health = ([line for line in lines if line["type"] == kind] for kind in ("row", "health"))
            done[value["name"]] = wrong(value, rows, health, CGROUPS)
            lines = []
    return [(name, *done.get(name, ((), ["the guest did not come to it"]))) for name in NAMES]
