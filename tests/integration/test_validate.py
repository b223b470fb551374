"""boris-ingestd validate: the same rejects and exit status as send, without a daemon; against a database, the same outcome
as send, without writing anything."""

import json
import pathlib
import tempfile
import unittest
import uuid

from lib.client import encode
from lib.harness import TestCase, account, ad_object, numbered, record, run_ingestd

WHEN = "2026-11-03T00:00:00Z"


def rejects(out):
    return [line for line in out.splitlines() if line.startswith("line ") or line.startswith('{"reject"')]


class Validate(unittest.TestCase):
    def setUp(self):
        super().setUp()
        self.dir = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="ingestd-")))

    def file(self, *lines, end=b"\n"):
        path = self.dir / "lines.jsonl"
        path.write_bytes(b"".join(encode(line) + end for line in lines))
        return str(path)

    def validate(self, path, *args, db=None, status=0, **kwargs):
        done = run_ingestd(db, "validate", path, "--config", "/dev/null", *args, **kwargs)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done


BAD = [b"\xef\xbb\xbf" + encode({"kind": "hello", "client": "x"}), record(), b"", b"nonsense", record(platform="FACEBOOK"),
       record(amountCents=1.5), record(nope=1), {"kind": "adAccount"}, record(externalId=None), b"[1]",
       record(externalId="1" * 5000), b'{"a":1,"a":2}', record(metrics={"x": 1})]


class WithoutDatabase(Validate):
    def test_rejects_and_totals(self):
        done = self.validate(self.file(*BAD), "--set", "limits.max_line_bytes=4096", status=1)
        codes = [line.split(": ")[1].split()[0] for line in rejects(done.stdout)]
        self.assertEqual(codes, ["bad_json", "bad_value", "bad_value", "unknown_field", "missing_field", "missing_field", "bad_type",
                                 "line_too_long", "unknown_field"])
        self.assertIn("13 lines: 2 valid, 9 rejected, 2 empty\n", done.stdout)
        self.assertEqual(done.stderr, "boris-ingestd: 9 of 13 lines were rejected: see above for each\n")

    def test_good_lines(self):
        for end in (b"\n", b"\r\n"):
            self.assertEqual(self.validate(self.file(*numbered(3), end=end)).stdout, "3 lines: 3 valid, 0 rejected\n")
        path = self.file(*numbered(2))
        pathlib.Path(path).write_bytes(pathlib.Path(path).read_bytes().rstrip(b"\n"))
        self.assertEqual(self.validate(path).stdout, "2 lines: 2 valid, 0 rejected\n")
        self.assertEqual(self.validate(self.file()).stdout, "0 lines: 0 valid, 0 rejected\n")

    def test_pieces(self):
        """Lines that span several reads, one of them longer than any piece."""
        lines = [*numbered(4000, metrics={"pad": "x" * 600}), record(metrics={"pad": "x" * 3000000}), record()]
        done = self.validate(self.file(*lines), status=1)
        self.assertIn("line 4001: line_too_long", done.stdout)
        self.assertIn("4002 lines: 4001 valid, 1 rejected\n", done.stdout)

    def test_json_and_standard_input(self):
        lines = "nonsense\n" + json.dumps(record()) + "\n"
        out = self.validate("-", "--json", stdin=lines, status=1).stdout.splitlines()
        self.assertEqual(json.loads(out[0])["code"], "bad_json")
        self.assertEqual(json.loads(out[1]), {"lines": 2, "valid": 1, "rejected": 1, "empty": 0})

    def test_faults(self):
        self.assertIn("No such file", self.validate("/nowhere", status=1).stderr)
        self.assertIn("directory", self.validate(str(self.dir), status=1).stderr)
        self.assertIn("cannot connect", self.validate(self.file(record()), "--against-database", "--set",
                                                      "database.url=host=/nowhere", status=1).stderr)


class AgainstDatabase(Validate, TestCase):
    def both(self, *lines):
        """Compares the output of validate with what send does afterwards."""
        path = self.file(*lines)
        before = self.db.query("SELECT * FROM spending"), self.db.query("SELECT * FROM ad_objects"), self.db.query("SELECT * FROM ad_accounts")
        said = run_ingestd(self.db.daemon_url, "validate", path, "--config", "/dev/null", "--against-database", "--json")
        after = self.db.query("SELECT * FROM spending"), self.db.query("SELECT * FROM ad_objects"), self.db.query("SELECT * FROM ad_accounts")
        self.assertEqual(before, after)
        sent = run_ingestd(None, "send", path, "--config", "/dev/null", "--socket", self.d.socket, "--json")
        self.assertEqual((said.returncode, said.stderr), (sent.returncode, sent.stderr))
        self.assertEqual(rejects(said.stdout), rejects(sent.stdout))
        totals = json.loads(said.stdout.splitlines()[-1])
        done = json.loads(sent.stdout.splitlines()[-1])
        self.assertEqual(totals, {key: done[key] for key in totals})
        return totals

    def test_its_outcomes_equal_those_of_send(self):
        self.db.add_account()
        connection = self.db.create_connection()
        self.d = self.daemon(limits__max_line_bytes=4096)
        given = record(id=str(uuid.UUID(int=7)), collectedAt=WHEN)
        timeless = record(id=str(uuid.UUID(int=8)), collectedAt=None)
        spending = [*numbered(5, collectedAt=WHEN), given, given, given | {"amountCents": 7}, timeless, timeless | {"clicks": 9},
                    timeless, record(collectedAt=None), record(collectedAt=None),
                    record(externalId="nope"), record(accountExternalId="nope"),
                    record(platform="TIKTOK"), record(metrics={"a": [1, {"b": '"\\,{}'}]}, collectedAt=WHEN)]
        self.assertEqual(self.both(*spending), {"lines": 17, "stored": 10, "duplicate": 2, "rejected": 5, "empty": 0})
        self.assertEqual(self.both(*spending)["stored"], 2)
        self.both(account(connection, 'new "\\'), account(connection, 'new "\\'), account(connection, 'new "\\', name="other"),
                  account(str(uuid.UUID(int=1)), "new"),
                  ad_object("c", accountExternalId='new "\\'), ad_object("s", "AD_SET", "c", accountExternalId='new "\\'),
                  ad_object("a", "AD", "s", accountExternalId='new "\\', platformData={"x": "\u00e9"}),
                  ad_object("a", "AD", "nobody", accountExternalId='new "\\'), ad_object("s", "AD", "c", accountExternalId='new "\\'),
                  ad_object("b", "CAMPAIGN", accountExternalId="nope"), ad_object("1", accountExternalId="act_1"),
                  record(accountExternalId='new "\\', externalId="a", collectedAt=WHEN), record(externalId="1", collectedAt=WHEN),
                  record(externalId="unknown"), record(accountExternalId='new "\\', externalId="b"),
                  record(externalId="1", collectedAt="2026-11-04T00:00:00Z"))
        # in a run of its own: a record that waits for its object would be judged after the account became ambiguous
        self.both(account(connection, "act_1"), record(externalId="1", collectedAt="2026-11-04T00:00:00Z"))
        self.both(*numbered(3000, collectedAt=WHEN, metrics={"pad": "y" * 600}), record(externalId="nope"))


del Validate, TestCase

if __name__ == "__main__":
    unittest.main()
