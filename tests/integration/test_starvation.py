"""Clients that stop, wait or disappear delay no other and keep no place; their received lines are settled."""

import re
import socket
import sys
import time
import unittest

from lib.client import Client, encode
from lib.harness import TestCase, record, wait_until

MB = 1 << 20
LATENCY = 10  # seconds; generous, for slow machines: who starves waits without end
NOBODY = "postgresql://127.0.0.1:1/nobody"


def fill(client, data):
    """Sends as much as the daemon and the kernel accept."""
    client.sock.settimeout(0.3)
    try:
        while True:
            client.sock.send(data)
    except TimeoutError:
        pass


class Starvation(TestCase):
    def setUp(self):
        super().setUp()
        self.db.add_account()

    def assert_served(self, d):
        start = time.monotonic()
        client = d.client()
        client.send(*[record(amountCents=n) for n in range(100)])
        client.wait_ack(100)
        took = time.monotonic() - start
        client.close()
        print(f"another client's ack took {1000 * took:.0f} ms", file=sys.stderr)
        self.assertLess(took, LATENCY)

    def test_a_waiting_line_and_unfinished_ones(self):
        d = self.daemon(limits__memory_bytes="64M", resolve__unknown_grace_ms=600000, shutdown__timeout_ms=2000)
        waiting = d.client()
        waiting.send(record(externalId="unknown"))
        unfinished = [d.client() for _ in range(60)]
        for client in unfinished:
            client.feed(b"x" * MB)
        time.sleep(1)
        self.assert_served(d)
        for client in unfinished:
            client.close()
        self.assert_served(d)
        waiting.close()

    def give_up(self, d, connect, half_close):
        clients = []
        for _ in range(5):
            clients.append(wait_until(lambda: self.admitted(connect), "all places are free again", timeout=20, pause=0.5))
        for client in clients:
            fill(client, encode(record(amountCents=1)) * 1 + b"\n")
        if half_close:
            for client in clients:
                client.sock.shutdown(socket.SHUT_WR)
            time.sleep(1)
        for client in clients:
            client.close()
        wait_until(lambda: self.admitted(connect), "a place becomes free", timeout=20, pause=0.5).close()

    @staticmethod
    def admitted(connect):
        """A client that was not turned away; None where it was."""
        client = connect()
        client.sock.settimeout(0.5)
        try:
            client.sock.recv(1000)
        except TimeoutError:
            client.sock.settimeout(60)
            return client
        except ConnectionResetError:
            pass
        client.close()
        return None

    def test_connection_limit_excludes_clients_that_are_gone(self):
        d = self.daemon(limits__max_connections=5, limits__memory_bytes="16M", database__url=NOBODY,
                        listen__tcp="127.0.0.1:0", shutdown__timeout_ms=1000)
        port = int(re.search(r"listening on TCP 127.0.0.1 port (\d+)", d.log())[1])
        for connect in (d.client, lambda: Client(socket.create_connection(("127.0.0.1", port)))):
            for half_close in (False, True):
                with self.subTest(connect=connect, half_close=half_close):
                    self.give_up(d, connect, half_close)

    def test_received_lines_are_settled(self):
        d = self.daemon(batch__rows=1, database__writers=1, daemon__workers=1)
        with self.db.locked("spending", "SHARE"):
            client = d.client()
            client.send(*[record(amountCents=n) for n in range(200)])
            time.sleep(1)
            client.close()
            wait_until(lambda: " closed: " in d.log(), "its end is noticed")
        wait_until(lambda: self.db.count() == 200, "all is stored")

    def test_a_client_that_reads_no_replies_is_dropped(self):
        d = self.daemon(limits__idle_ms=2000)
        deaf = d.client()
        fill(deaf, b"{}\n" * 1000)
        slow = d.client()
        slow.feed(*["{}"] * 100000)
        end = time.monotonic() + 6
        got = 0
        while time.monotonic() < end:
            got += len(slow.sock.recv(4096))
            time.sleep(0.05)
        self.assertIn("has read no replies for 2000 ms", d.log())
        self.assertEqual(d.log().count("has read no replies"), 1)
        self.assertGreater(got, 50000)
        deaf.close()
        slow.close()
        # and nothing of them is left that the end would wait for
        self.assertEqual(d.stop(), 0)
        self.assertNotIn("ending at once", d.log())


if __name__ == "__main__":
    unittest.main()
