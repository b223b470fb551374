"""The rules of `report` together: collections of many kinds, made by hand and at random, whose true total is known. Each form of the
report, and the SQL function, must give that total."""

import csv
import datetime as dt
import io
import os
import random
import unittest
import zoneinfo

from lib.harness import account, record
from test_report import named, spent
from test_report_rules import LATER, Rules, parts


def with_metrics(external_id, *rows):
    return [spent(external_id, amount, metrics=metrics) for amount, metrics in rows]


AGES, COUNTRIES, TEAMS = ({"18-24": 600, "25-34": 400}, {"US": 700, "CA": 300}, {"red": 1000})
EUROS, AGAIN = {"currency": "EUR"}, {"collectedAt": LATER}
KINDS = {  # the lines of a day, and what the platform shows, in dollars and euros
    "three breakdowns, one of them partial":
        ([*parts("a1", "age", AGES), *parts("a1", "country", COUNTRIES), *parts("a1", "device", {"tv": 900})], 1000),
    "a total and two breakdowns": ([spent("a1", 1000), *parts("a1", "age", AGES), *parts("a1", "country", COUNTRIES)], 1000),
    "a total and two partial breakdowns": (with_metrics("a1", (1000, {}), (500, {"age": "x"}), (100, {"gender": "m"})), 1000),
    "two breakdowns of names of one's own": ([*parts("a1", "my_segment", AGES), *parts("a1", "team", TEAMS)], 1000),
    "a total and a breakdown of a name of one's own": (with_metrics("a1", (1000, None), (600, {"team": "a"}), (400, {"team": "b"})), 1000),
    "a breakdown by true and false": (with_metrics("a1", (1000, None), (600, {"is_new": True}), (400, {"is_new": False})), 1000),
    "a known breakdown and one's own": ([*parts("a1", "age", AGES), *parts("a1", "team", TEAMS)], 1000),
    "segments with a dot":
        (with_metrics("a1", (600, {"segments.device": "TV"}), (400, {"segments.device": "PC"}), (1000, {"segments.slot": "TOP"})), 1000),
    "nested segments": (with_metrics("a1", (600, {"segments": {"device": "TV", "date": "d"}}), (400, {"segments": {"device": "PC", "date": "d"}}),
                                     (990, {"segments": {"hour": 3}})), 1000),
    "nested dimensions": (with_metrics("a1", (600, {"dimensions": {"ac": "wifi"}}), (400, {"dimensions": {"ac": "4g"}}),
                                       (1000, {"dimensions": {"language": "en"}})), 1000),
    "names in another case": (with_metrics("a1", (600, {"publisherPlatform": "x"}), (400, {"publisherPlatform": "y"}),
                                           (1000, {"devicePlatform": "m"})), 1000),
    "by age, and by age and gender":
        (with_metrics("a1", (1000, {"age": "x"}), (500, {"age": "x", "gender": "m"}), (500, {"age": "x", "gender": "f"})), 1000),
    "a correction": ([spent("a1", 1000), spent("a1", -50, clicks=0)], 950),
    "a correction in a breakdown": ([*parts("a1", "age", {"x": 600, "y": 450, "z": -50}), *parts("a1", "country", TEAMS)], 1000),
    "zeros beside money": (with_metrics("a1", (0, None), (1000, {"ctr": 1})), 1000),
    "nothing but zeros": ([spent("a1", 0), *parts("a1", "age", {"x": 0, "y": 0})], 0),
    "two breakdowns in two currencies":
        ([*parts("a1", "age", AGES), *parts("a1", "country", COUNTRIES), *parts("a1", "age", {"x": 60, "y": 40}, **EUROS),
          *parts("a1", "country", {"US": 100}, **EUROS)], 1000, 100),
    "another breakdown on each level":
        ([*parts("c1", "country", COUNTRIES), *parts("c1", "age", AGES), *parts("s1", "gender", {"m": 300, "f": 500}),
          *parts("a1", "device", {"tv": 100, "pc": 200}), *parts("a1", "age", {"x": 300}), spent("a2", 100)], 1000),
    "deleted ads and ad sets": ([spent("c1", 1000), spent("s1", 300), spent("a1", 100)], 1000),
    "a campaign without ads in two breakdowns": ([*parts("c2", "country", COUNTRIES), *parts("c2", "device", AGES)], 1000),
    "a campaign that grew": ([spent("c1", 1000), spent("a1", 600), spent("c1", 1200, **AGAIN)], 1200),
    "a campaign that shrank below its ads": ([spent("c1", 1000), spent("a1", 600), spent("c1", 500, **AGAIN)], 500),
    "a campaign and its ads, restated": ([spent("c1", 1000), spent("a1", 600), spent("c1", 1100, **AGAIN), spent("a1", 700, **AGAIN)], 1100),
    "a credit for the campaign": ([spent("c1", 500), spent("a1", 600)], 500),
    "credits on each level": ([spent("c1", -1000), spent("a1", -600)], -1000),
    "a breakdown, restated as a total": ([*parts("a1", "age", {"x": 500}), spent("a1", 700, **AGAIN)], 700),
}


