"""For everything that the daemon accepts, PostgreSQL's own casts of the same text give the same values: checked with
unusual records, DIFFERENTIAL_RECORDS of them (default 20,000), from DIFFERENTIAL_SEED, which is printed when a record
differs."""

import csv
import io
import json
import os
import random
import socket
import sys
import threading
import unittest

from lib.harness import TestCase, psql

RECORDS = int(os.environ.get("DIFFERENTIAL_RECORDS", "20000"))
SEED = int(os.environ.get("DIFFERENTIAL_SEED", random.randrange(10**6)))
ROUND = 20000

OBJECTS = ["1", "007", "ä", "😀", "a\"b\\c", "/", "tab\there", "\u2028", "x" * 255, " ", "null", "1e3", "é", "e\u0301"]

DIFFERENCES = """
    SELECT r.line FROM raw r CROSS JOIN LATERAL (SELECT r.line::jsonb AS j) q
    LEFT JOIN spending s ON s.id = (j->>'id')::uuid
    LEFT JOIN ad_objects o ON o.id = s.ad_object_id
    WHERE (s.collected_at, s.period_start, s.period_end, s.amount_cents, s.currency, s.impressions, s.clicks,
           s.conversions, s.metrics::text, o.external_id)
    IS DISTINCT FROM
          ((j->>'collectedAt')::timestamptz, (j->>'periodStart')::timestamptz, (j->>'periodEnd')::timestamptz,
           (j->>'amountCents')::numeric::int8, j->>'currency', (j->>'impressions')::numeric::int8,
           (j->>'clicks')::numeric::int8, (j->>'conversions')::numeric::int8,
           nullif(j->'metrics', 'null'::jsonb)::text, j->>'externalId')"""


