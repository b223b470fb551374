"""The commands that show what is stored: report, hierarchy, connection delete."""

import csv
import io
import json
import os
import pathlib
import pty
import re
import subprocess
import unittest
import unittest.mock

from lib.harness import INGESTD, TestCase, account, ad_object, record, run_ingestd


def named(external_id, *place, **fields):
    return ad_object(external_id, *place, **{"name": f"Name {external_id}"} | fields)


TREE = [named("c1"), named("s1", "AD_SET", "c1"), named("s2", "AD_SET", "c1"), named("a1", "AD", "s1"),
        named("a2", "AD", "s1"), named("c2")]


def spent(external_id, amount, day=1, **fields):
    return record(externalId=external_id, amountCents=amount, periodStart=f"2026-11-{day:02d}T00:00:00Z",
                  periodEnd=f"2026-11-{day + 1:02d}T00:00:00Z") | fields


class Commands(TestCase):
    shares_daemon = True

    def setUp(self):
        super().setUp()
        self.connection = self.db.create_connection()
        self.d = self.daemon()
        self.send(self.account(), *TREE)

    def account(self, external_id="act_1", timezone="UTC", connection=None):
        return account(connection or self.connection, external_id, name=None, timezone=timezone)

    def send(self, *lines):
        replies = self.d.send(*lines)
        self.assertEqual(replies.rejects, {})

    def command(self, *args, status=0, stdin="", columns=None):
        with unittest.mock.patch.dict(os.environ, {"COLUMNS": str(columns)} if columns else {}):
            done = run_ingestd(self.db, *args, stdin=stdin)
        self.assertEqual(done.returncode, status, done.stderr + done.stdout)
        self.stderr = done.stderr
        return done.stdout

    def report(self, *args, account=("--account", "act_1"), days=("2026-11-01", "2026-12-01")):
        return json.loads(self.command("report", *account, "--from", days[0], "--to", days[1], *args,
                                       "--format", "json"))

    def amounts(self, *args, key="object", **kwargs):
        return [(row["bucket"], row[key], row["currency"], row["amount_cents"], row["levels"])
                for row in self.report(*args, **kwargs)]


