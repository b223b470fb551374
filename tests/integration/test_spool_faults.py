"""Faults of the spool: it is full, its disk fails, its file is damaged; and the commands that inspect it."""

import json
import re
import shutil
import signal
import threading
import time
import unittest

import test_spool
from lib.harness import numbered, record, run_ingestd, wait_until


class Faults(test_spool.Spool):
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

    def test_damage_found_during_replay(self):
        d = self.spooling()
        self.server_away()
        self.assertEqual(d.send(*numbered(30000)).ack["spooled"], 30000)
        self.assertEqual(d.stop(), 0)
        path = self.spool / "spool.db"
        data = bytearray(path.read_bytes())
        at = data.rindex(b'"amountCents"')
        data[at:at + 13] = b'"amountCentz"'
        path.write_bytes(data)
        self.assertIn("1 damaged lines", self.command("verify", status=1))
        d.start()
        self.server.start()
        wait_until(lambda: self.db.count() == 29999, "all others are stored")
        self.wait_empty(d)
        self.assertIn("1 lines in", d.log())
        self.assertIn("damaged lines: 1", self.command("status"))

    def fill(self, d):
        """Sends until the spool is full; returns the number of acked lines."""
        acked = 0
        for size in (40000, 100):  # until there is no room for the smallest, either
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
        data = path.read_bytes()
        for found in re.finditer(b'"amountCents"', data):  # some are copies that the file does not use any more
            path.write_bytes(data[:found.start()] + b'"amountCentz"' + data[found.end():])
            if run_ingestd(None, "spool", "verify", "--config", "/dev/null", "--set", f"spool.dir={self.spool}").returncode:
                break
        self.server.start()
        d.start()
        wait_until(lambda: self.db.count() == acked - 1, "all others are stored")
        self.wait_empty(d)
        self.assertEqual(d.send(*numbered(10, 10000)).ack["stored"], 10)
        self.assertEqual(list(self.spool.glob("*damaged*")), [])

    def test_a_damaged_line_followed_by_a_damaged_page(self):
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
        wait_until(lambda: re.search(r"status: spool: 60 lines at the start.* 0 still spooled", d.log()), "the counts")

    def test_a_full_spool_is_replayed_while_memory_is_full(self):
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

    def test_files_that_were_removed(self):
        """No line is acked from a file that the next start would not find."""
        d = self.spooling()
        self.server_away()
        self.assertEqual(d.send(*numbered(100)).ack["spooled"], 100)
        shutil.rmtree(self.spool)
        client = d.client()
        client.send(*numbered(100, 100))
        wait_until(lambda: "removed or renamed" in d.log(), "the loss is noticed", timeout=20)
        self.server.start()
        self.assertEqual(client.finish().ack["ack"], 100)
        wait_until(lambda: self.db.count() == 200, "all are stored")
        self.wait_empty(d)

    def test_files_that_were_removed_while_empty(self):
        """The daemon makes new ones."""
        d = self.spooling()
        for n, remove in enumerate((lambda: shutil.rmtree(self.spool), lambda: (self.spool / "spool.db-wal").unlink())):
            remove()
            self.server_away()
            self.assertEqual(d.send(*numbered(100, 100 * n)).ack["spooled"], 100)
            d.kill()
            d.start()
            self.server.start()
            wait_until(lambda n=n: self.db.count() == 100 * (n + 1), "all are stored")
            self.wait_empty(d)

    def test_a_second_daemon_is_refused(self):
        self.spooling()
        done = run_ingestd(self.db, "run", "--config", "/dev/null", "--set", f"spool.dir={self.spool}",
                           "--set", f"listen.unix={self.folder}/s")
        self.assertEqual(done.returncode, 1)
        self.assertIn("another daemon is using it", done.stderr)


class Commands(test_spool.Spool):
    def test_export_of_readable_lines(self):
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
        self.assertGreater(told.count('"amountCents"'), 4700)  # a page costs a block of 16 kB at most
        self.assertIn("cannot be read after line", told)

    def test_status_verify_and_export(self):
        self.assertIn("no spool", self.command("status", status=1))
        d = self.spooling()
        self.assertIn("lines: 0", self.command("status"))
        self.server_away()
        lines = [json.dumps(line) for line in numbered(3000)]
        self.assertEqual(d.send(*lines).ack["spooled"], 3000)
        self.assertRegex(self.command("status"), r"lines: 3000\nbytes: \d+\noldest: 20\d\d-")
        self.assertIn("undamaged", self.command("verify"))
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
