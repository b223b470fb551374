#!/usr/bin/env python3
"""The daemon's HTTP pages: metrics that match the clients' counts, health, readiness, /status.json; no secrets, nothing for
foreign sites, and no cost for ingestion."""

import http.client
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import tempfile
import time
import unittest
import urllib.parse
from contextlib import ExitStack, closing


from lib.harness import ROOT, TestCase, ad_object, make_crl, numbered, record, run_ingestd, tls_settings, wait_until

TOOL = ROOT / "tests/lib/tool.sh"
PREFIX = "boris_ingestd_"


def need_tools():
    """promtool and prometheus come from a tree that may have to be built, which is not possible on every machine."""
    done = subprocess.run([TOOL, "promtool", "--version"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise unittest.SkipTest(f"promtool does not run here: {done.stdout[-300:]}")


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()
        self.text = self.body.decode()


def ask(address, path, method="GET", headers=None, body=None):
    with closing(http.client.HTTPConnection(address, timeout=20)) as connection:
        connection.request(method, path, headers=headers or {}, body=body)
        return Answer(connection.getresponse())


class Page:
    """HTTP requests to a daemon."""

    def __init__(self, daemon):
        self.host, self.port = re.findall(r"status and metrics: http://(.*):(\d+)/", daemon.log())[-1]

    def get(self, path, **how):
        return ask(f"{self.host}:{self.port}", path, **how)

    def metrics(self):
        """{"lines_total{outcome=\"stored\"}": 1.0}"""
        text = self.get("/metrics").text
        values = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        return {name.removeprefix(PREFIX): float(value) for name, value in values}

    def status(self):
        return json.loads(self.get("/status.json").text)

    def ready(self):
        answer = self.get("/readyz")
        return answer.status, answer.text.strip()

    def connect(self):
        return socket.create_connection((self.host, int(self.port)), timeout=20)


class HttpCase(TestCase):
    def setUp(self):
        super().setUp()
        self.db.add_account()

    def watched(self, **settings):
        daemon = self.daemon(http__listen="127.0.0.1:0", **settings)
        return daemon, Page(daemon)

    def wait_ready(self, page):
        wait_until(lambda: page.ready()[0] == 200, "ready")


class Counts(HttpCase):
    LINES = [*numbered(5000), *numbered(10), "", "{", '{"platform":"META","platform":"META"}', record(bogus=1), record(currency=None),
             record(amountCents=True), record(currency="usd"), record(externalId="99"), record(accountExternalId="99"),
             ad_object("c1"), "x" * 5000]
    CODES = {"bad_json": 2, "line_too_long": 1, "unknown_field": 1, "missing_field": 1, "bad_type": 1, "bad_value": 1,
             "unknown_ad_object": 1, "unknown_account": 1}

    def test_metrics_match_the_clients(self):
        daemon, page = self.watched(limits__max_line_bytes="4096", rejects__file="/dev/null")
        before = page.metrics()
        self.assertEqual({value for name, value in before.items() if "lines" in name or "rejects" in name}, {0})
        client = daemon.client()
        client.send(*self.LINES)
        ack = client.wait_ack(len(self.LINES))
        metrics = page.metrics()  # at once: who was acked finds that here
        for outcome in ("stored", "duplicate", "rejected"):
            self.assertEqual(metrics[f'lines_total{{outcome="{outcome}"}}'], ack[outcome], outcome)
        self.assertEqual(metrics['lines_total{outcome="empty"}'], 1)
        self.assertEqual(metrics["lines_received_total"], len(self.LINES))
        self.assertEqual(metrics["lines_in_flight"], 0)
        codes = {re.search('code="(.*)"', name)[1]: value for name, value in metrics.items()
                 if name.startswith("rejects_total") and value}
        self.assertEqual(codes, self.CODES)
        self.assertEqual(metrics["received_bytes_total"],
                         sum(len(json.dumps(line) if isinstance(line, dict) else line) + 1 for line in self.LINES))
        self.assertEqual(metrics["ack_latency_seconds_count"], len(self.LINES))
        self.assertEqual(metrics['ack_latency_seconds_bucket{le="+Inf"}'], len(self.LINES))
        self.assertGreater(metrics["ack_latency_seconds_sum"], 0)
        self.assertEqual(metrics["batch_rows_total"], ack["stored"] + ack["duplicate"] - 1)  # and an ad object
        self.assertEqual(metrics["commit_seconds_count"], metrics["batches_total"])
        self.assertEqual(metrics["connections"], 1)
        self.assertEqual(metrics["connections_accepted_total"], 1)
        self.assertEqual(metrics["cache_hits_total"] + metrics["cache_misses_total"], 5012)
        self.assertEqual(metrics["oldest_line_seconds"], 0)
        self.assert_status_agrees(page.status(), metrics)
        client.finish()

    def assert_status_agrees(self, status, metrics):
        lines = status["lines"]
        self.assertEqual(lines["received"], metrics["lines_received_total"])
        self.assertEqual(sum(lines.values()), 2 * lines["received"])
        self.assertEqual({code: n for code, n in status["rejectsByCode"].items() if n}, self.CODES)
        self.assertEqual(len(status["rejectsByCode"]), 12)
        self.assertGreater(status["rates"]["received"], 0)
        self.assertGreaterEqual(status["ackLatencySeconds"]["max"], status["ackLatencySeconds"]["p99"])
        self.assertGreaterEqual(status["ackLatencySeconds"]["p99"], status["ackLatencySeconds"]["p50"])
        (connection,) = status["connections"]
        self.assertEqual(connection["lines"], lines["received"])
        self.assertEqual(connection["stored"], lines["stored"])
        self.assertEqual((connection["inFlight"], connection["lagSeconds"], connection["paused"]), (0, 0, None))
        self.assertRegex(connection["peer"], rf"uid {os.getuid()}, pid {os.getpid()}")
        self.assertIsNone(status["spool"])
        self.assertTrue(status["ready"])
        self.assertEqual(sum(reject["times"] for reject in status["latestRejects"]), sum(self.CODES.values()))

    def test_the_sum_of_all_workers(self):
        daemon, page = self.watched(daemon__workers="2")
        clients = [daemon.client() for _ in range(4)]
        for n, client in enumerate(clients):
            client.send(*numbered(100, start=100 * n), record(**{f"unknown{n}": 1}))
            client.wait_ack(101)
        metrics, status = page.metrics(), page.status()
        self.assertEqual((metrics["workers"], metrics["connections"]), (2, 4))
        self.assertEqual(metrics['lines_total{outcome="stored"}'], 400)
        self.assertEqual(metrics["ack_latency_seconds_count"], 404)
        self.assertEqual(metrics["cache_objects_limit"], 1000000)
        self.assertEqual({c["worker"] for c in status["connections"]}, {1, 2})
        self.assertEqual({c["number"] for c in status["connections"]}, {1, 2, 3, 4})
        latest = status["latestRejects"]
        self.assertEqual([reject["connection"] for reject in latest], [4, 3, 2, 1])
        for client in clients:
            client.finish()

    def test_history_advances(self):
        daemon, page = self.watched()
        daemon.send(*numbered(3000))
        history = wait_until(lambda: (h := page.status()["history"]) and sum(h["stored"]) and len(h["stored"]) > 1 and h,
                             "two steps")
        self.assertEqual({len(history[key]) for key in ("received", "stored", "rejected", "ackP50", "ackP99")},
                         {len(history["stored"])})
        self.assertAlmostEqual(sum(history["stored"]), 3000, delta=1500)  # a step is about a second
        self.assertTrue(any(history["ackP50"]))

    def test_latest_rejects_are_newest_first_without_line_content(self):
        daemon, page = self.watched()
        daemon.send(*(record(**{f"bogus{n}": "TOP_SECRET"}) for n in range(60)), record(currency="x"))
        text = page.get("/status.json").text
        self.assertNotIn("TOP_SECRET", text)
        latest = json.loads(text)["latestRejects"]
        self.assertEqual([reject["line"] for reject in latest], list(range(61, 11, -1)))
        self.assertEqual((latest[0]["code"], latest[0]["field"]), ("bad_value", "currency"))

    def test_rejects_and_clients_turned_away(self):
        daemon, page = self.watched(limits__max_connections="1")
        held = daemon.client()
        held.send(record())
        held.wait_ack(1)
        self.assertEqual(daemon.client().drain().closing, "too_many_connections")
        metrics = page.metrics()
        self.assertEqual(metrics['connections_refused_total{reason="too_many_connections"}'], 1)
        self.assertEqual((metrics["connections"], metrics["connections_limit"]), (1, 1))
        self.assertEqual(page.status()["connectionCounts"],
                         {"open": 1, "paused": 0, "accepted": 2, "refused": 1, "limit": 1})
        held.close()

    def test_a_client_that_leaves_its_replies_unread(self):
        daemon, page = self.watched()
        with socket.socket(socket.AF_UNIX) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.connect(daemon.socket)
            sock.setblocking(False)
            bad = b"nonsense\n" * 1000

            def full():
                try:
                    while True:
                        sock.send(bad)
                except BlockingIOError:
                    return page.metrics()['connections_paused{reason="replies_unread"}'] == 1
            wait_until(full, "paused")
            (connection,) = page.status()["connections"]
            self.assertEqual(connection["paused"], "replies_unread")
            self.assertGreater(connection["lagSeconds"], 0)


class Prometheus(HttpCase):
    def test_promtool_reports_nothing(self):
        need_tools()
        folder = self.enterContext(tempfile.TemporaryDirectory())
        tls = tls_settings(folder)
        crl = make_crl(folder, tls["listen__tls_cert"], tls["listen__tls_key"])
        daemon, page = self.watched(spool__dir=folder + "/spool", rejects__file=folder + "/rejects", listen__tls_client_crl=crl,
                                    config=f"[client me]\npeer = user:{os.getuid()}\n", **tls)
        daemon.send(*numbered(10), "{")
        answer = page.get("/metrics")
        self.assertEqual(answer.headers["Content-Type"], "text/plain; version=0.0.4; charset=utf-8")
        done = subprocess.run([TOOL, "promtool", "check", "metrics"], input=answer.text, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertEqual((done.returncode, done.stdout), (0, ""))
        self.assert_readme_lists(answer.text)
        daemon.stop()

    def assert_readme_lists(self, text):
        """config/metrics.md lists each metric with its type, and no other."""
        told = dict(re.findall(r"^# TYPE (\S+) (\S+)", text, re.M))
        rows = re.findall(r"^\| ((?:`[^`]+`(?:, )?)+) \| (gauge|counter|histogram) \|", (ROOT / "config/metrics.md").read_text(), re.M)
        listed = {PREFIX + re.sub("{.*", "", name): kind for names, kind in rows for name in re.findall("`([^`]+)`", names)}
        self.assertEqual({name: kind for name, kind in told.items() if name.startswith(PREFIX)}, listed)

    def test_prometheus_scrapes_the_daemon(self):
        need_tools()
        daemon, page = self.watched()
        daemon.send(*numbered(123))
        with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                address = f"127.0.0.1:{free.getsockname()[1]}"
            pathlib.Path(folder, "prometheus.yml").write_text(json.dumps({
                "global": {"scrape_interval": "1s"},
                "scrape_configs": [{"job_name": "boris-ingestd",
                                    "static_configs": [{"targets": [f"{page.host}:{page.port}"]}]}]}))
            log = stack.enter_context(pathlib.Path(folder, "log").open("wb"))
            prometheus = subprocess.Popen([TOOL, "prometheus", f"--config.file={folder}/prometheus.yml",
                                           f"--storage.tsdb.path={folder}/data", f"--web.listen-address={address}"],
                                          stdout=log, stderr=log)
            stack.callback(prometheus.wait)
            stack.callback(prometheus.terminate)

            def query(expression):
                try:
                    result = json.loads(ask(address, "/api/v1/query?" + urllib.parse.urlencode({"query": expression})).body)
                    result = result["data"]["result"]
                except (OSError, ValueError, KeyError):
                    return None
                return float(result[0]["value"][1]) if result else None
            wait_until(lambda: query('boris_ingestd_lines_total{outcome="stored"}') == 123, "scraped")
            self.assertEqual(query("up"), 1)
            self.assertGreater(query("histogram_quantile(0.9, boris_ingestd_ack_latency_seconds_bucket)"), 0)


class Health(HttpCase):
    def test_not_ready_while_the_database_is_unavailable(self):
        self.server.need_private()
        daemon, page = self.watched()
        self.wait_ready(page)
        self.server.stop_at_once()
        client = daemon.client()
        try:
            client.send(*numbered(10))
            why = wait_until(lambda: (r := page.ready())[0] == 503 and r[1], "not ready")
            self.assertRegex(why, "^the database is unavailable: .+")
            self.assertEqual(page.get("/healthz").status, 200)
            database = page.status()["database"]
            self.assertEqual(database["state"], "away")
            self.assertTrue(database["lastError"])
            metrics = page.metrics()
            self.assertEqual((metrics["ready"], metrics["database_up"]), (0, 0))
            self.assertGreater(metrics["database_away_seconds"], 0)
            self.assertEqual(metrics["lines_in_flight"], 10)
            self.assertGreater(page.status()["connections"][0]["lagSeconds"], 0)
        finally:
            self.server.start()
        client.wait_ack(10)
        self.wait_ready(page)
        metrics = page.metrics()
        self.assertEqual((metrics["ready"], metrics["database_up"], metrics["database_away_seconds"]), (1, 1, 0))
        wait_until(lambda: (m := page.metrics())["database_connections"] == m["database_connections_wanted"], "all back")
        self.assertGreater(page.metrics()["database_reconnects_total"], 0)
        client.finish()

    def test_clients_that_wait_for_the_database_are_shown_as_paused(self):
        self.server.need_private()
        daemon, page = self.watched(batch__rows="10", database__writers="1")
        daemon.send(*numbered(3))  # so that no lookup is waited for
        self.server.stop_at_once()
        clients = [daemon.client() for _ in range(3)]
        try:
            for n, client in enumerate(clients):
                client.send(*numbered(500, start=3 + 500 * n))
            wait_until(lambda: page.metrics()['connections_paused{reason="database"}'] == 3, "all paused")
            status = page.status()
            self.assertEqual([c["paused"] for c in status["connections"]], ["database"] * 3)
            lags = [c["lagSeconds"] for c in status["connections"]]
            self.assertEqual(lags, sorted(lags, reverse=True))
            self.assertEqual(status["connectionCounts"]["paused"], 3)
            self.assertGreaterEqual(page.metrics()["oldest_line_seconds"], lags[0])
        finally:
            self.server.start()
        for client in clients:
            client.wait_ack(500)
        self.assertEqual(page.metrics()["oldest_line_seconds"], 0)
        for client in clients:
            client.finish()

    def test_ready_with_a_spool(self):
        self.server.need_private()
        folder = self.enterContext(tempfile.TemporaryDirectory())
        daemon, page = self.watched(spool__dir=folder + "/spool", rejects__file=folder + "/rejects")
        self.wait_ready(page)
        self.server.stop_at_once()
        try:
            client = daemon.client()
            client.send(*numbered(200))
            client.wait_ack(200)
            self.assertEqual(page.ready()[0], 200)
            metrics = page.metrics()
            self.assertEqual(metrics["spool_lines"], 200)
            self.assertEqual((metrics["spool_diverting"], metrics["database_up"]), (1, 0))
            self.assertGreater(metrics["spool_bytes"], 200 * 100)
            spool = wait_until(lambda: (s := page.status()["spool"]) and s["oldestSeconds"] > 0 and s, "some age")
            self.assertEqual((spool["state"], spool["lines"]), ("filling", 200))
            self.assertLess(spool["oldestSeconds"], 60)
        finally:
            self.server.start()
        wait_until(lambda: page.metrics()['spool_drained_total{outcome="stored"}'] == 200, "drained")
        spool = wait_until(lambda: (s := page.status()["spool"])["state"] == "empty" and s, "empty")
        self.assertIsNone(spool["oldestSeconds"])
        client.finish()
        daemon.stop()

    def test_not_ready_without_a_table(self):
        daemon, page = self.watched()
        self.wait_ready(page)
        client = daemon.client()
        self.db.execute("ALTER TABLE spending RENAME TO elsewhere")
        client.send(*numbered(10))
        wait_until(lambda: (r := page.ready())[0] == 503 and "tables are missing: run boris-ingestd migrate" in r[1], "not ready")
        self.db.execute("ALTER TABLE elsewhere RENAME TO spending")
        client.wait_ack(10)
        self.wait_ready(page)
        client.finish()

    def test_stored_rows_are_not_failures(self):
        """Batches that alternate stored and new rows: each is merged, which must not trigger the alert for failing batches."""
        daemon, page = self.watched(batch__linger_ms="1")
        client = daemon.client()
        client.send(*numbered(20))
        client.wait_ack(20)
        for n in range(10):
            client.send(*numbered(2, start=19 + n))
            ack = client.wait_ack(22 + 2 * n)
        self.assertEqual(ack, {"ack": 40, "stored": 30, "duplicate": 10, "rejected": 0})
        client.finish()
        metrics = page.metrics()
        self.assertGreater(metrics["batches_total"], 3)
        self.assertEqual(metrics["batch_failures_total"], 0)
        self.db.refuse_inserts("spending", "NEW.amount_cents = 1000", sqlstate="23514")
        self.assertEqual(daemon.send(*numbered(2, start=999)).codes(), {2: "refused_by_database"})
        self.assertGreater(page.metrics()["batch_failures_total"], 0)

    def test_not_ready_while_it_stops(self):
        self.server.need_private()
        daemon, page = self.watched()
        self.wait_ready(page)
        self.server.stop_at_once()
        try:
            client = daemon.client()
            client.send(*numbered(10))
            wait_until(lambda: page.metrics()["lines_in_flight"] == 10, "in flight")
            daemon.signal(signal.SIGTERM)
            wait_until(lambda: page.ready() == (503, "the daemon is stopping"), "stopping")
            self.assertEqual(page.status()["state"], "draining")
            self.assertEqual(page.get("/healthz").status, 200)
        finally:
            self.server.start()
        self.assertEqual(client.drain().counts(), (10, 10, 0, 0))
        self.assertEqual(daemon.process.wait(30), 0)

    def test_not_ready_before_the_first_connection_to_the_database(self):
        self.db.daemon_url = "host=/nonexistent dbname=none"
        daemon, page = self.watched()
        why = wait_until(lambda: (r := page.ready())[0] == 503 and "unavailable" in r[1] and r[1], "not ready")
        self.assertRegex(why, "^the database is unavailable: .*nonexistent")
        self.assertEqual(page.status()["notReadyReason"], why)


class Secrets(HttpCase):
    def test_no_page_contains_a_secret(self):
        self.server.need_private()
        run_ingestd(self.db, "connection", "create", "META", stdin='{"token":"cr3dential"}').check_returncode()
        join = "&" if "?" in self.db.daemon_url else "?"
        self.assertIn("://", self.db.daemon_url)
        self.db.daemon_url += f"{join}password=passw0rd"
        daemon, page = self.watched()
        self.wait_ready(page)
        daemon.send(record(metrics={"a": "l1ne"}), record(bogus="l1ne"))
        for _ in range(2):
            for path in ("/", "/metrics", "/status.json", "/readyz", "/healthz", "/etc/passwd"):
                text = page.get(path).text
                for secret in ("passw0rd", "cr3dential", "l1ne"):
                    self.assertNotIn(secret, text, path)
            self.server.stop_at_once()
            wait_until(lambda: page.ready()[0] == 503, "an error")
        self.server.start()
        self.assertNotIn("passw0rd", daemon.log())


class Strangers(HttpCase):
    def test_only_get_and_only_existing_paths(self):
        _, page = self.watched()
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
            answer = page.get("/metrics", method=method, body=b"x" * 100000 if method in ("POST", "PUT") else None)
            self.assertEqual((answer.status, answer.headers["Allow"]), (405, "GET, HEAD"), method)
        self.assertEqual(page.get("/metrics", body=b"x").status, 400)
        for path in ("/nothing", "/metrics/", "/../etc/passwd", "//", "/" + "x" * 3000):
            self.assertEqual(page.get(path).status, 404, path)
        self.assertEqual(page.get("/metrics?x=1").status, 200)
        head = page.get("/healthz", method="HEAD")
        self.assertEqual((head.status, head.body, head.headers["Content-Length"]), (200, b"", "3"))

    def test_headers_that_keep_browsers_safe(self):
        _, page = self.watched()
        html = page.get("/")
        self.assertEqual((html.status, html.headers["Content-Type"]), (200, "text/html; charset=utf-8"))
        self.assertIn("script-src 'sha256-", html.headers["Content-Security-Policy"])
        for path in ("/", "/metrics", "/status.json", "/nothing"):
            headers = page.get(path).headers
            self.assertEqual(headers["X-Content-Type-Options"], "nosniff")
            self.assertEqual(headers["Cache-Control"], "no-store")
            self.assertIn("default-src 'none'", headers["Content-Security-Policy"])
            self.assertIsNone(headers["Access-Control-Allow-Origin"])

    def test_foreign_host_names_are_refused(self):
        _, page = self.watched()
        for host in ("evil.example", "evil.example:9464", "localhost.evil.example", "1.2.3.4.evil.example", "[::1", ""):
            self.assertEqual(page.get("/status.json", headers={"Host": host}).status, 403, host)
        for host in ("127.0.0.1", "localhost:1", "LOCALHOST", "[::1]:9464", "[::1]", "192.0.2.1:80"):
            self.assertEqual(page.get("/status.json", headers={"Host": host}).status, 200, host)

    def test_slow_and_hostile_http_clients_affect_no_other(self):
        daemon, page = self.watched()
        self.wait_ready(page)
        with ExitStack() as stack:
            for n in range(200):  # silent, half a request, one that never reads
                sock = stack.enter_context(page.connect())
                sock.send((b"", b"GET /metrics HT", b"GET /status.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20)[n % 3])
            self.assertEqual(daemon.send(*numbered(2000)).counts(), (2000, 2000, 0, 0))
            self.assertEqual(page.metrics()["lines_received_total"], 2000)
            self.assertLess(len(os.listdir(f"/proc/{daemon.process.pid}/fd")), 150)
        for garbage in (b"\0" * 1000, b"\r\n" * 10000, b"GET / HTTP/9.9\r\n\r\n", os.urandom(5000),
                        b"GET /metrics HTTP/1.1\r\n" + b"X: y\r\n" * 10000 + b"\r\n",
                        b"GET /metrics HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n" + b"x" * 100000):
            with page.connect() as sock:
                try:
                    sock.sendall(garbage)
                    sock.shutdown(socket.SHUT_WR)
                    while sock.recv(65536):
                        pass
                except OSError:
                    pass  # it hung up
        self.assertEqual(page.get("/healthz").status, 200)
        self.assertEqual(daemon.stop(), 0)

    def test_a_client_that_disconnects_while_it_waits(self):
        daemon, page = self.watched()
        for _ in range(50):
            with page.connect() as sock:
                sock.send(b"GET /status.json HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.assertEqual(page.get("/healthz").status, 200)
        self.assertEqual(daemon.stop(), 0)


class Listening(HttpCase):
    def test_a_port_in_use(self):
        """Records are ingested nevertheless, and the page appears when the port is free."""
        with closing(socket.create_server(("127.0.0.1", 0))) as other:
            port = other.getsockname()[1]
            daemon = self.daemon(http__listen=f"127.0.0.1:{port}")
            self.assertRegex(daemon.log(), rf"http.listen 127.0.0.1:{port}: another program listens there, .*name another port")
            self.assertEqual(daemon.send(*numbered(10)).counts(), (10, 10, 0, 0))
            daemon.signal(signal.SIGHUP)
            wait_until(lambda: "configuration read again" in daemon.log(), "reload")
            time.sleep(5)
            self.assertEqual(daemon.log().count("another program listens there"), 1, "told once")
        wait_until(lambda: "status and metrics: " in daemon.log(), "the status page")
        self.assertEqual(Page(daemon).metrics()['lines_total{outcome="stored"}'], 10)
        self.assertEqual(daemon.stop(), 0)

    def test_an_address_of_another_machine(self):
        """The machine may get it later."""
        daemon = self.daemon(http__listen="192.0.2.1:9464")
        self.assertRegex(daemon.log(), "http.listen 192.0.2.1:9464: Cannot assign requested address: no status page")
        self.assertEqual(daemon.send(*numbered(10)).counts(), (10, 10, 0, 0))
        self.assertEqual(daemon.stop(), 0)

    def test_addresses(self):
        _, page = self.watched()
        self.assertEqual(page.host, "127.0.0.1")
        everywhere = self.daemon(http__listen="0.0.0.0:0")
        self.assertIn("http.listen: everybody who can connect to 0.0.0.0 can read the status page", everywhere.log())
        page = Page(everywhere)
        page.host = "127.0.0.1"
        self.assertEqual(page.get("/healthz", headers={"Host": "ingest.example"}).status, 200)

    def test_off(self):
        daemon = self.daemon(http__listen="")
        self.assertNotIn("http", daemon.log())
        self.assertEqual(daemon.send(*numbered(10)).counts(), (10, 10, 0, 0))


if __name__ == "__main__":
    unittest.main()