class Report(Commands):
    def test_the_latest_collection_counts_and_breakdowns_add_up(self):
        later = "2026-11-05T00:00:00Z"
        self.send(spent("a1", 100), spent("a1", 90, collectedAt=later, metrics={"age": "18-24"}, impressions=5),
                  spent("a1", 7, collectedAt=later, metrics={"age": "25-34"}, impressions=6, clicks=1),
                  spent("a1", 50, day=2), spent("a1", 1000, collectedAt="2026-11-02T12:00:00Z"))
        self.assertEqual(self.report(), [
            {"bucket": "2026-11-01", "platform": "META", "account": "act_1", "object": None, "type": None,
             "name": None, "part": None, "currency": "USD", "amount_cents": 97, "impressions": 11, "clicks": 1,
             "conversions": None, "records": 2, "levels": "AD", "breakdown": "age", "fractional_conversions": None},
            {"bucket": "2026-11-02", "platform": "META", "account": "act_1", "object": None, "type": None,
             "name": None, "part": None, "currency": "USD", "amount_cents": 50, "impressions": None, "clicks": None,
             "conversions": None, "records": 1, "levels": "AD", "breakdown": None, "fractional_conversions": None}])

    def test_a_database_without_accounts(self):
        self.db.execute("DELETE FROM platform_connections")
        self.assertEqual(self.report(account=()), [])

    def test_levels_are_never_added_twice(self):
        # day 1: all levels reported; s2 has no ads, c2 nothing below. Day 2: the campaign alone.
        self.send(spent("c1", 100), spent("s1", 70), spent("s2", 30), spent("a1", 50), spent("a2", 20),
                  spent("c2", 5), spent("c1", 200, day=2))
        self.assertEqual(self.amounts("--by", "object"), [
            ("2026-11-01", "a1", "USD", 50, "AD"), ("2026-11-01", "s2", "USD", 30, "AD_SET"),
            ("2026-11-01", "a2", "USD", 20, "AD"), ("2026-11-01", "c2", "USD", 5, "CAMPAIGN"),
            ("2026-11-02", "c1", "USD", 200, "CAMPAIGN")])
        self.assertEqual(self.amounts("--by", "campaign"), [
            ("2026-11-01", "c1", "USD", 100, "AD, AD_SET"), ("2026-11-01", "c2", "USD", 5, "CAMPAIGN"),
            ("2026-11-02", "c1", "USD", 200, "CAMPAIGN")])
        self.assertEqual(self.amounts("--bucket", "1w", key="account"),
                         [("2026-10-26", "act_1", "USD", 105, "AD, AD_SET, CAMPAIGN"),
                          ("2026-11-02", "act_1", "USD", 200, "CAMPAIGN")])
        # the campaign's month holds days that its ads reported
        self.send(record(externalId="c1", amountCents=9999, periodEnd="2026-12-01T00:00:00Z"))
        self.assertEqual(sum(row[3] for row in self.amounts("--by", "campaign")), 9999 + 5)

    def test_hours_and_their_day_are_not_added(self):
        hours = [record(externalId="a1", amountCents=1, periodStart=f"2026-11-01T{h:02d}:00:00Z",
                        periodEnd=f"2026-11-01T{h:02d}:59:59.999999Z") for h in range(24)]
        self.send(*hours, spent("a1", 24), spent("a2", 24))
        self.assertEqual(self.amounts("--by", "object"), [("2026-11-01", "a1", "USD", 24, "AD"),
                                                          ("2026-11-01", "a2", "USD", 24, "AD")])
        hourly = self.amounts("--by", "object", "--bucket", "6h")
        self.assertEqual([row[:2] + row[3:4] for row in hourly],
                         [("2026-11-01 00:00", "a2", 24), ("2026-11-01 00:00", "a1", 6),
                          ("2026-11-01 06:00", "a1", 6), ("2026-11-01 12:00", "a1", 6), ("2026-11-01 18:00", "a1", 6)])

    def test_a_day_collected_later_replaces_a_few_hours(self):
        def hours(count, object_id, amount, collected):
            return [record(externalId=object_id, amountCents=amount, collectedAt=f"2026-11-{collected}:00:00Z",
                           periodStart=f"2026-11-01T{h:02d}:00:00Z", periodEnd=f"2026-11-01T{h + 1:02d}:00:00Z")
                    for h in range(count)]

        # the day itself was collected on the 3rd
        self.send(*hours(3, "a1", 1, "01T03"), spent("a1", 24), *hours(23, "a2", 2, "04T00"), spent("a2", 24),
                  *hours(3, "s2", 3, "01T03"))
        self.assertEqual([row[1:4:2] for row in self.amounts("--by", "object")], [("a2", 46), ("a1", 24), ("s2", 9)])
        # a week of days, which explain a part of it
        self.send(*[spent("c2", 100, day) for day in range(2, 9)], record(externalId="c2", amountCents=5000,
                  periodStart="2026-11-02T00:00:00Z", periodEnd="2026-11-09T00:00:00Z"))
        self.assertEqual(sum(row[3] for row in self.amounts("--by", "object") if row[1] == "c2"), 5000)

    def test_a_day_that_ends_a_second_early_is_that_day(self):
        hours = [record(externalId="a1", amountCents=1, collectedAt="2026-11-03T00:00:00Z",
                        periodStart=f"2026-11-01T{h:02d}:00:00Z",
                        periodEnd=f"2026-11-01T{h + 1:02d}:00:00Z" if h < 23 else "2026-11-02T00:00:00Z")
                 for h in range(24)]
        self.send(*hours, spent("a1", 24, periodEnd="2026-11-01T23:59:59Z", collectedAt="2026-11-04T00:00:00Z"))
        self.assertEqual(sum(row[3] for row in self.amounts("--by", "object")), 24)
        self.assertEqual(sum(row[3] for row in self.amounts("--by", "object", "--bucket", "1h")), 24)

    def test_an_end_that_was_restated_by_a_second(self):
        for n, (first, second) in enumerate((("2026-11-01T23:59:59Z", "2026-11-02T00:00:00Z"),
                                             ("2026-11-02T00:00:00Z", "2026-11-01T23:59:59.999Z"))):
            name = f"a{n + 1}"
            self.send(spent(name, 10, periodEnd=first, collectedAt="2026-11-03T00:00:00Z"),
                      spent(name, 99, periodEnd=second, collectedAt="2026-11-04T00:00:00Z"))
        self.assertEqual(self.amounts("--by", "object"), [("2026-11-01", "a1", "USD", 99, "AD"),
                                                          ("2026-11-01", "a2", "USD", 99, "AD")])
        self.assertEqual([(row["period_end"], row["amount_cents"]) for row in self.report("--latest")],
                         [("2026-11-02T00:00:00.000000Z", 99), ("2026-11-01T23:59:59.999000Z", 99)])

    def test_campaigns_without_a_name(self):
        self.send(named("c1", name=None), spent("s1", 1), spent("a1", 2, day=2), spent("s2", 4), spent("c2", 3))
        self.assertEqual([(row["object"], row["name"], row["amount_cents"])
                          for row in self.report("--by", "campaign", "--bucket", "1mon")],
                         [("c1", None, 7), ("c2", "Name c2", 3)])

    def test_currencies_stay_apart(self):
        self.send(spent("a1", 1), spent("a2", 2, currency="EUR"), spent("s2", str(2**62)), spent("c2", str(2**62)))
        self.assertEqual([(row["currency"], row["amount_cents"]) for row in self.report()],
                         [("USD", 2**63 + 1), ("EUR", 2)])
        table = self.command("report", "--account", "act_1", "--from", "2026-11-01", "--to", "2026-11-02", columns=200)
        self.assertRegex(table, rf"(?m)^total +USD +{2**63 + 1} ")
        self.assertRegex(table, r"(?m)^total +EUR +2 ")

    def test_days_are_those_of_the_account(self):
        self.send(self.account(timezone="America/Los_Angeles"))
        # the day of 25 hours, and the one after it
        self.send(record(externalId="a1", amountCents=1, periodStart="2026-11-01T07:00:00Z",
                         periodEnd="2026-11-02T08:00:00Z"),
                  record(externalId="a1", amountCents=2, periodStart="2026-11-02T08:00:00Z",
                         periodEnd="2026-11-03T08:00:00Z"))
        self.assertEqual([row[0::3] for row in self.amounts()], [("2026-11-01", 1), ("2026-11-02", 2)])
        self.assertEqual([row[3] for row in self.amounts(days=("2026-11-01", "2026-11-02"))], [1])
        self.assertEqual([row[3] for row in self.amounts(days=("2026-11-02T08:00:00Z", "2026-11-03"))], [2])
        self.assertEqual([row[3] for row in self.amounts(days=("2026-11-01T00:00:00-07:00", "2026-11-02T00:00:00-08:00"))],
                         [1])

    def test_one_object_and_its_descendants(self):
        self.send(spent("a1", 1), spent("s2", 10), spent("c2", 100))
        self.assertEqual([row[3] for row in self.amounts("--object", "s1")], [1])
        self.assertEqual([row[3] for row in self.amounts("--object", "c1")], [11])
        self.command("report", "--account", "act_1", "--object", "x", "--from", "2026-11-01", "--to", "2026-11-02",
                     status=1)
        self.assertIn("no such ad object", self.stderr)

    def test_accounts_of_one_id(self):
        self.send(spent("a1", 1))
        tiktok = self.db.create_connection("TIKTOK")
        other = self.db.create_connection()
        self.send(self.account(connection=tiktok), self.account(connection=other),
                  named("a1", "AD", connectionId=other), spent("a1", 1, connectionId=other))
        self.command("report", "--account", "act_1", "--from", "2026-11-01", "--to", "2026-11-02", status=1)
        self.assertIn("3 ad accounts have this id", self.stderr)
        self.command("report", "--account", "act_1", "--platform", "META", "--from", "2026-11-01", "--to",
                     "2026-11-02", status=1)
        for connection, amounts in ((self.connection, [1]), (other, [1]), (tiktok, [])):
            self.assertEqual([row[3] for row in self.amounts("--connection", connection)], amounts)
        # all accounts: what two connections brought counts once, whichever brought it, and on whatever level
        everything = lambda: [row[3] for row in self.amounts("--by", "platform", account=(), key="platform")]
        self.assertEqual(everything(), [1])
        self.send(named("c1", connectionId=other), named("a2", "AD", "c1", name="Renamed", connectionId=other),
                  spent("a2", 10, connectionId=other), spent("a2", 100, day=2, connectionId=self.connection),
                  spent("a2", 200, day=2, collectedAt="2026-11-04T00:00:00Z", connectionId=other),
                  spent("c1", 11, connectionId=self.connection))
        self.assertEqual(everything(), [11, 200])
        self.assertEqual([row[:2] + row[3:4] for row in self.amounts("--by", "campaign", account=())],
                         [("2026-11-01", "c1", 11), ("2026-11-02", "c1", 200)])

    def test_latest(self):
        later = "2026-11-05T00:00:00Z"
        self.send(spent("c1", 100), spent("a1", 100), spent("a1", 90, collectedAt=later),
                  spent("a1", 5, collectedAt=later, metrics={"x": 1}))
        rows = self.report("--latest")
        self.assertEqual([(row["type"], row["object"], row["amount_cents"], row["collected_at"], row["records"])
                          for row in rows],
                         [("CAMPAIGN", "c1", 100, "2026-11-03T00:00:00.000000Z", 1),
                          ("AD", "a1", 95, "2026-11-05T00:00:00.000000Z", 2)])
        self.assertEqual(rows[0]["period_start"], "2026-11-01T00:00:00.000000Z")

    def test_formats(self):
        name = "a \"quoted\", name\nof\x1b[31m two lines"
        self.send(named("c1", name=name), spent("c1", -5), spent("c2", 100, currency="EUR"))
        args = ("report", "--account", "act_1", "--from", "2026-11-01", "--to", "2026-11-02", "--by", "object")
        rows = list(csv.DictReader(io.StringIO(self.command(*args, "--format", "csv"))))
        self.assertEqual([(row["object"], row["name"], row["amount_cents"], row["clicks"]) for row in rows],
                         [("c2", "Name c2", "100", ""), ("c1", name.replace("\x1b", "?"), "-5", "")])
        self.assertEqual(self.report("--by", "object")[1]["name"], name)
        table = self.command(*args, columns=200)
        self.assertNotIn("\x1b", table)
        self.assertIn('a "quoted", name?of?[31m two lines', table)
        self.assertNotIn("█", table)
        self.assertEqual(len(table.splitlines()), 5)
        self.assertEqual(self.command(*args[:-2], "--object", "s1"), "no spending in this range\n")

    def test_bars_on_a_terminal(self):
        self.send(spent("a1", 100), spent("a1", 50, day=2), spent("a1", -3, day=3))
        here, there = pty.openpty()
        subprocess.run([INGESTD, "report", "--account", "act_1", "--from", "2026-11-01", "--to", "2026-11-09"],
                       env=dict(os.environ, DATABASE_URL=self.db.url), stdout=there, check=True, timeout=60)
        os.close(there)
        text = b""
        try:
            while data := os.read(here, 4096):
                text += data
        except OSError:
            pass
        os.close(here)
        bars = [re.search("█*", line[::-1].strip())[0] for line in text.decode().splitlines()]
        self.assertEqual([len(bar) for bar in bars], [0, 0, 12, 6, 0, 0])  # what all rows share stands above

    def test_wrong_usage(self):
        good = {"--account": "act_1", "--from": "2026-11-01", "--to": "2026-11-02"}
        for option, value, word in (("--from", None, "--from"), ("--to", None, "--to"), ("--from", "2026-02-30", "--from"),
                                    ("--to", "yesterday", "--to"), ("--bucket", "0d", "--bucket"),
                                    ("--bucket", "1y", "--bucket"), ("--bucket", "d", "--bucket"),
                                    ("--by", "x", "--by"), ("--format", "x", "--format"), ("--platform", "x", "--platform"),
                                    ("--connection", "x", "--connection"), ("--account", None, ""), ("--yes", "", "--yes")):
            args = [word for pair in (good | {option: value}).items() if pair[1] is not None for word in pair if word]
            if option == "--account":
                args += ["--object", "x"]
            self.assertEqual(self.command("report", *args, status=2), "")
            self.assertIn(word, self.stderr)
        self.command("report", "--latest", "--by", "object", "--from", "2026-11-01", "--to", "2026-11-02", status=2)
        self.command("report", "--account", "nobody", "--from", "2026-11-01", "--to", "2026-11-02", status=1)
        self.assertIn("no such ad account", self.stderr)


