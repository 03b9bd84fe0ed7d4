# SPDX-License-Identifier: Apache-2.0
"""A guest script on this machine's own kernel: namespaces, mounts and programs of its own, nothing is left behind."""

import os
import platform
import shutil
import signal
import subprocess
import tempfile

from . import machine

# Names of network namespaces are files of a folder that only its mount namespace sees.
ENTER = 'mkdir -p /run/netns && mount -t tmpfs tmpfs /run/netns && exec "$@"'


class Here:
    """Like a kernel of kernels.py."""

    line, release = "here", platform.release()

    def source(self, folder):
        """A file with its types."""
        return "/sys/kernel/btf/vmlinux"


def run(busybox, programs, scripts, types, words, seconds):
    """What the script said: [(word, value)]. programs: {name: path}. types(kernel, folder): makes the small file
    of the kernel's types there."""
    with tempfile.TemporaryDirectory(prefix="skyfall-here-") as folder:
        os.mkdir(os.path.join(folder, "bin"))
        for name, path in programs.items():
            os.symlink(path, os.path.join(folder, "bin", name))
        os.mkdir(os.path.join(folder, "btf"))
        types(Here(), os.path.join(folder, "btf"))
        shutil.copytree(scripts, os.path.join(folder, "guest"))
        log, said = os.path.join(folder, "log"), os.path.join(folder, "said")
        with open(log, "wb") as out, subprocess.Popen(
                ["unshare", "--mount", "--propagation", "private", "sh", "-c", ENTER, "sh", busybox, "sh",
                 os.path.join(folder, "guest", "run"), words],
                env={**os.environ, "GUEST": folder}, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                start_new_session=True) as process:
            machine.running.add(process, lambda: end(process.pid))
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                raise machine.Failed(f"not done in {seconds} s\n{machine.tail(log)}") from None
            finally:
                machine.running.remove(process)
                end(process.pid)
        return machine.words_of(said, log) if os.path.exists(said) else machine.words_of(log, log)


def end(group):
    """All it started is gone with it."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        pass
