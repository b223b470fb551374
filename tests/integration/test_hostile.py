"""Good clients beside idle, slow, greedy and hostile ones: all lines are settled, no client starves, memory stays bounded."""

import contextlib
import itertools
import re
import socket
import sys
import threading
import time
import unittest
import urllib.request

from lib.client import encode
from lib.harness import TestCase, account, ad_object, record, wait_until

IDLE = 300
LATENCY = 5  # seconds; generous, for slow machines: a client that starves waits without end


class Beside(TestCase):
    settings = {}

    def setUp(self):
        super().setUp()
        self.db.add_account()
        settings = {"limits__memory_bytes": "32M", "limits__max_line_bytes": "1M"}
        self.d = self.daemon(**settings | self.settings)
        self.stop = threading.Event()
        self.threads = []
        self.addCleanup(self.end)

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join(30)

    def run_beside(self, function):
        def run():
            try:
                while not self.stop.is_set():
                    function()
            except OSError:
                pass

        self.threads.append(threading.Thread(target=run, daemon=True))
        self.threads[-1].start()

    def sender(self, data, pause=0.0, read=False):
        """A client that sends @data again and again, and reads its replies or not."""
        client = self.d.client()
        client.sock.settimeout(0.2)

        def send():
            try:
                client.send_bytes(data)
            except TimeoutError:
                pass
            if read:
                try:
                    while client.sock.recv(1 << 16):
                        pass
                except TimeoutError:
                    pass
            time.sleep(pause)

        self.run_beside(send)
        return client

    def assert_served(self, rounds=10, begin=lambda: None):
        """Two good clients: each batch of lines is acked soon, whatever begin() starts once they are connected."""
        worst = 0.0
        clients = [self.d.client() for _ in range(2)]
        begin()
        sent = 0
        for n in range(rounds):
            start = time.monotonic()
            for c, client in enumerate(clients):
                client.send(*[record(amountCents=10**6 * c + 1000 * n + i) for i in range(500)])
            sent += 500
            for client in clients:
                client.wait_ack(sent)
            worst = max(worst, time.monotonic() - start)
            self.assertLess(worst, LATENCY)
        for client in clients:
            self.assertEqual(client.finish().ack, None)
        self.assertEqual(self.db.value("SELECT count(*) FROM spending WHERE metrics IS NULL"), str(rounds * 1000))
        print(f"worst ack latency {1000 * worst:.0f} ms", file=sys.stderr)


