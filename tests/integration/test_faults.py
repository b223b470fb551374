"""Faults of database, network and operator: nothing acked is lost, nothing is stored twice, and no row is rejected for a
fault that is not its own."""

import itertools
import math
import random
import signal
import socket
import sys
import threading
import time
import types
import unittest

from lib.client import encode
from lib.harness import Daemon, TestCase, end_sessions, numbered, psql, record, wait_until
from lib.resender import Resender


class Stream(Resender):
    """Sends these lines, until all are acked."""

    def __init__(self, daemon, lines, pause=0.0):
        super().__init__(daemon)
        self.lines = [encode(line) + b"\n" for line in lines]
        self.pause = pause
        self.deadline = time.monotonic() + 120

    def is_finished(self):
        assert self.acked == len(self.lines) or time.monotonic() < self.deadline, f"only {self.acked} acked"
        return self.acked == len(self.lines)

    def send(self, client, base):
        for i in range(base, len(self.lines), 100):
            client.send_bytes(b"".join(self.lines[i:i + 100]))
            time.sleep(self.pause)
        client.sock.shutdown(1)

    def finish(self):
        self.join()
        if self.error:
            raise self.error


class Faults(TestCase):
    def setUp(self):
        super().setUp()
        self.db.add_account()

    def assert_stored_once(self, count):
        self.assertEqual(self.db.value("SELECT count(*) || ' ' || count(DISTINCT amount_cents) FROM spending"),
                         f"{count} {count}")

    def streams(self, daemon, clients=4, lines=4000, pause=0.01):
        threads = [Stream(daemon, numbered(lines, c * lines), pause) for c in range(clients)]
        for t in threads:
            t.start()
        return threads

    def finish(self, threads, lines=4000):
        for t in threads:
            t.finish()
            self.assertEqual(t.rejected, {})
        self.assert_stored_once(len(threads) * lines)

    def test_daemon_killed(self):
        d = self.daemon(batch__rows=500)
        threads = self.streams(d)
        for _ in range(4):
            time.sleep(random.uniform(0.05, 0.25))
            d.kill()
            d.start()
        self.finish(threads)
        self.assertGreater(max(t.connections for t in threads), 1)

    def test_acked_records_survive_kill_of_daemon_and_server(self):
        self.server.need_private()
        d = self.daemon(batch__rows=100)
        client = d.client()
        client.send(*numbered(2000))
        ack = client.wait_ack(500)
        d.kill()
        self.server.kill()
        self.server.start()
        self.assertGreaterEqual(self.db.count(), ack["stored"])
        d.start()
        self.assertEqual(sum(d.send(*numbered(2000)).counts()[1:3]), 2000)
        self.assert_stored_once(2000)

    def test_server_stopped_and_started(self):
        self.server.need_private()
        d = self.daemon(batch__rows=500)
        threads = self.streams(d)
        time.sleep(0.15)
        self.server.stop_at_once()
        self.addCleanup(self.server.start)
        time.sleep(0.5)
        self.server.start()
        self.finish(threads)
        self.assertEqual({t.connections for t in threads}, {1}, "clients were dropped")

    def test_server_killed(self):
        self.server.need_private()
        d = self.daemon(batch__rows=500)
        threads = self.streams(d)
        time.sleep(0.15)
        self.server.kill()
        self.server.start()
        self.finish(threads)

    def test_backends_terminated_and_canceled(self):
        d = self.daemon(batch__rows=500)
        threads = self.streams(d, pause=0.02)
        for word in ("terminate", "cancel") * 5:
            time.sleep(0.05)
            psql(self.server.url, f"SELECT count(pg_{word}_backend(pid)) FROM pg_stat_activity "
                                  f"WHERE datname = '{self.db.name}' AND pid <> pg_backend_pid()")
        self.finish(threads)
        self.assertIn("connection lost", d.log())

    def test_server_unavailable_at_the_start(self):
        self.server.need_private()
        self.server.stop_at_once()
        self.addCleanup(self.server.start)
        d = self.daemon()
        client = d.client()
        client.send(*numbered(100))
        time.sleep(0.5)
        self.server.start()
        self.assertEqual(client.finish().counts(), (100, 100, 0, 0))

    def test_memory_is_bounded_while_the_server_is_unavailable(self):
        self.server.need_private()
        d = self.daemon(limits__memory_bytes="16M", database__writers=1)
        self.assertEqual(d.send(record(amountCents=-1)).counts(), (1, 1, 0, 0))
        self.server.stop_at_once()
        self.addCleanup(self.server.start)
        client = d.client()
        client.sock.settimeout(1.0)
        lines = [encode(line) + b"\n" for line in numbered(400_000)]
        sent = 0
        try:
            while sent < len(lines):
                client.send_bytes(b"".join(lines[sent:sent + 1000]))
                sent += 1000
        except TimeoutError:
            pass
        self.assertLess(sent, len(lines), "the client was not paused")
        self.assertLess(d.memory_peak(), 400 << 20 if "asan" in d.process.args[0] else 64 << 20)
        # a second signal does not wait for the database
        d.signal(signal.SIGTERM)
        wait_until(lambda: "stopping on SIGTERM" in d.log(), "the first signal was seen")
        d.signal(signal.SIGTERM)
        self.assertEqual(d.process.wait(10), 0)
        self.server.start()
        self.assertEqual(self.db.count(), 1)

    def test_stop_while_the_server_is_unavailable(self):
        self.server.need_private()
        d = self.daemon(shutdown__timeout_ms=1500)
        self.server.stop_at_once()
        self.addCleanup(self.server.start)
        client = d.client()
        client.send("{}", *numbered(10), "{}")
        done_sending = d.client()
        done_sending.send(*numbered(3))
        done_sending.sock.shutdown(socket.SHUT_WR)
        time.sleep(0.2)
        self.assertEqual(d.stop(timeout=10), 0)
        self.server.start()
        self.assertIn("13 in flight", d.log())
        for replies, acked in ((client.drain(), 1), (done_sending.drain(), 0)):
            self.assertEqual((replies.counts()[0], replies.closing), (acked, "shutdown"))
        self.assertEqual(self.db.count(), 0)

    def test_a_silent_server_does_not_delay_the_stop(self):
        """The nth connection attempt succeeds; which database connection makes that attempt is random."""
        for silent in range(1, 7):
            with self.subTest(silent):
                listener = socket.create_server(("127.0.0.1", 0))
                kept = []

                def serve(listener=listener, kept=kept, silent=silent):
                    try:
                        for number in itertools.count(1):
                            kept.append(listener.accept()[0])
                            if number != silent:
                                kept.pop().close()
                    except OSError:
                        pass

                threading.Thread(target=serve, daemon=True).start()
                nowhere = f"postgresql://x@127.0.0.1:{listener.getsockname()[1]}/x?sslmode=disable"
                d = Daemon(types.SimpleNamespace(daemon_url=nowhere), shutdown__timeout_ms=1000)
                self.addCleanup(d.close)
                time.sleep(0.4)
                start = time.monotonic()
                self.assertEqual(d.stop(), 0)
                self.assertLess(time.monotonic() - start, 5)
                listener.close()


