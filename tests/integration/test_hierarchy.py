"""Hierarchy lines on the socket: upserts, their order with spending, parents, rejects, waiting for unknown objects."""

import json
import random
import signal
import socket
import threading
import time
import unittest

from lib.harness import TestCase, account, ad_object, record, wait_until

NOBODY = "00000000-0000-4000-8000-000000000000"


TREE = [ad_object("c1"), ad_object("s1", "AD_SET", "c1"), ad_object("a1", "AD", "s1", platformData={"x": [1.10]})]


class Hierarchy(TestCase):
    def setUp(self):
        super().setUp()
        self.connection = self.db.create_connection()

    def objects(self):
        return self.db.query("""SELECT a.external_id AS account, o.external_id, o.type, o.name, o.status,
                                       p.external_id AS parent, o.platform_data
                                FROM ad_objects o JOIN ad_accounts a ON a.id = o.ad_account_id
                                LEFT JOIN ad_objects p ON p.id = o.parent_id ORDER BY 1, 2""")

    def times(self):
        return self.db.query("SELECT id, created_at, updated_at FROM ad_accounts UNION ALL "
                             "SELECT id, created_at, updated_at FROM ad_objects ORDER BY 1")


class Upserts(Hierarchy):
    shares_daemon = True

    def setUp(self):
        super().setUp()
        self.d = self.daemon()

    def test_an_account_from_nothing_to_spending_on_one_connection(self):
        lines = [account(self.connection), *TREE, record(externalId="a1"), record(externalId="c1")]
        self.assertEqual(self.d.send(*lines).counts(), (6, 6, 0, 0))
        self.assertEqual(self.db.query("SELECT platform_connection_id, external_id, name, currency, timezone "
                                       "FROM ad_accounts"),
                         [{"platform_connection_id": self.connection, "external_id": "act_1", "name": "An account",
                           "currency": "USD", "timezone": "America/Los_Angeles"}])
        self.assertEqual(self.objects(), [
            {"account": "act_1", "external_id": "a1", "type": "AD", "name": "Object a1", "status": "ACTIVE",
             "parent": "s1", "platform_data": {"x": [1.10]}},
            {"account": "act_1", "external_id": "c1", "type": "CAMPAIGN", "name": "Object c1", "status": "ACTIVE",
             "parent": None, "platform_data": None},
            {"account": "act_1", "external_id": "s1", "type": "AD_SET", "name": "Object s1", "status": "ACTIVE",
             "parent": "c1", "platform_data": None}])
        self.assertEqual(self.db.count(), 2)

    def test_sent_again_is_duplicate_and_changes_nothing(self):
        lines = [account(self.connection), *TREE]
        self.d.send(*lines)
        before = self.times()
        self.assertEqual(self.d.send(*lines).counts(), (4, 0, 4, 0))
        # the same JSON in other words
        again = json.dumps(lines[3]).replace('"x": [1.1]', '"x":[ 11e-1 ]').replace("Object", "\\u004fbject")
        self.assertEqual(self.d.send(again).counts(), (1, 0, 1, 0))
        self.assertEqual(self.times(), before)

    def test_unchanged_objects_are_only_read(self):
        """A trigger before INSERT also fires for rows that are there already."""
        self.d.send(account(self.connection), *TREE)
        self.db.execute("CREATE SEQUENCE tried; CREATE FUNCTION count_try() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS "
                        "'BEGIN PERFORM nextval(''tried''); RETURN NEW; END'; "
                        "CREATE TRIGGER t BEFORE INSERT ON ad_objects FOR EACH ROW EXECUTE FUNCTION count_try()")
        self.assertEqual(self.d.send(*TREE).counts(), (3, 0, 3, 0))
        self.assertEqual(self.db.value("SELECT is_called FROM tried"), "f")
        self.assertEqual(self.d.send(*TREE, ad_object("new")).counts(), (4, 1, 3, 0))
        self.assertEqual(self.db.value("SELECT last_value FROM tried"), "1")

    def test_each_changed_field_is_written_and_updates_updated_at(self):
        self.d.send(account(self.connection), *TREE, ad_object("s2", "AD_SET", "c1"))
        before = {row["id"]: row for row in self.times()}
        changes = [account(self.connection, name=None), account(self.connection, name=None, currency="EUR"),
                   account(self.connection, name=None, currency="EUR", timezone="UTC"),
                   ad_object("a1", "AD", "s2", platformData={"x": [1.10]}), ad_object("a1", "AD", "s2"),
                   ad_object("a1", "AD", "s2", status="PAUSED"), ad_object("a1", "AD", status="PAUSED"),
                   ad_object("a1", "AD", status="PAUSED", name=None), ad_object("a1", "CAMPAIGN", name=None)]
        self.assertEqual(self.d.send(*changes).counts(), (9, 9, 0, 0))
        self.assertEqual(self.db.query("SELECT name, currency, timezone FROM ad_accounts"),
                         [{"name": None, "currency": "EUR", "timezone": "UTC"}])
        self.assertEqual(self.objects()[0], {"account": "act_1", "external_id": "a1", "type": "CAMPAIGN", "name": None,
                                             "status": "ACTIVE", "parent": None, "platform_data": None})
        moved = [row for row in self.times() if row["updated_at"] != before[row["id"]]["updated_at"]]
        self.assertEqual(len(moved), 2)
        self.assertTrue(all(row["created_at"] == before[row["id"]]["created_at"] for row in moved))

    def test_the_last_line_of_an_object_wins(self):
        self.d.send(account(self.connection))
        lines = [ad_object(f"c{i % 3}", name=f"name {i}") for i in range(30)]
        self.assertEqual(self.d.send(*lines).counts(), (30, 30, 0, 0))
        self.assertEqual([row["name"] for row in self.objects()], ["name 27", "name 28", "name 29"])

    def test_null_means_absent(self):
        lines = [account(self.connection) | {"name": None},
                 ad_object("c1") | {"name": None, "parentExternalId": None, "platformData": None}]
        self.assertEqual(self.d.send(*lines).counts(), (2, 2, 0, 0))

    def test_names_of_all_kinds(self):
        long = "x" * 100_000
        ids = ["é" * 127, "👩‍👩‍👧", "7340000000000000001", " ", "\"\\/\n", "A", "a"]
        lines = [ad_object(i, name=long) for i in ids] + [ad_object("below", "AD_SET", "👩‍👩‍👧", name="")]
        self.assertEqual(self.d.send(account(self.connection), *lines).counts(), (9, 9, 0, 0))
        self.assertEqual({row["external_id"] for row in self.objects()}, set(ids) | {"below"})
        self.assertEqual(self.d.send(*lines).counts(), (8, 0, 8, 0))

    def test_accounts_of_one_id(self):
        other, tiktok = self.db.create_connection(), self.db.create_connection("TIKTOK")
        replies = self.d.send(account(self.connection), ad_object("c1"), account(tiktok),
                              ad_object("c3", platform="TIKTOK"), record(externalId="c1"))
        self.assertEqual(replies.counts(), (5, 5, 0, 0))
        replies = self.d.send(account(other), ad_object("c2"), record(externalId="c1", amountCents=2),
                              ad_object("c2", connectionId=other), record(externalId="c2", connectionId=other))
        self.assertEqual(replies.codes(), {2: "ambiguous_account", 3: "ambiguous_account"})
        self.assertEqual(replies.counts(), (5, 3, 0, 2))

    def test_many_objects_in_few_statements(self):
        self.d.send(account(self.connection))
        lines = [ad_object(f"c{i}") for i in range(100)]
        lines += [ad_object(f"s{i}", "AD_SET", f"c{i % 100}") for i in range(1000)]
        lines += [ad_object(f"a{i}", "AD", f"s{i % 1000}") for i in range(5000)]
        self.assertEqual(self.d.send(*lines).counts(), (6100, 6100, 0, 0))
        self.assertEqual(self.d.send(*lines).counts(), (6100, 0, 6100, 0))
        self.assertEqual(self.db.value("SELECT count(*), count(parent_id) FROM ad_objects"), "6100|6000")
        commits = int(self.db.value("SELECT count(DISTINCT xmin::text) FROM ad_objects"))
        self.assertLess(commits, 20)

    def test_spending_between_hierarchy_lines_sees_those_before_it(self):
        self.d.send(account(self.connection))
        lines = []
        for i in range(2000):
            lines += [ad_object(f"c{i}"), record(externalId=f"c{i}"), record(externalId="nowhere")]
        replies = self.d.send(*lines)
        self.assertEqual(replies.codes(), {3 * i + 3: "unknown_ad_object" for i in range(2000)})
        self.assertEqual(self.db.count(), 2000)


