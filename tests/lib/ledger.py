"""The delivery promise as a ledger: clients stream known lines while everything around them is killed, stopped,
disconnected, paused and changed at random; finally the database contains each good record exactly once and unaltered, and
nothing else. LEDGER_ROUNDS consecutive faults (default 6), and the same again with another seed until LEDGER_SECONDS are over
(default 0); LEDGER_SEED repeats a run: it is printed on failure."""

import itertools
import json
import os
import pathlib
import random
import shutil
import tempfile
import threading
import time

from lib.client import encode
from lib.harness import Database, TestCase, account, ad_object, psql, record, wait_until
from lib.resender import Resender

ROUNDS = int(os.environ.get("LEDGER_ROUNDS", "6"))
SECONDS = int(os.environ.get("LEDGER_SECONDS", "0"))
SEED = int(os.environ.get("LEDGER_SEED", random.randrange(10**6)))
BAD = {"amountCents": 1.5}, {"currency": "usd"}, {"externalId": "nobody"}, {"amountCents": 13_000_013}


class Client(Resender):
    """Makes lines and sends them, until closing is set."""

    def __init__(self, ledger, number, seed):
        super().__init__(ledger.daemon)
        self.ledger, self.number = ledger, number
        self.rng = random.Random(f"{seed} {number}")
        self.lines, self.good, self.bad = [], {}, {}
        self.sent_objects = 0
        self.closing = threading.Event()
        self.cut = threading.Event()  # the connection is to break in the middle of a line

    def is_finished(self):
        return self.closing.is_set() and self.acked == len(self.lines)

    def make_lines(self):
        """Makes more lines: now and then a new ad object followed by its spending; some lines bad, some sent twice."""
        mine = f"act_{self.number}"
        if not self.lines and self.ledger.makes_objects:
            self.add(account(self.ledger.connection, mine))
        for _ in range(self.rng.randrange(50, 300)):
            if self.ledger.makes_objects and (self.sent_objects == 0 or self.rng.random() < 0.02):
                self.sent_objects += 1
                self.add(ad_object(f"{self.number} {self.sent_objects}", accountExternalId=mine))
            n = len(self.lines)
            line = record(accountExternalId=mine, amountCents=n, externalId=f"{self.number} {self.sent_objects}",
                          metrics={"client": self.number, "text": "ä\"\\" * self.rng.randrange(20)})
            if self.rng.random() < 0.03:
                self.bad[n + 1] = line = line | self.rng.choice(BAD)
            else:
                self.good[n] = line
                if self.rng.random() < 0.03:
                    self.add(line)
            self.add(line)

    def make_objects_first(self, daemon):
        mine = f"act_{self.number}"
        self.sent_objects = 3
        done = daemon.send(account(self.ledger.connection, mine),
                           *[ad_object(f"{self.number} {n}", accountExternalId=mine) for n in range(1, 4)])
        assert done.ack["stored"] == 4, done.ack

    def add(self, line):
        self.lines.append(encode(line) + b"\n")

    def send(self, client, base):
        next_line = base
        while not (self.closing.is_set() and next_line == len(self.lines)):
            if next_line == len(self.lines):
                self.make_lines()
            piece = b"".join(self.lines[next_line:next_line + 50])
            client.send_bytes(piece)
            next_line = min(next_line + 50, len(self.lines))
            if self.cut.is_set():
                self.cut.clear()
                client.send_bytes(b'{"platform":"META","accou')
                client.sock.shutdown(2)
                return
            time.sleep(0.005)
        client.sock.shutdown(1)


