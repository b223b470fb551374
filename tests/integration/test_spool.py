"""The spool: while the database is unavailable, lines are written to disk and acked as spooled; afterwards they are stored,
in order, once."""

import json
import pathlib
import re
import signal
import tempfile
import threading
import time
import unittest

from lib.harness import TestCase, account, ad_object, numbered, record, run_ingestd, wait_until


class Spool(TestCase):
    def setUp(self):
        super().setUp()
        self.server.need_private()
        self.db.add_account()
        folder = tempfile.TemporaryDirectory(prefix="ingestd-spool-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.spool = self.folder / "spool"
        self.rejects = self.folder / "rejects"

    def spooling(self, **settings):
        return self.daemon(**({"spool__dir": str(self.spool), "rejects__file": str(self.rejects)} | settings))

    def server_away(self):
        self.server.stop_at_once()
        self.addCleanup(self.server.start)

    def wait_empty(self, d):
        def empty():
            log = d.log()
            return log.rfind("the spool is empty") >= max(log.rfind("ms: spooling to "),
                                                          log.rfind("spooled lines found"))
        wait_until(empty, "the spool is empty")

    def command(self, *args, status=0):
        done = run_ingestd(None, "spool", *args, "--config", "/dev/null", "--set", f"spool.dir={self.spool}")
        self.assertEqual(done.returncode, status, done.stderr + done.stdout)
        return done.stdout + done.stderr


class Outage(Spool):
    def test_lines_are_acked_from_disk_and_stored_when_the_database_is_back(self):
        d = self.spooling()
        client = d.client()
        client.send(*numbered(10))
        self.assertEqual(client.wait_ack(10)["spooled"], 0)
        self.server_away()
        client.send(*numbered(1000, 10), "{bad", record(amountCents="x"), "", record(externalId="nobody"))
        ack = client.wait_ack(1014)
        self.assertEqual((ack["stored"], ack["rejected"], ack["spooled"]), (10, 2, 1001))
        self.assertEqual(d.send(*numbered(5, 5000)).ack["spooled"], 5)
        self.server.start()
        self.wait_empty(d)
        self.assertEqual(self.db.count(), 1015)
        rejected = [json.loads(line) for line in self.rejects.read_text().splitlines()]
        self.assertEqual([(r["code"], r["connection"], r["line"]) for r in rejected],
                         [("bad_json", 1, 1011), ("bad_value", 1, 1012), ("unknown_ad_object", 1, 1014)])
        self.assertIn("uid", rejected[2]["peer"])
        # and directly again
        client.send(record(amountCents=-7))
        self.assertEqual(client.wait_ack(1015)["stored"], 11)
        client.close()
        d.signal(signal.SIGUSR1)
        wait_until(lambda: re.search(r"status: spool: 0 lines at the start, 1006 spooled; \d+ stored, \d+ duplicate, 1 rejected, "
                                     "0 still spooled, 0 set aside", d.log()), "the counts")

    def test_spooled_lines_survive_the_daemon(self):
        d = self.spooling()
        self.server_away()
        self.assertEqual(d.send(*numbered(3000)).ack["spooled"], 3000)
        d.kill()
        d.start()
        self.assertIn("3000 spooled lines found", d.log())
        self.assertEqual(d.send(*numbered(100, 3000)).ack["spooled"], 100)
        self.assertEqual(d.stop(), 0)
        self.server.start()
        d.start()
        self.wait_until_stored(3100)
        self.wait_empty(d)

    def wait_until_stored(self, count):
        wait_until(lambda: self.db.count() == count, f"{count} are stored")

    def test_killed_during_replay(self):
        d = self.spooling(batch__rows=500)
        self.server_away()
        self.assertEqual(d.send(*numbered(20000)).ack["spooled"], 20000)
        self.server.start()
        for _ in range(5):
            time.sleep(0.15)
            d.kill()
            d.start()
        self.wait_until_stored(20000)
        self.wait_empty(d)
        self.assertEqual(self.db.value("SELECT count(DISTINCT amount_cents) FROM spending"), "20000")

    def test_records_without_collected_at_keep_the_time_of_receipt(self):
        d = self.spooling()
        self.server_away()
        before = time.time()
        d.send(*numbered(50, collectedAt=None))
        after = time.time()
        d.kill()
        time.sleep(1)
        self.server.start()
        d.start()
        self.wait_until_stored(50)
        low, high = self.db.value("SELECT extract(epoch FROM min(collected_at)), extract(epoch FROM max(collected_at)) "
                                  "FROM spending").split("|")
        self.assertTrue(before <= float(low) <= float(high) <= after)

    def test_a_server_that_does_not_answer(self):
        """Lines held by a writer are spooled, too: their outcome is unknown, and the ids show it later."""
        d = self.spooling(batch__rows=100, batch__linger_ms=1)
        for turn in range(2):
            client = d.client()
            client.send(*numbered(500, 1000 * turn, collectedAt=None if turn == 1 else "2026-11-03T00:00:00Z"))
            pauser = threading.Thread(target=self.server.pause, args=(9,))
            pauser.start()
            time.sleep(0.1)
            client.send(*numbered(500, 1000 * turn + 500))
            start = time.monotonic()
            self.assertEqual(client.finish().ack["ack"], 1000)
            self.assertLess(time.monotonic() - start, 8.5, "the acks waited for the server")
            pauser.join()
            self.wait_until_stored(1000 * (turn + 1))
        self.wait_empty(d)
        self.assertEqual(self.db.value("SELECT count(DISTINCT amount_cents) FROM spending"), "2000")

    def test_an_open_batch_is_not_spooled(self):
        d = self.spooling(batch__linger_ms=7000)
        self.assertEqual(d.send(*numbered(10)).ack["spooled"], 0)

    def test_a_stop_during_replay_settles_the_lines_of_many_clients(self):
        """Received lines that had no room yet are accepted: nothing waits for the time limit."""
        d = self.spooling(shutdown__timeout_ms=20000)
        lines = numbered(160000, metrics={"pad": "x" * 200})
        with self.db.locked("spending", "ACCESS EXCLUSIVE"):
            self.assertEqual(d.send(*lines[:60000]).ack["spooled"], 60000)
        closings = []

        def stream(part):
            client = d.client()
            client.feed(*part)
            closings.append(client.drain().closing)

        clients = [threading.Thread(target=stream, args=(lines[i:i + 1000],)) for i in range(60000, 160000, 1000)]
        for client in clients:
            client.start()
        wait_until(lambda: "the database responds again" in d.log(), "it drains")
        time.sleep(0.3)
        d.signal(signal.SIGTERM)
        for client in clients:
            client.join()
        self.assertEqual(d.process.wait(40), 0)
        self.assertNotIn("stopping immediately", d.log())
        self.assertEqual(closings, ["shutdown"] * 100)

    def test_hierarchy_and_spending_keep_their_order(self):
        connection = self.db.create_connection()
        d = self.spooling(batch__rows=50)
        self.server_away()
        place = {"accountExternalId": "act_9", "connectionId": connection}
        lines = [account(connection, "act_9")]
        for i in range(200):
            lines += [ad_object("c", name=f"turn {i}", **place), ad_object(f"s{i}", "AD_SET", "c", **place),
                      record(externalId=f"s{i}", **place)]
        self.assertEqual(d.send(*lines).ack["spooled"], len(lines))
        self.assertEqual(d.send(ad_object("c", name="the last", **place)).ack["spooled"], 1)
        d.kill()
        self.server.start()
        d.start()
        self.assertEqual(d.send(ad_object("s0", "AD_SET", "c", name="later still", **place)).ack["ack"], 1)
        self.wait_empty(d)
        self.assertEqual(self.rejects.read_text(), "")
        self.assertEqual(self.db.count(), 200)
        self.assertEqual(self.db.value("SELECT string_agg(name, ', ' ORDER BY external_id) FROM ad_objects "
                                       "WHERE external_id IN ('c', 's0')"), "the last, later still")

    def test_records_in_their_grace(self):
        d = self.spooling(resolve__unknown_grace_ms=3600000)
        self.server_away()
        self.assertEqual(d.send(*numbered(10), record(externalId="late"), record(externalId="never")).ack["spooled"], 12)
        self.server.start()
        self.wait_until_stored(10)
        # it delays no other, and is not lost when the daemon stops
        self.assertEqual(d.send(record(amountCents=77)).ack["ack"], 1)
        self.assertEqual(d.stop(), 0)
        self.db.execute("INSERT INTO ad_objects (ad_account_id, external_id, type, status) "
                        "SELECT id, 'late', 'AD', 'ACTIVE' FROM ad_accounts")
        d.settings["resolve.unknown_grace_ms"] = 3000
        d.start()
        self.wait_until_stored(12)
        wait_until(lambda: '"never' in self.rejects.read_text().replace("\\", ""), "the other one is refused")

    def test_a_stop_spools_waiting_records(self):
        d = self.spooling(resolve__unknown_grace_ms=60000)
        client = d.client()
        client.send(record(), record(externalId="later"), record(amountCents=2))
        wait_until(lambda: self.db.count() == 2, "stored")
        self.assertEqual(d.stop(), 0)
        replies = client.drain()
        self.assertEqual((replies.closing, replies.ack["ack"], replies.ack["spooled"]), ("shutdown", 3, 1))

    def test_the_spool_empties_while_clients_keep_sending(self):
        d = self.spooling(batch__rows=1000)
        self.server_away()
        stop = threading.Event()
        sent = [0] * 4

        def stream(n):
            client = d.client()
            while not stop.is_set():
                client.send(*[record(externalId="1", amountCents=n * 10_000_000 + sent[n] + i) for i in range(200)])
                sent[n] += 200
                client.wait_ack(sent[n])
            client.finish()

        threads = [threading.Thread(target=stream, args=(n,)) for n in range(4)]
        for t in threads:
            t.start()
        time.sleep(4)
        self.server.start()
        try:
            self.wait_empty(d)
            time.sleep(0.5)
        finally:
            stop.set()
            for t in threads:
                t.join()
        self.wait_until_stored(sum(sent))


if __name__ == "__main__":
    unittest.main()