class Kinds(Rules):
    """Each kind on a day of its own."""

    RANGE = ("2026-11-01", "2026-12-01")

    def of_days(self, rows):
        sums = {}
        for row in rows:
            day = sums.setdefault(row["bucket"][:10], {"USD": 0, "EUR": 0})
            day[row["currency"]] += int(row["amount_cents"])
        return sums

    def test_all_forms_give_the_true_total(self):
        truth = {}
        for n, (kind, (lines, dollars, *euros)) in enumerate(KINDS.items(), 1):
            start, end = f"2026-11-{n:02d}", f"2026-11-{n + 1:02d}"
            self.send(*[line | {"periodStart": f"{start}T00:00:00Z", "periodEnd": f"{end}T00:00:00Z",
                                "collectedAt": f"2026-12-{20 if line.get('collectedAt') == LATER else 10}T00:00:00Z"} for line in lines])
            truth[start] = kind, {"USD": dollars, "EUR": sum(euros)}
        forms = {"SQL": self.db.query("SELECT local_start AS bucket, currency, amount_cents FROM boris_ingestd_spending('%s', '%s')" % self.RANGE)}
        for by in ("account", "platform", "campaign", "object"):
            forms[by] = self.report("--by", by, days=self.RANGE)
            forms[by, "6h"] = self.report("--by", by, "--bucket", "6h", days=self.RANGE)
            text = self.command("report", "--from", self.RANGE[0], "--to", self.RANGE[1], "--by", by, "--format", "csv")
            forms[by, "csv"] = csv.DictReader(io.StringIO(text, newline=""))
        for form, rows in forms.items():
            found = self.of_days(rows)
            for day, (kind, amounts) in truth.items():
                with self.subTest(form=form, kind=kind):
                    self.assertEqual(found[day], amounts)
        for bucket in ("1w", "1mon"):
            self.assertEqual(self.total("--bucket", bucket, days=self.RANGE), sum(sum(amounts.values()) for _, amounts in truth.values()))
        for name in ("c1", "s1", "a1", "a2", "c2"):
            rows = self.report("--object", name, "--by", "object", days=self.RANGE)
            self.assertEqual(sum(row["counted"] for row in self.report("--object", name, "--explain", days=self.RANGE)),
                             sum(row["amount_cents"] for row in rows if row["object"] == name), name)

    def test_the_same_ids_elsewhere(self):
        """In another account, on another platform, and of the same account through a second platform connection."""
        tree = (named("c1"), named("s1", "AD_SET", "c1"), named("a1", "AD", "s1"))
        google, second = self.db.create_connection("GOOGLE_ADS"), self.db.create_connection()
        others = {("META", "act_2"): {"accountExternalId": "act_2"}, ("GOOGLE_ADS", "act_1"): {"platform": "GOOGLE_ADS"}}
        self.send(self.account("act_2"), account(google, "act_1", name=None, timezone="UTC"))
        for fields in others.values():
            self.send(*[line | fields for line in (*tree, spent("c1", 20), spent("a1", 5))])
        self.send(spent("c1", 1000), spent("a1", 600))
        self.send(account(second, "act_1", name=None, timezone="UTC"))
        again, first = {"connectionId": second}, {"connectionId": self.connection}
        self.send(*[line | again for line in (*tree, spent("c1", 1000), spent("a1", 600), *parts("a1", "age", {"x": 300, "y": 300}),
                                              *parts("a1", "country", {"US": 600}, day=2))],
                  *[line | first for line in (*parts("a1", "age", {"x": 300, "y": 300}), *parts("a1", "age", {"x": 600}, day=2),
                                              *parts("a1", "country", {"US": 600}, day=2))])
        self.assertEqual({(row["platform"], row["account"], row["bucket"]): row["amount_cents"] for row in self.report(account=())},
                         {("META", "act_1", "2026-11-01"): 1000, ("META", "act_1", "2026-11-02"): 600,
                          **{(*place, "2026-11-01"): 20 for place in others}})


