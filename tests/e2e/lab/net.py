# SPDX-License-Identifier: Apache-2.0
"""Hosts as network namespaces joined by veth pairs.

    a 10.77.0.1 fd77::1 ----- 10.77.0.2 fd77::2 b       two hosts, an agent each
    a 10.77.3.1 ------------- 10.77.3.3 c               a host without an agent
    a 10.77.1.1 ------------- 10.77.1.254 m             m: collector, API
    b 10.77.2.2 ------------- 10.77.2.254 m

Nothing of it is visible outside the namespaces; all of it goes with them. Names carry the pid of the run, so that
what a killed run left behind is found and removed by the next one.
"""

import atexit
import ctypes
import os
import re
import socket
import subprocess
import threading

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1
SIGKILL = 9

LINKS = (  # host, its addresses, host, its addresses
    ("a", ("10.77.0.1/24", "fd77::1/64"), "b", ("10.77.0.2/24", "fd77::2/64")),
    ("a", ("10.77.3.1/24",), "c", ("10.77.3.3/24",)),
    ("a", ("10.77.1.1/24",), "m", ("10.77.1.254/24",)),
    ("b", ("10.77.2.2/24",), "m", ("10.77.2.254/24",)),
)
SYSCTLS = {
    "net.ipv4.ip_local_port_range": "10000 65000",
    "net.ipv4.tcp_tw_reuse": "1",
    "net.ipv4.tcp_fastopen": "3",
    "net.ipv4.tcp_syn_retries": "2",
    "net.mptcp.enabled": "1",
}


def sh(*words, check=True):
    """Runs a command; its output. An error carries what it said."""
    done = subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(words)}: exit {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def die_with_parent():
    """In a child before exec: goes when the test run goes, however that ends."""
    LIBC.prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)


class Lab:
    """The namespaces. One at a time in a process; a context manager."""

    def __init__(self):
        self.prefix = f"sky{os.getpid()}"
        self.hosts = ("a", "b", "c", "m")
        self.remove_leftovers()
        atexit.register(self.close)
        try:
            self._build()
        except Exception:
            self.close()
            raise

    def _build(self):
        for host in self.hosts:
            sh("ip", "netns", "add", self.name(host))
            self.ip(host, "link", "set", "lo", "up")
        for x, x_addresses, y, y_addresses in LINKS:
            sh("ip", "-n", self.name(x), "link", "add", f"to-{y}", "type", "veth",
               "peer", "name", f"to-{x}", "netns", self.name(y))
            for host, peer, addresses in ((x, y, x_addresses), (y, x, y_addresses)):
                for address in addresses:
                    self.ip(host, "address", "add", address, "dev", f"to-{peer}",
                            *(["nodad"] if ":" in address else []))
                self.ip(host, "link", "set", f"to-{peer}", "up")
        for host in self.hosts:
            for name, value in SYSCTLS.items():
                self.sysctl(host, name, value)
        # A neighbour that nobody is: a SYN to it is never answered.
        self.ip("a", "neigh", "add", "10.77.0.99", "lladdr", "02:00:00:00:00:99", "dev", "to-b", "nud", "permanent")
        self.ip("a", "route", "add", "blackhole", "198.51.100.0/24")

    def name(self, host):
        return f"{self.prefix}-{host}"

    def ip(self, host, *words):
        return sh("ip", "-n", self.name(host), *words)

    def sysctl(self, host, name, value):
        """Sets a sysctl of the host's namespace; returns what it was."""
        path = "/proc/sys/" + name.replace(".", "/")
        with self.inside(host):
            with open(path, encoding="ascii") as file:
                before = file.read().strip()
            with open(path, "w", encoding="ascii") as file:
                file.write(value)
        return before

    def steering(self, host, device, mask):
        """Receive packet steering: which CPUs (hex mask) do the receive work of a device."""
        sh("ip", "netns", "exec", self.name(host), "sh", "-c",
           f"echo {mask} > /sys/class/net/{device}/queues/rx-0/rps_cpus")

    def inside(self, host):
        return Inside(self.name(host))

    def popen(self, host, words, **kwargs):
        """Starts a program on the host."""
        return subprocess.Popen(["nsenter", f"--net=/run/netns/{self.name(host)}", *words],
                                preexec_fn=die_with_parent, **kwargs)

    def run(self, host, words, **kwargs):
        return subprocess.run(["nsenter", f"--net=/run/netns/{self.name(host)}", *words], text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, **kwargs)

    def close(self):
        for host in self.hosts:
            sh("ip", "netns", "delete", self.name(host), check=False)

    @staticmethod
    def remove_leftovers():
        """Namespaces of runs that are no more."""
        for line in sh("ip", "netns", "list").splitlines():
            found = re.match(r"sky(\d+)-[a-z]+\b", line)
            if found and not os.path.exists(f"/proc/{found[1]}"):
                sh("ip", "netns", "delete", line.split()[0], check=False)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Inside:
    """This thread inside a namespace: sockets made meanwhile belong to it. (Python 3.12 has os.setns.)"""

    _one = threading.RLock()

    def __init__(self, name):
        self.path = f"/run/netns/{name}"

    def _enter(self, path):
        fd = os.open(path, os.O_RDONLY)
        try:
            if LIBC.setns(fd, CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), f"setns {path}")
        finally:
            os.close(fd)

    def __enter__(self):
        self._one.acquire()
        self.home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        self._enter(self.path)
        return self

    def __exit__(self, *_):
        LIBC.setns(self.home, CLONE_NEWNET)
        os.close(self.home)
        self._one.release()


def connect_inside(lab, host, address, port, timeout=5):
    with lab.inside(host):
        return socket.create_connection((address, port), timeout=timeout)
