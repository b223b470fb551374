"""TLS for TCP clients: a client with a certificate of a trusted authority may send, from any machine; no other may."""

import os
import pathlib
import pty
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import unittest
import urllib.request

from lib.client import Client, encode
from lib.harness import INGESTD, TestCase, make_crl, record, run_ingestd, wait_until


class TlsSocket:
    """A socket, as far as harness.Client needs one. Python's own cannot end its sending side and then continue reading."""

    def __init__(self, context, sock):
        self.sock, self.to_read, self.to_send = sock, ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.to_read, self.to_send)

    def settimeout(self, seconds):
        self.sock.settimeout(seconds)

    def flush(self):
        self.sock.sendall(self.to_send.read())

    def until_done(self, call, *args):
        while True:
            try:
                value = call(*args)
                self.flush()
                return value
            except ssl.SSLWantReadError:
                self.flush()
                data = self.sock.recv(65536)
                if data:
                    self.to_read.write(data)
                else:
                    self.to_read.write_eof()

    def sendall(self, data):
        for i in range(0, len(data), 60000):
            self.until_done(self.tls.write, data[i:i + 60000])

    def recv(self, size):
        try:
            return self.until_done(self.tls.read, size)
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""

    def shutdown(self, _how):
        self.until_done(self.tls.do_handshake)
        try:
            self.tls.unwrap()
        except ssl.SSLWantReadError:
            pass
        self.flush()

    def close(self):
        self.sock.close()


