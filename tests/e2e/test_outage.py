# SPDX-License-Identifier: Apache-2.0
"""What is lost is named and counted; what was seen stays."""

import random
import signal
import time

from lab import case
from lab.wait import middle_of_interval, until


class Traffic:
    """One connection in each interval asked for: a row at each end. Remembers what it said when."""

    def __init__(self, test):
        self.test = test
        self.server, self.client = test.server("10.77.0.2"), test.client()
        self.said = {}  # interval -> bytes, client to server

    def speak(self):
        middle_of_interval(after=max(self.said, default=0))
        at, size = int(time.time()), 1000 + len(self.said)
        self.client.do(self.test.connect("10.77.0.2"))
        self.client.do(f"talk {size - 24} {2 * size}")
        self.client.do("close")
        self.test.tally(self.server, self.client)
        self.test.assertLess(time.time(), at + 0.95, "the connection ended in its interval")
        self.said[at] = size

    def stored(self):
        """{interval: {view: bytes}} of the API, intervals without data left out."""
        edge = self.test.find(client=self.test.client_service)
        if not edge:
            return {}
        points = self.test.stack.api(f"edges/{edge['id']}/series", from_=min(self.said), to=max(self.said) + 1,
                                     step="1s")["points"]
        views = {p["at"]: {view: p[f"{view}_c2s_bytes"] for view in ("client", "server") if f"{view}_c2s_bytes" in p}
                 for p in points}
        return {at: view for at, view in views.items() if view}


class Outage(case.Case):

    def tearDown(self):
        if self.stack.server is None or not self.stack.server.alive():
            case.Shared.drop()  # the next case gets programs that run

    def test_collector_stopped_for_three_seconds(self):
        """The rows of that time are gone. Doctor names the hop and says how many rows; the rest is whole."""
        self.stack.restart_agents("--udp", "off")  # else each sends a row of its own socket in every interval
        self.addCleanup(self.stack.restart_agents)
        traffic = Traffic(self)
        for _ in range(2):
            traffic.speak()
        last = max(traffic.said)
        until(lambda: len(traffic.stored()) == 2, case.VISIBLE_SECONDS, "the first two intervals are stored")
        self.assertEqual(self.stack.stop_server(), 0)
        stopped = time.time()
        while time.time() < stopped + 3:
            traffic.speak()
        self.stack.start_server()
        self.stack.wait_agents()
        for _ in range(3):
            traffic.speak()
        health = self.settled()
        stored = traffic.stored()
        missing = [(at, view) for at in traffic.said for view in ("client", "server") if view not in stored.get(at, {})]
        self.assertGreaterEqual(len(missing), 4, "the outage lost rows")
        for at, views in stored.items():
            for view, size in views.items():
                self.assertEqual((at, view, size), (at, view, traffic.said[at]))
        self.assertTrue({last, max(traffic.said)} <= {at for at, views in stored.items() if len(views) == 2})
        hops = {hop["hop"]: hop["missing"] + hop["lost_total"] for hop in health["chain"]}
        named = [name for name, rows in hops.items() if rows]
        print(f"# {len(missing)} rows of {2 * len(traffic.said)} lost; doctor: {hops}")
        self.assertTrue(named and set(named) <= {"agent", "network"}, f"the hop is named: {hops}")
        self.assertEqual(sum(hops.values()), len(missing), hops)

    def test_kill_9_at_any_moment(self):
        """Every interval that a reader of the API has seen is there once after the next start."""
        traffic = Traffic(self)
        rounds = 12 if case.FULL else 4
        seen = {}
        for number in range(rounds):
            traffic.speak()
            ready = time.monotonic()
            moment = random.Random(number).uniform(0.2, 2.5)

            def look(ready=ready, moment=moment):
                seen.update(traffic.stored())
                return time.monotonic() >= ready + moment

            until(look, 10, "the moment to kill")
            self.assertEqual(self.stack.stop_server(signal.SIGKILL), -signal.SIGKILL)
            self.stack.start_server()
            after = traffic.stored()
            for at, views in seen.items():
                self.assertEqual(after.get(at), views, f"interval {at}, round {number}: {after}")
        self.stack.wait_agents()
        traffic.speak()
        until(lambda: max(traffic.said) in traffic.stored(), case.VISIBLE_SECONDS, "it goes on")
        for at, views in traffic.stored().items():
            self.assertTrue(all(size == traffic.said[at] for size in views.values()), (at, views))
        self.assertGreaterEqual(len(seen), 2, "something was seen")
