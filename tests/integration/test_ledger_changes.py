"""The ledger (lib/ledger.py) while the world around the daemon changes: tables, role, restores, locks, and a spool that is
damaged. These tests need their own server."""

import re
import time
import unittest
import urllib.request

from lib.harness import psql
from lib.ledger import LedgerTest

# What does not fit, and how it is put right: lines wait meanwhile.
TABLES = [
    ("ALTER TABLE spending ALTER conversions TYPE double precision", "ALTER TABLE spending ALTER conversions TYPE bigint"),
    ("ALTER TABLE spending ALTER amount_cents TYPE numeric(14,2)", "ALTER TABLE spending ALTER amount_cents TYPE bigint"),
    ("ALTER TABLE spending DROP CONSTRAINT spending_pkey", "ALTER TABLE spending ADD PRIMARY KEY (id, collected_at)"),
    ("ALTER TABLE spending RENAME TO spent", "ALTER TABLE spent RENAME TO spending"),
    ("ALTER TABLE spending RENAME COLUMN clicks TO taps", "ALTER TABLE spending RENAME COLUMN taps TO clicks"),
    ("ALTER TABLE spending ADD note text NOT NULL DEFAULT ''; ALTER TABLE spending ALTER note DROP DEFAULT",
     "ALTER TABLE spending DROP note"),
    ("ALTER TABLE ad_objects ENABLE ROW LEVEL SECURITY", "ALTER TABLE ad_objects DISABLE ROW LEVEL SECURITY"),
    ("ALTER TABLE ad_accounts RENAME TO accounts", "ALTER TABLE accounts RENAME TO ad_accounts"),
    ("ALTER TYPE platform RENAME VALUE 'META' TO 'FACEBOOK'", "ALTER TYPE platform RENAME VALUE 'FACEBOOK' TO 'META'"),
    ("REVOKE INSERT ON spending FROM {role}", "GRANT INSERT ON spending TO {role}"),
    ("REVOKE SELECT ON ad_objects FROM {role}", "GRANT SELECT ON ad_objects TO {role}"),
]
# What a role or a database can set for its sessions.
SETTINGS = [
    "default_transaction_isolation = 'serializable'", "default_transaction_read_only = on", "synchronous_commit = off",
    "quote_all_identifiers = on", "session_replication_role = replica", "statement_timeout = '20ms'",
    "transaction_timeout = '20ms'", "lock_timeout = '1ms'", "idle_in_transaction_session_timeout = '1ms'",
    "timescaledb.restoring = on", "search_path = nowhere", "client_encoding = 'LATIN1'", "row_security = off",
]
LOCKS = ["LOCK TABLE spending", "LOCK TABLE ad_accounts", "LOCK TABLE ad_objects IN SHARE MODE", "UPDATE ad_accounts SET name = 'held'",
         "SELECT FROM ad_objects FOR UPDATE"]


class Changes(LedgerTest):
    def faults(self):
        return super().faults() + [self.change_tables, self.change_settings, self.begin_restore, self.hold_locks] * 3

    def change(self, url, change, back):
        """Makes a change, ends sessions or does not, and takes it back after a while."""
        psql(url, change)
        try:
            if self.rng.random() < 0.5:
                self.terminate_backends()
            time.sleep(self.rng.uniform(0, self.longest))
        finally:
            psql(url, back)

    def change_tables(self):
        change, back = self.rng.choice(TABLES)
        self.change(self.db.url, change.format(role=self.db.role), back.format(role=self.db.role))

    def change_settings(self):
        """The server's own database is where these are made, since the harness's sessions would have them, too."""
        setting = self.rng.choice(SETTINGS)
        self.change(self.server.url, f"ALTER DATABASE {self.db.name} SET {setting}",
                    f"ALTER DATABASE {self.db.name} RESET {setting.split()[0]}")
        self.terminate_backends()

    def begin_restore(self):
        self.change(self.db.url, "SELECT timescaledb_pre_restore()", "SELECT timescaledb_post_restore()")

    def hold_locks(self):
        with self.db.holding(self.rng.choice(LOCKS)):
            time.sleep(self.rng.uniform(0, 2 * self.longest))

    def test_ledger(self):
        self.run_ledger(longest=1)

    def test_ledger_with_a_spool(self):
        self.run_ledger(longest=3, rejects__file="{folder}/rejects", rejects__max_bytes="1G", spool__dir="{folder}/spool",
                        spool__max_bytes="3M")


class Damage(Changes):
    """With the spool's files damaged, lines are lost, and no more than the daemon says."""

    makes_objects = False  # a lost line of an ad object would have its spending refused

    def faults(self):
        return super().faults() + [self.damage_spool] * 8

    def damage_spool(self):
        self.daemon.kill()
        path = self.rng.choice([self.folder / "spool/spool.db", self.folder / "spool/spool.db-wal"])
        data = bytearray(path.read_bytes()) if path.exists() else bytearray()
        what = self.rng.choice(["flip", "cut", "remove"])
        if data and what == "flip":
            data[self.rng.randrange(len(data))] ^= 1 << self.rng.randrange(8)
            path.write_bytes(data)
        elif data and what == "cut":
            path.write_bytes(data[:self.rng.randrange(len(data))])
        elif what == "remove":
            path.unlink(missing_ok=True)
        self.daemon.start()
        metrics = urllib.request.urlopen(f"{self.daemon.http()}/metrics").read().decode()
        self.lost += int(re.search(r"^boris_ingestd_spool_lost_lines_total (\d+)$", metrics, re.MULTILINE)[1])

    def test_ledger(self):
        self.run_ledger(longest=2, rejects__file="{folder}/rejects", rejects__max_bytes="1G", spool__dir="{folder}/spool",
                        spool__max_bytes="3M", http__listen="127.0.0.1:0")

    test_ledger_with_a_spool = None


if __name__ == "__main__":
    unittest.main()
