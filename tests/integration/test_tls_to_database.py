"""A proxy that ends TLS before the database and sends records of 16 kB, as many do: every answer is noticed."""

import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.parse

from lib.harness import TestCase, accepted, record

SSL_REQUEST = struct.pack("!II", 8, 80877103)


class TlsProxy:
    """Accepts SSLRequest from clients, and connects to the server without TLS."""

    def __init__(self, host, port, folder):
        self.server = (host, port)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                        "-keyout", f"{folder}/key.pem", "-out", f"{folder}/cert.pem"], check=True, stderr=subprocess.DEVNULL)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(f"{folder}/cert.pem", f"{folder}/key.pem")
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        for client in accepted(self.listener):
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        try:
            if client.recv(8) != SSL_REQUEST:
                return
            client.sendall(b"S")
            plain = socket.create_connection(self.server)
            # one thread reads and one writes: OpenSSL's object must not be used by both at once
            inside, outside = ssl.MemoryBIO(), ssl.MemoryBIO()
            tls = self.context.wrap_bio(inside, outside, server_side=True)
            lock = threading.Lock()
            threading.Thread(target=self.back, args=(plain, client, tls, outside, lock), daemon=True).start()
            while data := client.recv(65536):
                with lock:
                    inside.write(data)
                    out = self.read(tls)
                    client.sendall(outside.read())
                if out:
                    plain.sendall(out)
            plain.close()
        except OSError:
            pass

    def read(self, tls):
        out = b""
        try:
            while True:
                out += tls.read(65536)
        except (ssl.SSLWantReadError, ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return out

    def back(self, plain, client, tls, outside, lock):
        """Waits until the server has sent everything, then sends that at once: in records of 16 kB."""
        try:
            while data := plain.recv(65536):
                plain.settimeout(0.02)
                try:
                    while more := plain.recv(65536):
                        data += more
                except TimeoutError:
                    pass
                plain.settimeout(None)
                with lock:
                    first = len(data) % 16384 or 16384  # the last record is a full one
                    tls.write(data[:first])
                    for i in range(first, len(data), 16384):
                        tls.write(data[i:i + 16384])
                    client.sendall(outside.read())
        except OSError:
            pass
        finally:
            client.close()

    def close(self):
        self.listener.close()


class TlsToDatabase(TestCase):
    def test_answers_of_all_lengths(self):
        """Look-ups of enough objects that their answers end at any place in a record."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        url = urllib.parse.urlsplit(self.db.daemon_url)
        proxy = TlsProxy(url.hostname, url.port, folder.name)
        self.addCleanup(proxy.close)
        through = url._replace(netloc=f"{url.username or 'postgres'}@127.0.0.1:{proxy.port}")
        query = through.query + ("&" if through.query else "") + "sslmode=require"
        self.db.add_account(objects=[str(n) for n in range(12000)])
        d = self.daemon(database__url=urllib.parse.urlunsplit(through._replace(query=query)))
        client = d.client()
        sent, worst, first = 0, 0.0, 0
        for count in range(100, 1600, 100):
            start = time.monotonic()
            client.send(*[record(externalId=str(first + n), amountCents=n) for n in range(count)])
            sent += count
            first += count
            client.wait_ack(sent)
            worst = max(worst, time.monotonic() - start)
        print(f"the worst ack took {worst:.2f} s", file=sys.stderr)
        self.assertEqual(self.db.count(), sent)
        self.assertNotIn("connection lost", d.log())


if __name__ == "__main__":
    unittest.main()
