# SPDX-License-Identifier: Apache-2.0
"""A 5.10 without BTF: built from Debian's linux-source-5.10 without DEBUG_INFO_BTF, kept in the cache by its version.

Small: what the cases need is in the kernel, nothing is a module, and nothing has debug information, which would double the
time. Its types, for the mode that has them in a file, are those of the same tree in the same configuration: one object,
once more with debug information, of which pahole makes BTF. The file of another build of 5.10 would not do."""

import ctypes
import glob
import mmap
import os
import re
import shutil
import subprocess
import tarfile
import time

from .kernels import Apt, NoKernel, cache_folder

LINE = "btfless"
PACKAGE = "linux-source-5.10"
BUILD_SECONDS = 5400
TOOLS = {"flex": "flex", "bison": "bison", "bc": "bc", "pahole": "pahole", "make": "make", "gcc": "gcc"}
HEADERS = "/usr/include/libelf.h"
LOCAL = "-nobtf"  # of the release's name

ON = """64BIT SMP X86_64 X86_MPPARSE PRINTK BLK_DEV_INITRD BINFMT_ELF BINFMT_SCRIPT TTY SERIAL_8250 SERIAL_8250_CONSOLE MULTIUSER
PROC_FS PROC_SYSCTL SYSFS TMPFS DEVTMPFS FUTEX EPOLL SIGNALFD TIMERFD EVENTFD SHMEM AIO IO_URING POSIX_TIMERS ADVISE_SYSCALLS
MEMBARRIER FILE_LOCKING HIGH_RES_TIMERS NO_HZ_IDLE HZ_250 SYSVIPC INOTIFY_USER SLUB
PCI PCI_MSI VIRTIO_MENU VIRTIO_PCI NETDEVICES NET_CORE VIRTIO_NET VETH TUN
NET UNIX INET IPV6 PACKET INET_DIAG INET_TCP_DIAG INET_UDP_DIAG INET_DIAG_DESTROY
SYN_COOKIES IP_ADVANCED_ROUTER IP_MULTIPLE_TABLES RPS XPS NET_SCHED NET_SCH_NETEM NET_SCH_FIFO
CGROUPS CGROUP_BPF CGROUP_PIDS SOCK_CGROUP_DATA NAMESPACES NET_NS PID_NS UTS_NS USER_NS IPC_NS
PERF_EVENTS BPF BPF_SYSCALL BPF_JIT BPF_JIT_ALWAYS_ON FTRACE TRACING KPROBES KPROBE_EVENTS BPF_EVENTS
KALLSYMS SECCOMP SECCOMP_FILTER KERNEL_GZIP
MODULES""".split()  # BPF_JIT and KPROBES want MODULES; none is built. The rest is what programs, agent and machine ask for.
OFF = """DEBUG_INFO DEBUG_INFO_BTF SLOB MPTCP ACPI VT INPUT SERIO HID WIRELESS WLAN ETHERNET HYPERVISOR_GUEST CPU_FREQ CPU_IDLE
THERMAL LEGACY_PTYS UNIX98_PTYS KERNEL_XZ RD_GZIP RD_BZIP2 RD_LZMA RD_XZ RD_LZO RD_LZ4 RD_ZSTD DEBUG_FS SCHED_DEBUG
SERIAL_8250_EXAR SERIAL_8250_LPSS SERIAL_8250_MID IPV6_SIT POWER_SUPPLY CRYPTO_HW NETWORK_FILESYSTEMS FUNCTION_TRACER
FTRACE_SYSCALLS PERF_EVENTS_INTEL_UNCORE PERF_EVENTS_INTEL_RAPL PERF_EVENTS_INTEL_CSTATE PROFILING EFI STACKPROTECTOR""".split()
# Its types: of an object compiled as the kernel is, but with debug information, of every header that the agent's programs
# have a struct from.
TYPES = "net/ipv4/tcp.o"
HEADERS_OF_TYPES = ("linux/bpf", "linux/cgroup", "linux/file", "linux/filter", "linux/fs", "linux/kernfs", "linux/net",
                    "linux/nsproxy", "linux/pid_namespace", "linux/sched/signal", "linux/seq_file", "linux/skbuff",
                    "net/inet_sock", "net/net_namespace", "net/sock", "net/tcp")
TYPES_FLAGS = " ".join(("-g -gdwarf-4 -fno-eliminate-unused-debug-types",
                        *(f"-include {header}.h" for header in HEADERS_OF_TYPES)))


class Btfless:
    """Like a kernel of kernels.py. types: bytes of its BTF, which the kernel itself does not have."""

    line, modules, files = LINE, [], {}

    def __init__(self, folder):
        with open(os.path.join(folder, "release"), encoding="ascii") as file:
            self.release = file.read().strip()
        for name in ("image", "types"):
            with open(os.path.join(folder, name), "rb") as file:
                setattr(self, name, file.read())
        # It has nothing to measure its clock by but ticks, and in a translated machine these are late: it would give the clock
        # up, and round trips are shorter than the tick of what it takes instead.
        self.cmdline = f"tsc=reliable tsc_early_khz={tsc_khz()}"

    def source(self, folder):
        """A file there with its types."""
        path = os.path.join(folder, "types.btf")
        with open(path, "wb") as file:
            file.write(self.types)
        return path


