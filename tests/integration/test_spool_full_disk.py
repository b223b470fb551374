"""A spool on a full disk: it loses nothing, does not spin, and recovers without help."""

import os
import pathlib
import subprocess
import threading
import time
import unittest

import test_spool
from lib.harness import account, ad_object, numbered, wait_until


def cpu_seconds(d):
    fields = pathlib.Path(f"/proc/{d.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class FullDisk(test_spool.Spool):
    def setUp(self):
        super().setUp()
        self.disk = self.folder / "disk"
        self.disk.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(self.disk)],
                          stderr=subprocess.DEVNULL).returncode:
            self.skipTest("a small disk cannot be mounted without root's rights")
        self.addCleanup(subprocess.run, ["umount", "-l", str(self.disk)], check=True)
        self.spool = self.disk / "spool"
        self.sent = 0

    def fill_by_lines(self, d):
        """Sends until the daemon pauses; returns the client, whose last lines are not acked."""
        client = d.client()
        client.sock.settimeout(10)
        start = self.sent
        with self.assertRaises(TimeoutError):
            while True:
                client.send(*numbered(100, self.sent, metrics={"pad": "x" * 300}))
                self.sent += 100
                client.wait_ack(self.sent - start)
        client.sock.settimeout(60)
        return client

    def fill_by_others(self, name="fill"):
        with open(self.disk / name, "ab", buffering=0) as fill:
            try:
                while True:
                    fill.write(bytes(4096))
            except OSError:
                pass

    def keep_filled(self):
        """Another program uses up all free space whenever there is some."""
        stop = threading.Event()

        def run():
            while not stop.is_set():
                self.fill_by_others("greedy")
                time.sleep(0.001)

        self.fill_by_others("greedy")
        thread = threading.Thread(target=run)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(stop.set)
        return stop

    def assert_rests(self, d):
        before = cpu_seconds(d)
        time.sleep(3)
        self.assertLess(cpu_seconds(d) - before, 0.9, "it spins")

    def wait_stored(self, count):
        wait_until(lambda: self.db.count() == count, f"{count} are stored", pause=0.2)

    def test_filled_by_lines(self):
        d = self.spooling(rejects__file="")
        self.server_away()
        client = self.fill_by_lines(d)
        self.assertGreater(self.sent, 5000)
        self.assert_rests(d)
        self.server.start()
        self.assertEqual(client.finish().ack["ack"], self.sent)
        self.wait_stored(self.sent)
        self.wait_empty(d)
        self.assertEqual(d.send(*numbered(10, self.sent)).ack["stored"], 10)
        wait_until(lambda: "can be used again" in d.log(), "the spool is well again")
        wait_until((self.spool / "spool.reserve").exists, "a new reserve")

    def test_filled_by_other_programs_including_the_reserve(self):
        d = self.spooling(rejects__file="")
        self.server_away()
        self.assertEqual(d.send(*numbered(9000)).ack["spooled"], 9000)
        stop = self.keep_filled()
        client = d.client()
        # more than fits into the space that SQLite's log has already
        client.feed(*numbered(8000, 9000, metrics={"pad": "x" * 300}))
        wait_until(lambda: "cannot be used" in d.log(), "the disk is full")
        self.assert_rests(d)
        self.server.start()
        wait_until(lambda: self.db.count() >= 9000, "the spool is drained though nothing can be erased", pause=0.2)
        self.assert_rests(d)
        stop.set()
        (self.disk / "greedy").unlink()
        (self.disk / "fill").unlink(missing_ok=True)
        self.assertEqual(client.finish().ack["ack"], 8000)
        self.wait_stored(17000)
        self.wait_empty(d)

    def test_started_on_a_full_disk(self):
        d = self.spooling(rejects__file="")
        self.server_away()
        client = self.fill_by_lines(d)
        client.close()
        d.kill()
        self.fill_by_others()
        d.start()
        self.server.start()
        wait_until(lambda: "the spool is empty" in d.log(), "it is drained")
        self.assertEqual(d.send(*numbered(10, 10**6)).ack["stored"], 10)

    def test_started_on_a_disk_without_any_room(self):
        """Without the reserve not even SQLite's files can be created: the spool waits, and lines keep their order."""
        connection = self.db.create_connection()
        d = self.spooling(rejects__file="")
        d.send(account(connection, "act_9"), ad_object("c", accountExternalId="act_9", name="first"))
        self.server_away()
        self.assertEqual(d.send(ad_object("c", accountExternalId="act_9", name="second")).ack["spooled"], 1)
        d.stop()
        (self.spool / "spool.reserve").unlink()
        self.fill_by_others()
        d.start()
        self.server.start()
        client = d.client()
        client.send(ad_object("c", accountExternalId="act_9", name="third"))
        wait_until(lambda: "cannot be" in d.log(), "the disk is full")
        self.assert_rests(d)
        (self.disk / "fill").unlink()
        self.assertEqual(client.finish().ack["ack"], 1)
        self.wait_empty(d)
        wait_until(lambda: self.db.value("SELECT name FROM ad_objects WHERE external_id = 'c'") == "third", "the last one")

    def test_a_stop_does_not_wait_for_disk_space(self):
        d = self.spooling(rejects__file="", shutdown__timeout_ms=60000)
        self.server_away()
        client = self.fill_by_lines(d)
        start = time.monotonic()
        self.assertEqual(d.stop(timeout=50), 0)
        self.assertLess(time.monotonic() - start, 20)
        self.assertNotIn("stopping immediately", d.log())
        replies = client.drain()
        self.assertEqual(replies.closing, "shutdown")
        # what was acked is there, and nothing else is missed
        d.start()
        self.server.start()
        self.wait_empty(d)
        self.assertGreaterEqual(self.db.count(), replies.ack["ack"] if replies.ack else self.sent - 100)


if __name__ == "__main__":
    unittest.main()
