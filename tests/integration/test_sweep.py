"""The connection to the database is cut before each message of the daemon, and again after the server has executed it but
before the answer. Nothing is lost, stored twice, or rejected because of that."""

import re
import socket
import struct
import sys
import threading
import time
import unittest

from lib.harness import TestCase, accepted, account, ad_object, record


class Proxy:
    """A proxy between daemon and server that counts the daemon's messages (PostgreSQL documentation, message formats) from
    arm() on, over all connections. The chosen message ends its connection."""

    def __init__(self, host, port):
        self.server = (host, port)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.lock = threading.Lock()
        self.left = None
        self.carried_out = False
        self.holding = b""
        self.hit = b""
        threading.Thread(target=self.accept, daemon=True).start()

    def arm(self, message, carried_out, holding=b""):
        """message: the number, from 0, among the messages that contain these bytes"""
        with self.lock:
            self.left, self.carried_out, self.holding, self.hit = message, carried_out, holding, b""

    def accept(self):
        for client in accepted(self.listener):
            server = socket.create_connection(self.server)
            threading.Thread(target=self.pass_messages, args=(client, server), daemon=True).start()

    def is_awaited(self, kind, message):
        with self.lock:
            if self.left is None or self.holding not in message:
                return False
            self.left -= 1
            if self.left >= 0:
                return False
            self.left, self.hit = None, kind
            return True

    def pass_messages(self, client, server):
        """Parses the daemon's messages; passes the server's bytes unchanged."""
        mute = threading.Event()
        threading.Thread(target=self.pass_bytes, args=(server, client, mute), daemon=True).start()
        greeted = False
        data = b""
        try:
            while piece := client.recv(1 << 16):
                data += piece
                while (message := self.split(data, greeted)) is not None:
                    data = data[len(message):]
                    kind = message[:1] if greeted else b"greeting"
                    # a request for encryption (len 8) comes before the greeting itself
                    greeted = greeted or len(message) > 8
                    if self.is_awaited(kind, message):
                        if self.carried_out:
                            mute.set()
                            server.sendall(message)
                            time.sleep(0.05)
                        return
                    server.sendall(message)
        except OSError:
            pass
        finally:
            for sock in (client, server):
                try:
                    sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
                sock.close()

    @staticmethod
    def split(data, greeted):
        start = 1 if greeted else 0
        if len(data) < start + 4:
            return None
        length = start + struct.unpack_from(">I", data, start)[0]
        return data[:length] if len(data) >= length else None

    @staticmethod
    def pass_bytes(server, client, mute):
        try:
            while piece := server.recv(1 << 16):
                if not mute.is_set():
                    client.sendall(piece)
            client.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def close(self):
        self.listener.close()


class Cut(TestCase):
    """A database behind such a proxy."""

    def setUp(self):
        super().setUp()
        match = re.match(r"^(postgres\w*://)([^@/]*@)?(127\.0\.0\.1|localhost):(\d+)(/.*)$", self.db.daemon_url)
        if not match:
            self.skipTest("the server is not on a loopback port")
        self.proxy = Proxy(match[3], int(match[4]))
        self.addCleanup(self.proxy.close)
        self.db.daemon_url = f"{match[1]}{match[2] or ''}127.0.0.1:{self.proxy.port}{match[5]}"
        self.connection = self.db.create_connection()


class LostCommit(Cut):
    def test_an_account_stored_by_a_lost_commit_is_ambiguous_immediately(self):
        """Immediately, not only at the next refresh of the accounts, every ten seconds."""
        d = self.daemon()
        self.assertEqual(d.send(account(self.connection), ad_object("c0"), record(externalId="c0")).counts(), (3, 3, 0, 0))
        self.proxy.arm(0, carried_out=True, holding=b"\x00\x00\x00\x0bCOMMIT\0")  # a message of no more than that
        self.assertEqual(d.send(account(self.db.create_connection())).counts(), (1, 0, 1, 0))
        self.assertEqual(self.proxy.hit, b"Q")
        self.assertEqual(d.send(record(externalId="c0", amountCents=2)).codes(), {1: "ambiguous_account"})


class Sweep(Cut):
    MESSAGES_MAX = 200
    EACH = {b"Q", b"P", b"B", b"E", b"S", b"d", b"c"}  # types of messages to be cut

    def setUp(self):
        super().setUp()
        self.sent = []

    def converse(self, d, turn):
        """New and stored objects, new and stored records, one keyed by id alone, on one connection."""
        new = [record(externalId=f"c{turn}", amountCents=10 * turn + i) for i in range(3)]
        new.append(record(externalId="c0", amountCents=10 * turn + 3, collectedAt=None,
                          id=f"00000000-0000-4000-8000-{turn:012}"))
        again = self.sent[-3:]
        client = d.client()
        client.send(account(self.connection, name=f"turn {turn}"), ad_object("c0", name=f"turn {turn}"),
                    ad_object(f"c{turn}"), *new, *again)
        replies = client.finish()
        self.assertEqual(replies.rejects, {}, turn)
        self.assertEqual(replies.counts()[0], 3 + len(new) + len(again))
        self.sent += new

    def sweep(self, carried_out):
        d = self.daemon(resolve__cache_objects=0, batch__linger_ms=5, database__writers=1)
        self.converse(d, 0)
        hits, turn = set(), 0
        # the daemon's other questions come at any moment, so that a pass may jump over a message
        while not self.EACH <= hits and turn < 5 * self.MESSAGES_MAX:
            first = turn + 1
            for turn in range(first, first + self.MESSAGES_MAX):
                self.proxy.arm(turn - first, carried_out)
                self.converse(d, turn)
                if not self.proxy.hit:
                    break
                hits.add(self.proxy.hit)
            else:
                self.fail("the sweep has no end")
            self.assertGreater(turn - first, 25)
        self.assertLessEqual(self.EACH, hits)
        rows = self.db.query("SELECT amount_cents AS n, o.external_id AS o FROM spending s "
                             "JOIN ad_objects o ON o.id = s.ad_object_id")
        self.assertEqual(sorted((row["n"], row["o"]) for row in rows),
                         sorted((line["amountCents"], line["externalId"]) for line in self.sent))
        self.assertEqual(self.db.value("SELECT a.name || ', ' || o.name FROM ad_accounts a JOIN ad_objects o "
                                       "ON o.ad_account_id = a.id WHERE o.external_id = 'c0'"),
                         f"turn {turn}, turn {turn}")
        print(f"{turn - 1} messages cut", file=sys.stderr)

    def test_cut_before_each_message(self):
        self.sweep(carried_out=False)

    def test_cut_after_each_executed_message(self):
        self.sweep(carried_out=True)


if __name__ == "__main__":
    unittest.main()
