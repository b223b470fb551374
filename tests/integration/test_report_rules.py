"""The rules of `report`, one by one: no money counts twice, and none is left out. They are SQL functions that
everybody can call."""

import csv
import datetime as dt
import io
import json
import re
import unittest

from lib.harness import ROOT, ad_object, psql, record, run_ingestd, wait_until
from test_report import Commands, named, spent

DAY = ("2026-11-01", "2026-11-02")
LATER = "2026-11-05T00:00:00Z"
LAST = "2026-11-07T00:00:00Z"


def hours(external_id, amounts, collected="2026-11-03T00:00:00Z", day=1):
    """{hour: amount}"""
    return [record(externalId=external_id, amountCents=amount, collectedAt=collected,
                   periodStart=f"2026-11-{day:02d}T{hour:02d}:00:00Z", periodEnd=f"2026-11-{day:02d}T{hour:02d}:59:59Z")
            for hour, amount in amounts.items()]


def parts(external_id, key, amounts, **fields):
    """{"18-24": 600}: one breakdown of a day"""
    return [spent(external_id, amount, metrics={key: value}, **fields) for value, amount in amounts.items()]


class Rules(Commands):
    def total(self, *args, **kwargs):
        return sum(row["amount_cents"] for row in self.report(*args, **kwargs))

    def rows(self, *args, **kwargs):
        return [(row["object"], row["part"], row["amount_cents"]) for row in self.report("--by", "object", *args, **kwargs)]

    def breakdowns(self):
        return [row["breakdown"] for row in self.report()]


class Breakdowns(Rules):
    AGES = {"18-24": 600, "25-34": 400}
    COUNTRIES = {"US": 700, "CA": 300}

    def test_two_breakdowns(self):
        self.send(*parts("a1", "age", self.AGES), *parts("a1", "country", self.COUNTRIES))
        self.assertEqual((self.total(), self.breakdowns()), (1000, ["age"]))

    def test_a_total_and_a_breakdown(self):
        for n, metrics in enumerate((None, {}, {"ctr": "0.1", "actions": [{"action_type": "x"}]})):
            self.send(spent("a1", 1000, day=n + 1, metrics=metrics), *parts("a1", "age", {"18-24": 600}, day=n + 1))
        self.assertEqual((self.total(), self.breakdowns()), (3000, [None] * 3))

    def test_of_three_breakdowns_the_one_with_fewest_dimensions_counts(self):
        both = [spent("a1", amount, metrics={"age": age, "gender": gender, "reach": "7"})
                for age, gender, amount in (("18-24", "male", 100), ("18-24", "female", 400), ("25-34", "male", 400))]
        self.send(*both, *parts("a1", "publisher_platform", {"facebook": 990}), *parts("a1", "country", self.COUNTRIES))
        self.assertEqual((self.total(), self.breakdowns()), (1000, ["country"]))

    def test_a_partial_breakdown_does_not_count(self):
        self.send(*parts("a1", "age", {"18-24": 600}), *[spent("a1", amount, metrics={"country": "US", "device": device})
                                                         for device, amount in (("tv", 300), ("phone", 700))])
        self.assertEqual((self.total(), self.breakdowns()), (1000, ["country, device"]))

    def test_dimensions_without_a_value(self):
        """They are what the platform could not attribute, unless they have as much money as the rows with a value."""
        columns = [(600, {"age": "18-24", "country": None}), (390, {"age": "25-34", "country": None}),
                   (700, {"age": None, "country": "US"}), (300, {"age": None, "country": "CA"})]
        cases = (([(600, {"age": "18-24"}), (400, {"age": None})], "age"),
                 ([(600, {"age": "18-24", "gender": "male"}), (300, {"age": "18-24", "gender": None}), (100, {"age": None, "gender": None})],
                  "age, gender"),
                 ([(600, {"age": "18-24"}), (400, {"age": "25-34"}), (1000, {"age": None})], None),
                 (columns, "country"), ([*columns, (1000, {"age": None, "country": None})], None),
                 ([(600, {"segments": {"device": "TV"}}), (400, {"segments": {"device": None}}), (990, {"country": "US"})], "segments.device"))
        for day, (rows, _) in enumerate(cases, 1):
            self.send(*[spent("a1", amount, day, metrics=metrics) for amount, metrics in rows])
        self.assertEqual([(row["amount_cents"], row["breakdown"]) for row in self.report()], [(1000, name) for _, name in cases])
        self.assertEqual(sum(row["counted"] for row in self.report("--object", "a1", "--explain")), 1000 * len(cases))
        self.send(spent("c1", 1500))  # these ads as they were then are subtracted from their campaign
        self.send(*[line | {"collectedAt": LATER} for line in parts("a1", "age", {"18-24": 600, "25-34": 401})])
        self.assertEqual(self.total(days=DAY), 1501)

    def test_dimensions_that_are_nested_or_lists_or_spelled_otherwise(self):
        for day, (first, second) in enumerate((("Age", "ageRange"), ("segments", "Device Type"), ("placement", "breakdown_x"), ("device", "age")), 1):
            self.send(*[spent("a1", amount, day, metrics={"country": "US", **more})
                        for amount, more in ((600, {first: {"os": "x"}, second: ["y"]}), (400, {first: {"os": "z"}, second: ["z"]}),
                                             (700, {}), (300, {}))])
        self.assertEqual([(row["amount_cents"], row["breakdown"]) for row in self.report()], [(1000, "country")] * 4)
        self.assertEqual(sorted({row["breakdown"] for row in self.report("--object", "a1", "--explain")}),
                         ["Age.os, ageRange, country", "Device Type, country, segments.os", "age, country, device.os",
                          "breakdown_x, country, placement.os", "country"])

    def test_metrics_that_some_rows_lack_do_not_make_breakdowns(self):
        self.send(spent("a1", 600, metrics={"age": "18-24", "quality_ranking": "AVERAGE", "clicks": "3", "country": None}),
                  spent("a1", 400, metrics={"age": "25-34", "actions": []}), spent("a2", 1), spent("a2", 2, metrics={"x": 1}))
        self.assertEqual(self.total(), 1003)

    def test_custom_dimension_names(self):
        self.send(*parts("a1", "my_audience", {"old": 600, "new": 400}), *parts("a1", "my_channel", {"x": 999, "y": 1}),
                  spent("a2", 10, metrics={"segments": {"device": "MOBILE"}}), spent("a2", 20, metrics={"segments": {"device": "TV"}}),
                  spent("a2", 30, metrics={"segments.ad_network_type": "SEARCH"}))
        self.assertEqual(self.total(), 1030)

    def test_restated_by_another_family_only(self):
        self.send(spent("a1", 900), *parts("a1", "age", self.AGES),
                  *parts("a1", "country", {"US": 800, "CA": 310}, collectedAt=LATER))
        self.assertEqual((self.total(), self.breakdowns()), (1110, ["country"]))

    def test_credits(self):
        self.send(*parts("a1", "age", {"18-24": -600, "25-34": 100}), *parts("a1", "country", {"US": -500}))
        self.assertEqual(self.total(), -500)

    def test_families_on_every_level(self):
        self.send(*parts("c1", "country", {"US": 900, "CA": 100}), spent("c1", 1000),
                  *parts("s1", "age", {"18-24": 500}), *parts("s1", "gender", {"male": 300, "female": 200}),
                  *parts("a1", "age", {"18-24": 200}), *parts("a1", "country", {"US": 200}))
        self.assertEqual(self.rows(), [("c1", "not attributed to ads", 500), ("s1", "not attributed to ads", 300),
                                       ("a1", None, 200)])


