"""Whatever clients send, and however they stop, the daemon holds no more than limits.memory_bytes plus what it needs for
itself; another client's lines are acked meanwhile."""

import socket
import sys
import time
import unittest

from lib.client import encode
from lib.harness import TestCase, record

MB = 1 << 20
LIMIT = 32 * MB
BESIDE = 24 * MB  # spare blocks, and what malloc keeps
LATENCY = 10  # seconds; generous, for slow machines


def push(clients, data, seconds):
    """Sends @data on each connection again and again, as fast as the daemon reads, for the given time; returns the bytes
    sent."""
    sent = 0
    end = time.monotonic() + seconds
    left = {client: data for client in clients}
    for client in clients:
        client.sock.settimeout(0)
    while time.monotonic() < end:
        moved = False
        for client in clients:
            try:
                n = client.sock.send(left[client], socket.MSG_NOSIGNAL)
            except (BlockingIOError, BrokenPipeError, ConnectionResetError):
                continue
            left[client] = left[client][n:] or data
            sent += n
            moved = True
        if not moved:
            time.sleep(0.01)
    for client in clients:
        client.sock.settimeout(60)
    return sent


class Bounded(TestCase):
    def setUp(self):
        super().setUp()
        self.db.add_account()
        self.d = self.daemon(limits__memory_bytes=LIMIT, limits__max_line_bytes="1M", limits__max_connections=5000,
                             resolve__unknown_grace_ms=600000, shutdown__timeout_ms=3000)
        self.d.send(record(amountCents=-1))
        self.before = self.d.memory_peak()

    def clients(self, count):
        clients = [self.d.client() for _ in range(count)]
        for client in clients:
            self.addCleanup(client.close)
        return clients

    def waiting(self, count):
        """Returns clients whose first line waits for its object."""
        clients = self.clients(count)
        for n, client in enumerate(clients):
            client.send(record(externalId=f"unknown {n}"))
        time.sleep(0.5)
        return clients

    def assert_bounded(self):
        """Also checks that one more client is served."""
        start = time.monotonic()
        good = self.d.client()
        good.send(*[record(amountCents=n) for n in range(100)])
        good.wait_ack(100)
        took = time.monotonic() - start
        good.close()
        grown = self.d.memory_peak() - self.before
        print(f"memory grew by {grown // MB} MB of {LIMIT // MB}, another client's ack took {1000 * took:.0f} ms",
              file=sys.stderr)
        self.assertLess(took, LATENCY)
        if "asan" not in str(self.d.program):
            self.assertLess(grown, LIMIT + BESIDE)


class BehindAWaitingLine(Bounded):
    def test_empty_lines(self):
        push(self.waiting(1), b"\n" * MB, 4)
        self.assert_bounded()

    def test_empty_lines_of_many_clients(self):
        push(self.waiting(100), b"\n" * MB, 4)
        self.assert_bounded()

    def test_rejected_lines_with_unread_replies(self):
        push(self.waiting(50), b"{}\n" * 20000, 4)
        self.assert_bounded()

    def test_duplicates(self):
        push(self.waiting(10), (encode(record(amountCents=-1)) + b"\n") * 2000, 4)
        self.assert_bounded()

    def test_clients_that_come_and_go(self):
        """Each leaves a waiting line behind."""
        for n in range(10000):
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect(self.d.socket)
                sock.sendall(encode(record(externalId=f"unknown {n}")) + b"\n")
        self.assert_bounded()


class Unfinished(Bounded):
    def test_long_lines_of_many_clients(self):
        push(self.clients(300), b"x" * (MB - 1), 4)
        self.assert_bounded()

    def test_short_lines_of_many_clients(self):
        push(self.clients(1000), b"{" * 5000, 2)
        self.assert_bounded()

    def test_unfinished_lines_can_be_finished_later(self):
        clients = self.clients(20)
        line = encode(record(amountCents=7, metrics={"long": "x" * 900000}))
        threads = [client.feed(line) for client in clients]
        for client in clients:
            client.wait_ack(1)
        for thread in threads:
            thread.join()
        self.assert_bounded()

    def test_lines_that_wait_behind_many_others(self):
        """A long line gets its memory, although other clients never finish theirs."""
        push(self.clients(100), b"x" * (MB - 1), 2)
        good = self.d.client()
        start = time.monotonic()
        good.feed(record(amountCents=8, metrics={"long": "x" * 900000}))
        good.wait_ack(1)
        print(f"a long line's ack took {time.monotonic() - start:.1f} s", file=sys.stderr)
        good.close()


class UnreadReplies(Bounded):
    def test_many_clients_that_read_no_replies(self):
        push(self.clients(500), b"{}\n" * 20000, 4)
        self.assert_bounded()


class AllAtOnce(Bounded):
    def test_all_at_once(self):
        waiting = self.waiting(50)
        unfinished = self.clients(100)
        deaf = self.clients(100)
        for _ in range(3):
            push(waiting, b"\n" * MB, 1)
            push(unfinished, b"x" * (MB - 1), 1)
            push(deaf, b"{}\n" * 20000, 1)
            self.assert_bounded()
        for client in waiting + unfinished + deaf:
            client.close()
        self.assert_bounded()


if __name__ == "__main__":
    unittest.main()
