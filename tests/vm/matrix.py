# SPDX-License-Identifier: Apache-2.0
"""One known workload (guest/matrix) in each mode of the agent: what it prints against what the programs did, what the
kernel counted, and what was done to the packets.

Everything must be exact. What a mode cannot know stands in the file `unknown`, and is tested as well: a field that is
not known must be absent, not wrong, and a line nobody needs any more is an error."""

import fnmatch
import os

HERE = os.path.dirname(os.path.abspath(__file__))
EVERYWHERE = True  # on this machine's kernel, and one built without BTF, as well
MODES = ("btf", "file", "stable", "sock_diag")
BIG_ON = ("6.12", "btf")  # the connection of more than 4 GiB: one kernel, one mode; it takes long there
SECONDS = 600
DELAY_US, LOSS = 40000, 0.05  # of guest/matrix

PORTS = {"adopted": 7001, "adopted_back": 7002, "primes": 7003, "ipv6": 7004, "mapped": 7005, "reset": 7006,
         "reset_back": 7007, "half_close": 7008, "short": 7009, "refused": 7010, "timeout": 7011, "unreachable": 7012,
         "no_route": 7013, "blackhole": 7014, "abandoned": 7015, "slow": 7020, "big": 7030}
# What is compared even where a scenario does not name it: 0 then.
STRICT = ("attempts", "opened", "closed", "failed_refused", "failed_timeout", "failed_unreachable", "failed_no_port",
          "failed_abandoned", "failed_no_route", "failed_other", "reset_received", "reset_sent", "timed_out",
          "tx_bytes", "rx_bytes", "tx_undelivered")
RESETS = {"reset": {"client": {"reset_sent": 5}, "server": {"reset_received": 5}},
          "reset_back": {"client": {"reset_received": 5}, "server": {"reset_sent": 5}}}
# No truth is known: how much of it the server's kernel acknowledged before it reset the connection.
ANY = {("reset_back", "client", "tx_undelivered")}
# scenario -> (what the program saw, the field, how many)
FAILURES = {"refused": ("ECONNREFUSED", "failed_refused", 5), "timeout": ("ETIMEDOUT", "failed_timeout", 1),
            "unreachable": ("EHOSTUNREACH", "failed_unreachable", 2), "no_route": ("ENETUNREACH", "failed_no_route", 5),
            "blackhole": ("EINVAL", "failed_no_route", 5), "abandoned": ("ETIME", "failed_abandoned", 3)}
ADOPTED = ("adopted", "adopted_back")
BEFORE = 1  # index of an adopted client's last tally before the agent came
SLOW_PARTS = ("slow1", "slow2", "slow3")


NETEM = ("client_handshake", "server_handshake", "srtt", "retransmitted", "lost")
NOT_KNOWN = "not known: "


def choose(modes):
    """Which modes are run: all but for a person who looks at one."""
    global MODES, COLUMNS, NAMES
    MODES = COLUMNS = tuple(modes)
    NAMES = [f"{mode} {name}" for mode in MODES for name in (*PORTS, *(f"netem {field}" for field in NETEM), "whole")]


choose(MODES)


def column(name):
    """Of the closing table."""
    return name.split()[0]


def words(line, full):
    """What the guest is told to do."""
    return " ".join(["matrix", *(f"{mode}+big" if (line, mode) == BIG_ON else mode for mode in modes_of(line))])


def modes_of(line):
    """Those that a kernel has: a line of `unknown` says of every field of every scenario that there is none."""
    unknown = Unknown()
    return [mode for mode in MODES if (line, mode, "*", "*", "none") not in [entry[1:6] for entry in unknown.lines]]


HOWS = ("none", "less", "other", "byte", "begin", "cause")


