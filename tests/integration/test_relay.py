"""Intake from a NATS JetStream stream: what producers publish is stored once or rejected once, in order."""

import json
import unittest

from lib.harness import TestCase, account, ad_object, encode, numbered, record, wait_until
from lib.nats import NatsServers, read_stream
from lib.relay import Relay, need_relay


def lines(*records):
    return b"".join(encode(line) + b"\n" for line in records)


class RelayCase(TestCase):
    """One server of NATS for all tests of a class, with fresh streams for each."""

    servers_count = 1

    @classmethod
    def setUpClass(cls):
        need_relay()
        super().setUpClass()
        cls.nats = NatsServers(cls.servers_count)
        cls.addClassCleanup(cls.nats.close)

    def setUp(self):
        super().setUp()
        self.nats.add_stream("BORIS", ["boris.p.>"])
        self.nats.add_stream("REJECTS", ["boris.rejects.>"])
        self.addCleanup(self.delete_streams)
        self.producer = self.nats.client()
        self.addCleanup(self.producer.close)
        self.ingestd = self.daemon()

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
        """Every partition that has messages is settled up to @sequence, the last one."""
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


if __name__ == "__main__":
    unittest.main()