class Tls(TestCase):
    """Each test has a copy of the same certificates."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.originals = pathlib.Path(tempfile.mkdtemp(prefix="ingestd-tls-"))
        cls.addClassCleanup(shutil.rmtree, cls.originals)
        first = cls()
        first.folder = cls.originals
        for authority in ("ca", "other-ca"):
            first.make(authority, "-x509", "-addext", "basicConstraints=critical,CA:true",
                       "-addext", "keyUsage=critical,keyCertSign,cRLSign")
        first.make("server", "-CA", "ca", "-addext", "subjectAltName=DNS:localhost")
        first.make("client", "-CA", "ca")
        first.make("stranger", "-CA", "other-ca")

    def setUp(self):
        super().setUp()
        self.db.add_account()
        folder = tempfile.TemporaryDirectory(prefix="ingestd-tls-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        shutil.copytree(self.originals, self.folder, dirs_exist_ok=True)
        self.settings = {"listen__tcp": "0.0.0.0:0", "listen__tls_cert": self.path("server.crt"),
                         "listen__tls_key": self.path("server.key"), "listen__tls_client_ca": self.path("ca.crt")}

    def path(self, name):
        return str(self.folder / name)

    def openssl(self, *args):
        subprocess.run(["openssl", *args], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def make(self, name, *args, cn=None):
        """Makes a key and a certificate, self-signed or signed by the authority after -CA."""
        args = list(args)
        new = ["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
               self.path(f"{name}.key"), "-subj", f"/CN={cn or name}"]
        if "-CA" not in args:
            self.openssl(*new, *args, "-days", "2", "-out", self.path(f"{name}.crt"))
            return
        at = args.index("-CA")
        ca = args[at + 1]
        del args[at:at + 2]
        self.openssl(*new, *args, "-out", self.path("request"))
        extensions = pathlib.Path(self.path("extensions"))
        extensions.write_text("subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n")
        self.openssl("x509", "-req", "-in", self.path("request"), "-CA", self.path(f"{ca}.crt"), "-CAkey",
                     self.path(f"{ca}.key"), "-CAcreateserial", "-days", "2", "-copy_extensions", "copy", "-extfile",
                     extensions, "-out", self.path(f"{name}.crt"))

    def connect(self, d):
        port = re.findall(r"listening on TCP \S+ port (\d+)", d.log())[-1]
        sock = socket.create_connection(("127.0.0.1", int(port)))
        sock.settimeout(30)
        return sock

    def context(self, name="client", ca="ca"):
        context = ssl.create_default_context(cafile=self.path(f"{ca}.crt"))
        context.check_hostname = False
        if name:
            context.load_cert_chain(self.path(f"{name}.crt"), self.path(f"{name}.key"))
        return context

    def client(self, d, **context):
        return Client(TlsSocket(self.context(**context), self.connect(d)))

    def assert_turned_away(self, d, name):
        """In TLS 1.3 the client learns of its bad certificate only after its own handshake has completed."""
        client = self.client(d, name=name)
        with self.assertRaises((ssl.SSLError, OSError)):
            client.send(record())
            while client.sock.recv(100):
                pass
            raise ConnectionResetError
        client.close()


class Wire(Tls):
    def test_lines_and_replies(self):
        d = self.daemon(**self.settings)
        lines = [record(amountCents=n, metrics={"text": "x" * (n % 3000)}) for n in range(5000)]
        client = self.client(d)
        client.send(*lines, "{bad")
        client.send_bytes(b'{"half":')
        replies = client.finish()
        self.assertEqual(replies.counts(), (5002, 5000, 0, 2))
        self.assertEqual(set(replies.rejects), {5001, 5002})
        self.assertEqual(self.db.count(), 5000)
        wait_until(lambda: "closed: 5002 lines" in d.log(), "it is closed")

    def test_many_clients_at_once_and_one_that_never_greets(self):
        d = self.daemon(**self.settings)
        silent = self.connect(d)
        results = []

        def converse(n):
            client = self.client(d)
            client.send(*[record(amountCents=1000 * n + i) for i in range(500)])
            results.append(client.finish().counts())

        threads = [threading.Thread(target=converse, args=(n,)) for n in range(20)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(results, [(500, 500, 0, 0)] * 20)
        self.assertEqual(silent.recv(10), b"", "it was let go")

    def test_unauthenticated_connections_take_no_ones_place(self):
        d = self.daemon(limits__max_connections=100, **self.settings)
        strangers = [self.connect(d) for _ in range(1100)]  # SESSIONS_STRANGERS_MAX is 1,024
        self.assertEqual(d.send(record()).counts(), (1, 1, 0, 0))
        client = self.client(d)
        client.send(record(amountCents=2))
        self.assertEqual(client.finish().counts(), (1, 1, 0, 0))
        self.assertIn("too many clients have shown no certificate yet", d.log())
        for stranger in strangers:
            stranger.close()

    def test_too_many_authenticated_clients(self):
        d = self.daemon(limits__max_connections=2, **self.settings)
        clients = [self.client(d) for _ in range(2)]
        for n, client in enumerate(clients):
            client.send(record(amountCents=n))
            client.wait_ack(1)
        third = self.client(d)
        third.send(record())
        self.assertEqual(third.drain().closing, "too_many_connections")
        clients[0].finish()
        again = self.client(d)
        again.send(record(amountCents=5))
        self.assertEqual(again.finish().counts(), (1, 1, 0, 0))

    def test_handshakes_succeed_while_clients_are_paused(self):
        self.server.need_private()
        d = self.daemon(batch__rows=100, **self.settings)
        self.server.stop_at_once()
        self.addCleanup(self.server.start)
        paused = d.client()
        paused.sock.settimeout(2)
        with self.assertRaises(TimeoutError):
            paused.send(*[record(amountCents=n) for n in range(60000)])
        client = self.client(d)
        client.send(record())  # which needs a handshake
        wait_until(lambda: "TLS" not in d.log(), "no complaint")
        self.server.start()
        self.assertEqual(client.finish().counts()[0], 1)

    def test_a_cut_connection_does_not_count_as_end(self):
        d = self.daemon(**self.settings)
        client = self.client(d)
        client.send(record())
        client.wait_ack(1)
        client.send_bytes(b'{"half')
        client.close()
        wait_until(lambda: "closed: 1 lines" in d.log(), "the half line is no line")

    def test_a_stop_notifies_clients(self):
        d = self.daemon(**self.settings)
        client = self.client(d)
        client.send(record())
        client.wait_ack(1)
        self.assertEqual(d.stop(), 0)
        self.assertEqual(client.drain().closing, "shutdown")


class Access(Tls):
    def test_clients_turned_away(self):
        d = self.daemon(**self.settings)
        self.assert_turned_away(d, None)
        self.assert_turned_away(d, "stranger")
        plain = Client(self.connect(d))
        plain.send(record())
        try:
            self.assertNotIn(b"ack", plain.sock.recv(1000))
        except OSError:
            pass
        plain.close()
        old = self.context()
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        with self.assertRaises((ssl.SSLError, OSError)):
            old.wrap_socket(self.connect(d))
        self.assertIn("TLS failed", d.log())
        self.assertEqual(self.client(d).finish().counts(), (0, 0, 0, 0))
        self.assertEqual(self.db.count(), 0)

    def test_rejects_name_the_client(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "rejects")
            d = self.daemon(rejects__file=str(path), **self.settings)
            client = self.client(d)
            client.send("{bad")
            client.finish()
            wait_until(lambda: path.exists() and "certificate of client" in path.read_text(), "the peer's name")

    def test_certificates_are_read_again(self):
        d = self.daemon(**self.settings)
        old = self.client(d)
        old.send(record())
        old.wait_ack(1)
        self.assert_turned_away(d, "stranger")
        (self.folder / "ca.crt").write_text((self.folder / "other-ca.crt").read_text())
        d.signal(signal.SIGHUP)
        wait_until(lambda: "certificates read again" in d.log(), "reload")
        self.make("server", "-CA", "other-ca")  # for the clients' side of the check
        d.signal(signal.SIGHUP)
        wait_until(lambda: d.log().count("certificates read again") == 2, "reload")
        new = self.client(d, name="stranger", ca="other-ca")
        new.send(record(amountCents=5))
        self.assertEqual(new.finish().counts(), (1, 1, 0, 0))
        old.send(record(amountCents=6))
        self.assertEqual(old.finish().counts(), (2, 2, 0, 0))
        # what cannot be read changes nothing
        pathlib.Path(self.path("server.key")).write_text("no key")
        d.signal(signal.SIGHUP)
        wait_until(lambda: "no setting was changed" in d.log(), "told")
        self.assertEqual(self.client(d, name="stranger", ca="other-ca").finish().counts(), (0, 0, 0, 0))

    def greet_but_for_the_last_bytes(self, d):
        """A handshake up to the client's certificate, which is still to be sent."""
        sock, incoming, outgoing = self.connect(d), ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = self.context().wrap_bio(incoming, outgoing)
        with self.assertRaises(ssl.SSLWantReadError):
            tls.do_handshake()
        sock.sendall(outgoing.read())
        incoming.write(sock.recv(65536))
        tls.do_handshake()
        return sock, tls, outgoing

    def test_certificates_are_read_again_during_a_handshake(self):
        """What counts is whether they permit the client when its handshake ends."""
        crl = make_crl(self.folder, self.path("ca.crt"), self.path("ca.key"))
        d = self.own_daemon(listen__tls_client_crl=crl, **self.settings)
        for turn, (change, stored) in enumerate(((lambda: None, 1),
                                                 (lambda: make_crl(self.folder, self.path("ca.crt"), self.path("ca.key"),
                                                                   [self.path("client.crt")]), 0))):
            with self.subTest(turn):
                sock, tls, outgoing = self.greet_but_for_the_last_bytes(d)
                change()
                d.signal(signal.SIGHUP)
                wait_until(lambda: d.log().count("certificates read again") == turn + 1, "reload")
                tls.write(encode(record(amountCents=turn)) + b"\n")
                sock.sendall(outgoing.read())
                while sock.recv(65536) and self.db.count() == turn:
                    pass
                sock.close()
                self.assertEqual(self.db.value(f"SELECT count(*) FROM spending WHERE amount_cents = {turn}"), str(stored))
        self.assertIn("TLS failed: its certificate was withdrawn during the handshake", d.log())

    def test_the_time_until_the_certificate_expires(self):
        """Of the certificate in use, not of the one in the file."""
        d = self.daemon(http__listen="127.0.0.1:0", **self.settings)

        def days():
            with urllib.request.urlopen(f"{d.http()}/metrics") as answer:
                seconds = float(re.search(r"(?m)^boris_ingestd_tls_certificate_expires_seconds (.*)$", answer.read().decode())[1])
            return seconds / 86400

        before = days()
        self.openssl("req", "-x509", "-new", "-key", self.path("server.key"), "-subj", "/CN=x", "-days", "90", "-out",
                     self.path("server.crt"))
        self.assertAlmostEqual(days(), before, delta=0.1)
        d.signal(signal.SIGHUP)
        wait_until(lambda: "certificates read again" in d.log(), "reload")
        self.assertAlmostEqual(days(), 90, delta=0.1)

    def test_an_encrypted_key_is_refused_without_a_prompt(self):
        self.openssl("pkey", "-in", self.path("server.key"), "-aes256", "-passout", "pass:secret", "-out",
                     self.path("locked.key"))
        settings = self.settings | {"listen__tls_key": self.path("locked.key"), "listen__unix": self.path("s")}
        args = [INGESTD, "run", "--config", "/dev/null"]
        for key, value in settings.items():
            args += ["--set", f"{key.replace('__', '.')}={value}"]
        master, terminal = pty.openpty()
        done = subprocess.run(["setsid", "--ctty", *args], stdin=terminal, stderr=subprocess.PIPE, text=True, timeout=30)
        self.assertEqual(done.returncode, 1)
        self.assertIn("listen.tls_key", done.stderr)
        os.close(master)
        os.close(terminal)

    def test_wrong_settings(self):
        for change, word in (({"listen.tls_key": ""}, "must be set together"),
                             ({"listen.tls_cert": self.path("nothing")}, "tls_cert"),
                             ({"listen.tls_key": self.path("client.key")}, "tls_key"),
                             ({"listen.tls_client_ca": "/dev/null"}, "tls_client_ca")):
            settings = {key.replace("__", "."): value for key, value in self.settings.items()} | change
            args = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
            done = run_ingestd(self.db, "run", "--config", "/dev/null", "--set", f"listen.unix={self.folder}/s", *args)
            self.assertEqual(done.returncode, 1)
            self.assertIn(word, done.stderr)


if __name__ == "__main__":
    unittest.main()
