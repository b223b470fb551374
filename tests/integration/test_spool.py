"""The spool: while the database is away lines go to disk and are acked from there; when it is back they are stored, in
their order, once."""

import json
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from harness import TestCase, account, ad_object, numbered, record, run_ingestd, wait_until


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
            return log.rfind("the spool is empty") >= max(log.rfind("lines go to the spool in"),
                                                          log.rfind("lie in the spool"))
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
        wait_until(lambda: re.search(r"status: spool: 0 lay there before, 1006 spooled: \d+ stored, \d+ duplicate, 1 rejected, "
                                     "0 lie there, 0 set aside", d.log()), "the counts")

    def test_what_lies_there_survives_the_daemon(self):
        d = self.spooling()
        self.server_away()
        self.assertEqual(d.send(*numbered(3000)).ack["spooled"], 3000)
        d.kill()
        d.start()
        self.assertIn("3000 lines lie in the spool", d.log())
        self.assertEqual(d.send(*numbered(100, 3000)).ack["spooled"], 100)
        self.assertEqual(d.stop(), 0)
        self.server.start()
        d.start()
        self.wait_until_stored(3100)
        self.wait_empty(d)

    def wait_until_stored(self, count):
        wait_until(lambda: self.db.count() == count, f"{count} are stored")

    def test_killed_while_draining(self):
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

    def test_records_without_a_time_of_their_own_keep_the_moment_of_receipt(self):
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
        """What a writer has in its hands is spooled, too: its outcome is unknown, and the ids tell."""
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

    def test_what_gathers_in_a_batch_waits_for_nobody(self):
        d = self.spooling(batch__linger_ms=7000)
        self.assertEqual(d.send(*numbered(10)).ack["spooled"], 0)

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
        d = self.spooling(resolve__unknown_grace_ms=3000)
        self.server_away()
        self.assertEqual(d.send(*numbered(10), record(externalId="late"), record(externalId="never")).ack["spooled"], 12)
        self.server.start()
        self.wait_until_stored(10)
        # it holds up nobody, and is not lost when the daemon stops
        self.assertEqual(d.send(record(amountCents=77)).ack["ack"], 1)
        self.assertEqual(d.stop(), 0)
        self.db.execute("INSERT INTO ad_objects (ad_account_id, external_id, type, status) "
                        "SELECT id, 'late', 'AD', 'ACTIVE' FROM ad_accounts")
        d.start()
        self.wait_until_stored(12)
        wait_until(lambda: '"never' in self.rejects.read_text().replace("\\", ""), "the other one is refused")

    def test_a_stop_takes_waiting_records_into_the_spool(self):
        d = self.spooling(resolve__unknown_grace_ms=60000)
        client = d.client()
        client.send(record(), record(externalId="later"), record(amountCents=2))
        wait_until(lambda: self.db.count() == 2, "stored")
        self.assertEqual(d.stop(), 0)
        replies = client.drain()
        self.assertEqual((replies.closing, replies.ack["ack"], replies.ack["spooled"]), ("shutdown", 3, 1))

    def test_clients_that_go_on_sending_do_not_keep_it_from_becoming_empty(self):
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


