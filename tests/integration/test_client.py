"""The client for TypeScript (src/clients/node) against the daemon, with restarts in between."""

import json
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

from lib.harness import ROOT, account, ad_object, numbered, record, wait_until
from lib.node_client import ClientTest, Played, Sender, counts, project, say
from lib.npm import client_package


class Streams(ClientTest):
    shares_daemon = True

    def test_outcome_of_each_record(self):
        lines = [account(self.connection, "act_2"), ad_object("c", accountExternalId="act_2"),
                 record(accountExternalId="act_2", externalId="c"), record(externalId="nobody"), record(currency="usd"),
                 record(accountExternalId="act_2", externalId="c")]
        sender = self.sender(self.daemon(), lines, asText=True)
        summary, end = sender.finish()
        self.assertEqual(summary, {"type": "summary", "records": 6, "stored": 3, "duplicate": 1, "rejected": 2,
                                   "connections": 1})
        first, second = sender.of("reject")
        self.assertEqual((first["line"], first["index"], first["code"], first["field"], json.loads(first["record"])),
                         (4, 3, "unknown_ad_object", "externalId", lines[3]))
        self.assertEqual((second["index"], second["code"], second["field"]), (4, "bad_value", "currency"))
        ack = sender.of("ack")[-1]
        self.assertEqual((ack["line"], *counts(ack)), (6, 3, 1, 2))
        self.assertTrue(end["returned"])

    def test_no_records(self):
        summary, _ = self.sender(self.daemon(), []).finish()
        self.assertEqual((summary["type"], summary["records"], *counts(summary)), ("summary", 0, 0, 0, 0))

    def test_unusual_javascript_values(self):
        d = self.daemon()
        done = subprocess.run(["node", "odd.mjs", d.socket], cwd=project(self), stdout=subprocess.PIPE, text=True,
                              timeout=60, check=True)
        said = json.loads(done.stdout)
        self.assertEqual(said["rejects"], [[1, "bad_value", "clicks"], [3, "bad_json", "platform"],
                                           [5, "bad_json", "metrics"], [7, "missing_field", "platform"], [8, "bad_type", None]])
        self.assertEqual((said["summary"]["records"], *counts(said["summary"])), (13, 7, 0, 5))
        self.assert_stored([9007199254740993, 3, 5, 1, 1, 12, 14])
        self.assertEqual(self.db.value("SELECT metrics->>'exact' FROM spending WHERE metrics IS NOT NULL"),
                         "0.10000000000000000001")
        self.assertEqual(self.db.value("SELECT collected_at = '2026-11-03Z' FROM spending WHERE amount_cents = 12"), "t")
        self.assertEqual(self.db.value("SELECT count(DISTINCT collected_at) FROM spending"), "7")

    def test_restarts_in_between(self):
        """Half of the records carry no collectedAt, every tenth is bad."""
        d = self.daemon(batch__rows=700)
        lines = [line if n % 4 < 2 else line | {"collectedAt": None} for n, line in enumerate(numbered(20000))]
        lines = [{key: value for key, value in line.items() if value is not None} for line in lines]
        bad = set(range(0, 20000, 10))
        for n in bad:
            lines[n]["currency"] = "usd"
        sender = self.sender(d, lines, {"windowRecords": 2000, "maxRetryMs": 500}, paceRecords=20, paceMs=1)
        sender.until_line(3000)
        d.kill()
        d.start()
        sender.until_line(7000)
        self.assertEqual(d.stop(), 0)
        time.sleep(0.5)
        d.start()
        for line in (11000, 13000, 15000):
            sender.until_line(line)
            d.kill()
            d.start()
        summary, end = sender.finish()
        self.assertGreaterEqual(summary["connections"], 6, sender.of("retry"))
        self.assertEqual((summary["records"], summary["stored"] + summary["duplicate"], summary["rejected"]),
                         (20000, 18000, 2000))
        rejects = sender.of("reject")
        self.assertEqual([event["index"] for event in rejects], sorted(bad), "each once, in order")
        for event in rejects:
            sent = event["record"] if isinstance(event["record"], dict) else json.loads(event["record"])
            self.assertEqual((sent, event["line"]), (lines[event["index"]], event["index"] + 1))
        self.assert_stored(set(range(20000)) - bad)
        acks = [event["line"] for event in sender.of("ack")]
        self.assertEqual(acks, sorted(set(acks)))
        self.assertLess(end["ahead"], 2050, "a few were pulled between an ack and its event")

    def test_records_stored_without_an_ack_are_not_stored_twice(self):
        """Records without collectedAt, and a proxy between client and daemon that drops the first ack."""
        d = self.daemon()

        def pass_on(stream):
            upstream = d.client()
            upstream.send_bytes(b"".join(stream))
            return upstream.finish().ack

        def play(accept):
            with accept() as stream:
                pass_on(stream)
            with accept() as stream:
                say(stream, **pass_on(stream))

        played = Played(self, play)
        summary, _ = Sender(self, [record(amountCents=n, collectedAt=None) for n in range(1000)],
                            {"path": played.path}).finish()
        played.check()
        self.assertEqual(counts(summary), (0, 1000, 0))
        self.assert_stored(range(1000))

    def test_equal_records_of_two_processes(self):
        """Each is stored once for each time that it is sent."""
        d = self.daemon()
        senders = [self.sender(d, [record(collectedAt=None)] * 20000) for _ in range(2)]
        for sender in senders:
            self.assertEqual(counts(sender.finish()[0]), (20000, 0, 0))
        self.assertEqual(self.db.count(), 40000)

    def test_records_are_spooled(self):
        self.server.need_private()
        folder = self.enterContext(tempfile.TemporaryDirectory())
        d = self.daemon(spool__dir=folder)
        self.server.stop_at_once()
        try:
            sender = self.sender(d, numbered(1000))
            summary, _ = sender.finish()
        finally:
            self.server.start()
        self.assertEqual((summary["records"], summary["spooled"], summary["stored"]), (1000, 1000, 0))
        wait_until(lambda: self.db.count() == 1000, "the spool is stored")

    def test_an_iterator_that_throws(self):
        sender = self.sender(self.daemon(), numbered(1000), throwAt=500)
        error, _ = sender.finish()
        self.assertEqual((error["message"], sender.of("ack")[-1]["line"]), ("the report has no more pages", 500))
        self.assert_stored(range(500))


