"""Connections that never show a certificate, however many per second, lock no TLS client out; and TCP cannot circumvent
listen.allow_users."""

import socket
import sys
import threading
import time
import unittest

import test_tls
from lib.harness import TestCase, record, run_ingestd

SECONDS = 8


class Flood(test_tls.Tls):
    def flood(self, port, end, counts):
        kept = []
        while time.monotonic() < end:
            sock = socket.socket()
            try:
                sock.connect(("127.0.0.1", port))
                counts.append(1)
                kept.append(sock)
            except OSError:
                sock.close()
            if len(kept) > 300:
                kept.pop(0).close()
        for sock in kept:
            sock.close()

    def test_silent_connects(self):
        d = self.daemon(**self.settings)
        port = int(d.log().split("listening on TCP")[-1].split("port ")[1].split()[0])
        counts = []
        end = time.monotonic() + SECONDS
        floods = [threading.Thread(target=self.flood, args=(port, end, counts)) for _ in range(5)]
        for flood in floods:
            flood.start()
        time.sleep(1)
        tries, failures, worst = 0, 0, 0.0
        while time.monotonic() < end:
            start = time.monotonic()
            tries += 1
            try:
                client = self.client(d)
                client.send(record(amountCents=tries))
                client.wait_ack(1)
                client.close()
                worst = max(worst, time.monotonic() - start)
            except (OSError, AssertionError):
                failures += 1
        for flood in floods:
            flood.join()
        print(f"{len(counts) / SECONDS:.0f} connects a second: {failures} of {tries} TLS clients were turned away, the worst "
              f"ack took {worst:.2f} s", file=sys.stderr)
        self.assertGreater(tries - failures, 0)
        self.assertLessEqual(failures, tries // 4)


class PlainTcp(TestCase):
    def test_allow_users_with_plain_tcp_is_refused(self):
        for setting in ("listen.allow_users=root", "listen.allow_groups=root"):
            for command in ("run", "check"):
                done = run_ingestd(self.db, command, "--config", "/dev/null", "--set", "listen.tcp=127.0.0.1:0", "--set",
                                   f"listen.unix={self.db.name}.sock", "--set", setting)
                self.assertEqual(done.returncode, 1)
                self.assertIn("listen.tcp without TLS lets every local user in", done.stderr)


del TestCase
if __name__ == "__main__":
    unittest.main()
