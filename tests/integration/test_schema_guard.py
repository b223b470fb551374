"""The daemon checks that the database fits before it writes: otherwise lines wait, and the log, /readyz, `check` and `top`
name the difference and the statement that fixes it."""

import contextlib
import socket
import subprocess
import tempfile
import unittest
import urllib.error
import urllib.request

from lib.harness import CLUSTER, Daemon, Database, Server, run_ingestd, wait_until

PLAIN = """CREATE TABLE plain (LIKE spending INCLUDING DEFAULTS); DROP TABLE spending; ALTER TABLE plain RENAME TO spending;
           ALTER TABLE spending ADD CONSTRAINT spending_pkey PRIMARY KEY (id, collected_at);
           GRANT SELECT, INSERT ON spending TO {role}"""

# what is done to the database, what is told, what repairs it ("": what is told names the statement; "migrate")
CASES = {
    "numeric": ("ALTER TABLE spending ALTER COLUMN amount_cents TYPE numeric(14,2)",
                "column spending.amount_cents is numeric(14,2) instead of bigint", ""),
    "double": ("ALTER TABLE spending ALTER COLUMN conversions TYPE double precision",
               "column spending.conversions is double precision instead of bigint", ""),
    "integer": ("ALTER TABLE spending ALTER COLUMN clicks TYPE integer", "column spending.clicks is integer", ""),
    "json": ("ALTER TABLE spending ALTER COLUMN metrics TYPE json", "column spending.metrics is json instead of jsonb", ""),
    "varchar": ("ALTER TABLE spending ALTER COLUMN currency TYPE varchar(3)", "column spending.currency is character varying(3)", ""),
    "milliseconds": ("ALTER TABLE spending ALTER COLUMN period_end TYPE timestamptz(3)",
                     "column spending.period_end is timestamp(3) with time zone", ""),
    "no time zone": ("ALTER TABLE spending ALTER COLUMN period_start TYPE timestamp",
                     "column spending.period_start is timestamp without time zone", ""),
    "short name": ("ALTER TABLE ad_objects ALTER COLUMN external_id TYPE varchar(64)", "column ad_objects.external_id is", ""),
    "one more": ("ALTER TABLE spending ADD COLUMN note text NOT NULL DEFAULT ''; ALTER TABLE spending ALTER note DROP DEFAULT",
                 "column spending.note is NOT NULL and has no default", "ALTER TABLE spending ALTER note DROP NOT NULL"),
    "one less": ("ALTER TABLE spending DROP COLUMN metrics", "column spending.metrics is missing", "migrate"),
    "renamed": ("ALTER TABLE spending RENAME COLUMN clicks TO taps", "column spending.clicks is missing",
                "ALTER TABLE spending RENAME COLUMN taps TO clicks"),
    "generated": ("ALTER TABLE ad_objects DROP COLUMN name; ALTER TABLE ad_objects ADD COLUMN name text GENERATED ALWAYS AS "
                  "(external_id) STORED; GRANT SELECT (name), INSERT (name), UPDATE (name) ON ad_objects TO {role}",
                  "column ad_objects.name is generated", "ALTER TABLE ad_objects ALTER COLUMN name DROP EXPRESSION"),
    "identity": ("ALTER TABLE spending ALTER amount_cents ADD GENERATED ALWAYS AS IDENTITY",
                 "column spending.amount_cents is GENERATED ALWAYS AS IDENTITY", ""),
    "no default": ("ALTER TABLE ad_accounts ALTER COLUMN created_at DROP DEFAULT", "column ad_accounts.created_at is NOT NULL", ""),
    "no key": ("ALTER TABLE spending DROP CONSTRAINT spending_pkey", "spending does not have PRIMARY KEY (id, collected_at)", "migrate"),
    "deferrable key": ("ALTER TABLE spending DROP CONSTRAINT spending_pkey; ALTER TABLE ad_objects "
                       "DROP CONSTRAINT ad_objects_account_external; ALTER TABLE ad_objects ADD CONSTRAINT "
                       "ad_objects_account_external UNIQUE (ad_account_id, external_id) DEFERRABLE; "
                       "ALTER TABLE spending ADD CONSTRAINT spending_pkey PRIMARY KEY (id, collected_at)",
                       "ad_objects does not have UNIQUE (ad_account_id, external_id)",
                       "ALTER TABLE ad_objects DROP CONSTRAINT ad_objects_account_external; "
                       "ALTER TABLE ad_objects ADD CONSTRAINT ad_objects_account_external UNIQUE (ad_account_id, external_id)"),
    "accounts' key": ("ALTER TABLE ad_accounts DROP CONSTRAINT ad_accounts_connection_external",
                      "ad_accounts does not have UNIQUE (platform_connection_id, external_id)", "migrate"),
    "row security": ("ALTER TABLE spending ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON spending USING (true)",
                     "row security of spending is in force for role {role}", "ALTER TABLE spending DISABLE ROW LEVEL SECURITY"),
    "row security of objects": ("ALTER TABLE ad_objects ENABLE ROW LEVEL SECURITY", "row security of ad_objects is in force",
                                "ALTER TABLE ad_objects DISABLE ROW LEVEL SECURITY"),
    "row security of connections": ("ALTER TABLE platform_connections ENABLE ROW LEVEL SECURITY",
                                    "row security of platform_connections is in force",
                                    "ALTER TABLE platform_connections DISABLE ROW LEVEL SECURITY"),
    "row security of accounts": ("ALTER TABLE ad_accounts ENABLE ROW LEVEL SECURITY", "row security of ad_accounts is in force",
                                 "ALTER TABLE ad_accounts DISABLE ROW LEVEL SECURITY"),
    "rule": ("CREATE RULE r AS ON INSERT TO ad_objects DO INSTEAD NOTHING", "ad_objects has the rule r", ""),
    "dropped": ("DROP TABLE spending", "tables are missing", "migrate"),
    "plain": (PLAIN, "spending is no hypertable on collected_at", "migrate"),
    "view": ("ALTER TABLE spending RENAME TO real; CREATE VIEW spending AS TABLE real; GRANT SELECT, INSERT ON spending TO {role}",
             "spending is a view", "DROP VIEW spending; ALTER TABLE real RENAME TO spending"),
    "partitioned": ("ALTER TABLE spending RENAME TO real; CREATE TABLE spending (LIKE real) PARTITION BY RANGE (collected_at); "
                    "GRANT SELECT, INSERT ON spending TO {role}", "spending is a partitioned table",
                    "DROP TABLE spending; ALTER TABLE real RENAME TO spending"),
    "restore": ("SELECT timescaledb_pre_restore()", "a restore is in progress", "SELECT timescaledb_post_restore()"),
    "right": ("REVOKE INSERT ON spending FROM {role}", "this role lacks INSERT on spending", "GRANT INSERT ON spending TO {role}"),
}
FINE = [
    "CREATE FUNCTION seen() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; "
    "CREATE TRIGGER seen BEFORE INSERT ON spending FOR EACH ROW EXECUTE FUNCTION seen()",
    "ALTER TABLE spending ADD COLUMN note text",
    "ALTER TABLE spending ADD COLUMN source text NOT NULL DEFAULT 'ingestd'",
    "CREATE INDEX ON spending (currency)",
    "ALTER TABLE spending ADD CONSTRAINT positive CHECK (clicks >= 0)",
    "ALTER TYPE platform ADD VALUE 'LINKEDIN'",
    "SELECT set_chunk_time_interval('spending', INTERVAL '1 day')",
]


