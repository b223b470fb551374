"""boris-ingestd send: everything is settled once, across restarts; rejects, progress, exit statuses."""

import fcntl
import json
import os
import pathlib
import pty
import re
import signal
import socket
import struct
import subprocess
import tempfile
import termios
import threading
import time
import unittest

from lib.client import encode
from lib.harness import INGESTD, TestCase, numbered, record, run_ingestd, wait_until

TOTALS = re.compile(r"^(\d+) lines: (\d+) stored, (\d+) duplicate, (\d+) rejected(?:, (\d+) spooled)?(?:, (\d+) empty)? in ", re.M)


def text(*lines):
    return b"".join(encode(line) + b"\n" for line in lines)


class SendCase(unittest.TestCase):
    def setUp(self):
        super().setUp()
        self.dir = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="ingestd-")))

    def file(self, content):
        path = self.dir / "a=b:c@d.jsonl"  # no setting
        path.write_bytes(content)
        return str(path)

    def popen(self, *args, **kwargs):
        kwargs = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.PIPE} | kwargs
        process = subprocess.Popen([INGESTD, "send", *args], **kwargs)
        self.addCleanup(self.end, process)
        return process

    def end(self, process):
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream:
                stream.close()

    def finish(self, process, status=0):
        out, err = process.communicate(timeout=120)
        self.assertEqual(process.returncode, status, out.decode() + err.decode())
        return out.decode(), err.decode()

    def send(self, path, *args, status=0):
        return self.finish(self.popen(path, *args), status)

    def assert_totals(self, out, *counts):
        """lines, stored, duplicate, rejected, spooled, empty"""
        found = [int(n or 0) for n in TOTALS.search(out).groups()]
        self.assertEqual(found, list(counts) + [0] * (6 - len(counts)), out)