class Levels(Rules):
    def test_deleted_ads(self):
        self.send(spent("c1", 1000), spent("a1", 600))
        self.assertEqual(self.rows(), [("a1", None, 600), ("c1", "not attributed to ads", 400)])
        self.assertEqual(self.total(), 1000)
        self.assertIn("not attributed to ads", self.command("report", "--account", "act_1", "--from", DAY[0], "--to", DAY[1],
                                                            "--by", "object"))

    def test_each_level(self):
        self.send(spent("c1", 1000), spent("s1", 700), spent("s2", 100), spent("a1", 300), spent("a2", 200))
        self.assertEqual(self.rows(), [("a1", None, 300), ("a2", None, 200), ("c1", "not attributed to ads", 200),
                                       ("s1", "not attributed to ads", 200), ("s2", None, 100)])

    def test_an_ad_in_another_currency(self):
        self.send(spent("c1", 1000, currency="USD"), spent("a1", 600, currency="USD"), spent("a2", 370, currency="EUR"))
        self.assertEqual(self.rows(), [("a1", None, 600), ("a2", None, 370)])

    def test_a_campaign_in_two_currencies(self):
        """What the ads do not explain counts in each currency, also where they have no amount in it."""
        both = lambda name, dollars, euros: [spent(name, dollars, currency="USD"), spent(name, euros, currency="EUR")]
        self.send(*both("c1", 1000, 500), *both("s1", 700, 300), spent("a1", 600, currency="USD"), spent("c2", 5, currency="EUR"))
        counts = lambda: sorted((row["object"], row["currency"], row["amount_cents"]) for row in self.report("--by", "object"))
        self.assertEqual(counts(), [("a1", "USD", 600), ("c1", "EUR", 200), ("c1", "USD", 300), ("c2", "EUR", 5), ("s1", "EUR", 300),
                                    ("s1", "USD", 100)])
        self.send(spent("a2", 370, currency="JPY"))  # nobody can tell how many dollars or euros these are
        self.assertEqual(counts(), [("a1", "USD", 600), ("a2", "JPY", 370), ("c2", "EUR", 5)])

    def test_campaigns_without_ads(self):
        self.send(spent("c2", 1000), spent("c1", 5), spent("c1", 7, day=2))
        self.assertEqual(self.rows(days=DAY), [("c2", None, 1000), ("c1", None, 5)])

    def test_the_campaign_was_restated(self):
        for amount in (1200, 900):
            with self.subTest(amount):
                self.send(spent("c1", 1000), spent("a1", 600), spent("a2", 400),
                          spent("c1", amount, collectedAt=LATER if amount > 1000 else LAST))
                self.assertEqual(self.total(), amount)

    def test_the_ads_were_restated(self):
        """The campaign's excess over its ads remains; what its ads got since is added."""
        self.send(spent("c1", 1000), spent("a1", 600), spent("a2", 400), spent("a2", 500, collectedAt=LATER))
        self.assertEqual(self.rows(), [("a1", None, 600), ("a2", None, 500)])
        self.send(spent("a2", 300, collectedAt=LAST))
        self.assertEqual(self.total(), 900)
        self.send(spent("c2", 1000, day=2), spent("x", 600, day=2) | {"externalId": "s1"})
        self.send(ad_object("a9", "AD", "c2"), spent("a9", 600, day=2), spent("a9", 650, day=2, collectedAt=LATER))
        self.assertEqual([row for row in self.rows(days=("2026-11-02", "2026-11-03")) if row[0] in ("a9", "c2")],
                         [("a9", None, 650), ("c2", "not attributed to ads", 400)])

    def test_levels_collected_one_after_another(self):
        """The ads are always collected after the campaign, so the campaign's next collection contains what the ads got."""
        for day, amount in ((2, 500), (3, 1000)):
            self.send(spent("c1", amount, collectedAt=f"2026-11-{day:02d}T08:00:00Z"),
                      spent("a1", amount, collectedAt=f"2026-11-{day:02d}T08:01:00Z"))
        self.assertEqual(self.total(), 1000)

    def test_an_ad_collected_several_times_beside_days_of_its_campaign(self):
        """Each collection of the ad is subtracted from the days that were collected with it."""
        with self.subTest("the ad's week so far, each morning"):
            for day in range(2, 9):
                collected = f"2026-11-{day + 1:02d}T06:00:00Z"
                self.send(spent("c1", 100, day, collectedAt=collected),
                          spent("a1", 100 * (day - 1), 2, collectedAt=collected, periodEnd="2026-11-09T00:00:00Z"))
            self.assertEqual(self.total(), 700)
        with self.subTest("days of two zones, each collected twice"):
            for day in range(12, 19):
                for n in (1, 2):
                    collected = f"2026-11-{day + 2 * n:02d}T00:00:00Z"
                    self.send(spent("c2", 500 * n, day, collectedAt=collected), ad_object("b1", "AD", "c2"),
                              spent("b1", 500 * n, day, collectedAt=collected, periodStart=f"2026-11-{day:02d}T08:00:00Z",
                                    periodEnd=f"2026-11-{day + 1:02d}T08:00:00Z"))
            self.assertEqual(self.total(days=("2026-11-12", "2026-11-20")), 7000)

    def test_halves_give_the_whole(self):
        """The remainder lies where the periods that overlap begin, so one of two ranges has it."""
        self.send(spent("c1", 150, 10), spent("c1", 150, 11), spent("a1", 100, 10, periodEnd="2026-11-12T00:00:00Z"))
        self.assertEqual([self.total(days=(f"2026-11-{start}", f"2026-11-{end}")) for start, end in ((10, 12), (10, 11), (11, 12))],
                         [300, 300, 0])

    def test_a_range_within_the_month_of_a_campaign(self):
        """The days before the range are not read; what the month has of them hides nothing in the range."""
        self.send(spent("c1", 3000, periodEnd="2026-12-01T00:00:00Z"), *[spent("c1", 100, day) for day in range(1, 30)],
                  spent("c1", 100, 30, periodEnd="2026-12-01T00:00:00Z"), *[spent("a1", 60, day) for day in range(1, 30)],
                  spent("a1", 60, 30, periodEnd="2026-12-01T00:00:00Z"))
        self.assertEqual([self.total(days=(start, end)) for start, end in (
            ("2026-11-01", "2026-12-01"), ("2026-11-15", "2026-11-16"), ("2026-11-01", "2026-11-15"), ("2026-11-15", "2026-12-01"))],
                         [3000, 100, 1400, 1600])

    def test_credits(self):
        self.send(spent("c1", -100), spent("a1", -60), spent("c2", 0))
        self.assertEqual(self.total(), -100)

    def test_the_campaign_by_days_and_its_ads_by_hours_or_months(self):
        self.send(spent("c1", 24), *hours("a1", {h: 1 for h in range(20)}),
                  *[spent("c2", 100, day) for day in range(1, 11)], ad_object("m", "AD", "c2"),
                  record(externalId="m", amountCents=900, periodEnd="2026-11-11T00:00:00Z"))
        self.assertEqual(self.total(), 1024)

    def test_a_campaign_that_covers_only_an_hour_of_its_ads(self):
        self.send(spent("a1", 1000), *hours("c1", {7: 188}, LATER), ad_object("b1", "AD", "c2"), *hours("b1", {7: 100}),
                  *hours("c2", {7: 150, 9: 50}))
        self.assertEqual(self.rows(), [("a1", None, 1000), ("b1", None, 100), ("c2", None, 50), ("c2", "not attributed to ads", 50)])


