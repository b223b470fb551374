"""OAuth credentials at rest: encrypted, bound to their row, moved to other keys."""

import base64
import contextlib
import json
import os
import pathlib
import pty
import re
import resource
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import unittest
import uuid

from lib.harness import INGESTD, TestCase, accepted, run_ingestd, wait_until

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
        self.one_new = self.key_file("one_new", self.keys[:1])

    def key_file(self, name, keys):
        path = self.folder / name
        path.write_text(json.dumps({"keys": keys}))
        path.chmod(0o600)
        return str(path)

    def run_with(self, keys, *args, stdin="", url=None, **settings):
        options = [f"--set=credentials.key_file={keys}"] if keys else []
        options += [f"--set={key.replace('__', '.')}={value}" for key, value in settings.items()]
        done = run_ingestd(url or self.db, *args, *options, stdin=stdin)
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

    @unittest.skipUnless(os.getuid() == 0 and shutil.which("setpriv"), "only root can be another user")
    def test_a_reload_needs_no_right_to_read_the_keys(self):
        """systemd runs this as the daemon's user, who does not read credentials."""
        check = [INGESTD, "check", "--config-only", "--config", "/dev/null", "--set", f"credentials.key_file={self.one}"]
        for who in [], ["setpriv", "--reuid=12345", "--regid=12345", "--clear-groups"]:
            self.folder.chmod(0o755)
            done = subprocess.run([*who, *check], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
            self.assertEqual(done.returncode, 0, done.stdout)
            self.assertIn("ok     configuration\n", done.stdout)
            self.assertEqual("credentials.key_file: not checked" in done.stdout, bool(who), done.stdout)

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
        self.assertIn(f"wrong  credentials: those of platform connection {plain} are plain", done.stdout)
        self.assertNotIn(encrypted, done.stdout)
        done = self.run_with(self.two, *check)
        self.assertIn(f"warning: credentials: those of platform connection {plain} are plain", done.stdout)
        self.assertIn(f"warning: credentials: those of platform connection {encrypted} are encrypted with the old key old", done.stdout)
        self.assertEqual(self.run_with(self.two, "connection", "reencrypt").returncode, 0)
        self.assertIn("all of 2 platform connections are encrypted with the current key", self.run_with(self.two, *check, **on).stdout)

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
        self.assertIn("3 plain connections encrypted, 3 moved from old keys, 0 already under it", done.stdout)
        for one in made:
            self.assert_shows(self.one_new, one)
        before = [self.stored(one) for one in made]
        self.assertIn("6 already under it", self.run_with(self.two, "connection", "reencrypt").stdout)
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
            self.assert_shows(self.one_new, one)

    def pass_gate(self, gate, made, by):
        """Starts reencrypt, which stops at the gate; lets another process change the first row meanwhile; ends reencrypt, or lets
        it go on. Returns its exit status."""
        environment = dict(os.environ, DATABASE_URL=gate.url)
        rotation = subprocess.Popen([INGESTD, "connection", "reencrypt", f"--set=credentials.key_file={self.two}"],
                                    env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(gate.held.is_set, "reencrypt is at the statement")
        update = subprocess.Popen([INGESTD, "connection", "update", made[0], f"--set=credentials.key_file={self.one}"],
                                  env=environment | {"DATABASE_URL": self.db.url}, stdin=subprocess.PIPE, text=True)
        self.token = {"token": f"hunter2 {uuid.uuid4()}"}
        update.stdin.write(json.dumps(self.token))
        update.stdin.close()
        wait_until(lambda: update.poll() is not None or self.db.value(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'") == "1",
            "the update is done, or waits for reencrypt")
        if by == "process":
            rotation.kill()
            rotation.wait(60)
        elif by == "backend":
            self.db.execute(f"SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE client_port = {gate.port_at_server}")
        gate.release(pass_on=by == "nobody")
        self.assertEqual(update.wait(60), 0)
        return rotation.wait(60)

    def test_killed_at_every_statement(self):
        """The command or its backend is killed before each statement, and after the server has executed it but before the
        answer, while another process changes a row. All rows stay readable, and another run goes through."""
        made = self.fill(2)
        before = [json.dumps(self.stored(one)) for one in made]
        gate = Gate(self, self.db.url)
        self.assertEqual(self.run_with(self.two, "connection", "reencrypt", url=gate.url).returncode, 0)
        statements = gate.statements
        begin = len(statements) - 5  # what is before sets the session up
        self.assertEqual([s[:6] for s in statements[begin:]], [b"BEGIN", b"SELECT", b"UPDATE", b"UPDATE", b"COMMIT"])
        ways = ((False, "process"), (True, "backend"), (False, "nobody"), (True, "process"), (False, "backend"))
        for n in range(begin, len(statements)):
            every = statements[n] == b"COMMIT" or os.environ.get("EACH_STATEMENT")
            for executed, by in ways if every else [ways[(2 * n + i) % len(ways)] for i in range(2)]:
                with self.subTest(statement=statements[n], executed=executed, by=by):
                    for one, jwe in zip(made, before):
                        self.store(one, json.loads(jwe))
                    gate.arm(n, executed)
                    status = self.pass_gate(gate, made, by)
                    self.assertEqual(status, {"process": -signal.SIGKILL, "backend": 1, "nobody": 0}[by])
                    committed = status == 0 or (executed and statements[n] == b"COMMIT")
                    self.assertEqual(json.dumps(self.stored(made[1])) != before[1], committed)
                    # this decrypts all rows, and fails if one cannot be read
                    self.assertEqual(self.run_with(self.two, "connection", "reencrypt").returncode, 0)
                    self.assert_shows(self.one_new, made[0], self.token)
                    if committed:
                        self.assert_shows(self.one_new, made[1])


class Gate:
    """A proxy to the server that holds the n-th statement of a session: before the server gets it, or until the server has
    executed it, and then its answer (PostgreSQL documentation, message formats)."""

    def __init__(self, test, url):
        match = re.match(r"^(postgres\w*://)([^@/]*@)?(127\.0\.0\.1|localhost):(\d+)(/.*)$", url)
        if not match:
            test.skipTest("the server is not on a loopback port")
        self.server = (match[3], int(match[4]))
        self.listener = socket.create_server(("127.0.0.1", 0))
        test.addCleanup(self.listener.close)
        self.url = f"{match[1]}{match[2] or ''}127.0.0.1:{self.listener.getsockname()[1]}{match[5]}"
        self.held, self.released = threading.Event(), threading.Event()
        self.arm(None, False)
        threading.Thread(target=self.accept, daemon=True).start()

    def arm(self, n, executed):
        """For the next session."""
        self.n, self.executed, self.statements = n, executed, []
        self.held.clear()
        self.released.clear()

    def release(self, pass_on):
        """Passes the statement on, or ends the session."""
        self.pass_on = pass_on
        self.released.set()

    def accept(self):
        for client in accepted(self.listener):
            with client, socket.create_connection(self.server) as server, contextlib.suppress(OSError):
                self.port_at_server = server.getsockname()[1]
                self.serve(client, server)
                for end in (client, server):  # closing alone does not wake the thread that reads
                    end.shutdown(socket.SHUT_RDWR)

    def serve(self, client, server):
        """A statement is a simple query, or the messages up to Sync, as libpq sends them."""
        self.silent, self.ready = threading.Event(), threading.Event()
        threading.Thread(target=self.pass_answers, args=(server, client), daemon=True).start()
        greeted, data, statement = False, b"", b""
        while piece := client.recv(1 << 16):
            data += piece
            while (length := self.length(data, greeted)) is not None:
                message, data = data[:length], data[length:]
                statement += message
                if not greeted:
                    greeted = length > 8  # a request for encryption comes before the greeting itself
                elif message[:1] in b"PBDE":
                    continue
                elif message[:1] in b"QS":
                    self.statements.append(statement[5:].lstrip(b"\0").split(b"\0")[0])
                    if len(self.statements) - 1 == self.n and not self.hold(server, statement):
                        return
                server.sendall(statement)
                statement = b""

    def hold(self, server, statement):
        if self.executed:
            self.silent.set()
            server.sendall(statement)
            assert self.ready.wait(60)
        self.held.set()
        self.released.wait(60)
        return self.pass_on

    def pass_answers(self, server, client):
        with contextlib.suppress(OSError):
            while piece := server.recv(1 << 16):
                if not self.silent.is_set():
                    client.sendall(piece)
                elif piece[-6:-1] == b"Z\0\0\0\5":  # ready for the next query
                    self.ready.set()
            client.shutdown(socket.SHUT_RDWR)

    @staticmethod
    def length(data, greeted):
        start = 1 if greeted else 0
        if len(data) < start + 4:
            return None
        length = start + struct.unpack_from(">I", data, start)[0]
        return length if len(data) >= length else None


if __name__ == "__main__":
    unittest.main()
