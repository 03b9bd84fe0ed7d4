# SPDX-License-Identifier: Apache-2.0
"""Whose a connection is whose cgroup was gone before anybody read the tree: its unit's, in every mode the kernel is asked in."""

NAMES = ("btf", "file", "stable")
COLUMNS = ("births",)
SECONDS = 300
CGROUPS = 40


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
    missed = sum(line["info"].get("cgroups_missed", 0) for line in health)
    lacks = [] if named == {f"{mode['name']}-{i}" for i in range(count)} else [
        f"named by their unit: {len(named)} of {count}; the others {sorted({r['service'] for r in mine} - named)}"]
    lacks += [f"{opened} connections, expected {count}"] if opened != count else []
    return [f"{len(named)} of {count} cgroups named, {missed} not told"], lacks


def cases(said, kernel):
    """[(name, notes, wrong)] of a guest's words."""
    rows = [value for word, value in said if word == "agent" and value["type"] == "row"]
    health = [value for word, value in said if word == "agent" and value["type"] == "health"]
    done = {mode["name"]: wrong(mode, rows, health, CGROUPS) for word, mode in said if word == "case"}
    return [(name, *done.get(name, ((), ["the guest did not come to it"]))) for name in NAMES]