class Periods(Rules):
    def by_currency(self, name):
        sums = {}
        for row in self.report("--object", name):
            sums[row["currency"]] = sums.get(row["currency"], 0) + row["amount_cents"]
        return sums

    def test_hours_missing_from_a_day(self):
        self.send(spent("a1", 1000), *hours("a1", {0: 100, 7: 500}))
        self.assertEqual(self.rows(), [("a1", None, 1000)])
        self.assertEqual(self.rows("--bucket", "1h"), [("a1", "not attributed to shorter periods", 400), ("a1", None, 100),
                                                       ("a1", None, 500)])

    def test_hours_in_another_currency(self):
        """A day and hours in two currencies: what the hours do not explain counts in each. A day that lacks a currency of its hours does
        not count: nobody can tell how much of it they are."""
        euros = lambda lines: [line | {"currency": "EUR"} for line in lines]
        self.send(spent("a1", 1000), *euros([spent("a1", 500)]), *hours("a1", {0: 600}), *euros(hours("a1", {2: 300})),
                  spent("a2", 1000), *hours("a2", {1: 400}), *euros(hours("a2", {2: 50})), spent("c2", 9, 3), *euros([spent("c2", 8, 4)]))
        sums = {}
        for row in self.report("--by", "object"):
            sums[row["object"], row["currency"]] = sums.get((row["object"], row["currency"]), 0) + row["amount_cents"]
        self.assertEqual(sums, {("a1", "USD"): 1000, ("a1", "EUR"): 500, ("a2", "USD"): 400, ("a2", "EUR"): 50, ("c2", "USD"): 9, ("c2", "EUR"): 8})
        self.assertEqual(sum(row["counted"] for row in self.report("--object", "a2", "--explain")), 450)

    def test_hours_restated_after_their_day(self):
        self.send(spent("a1", 1000), *hours("a1", {0: 400, 1: 600}), *hours("a1", {1: 500}, LATER))
        self.assertEqual(self.total(), 900)

    def test_one_day_of_a_month(self):
        """The other days of the month do not count as a remainder of this one."""
        self.send(record(externalId="a1", amountCents=3000, periodEnd="2026-12-01T00:00:00Z"),
                  *[spent("a1", 100, day) for day in range(1, 30)])
        self.assertEqual(self.total(days=DAY), 200)
        self.assertEqual(self.total(days=("2026-11-02", "2026-11-03")), 100)
        self.assertEqual(self.total(), 3000)

    def test_days_of_utc_then_of_the_account(self):
        self.send(self.account(timezone="America/Los_Angeles"))
        zone = [record(externalId="a1", amountCents=10, collectedAt=LATER, periodStart=f"2026-10-{day:02d}T07:00:00Z",
                       periodEnd=f"2026-10-{day + 1:02d}T07:00:00Z") for day in range(10, 15)]
        utc = [record(externalId="a1", amountCents=1000, periodStart=f"2026-10-{day:02d}T00:00:00Z",
                      periodEnd=f"2026-10-{day + 1:02d}T00:00:00Z") for day in range(10, 15)]
        self.send(*utc, *zone)
        self.assertEqual(self.total(days=("2026-10-01", "2026-11-01")), 50)
        # rolling windows: each was collected after the one before
        self.send(*[record(externalId="c2", amountCents=day, collectedAt=f"2026-10-{day + 7:02d}T01:00:00Z",
                           periodStart=f"2026-10-{day:02d}T07:00:00Z", periodEnd=f"2026-10-{day + 3:02d}T07:00:00Z")
                    for day in range(1, 8)])
        self.assertEqual(self.total("--object", "c2", days=("2026-10-01", "2026-11-01")), 7 + 4 + 1)

    def test_days_of_utc_in_one_currency_then_of_the_account_in_another(self):
        """The later collection counts, whatever its currency, and so do hours in it. A month does not count that lacks a currency of what counts."""
        self.send(self.account(timezone="America/Los_Angeles"))
        day = lambda name, amount, hour, **fields: spent(name, amount, periodStart=f"2026-11-10T{hour:02d}:00:00Z",
                                                         periodEnd=f"2026-11-11T{hour:02d}:00:00Z", **fields)
        euros = {"currency": "EUR", "collectedAt": LAST}
        self.send(day("a1", 1000, 0, collectedAt=LATER), day("a1", 900, 7, **euros), day("a2", 1000, 0), day("a2", 5, 0, currency="JPY"),
                  day("a2", 800, 8, **euros), *[line | euros for line in hours("a2", {12: 300, 13: 200}, day=10)])
        self.assertEqual((self.by_currency("a1"), self.by_currency("a2")), ({"EUR": 900}, {"EUR": 800}))
        month = {"periodStart": "2026-11-01T07:00:00Z", "periodEnd": "2026-12-01T08:00:00Z", "collectedAt": LAST}
        self.send(day("c2", 1000, 0, collectedAt=LATER, currency="EUR"), day("c2", 900, 7, collectedAt=LAST), spent("c2", 9000, **month))
        self.assertEqual(self.by_currency("c2"), {"USD": 9000})
        self.send(spent("a2", 9000, **month))
        self.assertEqual(self.by_currency("a2"), {"EUR": 800})

    def test_three_levels_of_periods_in_two_currencies(self):
        """Month, week and days: both the month and the week do not count if they lack the days' currency."""
        week = {"periodStart": "2026-11-02T00:00:00Z", "periodEnd": "2026-11-09T00:00:00Z"}
        month = {"periodStart": "2026-11-01T00:00:00Z", "periodEnd": "2026-12-01T00:00:00Z"}
        euro = {"currency": "EUR"}
        cases = {"a1": ([spent("a1", 9000, **month), spent("a1", 2000, **week), spent("a1", 70, 3, **euro), spent("a1", 100, 4)], {"USD": 100, "EUR": 70}),
                 "a2": ([spent("a2", 9000, **month), spent("a2", 800, **month, **euro), spent("a2", 2000, **week), spent("a2", 70, 3, **euro)],
                        {"USD": 9000, "EUR": 800}),
                 "c2": ([spent("c2", 9000, **month), spent("c2", 2000, **week), spent("c2", 70, 20, **euro)], {"USD": 2000, "EUR": 70}),
                 "s2": ([spent("s2", 9000, **month), spent("s2", 800, **month, **euro), spent("s2", 200, 3), *hours("s2", {1: 5}, day=3),
                         *[line | euro for line in hours("s2", {2: 6}, day=4)]], {"USD": 9000, "EUR": 800})}
        for name, (lines, _) in cases.items():
            self.send(*lines)
        for name, (_, amounts) in cases.items():
            self.assertEqual(self.by_currency(name), amounts, name)

    def test_a_period_that_begins_before_the_range_and_ends_behind_it(self):
        """What is after the range is subtracted, too, so its remainder hides nothing of the days in the range."""
        month = {"periodStart": "2026-10-20T00:00:00Z", "periodEnd": "2026-11-20T00:00:00Z"}
        self.send(spent("c1", 2000, **month), spent("c1", 1000), spent("c1", 1000, day=5), spent("a1", 600))
        self.assertEqual(self.total(days=DAY), 1000)
        self.assertEqual(self.total(days=("2026-10-20", "2026-11-20")), 2000)

    def test_a_plan_does_not_count(self):
        self.send(spent("a1", 5, collectedAt="2026-09-01T00:00:00Z"), spent("a2", 7, collectedAt="2026-10-10T00:00:00Z"))
        self.assertEqual(self.total(), 7)


