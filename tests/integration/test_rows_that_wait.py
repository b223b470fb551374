"""An error that only some rows meet delays no others: these rows wait, by themselves, and are never lost; an error that
every row meets is not held against the rows."""

import calendar
import os
import re
import resource
import shutil
import signal
import sys
import tempfile
import threading
import time
import unittest
import uuid

from lib.harness import TestCase, ad_object, numbered, record, wait_until
from lib.psql import Session


class Waiting(TestCase):
    def setUp(self):
        super().setUp()
        self.db.add_account()

    def assert_served(self, d, start, seconds=20):
        """Another client's lines are stored. The limit is generous, for slow machines: a starving client waits without end."""
        begin = time.monotonic()
        self.assertEqual(d.send(*numbered(10, start)).counts(), (10, 10, 0, 0))
        self.assertLess(time.monotonic() - begin, seconds)

    def trigger(self, body, when="BEFORE"):
        self.db.execute(f"""
            CREATE OR REPLACE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN {body} RETURN NEW; END $f$;
            CREATE OR REPLACE TRIGGER meddle {when} INSERT ON spending FOR EACH ROW EXECUTE FUNCTION meddle()""")

    def repair(self):
        self.db.execute("DROP TRIGGER IF EXISTS meddle ON spending; DROP TRIGGER IF EXISTS refuse ON spending")


class OneRow(Waiting):
    def assert_one_row_waits(self, d, bad=7, lines=50, repair=None):
        """One of the lines waits; the others, and other clients' lines, are stored; nothing is rejected."""
        client = d.client()
        client.send(*numbered(lines))
        wait_until(lambda: self.db.count() == lines - 1, "the others are stored")
        self.assert_served(d, 1000)
        self.assert_served(d, 2000)
        (repair or self.repair)()
        self.assertEqual(client.finish().counts(), (lines, lines, 0, 0))

    def test_server_errors_of_single_rows(self):
        for n, sqlstate in enumerate(("42501", "53200", "53100", "53400", "XX001", "58030", "57P03", "25006", "TS001", "40001")):
            with self.subTest(sqlstate):
                self.db.execute("TRUNCATE spending")
                self.db.refuse_inserts("spending", "NEW.amount_cents = 7", sqlstate=sqlstate)
                d = self.daemon(database__writers=1 + n % 2)
                self.assert_one_row_waits(d)
                d.stop()

    def test_an_audit_trigger_without_a_privilege(self):
        self.db.execute("CREATE TABLE audit (amount int8)")
        self.trigger("IF NEW.amount_cents = 7 THEN INSERT INTO audit VALUES (7); END IF;", "AFTER")
        d = self.daemon()
        self.assert_one_row_waits(d, repair=lambda: self.db.execute(f"GRANT INSERT ON audit TO {self.db.role}"))
        self.assertEqual(self.db.value("SELECT count(*) FROM audit"), "1")

    def test_a_row_that_ends_its_backend(self):
        self.trigger("IF NEW.amount_cents = 7 THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF;")
        self.db.execute("ALTER FUNCTION meddle() SECURITY DEFINER")
        d = self.daemon(database__writers=2)
        self.assert_one_row_waits(d)
        lost = len(re.findall("connection lost", d.log()))
        print(f"{lost} lost connections", file=sys.stderr)
        self.assertLess(lost, 20)

    def test_many_waiting_rows_do_not_fill_the_log(self):
        self.db.refuse_inserts("spending", "NEW.amount_cents % 2 = 0", sqlstate="42501")
        d = self.daemon(database__writers=2)
        begin = time.monotonic()
        client = d.client()
        client.send(*numbered(200))
        wait_until(lambda: self.db.count() == 100, "the 100 good rows are stored")
        wait_until(lambda: " more batches" in d.log(), "messages are summarised")
        self.assertLessEqual(d.log().count("only these rows wait"), 2 * (12 + time.monotonic() - begin))
        self.repair()
        self.assertEqual(client.finish().counts(), (200, 200, 0, 0))

    def test_a_waiting_row_does_not_delay_the_stop(self):
        self.db.refuse_inserts("spending", "NEW.amount_cents = 7", sqlstate="42501")
        d = self.daemon(shutdown__timeout_ms=60000)
        client = d.client()
        client.send(*numbered(20))
        wait_until(lambda: self.db.count() == 19, "the others are stored")
        begin = time.monotonic()
        self.assertEqual(d.stop(timeout=50), 0)
        self.assertLess(time.monotonic() - begin, 30)
        replies = client.drain()
        self.assertEqual((replies.counts()[0], replies.closing), (7, "shutdown"))
        self.assertEqual(replies.rejects, {})

    def test_the_spool_empties_except_for_the_waiting_row(self):
        """The others' lines, acked as spooled, are stored; the waiting one stays in the spool, even across a restart."""
        self.server.need_private()
        self.db.refuse_inserts("spending", "NEW.amount_cents = 7", sqlstate="42501")
        spool = tempfile.mkdtemp(prefix="ingestd-")
        self.addCleanup(shutil.rmtree, spool, True)
        d = self.daemon(spool__dir=spool)
        self.server.stop_at_once()
        self.addCleanup(self.server.start)
        client = d.client()
        client.send(*numbered(200))
        self.assertEqual(client.wait_ack(200).get("spooled"), 200)
        self.server.start()
        wait_until(lambda: self.db.count() == 199, "the others are stored", timeout=120, pause=0.3)
        self.assertEqual(sum(d.send(*numbered(10, 1000)).counts()[1:2]), 10)
        self.assertEqual(d.stop(timeout=60), 0)
        d.start()
        self.assertEqual(d.send(*numbered(10, 2000)).counts()[0], 10)
        wait_until(lambda: self.db.count() == 219, "more is stored", timeout=120, pause=0.3)
        self.repair()
        wait_until(lambda: self.db.count() == 220, "all is stored", timeout=120, pause=0.3)