class Hostile(Beside):
    def test_idle_clients(self):
        idle = [self.d.client() for _ in range(IDLE)]
        self.assert_served()
        for client in idle:
            client.close()

    def test_a_flood_of_good_lines(self):
        flood = b"".join(encode(record(amountCents=i, metrics={"flood": i})) + b"\n" for i in range(2000))
        for _ in range(3):
            self.sender(flood, read=True)
        self.assert_served()

    def test_a_flood_of_bad_lines_with_unread_replies(self):
        for data in (b"{}\n" * 20000, b'{"a":' * 5000 + b"\n", b"\xff" * 1000 + b"\n", b"\n" * 50000):
            self.sender(data)
        self.assert_served()
        self.assertLess(self.d.memory_peak(), 400 << 20)

    def test_floods_of_rows_that_the_database_refuses(self):
        """They are not mixed with rows of others for long; the rows of who sent them wait for each other."""
        self.db.refuse_inserts("spending", "NEW.amount_cents < 0")
        bad = b"".join(encode(record(amountCents=-1 - n, metrics={"flood": n})) + b"\n" for n in range(20))
        for read in (False, True):
            self.sender(bad, pause=0.1, read=read)
        time.sleep(2)
        self.assert_served()

    def test_clients_that_reconnect_for_each_row_that_the_database_refuses(self):
        """They are unknown each time: neither connected clients wait for long nor those that connect meanwhile."""
        self.db.execute("ALTER TABLE spending ADD CHECK (amount_cents >= 0)")
        bad = itertools.count(1)

        def send_one():
            client = self.d.client()
            client.send(record(amountCents=-next(bad)))
            client.close()
            time.sleep(0.05)

        for _ in range(5):
            self.run_beside(send_one)
        time.sleep(2)
        self.assert_served()
        for n in range(5):
            start = time.monotonic()
            self.assertEqual(self.d.send(*[record(amountCents=10**7 + n, clicks=i) for i in range(300)]).counts(), (300, 300, 0, 0))
            took = time.monotonic() - start
            print(f"a new client was served in {1000 * took:.0f} ms", file=sys.stderr)
            self.assertLess(took, 2 * LATENCY)

    def assert_hierarchy_served(self, bad):
        """Clients that connect for one bad line each, 100 a second: a connected client's objects are written soon, and those of
        clients that connect meanwhile."""

        def send_one():
            client = self.d.client()
            client.send(bad())
            client.close()
            time.sleep(0.05)

        for _ in range(5):
            self.run_beside(send_one)
        client = self.d.client()
        worst = 0.0
        for n in range(1, 101):
            start = time.monotonic()
            client.send(ad_object(f"good{n}"))
            self.assertEqual(client.wait_ack(n)["stored"], n)
            worst = max(worst, time.monotonic() - start)
            self.assertLess(worst, LATENCY)
            time.sleep(0.05)
        print(f"worst ack latency {1000 * worst:.0f} ms", file=sys.stderr)
        client.close()
        start = time.monotonic()
        self.assertEqual(self.d.send(*[ad_object(f"new{n}") for n in range(50)]).counts(), (50, 50, 0, 0))
        print(f"a new client was served in {1000 * (time.monotonic() - start):.0f} ms", file=sys.stderr)
        self.assertLess(time.monotonic() - start, 2 * LATENCY)
        self.d.kill()  # a stop would settle first what is left of the bad lines

    def test_clients_that_reconnect_for_each_object_that_the_database_refuses(self):
        self.db.execute("ALTER TABLE ad_objects ADD CHECK (name <> 'bad')")
        number = itertools.count()
        self.assert_hierarchy_served(lambda: ad_object(f"bad{next(number)}", name="bad"))

    def test_clients_that_reconnect_for_each_account_that_the_database_refuses(self):
        connection = self.db.create_connection()
        self.db.execute("ALTER TABLE ad_accounts ADD CHECK (name <> 'bad')")
        number = itertools.count()
        self.assert_hierarchy_served(lambda: account(connection, f"bad{next(number)}", name="bad"))

    def test_lines_without_an_end_and_bytes_one_by_one(self):
        for _ in range(10):
            self.sender(b"x" * (64 << 10))
        line = encode(record(amountCents=-1))
        for _ in range(10):
            client = self.d.client()
            data = iter(line)
            self.run_beside(lambda client=client, data=data: (client.send_bytes(bytes([next(data, 32)])), time.sleep(0.02)))
        self.assert_served()