class ManyObjects(Rules):
    """Sixty ads. Their rows need all passes of the loop: rows that are alone, hours, breakdowns, two currencies, and months that
    reach out of the range."""

    def lines(self, ad, day, kind):
        rows = {"alone": [spent(ad, 100, day)], "restated": [spent(ad, 90, day), spent(ad, 100, day, collectedAt=LATER)],
                "breakdown": [*parts(ad, "age", {"x": 60, "y": 40}, day=day), *parts(ad, "country", {"US": 100}, day=day)],
                "own names": [*parts(ad, "team", {"x": 60, "y": 40}, day=day), spent(ad, 60, day, metrics={"shop": "a", "team": "b"})],
                "hours": [spent(ad, 100, day), *hours(ad, {0: 10, 1: 20}, day=day), *hours(ad, {0: 5}, LATER, day)],
                "hours in breakdowns": [spent(ad, 100, day)] + [line | {"metrics": {"age": age}} for age in "xy"
                                                               for line in hours(ad, {3: 10}, day=day)],
                "euros": [spent(ad, 40, day), spent(ad, 60, day, currency="EUR")],
                "overlap": [spent(ad, 100, day, collectedAt=LAST),
                            record(externalId=ad, amountCents=70, periodStart=f"2026-11-{day:02d}T07:00:00Z",
                                   periodEnd=f"2026-11-{day:02d}T08:00:00Z", currency="EUR", collectedAt=LATER)]}
        return rows[kind]

    COUNTS = {"overlap": 70, "hours": 95}  # others 100; of "hours", one was 10 when the day was collected, and is 5 now

    def check(self, kind_of, collected=None):
        """@kind_of: the kind of an ad's day; @collected: when days after the first were"""
        ads = [f"ad{n:02d}" for n in range(60)]
        self.send(*[named(ad, "AD", "s1") for ad in ads])
        expected = {}
        for n, ad in enumerate(ads):
            for day in range(1, 5):
                kind = kind_of(n, day)
                self.send(*[line | {"collectedAt": day > 1 and collected or line["collectedAt"]} for line in self.lines(ad, day, kind)])
                expected[ad, f"2026-11-{day:02d}"] = self.COUNTS.get(kind, 100)
            if n % 10 == 3:  # a month: what its days do not explain
                self.send(record(externalId=ad, amountCents=1000, periodStart="2026-11-01T00:00:00Z", periodEnd="2026-12-01T00:00:00Z",
                                 collectedAt=LAST), spent(ad, 50, day=20, collectedAt=LAST))
                if not {"euros", "overlap"} & {kind_of(n, day) for day in range(1, 5)}: # else it lacks a currency
                    expected[ad, "2026-11-01"] += 1000 - 4 * 100 - 50
        rows = self.report("--by", "object", days=("2026-11-01", "2026-11-05"))
        found = {}
        for row in rows:
            found[row["object"], row["bucket"]] = found.get((row["object"], row["bucket"]), 0) + row["amount_cents"]
        self.assertEqual(found, expected)
        self.assertEqual(self.total(days=("2026-11-02", "2026-11-05")), sum(amount for (_, day), amount in expected.items() if day > "2026-11-01"))

    def test_mostly_single_rows(self):
        odd = {5: "breakdown", 9: "euros", 13: "overlap", 17: "hours in breakdowns"}
        self.check(lambda n, day: odd.get(n % 20) or ("alone", "restated", "hours")[(n + day) % 3])

    def test_mostly_breakdowns(self):
        self.check(lambda n, day: ("breakdown", "breakdown", "own names", "breakdown", "hours in breakdowns", "breakdown",
                                   "breakdown", "overlap", "euros")[(n + day) % 9])

    def test_breakdowns_after_the_first_days(self):
        self.check(lambda n, day: "alone" if day == 1 or n < 10 else ("breakdown", "own names", "hours in breakdowns")[(n + day) % 3],
                   "2026-11-20T00:00:00Z")