class Limits(Waiting):
    """Limits of the server that have the SQLSTATE of a bad row."""

    def test_a_full_queue_of_notifications(self):
        """Only COMMIT meets it, which no probe row does."""
        self.server.need_private()
        self.db.execute("ALTER SYSTEM SET max_notify_queue_pages = 64")
        self.addCleanup(self.restart)
        self.addCleanup(self.db.execute, "ALTER SYSTEM RESET max_notify_queue_pages")
        self.restart()
        d = self.daemon()
        for table in ("spending", "ad_objects"):
            self.db.execute(f"""
                CREATE OR REPLACE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS
                $f$ BEGIN PERFORM pg_notify('rows', NEW.id || repeat('x', 7900)); RETURN NEW; END $f$;
                CREATE TRIGGER tell AFTER INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION tell()""")
        with self.db.holding("LOCK TABLE boris_ingestd_migrations IN ACCESS SHARE MODE", before="LISTEN rows"):
            client = d.client()
            client.feed(*[ad_object(f"new {n}") for n in range(100)], *numbered(100))
            wait_until(lambda: self.db.value("SELECT pg_notification_queue_usage() > 0.8") == "t", "the queue is full")
            time.sleep(2)
        # without a listener, asking for its usage is what frees the queue
        wait_until(lambda: self.db.value("SELECT pg_notification_queue_usage()") and self.db.count() == 100, "all is stored")
        self.assertEqual(client.finish().counts(), (200, 200, 0, 0))

    def restart(self):
        self.server.stop_at_once()
        self.server.start()

    def test_a_file_that_may_not_grow(self):
        """A quota, say: PostgreSQL has no SQLSTATE of its own for it."""
        self.server.need_private()
        self.addCleanup(self.restart)
        self.server.stop_at_once()
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20 << 20, limits[1]))
        try:
            self.server.start()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        d = self.daemon()
        client = d.client()
        client.feed(*[record(amountCents=n, collectedAt="2026-01-05T00:00:00Z", metrics={"text": f"{n:06}" * 300}) for n in range(12000)])
        wait_until(lambda: "File too large" in d.log(), "the chunk cannot grow")
        for n in range(3):
            self.assert_served(d, 10**6 + 100 * n)
            time.sleep(0.5)
        self.restart()
        self.assertEqual(client.wait_ack(12000)["stored"], 12000)
        client.close()


class Deleted(Waiting):
    def test_rows_that_are_deleted_while_they_are_sent_again(self):
        """They are stored or duplicates: no trigger has dropped them."""
        d = self.daemon()
        d.send(*numbered(300))
        over = threading.Event()

        def delete():
            session = Session(self.db.url)
            while not over.wait(0.002):
                session.run("DELETE FROM spending WHERE random() < 0.5")
            session.close()

        thread = threading.Thread(target=delete)
        thread.start()
        try:
            rejected = [d.send(*numbered(300)).codes() for _ in range(25)]
        finally:
            over.set()
            thread.join()
        self.assertEqual([codes for codes in rejected if codes], [])


