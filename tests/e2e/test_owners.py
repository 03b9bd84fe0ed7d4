# SPDX-License-Identifier: Apache-2.0
"""Whose connection it is, however it came to be, and how sure that is.

This kernel lets nobody ask who accepts (skyfall-agent --features: accept-fentry, accept-kprobe), so an accepted connection is its listener's
here, or a scan's; tests/vm/owners.py has the kernels that tell."""

import os
import shutil
import tempfile

from lab import case, net, paths, work
from lab.wait import middle_of_interval, until

QUALITIES = ("inherited", "scan", "unknown")


class Owned(case.Case):

    def quality(self, edge, view):
        """How the owner at that end is known: one word, or several."""
        rows, found = edge.get(f"{view}_rows", 0), {}
        for name in QUALITIES:
            found[name] = edge.get(f"{view}_owner_{name}", 0)
        found["exact"] = rows - sum(found.values())
        return "+".join(sorted(name for name, n in found.items() if n))

    def owners(self, edge):
        """A server is known by its listener where the kernel does not tell who accepts."""
        self.assertEqual(self.quality(edge, "client"), "exact")
        self.assertIn(self.quality(edge, "server"), ("inherited", "exact"))

    def conversation(self, options=(), connect=(), **more):
        server, client = self.server("10.77.0.2", *options, **more), self.client()
        for command in (self.connect("10.77.0.2", "n=7", *connect), "talk 1009 2003", "close"):
            client.do(command)
        edge = self.expect(self.views(*self.tally(server, client)))
        self.owners(edge)
        self.adds_up()

    def cgroup(self, path):
        return case.make_cgroup(self, path)


class Owners(Owned):

    def test_a_process_for_each_connection(self):
        self.conversation(["fork"])

    def test_accepted_in_children(self):
        self.conversation(["prefork=4"])

    def test_threads(self):
        self.conversation(["threads=8"])

    def test_io_uring(self):
        """Both calls made by worker threads of the kernel's, which have names of their own."""
        self.conversation(["uring"], ["uring"])

    def test_nested_cgroups(self):
        """What a service makes below its own cgroup is its own."""
        client = self.client(service="", cgroup=self.cgroup("system.slice/e2e-deep.service/jobs/7/x"))
        server = self.server("10.77.0.2")
        for command in (self.connect("10.77.0.2", "n=3"), "talk 1009 2003", "close"):
            client.do(command)
        edge = self.expect(self.views(*self.tally(server, client)), port=self.port)
        self.assertEqual(edge["client_service"], "e2e-deep")
        self.owners(edge)

    def test_processes_of_a_moment(self):
        """Processes that lived for some milliseconds are their unit's."""
        client = self.client(service="", cgroup=self.cgroup("system.slice/e2e-moment.service"))
        server = self.server("10.77.0.2")
        client.do(f"short 10.77.0.2 {self.port} 50")
        edge = self.expect(self.views(*self.tally(server, client)), port=self.port)
        self.assertEqual(edge["client_service"], "e2e-moment")
        self.owners(edge)
        self.adds_up()

    def test_processes_of_a_moment_without_a_unit(self):
        """... or called by their executable."""
        client, server = self.client(service=""), self.server("10.77.0.2")
        client.do(f"short 10.77.0.2 {self.port} 50")
        edge = self.expect(self.views(*self.tally(server, client)), port=self.port)
        self.assertEqual(edge["client_service"], "moment")
        self.owners(edge)

    def test_another_user_and_program_after_connect(self):
        """Who connected stays the owner, whatever becomes of it."""
        folder = self.stack.folder
        os.chmod(folder, 0o755)
        program = shutil.copy(paths.WORKLOAD, f"{folder}/later")
        client = self.client(service="", cgroup=self.cgroup("system.slice/e2e-before.service"))
        server = self.server("10.77.0.2")
        middle_of_interval(most=0.6)
        before = dict(client.do(self.connect("10.77.0.2", "n=3")))
        client.do(f"become {program} 65534")
        client.do("talk 1009 2003")
        client.do("close")
        after = client.tally
        both = {name: before[name] + after[name] for name in ("attempts", "opened", "closed", "sent", "received")}
        until(lambda: server.do("report")["closed"] == 3, 20, "the server sees the end")
        edge = self.expect(self.views(both, server.tally), port=self.port)
        self.assertEqual(edge["client_service"], "e2e-before")
        self.owners(edge)
        self.adds_up()

    def test_accepted_socket_passed_on(self):
        """A connection given away after accept() stays with who accepted it, and says how that is known."""
        path = f"{self.stack.folder}/hand-on"
        worker = work.handle(self.lab, "b", "s-worker", path)
        self.addCleanup(worker.stop)
        self.server("10.77.0.2", f"hand={path}")
        client = self.client()
        for command in (self.connect("10.77.0.2", "n=5"), "talk 1009 2003", "close"):
            client.do(command)
        edge = self.expect(self.views(*self.tally(worker, client)))
        self.owners(edge)


