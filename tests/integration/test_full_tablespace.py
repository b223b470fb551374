"""A week of spending that cannot be written delays no other week: its tablespace is full, or another session has locked its chunk.
The rows wait, and are stored later without manual steps."""

import contextlib
import os
import pathlib
import subprocess
import threading
import time
import unittest

from lib.harness import TestCase, numbered, psql, record, wait_until

OLD = "2026-01-05T00:00:00Z"
OLD_CHUNK = "show_chunks('spending', older_than => '2026-02-01'::timestamptz)"


class Weeks(TestCase):
    def setUp(self):
        super().setUp()
        self.db.add_account()

    def assert_served(self, d, start):
        begin = time.monotonic()
        self.assertEqual(d.send(*numbered(10, start)).counts(), (10, 10, 0, 0))
        took = time.monotonic() - begin
        print(f"another client's lines: {took:.2f} s", flush=True)
        self.assertLess(took, 20)  # generous, for slow machines: a starving client waits without end

    def chunk(self):
        return self.db.value(f"SELECT {OLD_CHUNK}")


class FullTablespace(Weeks):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        server = cls.server  # its own server
        server.need_private()
        disk = pathlib.Path(server.dir, "data", "disk")
        server.stop_at_once()
        disk.mkdir()
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", disk], check=False, capture_output=True)
        if mounted.returncode == 0:
            unittest.addModuleCleanup(cls.unmount, server, disk)
        server.start()
        if mounted.returncode:
            raise unittest.SkipTest("no right to mount a small disk")
        cls.filler = disk / "filler"
        folder = disk / "tablespace"
        folder.mkdir()
        owner = os.stat(f"{server.dir}/data/db")
        os.chown(folder, owner.st_uid, owner.st_gid)
        psql(server.url, f"CREATE TABLESPACE small LOCATION '{cls.name_inside(server)}/disk/tablespace'")

    @staticmethod
    def name_inside(server):
        """The name of the server's folder of data, as the server sees it."""
        return psql(server.url, "SHOW unix_socket_directories").strip()

    @staticmethod
    def unmount(server, disk):
        server.stop_at_once()
        subprocess.run(["umount", disk], check=True)

    @contextlib.contextmanager
    def full(self):
        fd = os.open(self.filler, os.O_CREAT | os.O_WRONLY)
        try:
            with contextlib.suppress(OSError):
                while True:
                    os.write(fd, b"x" * 4096)
            yield
        finally:
            os.close(fd)
            self.filler.unlink()

    @staticmethod
    def rows(count, **fields):
        return [record(amountCents=n, metrics={"text": str(n) * 100}, **fields) for n in range(count)]

    def test_tablespace_of_one_old_chunk(self):
        d = self.daemon()
        d.send(record(), record(collectedAt=OLD), record(collectedAt=None))
        self.db.execute(f"ALTER TABLE {self.chunk()} SET TABLESPACE small")
        client = d.client()
        with self.full():
            client.feed(*self.rows(1000, collectedAt=OLD))
            for n in range(3):
                self.assert_served(d, 10_000 + 100 * n)
        self.assertEqual(client.wait_ack(1000)["stored"], 1000)
        client.close()

    def assert_new_chunks_wait(self, d, **fields):
        """Each of three clients sends what needs a new chunk; one sends other records, too."""
        self.db.execute("SELECT attach_tablespace('small', 'spending', if_not_attached => true)")
        clients = [d.client() for _ in range(3)]
        with self.full():
            for n, client in enumerate(clients):
                client.feed(*self.rows(300, periodStart=f"2025-01-0{n + 1}T00:00:00Z", **fields))
            clients[2].feed(*numbered(10, 10**6))
            for n in range(3):
                self.assert_served(d, 10_000 + 100 * n)
            wait_until(lambda: self.db.count() >= 40, "the other weeks of the third client")
        for client, lines in zip(clients, (300, 300, 310)):
            self.assertEqual(client.wait_ack(lines)["stored"], lines)
            client.close()

    def test_tablespace_of_new_chunks(self):
        """This week has no chunk either: an ordinary row of today cannot be written."""
        for writers in (1, 2):
            with self.subTest(writers=writers):
                self.db.execute("TRUNCATE spending")
                d = self.daemon(database__writers=writers)
                self.db.execute("SELECT detach_tablespaces('spending')")
                d.send(record())
                self.assert_new_chunks_wait(d, collectedAt=OLD)
                d.stop()

    def test_tablespace_of_new_chunks_from_the_start(self):
        """The daemon has written nothing yet."""
        self.daemon().send(record())
        self.assert_new_chunks_wait(self.daemon(database__writers=1), collectedAt=None)

    def test_everything_is_on_the_full_disk(self):
        d = self.daemon()
        d.send(record(), record(collectedAt=None))
        for chunk in self.db.value("SELECT show_chunks('spending')").split():
            self.db.execute(f"ALTER TABLE {chunk} SET TABLESPACE small")
        client = d.client()
        with self.full():
            client.feed(*self.rows(3000), *self.rows(3000, collectedAt=None))
            wait_until(lambda: "53100" in d.log(), "a full disk")
            time.sleep(1)
        self.assertEqual(client.wait_ack(6000)["stored"], 6000)
        client.close()


