# SPDX-License-Identifier: Apache-2.0
"""Two address spaces with the same private ranges."""

from lab import case
from lab.wait import middle_of_interval

ADDRESS = "192.168.7.2"
NETS = {"a": ("west", 7, 1000), "b": ("east", 11, 300)}  # host: its net, connections, bytes


class Nets(case.Case):

    def setUp(self):
        super().setUp()
        self.stack.stop_agents()
        self.addCleanup(self.stack.restart_agents)
        for host, (net, _, _) in NETS.items():
            self.lab.ip(host, "address", "add", f"{ADDRESS}/32", "dev", "lo")
            self.addCleanup(self.lab.ip, host, "address", "delete", f"{ADDRESS}/32", "dev", "lo")
            self.stack.start_agent(host, "--net", net, "--host-id", f"id-{net}")
        self.stack.wait_agents(*(net for net, _, _ in NETS.values()))

    def test_the_same_addresses_in_two_nets(self):
        """Clients and servers of the same names, addresses and port, at the same time, in `--net west` and `--net east`: an edge for each,
        whose views are what the programs there did. Nothing of one meets the other, and everything adds up."""
        ends = {host: (self.server(ADDRESS, host=host), self.client(host=host)) for host in NETS}
        middle_of_interval()
        for host, (_, n, size) in NETS.items():
            for command in (self.connect(ADDRESS, f"n={n}"), f"talk {size} {2 * size}", "close"):
                ends[host][1].do(command)
        for host, (net, _, _) in NETS.items():
            edge = self.expect(self.views(*self.tally(*ends[host])), client=self.client_service, net=net)
            self.assertEqual(edge["net"], net)
        self.assertEqual(len(self.stack.edges(self.began, client=self.client_service)), len(NETS))
        self.adds_up()