def record(n, **changes):
    return {"platform": "META", "accountExternalId": "act_1", "externalId": str(n % 3 + 1), "currency": "USD",
            "periodStart": "2026-11-01T00:00:00Z", "periodEnd": "2026-11-02T00:00:00Z", "amountCents": 868 + n,
            "conversions": 3, "collectedAt": f"2026-11-{n % 20 + 1:02}T00:00:00Z"} | changes


def readyz(daemon):
    try:
        return urllib.request.urlopen(f"{daemon.http()}/readyz", timeout=30).read().decode()
    except urllib.error.HTTPError as e:
        return e.read().decode()


def setUpModule():
    global server
    server = Server()


def tearDownModule():
    server.close()


class Guard(unittest.TestCase):
    def setUp(self):
        self.db = Database(server)
        self.addCleanup(self.db.close)
        self.db.add_account()

    def daemon(self, **settings):
        d = Daemon(self.db, http__listen="127.0.0.1:0", **settings)
        self.addCleanup(d.close)
        return d

    def waits(self, client):
        client.sock.settimeout(1.5)
        with self.assertRaises(socket.timeout, msg="a line was settled"):
            self.fail(client.reply())
        client.sock.settimeout(60)

    def repair(self, told, how):
        if how == "migrate":
            done = run_ingestd(self.db, "migrate")
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            wait_until(lambda: self.granted(), "the daemon's rights")
        else:
            self.db.execute((how or told[told.index(": ALTER" if ": ALTER" in told else ": DROP") + 2:]).format(role=self.db.role))

    def granted(self):
        """Retries, since TimescaleDB's workers may change the same catalogue rows: "tuple concurrently updated"."""
        with contextlib.suppress(AssertionError):
            self.db.execute(f"GRANT SELECT, INSERT ON spending TO {self.db.role}")
            return True

    def amounts(self):
        return [row["amount_cents"] for row in self.db.query("SELECT amount_cents FROM spending ORDER BY 1")]