class LedgerTest(TestCase):
    def terminate_backends(self):
        psql(self.server.url, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                              f"WHERE datname = '{self.db.name}' AND random() < 0.7")

    def kill_daemon(self):
        self.daemon.kill()
        time.sleep(self.rng.random() / 5)
        self.daemon.start()

    def stop_server(self):
        self.server.stop_at_once()
        time.sleep(self.rng.uniform(0, self.longest))
        self.server.start()

    def kill_server(self):
        self.server.kill()
        time.sleep(self.rng.uniform(0, self.longest))
        self.server.start()

    def pause_server(self):
        self.server.pause(self.rng.uniform(0.5, 2 * self.longest))

    def restart_daemon(self):
        self.daemon.stop()
        self.daemon.start()

    def cut_clients(self):
        for client in self.clients:
            if self.rng.random() < 0.7:
                client.cut.set()

    makes_objects = True  # the clients' lines also make their ad objects
    lost = 0  # acked lines that the daemon says a damaged spool has lost

    def faults(self):
        faults = [self.kill_daemon, self.terminate_backends, self.cut_clients, self.restart_daemon]
        if self.server.private:
            faults += [self.stop_server, self.kill_server, self.pause_server]
        return faults

    def run_ledger(self, longest, **settings):
        """@longest: seconds that an outage lasts at most. @settings: of the daemon; {folder} in a value is a folder of the run."""
        self.longest = longest
        end = time.monotonic() + SECONDS
        for seed in itertools.count(SEED):
            whole = False
            with self.subTest(seed=seed):
                self.run_once(seed, settings)
                whole = True
            if not whole or time.monotonic() >= end:
                return
            self.db = Database(self.server)
            self.addCleanup(self.db.close)

    def run_once(self, seed, settings):
        self.rng = random.Random(seed)
        self.lost = 0
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="ingestd-ledger-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.connection = self.db.create_connection()
        self.db.execute("ALTER TABLE spending ADD CHECK (amount_cents <> 13000013)")
        self.daemon = super().daemon(batch__rows=700, batch__linger_ms=20,
                                     **{key: str(value).format(folder=self.folder) for key, value in settings.items()})
        self.clients = [Client(self, number, seed) for number in range(5)]
        if not self.makes_objects:
            for client in self.clients:
                client.make_objects_first(self.daemon)
        for client in self.clients:
            client.start()
        faults = self.faults()
        first = self.rng.sample(faults, len(faults))
        for n in range(ROUNDS):
            time.sleep(self.rng.uniform(0.05, 0.5))
            (first[n] if n < len(first) else self.rng.choice(faults))()
        for client in self.clients:
            client.closing.set()
        for client in self.clients:
            client.join(300)  # a row with which connections were lost may rest for two minutes
            self.assertFalse(client.is_alive(), "a client does not get to its end:\n" + self.daemon.log()[-4000:])
            if client.error:
                raise client.error
        good = sum(len(client.good) for client in self.clients)
        wait_until(lambda: self.db.count() >= good - self.lost, f"{good} rows")
        self.assertEqual(self.daemon.stop(), 0)
        refused = self.refused_after_their_ack()
        self.assertLessEqual(sum(self.missing(client, refused) for client in self.clients), self.lost)

    def refused_after_their_ack(self):
        """The lines in the reject file: they waited in the spool, and were refused when they left it."""
        path = self.folder / "rejects"
        text = path.read_text() if path.exists() else ""
        return {json.loads(line)["record"].encode() + b"\n" for line in text.splitlines() if line}

    def missing(self, client, refused):
        """Asserts that nothing else is stored or refused than should be; returns how many lines are neither."""
        bad = {client.lines[n - 1] for n in client.bad}
        refused = {line for line in refused if f"act_{client.number}".encode() in line}
        # the reply to a bad line can be lost with its connection, but then its line was not acked, and is sent again
        told = refused | {client.lines[n - 1] for n in client.rejected}
        self.assertEqual(told - bad, set(), "a good line refused")
        rows = self.db.query(f"""SELECT o.external_id, amount_cents, s.currency, collected_at, period_start, metrics
                                 FROM spending s JOIN ad_objects o ON o.id = s.ad_object_id
                                 JOIN ad_accounts a ON a.id = o.ad_account_id
                                 WHERE a.external_id = 'act_{client.number}'""")
        stored = {row["amount_cents"]: row for row in rows}
        self.assertEqual(len(stored), len(rows), "a row stored twice")
        want = {n: {"external_id": line["externalId"], "amount_cents": line["amountCents"], "currency": "USD",
                    "collected_at": "2026-11-03T00:00:00+00:00", "period_start": "2026-11-01T00:00:00+00:00",
                    "metrics": line["metrics"]} for n, line in client.good.items()}
        self.assertEqual([row for n, row in stored.items() if row != want.get(n)], [], "rows that differ from their lines")
        self.assertEqual(self.db.value(f"SELECT count(*) FROM ad_objects o JOIN ad_accounts a ON a.id = o.ad_account_id "
                                       f"WHERE a.external_id = 'act_{client.number}'"), str(client.sent_objects))
        return len(bad - told) + len(want) - len(rows)
