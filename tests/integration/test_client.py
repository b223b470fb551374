"""The client for TypeScript (tests/clients/node) against the daemon, and where the daemon cannot be made to say
something at will, against one that is played."""

import contextlib
import json
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from harness import ROOT, TestCase, account, ad_object, encode, numbered, record, wait_until
from npm import need, packages
from test_tls import Tls

HERE = pathlib.Path(__file__).resolve().parent / "client"
CLIENT = ROOT / "tests/clients/node"


def project(test, **modules):
    """A folder where the scripts find the client, and other modules, by name."""
    folder = tempfile.TemporaryDirectory(prefix="ingestd-client-")
    test.addCleanup(folder.cleanup)
    place = pathlib.Path(folder.name)
    (place / "node_modules").mkdir()
    for name, where in {"boris-ingestd-client": CLIENT, **modules}.items():
        (place / "node_modules" / name).symlink_to(where)
    for script in HERE.iterdir():
        (place / script.name).write_bytes(script.read_bytes())
    return place


class Sender:
    """drive.mjs at work; `plan` is described there."""

    def __init__(self, test, lines, options, **plan):
        place = project(test)
        (place / "records").write_bytes(b"".join(encode(line) + b"\n" for line in lines))
        plan = {"file": str(place / "records"), "options": options} | plan
        self.process = subprocess.Popen(["node", "drive.mjs", json.dumps(plan)], cwd=place, stdout=subprocess.PIPE,
                                        text=True)
        self.watchdog = threading.Timer(100, self.process.kill)
        self.watchdog.start()
        test.addCleanup(self.close)
        self.events = []

    def close(self):
        self.watchdog.cancel()
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def until(self, condition):
        """Reads events up to one for which condition(event) holds; that one."""
        for text in self.process.stdout:
            event = json.loads(text)
            self.events.append(event)
            if condition(event):
                return event
        raise AssertionError(f"it never came to that: {self.events[-3:]}")

    def until_line(self, line):
        return self.until(lambda event: event.get("line", 0) >= line)

    def finish(self):
        """The rest; the last event of all, beside those of this name: it and the end."""
        end = self.until(lambda event: event["type"] == "end")
        assert self.process.wait(20) == 0, "it ends by itself"
        return self.events[-2], end

    def of(self, kind):
        return [event for event in self.events if event["type"] == kind]


class Played(threading.Thread):
    """A daemon that does what is written: `play` is called with the connections, one after the other."""

    def __init__(self, test, play):
        super().__init__(daemon=True)
        folder = tempfile.TemporaryDirectory(prefix="ingestd-client-")
        test.addCleanup(folder.cleanup)
        self.path = f"{folder.name}/socket"
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen()
        test.addCleanup(self.listener.close)
        self.play, self.error = play, None
        self.start()

    def run(self):
        try:
            self.play(self.accept)
        except BaseException as error:
            self.error = error

    def accept(self):
        sock, _ = self.listener.accept()
        with sock:
            sock.settimeout(30)
            return sock.makefile("rwb")

    def check(self):
        self.join(30)
        assert not self.is_alive() and not self.error, f"the play went otherwise: {self.error!r}"


def say(stream, **reply):
    stream.write(encode(reply) + b"\n")
    stream.flush()


def counts(event):
    return event["stored"], event["duplicate"], event["rejected"]


class ClientTest(TestCase):
    @classmethod
    def setUpClass(cls):
        need("node")
        super().setUpClass()

    def setUp(self):
        super().setUp()
        self.connection = self.db.add_account()

    def sender(self, daemon, lines, options=None, **plan):
        return Sender(self, lines, {"path": daemon.socket} | (options or {}), **plan)

    def assert_stored(self, amounts):
        found = sorted(row["amount_cents"] for row in self.db.query("SELECT amount_cents FROM spending"))
        self.assertEqual(found, sorted(amounts))


class Streams(ClientTest):
    def test_what_becomes_of_each_record(self):
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

    def test_records_that_javascript_says_in_odd_ways(self):
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

    def test_the_spool_takes_them(self):
        self.server.need_private()
        with tempfile.TemporaryDirectory() as folder:
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
    def test_a_daemon_that_stands_still(self):
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

    def test_a_slow_consumer(self):
        """One that is told only rejects, more of them than are made to wait for it."""
        lines = numbered(5000, currency="usd")
        sender = self.sender(self.daemon(), lines, {"windowRecords": 300}, slowMs=1)
        summary, end = sender.finish()
        self.assertEqual(counts(summary), (0, 0, 5000))
        self.assertEqual([event["index"] for event in sender.of("reject")], list(range(5000)))
        self.assertLess(end["ahead"], 2500)