class Silence(Waiting):
    def test_an_answer_that_never_arrives(self):
        """A backend hangs while its connection stays open: after 30 s the daemon drops it."""
        self.server.need_private()
        d = self.daemon(database__writers=1)
        self.assertEqual(d.send(record()).counts(), (1, 1, 0, 0))
        pid = int(self.db.value("SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%COPY spending (id%' "
                                "AND pid <> pg_backend_pid()"))
        try:
            os.kill(pid, signal.SIGSTOP)
        except (ProcessLookupError, PermissionError):
            self.skipTest("the server's processes are not ours")
        try:
            client = d.client()
            client.send(*numbered(10))
            self.assertEqual(client.wait_ack(10)["stored"], 10)
        finally:
            os.kill(pid, signal.SIGCONT)
        self.assertIn("no answer for 30 s", d.log())
        client.close()


class Locks(Waiting):
    def test_an_open_transaction_that_deletes_an_object(self):
        d = self.daemon(database__writers=2)
        self.assertEqual(d.send(*numbered(3, 500)).counts(), (3, 3, 0, 0))
        client = d.client()
        with self.db.holding("DELETE FROM ad_objects WHERE external_id = '2'"):
            client.send(*numbered(30))
            wait_until(lambda: self.db.count() >= 23, "rows of other objects are stored")
            for n in range(3):
                self.assertEqual(d.send(record(amountCents=1000 + n)).counts(), (1, 1, 0, 0))
        self.assertEqual(client.finish().counts(), (30, 30, 0, 0))


class Memory(Waiting):
    """Waiting rows hold only their own bytes, in a part of the memory: the rest is for others."""

    def test_waiting_rows_among_long_ones(self):
        d = self.daemon(limits__memory_bytes="16M", limits__max_line_bytes="1M")
        self.assertEqual(d.send(*numbered(3, 500)).counts(), (3, 3, 0, 0))
        client = d.client()
        with self.db.holding("DELETE FROM ad_objects WHERE external_id = '2'"):
            for n in range(400):
                client.send(record(externalId="2", amountCents=n), record(amountCents=n, metrics={"text": "x" * 60000}))
            wait_until(lambda: self.db.count() >= 403, "rows of other objects are stored")
            self.assert_served_others(d)
        self.assertEqual(client.finish().counts(), (800, 800, 0, 0))

    def test_long_waiting_rows(self):
        d = self.daemon(limits__memory_bytes="16M", limits__max_line_bytes="1M")
        self.assertEqual(d.send(*numbered(3, 500)).counts(), (3, 3, 0, 0))
        client = d.client()
        with self.db.holding("DELETE FROM ad_objects WHERE external_id = '2'"):
            client.feed(*[record(externalId="2", amountCents=n, metrics={"text": "x" * 500000}) for n in range(40)], half_close=True)
            wait_until(lambda: "rows wait for a lock" in d.log(), "rows wait")
            time.sleep(2)
            self.assert_served_others(d)
        self.assertEqual(client.drain().counts(), (40, 40, 0, 0))

    def assert_served_others(self, d):
        for n in range(3):
            self.assertEqual(d.send(record(amountCents=1000 + n)).counts(), (1, 1, 0, 0))


class Weeks(Waiting):
    @staticmethod
    def weeks(count):
        start = calendar.timegm((1975, 1, 1, 0, 0, 0))
        return [record(amountCents=10000 + n, collectedAt=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(start + n * 7 * 86400)))
                for n in range(count)]

    def test_no_transaction_creates_many_chunks(self):
        d = self.daemon(database__writers=1)
        self.assertEqual(d.send(*self.weeks(60)).counts(), (60, 60, 0, 0))
        self.assertLessEqual(int(self.db.value("SELECT max(n) FROM (SELECT count(*) AS n FROM spending GROUP BY xmin::text) AS t")), 16)
        # and when these are there, a batch goes in one again
        lines = [line | {"amountCents": -1} for line in self.weeks(60)]
        self.assertEqual(d.send(*lines).counts(), (60, 60, 0, 0))
        self.assertEqual(self.db.value("SELECT count(DISTINCT xmin::text) FROM spending WHERE amount_cents < 0"), "1")

    @unittest.skipUnless(os.environ.get("NEW_WEEKS"), "set NEW_WEEKS=2500: it takes minutes")
    def test_2500_new_weeks(self):
        d = self.daemon()
        self.assertEqual(d.send(*numbered(3)).counts(), (3, 3, 0, 0))
        weeks = int(os.environ["NEW_WEEKS"])
        client = d.client()
        feed = client.feed(*self.weeks(weeks), half_close=True)
        worst, sent = 0.0, 0
        other = d.client()
        while feed.is_alive() or self.db.count() - sent < weeks - 100:
            begin = time.monotonic()
            other.send(record(amountCents=sent))
            sent += 1
            other.wait_ack(sent)
            worst = max(worst, time.monotonic() - begin)
            time.sleep(0.2)
        print(f"worst ack beside 2,500 new weeks: {1000 * worst:.0f} ms", file=sys.stderr)
        self.assertEqual(client.drain().counts(), (weeks, weeks, 0, 0))
        self.assertLess(worst, 20)