class WhileItRuns(Guard):
    """Each change of the tables is made while a daemon is connected that has already written."""

    def run_case(self, change, told, how):
        told = told.format(role=self.db.role)
        d = self.daemon()
        client = d.client()
        client.send(record(0))
        client.wait_ack(1)
        self.db.execute(change.format(role=self.db.role))
        client.send(record(1), record(2))
        self.waits(client)
        wait_until(lambda: told in readyz(d), told)
        self.assertIn(told, d.log())
        checked = run_ingestd(self.db.daemon_url, "check")
        self.assertEqual(checked.returncode, 1, checked.stdout)
        self.assertIn(told, checked.stdout)
        self.assertNotIn("PRIMARY KEY (id)", checked.stdout)
        self.repair(next(line for line in checked.stdout.splitlines() if told in line), how)
        client.wait_ack(3)
        self.assertEqual(client.finish().rejects, {})
        wait_until(lambda: readyz(d).strip() == "ready", "ready")
        self.assertIn(self.amounts(), ([868, 869, 870], [869, 870]))  # the table may be a new one
        again = d.send(record(1), record(2))
        self.assertEqual((again.ack["stored"], again.ack["duplicate"]), (0, 2))


def add_case(name, case):
    def test(self):
        self.run_case(*case)

    test.__name__ = "test_" + name.replace(" ", "_").replace("'", "")
    setattr(WhileItRuns, test.__name__, test)


for _name, _case in CASES.items():
    add_case(_name, _case)