class LockedChunk(Weeks):
    def test_a_chunk_that_is_locked(self):
        """As reindexing, moving or reordering does; an old chunk, and the one of an ordinary row of today."""
        d = self.daemon(database__writers=1)
        d.send(record(), record(collectedAt=OLD), record(collectedAt=None))
        today = self.db.value("SELECT show_chunks('spending', newer_than => now() - interval '8 days')").split()[-1]
        for chunk, when in ((self.chunk(), OLD), (today, None)):
            with self.subTest(when):
                client = d.client()
                before = self.db.count()
                with self.db.locked(chunk, "ACCESS EXCLUSIVE"):
                    client.feed(*numbered(50, 100, collectedAt=when))
                    for n in range(3):
                        self.assertEqual(d.send(record(amountCents=before * 10 + n)).counts()[:2], (1, 1))
                self.assertEqual(client.wait_ack(50)["stored"], 50)
                client.close()

    def wait_of(self, d, amount):
        begin = time.monotonic()
        self.assertEqual(d.send(record(amountCents=amount)).counts()[:2], (1, 1))
        return time.monotonic() - begin

    def test_a_stream_for_a_locked_chunk(self):
        """Each batch has a row of it. Only one of them waits for the lock for a second."""
        d = self.daemon(database__writers=1, log__level="debug")
        d.send(record(), record(collectedAt=OLD))
        with self.db.locked(self.chunk(), "ACCESS EXCLUSIVE"):
            begin = time.monotonic()
            stream = Stream(d)
            worst = sent = took = 0
            while took < 5:
                sent += 1
                worst = max(worst, self.wait_of(d, 1000 + sent))
                time.sleep(0.05)
                took = time.monotonic() - begin
            tries = d.log().count("rows not written: canceling statement due to lock timeout")
            stream.over.set()
        print(f"another client's longest wait: {worst:.2f} s of {sent}; {tries} tries in {took:.2f} s", flush=True)
        self.assertGreater(tries, took)  # of the only writer: few of them waited for a second
        stream.join()
        self.assertEqual(stream.replies.counts(), (stream.sent, stream.sent, 0, 0))


class Stream(threading.Thread):
    """A row of the old week every 20 ms, until it is over."""

    def __init__(self, d):
        super().__init__(daemon=True)
        self.client = d.client()
        self.over = threading.Event()
        self.sent = 0
        self.start()

    def run(self):
        while not self.over.wait(0.02):
            self.client.send(record(amountCents=10**6 + self.sent, collectedAt=OLD))
            self.sent += 1
        self.replies = self.client.finish()


if __name__ == "__main__":
    unittest.main()
