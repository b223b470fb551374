"""Names that operators give to platform connections: stored, changed, and printed wherever a connection is named."""

import csv
import io
import json
import unittest
import uuid

from lib.harness import TestCase, run_ingestd

CHECK = ("check", "--set=listen.unix=/tmp/never", "--set=http.listen=")


class Labels(TestCase):
    def command(self, *args, stdin="", status=0):
        done = run_ingestd(self.db, *args, stdin=stdin)
        self.assertEqual(done.returncode, status, done.stderr + done.stdout)
        return done.stderr if status else done.stdout

    def create(self, *args):
        return self.command("connection", "create", "META", *args, stdin='{"token":"x"}').strip()

    def lines(self, url=None):
        return {line.split()[0]: line for line in run_ingestd(url or self.db, "connection", "list").stdout.splitlines()}

    def labels(self):
        return {row["id"]: row["label"] for row in json.loads(self.command("connection", "list", "--format", "json"))}

    def test_create_update_and_remove(self):
        made, plain = self.create("--label", 'Meta "EU" \u00fc'), self.create()
        self.assertTrue(self.lines()[made].endswith(', label "Meta "EU" \u00fc"'), self.lines())
        self.assertTrue(self.lines(self.db.daemon_url)[made].endswith(', label "Meta "EU" \u00fc"'), "the daemon's role")
        self.assertNotIn("label", self.lines()[plain])
        self.assertEqual(self.labels(), {made: 'Meta "EU" \u00fc', plain: None})

        # a label alone leaves the credentials, and standard input, alone
        self.command("connection", "update", plain, "--label", "second", stdin="not JSON")
        self.command("connection", "update", made, "--label", "=1+1")
        self.assertEqual(self.labels(), {made: "=1+1", plain: "second"})
        rows = list(csv.DictReader(io.StringIO(self.command("connection", "list", "--format", "csv"))))
        self.assertEqual({row["id"]: row["label"] for row in rows}, {made: "'=1+1", plain: "second"})
        self.assertEqual(self.db.value("SELECT DISTINCT credentials::text FROM platform_connections"), '{"token": "x"}')

        # both; credentials alone; neither where one is refused
        self.command("connection", "update", made, "--label", "both", "--file", "-", stdin='{"token":"y"}')
        self.command("connection", "update", plain, stdin='{"token":"y"}')
        self.command("connection", "update", made, "--label", "none", "--file", "-", stdin="[]", status=1)
        self.assertEqual(self.labels(), {made: "both", plain: "second"})
        self.assertEqual(self.db.value("SELECT DISTINCT credentials::text FROM platform_connections"), '{"token": "y"}')
        self.command("connection", "update", made, "--label", "")
        self.assertEqual(self.labels(), {made: None, plain: "second"})

        self.assertIn("no connection", self.command("connection", "update", str(uuid.uuid4()), "--label", "x", status=1))
        self.assertIn("no connection", self.command("connection", "update", str(uuid.uuid4()), "--label", "", status=1))
        self.assertIn(f'connection {plain} "second" (META)', self.command("connection", "delete", "--yes", plain))
        self.assertEqual(self.db.value("SELECT count(*) FROM boris_ingestd_connection_labels"), "0")

    def test_bounds(self):
        longest = "\U0001f600" * 80
        made = self.create("--label", longest)
        self.assertEqual(self.labels()[made], longest)
        for bad in ("x" * 81, "a\nb", "a\x1b[31mb", "\x7f", "a\u0085b", "a\u202eb", "a\u200bb", b"a\xffb"):
            for args in (("create", "META"), ("update", made)):
                with self.subTest(bad=bad, args=args):
                    error = self.command("connection", *args, "--label", bad, stdin="{}", status=2)
                    self.assertIn("--label must be at most 80 characters, all of them visible", error)
        self.assertEqual(self.labels(), {made: longest})

    def test_foreign_text(self):
        """A label that another program stored cannot act on the terminal."""
        made = self.create()
        self.db.execute(f"INSERT INTO boris_ingestd_connection_labels VALUES ('{made}', E'a\\x1b[31m\\nb\\u202e')")
        self.assertTrue(self.lines()[made].endswith(', label "a?[31m?b?"'), self.lines())

    def test_where_connections_are_named(self):
        made, other = self.create("--label", "Meta EU"), self.create()
        for connection in (made, other):
            self.db.execute(f"INSERT INTO ad_accounts (platform_connection_id, external_id, currency, timezone) "
                            f"VALUES ('{connection}', 'act_1', 'USD', 'UTC')")
        days = ("--from", "2026-11-01", "--to", "2026-11-02")
        for args in (("hierarchy",), ("report", *days)):
            error = self.command(*args, "--account", "act_1", status=1)
            self.assertIn("2 ad accounts have this id: on ", error)
            self.assertIn(f'META platform connection {made} "Meta EU"', error)
            self.assertIn(f"META platform connection {other}", error)
            self.assertEqual(error.count("\n"), 1)
        hierarchy = ("hierarchy", "--account", "act_1", "--connection", made)
        self.assertIn(f'on platform connection {made} "Meta EU": USD', self.command(*hierarchy))
        self.db.execute("INSERT INTO ad_objects (ad_account_id, external_id, type, status) "
                        f"SELECT id, 'o', 'AD', 'ACTIVE' FROM ad_accounts WHERE platform_connection_id = '{made}'")
        self.assertEqual([row["connection_label"] for row in json.loads(self.command(*hierarchy, "--format", "json"))], ["Meta EU"])
        self.assertEqual([row["connection_label"] for row in
                          csv.DictReader(io.StringIO(self.command(*hierarchy, "--format", "csv")))], ["Meta EU"])
        done = run_ingestd(self.db, *CHECK, "--set=credentials.require=on")
        self.assertIn(f'those of platform connection {made} "Meta EU" are plain', done.stdout)
        self.assertIn(f"those of platform connection {other} are plain", done.stdout)

    def test_without_the_table(self):
        """The other commands work before the migration, and `migrate` repairs the tables of the daemon's own."""
        made = self.create("--label", "x")
        self.db.execute("DROP TABLE boris_ingestd_connection_labels, boris_ingestd_relay")
        self.assertNotIn("label", self.lines()[made])
        self.assertIn("run boris-ingestd migrate", self.command("connection", "update", made, "--label", "y", status=1))
        self.command("connection", "create", "META", "--label", "y", stdin="{}", status=1)
        self.assertEqual(list(self.lines()), [made])
        self.create()
        migrated = self.command("migrate")
        for table in ("boris_ingestd_connection_labels", "boris_ingestd_relay"):
            self.assertIn(f"repair: added table {table} (run config/role.sql again for its privileges)", migrated)
        self.assertIn("nothing to do", self.command("migrate"))
        self.command("connection", "update", made, "--label", "y")
        self.assertEqual(self.labels()[made], "y")


if __name__ == "__main__":
    unittest.main()
