"""Intake from a NATS JetStream stream: what producers publish is stored once or rejected once, in order."""

import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.request

from lib.client import encode
from lib.harness import ROOT, TestCase, account, ad_object, numbered, record, wait_until
from lib.nats import NatsError, NatsServers, mapped, read_stream
from lib.nats_keys import Operator, Password
from lib.nats_proxy import SkippingProxy
from lib.relay import RELAY, Relay, need_relay


def lines(*records):
    return b"".join(encode(line) + b"\n" for line in records)


class RelayCase(TestCase):
    """One NATS server for all tests of a class, with new streams for each test."""

    shares_daemon = True

    servers_more, servers_options = "", {}

    @classmethod
    def setUpClass(cls):
        need_relay()
        super().setUpClass()
        cls.nats = NatsServers(1, more=cls.servers_more, **cls.servers_options)
        cls.addClassCleanup(cls.nats.close)

    def setUp(self):
        super().setUp()
        self.add_streams()
        self.addCleanup(self.delete_streams)
        self.producer = self.nats.client()
        self.addCleanup(self.producer.close)
        self.ingestd = self.daemon()

    def add_streams(self):
        self.nats.add_stream("BORIS", ["boris.p.>"])
        self.nats.add_stream("REJECTS", ["boris.rejects.>"])

    def delete_streams(self):
        client = self.nats.client()
        for name in ("BORIS", "REJECTS"):
            client.api(f"STREAM.DELETE.{name}")
        client.close()

    def relay(self, **settings):
        relay = Relay(self.db, self.nats, self.ingestd, **settings)
        self.addCleanup(relay.close)
        return relay

    def publish(self, *records, account="act_1", **headers):
        return self.producer.store(f"boris.in.META.{account}", lines(*records), **headers)

    def position(self, sequence):
        """Waits until every partition with messages is settled up to @sequence, the last one."""
        wait_until(lambda: self.db.value("SELECT coalesce(max(sequence), 0) FROM boris_ingestd_relay") == str(sequence),
                   f"position {sequence}", 60)

    def rejects(self):
        return [json.loads(message["data"]) for message in read_stream(self.nats, "REJECTS")]


class Relaying(RelayCase):
    def test_what_is_published_is_stored(self):
        self.db.add_account()
        self.publish(*numbered(5))
        self.relay()
        last = self.publish(*numbered(5, start=5))
        wait_until(lambda: self.db.count() == 10, "10 rows")
        self.position(last)

    def test_hierarchy_before_spending_of_one_account(self):
        connection = self.db.create_connection()
        self.relay()
        self.publish(account(connection))
        self.publish(ad_object("1"), *[record(amountCents=n) for n in range(3)])
        last = self.publish(ad_object("2"), record(externalId="2"))
        wait_until(lambda: self.db.count() == 4, "4 rows")
        self.position(last)
        self.assertEqual(self.rejects(), [])

    def test_record_without_collected_at(self):
        """It gets the time at which the stream stored it, the same at each delivery; the daemon's clock does not matter."""
        self.db.add_account()
        self.publish(record(collectedAt=None), record(collectedAt=None, amountCents=2), record(amountCents=3))
        stored = read_stream(self.nats, "BORIS")[0]["time"][:26].rstrip("Z").ljust(26, "0")
        relay = self.relay()
        self.position(1)
        # as if the position had not been moved: everything is delivered again
        self.assertEqual(relay.stop(), 0)
        self.db.execute("UPDATE boris_ingestd_relay SET sequence = 0, stored_ns = 0")
        relay.start()
        self.position(1)
        rows = self.db.query(f"""SELECT amount_cents, extract(epoch FROM collected_at - timestamptz '{stored}Z') * 1000000 AS us
                                 FROM spending WHERE amount_cents <> 3 ORDER BY amount_cents""")
        self.assertEqual([(row["amount_cents"], round(row["us"])) for row in rows], [(2, 2), (100, 1)])
        self.assertEqual(self.db.count(), 3)


