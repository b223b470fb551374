#!/usr/bin/env python3
"""What is stored as jsonb can be read back: numbers with exponents are short on the wire and long in jsonb's output."""

import unittest


from lib.client import encode
from lib.harness import TestCase, account, ad_object, record

TEXT_MAX = 4 * 1048576  # of limits.max_line_bytes


def with_raw(line, field, text):
    """The line with a field of raw JSON, since json.dumps would round its numbers."""
    return encode(line)[:-1] + f',"{field}":{text}}}'.encode()


def many(number, count):
    return '{"a":[' + ",".join([number] * count) + "]}"


class LongText(TestCase):
    shares_daemon = True

    TOO_LONG = [many("1e131071", 9000), many("-1e131071", 40), many("1e-16383", 300), many("0e-16383", 300),
                many("9.9e130000", 33), many('{"b":{"c":[1e131071]}}', 33),
                '{"a":{"b":' + many("1e131071", 40) + "}}"]
    LONG = [many("1e131071", 31), many("-1e-16383", 250), many('{"b":"\\u0001","c":1e131071}', 31), many("0e1000000", 9000),
            many('"1e131071"', 9000), many("1.5", 9000)]

    def test_metrics(self):
        self.db.add_account()
        d = self.daemon()
        lines = [with_raw(record(amountCents=n), "metrics", text) for n, text in enumerate(self.TOO_LONG + self.LONG)]
        replies = d.send(*lines)
        self.assertEqual(replies.codes(), {n + 1: "bad_value" for n in range(len(self.TOO_LONG))})
        self.assertEqual({reject["field"] for reject in replies.rejects.values()}, {"metrics"})
        self.assertEqual(self.db.count(), len(self.LONG))
        self.assertLessEqual(int(self.db.value("SELECT max(length(metrics::text)) FROM spending")), TEXT_MAX)

    def test_platform_data(self):
        connection = self.db.create_connection()
        d = self.daemon()
        lines = [account(connection)]
        lines += [with_raw(ad_object(str(n)), "platformData", text) for n, text in enumerate(self.TOO_LONG + self.LONG)]
        replies = d.send(*lines)
        self.assertEqual(replies.codes(), {n + 2: "bad_value" for n in range(len(self.TOO_LONG))})
        self.assertLessEqual(int(self.db.value("SELECT max(length(platform_data::text)) FROM ad_objects")), TEXT_MAX)

    def test_a_small_limit(self):
        self.db.add_account()
        d = self.daemon(limits__max_line_bytes=2048)
        self.assertEqual(d.send(with_raw(record(), "metrics", '{"a":1e8000}'),
                                with_raw(record(), "metrics", '{"a":1e9000}')).codes(), {2: "bad_value"})


if __name__ == "__main__":
    unittest.main()
