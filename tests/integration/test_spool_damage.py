"""Damage to the spool is never silent: after kill -9 its files are cut, flipped, removed and replaced by earlier copies,
and every acked line is either there or counted as lost, in the log, in spool_lost_lines_total and by `spool verify`. Of a file
with damaged lines or numbers, every intact line is stored."""

import pathlib
import random
import re
import shutil
import sqlite3
import tempfile
import time
import unittest
import urllib.request

from lib.harness import Daemon, TestCase, numbered, run_ingestd, wait_until

ROUNDS, LINES = 5, 200
ACKED = ROUNDS * LINES
ENTRY = 64  # bytes of a line's entry in its block


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


def start_to_fill(cls):
    """A daemon that spools all lines, in cls.spool, for the tests of a class."""
    folder = tempfile.TemporaryDirectory(prefix="ingestd-damage-")
    cls.addClassCleanup(folder.cleanup)
    cls.folder = pathlib.Path(folder.name)
    cls.spool = cls.folder / "spool"
    d = Daemon(NoDatabase, spool__dir=str(cls.spool))
    cls.addClassCleanup(d.close)
    return d


def run_spool(spool, *command):
    done = run_ingestd(None, "spool", *command, "--config", "/dev/null", "--set", f"spool.dir={spool}")
    return done.returncode, done.stdout, done.stderr


