"""Hierarchy lines and a misbehaving database: rows that only the database's owner can fix, rows that lose the connection,
locks of other sessions, triggers that change or skip what is stored. Such a row waits, or is rejected where that is
documented, and delays only its own client's lines of its account."""

import json
import time
import unittest

from lib.harness import TestCase, account, ad_object, record, wait_until

SOON = 10  # s, on a busy machine; what is held up is so for as long as the fault lasts


class Faults(TestCase):
    def setUp(self):
        super().setUp()
        self.connection = self.db.create_connection()
        self.d = self.daemon()
        self.assertEqual(self.d.send(account(self.connection), account(self.connection, "act_2"),
                                     ad_object("c1"), ad_object("old"), record(externalId="old", amountCents=1)).counts(),
                         (5, 5, 0, 0))  # the record makes its week's chunk, for which TimescaleDB locks ad_objects

    def names(self):
        return self.db.value("SELECT string_agg(external_id || '=' || coalesce(name, '-'), ' ' "
                             "ORDER BY external_id COLLATE \"C\") FROM ad_objects")

    def assert_pass(self, what, *lines):
        """Another client's lines are stored soon."""
        start = time.monotonic()
        replies = self.d.send(*lines)
        self.assertEqual(replies.counts(), (len(lines), len(lines), 0, 0), f"{what}: {replies.rejects}")
        self.assertLess(time.monotonic() - start, SOON, what)

    def waiting(self, *lines):
        """Returns a client that has sent these lines."""
        client = self.d.client()
        client.send(*lines)
        return client