class Bounds(ClientTest):
    shares_daemon = True

    def test_a_daemon_that_hangs(self):
        d = self.daemon()
        sender = self.sender(d, numbered(5000), {"windowRecords": 500}, paceRecords=10, paceMs=1)
        sender.until_line(1000)
        d.signal(signal.SIGSTOP)
        time.sleep(1)
        d.signal(signal.SIGCONT)
        summary, end = sender.finish()
        self.assertEqual((counts(summary), summary["connections"]), ((5000, 0, 0), 1))
        self.assertLess(end["ahead"], 550)

    def test_large_records(self):
        """200 MB, of which the client holds 1 MB."""
        sender = self.sender(self.daemon(), numbered(4000), {"windowBytes": 1 << 20}, padding=100_000)
        summary, end = sender.finish()
        self.assertEqual(counts(summary), (4000, 0, 0))
        self.assertLess(end["ahead"], 50, "half of them are small")
        self.assertLess(end["memory"], 200 << 20)

    def test_memory_of_many_records(self):
        """As tests/load/README.md has it for 1,000,000 records."""
        done = subprocess.run(["node", ROOT / "tests/load/node/client.mjs", client_package(), self.daemon().socket, "200000"],
                              stdout=subprocess.PIPE, text=True, timeout=100, check=True)
        sent, memory = map(json.loads, done.stdout.splitlines())
        self.assertEqual((sent["rows"], self.db.count()), (200000, 200000))
        self.assertLess(memory["rss_mb"], 160)

    def test_a_slow_consumer(self):
        """It receives only rejects, and more of them than may be waiting for it."""
        lines = numbered(5000, currency="usd")
        sender = self.sender(self.daemon(), lines, {"windowRecords": 300}, slowMs=1)
        summary, end = sender.finish()
        self.assertEqual(counts(summary), (0, 0, 5000))
        self.assertEqual([event["index"] for event in sender.of("reject")], list(range(5000)))
        self.assertLess(end["ahead"], 2500)