class Ends(ClientTest):
    def test_a_daemon_that_never_comes(self):
        sender = Sender(self, numbered(3), {"path": "/nonexistent/ingest.sock", "maxAttempts": 4, "retryMs": 20})
        error, end = sender.finish()
        self.assertEqual((error["name"], error["code"], error["settled"], error["cause"]),
                         ("IngestError", "unreachable", 0, "ENOENT"))
        self.assertIn("/nonexistent/ingest.sock after 4 attempts", error["message"])
        pauses = [event["pauseMs"] for event in sender.of("retry")]
        self.assertEqual(len(pauses), 3)
        for n, pause in enumerate(pauses):
            self.assertTrue(10 * 2 ** n <= pause <= 20 * 2 ** n, pauses)

    def test_a_daemon_that_does_not_come_back(self):
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
                self.assertEqual(error["name"], "AbortError")
                self.assertLess(end["pulled"], 5000)
                self.assertEqual(end["returned"], "hangAfter" not in plan)

    def test_abort_between_attempts(self):
        sender = Sender(self, numbered(3), {"path": "/nonexistent", "retryMs": 60000, "maxRetryMs": 60000}, abortAfter=3)
        error, _ = sender.finish()
        self.assertEqual(error["name"], "AbortError")

    def test_break(self):
        sender = self.sender(self.daemon(), numbered(5000), {"windowRecords": 500}, paceRecords=10, paceMs=1, breakAt=1000)
        _, end = sender.finish()
        self.assertTrue(end["returned"])
        self.assertLess(end["pulled"], 5000)


