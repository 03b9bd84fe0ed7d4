# SPDX-License-Identifier: Apache-2.0
"""Kafka brokers of our own: on free ports of the loopback address, waited for, stopped by their process ids."""

import atexit
import glob
import os
import shutil
import signal
import socket
import subprocess
import tempfile

from lab import paths, wait

JAVA = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xms128m"]

SETTINGS = """
process.roles=broker,controller
node.id={node}
controller.quorum.voters={voters}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
log.dirs={folder}/data
offsets.topic.num.partitions=3
offsets.topic.replication.factor={copies}
transaction.state.log.num.partitions=3
transaction.state.log.replication.factor={copies}
transaction.state.log.min.isr={insync}
share.coordinator.state.topic.num.partitions=3
share.coordinator.state.topic.replication.factor={copies}
share.coordinator.state.topic.min.isr={insync}
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
log.cleaner.dedupe.buffer.size=8388608
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
controller.quorum.election.timeout.ms=1000
controller.quorum.fetch.timeout.ms=2000
replica.lag.time.max.ms=5000
transaction.abort.timed.out.transaction.cleanup.interval.ms=500
"""

LOGGING = """<?xml version="1.0" encoding="UTF-8"?>
<Configuration status="ERROR">
  <Appenders><Console name="out"><PatternLayout pattern="%d %p %c: %m%n"/></Console></Appenders>
  <Loggers><Root level="WARN"><AppenderRef ref="out"/></Root></Loggers>
</Configuration>
"""


def free_ports(count):
    """Ports nobody listens on, all different."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in held]
    for s in held:
        s.close()
    return ports


def jars():
    script = os.path.join(paths.ROOT, "tests", "servers", "install.sh")
    return subprocess.run([script], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


class Node:
    """One process, broker and controller in one."""

    def __init__(self, cluster, number, port, controller):
        self.cluster, self.number, self.port, self.controller = cluster, number, port, controller
        self.folder = os.path.join(cluster.folder, str(number))
        self.process = None
        os.mkdir(self.folder)

    def java(self, heap, *words):
        log4j = os.path.join(self.cluster.folder, "log4j2.xml")
        return ["java", *JAVA, f"-Xmx{heap}m", f"-Dlog4j2.configurationFile={log4j}", "-cp", f"{self.cluster.jars}/*", *words]

    def prepare(self, voters, copies):
        with open(f"{self.folder}/server.properties", "w", encoding="utf-8") as file:
            file.write(SETTINGS.format(node=self.number, voters=voters, port=self.port, controller=self.controller,
                                       folder=self.folder, copies=copies, insync=2 if copies >= 3 else 1))
        subprocess.run(self.java(128, "kafka.tools.StorageTool", "format", "-t", self.cluster.id, "-c",
                                 f"{self.folder}/server.properties"), check=True, stdout=subprocess.DEVNULL)

    def start(self):
        with open(f"{self.folder}/log", "ab") as log:
            self.process = subprocess.Popen(self.java(512, "kafka.Kafka", f"{self.folder}/server.properties"), stdout=log,
                                            stderr=log, stdin=subprocess.DEVNULL, cwd=self.folder)

    def up(self):
        if self.process.poll() is not None:
            raise AssertionError(f"broker {self.number} ended with {self.process.returncode}: {self.log()}")
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.port)) == 0

    def log(self):
        with open(f"{self.folder}/log", encoding="utf-8", errors="replace") as file:
            return file.read()[-3000:]

    def send(self, number):
        self.process.send_signal(number)

    def stop(self, number=signal.SIGKILL):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(number)
            self.process.wait(60)


class Cluster:
    """`with Cluster(3) as kafka:` kafka.address is what programs are given."""

    def __init__(self, brokers=1):
        self.jars = jars()
        assert glob.glob(f"{self.jars}/kafka_*.jar"), f"no broker in {self.jars}"
        self.folder = tempfile.mkdtemp(prefix="skyfall-kafka-")
        self.id = os.urandom(16).hex()[:22]
        ports = free_ports(2 * brokers)
        self.nodes = [Node(self, i + 1, ports[2 * i], ports[2 * i + 1]) for i in range(brokers)]
        self.address = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)
        with open(f"{self.folder}/log4j2.xml", "w", encoding="utf-8") as file:
            file.write(LOGGING)
        atexit.register(self.stop)

    def start(self):
        voters = ",".join(f"{node.number}@127.0.0.1:{node.controller}" for node in self.nodes)
        for node in self.nodes:
            node.prepare(voters, min(3, len(self.nodes)))
        for node in self.nodes:
            node.start()
        wait.until(lambda: all(node.up() for node in self.nodes), 240, lambda: self.nodes[0].log())
        return self

    def stop(self):
        atexit.unregister(self.stop)
        for node in self.nodes:
            node.stop()
        if os.environ.get("SKYFALL_TEST_KEEP"):
            print(f"# brokers' files: {self.folder}", flush=True)
        else:
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()
