# SPDX-License-Identifier: Apache-2.0
"""Debian's kernels, the newest package of each line, in a cache.

apt fetches and checks them with lists of its own, from the mirror this system's own sources name, so nothing of the
system's package state changes. The cache ($SKYFALL_CACHE, else ~/.cache/skyfall, there vm/) holds the packages as they
came and `newest`, the names found last; after a week they are looked up again, and without a network the former ones serve.
"""

import glob
import json
import lzma
import os
import re
import subprocess
import tarfile
import time

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
MIRROR = "http://deb.debian.org"
LOOK_AGAIN_S = 7 * 86400
FETCH_SECONDS = 300

# Line of kernels -> suites that hold it, the package with the image. An image without modules has them in a second one.
LINES = {
    "5.10": (("bullseye-security",), r"linux-image-5\.10\.0-[0-9]+-cloud-amd64"),
    "6.1": (("bookworm-security", "bookworm"), r"linux-image-6\.1\.0-[0-9]+-cloud-amd64"),
    "6.12": (("bookworm-security", "bookworm-backports"), r"linux-image-6\.12\.[0-9.]+\+deb12[0-9.]*-cloud-amd64"),
    "newest": (("sid",), r"linux-binary-[0-9.]+\+deb[0-9.]+-cloud-amd64"),
}


class NoKernel(Exception):
    """A kernel could not be had; the text says why."""


def cache_folder():
    root = os.environ.get("SKYFALL_CACHE") or os.path.join(os.path.expanduser("~"), ".cache", "skyfall")
    return os.path.join(root, "vm")


def mirror():
    """Where this system gets its packages, if it is a Debian; else Debian's own."""
    for path in ["/etc/apt/sources.list", *sorted(glob.glob("/etc/apt/sources.list.d/*"))]:
        if not os.path.isfile(path):
            continue
        with open(path, encoding="utf-8", errors="replace") as file:
            found = re.search(r"^\s*(?:URIs:|deb\s(?:\s*\[[^]]*\])?)\s*(\S+)/debian/?\s", file.read(), re.M)
        if found:
            return found[1]
    return MIRROR


def by_number(text):
    """Key that sorts 6.12.95+deb12 before 6.12.117+deb12."""
    return [int(number) for number in re.findall(r"[0-9]+", text)]


def modules_of(image):
    """The package with the modules of an image that comes without, else ''."""
    return image.replace("linux-binary-", "linux-modules-") if image.startswith("linux-binary-") else ""