def tsc_khz():
    """The rate of this processor's counter, which is that of a translated machine's."""
    with mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC) as page:
        page.write(b"\x0f\x31\x48\xc1\xe2\x20\x48\x09\xd0\xc3")  # rdtsc; shl rdx, 32; or rax, rdx; ret
        at = ctypes.c_char.from_buffer(page)
        read = ctypes.CFUNCTYPE(ctypes.c_uint64)(ctypes.addressof(at))
        began = read(), time.monotonic()
        while time.monotonic() < began[1] + 0.1:
            pass
        ended = read(), time.monotonic()
        del at, read
    return round((ended[0] - began[0]) / (ended[1] - began[1]) / 1000)


def get(say):
    """The kernel, built if the cache has none of this version. say(text): what goes on; it takes a while."""
    lacking = [package for tool, package in TOOLS.items() if not shutil.which(tool)]
    lacking += [] if os.path.exists(HEADERS) else ["libelf-dev"]
    if lacking:
        raise NoKernel(f"to build a kernel it needs {' '.join(lacking)}: tests/deps.sh kernel")
    apt = Apt(os.path.join(cache_folder(), "apt"))
    apt.run("apt-get", "-qq", "update")
    version = re.search(r"^Version: (\S+)$", apt.run("apt-cache", "show", PACKAGE), re.M)[1]
    folder = os.path.join(cache_folder(), f"btfless-{version}")
    if not os.path.exists(os.path.join(folder, "release")):
        build(apt, version, folder, say)
    return Btfless(folder)


def build(apt, version, folder, say):
    work = f"{folder}.build"
    tree = os.path.join(work, PACKAGE)
    os.makedirs(work, exist_ok=True)
    if not os.path.exists(os.path.join(tree, "Makefile")):
        say(f"{PACKAGE} {version} is fetched and unpacked")
        unpack(apt, work)
    configure(tree)
    say(f"{tree} is built; {os.path.join(work, 'log')} tells how far it is")
    make(tree, work, "-j", str(os.cpu_count()), "bzImage")
    types = os.path.join(work, "types")
    shutil.copy(os.path.join(tree, "arch/x86/boot/bzImage"), os.path.join(work, "image"))
    make(tree, work, f"KCFLAGS={TYPES_FLAGS}", TYPES)
    run(["pahole", f"--btf_encode_detached={types}", os.path.join(tree, TYPES)], tree, work)
    os.makedirs(folder, exist_ok=True)
    shutil.copy(types, os.path.join(folder, "types"))
    shutil.copy(os.path.join(work, "image"), os.path.join(folder, "image"))
    release = run(["make", "-s", "kernelrelease"], tree, work, told=True)
    with open(os.path.join(folder, "release"), "w", encoding="ascii") as file:  # the last: what is here is whole
        file.write(release)
    shutil.rmtree(work)


def unpack(apt, work):
    package = os.path.join(work, "source.deb")
    apt.download(PACKAGE, package)
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE) as deb:
        with tarfile.open(fileobj=deb.stdout, mode="r|") as outer:
            for member in outer:
                if member.name.endswith(".tar.xz"):
                    with tarfile.open(fileobj=outer.extractfile(member), mode="r|xz") as inner:
                        inner.extractall(work)
    os.unlink(package)
    if not glob.glob(os.path.join(work, PACKAGE, "Makefile")):
        raise NoKernel(f"{PACKAGE}: no tree of that name in it")


def configure(tree):
    make(tree, os.path.dirname(tree), "tinyconfig")
    words = [word for name in ON for word in ("-e", name)] + [word for name in OFF for word in ("-d", name)]
    run(["scripts/config", *words, "--set-str", "LOCALVERSION", LOCAL, "--set-val", "NR_CPUS", "4"], tree,
        os.path.dirname(tree))
    make(tree, os.path.dirname(tree), "olddefconfig")
    with open(os.path.join(tree, ".config"), encoding="utf-8") as file:
        config = file.read()
    lost = [name for name in ON if f"CONFIG_{name}=y" not in config]
    if lost or "CONFIG_DEBUG_INFO" in config.replace("# CONFIG_DEBUG_INFO is not set", ""):
        raise NoKernel(f"this configuration cannot be: without {' '.join(lost) or 'BTF'}")


def make(tree, work, *words):
    return run(["make", *words], tree, work)


def run(words, tree, work, told=False):
    """Its output goes to the log, or is told."""
    with open(os.path.join(work, "log"), "a", encoding="utf-8") as log:
        try:
            done = subprocess.run(words, cwd=tree, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE if told else log, stderr=log,
                                  text=True, timeout=BUILD_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            raise NoKernel(f"{words[0]} {words[-1]}: not done in {BUILD_SECONDS} s") from None
    if done.returncode:
        raise NoKernel(f"{words[0]} {words[-1]}: exit {done.returncode}, see {os.path.join(work, 'log')}")
    return done.stdout
