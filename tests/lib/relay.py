"""The relay under test."""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import unittest
import urllib.request

from lib.harness import INGESTD, SANITIZER_WORDS, wait_until

RELAY = os.environ.get("INGESTD_RELAY", INGESTD + "-relay")


def need_relay():
    if not os.access(RELAY, os.X_OK):
        raise unittest.SkipTest("the relay is not built: libnats is missing")


class Relay:
    """Feeds @daemon from the stream BORIS of @servers."""

    def __init__(self, db, servers, daemon, env=None, **settings):
        self.dir = tempfile.mkdtemp(prefix="ingestd-")
        self.log_path = pathlib.Path(self.dir, "log")
        self.env = dict(os.environ, DATABASE_URL=db.daemon_url) | (env or {})
        self.settings = {"relay.http_listen": "127.0.0.1:0", "listen.unix": daemon.socket}
        if servers:
            self.settings |= {"relay.servers": servers.urls(), "relay.partitions": f"0-{servers.partitions - 1}"}
        self.settings |= {key.replace("__", "."): value for key, value in settings.items()}
        self.start()

    def arguments(self):
        args = ["--config", "/dev/null"]
        for key, value in self.settings.items():
            args += ["--set", f"{key}={value}"]
        return args

    def start(self):
        before = len(self.log())
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen([RELAY, *self.arguments()], env=self.env, stderr=log, stdin=subprocess.DEVNULL)
        wait_until(lambda: " started:" in self.log()[before:] or self.process.poll() is not None, "start")
        assert self.process.poll() is None, self.log()

    def check(self):
        return subprocess.run([RELAY, "check", *self.arguments()], env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, timeout=60)

    def log(self):
        return self.log_path.read_text() if self.log_path.exists() else ""

    def http(self):
        return re.findall(r"status and metrics: (http://.*:\d+)/", self.log())[-1]

    def metric(self, name):
        """The sum over all partitions."""
        with urllib.request.urlopen(self.http() + "/metrics") as answer:
            text = answer.read().decode()
        return sum(float(value) for value in re.findall(rf"^boris_ingestd_relay_{name}{{[^}}]*}} (\S+)$", text, re.MULTILINE))

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self, timeout=40):
        self.signal(signal.SIGTERM)
        return self.process.wait(timeout)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def memory_peak(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024

    def close(self):
        if self.process.poll() is None:
            self.signal(signal.SIGCONT)
            self.stop()
        log = self.log()
        shutil.rmtree(self.dir, ignore_errors=True)
        assert not any(word in log for word in SANITIZER_WORDS), log
