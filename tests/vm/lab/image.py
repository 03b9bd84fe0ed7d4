# SPDX-License-Identifier: Apache-2.0
"""The machine's whole file system: a cpio archive (initramfs) with busybox, our programs and what they link."""

import os
import re
import subprocess

S_DIR, S_FILE, S_LINK, S_CHAR = 0o040755, 0o100755, 0o120777, 0o020600


class Image:
    """Files added are in bytes()."""

    def __init__(self):
        self.parts, self.names = [], set()
        self.add("dev/console", b"", S_CHAR, (5, 1))  # init's output, before it mounts anything

    def add(self, name, data, mode=S_FILE, device=(0, 0)):
        """name: without the first slash. Its folders are made; what is there stays."""
        if name in self.names:
            return
        folder = os.path.dirname(name)
        if folder:
            self.add(folder, b"", S_DIR)
        self.names.add(name)
        self._entry(name, data, mode, device)

    def _entry(self, name, data, mode, device=(0, 0)):
        """The format: Documentation/driver-api/early-userspace/buffer-format.rst, 'newc'."""
        path = name.encode() + b"\0"
        fields = (len(self.names), mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(path), 0)
        head = b"070701" + b"".join(b"%08x" % field for field in fields) + path
        for part in (head, data):
            self.parts.append(part + b"\0" * (-len(part) % 4))

    def program(self, path, name=None):
        """A program, and the libraries it says it needs."""
        with open(path, "rb") as file:
            self.add(name or path.lstrip("/"), file.read())
        said = subprocess.run(["ldd", path], capture_output=True, text=True, check=False).stdout
        for library in re.findall(r"(?:=> |^\s+)(/\S+) \(0x", said, re.M):
            with open(library, "rb") as file:
                self.add(library.lstrip("/"), file.read())

    def folder(self, path, name):
        """The files of a folder."""
        for entry in sorted(os.listdir(path)):
            with open(os.path.join(path, entry), "rb") as file:
                self.add(f"{name}/{entry}", file.read())

    def bytes(self):
        self._entry("TRAILER!!!", b"", 0)
        return b"".join(self.parts)
