"""Damage to the spool is never silent: after kill -9 its files are cut, flipped, removed and replaced by earlier copies,
and every acked line is either there or counted as lost, in the log, in spool_lost_lines_total and by `spool verify`."""

import pathlib
import random
import re
import shutil
import sqlite3
import tempfile
import unittest
import urllib.request

from lib.harness import Daemon, numbered, run_ingestd

ROUNDS, LINES = 5, 200
ACKED = ROUNDS * LINES


class NoDatabase:
    """The URL of a database where no server listens."""
    daemon_url = "postgresql://127.0.0.1:1/none?connect_timeout=1"


def flip(path, at):
    data = bytearray(path.read_bytes())
    data[at % len(data)] ^= 0x10
    path.write_bytes(data)


def cut(path, length):
    with path.open("r+b") as f:
        f.truncate(length)


def start_on(test, spool):
    d = Daemon(NoDatabase, spool__dir=str(spool), http__listen="127.0.0.1:0")
    test.addCleanup(d.close)
    return d


def verify(spool, command="verify"):
    done = run_ingestd(None, "spool", command, "--config", "/dev/null", "--set", f"spool.dir={spool}")
    return done.returncode, done.stdout + done.stderr


def metrics(d, *names):
    """Counters of one moment: a damaged line that the daemon finds is moved from one counter to another."""
    text = urllib.request.urlopen(f"{d.http()}/metrics").read().decode()
    return [int(re.search(rf"^boris_ingestd_{name} (\d+)$", text, re.MULTILINE)[1]) for name in names]


def metric(d, name):
    return metrics(d, name)[0]