class Unknown:
    """The file of what is not known: lines of KERNEL MODE SCENARIO FIELD none|less|other|byte|begin WHY, each word but the last two with
    `*` and the like; what they mean is said there."""

    def __init__(self, path=os.path.join(HERE, "unknown")):
        self.lines, self.used, self.met = [], set(), set()
        with open(path, encoding="utf-8") as file:
            for number, text in enumerate(file, 1):
                parts = text.split("#")[0].split(None, 5)
                if parts and (len(parts) < 6 or parts[4] not in HOWS):
                    raise ValueError(f"{path}:{number}: wants KERNEL MODE SCENARIO FIELD {'|'.join(HOWS)} WHY")
                if parts:
                    self.lines.append((number, *parts))

    def how(self, kernel, mode, scenario, field, needed):
        """One of HOWS or ''. needed: there is something to know here."""
        for number, a, b, c, d, how, _ in self.lines:
            if all(fnmatch.fnmatchcase(word, pattern)
                   for word, pattern in ((kernel, a), (mode, b), (scenario, c), (field, d))):
                if needed:
                    self.used.add(number)
                return how
        return ""

    def idle(self, kernel, mode):
        """Lines for this kernel and mode alone that nothing needed."""
        return [f"unknown:{number}: nothing of {kernel} {mode} needs this line" for number, a, b, *_ in self.lines
                if number not in self.used and (a, b) == (kernel, mode)]


class Sums:
    """The rows of one view and port, added."""

    def __init__(self, rows, view, port):
        self.total, self.hist, self.process, self.flags = {}, {}, set(), set()
        self.strangers = sum(row["type"] == "row" and row["view"] not in ("client", "server")
                             and port in (row["port"], row.get("other_port")) for row in rows)
        for row in rows:
            if row["type"] != "row" or row["view"] != view or row["port"] != port:
                continue
            self.process.add(row.get("process", ""))
            self.flags.add(row.get("flags", ""))
            for name, value in row.items():
                if isinstance(value, dict):
                    into = self.hist.setdefault(name, {})
                    for floor, n in value.items():
                        into[int(floor)] = into.get(int(floor), 0) + n
                elif isinstance(value, int):
                    self.total[name] = self.total.get(name, 0) + value

    def get(self, field):
        if field == "process":
            return ",".join(sorted(self.process))
        if field in self.hist:
            return sum(self.hist[field].values())
        return self.total.get(field, 0)


