"""The relay's promise as a ledger: producers publish known lines to a stream of three replicas while its servers, the relays, the
daemon and PostgreSQL are killed, stopped and paused at random; in the end every published line is stored once or rejected
once, in order for each account. After each fault every process runs and answers, and none ended of itself or by another signal
than the fault's.

LEDGER_ROUNDS faults in a row (5 unless told); LEDGER_SEED repeats a run: it is printed when one fails; LEDGER_PAUSE is the
seconds between two messages of a producer; LEDGER_KEEP is a folder for logs and streams."""

import collections
import json
import os
import pathlib
import random
import re
import shutil
import signal
import threading
import time
import unittest
import urllib.request

from lib.client import encode
from lib.harness import TestCase, account, ad_object, record, wait_until
from lib.nats import NatsError, NatsServers, read_stream
from lib.relay import Relay, need_relay

ROUNDS = int(os.environ.get("LEDGER_ROUNDS", "5"))
SEED = int(os.environ.get("LEDGER_SEED", random.randrange(10**6)))
BAD = {"amountCents": 1.5}, {"currency": "usd"}, {"externalId": "nobody"}, {"amountCents": 13_000_013}
PAUSE = float(os.environ.get("LEDGER_PAUSE", "0.15"))
LEASE_MS = 2000
KEEP = os.environ.get("LEDGER_KEEP")


class Producer(threading.Thread):
    """Publishes messages of one account, each after a stream has stored the previous one."""

    def __init__(self, ledger, number):
        super().__init__(daemon=True)
        self.ledger, self.number = ledger, number
        self.account = f"act_{number}"
        self.rng = random.Random(f"{SEED} {number}")
        self.good, self.bad = [], collections.Counter()
        self.messages = self.objects = self.lines = self.renames = self.not_stored = 0
        self.closing = threading.Event()
        self.client = self.error = None

    def make_message(self):
        if self.messages == 0:
            return [account(self.ledger.connection, self.account)]
        made = []
        for _ in range(self.rng.randrange(1, 40)):
            if self.objects == 0 or self.rng.random() < 0.02:
                self.objects += 1
                made.append(ad_object(f"{self.number} {self.objects}", accountExternalId=self.account))
            if self.rng.random() < 0.02:
                self.renames += 1
                made.append(ad_object(f"{self.number} 1", accountExternalId=self.account, name=f"Name {self.renames}"))
            self.lines += 1
            # every third record is stamped by the relay
            line = record(accountExternalId=self.account, amountCents=self.lines, externalId=f"{self.number} {self.objects}",
                          metrics={"text": "ä\"\\" * self.rng.randrange(9)},
                          **({"collectedAt": None} if self.lines % 3 == 0 else {}))
            if self.rng.random() < 0.04:
                line |= self.rng.choice(BAD) | {"metrics": {"line": f"{self.number} {self.lines}"}}
                self.bad[encode(line).decode()] += 1
            else:
                self.good.append(self.lines)
                if self.rng.random() < 0.05 and "collectedAt" in line:
                    made.append(line)
            made.append(line)
        return made

    def expect_again(self, message):
        for text in message.decode().splitlines():
            line = json.loads(text)
            if text in self.bad:
                self.bad[text] += 1
            elif "kind" not in line and "collectedAt" not in line:
                self.good.append(line["amountCents"])

    def publish(self, text):
        """Publishes until it is stored; for the stream, a repetition is the same message."""
        while True:
            try:
                self.client = self.client or self.ledger.nats.client(2)
                return self.client.store(f"boris.in.META.{self.account}", text, f"{self.number}-{self.messages}", timeout=2)
            except (OSError, NatsError, TimeoutError) as error:
                self.not_stored += "acked, but not stored" in str(error)
                if self.client:
                    self.client.close()
                self.client = None
                time.sleep(0.1)

    def run(self):
        try:
            while not self.closing.is_set():
                message = self.make_message()
                self.last = self.publish(b"".join(encode(line) + b"\n" for line in message))
                self.messages += 1
                time.sleep(PAUSE)
        except BaseException as error:
            self.error = error