class AsTheDaemonsRole(Commands):
    def test_commands_that_read_work_and_others_do_not(self):
        self.send(spent("a1", 1))
        self.db.url, owner = self.db.daemon_url, self.db.url
        try:
            self.assertNotIn("wrong", self.command("check"))
            self.assertEqual(len(self.report()), 1)
            self.command("hierarchy", "--account", "act_1")
            self.command("connection", "list")
            self.command("connection", "create", "META", stdin="{}", status=1)
            self.command("connection", "delete", "--yes", self.connection, status=1)
            for sql in ("SELECT credentials FROM platform_connections", "DELETE FROM spending",
                        "UPDATE spending SET amount_cents = 0", "UPDATE ad_objects SET external_id = 'x'",
                        "TRUNCATE spending"):
                with self.assertRaisesRegex(AssertionError, "permission denied"):
                    self.db.execute(sql)
        finally:
            self.db.url = owner


class HierarchyCommand(Commands):
    def test_tree_and_lineage(self):
        self.send(spent("a1", 1), spent("a1", 2, day=2))
        text = self.command("hierarchy", "--account", "act_1")
        self.assertIn("META ad account act_1", text)
        self.assertEqual([line.split()[0] for line in text.splitlines()[2:]], ["c1", "s1", "a1", "a2", "s2", "c2"])
        self.assertRegex(text, r"(?m)^    a1 +AD +ACTIVE +2 +2026-11-03T00:00:00.000000Z +Name a1$")
        lineage = self.command("hierarchy", "--account", "act_1", "--object", "s1").splitlines()[2:]
        self.assertEqual([re.match(" *[a-z0-9]+", line)[0] for line in lineage], ["c1", "  s1", "    a1", "    a2"])
        self.command("hierarchy", status=2)
        self.command("hierarchy", "--account", "x", status=1)