class Zones(Rules):
    def test_old_names(self):
        self.send(self.account(timezone="Asia/Calcutta"),
                  record(externalId="a1", periodStart="2026-11-02T00:00:00+05:30", periodEnd="2026-11-03T00:00:00+05:30"),
                  record(externalId="a1", amountCents=10000, periodStart="2026-11-03T00:00:00+05:30",
                         periodEnd="2026-11-04T00:00:00+05:30"))
        self.assertEqual(self.total(days=("2026-11-02", "2026-11-03")), 100)
        self.assertEqual(self.stderr, "")

    def test_names(self):
        for name, zone in (("Asia/Calcutta", "Asia/Kolkata"), ("US/Pacific", "America/Los_Angeles"), ("CET", "Europe/Brussels"),
                           ("utc", "Etc/UTC"), ("Europe/Kyiv", "Europe/Kyiv"), ("Etc/GMT+5", "Etc/GMT+5"),
                           ("America/Port-au-Prince", "America/Port-au-Prince"), ("Europe/Prague BC", ""),
                           ("America/New_York''", ""), ("PST", ""), ("Foo+3", ""), ("Foo/Bar5", ""), ("", ""),
                           ("Etc/GMT+99", ""), ("Mars/Olympus", ""), ("../../etc/passwd", "")):
            with self.subTest(name):
                self.assertEqual(self.db.value(f"SELECT boris_ingestd_zone('{name}')"), zone)

    def test_two_connections_in_different_zones(self):
        """An hour belongs to one day: that of the first connection's zone."""
        second = self.db.create_connection()
        self.send(self.account(connection=second, timezone="America/Los_Angeles"))
        self.send(*[line | {"connectionId": self.connection} for line in hours("a1", {3: 100}, day=2)])
        self.send(named("c1") | {"connectionId": second}, named("s1", "AD_SET", "c1") | {"connectionId": second},
                  named("a1", "AD", "s1") | {"connectionId": second},
                  *[line | {"connectionId": second} for line in hours("a1", {3: 100}, LATER, day=2)])
        days = [("2026-11-01", "2026-11-02"), ("2026-11-02", "2026-11-03"), ("2026-11-01", "2026-11-03")]
        self.assertEqual([self.total(account=(), days=range_) for range_ in days], [0, 100, 100])

    def test_a_midnight_that_comes_twice(self):
        """On 25 October, the Azores' clocks are set back from 01:00 to 00:00. The first midnight begins the day."""
        self.send(self.account(timezone="Atlantic/Azores"))
        moments = [dt.datetime(2026, 10, 24, 23, tzinfo=dt.UTC) + dt.timedelta(hours=n) for n in range(27)]
        self.send(*[record(externalId="a1", amountCents=1, periodStart=at.isoformat(), periodEnd=(at + dt.timedelta(hours=1)).isoformat())
                    for at in moments])
        days = [f"2026-10-{day}" for day in (24, 25, 26, 27)]
        self.assertEqual([[(row["bucket"], row["amount_cents"]) for row in self.report(days=pair)] for pair in zip(days, days[1:])],
                         [[(days[0], 1)], [(days[1], 25)], [(days[2], 1)]])
        self.assertEqual(len(self.report("--object", "a1", "--explain", days=days[1:3])), 25)

    def test_unknown_names_break_no_report_and_are_not_silent(self):
        others = {"act_2": "Europe/Prague BC", "act_3": "America/New_York'", "act_4": "Mars/Olympus"}
        self.send(spent("a1", 1), *[self.account(name, zone) for name, zone in others.items()])
        out = self.command("report", "--from", DAY[0], "--to", DAY[1], "--format", "csv", status=1)
        self.assertIn("2026-11-01,META,act_1", out)
        for name, zone in others.items():
            self.assertIn(f'{name}: unknown time zone "{zone}"', self.stderr)
        self.assertEqual(self.total(days=DAY), 1)  # of act_1 alone
        text = self.command("check", status=1)
        self.assertIn('META ad account act_3: unknown time zone "America/New_York\'"', text)