class Apt:
    """apt with lists and a cache of its own."""

    def __init__(self, folder):
        self.folder = folder
        for part in ("lists/partial", "archives/partial"):
            os.makedirs(os.path.join(folder, part), exist_ok=True)
        base = mirror()
        suites = sorted({suite for suites, _ in LINES.values() for suite in suites})
        with open(os.path.join(folder, "sources.list"), "w", encoding="ascii") as file:
            for suite in suites:
                part = "debian-security" if suite.endswith("-security") else "debian"
                file.write(f"deb [arch=amd64 signed-by={KEYRING}] {base}/{part} {suite} main\n")

    def run(self, tool, *words, cwd=None):
        """Its output; NoKernel with what it said when it fails."""
        options = {"Dir::Etc::sourcelist": f"{self.folder}/sources.list", "Dir::Etc::sourceparts": "/dev/null",
                   "Dir::State::lists": f"{self.folder}/lists", "Dir::Cache": self.folder,
                   "APT::Architecture": "amd64", "APT::Sandbox::User": "", "Acquire::Languages": "none",
                   "Acquire::Retries": "2",
                   "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled": "false"}
        try:
            done = subprocess.run([tool, *(f"-o{name}={value}" for name, value in options.items()), *words], cwd=cwd,
                                  env={**os.environ, "LC_ALL": "C"}, capture_output=True, text=True,
                                  stdin=subprocess.DEVNULL, timeout=FETCH_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            raise NoKernel(f"{tool} {words[0]}: not done in {FETCH_SECONDS} s") from None
        if done.returncode:
            raise NoKernel(f"{tool} {words[0]}: {' '.join(done.stderr.split())[-400:]}")
        return done.stdout

    def newest(self):
        """{line: [(package, file name it is kept under), ...]}"""
        self.run("apt-get", "-qq", "update")
        patterns = [pattern for _, pattern in LINES.values()]
        patterns += [modules_of(pattern) for pattern in patterns if modules_of(pattern)]
        said = self.run("apt-cache", "search", "--names-only", "--full", f"^({'|'.join(patterns)})$")
        versions = dict(re.findall(r"^Package: (\S+)$.*?^Version: (\S+)$", said, re.M | re.S))
        found = {}
        for line, (_, pattern) in LINES.items():
            names = [name for name in versions if re.fullmatch(pattern, name)]
            if not names:
                raise NoKernel(f"{mirror()} has no package {pattern}")
            image = max(names, key=by_number)
            packages = [name for name in (image, modules_of(image)) if name]
            found[line] = [(name, f"{name}_{versions[name].replace(':', '%3a')}.deb") for name in packages]
        return found

    def download(self, package, path):
        """The package, checked by apt, at that path or not at all."""
        partial = f"{path}.{os.getpid()}"
        os.makedirs(partial, exist_ok=True)
        try:
            self.run("apt-get", "-qq", "download", package, cwd=partial)
            os.replace(glob.glob(f"{glob.escape(partial)}/*.deb")[0], path)
        finally:
            for left in os.listdir(partial):
                os.unlink(os.path.join(partial, left))
            os.rmdir(partial)


class Kernels:
    """The cache, and apt when something is not in it."""

    def __init__(self):
        self.folder = cache_folder()
        os.makedirs(self.folder, exist_ok=True)
        self.table = os.path.join(self.folder, "newest")
        self.apt = None
        self.notes = []
        self.found = self._found()

    def _apt(self):
        self.apt = self.apt or Apt(os.path.join(self.folder, "apt"))
        return self.apt

    def _found(self):
        known = None
        try:
            with open(self.table, encoding="utf-8") as file:
                known = json.load(file)
            if set(known) == set(LINES) and time.time() - os.path.getmtime(self.table) < LOOK_AGAIN_S:
                return known
        except (OSError, ValueError):
            pass
        try:
            found = self._apt().newest()
        except NoKernel as error:
            if known is None:
                raise
            self.notes.append(f"the newest kernels are those known before: {error}")
            return known
        with open(f"{self.table}.{os.getpid()}", "w", encoding="utf-8") as file:
            json.dump(found, file, indent=1)
        os.replace(file.name, self.table)
        for path in glob.glob(f"{glob.escape(self.folder)}/*.deb"):
            if os.path.basename(path) not in {kept for packages in found.values() for _, kept in packages}:
                os.unlink(path)
        return found

    def lines(self, asked):
        """The lines a person means: '6.12', 'newest', or the number the newest has just now such as '7.2'."""
        lines = []
        for word in asked:
            release = [line for line in self.found if line == word or f"-{word}." in f"{self.found[line][0][0]}."]
            if not release:
                raise NoKernel(f"no line of kernels is called {word}; there are: {' '.join(LINES)}")
            lines.append(release[0])
        return lines

    def get(self, line, modules):
        """The kernel of that line with those modules."""
        paths = []
        for package, kept in self.found[line]:
            paths.append(os.path.join(self.folder, kept))
            if not os.path.exists(paths[-1]):
                if self.apt is None:  # the lists may be older than a week
                    self._apt().run("apt-get", "-qq", "update")
                self.apt.download(package, paths[-1])
        return Kernel(line, paths, modules)


class Kernel:
    """image: bytes of vmlinuz. modules: [(name, bytes)] in an order to load them. release: what uname -r says. line: of
    LINES. cmdline: what it is told more than others."""

    cmdline = ""

    def __init__(self, line, paths, modules):
        self.line, self.image, self.release, self.files = line, None, None, {}
        for path in paths:
            self._read(path)
        if not self.image or not self.release:
            raise NoKernel(f"{paths[0]}: no kernel in there")
        self.modules = []
        for name in modules:
            self._load(name)

    def source(self, folder):
        """A file there with its types."""
        path = os.path.join(folder, "vmlinuz")
        with open(path, "wb") as file:
            file.write(self.image)
        return path

    def _read(self, path):
        with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", path], stdout=subprocess.PIPE) as deb:
            with tarfile.open(fileobj=deb.stdout, mode="r|") as tar:
                for member in tar:
                    found = re.search(r"/modules/([^/]+)/", member.name)
                    self.release = found[1] if found else self.release
                    if re.search(r"/vmlinuz[^/]*$", member.name):
                        self.image = tar.extractfile(member).read()
                    elif re.search(r"\.ko(\.xz)?$", member.name):
                        name = os.path.basename(member.name).split(".")[0].replace("-", "_")
                        data = tar.extractfile(member).read()
                        self.files[name] = (data, member.name.endswith(".xz"))
        if deb.returncode:
            raise NoKernel(f"{path}: cannot be unpacked (remove it, and it is fetched again)")

    def _load(self, name):
        """The module after those it depends on; one that is part of the kernel needs nothing."""
        if name not in self.files or name in dict(self.modules):
            return
        data, packed = self.files[name]
        data = lzma.decompress(data) if packed else data
        for other in re.search(rb"\0depends=([^\0]*)\0", b"\0" + data)[1].decode().split(","):
            self._load(other.replace("-", "_"))
        self.modules.append((name, data))
