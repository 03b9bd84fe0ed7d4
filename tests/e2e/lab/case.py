# SPDX-License-Identifier: Apache-2.0
"""The base of cases that say what an edge must show, to the byte and the connection."""

import itertools
import os
import time
import unittest

from . import work
from .net import Lab
from .stack import Stack
from .wait import middle_of_interval, until

VISIBLE_SECONDS = 10  # until everything a scenario did is in the API (the promise is 3; the machine is shared)
SETTLE_SECONDS = 15

# What is compared even where an expectation does not name it: 0 then.
STRICT = ("attempts", "opened", "closed", "failed_refused", "failed_timeout", "failed_unreachable", "failed_no_port",
          "failed_abandoned", "failed_no_route", "failed_other", "reset_received", "reset_sent", "timed_out",
          "c2s_bytes", "s2c_bytes", "c2s_undelivered", "s2c_undelivered")

FULL = bool(os.environ.get("SKYFALL_TEST_FULL"))

_ports = itertools.count(7001)


def flat(views):
    """{"client": {"opened": 1}} -> {"client_opened": 1, ...} with the strict fields of both views."""
    return {f"{view}_{field}": views.get(view, {}).get(field, 0)
            for view in ("client", "server") for field in {*STRICT, *views.get(view, {})}}


def make_cgroup(test, path):
    """A cgroup of the unified hierarchy under a folder of this run; removed at the end of the test."""
    mounts = [line.split() for line in open("/proc/mounts", encoding="ascii")]
    root = next(m[1] for m in mounts if m[2] == "cgroup2")
    parts = [f"skyfall-e2e-{os.getpid()}.slice", *path.split("/")]
    for i in range(1, len(parts) + 1):
        folder = os.path.join(root, *parts[:i])
        if not os.path.isdir(folder):
            os.mkdir(folder)
            test.addCleanup(remove_cgroup, folder)
    return os.path.join(root, *parts)


def remove_cgroup(folder):
    """A cgroup can go a moment after its last process."""
    def gone():
        try:
            os.rmdir(folder)
        except OSError:
            return False
        return True
    until(gone, 10, f"{folder} is removed")


class Shared:
    """One lab and one stack for all cases of a run that do not need their own."""

    lab = None
    stack = None

    @classmethod
    def get(cls):
        if cls.stack is None:
            cls.lab = Lab()
            cls.stack = Stack(cls.lab)
            cls.stack.start()
        return cls.stack

    @classmethod
    def drop(cls):
        stack, cls.stack = cls.stack, None
        lab, cls.lab = cls.lab, None
        if stack:
            stack.close()
        if lab:
            lab.close()


class Case(unittest.TestCase):
    """Programs started here are stopped at its end. Services are named after the case: an edge belongs to one case."""

    maxDiff = None

    def setUp(self):
        self.stack = Shared.get()
        self.lab = self.stack.lab
        self.stack.alive()
        self.began = time.time() - 1
        self.name = self._testMethodName.removeprefix("test_")
        self.client_service, self.server_service = f"c-{self.name}", f"s-{self.name}"
        self.port = next(_ports)

    # --- programs

    def server(self, address, *options, service=None, host="b", port=None, cgroup=None):
        # Hosts cut an interval some ms apart. A server that begins just between two cuts would be a stranger to its
        # first client's row, and that row another edge.
        middle_of_interval(most=0.7)
        server = work.serve(self.lab, host, self.server_service if service is None else service, address,
                            port or self.port, *options, cgroup=cgroup)
        self.addCleanup(server.stop)
        return server

    def client(self, service=None, host="a", cgroup=None):
        client = work.client(self.lab, host, self.client_service if service is None else service, cgroup)
        self.addCleanup(client.stop)
        return client

    def connect(self, address, *options):
        """The command that connects to this case's port."""
        return " ".join(["connect", address, str(self.port), *options])

    def tally(self, server, client):
        """Both tallies once the server has seen the end of everything the client closed."""
        client.do("report")
        until(lambda: server.do("report")["closed"] >= client.tally["closed"], 20,
              lambda: f"the server sees the end: {server.tally} of {client.tally}")
        return client.tally, server.tally

    def introduce(self, client, address="10.77.0.2"):
        """One connection first, until the edge shows it with its names. For loads that starve the machine: a host's rows
        that come late then still find the other end's name (it is kept for 10 minutes)."""
        for command in (self.connect(address), "close"):
            client.do(command)
        query = {"client": self.client_service, "server": self.server_service, "port": self.port}
        until(lambda: (self.find(**query) or {}).get("server_closed"), VISIBLE_SECONDS, "the edge is known")

    # --- expectations

    def views(self, client, server, **more):
        """What both views of an edge show of two tallies. more: client_reset_sent=2 and the like."""
        expected = {
            "client": {"attempts": client["attempts"], "opened": client["opened"], "closed": client["closed"],
                       "c2s_bytes": client["sent"], "s2c_bytes": client["received"]},
            "server": {"opened": server["opened"], "closed": server["closed"],
                       "c2s_bytes": server["received"], "s2c_bytes": server["sent"]},
        }
        for name, value in more.items():
            view, field = name.split("_", 1)
            expected[view][field] = value
        return expected

    def find(self, **query):
        """The one edge of this case's client (or of the query), or None."""
        query = query or {"client": self.client_service}
        edges = self.stack.edges(self.began, **query)
        self.assertLessEqual(len(edges), 1, [(e["client_service"], e["server_service"], e["port"]) for e in edges])
        return edges[0] if edges else None

    def expect(self, views, observed="both", server=None, **query):
        """Waits until the edge shows just this, looks at its names, then at SQLite and at the ledger. The edge."""
        expected = flat(views)
        query = query or {"client": self.client_service, "port": self.port}

        def differences():
            self.seen = self.find(**query)
            if self.seen is None:
                return {"edge": "none"}
            return {name: f"{self.seen.get(name, 0)}, expected {value}" for name, value in expected.items()
                    if self.seen.get(name, 0) != value}

        until(lambda: not differences(), VISIBLE_SECONDS, lambda: f"{query}: {differences()}")
        edge = self.seen
        self.assertEqual(edge["server_service"], server or self.server_service)
        self.assertEqual(edge["observed_by"], observed)
        self.assertEqual(edge["protocol"], "tcp")
        stored = self.stack.stored(edge["id"], self.began)
        self.assertEqual({name: stored.get(name, 0) for name in expected}, expected, "SQLite")
        return edge

    def settled(self):
        """What doctor says from this case's begin to now, once all of it has settled."""
        ended = int(time.time()) + 1

        def settled():
            self.health = self.stack.doctor(self.began, ended)
            return self.health["settled_to"] >= ended

        until(settled, SETTLE_SECONDS, lambda: f"settled to {self.health['settled_to']}, ended {ended}")
        return self.health

    def adds_up(self, lost=0):
        """Every hop from kernel to store adds up since this case began, with nothing lost."""
        self.settled()
        self.assertTrue(self.health["adds_up"], self.health)
        self.assertIsNone(self.health["first_bad"])
        self.assertEqual(sum(hop["lost_total"] for hop in self.health["chain"]), lost, self.health["chain"])
        return self.health
