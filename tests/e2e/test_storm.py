# SPDX-License-Identifier: Apache-2.0
"""Twenty thousand short connections in a burst, with receive packet steering off, on one CPU and on all (as network
cards' interrupts do): a program interrupted by itself is passed over by the kernel; the second attachment is for that."""

import os

from lab import case
from lab.trace import OverProcess1
from lab.wait import until

CONNECTIONS = 20000
UP, DOWN = 101, 211  # bytes of a connection
ALL_CPUS = f"{(1 << (os.cpu_count() or 1)) - 1:x}"


class Storm(case.Case):

    def storm(self, *options):
        server, client = self.server("10.77.0.2", "inline", "threads=4"), self.client()
        self.introduce(client)
        client.do(" ".join(["burst", "10.77.0.2", str(self.port), str(CONNECTIONS), "4", *options]), 60)
        tallies = self.tally(server, client)
        self.assertEqual([tally["opened"] for tally in tallies], [CONNECTIONS + 1] * 2)
        return tallies

    def steer(self, mask):
        for host, device in (("a", "to-b"), ("b", "to-a")):
            self.lab.steering(host, device, mask)
            self.addCleanup(self.lab.steering, host, device, "0")

    def misses(self):
        """recursion_misses of both attachments of all agents since this case began."""
        lines = self.stack.api("ledger", from_=int(self.began), role="agent", limit=10000)["lines"]
        return sum(n for line in lines for name, n in line["info"].items() if name.startswith("recursion_misses"))

    def test_burst_without_a_byte(self):
        self.expect(self.views(*self.storm()))
        self.adds_up()

    def test_burst_with_payload(self):
        self.expect(self.views(*self.storm(f"up={UP}", f"down={DOWN}")))
        self.adds_up()

    def steered(self, mask):
        """Every connection is counted, but for those whose events ran over process 1 on a kernel that hides them there
        (ftrace's log says which). Such are not lost in silence: the kernel's own ActiveOpens and PassiveOpens say how
        many, and doctor shows just that; a connection of which only the SYN was seen is among the failed ones."""
        self.steer(mask)
        with OverProcess1() as log:
            tallies = self.storm(f"up={UP}", f"down={DOWN}")
        made = CONNECTIONS + 1

        def failed():
            """What was tried and not seen established fails when a walk has found it dead for two seconds."""
            self.seen = self.find(client=self.client_service)
            return sum(n for name, n in self.seen.items() if name.startswith("client_failed_"))

        self.settled()
        until(lambda: failed() == self.seen["client_attempts"] - self.seen["client_opened"], case.VISIBLE_SECONDS,
              lambda: f"each attempt is opened or failed: {self.seen}")
        kernel = self.settled()["chain"][0]
        half_seen, edge = failed(), self.seen
        # What the kernel counts, by end: ActiveOpens at the SYN, PassiveOpens at the child's establishment.
        unseen = 2 * made - edge["client_attempts"] - edge["server_opened"]
        print(f"# of {2 * made}: {unseen} openings reached no program, {half_seen} in part; over process 1: {log.opened} "
              f"openings, {log.closed} ends; recursion misses: {self.misses()}; doctor: "
              f"{kernel['missing'] + kernel['lost_total']}")
        self.assertEqual(kernel["hop"], "kernel")
        self.assertEqual(kernel["missing"] + kernel["lost_total"], unseen)
        self.assertLessEqual(unseen + half_seen, log.opened)
        for view, side in (("client", tallies[0]), ("server", tallies[1])):
            sent, received = ("sent", "received") if view == "client" else ("received", "sent")
            self.assertLessEqual(side["closed"] - edge[f"{view}_closed"], log.opened + log.closed)
            self.assertLessEqual(abs(edge[f"{view}_c2s_bytes"] - side[sent]), UP * (log.opened + log.closed))
            self.assertLessEqual(abs(edge[f"{view}_s2c_bytes"] - side[received]), DOWN * (log.opened + log.closed))
        for hop in self.health["chain"][1:]:
            self.assertTrue(hop["adds_up"], hop)

    def test_burst_steered_to_one_cpu(self):
        self.steered("1")

    def test_burst_steered_to_all_cpus(self):
        self.steered(ALL_CPUS)
