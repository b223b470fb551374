"""boris-ingestd top: shows /status.json on a terminal, and restores the terminal when it ends."""

import http.server
import json
import os
import pty
import re
import signal
import subprocess
import termios
import threading
import unittest

from lib.harness import INGESTD, TestCase, numbered, record, run_ingestd, wait_until
from lib.terminal import SEQUENCES, Terminal

STATUS = {
    "version": "0.1.0", "pid": 1234, "now": "2026-11-24T11:50:00.123Z", "uptimeSeconds": 13801.5, "state": "running",
    "ready": False, "notReadyReason": "the database is unavailable", "workers": 2,
    "lines": {"received": 1234567, "stored": 1234000, "duplicate": 7, "rejected": 3, "spooled": 0, "empty": 0, "inFlight": 20000},
    "rejectsByCode": {"bad_json": 1, "unknown_ad_object": 2, "bad_value": 0},
    "rates": {"received": 156000.0, "stored": 155000.0, "duplicate": 0.7, "rejected": 0.3, "spooled": 0.0, "bytes": 62914560.0},
    "ackLatencySeconds": {"p50": 0.029, "p99": 0.0543, "max": 0.2},
    "history": {"stored": [0, 1000, 50000, 155000] * 70, "ackP99": [None, 0.1, 0.3] * 90},
    "connectionCounts": {"open": 42, "paused": 1, "accepted": 20, "refused": 1, "limit": 1024},
    "connections": [{"number": n, "peer": "uid 0, pid 7\x1b[2J\x9b日本語" * n, "lines": 100000, "stored": 90000, "rejected": 2,
                     "inFlight": 10000, "lagSeconds": 42.5 - n, "paused": "database" if n == 1 else None} for n in range(1, 43)],
    "database": {"state": "away", "connections": 3, "connected": 0, "awaySeconds": 12.0, "reconnects": 4, "lastError": "refused\x1b]0;x\x07"},
    "batches": {"written": 123, "targetRows": 3400, "gapSeconds": 0.0005, "commitP50Seconds": 0.012, "commitP99Seconds": 0.03},
    "cache": {"objects": 3000, "limit": 1000000, "hits": 999000, "misses": 1000},
    "memory": {"usedBytes": 12582912, "limitBytes": 268435456},
    "spool": {"state": "filling", "lines": 1234, "bytes": 12345678, "maxBytes": 4294967296, "oldestSeconds": 3.5},
    "latestRejects": [{"time": "2026-11-24T11:49:58.123Z", "connection": 3, "line": 17, "code": "bad_value", "field": "amountCents",
                       "message": "must be an integer\x1b[31m"}] * 20,
}


