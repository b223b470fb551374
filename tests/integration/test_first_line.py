#!/usr/bin/env python3
"""What may be the first line of a connection, and the messages for input that is nearly right."""

import gzip
import json
import unittest
import urllib.request


from lib.client import encode
from lib.harness import TestCase, record, run_ingestd

BOM = b"\xef\xbb\xbf"
HELLO = {"kind": "hello", "client": "meta-sync", "version": "1.2"}


class FirstLine(TestCase):
    shares_daemon = True

    def setUp(self):
        super().setUp()
        self.db.add_account()
        self.d = self.daemon()

    def send(self, *lines):
        return self.d.send(*lines)

    def test_a_hello(self):
        for n, hello in enumerate([HELLO, {"kind": "hello", "client": "x" * 64}, BOM + encode(HELLO)]):
            replies = self.send(hello, record(amountCents=n))
            self.assertEqual(replies.counts(), (2, 1, 0, 0))
            self.assertEqual(replies.rejects, {})
        self.assertEqual(self.db.count(), 3)

    def get(self, d, path):
        with urllib.request.urlopen(d.http() + path, timeout=60) as response:
            return response.read().decode()

    def test_the_name_is_seen(self):
        d = self.daemon(http__listen="127.0.0.1:0")
        named = [d.client() for _ in range(2)]
        for client in named:
            client.send(HELLO | {"client": 'meta "\\\n\x1b[31m'}, record(amountCents=1.5))
            client.wait_ack(2)
        other = d.client()
        other.send(record())
        other.wait_ack(1)
        status = json.loads(self.get(d, "/status.json"))
        self.assertEqual([(c["client"], c["version"]) for c in sorted(status["connections"], key=lambda c: c["number"])],
                         [('meta "\\??[31m', "1.2")] * 2 + [(None, None)])
        self.assertRegex(status["connections"][0]["peer"] + status["connections"][1]["peer"], r'meta "\\\?\?\[31m \(uid \d+, pid \d+\)')
        self.assertEqual([(r["times"], r["code"]) for r in status["latestRejects"]], [(2, "bad_value")])
        self.assertIn('boris_ingestd_client_connections{client="meta \\"\\\\??[31m"} 2\n', self.get(d, "/metrics"))
        self.assertRegex(d.log(), r'connection \d+ of meta "\\\?\?\[31m \(uid \d+, pid \d+\): line 2 rejected: bad_value')
        self.assertNotIn("\x1b", d.log())
        top = run_ingestd(None, "top", "--once", "--config", "/dev/null", "--url", d.http())
        self.assertIn('meta "\\??[31m (uid', top.stdout)
        for client in (*named, other):
            client.close()

    def test_a_bad_hello(self):
        for hello, code, field in [({"kind": "hello"}, "missing_field", "client"),
                                   (HELLO | {"client": ""}, "bad_value", "client"),
                                   (HELLO | {"client": "x" * 65}, "bad_value", "client"),
                                   (HELLO | {"version": 1}, "bad_type", "version"),
                                   (HELLO | {"client": "a\0b"}, "bad_value", "client"),
                                   (HELLO | {"name": "x"}, "unknown_field", "name")]:
            reject = self.send(hello).rejects[1]
            self.assertEqual((reject["code"], reject["field"]), (code, field))
        self.assertEqual(self.send(record(amountCents=1), HELLO).codes(), {2: "bad_value"})
        self.assertEqual(self.send(record(client="x")).codes(), {1: "unknown_field"})

    def test_a_byte_order_mark(self):
        self.assertEqual(self.send(BOM + encode(record(amountCents=1)), record(amountCents=2)).counts(), (2, 2, 0, 0))
        self.assertEqual(self.send(BOM, record(amountCents=3)).counts(), (2, 1, 0, 0))
        replies = self.send(record(amountCents=4), BOM + encode(record(amountCents=5)))
        self.assertEqual(replies.codes(), {2: "bad_json"})
        self.assertIn("byte order mark", replies.rejects[2]["message"])

    def test_nearly_right_input(self):
        line = json.dumps(record(metrics={"a": 1}))
        for text, code, word in [
                (line.encode("utf-16"), "bad_json", "UTF-16"),
                (line.encode("utf-16-be"), "bad_json", "UTF-16"),
                (gzip.compress(line.encode()), "bad_json", "compressed"),
                (f"[{line}]", "bad_type", "one object per line"),
                (f"[{line},", "bad_json", "one object per line"),
                (f"{line},", "bad_json", "one object per line"),
                ("{", "bad_json", "pretty-printed"),
                ('  "platform": "META",', "bad_json", "pretty-printed"),
                ("},", "bad_json", "pretty-printed"),
                (line.replace('"a": 1', '"a": NaN'), "bad_json", "NaN"),
                (line.replace('"a": 1', '"a": -Infinity'), "bad_json", "Infinity"),
                (line.replace('"a": 1', '"a": None'), "bad_json", "null"),
                (line.replace('"a": 1', '"a": True'), "bad_json", "true"),
                (line.replace('"', "'"), "bad_json", "quotes"),
                (line.replace('"externalId": "1"', '"externalId": 1'), "bad_type", "lose digits")]:
            reject = self.send(text).rejects[1]
            self.assertEqual(reject["code"], code, text)
            self.assertIn(word, reject["message"], text)


if __name__ == "__main__":
    unittest.main()
