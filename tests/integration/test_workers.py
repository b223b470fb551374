"""daemon.workers = N: each worker has its own clients and stages; together they behave as one daemon."""

import pathlib
import re
import signal
import tempfile
import threading
import unittest

from lib.harness import TestCase, account, ad_object, numbered, record, wait_until


class Workers(TestCase):
    def daemon(self, **settings):
        return super().daemon(daemon__workers=3, **settings)

    def setUp(self):
        super().setUp()
        self.db.add_account()

    def threads(self, d):
        return sorted(p.read_text().strip() for p in pathlib.Path(f"/proc/{d.process.pid}/task").glob("*/comm"))

    def test_clients_are_distributed(self):
        """All at once, over all workers; the totals are those of the daemon."""
        d = self.daemon()
        names = ["worker 1", "worker 2", "worker 3"]
        wait_until(lambda: [name for name in self.threads(d) if name.startswith("worker")] == names, "threads")
        lines = numbered(1200)
        results = []
        threads = [threading.Thread(target=lambda part=lines[i::6]: results.append(d.send(*part).counts()))
                   for i in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(results, [(200, 200, 0, 0)] * 6)
        self.assertEqual(self.db.count(), 1200)
        self.assertEqual(d.send(*lines).counts(), (1200, 0, 1200, 0))
        d.signal(signal.SIGUSR1)
        wait_until(lambda: "status: 7 connections; 2400 lines: 1200 stored, 1200 duplicate, 0 rejected" in d.log(), "totals")
        self.assertEqual(d.stop(), 0)
        self.assertIn("stopped: 7 connections; 2400 lines: 1200 stored, 1200 duplicate", d.log())

    def test_database_connections_are_distributed(self):
        self.daemon(database__writers=4)
        count = (f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{self.db.name}' "
                 f"AND backend_type = 'client backend' AND pid <> pg_backend_pid()")
        wait_until(lambda: self.db.value(count) == "11",
                   "4 writers, 3 resolvers, 3 for the hierarchy, 1 that checks the tables")

    def test_the_limit_of_connections_is_the_daemons(self):
        d = self.daemon(limits__max_connections=4)
        clients = [d.client() for _ in range(4)]
        for client in clients:
            client.send(record())
            client.wait_ack(1)
        refused = [d.client().drain().closing for _ in range(4)]
        self.assertEqual(refused, ["too_many_connections"] * 4)
        clients[0].finish()
        self.assertEqual(wait_until(lambda: d.send(record()).ack, "a place is free")["duplicate"], 1)
        for client in clients[1:]:
            client.finish()

    def test_hierarchy_lines_of_another_worker_release_waiting_records(self):
        """Long before they would be looked up again."""
        d = self.daemon(resolve__unknown_grace_ms=60000)
        waiting = [d.client() for _ in range(3)]
        for i, client in enumerate(waiting):
            client.send(record(externalId="new", amountCents=i))
        done = threading.Event()

        def finish():
            for client in waiting:
                client.finish()
            done.set()

        thread = threading.Thread(target=finish)
        thread.start()
        self.assertFalse(done.wait(0.5))
        self.assertEqual(d.send(ad_object("new")).counts(), (1, 1, 0, 0))
        self.assertTrue(done.wait(30))
        thread.join()
        self.assertEqual(self.db.count(), 3)

    def test_an_account_becomes_ambiguous_for_all_workers(self):
        d = self.daemon()
        for _ in range(3):  # each has it in its cache
            self.assertEqual(d.send(record(amountCents=1)).ack["rejected"], 0)
        other = self.db.create_connection()
        self.assertEqual(d.send(account(other, "act_1")).counts(), (1, 1, 0, 0))
        for i in range(3):
            wait_until(lambda: "ambiguous_account" in str(d.send(record(amountCents=2 + i)).rejects), "ambiguous", timeout=5)

    def test_all_workers_share_one_reject_file(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        path = pathlib.Path(folder.name, "rejects")
        d = self.daemon(rejects__file=str(path), rejects__max_bytes="64K", rejects__keep=1000)
        threads = [threading.Thread(target=lambda: d.send(*[record(externalId=f"no {i}") for i in range(500)]))
                   for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(d.stop(), 0)
        text = "".join(p.read_text() for p in path.parent.iterdir())
        self.assertEqual(len(re.findall(r'^\{"time":.*"connection":\d+,"line":\d+.*\}$', text, re.M)), 3000)

    def test_sigterm_settles_all(self):
        d = self.daemon(batch__linger_ms=5000)
        clients = [d.client() for _ in range(6)]
        for i, client in enumerate(clients):
            client.send(*[record(amountCents=100 * i + n) for n in range(50)])
        wait_until(lambda: self.read_all(d, 300), "all is read")
        d.signal(signal.SIGTERM)
        for client in clients:
            replies = client.drain()
            self.assertEqual((replies.counts(), replies.closing), ((50, 50, 0, 0), "shutdown"))
        self.assertEqual(d.process.wait(30), 0)
        self.assertEqual(self.db.count(), 300)

    def read_all(self, d, lines):
        d.signal(signal.SIGUSR1)
        return f" {lines} lines: " in d.log()


if __name__ == "__main__":
    unittest.main()
