"""Only the reject file records the outcome of a line that was acked as spooled: other lines cannot push it out, lines
removed by rotation are counted, and the size of a record in the file is limited."""

import json
import pathlib
import re
import unittest
import urllib.request

import test_spool
from lib.client import encode
from lib.harness import record, run_ingestd, wait_until


class Rotation(test_spool.Spool):
    def start(self):
        self.d = self.spooling(rejects__max_bytes="64K", rejects__keep=2, http__listen="127.0.0.1:0", resolve__unknown_grace_ms=0)
        return self.d

    def lost(self):
        text = urllib.request.urlopen(f"{self.d.http()}/metrics").read().decode()
        return int(re.search(r"reject_file_lost_lines_total (\d+)", text)[1])

    def entries(self, suffix=""):
        path = pathlib.Path(f"{self.rejects}{suffix}")
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def test_lines_that_were_acked_as_spooled_are_kept_apart(self):
        d = self.start()
        self.server_away()
        lines = [json.dumps(record(externalId=f"none {n}", metrics={"pad": "y" * 20000} if n == 0 else None)) for n in range(2000)]
        self.assertEqual(d.send(*lines).ack["spooled"], 2000)
        self.server.start()
        self.wait_empty(d)
        for _ in range(30):
            d.send(*[b"x" * 9000] * 20)
        wait_until(lambda: self.lost() > 0, "rotation removes lines")
        kept = self.entries(".spooled")
        self.assertEqual([entry["record"] for entry in kept], lines)
        self.assertTrue(all(entry["spooled"] for entry in kept))
        self.assertIn("rotation removed", d.log())
        # all is somewhere, or counted
        d.stop()
        d.start()
        entries = sum(len(self.entries(suffix)) for suffix in ("", ".1", ".2"))
        self.assertLess(entries, 2600)
        # and can be sent again
        done = run_ingestd(self.db, "rejects", "replay", f"{self.rejects}.spooled", "--set", f"listen.unix={d.socket}")
        self.assertIn("2000", done.stdout + done.stderr)

    def test_lines_removed_by_rotation_are_counted(self):
        d = self.start()
        sent = 0
        for _ in range(20):
            d.send(*[record(externalId=f"none {sent + n}") for n in range(100)])
            sent += 100
        wait_until(lambda: sum(len(self.entries(s)) for s in ("", ".1", ".2")) + self.lost() == sent, "each is in a file, or counted")
        self.assertGreater(self.lost(), 500)

    def test_long_records_are_cut(self):
        d = self.start()
        long = record(amountCents="x", metrics={"pad": "ä" * 100000})
        self.assertEqual(d.send(long, encode(record(amountCents=1.5))).counts()[3], 2)
        entries = wait_until(lambda: len(e := self.entries()) == 2 and e, "both")
        self.assertLess(len(json.dumps(entries[0], ensure_ascii=False).encode()), 20000)
        self.assertTrue(entries[0]["cut"])
        done = run_ingestd(self.db, "rejects", "replay", str(self.rejects), "--set", f"listen.unix={d.socket}")
        self.assertIn("1 line without a record left out", done.stdout)

    def test_the_spool_keeps_a_line_whose_reject_cannot_be_written(self):
        d = self.start()
        self.server_away()
        self.assertEqual(d.send(record(externalId="none")).ack["spooled"], 1)
        blocked = pathlib.Path(f"{self.rejects}.spooled")
        blocked.mkdir()
        self.server.start()
        wait_until(lambda: "cannot be written" in d.log(), "it is tried")
        d.stop()
        blocked.rmdir()
        d.start()
        self.wait_empty(d)
        self.assertEqual([entry["code"] for entry in wait_until(lambda: self.entries(".spooled"), "the entry")], ["unknown_ad_object"])


if __name__ == "__main__":
    unittest.main()