class Refusals(Hierarchy):
    shares_daemon = True

    def setUp(self):
        super().setUp()
        self.d = self.daemon()

    def assert_refused(self, line, code, field, words=()):
        """The lines are rejected, and good lines before and after them are stored."""
        good = [ad_object(f"good {time.monotonic_ns()} {i}") for i in range(2)]
        replies = self.d.send(good[0], line, good[1])
        self.assertEqual(replies.counts(), (3, 2, 0, 1), line)
        reject = replies.rejects[2]
        self.assertEqual((reject["code"], reject.get("field")), (code, field), reject)
        for word in words:
            self.assertIn(word, reject["message"])

    def test_fields(self):
        self.d.send(account(self.connection))
        acc, obj = account(self.connection), ad_object("x", "AD_SET", "c1")
        cases = [
            (acc | {"kind": "adaccount"}, "bad_value", "kind"),
            (acc | {"kind": 1}, "bad_type", "kind"),
            (acc | {"platform": "META"}, "unknown_field", "platform"),
            (acc | {"status": "ACTIVE"}, "unknown_field", "status"),
            (acc | {"nam": "x"}, "unknown_field", "nam"),
            (acc | {"connectionId": "x"}, "bad_value", "connectionId"),
            (acc | {"connectionId": None}, "bad_type", "connectionId"),
            (acc | {"externalId": 1}, "bad_type", "externalId"),
            (acc | {"externalId": "x" * 256}, "bad_value", "externalId"),
            (acc | {"name": 1}, "bad_type", "name"),
            (acc | {"name": "a\0b"}, "bad_value", "name"),
            (acc | {"currency": "usd"}, "bad_value", "currency"),
            (acc | {"timezone": ""}, "bad_value", "timezone"),
            (acc | {"timezone": None}, "bad_type", "timezone"),
            (obj | {"amountCents": 1}, "unknown_field", "amountCents"),
            (obj | {"timezone": "UTC"}, "unknown_field", "timezone"),
            (obj | {"platform": "X"}, "bad_value", "platform"),
            (obj | {"type": "ADSET"}, "bad_value", "type"),
            (obj | {"status": "active"}, "bad_value", "status"),
            (obj | {"status": None}, "bad_type", "status"),
            (obj | {"parentExternalId": 1}, "bad_type", "parentExternalId"),
            (obj | {"parentExternalId": ""}, "bad_value", "parentExternalId"),
            (obj | {"parentExternalId": "x"}, "bad_value", "parentExternalId"),
            (obj | {"platformData": []}, "bad_type", "platformData"),
            (obj | {"platformData": {"a": "\0"}}, "bad_value", "platformData"),
            (record() | {"name": "x"}, "unknown_field", "name"),
        ]
        for missing in ("connectionId", "externalId", "currency", "timezone"):
            cases.append(({k: v for k, v in acc.items() if k != missing}, "missing_field", missing))
        for missing in ("platform", "accountExternalId", "externalId", "type", "status"):
            cases.append(({k: v for k, v in obj.items() if k != missing}, "missing_field", missing))
        for line, code, field in cases:
            self.assert_refused(line, code, field)

    def test_unknown_references(self):
        self.d.send(account(self.connection), *TREE, account(self.connection, "act_2"),
                    ad_object("elsewhere", accountExternalId="act_2"))
        self.assert_refused(account(NOBODY), "bad_value", "connectionId", [NOBODY, "connection create"])
        self.assert_refused(ad_object("x", accountExternalId="act_9"), "unknown_account", "accountExternalId",
                            ["META", "act_9"])
        self.assert_refused(ad_object("x", platform="TIKTOK"), "unknown_account", "accountExternalId")
        self.assert_refused(ad_object("x", connectionId=NOBODY), "unknown_account", "accountExternalId", [NOBODY])
        self.assert_refused(ad_object("x", "AD", "nowhere"), "unknown_ad_object", "parentExternalId",
                            ["nowhere", "act_1"])
        self.assert_refused(ad_object("x", "AD_SET", "elsewhere"), "unknown_ad_object", "parentExternalId")

    def test_levels(self):
        self.d.send(account(self.connection), *TREE)
        self.assert_refused(ad_object("x", "CAMPAIGN", "c1"), "bad_value", "parentExternalId")
        self.assert_refused(ad_object("x", "AD_SET", "s1"), "bad_value", "parentExternalId", ["s1", "AD_SET"])
        self.assert_refused(ad_object("x", "AD_SET", "a1"), "bad_value", "parentExternalId", ["a1", "AD"])
        self.assert_refused(ad_object("x", "AD", "a1"), "bad_value", "parentExternalId")
        self.assert_refused(ad_object("s1", "AD_SET", "s1"), "bad_value", "parentExternalId")
        self.assert_refused(ad_object("c1", "AD_SET"), "bad_value", "type", ["CAMPAIGN", "AD_SET"])
        self.assertEqual(self.d.send(ad_object("x", "AD", "c1")).counts(), (1, 1, 0, 0))

    def test_levels_within_a_batch(self):
        replies = self.d.send(account(self.connection), ad_object("s1", "AD_SET"), ad_object("s2", "AD_SET", "s1"),
                              ad_object("a1", "AD", "s2"), ad_object("a2", "AD", "s1"), ad_object("a3", "AD", "a2"))
        self.assertEqual(replies.codes(), {3: "bad_value", 4: "unknown_ad_object", 6: "bad_value"})

    def test_a_parent_that_lines_of_a_batch_share(self):
        """It is looked up once: whatever became of the line that is it or names it first, and in its own account only."""
        one, other = self.connection, self.db.create_connection()
        self.d.send(account(one), account(other), *[line | {"connectionId": one} for line in TREE],
                    ad_object("c1", "CAMPAIGN", connectionId=other), ad_object("s1", "AD", "c1", connectionId=other))
        replies = self.d.send(
            ad_object("x1", "CAMPAIGN", "c1", connectionId=one), ad_object("x2", "AD_SET", "c1", connectionId=one),
            ad_object("x3", "AD", "s1", connectionId=other), ad_object("x4", "AD", "s1", connectionId=one),
            ad_object("x5", "AD", "nobody", connectionId=one), ad_object("x6", "AD", "nobody", connectionId=one),
            ad_object("s1", "AD", "c1", connectionId=one), ad_object("x7", "AD", "s1", connectionId=one))
        self.assertEqual(replies.codes(), {1: "bad_value", 3: "bad_value", 5: "unknown_ad_object", 6: "unknown_ad_object",
                                           7: "bad_value"})
        self.assertEqual(self.db.query(f"""SELECT o.external_id AS id, p.external_id AS parent
                                           FROM ad_objects o JOIN ad_objects p ON p.id = o.parent_id AND p.ad_account_id = o.ad_account_id
                                           JOIN ad_accounts a ON a.id = o.ad_account_id
                                           WHERE a.platform_connection_id = '{one}' AND o.external_id ~ 'x' ORDER BY 1"""),
                         [{"id": "x2", "parent": "c1"}, {"id": "x4", "parent": "s1"}, {"id": "x7", "parent": "s1"}])

    def test_children_moved_by_earlier_lines_of_the_batch(self):
        self.d.send(account(self.connection), *[ad_object(c) for c in "xyz"], ad_object("s", "AD_SET", "x"),
                    ad_object("t", "AD_SET", "x"))
        replies = self.d.send(ad_object("s", "AD_SET", "y"), ad_object("x", "AD_SET", "z"),
                              ad_object("t", "AD_SET", "s"), ad_object("x", "AD_SET", "z", name="once more"))
        self.assertEqual(replies.codes(), {2: "bad_value", 3: "bad_value", 4: "bad_value"})
        replies = self.d.send(ad_object("t", "CAMPAIGN"), ad_object("x", "AD_SET", "z"))
        self.assertEqual(replies.counts(), (2, 2, 0, 0), replies.rejects)
        self.assertEqual(self.db.value("SELECT string_agg(concat_ws(' ', o.external_id, o.type, p.external_id), ', ' "
                                       "ORDER BY o.external_id) FROM ad_objects o LEFT JOIN ad_objects p "
                                       "ON p.id = o.parent_id"),
                         "s AD_SET y, t CAMPAIGN, x AD_SET z, y CAMPAIGN, z CAMPAIGN")

    def test_a_parent_or_account_sent_later_is_unknown(self):
        replies = self.d.send(ad_object("c1"), account(self.connection), ad_object("s1", "AD_SET", "c1"),
                              ad_object("c1"), ad_object("s1", "AD_SET", "c1"))
        self.assertEqual(replies.codes(), {1: "unknown_account", 3: "unknown_ad_object"})
        self.assertEqual(replies.counts(), (5, 3, 0, 2))

    def test_rows_that_the_database_refuses(self):
        self.d.send(account(self.connection))
        self.db.execute("ALTER TABLE ad_objects ADD CHECK (name <> 'poison')")
        lines = [ad_object(f"c{i}", name="poison" if i % 97 == 5 else "good") for i in range(500)]
        lines += [ad_object(f"s{i}", "AD_SET", f"c{i}") for i in range(500)]
        replies = self.d.send(*lines, record(externalId="s0"))
        bad = [i for i in range(500) if i % 97 == 5]
        self.assertEqual(replies.codes(), {i + 1: "refused_by_database" for i in bad} |
                         {i + 501: "unknown_ad_object" for i in bad})
        self.assertEqual(self.db.value("SELECT count(*) FROM ad_objects"), str(1000 - 2 * len(bad)))
        self.assertEqual(self.db.count(), 1)


    def test_rows_with_unexpected_errors(self):
        self.d.send(account(self.connection))
        self.db.refuse_inserts("ad_objects", "NEW.name = 'poison'", sqlstate="XX000")
        lines = [ad_object(f"c{i}", name="poison" if i in (3, 77) else "good") for i in range(100)]
        self.assertEqual(self.d.send(*lines).codes(), {4: "refused_by_database", 78: "refused_by_database"})

    def test_a_failing_row_alone_or_first_delays_no_other(self):
        self.d.send(account(self.connection))
        for table, poison in (("ad_objects", ad_object("p", name="poison")),
                              ("ad_accounts", account(self.connection, "act_2", name="poison"))):
            self.db.refuse_inserts(table, "NEW.name = 'poison'", sqlstate="BR001")
            self.assertEqual(self.d.send(poison).codes(), {1: "refused_by_database"}, table)
            replies = self.d.send(poison, *[ad_object(f"{table} {i}") for i in range(10)])
            self.assertEqual(replies.codes(), {1: "refused_by_database"})
            self.assertEqual(replies.counts(), (11, 10, 0, 1))

    def test_a_table_that_refuses_every_row_rejects_none(self):
        for table in ("ad_accounts", "ad_objects"):
            self.db.refuse_inserts(table, "true", sqlstate="BR001")
            client = self.d.client()
            client.send(account(self.connection), *[ad_object(f"c{i}") for i in range(10)])
            wait_until(lambda: self.d.log().count("BR001") >= 6, "some attempts")
            self.db.execute(f"DROP TRIGGER refuse ON {table}; DELETE FROM ad_accounts")
            self.assertEqual(client.finish().counts(), (11, 11, 0, 0))
            self.db.execute("DELETE FROM ad_accounts")

    def test_a_unique_index_of_the_operators(self):
        self.db.execute("CREATE UNIQUE INDEX ON ad_objects (ad_account_id, name); "
                        "CREATE UNIQUE INDEX ON ad_accounts (platform_connection_id, name)")
        self.d.send(account(self.connection), *TREE)
        for table, poison in (("ad_objects", ad_object("p", name="poison")),
                              ("ad_accounts", account(self.connection, "act_2", name="poison"))):
            self.db.refuse_inserts(table, "NEW.name = 'poison'", sqlstate="BR001")
            self.assertEqual(self.d.send(poison, ad_object(table)).codes(), {1: "refused_by_database"}, table)

    def test_errors_at_commit_or_in_updates_reject_no_row(self):
        self.d.send(account(self.connection), *TREE)
        for when in ("CONSTRAINT TRIGGER refuse AFTER INSERT ON ad_objects DEFERRABLE INITIALLY DEFERRED",
                     "TRIGGER refuse BEFORE UPDATE ON ad_objects"):
            self.db.refuse_inserts("ad_objects", "true", sqlstate="HV000")
            self.db.execute(f"DROP TRIGGER refuse ON ad_objects; "
                            f"CREATE {when} FOR EACH ROW EXECUTE FUNCTION refuse()")
            client = self.d.client()
            lines = [ad_object(f"{when} {i}") for i in range(20)] + [line | {"name": when} for line in TREE]
            seen = self.d.log().count("HV000")
            client.send(*lines)
            wait_until(lambda: self.d.log().count("HV000") >= seen + 6, "some attempts")
            self.db.execute("DROP TRIGGER refuse ON ad_objects")
            self.assertEqual(client.finish().counts(), (len(lines), len(lines), 0, 0))

    def test_a_missing_privilege_is_retried_with_pauses(self):
        self.d.send(account(self.connection))
        for right, line in (("INSERT", ad_object("c1")), ("SELECT", record(externalId="c1"))):
            before = self.d.log().count("42501")
            self.db.execute(f"REVOKE {right} ON ad_objects FROM {self.db.role}")
            client = self.d.client()
            client.send(line)
            time.sleep(5)
            attempts = self.d.log().count("42501") - before
            self.assertTrue(2 <= attempts <= 10, attempts)  # at 0.1 s, 0.2 s, 0.4 s ... each with its jitter
            self.db.execute(f"GRANT {right} ON ad_objects TO {self.db.role}")
            self.assertEqual(client.finish().counts(), (1, 1, 0, 0))