class AtRandom(Rules):
    """A platform with campaigns, ad sets (or none between), ads (some deleted before they were collected), hours and days in a
    zone with daylight saving time, days with money in two currencies, days of UTC that were collected by mistake. What was collected of it is collected again, with breakdowns or without. The report must
    show what the platform shows."""

    DAYS = ("2026-10-01", "2026-12-01")
    ZONES = ("America/New_York", "Europe/Prague", "Asia/Calcutta", "Australia/Lord_Howe", "Atlantic/Azores", "US/Pacific")

    def collect(self, rng, lines, name, start, end, amount, at):
        base = record(externalId=name, collectedAt=at.isoformat() + "Z", periodStart=start.astimezone(dt.UTC).isoformat(),
                      periodEnd=end.astimezone(dt.UTC).isoformat(), amountCents=amount)
        kind = rng.randrange(4)
        if kind != 1:
            lines.append(base | {"metrics": rng.choice(({"ctr": "0.5"}, {}, None))} if kind == 2 else base)
        if kind in (1, 3):
            families = rng.sample((("age", ("18-24", "25-34")), ("Device type", ("tv", "phone", "desktop")), ("segments", ("x", "y"))),
                                  rng.randrange(1, 4))
            for place, (key, values) in enumerate(families):
                found = [rng.randrange(-5, amount + 5) if amount > 0 else 0 for _ in values[1:]]
                found.append(amount - sum(found))
                rows = [base | {"amountCents": part, "metrics": {key: {"device": value} if key == "segments" else value, "n": part}}
                        for part, value in zip(found, values)]
                if 0 < found[-1] < amount - found[-1]:  # what the platform could not attribute
                    rows[-1]["metrics"][key] = rng.choice((None, values[-1])) if key != "segments" else {"device": None}
                elif place > 0 and min(found) >= 0:  # a partial breakdown next to a whole one
                    del rows[rng.randrange(0, 2):1]
                lines += rows

    def simulate(self, seed):
        rng = random.Random(seed)
        zone = zoneinfo.ZoneInfo(rng.choice(self.ZONES))
        ad_sets = rng.random() < 0.5
        days = [dt.datetime(2026, 10, 24) + dt.timedelta(days=n) for n in range(10)]
        lines, truth = [], {}
        for campaign, ads in (("c1", ("a1", "a2")), ("c2", ())):
            for day in days:
                start, end = day.replace(tzinfo=zone), (day + dt.timedelta(days=1)).replace(tzinfo=zone)
                hours_of_day, at = [], start.astimezone(dt.UTC)
                while at < end.astimezone(dt.UTC):
                    hours_of_day.append((at, min(at + dt.timedelta(hours=1), end.astimezone(dt.UTC))))
                    at += dt.timedelta(hours=1)
                if rng.random() < 0.2:  # a day of UTC, from before the job sent the account's days
                    lines.append(record(externalId=campaign, amountCents=5000, currency=rng.choice(("USD", "JPY")),
                                        collectedAt=(day + dt.timedelta(days=2, hours=-1)).isoformat() + "Z",
                                        periodStart=day.isoformat() + "Z", periodEnd=(day + dt.timedelta(days=1)).isoformat() + "Z"))
                first, euros = len(lines), rng.choice((0, 0, 2))  # for each dollar
                deleted, gone = rng.choice((0, 0, 50)), rng.choice((0, 30))  # of ads that are gone, and of those of the ad set
                spent_by = {ad: {n: rng.choice((-2, *range(9))) for n in range(len(hours_of_day))} for ad in ads}
                for collection in range(rng.randrange(1, 4)):
                    moment = (day + dt.timedelta(days=2 + collection)).replace(tzinfo=None)
                    for ad in ads:
                        for n in spent_by[ad]:
                            spent_by[ad][n] += rng.choice((0, 0, 0, 1, -1))
                        form = rng.choice(("day", "hours", "both"))
                        amount = sum(spent_by[ad].values())
                        known = {n for n in spent_by[ad] if form == "hours" or rng.random() < 0.8}
                        if collection > 0:
                            form = "day"
                        if form != "hours":
                            self.collect(rng, lines, ad, start, end, amount, moment)
                        if form != "day":
                            for n in known:
                                self.collect(rng, lines, ad, *hours_of_day[n], spent_by[ad][n], moment)
                    total = sum(sum(hours.values()) for hours in spent_by.values()) + (77 if not ads else 0)
                    if ads and ad_sets:
                        total += gone
                        if collection > 0 or rng.random() < 0.8:
                            self.collect(rng, lines, "s1", start, end, total, moment)
                    total += deleted
                    self.collect(rng, lines, campaign, start, end, total, moment)
                truth[campaign, day.date().isoformat(), "USD"] = total
                if euros:
                    lines += [line | {"currency": "EUR", "amountCents": line["amountCents"] * euros} for line in lines[first:]]
                    truth[campaign, day.date().isoformat(), "EUR"] = total * euros
        return zone.key, "s1" if ad_sets else "c1", lines, truth

    def test_random_collections_match_the_platform(self):
        for seed in range(int(os.environ.get("REPORT_SEEDS", "3"))):
            with self.subTest(seed=seed):
                zone, parent, lines, truth = self.simulate(seed)
                self.db.execute("TRUNCATE spending")
                self.send(self.account(timezone=zone), named("a1", "AD", parent), named("a2", "AD", parent))
                random.Random(seed).shuffle(lines)
                self.send(*lines)
                found = {(row["object"], row["bucket"], row["currency"]): row["amount_cents"]
                         for row in self.report("--by", "campaign", days=self.DAYS)}
                self.assertEqual(found, {key: amount for key, amount in truth.items() if key in found or amount})
                for name in ("a1", parent, "c2"):
                    self.assertEqual(sum(row["counted"] for row in self.report("--object", name, "--explain", days=self.DAYS)),
                                     sum(row["amount_cents"] for row in self.report("--object", name, "--by", "object", days=self.DAYS)
                                         if row["object"] == name))
                for campaign, day in list(dict.fromkeys(key[:2] for key in truth))[::7]:
                    following = (dt.date.fromisoformat(day) + dt.timedelta(days=1)).isoformat()
                    self.assertEqual(self.total("--object", campaign, days=(day, following)),
                                     sum(truth.get((campaign, day, currency), 0) for currency in ("USD", "EUR")))


if __name__ == "__main__":
    unittest.main()
