"""OAuth credentials at rest: encrypted, bound to their row, moved to other keys."""

import base64
import json
import os
import pathlib
import pty
import resource
import signal
import subprocess
import tempfile
import threading
import time
import unittest
import uuid

from lib.harness import INGESTD, TestCase, run_ingestd, wait_until

SECRET = {"token": "s3cr3t-hunter2", "scopes": ["ads", "\u00fc"]}


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Credentials(TestCase):
    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory(prefix="ingestd-keys-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.keys = [{"kty": "oct", "kid": kid, "k": b64(os.urandom(32))} for kid in ("new", "old", "other")]
        self.one, self.two = self.key_file("one", self.keys[1:2]), self.key_file("two", self.keys[0:2])

    def key_file(self, name, keys):
        path = self.folder / name
        path.write_text(json.dumps({"keys": keys}))
        path.chmod(0o600)
        return str(path)

    def run_with(self, keys, *args, stdin="", **settings):
        options = [f"--set=credentials.key_file={keys}"] if keys else []
        options += [f"--set={key.replace('__', '.')}={value}" for key, value in settings.items()]
        done = run_ingestd(self.db, *args, *options, stdin=stdin)
        if args[:2] != ("connection", "show"):
            self.assertNotIn("hunter2", done.stdout)
        self.assertNotIn("hunter2", done.stderr)
        for key in self.keys:
            self.assertNotIn(key["k"], done.stdout + done.stderr)
        return done

    def create(self, keys, *args, secret=SECRET):
        done = self.run_with(keys, "connection", "create", "META", *args, stdin=json.dumps(secret))
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.strip()

    def show(self, keys, made):
        return self.run_with(keys, "connection", "show", made)

    def assert_shows(self, keys, made, secret=SECRET):
        done = self.show(keys, made)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(json.loads(done.stdout), secret)

    def stored(self, made):
        return json.loads(self.db.value(f"SELECT credentials FROM platform_connections WHERE id = '{made}'"))

    def store(self, made, jwe):
        self.db.execute(f"UPDATE platform_connections SET credentials = $j${json.dumps(jwe)}$j$ WHERE id = '{made}'")


class AtRest(Credentials):
    def test_form(self):
        made = self.create(self.one)
        jwe = self.stored(made)
        self.assertEqual(set(jwe), {"protected", "iv", "ciphertext", "tag", "aad"})
        self.assertEqual(json.loads(unb64(jwe["protected"])), {"alg": "dir", "enc": "A256GCM", "kid": "old"})
        self.assertEqual(unb64(jwe["aad"]).decode(), made)
        self.assertEqual((len(unb64(jwe["iv"])), len(unb64(jwe["tag"]))), (12, 16))
        self.assert_shows(self.one, made)
        self.assert_shows(self.two, made)
        self.assertNotEqual(self.stored(self.create(self.one))["iv"], jwe["iv"])
        given = str(uuid.uuid4())
        self.assertEqual(self.create(self.one, "--id", given.upper()), given)
        self.assert_shows(self.one, given)

    def test_key_files(self):
        raw, single = self.folder / "raw", self.folder / "single"
        raw.write_bytes(os.urandom(32))
        single.write_text(json.dumps({"kty": "oct", "k": b64(os.urandom(32))}))
        for path in raw, single:
            made = self.create(str(path))
            self.assert_shows(str(path), made)
            self.assertEqual(len(unb64(json.loads(unb64(self.stored(made)["protected"]))["kid"])), 32)
        bad = self.folder / "bad"
        for text in ("", "x" * 31, "{}", '{"keys":[]}', json.dumps({"kty": "oct", "k": b64(os.urandom(16))}),
                     json.dumps({"kty": "RSA", "n": "x", "e": "AQAB"}), '{"keys":[1]}', '{"keys":',
                     json.dumps({"keys": [self.keys[0], self.keys[0]]})):
            bad.write_text(text)
            done = self.run_with(str(bad), "connection", "create", "META", stdin="{}")
            self.assertEqual(done.returncode, 1, text)
            self.assertRegex(done.stderr, r"credentials\.key_file .*: .+", text)
        self.assertEqual(self.run_with("/nowhere", "connection", "create", "META", stdin="{}").returncode, 1)

    def test_update(self):
        made = self.create(None)
        self.assertEqual(self.stored(made), SECRET)
        done = self.run_with(self.one, "connection", "update", made, stdin='{"token":"hunter2-2"}')
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assert_shows(self.one, made, {"token": "hunter2-2"})
        self.assertEqual(self.run_with(self.one, "connection", "update", str(uuid.uuid4()), stdin="{}").returncode, 1)
        self.assertEqual(self.run_with(self.one, "connection", "update", made, stdin="[]").returncode, 1)
        jwe = json.dumps(self.stored(made))
        self.assertIn("already", self.run_with(self.one, "connection", "update", made, stdin=jwe).stderr)

    def test_swapped_altered_and_shortened(self):
        made, other = self.create(self.one), self.create(self.one, secret={"token": "hunter2 of another"})
        good, foreign = self.stored(made), self.stored(other)
        self.store(made, foreign)
        self.assertIn("belong to another connection", self.show(self.one, made).stderr)
        self.store(made, foreign | {"aad": good["aad"]})
        self.assertIn("altered", self.show(self.one, made).stderr)
        for member in good:
            text = good[member]
            broken = [text[:-1], text[1:], text + "A", "", text[:-1] + ("A" if text[-1] != "A" else "B"),
                      ("A" if text[0] != "A" else "B") + text[1:], text[:4] + "=" + text[4:], foreign[member][:-4]]
            for value in [b for b in broken if b != text]:
                self.store(made, good | {member: value})
                done = self.show(self.one, made)
                self.assertEqual((done.returncode, done.stdout), (1, ""), (member, value))
                self.assertIn(made, done.stderr)
            self.store(made, {key: value for key, value in good.items() if key != member})
            if member not in ("protected", "ciphertext", "tag"):  # without these it is taken for plain JSON
                self.assertEqual(self.show(self.one, made).returncode, 1, member)
        for header in ({"alg": "none"}, {"alg": "dir", "enc": "A128GCM", "kid": "old"},
                       {"alg": "dir", "enc": "A256GCM", "kid": "old", "zip": "DEF"},
                       {"alg": "dir", "enc": "A256GCM", "kid": "old", "crit": ["x"]}, {"alg": "dir", "enc": "A256GCM"}):
            self.store(made, good | {"protected": b64(json.dumps(header).encode())})
            self.assertEqual(self.show(self.one, made).returncode, 1, header)
        self.store(made, good | {"unprotected": {"alg": "none"}})
        self.assertEqual(self.show(self.one, made).returncode, 1)
        self.store(made, good)
        self.assert_shows(self.one, made)

    def test_wrong_keys(self):
        made = self.create(self.one)
        self.assertIn("no key of its kid", self.show(self.key_file("foreign", self.keys[2:]), made).stderr)
        same_name = self.key_file("same", [self.keys[2] | {"kid": "old"}])
        self.assertIn("another key of the same kid", self.show(same_name, made).stderr)
        self.assertEqual(self.show(None, made).returncode, 1)

    def test_require(self):
        plain, encrypted = self.create(None), self.create(self.one)
        on = {"credentials__require": "on"}
        self.assertIn("set credentials.key_file", self.run_with(None, "connection", "create", "META", stdin="{}", **on).stderr)
        self.assertIn("credentials.require is on", self.run_with(self.one, "connection", "show", plain, **on).stderr)
        self.assertEqual(self.run_with(self.one, "connection", "show", encrypted, **on).returncode, 0)
        check = ("check", "--set=listen.unix=/tmp/never", "--set=http.listen=")
        done = self.run_with(self.one, *check, **on)
        self.assertIn(f"wrong  credentials: those of connection {plain} are plain", done.stdout)
        self.assertNotIn(encrypted, done.stdout)
        done = self.run_with(self.two, *check)
        self.assertIn(f"warning: credentials: those of connection {plain} are plain", done.stdout)
        self.assertIn(f"warning: credentials: those of connection {encrypted} are encrypted with the old key old", done.stdout)
        self.assertEqual(self.run_with(self.two, "connection", "reencrypt").returncode, 0)
        self.assertIn("all of 2 connections are encrypted with the current key", self.run_with(self.two, *check, **on).stdout)

    def test_list(self):
        plain, old = self.create(None), self.create(self.one)
        new, foreign = self.create(self.two), self.create(self.key_file("foreign", self.keys[2:]))
        lines = {line.split()[0]: line for line in self.run_with(self.two, "connection", "list").stdout.splitlines()}
        self.assertIn(", plain credentials", lines[plain])
        self.assertIn(", encrypted with an old key (kid old)", lines[old])
        self.assertIn(", encrypted (kid new)", lines[new])
        self.assertIn(", encrypted with an unknown key (kid other)", lines[foreign])
        self.assertEqual(run_ingestd(self.db.daemon_url, "connection", "list").returncode, 0)  # without rights on them

    def test_terminal(self):
        made = self.create(self.one)
        for extra, expected in ([], 1), (["--to-terminal"], 0):
            ours, theirs = pty.openpty()
            process = subprocess.Popen([INGESTD, "connection", "show", made, f"--set=credentials.key_file={self.one}", *extra],
                                       stdout=theirs, stderr=subprocess.PIPE, env=dict(os.environ, DATABASE_URL=self.db.url))
            _, errors = process.communicate(timeout=60)
            os.close(theirs)
            self.assertEqual(process.returncode, expected, errors)
            if expected == 0:
                self.assertIn(b"hunter2", os.read(ours, 65536))
            else:
                self.assertIn(b"terminal", errors)
            os.close(ours)

    def test_no_core_file(self):
        read, write = os.pipe()
        process = subprocess.Popen([INGESTD, "connection", "create", "META"], stdin=read, stdout=subprocess.DEVNULL,
                                   env=dict(os.environ, DATABASE_URL=self.db.url),
                                   preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (1 << 30, 1 << 30)))
        os.close(read)
        limits = pathlib.Path(f"/proc/{process.pid}/limits")
        wait_until(lambda: limits.exists() and "Max core file size        0 " in limits.read_text(), "no core file")
        process.send_signal(signal.SIGKILL)
        process.wait()
        os.close(write)


