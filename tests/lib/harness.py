"""The basis of the integration tests: a real server, a real daemon, a plain client. The server is a private cluster
(cluster.sh), or the one of DATABASE_URL, where each test creates its own databases. Only the standard library, libpq and psql
are needed."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.request
import uuid
import weakref

from lib.client import Client
from lib.kept import Kept
from lib.psql import end_sessions, note_alteration, note_script, psql

ROOT = pathlib.Path(__file__).resolve().parents[2]
CLUSTER = ROOT / "tests/lib/cluster.sh"
ROLE_SQL = ROOT / "config/role.sql"
INGESTD = os.environ.get("INGESTD", str(ROOT / "build/release/src/boris-ingestd"))
if pathlib.Path(sys.argv[0]).name.startswith("test_") and not pathlib.Path(INGESTD).exists():
    raise SystemExit(f"{INGESTD} does not exist: build it (./tests/run.sh quick), or set INGESTD")
WORKERS = os.environ.get("DAEMON_WORKERS")  # for daemons whose test does not set it
SANITIZER_WORDS = ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "WARNING: ThreadSanitizer",
                   "runtime error:")


def accepted(listener):
    """Yields the sockets of clients that connect, until the listener is closed."""
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        yield client


def wait_until(condition, what, timeout=60.0, pause=0.02):
    """Calls condition() until it returns a true value, and returns that. @pause: for expensive conditions."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(pause)
    raise AssertionError(f"not after {timeout} s: {what}")


def with_database(url, name):
    """The URL of another database on the same server."""
    if "://" not in url:
        return f"{url} dbname={name}"
    return re.sub(r"^(\w+://[^/?]*)(/[^?]*)?", rf"\1/{name}", url)


def as_role(url, role):
    """The URL for sessions that act as @role, as if they had logged in as it."""
    if "://" not in url:
        return f"{url} options='-crole={role}'"
    return f"{url}{'&' if '?' in url else '?'}options=-crole%3D{role}"


# A file of tests with one of these in it has a server of its own, else it shares the one that run.sh has started.
NEEDS_OWN_SERVER = re.compile(r"\bserver\.(kill|stop_at_once|start|pause|need_private|dir|_cluster)\b|ALTER SYSTEM|"
                              r"Server\(\)|own server")


def shared_url(cls):
    """The URL of run.sh's server, if the file of the test class @cls may use it."""
    url = os.environ.get("TEST_SERVER_URL")
    if url and not NEEDS_OWN_SERVER.search(pathlib.Path(sys.modules[cls.__module__].__file__).read_text()):
        return url
    return None


