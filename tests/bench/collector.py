# SPDX-License-Identifier: Apache-2.0
"""What the collector takes in with a second of CPU, beside other collectors under the same load. Method: docs/collector.md."""

import os
import statistics
import subprocess

import breakdown
import measure
import peers
from lane import Lane
from measure import paths
from own import Own

PARTS = ("standard", "packed", "sockets", "fold", "agents", "ratio", "lossless")
STANDARD = ("--profile", "standard", "--keys", "100000")  # as many 5-tuples
PACKED = ("--profile", "packed", "--gso", "--flat-out")
SOCKETS = ("--profile", "packed", "--sockets", "10000", "--hosts", "10000", "--keys", "300000", "--flat-out")
LOST = 0.001  # of the events: more is no longer "without loss"
FULL = 0.85   # of a CPU: at its end


class Trial:
    """One load: what was sent, what was processed, what it cost."""

    def __init__(self, sent, processed, cpu):
        self.rate, self.rows, self.cpu = sent["rows_per_s"], processed, cpu
        self.lost = max(0, 1 - processed / sent["rows"])
        self.used = cpu / sent["seconds"]
        self.per_cpu_s = processed / max(cpu, 1e-9)

    def better(self, other):
        """Nothing lost at a higher rate; or less lost."""
        if min(self.lost, other.lost) > LOST:
            return self.lost < other.lost
        return self.lost <= LOST and (other.lost > LOST or self.rate > other.rate)

    def __str__(self):
        return (f"{self.rate:.3g}/s sent, {100 * self.lost:.2f} % lost, {100 * self.used:.0f} % of a CPU, "
                f"{self.per_cpu_s:.4g} a CPU second")


def highest(name, first_rate, trials, run):
    """Of several rates the highest trial without loss."""
    best, rate = None, first_rate
    for _ in range(trials):
        trial = run(rate)
        measure.note(f"{name}: {trial}")
        best = trial if best is None or trial.better(best) else best
        if trial.lost > LOST:
            rate *= 0.7
        elif trial.used > FULL or trial.rate < 0.9 * rate:  # it is at its end, or the generator is
            break
        else:
            rate *= min(3, 0.92 / trial.used)
    return best


