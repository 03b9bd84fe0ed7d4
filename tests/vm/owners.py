# SPDX-License-Identifier: Apache-2.0
"""Whose an accepted connection is, on kernels that tell who accepts: exact, though another made the listener."""

KINDS = {"init": "a listener made by init", "moved": "one whose maker moved", "ended": "one whose maker ended",
         "uring": "accepted by io_uring", "prefork": "accepted in children", "threads": "accepted by threads"}
OPTIONS = {"uring": "+uring", "prefork": "+prefork=3", "threads": "+threads=4"}
TOLD = "who accepts is told"
NAMES = [TOLD, *KINDS.values()]
COLUMNS = ("owners",)
SECONDS = 300
CONNECTIONS = 5
NO_URING_NAME = (5, 12)  # before it a kernel thread accepts for io_uring: the listener's owner stays


def words(line, full):
    """What the guest is told to do."""
    return "owners " + " ".join(kind + OPTIONS.get(kind, "") for kind in KINDS)


def column(name):
    """Of the closing table."""
    return COLUMNS[0]


def wrong(mode, rows, release):
    """What a case's rows say against what its programs did."""
    kind, lacks = mode["name"], []
    for view, service in (("client", f"{kind}-client"), ("server", f"{kind}-served")):
        mine = [row for row in rows if row["port"] == mode["port"] and row["view"] == view]
        good = {"exact"} if kind != "uring" or release >= NO_URING_NAME else {"exact", "inherited"}
        for row in mine:
            if row["service"] != service or row["owner"] not in good:
                lacks.append(f"{view}: {row['service']!r} by {row['process']!r}, {row['owner']}; expected {service!r}")
        opened = sum(row.get("opened", 0) for row in mine)
        if opened != CONNECTIONS:
            lacks.append(f"{view}: {opened} connections, expected {CONNECTIONS}")
    return lacks


def cases(said, kernel):
    """[(name, notes, wrong)] of a guest's words."""
    release = tuple(int(number) for number in kernel.release.split("-")[0].split("+")[0].split(".")[:2])
    rows = [value for word, value in said if word == "agent" and value["type"] == "row"]
    told = {value["feature"]: value for word, value in said if word == "feature" and "feature" in value}  # the last: the mode
    accepts = sum(value["info"].get("accepts", 0) for word, value in said if word == "agent" and value["type"] == "health")
    ways = {name: told.get(name, {"ok": False, "why": "not tried"}) for name in ("accept-fentry", "accept-kprobe")}
    done = [(TOLD, [f"{accepts} connections; " + ", ".join(f"{name}: {w['why'] or 'ok'}" for name, w in ways.items())],
             [f"{name}: {way['why']}" for name, way in ways.items() if not way["ok"]])]
    for word, mode in said:
        if word == "case":
            done.append((KINDS[mode["name"]], (), wrong(mode, rows, release)))
    names = [name for name, _, _ in done]
    return done + [(name, (), ["the guest did not come to it"]) for name in KINDS.values() if name not in names]