class Server:
    """A PostgreSQL server with TimescaleDB: that of DATABASE_URL, the one at @shared, or a new one."""

    def __init__(self, shared=None):
        self.template = None
        self.shared = not os.environ.get("DATABASE_URL") and shared
        self.private = not os.environ.get("DATABASE_URL") and not shared
        if self.shared:
            self.url = shared
        elif self.private:
            self.dir = tempfile.mkdtemp(prefix="ingestd-")
            self.url = self._cluster("start")
        else:
            self.url = os.environ["DATABASE_URL"]

    def _cluster(self, command, *args):
        assert not self.shared, f'{command}: others use this server, too (write "own server" in the file of the test)'
        note_alteration()
        return subprocess.run([CLUSTER, command, self.dir, *args], check=True, stdout=subprocess.PIPE, text=True,
                              env=os.environ | {"CLUSTER_USE": "tests"}).stdout.strip()

    def need_private(self):
        if not self.private:
            raise unittest.SkipTest("this test stops the server, which is only done to a private one")

    def stop_at_once(self):
        self._cluster("stop", "immediate")

    def kill(self):
        self._cluster("kill")

    def start(self):
        self._cluster("restart")

    def pause(self, seconds):
        """Stops all processes of the server; its connections stay open."""
        self._cluster("pause")
        try:
            time.sleep(seconds)
        finally:
            self._cluster("resume")

    def make_template(self):
        """A database with the schema, as a template for copies, and a role of the same name for daemons, with the
        privileges they need and no others."""
        name = f"ingestd_test_{uuid.uuid4().hex[:12]}"
        url = with_database(self.url, name)
        migrated = os.environ.get("TEST_SERVER_TEMPLATE") if self.shared else None
        psql(self.url, f"CREATE DATABASE {name}" + (f" TEMPLATE {migrated} STRATEGY file_copy" if migrated else ""))
        if not migrated:
            run_ingestd(url, "migrate").check_returncode()
        psql(url, ROLE_SQL.read_text(), role=name)
        # TimescaleDB's own workers keep away from it, and are gone when CREATE DATABASE has waited for them
        psql(self.url, f"ALTER DATABASE {name} ALLOW_CONNECTIONS false; "
                       f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        self.template = name

    def close(self):
        end_sessions()
        if self.private:
            self._cluster("destroy")
            shutil.rmtree(self.dir, ignore_errors=True)
        elif self.template:
            psql(self.url, f"DROP DATABASE {self.template};\nDROP ROLE {self.template}")


class Database:
    """A fresh database with the schema."""

    role = None  # the daemons'
    fk_by_batch = False

    def __init__(self, server, migrated=True):
        self.server = server
        self.name = f"ingestd_test_{uuid.uuid4().hex[:12]}"
        self.url = self.daemon_url = with_database(server.url, self.name)
        if not migrated:
            psql(server.url, f"CREATE DATABASE {self.name}")
            return
        if not server.template:
            server.make_template()
        self.role = server.template
        self.daemon_url = as_role(self.url, self.role)
        psql(server.url, f"CREATE DATABASE {self.name} TEMPLATE {server.template} STRATEGY file_copy")

    def add_role(self):
        """Adds the daemons' role to a database that was created without a schema."""
        self.role = self.name
        self.daemon_url = as_role(self.url, self.role)
        psql(self.url, ROLE_SQL.read_text(), role=self.role)

    def execute(self, sql):
        return psql(self.url, sql)

    def query(self, sql):
        """The rows as dictionaries, converted from JSON."""
        text = psql(self.url, f"SELECT coalesce(json_agg(q), '[]') FROM ({sql}) q")
        return json.loads(text)

    def value(self, sql):
        return psql(self.url, sql).strip()

    def count(self):
        return int(self.value("SELECT count(*) FROM spending"))

    def add_account(self, external_id="act_1", platform="META", objects=("1", "2", "3")):
        """Adds a platform connection with this account and these objects; returns the connection's id."""
        connection = str(uuid.uuid4())
        values = ",".join(f"($${o}$$)" for o in objects)
        self.execute(f"""
            INSERT INTO platform_connections (id, platform, credentials) VALUES ('{connection}', '{platform}', '{{}}');
            WITH a AS (INSERT INTO ad_accounts (platform_connection_id, external_id, currency, timezone)
                       VALUES ('{connection}', '{external_id}', 'USD', 'UTC') RETURNING id)
            INSERT INTO ad_objects (ad_account_id, external_id, type, status)
            SELECT a.id, o, 'AD', 'ACTIVE' FROM a, (VALUES {values}) AS v (o)""")
        return connection

    def create_connection(self, platform="META"):
        """Adds a platform connection without accounts; returns its id."""
        connection = str(uuid.uuid4())
        self.execute(f"INSERT INTO platform_connections (id, platform, credentials) VALUES ('{connection}', '{platform}', '{{}}')")
        return connection

    def refuse_inserts(self, table, condition, message="unexpected", sqlstate="P0001"):
        """Creates a trigger that raises an exception for rows NEW for which @condition holds."""
        self.execute(f"""
            CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $f$
            BEGIN
                IF {condition} THEN RAISE EXCEPTION '{message}' USING ERRCODE = '{sqlstate}'; END IF;
                RETURN NEW;
            END $f$;
            DROP TRIGGER IF EXISTS refuse ON {table};
            CREATE TRIGGER refuse BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION refuse()""")

    def locked(self, table, mode):
        """Another transaction holds the table in this mode ("SHARE", for example)."""
        return self.holding(f"LOCK TABLE {table} IN {mode} MODE")

    @contextlib.contextmanager
    def holding(self, sql, end="ROLLBACK", before=""):
        """Another transaction holds the locks of the statement, and then ends. @before: what its session runs first."""
        note_script(f"{before};{sql};{end}")
        session = subprocess.Popen(["psql", "-X", "-q", "-A", "-t", "-d", self.url], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, text=True)
        try:
            session.stdin.write(f"SET idle_in_transaction_session_timeout = 0;\n{before};\nBEGIN; {sql};\n\\echo held\n")
            session.stdin.flush()
            assert session.stdout.readline() == "held\n"
            yield
        finally:
            session.communicate(f"{end};\n")

    def allow_fk_by_batch(self):
        """Grants what config/role.sql grants with fk_check set."""
        psql(self.url, f"GRANT SET ON PARAMETER session_replication_role TO {self.role}")
        self.fk_by_batch = True

    def close(self):
        end_sessions(self.url)
        psql(self.server.url, f"DROP DATABASE IF EXISTS {self.name} WITH (FORCE)")
        if self.fk_by_batch:
            psql(self.server.url, f"REVOKE SET ON PARAMETER session_replication_role FROM {self.role}")
        if self.role == self.name:
            psql(self.server.url, f"DROP ROLE {self.role}")


def run_ingestd(db, *args, stdin="", timeout=60, env=None):
    env = {**os.environ, **(env or {})}
    env.pop("DATABASE_URL", None)
    if db:
        env["DATABASE_URL"] = db if isinstance(db, str) else db.url
    return subprocess.run([INGESTD, *args], env=env, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, timeout=timeout)


def tls_settings(folder):
    """Settings for a daemon that listens over TLS with a certificate of its own, made in @folder."""
    key, cert = f"{folder}/key", f"{folder}/cert"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
                    "/CN=x", "-keyout", key, "-out", cert], check=True, capture_output=True)
    return {"listen__tcp": "127.0.0.1:0", "listen__tls_cert": cert, "listen__tls_key": key, "listen__tls_client_ca": cert}


