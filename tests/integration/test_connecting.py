"""Connecting to the database: advice that fits the error, told once; a rotated password; several hosts; too few connections.
It has its own server, whose pg_hba.conf it changes."""

import pathlib
import re
import socket
import tempfile
import threading
import time
import unittest

from lib.harness import TestCase, numbered, psql, record, run_ingestd, wait_until


class Connecting(TestCase):
    def setUp(self):
        super().setUp()
        self.server.need_private()
        self.db.add_account()
        self.dir = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="ingestd-")))
        self.port = re.search(r":(\d+)/", self.server.url)[1]

    def url(self, role, host, database=None):
        return f"postgresql://{role}@/{database or self.db.name}?host={host}&port={self.port}"

    @property
    def sockets(self):
        return f"{self.server.dir}/data"

    def add_rule(self, rule):
        rules = pathlib.Path(self.server.dir, "data/db/pg_hba.conf")
        before = rules.read_text()
        rules.write_text(f"{rule}\n{before}")
        self.addCleanup(rules.write_text, before)
        psql(self.server.url, "SELECT pg_reload_conf()")

    def add_role(self, name, options="LOGIN"):
        psql(self.db.url, f"CREATE ROLE {name} {options}; GRANT {self.db.role} TO {name}")
        self.addCleanup(psql, self.server.url, f"DROP ROLE {name}")

    def disconnect(self, role):
        psql(self.server.url, f"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = '{role}'")

    def test_advice_fits_and_comes_once(self):
        role = f"{self.db.role}_pw"
        self.add_role(role, "LOGIN PASSWORD 'right'")
        self.add_rule(f"local all {role} scram-sha-256")
        nowhere = f"postgresql:///x?host={self.dir}&port=1"
        for url, reason, advice in [
                (self.url(role, self.sockets), "no password supplied", "database.password_file"),
                (self.url(role, self.sockets).replace("@", ":wrong@"), "password authentication failed", "check the password"),
                (self.url("nobody_here", self.sockets), 'role "nobody_here" does not exist', "create the role"),
                (self.url("postgres", self.sockets, "no_such_db"), 'database "no_such_db" does not exist', "create the database"),
                ("postgresql://nowhere.invalid/x", "could not translate host name", "DNS"),
                ("postgresql://127.0.0.1:1/x", "Connection refused", "start PostgreSQL"),
                (nowhere, "No such file", "start PostgreSQL")]:
            done = run_ingestd(url, "check", "--config", "/dev/null", "--set", "http.listen=")
            self.assertRegex(done.stdout, rf"(?m)^wrong  database: .*{reason}.*\(.*{advice}", done.stdout)
            self.assertIn(advice, run_ingestd(url, "connection", "list", "--config", "/dev/null").stderr)
            d = self.daemon(database__url=url)
            wait_until(lambda: reason in d.log(), reason)
            time.sleep(0.5)
            warnings = re.findall(r"(?m)^\S+ warn .*", d.log())
            self.assertEqual(len(warnings), 1, warnings)
            self.assertRegex(warnings[0], rf"{reason}.*\(.*{advice}")
            self.assertNotIn("wrong", warnings[0].replace("wrong user", ""))
            d.kill()
        done = run_ingestd(None, "check", "--config", "/dev/null", env={"DATABASE_URL": "", "PGHOST": "", "PGPORT": "1"})
        self.assertRegex(done.stdout, r"(?m)^wrong  database: .*\(set DATABASE_URL; the service reads it from /\S+/environment\)")
        done = run_ingestd('"postgresql://127.0.0.1/x"', "check", "--config", "/dev/null", "--config-only")
        self.assertIn("must not be in quotes", done.stdout)

    def test_a_missing_table_is_not_a_lost_connection(self):
        d = self.daemon()
        self.assertEqual(d.send(record()).counts()[1], 1)
        self.db.execute("ALTER TABLE ad_objects RENAME TO away")
        client = d.client()
        client.send(record(externalId="2"))
        wait_until(lambda: "tables are missing: run boris-ingestd migrate" in d.log(), "the log says so")
        self.db.execute("ALTER TABLE away RENAME TO ad_objects")
        self.assertEqual(client.finish().counts(), (1, 1, 0, 0))
        self.assertNotIn("connection lost", d.log())

    def test_a_rotated_password(self):
        role = f"{self.db.role}_rot"
        self.add_role(role, "LOGIN PASSWORD 'first'")
        psql(self.db.url, f"ALTER ROLE {role} SET role = '{self.db.role}'")
        self.add_rule(f"local all {role} scram-sha-256")
        file = self.dir / "password"
        file.write_text("first\n")
        file.chmod(0o600)
        d = self.daemon(database__url=self.url(role, self.sockets), database__password_file=str(file))
        self.assertEqual(d.send(record()).counts()[1], 1)
        psql(self.server.url, f"ALTER ROLE {role} PASSWORD 'second'")
        file.write_text("second\n")
        self.disconnect(role)
        self.assertEqual(d.send(record(amountCents=2)).counts()[1], 1)
        self.assertNotIn("authentication failed", d.log())
        d.signal(1)
        wait_until(lambda: "SIGHUP: configuration read again; changed: database.password_file" in d.log(), "a reload")
        for word in ("first", "second"):
            self.assertNotIn(word, d.log())

    def test_a_dead_host_is_not_tried_first_each_time(self):
        silent = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(silent.close)
        tries = []

        def accept():
            while True:
                try:
                    tries.append(silent.accept()[0])
                except OSError:
                    return
        threading.Thread(target=accept, daemon=True).start()
        url = (f"postgresql:///{self.db.name}?host=127.0.0.1,{self.sockets}&port={silent.getsockname()[1]},{self.port}"
               f"&user=postgres&connect_timeout=2&options=-crole%3D{self.db.role}")
        d = self.daemon(database__url=url)
        self.assertEqual(d.send(record()).counts()[1], 1)
        psql(self.server.url, f"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '{self.db.name}'")
        before = len(tries)
        self.assertEqual(d.send(record(amountCents=2)).counts()[1], 1)
        self.assertGreater(before, 0)
        self.assertEqual(len(tries), before)
        silent.shutdown(socket.SHUT_RDWR)

    def test_fewer_writers_than_nothing(self):
        role = f"{self.db.role}_few"
        self.add_role(role, "LOGIN CONNECTION LIMIT 4")
        psql(self.db.url, f"ALTER ROLE {role} SET role = '{self.db.role}'")
        url = self.url(role, self.sockets)
        done = run_ingestd(url, "check", "--config", "/dev/null", "--set", "database.writers=6")
        self.assertRegex(done.stdout, r"wrong  connections: the daemon uses 9, the role allows 4: fewer writers run, and below 4 some lines "
                                      r"cannot be stored: raise the role's CONNECTION LIMIT")
        d = self.daemon(database__url=url, database__writers=6, daemon__workers=1)
        connection = self.db.value("SELECT id FROM platform_connections")
        line = {"kind": "adAccount", "connectionId": connection, "externalId": "act_9", "name": "x", "currency": "USD", "timezone": "UTC"}
        self.assertEqual(d.send(line, *numbered(100)).counts(), (101, 101, 0, 0))
        self.assertIn("too many connections for role", d.log())
        self.assertIn("CONNECTION LIMIT", d.log())


if __name__ == "__main__":
    unittest.main()
