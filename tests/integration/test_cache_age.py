#!/usr/bin/env python3
"""The daemon's cache of ad objects follows the database, regardless of what changes it."""

import re
import time
import unittest
import urllib.request


from lib.harness import TestCase, record, wait_until


class Renamed(TestCase):
    """Each case has an account of its own; all wait together."""

    def setUp(self):
        super().setUp()
        self.wanted = {}  # account and object of a line: the account and object that it is to be stored at, or a code
        self.amount = 0

    def line(self, name):
        self.amount += 1
        platform = "TIKTOK" if name[0].startswith("tiktok") else "META"
        return record(platform=platform, accountExternalId=name[0], externalId=name[1], amountCents=self.amount)

    def object_id(self, account, object):
        return self.db.value("SELECT o.id FROM ad_objects o JOIN ad_accounts a ON a.id = ad_account_id "
                             f"WHERE a.external_id = '{account}' AND o.external_id = '{object}'")

    def send(self, daemon, names):
        """The outcome of a line for each name: an object's id, or a code."""
        lines = [self.line(name) for name in names]
        codes = daemon.send(*lines).codes()
        stored = {row["amount_cents"]: row["ad_object_id"]
                  for row in self.db.query("SELECT amount_cents, ad_object_id FROM spending")}
        return [codes.get(n + 1) or stored[line["amountCents"]] for n, line in enumerate(lines)]

    def change_all(self):
        """Yields what is stored under which object before the change, and what is expected after it."""
        for name in "moved", "target", "renamed", "replaced", "gone", "account", "untouched":
            self.db.add_account(name)
        self.db.add_account("tiktok", platform="TIKTOK")
        names = [(name, "1") for name in ("moved", "renamed", "replaced", "gone", "account", "tiktok", "untouched")]
        before = {name: self.object_id(*name) for name in names}
        yield before
        self.db.execute("""
            UPDATE ad_objects SET external_id = '9', ad_account_id = (SELECT id FROM ad_accounts WHERE external_id = 'target')
            WHERE external_id = '1' AND ad_account_id = (SELECT id FROM ad_accounts WHERE external_id = 'moved');
            UPDATE ad_objects SET external_id = '9'
            WHERE external_id = '1' AND ad_account_id IN
                  (SELECT id FROM ad_accounts WHERE external_id IN ('renamed', 'replaced'));
            INSERT INTO ad_objects (ad_account_id, external_id, type, status)
            SELECT id, '1', 'AD', 'ACTIVE' FROM ad_accounts WHERE external_id = 'replaced';
            DELETE FROM ad_objects
            WHERE external_id = '1' AND ad_account_id = (SELECT id FROM ad_accounts WHERE external_id = 'gone');
            UPDATE ad_accounts SET external_id = 'another' WHERE external_id = 'account';
            UPDATE platform_connections SET platform = 'GOOGLE_ADS' WHERE platform = 'TIKTOK'""")
        yield {("moved", "1"): "unknown_ad_object", ("target", "9"): before["moved", "1"],
               ("renamed", "1"): "unknown_ad_object", ("renamed", "9"): before["renamed", "1"],
               ("replaced", "1"): self.object_id("replaced", "1"), ("replaced", "9"): before["replaced", "1"],
               ("gone", "1"): "unknown_ad_object", ("account", "1"): "unknown_account",
               ("another", "1"): before["account", "1"], ("tiktok", "1"): "unknown_account",
               ("untouched", "1"): before["untouched", "1"]}

    def check(self, daemon, seconds):
        changes = self.change_all()
        before = next(changes)
        self.assertEqual(self.send(daemon, before), list(before.values()))
        after = next(changes)
        start = time.monotonic()
        wait_until(lambda: self.send(daemon, after) == list(after.values()), "the new names", timeout=seconds, pause=1)
        return time.monotonic() - start

    def test_within_a_minute(self):
        self.check(self.daemon(), 60)

    def test_with_a_short_period(self):
        self.check(self.daemon(resolve__recheck_ms=1000), 15)

    def test_unchanged_objects_are_not_looked_up(self):
        self.db.add_account()
        d = self.daemon(resolve__recheck_ms=1000, http__listen="127.0.0.1:0")
        d.send(record())
        self.db.execute("UPDATE ad_objects SET name = 'another', updated_at = now()")
        time.sleep(4)
        self.assertEqual(d.send(record(amountCents=2)).counts(), (1, 1, 0, 0))
        self.assertNotIn("looked up again", d.log())
        self.assertEqual(metric(d, "cache_misses_total"), 1)


def metric(daemon, name):
    text = urllib.request.urlopen(daemon.http() + "/metrics").read().decode()
    return int(float(re.search(rf"^boris_ingestd_{name} (\S+)$", text, re.MULTILINE)[1]))


if __name__ == "__main__":
    unittest.main()
