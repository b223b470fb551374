"""The log under attack: it is bounded, whoever causes messages, and a reader that does not read holds up nobody."""

import os
import pathlib
import re
import socket
import subprocess
import sys
import threading
import time
import unittest
import urllib.request

from lib.harness import Daemon, TestCase, numbered, record, run_ingestd, wait_until


class Bound(TestCase):
    def setUp(self):
        super().setUp()
        self.db.add_account()

    def attack(self, d, what, seconds):
        """Short connections as fast as four threads can make them; how many."""
        counts = [0] * 4
        end = time.monotonic() + seconds

        def run(i):
            while time.monotonic() < end:
                with socket.socket(socket.AF_UNIX) as s:
                    try:
                        s.connect(d.socket)
                        s.sendall(what)
                    except OSError:
                        continue
                counts[i] += 1

        threads = [threading.Thread(target=run, args=(i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sum(counts)

    def assert_bounded(self, what, words):
        d = self.daemon()
        before = len(d.log())
        count = self.attack(d, what, 3)
        self.assertGreater(count, 300)
        d.stop()
        log = d.log()[before:]
        print(f"{count} connections: {len(log)} bytes of log", file=sys.stderr)
        self.assertLess(len(log), 40000)
        for word in words:
            self.assertRegex(log, word)

    def test_short_connections_with_a_bad_line_each(self):
        self.assert_bounded(b"{bad\n", (r" closed: 1 lines, ", r"\d+ more connections closed: \d+ lines",
                                        r"line 1 rejected: bad_json", r"\d+ connections: \d+ more lines rejected in \d+ s: bad_json × \d+"))

    def test_short_connections_with_an_empty_line_each(self):
        self.assert_bounded(b"\n", (r"\d+ more connections closed: \d+ lines", ))

    def test_a_health_check_is_no_event(self):
        d = self.daemon()
        before = len(d.log())
        self.attack(d, b"", 1)
        d.stop()
        self.assertNotIn("connection ", d.log()[before:].replace("connections;", ""))

    def test_who_is_turned_away_is_bounded_too(self):
        d = self.daemon(limits__max_connections=1)
        client = d.client()
        client.send(record())
        client.wait_ack(1)
        count = self.attack(d, b"", 2)
        self.assertGreater(count, 100)
        d.stop()
        self.assertRegex(d.log(), r"turned away: too_many_connections")
        self.assertLess(len(d.log()), 40000)

    def start_on_pipe(self, **settings):
        """A daemon whose standard error is a pipe; its reading end."""
        read, write = os.pipe()
        self.addCleanup(os.close, read)
        d = Piped(self.db, write, log__level="debug", **settings)
        os.close(write)
        self.addCleanup(d.close)
        return d, read

    def test_a_pipe_that_nobody_reads(self):
        d, read = self.start_on_pipe()
        sent = 0
        for _ in range(40):  # 64 KB of pipe and 1 MB of queue are full soon
            self.attack(d, b"{bad\n" * 3, 0.2)
            replies = d.send(*numbered(200, sent))
            self.assertEqual(replies.ack["stored"], 200)
            sent += 200
        start = time.monotonic()
        d.signal(15)
        self.assertEqual(d.process.wait(30), 0)
        self.assertLess(time.monotonic() - start, 15)
        self.assertEqual(self.db.count(), sent)

    def test_a_slow_reader_gets_the_order_and_the_number_of_what_is_missing(self):
        d, read = self.start_on_pipe()
        wait_until(lambda: self.flood(d), "some are dropped", pause=0)
        text = b""

        def drain():
            nonlocal text
            while data := os.read(read, 65536):
                text += data

        reader = threading.Thread(target=drain)
        reader.start()
        time.sleep(1)
        d.signal(15)
        self.assertEqual(d.process.wait(30), 0)
        reader.join()
        log = text.decode()
        self.assertRegex(log, r"warn \d+ log messages were dropped")
        times = re.findall(r"^(20\S+Z) (?:debug|info) ", log, re.MULTILINE)
        self.assertEqual(times, sorted(times))
        self.assertRegex(log.splitlines()[-1], r" stopped: ")

    def flood(self, d):
        self.attack(d, b"", 2)
        return int(re.search(r"log_dropped_total (\d+)", d.metrics())[1]) > 0

    def test_the_last_lines_are_not_lost(self):
        for _ in range(20):
            d = self.daemon()
            self.assertEqual(d.stop(), 0)
            self.assertRegex(d.log().splitlines()[-1], r" stopped: ")

    def test_the_fatal_error_is_not_lost(self):
        for _ in range(20):
            done = run_ingestd(self.db, "run", "--config", "/dev/null", "--set", "listen.unix=/nonexistent/socket")
            self.assertEqual(done.returncode, 1)
            self.assertRegex(done.stderr, r" error listen.unix /nonexistent/socket: ")


class Piped(Daemon):
    """Its log goes into a pipe."""

    def __init__(self, db, write, **settings):
        self.write = write
        super().__init__(db, http__listen="127.0.0.1:0", **settings)

    def start(self, wait=True):
        args = [self.program, "run", "--config", "/dev/null"]
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.settings["http.listen"] = f"127.0.0.1:{self.port}"
        for key, value in self.settings.items():
            args += ["--set", f"{key}={value}"]
        self.process = subprocess.Popen(args, env=self.env, stderr=self.write, stdin=subprocess.DEVNULL)
        wait_until(lambda: pathlib.Path(self.socket).exists(), "start")

    def metrics(self):
        return urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics").read().decode()


if __name__ == "__main__":
    unittest.main()
