# SPDX-License-Identifier: Apache-2.0
"""One boot of a kernel in QEMU, translated (no KVM needed). What the guest says comes over its second serial port."""

import json
import os
import subprocess
import tempfile
import threading
import time

# Plain `max` makes 6.12 fault at boot under translation.
CPU = "max,-cx16"
# It ends with who started it, however that ends.
COMMAND = ("setpriv", "--pdeathsig", "KILL", "qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", CPU, "-smp", "2",
           "-m", "512", "-nodefaults", "-display", "none", "-no-reboot", "-no-user-config")
# Two network cards on one wire: what one sends the other receives, by interrupts.
for card in ("0", "1"):
    COMMAND += ("-netdev", f"hubport,id=card{card},hubid=0", "-device", f"virtio-net-pci,netdev=card{card},romfile=")
# A late machine must not take its timer for a broken one.
CMDLINE = "console=ttyS0 quiet panic=-1 no_timer_check rdinit=/init"
CONSOLE_LINES = 30


class Failed(Exception):
    """The machine did not do what it was told; the text holds the end of its console."""


class Crashed(Failed):
    """Its kernel did, under translation beside much other work, about once in a run of the whole tier: 7.2 and 6.12, in
    try_to_wake_up(), in flow_hash_from_keys() below get_rps_cpu(), in bpf_trace_run3()."""


class Running:
    """What runs just now in any thread; after end_all() nothing does, and nothing begins."""

    def __init__(self):
        self.lock, self.ends, self.over = threading.Lock(), {}, False

    def add(self, process, end):
        with self.lock:
            self.ends[process] = end
            if self.over:
                end()

    def remove(self, process):
        with self.lock:
            self.ends.pop(process)

    def end_all(self):
        with self.lock:
            self.over = True
            for end in self.ends.values():
                end()


running = Running()
end_all = running.end_all


def run(kernel, archive, seconds):
    """Boots, waits for the end; what the guest said, [(word, value)], values being JSON, and the seconds of CPU it took."""
    with tempfile.TemporaryDirectory(prefix="skyfall-vm-") as folder:
        def path(name, data=b""):
            with open(os.path.join(folder, name), "wb") as file:
                file.write(data)
            return file.name

        console, said = path("console"), path("said")
        words = [*COMMAND, "-kernel", path("vmlinuz", kernel.image), "-initrd", path("initrd", archive),
                 "-append", f"{CMDLINE} {kernel.cmdline}", "-serial", f"file:{console}", "-serial", f"file:{said}"]
        with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE) as qemu:
            running.add(qemu, qemu.kill)
            try:
                error, cpu = ended(qemu, seconds)
            except subprocess.TimeoutExpired:
                raise Failed(f"not done in {seconds} s\n{tail(console)}") from None
            finally:
                running.remove(qemu)
                qemu.kill()
        if qemu.returncode:
            raise Failed(f"qemu: exit {qemu.returncode}: {error.decode(errors='replace').strip()}")
        return words_of(said, console), cpu


def ended(process, seconds):
    """Its last words on standard error, and the seconds of CPU it took."""
    deadline, cpu = time.monotonic() + seconds, 0
    while True:
        cpu = cpu_of(process.pid) or cpu  # of the dead there is nothing
        try:
            return process.communicate(timeout=1)[1], cpu
        except subprocess.TimeoutExpired:
            if time.monotonic() > deadline:
                raise


def cpu_of(pid):
    """Seconds of CPU of a process so far."""
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def words_of(said, console):
    """What a guest that came to its end said."""
    lines = text(said).splitlines()
    if not lines or lines[-1] != "end 0":
        kind = Crashed if "not syncing: Fatal exception" in text(console) else Failed
        raise kind(f"the guest did not come to its end: {lines[-3:]}\n{tail(console)}")
    return [parse(line) for line in lines]


def parse(line):
    word, _, value = line.partition(" ")
    try:
        return word, json.loads(value)
    except ValueError:
        raise Failed(f"the guest said no JSON: {line[:200]!r}") from None


def text(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read().replace("\r", "")


def tail(path):
    return "\n".join(["the end of its console:", *text(path).splitlines()[-CONSOLE_LINES:]])