class OnlySomeRows(Faults):
    def test_errors_that_reject_no_row(self):
        for code in ("42501", "53100", "53200", "53400", "XX001", "58030", "25006", "28000", "40001", "55P03", "TS101"):
            with self.subTest(code):
                self.db.refuse_inserts("ad_objects", "NEW.name = 'poison'", sqlstate=code)
                good = [ad_object(f"{code} {i}") for i in range(20)]
                client = self.waiting(*good[:10], ad_object(f"{code} bad", name="poison"), *good[10:])
                self.assert_pass(code, ad_object(f"{code} other"), record(externalId=f"{code} other"))
                self.assert_pass(code, ad_object(f"{code} another", accountExternalId="act_2"))
                wait_until(lambda: self.db.value("SELECT count(*) FROM ad_objects WHERE name LIKE 'Object %' "
                                                 f"AND external_id ~ '^{code} [0-9]'") >= "10", "what came before")
                self.db.execute("DROP TRIGGER refuse ON ad_objects")
                replies = client.finish()
                self.assertEqual(replies.counts(), (21, 21, 0, 0), replies.rejects)

    def test_an_audit_trigger_without_a_privilege(self):
        self.db.execute("""
            CREATE TABLE audit (name text);
            CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS $f$
            BEGIN IF NEW.name = 'poison' THEN INSERT INTO audit VALUES (NEW.name); END IF; RETURN NEW; END $f$;
            CREATE TRIGGER audit BEFORE INSERT OR UPDATE ON ad_accounts FOR EACH ROW EXECUTE FUNCTION audit()""")
        client = self.waiting(account(self.connection, "act_3", name="poison"), account(self.connection, "act_4"))
        self.assert_pass("audit", account(self.connection, "act_5"), ad_object("x", accountExternalId="act_5"))
        self.db.execute(f"GRANT INSERT ON audit TO {self.db.role}")
        self.assertEqual(client.finish().counts(), (2, 2, 0, 0))

    def test_a_row_that_ends_its_backend(self):
        self.db.execute("""
            CREATE FUNCTION end_backend() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $f$
            BEGIN IF NEW.name = 'poison' THEN PERFORM pg_terminate_backend(pg_backend_pid()), pg_sleep(1); END IF;
            RETURN NEW; END $f$;
            CREATE TRIGGER end_backend BEFORE INSERT ON ad_objects FOR EACH ROW EXECUTE FUNCTION end_backend()""")
        client = self.waiting(*[ad_object(f"c{i}", name="poison" if i == 3 else "good") for i in range(8)])
        wait_until(lambda: self.d.log().count("terminating connection") >= 4, "some lost connections")
        self.assert_pass("lost", ad_object("other"), record(externalId="other"))
        self.db.execute("DROP TRIGGER end_backend ON ad_objects")
        self.assertEqual(client.finish().counts(), (8, 8, 0, 0))

    def test_a_table_that_refuses_every_row_rejects_none(self):
        """Data errors that all rows meet, including the probe row."""
        self.db.execute("ALTER TABLE ad_objects ADD CONSTRAINT never CHECK (false) NOT VALID")
        client = self.waiting(*[ad_object(f"n{i}") for i in range(5)])
        wait_until(lambda: self.d.log().count("never") >= 3, "some attempts")
        self.db.execute("ALTER TABLE ad_objects DROP CONSTRAINT never")
        self.assertEqual(client.finish().counts(), (5, 5, 0, 0))

    def test_a_chance_error_after_a_bad_row_rejects_no_row(self):
        self.db.execute(f"CREATE SEQUENCE chance; GRANT USAGE ON SEQUENCE chance TO {self.db.role}")
        self.db.refuse_inserts("ad_objects", "NEW.name = 'poison' OR (NEW.name = 'good' AND nextval('chance') = 1)",
                               sqlstate="XX000")
        replies = self.d.send(ad_object("c2", name="poison"), ad_object("c3", name="good"))
        self.assertEqual(replies.codes(), {1: "refused_by_database"}, replies.rejects)
        self.assertEqual(replies.counts(), (2, 1, 0, 1))

    def test_lines_that_depend_on_a_waiting_row(self):
        """Later lines on its connection, and other clients' lines about the same object, see it written."""
        self.db.refuse_inserts("ad_objects", "NEW.name = 'poison'", sqlstate="42501")
        lines = [ad_object("p", name="poison"), ad_object("s", "AD_SET", "p"), ad_object("a", "AD", "s"),
                 record(externalId="p"), record(externalId="a"), ad_object("p", name="later"), ad_object("q", "AD", "p")]
        client = self.waiting(*lines)
        wait_until(lambda: "only this row waits" in self.d.log(), "the row waits")
        behind = self.waiting(ad_object("child", "AD_SET", "p"), ad_object("elsewhere", accountExternalId="act_2"),
                              record(accountExternalId="act_2", externalId="elsewhere"))
        self.assert_pass("depends", ad_object("x"), ad_object("y", "AD_SET", "x"), record(externalId="y"))
        wait_until(lambda: self.db.count() == 3, "another account's lines pass")
        self.assertIsNone(self.db.query("SELECT 1 FROM ad_objects WHERE external_id IN ('p', 's', 'child')") or None)
        self.db.execute("DROP TRIGGER refuse ON ad_objects")
        replies = client.finish()
        self.assertEqual(replies.counts(), (7, 7, 0, 0), replies.rejects)
        replies = behind.finish()
        self.assertEqual(replies.counts(), (3, 3, 0, 0), replies.rejects)
        self.assertIn("p=later", self.names())
        self.assertEqual(self.db.count(), 5)

    def test_a_stop_does_not_wait_for_a_waiting_row(self):
        self.db.refuse_inserts("ad_objects", "NEW.name = 'poison'", sqlstate="42501")
        client = self.waiting(ad_object("p", name="poison"), record(externalId="p"), ad_object("s", "AD_SET", "p"))
        wait_until(lambda: "only this row waits" in self.d.log(), "the row waits")
        start = time.monotonic()
        self.assertEqual(self.d.stop(), 0)
        self.assertLess(time.monotonic() - start, SOON)
        replies = client.drain()
        self.assertEqual((replies.closing, replies.rejects), ("shutdown", {}))
        self.assertFalse(replies.ack and replies.ack["ack"])

    def test_lines_of_many_rows_that_wait_are_bounded(self):
        self.db.refuse_inserts("ad_objects", "NEW.name = 'poison'", sqlstate="42501")
        self.d.stop()
        d = self.d = self.daemon(batch__rows=200)
        client = d.client()
        thread = client.feed(*[ad_object(f"p{i}", name="poison") for i in range(3000)], half_close=True)
        time.sleep(1)
        self.assert_pass("bounded", ad_object("x"), record(externalId="x"))
        self.db.execute("DROP TRIGGER refuse ON ad_objects")
        self.assertEqual(client.drain().counts(), (3000, 3000, 0, 0))
        thread.join()


