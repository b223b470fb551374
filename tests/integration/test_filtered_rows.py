"""Triggers of the operator that drop or change rows: a dropped row is refused_by_database, whether COPY or a merge wrote
it; a changed row is never settled, and the case is named."""

import unittest
import uuid

from lib.harness import TestCase, numbered, record, wait_until

CHANGES = "the database changes what it stores"


class Triggers(TestCase):
    def setUp(self):
        super().setUp()
        self.db.add_account()

    def trigger(self, body, table="spending"):
        self.db.execute(f"""
            CREATE OR REPLACE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN {body} RETURN NEW; END $f$;
            DROP TRIGGER IF EXISTS meddle ON {table};
            CREATE TRIGGER meddle BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION meddle()""")

    def assert_dropped(self, replies, lines):
        self.assertEqual(replies.codes(), {n: "refused_by_database" for n in lines})
        for reject in replies.rejects.values():
            self.assertIn("a trigger on spending dropped it (SQLSTATE 02000)", reject["message"])


class Dropped(Triggers):
    def test_some_rows_of_a_batch(self):
        d = self.daemon(database__writers=1)
        self.assertEqual(d.send(*numbered(5)).counts(), (5, 5, 0, 0))
        self.trigger("IF NEW.amount_cents % 10 = 7 THEN RETURN NULL; END IF;")  # while it is connected
        for counts in ((100, 85, 5, 10), (100, 0, 90, 10)):  # by COPY, and by a merge
            replies = d.send(*numbered(100))
            self.assert_dropped(replies, [n + 1 for n in range(100) if n % 10 == 7])
            self.assertEqual(replies.counts(), counts)
        self.assertEqual(self.db.count(), 90)

    def test_one_row_and_every_row(self):
        d = self.daemon(database__writers=1)
        self.trigger("RETURN NULL;")
        for _ in range(2):
            self.assert_dropped(d.send(record()), [1])
            self.assert_dropped(d.send(*numbered(10)), range(1, 11))
            self.assert_dropped(d.send(record(id=str(uuid.UUID(int=1)))), [1])
        self.assertEqual(self.db.count(), 0)

    def test_rows_stored_by_copy_are_stored_not_duplicate(self):
        """The first COPY of a connection after the trigger was created, with rows of several weeks."""
        self.trigger("IF NEW.amount_cents = 3 THEN RETURN NULL; END IF;")
        d = self.daemon(database__writers=1)
        lines = [record(amountCents=n, collectedAt=f"2026-{1 + n:02d}-01T00:00:00Z") for n in range(10)]
        replies = d.send(*lines)
        self.assert_dropped(replies, [4])
        self.assertEqual(replies.counts(), (10, 9, 0, 1))


class Changed(Triggers):
    def assert_waits(self, lines, repair="DROP TRIGGER meddle ON spending"):
        d = self.daemon(database__writers=1, batch__rows=200)
        client = d.client()
        client.send(*lines)
        wait_until(lambda: CHANGES in d.log(), "the word")
        client.sock.settimeout(1)
        with self.assertRaises(TimeoutError):
            client.reply()
        client.sock.settimeout(60)
        self.db.execute(repair)
        return client.finish()

    def test_a_key_that_is_rounded(self):
        self.trigger("NEW.collected_at = date_trunc('milliseconds', NEW.collected_at);")
        lines = numbered(20, collectedAt="2026-11-03T00:00:00.123456Z")
        self.assertEqual(self.assert_waits(lines).counts(), (20, 20, 0, 0))
        self.assertEqual(self.db.value("SELECT count(*), count(DISTINCT collected_at) FROM spending "
                                       "WHERE collected_at = '2026-11-03T00:00:00.123456Z'"), "20|1")

    def test_rows_that_were_stored_rounded_before(self):
        """A merge finds them. An earlier release build wrote beyond an array here."""
        self.trigger("NEW.collected_at = date_trunc('milliseconds', NEW.collected_at);")
        self.db.execute("""INSERT INTO spending SELECT gen_random_uuid(), id, '2026-11-03T00:00:00.123Z', '2026-11-01Z', '2026-11-02Z',
                           1, 'USD' FROM ad_objects""")
        ids = self.db.value("SELECT id FROM spending").split()
        lines = [record(id=id, amountCents=n, collectedAt="2026-11-03T00:00:00.123456Z") for n, id in enumerate(ids)]
        self.assertEqual(self.assert_waits(lines).counts(), (3, 3, 0, 0))

    def test_an_id_that_is_replaced(self):
        self.trigger("NEW.id = gen_random_uuid();")
        self.assertEqual(self.assert_waits(numbered(300)).counts(), (300, 300, 0, 0))
        self.assertEqual(self.db.count(), 300)

    def test_an_amount_that_is_changed(self):
        self.trigger("NEW.amount_cents = NEW.amount_cents + 1;")
        self.assertEqual(self.assert_waits(numbered(20)).counts(), (20, 20, 0, 0))
        self.assertEqual(self.db.value("SELECT min(amount_cents), max(amount_cents) FROM spending"), "0|19")

    def test_a_column_that_rounds(self):
        """In a merge, which is the only way for records with an id and no time."""
        self.db.execute("ALTER TABLE spending ALTER COLUMN collected_at TYPE timestamptz(3)")
        d = self.daemon(database__writers=1)
        clients = [d.client() for _ in range(2)]
        for n, client in enumerate(clients):
            client.send(*[record(id=str(uuid.UUID(int=1 + 10 * n + i)), collectedAt=None) for i in range(10)])
        time_mended = "ALTER TABLE spending ALTER COLUMN collected_at TYPE timestamptz"
        wait_until(lambda: "cannot be used" in d.log() or CHANGES in d.log(), "a word")
        self.db.execute(time_mended)
        for client in clients:
            self.assertEqual(client.finish().counts(), (10, 10, 0, 0))
        self.assertEqual(self.db.count(), 20)

    def test_only_some_rows(self):
        """These wait; others proceed."""
        self.trigger("IF NEW.amount_cents = 5 THEN NEW.collected_at = NEW.collected_at + interval '1 second'; END IF;")
        d = self.daemon(database__writers=1)
        client = d.client()
        client.send(*numbered(20))
        wait_until(lambda: self.db.count() == 19, "the others are stored")
        self.assertEqual(d.send(*numbered(20, 100)).counts(), (20, 20, 0, 0))
        self.assertIn(CHANGES, d.log())
        self.db.execute("DROP TRIGGER meddle ON spending")
        self.assertEqual(client.finish().counts(), (20, 20, 0, 0))


if __name__ == "__main__":
    unittest.main()