class HandedOver(Owned):
    """A listener made in one cgroup, served in another."""

    def activated(self, *options, made_in="init.scope", served_in="e2e-activated.service"):
        middle_of_interval(most=0.6)
        maker, service = self.cgroup(made_in), self.cgroup(f"system.slice/{served_in}")
        server = work.Work(self.lab, "b", "", ["activate", "10.77.0.2", self.port, f"cgroup={service}",
                                               f"program={paths.WORKLOAD}", *options], maker)
        self.addCleanup(server.stop)
        server.read(work.START_SECONDS)
        return server

    def served(self, server, service, quality):
        client = self.client()
        for command in (self.connect("10.77.0.2", "n=5"), "talk 1009 2003", "close"):
            client.do(command)
        edge = self.expect(self.views(*self.tally(server, client)), server=service)
        self.assertEqual(self.quality(edge, "client"), "exact")
        self.assertIn(self.quality(edge, "server"), (quality, "exact"))
        self.adds_up()

    def test_by_init(self):
        """Socket activation: systemd keeps the listener open, the service has it as descriptor 3."""
        self.served(self.activated("name=systemd"), "e2e-activated", "scan")

    def test_by_a_parent_that_ended(self):
        """... or whoever made it is gone."""
        self.served(self.activated("leave", made_in="e2e-launcher.service", served_in="e2e-launched.service"),
                    "e2e-launched", "scan")

    def test_by_a_process_that_moved(self):
        """A runtime that starts in its parent's cgroup."""
        self.served(self.activated("move", made_in="e2e-runtime.service", served_in="e2e-moved.service"),
                    "e2e-moved", "scan")

    def test_a_supervisor_that_serves(self):
        """Who made it and holds it still is the owner, though others hold it too."""
        self.served(self.activated(made_in="e2e-super.service", served_in="e2e-helper.service"), "e2e-super", "inherited")


if case.FULL:  # on demand: needs Debian's podman and runc
    class Containers(Owned):
        """A real container of podman's, in the host's network."""

        IMAGE = "localhost/skyfall-e2e-till:1"

        def podman(self, *words, host="b"):
            done = self.lab.run(host, ["podman", "--cgroup-manager", "cgroupfs", "--runtime", "runc", *words], timeout=120)
            self.assertEqual(done.returncode, 0, done.stderr)
            return done.stdout.strip()

        def answers(self):
            try:
                net.connect_inside(self.lab, "b", "10.77.0.2", self.port).close()
            except OSError:
                return False
            return True

        def test_podman(self):
            """Named by its image: what podman wrote on disk says no more."""
            folder = tempfile.mkdtemp(prefix="skyfall-e2e-image-")
            self.addCleanup(shutil.rmtree, folder)
            shutil.copy("/bin/busybox", f"{folder}/busybox")
            with open(f"{folder}/Containerfile", "w", encoding="ascii") as file:
                file.write("FROM scratch\nCOPY busybox /bin/busybox\n")
            self.podman("build", "-q", "-t", self.IMAGE, folder)
            self.addCleanup(self.podman, "rmi", "-f", self.IMAGE)
            name = f"skyfall-e2e-{os.getpid()}"
            middle_of_interval(most=0.6)
            self.podman("run", "-d", "--rm", "--name", name, "--network", "host", "--ulimit", "nofile=1000:1000", "--ulimit",
                        "nproc=1000:1000", self.IMAGE, "/bin/busybox", "httpd", "-f", "-p", f"10.77.0.2:{self.port}")
            self.addCleanup(self.podman, "rm", "-f", "-t", "0", name)
            until(self.answers, 20, "the container serves")
            client = self.client()
            client.do(self.connect("10.77.0.2", "n=5"))
            client.do("close")
            query = {"client": self.client_service, "port": self.port}
            until(lambda: (self.find(**query) or {}).get("server_closed") == 5, case.VISIBLE_SECONDS, "its edge")
            edge = self.find(**query)
            self.assertEqual(edge["server_service"], "skyfall-e2e-till")
            self.owners(edge)
