# SPDX-License-Identifier: Apache-2.0
"""Twenty thousand short connections in a burst, with receive packet steering off, on one CPU and on all (as network
cards' interrupts do): a program interrupted by itself is passed over by the kernel, and with steering now and then
both attachments are (docs/performance.md says how often)."""

import os

from lab import case

CONNECTIONS = 20000
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
        self.expect(self.views(*self.storm("up=101", "down=211")))
        self.adds_up()

    def accounted(self, share):
        """What reached no program, at most that share, is not lost in silence: the kernel's own ActiveOpens and
        PassiveOpens say how many, and doctor shows just that; a connection of which only the SYN was seen is among the
        failed ones. What was seen is in every hop."""
        tallies = self.storm("up=101", "down=211")
        health = self.settled()
        edge = self.find(client=self.client_service)
        made = CONNECTIONS + 1
        # What the kernel counts, by end: ActiveOpens at the SYN, PassiveOpens at the child's establishment.
        unseen = 2 * made - edge["client_attempts"] - edge["server_opened"]
        half_seen = edge["client_attempts"] - edge["client_opened"]  # SYN seen, establishment not
        kernel = health["chain"][0]
        print(f"# of {2 * made}: {unseen} openings reached no program, {half_seen} in part; recursion misses: "
              f"{self.misses()}; doctor: {kernel['missing'] + kernel['lost_total']}")
        self.assertEqual(kernel["hop"], "kernel")
        self.assertEqual(kernel["missing"] + kernel["lost_total"], unseen)
        self.assertEqual(half_seen, sum(n for name, n in edge.items() if name.startswith("client_failed_")))
        self.assertLessEqual(unseen + half_seen, 2 * made * share)
        for view, side in (("client", tallies[0]), ("server", tallies[1])):
            sent, received = ("sent", "received") if view == "client" else ("received", "sent")
            self.assertLessEqual(abs(edge[f"{view}_c2s_bytes"] - side[sent]), side[sent] * share)
            self.assertLessEqual(abs(edge[f"{view}_s2c_bytes"] - side[received]), side[received] * share)
        for hop in health["chain"][1:]:
            self.assertTrue(hop["adds_up"], hop)

    def test_burst_steered_to_one_cpu(self):
        self.steer("1")
        self.accounted(0.01)

    def test_burst_steered_to_all_cpus(self):
        self.steer(ALL_CPUS)
        self.accounted(0.01)
