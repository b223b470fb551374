#!/usr/bin/env python3
"""A changed configuration takes effect by SIGHUP, for open connections, too; a bad one changes nothing."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time
import unittest
import urllib.request

from lib.harness import Daemon, TestCase, numbered, record, wait_until


class Configured(Daemon):
    """A daemon with a settings file that can be rewritten."""

    def __init__(self, db, text=""):
        self.config_dir = tempfile.mkdtemp(prefix="ingestd-")
        self.settings_file = pathlib.Path(self.config_dir, "ini")
        self.settings_file.write_text(text)
        super().__init__(db, wrapper=["sh", "-c", 'program=$1; shift 4; exec "$program" run --config "$0" "$@"', self.settings_file])

    def reload(self, text):
        """Reloads; returns what the log says about it."""
        before = len(self.log())
        self.settings_file.write_text(text)
        self.signal(signal.SIGHUP)
        return wait_until(lambda: re.search(r"SIGHUP: (.*)\n", self.log()[before:]), "reload")[1]

    def close(self):
        super().close()
        shutil.rmtree(self.config_dir)


class Reload(TestCase):
    READ = "configuration read again"

    def setUp(self):
        super().setUp()
        self.db.add_account()

    def configured(self, text=""):
        daemon = Configured(self.db, text)
        self.addCleanup(daemon.close)
        return daemon

    def test_unchanged_configuration(self):
        self.assertEqual(self.configured().reload("[log]\nlevel = info\n"), self.READ)

    def test_an_error_leaves_the_settings_unchanged(self):
        d = self.configured("[limits]\nmax_connections = 2\n")
        for text, reason in (("[limits]\nmax_connections = 1\nrows = 5\n", "unknown key limits.rows"),
                             ("[limits]\nmax_connections = 1\n[listen]\nallow_users = no-such-user-here\n",
                              "this system does not know no-such-user-here")):
            said = d.reload(text)
            self.assertIn(reason, said)
            self.assertTrue(said.endswith("; no setting was changed"), said)
            clients = [d.client(), d.client()]
            self.assertEqual([client.finish().closing for client in clients], [None, None])

    def test_metrics_show_success_and_time(self):
        d = self.configured("[http]\nlisten = 127.0.0.1:0\n")
        d.settings.pop("http.listen")  # which the command line would set
        d.stop()
        d.start()

        def told():
            with urllib.request.urlopen(f"{d.http()}/metrics") as answer:
                text = answer.read().decode()
            self.assertNotIn("tls_certificate_expires_seconds", text)
            return tuple(float(re.search(rf"(?m)^boris_ingestd_config_last_reload_{name} (.*)$", text)[1])
                         for name in ("successful", "success_timestamp_seconds"))

        ok, start = told()
        self.assertEqual(ok, 1)
        self.assertAlmostEqual(start, time.time(), delta=60)
        d.reload("[limits]\nrows = 5\n")
        self.assertEqual(told(), (0, start))
        before = time.time()
        d.reload("[http]\nlisten = 127.0.0.1:0\n")
        ok, later = told()
        self.assertEqual(ok, 1)
        self.assertGreaterEqual(later, before - 0.001)

    def test_settings_that_need_a_restart_are_named_without_value(self):
        d = self.configured()
        said = d.reload("[database]\nurl = host=s3cr3t\nwriters = 3\n[listen]\nunix_mode = 0600\n"
                        "[rejects]\nkeep = 9\n[limits]\nmax_connections = 7\n")
        self.assertEqual(said, f"{self.READ}; changed: limits.max_connections; needs a restart: database.url, "
                               "database.writers, listen.unix_mode, rejects.keep")
        self.assertNotIn("s3cr3t", d.log())
        self.assertEqual(d.send(record()).counts(), (1, 1, 0, 0))

    def test_max_connections(self):
        d = self.configured("[limits]\nmax_connections = 1\n")
        first = d.client()
        first.send(record())
        first.wait_ack(1)
        self.assertEqual(d.send().closing, "too_many_connections")
        d.reload("[limits]\nmax_connections = 2\n")
        self.assertEqual(d.send(record()).counts(), (1, 0, 1, 0))
        d.reload("[limits]\nmax_connections = 1\n")
        self.assertEqual(d.send().closing, "too_many_connections")
        first.finish()

    def test_idle(self):
        d = self.configured()
        client = d.client()
        d.reload("[limits]\nidle_ms = 200\n")
        self.assertEqual(client.drain().closing, "idle")

    def test_who_may_connect(self):
        d = self.configured()
        if os.getuid() == 0:  # may always connect
            os.chmod(d.socket, 0o666)
            os.chmod(d.dir, 0o755)
            say = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "socat", "-t60", "-",
                   f"UNIX-CONNECT:{d.socket}"]
        else:
            say = ["socat", "-t60", "-", f"UNIX-CONNECT:{d.socket}"]

        def answer():
            return subprocess.run(say, input="", stdout=subprocess.PIPE, check=False, text=True).stdout

        self.assertNotIn("not_allowed", answer())
        self.assertEqual(d.reload("[listen]\nallow_users = root\n"), f"{self.READ}; changed: listen.allow_users")
        self.assertIn("not_allowed", answer())
        d.reload("[listen]\nallow_groups = root\n")
        self.assertIn("not_allowed", answer())
        d.reload("")
        self.assertNotIn("not_allowed", answer())

    def test_log_level(self):
        d = self.configured()
        d.send(record())
        self.assertNotIn(" debug ", d.log())
        d.reload("[log]\nlevel = debug\n")
        d.send(record())
        self.assertIn(" debug connection 2 accepted", d.log())
        self.assertEqual(d.log().count("accepted from"), 1)

    def test_batches(self):
        """Lines that come while every writer waits for a lock would be one batch."""
        d = self.configured("[batch]\nrows = 9000\n")
        client = d.client()

        def transactions_of(lines):
            with self.db.locked("spending", "ACCESS EXCLUSIVE"):
                client.feed(*lines)  # more than the daemon takes while nothing is written
                time.sleep(0.5)
            sent.extend(lines)
            client.wait_ack(len(sent))
            count = int(self.db.value("SELECT count(DISTINCT xmin::text) FROM spending")) - sum(counts)
            counts.append(count)
            return count

        sent, counts = [], []
        self.assertLess(transactions_of(numbered(20)), 10)
        self.assertEqual(d.reload("[batch]\nrows = 2\n"), f"{self.READ}; changed: batch.rows")
        self.assertGreaterEqual(transactions_of(numbered(20, 100)), 10)
        self.assertEqual(d.reload("[batch]\nrows = 2\nlinger_ms = 1\n"), f"{self.READ}; changed: batch.linger_ms")
        d.reload("[batch]\nbytes = 64K\n")
        wide = [record(amountCents=1000 + n, metrics={"x": "y" * 40000}) for n in range(20)]
        self.assertGreaterEqual(transactions_of(wide), 10)
        client.finish()

    def test_memory(self):
        """While the server is unavailable, a client is paused when the memory is full."""
        self.server.need_private()
        d = self.configured("[limits]\nmemory_bytes = 256M\n")
        self.assertEqual(d.reload("[limits]\nmemory_bytes = 16M\n"), f"{self.READ}; changed: limits.memory_bytes")
        client = d.client()
        client.sock.settimeout(3)
        line = json.dumps(record(metrics={"x": "y" * 100000})).encode() + b"\n"
        taken = 0
        self.server.stop_at_once()
        try:
            with self.assertRaises(TimeoutError):
                while taken < 100 << 20:
                    taken += client.sock.send(line)
        finally:
            self.server.start()
        self.assertLess(taken, 16 << 20)
        client.close()

    def test_shutdown_timeout(self):
        self.server.need_private()
        d = self.configured()
        d.reload("[shutdown]\ntimeout_ms = 100\n")
        client = d.client()
        self.server.stop_at_once()
        try:
            client.send(record())
            wait_until(lambda: "connection lost" in d.log(), "the database's end")
            began = time.monotonic()
            self.assertEqual(d.stop(), 0)
            self.assertLess(time.monotonic() - began, 20)
            self.assertIn("shutdown.timeout_ms has elapsed", d.log())
        finally:
            self.server.start()
            client.close()


if __name__ == "__main__":
    unittest.main()
