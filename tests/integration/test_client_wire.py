"""The client for TypeScript: replies that a daemon sends only in rare situations, TLS, types."""

import contextlib
import json
import pathlib
import re
import subprocess
import threading
import time
import unittest

from lib.harness import ROOT, account, ad_object, numbered, record
from lib.node_client import SCRIPTS, ClientTest, Played, Sender, counts, project, say
from lib.npm import need_node, packages
from test_tls import Tls


class Wire(ClientTest):
    """Replies that a real daemon sends only in rare situations."""

    def test_a_reject_whose_ack_is_lost_is_reported_once(self):
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

    def test_line_numbers_restart_on_each_connection(self):
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

    def test_idle_timeout_is_not_a_failure(self):
        """With nothing to send there is no attempt to connect, so one allowed attempt suffices."""
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

    def test_attempts_are_counted_since_the_last_settled_record(self):
        def play(accept):
            for left in 4, 3, 2, 1:
                with accept() as stream:
                    for _ in range(left):
                        stream.readline()
                    say(stream, ack=1, stored=1, duplicate=0, rejected=0)

        played = Played(self, play)
        sender = Sender(self, numbered(4), {"path": played.path, "maxAttempts": 2, "retryMs": 1})
        summary, _ = sender.finish()
        played.check()
        self.assertEqual((counts(summary), summary["connections"]), ((4, 0, 0), 4))
        self.assertEqual([event["attempt"] for event in sender.of("retry")], [1, 1, 1])

    def test_not_a_daemon(self):
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
        for words, message in zip(("HTTP/1.1 400", "acks line 7", "rejects line 7", "is too long"), said, strict=True):
            self.assertIn(words, message)

    def test_which_records_get_collected_at(self):
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
            ids = [line.pop("id") for line in heard[:2] if stamping]
            self.assertEqual(heard, lines)
            self.assertEqual(stamps, sorted(set(stamps)))
            self.assertEqual(len(ids), len(set(ids)))
            for id in ids:
                self.assertRegex(id, r"^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")
            for stamp in stamps:
                self.assertRegex(stamp, r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")

    def test_a_byte_order_mark_is_not_sent(self):
        """The daemon would skip it only before line 1, which may be the hello line; with it the record was not stamped."""
        heard = []

        def play(accept):
            with accept() as stream:
                heard.extend(json.loads(line) for line in stream)
                say(stream, ack=len(heard), stored=len(heard) - 1, duplicate=0, rejected=0)

        played = Played(self, play)
        bare = record(amountCents=1, collectedAt=None)
        Sender(self, ["\ufeff" + json.dumps(bare)] * 2, {"path": played.path, "client": "bom"}, asText=True).finish()
        played.check()
        self.assertEqual([line["kind"] for line in heard[:1]], ["hello"])
        self.assertEqual(len({(line.pop("collectedAt"), line.pop("id")) for line in heard[1:]}), 2)
        self.assertEqual(heard[1:], [bare] * 2)

    def test_a_user_who_is_not_allowed(self):
        """It is not retried. (The tests may run as root, who is always allowed.)"""
        def play(accept):
            with accept() as stream:
                say(stream, closing="not_allowed")
                stream.read()

        played = Played(self, play)
        sender = Sender(self, numbered(3), {"path": played.path})
        error, _ = sender.finish()
        played.check()
        self.assertEqual((error["code"], error["settled"], sender.of("retry")), ("not_allowed", 0, []))

    def test_abort_does_not_wait_for_the_consumer(self):
        ended = []

        def play(accept):
            with accept() as stream:
                stream.readline()
                say(stream, ack=1, stored=1, duplicate=0, rejected=0)
                began = time.monotonic()
                with contextlib.suppress(OSError):
                    stream.read()
                ended.append(time.monotonic() - began)

        played = Played(self, play)
        sender = Sender(self, numbered(50), {"path": played.path}, paceRecords=1, paceMs=300, abortAfter=2, slowMs=5000)
        error, _ = sender.finish()
        played.check()
        self.assertEqual(error["name"], "AbortError")
        self.assertLess(ended[0], 3)

    def test_iterator_that_is_not_consumed(self):
        heard = threading.Event()

        def play(accept):
            stream = accept()
            heard.wait(30)
            stream.close()

        played = Played(self, play)
        sender = Sender(self, numbered(20000), {"path": played.path, "windowRecords": 700, "maxAttempts": 1},
                        padding=10_000)
        time.sleep(4)  # for the window to fill on a busy machine, too
        heard.set()
        error, end = sender.finish()
        self.assertEqual((error["code"], error["settled"], end["pulled"]), ("unreachable", 0, 700))
        self.assertLess(end["buffered"], 200_000, "of 3.5 MB in the window")


class OverTls(Tls):
    @classmethod
    def setUpClass(cls):
        need_node(18)
        super().setUpClass()

    def options(self, d, name="client"):
        port = int(re.findall(r"listening on TCP \S+ port (\d+)", d.log())[-1])
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

    def test_an_untrusted_certificate(self):
        d = self.daemon(**self.settings)
        error, _ = Sender(self, numbered(3), self.options(d, "stranger") | {"maxAttempts": 2}).finish()
        self.assertEqual((error["code"], error["settled"]), ("bad_certificate", 0))
        self.assertEqual(self.db.count(), 0)

    def test_plain_text_to_a_tls_port(self):
        d = self.daemon(**self.settings)
        options = self.options(d)
        sender = Sender(self, numbered(3), {key: options[key] for key in ("host", "port")})
        error, _ = sender.finish()
        self.assertEqual((error["code"], error["settled"], sender.of("retry")), ("tls_required", 0, []))
        self.assertNotIn("\n", error["message"])

        self.assertEqual(d.log().count("it sent plain text"), 1, "no second connection asks")

    def test_tls_to_a_plain_port(self):
        """The daemon answers a handshake in plain text, and takes no part of it for lines."""
        d = self.daemon(listen__tcp="127.0.0.1:0")
        sender = Sender(self, numbered(3), self.options(d) | {"connectTimeoutMs": 60_000})
        error, _ = sender.finish()
        self.assertEqual((error["code"], error["settled"], sender.of("retry")), ("tls_not_supported", 0, []))
        self.assertIn("the port does not speak TLS", error["message"])
        self.assertNotIn("\n", error["message"])
        self.assertIn("it began a TLS handshake", d.log())
        self.assertNotIn("rejected", d.log())

    def test_a_daemon_of_another_name(self):
        options = self.options(self.daemon(**self.settings)) | {"maxAttempts": 1}
        options["tls"]["servername"] = "elsewhere"
        error, _ = Sender(self, numbered(3), options).finish()
        self.assertEqual((error["code"], error["cause"]), ("wrong_host_name", "ERR_TLS_CERT_ALTNAME_INVALID"))


class Types(unittest.TestCase):
    def check(self, name, text):
        need_node(18)
        place = project(self, typescript=packages(SCRIPTS) / "node_modules/typescript")
        (place / name).write_text(text)
        done = subprocess.run(["node", "node_modules/typescript/bin/tsc", "--noEmit", "--strict", "--skipLibCheck", "--target", "es2022",
                               "--module", "nodenext", name], cwd=place, stdout=subprocess.PIPE, text=True, timeout=120)
        self.assertEqual((done.stdout, done.returncode), ("", 0))

    def test_sample(self):
        self.check("sample.ts", (SCRIPTS / "sample.ts").read_text())

    def test_readme(self):
        [sample] = re.findall(r"^```ts\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)
        self.assertLessEqual(len(sample.splitlines()), 15)
        self.check("readme.ts", sample)


if __name__ == "__main__":
    unittest.main()
