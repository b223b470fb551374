"""Text of clients and of the database, on operators' terminals and in the log: it cannot move the cursor, change the
writing direction or be a formula; and no line's content is logged."""

import csv
import io
import json
import tempfile
import unittest

from lib.harness import TestCase, psql, record, run_ingestd, wait_until

EVIL = "\x1b]0;title\x07\x1b[2J\u202eevil\u2066\u009b31m"
HIDDEN = "\x1b\x07\x07\u202e\u2066\u009b\u200f\u2028"
FORMULAS = ("=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\uff1d1+1")


class Terminal(TestCase):
    def setUp(self):
        super().setUp()
        self.connection = self.db.add_account()

    def assert_clean(self, text):
        self.assertFalse([c for c in text if c in HIDDEN or (ord(c) < 32 and c != "\n")], repr(text))

    def test_hierarchy_and_report(self):
        quoted = EVIL.replace("'", "''")
        psql(self.db.url, f"UPDATE ad_accounts SET timezone = '{quoted}', external_id = 'e{quoted}', name = '{quoted}'; "
                          f"UPDATE ad_objects SET external_id = '1{quoted}', name = '{quoted}' WHERE external_id = '1'; "
                          "INSERT INTO spending (id, collected_at, ad_object_id, period_start, period_end, amount_cents, currency) "
                          "SELECT gen_random_uuid(), '2026-11-03', id, '2026-11-01', '2026-11-02', -868, 'USD' FROM ad_objects")
        done = run_ingestd(self.db, "hierarchy", "--account", "e" + EVIL)
        self.assertIn("ad account e", done.stdout)
        self.assert_clean(done.stdout)
        for format in ("table", "csv"):
            done = run_ingestd(self.db, "report", "--from", "2026-11-01", "--to", "2026-12-01", "--by", "object", "--format", format)
            self.assertIn("-868", done.stdout)
            self.assertIn("evil", done.stdout)
            self.assert_clean(done.stdout)
        done = run_ingestd(self.db, "report", "--from", "2026-11-01", "--to", "2026-12-01", "--by", "object", "--format", "json")
        self.assertIn(EVIL, [row["name"] for row in json.loads(done.stdout)])

    def test_formulas_in_csv(self):
        for n, formula in enumerate(FORMULAS):
            name = formula.replace("'", "''")
            psql(self.db.url, "INSERT INTO ad_objects (ad_account_id, external_id, type, status, name) "
                              f"SELECT id, 'f{n}', 'AD', 'ACTIVE', '{name}' FROM ad_accounts")
        psql(self.db.url, "INSERT INTO spending (id, collected_at, ad_object_id, period_start, period_end, amount_cents, currency) "
                          "SELECT gen_random_uuid(), '2026-11-03', id, '2026-11-01', '2026-11-02', -868, 'USD' FROM ad_objects")
        done = run_ingestd(self.db, "report", "--from", "2026-11-01", "--to", "2026-12-01", "--by", "object", "--format", "csv")
        rows = list(csv.DictReader(io.StringIO(done.stdout)))
        self.assertEqual({row["name"] for row in rows if row["object"].startswith("f")}, {"'" + formula for formula in FORMULAS})
        self.assertEqual({row["amount_cents"] for row in rows}, {"-868"})

    def test_check_and_errors(self):
        psql(self.db.url, "UPDATE boris_ingestd_migrations SET name = 'x\x1b[31m\u202e' WHERE name LIKE '0001%'")
        done = run_ingestd(self.db, "check")
        self.assertIn("wrong", done.stdout)
        self.assert_clean(done.stdout + done.stderr)
        done = run_ingestd(self.db, "rejects", "replay", "/nonexistent/" + EVIL)
        self.assertEqual(done.returncode, 1)
        self.assert_clean(done.stderr)

    def test_send(self):
        d = self.daemon()
        with tempfile.NamedTemporaryFile("w", suffix=EVIL.replace("/", "")) as file:
            file.write(json.dumps(record(externalId=EVIL), ensure_ascii=False) + "\n" + json.dumps(record(currency=EVIL)) + "\n")
            file.flush()
            done = run_ingestd(self.db, "send", file.name, "--set", f"listen.unix={d.socket}")
        self.assertIn("unknown_ad_object", done.stdout)
        self.assert_clean(done.stdout + done.stderr)


class DatabaseText(TestCase):
    """A trigger may quote anything, with any code: the client sees it, the log does not."""

    def setUp(self):
        super().setUp()
        self.db.add_account()

    def test_a_trigger_that_quotes_the_row(self):
        for sqlstate in ("P0001", "23514", "22023", "57014", "40001", "42501"):
            with self.subTest(sqlstate=sqlstate):
                self.db.refuse_inserts("spending", "NEW.amount_cents = 13", "s3cr3t \x1b[31m", sqlstate)
                d = self.daemon(log__level="debug")
                client = d.client()
                client.send(record(amountCents=13, metrics={"a": "s3cr3t"}), record())
                wait_until(lambda: sqlstate in d.log() or sqlstate == "40001", "the error", timeout=20)
                if sqlstate in ("P0001", "23514", "22023"):
                    replies = client.finish()
                    self.assertIn("s3cr3t", replies.rejects[1]["message"])
                else:
                    client.close()
                d.kill()
                self.assertNotIn("s3cr3t", d.log())
                self.assertNotIn("\x1b", d.log())

    def test_notices_and_constraints(self):
        self.db.execute("""
            CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $f$
            BEGIN RAISE WARNING 's3cr3t %', NEW.metrics; RETURN NEW; END $f$;
            CREATE TRIGGER tell BEFORE INSERT ON spending FOR EACH ROW EXECUTE FUNCTION tell();
            ALTER TABLE spending ADD CONSTRAINT no_13 CHECK (amount_cents <> 13)""")
        d = self.daemon(log__level="debug")
        replies = d.send(record(amountCents=13, metrics={"a": "s3cr3t"}))
        self.assertEqual(replies.codes(), {1: "refused_by_database"})
        self.assertNotIn("s3cr3t", d.log())
        self.assertRegex(d.log(), r"constraint no_13, table ")


if __name__ == "__main__":
    unittest.main()