def make_crl(folder, cert, key, revoked=(), days=2):
    """A list of the authority @cert, made in @folder, in which the certificates @revoked are, and those of earlier calls."""
    index, config, crl = f"{folder}/index", f"{folder}/ca.cnf", f"{folder}/crl"
    pathlib.Path(index).touch()
    pathlib.Path(config).write_text(f"[ca]\ndefault_ca=x\n[x]\ndatabase={index}\ndefault_md=sha256\ncertificate={cert}\n"
                                    f"private_key={key}\n")
    for one in revoked:
        subprocess.run(["openssl", "ca", "-config", config, "-revoke", one], check=True, capture_output=True)
    subprocess.run(["openssl", "ca", "-config", config, "-gencrl", "-crldays", str(days), "-out", crl], check=True,
                   capture_output=True)
    return crl


def assert_conservation(log):
    """Asserts that every received line is in exactly one of the other counts, for each connection and in total."""
    for line in re.findall(r"(?:closed|stopped|status): (?!spool).*", log):
        lines = int(re.search(r"(\d+) lines", line)[1])
        others = re.findall(r"(\d+) (?:stored|duplicate|rejected|spooled|empty|in flight)", line)
        assert len(others) == 6 and lines == sum(map(int, others)), line
    for line in re.findall(r"(?:stopped|status): spool: .*", log):
        before, spooled, *became = map(int, re.findall(r"(\d+) [a-z]", line))
        assert len(became) == 5 and before + spooled == sum(became), line