class Everybody(Waiting):
    """An error that every row meets is the table's fault."""

    def assert_waits(self, repair, lines=30):
        d = self.daemon()
        client = d.client()
        client.send(*numbered(lines))
        wait_until(lambda: d.log().count("SQLSTATE") >= 3, "some attempts")
        client.sock.settimeout(2)
        with self.assertRaises(TimeoutError):
            client.reply()
        client.sock.settimeout(60)
        self.db.execute(repair)
        self.assertEqual(client.finish().counts(), (lines, lines, 0, 0))

    def test_a_check_constraint_that_every_row_violates(self):
        self.db.execute("ALTER TABLE spending ADD CONSTRAINT never CHECK (amount_cents < -5) NOT VALID")
        self.assert_waits("ALTER TABLE spending DROP CONSTRAINT never")

    def test_a_trigger_that_refuses_all(self):
        for sqlstate in ("P0001", "22023"):
            self.db.refuse_inserts("spending", "true", sqlstate=sqlstate)
            self.assert_waits("DROP TRIGGER refuse ON spending; TRUNCATE spending")

    def test_a_rule_that_refuses_the_probe_row(self):
        """Even many probe rows refused by a rule are no proof against the rows."""
        self.db.refuse_inserts("spending", "true", sqlstate="HV000")
        self.db.execute("""DROP TRIGGER refuse ON spending;
                           CREATE TRIGGER refuse AFTER INSERT ON spending FOR EACH ROW EXECUTE FUNCTION refuse();
                           ALTER TABLE spending ADD CHECK (currency = 'EUR') NOT VALID""")
        d = self.daemon()
        client = d.client()
        client.send(*numbered(20, currency="EUR"))
        wait_until(lambda: d.log().count("HV000") >= 14, "many attempts", timeout=150)
        self.db.execute("DROP TRIGGER refuse ON spending")
        self.assertEqual(client.finish().counts(), (20, 20, 0, 0))


class Chance(Waiting):
    def test_one_chance_error_beside_a_bad_row(self):
        """A good row fails once, while the bad row of its batch is searched for: the suspicion ends with the division."""
        self.db.execute("CREATE SEQUENCE tries; GRANT USAGE ON SEQUENCE tries TO PUBLIC")
        for sqlstate in ("XX000", "42P01"):
            self.db.execute("ALTER SEQUENCE tries RESTART")
            self.db.refuse_inserts("spending", "NEW.amount_cents = 7 OR NEW.amount_cents = 8 AND nextval('tries') <= 4",
                                   sqlstate=sqlstate)
            d = self.daemon(database__writers=1)
            replies = d.send(*numbered(9))
            self.assertEqual(replies.codes(), {8: "refused_by_database"})
            d.stop()

    def test_an_object_restored_within_a_moment(self):
        """The foreign key fails, but by the time of the check the object exists."""
        self.db.execute("CREATE SEQUENCE tries; GRANT USAGE ON SEQUENCE tries TO PUBLIC")
        self.db.refuse_inserts("spending", "nextval('tries') <= 2", sqlstate="23503")
        self.assertEqual(self.daemon().send(record()).counts(), (1, 1, 0, 0))


class Ids(Waiting):
    def test_ids_without_a_time_delay_no_other(self):
        """Each is searched for in every chunk, under one lock: a thousand per transaction, and other rows pass them."""
        self.db.execute("""INSERT INTO spending SELECT gen_random_uuid(), (SELECT id FROM ad_objects LIMIT 1),
                           '2020-01-01Z'::timestamptz + n * interval '7 days', '2026-11-01Z', '2026-11-02Z', -1, 'USD'
                           FROM generate_series(1, 60) AS n""")
        d = self.daemon()
        client = d.client()
        client.feed(*[record(id=str(uuid.UUID(int=1 + n)), collectedAt=None, amountCents=n) for n in range(4000)], half_close=True)
        self.assert_served(d, 10**6)
        self.assertEqual(client.drain().counts(), (4000, 4000, 0, 0))


if __name__ == "__main__":
    unittest.main()