class Interleaving(RelayCase):
    ACCOUNTS, ROUNDS = 100, 6

    def messages(self, connection):
        """For each account in turn: objects, and spending of these and of older ones; now and then something that is no lines."""
        for n in range(self.ACCOUNTS):
            yield n, lines(account(connection, f"act_{n}"))
        for turn in range(self.ROUNDS):
            for n in range(self.ACCOUNTS):
                of_account = {"accountExternalId": f"act_{n}"}
                made = [ad_object(f"{n}.{turn}", name=f"Name {turn}", **of_account), ad_object(f"{n}.0", name=f"Name {turn}", **of_account)]
                made += [record(externalId=f"{n}.{old}", amountCents=turn, **of_account) for old in range(turn + 1)]
                yield n, lines(*made)
                if (n + turn) % 9 == 0:
                    yield n, (b"", b"\xff\xfe\xfd\n", b"{\n", b"\0")[n % 4]

    def test_hierarchy_and_spending_of_many_accounts(self):
        """Each spending line finds the object that a line before it made; poison in between changes nothing."""
        connection = self.db.create_connection()
        messages = list(self.messages(connection))
        half = len(messages) // 2
        self.relays = [self.relay(relay__partitions="0,1"), self.relay(relay__partitions="2,3", relay__window_bytes="256K")]
        for part in (messages[:half], messages[half:]):
            for n, text in part:
                last = self.producer.store(f"boris.in.META.act_{n}", text)
            self.ingestd.kill()  # in the middle, and once more at the end
            self.ingestd.start()
        self.position(last)
        self.position_of_all()
        poison = sum(len(text) < 10 for _, text in messages)
        entries = self.rejects()
        self.assertEqual({entry["code"] for entry in entries}, {"bad_json", "bad_utf8"} & {entry["code"] for entry in entries})
        self.assertEqual(len({(entry["sequence"], entry["line"]) for entry in entries}), poison)
        self.assertEqual(self.db.count(), self.ACCOUNTS * self.ROUNDS * (self.ROUNDS + 1) // 2)
        self.assertEqual(self.db.value(f"SELECT count(*) FROM ad_objects WHERE external_id LIKE '%.0' AND name = 'Name {self.ROUNDS - 1}'"),
                         str(self.ACCOUNTS))
        self.assertEqual(self.db.value("SELECT count(*) FROM boris_ingestd_relay WHERE sequence > 0"), "4")

    def position_of_all(self):
        """Waits until each partition is at its last message."""
        last = {}
        for message in read_stream(self.nats, "BORIS"):
            last[int(message["subject"].split(".")[2])] = message["seq"]
        wait_until(lambda: {row["partition"]: row["sequence"] for row in self.db.query("SELECT partition, sequence FROM boris_ingestd_relay")}
                   == last, f"positions {last}", 60)


class Rejecting(RelayCase):
    def test_rejects_are_published(self):
        """Each with its code and line, on the account's subject; the position advances past them."""
        self.db.add_account()
        self.relay()
        bad = record(amountCents=1.5)
        self.publish(record(), bad, record(amountCents=2))
        self.publish(record(externalId="nobody"))
        self.producer.store("boris.in.META.act_1", b"\xff\xfe\n" + lines(record(amountCents=3)))
        self.position(3)
        self.assertEqual(self.db.count(), 3)
        found = read_stream(self.nats, "REJECTS")
        entries = [json.loads(message["data"]) for message in found]
        self.assertEqual([(entry["sequence"], entry["line"], entry["code"]) for entry in entries],
                         [(1, 2, "bad_value"), (2, 1, "unknown_ad_object"), (3, 1, "bad_json")])
        self.assertEqual(entries[0]["field"], "amountCents")
        self.assertEqual(json.loads(entries[0]["record"]), bad)
        self.assertEqual({message["subject"] for message in found}, {"boris.rejects.META.act_1"})
        self.assertIn("Nats-Msg-Id: BORIS:1:2", found[0]["headers"])

    def test_messages_that_hold_no_lines(self):
        """Each is a reject and stops nothing; what looks like another protocol, or like a hello, is treated as any other
        line."""
        self.db.add_account()
        self.relay()
        poison = [b"", b"\n\r\n\n", b"\0\0\0", b"GET / HTTP/1.1\r\n\r\n", b'{"kind":"hello","client":"x"}', b"[]", b"{" * 100000,
                  b"x" * 900_000, lines(record(unknown="x" * 900_000))]
        for message in poison:
            self.producer.store("boris.in.META.act_1", message)
        self.producer.store("boris.in.META.act_1", b"\xef\xbb\xbf" + lines(record(amountCents=1)))
        last = self.publish(record(amountCents=2))
        self.position(last)
        self.assertEqual(self.db.count(), 2)
        self.assertEqual(sorted({entry["sequence"] for entry in self.rejects()}), list(range(1, len(poison) + 1)))

    def test_a_reject_that_cannot_be_published_is_not_passed(self):
        self.db.add_account()
        client = self.nats.client()
        client.api("STREAM.DELETE.REJECTS")
        client.close()
        relay = self.relay()
        self.publish(record(), record(amountCents=1.5))
        wait_until(lambda: "cannot publish a reject on boris.rejects" in relay.log(), "a warning")
        self.publish(record(amountCents=2))
        self.assertEqual(self.db.value("SELECT max(sequence) FROM boris_ingestd_relay"), "0")
        self.nats.add_stream("REJECTS", ["boris.rejects.>"])
        self.position(2)
        self.assertEqual([entry["code"] for entry in self.rejects()], ["bad_value"])
        self.assertEqual(self.db.count(), 2)

    def test_many_rejects_at_once(self):
        """One ack covers them. Their publication takes longer than the lease, which is kept meanwhile."""
        self.db.add_account()
        self.ingestd = self.own_daemon(resolve__unknown_grace_ms=2000)
        relay = self.relay(relay__lease_ms=2000)
        bad = 80_000
        last = self.producer.store("boris.in.META.act_1", lines(record(externalId="nobody")) + b"x\n" * bad, timeout=30)
        self.position(last)
        self.assertEqual(self.nats.stream("REJECTS")["state"]["messages"], bad + 1)
        self.assertNotIn("the database: ", relay.log())

    def test_a_reject_of_a_long_subject(self):
        """The reject's subject is as long; a cut one might belong to no stream."""
        self.db.add_account()
        self.relay()
        account_id = "a" * 995 + ".b" * 200
        last = self.producer.store(f"boris.p.0.META.{account_id}", lines(record(amountCents=1.5)))
        self.position(last)
        self.assertEqual([message["subject"] for message in read_stream(self.nats, "REJECTS")], [f"boris.rejects.META.{account_id}"])

    def test_ack_of_a_duplicate_that_is_not_stored(self):
        """Servers ack the repetition of a message that is not committed yet, with sequence 0: it may yet be lost."""
        self.db.add_account()
        client = self.nats.client()
        self.addCleanup(client.close)
        client.api("STREAM.DELETE.REJECTS")
        client.subscribe("boris.rejects.>")
        relay = self.relay()
        last = self.publish(record(amountCents=1.5), record())
        for answer in ('{"stream":"REJECTS","seq":0,"duplicate":true}', '{"stream":"REJECTS","seq":7,"duplicate":true}'):
            client.publish(client.next(60).reply, answer)
            wait_until(lambda: "acked it as a duplicate of a message that is not stored yet" in relay.log(), "a warning")
            if '"seq":0' in answer:
                time.sleep(0.5)
                self.assertEqual(self.db.value("SELECT max(sequence) FROM boris_ingestd_relay"), "0")
        self.position(last)
        self.nats.add_stream("REJECTS", ["boris.rejects.>"])

    def test_producers_that_ask_get_a_reply(self):
        self.db.add_account()
        self.relay()
        client = self.nats.client()
        self.addCleanup(client.close)
        client.subscribe("answers.1")
        client.store("boris.in.META.act_1", lines(record(), record(currency="x")), **{"Boris-Reply": "answers.1"})
        rows = [json.loads(row) for row in client.next(30).data.splitlines()]
        self.assertEqual([(row["reject"], row["code"]) for row in rows[:-1]], [(2, "bad_value")])
        self.assertEqual(rows[-1], {"ack": 2, "rejected": 1, "sequence": 1})
        self.assertEqual(self.db.count(), 1)
        # not into the relay's own streams, nor to the server
        for subject in ("boris.p.0.META.act_1", "boris.rejects.x", "$JS.API.INFO", "a b", "*", "a\nb", "a..b"):
            last = client.store("boris.in.META.act_1", lines(record()), **{"Boris-Reply": subject})
        self.position(last)
        self.assertEqual(self.nats.stream("BORIS")["state"]["last_seq"], last)


class Faults(RelayCase):
    def test_stream_that_was_created_again(self):
        """Its sequence begins at 1 again, below the position; its messages are relayed nevertheless."""
        self.db.add_account()
        relay = self.relay()
        for n in range(5):
            self.publish(record(amountCents=n))
        self.position(5)
        self.assertEqual(relay.stop(), 0)
        self.delete_streams()
        self.add_streams()
        for n in range(7):
            self.publish(record(amountCents=10 + n))
        relay.start()
        self.position(7)
        self.assertEqual(self.db.count(), 12)
        wait_until(lambda: relay.metric("rewinds_total") == 1, "the metric of the alert")
        self.assertIn("relaying again from a minute before it", relay.log())

    def test_stream_that_was_created_again_while_the_daemon_is_stopped(self):
        """None of its messages is settled, so the position stays, though its sequence belongs to the old stream."""
        self.db.add_account()
        self.ingestd = self.own_daemon()
        relay = self.relay()
        for n in range(9):
            self.publish(record(amountCents=n))
        self.position(9)
        self.assertEqual(relay.stop(), 0)
        self.delete_streams()
        self.add_streams()
        for n in range(7):
            last = self.publish(record(amountCents=10 + n))
        self.ingestd.stop()
        relay.start()
        wait_until(lambda: relay.metric("held_bytes") > 0, "messages are fetched")
        time.sleep(1)
        self.position(9)
        relay.kill()
        self.ingestd.start()
        relay.start()
        self.position(last)
        self.assertEqual(self.db.count(), 16)

    def test_stop_with_a_backlog(self):
        """What was sent is settled, so the stop is clean and another relay feeds immediately."""
        self.db.add_account()
        for n in range(300):
            last = self.publish(*numbered(300, start=300 * n))
        first = self.relay(relay__lease_ms=60_000)
        wait_until(lambda: self.db.count() > 3000, "the first rows")
        self.assertEqual(first.stop(), 0)
        self.assertLess(self.db.count(), 90_000)
        self.assertEqual(self.db.value("SELECT count(holder) FROM boris_ingestd_relay"), "0")
        self.assertNotIn("warn", first.log())
        second = self.relay(relay__lease_ms=60_000)
        self.position(last)
        self.assertEqual(self.db.count(), 90_000)
        self.assertNotIn("warn", second.log())

    def test_second_relay_takes_over(self):
        """Whether the first one dies, hangs or stops in order."""
        self.db.add_account()
        first = self.relay(relay__lease_ms=2000)
        self.position(self.publish(record(amountCents=1)))
        second = self.relay(relay__lease_ms=2000)
        wait_until(lambda: second.log().count("standby") == 4, "standby")
        first.signal(signal.SIGSTOP)
        self.position(self.publish(record(amountCents=2)))
        first.signal(signal.SIGCONT)
        wait_until(lambda: "standby" in first.log(), "the first one notices")
        second.kill()
        self.position(self.publish(record(amountCents=3)))
        second.start()
        self.assertEqual(first.stop(), 0)
        self.position(self.publish(record(amountCents=4)))
        self.assertEqual(self.db.count(), 4)

    def test_full_stream(self):
        """It refuses what does not fit; what it acked is stored."""
        self.db.add_account()
        self.relay()
        client = self.nats.client()
        self.addCleanup(client.close)
        client.api("STREAM.UPDATE.BORIS", name="BORIS", subjects=["boris.p.>"], retention="limits", discard="new", storage="file",
                   num_replicas=1, max_msgs=3)
        for n in range(3):
            self.publish(record(amountCents=n))
        with self.assertRaisesRegex(NatsError, "maximum messages"):
            self.publish(record(amountCents=3))
        self.position(3)
        self.assertEqual(self.db.count(), 3)
        client.api("STREAM.PURGE.BORIS", seq=3)
        self.position(self.publish(record(amountCents=4)))
        self.assertEqual(self.db.count(), 4)

    def test_message_larger_than_the_window(self):
        self.db.add_account()
        relay = self.relay(relay__window_bytes="64K")
        for n in range(3):
            self.publish(*numbered(1000, start=1000 * n))
        self.position(3)
        self.assertEqual(self.db.count(), 3000)
        self.assertNotIn("warn", relay.log())


class Skipping(RelayCase):
    """A consumer that leaves out a message, as in several releases of the server."""

    def setUp(self):
        super().setUp()
        self.db.add_account()
        self.proxy = SkippingProxy(self.nats.ports[0], b"skip me")
        self.addCleanup(self.proxy.close)

    def assert_nothing_lost(self, relay, last, said="a consumer left out message 3: starting again"):
        wait_until(lambda: self.db.count() == last, f"{last} rows", 60)
        self.position(last)
        self.assertIsNotNone(self.proxy.skipped)
        self.assertIn(said, relay.log())
        self.assertEqual(relay.metric("consumer_skips_total"), 1)

    def mark(self, n):
        return {"metrics": {"text": "skip me"}} if n == 3 else {}

    def test_message_between_others(self):
        relay = self.relay(relay__servers=self.proxy.url)
        for n in range(1, 7):
            last = self.publish(record(amountCents=n, **self.mark(n)), account=f"act_{n % 2}")
        self.assert_nothing_lost(relay, last)

    def test_message_in_a_backlog(self):
        for n in range(1, 7):
            last = self.publish(record(amountCents=n, **self.mark(n)))
        self.assert_nothing_lost(self.relay(relay__servers=self.proxy.url), last)

    def test_last_message(self):
        """Nothing follows it: it is missed nevertheless."""
        relay = self.relay(relay__servers=self.proxy.url)
        for n in range(1, 4):
            last = self.publish(record(amountCents=n, **self.mark(n)))
        self.assert_nothing_lost(relay, last, "a consumer does not deliver message 3: creating another one")


class Security(RelayCase):
    """A server that asks for a certificate or a password."""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="ingestd-")
        cls.addClassCleanup(folder.cleanup)
        cls.key, cls.cert = f"{folder.name}/key", f"{folder.name}/cert"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
                        "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", cls.key, "-out", cls.cert],
                       check=True, capture_output=True)
        cls.servers_more = f"""
            authorization {{ user: tester, password: s3cret }}
            tls {{ cert_file: "{cls.cert}", key_file: "{cls.key}", ca_file: "{cls.cert}", verify: true }}"""
        cls.servers_options = {"user": Password("tester", "s3cret"), "tls": (cls.key, cls.cert)}
        super().setUpClass()

    def test_tls_and_password(self):
        self.db.add_account()
        relay = self.relay(relay__servers=f"tls://tester:s3cret@localhost:{self.nats.ports[0]}", relay__tls_ca=self.cert,
                           relay__tls_cert=self.cert, relay__tls_key=self.key, log__level="debug")
        last = self.publish(record())
        wait_until(lambda: self.db.count() == 1, relay.log, 20)
        self.position(last)
        self.assertIn("ok     stream BORIS: retention: limits", relay.check().stdout)
        self.assertNotIn("s3cret", relay.log() + relay.check().stdout)

    def test_wrong_password(self):
        """It ends, and says why: the service manager starts it again."""
        relay = self.relay(relay__servers=f"tls://tester:hunter2@localhost:{self.nats.ports[0]}", relay__tls_ca=self.cert,
                           relay__tls_cert=self.cert, relay__tls_key=self.key)
        self.assertEqual(relay.process.wait(60), 1)
        self.assertRegex(relay.log(), "NATS: the connection is closed: .*check relay.servers, their user and password")
        self.assertNotIn("hunter2", relay.log())

    def test_certificate_of_nobody_we_know(self):
        """Nothing is sent to such a server."""
        relay = self.relay(relay__servers=f"tls://tester:s3cret@localhost:{self.nats.ports[0]}", relay__tls_cert=self.cert,
                           relay__tls_key=self.key)
        self.publish(record())
        time.sleep(2)
        self.assertEqual(self.db.value("SELECT coalesce(max(sequence), 0) FROM boris_ingestd_relay"), "0")
        self.assertNotIn("s3cret", relay.log())