class Daemon:
    """The daemon under test. Its log goes to a file; close() fails if a sanitizer reported anything in it."""

    def __init__(self, db, program=INGESTD, env=None, wrapper=(), pass_fds=(), config="", **settings):
        """settings: section__key=value; config: the text of a configuration file besides; env: what is to be added to the environment; wrapper: a program with arguments
        that executes the daemon; pass_fds: descriptors that it inherits"""
        self.program = program
        self.wrapper = wrapper or os.environ.get("INGESTD_WRAPPER", "").split()
        self.pass_fds = pass_fds
        self.dir = tempfile.mkdtemp(prefix="ingestd-")
        self.socket = f"{self.dir}/ingest.sock"
        self.log_path = pathlib.Path(self.dir, "log")
        self.config_path = pathlib.Path(self.dir, "ini")
        self.config = config
        self.config_path.write_text(config)
        self.env = dict(os.environ, DATABASE_URL=db.daemon_url) | (env or {})
        self.clients = []  # references to those that client() has made
        self.disturbed = False
        self.log_start = 0
        self.settings = {"listen.unix": self.socket, "http.listen": ""}
        self.settings |= {key.replace("__", "."): value for key, value in settings.items()}
        if WORKERS and "spool.dir" not in self.settings:
            self.settings.setdefault("daemon.workers", WORKERS)
        self.start()
        self.disturbed = False

    def start(self, wait=True):
        self.disturbed = True
        args = [*self.wrapper, self.program, "run", "--config", str(self.config_path)]
        for key, value in self.settings.items():
            args += ["--set", f"{key}={value}"]
        before = len(self.log())
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(args, env=self.env, stderr=log, stdin=subprocess.DEVNULL,
                                            pass_fds=self.pass_fds)
        if wait:
            wait_until(lambda: " started:" in self.log()[before:] or self.process.poll() is not None, "start")
            assert self.process.poll() is None, self.log()

    def whole_log(self):
        return self.log_path.read_text() if self.log_path.exists() else ""

    def log(self):
        """The log; that of the running test, if tests share the daemon."""
        return self.whole_log()[self.log_start:]

    def memory(self, key):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"{key}:\s+(\d+) kB", status)[1]) * 1024

    def memory_peak(self):
        """The peak of resident memory, in bytes."""
        return self.memory("VmHWM")

    def memory_now(self):
        return self.memory("VmRSS")

    def http(self):
        """The URL of its pages, with http.listen set: "http://127.0.0.1:34567"."""
        return re.findall(r"status and metrics: (http://.*:\d+)/", self.whole_log())[-1]

    def ready(self):
        """Whether /readyz says so; with http.listen set."""
        try:
            with urllib.request.urlopen(self.http() + "/readyz", timeout=60) as answer:
                return answer.status == 200
        except urllib.error.HTTPError:
            return False

    def signal(self, number):
        self.disturbed |= number not in (signal.SIGUSR1, signal.SIGHUP)
        self.process.send_signal(number)

    def reload(self, config=None):
        """SIGHUP, with the text of another configuration file; returns what the log says of it."""
        if config is not None:
            self.config_path.write_text(config)
        before = len(self.log())
        self.signal(signal.SIGHUP)
        return wait_until(lambda: re.search(r"SIGHUP: .*", self.log()[before:]), "reload")[0]

    def stop(self, timeout=30):
        """Sends SIGTERM; returns the exit status."""
        self.signal(signal.SIGTERM)
        return self.process.wait(timeout)

    def kill(self):
        self.disturbed = True
        note_alteration()  # the server may still be storing something for it
        self.process.kill()
        self.process.wait()

    def is_disturbed(self):
        """Whether a test has stopped, restarted or ended it."""
        return self.disturbed or self.process.poll() is not None

    def settle(self):
        """Ends the clients that a test has left, and checks its log; returns whether all lines were settled soon."""
        for client in filter(None, (reference() for reference in self.clients)):
            client.close()
        self.clients.clear()
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            # connected to the daemon, or not yet accepted
            if re.search(rf" 0[23] +\d+ {self.socket}$", pathlib.Path("/proc/net/unix").read_text(), re.MULTILINE):
                time.sleep(0.005)
                continue
            before = len(self.log())
            self.signal(signal.SIGUSR1)
            status = wait_until(lambda: re.search(r" status: \d+ connections.*\n", self.log()[before:]), "status")[0]
            if ", 0 in flight" in status:
                self.assert_sound(self.log())
                return True
        return False

    def forget(self):
        """Clears what it remembers of objects, applies its first configuration again, and begins a new log."""
        self.reload(self.config)
        self.log_start = len(self.whole_log())

    def client(self):
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.connect(self.socket)
        except OSError:
            sock.close()
            raise
        client = Client(sock)
        self.clients.append(weakref.ref(client))
        return client

    def send(self, *lines):
        """A whole conversation: sends the lines, shuts down the sending side, returns all replies. Reads them meanwhile, or
        the daemon would pause."""
        client = self.client()
        thread = client.feed(*lines, half_close=True)
        try:
            return client.drain()
        finally:
            thread.join()

    def close(self):
        if self.process.poll() is None:
            self.stop()
        log = self.whole_log()
        shutil.rmtree(self.dir, ignore_errors=True)
        self.assert_sound(log)

    @staticmethod
    def assert_sound(log):
        assert not any(word in log for word in SANITIZER_WORDS) and not re.search(r"^==\d+== ", log, re.MULTILINE), log
        assert_conservation(log)