class Answers:
    """A server with prepared answers."""

    def __init__(self):
        self.status, self.body = 200, json.dumps(STATUS).encode()
        answers = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                found = self.path == "/status.json"
                self.send_response(answers.status if found else 404)
                self.end_headers()
                self.wfile.write(answers.body if found else b"")

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = "http://127.0.0.1:%d" % self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,)).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Top(unittest.TestCase):
    def setUp(self):
        self.answers = Answers()
        self.addCleanup(self.answers.close)

    def top(self, *args, **kwargs):
        terminal = Terminal(INGESTD, "top", "--url", self.answers.url, *args, **kwargs)
        self.addCleanup(terminal.close)
        return terminal

    def once(self, *args, status=0):
        done = subprocess.run([INGESTD, "top", *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
        self.assertEqual(done.returncode, status, done.stderr)
        return done

    def test_once(self):
        shown = self.once("--url", self.answers.url + "/").stdout
        self.assertNotRegex(shown, r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")
        for words in ("boris-ingestd 0.1.0  running, not ready: the database is unavailable  up 3:50:01  pid 1234", "1,234,567",
                      "156k         155k          0.7          0.3            0", "20,000 lines  received 60 MB/s",
                      "p50 29 ms  p99 54 ms  max 200 ms", "▁▁▃█", "peak 155k", "peak 300 ms",
                      "away for 12 s  0 of 3 connections  4 reconnects", "refused?]0;x?", "filling  1,234 lines  12 MB of 4.0 GB",
                      "3,000 of 1,000,000 objects, 99.9 % hits", "rejects    bad_json 1  unknown_ad_object 2\n",
                      "11:49:58  #3 line 17  bad_value amountCents: must be an integer?[31m", "42 of 1,024 connected  1 paused",
                      "    1  uid 0, pid 7?[2J?日本語"):
            self.assertIn(words, shown)
        numbers = [int(n) for n in re.findall(r"^ *(\d+)  uid 0", shown, re.M)]
        self.assertEqual(numbers, list(range(1, 43)))
        # no terminal: the same
        self.assertEqual(self.once("--url", self.answers.url).stdout, shown)

    def test_an_incomplete_status(self):
        self.answers.body = b"{}"
        self.assertIn("spool      off", self.once("--url", self.answers.url).stdout)
        self.answers.body = json.dumps(STATUS | {"connections": [{}, 3, None], "history": 3, "latestRejects": [{}], "lines": None,
                                                 "rates": {"received": -1, "stored": "x", "bytes": 1e300}}).encode()
        self.once("--url", self.answers.url)
        text = json.dumps(STATUS | {"history": {"stored": [1, "@", 2], "ackP99": [-1, "x", 0]}, "rejectsByCode": {"bad_json": "@"}})
        for number in ("1e999", "-1e999", "1e300", "18446744073709551616"):
            self.answers.body = text.replace('"@"', number).encode()
            self.once("--url", self.answers.url)

    def test_without_an_answer(self):
        self.answers.status = 503
        self.assertIn("the answer is HTTP status 503", self.once("--url", self.answers.url, status=1).stderr)
        self.answers.status, self.answers.body = 200, b"<html>"
        self.assertIn("the answer is not a status", self.once("--url", self.answers.url, status=1).stderr)
        url = self.answers.url
        self.answers.close()
        self.assertIn(f"no status from {url}: Connection refused", self.once("--url", url, status=1).stderr)
        for url in ("127.0.0.1:1", "http://", "https://a:1", "http://a", "http://a:1/x", "http://" + "a" * 400 + ":1"):
            self.assertIn("--url must be http://host:port", self.once("--url", url, status=2).stderr)

    def assert_fits(self, terminal, rows, columns):
        lines = terminal.frame().split("\r\n")
        self.assertLessEqual(len(lines), rows)
        for text in lines:
            self.assertLessEqual(len(text), columns, text)

    def test_it_fits_every_window(self):
        terminal = self.top()
        terminal.wait_for("uid 0")
        self.assert_fits(terminal, 24, 80)
        self.assertGreaterEqual(terminal.frame().count("uid 0"), 6)
        for rows, columns in ((50, 200), (10, 40), (1, 1), (24, 79)):
            drawn = terminal.shown.count("\x1b[H")
            terminal.resize(rows, columns)
            wait_until(lambda: terminal.read() or terminal.shown.count("\x1b[H") > drawn + 1, "drawn anew")
            self.assert_fits(terminal, rows, columns)
        self.assertIn("\x1b[31m", terminal.shown)
        # nothing but what it may say to a terminal itself
        self.assertEqual(set(SEQUENCES.findall(terminal.shown)) - {f"\x1b[{n}m" for n in (0, 1, 2, 31, 32, 33)},
                         {"\x1b[?1049h", "\x1b[?25l", "\x1b[?7l", "\x1b[2J", "\x1b[H", "\x1b[K", "\x1b[J"})
        self.assertEqual(terminal.shown.count("\x1b[2J"), 1)
        self.assertEqual(len(re.findall("\x1b", terminal.shown)), len(SEQUENCES.findall(terminal.shown)))

    def clients(self, terminal):
        terminal.read()
        return [int(n) for n in re.findall(r"^ *(\d+)  uid 0", terminal.frame(), re.M)]

    def test_what_is_cut_says_so(self):
        terminal = self.top()
        terminal.wait_for("uid 0")
        whole = self.once("--url", self.answers.url).stdout.splitlines()
        for text in terminal.frame().split("\r\n")[:-1]:
            begins = [line for line in whole if line.startswith(text[:10])]
            self.assertTrue(text.endswith("…") or "uid 0" in text or "  client " in text or re.search("[▁-█]", text) or not text or text in begins, text)
        self.assertIn("…", terminal.frame())

    def test_keys(self):
        terminal = self.top()
        terminal.wait_for(r"q quit  s sort: lag .* clients 1-\d+ of 42  … more below")
        self.assertEqual(self.clients(terminal)[0], 1)
        page = len(self.clients(terminal))
        terminal.press(b"\x1b[B")
        terminal.wait_for("clients 2-")
        self.assertEqual(self.clients(terminal), list(range(2, 2 + page)))
        # a page begins where the one before ended
        terminal.press(b"\x1b[6~")
        terminal.wait_for(f"clients {2 + page}-")
        self.assertEqual(self.clients(terminal), list(range(2 + page, 2 + 2 * page)))
        terminal.press(b"\x1b[5~")
        terminal.wait_for("clients 2-")
        terminal.press(b"jjjk")  # a key that is held down
        terminal.wait_for("clients 4-")
        # the last page is full
        terminal.press(b"G")
        terminal.wait_for(f"clients {43 - page}-42 of 42")
        self.assertNotIn("more below", terminal.frame())
        terminal.press(b"\x1b[6~k")
        terminal.wait_for(f"clients {42 - page}-41 of 42")
        terminal.press(b"g")
        terminal.wait_for("clients 1-")
        for name, first in (("lines", 1), ("rejected", 1), ("newest", 42), ("client", 1), ("lag", 1)):
            terminal.press(b"s")
            terminal.wait_for(f"s sort: {name} ")
            self.assertEqual(self.clients(terminal)[0], first, name)
        terminal.press(b"q")
        self.assertEqual(terminal.wait(), 0)

    def add_sections(self, count):
        sections = [{"name": f"job-{n}\x1b[2J", "connections": n, "lines": 5000, "stored": 4000, "duplicate": 300, "rejected": 20,
                     "spooled": 7, "heldBytes": 2048} for n in range(1, count + 1)]
        self.answers.body = json.dumps(STATUS | {"clients": sections}).encode()

    def sections(self, terminal):
        terminal.read()
        return [int(n) for n in re.findall(r"^job-(\d+)\?", terminal.frame(), re.M)]

    def test_sections(self):
        self.add_sections(12)
        shown = self.once("--url", self.answers.url).stdout
        for words in ("section ", "job-1?[2J ", " 1   5,000   4,000        300        20        7   2.0 KB\n"):
            self.assertIn(words, shown)
        self.assertEqual(shown.count("job-"), 12)
        terminal = self.top()
        terminal.wait_for(r"clients 1-\d+ of 42")
        self.assert_fits(terminal, 24, 80)
        self.assertEqual(self.sections(terminal), [1, 2])
        self.assertIn("… 10 more sections: Tab", terminal.frame())
        self.assertGreaterEqual(len(self.clients(terminal)), 2)
        seen = self.clients(terminal)
        while seen[-1] < 42:  # page by page, none is left out
            terminal.press(b" ")
            terminal.wait_for(f"clients {min(seen[-1] + 1, 43 - len(self.clients(terminal)))}-")
            seen += [n for n in self.clients(terminal) if n > seen[-1]]
        self.assertEqual(seen, list(range(1, 43)))
        terminal.press(b"\t")
        terminal.wait_for(r"Tab clients .* sections 1-\d+ of 12")
        page = len(self.sections(terminal))
        self.assertEqual((self.sections(terminal), self.clients(terminal)), (list(range(1, page + 1)), []))
        self.assert_fits(terminal, 24, 80)
        terminal.press(b"\x1b[6~")
        terminal.wait_for("sections .*-12 of 12")
        self.assertEqual(self.sections(terminal), list(range(13 - page, 13)))
        terminal.press(b"\t")
        terminal.wait_for("Tab sections .* clients 1-")
        terminal.resize(50, 160)
        terminal.wait_for("job-8.*… 4 more sections: Tab")
        self.assert_fits(terminal, 50, 160)
        self.add_sections(0)
        terminal.wait_for("scroll  clients 1-")
        self.assertNotIn("section", terminal.frame())

    def test_a_dumb_terminal(self):
        terminal = self.top(TERM="dumb")
        self.assertEqual(terminal.wait(), 0)
        self.assertNotIn("\x1b", terminal.shown)
        self.assertIn("1,234,567", terminal.shown)

    def test_the_same_reject_often(self):
        status = STATUS | {"latestRejects": [STATUS["latestRejects"][0] | {"times": 10}]}
        self.answers.body = json.dumps(status).encode()
        self.assertIn("11:49:58  × 10  #3 line 17", self.once("--url", self.answers.url).stdout)

    def test_no_color(self):
        terminal = self.top(NO_COLOR="1")
        terminal.wait_for("uid 0")
        self.assertNotRegex(terminal.shown, "\x1b\\[[0-9]*m")

    def test_the_terminal_is_restored_however_it_ends(self):
        for end in (lambda t: t.press(b"q"), lambda t: t.press(b"\x03"), lambda t: os.kill(t.pid, signal.SIGTERM),
                    lambda t: os.kill(t.pid, signal.SIGINT), lambda t: os.kill(t.pid, signal.SIGHUP)):
            main, side = pty.openpty()
            before = termios.tcgetattr(side)
            os.close(main), os.close(side)
            terminal = self.top()
            terminal.wait_for("uid 0")
            self.assertFalse(terminal.modes()[3] & (termios.ECHO | termios.ICANON))
            end(terminal)
            self.assertEqual(terminal.wait(), 0)
            self.assertTrue(terminal.shown.endswith("\x1b[?7h\x1b[?25h\x1b[?1049l"), terminal.shown[-100:])
            try:
                modes = terminal.modes()
            except termios.error:  # with its last user the terminal may be gone
                continue
            self.assertEqual(modes[3], before[3])

    def test_suspended_and_back(self):
        terminal = self.top()
        terminal.wait_for("uid 0")
        terminal.press(b"\x1a")
        wait_until(lambda: os.waitpid(terminal.pid, os.WNOHANG | os.WUNTRACED)[0], "stopped")
        terminal.read()
        self.assertTrue(terminal.shown.endswith("\x1b[?7h\x1b[?25h\x1b[?1049l"))
        self.assertTrue(terminal.modes()[3] & termios.ECHO)
        terminal.shown = ""
        os.kill(terminal.pid, signal.SIGCONT)
        terminal.wait_for("uid 0")
        self.assertFalse(terminal.modes()[3] & termios.ECHO)
        terminal.press(b"q")
        self.assertEqual(terminal.wait(), 0)

    def test_the_daemon_restarts(self):
        terminal = self.top(columns=120)
        terminal.wait_for("uid 0")
        self.answers.status = 503
        terminal.wait_for(r"no status from http://127.0.0.1:\d+: the answer is HTTP status 503; showing the last known state.*uid 0")
        self.answers.status = 200
        terminal.wait_for(r"^boris-ingestd 0.1.0[^\n]*\r\nlines ")


class OfARealDaemon(TestCase):
    def test_what_it_does(self):
        self.server.need_private()
        self.db.add_account()
        d = self.daemon(http__listen="127.0.0.1:0")
        port = re.search(r"status and metrics: http://127.0.0.1:(\d+)/", d.log())[1]

        def shown(pattern):
            done = run_ingestd(self.db, "top", "--once", "--set", f"http.listen=127.0.0.1:{port}")
            self.assertEqual(done.returncode, 0, done.stderr)
            return re.search(pattern, done.stdout, re.S)

        quiet = d.client()
        quiet.send(record(amountCents=-1))
        quiet.wait_ack(1)
        d.send(*numbered(500), record(externalId="none"))
        wait_until(lambda: shown(r"running, ready .*total +502 +501 +0 +1 +0\n.*database +connected .*spool +off\n.*"
                                 r"rejects +unknown_ad_object 1\n +\S+  #2 line 501  unknown_ad_object externalId: no ad object none"
                                 r".*1 of 1,024 connected .*\n +1  uid \d+, pid \d+ +1 +1 +0 +0 "), "it all")
        busy = d.client()
        self.server.stop_at_once()
        try:
            busy.send(record(amountCents=-2))
            # the longest wait comes first
            wait_until(lambda: shown(r"not ready: .*database +(away|connecting) .*\n +3  uid [^\n]* 1 +\d[^\n]* s[^\n]*\n +1  uid "), "an outage")
        finally:
            self.server.start()
        busy.wait_ack(1)
        wait_until(lambda: shown(r"running, ready .*database +connected "), "its end")
        quiet.close()
        busy.close()


if __name__ == "__main__":
    unittest.main()
