"""A client that speaks another protocol, TLS above all, learns at once that it is at the wrong port: one reply line in plain
text, then the connection is closed. On a port for TLS, a client that speaks plain text learns so."""

import re
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.request

from lib.client import encode
from lib.harness import TestCase, record, run_ingestd, tls_settings

LINE = encode(record(amountCents=666)) + b"\n"


def client_hello():
    """What a TLS client sends first."""
    outgoing = ssl.MemoryBIO()
    tls = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


def postgresql(code, rest=b""):
    return struct.pack("!II", 8 + len(rest), code) + rest


OTHERS = {
    "PostgreSQL's SSLRequest": postgresql(80877103),
    "PostgreSQL's GSSENCRequest": postgresql(80877104),
    "PostgreSQL's CancelRequest": postgresql(80877102, b"12345678"),
    "PostgreSQL's StartupMessage": postgresql(3 << 16, b"user\0x\0\0"),
    "PostgreSQL's StartupMessage 3.2": postgresql(3 << 16 | 2, b"user\0x\0\0"),
    "SSH": b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n",
    "Redis": b"*1\r\n$4\r\nPING\r\n",
    "Redis with a record": b"*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$%d\r\n" % len(LINE) + LINE + b"\r\n",
    "a PROXY header": b"PROXY TCP4 192.0.2.1 192.0.2.2 5000 9400\r\n",
    "a PROXY header for a health check": b"PROXY UNKNOWN\r\n",
    "a PROXY header, version 2": b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\2\1\xc0\0\2\2\x13\x88\x24\xb8",
    "Kafka": b"\0\0\0\x1b\0\x12\0\3\0\0\0\1\0\7rdkafka\0\2a\2b\0",
    "AMQP": b"AMQP\0\0\x09\1",
}

# records may follow: these are bad lines like others
RECORDS_AFTER_ALL = [b"\x16", b"\x16\x01\x03", b"\0", b"\0\0", b"\0\0\0\x08", b"\0\0\0\x08\4\xd2", b"*", b"*1x", b"* 1", b"SSH", b"PROXY",
                     b"PROXYTCP4", b"AMQP", b"\x1f\x8b\x08\0", b"\r", b""]


def answer(sock):
    """Everything until the end; it must come without the client's doing anything."""
    sock.settimeout(30)
    text = b""
    with sock:
        try:
            while data := sock.recv(65536):
                text += data
        except ConnectionResetError:
            pass
    return text


