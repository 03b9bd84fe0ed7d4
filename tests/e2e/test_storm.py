# SPDX-License-Identifier: Apache-2.0
"""Twenty thousand short connections in a burst, with receive packet steering off, on one CPU and on all (as network
cards' interrupts do): a program interrupted by itself is passed over by the kernel."""

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
        """recursion_misses of both attachments and all agents, as their health says."""
        return sum(number for host in self.stack.api("hosts")["hosts"] for name, number in host["cost"].items()
                   if name.startswith("recursion_misses"))

    def test_burst_without_a_byte(self):
        self.expect(self.views(*self.storm()))
        self.adds_up()

    def test_burst_with_payload(self):
        self.expect(self.views(*self.storm("up=101", "down=211")))
        self.adds_up()

    def test_burst_steered_to_one_cpu(self):
        self.steer("1")
        self.expect(self.views(*self.storm("up=101", "down=211")))
        self.adds_up()

    def test_burst_steered_to_all_cpus(self):
        """Not every transition reaches a program then (kernels since 6.1). What does not is not lost in silence: the
        kernel's own ActiveOpens and PassiveOpens say how many, and doctor shows just that."""
        self.steer(ALL_CPUS)
        tallies = self.storm("up=101", "down=211")
        health = self.settled()
        edge = self.find(client=self.client_service)
        unseen = 2 * (CONNECTIONS + 1) - edge["client_opened"] - edge["server_opened"]
        kernel = health["chain"][0]
        print(f"# {unseen} of {2 * CONNECTIONS} openings reached no program; {self.misses()} recursion misses; "
              f"doctor: {kernel['missing'] + kernel['lost_total']}")
        self.assertEqual(kernel["hop"], "kernel")
        self.assertEqual(kernel["missing"] + kernel["lost_total"], unseen)
        self.assertLessEqual(unseen, 2 * CONNECTIONS // 200)
        self.assertLessEqual(abs(edge["client_c2s_bytes"] - tallies[0]["sent"]), tallies[0]["sent"] // 200)
        for hop in health["chain"][1:]:
            self.assertTrue(hop["adds_up"], hop)
