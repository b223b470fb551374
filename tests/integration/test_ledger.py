"""The delivery promise as a ledger: clients stream known lines while everything around them is killed, stopped,
disconnected and paused at random; finally the database contains each good record exactly once and unaltered, and nothing
else. LEDGER_ROUNDS consecutive faults (default 6); LEDGER_SEED repeats a run: it is printed on failure."""

import json
import os
import pathlib
import random
import tempfile
import threading
import time
import unittest

from lib.harness import TestCase, account, ad_object, encode, psql, record, wait_until

ROUNDS = int(os.environ.get("LEDGER_ROUNDS", "6"))
SEED = int(os.environ.get("LEDGER_SEED", random.randrange(10**6)))
BAD = {"amountCents": 1.5}, {"currency": "usd"}, {"externalId": "nobody"}, {"amountCents": 13_000_013}


class Client(threading.Thread):
    """Sends its lines as the contract requires: after a broken connection all lines after the last ack again. Its lines do
    not end until finish() is called."""

    def __init__(self, ledger, number):
        super().__init__(daemon=True)
        self.ledger, self.number = ledger, number
        self.rng = random.Random(f"{SEED} {number}")
        self.lines, self.good, self.bad, self.rejected = [], {}, {}, {}
        self.acked = self.sent_objects = 0
        self.closing = threading.Event()
        self.cut = threading.Event()  # the connection is to break in the middle of a line
        self.error = None

    def make_lines(self):
        """Makes more lines: now and then a new ad object followed by its spending; some lines bad, some sent twice."""
        mine = f"act_{self.number}"
        if not self.lines:
            self.add(account(self.ledger.connection, mine))
        for _ in range(self.rng.randrange(50, 300)):
            if self.sent_objects == 0 or self.rng.random() < 0.02:
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

    def add(self, line):
        self.lines.append(encode(line) + b"\n")

    def run(self):
        try:
            while not (self.closing.is_set() and self.acked == len(self.lines)):
                try:
                    self.converse()
                except OSError:
                    time.sleep(0.02)
        except BaseException as error:
            self.error = error

    def converse(self):
        client = self.ledger.daemon.client()
        base = self.acked
        sender = threading.Thread(target=self.send, args=(client, base), daemon=True)
        sender.start()
        try:
            while (reply := client.reply()) is not None:
                if "ack" in reply:
                    self.acked = base + reply["ack"]
                elif "reject" in reply:
                    self.rejected[base + reply["reject"]] = reply
        except AssertionError:
            pass  # cut off in the middle of a reply
        finally:
            client.close()
            sender.join()

    def send(self, client, next_line):
        try:
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
        except OSError:
            pass


class Ledger(TestCase):
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

    def test_ledger(self):
        self.run_ledger(longest=1)

    def test_ledger_with_workers(self):
        self.run_ledger(longest=1, daemon__workers=2)

    def test_ledger_with_a_spool(self):
        """With a spool that is soon full, and outages long enough to fill it."""
        with tempfile.TemporaryDirectory() as folder:
            self.reject_file = pathlib.Path(folder, "rejects")
            self.run_ledger(longest=4, rejects__file=str(self.reject_file), rejects__max_bytes="1G",
                            spool__dir=f"{folder}/spool", spool__max_bytes="3M")

    reject_file = None

    def refused_while_draining(self):
        if not self.reject_file:
            return {}
        entries = [json.loads(line) for line in self.reject_file.read_text().splitlines() if line]
        return {entry["record"].encode() + b"\n": entry for entry in entries}

    def run_ledger(self, longest, **settings):
        self.longest = longest
        self.rng = random.Random(SEED)
        self.connection = self.db.create_connection()
        self.db.execute("ALTER TABLE spending ADD CHECK (amount_cents <> 13000013)")
        self.daemon = super().daemon(batch__rows=700, batch__linger_ms=20, **settings)
        self.clients = [Client(self, number) for number in range(5)]
        for client in self.clients:
            client.start()
        faults = [self.kill_daemon, self.terminate_backends, self.cut_clients, self.restart_daemon]
        if self.server.private:
            faults += [self.stop_server, self.kill_server, self.pause_server]
        with self.subTest(seed=SEED):
            for n in range(ROUNDS):
                time.sleep(self.rng.uniform(0.05, 0.5))
                (self.rng.choice(faults) if n >= len(faults) else faults[(n + SEED) % len(faults)])()
            for client in self.clients:
                client.closing.set()
            for client in self.clients:
                client.join(120)
                self.assertFalse(client.is_alive(), "a client does not get to its end")
                if client.error:
                    raise client.error
            good = sum(len(client.good) for client in self.clients)
            wait_until(lambda: self.db.count() >= good, f"{good} rows")
            self.assertEqual(self.daemon.stop(), 0)
            for client in self.clients:
                self.assert_settled(client)

    def assert_settled(self, client):
        self.assertEqual({n: client.lines[n - 1] for n in client.rejected}, {n: client.lines[n - 1] for n in client.rejected
                                                                            if n in client.bad}, "a good line refused")
        # the reply to a bad line can be lost with its connection, but then its line was not acked, and is sent again
        drained = self.refused_while_draining()
        bad = {client.lines[n - 1] for n in client.bad}
        self.assertEqual([entry for line, entry in drained.items()
                          if f"act_{client.number}".encode() in line and line not in bad], [], "a good line refused")
        self.assertEqual(set(client.rejected) | {n for n in client.bad if client.lines[n - 1] in drained}, set(client.bad))
        rows = self.db.query(f"""SELECT o.external_id, amount_cents, s.currency, collected_at, period_start, metrics
                                 FROM spending s JOIN ad_objects o ON o.id = s.ad_object_id
                                 JOIN ad_accounts a ON a.id = o.ad_account_id
                                 WHERE a.external_id = 'act_{client.number}' ORDER BY amount_cents""")
        want = [{"external_id": line["externalId"], "amount_cents": line["amountCents"], "currency": "USD",
                 "collected_at": "2026-11-03T00:00:00+00:00", "period_start": "2026-11-01T00:00:00+00:00",
                 "metrics": line["metrics"]} for _, line in sorted(client.good.items())]
        self.assertEqual(len(rows), len(want))
        self.assertTrue(json.dumps(rows, sort_keys=True) == json.dumps(want, sort_keys=True), "rows are altered")
        self.assertEqual(self.db.value(f"SELECT count(*) FROM ad_objects o JOIN ad_accounts a ON a.id = o.ad_account_id "
                                       f"WHERE a.external_id = 'act_{client.number}'"), str(client.sent_objects))


if __name__ == "__main__":
    unittest.main()