class Faults(Spool):
    def test_a_full_spool_pauses_clients_and_loses_nothing(self):
        d = self.spooling(spool__max_bytes="1M")
        self.server_away()
        client = d.client()
        client.sock.settimeout(4)
        sent = 0
        with self.assertRaises(TimeoutError):  # 1 MB holds some thousand
            while sent < 30000:
                client.send(*numbered(200, sent))
                sent += 200
                client.wait_ack(sent)
        self.assertGreater(sent, 1000)
        self.assertIn("spool.max_bytes", d.log())
        client.sock.settimeout(60)
        sender = threading.Thread(target=client.send, args=numbered(60000, sent))
        sender.start()
        time.sleep(1)
        self.assertTrue(sender.is_alive(), "the client is not paused")
        self.server.start()
        sender.join()
        self.assertEqual(client.finish().ack["ack"], sent + 60000)
        wait_until(lambda: self.db.count() == sent + 60000, "all are stored")
        self.wait_empty(d)

    def test_a_damaged_file_is_set_aside(self):
        for damage in (lambda data: b"this is no database" * 500, lambda data: data[:4096] + b"\x55" * (len(data) - 4096),
                       lambda data: b""):
            d = self.spooling()
            self.server_away()
            self.assertEqual(d.send(*numbered(500)).ack["spooled"], 500)
            self.assertEqual(d.stop(), 0)
            path = self.spool / "spool.db"
            damaged = damage(path.read_bytes())
            path.write_bytes(damaged)
            d.start()
            if damaged:
                aside = [p for p in self.spool.glob("*damaged*") if p.read_bytes() == damaged]
                self.assertEqual(len(aside), 1)
                self.assertIn(str(aside[0]), d.log())
            self.assertEqual(d.send(*numbered(100)).ack["spooled"], 100)
            self.server.start()
            wait_until(lambda: self.db.count() == 100, "what came later is stored")
            self.db.execute("TRUNCATE spending")
            d.stop()
            for p in self.spool.glob("*"):
                p.unlink()

    def test_damage_found_while_draining(self):
        d = self.spooling()
        self.server_away()
        self.assertEqual(d.send(*numbered(30000)).ack["spooled"], 30000)
        self.assertEqual(d.stop(), 0)
        path = self.spool / "spool.db"
        data = bytearray(path.read_bytes())
        at = data.rindex(b'"amountCents"')
        data[at:at + 13] = b'"amountCentz"'
        path.write_bytes(data)
        self.assertIn("1 lines are damaged", self.command("verify", status=1))
        d.start()
        self.server.start()
        wait_until(lambda: self.db.count() == 29999, "all others are stored")
        self.wait_empty(d)
        self.assertIn("1 lines in", d.log())
        self.assertIn("damaged lines: 1", self.command("status"))

    def fill(self, d):
        """Sends to a spool until it is full; how many lines were acked."""
        acked = 0
        for size in (40000, 10000, 1000, 100):  # ever smaller, until there is no room for the smallest
            client = d.client()
            client.sock.settimeout(3)
            sent = 0
            try:
                while True:
                    client.send(*numbered(1, acked, metrics={"a": "x" * size}))
                    sent += 1
                    client.wait_ack(sent)
                    acked += 1
            except TimeoutError:
                client.close()
            d.kill()
            d.start()
        return acked

    def test_a_damaged_line_in_a_full_spool(self):
        d = self.spooling(spool__max_bytes="1M")
        self.server_away()
        acked = self.fill(d)
        self.assertEqual(d.stop(), 0)
        path = self.spool / "spool.db"
        data = bytearray(path.read_bytes())
        at = data.index(b'"amountCents"')
        data[at:at + 13] = b'"amountCentz"'
        path.write_bytes(data)
        self.server.start()
        d.start()
        wait_until(lambda: self.db.count() == acked - 1, "all others are stored")
        self.wait_empty(d)
        self.assertEqual(d.send(*numbered(10, 10000)).ack["stored"], 10)
        self.assertEqual(list(self.spool.glob("*damaged*")), [])

    def test_a_damaged_line_and_a_damaged_page_behind_it(self):
        d = self.spooling()
        self.server_away()
        self.assertEqual(d.send(*numbered(60, metrics={"a": "x" * 9000})).ack["spooled"], 60)
        self.assertEqual(d.stop(), 0)
        path = self.spool / "spool.db"
        data = bytearray(path.read_bytes())
        middle = len(data) // 2 // 4096 * 4096
        for page in range(middle, middle + 16 * 4096, 4096):  # of lines so long many pages hold nothing but text
            if data[page] != 0x0d and b"x" * 100 in data[page:page + 4096]:
                data[page:page + 4096] = bytes(4096)
        path.write_bytes(data)
        d.start()
        self.server.start()
        wait_until(lambda: "is set aside" in d.log(), "it is set aside")
        self.assertEqual(d.send(*numbered(10, 1000)).ack["ack"], 10)
        wait_until(lambda: self.db.value("SELECT count(*) FROM spending WHERE amount_cents >= 1000") == "10", "stored")
        d.signal(signal.SIGUSR1)
        wait_until(lambda: re.search(r"status: spool: 60 lay there before.* 0 lie there", d.log()), "the counts")

    def test_a_full_spool_is_drained_though_memory_is_full(self):
        d = self.spooling(spool__max_bytes="1M", limits__memory_bytes="16M")
        self.server_away()
        client = d.client()
        client.sock.settimeout(3)
        sent = 0
        with self.assertRaises(TimeoutError):
            while True:
                client.send(*numbered(100, sent))
                sent += 100
                client.wait_ack(sent)
        others = [d.client() for _ in range(10)]
        for n in range(60):  # a line a packet: each holds memory of its own
            for o, other in enumerate(others):
                other.send(record(amountCents=100000 + 100 * o + n))
            time.sleep(0.002)
        self.server.start()
        for other in others:
            self.assertEqual(other.finish().ack["ack"], 60)
        self.assertEqual(client.finish().ack["ack"], sent)
        wait_until(lambda: self.db.count() == sent + 600, "all are stored")

    def test_what_cannot_be_erased_is_not_drained_over_what_comes_later(self):
        disk = self.folder / "disk"
        disk.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(disk)], stderr=subprocess.DEVNULL).returncode:
            self.skipTest("a small disk cannot be mounted without root's rights")
        self.addCleanup(subprocess.run, ["umount", "-l", str(disk)], check=True)
        connection = self.db.create_connection()
        self.spool = disk / "spool"
        d = self.spooling()
        client = d.client()
        client.send(account(connection, "act_9"), ad_object("c", accountExternalId="act_9", name="first"))
        client.wait_ack(2)
        self.server_away()
        client.send(ad_object("c", accountExternalId="act_9", name="second"))
        self.assertEqual(client.wait_ack(3)["spooled"], 1)
        with open(disk / "fill", "wb", buffering=0) as fill, self.assertRaises(OSError):
            while True:
                fill.write(bytes(4096))
        self.server.start()
        wait_until(lambda: "cannot be used" in d.log(), "the disk is full")
        client.send(ad_object("c", accountExternalId="act_9", name="third"))
        time.sleep(2)
        self.assertEqual(d.stop(), 0)
        (disk / "fill").unlink()
        d.start()
        self.assertEqual(d.send(ad_object("c", accountExternalId="act_9", name="third")).ack["ack"], 1)
        self.wait_empty(d)
        wait_until(lambda: self.db.value("SELECT name FROM ad_objects WHERE external_id = 'c'") == "third", "the last one")
        time.sleep(1)
        self.assertEqual(self.db.value("SELECT name FROM ad_objects WHERE external_id = 'c'"), "third")

    def test_a_second_daemon_is_told(self):
        self.spooling()
        done = run_ingestd(self.db, "run", "--config", "/dev/null", "--set", f"spool.dir={self.spool}",
                           "--set", f"listen.unix={self.folder}/s")
        self.assertEqual(done.returncode, 1)
        self.assertIn("another daemon is using it", done.stderr)


