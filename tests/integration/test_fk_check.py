"""database.fk_check = batch: the foreign key holds as if it were checked row by row, under all faults; what prevents the
setting is reported, and no trigger is skipped."""

import threading
import time
import unittest

import test_faults
from lib.harness import TestCase, numbered, record, wait_until


class ByBatch:
    """Daemons of these tests check by the batch."""

    def setUp(self):
        super().setUp()
        self.db.allow_fk_by_batch()

    def daemon(self, **settings):
        return super().daemon(database__fk_check="batch", **settings)


class Faults(ByBatch, test_faults.Faults):
    chosen = ("test_backends_terminated_and_canceled", "test_server_killed")


class BadRows(ByBatch, test_faults.BadRows):
    chosen = ("test_rows_that_the_database_refuses", "test_an_object_deleted_while_rows_are_written",
              "test_an_object_deleted_and_created_again", "test_faults_of_the_operator_reject_no_row",
              "test_a_row_with_an_unexpected_error", "test_a_unique_index_of_the_operators",
              "test_an_operators_trigger_that_is_broken_for_some_rows", "test_few_statements_find_the_bad_rows",
              "test_the_same_records_from_many_at_once")


class ForeignKey(ByBatch, TestCase):
    def setUp(self):
        super().setUp()
        self.db.add_account()

    def looks_by_triggers(self):
        """How often ad_objects was searched by its primary key, or at all."""
        time.sleep(1.2)  # the server counts once a second
        return int(self.db.value("SELECT pg_stat_force_next_flush(), idx_scan + seq_scan FROM pg_stat_user_tables "
                                 "WHERE relname = 'ad_objects'").split("|")[1])

    def test_objects_are_checked_once_per_batch(self):
        d = self.daemon()
        before = self.looks_by_triggers()
        self.assertEqual(d.send(*numbered(5000)).counts(), (5000, 5000, 0, 0))
        d.stop()
        self.assertLess(self.looks_by_triggers() - before, 500)

    def test_deleting_an_object_waits_for_its_rows(self):
        """No row can be stored without its object, however the two transactions overlap."""
        d = self.daemon(batch__rows=50, batch__linger_ms=1)
        stop = threading.Event()

        def delete_and_make():
            while not stop.is_set():
                self.db.execute("DELETE FROM ad_objects WHERE external_id = '2'")
                self.db.execute("INSERT INTO ad_objects (ad_account_id, external_id, type, status) "
                                "SELECT id, '2', 'AD', 'ACTIVE' FROM ad_accounts")

        thread = threading.Thread(target=delete_and_make)
        thread.start()
        try:
            for n in range(10):
                replies = d.send(*numbered(600, 600 * n))
                self.assertLessEqual(set(replies.codes().values()), {"unknown_ad_object"})
        finally:
            stop.set()
            thread.join()
        self.assertEqual(self.db.value("SELECT count(*) FROM spending s LEFT JOIN ad_objects o ON o.id = s.ad_object_id "
                                       "WHERE o.id IS NULL"), "0")
        self.assertEqual(self.db.value("SELECT count(*) FROM spending s JOIN ad_objects o ON o.id = s.ad_object_id "
                                       "WHERE o.external_id <> '2'"), "4000")

    def test_a_missing_privilege_is_reported(self):
        self.db.execute(f"REVOKE SET ON PARAMETER session_replication_role FROM {self.db.role}")
        d = self.daemon()
        wait_until(lambda: "database.fk_check = batch is not possible" in d.log(), "the word")
        self.assertIn(f"GRANT SET ON PARAMETER session_replication_role TO {self.db.role}", d.log())
        self.assertEqual(d.send(*numbered(100)).counts(), (100, 100, 0, 0))

    def test_other_triggers_and_foreign_keys_are_not_skipped(self):
        d = self.daemon()
        self.assertEqual(d.send(*numbered(10)).counts(), (10, 10, 0, 0))
        self.db.refuse_inserts("spending", "NEW.amount_cents = 77", "seventy-seven")  # while it is connected
        self.assertEqual(d.send(*numbered(100)).codes(), {78: "refused_by_database"})
        d.stop()
        d.start()
        wait_until(lambda: "spending has another trigger, refuse" in d.log(), "the word")
        self.assertEqual(d.send(record(amountCents=77)).codes(), {1: "refused_by_database"})
        d.stop()
        self.db.execute("""DROP TRIGGER refuse ON spending; CREATE TABLE currencies (code text PRIMARY KEY);
                           INSERT INTO currencies VALUES ('USD');
                           ALTER TABLE spending ADD CONSTRAINT known_currency FOREIGN KEY (currency) REFERENCES currencies""")
        d.start()
        wait_until(lambda: "spending has another foreign key, known_currency" in d.log(), "the word")
        self.assertEqual(d.send(record(amountCents=1001), record(currency="EUR")).codes(), {2: "refused_by_database"})

    def test_a_foreign_key_added_while_the_daemon_runs(self):
        """The transaction that adds it is still open when the rows arrive: they wait for it, and are then checked."""
        self.db.execute("CREATE TABLE currencies (code text PRIMARY KEY); INSERT INTO currencies VALUES ('USD'); "
                        f"GRANT SELECT ON currencies TO {self.db.role}")
        d = self.daemon(database__writers=1)
        self.assertEqual(d.send(*numbered(10)).counts(), (10, 10, 0, 0))
        client = d.client()
        with self.db.holding("ALTER TABLE spending ADD CONSTRAINT known FOREIGN KEY (currency) REFERENCES currencies", "COMMIT"):
            client.send(record(amountCents=500), record(amountCents=501, currency="EUR"))
            time.sleep(0.5)
        self.assertEqual(client.finish().codes(), {2: "refused_by_database"})
        self.assertEqual(self.db.value("SELECT count(*) FROM spending WHERE currency <> 'USD'"), "0")


def load_tests(loader, tests, pattern):
    """Those tests of other files that depend on how a batch is written."""
    chosen = [case(name) for case in (Faults, BadRows) for name in case.chosen]
    return unittest.TestSuite([*chosen, loader.loadTestsFromTestCase(ForeignKey)])


if __name__ == "__main__":
    unittest.main()
