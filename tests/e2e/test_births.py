# SPDX-License-Identifier: Apache-2.0
"""Cgroups that live for some 50 ms, with one process and one connection in each: gone before anybody reads the tree. Each
connection is its unit's, in every mode that asks the kernel."""

import os

import test_guest
from lab import case, work
from lab.wait import until

COUNT = 100


class Births(test_guest.GuestCase):

    def once(self, path):
        os.mkdir(path)
        client = work.client(self.lab, "c", "", path)
        try:
            client.do(self.connect(test_guest.HOST))
            client.do("close")
        finally:
            client.stop()
            case.remove_cgroup(path)

    def all_named(self, source):
        agent = test_guest.Agent(self, "--source", source, "--interval", "2s", "--budget", "0")
        self.server(test_guest.HOST, host="c")
        jobs = case.make_cgroup(self, "jobs.slice")
        for number in range(COUNT):
            self.once(f"{jobs}/{source}-{number}.service")
        query = {"view": "client", "port": self.port}
        until(lambda: agent.sums(**query).get("closed", 0) == COUNT, 20, lambda: f"all ends: {agent.sums(**query)}")
        rows = [row for row in agent.lines("row") if all(row.get(name) == value for name, value in query.items())]
        named = {row["service"] for row in rows} & {f"{source}-{number}" for number in range(COUNT)}
        others = sorted({row["service"] for row in rows} - named)
        self.assertEqual(len(named), COUNT, f"named by their unit: {len(named)} of {COUNT}; the others {others}")
        self.assertEqual(agent.counted("cgroups_missed"), 0)
        self.assertGreaterEqual(agent.counted("cgroups_made"), COUNT)

    def test_mode_bpf(self):
        self.all_named("bpf")

    def test_mode_stable(self):
        self.all_named("stable")