def verify(spool):
    status, out, err = run_spool(spool, "verify")
    return status, out + err


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
        d = start_to_fill(cls)
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

    def test_export_of_a_file_of_format_2(self):
        """What is readable of a damaged file is printed, whichever pages are damaged."""
        for damaged, skips in (((), False), ((3,), False), ((40, 41), True)):  # page 3 is of another table
            with self.subTest(damaged=damaged):
                spool = pathlib.Path(tempfile.mkdtemp(dir=self.folder))
                with sqlite3.connect(spool / "spool.db") as db:
                    columns = ("id INTEGER PRIMARY KEY AUTOINCREMENT, received INTEGER NOT NULL, hash INTEGER NOT NULL, peer TEXT NOT NULL, "
                               "connection INTEGER NOT NULL, line INTEGER NOT NULL, text BLOB NOT NULL, receipt INTEGER NOT NULL, client TEXT NOT NULL")
                    db.executescript(f"CREATE TABLE lines ({columns}); CREATE TABLE damaged ({columns}); PRAGMA user_version = 2;"
                                     "CREATE TABLE account (file INTEGER NOT NULL, erased INTEGER NOT NULL); INSERT INTO account VALUES (7, 0)")
                    db.executemany("INSERT INTO lines (received, hash, peer, connection, line, text, receipt, client) VALUES (1, 0, '', 1, 1, ?, 1, '')",
                                   [(f"line {n} {'x' * 100}".encode(),) for n in range(2000)])
                data = bytearray((spool / "spool.db").read_bytes())
                for page in damaged:
                    data[page * 4096:(page + 1) * 4096] = bytes(4096)
                (spool / "spool.db").write_bytes(data)
                status, out, err = run_spool(spool, "export")
                self.assertEqual(status, 1)
                self.assertGreater(len(out.splitlines()), 1900)
                self.assertEqual("cannot be read after" in err, skips)
                self.assertIn(f"{len(out.splitlines())} of these lines are damaged", err)

    def test_export_without_the_first_block(self):
        def damage(spool):
            start_on(self, spool).stop()
            with sqlite3.connect(spool / "spool.db") as db:
                root = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'blocks'").fetchone()[0]
            data = bytearray((spool / "spool.db").read_bytes())
            page = data[(root - 1) * 4096:root * 4096]
            self.assertEqual(page[0], 5, "the table has one page")
            first = int.from_bytes(page[int.from_bytes(page[12:14], "big"):][:4], "big")  # the child of the first cell
            data[(first - 1) * 4096:first * 4096] = bytes(4096)
            (spool / "spool.db").write_bytes(data)

        spool = pathlib.Path(tempfile.mkdtemp(dir=self.folder)) / "spool"
        shutil.copytree(self.spool, spool)
        damage(spool)
        status, out, err = run_spool(spool, "export")
        self.assertEqual(status, 1)
        self.assertIn("cannot be read after line 0", err)
        self.assertGreater(len(out.splitlines()), ACKED // 4)


def flip_entries(*indexes, at=40):
    """Damages the hashes of these lines of the first block that has 50 lines."""
    def change(entries, texts):
        for index in indexes:
            entries[index * ENTRY % len(entries) + at] ^= 0x10
    return change


class Stored(TestCase):
    """All intact lines of a damaged file are stored; `spool verify` and `spool status` agree with the daemon."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        d = start_to_fill(cls)
        for n in range(ROUNDS):
            assert d.send(*numbered(LINES, n * LINES)).ack["spooled"] == LINES
        d.stop()

    def setUp(self):
        super().setUp()
        self.db.add_account()

    def copy(self, damage):
        spool = pathlib.Path(tempfile.mkdtemp(dir=self.folder)) / "spool"
        shutil.copytree(self.spool, spool)
        with sqlite3.connect(spool / "spool.db") as db:
            damage(db)
        db.close()
        return spool

    def start(self, spool):
        d = Daemon(self.db, spool__dir=str(spool), rejects__file=f"{spool}.rejects", http__listen="127.0.0.1:0")
        self.addCleanup(d.close)
        return d

    def check(self, damage, damaged=0, missing=0):
        """Damages a copy of the spool: @damaged of its lines are then damaged, @missing are not there."""
        spool = self.copy(damage)
        left = ACKED - damaged - missing
        status, text = verify(spool)
        if damaged:
            self.assertIn(f"{damaged} damaged lines", text)
        if missing:
            self.assertIn(f"{missing} acked lines are missing", text)
        self.assertEqual(status, int(damaged + missing > 0), text)
        status, out, err = run_spool(spool, "export")
        self.assertEqual((status, len(out.splitlines())), (int(damaged > 0), ACKED - missing), err)
        self.assertIn(f"lines: {ACKED - missing}\n", run_spool(spool, "status")[1])

        d = self.start(spool)
        wait_until(lambda: self.db.count() == left, "all intact lines are stored", timeout=20)
        wait_until(lambda: "the spool is empty" in d.log(), "the spool is empty", timeout=20)
        self.assertEqual(d.send(*numbered(10, 5000)).ack["stored"], 10)
        self.assertEqual(metrics(d, "spool_lost_lines_total", "spool_lines"), [damaged + missing, 0])
        self.assertEqual(sum(int(n) for n in re.findall(r"error spool: (\d+) (?:lines|acked lines)", d.log())), damaged + missing)
        d.kill()
        status, text = verify(spool)
        if damaged:
            self.assertIn(f"{damaged} damaged lines", text)
        self.assertEqual(status, int(damaged + missing > 0), text)
        status, text, _ = run_spool(spool, "status")
        self.assertIn("lines: 0\n", text)
        self.assertIn(f"damaged lines: {damaged}\nmissing lines: 0\nlost lines: {missing}\n", text)
        d.start()
        self.assertEqual(d.send(*numbered(10, 6000)).ack["stored"], 10)
        self.assertEqual(metrics(d, "spool_lost_lines_total", "spool_lines"), [0, 0])
        self.assertEqual(self.db.count(), left + 20)
        d.stop()
        self.db.execute("TRUNCATE spending")

    def check_block(self, change, **counts):
        """@change gets the entries and the texts of a block of at least 50 lines."""
        def damage(db):
            last, entries, texts = db.execute("SELECT last, entries, texts FROM blocks WHERE length(entries) >= 50 * 64").fetchone()
            entries, texts = bytearray(entries), bytearray(texts)
            change(entries, texts)
            db.execute("UPDATE blocks SET entries = ?, texts = ? WHERE last = ?", (bytes(entries), bytes(texts), last))
        self.check(damage, **counts)

    def test_damaged_neighbours(self):
        for indexes in ((10, 11), (0, 1, 2), (-1, -2), (0, 1, 30, 31, -1)):
            with self.subTest(indexes=indexes):
                self.check_block(flip_entries(*indexes), damaged=len(indexes))

    def test_a_damaged_sector(self):
        def change(entries, texts):
            texts[4096:4096 + 512] = bytes(512)
            change.lines = sum(int.from_bytes(entries[at + 48:at + 52], "little") < 4608 and
                               int.from_bytes(entries[at + 48:at + 52], "little") + int.from_bytes(entries[at + 52:at + 56], "little") > 4096
                               for at in range(0, len(entries), ENTRY))
        self.copy(lambda db: change(*map(bytearray, db.execute(
            "SELECT entries, texts FROM blocks WHERE length(entries) >= 50 * 64").fetchone())))
        self.assertGreater(change.lines, 1)
        self.check_block(change, damaged=change.lines)

    def test_a_block_of_damaged_lines(self):
        lines = []
        self.copy(lambda db: lines.append(db.execute("SELECT length(entries) / 64 FROM blocks WHERE length(entries) >= 50 * 64").fetchone()[0]))
        self.check_block(flip_entries(*range(lines[0])), damaged=lines[0])

        def neighbours(db):  # the last lines of a block, and the first ones of the next
            (one, first), (two, second) = db.execute("SELECT last, entries FROM blocks WHERE length(entries) >= 50 * 64 ORDER BY last LIMIT 2")
            first, second = bytearray(first), bytearray(second)
            flip_entries(-1, -2)(first, None)
            flip_entries(0, 1)(second, None)
            db.executemany("UPDATE blocks SET entries = ? WHERE last = ?", ((bytes(first), one), (bytes(second), two)))
        self.check(neighbours, damaged=4)

    def test_a_damaged_name(self):
        def change(entries, texts):
            self.assertEqual(texts[:4], b"uid ")
            texts[5] ^= 1
        self.check_block(change)

    def test_damaged_numbers(self):
        for sql in ("first = last + 1000 WHERE last = (SELECT min(last) FROM blocks)", "first = first + 1",
                    "first = -9223372036854775807 - 1", "first = 9223372036854775807", "bytes = 9223372036854775807",
                    "last = last + 1000 WHERE last = (SELECT max(last) FROM blocks)", "entries = CAST(entries AS TEXT)"):
            with self.subTest(sql=sql):
                self.check(lambda db, sql=sql: db.execute(f"UPDATE blocks SET {sql}"))
        for sql in ("UPDATE account SET erased = 9223372036854775807", "UPDATE sqlite_sequence SET seq = 3",
                    "UPDATE sqlite_sequence SET seq = 9223372036854775807", "PRAGMA user_version = 1"):
            with self.subTest(sql=sql):
                self.check(lambda db, sql=sql: db.execute(sql))

    def test_a_damaged_length(self):
        self.check_block(lambda entries, texts: entries.__delitem__(slice(-ENTRY, None)), missing=1)

    def test_two_blocks_with_the_same_numbers(self):
        spool = self.copy(lambda db: db.execute("INSERT INTO blocks SELECT last + 5000, first, bytes, oldest, newest, entries, texts FROM blocks "
                                                "WHERE last = (SELECT min(last) FROM blocks WHERE length(entries) >= 50 * 64)"))
        d = self.start(spool)
        wait_until(lambda: "the spool is empty" in d.log(), "the spool is empty", timeout=20)
        self.assertEqual(self.db.count(), ACKED)
        self.assertEqual(metrics(d, "spool_lost_lines_total", "spool_lines"), [0, 0])
        self.assertEqual(d.send(*numbered(10, 5000)).ack["stored"], 10)
        d.kill()
        d.start()
        self.assertEqual(metrics(d, "spool_lost_lines_total", "spool_lines"), [0, 0])

    def test_lines_that_cannot_be_moved_aside(self):
        def damage(db):
            db.execute("CREATE TRIGGER t BEFORE INSERT ON damaged BEGIN SELECT RAISE(ABORT, 'cannot be moved'); END")
            last, entries = db.execute("SELECT last, entries FROM blocks WHERE length(entries) >= 50 * 64").fetchone()
            entries = bytearray(entries)
            flip_entries(0, 10, 11, -1)(entries, None)
            db.execute("UPDATE blocks SET entries = ? WHERE last = ?", (bytes(entries), last))

        spool = self.copy(damage)
        d = self.start(spool)
        wait_until(lambda: "the spool is empty" in d.log(), "the spool is empty", timeout=20)
        self.assertEqual(self.db.count(), ACKED - 4)
        self.assertEqual(metrics(d, "spool_lost_lines_total", "spool_lines"), [4, 0])
        self.assertRegex(d.log(), r"error spool: 4 lines in .* are damaged")
        self.assertIn("cannot be moved", d.log())
        self.assertEqual(d.send(*numbered(10, 5000)).ack["stored"], 10)
        self.assertIn("4 damaged lines", verify(spool)[1])
        d.stop()
        with sqlite3.connect(spool / "spool.db") as db:
            self.assertEqual(db.execute("SELECT sum(length(entries)) / 64 FROM blocks").fetchone()[0], 4)
            db.execute("DROP TRIGGER t")
        db.close()
        d.start()
        wait_until(lambda: metrics(d, "spool_lost_lines_total", "spool_lines") == [4, 0], "they are moved aside")
        self.assertIn("4 damaged lines", verify(spool)[1])
        self.assertIn("damaged lines: 4\n", run_spool(spool, "status")[1])
        self.assertEqual(self.db.count(), ACKED - 4 + 10)

    def test_killed_at_any_moment(self):
        indexes = (0, 1, 10, 11, 12, -1)
        for _ in range(5):
            def damage(db):
                for last, entries in db.execute("SELECT last, entries FROM blocks WHERE length(entries) >= 50 * 64").fetchall():
                    entries = bytearray(entries)
                    flip_entries(*indexes)(entries, None)
                    db.execute("UPDATE blocks SET entries = ? WHERE last = ?", (bytes(entries), last))
                damage.blocks = db.execute("SELECT count(*) FROM blocks WHERE length(entries) >= 50 * 64").fetchone()[0]
            spool = self.copy(damage)
            bad = damage.blocks * len(indexes)
            d = self.start(spool)
            for _ in range(3):
                time.sleep(random.random() * 0.1)
                d.kill()
                d.start()
            wait_until(lambda bad=bad: self.db.count() == ACKED - bad, "all intact lines are stored", timeout=20)
            wait_until(lambda d=d: metric(d, "spool_lines") == 0, "the spool is empty", timeout=20)
            d.stop()
            self.assertIn(f"{bad} damaged lines", verify(spool)[1])
            self.assertIn("lines: 0\n", run_spool(spool, "status")[1])
            self.db.execute("TRUNCATE spending")


if __name__ == "__main__":
    unittest.main()