class Conversions(Rules):
    def test_fractions_that_the_sum_lacks(self):
        self.send(spent("a1", 1, conversions=None, metrics={"conversions": "2.5"}),
                  spent("a2", 1, conversions=3, metrics={"conversions": 3.25}), spent("s2", 1, conversions=4),
                  spent("c2", 1, conversions=5, metrics={"conversions": "5.0"}))
        [row] = self.report()
        self.assertEqual((row["conversions"], row["fractional_conversions"]), (12, 2))
        self.assertIn("fractional conversions in metrics of 2 records",
                      self.command("report", "--from", DAY[0], "--to", DAY[1]))


    def test_notations(self):
        """A list has fractions if one of its values is a fraction; what is no number is none."""
        fractional = ("2.5e-1", -2.5, ".5", "1,234.5", "1" * 60 + ".5", {"x": 1, "conversions": 0.5}, [{"value": "1.5"}, {"value": "1"}])
        whole = (1, "1.0", "10e-1", "NaN", "e5", "", None, True, [{"value": "7"}, "x", None], [], "1" * 600)
        for n, value in enumerate((*fractional, *whole)):
            key = "metrics" if isinstance(value, dict) else "conversions"
            self.send(ad_object(f"n{n}"), spent(f"n{n}", 1, conversions=1, metrics={key: value}))
        self.send(*[spent("c1", 1, conversions=1, day=day, metrics={"metrics": value}) for day, value in enumerate(([1], "conversions", None), 2)])
        self.assertEqual([row["fractional_conversions"] for row in self.report()], [len(fractional), None, None, None])
        for value in ('["conversions"]', '"conversions"', "7", "null"):  # what other programs may store
            self.db.execute(f"UPDATE spending SET metrics = '{value}'")
            self.assertEqual([row["fractional_conversions"] for row in self.report()], [None] * 4)