def record(**fields):
    """A good record of object "1" with some fields set; None leaves one out."""
    rec = {"platform": "META", "accountExternalId": "act_1", "externalId": "1",
           "periodStart": "2026-11-01T00:00:00Z", "periodEnd": "2026-11-02T00:00:00Z",
           "collectedAt": "2026-11-03T00:00:00Z", "amountCents": 100, "currency": "USD"} | fields
    return without_none(rec)


def numbered(count, start=0, **fields):
    """Good records of the objects "1" to "3", with distinct amounts."""
    return [record(externalId=str(1 + n % 3), amountCents=n, **fields) for n in range(start, start + count)]


def account(connection, external_id="act_1", **fields):
    """A good line of an ad account; None leaves a field out."""
    return without_none({"kind": "adAccount", "connectionId": connection, "externalId": external_id,
                         "name": "An account", "currency": "USD", "timezone": "America/Los_Angeles"} | fields)


def ad_object(external_id, type="CAMPAIGN", parent=None, **fields):
    """A good line of an object of account act_1; None leaves a field out."""
    return without_none({"kind": "adObject", "platform": "META", "accountExternalId": "act_1",
                         "externalId": external_id, "type": type, "name": f"Object {external_id}",
                         "status": "ACTIVE", "parentExternalId": parent} | fields)


def without_none(rec):
    return {key: value for key, value in rec.items() if value is not None}


class TestCase(unittest.TestCase):
    """A server for each module, or a shared one for modules that do not change it, and an empty database for each test.

    The tests of a class with `shares_daemon` use one database and one daemon (kept.py): the first daemon(**shared_settings) of each
    test returns it, with an empty cache. Its counters continue; its log() begins with the test. own_daemon() always starts one."""

    server = None
    kept = None
    shares_daemon = False
    shared_settings = {}

    @classmethod
    def setUpClass(cls):
        if not TestCase.server:
            TestCase.server = Server(shared=shared_url(cls))
            unittest.addModuleCleanup(cls.close_server)

    @classmethod
    def tearDownClass(cls):
        if TestCase.kept:
            TestCase.kept.close_daemon()

    @staticmethod
    def close_server():
        try:
            TestCase.close_kept()
        finally:
            TestCase.server.close()
            TestCase.server = None

    @staticmethod
    def close_kept():
        kept, TestCase.kept = TestCase.kept, None
        if kept:
            kept.close()

    def run(self, result=None):
        self.result = result
        return super().run(result)

    def failures(self):
        return len(self.result.failures) + len(self.result.errors) if self.result else 0

    def setUp(self):
        if TestCase.kept and not (self.shares_daemon and TestCase.kept.enter()):
            self.close_kept()
        TestCase.kept = TestCase.kept or Kept(Database(self.server))
        self.db = TestCase.kept.db
        self.addCleanup(self.leave, self.failures())

    def leave(self, failures):
        """The last of the cleanups."""
        try:
            TestCase.kept.leave()
        finally:
            if not self.shares_daemon or TestCase.kept.spoiled or self.failures() > failures:
                self.close_kept()

    def daemon(self, **settings):
        if self.shares_daemon and settings == self.shared_settings and not TestCase.kept.lent:
            return TestCase.kept.lend(lambda: Daemon(self.db, **settings))
        return self.own_daemon(**settings)

    def own_daemon(self, **settings):
        daemon = Daemon(self.db, **settings)
        self.addCleanup(daemon.close)
        return daemon
