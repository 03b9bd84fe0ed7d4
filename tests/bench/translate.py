# SPDX-License-Identifier: Apache-2.0
"""A part of ./bench agent: what reading connection tracking costs. For each new translated conversation, at 5,000 a second,
in the agent and in the kernel, which writes a message about it to the sender's account; and at a start with 100,000 of them."""

import json
import socket
import subprocess
import tempfile
import time

import measure
from lab import nat
from measure import paths, wait

ENTRIES, RATE = 100_000, 5000
TIMEOUT = "net.netfilter.nf_conntrack_udp_timeout"  # of host a's namespace, which goes when we go


def send(lab, begin, count, rate=None):
    """Datagrams from behind host a, each to another address or port: the CPU seconds they took us."""
    with lab.inside("p"):
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    started, cpu = time.monotonic(), time.thread_time()
    for i in range(begin, begin + count):
        sender.sendto(b"", (f"10.96.{1 + i // 50_000}.{1 + i % 250}", 1000 + i % 50_000 // 250))
        if rate and i % 500 == 0:
            due = started + (i - begin) / rate
            wait.until(lambda due=due: time.monotonic() >= due, 5, "the pace")
    sender.close()
    return time.thread_time() - cpu


class Agent:
    """On host a, with nothing to do but this."""

    def __init__(self, lab, nat_option):
        self.out = tempfile.NamedTemporaryFile(prefix="skyfall-bench-")
        self.process = lab.popen("a", [paths.AGENT, "--print", "--json", "--interval", "5s", "--budget", "0", "--udp", "off",
                                       "--nat", nat_option, "--netns", lab.name("a")],
                                 stdout=self.out, stderr=subprocess.DEVNULL)

    def health(self):
        with open(self.out.name, encoding="utf-8") as file:
            lines = [json.loads(line) for line in file if line.endswith("}\n") and '"type":"health"' in line]
        return [line["info"] for line in lines]

    def intervals(self, count):
        """Waits for so many ends."""
        have = len(self.health())
        wait.until(lambda: len(self.health()) >= have + count, 60, "intervals")

    def cpu(self):
        return measure.cpu_seconds(self.process.pid)

    def counted(self, name):
        return sum(info.get(name, 0) for info in self.health())

    def stop(self):
        self.process.terminate()
        self.process.wait(60)
        self.out.close()


def burst(lab, begin, count, nat_option):
    """(the agent's CPU, the senders' CPU) for so many new entries, in seconds."""
    agent = Agent(lab, nat_option)
    agent.intervals(1)
    cpu, started = agent.cpu(), time.monotonic()
    sent = send(lab, begin, count, RATE)
    agent.intervals(2)
    took = agent.cpu() - cpu
    measure.note(f"--nat {nat_option}: {count} entries in {time.monotonic() - started:.1f} s, agent {1000 * took:.1f} ms, sender "
                 f"{1000 * sent:.1f} ms; {agent.counted('nat_entries')} made known, {agent.counted('nat_overflows')} overflows")
    agent.stop()
    return took, sent


def start(lab, nat_option):
    """CPU of an agent up to the end of its first interval."""
    agent = Agent(lab, nat_option)
    agent.intervals(1)
    cpu = agent.cpu()
    measure.note(f"--nat {nat_option}: started with {1000 * cpu:.1f} ms; {agent.counted('nat_entries')} made known, "
                 f"{agent.counted('nat_early')} forgotten early")
    agent.stop()
    return cpu


def run(lab, quick):
    nat.behind(lab, "p", "a", 8)
    lab.ip("a", "route", "add", "10.96.0.0/16", "via", "10.77.0.2")
    done = lab.run("a", ["nft", "table ip nat { chain post { type nat hook postrouting priority 100; "
                         'ip saddr 10.77.8.0/24 oifname "to-b" masquerade; }\n}'])
    if done.returncode:
        raise RuntimeError(done.stderr)
    lab.sysctl("a", TIMEOUT, "600")
    count, sent, costs = ENTRIES // 10 if quick else ENTRIES // 4, 0, {"off": [0, 0], "auto": [0, 0]}
    for option in ("off", "auto", "auto", "off"):
        for i, seconds in enumerate(burst(lab, sent, count, option)):
            costs[option][i] += seconds
        sent += count
    send(lab, sent, ENTRIES - sent)
    events = 2 * count
    for i, name in enumerate(("nat_user_ms_per_1k_events", "nat_kernel_ms_per_1k_events")):
        measure.put(name, 1e6 * (costs["auto"][i] - costs["off"][i]) / events, "ms")
    starts = {option: min(start(lab, option) for _ in range(2)) for option in ("off", "auto")}
    measure.put("nat_start_cpu_ms_100k_entries", 1000 * (starts["auto"] - starts["off"]), "ms", 1)