class Locks(Faults):
    def stuck(self, *lines):
        """Returns a client that has sent these lines, one of which waits."""
        seen = self.d.log().count("only this row waits")
        client = self.waiting(*lines)
        wait_until(lambda: self.d.log().count("only this row waits") > seen, "a row waits")
        return client

    def hold(self, sql, *lines):
        """Another session's transaction is open; @lines meet its locks, other clients' lines pass."""
        with self.subTest(sql):
            with self.db.holding(sql):
                client = self.stuck(*lines)
                self.assert_pass(sql, account(self.connection, f"a {sql}"), ad_object("o", accountExternalId=f"a {sql}"),
                                 record(accountExternalId=f"a {sql}", externalId="o"))
                self.assert_pass(sql, ad_object(f"o {sql}", accountExternalId="act_2"))
            replies = client.finish()
            self.assertEqual(replies.counts(), (len(lines), len(lines), 0, 0), replies.rejects)

    def test_of_an_object(self):
        self.hold("UPDATE ad_objects SET name = name WHERE external_id = 'c1'",
                  ad_object("n1"), ad_object("c1", name="new"), ad_object("n2"), record(externalId="n2"))
        with self.db.holding("UPDATE ad_objects SET name = name WHERE external_id = 'c1'"):
            client = self.stuck(ad_object("c1", name="newer"))
            self.assert_pass("the same account", ad_object("n3"), ad_object("old", name="new"), record(externalId="old"))
        self.assertEqual(client.finish().counts(), (1, 1, 0, 0))

    def test_of_an_object_whose_client_is_gone(self):
        """The client sends its line again through another daemon, then a newer one: the first daemon does not overwrite it."""
        other = self.own_daemon()
        with self.db.holding("SELECT FROM ad_objects WHERE external_id = 'c1' FOR UPDATE"):
            self.stuck(ad_object("c1", name="first")).close()
            time.sleep(5)  # its pauses grow, so the other daemon is the first to get the lock
            client = other.client()
            client.send(ad_object("c1", name="first"), ad_object("c1", name="second"))
            wait_until(lambda: "only this row waits" in other.log(), "a row waits there, too")
        replies = client.finish()
        self.assertEqual((replies.ack["ack"], replies.rejects), (2, {}))
        self.d.stop()  # it settles what it holds
        self.assertEqual(self.names(), "c1=second old=Object old")

    def test_of_a_parent(self):
        self.hold("SELECT FROM ad_objects WHERE external_id = 'c1' FOR UPDATE", ad_object("s1", "AD_SET", "c1"))

    def test_of_an_account(self):
        self.hold("UPDATE ad_accounts SET name = name WHERE external_id = 'act_1'",
                  account(self.connection, name="another"), ad_object("n1"))
        self.hold("SELECT FROM ad_accounts WHERE external_id = 'act_1' FOR UPDATE", ad_object("n2"), ad_object("n3"))

    def test_of_a_table(self):
        """All wait, undivided, and nothing is lost."""
        lines = [ad_object(f"n{i}") for i in range(50)]
        self.d = self.own_daemon(http__listen="127.0.0.1:0")
        with self.db.locked("ad_objects", "SHARE"):
            client = self.waiting(*lines)
            wait_until(lambda: "lock on a whole table" in self.d.log(), "the log says so")
            self.assertFalse(self.d.ready())
        start = time.monotonic()
        self.assertEqual(client.finish().counts(), (50, 50, 0, 0))
        wait_until(self.d.ready, "it is ready again")
        self.assertLess(time.monotonic() - start, SOON)
        self.assertEqual(self.db.value("SELECT count(DISTINCT xmin::text) FROM ad_objects WHERE external_id LIKE 'n%'"), "1")


    def test_of_a_table_that_is_looked_up(self):
        self.d = self.own_daemon(http__listen="127.0.0.1:0")
        with self.db.locked("ad_objects", "ACCESS EXCLUSIVE"):
            client = self.waiting(record(externalId="old", amountCents=2))
            wait_until(lambda: "no answer to a look-up for 3 s" in self.d.log(), "the log says so")
            self.assertFalse(self.d.ready())
        self.assertEqual(client.finish().counts(), (1, 1, 0, 0))
        wait_until(self.d.ready, "it is ready again")