class Mode:
    """What one mode of one kernel said."""

    def __init__(self, kernel, said, rows, unknown):
        self.kernel, self.said, self.rows, self.unknown = kernel, said, rows, unknown
        self.name = said["name"]
        # Ends of which the agent says that the bytes received may be one off.
        self.guessed = self.told("fin_guessed")
        # Connections of which it says that it did not see them begin.
        self.recovered = self.told("recovered")
        # Attempts that failed, told as failed without a route, since it did not see them begin.
        self.uncaused = self.told("uncaused")

    def told(self, name):
        return sum(row["info"].get(name, 0) for row in self.rows if row["type"] == "health")

    def compare(self, scenario, view, expected):
        """(what is wrong, which fields are not known)"""
        sums, wrong, missing = Sums(self.rows, view, PORTS[scenario]), [], []
        counted = {"byte": self.guessed, "begin": self.recovered, "cause": self.uncaused}
        for field, value in list(expected.items()):
            if value and self.unknown.how(self.kernel, self.name, scenario, f"{view}_{field}", value) == "other":
                missing.append(f"{view} {field}")
                own = min(sums.get(field), value)
                expected = {**expected, field: own, "failed_other": expected["failed_other"] + value - own}
        if sums.strangers and not self.unknown.how(self.kernel, self.name, scenario, "role", sums.strangers):
            wrong.append(f"{sums.strangers} rows whose role is not known")
        for field, value in expected.items():
            seen = sums.get(field)
            how = self.unknown.how(self.kernel, self.name, scenario, f"{view}_{field}", value)
            if value and (how in ("none", "less") or counted.get(how)):
                missing.append(f"{view} {field}")
            if how == "none":
                value = "" if isinstance(value, str) else 0
            fits = seen == value or (scenario, view, field) in ANY
            if field == "process" and (how == "less" or (how == "begin" and self.recovered)):
                fits = sums.process <= {"", value}
            elif how == "less":
                fits = seen <= value
            elif how == "begin" and field != "process":
                fits = value - self.recovered <= seen <= value
            elif how == "cause":
                fits = abs(seen - value) <= self.uncaused
            elif how == "byte":
                fits = abs(seen - value) <= self.guessed
            if not fits:
                wrong.append(f"{view} {field}: {seen}, expected {'at most ' if how == 'less' else ''}{value}")
        return wrong, missing

    def tallies(self, scenario):
        """What client and server did in all; a view without programs has done nothing."""
        said = self.said[scenario]
        return [said[view][-1] if said[view] else None for view in ("client", "server")]

    def expectations(self, scenario):
        """{view: {field: value}}, or a text: what the programs did not do."""
        client, server = self.tallies(scenario)
        if client is None:
            return "the client said nothing"
        if scenario in FAILURES:
            error, field, n = FAILURES[scenario]
            if client["errors"] != {error: n}:
                return f"the program saw {client['errors']}, not {n} {error}"
            return {"client": {"attempts": n, field: n}, "server": {}}
        if not server or (server["sent"], server["received"]) != (client["received"], client["sent"]) or \
                server["closed"] != client["closed"] or not client["closed"]:
            return f"client and server do not agree: {client} {server}"
        n, before = client["opened"], {"sent": 0, "received": 0}
        views = {"client": {"attempts": client["attempts"], "opened": n, "closed": n, "handshake": n,
                            "process": "workload"},
                 "server": {"opened": n, "closed": n, "handshake": n, "process": "workload"}}
        if scenario in ADOPTED:
            before = self.said[scenario]["client"][BEFORE]
            views = {view: {"closed": n, "process": "workload"} for view in views}
        sent, received = client["sent"] - before["sent"], client["received"] - before["received"]
        views["client"].update(tx_bytes=sent, rx_bytes=received)
        views["server"].update(tx_bytes=received, rx_bytes=sent)
        for view, more in RESETS.get(scenario, {}).items():
            views[view].update(more)
        return views

    def scenario(self, name):
        """(name, notes, wrong)"""
        views = self.expectations(name)
        if isinstance(views, str):
            return name, [], [views]
        wrong, missing = [], []
        for view, expected in views.items():
            more = self.compare(name, view, {**dict.fromkeys(STRICT, 0), **expected})
            wrong, missing = wrong + more[0], missing + more[1]
        return name, [f"{NOT_KNOWN}{', '.join(missing)}"] if missing else [], wrong

    def join_slow(self):
        """The three clients of the slow link are one scenario."""
        parts = [self.said.pop(name)["client"][-1:] for name in SLOW_PARTS]
        total = {}
        for tally in (tally for part in parts for tally in part):
            for name, value in tally.items():
                if isinstance(value, int):
                    total[name] = total.get(name, 0) + value
        self.said["slow"]["client"] = [total] if all(parts) else []

    def netem(self):
        """[(name, notes, wrong)]: what was measured on the slow link against what was done there."""
        client, server = (Sums(self.rows, view, PORTS["slow"]) for view in ("client", "server"))
        before, after = self.said["before"], self.said["after"]
        truth = {name: after[name] - before[name] for name in after}
        truth["dropped"] -= self.said["unanswered"]
        truth["late"] = late = lateness(self.said["trips"])
        return [self.known("client_handshake", wrong_handshake(client, late), truth, client.hist.get("handshake")),
                self.known("server_handshake", wrong_handshake(server, late), truth, server.hist.get("handshake")),
                self.known("srtt", self.wrong_srtt(client, late), truth, client.hist.get("srtt")),
                self.known("retransmitted", self.wrong_retransmitted(client, truth, self.less("retransmitted")), truth, client.get("retransmitted")),
                self.known("lost", self.wrong_lost(client, truth), truth, client.get("lost"))]

    def less(self, field):
        return self.unknown.how(self.kernel, self.name, "netem", field, 1) == "less"

    def known(self, field, wrong, truth, seen):
        note = f"{seen} of {truth}"
        if self.unknown.how(self.kernel, self.name, "netem", field, 1) == "none":
            wrong = [f"{field} {seen}, and it is said not to be known"] if seen else []
            note = f"{NOT_KNOWN}{field}"
        return f"netem {field}", [f"{NOT_KNOWN}all of {field}", note] if self.less(field) else [note], wrong

    def wrong_srtt(self, client, late):
        hist = client.hist.get("srtt", {})
        inside = sum(n for floor, n in hist.items() if bucket_holds(floor, DELAY_US, DELAY_US * 1.75 * late))
        return [] if hist and inside >= 0.8 * sum(hist.values()) else [f"{hist}"]

    def wrong_retransmitted(self, client, truth, less):
        """What the kernel sent again, all of it; not less than what was dropped less what needs no resending."""
        seen, wrong = client.get("retransmitted"), []
        if seen > truth["retrans_segs"] or (seen < truth["retrans_segs"] and not less):
            wrong.append(f"{seen}, RetransSegs says {truth['retrans_segs']}")
        if not truth["dropped"] * 0.8 <= seen <= truth["dropped"] * 1.5 + 10:
            wrong.append(f"{seen}, dropped were {truth['dropped']}")
        share = seen / max(client.get("tx_segs"), 1)
        if not LOSS / 2 <= share <= LOSS * 2:
            wrong.append(f"{share:.1%} of {client.get('tx_segs')} segments, {LOSS:.0%} of packets are dropped")
        return wrong

    def wrong_lost(self, client, truth):
        seen = client.get("lost")
        return [] if truth["dropped"] * 0.5 <= seen <= truth["dropped"] * 2 + 10 else [f"{seen} of {truth['dropped']}"]

    def cases(self):
        self.join_slow()
        took = f"up in {self.said['up'] - self.said['began']:.1f} s, all in {self.said['ended'] - self.said['began']:.1f} s"
        found = [self.scenario(name) for name in PORTS if name in self.said] + self.netem()
        left = [f"{name} was not run" for name in PORTS if name not in self.said and name != "big"]
        took += f"; the agent did not see {self.recovered} begin, nor {self.uncaused} that failed, guessed {self.guessed} FINs"
        took += f"; programs passed over: {[self.told(f'recursion_misses_{copy}') for copy in range(4)]}"
        found.append(("whole", [took], left + self.unknown.idle(self.kernel, self.name)))
        return found