class ConnectionDelete(Commands):
    def counts(self):
        return self.db.value("SELECT (SELECT count(*) FROM platform_connections), (SELECT count(*) FROM ad_accounts), "
                             "(SELECT count(*) FROM ad_objects), (SELECT count(*) FROM spending)")

    def test_asks_and_deletes_with_all_dependent_rows(self):
        other = self.db.create_connection()
        self.send(self.account("act_2", connection=other), named("x", accountExternalId="act_2"),
                  spent("a1", 1), spent("c1", 1), spent("x", 1, accountExternalId="act_2"))
        self.assertEqual(self.counts(), "2|2|7|3")
        for answer in ("", "no\n", "y\n", "yes"):
            self.assertEqual(self.command("connection", "delete", self.connection, stdin=answer, status=1), "")
            self.assertIn("ad accounts: 1, ad objects: 6, rows of spending: 2", self.stderr)
            self.assertIn("nothing was deleted", self.stderr)
        self.assertEqual(self.counts(), "2|2|7|3")
        self.command("connection", "delete", self.connection, stdin="yes\n")
        self.assertEqual(self.counts(), "1|1|1|1")
        out = self.command("connection", "delete", "--yes", other)
        self.assertIn("rows of spending: 1", out)
        self.assertEqual(self.counts(), "0|0|0|0")
        self.command("connection", "delete", "--yes", other, status=1)
        self.assertIn(other, self.stderr)
        self.command("connection", "delete", "--yes", "x", status=2)

    def test_a_running_daemon_notices(self):
        self.send(spent("a1", 1))
        self.command("connection", "delete", "--yes", self.connection)
        self.assertEqual(self.d.send(spent("a1", 2)).codes(), {1: "unknown_account"})

    def test_credentials_from_a_file(self):
        path = pathlib.Path(self.d.dir, "credentials.json")
        path.write_text('{"token": "hush-1"}')
        made = self.command("connection", "create", "META", "--file", str(path)).strip()
        self.assertEqual(self.db.value(f"SELECT credentials->>'token' FROM platform_connections WHERE id = '{made}'"),
                         "hush-1")
        self.command("connection", "create", "META", "--file", str(path) + "x", status=1)
        self.assertIn("No such file", self.stderr)
        path.write_text('{"token": "hush-2"')
        self.command("connection", "create", "META", "--file", str(path), status=1)
        self.assertNotIn("hush", self.stderr)


if __name__ == "__main__":
    unittest.main()
