"""The package's Drizzle schema, with drizzle-orm's current release and its v1 line: rows both ways, relations, queries, and
drizzle-kit on databases that `boris-ingestd migrate` made, and the other way round. npm packages are downloaded once into the cache
directory; without them the tests are skipped."""

import json
import os
import pathlib
import re
import shutil
import unittest

from lib.consumer import Project
from lib.harness import ROOT, TestCase, account, ad_object, record, run_ingestd

HERE = pathlib.Path(__file__).resolve().parent
PAGE = ROOT / "migrations/README.md"

# All that drizzle-kit could change, and what it must not touch.
CATALOGUE = """
SELECT concat_ws(' ', 'column', table_name, column_name, udt_name, is_nullable, column_default) FROM information_schema.columns
WHERE table_schema = 'public'
UNION ALL SELECT concat_ws(' ', 'constraint', conrelid::regclass, conname, pg_get_constraintdef(oid)) FROM pg_constraint
WHERE connamespace = 'public'::regnamespace AND conrelid <> 0
UNION ALL SELECT concat_ws(' ', 'index', indexdef) FROM pg_indexes WHERE schemaname = 'public'
UNION ALL SELECT concat_ws(' ', 'relation', relkind, relname) FROM pg_class WHERE relnamespace = 'public'::regnamespace
UNION ALL SELECT concat_ws(' ', 'enum', enumtypid::regtype, enumlabel) FROM pg_enum
UNION ALL SELECT concat_ws(' ', 'function', oid::regprocedure) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
UNION ALL SELECT concat_ws(' ', 'hypertable', hypertable_name, num_chunks) FROM timescaledb_information.hypertables
ORDER BY 1"""

SCHEMA = 'export * from "boris-ingestd-client/drizzle";\n'

CONFIG = """
import { kit } from "boris-ingestd-client/drizzle";
export default { dialect: "postgresql", schema: "./schema.ts", dbCredentials: { url: process.env.DATABASE_URL }, ...kit };
"""