class Send(SendCase, TestCase):
    shares_daemon = True

    def setUp(self):
        super().setUp()
        self.db.add_account()

    def store_slowly(self):
        """Each batch takes a while."""
        self.db.execute("CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS "
                        "$$ BEGIN PERFORM pg_sleep(0.3); RETURN NULL; END $$;"
                        "CREATE TRIGGER slowly BEFORE INSERT ON spending FOR EACH STATEMENT EXECUTE FUNCTION slowly()")

    def test_a_file_sent_twice(self):
        d = self.daemon()
        path = self.file(text(*numbered(2000)) + b"\n\r\n" + encode(record(amountCents=-1)))
        out, err = self.send(path, "--socket", d.socket)
        self.assert_totals(out, 2003, 2001, 0, 0, 0, 2)
        self.assertEqual(err, "")
        out, err = self.send(path, "--set", f"listen.unix={d.socket}")
        self.assert_totals(out, 2003, 0, 2001, 0, 0, 2)
        self.assertEqual(self.db.count(), 2001)
        out, err = self.send(self.file(b""), "--socket", d.socket)
        self.assert_totals(out, 0, 0, 0, 0)

    def test_rejects(self):
        d = self.daemon()
        path = self.file(text(record(), record(externalId="no\x1b[31m\x9b"), b"\xff", record(amountCents=1.5), record(amountCents=2)))
        out, err = self.send(path, "--socket", d.socket, status=1)
        self.assert_totals(out, 5, 2, 0, 3)
        lines = out.splitlines()
        self.assertEqual(lines[0], "line 2: unknown_ad_object externalId: no ad object no?[31m? in account act_1")
        self.assertTrue(lines[1].startswith("line 3: bad_json: "), out)
        self.assertTrue(lines[2].startswith("line 4: bad_value amountCents: "), out)
        self.assertEqual(err, "boris-ingestd: 3 of 5 lines were rejected: see above for each\n")

        out, err = self.send(path, "--socket", d.socket, "--json", status=1)
        replies = [json.loads(line) for line in out.splitlines()]
        self.assertEqual([(r["reject"], r["code"], r.get("field")) for r in replies[:-1]],
                         [(2, "unknown_ad_object", "externalId"), (3, "bad_json", None), (4, "bad_value", "amountCents")])
        self.assertEqual(replies[0]["message"], "no ad object no\x1b[31m\x9b in account act_1")
        seconds = replies[-1].pop("seconds")
        self.assertTrue(0 <= seconds < 60)
        self.assertEqual(replies[-1], {"lines": 5, "stored": 0, "duplicate": 2, "rejected": 3, "spooled": 0, "empty": 0, "connections": 1})

    def test_a_file_that_begins_like_another_protocol(self):
        d = self.daemon()
        for first in (b"GET / HTTP/1.1", b"SSH-2.0-x"):
            path = self.file(first + b"\n" + text(record()))
            _, err = self.send(path, "--socket", d.socket, "--retry", "1h", status=1)
            self.assertIn("the daemon takes what was sent for another protocol: remove the first line", err)
            self.assertEqual(self.db.count(), 0)

    def test_a_pipe_is_sent_as_it_is_read(self):
        d = self.daemon()
        process = self.popen("-", "--socket", d.socket)
        for n in range(3):
            process.stdin.write(text(record(amountCents=n)) + b'{"half":')
            process.stdin.flush()
            wait_until(lambda: self.db.count() == n + 1, "the line is stored")
            process.stdin.write(b"1}\n")
            process.stdin.flush()
            self.assertEqual(process.stdout.readline()[:22], f"line {2 * n + 2}: unknown_field ".encode()[:22])
        out, err = self.finish(process, 1)
        self.assert_totals(out, 6, 3, 0, 3)

    def test_over_tcp(self):
        d = self.daemon(listen__tcp="127.0.0.1:0")
        port = re.search(r"listening on TCP \S+ port (\d+)", d.log())[1]
        out, err = self.send(self.file(text(*numbered(100))), "--tcp", f"localhost:{port}")
        self.assert_totals(out, 100, 100, 0, 0)

    def resume(self, end, via_pipe):
        """The daemon ends several times while a file is sent that is too large for its memory and takes seconds; every line
        is reported once and counted once."""
        self.store_slowly()
        d = self.daemon(limits__memory_bytes="16M", batch__rows="1000")
        lines = numbered(20000, metrics={"text": "x" * 2000})
        for n in range(0, len(lines), 1000):
            lines[n] = record(externalId=f"none {n}")
        path = self.file(text(*lines))
        with open(path, "rb") as f:
            if via_pipe:
                cat = subprocess.Popen(["cat"], stdin=f, stdout=subprocess.PIPE)
                process = self.popen("-", "--socket", d.socket, stdin=cat.stdout)
                cat.stdout.close()
            else:
                cat = None
                process = self.popen(path, "--socket", d.socket)
            for _ in range(2):
                before = self.db.count()
                wait_until(lambda: self.db.count() > before or process.poll() is not None, "progress")
                end(d)
                d.start()
            out, err = self.finish(process, 1)
            if cat:
                cat.wait()
        self.assertEqual([int(n) for n in re.findall(r"^line (\d+): unknown_ad_object ", out, re.M)],
                         [n + 1 for n in range(0, len(lines), 1000)])
        count, stored, duplicate, rejected = [int(n or 0) for n in TOTALS.search(out).groups()][:4]
        self.assertEqual((count, stored + duplicate, rejected), (20000, 19980, 20))
        self.assertEqual(self.db.count(), 19980)
        self.assertEqual(self.db.value("SELECT sum(amount_cents) FROM spending"),
                         str(sum(range(20000)) - sum(range(0, 20000, 1000))))
        self.assertIn("trying again, for 60 s", err)
        self.assertNotIn("warning", err)

    def test_a_file_over_kills(self):
        self.resume(lambda d: d.kill(), via_pipe=False)

    def test_a_pipe_over_kills(self):
        self.resume(lambda d: d.kill(), via_pipe=True)

    def test_a_file_over_restarts(self):
        self.resume(lambda d: d.stop(), via_pipe=False)

    def test_lines_that_may_be_stored_twice(self):
        d = self.daemon()
        path = self.file(text(record(), record(collectedAt=None), {"kind": "adAccount"}, record(collectedAt=None)))
        with self.db.locked("spending", "ACCESS EXCLUSIVE"):
            process = self.popen(path, "--socket", d.socket)
            wait_until(lambda: self.has_taken(d, 4), "the lines are there")
            d.kill()
        d.start()
        out, err = self.finish(process, 1)
        self.assert_totals(out, 4, 3, 0, 1)
        self.assertRegex(err, r"warning: unacked lines \(the first: line 2\) have neither collectedAt nor id: resending may store them twice")
        self.assertEqual(err.count("warning"), 1)

    def has_taken(self, d, lines):
        d.signal(signal.SIGUSR1)
        return f"; {lines} lines: " in d.log()

    def test_spooled(self):
        self.server.need_private()
        d = self.daemon(spool__dir=str(self.dir))
        self.server.stop_at_once()
        try:
            out, err = self.send(self.file(text(*numbered(50))), "--socket", d.socket)
        finally:
            self.server.start()
        self.assert_totals(out, 50, 0, 0, 0, 50)
        wait_until(lambda: self.db.count() == 50, "drained")

    def test_without_a_daemon(self):
        path = self.file(text(record()))
        nowhere = str(self.dir / "nowhere")
        for args in ([], ["--retry", "0"]):
            begun = time.monotonic()
            out, err = self.send(path, "--socket", nowhere, *args, status=1)
            self.assertLess(time.monotonic() - begun, 20)
            self.assertIn(f"{nowhere}: cannot connect: No such file or directory: nothing is settled", err)
            self.assertIn("does the daemon run?", err)
        out, err = self.send(path, "--socket", nowhere, "--retry", "1", status=1)
        self.assertIn("trying again, for 1 s", err)
        with socket.socket() as unused:  # bound, not listening
            unused.bind(("127.0.0.1", 0))
            out, err = self.send(path, "--tcp", "127.0.0.1:%d" % unused.getsockname()[1], status=1)
        self.assertIn("Connection refused", err)
        # with --retry it is waited for
        d = self.daemon()
        d.stop()
        process = self.popen(path, "--socket", d.socket, "--retry", "60")
        self.assertIn(b"trying again, for 60 s", process.stderr.readline())
        d.start()
        out, err = self.finish(process)
        self.assert_totals(out, 1, 1, 0, 0)

    def test_wrong_usage(self):
        path = self.file(text(record()))
        for args, word in (([], "FILE"), ([path, "more"], "unexpected argument"), ([path, "--retry", "x"], "--retry"),
                           ([path, "--retry", "-1"], "--retry"), ([path, "--tcp", "nonsense"], "--tcp"),
                           ([path, "--tcp", "a:1", "--socket", "b"], "--socket"), ([path, "--yes"], "--yes")):
            done = run_ingestd(None, "send", *args)
            self.assertEqual(done.returncode, 2, args)
            self.assertIn(word, done.stderr)
        for args, word in (([str(self.dir / "none")], "No such file"), ([str(self.dir)], "Is a directory"),
                           ([path, "--set", "listen.unix=", "--set", "listen.tcp=127.0.0.1:0"], "listen.unix is empty"),
                           ([path, "--socket", "x" * 200], "at most 107 bytes")):
            done = run_ingestd(None, "send", *args)
            self.assertEqual(done.returncode, 1, args)
            self.assertIn(word, done.stderr)

    def test_too_many_connections(self):
        d = self.daemon(limits__max_connections="1")
        path = self.file(text(record()))
        client = d.client()
        client.send(record(amountCents=2))
        client.wait_ack(1)
        process = self.popen(path, "--socket", d.socket)
        self.assertIn(b"too many connections (limits.max_connections): trying again", process.stderr.readline())
        client.close()
        out, err = self.finish(process)
        self.assert_totals(out, 1, 1, 0, 0)

    def test_idle_connections_are_reopened(self):
        d = self.daemon(limits__idle_ms="100")
        process = self.popen("-", "--socket", d.socket)
        for n in range(3):
            process.stdin.write(text(record(amountCents=n)))
            process.stdin.flush()
            wait_until(lambda: len(re.findall("connection \\d+ .*closed: 1 lines", d.log())) == n + 1, "closed as idle")
        out, err = self.finish(process)
        self.assert_totals(out, 3, 3, 0, 0)
        self.assertEqual(err, "")

    def test_from_a_line_on(self):
        d = self.daemon()
        path = self.file(text(*numbered(3), b"nonsense", *numbered(2, start=10)))
        out, _ = self.send(path, "--socket", d.socket, "--from-line", "3", status=1)
        self.assert_totals(out, 4, 3, 0, 1)
        self.assertIn("line 4: bad_json", out)
        self.assertEqual(self.db.value("SELECT string_agg(amount_cents::text, ' ' ORDER BY amount_cents) FROM spending"), "2 10 11")
        _, err = self.send(path, "--socket", d.socket, "--from-line", "8", status=1)
        self.assertIn("has no line 8", err)
        for wrong in ("0", "-1", "x", "1x", ""):
            self.send(path, "--socket", d.socket, "--from-line", wrong, status=2)
        out, _ = self.send(path, "--socket", d.socket, "--from-line", "6", "--retry", "1m", "--json")
        self.assertEqual(json.loads(out)["duplicate"], 1)
        for wrong in ("1w", "-1s", "h", "1.5s"):
            self.send(path, "--socket", d.socket, "--retry", wrong, status=2)

    def test_interrupted(self):
        d = self.daemon()
        process = self.popen("-", "--socket", d.socket)
        process.stdin.write(text(*numbered(500)) + b'{"half"')
        process.stdin.flush()
        wait_until(lambda: self.db.count() == 500, "stored")
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(60), 130)
        self.assert_totals(process.stdout.read().decode(), 500, 500, 0, 0)
        self.assertEqual(process.stderr.read(), b"boris-ingestd: interrupted: the first 500 lines are settled of standard input "
                                                b"(continue with --from-line 501)\n")
        # what is sent is waited for, a second signal ends that
        d.signal(signal.SIGSTOP)
        try:
            process = self.popen(self.file(text(record())), "--socket", d.socket)
            wait_until(lambda: pathlib.Path(f"/proc/{process.pid}/wchan").exists() and self.caught(process), "it listens")
            time.sleep(0.2)
            process.send_signal(signal.SIGTERM)
            wait_until(lambda: not self.caught(process), "the first signal has come")
            self.assertIsNone(process.poll())
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(60), -signal.SIGTERM)
        finally:
            d.signal(signal.SIGCONT)

    def caught(self, process):
        status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
        return int(re.search(r"SigCgt:\s+(\w+)", status)[1], 16) >> (signal.SIGTERM - 1) & 1

    def test_a_line_without_end_takes_bounded_memory(self):
        d = self.daemon()
        process = self.popen("-", "--socket", d.socket)
        for _ in range(300):
            process.stdin.write(b"x" * (1 << 20))
        status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
        self.assertLess(int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]), 280 << 10)
        process.stdin.write(b"\n" + text(record()))
        out, err = self.finish(process, 1)
        self.assertIn("line 1: line_too_long", out)
        self.assert_totals(out, 2, 1, 0, 1)

    def test_progress_on_a_terminal(self):
        d = self.daemon()
        self.store_slowly()
        path = self.file(text(*numbered(30000), record(externalId="none")))
        for no_color in ("", "1"):
            shown = self.on_terminal(path, "--socket", d.socket, columns=100, env={"NO_COLOR": no_color})
            self.assertRegex(shown, r"a=b:c@d.jsonl .*█.* \d+% +[\d,]+ lines +[\d.,k]+/s \d.*B/s")
            self.assertIn("ETA", shown)
            self.assertEqual("\x1b[32m" in shown, not no_color)
            for frame in shown.split("\r"):
                bare = re.sub(r"\x1b\[[0-9;]*[mK]|\n.*", "", frame, flags=re.S)
                self.assertLess(len(bare), 100, repr(frame))
            last = shown.split("\r\x1b[K")[-1].replace("\r", "")
            self.assertRegex(last, r"^boris-ingestd: 1 of 30001 lines were rejected: see above for each\n$")

    def on_terminal(self, *args, columns, env):
        main, side = pty.openpty()
        fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        process = self.popen(*args, stderr=side, env=dict(os.environ, **env))
        os.close(side)
        shown = b""
        while True:
            try:
                data = os.read(main, 65536)
            except OSError:  # its end
                break
            shown += data
        os.close(main)
        process.communicate(timeout=60)
        return shown.decode()


