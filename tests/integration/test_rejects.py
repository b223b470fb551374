"""The reject file: what is recorded, rotation, faults of the disk, and replay."""

import json
import os
import pathlib
import re
import tempfile
import unittest

from lib.client import encode
from lib.harness import TestCase, record, run_ingestd, wait_until


class RejectFile(TestCase):
    def setUp(self):
        super().setUp()
        self.db.add_account()

    def start(self, **settings):
        self.dir = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="ingestd-")))
        self.file = self.dir / "rejects.jsonl"
        self.d = self.daemon(rejects__file=str(self.file), **settings)

    def entries(self, file=None):
        return [json.loads(line) for line in (file or self.file).read_text().splitlines()]

    def wait_entries(self, n):
        wait_until(lambda: len(self.entries()) >= n, f"{n} entries")
        return self.entries()

    def replay(self, file=None, status=0):
        done = run_ingestd(self.db, "rejects", "replay", str(file or self.file), "--set", f"listen.unix={self.d.socket}")
        self.assertEqual(done.returncode, status, done.stderr + done.stdout)
        return done

    def test_every_refused_line_with_its_reason(self):
        self.start(limits__max_line_bytes=1024, limits__memory_bytes="16M")
        self.db.execute("ALTER TABLE spending ADD CHECK (amount_cents <> 13)")
        lines = [record(), encode(record(amountCents=1.5)), b"x" * 2000, b'{"a":"\xff\x01\\\""}', b"\x7f\xc3\xa4",
                 record(externalId="none"), record(amountCents=13), {"kind": "adObject"}]
        replies = self.d.send(*lines)
        self.assertEqual(len(replies.rejects), 7)
        entries = {entry["line"]: entry for entry in self.wait_entries(7)}
        self.assertEqual(sorted(entries), [2, 3, 4, 5, 6, 7, 8])
        for n, entry in entries.items():
            reject = replies.rejects[n]
            self.assertEqual((entry["code"], entry.get("field"), entry["message"]),
                             (reject["code"], reject.get("field"), reject["message"]))
            self.assertEqual((entry["connection"], entry["peer"]), (1, f"uid {os.getuid()}, pid {os.getpid()}"))
            self.assertRegex(entry["time"], r"^20\d\d-.*Z$")
        self.assertEqual({n: entry.get("record") for n, entry in entries.items()}, {
            2: lines[1].decode(), 3: None, 4: '{"a":"\ufffd\x01\\""}', 5: "\x7fä", 6: json.dumps(lines[5]),
            7: json.dumps(lines[6]), 8: json.dumps(lines[7])})
        self.assertEqual([n for n, entry in entries.items() if entry.get("lossy")], [4])
        self.assertEqual(self.file.stat().st_mode & 0o777, 0o640)

    def test_replay_begins_with_a_line_like_another_protocol(self):
        """It is rejected again, and the record after it is stored."""
        self.start()
        self.d.send(record(), "GET / HTTP/1.1", record(externalId="late"))
        self.wait_entries(2)
        copy = self.dir / "copy"
        copy.write_text(self.file.read_text())
        self.add_object("late")
        done = self.replay(copy, status=1)
        self.assertIn("2 lines: 1 stored, 0 duplicate, 1 rejected", done.stdout)

    def test_waiting_entries_are_written_at_the_end(self):
        self.start()
        lines = [record(externalId=f"none {i}", metrics={"x": "y" * 500}) for i in range(5000)]
        self.assertEqual(self.d.send(*lines).counts()[3], 5000)
        self.d.stop()
        self.assertEqual([entry["line"] for entry in self.entries()], list(range(1, 5001)))

    def test_rotation(self):
        self.start(rejects__max_bytes="64K", rejects__keep=2)
        for i in range(40):
            self.d.send(*[record(externalId=f"none {i} {j}") for j in range(20)])
        self.d.stop()
        files = sorted(path.name for path in self.dir.iterdir())
        self.assertEqual(files, ["rejects.jsonl", "rejects.jsonl.1", "rejects.jsonl.2"])
        kept = [entry for name in reversed(files) for entry in self.entries(self.dir / name)]
        self.assertTrue(100 < len(kept) < 800)
        self.assertEqual([entry["record"] for entry in kept][-1], json.dumps(record(externalId="none 39 19")))
        self.assertTrue(all((self.dir / name).stat().st_size <= 64 << 10 for name in files))

    def test_a_file_that_is_moved_away_or_cannot_be_written(self):
        self.start()
        self.d.send(record(externalId="first"))
        self.wait_entries(1)
        self.file.rename(self.dir / "away")
        self.d.send(record(externalId="second"))
        wait_until(self.file.exists, "a new file")
        self.assertIn("second", self.wait_entries(1)[0]["record"])
        self.file.unlink()
        self.file.mkdir()
        self.assertEqual(self.d.send(record(externalId="third"), record()).counts(), (2, 1, 0, 1))
        wait_until(lambda: "rejected lines are not recorded" in self.d.log(), "the log")
        self.d.send(record(externalId="fourth"))
        self.file.rmdir()
        self.d.send(record(externalId="fifth"))
        # the fourth is in the file if its turn to be written came only then
        again = wait_until(lambda: re.search("is written again; ([12]) rejected", self.d.log()), "the log")
        entries = self.wait_entries(3 - int(again[1]))
        self.assertIn("fifth", entries[-1]["record"])

    def test_a_file_that_cannot_be_created(self):
        self.start()
        done = run_ingestd(self.db, "--set", f"rejects.file={self.dir}/no/file", "--set", f"listen.unix={self.dir}/s")
        self.assertEqual(done.returncode, 1)
        self.assertIn("rejects.file", done.stderr)
        self.assertIn("No such file", done.stderr)

    def test_replay_of_another_file(self):
        self.start()
        other = self.file.with_name("other")
        other.write_text("".join(json.dumps(record(amountCents=n)) + "\n" for n in range(3)))
        self.assertIn("it has no entry of a reject file", self.replay(other, status=1).stderr)
        self.assertIn("Is a directory", self.replay(self.file.parent, status=1).stderr)
        self.d.send("x" * 3_000_000)
        wait_until(lambda: self.file.exists() and self.file.read_text(), "an entry without its line")
        self.assertIn("1 line without a record left out", self.replay().stdout)

    def test_replay(self):
        self.start()
        lines = [record(externalId=f"later {i}", metrics={"text": f"\"ä\\ {i}\n"}) for i in range(3000)]
        self.assertEqual(self.d.send(*lines, b"{", b"\xff").counts(), (3002, 0, 0, 3002))
        self.wait_entries(3002)
        mine = self.dir / "mine"
        self.file.rename(mine)
        again = self.replay(mine, status=1)
        self.assertIn("3001 lines: 0 stored, 0 duplicate, 3001 rejected in", again.stdout)
        self.assertIn("1 line without a record left out", again.stdout)
        self.assertEqual(again.stdout.count("unknown_ad_object"), 3000)
        self.assertIn("3001 of 3001 lines were rejected", again.stderr)
        values = ",".join(f"('later {i}')" for i in range(3000))
        self.db.execute(f"INSERT INTO ad_objects (ad_account_id, external_id, type, status) "
                        f"SELECT a.id, v, 'AD', 'ACTIVE' FROM ad_accounts a, (VALUES {values}) AS t (v)")
        mine.write_text("".join(line + "\n" for line in mine.read_text().splitlines() if "bad_json" not in line))
        self.assertIn("3000 lines: 3000 stored,", self.replay(mine).stdout)
        self.assertIn("3000 lines: 0 stored, 3000 duplicate,", self.replay(mine).stdout)
        self.assertEqual(self.db.value("SELECT count(DISTINCT metrics) FROM spending"), "3000")
        # the daemon's own file, which grows meanwhile, has an end
        self.replay(status=1)
        self.d.stop()
        self.assertIn("does the daemon run?", self.replay(mine, status=1).stderr)

    def test_list_and_replay_with_filters(self):
        self.start()
        self.db.add_account("act_2")
        self.d.send(*[record(externalId=f"new{i}", amountCents=i) for i in range(3)], record(accountExternalId="act_2", externalId="new0"),
                    b"nonsense", record(amountCents=1.5), record(accountExternalId="nope"),
                    {"kind": "adAccount", "externalId": "act_9", "connectionId": "x"})
        self.wait_entries(8)

        def listed(*options, status=0):
            done = run_ingestd(None, "rejects", "list", str(self.file), "--config", "/dev/null", "--format", "json", *options)
            self.assertEqual(done.returncode, status, done.stderr)
            return json.loads(done.stdout) if status == 0 else done.stderr

        groups = {(g["code"], g["field"], g["account"]): g for g in listed()}
        self.assertEqual({key: g["lines"] for key, g in groups.items()}, {
            ("unknown_ad_object", "externalId", "act_1"): 3, ("unknown_ad_object", "externalId", "act_2"): 1, ("bad_json", None, None): 1,
            ("bad_value", "amountCents", "act_1"): 1, ("unknown_account", "accountExternalId", "nope"): 1,
            ("bad_value", "connectionId", "act_9"): 1})
        first = listed()[0]
        self.assertEqual((first["lines"], json.loads(first["example"]), first["message"]),
                         (3, record(externalId="new0", amountCents=0), "no ad object new0 in account act_1"))
        self.assertEqual(len(listed("--code", "unknown_ad_object")), 2)
        self.assertEqual(len(listed("--account", "act_1")), 2)
        self.assertEqual(len(listed("--account", "act_1", "--field", "externalId")), 1)
        self.assertEqual(listed("--from", "2100-01-01"), [])
        self.assertEqual(len(listed("--from", "2020-01-01", "--to", "2100-01-01T00:00:00Z")), 6)
        self.assertIn("--code", listed("--code", "nope", status=2))
        self.assertIn("--from", listed("--from", "soon", status=2))
        text = run_ingestd(None, "rejects", "list", str(self.file), "--config", "/dev/null").stdout
        self.assertRegex(text, r"(?m)^ *3 +unknown_ad_object +externalId +act_1 ")
        self.assertLessEqual(max(map(len, text.splitlines())), 80)
        for name in ("new0", "new1", "new2"):
            self.db.execute("INSERT INTO ad_objects (ad_account_id, external_id, type, name, status) "
                            f"SELECT id, '{name}', 'AD', '', 'ACTIVE' FROM ad_accounts")
        done = run_ingestd(None, "rejects", "replay", str(self.file), "--config", "/dev/null", "--socket", self.d.socket,
                           "--code", "unknown_ad_object", "--account", "act_1")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("3 lines: 3 stored", done.stdout)
        self.assertIn("5 entries left out by the options", done.stdout)

    def add_object(self, name, account="act_1"):
        self.db.execute("INSERT INTO ad_objects (ad_account_id, external_id, type, name, status) "
                        f"SELECT id, '{name}', 'AD', '', 'ACTIVE' FROM ad_accounts WHERE external_id = '{account}'")

    def test_lines_of_unknown_objects_are_stored_once_the_object_exists(self):
        self.start(rejects__replay_unknown="on", rejects__max_bytes="64K")
        unknown = self.dir / "rejects.jsonl.unknown"
        late = [record(externalId="late", amountCents=n) for n in range(20)]
        never = record(externalId="never")
        other = record(accountExternalId="act_7", externalId="1")
        fresh = record(externalId="late", collectedAt=None)  # sent twice, it would be stored twice
        replies = self.d.send(*late, *late[:5], never, other, fresh, record(), record(externalId="late", amountCents=1.5),
                              {"kind": "adObject", "platform": "META", "accountExternalId": "nope", "externalId": "1", "type": "AD",
                               "name": "x", "status": "ACTIVE"})
        self.assertEqual((replies.counts()[1], replies.counts()[3]), (1, 30))
        wait_until(lambda: unknown.exists() and len(unknown.read_text().splitlines()) == 22, "each is kept once")
        self.assertEqual(unknown.stat().st_mode & 0o777, 0o640)
        self.d.kill()
        self.d.start()
        self.add_object("late")
        wait_until(lambda: self.db.count() == 21, "they are stored after a restart")
        wait_until(lambda: len(unknown.read_text().splitlines()) == 2, "they are kept no longer")
        self.assertEqual(self.db.value("SELECT count(*) FROM spending WHERE amount_cents < 20"), "20")
        unknown.write_text("".join(json.dumps(line) + "\n" for line in [*late, never]))  # as if it had died before that
        self.add_object("never")
        wait_until(lambda: self.db.count() == 22, "the last one is stored")
        wait_until(lambda: unknown.read_text() == "", "all is settled")
        self.assertEqual(self.db.count(), 22)
        self.d.send(*[record(externalId="many", amountCents=n, metrics={"pad": "x" * 900}) for n in range(200)])
        wait_until(lambda: unknown.read_text(), "they are kept")
        self.assertLessEqual(unknown.stat().st_size, 64 << 10)
        self.d.stop()

    def test_a_line_of_an_unknown_object_sent_often(self):
        self.start(rejects__replay_unknown="on", rejects__max_bytes="256M")
        self.d.stop()
        unknown = self.dir / "rejects.jsonl.unknown"
        unknown.write_text((json.dumps(record(externalId="late")) + "\n") * 400_000)
        self.add_object("late")
        self.d.start()
        wait_until(lambda: unknown.read_text() == "", "all is settled")
        self.assertEqual(self.db.count(), 1)

    def test_lines_of_unknown_objects_need_a_reject_file(self):
        done = run_ingestd(self.db, "check", "--config", "/dev/null", "--config-only", "--set", "rejects.replay_unknown=on")
        self.assertIn("rejects.replay_unknown requires rejects.file", done.stderr)


if __name__ == "__main__":
    unittest.main()