class Ends(ClientTest):
    shares_daemon = True

    def test_a_daemon_that_never_starts(self):
        path = pathlib.Path(tempfile.mkdtemp(prefix="ingestd-client-"), "stale.sock")
        self.addCleanup(shutil.rmtree, path.parent)
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(str(path))
        sender = Sender(self, numbered(3), {"path": str(path), "maxAttempts": 4, "retryMs": 20})
        error, end = sender.finish()
        self.assertEqual((error["name"], error["code"], error["settled"], error["cause"]),
                         ("IngestError", "unreachable", 0, "ECONNREFUSED"))
        self.assertIn(f"{path} after 4 attempts", error["message"])
        pauses = [event["pauseMs"] for event in sender.of("retry")]
        self.assertEqual(len(pauses), 3)
        for n, pause in enumerate(pauses):
            self.assertTrue(10 * 2 ** n <= pause <= 20 * 2 ** n, pauses)

    def test_no_such_socket_ends_at_the_first_attempt(self):
        sender = Sender(self, numbered(3), {"path": "/nonexistent/ingest.sock"})
        error, _ = sender.finish()
        self.assertEqual((error["code"], error["settled"], error["cause"], sender.of("retry")), ("no_socket", 0, "ENOENT", []))

    def test_a_daemon_that_does_not_restart(self):
        d = self.daemon()
        sender = self.sender(d, numbered(5000), {"windowRecords": 500, "maxAttempts": 3, "retryMs": 10}, paceRecords=10,
                             paceMs=1)
        sender.until_line(1000)
        d.kill()
        error, end = sender.finish()
        self.assertEqual((error["code"], error["settled"]), ("unreachable", sender.of("ack")[-1]["line"]))
        self.assertTrue(end["returned"], "the iterator was closed")
        self.assertLessEqual(error["settled"], self.db.count())

    def test_more_clients_than_allowed(self):
        d = self.daemon(limits__max_connections=1)
        only = d.client()
        only.send(record())
        only.wait_ack(1)
        sender = self.sender(d, numbered(3, start=1))
        retry = sender.until(lambda event: event["type"] == "retry")
        self.assertIn("too_many_connections", retry["message"])
        only.close()
        summary, _ = sender.finish()
        self.assertEqual(counts(summary), (3, 0, 0))

    def test_abort(self):
        for plan in ({"abortAt": 1000}, {"abortAfter": 3000}, {"abortAfter": 3000, "hangAfter": 3000}):
            with self.subTest(plan):
                sender = self.sender(self.daemon(), numbered(5000), {"windowRecords": 500}, paceRecords=10, paceMs=1,
                                     **plan)
                error, end = sender.finish()
                self.assertEqual((error["name"], error["code"]), ("AbortError", "aborted"))
                self.assertGreater(error["settled"], 0)
                self.assertLess(end["pulled"], 5000)
                self.assertEqual(end["returned"], "hangAfter" not in plan)

    def test_abort_between_attempts(self):
        sender = Sender(self, numbered(3), {"host": "127.0.0.1", "port": 1, "retryMs": 60000, "maxRetryMs": 60000},
                        abortInPause=True)
        error, _ = sender.finish()
        self.assertEqual(error["name"], "AbortError")

    def test_break(self):
        sender = self.sender(self.daemon(), numbered(5000), {"windowRecords": 500}, paceRecords=10, paceMs=1, breakAt=1000)
        _, end = sender.finish()
        self.assertTrue(end["returned"])
        self.assertLess(end["pulled"], 5000)


if __name__ == "__main__":
    unittest.main()
