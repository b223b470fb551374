"""No secret in a log, an error, a reply or the process's title."""

import os
import pathlib
import time
import unittest

from lib.harness import TestCase, psql, record, run_ingestd, wait_until

SECRET = "s3cr3t-hunter2"


def with_password(url):
    """The URL with a password that the server, trusting loopback, does not ask for."""
    scheme, rest = url.split("://")
    user, at, host = rest.rpartition("@")
    return f"{scheme}://{user or 'postgres'}:{SECRET}@{host}"


class Secrets(TestCase):
    def test_password_in_the_url(self):
        if "://" not in self.db.url:
            self.skipTest("DATABASE_URL is no URL")
        self.db.add_account()
        self.db.url = with_password(self.db.url)
        d = self.daemon(log__level="debug", database__url=self.db.url)
        title = pathlib.Path(f"/proc/{d.process.pid}/cmdline").read_bytes()
        self.assertNotIn(SECRET.encode(), title)
        self.assertEqual(d.send(record(), record(externalId="none"), b"x").counts(), (3, 1, 0, 2))
        self.db.execute("ALTER TABLE ad_objects RENAME TO away")
        client = d.client()
        client.send(record(externalId="2"))
        time.sleep(0.3)
        self.db.execute("ALTER TABLE away RENAME TO ad_objects")
        client.finish()
        self.assertIn("the database cannot be used", d.log())
        psql(self.server.url, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{self.db.name}'")
        wait_until(lambda: "connection lost" in d.log(), "the daemon noticed")
        self.assertEqual(d.send(record(amountCents=2)).counts(), (1, 1, 0, 0))
        self.assertNotIn(SECRET, d.log())

    def test_commands_that_fail(self):
        for url in (f"postgresql://u:{SECRET}@127.0.0.1:1/db", f"postgresql://u:{SECRET}@[bad/db",
                    f"postgresql://u:{SECRET}@h/db?nonsense={SECRET}", f"password={SECRET} nonsense",
                    f"host=127.0.0.1 port=1 password='{SECRET}"):
            for command in (["check"], ["migrate"], ["connection", "list"]):
                for args in ([f"--set=database.url={url}"], []):
                    os.environ["PGPASSWORD"] = SECRET
                    saved, self.db.url = self.db.url, url
                    done = run_ingestd(self.db, *command, *args)
                    self.db.url = saved
                    del os.environ["PGPASSWORD"]
                    self.assertEqual(done.returncode, 1, (url, command))
                    self.assertTrue(done.stderr or done.stdout)
                    self.assertNotIn(SECRET, done.stdout + done.stderr, (url, command))

    def test_mistyped_options(self):
        for args in ([f"--database.url=postgresql://u:{SECRET}@h/db"], [f"--sett=database.url=password={SECRET}"],
                     [f"postgresql://u:{SECRET}@h/db"], ["check", f"database.url=password={SECRET}"]):
            done = run_ingestd(None, *args)
            self.assertEqual(done.returncode, 2, args)
            self.assertNotIn(SECRET, done.stdout + done.stderr)

    def test_credentials(self):
        done = run_ingestd(self.db, "connection", "create", "META", stdin=f'{{"token":"{SECRET}"}}')
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.db.value("SELECT credentials->>'token' FROM platform_connections"), SECRET)
        shown = run_ingestd(self.db, "connection", "list")
        self.assertIn(done.stdout.strip(), shown.stdout)
        broken = run_ingestd(self.db, "connection", "create", "META", stdin=f'{{"token":"{SECRET}"')
        self.assertEqual(broken.returncode, 1)
        refused = run_ingestd(self.db, "connection", "create", "META", stdin=f'{{"token":"{SECRET}\\u0000"}}')
        self.assertEqual(refused.returncode, 1)
        for done in (shown, broken, refused):
            self.assertNotIn(SECRET, done.stdout + done.stderr)


if __name__ == "__main__":
    unittest.main()
