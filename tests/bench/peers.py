# SPDX-License-Identifier: Apache-2.0
"""Collectors of others, each as its own manual would have it for many flows; how many events each has really processed."""

import csv
import glob
import os
import re
import signal
import subprocess
import urllib.request

from lane import PORT, RCVBUF, Collector
from measure import paths, wait

REFRESH_S = 10  # as often as our intervals end
HTTP_PORT = 18080


def bring():
    """The folder they are in; installs what is missing."""
    done = subprocess.run([os.path.join(paths.ROOT, "tests", "peers.sh"), "sfcapd", "sfacctd", "goflow2"],
                          stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit("bench: a collector to compare with is missing; what was said is above")
    return done.stdout.strip()


class Peer(Collector):
    def __init__(self, lane, folder):
        super().__init__(lane)
        self.program = os.path.join(folder, self.name)

    def trial(self, seconds, *words):
        """(what the generator says, events processed, CPU seconds), from when the collector is ready to its end."""
        with self:
            self.ready()
            begin = self.cpu()
            sent = self.lane.gen("--for", f"{seconds}s", *words)
            self.drained()
            self.idle()
            processed, cpu = self.finish()
            return sent, processed, cpu - begin

    def ready(self):
        self.idle()

    def finish(self):
        """(events processed, CPU seconds) when all that came is worked off. Most say it only at their end, which costs too."""
        self.stop()
        return self.processed(), self.cpu()


class Sfcapd(Peer):
    """nfdump's, from Debian: 5-tuple, bytes and packets of each sample into a file. It names its sampled_ipv4 0.0.0.0."""

    name = "sfcapd"
    first_rate = 800000

    def words(self):
        return [self.program, "-b", "127.0.0.1", "-p", str(PORT), "-B", str(RCVBUF), "-w", self.folder, "-t", "3600"]

    def processed(self):
        with open(self.file("log"), encoding="utf-8", errors="replace") as log:
            said = re.findall(r"Flows: (\d+)", log.read())
        if said:
            return sum(map(int, said))
        done = subprocess.run([self.program.replace("sfcapd", "nfdump"), "-I", "-R", self.folder], capture_output=True,
                              text=True, check=True)
        return sum(map(int, re.findall(r"^Flows: (\d+)", done.stdout, re.M)))


class Sfacctd(Peer):
    """pmacct's, from Debian: events of a 5-tuple added up, printed every 10 s."""

    name = "sfacctd"
    first_rate = 400000
    stop_signal = signal.SIGINT

    def words(self):
        conf = {
            "daemonize": "false", "sfacctd_ip": "127.0.0.1", "sfacctd_port": PORT, "sfacctd_pipe_size": RCVBUF,
            "plugins": "print[all]", "aggregate[all]": "src_host, dst_host, src_port, dst_port, proto",
            "plugin_pipe_size": 64 << 20, "plugin_buffer_size": 64 << 10, "print_cache_entries": 299993,
            "print_refresh_time": REFRESH_S, "print_output": "csv", "print_output_file": self.file("out.csv"),
            "print_output_file_append": "true",
        }
        with open(self.file("conf"), "w", encoding="ascii") as file:
            file.writelines(f"{name}: {value}\n" for name, value in conf.items())
        return [self.program, "-f", self.file("conf")]

    def purges(self):
        with open(self.file("log"), encoding="utf-8", errors="replace") as log:
            return log.read().count("Purging cache - END")

    def printed(self):
        before = self.purges()
        wait.until(lambda: self.purges() > before, 5 * REFRESH_S, "sfacctd prints")
        self.idle()

    def ready(self):
        """What comes before its plugin runs is lost without a word."""
        self.printed()

    def finish(self):
        """So is what the plugin has not read when it is told to stop."""
        self.printed()
        return super().finish()

    def processed(self):
        """A sample of sampling rate 1 is a packet."""
        total = 0
        for path in glob.glob(self.file("out.csv*")):
            with open(path, encoding="ascii", newline="") as file:
                at = None
                for row in csv.reader(file):
                    if "PACKETS" in row:
                        at = row.index("PACKETS")
                    elif at is not None:
                        total += int(row[at])
        return total


class Goflow2(Peer):
    """A protobuf message of each sample, to nowhere."""

    name = "goflow2"
    first_rate = 100000

    def words(self):
        return [self.program, "-listen", f"sflow://127.0.0.1:{PORT}", "-addr", f"127.0.0.1:{HTTP_PORT}", "-format", "bin",
                "-transport", "file", "-transport.file", "/dev/null", "-transport.file.sep", "", "-loglevel", "error"]

    def finish(self):
        cpu = self.cpu()  # to be asked costs
        with self.lane.lab.inside(self.lane.HOST):
            with urllib.request.urlopen(f"http://127.0.0.1:{HTTP_PORT}/metrics", timeout=30) as answer:
                text = answer.read().decode()
        self.stop()
        return int(sum(float(n) for n in re.findall(r"^goflow2_flow_process_sf_samples_total\{.*\} (\S+)$", text, re.M))), cpu


ALL = (Sfcapd, Sfacctd, Goflow2)