class Line:
    """The tests for one line of drizzle-orm."""

    @classmethod
    def setUpClass(cls):
        shared = () if cls.folder == "drizzle" else [HERE / "drizzle" / name for name in ("insert.mjs", "queries.mjs")]
        cls.project = Project(cls, HERE / cls.folder, *shared)
        (cls.project.place / "schema.ts").write_text(SCHEMA)
        (cls.project.place / "drizzle.config.ts").write_text(CONFIG)
        super().setUpClass()

    def setUp(self):
        super().setUp()
        self.out = self.project.place / "drizzle"
        shutil.rmtree(self.out, ignore_errors=True)

    def env(self):
        return dict(os.environ, DATABASE_URL=self.db.url, NO_COLOR="1")

    def node(self, script, *args):
        return self.project.run("node", script, *args, env=self.env()).strip()

    def kit(self, *args):
        return self.project.bin("drizzle-kit", *args, env=self.env())

    def catalogue(self):
        return self.db.execute(CATALOGUE)

    def empty_database(self):
        self.db.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")

    def migrate(self):
        done = run_ingestd(self.db, "migrate")
        self.assertEqual(done.returncode, 0, done.stderr)

    def assert_push_finds_nothing(self):
        before = self.catalogue()
        said = self.kit("push", "--force")
        self.assertIn("No changes detected", said)
        self.assertEqual(self.catalogue(), before)

    def assert_generate_finds_nothing(self):
        self.assertIn("No schema changes, nothing to migrate", self.kit("generate"))

    def migration(self):
        [path] = self.out.rglob("*.sql")
        return path

    # --- the tables of boris-ingestd migrate ---

    def test_kit_finds_no_difference_on_our_database(self):
        self.db.add_account()
        self.assertEqual(self.daemon().send(record(externalId="1")).counts(), (1, 1, 0, 0))
        self.assert_push_finds_nothing()
        self.kit("generate", "--name=boris_ingestd")
        self.assert_generate_finds_nothing()
        shutil.copy(self.project.package / "tables.sql", self.migration())
        before = self.catalogue()
        self.kit("migrate")
        self.assertEqual(self.catalogue(), before)
        self.assertEqual(self.db.value("SELECT count(*) FROM drizzle.__drizzle_migrations"), "1")
        self.assert_generate_finds_nothing()
        self.assert_push_finds_nothing()
        self.migrate()
        self.assertEqual(self.catalogue(), before)
        self.assertEqual(self.daemon().send(record(externalId="1")).counts(), (1, 0, 1, 0))

    # --- the tables of drizzle-kit ---

    def assert_adopted(self):
        """boris-ingestd migrate leaves nothing to do for either, and the tables are those that it makes by itself."""
        self.node("insert.mjs")  # rows that migrate moves to chunks
        self.migrate()
        self.db.execute("DELETE FROM platform_connections; SELECT drop_chunks('spending', now() + interval '1 year')")
        self.assert_push_finds_nothing()
        ours = self.catalogue()
        self.empty_database()
        self.migrate()
        self.assertEqual(ours, self.catalogue())

    def test_our_migrate_after_push(self):
        self.empty_database()
        self.kit("push", "--force")
        self.assert_adopted()

    def test_our_migrate_after_generate_and_migrate(self):
        self.empty_database()
        self.kit("generate", "--name=boris_ingestd")
        self.kit("migrate")
        self.migrate()
        self.assert_generate_finds_nothing()
        self.kit("migrate")
        self.assert_adopted()

    def test_our_migrate_after_the_packages_migration(self):
        self.empty_database()
        self.kit("generate", "--name=boris_ingestd")
        shutil.copy(self.project.package / "tables.sql", self.migration())
        self.kit("migrate")
        self.assert_adopted()

    def test_generated_tables_are_the_reference(self):
        """But for the primary key of a hypertable, and the check."""
        self.kit("generate")
        text = self.migration().read_text()
        for name in {*re.findall(r'"(\w+)"', (HERE / "drizzle_schema.sql").read_text())} - {"public"}:
            self.assertIn(f'"{name}"', text)
        self.assertRegex(text, r'"spending_pkey" PRIMARY KEY\("id", ?"collected_at"\)')

    # --- rows ---

    def test_relations_read_rows_of_the_daemon(self):
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

    def test_the_daemon_finds_rows_of_drizzle(self):
        connection = self.node("insert.mjs")
        line = record(platform="TIKTOK", accountExternalId="tt_1", externalId="7340000000000000002")
        update = ad_object("7340000000000000002", "AD", "7340000000000000001", platform="TIKTOK",
                           accountExternalId="tt_1", status="DELETED", name=None)
        self.assertEqual(self.daemon().send(line, update).counts(), (2, 2, 0, 0))
        [found] = json.loads(self.node("read.mjs", connection))["connection"]["accounts"]
        [ad] = found["objects"][0]["children"]
        self.assertEqual((ad["status"], len(ad["spending"])), ("DELETED", 2))

    def test_queries(self):
        connection = self.db.create_connection()
        big = 2 ** 62
        day = {"periodStart": "2026-11-03T00:00:00Z", "periodEnd": "2026-11-04T00:00:00Z"}
        replies = self.daemon().send(
            account(connection, timezone="UTC"), ad_object("c"), ad_object("a", "AD", "c"),
            record(externalId="a", amountCents=100, collectedAt="2026-11-05T00:00:00Z", clicks=1, metrics={"x": 1}, **day),
            record(externalId="a", amountCents=str(big), collectedAt="2026-11-06T00:00:00Z", clicks=2, metrics={"x": 2}, **day),
            record(externalId="a", amountCents=7, currency="EUR", periodStart="2026-11-10T00:00:00Z", periodEnd="2026-11-11T00:00:00Z",
                   collectedAt="2026-11-12T00:00:00Z"))
        self.assertEqual(replies.counts(), (6, 6, 0, 0))
        read = json.loads(self.node("queries.mjs", "act_1"))
        self.assertEqual([(row["bucket"], row["currency"], row["amountCents"], row["clicks"]) for row in read["totals"]],
                         [("2026-11-02T00:00:00.000Z", "USD", str(big + 100), "3"), ("2026-11-09T00:00:00.000Z", "EUR", "7", None)])
        self.assertEqual([(row["collectedAt"], row["amountCents"], row["metrics"]) for row in read["latest"]],
                         [("2026-11-06T00:00:00.000Z", str(big), {"x": 2}), ("2026-11-12T00:00:00.000Z", "7", None)])
        self.assertEqual(sorted((row["localStart"], row["objectExternalId"], row["objectType"], row["amountCents"], row["records"])
                                for row in read["report"]),
                         [("2026-11-03 00:00:00", "a", "AD", str(big), "1"), ("2026-11-10 00:00:00", "a", "AD", "7", "1")])
        self.assertEqual(sorted(row["amountCents"] for row in read["reported"]), [str(big), "7"])

    def test_the_call_that_the_page_shows(self):
        connection = self.db.create_connection()
        replies = self.daemon().send(
            account(connection, timezone="Europe/Prague"), ad_object("c"), ad_object("a", "AD", "c"),
            *[record(externalId=name, amountCents=amount, periodStart="2026-11-01T23:00:00Z",
                     periodEnd="2026-11-02T23:00:00Z") for name, amount in (("c", "9007199254740993"), ("a", 1))])
        self.assertEqual(replies.rejects, {})
        [sample] = re.findall(r"^```ts\n(.*?)^```", PAGE.read_text(), re.M | re.S)
        (self.project.place / "page.mjs").write_text(
            'import { drizzle } from "drizzle-orm/node-postgres";\nimport pg from "pg";\n'
            "const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL });\nconst db = drizzle({ client: pool });\n"
            f"const [from, to, accountId] = process.argv.slice(2);\n{sample}console.log(JSON.stringify(rows));\nawait pool.end();\n")
        account_id = self.db.value("SELECT id FROM ad_accounts")
        self.assertEqual(json.loads(self.node("page.mjs", "2026-11-01", "2026-12-01", account_id)),
                         [{"week": "2026-11-02", "currency": "USD", "amount_cents": "9007199254740993"}])

    def test_types(self):
        settings = {"target": "es2022", "module": "nodenext", "strict": True, "exactOptionalPropertyTypes": True, "noEmit": True,
                    "lib": ["ES2022", "ESNext.Disposable"], "types": ["node"], "skipLibCheck": True}
        (self.project.place / "tsconfig.json").write_text(json.dumps({"compilerOptions": settings, "files": ["types.ts"]}))
        self.project.bin("tsc", "-p", ".")


