# SPDX-License-Identifier: Apache-2.0
"""Where collectors run side by side: one namespace, the last CPU for them and the others for skyfall-gen, one size of socket
buffer for all, and a control group each, whose CPU time is that of all processes a collector consists of."""

import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import measure
from measure import paths, wait

PORT = 6343
RCVBUF = 8 << 20  # asked for; the kernel grants twice that, for its own book-keeping too
SYSCALL_PIDFD_GETFD = 438
SO_RCVBUFFORCE = 33
START_SECONDS = 30
STOP_SECONDS = 60
IDLE_SECONDS, IDLE_SHARE = 1.0, 0.01  # less CPU than that, so long: nothing waits inside it


def group_root():
    """Where control groups of version 2 are mounted."""
    with open("/proc/mounts", encoding="ascii") as file:
        for line in file:
            words = line.split()
            if words[2] == "cgroup2":
                return words[1]
    raise SystemExit("bench: no control groups (version 2) are mounted: mount -t cgroup2 none /sys/fs/cgroup")


def sockets(pid, port):
    """Our own descriptors of a process's UDP sockets on a port."""
    found = []
    handle = os.pidfd_open(pid)
    for number in os.listdir(f"/proc/{pid}/fd"):
        fd = ctypes.CDLL(None).syscall(SYSCALL_PIDFD_GETFD, handle, int(number), 0)
        if fd < 0 or not os.readlink(f"/proc/self/fd/{fd}").startswith("socket:"):
            if fd >= 0:
                os.close(fd)
            continue
        one = socket.socket(fileno=fd)
        if one.type == socket.SOCK_DGRAM and one.family != socket.AF_UNIX and one.getsockname()[1] == port:
            found.append(one)
        else:
            one.close()
    os.close(handle)
    return found


class Lane:
    """Namespace, CPUs, generator."""

    HOST = "b"

    def __init__(self, lab):
        self.lab = lab
        cpus = sorted(os.sched_getaffinity(0))
        self.collector_cpus = str(cpus[-1])
        self.gen_cpus = ",".join(map(str, cpus[:-1] or cpus))
        self.gen_threads = max(1, min(4, len(cpus) - 1))

    def gen(self, *words, seconds=120):
        """Runs skyfall-gen; what it says in the end."""
        done = self.lab.run(self.HOST, ["taskset", "-c", self.gen_cpus, paths.GEN, "--collector", f"127.0.0.1:{PORT}", "--json",
                                        "--quiet", *words], timeout=seconds)
        if done.returncode:
            raise AssertionError(f"skyfall-gen {' '.join(words)}: exit {done.returncode}: {done.stderr}")
        return json.loads(done.stdout)


class Collector:
    """One that is measured. The folder is in memory: no disk is measured."""

    name = words = None
    stop_signal = signal.SIGTERM

    def __init__(self, lane):
        self.lane = lane
        self.process = None

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="skyfall-bench-", dir="/dev/shm")
        self.group = os.path.join(group_root(), os.path.basename(self.folder))
        os.mkdir(self.group)
        self.start()
        return self

    def __exit__(self, *_):
        if self.process and self.process.poll() is None:
            for pid in self.pids():
                os.kill(pid, signal.SIGKILL)
            self.process.wait()
        wait.until(lambda: not self.pids(), STOP_SECONDS, f"all of {self.name} is gone")
        os.rmdir(self.group)
        shutil.rmtree(self.folder, ignore_errors=True)

    def file(self, name):
        return os.path.join(self.folder, name)

    def start(self):
        with open(self.file("log"), "wb") as log, open(self.file("said"), "wb") as said:
            self.process = self.lane.lab.popen(self.lane.HOST, [
                "sh", "-c", f'echo $$ > {self.group}/cgroup.procs && exec "$@"', "sh", "taskset", "-c",
                self.lane.collector_cpus, *self.words()], stdin=subprocess.DEVNULL, stdout=said, stderr=log, cwd=self.folder)
        wait.until(self.listens, START_SECONDS, lambda: f"{self.name} listens:\n{self.log()}")

    def log(self):
        with open(self.file("log"), encoding="utf-8", errors="replace") as file:
            return "".join(file.readlines()[-15:])

    def listens(self):
        """True once its sockets are there; they get the same buffer, whatever it asked for and was given."""
        if self.process.poll() is not None:
            raise AssertionError(f"{self.name} ended:\n{self.log()}")
        found = [one for pid in self.pids() for one in sockets(pid, PORT)]
        for one in found:
            with one:
                one.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RCVBUF)
        return bool(found)

    def pids(self):
        with open(os.path.join(self.group, "cgroup.procs"), encoding="ascii") as file:
            return [int(line) for line in file]

    def cpu(self):
        """CPU seconds of all its processes, those that are gone too."""
        with open(os.path.join(self.group, "cpu.stat"), encoding="ascii") as file:
            return int(file.readline().split()[1]) / 1e6

    def memory(self):
        """MiB at most."""
        return sum(measure.rss_mib(pid) for pid in self.pids())

    def stop(self):
        self.process.send_signal(self.stop_signal)
        self.process.wait(STOP_SECONDS)
        wait.until(lambda: not self.pids(), STOP_SECONDS, f"all of {self.name} is gone")

    def drained(self):
        """Until nothing is in its socket any more."""
        def empty():
            done = self.lane.lab.run(self.lane.HOST, ["ss", "-lunH", f"sport = :{PORT}"])
            return all(line.split()[1] == "0" for line in done.stdout.splitlines())
        wait.until(empty, STOP_SECONDS, f"{self.name} has read its socket")

    def idle(self):
        """Until none of its processes does anything: what it has read is worked off."""
        last = [self.cpu(), time.monotonic()]

        def still():
            now = [self.cpu(), time.monotonic()]
            if now[1] - last[1] < IDLE_SECONDS:
                return False
            share, last[:] = (now[0] - last[0]) / (now[1] - last[1]), now
            return share < IDLE_SHARE
        wait.until(still, STOP_SECONDS, f"{self.name} has worked off what it read")