class Credentials(RelayCase):
    """A server that admits users by tokens that an operator's account has signed."""

    @classmethod
    def setUpClass(cls):
        cls.operator = Operator({"boris.in.*.*": [{"subject": mapped(4), "weight": 100}]})
        cls.servers_more = cls.operator.config
        cls.servers_options = {"user": cls.operator.user(), "mappings": False}
        super().setUpClass()

    def start(self, user):
        file = tempfile.NamedTemporaryFile("w", prefix="ingestd-")
        self.addCleanup(file.close)
        file.write(user.file())
        file.flush()
        return self.relay(relay__credentials_file=file.name, log__level="debug")

    def permitted(self):
        """The subjects to which the page says that the relay publishes."""
        page = ROOT.joinpath("config/relay.md").read_text()
        return re.findall('"([^"]+)"', re.search(r"publish: \[(.*?)\]", page, re.DOTALL)[1])

    def test_credentials_file(self):
        """Of a user who may do what the page says, and nothing else."""
        self.db.add_account()
        self.assertGreater(len(self.permitted()), 5)
        user = self.operator.user(self.permitted(), ["_INBOX.>"])
        relay = self.start(user)
        self.position(self.publish(record(), record(amountCents=1.5)))
        self.assertEqual(self.db.count(), 1)
        self.assertEqual([entry["code"] for entry in self.rejects()], ["bad_value"])
        done = relay.check()
        self.assertIn("ok     stream BORIS: retention: limits", done.stdout)
        self.assertIn("ok     rejects: stream REJECTS", done.stdout)
        self.assertNotIn("Permissions Violation", relay.log())
        for text in (relay.log(), done.stdout, done.stderr):
            self.assertNotIn(user.key.seed, text)
            self.assertNotIn(user.token, text)

    def test_user_of_another_operator(self):
        """The relay ends, and says why."""
        relay = self.start(Operator({}).user())
        self.assertEqual(relay.process.wait(60), 1)
        self.assertRegex(relay.log(), "NATS: the connection is closed: .*check relay.servers, their user and password, credentials_file")

    def test_file_that_is_missing(self):
        done = subprocess.run([RELAY, "--config", "/dev/null", "--set", f"relay.servers={self.nats.urls()}",
                               "--set", "relay.credentials_file=/nowhere"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, timeout=20, env=os.environ | {"DATABASE_URL": self.db.daemon_url})
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("credentials_file", done.stderr)


class Telling(RelayCase):
    def get(self, relay, path):
        try:
            with urllib.request.urlopen(relay.http() + path) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def test_metrics_and_readiness(self):
        self.db.add_account()
        relay = self.relay()
        wait_until(lambda: self.get(relay, "/readyz") == (200, "ready\n"), "ready")
        self.assertEqual(self.get(relay, "/healthz")[0], 200)
        self.assertEqual(self.get(relay, "/nothing")[0], 404)
        self.position(self.publish(*numbered(5), record(currency="x"), numbered(1)[0]))
        wait_until(lambda: relay.metric("lines_total") == 7, "metrics")
        text = self.get(relay, "/metrics")[1]
        self.assertEqual(relay.metric("lease"), 4)
        self.assertEqual(relay.metric("messages_total"), 1)
        self.assertEqual(relay.metric("rejects_total"), 1)
        self.assertEqual(relay.metric("lag_messages"), 0)
        self.assertEqual(re.findall(r'lines_total{partition="\d",outcome="(\w+)"} [1-9]', text), ["stored", "duplicate", "rejected"])
        self.ingestd.stop()
        self.publish(record(amountCents=77))
        wait_until(lambda: self.get(relay, "/readyz")[0] == 503, "not ready")
        self.assertIn("the daemon: cannot connect", self.get(relay, "/readyz")[1])
        wait_until(lambda: relay.metric("lag_messages") == 1, "lag")
        wait_until(lambda: relay.metric("lag_seconds") > 0.5, "lag")
        self.ingestd.start()
        wait_until(lambda: self.get(relay, "/readyz") == (200, "ready\n"), "ready again")

    def wrong(self, relay):
        """What check finds wrong."""
        done = relay.check()
        found = re.findall("^wrong  (.*)", done.stdout, re.MULTILINE)
        self.assertEqual(done.returncode, 1 if found else 0, done.stdout + done.stderr)
        return found

    def test_check(self):
        relay = self.relay()
        done = relay.check()
        self.assertEqual(done.returncode, 1)  # one replica
        self.assertEqual(re.findall("^wrong  (.*)", done.stdout, re.MULTILINE),
                         ["stream BORIS: 1 replica: losing a machine loses messages: use 3"])
        for text in ("version 2.1", "retention: limits", "discard: new", "fits into relay.window_bytes", "fsync", "sync_interval",
                     "partitions: 0-3", "rejects: stream REJECTS", "boris_ingestd_relay", "daemon /"):
            self.assertIn(text, done.stdout)

    def test_check_of_a_stream(self):
        """Each thing that is wrong with it, alone."""
        relay = self.relay()
        for config, text in (({"discard": "old"}, "discard must be new"),
                             ({"retention": "interest"}, "retention must be limits"),
                             ({"retention": "workqueue"}, "retention must be limits"),
                             ({"storage": "memory"}, "it is kept in memory: use file storage"),
                             ({"max_msgs_per_subject": 5}, "max_msgs_per_subject removes older messages"),
                             ({"max_consumers": 15}, "max_consumers 15: the relay uses 2 per partition"),
                             ({"max_msg_size": 20 << 20}, "max_msg_size 20971520 is above relay.window_bytes")):
            with self.subTest(config):
                self.delete_streams()
                self.nats.add_stream("BORIS", ["boris.p.>"], **config)
                self.nats.add_stream("REJECTS", ["boris.rejects.>"])
                found = [line for line in self.wrong(relay) if "1 replica" not in line]
                self.assertEqual(len(found), 1, found)
                self.assertIn(text, found[0])

    def test_check_of_what_is_missing(self):
        relay = self.relay(relay__window_bytes="64K", relay__partitions="1-3")
        self.delete_streams()
        self.nats.add_stream("BORIS", ["boris.p.>"])
        self.nats.add_stream("REJECTS", ["other.>"])
        self.ingestd.stop()
        self.db.execute("ALTER TABLE boris_ingestd_relay RENAME TO gone")
        self.producer.store("boris.p.7.META.act_1", b"x")
        self.producer.store("boris.p.nine.META.act_1", b"x")
        found = "\n".join(self.wrong(relay))
        for text in ("messages may be larger than relay.window_bytes 65536: set max_msg_size", "no stream has the subject boris.rejects.>",
                     "messages on boris.p.nine.META.act_1 are in no partition", "table boris_ingestd_relay: .*: run boris-ingestd migrate",
                     f"daemon {self.ingestd.socket}: "):
            self.assertRegex(found, text)
        self.assertIn("ok     warning: partitions: 7 has messages and is not this relay's", relay.check().stdout)
        self.delete_streams()
        self.assertIn("stream BORIS: does not exist", self.wrong(relay))
        self.db.execute("ALTER TABLE gone RENAME TO boris_ingestd_relay")
        for name in ("BORIS", "REJECTS"):
            self.nats.add_stream(name, [f"{name}.x"])

    def test_check_of_servers(self):
        """Old ones, those without JetStream, what is no NATS server, and those that are away."""
        def serve(greeting):
            server = socket.create_server(("127.0.0.1", 0))
            self.addCleanup(server.close)

            def answer():
                while True:
                    try:
                        client, _ = server.accept()
                    except OSError:
                        return
                    with client:
                        client.sendall(greeting)
            threading.Thread(target=answer, daemon=True).start()
            return server.getsockname()[1]

        info = b'INFO {"server_id":"X","version":"%s","jetstream":%s,"headers":true,"max_payload":1048576}\r\n'
        for greeting, text in ((info % (b"2.10.22", b"true"), "version 2.10.22: older than 2.10.23, servers lost streams"),
                               (info % (b"2.9.99", b"true"), "version 2.9.99: older"),
                               (info % (b"2.11.0", b"false"), "JetStream is off"),
                               (b"INFO {}\r\n", "its greeting names no version"),
                               (None, "Connection refused")):
            with self.subTest(text):
                port = serve(greeting) if greeting else 1
                relay = self.relay(relay__servers=f"{self.nats.urls()},nats://127.0.0.1:{port}")
                found = [line for line in self.wrong(relay) if line.startswith("server ")]
                self.assertEqual(len(found), 1, found)
                self.assertIn(f"server 127.0.0.1:{port}: ", found[0])
                self.assertIn(text, found[0])
                relay.close()

    def test_no_secret_is_told(self):
        servers = "nats://relay:hunter2@127.0.0.1:1," + self.nats.urls().replace("nats://", "nats://relay:hunter2@")
        relay = self.relay(relay__servers=servers, log__level="debug")
        self.db.add_account()
        self.position(self.publish(record()))
        done = relay.check()
        title = pathlib.Path(f"/proc/{relay.process.pid}/cmdline").read_bytes().decode()
        for text in (relay.log(), done.stdout, done.stderr, title, self.get(relay, "/metrics")[1]):
            self.assertNotIn("hunter2", text)

    def test_wrong_settings(self):
        for setting, word in (("relay.partitions=0-", "relay.partitions"), ("relay.partitions=1,1", "relay.partitions"),
                              ("relay.subject=a.*", "relay.subject"), ("relay.stream=a b", "relay.stream"),
                              ("relay.window_bytes=1", "relay.window_bytes"), ("relay.nothing=1", "relay.nothing"),
                              ("relay.servers=", "relay.servers"),
                              ("relay.rejects_subject=boris.p.0", "relay.rejects_subject"), ("relay.tls_cert=/x", "relay.tls_cert")):
            done = subprocess.run([RELAY, "--config", "/dev/null", "--set", setting], stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True, timeout=20)
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertIn(word, done.stderr)
        for arguments, status in ((["--help"], 0), (["--version"], 0), (["--nothing"], 2), (["run", "run"], 2), (["nothing"], 2)):
            done = subprocess.run([RELAY, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=20)
            self.assertEqual(done.returncode, status)
            self.assertEqual(bool(done.stdout), status == 0)


if __name__ == "__main__":
    unittest.main()
