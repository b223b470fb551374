"""A web page that makes a browser send HTTP to the ingest socket stores nothing: one reply line, then the connection is
closed."""

import re
import socket
import time
import unittest

from lib.client import Client, encode
from lib.harness import TestCase, record

BODY = encode(record(amountCents=666)) + b"\n"
HEADERS = b"Host: 127.0.0.1\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % len(BODY)
REQUESTS = [
    b"POST / HTTP/1.1\r\n", b"POST / HTTP/1.0\n", b"GET /x?y=1 HTTP/1.1\r\n", b"OPTIONS * HTTP/1.1\r\n",
    b"PRI * HTTP/2.0\r\n", b"PUT http://127.0.0.1/{} HTTP/1.1\r\n", b"CONNECT 127.0.0.1:1 HTTP/1.1\r\n",
    b"post / http/1.1\r\n", b"GET /\r\n", b"M-SEARCH * HTTP/1.1\r\n", b"\r\nPOST / HTTP/1.1\r\n", b"\n\n\nPOST / HTTP/1.1\r\n",
    b"\xef\xbb\xbfPOST / HTTP/1.1\r\n", b"POST /" + b"x" * (2 << 20) + b" HTTP/1.1\r\n",
]


class Http(TestCase):
    def setUp(self):
        super().setUp()
        self.db.add_account()
        self.d = self.daemon(listen__tcp="127.0.0.1:0")
        self.port = int(re.search(r"listening on TCP 127.0.0.1 port (\d+)", self.d.log())[1])

    def connect(self):
        return Client(socket.create_connection(("127.0.0.1", self.port)))

    def answer(self, client):
        text = b""
        try:
            while data := client.sock.recv(65536):
                text += data
        except ConnectionResetError:
            pass
        client.close()
        return text

    def test_requests_with_their_body(self):
        for request in REQUESTS:
            for pause in (0, 0.05):
                with self.subTest(request=request[:30], pause=pause):
                    client = self.connect()
                    if pause:
                        client.send_bytes(request)
                        time.sleep(pause)
                    thread = client.feed(HEADERS + BODY if pause else request + HEADERS + BODY)
                    self.assertEqual(self.answer(client), b'{"closing":"http_request"}\n')
                    thread.join()
        self.assertEqual(self.db.count(), 0)
        self.assertIn("it sent an HTTP request", self.d.log())

    def test_split_anywhere(self):
        request = b"POST / HTTP/1.1\r\n" + HEADERS + BODY
        for at in (1, 4, 5, 15, 16, 17, 40):
            client = self.connect()
            client.send_bytes(request[:at])
            time.sleep(0.02)
            thread = client.feed(request[at:])
            self.assertEqual(self.answer(client), b'{"closing":"http_request"}\n')
            thread.join()
        self.assertEqual(self.db.count(), 0)

    def test_after_other_bytes(self):
        client = self.connect()
        client.send_bytes(b"something\r\nPOST / HTTP/1.1\r\n" + HEADERS + BODY)
        replies = client.drain()
        self.assertEqual(replies.closing, "http_request")
        self.assertEqual(self.db.count(), 0)

    def test_a_client_may_send_such_a_line_later(self):
        """It is rejected like any other, and affects no other line."""
        replies = self.d.send(record(amountCents=1), "POST / HTTP/1.1", record(amountCents=2))
        self.assertEqual(replies.codes(), {2: "bad_json"})
        self.assertEqual(replies.counts(), (3, 2, 0, 1))

    def test_other_first_lines(self):
        """Each is rejected like any other bad line; the line after it is stored."""
        for n, first in enumerate(("# /data/export.jsonl", "foo /bar", "x *", "GETS /", "a b" + "x" * (2 << 20))):
            with self.subTest(first=first[:20]):
                replies = self.d.send(first, record(amountCents=100 + n))
                self.assertEqual((replies.counts(), replies.closing), ((2, 1, 0, 1), None))

    def test_a_bom_is_skipped(self):
        bom = b"\xef\xbb\xbf"
        replies = self.d.send(bom + encode(record(amountCents=3)), bom + b"{}")
        self.assertEqual(replies.counts(), (2, 1, 0, 1))
        replies = self.d.send(bom * 2 + encode(record(amountCents=4)))
        self.assertEqual(replies.codes(), {1: "bad_json"})

    def test_a_bom_is_no_part_of_the_line(self):
        line = encode(record(amountCents=5))
        line += b" " * (1048576 - len(line))  # limits.max_line_bytes
        self.assertEqual(self.d.send(b"\xef\xbb\xbf" + line).counts(), (1, 1, 0, 0))


if __name__ == "__main__":
    unittest.main()
