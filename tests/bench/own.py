# SPDX-License-Identifier: Apache-2.0
"""`skyfall collector` as it is measured: one receive thread, messages counted and let go, tables warm."""

import glob
import json
import re
import signal

import measure
from lane import PORT, RCVBUF, Collector
from measure import paths, wait

SETTLE_SECONDS = 90


class Own(Collector):
    name = "skyfall"
    stop_signal = signal.SIGINT

    def __init__(self, lane, interval, rows, *more, threads=1):
        super().__init__(lane)
        self.interval, self.rows, self.more, self.threads = interval, rows, more, threads

    def words(self):
        return [paths.SKYFALL, "collector", "--sflow", f"127.0.0.1:{PORT}", "--out", "none", "--threads", str(self.threads),
                "--rows", str(self.rows), "--interval", f"{self.interval}s", "--rcvbuf", str(RCVBUF), "--json", "--quiet",
                "--metrics", self.file("metrics"), *self.more]

    def metrics(self):
        """Its counters, at most a second old."""
        try:
            with open(self.file("metrics"), encoding="ascii") as file:
                return {name: int(value) for name, value in re.findall(r"^skyfall_collector_(\S+) (\d+)$", file.read(), re.M)}
        except FileNotFoundError:
            return {}

    def thread_cpu(self, name):
        """CPU seconds of its threads of that name."""
        total = 0
        for path in glob.glob(f"/proc/{self.process.pid}/task/*/comm"):
            with open(path, encoding="ascii") as file:
                if file.read().strip() == name:
                    with open(path.replace("comm", "schedstat"), encoding="ascii") as stat:
                        total += int(stat.read().split()[0])
        return total / 1e9

    def settle(self):
        """Until all that came is read and what can be published is: two looks at counters that stand still, and a bus that
        has every row."""
        last = [None, 0.0]

        def still():
            now = self.metrics()
            seen = (now.get("rows_total"), now.get("messages_total"))
            same = seen == last[0] and seen[0] is not None
            whole = same and seen[0] == now["rows_out_total"] + now["rows_lost_total"]
            last[1] = last[1] + 1 if whole else 0
            last[0] = seen
            return last[1] * wait.STEP > 2.2
        self.drained()
        wait.until(still, SETTLE_SECONDS, lambda: f"all rows are published: {self.metrics()}")

    def mark(self):
        """rows: what was folded; shed ones are lost."""
        now = self.metrics()
        return {"cpu": self.cpu(), "receive": self.thread_cpu("receive"), "publish": self.thread_cpu("publish"),
                "rows": now.get("rows_total", 0) - now.get("rows_lost_total", 0), "messages": now.get("messages_total", 0),
                "datagrams": now.get("datagrams_total", 0)}

    def gen(self, *words):
        return self.lane.gen("--interval", f"{self.interval}s", *words)

    def load(self, seconds, *words):
        """(what the generator says, difference of two marks): what so many seconds of load cost, until all is published."""
        before = self.mark()
        sent = self.gen("--for", f"{seconds}s", *words)
        self.settle()
        after = self.mark()
        return sent, {name: after[name] - before[name] for name in before}

    def warm(self, *words):
        """Both panes of its tables have been filled and emptied once."""
        self.load(self.interval + self.interval // 2, *words)
        measure.note(f"{self.name}: warm, {self.memory():.0f} MiB")

    def totals(self):
        """What it says at its end."""
        with open(self.file("said"), encoding="ascii") as file:
            return json.loads(file.read().splitlines()[-1])
