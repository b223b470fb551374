"""The client for TypeScript running in Node, and a scripted daemon."""

import json
import pathlib
import socket
import subprocess
import tempfile
import threading

from lib.client import encode
from lib.harness import ROOT, TestCase
from lib.npm import client_package, need_node

SCRIPTS = ROOT / "tests/integration/client"


def project(test, **modules):
    """Creates a directory where scripts can import the client, and other modules, by name."""
    folder = tempfile.TemporaryDirectory(prefix="ingestd-client-")
    test.addCleanup(folder.cleanup)
    place = pathlib.Path(folder.name)
    (place / "node_modules").mkdir()
    for name, where in {"boris-ingestd-client": client_package(), **modules}.items():
        (place / "node_modules" / name).symlink_to(where)
    for script in SCRIPTS.iterdir():
        (place / script.name).write_bytes(script.read_bytes())
    return place


class Sender:
    """A running drive.mjs; `plan` is described there."""

    def __init__(self, test, lines, options, **plan):
        place = project(test)
        (place / "records").write_bytes(b"".join(encode(line) + b"\n" for line in lines))
        plan = {"file": str(place / "records"), "options": options} | plan
        self.process = subprocess.Popen(["node", "drive.mjs", json.dumps(plan)], cwd=place, stdout=subprocess.PIPE,
                                        text=True)
        self.watchdog = threading.Timer(100, self.process.kill)
        self.watchdog.start()
        test.addCleanup(self.close)
        self.events = []

    def close(self):
        self.watchdog.cancel()
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def until(self, condition):
        """Reads events until condition(event) holds; returns that event."""
        for text in self.process.stdout:
            event = json.loads(text)
            self.events.append(event)
            if condition(event):
                return event
        raise AssertionError(f"it never came to that: {self.events[-3:]}")

    def until_line(self, line):
        return self.until(lambda event: event.get("line", 0) >= line)

    def finish(self):
        """Reads the rest; returns the last event with this name, and the end."""
        end = self.until(lambda event: event["type"] == "end")
        assert self.process.wait(20) == 0, "it ends by itself"
        return self.events[-2], end

    def of(self, kind):
        return [event for event in self.events if event["type"] == kind]


class Played(threading.Thread):
    """A scripted daemon: calls `play` with the connections, one after the other."""

    def __init__(self, test, play):
        super().__init__(daemon=True)
        folder = tempfile.TemporaryDirectory(prefix="ingestd-client-")
        test.addCleanup(folder.cleanup)
        self.path = f"{folder.name}/socket"
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen()
        test.addCleanup(self.listener.close)
        self.play, self.error = play, None
        self.start()

    def run(self):
        try:
            self.play(self.accept)
        except BaseException as error:
            self.error = error

    def accept(self):
        sock, _ = self.listener.accept()
        with sock:
            sock.settimeout(30)
            return sock.makefile("rwb")

    def check(self):
        self.join(30)
        assert not self.is_alive() and not self.error, f"the play went otherwise: {self.error!r}"


def say(stream, **reply):
    stream.write(encode(reply) + b"\n")
    stream.flush()


def counts(event):
    return event["stored"], event["duplicate"], event["rejected"]


class ClientTest(TestCase):
    @classmethod
    def setUpClass(cls):
        need_node(18)
        client_package()
        super().setUpClass()

    def setUp(self):
        super().setUp()
        self.connection = self.db.add_account()

    def sender(self, daemon, lines, options=None, **plan):
        return Sender(self, lines, {"path": daemon.socket} | (options or {}), **plan)

    def assert_stored(self, amounts):
        found = sorted(row["amount_cents"] for row in self.db.query("SELECT amount_cents FROM spending"))
        self.assertEqual(found, sorted(amounts))
