# SPDX-License-Identifier: Apache-2.0
"""ClickHouse servers of our own: on free ports of the loopback address, waited for, stopped by their process ids."""

import atexit
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request

from lab import wait

HERE = os.path.dirname(os.path.abspath(__file__))

CONFIG = """<yandex><logger><level>warning</level><log>{folder}/server.log</log><errorlog>{folder}/errors.log</errorlog></logger>
<http_port>{port}</http_port><listen_host>127.0.0.1</listen_host><path>{folder}/data/</path><tmp_path>{folder}/tmp/</tmp_path>
<mark_cache_size>268435456</mark_cache_size><uncompressed_cache_size>0</uncompressed_cache_size>
<users_config>{folder}/users.xml</users_config><default_profile>default</default_profile>
<default_database>default</default_database></yandex>
"""
USERS = """<yandex><profiles><default/></profiles><quotas><default/></quotas><users><default><password></password>
<networks><ip>::/0</ip></networks><profile>default</profile><quota>default</quota></default></users></yandex>
"""


class Server:
    """today False: Debian's 18.16; True: today's engine. place: where its data is. A context; `stop`, `start` keep the data."""

    def __init__(self, today=False, place=None):
        self.programs = subprocess.run([os.path.join(HERE, "clickhouse.sh")], check=True, capture_output=True,
                                       text=True).stdout.strip()
        self.today = today
        # A table has a hundred columns, a part a file for each: in memory where there is room.
        if not place and shutil.disk_usage("/dev/shm").free > 4 << 30:
            place = "/dev/shm"
        self.folder = tempfile.mkdtemp(prefix="skyfall-clickhouse-", dir=place)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = None
        atexit.register(self.__exit__)

    def __enter__(self):
        with open(os.path.join(self.folder, "config.xml"), "w", encoding="utf-8") as file:
            file.write(CONFIG.format(folder=self.folder, port=self.port))
        with open(os.path.join(self.folder, "users.xml"), "w", encoding="utf-8") as file:
            file.write(USERS)
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def words(self):
        if self.today:
            return [sys.executable, "-B", os.path.join(HERE, "clickhouse_today.py"), os.path.join(self.programs, "today.so"),
                    os.path.join(self.folder, "data"), str(self.port)]
        return [os.path.join(self.programs, "18.16/usr/sbin/clickhouse-server"),
                "--config-file=" + os.path.join(self.folder, "config.xml")]

    def start(self):
        libraries = ":".join(os.path.join(self.programs, "18.16", part, "x86_64-linux-gnu") for part in ("usr/lib", "lib"))
        env = dict(os.environ) if self.today else {**os.environ, "LD_LIBRARY_PATH": libraries}
        with open(os.path.join(self.folder, "out"), "a", encoding="utf-8") as out:
            self.process = subprocess.Popen(self.words(), env=env, stdin=subprocess.DEVNULL, stdout=out,
                                            stderr=subprocess.STDOUT)
        wait.until(self.answers, 60, "ClickHouse answers")

    def answers(self):
        try:
            return urllib.request.urlopen(self.url + "/ping", timeout=2).read() == b"Ok.\n"
        except OSError:
            return False

    def stop(self, how=signal.SIGKILL):
        if self.process:
            self.process.send_signal(how)
            self.process.wait()
        self.process = None