class Current(Line, TestCase):
    folder = "drizzle"


class V1(Line, TestCase):
    folder = "drizzle_v1"
    if not os.environ.get("EACH_WAY"):  # one way of making the tables is enough each time
        test_our_migrate_after_push = test_our_migrate_after_the_packages_migration = None


class BorisOwnSchema(TestCase):
    """A database that Boris's own schema made, with the primary key (id)."""

    def test_it_is_adopted(self):
        self.db.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        self.db.execute((HERE / "drizzle_schema.sql").read_text())
        connection = self.db.value("INSERT INTO platform_connections (platform, credentials) VALUES ('META', '{}') RETURNING id")
        done = run_ingestd(self.db, "migrate")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.db.add_role()
        self.assertEqual(self.daemon().send(account(connection), ad_object("1"), record(externalId="1")).counts(), (3, 3, 0, 0))


class Shipped(unittest.TestCase):
    def test_the_packages_migration_has_every_statement(self):
        """Its statements are those of the migration, made conditional, without the check that a later one drops."""
        def lines(path):
            text = (ROOT / path).read_text().replace('"public".', "").replace(" IF NOT EXISTS", "")
            return {line.strip().rstrip(",;") for line in text.splitlines() if not line.startswith("--")}

        changed = '"id" uuid DEFAULT gen_random_uuid() NOT NULL', 'CONSTRAINT "spending_pkey" PRIMARY KEY("id","collected_at")'
        conditional = "DO $$ BEGIN", "EXCEPTION WHEN duplicate_object THEN NULL", "END $$"
        dropped = 'CONSTRAINT "ad_objects_no_self_parent" CHECK ("ad_objects"."id" <> "ad_objects"."parent_id")'
        self.assertEqual(lines("src/clients/node/tables.sql") - {*changed, *conditional, ""},
                         lines("migrations/0001_schema.sql") - {dropped, ""})


if __name__ == "__main__":
    unittest.main()