class BadRows(TestCase):
    def setUp(self):
        super().setUp()
        self.db.add_account()

    def test_rows_that_the_database_refuses(self):
        self.db.execute("ALTER TABLE spending ADD CONSTRAINT no_thirteen CHECK (amount_cents % 1000 <> 13)")
        d = self.daemon()
        replies = d.send(*numbered(5000))
        bad = {n + 1 for n in range(5000) if n % 1000 == 13}
        self.assertEqual(set(replies.codes()), bad)
        self.assertEqual(set(replies.codes().values()), {"refused_by_database"})
        for reject in replies.rejects.values():
            self.assertIn("no_thirteen", reject["message"])
            self.assertIn("23514", reject["message"])
        self.assertEqual(replies.counts(), (5000, 4995, 0, 5))
        # and among duplicates
        replies = d.send(*numbered(5000), record(amountCents=-1))
        self.assertEqual(replies.counts(), (5001, 1, 4995, 5))

    def test_rows_refused_by_an_operators_trigger(self):
        self.db.refuse_inserts("spending", "NEW.amount_cents = 77", "seventy-seven")
        replies = self.daemon().send(*numbered(300))
        self.assertEqual(replies.codes(), {78: "refused_by_database"})
        self.assertIn("seventy-seven", replies.rejects[78]["message"])
        self.assertEqual(replies.counts(), (300, 299, 0, 1))

    def test_an_object_deleted_while_rows_are_written(self):
        d = self.daemon()
        self.assertEqual(d.send(*numbered(30)).counts(), (30, 30, 0, 0))
        self.db.execute("DELETE FROM ad_objects WHERE external_id = '2'")
        replies = d.send(*numbered(3000, 100))
        self.assertEqual(replies.counts(), (3000, 2000, 0, 1000))
        self.assertEqual(set(replies.codes().values()), {"unknown_ad_object"})
        self.assertEqual(set(replies.codes()), {n + 1 for n in range(3000) if (100 + n) % 3 == 1})

    def test_an_object_deleted_and_created_again(self):
        d = self.daemon()
        self.assertEqual(d.send(*numbered(30)).counts(), (30, 30, 0, 0))
        self.db.execute("""WITH old AS (DELETE FROM ad_objects WHERE external_id = '2' RETURNING *)
                           SELECT 1 FROM old""")
        self.db.execute("""INSERT INTO ad_objects (ad_account_id, external_id, type, status)
                           SELECT id, '2', 'AD', 'PAUSED' FROM ad_accounts""")
        self.assertEqual(d.send(*numbered(3000, 100)).counts(), (3000, 3000, 0, 0))

    def test_faults_of_the_operator_reject_no_row(self):
        """A missing privilege, a missing table, a read-only database: the daemon waits until they are fixed."""
        d = self.daemon()
        self.assertEqual(d.send(record(amountCents=-1)).counts(), (1, 1, 0, 0))
        for broken, fixed in (("ALTER TABLE spending RENAME TO away", "ALTER TABLE away RENAME TO spending"),
                               ("ALTER TABLE ad_objects RENAME TO away", "ALTER TABLE away RENAME TO ad_objects"),
                               (f"ALTER DATABASE {self.db.name} SET default_transaction_read_only = on",
                                f"SET default_transaction_read_only = off; "
                                f"ALTER DATABASE {self.db.name} RESET default_transaction_read_only")):
            self.db.execute(broken)
            psql(self.server.url, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                                  f"WHERE datname = '{self.db.name}' AND pid <> pg_backend_pid()")
            client = d.client()
            client.send(*numbered(100))
            time.sleep(0.7)
            psql(self.db.url, fixed)
            self.assertEqual(sum(client.finish().counts()[1:3]), 100, broken)
        self.assertEqual(self.db.count(), 101)

    def test_a_row_with_an_unexpected_error(self):
        d = self.daemon()
        self.db.refuse_inserts("spending", "NEW.amount_cents IN (7, 500, 501)", sqlstate="XX000")
        lines = numbered(1000)
        replies = d.send(*lines)
        bad = [n for n, line in enumerate(lines, 1) if line["amountCents"] in (7, 500, 501)]
        self.assertEqual(replies.codes(), {n: "refused_by_database" for n in bad})
        self.assertIn("XX000", replies.rejects[bad[0]]["message"])
        self.assertEqual(self.db.count(), 997)

    def test_a_single_row_with_an_unexpected_error(self):
        d = self.daemon(database__writers=1)
        self.db.refuse_inserts("spending", "NEW.amount_cents = 7", sqlstate="BR001")
        for _ in range(2):
            self.assertEqual(d.send(record(amountCents=7)).codes(), {1: "refused_by_database"})
            self.assertEqual(d.send(*numbered(10, 5)).codes(), {3: "refused_by_database"})
        self.assertEqual(self.db.count(), 9)

    def refuse_account(self, name, sqlstate="BR001"):
        self.db.refuse_inserts("spending", "(SELECT ad_account_id FROM ad_objects WHERE id = NEW.ad_object_id) = "
                               f"(SELECT id FROM ad_accounts WHERE external_id = '{name}')", sqlstate=sqlstate)

    def test_an_account_with_unexpected_errors_delays_no_other(self):
        """Even if it has as many clients as there are writers, or more, and its rows are stored already."""
        self.db.add_account("act_2")
        d = self.daemon(database__writers=2)
        self.assertEqual(d.send(record()).counts(), (1, 1, 0, 0))
        self.refuse_account("act_1")
        clients = [d.client() for _ in range(5)]
        for n, client in enumerate(clients):
            client.send(record(amountCents=n + 1))
            wait_until(lambda: d.log().count("BR001") > n, "an attempt")
        self.assertEqual(d.send(record(accountExternalId="act_2")).counts(), (1, 1, 0, 0))
        for client in clients:
            self.assertEqual(client.finish().codes(), {1: "refused_by_database"})

    def test_many_rows_with_unexpected_errors_delay_no_other(self):
        for refusal in ("BR001", "23514"):
            name = f"act_{refusal}"
            self.db.add_account(name)
            self.refuse_account(name, sqlstate=refusal)
            d = self.daemon(database__writers=2)
            client = d.client()
            client.send(*numbered(80, accountExternalId=name))
            first = client.reply()
            self.assertIn("reject", first)
            for n in range(5):
                self.assertEqual(d.send(record(amountCents=n, collectedAt=None)).counts(), (1, 1, 0, 0))
            replies = client.finish()
            self.assertEqual(replies.counts(), (80, 0, 0, 80))
            self.assertGreater(len(replies.rejects), 20, "the others waited until it was over")

    def assert_others_go_on(self, d, seconds, first):
        """Lines of another client are settled meanwhile."""
        other = d.client()
        end = time.monotonic() + seconds
        sent = 0
        while time.monotonic() < end:
            other.send(record(amountCents=first + sent))
            sent += 1
            other.wait_ack(sent)
        self.assertIsNone(other.finish().closing)

    def test_an_operators_trigger_that_is_broken_for_some_rows(self):
        """A table or column that only one branch of the trigger uses: not a fault of the server."""
        d = self.daemon()
        for n, sqlstate in enumerate(("42P01", "42703", "55000")):
            self.db.refuse_inserts("spending", "NEW.amount_cents % 1000 = 7", sqlstate=sqlstate)
            client = d.client()
            client.send(*numbered(20, 10_000 * n))
            self.assert_others_go_on(d, 1, 10_000 * n + 1008)
            replies = client.finish()
            self.assertEqual(replies.codes(), {8: "refused_by_database"})
            self.assertIn(sqlstate, replies.rejects[8]["message"])

    def test_transient_errors_reject_no_row_and_delay_no_other(self):
        """However long it takes, only the row itself waits."""
        d = self.daemon()
        self.db.refuse_inserts("spending", "NEW.amount_cents = 7", sqlstate="40001")
        client = d.client()
        client.send(*numbered(20))
        self.assert_others_go_on(d, 1, 1000)
        wait_until(lambda: self.db.value("SELECT count(*) FROM spending WHERE amount_cents < 20") == "19", "the others")
        self.db.execute("DROP TRIGGER refuse ON spending")
        self.assertEqual(client.finish().counts(), (20, 20, 0, 0))

    def transactions_of(self, send):
        """The number of transactions that the server ran for a daemon during send(daemon), failed ones included."""
        def count():
            return int(psql(self.server.url, "SELECT xact_commit + xact_rollback FROM pg_stat_database "
                                             f"WHERE datname = '{self.db.name}'"))

        end_sessions(self.db.url)
        before = count()
        d = self.daemon()
        send(d)
        d.stop()
        # backends report their statistics when they end; queries from another database are not counted
        wait_until(lambda: psql(self.server.url, "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' "
                                                 f"AND datname = '{self.db.name}'").strip() == "0", "the backends are gone")
        return count() - before

    def test_few_statements_find_the_bad_rows(self):
        """A row that the error names, by its line in the COPY; and rows whose error comes at the end of the statement, by
        halving: one path in the tree of halves each."""
        rows, bad = 10_000, 4

        def send(d, start, refused):
            replies = d.send(*numbered(rows, start))
            self.assertEqual(len(replies.rejects), refused)
            self.assertEqual(replies.counts(), (rows, rows - refused, 0, refused))

        good = self.transactions_of(lambda d: send(d, 0, 0))
        self.db.refuse_inserts("spending", "NEW.amount_cents % 2500 = 7")
        named = self.transactions_of(lambda d: send(d, rows, bad))
        self.db.execute("""DROP TRIGGER refuse ON spending;
                           CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON spending DEFERRABLE INITIALLY DEFERRED
                           FOR EACH ROW EXECUTE FUNCTION refuse()""")
        unnamed = self.transactions_of(lambda d: send(d, 2 * rows, bad))
        print(f"{good} transactions, {named} with {bad} bad rows that are named, {unnamed} with such that are not",
              file=sys.stderr)
        slack = 20  # of this test's own, of looking up objects and at the tables, and batches of a piece of the rows
        proof = 6  # before a row is refused: accounts and objects for a probe row, the probe itself, the row once more
        self.assertLess(named - good, (5 + proof) * bad + slack)
        # of each two halves one fails, after which the connection looks at the tables
        self.assertLess(unnamed - good, bad * (3 * math.log2(rows) + proof) + slack)

    def test_a_unique_index_of_the_operators(self):
        self.db.execute("CREATE UNIQUE INDEX ON spending (ad_object_id, period_start, collected_at, amount_cents)")
        d = self.daemon()
        self.assertEqual(d.send(*numbered(10)).counts(), (10, 10, 0, 0))
        self.db.refuse_inserts("spending", "NEW.amount_cents = 77", sqlstate="BR001")
        self.assertEqual(d.send(*numbered(100)).codes(), {78: "refused_by_database"})

    def assert_waited_for(self, d, lines, repair):
        """@lines are all stored, although the server refuses them until @repair is executed."""
        client = d.client()
        client.send(*lines)
        wait_until(lambda: d.log().count("HV000") >= 4, "some attempts")
        time.sleep(4)
        self.db.execute(repair)
        self.assertEqual(client.finish().counts(), (len(lines), len(lines), 0, 0))

    def test_a_rule_that_refuses_the_probe_row_proves_nothing(self):
        """The error that the probe row meets first does not explain the batch's error."""
        d = self.daemon()
        self.assertEqual(d.send(record(amountCents=5000, metrics={"a": 1})).counts(), (1, 1, 0, 0))
        self.db.refuse_inserts("spending", "true", sqlstate="HV000")
        self.db.execute("""DROP TRIGGER refuse ON spending;
                           CREATE TRIGGER refuse AFTER INSERT ON spending FOR EACH ROW EXECUTE FUNCTION refuse();
                           ALTER TABLE spending ADD CHECK (impressions IS NULL) NOT VALID""")
        self.assert_waited_for(d, numbered(20, metrics={"a": 1}), "DROP TRIGGER refuse ON spending")

    def test_a_server_with_unexpected_errors_for_every_row(self):
        d = self.daemon()
        for sqlstate in ("XX000", "0A000"):
            self.db.refuse_inserts("spending", "true", sqlstate=sqlstate)
            self.db.execute("TRUNCATE spending")
            client = d.client()
            client.send(*numbered(50))
            wait_until(lambda: d.log().count(sqlstate) >= 4, "some attempts")
            time.sleep(1)
            self.db.execute("DROP TRIGGER refuse ON spending")
            self.assertEqual(client.finish().counts(), (50, 50, 0, 0))

    def test_a_server_that_refuses_rows_while_they_are_sent(self):
        """More rows than fit the buffers in between: the daemon gets the server's error before it has sent the last row,
        and the server sends nothing afterwards."""
        self.db.execute("CREATE SEQUENCE tries; GRANT USAGE ON SEQUENCE tries TO PUBLIC")  # no ROLLBACK takes it back
        self.db.refuse_inserts("spending", "NEW.amount_cents = 0 AND pg_advisory_xact_lock(8)::text <> '' OR "
                                           "NEW.amount_cents > 0 AND pg_advisory_xact_lock(7)::text = '' AND nextval('tries') = 1")
        self.db.execute("ALTER FUNCTION refuse() SET lock_timeout = 0")
        daemon = self.daemon(database__writers=1, limits__max_line_bytes="32M")
        large = record(amountCents=1000, metrics={"text": "x" * 20_000_000})
        with self.db.holding("DO $$ BEGIN PERFORM pg_advisory_xact_lock(7); END $$"):
            with self.db.holding("DO $$ BEGIN PERFORM pg_advisory_xact_lock(8); END $$"):
                client = daemon.client()
                client.send(record(amountCents=0))  # the only writer waits with it, and the others become one batch
                time.sleep(0.5)
                client.send(*numbered(50, 1))
                client.feed(large, half_close=True).join()
                time.sleep(0.5)
            waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory' AND query LIKE '%COPY spending (id%'"
            wait_until(lambda: self.db.value(waits) == "1", "the first row waits")
            time.sleep(1)  # until the daemon has sent what goes between them
            daemon.signal(signal.SIGSTOP)
            self.addCleanup(daemon.signal, signal.SIGCONT)
        wait_until(lambda: self.db.value("SELECT count(*) FROM pg_stat_activity WHERE state = 'active' "
                                         "AND query LIKE '%COPY spending (id%' AND pid <> pg_backend_pid()") == "0",
                   "the server has refused it")
        time.sleep(0.5)
        daemon.signal(signal.SIGCONT)
        self.assertEqual(client.finish().counts(), (52, 52, 0, 0))

    def test_locks_of_others_are_waited_for(self):
        d = self.daemon()
        client = d.client()
        blocker = threading.Thread(target=self.db.execute, args=(
            "BEGIN; LOCK TABLE spending IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(1); COMMIT",))
        blocker.start()
        time.sleep(0.3)
        client.send(*numbered(100))
        self.assertEqual(client.finish().counts(), (100, 100, 0, 0))
        blocker.join()

    def test_the_same_records_from_many_at_once(self):
        """In opposite orders, so that transactions wait for each other's keys."""
        d = self.daemon(batch__rows=200, batch__linger_ms=5, database__writers=4)
        lines = numbered(2000)
        results = []

        def send(order):
            results.append(d.send(*order).counts())

        threads = [threading.Thread(target=send, args=(lines[::step],)) for step in (1, -1, 1, -1)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(sum(r[1] for r in results), 2000)
        self.assertEqual(sum(r[2] for r in results), 6000)
        self.assertEqual(self.db.count(), 2000)


if __name__ == "__main__":
    unittest.main()
