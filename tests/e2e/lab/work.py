# SPDX-License-Identifier: Apache-2.0
"""Workload programs (workload.h): start, command, and what they say they did."""

import json
import os
import select
import subprocess

from . import paths

# enum work_how
ANSWER, AFTER_EOF, UNREAD, RESET, HOLD, CLOSE = range(6)

START_SECONDS = 10


class Work:
    """One workload process on a host, named by its service. `tally` is what it last said."""

    def __init__(self, lab, host, service, words, cgroup=None):
        env = dict(os.environ)
        env.pop("SKYFALL_SERVICE", None)
        if service:
            env["SKYFALL_SERVICE"] = service
        words = [paths.WORKLOAD, *map(str, words)]
        if cgroup:  # the child enters the cgroup before it is the workload
            words = ["sh", "-c", f'echo $$ > {cgroup}/cgroup.procs && exec "$@"', "sh", *words]
        self.what = f"{service} on {host}"
        self.process = lab.popen(host, words, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.tally = {}
        self.pending = b""

    @property
    def pid(self):
        return self.process.pid

    def read(self, seconds):
        """The next line it says."""
        while b"\n" not in self.pending:
            ready, _, _ = select.select([self.process.stdout], [], [], seconds)
            data = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            if not data:
                raise AssertionError(f"{self.what}: " + ("ended" if ready else f"said nothing in {seconds} s"))
            self.pending += data
        line, self.pending = self.pending.split(b"\n", 1)
        self.tally = json.loads(line)
        return self.tally

    def send(self, command):
        self.process.stdin.write(command.encode() + b"\n")
        self.process.stdin.flush()

    def do(self, command, seconds=60):
        """Runs a command, waits for its end, returns the tally."""
        self.send(command)
        return self.read(seconds)

    def errors(self, name):
        return self.tally["errors"].get(name, 0)

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


def serve(lab, host, service, address, port, *options, cgroup=None):
    work = Work(lab, host, service, ["serve", address, port, *options], cgroup)
    work.read(START_SECONDS)
    return work


def handle(lab, host, service, path):
    work = Work(lab, host, service, ["handle", path])
    work.read(START_SECONDS)
    return work


def client(lab, host, service, cgroup=None):
    return Work(lab, host, service, ["client"], cgroup)
