"""A long backlog passes through the relay in bounded memory: RELAY_BACKLOG_MB megabytes of it, 1,000 with the label `long`."""

import os
import time
import unittest

from lib.client import encode
from lib.harness import TestCase, record, wait_until
from lib.nats import NatsServers
from lib.relay import Relay, need_relay

BACKLOG = int(os.environ.get("RELAY_BACKLOG_MB", "100")) * 10**6
MESSAGE = 500_000
LINE = 2000
WINDOW = 2**20
PARTITIONS = 4
# what the relay is without messages, and for each partition its window, once as messages and once as lines for the daemon
BOUND = 24 * 2**20 + PARTITIONS * 3 * WINDOW


class Backlog(TestCase):
    def setUp(self):
        need_relay()
        super().setUp()
        self.nats = NatsServers(1, partitions=PARTITIONS)
        self.addCleanup(self.nats.close)
        self.nats.add_stream("BORIS", ["boris.p.>"])
        self.nats.add_stream("REJECTS", ["boris.rejects.>"])
        self.publisher = self.nats.client(60)
        self.addCleanup(self.publisher.close)
        self.db.add_account()
        self.ingestd = self.daemon()

    def relay(self, **settings):
        relay = Relay(self.db, self.nats, self.ingestd, relay__window_bytes=WINDOW, **settings)
        self.addCleanup(relay.close)
        return relay

    def publish(self, size, first):
        """A message of about @size bytes, in any partition: it need not be the account's here. Returns its number of lines."""
        filling = {"text": "x" * (LINE - 250)}
        text = b"".join(encode(record(amountCents=first + n, metrics=filling)) + b"\n" for n in range(size // LINE))
        self.publisher.store(f"boris.p.{first // (size // LINE) % PARTITIONS}.META.act_1", text, timeout=60)
        return size // LINE

    def test_backlog(self):
        lines = 0
        while lines * LINE < BACKLOG:
            lines += self.publish(MESSAGE, lines)
        relay = self.relay()
        begun = time.monotonic()
        wait_until(lambda: relay.metric("lines_total") == lines, "all lines settled", 3000, 0.2)
        seconds = time.monotonic() - begun
        peak = relay.memory_peak()
        print(f"{lines * LINE / 1e6:.0f} MB, {lines} lines: {seconds:.0f} s, {lines * LINE / 1e6 / seconds:.0f} MB/s; VmHWM {peak / 2**20:.1f} MiB")
        self.assertEqual(self.db.count(), lines)
        self.assertLess(peak, BOUND)

    def test_behind_a_message_larger_than_the_window(self):
        """It is requested alone: what follows it is not."""
        self.ingestd.stop()
        self.publisher.store("boris.p.0.META.act_1", b" " * (WINDOW - 50))  # its subject and number make it larger
        for n in range(100):
            self.publish(MESSAGE, PARTITIONS * n * MESSAGE // LINE)
        relay = self.relay()
        wait_until(lambda: relay.metric("held_bytes") > 0, "a full window")
        time.sleep(2)
        self.assertLess(relay.memory_peak(), BOUND)


if __name__ == "__main__":
    unittest.main()