class AtOnce(Hierarchy):
    def test_two_daemons_and_many_connections_upsert_the_same_objects(self):
        daemons = [self.daemon(), self.daemon()]
        tree = [ad_object(f"c{i}") for i in range(20)]
        tree += [ad_object(f"s{i}", "AD_SET", f"c{i % 20}") for i in range(200)]
        tree += [ad_object(f"a{i}", "AD", f"s{i % 200}") for i in range(1000)]
        replies = []

        def run(n):
            rng = random.Random(n)
            for turn in range(4):
                lines = []
                for level in ("CAMPAIGN", "AD_SET", "AD"):
                    lines.append([line | {"name": f"{n} {turn}"} for line in tree if line["type"] == level])
                    rng.shuffle(lines[-1])
                replies.append(daemons[n % 2].send(account(self.connection), *sum(lines, []),
                                                   record(externalId="a999", amountCents=100 * n + turn)))

        threads = [threading.Thread(target=run, args=(n,)) for n in range(6)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(len(replies), 24)
        for r in replies:
            self.assertEqual((r.counts()[0], r.counts()[3]), (1222, 0), r.rejects)
        self.assertEqual(self.db.value("SELECT count(*), count(parent_id) FROM ad_objects"), "1220|1200")
        self.assertEqual(self.db.count(), 24)

    def wait_for_locks(self, sessions):
        wait_until(lambda: self.db.value("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                                         "AND wait_event_type = 'Lock'") == str(sessions), "sessions wait for locks")

    def put_below_while_it_changes_its_level(self, one, other):
        """Lines of two clients are on their way to the database at the same time."""
        clients = [one.client(), other.client()]
        self.assertEqual(one.send(account(self.connection), ad_object("x"), ad_object("y")).counts()[3], 0)
        with self.db.locked("ad_objects", "SHARE"):
            clients[0].send(ad_object("x", "AD_SET", "y"))
            clients[1].send(ad_object("s", "AD_SET", "x"))
            self.wait_for_locks(2)
        replies = [client.finish() for client in clients]
        self.assertEqual(sorted(r.counts() for r in replies), [(1, 0, 0, 1), (1, 1, 0, 0)])
        self.assertEqual(self.db.query("SELECT o.external_id, o.type, p.external_id AS parent FROM ad_objects o "
                                       "JOIN ad_objects p ON p.id = o.parent_id WHERE o.type = p.type"), [])

    def test_levels_and_two_daemons(self):
        self.put_below_while_it_changes_its_level(self.daemon(), self.daemon())

    def test_levels_and_two_workers(self):
        d = self.daemon(daemon__workers=2)
        self.put_below_while_it_changes_its_level(d, d)

    def test_a_hanging_daemon_delays_others_briefly(self):
        self.db.execute(f"ALTER DATABASE {self.db.name} SET idle_in_transaction_session_timeout = '2s'")
        one, other = self.daemon(), self.daemon()
        one.send(account(self.connection), ad_object("x"))
        with self.db.locked("ad_objects", "SHARE"):
            client = one.client()
            client.send(ad_object("x", name="the first"))
            self.wait_for_locks(1)
            one.signal(signal.SIGSTOP)
        try:
            self.assertEqual(other.send(ad_object("x", name="the other")).counts(), (1, 1, 0, 0))
        finally:
            one.signal(signal.SIGCONT)
        self.assertEqual(client.finish().counts(), (1, 1, 0, 0))
        self.assertEqual(self.db.value("SELECT name FROM ad_objects"), "the first")

    def test_the_connection_to_the_database_lost_again_and_again(self):
        d = self.daemon()
        stop = threading.Event()

        def terminate():
            while not stop.is_set():
                self.db.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                                "WHERE datname = current_database() AND application_name LIKE 'boris-ingestd%' "
                                "AND pid <> pg_backend_pid() AND random() < 0.7")
                time.sleep(0.3)

        self.db.execute("SELECT 1")
        thread = threading.Thread(target=terminate)
        thread.start()
        try:
            lines = [account(self.connection)] + [ad_object(f"c{i}") for i in range(2000)]
            lines += [record(externalId=f"c{i}") for i in range(0, 2000, 7)]
            client = d.client()
            for i in range(0, len(lines), 100):
                client.send(*lines[i:i + 100])
                time.sleep(0.05)
        finally:
            stop.set()
            thread.join()
        replies = client.finish()
        self.assertEqual((replies.counts()[0], replies.counts()[3]), (len(lines), 0))
        self.assertEqual(self.db.value("SELECT count(*) FROM ad_objects"), "2000")
        self.assertEqual(self.db.count(), 286)


class Grace(Hierarchy):
    shares_daemon = True
    shared_settings = {"resolve__unknown_grace_ms": 60000}

    def test_rejected_when_the_grace_ends_and_not_before(self):
        d = self.daemon(resolve__unknown_grace_ms=1500)
        d.send(account(self.connection), *TREE)
        client = d.client()
        start = time.monotonic()
        client.send(record(externalId="later"), record(externalId="a1"), record(accountExternalId="act_9"))
        wait_until(lambda: self.db.count() == 1, "the known one is not held up", 1.4)
        self.assertEqual(client.finish().codes(), {1: "unknown_ad_object", 3: "unknown_account"})
        self.assertTrue(1.4 < time.monotonic() - start < 4, time.monotonic() - start)

    def test_a_hierarchy_line_of_any_connection_ends_it(self):
        d = self.daemon(resolve__unknown_grace_ms=60000)
        waiting = d.client()
        waiting.send(*[record(externalId=f"c{i}") for i in range(300)])
        time.sleep(0.3)
        start = time.monotonic()
        d.send(account(self.connection))
        d.send(*[ad_object(f"c{i}") for i in range(300)])
        self.assertEqual(waiting.finish().counts(), (300, 300, 0, 0))
        self.assertLess(time.monotonic() - start, 5)

    def test_an_object_created_by_another_program_ends_it(self):
        d = self.daemon(resolve__unknown_grace_ms=60000)
        waiting = d.client()
        waiting.send(record(), record(amountCents=2))
        time.sleep(0.3)
        self.db.add_account()
        start = time.monotonic()
        self.assertEqual(waiting.finish().counts(), (2, 2, 0, 0))
        self.assertLess(time.monotonic() - start, 5)

    def test_spending_and_then_its_object_on_one_connection(self):
        d = self.daemon(resolve__unknown_grace_ms=60000)
        replies = d.send(account(self.connection), record(externalId="c1"), ad_object("c1"), record(externalId="c1"))
        self.assertEqual(replies.counts(), (4, 3, 1, 0))

    def test_an_ambiguous_account_is_rejected_immediately(self):
        self.db.add_account()
        self.db.add_account()
        d = self.daemon(resolve__unknown_grace_ms=60000)
        self.assertEqual(d.send(record()).codes(), {1: "ambiguous_account"})

    def test_waiting_records_are_bounded_and_delay_no_other(self):
        self.db.add_account()
        d = self.daemon(resolve__unknown_grace_ms=2000, limits__memory_bytes="16M")
        waiting = d.client()
        replies = []

        def flood():
            for i in range(200):
                waiting.send(*[record(externalId=f"unknown {i} {j}", metrics={"x": "y" * 100}) for j in range(100)])
            waiting.sock.shutdown(socket.SHUT_WR)

        threads = [threading.Thread(target=flood, daemon=True),
                   threading.Thread(target=lambda: replies.append(waiting.drain()), daemon=True)]
        for t in threads:
            t.start()
        time.sleep(1)
        for i in range(10):
            start = time.monotonic()
            self.assertEqual(d.send(*[record(amountCents=1000 * i + j) for j in range(1000)]).counts()[1], 1000)
            self.assertLess(time.monotonic() - start, 1.5)
        for t in threads:
            t.join()
        self.assertEqual(replies[0].counts(), (20000, 0, 0, 20000))

    def test_a_burst_of_one_client_has_its_grace(self):
        """However little memory there is: a client's line counts with what it will hold while it waits."""
        for limit, count in (("16M", 20000), ("64M", 60000)):
            connection = self.db.create_connection()
            name = f"act_{limit}"
            d = self.daemon(resolve__unknown_grace_ms=60000, limits__memory_bytes=limit)
            d.send(account(connection, name))
            client = d.client()
            lines = [record(accountExternalId=name, externalId=f"c{i}") for i in range(count)]
            thread = threading.Thread(target=lambda: client.send(*lines), daemon=True)
            thread.start()
            time.sleep(1)
            for start in range(0, count, 5000):
                objects = [ad_object(f"c{i}", accountExternalId=name) for i in range(start, start + 5000)]
                self.assertEqual(d.send(*objects).counts()[1], 5000)
            thread.join()
            self.assertEqual(client.finish().counts(), (count, count, 0, 0), limit)
            self.assertEqual(d.stop(), 0)

    def test_many_clients_with_waiting_records_delay_no_other(self):
        self.db.add_account()
        d = self.daemon(resolve__unknown_grace_ms=3000, limits__memory_bytes="16M")
        counts = []

        def converse(client):
            lines = [record(externalId=f"unknown {client} {i}", metrics={"x": "y" * 10000}) for i in range(100)]
            counts.append(d.send(*lines).counts())

        threads = [threading.Thread(target=converse, args=(client,), daemon=True) for client in range(30)]
        for t in threads:
            t.start()
        worst = 0
        for i in range(20):
            start = time.monotonic()
            self.assertEqual(d.send(*[record(amountCents=100 * i + j) for j in range(100)]).counts()[1], 100)
            worst = max(worst, time.monotonic() - start)
            time.sleep(0.1)
        self.assertLess(worst, 2)
        for t in threads:
            t.join()
        self.assertEqual(counts, [(100, 0, 0, 100)] * 30)

    def test_a_stop_notifies_clients_that_have_finished_sending(self):
        self.db.add_account()
        d = self.daemon(resolve__unknown_grace_ms=60000)
        client = d.client()
        client.send(record(), record(externalId="later"), record(amountCents=2))
        client.sock.shutdown(socket.SHUT_WR)
        client.wait_ack(1)
        wait_until(lambda: self.db.count() == 2, "stored")
        self.assertEqual(d.stop(), 0)
        replies = client.drain()
        self.assertEqual((replies.closing, replies.rejects), ("shutdown", {}))

    def test_a_stop_leaves_waiting_records_to_the_client(self):
        self.db.add_account()
        d = self.daemon(resolve__unknown_grace_ms=60000)
        client = d.client()
        client.send(record(), record(externalId="later"), record(amountCents=2))
        client.wait_ack(1)
        wait_until(lambda: self.db.count() == 2, "stored")
        start = time.monotonic()
        self.assertEqual(d.stop(), 0)
        self.assertLess(time.monotonic() - start, 5)
        replies = client.drain()
        self.assertEqual((replies.closing, replies.rejects), ("shutdown", {}))
        self.assertTrue(replies.ack is None or replies.ack["ack"] == 1)


if __name__ == "__main__":
    unittest.main()
