# SPDX-License-Identifier: Apache-2.0
"""Connections older than the agent: what they did before is nobody's; what they do after is exact."""

import time

from lab import case
from lab.wait import until


class Before(case.Case):

    def test_open_before_the_agent(self):
        boots = self.stack.boots()
        self.stack.stop_agents()
        self.addCleanup(self.restart)
        server, client = self.server("10.77.0.2"), self.client()
        client.do(self.connect("10.77.0.2", "n=5"))
        client.do("talk 5003 9001")
        before = dict(client.tally)
        self.restart()
        self.stack.wait_agents(other_than=boots.values())
        # From here on. Before it there may be an interval in which only one of the two agents was up already: then
        # nobody could name the other end.
        self.began = time.time()
        client.do("talk 1009 2003")
        client.do("close")
        tally, _ = self.tally(server, client)
        sent, received = tally["sent"] - before["sent"], tally["received"] - before["received"]
        both = {"closed": 5, "c2s_bytes": sent, "s2c_bytes": received}
        edge = self.expect({"client": both, "server": both})
        self.assertEqual((sent, received), (5 * (1009 + 24), 5 * 2003))
        self.assertIn("joined_in_progress", edge["flags"])
        self.adds_up()

    def restart(self):
        for host in ("a", "b"):
            if host not in self.stack.agents:
                self.stack.start_agent(host)
        until(lambda: all(agent.alive() for agent in self.stack.agents.values()), 5, "agents run")