class Reconnecting(Beside):
    """Each second 400 clients send one bad row each, and close the connection at once: more rows than the daemon can search."""

    settings = {"limits__memory_bytes": "16M", "limits__max_connections": 4096, "shutdown__timeout_ms": 10000}

    def flood(self, bad):
        def send():
            client = self.d.client()
            client.send(bad())
            client.close()
            time.sleep(0.02)

        for _ in range(8):
            self.run_beside(send)

    def assert_new_clients_served(self, good, seconds):
        """Clients that connect during the flood are served soon, and memory stays bounded."""
        end = time.monotonic() + seconds
        worst = 0.0
        for n in itertools.count():
            start = time.monotonic()
            self.assertEqual(self.d.send(good(n)).counts(), (1, 1, 0, 0))
            worst = max(worst, time.monotonic() - start)
            self.assertLess(worst, 2 * LATENCY)
            if time.monotonic() > end:
                break
            time.sleep(0.5)
        print(f"worst ack latency of a new client {1000 * worst:.0f} ms", file=sys.stderr)
        self.assertLess(self.d.memory_now(), 100 << 20)

    def assert_stop_is_quick(self):
        """Despite the rows that such clients have left; a connected client gets its last ack."""
        client = self.d.client()
        client.send(*[record(amountCents=10**8 + n) for n in range(100)])
        self.assertEqual(client.wait_ack(100)["stored"], 100)
        start = time.monotonic()
        self.assertEqual(self.d.stop(60), 0)
        took = time.monotonic() - start
        print(f"the stop took {took:.1f} s", file=sys.stderr)
        self.assertLess(took, 8)
        self.assertEqual(client.drain().closing, "shutdown")

    def assert_flood_is_bearable(self, bad, good):
        """For the lines bad(N) of the flood, and good(N) of new clients beside it."""
        number = itertools.count(1)
        self.flood(lambda: bad(next(number)))
        self.assert_new_clients_served(good, 10)
        self.assert_stop_is_quick()

    def test_rows_that_the_database_refuses(self):
        self.db.execute("ALTER TABLE spending ADD CHECK (amount_cents >= 0)")
        self.assert_flood_is_bearable(lambda n: record(amountCents=-n), lambda n: record(amountCents=10**7 + n))

    def test_rows_that_only_wait(self):
        """No SQLSTATE of this kind may reject a row."""
        self.db.refuse_inserts("spending", "NEW.amount_cents < 0", sqlstate="42501")
        self.assert_flood_is_bearable(lambda n: record(amountCents=-n), lambda n: record(amountCents=10**7 + n))

    def test_objects_that_only_wait(self):
        self.db.refuse_inserts("ad_objects", "NEW.name = 'bad'", sqlstate="42501")
        self.assert_flood_is_bearable(lambda n: ad_object(f"bad{n}", name="bad"), lambda n: ad_object(f"good{n}"))

    def test_a_daemon_that_starts_during_the_flood(self):
        """The first batch holds many bad rows, and one good row of a client that is still connected."""
        self.db.execute("ALTER TABLE spending ADD CHECK (amount_cents >= 0)")
        number = itertools.count(1)
        self.d.kill()
        with self.db.locked("ad_objects", "ACCESS EXCLUSIVE"):  # nothing can be looked up yet
            self.d.start()
            for _ in range(1500):
                client = self.d.client()
                client.send(record(amountCents=-next(number)))
                client.close()
            client = self.d.client()
            client.send(record(amountCents=10**7))
            time.sleep(1)
        start = time.monotonic()
        self.assertEqual(client.wait_ack(1)["stored"], 1)
        print(f"the good row was stored in {time.monotonic() - start:.1f} s", file=sys.stderr)
        self.assertLess(time.monotonic() - start, 2 * LATENCY)
        client.close()
        self.assert_stop_is_quick()


class ComingAndGoing(Beside):
    settings = {"limits__max_connections": 50, "http__listen": "127.0.0.1:0"}

    def connections(self):
        return int(re.search(r"^boris_ingestd_connections (\d+)$", urllib.request.urlopen(f"{self.d.http()}/metrics").read().decode(),
                             re.MULTILINE)[1])

    def test_connections_that_come_and_go(self):
        def come_and_go():
            client = self.d.client()
            with contextlib.suppress(OSError):  # it was turned away
                client.send_bytes(encode(record(amountCents=-5, metrics={"x": 1})) + b"\n{")
            if time.monotonic_ns() % 2:
                client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.close()

        # faster than they are let in: most are turned away
        self.assert_served(30, lambda: [self.run_beside(come_and_go) for _ in range(3)])
        self.assertIn("limits.max_connections is 50", self.d.log())
        self.end()
        wait_until(lambda: self.connections() == 0, "they are gone")


if __name__ == "__main__":
    unittest.main()