class Changes(Faults):
    def trigger(self, table, body, when="INSERT OR UPDATE"):
        self.db.execute(f"""
            CREATE OR REPLACE FUNCTION change() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN {body} END $f$;
            DROP TRIGGER IF EXISTS change ON {table};
            CREATE TRIGGER change BEFORE {when} ON {table} FOR EACH ROW EXECUTE FUNCTION change()""")

    def assert_waits(self, table, lines):
        """All but the first are stored as sent; the first one once the trigger is dropped."""
        seen = self.d.log().count("the database changes what it stores")
        client = self.waiting(lines[0])
        others = lines[1:]
        wait_until(lambda: self.d.log().count("the database changes what it stores") > seen, "the log says so")
        self.assert_pass("changes", *others)
        self.db.execute(f"DROP TRIGGER change ON {table}")
        replies = client.finish()
        self.assertEqual(replies.counts(), (1, 1, 0, 0), replies.rejects)

    def test_an_external_id_is_trimmed(self):
        self.trigger("ad_objects", "NEW.external_id := btrim(NEW.external_id); RETURN NEW;")
        self.assert_waits("ad_objects", [ad_object(" x "), ad_object("y")])
        self.trigger("ad_accounts", "NEW.external_id := btrim(NEW.external_id); RETURN NEW;")
        self.assert_waits("ad_accounts", [account(self.connection, " x "), account(self.connection, "y")])
        self.assertEqual(self.names(), "x =Object  x  c1=Object c1 old=Object old y=Object y")

    def test_a_trigger_changes_an_external_id_to_an_existing_one(self):
        self.trigger("ad_objects", "IF NEW.external_id = 'x' THEN NEW.external_id := 'y'; END IF; RETURN NEW;")
        self.assert_waits("ad_objects", [ad_object("x"), ad_object("y")])

    def test_a_value_is_changed(self):
        for n, (line, body) in enumerate([(ad_object("a", name="Upper"), "NEW.name := lower(NEW.name);"),
                                          (ad_object("b", platformData={"x": 1}), "NEW.platform_data := NULL;"),
                                          (ad_object("c1", name="new"), "NEW.name := OLD.name;")]):
            self.trigger("ad_objects", f"IF NEW.external_id = '{line['externalId']}' THEN {body} END IF; RETURN NEW;",
                         "INSERT OR UPDATE" if n < 2 else "UPDATE")
            self.assert_waits("ad_objects", [line, ad_object(f"other {n}")])

    def test_every_row_is_changed(self):
        """No row is at fault: all wait, undivided."""
        self.trigger("ad_objects", "NEW.external_id := NEW.external_id || '!'; RETURN NEW;")
        client = self.waiting(*[ad_object(f"n{i}") for i in range(50)])
        wait_until(lambda: self.d.log().count("the database changes what it stores") >= 3, "some attempts")
        self.db.execute("DROP TRIGGER change ON ad_objects")
        self.assertEqual(client.finish().counts(), (50, 50, 0, 0))
        self.assertEqual(self.db.value("SELECT count(*) FROM ad_objects WHERE external_id LIKE '%!'"), "0")

    def test_a_row_is_skipped(self):
        for table, line in (("ad_objects", lambda n, **f: ad_object(n, **f)),
                            ("ad_accounts", lambda n, **f: account(self.connection, n, **f))):
            self.trigger(table, "IF NEW.name = 'skip' THEN RETURN NULL; END IF; RETURN NEW;")
            replies = self.d.send(*[line(f"n{i}", name="skip" if i % 7 == 3 else "good") for i in range(20)])
            self.assertEqual(replies.codes(), {4: "refused_by_database", 11: "refused_by_database",
                                               18: "refused_by_database"}, replies.rejects)
            self.assertEqual(replies.counts(), (20, 17, 0, 3))
            self.assertIn("02000", replies.rejects[4]["message"])
            self.db.execute(f"DROP TRIGGER change ON {table}")

    def test_every_row_is_skipped(self):
        self.trigger("ad_objects", "RETURN NULL;")
        client = self.waiting(*[ad_object(f"n{i}") for i in range(5)])
        wait_until(lambda: self.d.log().count("02000") >= 2, "some attempts")
        self.db.execute("DROP TRIGGER change ON ad_objects")
        self.assertEqual(client.finish().counts(), (5, 5, 0, 0))


