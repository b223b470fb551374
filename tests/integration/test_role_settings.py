"""A role or database can carry a default for almost every setting. None of them changes what is stored or how often; the
daemon reports, and waits for, those that break a promise and that it may not set. The same for poolers."""

import concurrent.futures
import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import unittest
import uuid

from lib.harness import ROOT, Daemon, Database, Server, psql, run_ingestd, wait_until

TOOL = ROOT / "tests/lib/tool.sh"

# Each of these stands alone, as a default of a role.
HARMLESS = [
    "default_transaction_isolation = 'repeatable read'", "default_transaction_isolation = 'serializable'",
    "default_transaction_deferrable = on", "synchronous_commit = off", "synchronous_commit = local",
    "statement_timeout = '1ms'", "transaction_timeout = '1ms'", "lock_timeout = '1ms'", "idle_session_timeout = '1ms'",
    "idle_in_transaction_session_timeout = '1ms'", "quote_all_identifiers = on", "row_security = off",
    "standard_conforming_strings = off", "backslash_quote = off", "escape_string_warning = off", "transform_null_equals = on",
    "array_nulls = off", "exit_on_error = on", "search_path = public, pg_catalog", "timescaledb.disable_load = on",
]
# These stand together in one role, and alone in the long form (EACH_SETTING=1).
PLAIN = [
    "DateStyle = 'SQL, DMY'", "IntervalStyle = 'sql_standard'", "TimeZone = 'Asia/Kathmandu'",
    "extra_float_digits = -15", "bytea_output = 'escape'", "client_encoding = 'LATIN1'", "xmloption = 'document'",
    "client_min_messages = 'error'", "plan_cache_mode = 'force_custom_plan'",
    "plan_cache_mode = 'force_generic_plan'", "jit = on", "jit_above_cost = 0", "enable_indexscan = off", "enable_nestloop = off",
    "enable_seqscan = off", "enable_hashagg = off", "enable_sort = off", "work_mem = '64kB'", "temp_buffers = '800kB'",
    "max_parallel_workers_per_gather = 0", "debug_parallel_query = on", "default_toast_compression = 'lz4'",
    "check_function_bodies = off", "constraint_exclusion = on", "restrict_nonsystem_relation_kind = 'view'",
    "timescaledb.enable_optimizations = off",
    "timescaledb.max_open_chunks_per_insert = 1", "timescaledb.max_cached_chunks_per_hypertable = 1",
    "timescaledb.enable_chunk_append = off",
]
REFUSED = {
    "default_transaction_read_only = on": "the server is read-only",
    "session_replication_role = replica": "session_replication_role is replica for this session",
    "search_path = elsewhere": "search_path: the tables of schema public are not found first: ALTER ROLE",
    "timescaledb.restoring = on": "a restore is in progress",
}


def setUpModule():
    global server
    server = Server()


def tearDownModule():
    server.close()


def record(account, n, **changes):
    return {"platform": "META", "accountExternalId": account, "externalId": str(n % 3 + 1), "currency": "USD",
            "periodStart": "2026-11-01T00:00:00.000001Z", "periodEnd": "2026-11-02T00:00:00Z", "amountCents": -868 * 10**12 - n,
            "conversions": 3, "collectedAt": f"2026-11-{n % 27 + 1:02}T00:00:00.123456Z",
            "metrics": {"ctr": "0.155280", "a\\b": [1.10, None, "ä\\u0041 'quoted'"]}} | changes


def lines(account):
    made = [record(account, n) for n in range(6)]
    for n in range(6, 9):
        r = record(account, n, id=str(uuid.uuid5(uuid.NAMESPACE_URL, f"{account} {n}")))
        del r["collectedAt"]
        made.append(r)
    made.append({"kind": "adObject", "platform": "META", "accountExternalId": account, "externalId": "4", "type": "AD",
                 "status": "ACTIVE", "name": "O'Four\\", "platformData": {"n": 1.10, "t": "\\"}})
    made.append(record(account, 3, externalId="4"))
    return made