class Odd:
    """Records, as text, at the limits of what is allowed and sometimes beyond."""

    def __init__(self, rng):
        self.rng = rng

    def one_of(self, *choices):
        choice = self.rng.choice(choices)
        return choice() if callable(choice) else choice

    def rarely(self, usual, *bad):
        return self.rng.choice(bad) if self.rng.random() < 0.2 else usual

    def string(self, text):
        """JSON in one of the many ways to write it."""
        out = []
        for c in text:
            way = self.rng.random()
            if c in '"\\' or ord(c) < 0x20:
                out.append(json.dumps(c)[1:-1])
            elif way < 0.1:
                out.append("".join(f"\\u{ord(u):04x}" if way < 0.05 else f"\\u{ord(u):04X}" for u in self.utf16(c)))
            elif c == "/" and way < 0.5:
                out.append("\\/")
            else:
                out.append(c)
        return '"' + "".join(out) + '"'

    @staticmethod
    def utf16(c):
        data = c.encode("utf-16-be", "surrogatepass")
        return [chr(int.from_bytes(data[i:i + 2], "big")) for i in range(0, len(data), 2)]

    def integer(self):
        rng = self.rng
        n = self.one_of(0, 1, -1, 2**53 - 1, -(2**53 - 1), 2**63 - 1, -(2**63), 2**53, lambda: rng.randrange(10**6),
                        lambda: rng.randrange(-10**15, 10**15))
        if rng.random() < 0.04:
            return self.one_of(f'"+{n}"', f'" {n}"', f"{n}e2", f"{n}.5")
        if abs(n) >= 2**53 and rng.random() < 0.9:
            return f'"{n}"'
        return self.one_of(f"{n}", f'"{n}"', f"{n}.0", f"{n}e0", f"{n}0e-1", f"{n}.000E+00", f"{n}000e-3",
                           f"{n / 100 if abs(n) < 10**9 else n // 10**9}e2", "-0", "0e5", "0.0e-3")

    def time(self, year=None):
        rng = self.rng
        year = year or self.one_of(2026, 2020, 1, 9999, 1970, 2000, 1900, lambda: rng.randrange(1, 10000))
        fraction = self.one_of("", ".5", ".123456", ".000001", ".999999", ".10", self.rarely("", ".1234567", "."))
        offset = self.one_of("Z", "z", "+00:00", "-00:00", "+05:45", "-15:59", "+15:59",
                             self.rarely("Z", "+16:00", "+14", "-0330", ""))
        day = rng.randrange(1, 29 if rng.random() < 0.8 else 32)
        between = self.one_of("T", "t", self.rarely("T", " "))
        second = self.one_of(0, 7, 59, self.rarely(1, 60))
        text = (f"{year:04}-{rng.randrange(1, 13):02}-{day:02}{between}{self.one_of(0, 23, 12, self.rarely(3, 24)):02}"
                f":{rng.randrange(0, 60):02}:{second:02}{fraction}{offset}")
        return self.string(text)

    def number(self):
        rng = self.rng
        return self.one_of("0", "-0", "1E400", "1e-400", "12345678901234567890.12345678901234567890", "0.10", "1.0", "1e5",
                           "-1.5E-7", lambda: str(rng.randrange(10**30)), lambda: repr(rng.random()), "1e131071",
                           lambda: f"{rng.randrange(100)}.{'0' * rng.randrange(40)}1")

    def value(self, depth):
        rng = self.rng
        if depth == 0 or rng.random() < 0.4:
            return self.one_of("null", "true", "false", self.number, self.number,
                               lambda: self.string(self.one_of("", *OBJECTS, "\x7f", "\u00a0", "\ufeff", "\U0010ffff")))
        if rng.random() < 0.5:
            return "[" + ", ".join(self.value(depth - 1) for _ in range(rng.randrange(4))) + "]"
        return self.object(depth)

    def object(self, depth):
        keys = self.rng.sample(["a", "b", "ab", "", "é", "A", "aa", "a b", "😀", "\\"], self.rng.randrange(5))
        return "{" + ",".join(f"{self.string(k)} : {self.value(depth - 1)}" for k in keys) + "}"

    def record(self, n):
        rng = self.rng
        fields = {
            "platform": '"META"', "accountExternalId": '"act_1"', "externalId": self.string(rng.choice(OBJECTS)),
            "periodStart": self.time(rng.randrange(2000, 2010)) if rng.random() < 0.8 else self.time(),
            "periodEnd": self.time(rng.randrange(2010, 2020)) if rng.random() < 0.8 else self.time(),
            "collectedAt": self.time(rng.choice((2025, 2026, 2026))), "amountCents": self.integer(),
            "currency": '"USD"',
        }
        fields["id"] = '"%s-%s-%s-%s-%s"' % tuple(f"{rng.getrandbits(64):016x}{n:016x}"[a:b] for a, b in
                                                  ((0, 8), (8, 12), (12, 16), (16, 20), (20, 32)))
        for key in ("impressions", "clicks", "conversions"):
            if rng.random() < 0.3:
                fields[key] = self.one_of("null", str(rng.randrange(2**53)), str(rng.randrange(1000)), f'"{rng.randrange(2**63)}"',
                                          self.integer if rng.random() < 0.2 else "0.0")
        if rng.random() < 0.7:
            fields["metrics"] = self.one_of("null", lambda: self.object(4), lambda: self.object(4))
        items = list(fields.items())
        rng.shuffle(items)
        space = rng.choice(("", " ", "\t"))
        return "{" + f",{space}".join(f"{self.string(k)}{space}:{space}{v}" for k, v in items) + "}"


class Differential(TestCase):
    def test_accepted_records_equal_the_casts_of_postgresql(self):
        names = [name.replace("'", "''") for name in OBJECTS]
        self.db.add_account(objects=names)
        self.db.execute("CREATE TABLE raw (line text)")
        d = self.daemon(database__writers=1)
        accepted = 0
        with self.subTest(seed=SEED):
            odd = Odd(random.Random(SEED))
            for start in range(0, RECORDS, ROUND):
                lines = [odd.record(start + n) for n in range(min(ROUND, RECORDS - start))]
                accepted += self.compare(d, lines)
        self.assertGreater(accepted, RECORDS / 20)
        print(f"{accepted} of {RECORDS} records accepted", file=sys.stderr)

    def compare(self, d, lines):
        client = d.client()
        sender = threading.Thread(target=lambda: (client.send(*lines), client.sock.shutdown(socket.SHUT_WR)))
        sender.start()
        replies = client.drain()  # at the same time: who does not read is paused
        sender.join()
        self.assertEqual(replies.ack["ack"], len(lines))
        self.assertNotIn("refused_by_database", replies.codes().values())
        good = [line for n, line in enumerate(lines, 1) if n not in replies.rejects]
        out = io.StringIO()
        csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows([line] for line in good)
        psql(self.db.url, "TRUNCATE raw; COPY raw FROM STDIN (FORMAT csv);\n" + out.getvalue() + "\\.\n")
        different = self.db.query(DIFFERENCES)
        self.assertEqual([row["line"] for row in different[:3]], [])
        self.assertEqual(self.db.count(), len(good))
        self.db.execute("TRUNCATE spending")
        return len(good)


if __name__ == "__main__":
    unittest.main()