class AgainstAFake(SendCase):
    """Situations that a real daemon causes rarely, or never."""

    def setUp(self):
        super().setUp()
        self.path = str(self.dir / "sock")
        self.listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(self.listener.close)
        self.listener.settimeout(30)
        self.listener.bind(self.path)
        self.listener.listen()

    def converse(self, want_lines, replies):
        """One connection: reads this many lines, sends the replies. Returns the lines."""
        sock, _ = self.listener.accept()
        with sock, sock.makefile("rb") as f:
            lines = [f.readline() for _ in range(want_lines)]
            sock.sendall(b"".join(encode(reply) + b"\n" for reply in replies))
            return lines

    def test_a_reject_without_its_ack_is_not_reported(self):
        process = self.popen(self.file(b"1\n2\n3\n4\n"), "--socket", self.path)
        refuse = {"code": "bad_json", "message": "m"}
        self.assertEqual(self.converse(4, [{"reject": 4} | refuse, {"reject": 2} | refuse, {"reject": 1} | refuse,
                                           {"ack": 1, "stored": 0, "duplicate": 0, "rejected": 1}]),
                         [b"1\n", b"2\n", b"3\n", b"4\n"])
        self.assertEqual(self.converse(3, [{"reject": 3} | refuse, {"ack": 2, "stored": 1, "duplicate": 1, "rejected": 0},
                                           {"ack": 3, "stored": 1, "duplicate": 1, "rejected": 1}]),
                         [b"2\n", b"3\n", b"4\n"])
        out, err = self.finish(process, 1)
        self.assertEqual(re.findall(r"line (\d+): bad_json: m", out), ["1", "4"])
        self.assert_totals(out, 4, 1, 1, 2)

    def test_not_a_daemon(self):
        for reply, word in (("SSH-2.0-\x1b[31m", "this is not boris-ingestd: it sent SSH-2.0-?[31m"),
                            ("[1]", "this is not boris-ingestd"), ("{}", "this is not boris-ingestd"),
                            ({"ack": 2, "stored": 2}, "acks a line that was not sent"),
                            ({"reject": 2}, "rejected a line that was not sent"),
                            ({"reject": "x"}, "rejected a line that was not sent")):
            process = self.popen(self.file(b"1\n"), "--socket", self.path)
            self.converse(1, [reply])
            out, err = self.finish(process, 1)
            self.assertIn(word, err)

    def test_not_allowed(self):
        process = self.popen(self.file(b"1\n"), "--socket", self.path, "--retry", "60")
        self.converse(0, [{"closing": "not_allowed"}])
        out, err = self.finish(process, 1)
        self.assertIn("does not admit this user", err)

    def test_it_gives_up(self):
        process = self.popen(self.file(b"1\n2\n"), "--socket", self.path, "--retry", "1")
        self.converse(2, [{"ack": 1, "stored": 1, "duplicate": 0, "rejected": 0}])
        self.listener.close()
        out, err = self.finish(process, 1)
        self.assertIn("Connection refused: the first 1 lines are settled", err)
        self.assertIn("send it again", err)
        self.assert_totals(out, 1, 1, 0, 0)

    def test_replies_are_read_after_the_daemon_stops_reading(self):
        process = self.popen("-", "--socket", self.path)
        lines = b"x" * 999 + b"\n"
        writer = threading.Thread(target=lambda: process.stdin.write(lines * 3000))
        writer.start()
        sock, _ = self.listener.accept()
        with sock:
            sock.recv(1000, socket.MSG_WAITALL)
            sock.shutdown(socket.SHUT_RD)  # its next send fails
            sock.sendall(b'{"ack":1,"stored":1,"duplicate":0,"rejected":0}\n{"closing":"shutdown"}\n')
        writer.join()
        process.stdin.close()
        process.stdin = None
        self.converse(2999, [{"ack": 2999, "stored": 2999, "duplicate": 0, "rejected": 0}])
        out, err = self.finish(process)
        self.assert_totals(out, 3000, 3000, 0, 0)
        self.assertIn("the daemon closed the connection: shutdown: trying again", err)


if __name__ == "__main__":
    unittest.main()