def is_open(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


class Via:
    """The part of a database that a Daemon needs: its URL."""

    def __init__(self, url):
        self.daemon_url = url


class Settings(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.db = Database(server)
        cls.addClassCleanup(cls.db.close)
        cls.db.execute("CREATE SCHEMA elsewhere; CREATE TABLE elsewhere.spending (LIKE public.spending); "
                       "GRANT USAGE ON SCHEMA elsewhere TO PUBLIC; GRANT ALL ON elsewhere.spending TO PUBLIC")

    def make_role(self, setting):
        """Creates a role with this default that can log in, and an account for it."""
        name = f"ingestd_role_{uuid.uuid4().hex[:12]}"
        self.db.execute(f"CREATE ROLE {name} LOGIN; GRANT {self.db.role} TO {name}; "
                        + "".join(f"ALTER ROLE {name} SET {s};" for s in setting.split("; ") if s))
        self.addCleanup(psql, server.url, f"DROP ROLE {name}")
        self.db.add_account(name)
        return name, self.db.url.replace("//postgres@", f"//{name}@")

    def rows(self, account):
        return [{k: v for k, v in row.items() if k not in ("id", "ad_object_id", "collected")} for row in self.db.query(
            f"""SELECT o.external_id, o.name, o.platform_data, s.*, s.metrics::text AS metrics_text,
                CASE WHEN s.amount_cents > -868000000000006 OR o.external_id = '4' THEN s.collected_at::text END AS collected_at
                FROM spending s JOIN ad_objects o ON o.id = s.ad_object_id JOIN ad_accounts a ON a.id = o.ad_account_id
                WHERE a.external_id = '{account}' ORDER BY s.amount_cents, o.external_id""")]

    def ingest_twice(self, setting):
        account, url = self.make_role(setting)
        d = Daemon(Via(url))
        try:
            sent = lines(account)
            first = d.send(*sent)
            d.kill()
            d.start()
            second = d.send(*sent)
        finally:
            d.close()
        return first, second, self.rows(account)

    def test_defaults_that_change_nothing(self):
        server.need_private()
        expected = self.ingest_twice("")
        self.assertEqual(len(expected[2]), 10)
        settings = HARMLESS + (PLAIN if os.environ.get("EACH_SETTING") else ["; ".join(PLAIN)])
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            runs = {setting: pool.submit(self.ingest_twice, setting) for setting in settings}
            for setting, run in runs.items():
                with self.subTest(setting):
                    first, second, rows = run.result()
                    self.assertEqual((first.counts(), first.rejects), ((11, 11, 0, 0), {}))
                    self.assertEqual((second.counts(), second.rejects), ((11, 0, 11, 0), {}))
                    self.assertEqual(rows, expected[2])

    def test_large_values_are_compressed_as_chosen(self):
        """By lz4, which is fast, unless the operator has chosen."""
        metrics = {f"video_views_{n}": n for n in range(1000)}
        for setting, method in (("", "lz4"), ("default_toast_compression = 'pglz'", "pglz")):
            account, url = self.make_role(setting)
            d = Daemon(Via(url))
            try:
                self.assertEqual(d.send(record(account, 1) | {"metrics": metrics}).ack["stored"], 1)
                self.assertEqual(psql(url, "SELECT pg_column_compression(metrics) FROM spending s JOIN ad_objects o ON o.id = s.ad_object_id "
                                           f"JOIN ad_accounts a ON a.id = o.ad_account_id WHERE a.external_id = '{account}'").strip(), method)
            finally:
                d.close()

    def test_harmful_defaults_are_reported(self):
        server.need_private()
        for setting, told in REFUSED.items():
            with self.subTest(setting):
                account, url = self.make_role(setting)
                d = Daemon(Via(url))
                try:
                    client = d.client()
                    client.send(record(account, 1))
                    wait_until(lambda: told in d.log(), told)
                    client.sock.settimeout(1)
                    with self.assertRaises(socket.timeout):
                        client.reply()
                    checked = run_ingestd(url, "check")
                    self.assertEqual(checked.returncode, 1, checked.stdout)
                    psql(server.url, f"ALTER ROLE {account} RESET {setting.split(' ')[0]}")
                    client.sock.settimeout(60)
                    self.assertEqual(client.wait_ack(1)["stored"], 1)
                    client.close()
                finally:
                    d.close()
                self.assertEqual(len(self.rows(account)), 1)
        self.assertEqual(self.db.value("SELECT count(*) FROM elsewhere.spending"), "0")

    def test_ids_are_stored_once_with_repeatable_read(self):
        server.need_private()
        account, url = self.make_role("default_transaction_isolation = 'repeatable read'")
        d = Daemon(Via(url), batch__rows="20", database__writers="4")
        try:
            records = [record(account, n, id=str(uuid.uuid4())) for n in range(400)]
            for r in records:
                del r["collectedAt"]
            with concurrent.futures.ThreadPoolExecutor(4) as pool:
                replies = list(pool.map(lambda _: d.send(*records), range(4)))
        finally:
            d.close()
        self.assertEqual(sum(r.ack["stored"] for r in replies), 400)
        self.assertEqual(len(self.rows(account)), 400)


class Pooler(unittest.TestCase):
    def setUp(self):
        server.need_private()
        self.db = Database(server)
        self.addCleanup(self.db.close)
        self.db.add_account()
        self.role = f"ingestd_role_{uuid.uuid4().hex[:12]}"
        self.db.execute(f"CREATE ROLE {self.role} LOGIN; GRANT {self.db.role} TO {self.role}; "
                        f"ALTER ROLE {self.role} SET synchronous_commit = off")
        self.addCleanup(psql, server.url, f"DROP ROLE {self.role}")

    @contextlib.contextmanager
    def pooler(self, mode, settings=""):
        """Starts PgBouncer; yields the URL of the test's database through it."""
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        host = self.db.url.split("@")[1].split("/")[0]
        with tempfile.TemporaryDirectory(dir="/tmp") as folder:
            pathlib.Path(folder, "users").write_text(f'"{self.role}" ""\n')
            pathlib.Path(folder, "ini").write_text(
                f"[databases]\n{self.db.name} = host={host.split(':')[0]} port={host.split(':')[1]}\n"
                f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = trust\n"
                f"auth_file = {folder}/users\npool_mode = {mode}\nlogfile =\npidfile = {folder}/pid\n{settings}\n"
                + ("user = nobody\n" if os.getuid() == 0 else ""))
            os.chmod(folder, 0o777)
            process = subprocess.Popen([TOOL, "pgbouncer", "-q", f"{folder}/ini"], stderr=subprocess.DEVNULL)
            try:
                wait_until(lambda: is_open(port), "pgbouncer")
                yield f"postgresql://{self.role}@127.0.0.1:{port}/{self.db.name}"
            finally:
                # the sandbox's process is another one, and as another user nothing of the sandbox ends it
                os.kill(int(pathlib.Path(folder, "pid").read_text()), signal.SIGQUIT)
                process.wait()

    def test_a_pooler_that_moves_sessions_is_refused(self):
        for mode, settings in (("transaction", ""), ("statement", ""), ("transaction", "server_round_robin = 1")):
            with self.subTest(mode=mode, settings=settings), self.pooler(mode, settings) as url:
                d = Daemon(Via(url))
                try:
                    client = d.client()
                    client.send(record("act_1", 1))
                    wait_until(lambda: "a pooler moves sessions" in d.log(), "the pooler's name")
                    client.sock.settimeout(2)
                    with self.assertRaises(socket.timeout):
                        client.reply()
                    client.close()
                finally:
                    d.kill()
                    d.close()
                checked = run_ingestd(url, "check")
                self.assertEqual(checked.returncode, 1)
                self.assertIn("wrong  a pooler moves sessions", checked.stdout)
                self.assertIn("a pooler moves sessions", run_ingestd(url, "migrate").stderr)
                # nothing was left behind for other users of the pool
                for _ in range(5):
                    self.assertEqual(psql(url, "SHOW synchronous_commit").strip(), "off")
                    self.assertEqual(psql(url, "SHOW idle_in_transaction_session_timeout").strip(), "0")
        self.assertEqual(self.db.count(), 0)

    def test_a_pooler_that_keeps_sessions(self):
        with self.pooler("session") as url:
            d = Daemon(Via(url))
            try:
                self.assertEqual(d.send(*[record("act_1", n) for n in range(5)]).counts(), (5, 5, 0, 0))
                settings = self.db.value("SELECT string_agg(DISTINCT application_name, ',') FROM pg_stat_activity "
                                         f"WHERE usename = '{self.role}'")
                self.assertIn("boris-ingestd", settings)
            finally:
                d.close()
            self.assertEqual(run_ingestd(url, "check").stdout.count("pooler"), 0)
        self.assertEqual(self.db.count(), 5)

    def test_a_small_pool_that_keeps_sessions(self):
        """The second connection, which distinguishes the kinds, gets no session, and delays the first only briefly."""
        with self.pooler("session", "default_pool_size = 5") as url:
            d = Daemon(Via(url))
            try:
                self.assertEqual(d.send(record("act_1", 1)).counts(), (1, 1, 0, 0))
            finally:
                d.close()


if __name__ == "__main__":
    unittest.main()