class Form(Rules):
    def report_text(self, *args, columns=None):
        return self.command("report", "--from", DAY[0], "--to", DAY[1], *args, columns=columns).splitlines()

    def test_80_columns_and_more(self):
        name = "東京スポーツ用品の秋の大売り出しキャンペーン、とても長い名前" * 3
        self.send(named("c1", name=name), named("c2", name="short"), spent("c1", 10**15, impressions=10**12, clicks=10**9),
                  spent("c2", 1))
        for columns in (None, 60, 80, 120):
            for args in ((), ("--by", "object"), ("--latest",), ("--account", "act_1", "--object", "c1", "--explain")):
                for line in self.report_text(*args, columns=columns):
                    width = sum(1 + ("\u2e80" <= c <= "\uffee") for c in line)
                    self.assertLessEqual(width, columns or 80, line)
        lines = self.report_text("--by", "object", columns=400)
        self.assertIn(name, lines[1])
        column = lines[0].index("currency")
        for line in lines[1:3]:
            self.assertIn(sum(1 + ("\u2e80" <= c <= "\uffee") for c in line[:line.index("USD")]), (column,))

    def test_spreadsheets_do_not_calculate(self):
        for evil in ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1"):
            self.send(named("c2", name=evil), spent("c2", -5))
            [row] = csv.DictReader(io.StringIO(self.command("report", "--from", DAY[0], "--to", DAY[1], "--by", "object",
                                                            "--format", "csv"), newline=""))
            self.assertEqual((row["name"], row["amount_cents"]), ("'" + evil, "-5"))

    def test_explain(self):
        self.send(*parts("a1", "age", {"18-24": 60}), *parts("a1", "country", {"US": 50}), spent("a1", 9, collectedAt="2026-11-02T00:00:00Z"),
                  spent("a1", 1, collectedAt="2026-01-01T00:00:00Z"), spent("c1", 100))
        explained = lambda name: [(row["amount_cents"], row["counted"], row["reason"])
                                  for row in self.report("--object", name, "--explain", days=DAY)]
        self.assertEqual(explained("a1"), [
            (1, 0, "left out: collected more than 31 days before its period began"),
            (9, 0, "left out: restated, collected again at 2026-11-03T00:00:00Z"),
            (60, 60, "counts"), (50, 0, "left out: another breakdown of the same collection counts: age")])
        self.assertEqual(explained("c1"), [(100, 40, "counts in part: what is not attributed to ads")])
        self.send(spent("a2", 70), *parts("a2", "age", {"18-24": 40, "25-34": 30}))
        self.assertEqual([row[1:] for row in explained("a2")], [(0, "left out: another breakdown of the same collection counts: the total")] * 2
                         + [(70, "counts")])
        self.send(*parts("c2", "age", {"18-24": 300, "25-34": 500}, day=2), ad_object("a9", "AD", "c2"), spent("a9", 400, day=2))
        self.assertEqual([row["counted"] for row in self.report("--object", "c2", "--explain")], [250, 150])
        self.command("report", "--account", "act_1", "--from", DAY[0], "--to", DAY[1], "--explain", status=2)
        for columns in (80, 200):  # a reason that is cut explains nothing
            text = self.command("report", "--account", "act_1", "--object", "a1", "--from", DAY[0], "--to", DAY[1], "--explain", columns=columns)
            self.assertIn("left out: another breakdown of the same collection counts: age", " ".join(text.split()))
            self.assertIn("2026-11-01T00:00Z ", text)
            self.assertLessEqual(max(map(len, text.splitlines())), columns)


class Everybody(Rules):
    def test_without_rights_on_credentials(self):
        self.send(spent("c1", 1000), spent("a1", 600))
        self.assertEqual(psql(self.db.daemon_url, "SELECT sum(amount_cents) FROM boris_ingestd_spending('2026-11-01', '2026-12-01')").strip(),
                         "1000")
        with self.assertRaisesRegex(AssertionError, "permission denied"):
            psql(self.db.daemon_url, "SELECT credentials FROM platform_connections")

    def test_where_functions_are_for_nobody(self):
        """Some revoke what PostgreSQL lets everybody do; role.sql then grants all functions that the report needs."""
        self.db.execute("REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC; DROP OWNED BY \"%s\"" % self.db.role)
        psql(self.db.url, (ROOT / "config/role.sql").read_text(), role=self.db.role)
        self.send(spent("c1", 1000), *parts("a1", "Age", {"18-24": 600}), *parts("a1", "country", {"US": 500}), spent("a1", 400, collectedAt=LATER),
                  spent("a1", 9000, 1, periodEnd="2026-12-09T00:00:00Z"), spent("a1", 5, conversions=1, day=2, metrics={"conversions": 1.5}))
        for function in ("spending", "latest"):
            psql(self.db.daemon_url, f"SELECT * FROM boris_ingestd_{function}('2026-11-01', '2026-11-03')")
        psql(self.db.daemon_url, "SELECT e.* FROM ad_objects o, boris_ingestd_explain('2026-11-01', '2026-11-03', o.ad_account_id, o.id) AS e")
        public = "SELECT string_agg(proname, ' ') FROM pg_proc WHERE proname LIKE 'boris_ingestd%' AND NOT has_function_privilege('{}', oid, 'EXECUTE')"
        self.assertEqual(self.db.value(public.format(self.db.role)), "")

    def test_migrate_names_roles_that_role_sql_should_be_run_for_again(self):
        """Only the daemons' roles, and only while something is missing."""
        told = lambda: run_ingestd(self.db, "migrate").stderr
        other = self.db.role + "_reader"
        self.db.execute(f"CREATE ROLE {other}; GRANT INSERT ON spending TO {other}; REVOKE ALL ON boris_ingestd_relay FROM PUBLIC")
        try:
            self.assertEqual(told(), "")
            for taken in ("EXECUTE ON FUNCTION boris_ingestd_families FROM PUBLIC, ", "SELECT ON boris_ingestd_connection_labels FROM ",
                          "UPDATE ON boris_ingestd_relay FROM "):
                self.db.execute(f'REVOKE {taken} "{self.db.role}"')
                self.assertRegex(told(), f"^boris-ingestd: warning: role {self.db.role} lacks privileges .*: psql .*role={self.db.role} .*\n$")
                psql(self.db.url, (ROOT / "config/role.sql").read_text(), role=self.db.role)
                self.assertEqual(told(), "")
        finally:
            self.db.execute(f"DROP OWNED BY {other}; DROP ROLE {other}; GRANT EXECUTE ON FUNCTION boris_ingestd_families TO PUBLIC")

    def test_the_samples_of_the_page(self):
        """Totals per time bucket, and the latest row of each period."""
        totals, latest = re.findall(r"^```sql\n(.*?);\n^```", (ROOT / "migrations/README.md").read_text(), re.M | re.S)
        self.send(spent("c1", 1000), spent("a1", 600), spent("a1", 650, collectedAt=LATER), spent("a1", 7, day=3))
        self.assertEqual(self.db.query(totals), [{"week": "2026-10-26", "currency": "USD", "amount_cents": 1050},
                                                 {"week": "2026-11-02", "currency": "USD", "amount_cents": 7}])
        self.assertEqual(sorted((row["period_start"][:10], row["external_id"], row["amount_cents"]) for row in self.db.query(latest)),
                         [("2026-11-01", "a1", 650), ("2026-11-01", "c1", 1000), ("2026-11-03", "a1", 7)])

    def test_chunks_before_the_range_are_not_touched(self):
        for month in range(1, 13):
            self.send(record(externalId="a1", collectedAt=f"2026-{month:02d}-15T00:00:00Z",
                             periodStart=f"2026-{month:02d}-14T00:00:00Z", periodEnd=f"2026-{month:02d}-15T00:00:00Z"))
        chunks = """SELECT c.chunk_name AS name, c.range_end < '2026-07-09' AS early, s.seq_scan + coalesce(s.idx_scan, 0) AS scans
                     FROM timescaledb_information.chunks c JOIN pg_stat_user_tables s
                     ON s.relname = c.chunk_name AND s.schemaname = c.chunk_schema"""
        before = self.db.query(chunks)
        self.assertEqual(sum(chunk["early"] for chunk in before), 6)
        psql(self.db.url, "SELECT sum(amount_cents) FROM boris_ingestd_spending('2026-08-10', '2026-08-20')")
        self.assertEqual(self.total(days=("2026-08-10", "2026-08-20")), 100)
        scans = lambda: {row["name"]: row["scans"] for row in self.db.query(chunks)}
        wait_until(lambda: sum(scans().values()) > sum(chunk["scans"] for chunk in before), "statistics")
        after = scans()
        self.assertEqual({chunk["early"] for chunk in before if after[chunk["name"]] > chunk["scans"]}, {False})