class Damage(unittest.TestCase):
    """One daemon fills a spool and is killed; each test damages a copy of it."""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="ingestd-damage-")
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        cls.spool = cls.folder / "spool"
        d = Daemon(NoDatabase, spool__dir=str(cls.spool))
        cls.addClassCleanup(d.close)
        for n in range(ROUNDS):
            assert d.send(*numbered(LINES, n * LINES)).ack["spooled"] == LINES
            if n == 1:
                d.stop()
                shutil.copytree(cls.spool, cls.folder / "early")
                d.start()
        d.kill()

    def damaged(self, damage):
        """Starts the daemon on a damaged copy, after running `spool verify`."""
        spool = pathlib.Path(tempfile.mkdtemp(dir=self.folder)) / "spool"
        shutil.copytree(self.spool, spool)
        damage(spool)
        before = verify(spool)
        d = start_on(self, spool)
        return d, spool, before

    def assert_told(self, damage, lines=None):
        """@lines: the lines left; None if any number is possible, as long as the sum is right."""
        d, spool, before = self.damaged(damage)
        lost, left = metrics(d, "spool_lost_lines_total", "spool_lines")
        self.assertEqual(lost + left, ACKED)
        self.assertGreater(lost, 0)
        if lines is not None:
            self.assertEqual(left, lines)
        self.assertRegex(d.log(), r"error spool: ")
        self.assertEqual(before[0], 1, before[1])
        status, text = verify(spool)
        self.assertEqual(status, 1, text)
        self.assertIn(str(lost), text)
        # what comes later is safe, and the loss is counted once
        self.assertEqual(d.send(*numbered(10, 5000)).ack["spooled"], 10)
        d.kill()
        d.start()
        self.assertEqual(metric(d, "spool_lost_lines_total"), 0)
        self.assertEqual(metric(d, "spool_lines"), left + 10)

    def test_without_damage_nothing_is_lost(self):
        d, spool, before = self.damaged(lambda spool: None)
        self.assertEqual(before[0], 0, before[1])
        for _ in range(5):  # killed at any moment, too
            self.assertEqual(metric(d, "spool_lost_lines_total"), 0)
            acked = metric(d, "spool_lines")
            client = d.client()
            client.feed(*numbered(3000, 10000))
            client.wait_ack(random.randrange(1, 2500))
            d.kill()
            d.start()
            self.assertGreater(metric(d, "spool_lines"), acked)
        self.assertNotIn(" error ", d.log())
        d.stop()
        self.assertEqual(verify(spool)[0], 0)

    def test_the_log_is_missing(self):
        self.assert_told(lambda spool: (spool / "spool.db-wal").unlink(), 2 * LINES)

    def test_the_log_is_cut(self):
        def damage(spool):
            cut(spool / "spool.db-wal", (spool / "spool.db-wal").stat().st_size // 2)
        self.assert_told(damage)

    def test_the_log_is_empty(self):
        self.assert_told(lambda spool: cut(spool / "spool.db-wal", 0), 2 * LINES)

    def test_a_flipped_bit_anywhere_in_the_log(self):
        size = (self.spool / "spool.db-wal").stat().st_size
        for at in (0, 17, size // 3, size // 2):
            with self.subTest(at=at):
                self.assert_told(lambda spool: flip(spool / "spool.db-wal", at))

    def test_the_database_is_missing(self):
        self.assert_told(lambda spool: (spool / "spool.db").unlink(), 0)

    def test_the_database_is_empty(self):
        self.assert_told(lambda spool: cut(spool / "spool.db", 0), 0)

    def test_all_but_the_account_is_missing(self):
        def damage(spool):
            for path in spool.glob("spool.db*"):
                path.unlink()
        self.assert_told(damage, 0)

    def test_the_database_is_cut(self):
        def damage(spool):  # after a stop all is in the database
            d = start_on(self, spool)
            d.stop()
            cut(spool / "spool.db", (spool / "spool.db").stat().st_size // 2)
        self.assert_told(damage)

    def test_an_earlier_copy(self):
        def damage(spool):
            for path in spool.glob("spool.db*"):
                path.unlink()
            shutil.copy(self.folder / "early/spool.db", spool)
        self.assert_told(damage, 2 * LINES)

    def test_missing_lines_in_an_intact_file(self):
        missing = []

        def damage(spool):
            start_on(self, spool).stop()
            with sqlite3.connect(spool / "spool.db") as db:
                block, lines = db.execute("SELECT last, length(entries) / 64 FROM blocks WHERE last >= 300").fetchone()
                db.execute("DELETE FROM blocks WHERE last = ?", (block,))
            missing.append(lines)
            self.assertGreater(lines, 0)

        d, spool, before = self.damaged(damage)
        self.assertEqual((metric(d, "spool_lost_lines_total"), metric(d, "spool_lines")), (missing[0], ACKED - missing[0]))
        self.assertIn(f"{missing[0]} acked lines are missing", before[1])

    def test_a_flipped_bit_anywhere_in_the_database(self):
        """Whatever it hits, no line is missing silently."""
        for at in random.Random(1).sample(range(1 << 20), 12):
            with self.subTest(at=at):
                def damage(spool):
                    start_on(self, spool).stop()
                    flip(spool / "spool.db", at)
                d, spool, before = self.damaged(damage)
                self.assertGreaterEqual(sum(metrics(d, "spool_lost_lines_total", "spool_lines")), ACKED)
                d.kill()

    def test_the_account_is_missing_or_damaged(self):
        for damage in (lambda spool: (spool / "spool.account").unlink(), lambda spool: cut(spool / "spool.account", 100),
                       lambda spool: (spool / "spool.account").write_bytes(b"x" * 1024)):
            d, spool, before = self.damaged(damage)
            self.assertEqual(metric(d, "spool_lines"), ACKED)
            self.assertEqual(metric(d, "spool_lost_lines_total"), 0)
            self.assertIn("warn spool: ", d.log())
            d.kill()
            d.start()
            self.assertEqual(d.log().count("warn spool: "), 1)

    def test_a_spool_of_a_later_version_is_refused(self):
        spool = pathlib.Path(tempfile.mkdtemp(dir=self.folder)) / "spool"
        shutil.copytree(self.spool, spool)
        account = spool / "spool.account"
        present = account.read_bytes()
        for newer, words in ((lambda: account.write_bytes(present.replace(b"account 1 ", b"account 2 ")), "spool.account has a format"),
                             (lambda: sqlite3.connect(spool / "spool.db").execute("PRAGMA user_version = 9"), "format 9")):
            account.write_bytes(present)
            newer()
            for command in ("run", "spool status"):
                done = run_ingestd(None, *command.split(), "--config", "/dev/null", "--set", "database.url=postgresql://127.0.0.1:1/x",
                                   "--set", f"spool.dir={spool}", "--set", f"listen.unix={self.folder}/s")
                self.assertEqual(done.returncode, 1)
                self.assertRegex(done.stderr, rf"{words}.*use the newer boris-ingestd")


if __name__ == "__main__":
    unittest.main()
