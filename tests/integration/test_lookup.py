#!/usr/bin/env python3
"""A look-up that the server cannot answer delays only the records it is for."""

import time
import unittest


from lib.harness import TestCase, account, ad_object, record, wait_until


class Unanswered(TestCase):
    def break_platform(self):
        """Makes the daemon ask for a platform that the database no longer has (22P02)."""
        self.db.add_account("tiktok", platform="TIKTOK", objects=[str(n) for n in range(300)])
        self.db.add_account()
        self.db.execute("ALTER TYPE platform RENAME VALUE 'TIKTOK' TO 'TIKTOK_'")

    def broken(self, count=300):
        return [record(platform="TIKTOK", accountExternalId="tiktok", externalId=str(n)) for n in range(count)]

    def repair(self):
        self.db.execute("ALTER TYPE platform RENAME VALUE 'TIKTOK_' TO 'TIKTOK'")

    def test_others_proceed(self):
        self.break_platform()
        d = self.daemon()
        hurt = d.client()
        hurt.send(*self.broken())
        for n in range(20):
            self.assertEqual(d.send(record(amountCents=n)).counts(), (1, 1, 0, 0))
        # in one question with lines that can be answered, too
        mixed = d.client()
        mixed.send(*[line for n in range(50) for line in (record(externalId=str(1 + n % 3), amountCents=1000 + n),
                                                           self.broken()[n] | {"amountCents": 7})])
        wait_until(lambda: self.db.value("SELECT count(*) FROM spending WHERE amount_cents >= 1000") == "50", "the mixed lines")
        self.assertIn("others proceed", d.log())
        self.assertNotIn("act_", d.log())
        self.repair()
        self.assertEqual(hurt.finish().counts(), (300, 300, 0, 0))
        self.assertEqual(mixed.finish().counts(), (100, 100, 0, 0))

    def test_a_stop_does_not_wait(self):
        self.break_platform()
        d = self.daemon()
        hurt = d.client()
        hurt.send(*self.broken(20))
        wait_until(lambda: "others proceed" in d.log(), "the question failed alone")
        start = time.monotonic()
        self.assertEqual(d.stop(), 0)
        self.assertLess(time.monotonic() - start, 15)
        hurt.close()

    def test_a_query_that_the_server_refuses_for_all(self):
        """No object is at fault: all wait, and proceed as soon as the server answers."""
        self.db.add_account()
        d = self.daemon()
        d.send(record())
        self.db.execute(f"REVOKE SELECT ON ad_objects FROM {self.db.role}")
        waiting = d.client()
        waiting.send(record(externalId="2"))
        wait_until(lambda: "this role lacks SELECT on ad_objects" in d.log(), "the connection is given up")
        self.db.execute(f"GRANT SELECT ON ad_objects TO {self.db.role}")
        self.assertEqual(waiting.finish().counts(), (1, 1, 0, 0))
        self.assertNotIn("others proceed", d.log())

    def test_an_unknown_object_among_them_is_refused(self):
        self.break_platform()
        d = self.daemon()
        hurt = d.client()
        hurt.send(*self.broken(10), record(platform="TIKTOK", accountExternalId="tiktok", externalId="nobody"))
        wait_until(lambda: "others proceed" in d.log(), "the question failed alone")
        self.repair()
        replies = hurt.finish()
        self.assertEqual(replies.codes(), {11: "unknown_ad_object"})
        self.assertEqual(replies.counts(), (11, 10, 0, 1))


class Plans(TestCase):
    OBJECTS = 3000

    def passes(self):
        """How often the tables were read as a whole."""
        return int(self.db.value("SELECT sum(seq_scan) FROM pg_stat_user_tables WHERE relname IN ('ad_objects', 'ad_accounts')"))

    def test_a_table_that_grows_after_its_plans_were_made(self):
        """Look-ups, upserts and checks of foreign keys that were planned for a small table do not read the large one as a whole."""
        connection = self.db.create_connection()
        for table in ("ad_accounts", "ad_objects"):
            self.db.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = off)")
        d = self.daemon()
        d.send(account(connection), ad_object("first"), ad_object("1", "AD_SET", "first"))
        for table in ("ad_accounts", "ad_objects"):
            self.db.execute(f"VACUUM ANALYZE {table}")
        d.send(ad_object("second"), ad_object("2", "AD_SET", "second"))
        self.assertEqual(d.send(record()).counts(), (1, 1, 0, 0))
        before = self.passes()
        names = [f"new-{n}" for n in range(self.OBJECTS)]
        lines = [ad_object(name, "AD_SET", "first") for name in names] + [record(externalId=name) for name in names]
        self.assertEqual(d.send(*lines).counts(), (2 * self.OBJECTS, 2 * self.OBJECTS, 0, 0))
        d.stop()  # its sessions report what they read
        self.assertLess(self.passes() - before, 100)


if __name__ == "__main__":
    unittest.main()