class Page(Rules):
    """The examples of config/report.md give what the page says."""

    PAGE = (ROOT / "config/report.md").read_text()
    MONTHS = {"October": 10, "November": 11}

    def moment(self, text):
        """Of "2 November 08:00", "1 November 00:00Z", "2 November" or, of 1 November, "07:00"."""
        day, month, hour = re.fullmatch(r"(?:(\d+) (\w+))? ?(\d\d:\d\d)?Z?", text).groups()
        return f"2026-{self.MONTHS[month or 'November']:02d}-{int(day or 1):02d}T{hour or '00:00'}:00Z"

    def line(self, row):
        start, end = {"": DAY, "the whole day": DAY}.get(row.get("period", "")) or row["period"].split(" to ")
        start, end = ((DAY[0] + "T00:00:00Z", DAY[1] + "T00:00:00Z") if (start, end) == DAY else map(self.moment, (start, end)))
        return record(externalId=row["object"].split(" of ")[0], amountCents=int(row["amount"].replace(",", "")), periodStart=start,
                      periodEnd=end, collectedAt=self.moment(row.get("collected", "3 November")),
                      metrics=json.loads(row["metrics"].strip("`")) if "metrics" in row else None)

    def examples(self):
        """(rule, the rows as dictionaries, the amount that the page promises)"""
        for section in self.PAGE.split("\n## ")[1:]:
            lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line.startswith("|")]
            if lines:
                shows = re.search(r"The report shows ([\d,]+)", section)[1]
                yield section.splitlines()[0], [dict(zip(lines[0], line)) for line in lines[2:]], int(shows.replace(",", ""))

    def test_examples(self):
        self.send(named("campaign c"), ad_object("ad 1", "AD", "campaign c"))
        examples = list(self.examples())
        self.assertEqual(len(examples), 5)
        for rule, rows, shown in examples:
            with self.subTest(rule):
                self.db.execute("TRUNCATE spending")
                self.send(*map(self.line, rows))
                self.assertEqual(self.total(days=DAY if "verlap" not in rule else ("2026-10-31", "2026-11-03")), shown)

    def test_what_the_text_says(self):
        self.send(named("c"), ad_object("1", "AD", "c"))
        self.send(spent("c", 1000), spent("1", 600), spent("1", 650, collectedAt=LATER))  # rule 3: the ads were collected again
        self.assertEqual(self.rows(), [("1", None, 650), ("c", "not attributed to ads", 400)])
        self.db.execute("TRUNCATE spending")
        self.send(spent("1", 1000), spent("c", 900, collectedAt=LATER))  # a campaign that was collected last decides
        self.assertEqual(self.total(), 900)
        self.db.execute("TRUNCATE spending")
        self.send(spent("1", 1000), *hours("1", {0: 100, 7: 500}))  # rule 4, by hours
        self.assertEqual([(row["bucket"][-5:], row["part"], row["amount_cents"]) for row in self.report("--by", "object", "--bucket", "1h")],
                         [("00:00", "not attributed to shorter periods", 400), ("00:00", None, 100), ("07:00", None, 500)])

    def test_columns(self):
        """The page lists the columns of each format, in their order."""
        self.send(spent("a1", 1))
        every = re.findall(r"`(bucket, [a-z_, ]+|period_start, [a-z_, ]+)`", self.PAGE)
        for columns, args in zip(every, ((), ("--latest",), ("--explain", "--object", "a1")), strict=True):
            [row] = self.report(*args)
            self.assertEqual(list(row), columns.split(", "))
            text = self.command("report", "--account", "act_1", "--from", DAY[0], "--to", DAY[1], "--format", "csv", *args)
            self.assertEqual(text.splitlines()[0].replace('"', ""), columns.replace(", ", ","))


if __name__ == "__main__":
    unittest.main()
