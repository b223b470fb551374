"""The same record again is a duplicate, another record with its id and collectedAt an id_conflict: no client can suppress
another's record by its id."""

import unittest
import uuid

from lib.harness import TestCase, numbered, record

WHEN = "2026-11-03T00:00:00.123456Z"


def given(n=1, **fields):
    return record(id=str(uuid.UUID(int=n)), **({"collectedAt": WHEN} | fields))


class IdConflict(TestCase):
    def setUp(self):
        super().setUp()
        self.db.add_account()
        self.d = self.daemon(database__writers=1)

    def test_every_field_counts(self):
        full = given(impressions=3, clicks=2, conversions=1, metrics={"a": 1, "b": [2]})
        self.assertEqual(self.d.send(full).counts(), (1, 1, 0, 0))
        others = [{"externalId": "2"}, {"amountCents": 101}, {"currency": "EUR"}, {"impressions": 4}, {"impressions": None},
                  {"clicks": 0}, {"conversions": None}, {"metrics": None}, {"metrics": {"a": 1}}, {"metrics": {"a": 1, "b": ["2"]}},
                  {"periodStart": "2026-10-31T00:00:00Z"}, {"periodEnd": "2026-11-09T00:00:00Z"}]
        replies = self.d.send(*[full | other for other in others])
        self.assertEqual(replies.codes(), {n + 1: "id_conflict" for n in range(len(others))})
        self.assertEqual({reject["field"] for reject in replies.rejects.values()}, {"id"})
        self.assertEqual(self.d.send(full).counts(), (1, 0, 1, 0))
        self.assertEqual(self.db.query("SELECT amount_cents, metrics FROM spending"),
                         [{"amount_cents": 100, "metrics": {"a": 1, "b": [2]}}])

    def test_digits_of_numbers_are_compared_not_their_notation(self):
        line = '{"id":"%s","collectedAt":"%s","platform":"META","accountExternalId":"act_1","externalId":"1",' \
               '"periodStart":"2026-11-01T00:00:00Z","periodEnd":"2026-11-02T00:00:00Z","amountCents":%s,' \
               '"currency":"USD","metrics":%s}'

        def send(*lines):
            return self.d.send(*[line % (uuid.UUID(int=n), when, amount, metrics) for n, when, amount, metrics in lines])

        self.assertEqual(send((1, WHEN, "1", '{"x":1.0,"y":2}'), (2, WHEN, "1", '{"x":1e2}')).counts(), (2, 2, 0, 0))
        replies = send((1, WHEN, "1", '{"x":1,"y":2}'),
                       (1, WHEN, "1", '{"x":1.00,"y":2}'),
                       (1, "2026-11-03T01:00:00.123456+01:00", "1.0", ' { "y" : 2 , "x" : 1.0 } '),
                       (2, WHEN, "1", '{"x":100}'))
        self.assertEqual(replies.codes(), {1: "id_conflict", 2: "id_conflict"})
        self.assertEqual(replies.counts(), (4, 0, 2, 2))

    def test_two_in_one_batch(self):
        replies = self.d.send(given(7, amountCents=1), given(7, amountCents=2), given(7, amountCents=1), *numbered(10, 100))
        self.assertEqual(replies.codes(), {2: "id_conflict"})
        self.assertEqual(replies.counts(), (13, 11, 1, 1))
        self.assertEqual(self.db.value("SELECT amount_cents FROM spending WHERE amount_cents < 100"), "1")

    def test_an_id_without_a_time(self):
        one = given(9, collectedAt=None)
        self.assertEqual(self.d.send(one).counts(), (1, 1, 0, 0))
        replies = self.d.send(one, one | {"amountCents": 5}, one | {"metrics": {"x": 1}}, one)
        self.assertEqual(replies.codes(), {2: "id_conflict", 3: "id_conflict"})
        self.assertEqual(replies.counts(), (4, 0, 2, 2))
        # with several stored under one id, each of them is a duplicate
        self.assertEqual(self.d.send(given(10, amountCents=1), given(10, amountCents=2, collectedAt="2026-12-24T00:00:00Z"))
                         .counts(), (2, 2, 0, 0))
        replies = self.d.send(*[given(10, amountCents=n, collectedAt=None) for n in (1, 2, 3)])
        self.assertEqual(replies.codes(), {3: "id_conflict"})
        # and two in one batch
        replies = self.d.send(*[given(11, amountCents=n, collectedAt=None) for n in (1, 2, 1)])
        self.assertEqual(replies.codes(), {2: "id_conflict"})
        self.assertEqual(replies.counts(), (3, 1, 1, 1))

    def test_a_client_that_chooses_a_derived_id(self):
        """As if the hash were broken: another record is stored under the id derived for this one."""
        self.assertEqual(self.d.send(record(amountCents=500)).counts(), (1, 1, 0, 0))
        self.db.execute("UPDATE spending SET amount_cents = 1")
        replies = self.d.send(record(amountCents=500), *numbered(20))
        self.assertEqual(replies.codes(), {1: "id_conflict"})
        self.assertEqual(replies.counts(), (21, 20, 0, 1))

    def test_many_resent_with_some_conflicts(self):
        lines = [given(1000 + n, amountCents=n, metrics={"n": n}) for n in range(1500)]
        self.assertEqual(self.d.send(*lines).counts(), (1500, 1500, 0, 0))
        again = [line | ({"amountCents": -1} if n % 100 == 7 else {}) for n, line in enumerate(lines)]
        for _ in range(2):  # the second time the writer compares them first, 700 at a time
            replies = self.d.send(*again)
            self.assertEqual(replies.codes(), {n + 1: "id_conflict" for n in range(1500) if n % 100 == 7})
            self.assertEqual(replies.counts(), (1500, 0, 1485, 15))

    def test_some_new_rows_among_known_ones(self):
        """After a batch whose rows were stored already, the writer compares the next batch before it inserts anything."""
        known = [given(5000 + n, amountCents=n, metrics={"n": n}) for n in range(300)]
        self.assertEqual(self.d.send(*known).counts(), (300, 300, 0, 0))
        for start in (6000, 7000):
            new = [given(start + n, amountCents=n) for n in range(20)]
            changed = given(5003, amountCents=-1)
            replies = self.d.send(*known, changed, *new, new[4], given(start + 5, amountCents=-1))
            self.assertEqual(replies.codes(), {301: "id_conflict", 323: "id_conflict"})
            self.assertEqual(replies.counts(), (323, 20, 301, 2))
        self.assertEqual(self.d.send(*numbered(300, 1000)).counts(), (300, 300, 0, 0))
        self.assertEqual(self.db.count(), 640)

    def test_the_first_and_the_last_moment(self):
        """Resent in batches of their own: the bounds of the comparison may be in a year that no literal holds."""
        for when in "0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999-14:00":
            with self.subTest(when=when):
                line = given(77, collectedAt=when)
                first = self.d.send(line)
                if first.codes():
                    self.assertEqual(set(first.codes().values()), {"bad_value"})
                    continue
                for _ in range(3):
                    self.assertEqual(self.d.send(line).counts(), (1, 0, 1, 0))
                self.assertEqual(self.d.send(line | {"amountCents": 7}).codes(), {1: "id_conflict"})


if __name__ == "__main__":
    unittest.main()
