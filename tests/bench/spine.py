# SPDX-License-Identifier: Apache-2.0
"""How soon a change is in the API, under `skyfall run` with intervals of 1 s. Method: docs/performance.md."""

import statistics
import time

import measure
from measure import work


class Bench:
    def __init__(self, lab, stack):
        self.lab, self.stack = lab, stack
        self.server = work.serve(lab, "b", "bench-server", "10.77.0.2", 7001)

    def latency(self, number, rounds):
        """Seconds from the end of a connection to the first answer of the API that shows it. Phases of the interval
        are spread evenly over the rounds."""
        service, client = f"bench-{number}", work.client(self.lab, "a", f"bench-{number}")
        phase = number / rounds
        measure.wait.until(lambda: 0 <= time.time() % 1 - phase < 0.06, 5, "the phase")
        begin = time.time()
        for command in ("connect 10.77.0.2 7001", "talk 1009 2003", "close"):
            client.do(command)

        def shown():
            edges = self.stack.edges(begin - 1, client=service)
            return len(edges) == 1 and edges[0].get("client_closed") == edges[0].get("server_closed") == 1

        measure.wait.until(shown, 20, "the connection is in the API")
        took = time.time() - begin
        client.stop()
        return took


def main():
    args = measure.arguments(__doc__)
    rounds = 8 if args.quick else 40
    with measure.Lab() as lab:
        stack = measure.Stack(lab)
        try:
            stack.start()
            bench = Bench(lab, stack)
            seconds = sorted(bench.latency(number, rounds) for number in range(rounds))
            measure.note(" ".join(f"{s:.2f}" for s in seconds))
            measure.put("api_latency_s", seconds[-1], "s", 2)
            measure.put("api_latency_median_s", statistics.median(seconds), "s", 2)
            measure.put("run_rss_mib", measure.rss_mib(stack.server.process.pid), "MiB", 1)
        finally:
            stack.close()


main()