class AsSent(Faults):
    def platform_data(self):
        return self.db.value("SELECT platform_data FROM ad_objects WHERE external_id = 'c1'")

    def send_data(self, text):
        return self.d.send(json.dumps(ad_object("c1", platformData="?")).replace('"?"', text)).counts()[1:3]

    def test_platform_data(self):
        for text, stored in (('{"budget":1}', '{"budget": 1}'), ('{"budget":1.00}', '{"budget": 1.00}'),
                             ('{"a":[1.10,{"b":2}]}', '{"a": [1.10, {"b": 2}]}'),
                             ('{"a":[1.1,{"b":2.0}]}', '{"a": [1.1, {"b": 2.0}]}')):
            self.assertEqual(self.send_data(text), (1, 0), text)
            self.assertEqual(self.platform_data(), stored)
            self.assertEqual(self.send_data(text), (0, 1), text)
        self.assertEqual(self.send_data('{"b":1e2,"a":[]}'), (1, 0))
        self.assertEqual(self.send_data('{ "a": [], "b": 100 }'), (0, 1))  # neither order nor exponent count

    def test_crafted_account_ids_stay_two_accounts(self):
        """Without a seed their keys have the same hash: XXH3 multiplies the text with a known secret, here 0."""
        def craft(p, q):
            text = bytearray(b"x" * 250)
            text[12:21] = p + b"aa\xf1\x83\x90\x97\xdb\x80"
            text[76:84] = q + b"aa\xe1\xb7\xb3g\x1f"
            return text.decode()

        ids = [craft(b"a", b"b"), craft(b"b", b"a")]
        self.assertEqual(self.d.send(*[account(self.connection, i) for i in ids]).counts(), (2, 2, 0, 0))
        lines = [ad_object(f"{n}", accountExternalId=i) for n, i in enumerate(ids)]
        self.assertEqual(self.d.send(*lines).counts(), (2, 2, 0, 0))
        self.assertEqual(self.db.value("SELECT count(*), count(DISTINCT ad_account_id) FROM ad_objects "
                                       "WHERE external_id IN ('0', '1')"), "2|2")


class Settings(TestCase):
    def test_levels_and_an_isolation_level_of_the_role(self):
        """A decision still holds when it is written: a parent that becomes an AD_SET has no children of that level."""
        connection = self.db.create_connection()
        self.db.execute(f"ALTER DATABASE {self.db.name} SET default_transaction_isolation = 'repeatable read'")
        one, other = self.daemon(), self.daemon()
        self.assertEqual(one.send(account(connection), ad_object("x"), ad_object("y")).counts(), (3, 3, 0, 0))
        clients = [one.client(), other.client()]
        with self.db.locked("ad_objects", "SHARE"):
            clients[0].send(ad_object("x", "AD_SET", "y"))
            wait_until(lambda: self.waiting() == "1", "the first waits")
            clients[1].send(ad_object("s", "AD_SET", "x"))
            wait_until(lambda: self.waiting() == "2", "the second waits for the first")
        replies = [client.finish() for client in clients]
        self.assertEqual(sorted(r.counts() for r in replies), [(1, 0, 0, 1), (1, 1, 0, 0)])

    def waiting(self):
        return self.db.value("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                             "AND wait_event_type = 'Lock'")


if __name__ == "__main__":
    unittest.main()
