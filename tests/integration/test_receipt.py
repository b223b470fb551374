#!/usr/bin/env python3
"""Records without collectedAt and id: stored once for each time they are sent, at the moment of receipt."""

import os
import pathlib
import re
import tempfile
import threading
import time
import unittest


from lib.harness import INGESTD, TestCase, record, wait_until

TESTS = pathlib.Path(INGESTD).parents[1] / "tests"  # of the build
LINES = 10000
ALIKE = record(collectedAt=None)


class Alike(TestCase):
    """One line, sent many times by several clients at once."""

    def send_from_all(self, daemons):
        answers = []
        threads = [threading.Thread(target=lambda d=d: answers.append(d.send(*[ALIKE] * LINES))) for d in daemons]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for answer in answers:
            self.assertEqual(answer.counts(), (LINES, LINES, 0, 0))
        self.assertEqual(self.db.count(), len(daemons) * LINES)

    def stopped_clock(self):
        """Lines received at the same moment are still told apart."""
        clock = FakeClock(self)
        clock.set("@1800000000")
        return clock.env

    def test_over_two_workers(self):
        self.db.add_account()
        daemon = self.daemon(daemon__workers=2, database__writers=2, env=self.stopped_clock())
        self.send_from_all([daemon, daemon])
        self.assertEqual(self.db.value("SELECT count(DISTINCT collected_at) FROM spending"), str(2 * LINES),
                         "a report would take records of one moment for a breakdown")

    def test_over_two_daemons(self):
        self.db.add_account()
        self.send_from_all([self.daemon(env=self.stopped_clock()) for _ in range(2)])

    def test_with_the_clock_moving_back(self):
        self.db.add_account()
        clock = FakeClock(self)
        daemon = self.daemon(env=clock.env)
        for _ in range(5):
            clock.set("@1800000002")
            daemon.send(*[ALIKE] * 1000)
            clock.set("@1800000000")
            daemon.send(*[ALIKE] * 1000)
        self.assertEqual(self.db.count(), 10000)

    def test_in_a_spool_that_is_replayed(self):
        """Lines that were in flight when the database became unavailable, and may be stored, keep their ids in the spool."""
        self.db.add_account()
        folder = tempfile.TemporaryDirectory(prefix="ingestd-")
        self.addCleanup(folder.cleanup)
        daemon = self.daemon(spool__dir=f"{folder.name}/spool", rejects__file=f"{folder.name}/rejects")
        with self.db.locked("spending", "ACCESS EXCLUSIVE"):
            client = daemon.client()
            client.send(*[ALIKE] * 1000)
            client.wait_ack(1000)
            daemon.kill()
            client.close()
        daemon.start()
        wait_until(lambda: self.db.count() >= 1000, "the spool is replayed")
        self.assertEqual(daemon.send(ALIKE).counts(), (1, 1, 0, 0))
        self.assertEqual(self.db.count(), 1001)


class FakeClock:
    def __init__(self, test):
        if re.search(rb"__[at]san_init", pathlib.Path(INGESTD).read_bytes()):
            test.skipTest("a sanitizer's runtime wants to be loaded first")
        self.file = pathlib.Path(f"/tmp/fake-clock-{os.getpid()}-{id(self)}")
        test.addCleanup(lambda: self.file.unlink(missing_ok=True))
        self.set(0)
        self.env = {"LD_PRELOAD": str(TESTS / "libfake_clock.so"), "FAKE_CLOCK": str(self.file)}

    def set(self, text):
        new = self.file.with_suffix(".new")
        new.write_text(str(text))
        new.rename(self.file)


class Clock(TestCase):
    def offset(self, daemon):
        """How far the receipt of one more record is ahead of real time, in seconds."""
        amount = str(int(time.time() * 1000000))
        daemon.send(record(collectedAt=None, amountCents=amount))
        at = self.db.value(f"SELECT extract(epoch FROM collected_at) FROM spending WHERE amount_cents = {amount}")
        return round(float(at) - time.time())

    def test_a_jump_ahead_passes(self):
        self.db.add_account()
        clock = FakeClock(self)
        daemon = self.daemon(env=clock.env)
        self.assertAlmostEqual(self.offset(daemon), 0, delta=30)
        clock.set(3 * 86400)
        self.assertAlmostEqual(self.offset(daemon), 3 * 86400, delta=30)
        clock.set(0)
        self.assertAlmostEqual(self.offset(daemon), 0, delta=30)
        clock.set(-3600)
        self.assertAlmostEqual(self.offset(daemon), -3600, delta=30)


if __name__ == "__main__":
    unittest.main()