class Ledger(TestCase):
    def setUp(self):
        need_relay()
        super().setUp()
        self.rng = random.Random(SEED)
        self.nats = NatsServers(3, sync="always")
        self.addCleanup(self.nats.close)
        self.nats.add_stream("BORIS", ["boris.p.>"])
        self.nats.add_stream("REJECTS", ["boris.rejects.>"], duplicate_window=3600 * 10**9)
        self.connection = self.db.create_connection()
        self.db.execute("ALTER TABLE spending ADD CHECK (amount_cents <> 13000013)")
        self.ingestd = self.daemon(batch__linger_ms=5)
        self.relays = [self.relay() for _ in range(2)]

    def relay(self, **settings):
        relay = Relay(self.db, self.nats, self.ingestd, relay__lease_ms=LEASE_MS, log__level="debug", **settings)
        self.addCleanup(relay.close)
        return relay

    # --- processes ---

    def processes(self):
        return {"the daemon": self.ingestd.process, **{f"relay {n}": relay.process for n, relay in enumerate(self.relays)},
                **{f"NATS server {n}": process for n, process in enumerate(self.nats.processes)}}

    def log_of(self, name):
        """The end of its log."""
        if name.startswith("NATS"):
            return (self.nats.dir / f"n{name[-1]}.log").read_text()[-3000:]
        return (self.ingestd if name == "the daemon" else self.relays[int(name[-1])]).log()[-3000:]

    def assert_ended(self, process, *statuses):
        """The process that a fault ended, ended by that: negative statuses are signals."""
        for name, other in self.processes().items():
            if other is process:
                self.assertIn(process.returncode, statuses, f"{name} did not end by the fault: {self.log_of(name)}")

    def kill(self, victim):
        victim.kill()
        self.assert_ended(victim.process, -signal.SIGKILL)

    def kill_nats(self, n):
        self.nats.kill(n)
        self.assert_ended(self.nats.processes[n], -signal.SIGKILL)

    def answers(self, relay):
        try:
            with urllib.request.urlopen(f"{relay.http()}/healthz", timeout=20) as response:
                return response.status == 200
        except OSError:
            return False

    def assert_alive(self):
        for name, process in self.processes().items():
            self.assertIsNone(process.poll(), f"{name} crashed, or ended of itself: {self.log_of(name)}")
        self.assertEqual(self.db.value("SELECT 1"), "1")
        self.assertIsNotNone(self.ingestd.send("").ack, "the daemon does not answer")
        for n, relay in enumerate(self.relays):
            self.assertTrue(self.answers(relay), f"relay {n} does not answer: {self.log_of(f'relay {n}')}")

    # --- faults ---

    def kill_node(self, n):
        self.kill_nats(n)
        time.sleep(self.rng.uniform(0, 2))
        self.nats.start(n)
        self.nats.wait_ready()

    def kill_leader(self):
        self.kill_node(self.nats.leader("BORIS"))

    def kill_any_node(self):
        self.kill_node(self.rng.randrange(3))

    def lose_quorum(self):
        gone = self.rng.sample(range(3), 2)
        for n in gone:
            self.kill_nats(n)
        time.sleep(self.rng.uniform(1, 4))
        for n in gone:
            self.nats.start(n)
        self.nats.wait_ready()

    def kill_relay(self):
        relay = self.rng.choice(self.relays)
        self.kill(relay)
        time.sleep(self.rng.uniform(0, 1))
        relay.start()

    def kill_both_relays(self):
        for relay in self.relays:
            self.kill(relay)
        for relay in self.relays:
            relay.start()

    def pause_relay(self):
        """Either longer than its lease, so that the other one takes over, or shorter."""
        relay = self.rng.choice(self.relays)
        relay.signal(signal.SIGSTOP)
        time.sleep(self.rng.choice((0.5, 2 * LEASE_MS / 1000 + 1)))
        relay.signal(signal.SIGCONT)

    def kill_daemon(self):
        self.kill(self.ingestd)
        time.sleep(self.rng.uniform(0, 1))
        self.ingestd.start()

    def kill_server(self):
        self.server.kill()
        time.sleep(self.rng.uniform(0, 1))
        self.server.start()

    def roll(self):
        """Restarts everything, one after the other."""
        for n in range(3):
            self.nats.stop(n)
            self.assert_ended(self.nats.processes[n], 0, 1, -signal.SIGTERM)
            self.nats.start(n)
            self.nats.wait_ready()
        for relay in self.relays:
            relay.stop()
            self.assert_ended(relay.process, 0)
            relay.start()
        self.ingestd.stop()
        self.assert_ended(self.ingestd.process, 0)
        self.ingestd.start()

    # --- the ledger ---

    def test_ledger(self):
        faults = [self.kill_leader, self.pause_relay, self.kill_daemon, self.kill_relay, self.kill_any_node,
                  self.kill_both_relays, self.lose_quorum, self.roll]
        if self.server.private:
            faults.insert(2, self.kill_server)
        self.producers = [Producer(self, number) for number in range(6)]
        for producer in self.producers:
            producer.start()
        with self.subTest(seed=SEED):
            try:
                for n in range(ROUNDS):
                    time.sleep(self.rng.uniform(0.2, 1))
                    fault = faults[n] if n < len(faults) else self.rng.choice(faults)
                    print(f"{time.strftime('%T')} fault {n}: {fault.__name__}", flush=True)
                    fault()
                    self.assert_alive()
                time.sleep(0.5)
                self.assert_ledger()
                self.assert_alive()
            finally:
                self.keep_logs()

    def assert_ledger(self):
        for producer in self.producers:
            producer.closing.set()
        for producer in self.producers:
            producer.join(150)
            self.assertFalse(producer.is_alive(), "a producer does not get to its end")
            if producer.error:
                raise producer.error
        print(f"acks with sequence 0, published again: {sum(producer.not_stored for producer in self.producers)}")
        self.wait_settled()
        self.assert_rejects()
        for producer in self.producers:
            self.assert_stored(producer)

    def keep_logs(self):
        if not KEEP:
            return
        folder = pathlib.Path(KEEP, str(SEED))
        folder.mkdir(parents=True, exist_ok=True)
        for name, log in [("daemon", self.ingestd.log()), *((f"relay{n}", relay.log()) for n, relay in enumerate(self.relays))]:
            (folder / name).write_text(log)
        for log in self.nats.dir.glob("*.log"):
            shutil.copy(log, folder)
        for name in ("BORIS", "REJECTS"):
            (folder / f"{name}.jsonl").write_text("".join(
                json.dumps(message | {"data": message["data"].decode()}) + "\n" for message in read_stream(self.nats, name)))

    def wait_settled(self):
        """Waits until the positions are at each partition's last message."""
        messages = self.messages = read_stream(self.nats, "BORIS")
        ids = collections.Counter(re.search("Nats-Msg-Id: (\\S+)", message["headers"])[1] for message in messages)
        for producer in self.producers:
            want = [f"{producer.number}-{n}" for n in range(producer.messages)]
            self.assertEqual([name for name in want if ids[name] == 0], [], f"the stream itself lost messages of {producer.number}")
        self.expect_doubled(messages)
        last = {}
        for message in messages:
            last[message["subject"].split(".")[2]] = message["seq"]
        want = {int(partition): sequence for partition, sequence in last.items()}

        def settled():
            rows = self.db.query("SELECT partition, sequence FROM boris_ingestd_relay WHERE sequence > 0")
            return {row["partition"]: row["sequence"] for row in rows} == want
        try:
            wait_until(settled, "positions", 120, 0.2)
        except AssertionError:
            raise AssertionError(f"{want} {self.db.query('SELECT * FROM boris_ingestd_relay')} "
                                 f"{self.relays[0].log()[-9000:]}\n\n{self.relays[1].log()[-9000:]}\n\n{self.ingestd.log()[-5000:]}")

    def expect_doubled(self, messages):
        """A new leader of NATS before 2.11 may store the repetition of a message that it has not read yet (config/relay.md): lines without
        collectedAt are then stored, and bad ones rejected, twice."""
        seen, doubled = set(), 0
        for message in messages:
            name = re.search("Nats-Msg-Id: (\\S+)", message["headers"])[1]
            if name in seen:
                doubled += 1
                self.producers[int(name.split("-")[0])].expect_again(message["data"])
            seen.add(name)
        print(f"messages that the stream has twice: {doubled}")

    def assert_rejects(self):
        want = sum((producer.bad for producer in self.producers), collections.Counter())
        entries = [json.loads(message["data"]) for message in read_stream(self.nats, "REJECTS")]
        ids = collections.Counter((entry["sequence"], entry["line"]) for entry in entries)
        self.assertEqual([key for key, count in ids.items() if count > 1], [], "rejected twice")
        got = collections.Counter(entry["record"] for entry in entries)
        wrong = got - want
        self.assertEqual([entry for entry in entries if entry["record"] in wrong][:5], [], f"{len(wrong)} good lines rejected")
        self.assertEqual(list(want - got)[:5], [], "bad lines were not rejected")

    def find(self, producer, amounts):
        """Where in the stream these lines are: subject, sequence, line, the message's number of lines and its time."""
        found = []
        for message in self.messages:
            for n, line in enumerate(message["data"].splitlines(), 1):
                record = json.loads(line)
                if record.get("accountExternalId") == producer.account and record.get("amountCents") in amounts:
                    found.append((message["subject"], message["seq"], n, message["data"].count(b"\n"), message["time"]))
        return found

    def assert_stored(self, producer):
        rows = self.db.value(f"""SELECT coalesce(json_agg(amount_cents ORDER BY amount_cents), '[]') FROM spending s
                                 JOIN ad_objects o ON o.id = s.ad_object_id JOIN ad_accounts a ON a.id = o.ad_account_id
                                 WHERE a.external_id = '{producer.account}'""")
        rows = collections.Counter(json.loads(rows))
        want = collections.Counter(producer.good)
        self.assertEqual(rows - want, {}, "stored twice")
        self.assertEqual(want - rows, {}, f"not stored: {self.find(producer, want - rows)}")
        if producer.renames:
            self.assertEqual(self.db.value(f"SELECT name FROM ad_objects WHERE external_id = '{producer.number} 1'"),
                             f"Name {producer.renames}", "out of order")


if __name__ == "__main__":
    unittest.main()