class Others(Guard):
    def test_additions_that_fit(self):
        """Additions of an operator that break no promise stop nothing."""
        d = self.daemon()
        for n, sql in enumerate(FINE):
            self.db.execute(sql)
            self.assertEqual(d.send(record(n)).ack["stored"], 1, sql)
        self.assertNotIn("cannot be used", d.log())

    def test_at_the_start(self):
        self.db.execute("ALTER TABLE spending ALTER COLUMN amount_cents TYPE numeric(14,2)")
        d = self.daemon()
        client = d.client()
        client.send(record(0))
        self.waits(client)
        self.db.execute("ALTER TABLE spending ALTER COLUMN amount_cents TYPE bigint")
        client.wait_ack(1)
        client.finish()
        self.assertEqual(self.amounts(), [868])

    def test_the_spool_takes_the_lines(self):
        folder = self.enterContext(tempfile.TemporaryDirectory())
        d = self.daemon(spool__dir=folder, database__writers="1")
        self.assertEqual(d.send(record(0)).ack["stored"], 1)
        self.db.execute("ALTER TABLE spending DROP CONSTRAINT spending_pkey")
        self.assertEqual(d.send(record(1), record(2)).ack["spooled"], 2)
        self.assertEqual(run_ingestd(self.db, "migrate").returncode, 0)
        wait_until(lambda: self.db.count() == 3, "the replay")

    def test_hierarchy_lines_wait(self):
        d = self.daemon()
        line = {"kind": "adObject", "platform": "META", "accountExternalId": "act_1", "externalId": "9", "type": "CAMPAIGN",
                "status": "ACTIVE", "name": "nine"}
        self.db.execute("ALTER TABLE ad_objects ADD COLUMN x int NOT NULL DEFAULT 1; ALTER TABLE ad_objects ALTER x DROP DEFAULT")
        client = d.client()
        client.send(line, record(0, externalId="9"))
        self.waits(client)
        self.db.execute("ALTER TABLE ad_objects DROP COLUMN x")
        client.wait_ack(2)
        self.assertEqual(client.finish().rejects, {})

    def test_ddl_while_rows_arrive(self):
        """Columns and keys change again and again during a stream: each acked row is stored once, and as sent."""
        d = self.daemon(batch__rows="50")
        client = d.client()
        lines = [record(n, collectedAt=f"2026-11-{n % 20 + 1:02}T{n // 20 % 24:02}:{n // 480:02}:00Z") for n in range(4000)]
        thread = client.feed(*lines)
        for _ in range(4):
            self.db.execute("ALTER TABLE spending ALTER COLUMN amount_cents TYPE numeric(14,2); "
                            "ALTER TABLE spending DROP CONSTRAINT spending_pkey")
            self.db.execute("SELECT pg_sleep(0.1)")
            self.db.execute("ALTER TABLE spending ALTER COLUMN amount_cents TYPE bigint; "
                            "ALTER TABLE spending ADD CONSTRAINT spending_pkey PRIMARY KEY (id, collected_at)")
        thread.join()
        self.assertEqual(client.wait_ack(len(lines))["rejected"], 0)
        client.close()
        self.assertEqual(self.amounts(), [868 + n for n in range(len(lines))])
        self.assertEqual(self.db.value("SELECT count(*) FROM ONLY spending"), "0")

    def test_a_missing_label_stops_only_its_lines(self):
        d = self.daemon()
        self.db.execute("ALTER TYPE platform RENAME VALUE 'TIKTOK' TO 'TIK'")
        self.assertEqual(d.send(record(1)).ack["stored"], 1)
        checked = run_ingestd(self.db.daemon_url, "check")
        self.assertEqual(checked.returncode, 1, checked.stdout)
        self.assertIn("enum type platform lacks the label TIKTOK: ALTER TYPE public.platform ADD VALUE 'TIKTOK'", checked.stdout)

    def test_a_dump_is_restored_while_clients_send(self):
        """While pg_restore replaces everything, nothing is settled; lines acked afterwards are found."""
        server.need_private()
        d = self.daemon()
        self.assertEqual(d.send(*[record(n) for n in range(5)]).ack["stored"], 5)
        dump = subprocess.run([CLUSTER, "client", "pg_dump", "-Fc", "-d", self.db.url], stdout=subprocess.PIPE, check=True).stdout
        self.db.execute("DROP TABLE spending CASCADE; DROP TABLE ad_objects, ad_accounts, platform_connections, "
                        "boris_ingestd_migrations CASCADE; DROP TYPE platform, ad_object_type, ad_object_status CASCADE")
        client = d.client()
        client.send(*[record(n) for n in range(5)], *[record(n) for n in range(10, 15)])
        self.waits(client)
        self.db.execute("SELECT timescaledb_pre_restore()")
        restore = subprocess.Popen([CLUSTER, "client", "pg_restore", "-d", self.db.url], stdin=subprocess.PIPE)
        restore.communicate(dump)
        self.waits(client)
        self.assertIn("a restore is in progress", wait_until(lambda: "restore" in readyz(d) and readyz(d), "the restore's name"))
        self.db.execute("SELECT timescaledb_post_restore()")
        ack = client.wait_ack(10)
        self.assertEqual((ack["stored"], ack["duplicate"]), (5, 5))
        client.close()
        self.assertEqual(self.amounts(), [868 + n for n in [*range(5), *range(10, 15)]])
        self.assertEqual(self.db.value("SELECT count(*) FROM ONLY spending"), "0")


if __name__ == "__main__":
    unittest.main()