class Rotation(Credentials):
    def fill(self, count=6):
        made = [self.create(self.one if n % 2 else None) for n in range(count)]
        return made

    def test_reencrypt(self):
        made = self.fill()
        done = self.run_with(self.two, "connection", "reencrypt")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("3 connections encrypted that were plain, 3 moved from old keys, 0 were", done.stdout)
        only_new = self.key_file("only", self.keys[:1])
        for one in made:
            self.assert_shows(only_new, one)
        before = [self.stored(one) for one in made]
        self.assertIn("6 were under it already", self.run_with(self.two, "connection", "reencrypt").stdout)
        self.assertEqual([self.stored(one) for one in made], before)
        self.assertEqual(self.run_with(None, "connection", "reencrypt").returncode, 1)

    def test_rows_that_cannot_be_read_stay(self):
        made = self.fill(2)
        lost = self.create(self.key_file("foreign", self.keys[2:]))
        before = self.stored(lost)
        done = self.run_with(self.two, "connection", "reencrypt")
        self.assertEqual(done.returncode, 1)
        self.assertIn(lost, done.stderr)
        self.assertEqual(self.stored(lost), before)
        for one in made:
            self.assert_shows(self.key_file("only", self.keys[:1]), one)

    def test_killed_at_every_statement(self):
        """A trigger kills the session at the n-th row; all rows stay readable, and another run goes through."""
        made = self.fill(3)
        before = [self.stored(one) for one in made]
        self.db.execute("CREATE SEQUENCE rows_written; CREATE TABLE stop_at (n int); INSERT INTO stop_at VALUES (0); "
                        "CREATE FUNCTION stop() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN "
                        "IF nextval('rows_written') = (SELECT n FROM stop_at) THEN "
                        "PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(1); END IF; RETURN NEW; END $f$; "
                        "CREATE TRIGGER stop BEFORE UPDATE ON platform_connections FOR EACH ROW EXECUTE FUNCTION stop(); "
                        "CREATE TRIGGER stop_at_commit AFTER UPDATE ON platform_connections FOR EACH ROW EXECUTE FUNCTION stop()")
        for n in range(1, 7):
            self.db.execute(f"UPDATE stop_at SET n = {n}; ALTER SEQUENCE rows_written RESTART")
            done = self.run_with(self.two, "connection", "reencrypt")
            self.assertEqual(done.returncode, 1, n)
            self.assertEqual([self.stored(one) for one in made], before)
        self.db.execute("UPDATE stop_at SET n = 0")
        self.assertEqual(self.run_with(self.two, "connection", "reencrypt").returncode, 0)
        for one in made:
            self.assert_shows(self.two, one)

    def test_killed_process(self):
        made = self.fill(3)
        before = [self.stored(one) for one in made]
        with self.db.holding(f"SELECT FROM platform_connections WHERE id = '{made[-1]}' FOR UPDATE"):
            process = subprocess.Popen([INGESTD, "connection", "reencrypt", f"--set=credentials.key_file={self.two}"],
                                       env=dict(os.environ, DATABASE_URL=self.db.url), stderr=subprocess.DEVNULL)
            wait_until(lambda: self.db.value("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                                             "AND wait_event_type = 'Lock'") == "1", "it waits")
            process.kill()
            process.wait()
        self.assertEqual([self.stored(one) for one in made], before)

    def test_beside_other_writers(self):
        """An update that comes meanwhile is neither lost nor brought back."""
        made = self.fill(2)
        with self.db.holding(f"UPDATE platform_connections SET updated_at = now() WHERE id = '{made[1]}'", end="COMMIT"):
            rotation = threading.Thread(target=self.run_with, args=(self.two, "connection", "reencrypt"))
            rotation.start()
            time.sleep(0.5)
        rotation.join()
        threads = [threading.Thread(target=self.run_with, args=(self.two, "connection", "update", made[0]),
                                    kwargs={"stdin": '{"token":"hunter2-later"}'}),
                   threading.Thread(target=self.run_with, args=(self.two, "connection", "reencrypt"))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assert_shows(self.two, made[0], {"token": "hunter2-later"})
        self.assert_shows(self.two, made[1])


if __name__ == "__main__":
    unittest.main()