class Commands(Spool):
    def test_export_of_what_can_be_read(self):
        d = self.spooling()
        self.server_away()
        self.assertEqual(d.send(*numbered(5000)).ack["spooled"], 5000)
        self.assertEqual(d.stop(), 0)
        path = self.spool / "spool.db"
        data = bytearray(path.read_bytes())
        for page in (len(data) // 4096 // 3, len(data) // 4096 * 2 // 3):
            data[page * 4096:(page + 1) * 4096] = b"\x55" * 4096
        path.write_bytes(data)
        d.start()
        aside = next(p for p in self.spool.glob("*damaged*") if not p.name.endswith(("-wal", "-shm")))
        told = self.command("export", "--file", str(aside), status=1)
        self.assertGreater(told.count('"amountCents"'), 4900)
        self.assertIn("cannot be read behind line", told)

    def test_status_verify_and_export(self):
        self.assertIn("no spool", self.command("status", status=1))
        d = self.spooling()
        self.assertIn("lines: 0", self.command("status"))
        self.server_away()
        lines = [json.dumps(line) for line in numbered(3000)]
        self.assertEqual(d.send(*lines).ack["spooled"], 3000)
        self.assertRegex(self.command("status"), r"lines: 3000\nbytes: \d+\noldest: 20\d\d-")
        self.assertIn("whole", self.command("verify"))
        self.assertEqual({oct(p.stat().st_mode & 0o7) for p in self.spool.glob("*")}, {"0o0"})
        self.assertEqual(self.command("export").splitlines(), lines)
        d.kill()
        self.assertEqual(self.command("export").splitlines(), lines)
        # what was exported may be sent again: it is the same
        self.server.start()
        d.start()
        wait_until(lambda: self.db.count() == 3000, "drained")
        self.assertEqual(d.send(*lines).ack["duplicate"], 3000)
        done = run_ingestd(None, "spool", "status", "--config", "/dev/null")
        self.assertIn("spool.dir", done.stderr)
        self.assertEqual(run_ingestd(None, "spool", "x").returncode, 2)


if __name__ == "__main__":
    unittest.main()