class Wire(ClientTest):
    """What a real daemon says only at bad moments."""

    def test_a_reject_whose_ack_is_lost_is_told_once(self):
        lines = [record(amountCents=n, collectedAt=None) for n in range(3)]

        def play(accept):
            first = accept()
            sent = [first.readline() for _ in range(3)]
            say(first, reject=2, code="unknown_ad_object", message="first")
            say(first, reject=3, code="unknown_ad_object", message="first")
            first.write(b'{"ack":3,"sto')
            first.close()
            second = accept()
            self.assertEqual([second.readline() for _ in range(3)], sent, "with the stamps that they had")
            say(second, reject=2, code="unknown_ad_object", message="second")
            say(second, ack=3, stored=1, duplicate=1, rejected=1)
            self.assertEqual(second.readline(), b"", "half-closed")
            second.close()

        played = Played(self, play)
        sender = Sender(self, lines, {"path": played.path})
        summary, _ = sender.finish()
        played.check()
        self.assertEqual([(event["index"], event["message"]) for event in sender.of("reject")], [(1, "second")])
        self.assertEqual((counts(summary), summary["connections"]), ((1, 1, 1), 2))

    def test_lines_count_anew_on_each_connection(self):
        def play(accept):
            first = accept()
            lines = [first.readline() for _ in range(5)]
            say(first, reject=1, code="bad_value", message="x")
            say(first, ack=2, stored=1, duplicate=0, rejected=1, spooled=0)
            say(first, closing="shutdown")
            first.close()
            second = accept()
            self.assertEqual([second.readline() for _ in range(3)], lines[2:])
            say(second, reject=2, code="bad_value", message="x")
            say(second, ack=3, stored=1, duplicate=0, rejected=1, spooled=1)
            second.close()

        played = Played(self, play)
        sender = Sender(self, numbered(5), {"path": played.path})
        summary, _ = sender.finish()
        played.check()
        self.assertEqual([event["index"] for event in sender.of("reject")], [0, 3])
        self.assertEqual((*counts(summary), summary["spooled"], summary["connections"]), (2, 0, 2, 1, 2))
        self.assertEqual([event["line"] for event in sender.of("ack")], [2, 5])
        self.assertIn("shutdown", sender.of("retry")[0]["message"])

    def test_idle_is_no_failure(self):
        """With nothing to send there is no attempt, though only one may fail."""
        def play(accept):
            for line in range(3):
                stream = accept()
                stream.readline()
                say(stream, ack=1, stored=1, duplicate=0, rejected=0)
                say(stream, closing="idle")
                stream.close()

        played = Played(self, play)
        sender = Sender(self, numbered(3), {"path": played.path, "maxAttempts": 1}, paceRecords=1, paceMs=200)
        summary, _ = sender.finish()
        played.check()
        self.assertEqual((counts(summary), summary["connections"]), ((3, 0, 0), 3))

    def test_what_is_no_daemon(self):
        def play(accept):
            for reply in b"HTTP/1.1 400 Bad Request\n", b'{"ack":7}\n', b'{"reject":7}\n', b"x" * (2 << 20):
                with contextlib.suppress(OSError), accept() as stream:
                    stream.readline()
                    stream.write(reply)
                    stream.flush()
                    stream.read()

        played = Played(self, play)
        sender = Sender(self, numbered(3), {"path": played.path, "maxAttempts": 4, "retryMs": 1})
        error, _ = sender.finish()
        played.check()
        said = [event["message"] for event in sender.of("retry")] + [error["message"]]
        for words, message in zip(("HTTP/1.1 400", "acks line 7", "refuses line 7", "has no end"), said, strict=True):
            self.assertIn(words, message)

    def test_who_gets_a_stamp(self):
        bare = record(amountCents=1, collectedAt=None)
        own = [record(), bare | {"id": "00000000-0000-8000-8000-000000000000"}, account("x"), ad_object("1")]
        for stamping in True, False:
            heard = []

            def play(accept):
                with accept() as stream:
                    heard.extend(json.loads(line) for line in stream)
                    say(stream, ack=len(heard), stored=len(heard), duplicate=0, rejected=0)

            played = Played(self, play)
            # each once as text, once as an object
            lines = [line for line in [bare, *own] for _ in range(2)]
            Sender(self, lines, {"path": played.path, "stampCollectedAt": stamping}).finish()
            played.check()
            stamps = [line.pop("collectedAt") for line in heard[:2] if stamping]
            self.assertEqual(heard, lines)
            self.assertEqual(stamps, sorted(set(stamps)))
            for stamp in stamps:
                self.assertRegex(stamp, r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")

    def test_a_user_who_may_not_connect(self):
        """It is not tried again. (The tests may run as root, who always may.)"""
        def play(accept):
            with accept() as stream:
                say(stream, closing="not_allowed")
                stream.read()

        played = Played(self, play)
        sender = Sender(self, numbered(3), {"path": played.path})
        error, _ = sender.finish()
        played.check()
        self.assertEqual((error["code"], error["settled"], sender.of("retry")), ("not_allowed", 0, []))

    def test_nobody_reads(self):
        heard = threading.Event()

        def play(accept):
            stream = accept()
            heard.wait(30)
            stream.close()

        played = Played(self, play)
        sender = Sender(self, numbered(20000), {"path": played.path, "windowRecords": 700, "maxAttempts": 1})
        time.sleep(1.5)
        heard.set()
        error, end = sender.finish()
        self.assertEqual((error["code"], error["settled"], end["pulled"]), ("unreachable", 0, 700))


class OverTls(Tls):
    @classmethod
    def setUpClass(cls):
        need("node")
        super().setUpClass()

    def options(self, d, name="client"):
        port = int(d.log().rsplit("listening on TCP", 1)[1].split(" port ", 1)[1].split()[0])
        text = {key: pathlib.Path(self.path(file)).read_text()
                for key, file in (("ca", "ca.crt"), ("cert", f"{name}.crt"), ("key", f"{name}.key"))}
        return {"host": "127.0.0.1", "port": port, "tls": text | {"servername": "localhost"}, "maxAttempts": 5,
                "retryMs": 50}

    def test_lines_rejects_and_a_restart(self):
        d = self.daemon(**self.settings)
        d.settings["listen.tcp"] = f"0.0.0.0:{self.options(d)['port']}"
        sender = Sender(self, numbered(5000) + [record(currency="usd")], self.options(d) | {"windowRecords": 500},
                        paceRecords=10, paceMs=1, padding=2000)
        sender.until_line(1000)
        d.kill()
        d.start()
        summary, _ = sender.finish()
        self.assertEqual((summary["stored"] + summary["duplicate"], summary["rejected"]), (5000, 1))
        self.assertEqual([event["index"] for event in sender.of("reject")], [5000])
        self.assertEqual(self.db.count(), 5000)

    def test_a_stranger(self):
        d = self.daemon(**self.settings)
        error, _ = Sender(self, numbered(3), self.options(d, "stranger") | {"maxAttempts": 2}).finish()
        self.assertEqual((error["code"], error["settled"]), ("unreachable", 0))
        self.assertEqual(self.db.count(), 0)

    def test_a_daemon_of_another_name(self):
        options = self.options(self.daemon(**self.settings)) | {"maxAttempts": 1}
        options["tls"]["servername"] = "elsewhere"
        error, _ = Sender(self, numbered(3), options).finish()
        self.assertEqual(error["cause"], "ERR_TLS_CERT_ALTNAME_INVALID")


class Types(unittest.TestCase):
    def test_sample(self):
        modules = packages(HERE) / "node_modules"
        place = project(self, typescript=modules / "typescript")
        done = subprocess.run(["node", "node_modules/typescript/bin/tsc", "--noEmit", "--strict", "--target", "es2022",
                               "--module", "nodenext", "sample.ts"], cwd=place, stdout=subprocess.PIPE, text=True,
                              timeout=120)
        self.assertEqual((done.stdout, done.returncode), ("", 0))


if __name__ == "__main__":
    unittest.main()