class OtherProtocols(TestCase):
    def setUp(self):
        super().setUp()
        self.db.add_account()
        self.d = self.daemon(listen__tcp="127.0.0.1:0", http__listen="127.0.0.1:0")
        self.port = int(re.search(r"listening on TCP 127.0.0.1 port (\d+)", self.d.log())[1])

    def tcp(self):
        return socket.create_connection(("127.0.0.1", self.port), 30)

    def unix(self):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(30)
        sock.connect(self.d.socket)
        return sock

    def refused(self, reason):
        with urllib.request.urlopen(self.d.http() + "/metrics", timeout=60) as response:
            return int(re.search(rb'connections_refused_total\{reason="%s"\} (\d+)' % reason.encode(), response.read())[1])

    def test_tls(self):
        hello = client_hello()
        for connect in (self.tcp, self.unix):
            for at in (0, 1, 2, 5, len(hello)):
                with self.subTest(connect=connect.__name__, at=at):
                    sock = connect()
                    sock.sendall(hello[:at])
                    time.sleep(0.01 if at in (1, 2) else 0)  # so that it often arrives in two pieces
                    sock.sendall(hello[at:])
                    self.assertEqual(answer(sock), b'{"closing":"tls_handshake"}\n')
        self.assertEqual(self.refused("tls_handshake"), 10)
        self.assertIn("it began a TLS handshake on a plain socket (set listen.tls_cert, or connect without TLS)", self.d.log())

    def test_a_tls_client_fails_at_once(self):
        """The answer ends its handshake, whether or not a line end is among the bytes that it sent."""
        for connect in (self.tcp, self.unix):
            context = ssl.create_default_context()
            with self.assertRaises(ssl.SSLError) as caught:
                context.wrap_socket(connect(), server_hostname="localhost")
            self.assertNotIsInstance(caught.exception, TimeoutError)
        done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{self.port}"], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=60)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("SSL routines", done.stderr)

    def test_others(self):
        for connect in (self.tcp, self.unix):
            for name, first in OTHERS.items():
                with self.subTest(name, connect=connect.__name__):
                    sock = connect()
                    sock.sendall(first + LINE)
                    self.assertEqual(answer(sock), b'{"closing":"other_protocol"}\n')
        self.assertEqual(self.db.count(), 0)
        self.assertEqual(self.refused("other_protocol"), 2 * len(OTHERS))
        for word in ("SSH", "PostgreSQL", "Redis", "Kafka", "AMQP", "PROXY"):
            self.assertIn(f"{word}", self.d.log())

    def test_psql(self):
        for mode in ("require", "disable"):
            done = subprocess.run(["psql", "-X", f"host=127.0.0.1 port={self.port} user=x dbname=x sslmode={mode}", "-c", ""],
                                  capture_output=True, text=True, timeout=60)
            self.assertEqual(done.returncode, 2)
            self.assertIn("received", done.stderr)  # "received invalid response", not a time-out

    def test_bad_lines_of_similar_beginnings(self):
        for n, first in enumerate(RECORDS_AFTER_ALL):
            with self.subTest(first=first):
                replies = self.d.send(first, record(amountCents=n))
                bad = 1 if first.strip(b"\r") else 0
                self.assertEqual((replies.counts(), replies.closing), ((2, 1, 0, bad), None))

    def test_a_client_may_send_such_a_line_later(self):
        later = [first.split(b"\n")[0] for first in (client_hello(), *OTHERS.values())]
        replies = self.d.send(record(amountCents=1), *later, record(amountCents=2))
        self.assertEqual((replies.counts()[0:2], replies.closing), ((len(later) + 2, 2), None))

    def test_the_log_is_bounded(self):
        def attack():
            for _ in range(100):
                with self.tcp() as sock:
                    sock.sendall(b"\x16\x03\x01\x02")
                    sock.recv(100)

        before = len(self.d.log())
        threads = [threading.Thread(target=attack) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(self.refused("tls_handshake"), 300)
        lines = [line for line in self.d.log()[before:].splitlines() if "TLS handshake" in line]
        self.assertTrue(1 <= len(lines) <= 60, lines)  # one a second


class PlainTextToTls(TestCase):
    def setUp(self):
        super().setUp()
        self.db.add_account()
        folder = tempfile.TemporaryDirectory(prefix="ingestd-other-")
        self.addCleanup(folder.cleanup)
        self.d = self.daemon(**tls_settings(folder.name))
        self.port = int(re.search(r"listening on TCP 127.0.0.1 port (\d+)", self.d.log())[1])

    def test_the_client_gets_the_reason(self):
        for text in (LINE, LINE * 20_000, b"{", b"GET / HTTP/1.1\r\n\r\n", b"\r\n", OTHERS["PostgreSQL's SSLRequest"]):
            sock = socket.create_connection(("127.0.0.1", self.port), 30)
            try:
                sock.sendall(text)
            except (BrokenPipeError, ConnectionResetError):
                pass
            self.assertEqual(answer(sock), b'{"closing":"tls_required"}\n')
        self.assertIn("TLS failed: it sent plain text", self.d.log())
        self.assertEqual(self.db.count(), 0)

    def test_send_fails_at_once(self):
        done = run_ingestd(None, "send", "-", "--tcp", f"127.0.0.1:{self.port}", "--config", "/dev/null",
                           stdin=(LINE * 10).decode())
        self.assertEqual((done.returncode, done.stderr.count("\n")), (1, 1), done.stderr)
        self.assertIn("the port requires TLS", done.stderr)


if __name__ == "__main__":
    unittest.main()