class Bench:
    def __init__(self, lane, quick):
        self.lane, self.quick = lane, quick
        self.interval = 5 if quick else 10
        self.seconds = 4 if quick else 10
        self.rounds = 1 if quick else 3
        self.trials = 2 if quick else 4
        self.rates = {}

    def own(self, rows, *more):
        """rows: three times the keys, since a table holds rows of two intervals and may grow."""
        return Own(self.lane, self.interval, rows, *more)

    # --- standard records, beside others

    def best(self, name, first_rate, run):
        """The first round looks for the rate, the others begin with it."""
        known = self.rates.get(name)
        trial = highest(name, known or first_rate, 1 if known else self.trials, run)
        self.rates[name] = trial.rate
        return trial.per_cpu_s

    def standard_own(self):
        with self.own(1000000) as collector:
            collector.warm(*STANDARD, "--rate", "200000")

            def run(rate):
                sent, cost = collector.load(self.seconds, *STANDARD, "--rate", str(int(rate)))
                return Trial(sent, cost["rows"], cost["cpu"])
            return self.best("skyfall", 1000000, run)

    def standard_peer(self, peer, folder):
        def run(rate):
            return Trial(*peer(self.lane, folder).trial(self.seconds, *STANDARD, "--rate", str(int(rate))))
        return self.best(peer.name, peer.first_rate, run)

    def standard(self):
        """All in turns; ratios of the same round."""
        folder = peers.bring()
        own, others = [], {peer.name: [] for peer in peers.ALL}
        for _ in range(self.rounds):
            own.append(self.standard_own())
            for peer in peers.ALL:
                others[peer.name].append(self.standard_peer(peer, folder))
        measure.put("standard_events_per_cpu_s", statistics.median(own), "events/s", 0)
        for name, values in others.items():
            measure.put(f"{name}_events_per_cpu_s", statistics.median(values), "events/s", 0)
            measure.put(f"ratio_{name}", statistics.median(a / b for a, b in zip(own, values)), "ratio", 2)

    # --- our own records

    def loads(self, name, collector, words):
        """Several loads; (rows a CPU second of the receive thread, of all threads), the middle of each."""
        receive, whole = [], []
        for _ in range(self.rounds):
            sent, cost = collector.load(2 * self.interval, *words)
            trial = Trial(sent, cost["rows"], cost["receive"])
            measure.note(f"{name}: {trial}, {cost['rows'] / cost['datagrams']:.1f} rows a datagram; of the receive thread alone; "
                         f"generator {sent['rows_per_cpu_s']:.3g} rows a CPU second")
            receive.append(trial.per_cpu_s)
            whole.append(cost["rows"] / cost["cpu"])
        return statistics.median(receive), statistics.median(whole)

    def packed(self):
        for keys, name in ((1000000, "1m"), (100000, "100k")):
            words = (*PACKED, "--keys", str(keys))
            with self.own(keys * 3) as collector:
                collector.warm(*words)
                receive, whole = self.loads(f"packed {name}", collector, words)
                measure.put(f"packed_rows_per_cpu_s_{name}", receive, "rows/s", 0)
                measure.put(f"packed_rows_per_cpu_s_{name}_all_threads", whole, "rows/s", 0)
                breakdown.run(collector, name, words)
                if name == "1m":
                    measure.put("swap_stall_us", collector.metrics()["swap_stall_max_us"], "us", 0)

    def sockets(self):
        with self.own(1000000, "--agents", "40000") as collector:
            collector.warm(*SOCKETS)
            receive, whole = self.loads("no GSO, 10,000 sockets", collector, SOCKETS)
            breakdown.run(collector, "nogso", SOCKETS)
        measure.put("packed_nogso_rows_per_cpu_s", receive, "rows/s", 0)
        measure.put("packed_nogso_rows_per_cpu_s_all_threads", whole, "rows/s", 0)

    def fold(self):
        """In memory, without sockets: bench_fold."""
        done = subprocess.run(["taskset", "-c", self.lane.collector_cpus, os.path.join(paths.BUILD, "tests/bench/bench_fold")],
                              stdout=subprocess.PIPE, text=True, check=True)
        print(done.stdout, end="", flush=True)
        said = dict(line.split("=", 1) for line in done.stdout.splitlines())
        measure.put("bytes_per_key", float(said["fold_bytes_per_key_1000000"].split()[0]), "bytes", 0)

    def agents(self):
        """Memory after 100,000 agents have spoken, less that after 1,000 have: most without rows, so names do not count."""
        memory = {}
        for hosts in (1000, 100000):
            with self.own(400000, "--agents", "131072") as collector:
                sent = collector.gen("--hosts", str(hosts), "--keys", "2000", "--intervals", "1", "--spread",
                                     f"{self.interval - 1}s")
                collector.settle()
                memory[hosts] = collector.memory()
                measure.note(f"{hosts} agents: {memory[hosts]:.0f} MiB, {collector.metrics()['datagrams_total']} datagrams of "
                             f"{sent['datagrams'] + sent['other_datagrams']} came")
        measure.put("agents_state_mib_100k", memory[100000] - memory[1000], "MiB", 0)

    # --- what folding saves

    def fold_ratio(self, *words):
        """(events, messages, different 5-tuples) of one interval, sent as it would be."""
        with self.own(500000) as collector:
            sent = collector.gen("--keys", "200000", "--intervals", "1", "--spread", f"{self.interval - 1}s", *words)
            collector.settle()
            now = collector.metrics()
        if now["rows_total"] != sent["rows"]:
            measure.note(f"fold ratio: {sent['rows'] - now['rows_total']} of {sent['rows']} rows were lost")
        return now["rows_total"], now["messages_total"], sent["tuples"]

    def ratio(self):
        rows, messages, tuples = self.fold_ratio("--events")
        measure.put("fold_ratio_published_mix", rows / messages, "events/message", 2)
        measure.put("tuple5_over_tuple4", tuples / messages, "ratio", 2)
        rows, messages, *_ = self.fold_ratio()
        measure.put("fold_ratio_agent_rows", rows / messages, "rows/message", 2)
        rows, messages, *_ = self.fold_ratio("--events", "--profile", "standard")
        measure.put("fold_ratio_sampled", rows / messages, "samples/message", 2)

    # --- without loss

    def lossless(self):
        """As fast as can be, else slower until nothing at all is lost."""
        seconds, words = 10 if self.quick else 60, ("--profile", "packed", "--gso", "--keys", "100000")
        with self.own(400000) as collector:
            collector.warm(*words, "--rate", "1000000")
            sent, cost = collector.load(self.interval, *words, "--flat-out")
            pace, rate = ("--flat-out",), cost["rows"] / sent["seconds"]
            for _ in range(6):
                if cost["rows"] == sent["rows"]:
                    sent, cost = collector.load(seconds, *words, *pace)
                    measure.note(f"{seconds} s, {' '.join(pace)}: {sent['rows'] - cost['rows']} of {sent['rows']} rows lost")
                    if cost["rows"] == sent["rows"]:
                        break
                rate *= 0.85
                pace = ("--rate", str(int(rate)))
                sent, cost = collector.load(self.interval, *words, *pace)
        measure.put("lossless_rows_per_s", sent["rows"] / sent["seconds"], "rows/s", 0)
        measure.put("lossless_seconds", sent["seconds"], "s", 0)
        measure.put("lossless_lost_rows", sent["rows"] - cost["rows"], "rows", 0)


def main():
    parser = measure.parser(__doc__)
    parser.add_argument("--only", metavar="PART", nargs="+", choices=PARTS, default=PARTS, help=f"of {' '.join(PARTS)}")
    args = parser.parse_args()
    with measure.Lab() as lab:
        bench = Bench(Lane(lab), args.quick)
        for part in PARTS:
            if part in args.only:
                getattr(bench, part)()


if __name__ == "__main__":
    main()