def bucket_holds(floor, least, most):
    """May a bucket of that floor hold values between these? Its end is half as far again, or a third."""
    return floor <= most and floor * 1.5 > least


def lateness(trips):
    """How many times the link's delay a ping took, of those that were late most (a fifth): 1 on a machine with time."""
    if len(trips) < 5:
        return 1
    return round(max(1, sorted(trips)[len(trips) * 4 // 5] * 1000 / DELAY_US / 1.1), 2)


def wrong_handshake(sums, late):
    """From SYN to established: never less than a round trip; more by a second with a lost SYN, and when the machine is late.
    Half-octave buckets."""
    hist = sums.hist.get("handshake", {})
    fast = sum(n for floor, n in hist.items() if bucket_holds(floor, DELAY_US, DELAY_US * 2 * late))
    early = sum(n for floor, n in hist.items() if floor * 1.5 < DELAY_US)
    return [f"{hist}"] if early or fast < 0.4 * sum(hist.values()) or not hist else []


def cases(said, kernel):
    """[(name, notes, wrong)] of a guest's words; name: 'MODE SCENARIO'."""
    unknown, rows, done = Unknown(), [], []
    for word, value in said:
        if word == "agent":
            rows.append(value)
        elif word == "mode":
            mode = Mode(kernel.line, value, rows, unknown)
            done += [(f"{mode.name} {name}", notes, wrong) for name, notes, wrong in mode.cases()]
            rows = []
    seen = {name.split()[0] for name, _, _ in done}
    done += [(mode, (), ["the guest did not come to it"]) for mode in modes_of(kernel.line) if mode not in seen]
    return done
