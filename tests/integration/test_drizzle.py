"""Boris's TypeScript packages on our tables: the daemon and Node with drizzle-orm read what the other wrote. npm packages
are downloaded once into the cache directory; without them the test is skipped."""

import json
import os
import pathlib
import re
import subprocess
import unittest

from lib.harness import TestCase, account, ad_object, record, run_ingestd
from lib.npm import packages

HERE = pathlib.Path(__file__).resolve().parent / "drizzle"
PAGE = HERE.parents[2] / "migrations/README.md"


class Drizzle(TestCase):
    @classmethod
    def setUpClass(cls):
        cls.place = packages(HERE)
        super().setUpClass()

    def node(self, script, *args):
        done = subprocess.run(["node", script, *args], cwd=self.place, env=dict(os.environ, DATABASE_URL=self.db.url),
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.strip()

    def test_drizzle_reads_rows_of_the_daemon(self):
        connection = self.db.create_connection()
        big = 9007199254740993
        replies = self.daemon().send(
            account(connection, name="Zoë", timezone="Europe/Prague"), ad_object("c"), ad_object("s", "AD_SET", "c"),
            ad_object("a", "AD", "s", platformData={"x": [1, None]}),
            record(externalId="a", amountCents=str(big), metrics={"ctr": "0.15"}), record(externalId="c"),
            record(externalId="c", collectedAt="2026-12-03T00:00:00Z"))
        self.assertEqual(replies.counts(), (7, 7, 0, 0))
        read = json.loads(self.node("read.mjs", connection))
        [read_account] = read["connection"]["accounts"]
        self.assertEqual((read_account["externalId"], read_account["name"], read_account["timezone"]),
                         ("act_1", "Zoë", "Europe/Prague"))
        [campaign] = read_account["objects"]
        [ad_set] = campaign["children"]
        [ad] = ad_set["children"]
        self.assertEqual((campaign["externalId"], ad_set["parent"]["externalId"], ad["externalId"], ad["platformData"]),
                         ("c", "c", "a", {"x": [1, None]}))
        self.assertEqual([row["collectedAt"] for row in campaign["spending"]],
                         ["2026-11-03T00:00:00.000Z", "2026-12-03T00:00:00.000Z"])
        [row] = ad["spending"]
        self.assertEqual((row["impressions"], row["metrics"]), (None, {"ctr": "0.15"}))
        # nested rows come as JSON, of which JavaScript rounds integers above 2^53: exact is what comes as columns
        self.assertIn(str(big), [row["amountCents"] for row in read["backwards"]])
        self.assertEqual({row["object"]["account"]["connection"]["id"] for row in read["backwards"]}, {connection})

    def test_the_call_that_the_page_shows(self):
        connection = self.db.create_connection()
        replies = self.daemon().send(
            account(connection, timezone="Europe/Prague"), ad_object("c"), ad_object("a", "AD", "c"),
            *[record(externalId=name, amountCents=amount, periodStart="2026-11-01T23:00:00Z",
                     periodEnd="2026-11-02T23:00:00Z") for name, amount in (("c", "9007199254740993"), ("a", 1))])
        self.assertEqual(replies.rejects, {})
        [sample] = re.findall(r"^```ts\n(.*?)^```", PAGE.read_text(), re.M | re.S)
        script = self.place / "page.mjs"
        script.write_text(
            'import { drizzle } from "drizzle-orm/node-postgres";\nimport pg from "pg";\n'
            "const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL });\nconst db = drizzle(pool);\n"
            f"const [from, to, accountId] = process.argv.slice(2);\n{sample}console.log(JSON.stringify(rows));\nawait pool.end();\n")
        account_id = self.db.value("SELECT id FROM ad_accounts")
        self.assertEqual(json.loads(self.node("page.mjs", "2026-11-01", "2026-12-01", account_id)),
                         [{"week": "2026-11-02", "currency": "USD", "amount_cents": "9007199254740993"}])

    def assert_both_ways(self):
        connection = self.node("insert.mjs")
        line = record(platform="TIKTOK", accountExternalId="tt_1", externalId="7340000000000000002")
        update = ad_object("7340000000000000002", "AD", "7340000000000000001", platform="TIKTOK",
                           accountExternalId="tt_1", status="DELETED", name=None)
        self.assertEqual(self.daemon().send(line, update).counts(), (2, 2, 0, 0))
        [found] = json.loads(self.node("read.mjs", connection))["connection"]["accounts"]
        [ad] = found["objects"][0]["children"]
        self.assertEqual((ad["status"], len(ad["spending"])), ("DELETED", 2))

    def test_the_daemon_finds_rows_of_drizzle(self):
        self.assert_both_ways()

    def test_a_database_that_drizzle_made(self):
        self.db.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        self.db.execute((HERE.parent / "drizzle_schema.sql").read_text())
        self.node("insert.mjs")  # before migrate, too
        done = run_ingestd(self.db, "migrate")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.db.execute("DELETE FROM platform_connections")
        self.db.add_role()
        self.assert_both_ways()


if __name__ == "__main__":
    unittest.main()
