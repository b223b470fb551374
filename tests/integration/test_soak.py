"""All attackers at once beside honest clients, for SOAK_SECONDS (default 10): nothing is lost, memory stays flat; how long the
honest clients wait is printed, with and without attackers."""

import json
import multiprocessing
import os
import pathlib
import random
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from lib.client import encode
from lib.harness import INGESTD, TestCase, ad_object, record, tls_settings

SECONDS = int(os.environ.get("SOAK_SECONDS", "10"))
CLIENTS, RATE = 10, 200  # of the honest ones; lines/s of all together
IDLE = 300
LATENCY = 30_000  # ms; generous, for slow machines: who starves waits without end
BLAST = pathlib.Path(INGESTD).parents[1] / "tests/blast"


def many_keys(count):
    return {f"key {n} {random.random()}": n for n in range(count)}


def hostile_lines():
    """Kinds of input, each for connections of its own."""
    unknown = encode(record(externalId="nobody")) + b"\n"
    return {
        "no records": b"{}\n" * 2000,
        "deep": b'{"a":' * 5000 + b"\n",
        "no UTF-8": b"\xff\n" * 500,
        "empty behind one that waits": unknown + b"\n" * 20000,
        "rejected behind one that waits": unknown + b"1\n" * 2000,
        "no end": b"x" * (64 << 10),
        "many keys": encode(record(amountCents=-1, metrics=many_keys(2000))) + b"\n",
        "refused by a constraint": b"".join(encode(record(amountCents=13, clicks=n)) + b"\n" for n in range(5)),
        "no parent": b"".join(encode(ad_object(f"o{n}", "AD", "nobody")) + b"\n" for n in range(20)),
        "HTTP": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 200\r\n\r\n" + encode(record(amountCents=-2)) + b"\n",
        "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
        "a cut line": encode(record(amountCents=-3))[:40],
    }


def attack(path, data, reads):
    """Sends @data again and again, on a new connection when that is closed, and reads replies or not."""
    while True:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(0.2)
            try:
                sock.connect(path)
                for _ in range(200):
                    try:
                        sock.sendall(data)
                    except TimeoutError:
                        pass
                    if reads:
                        try:
                            sock.recv(1 << 16)
                        except TimeoutError:
                            pass
                    time.sleep(0.1)
            except OSError:
                time.sleep(0.1)


def connect_only(address):
    """Connects by TCP, and says nothing."""
    kept = []
    while True:
        sock = socket.socket()
        try:
            sock.connect(address)
        except OSError:
            pass
        kept.append(sock)
        if len(kept) > 100:
            kept.pop(0).close()
        time.sleep(0.01)


def attack_all(path, tcp):
    """The attackers' process."""
    os.nice(5)
    idle = []
    for _ in range(IDLE):
        idle.append(socket.socket(socket.AF_UNIX))
        idle[-1].connect(path)
    for data in hostile_lines().values():
        for reads in (False, True):
            threading.Thread(target=attack, args=(path, data, reads), daemon=True).start()
    threading.Thread(target=connect_only, args=(tcp,), daemon=True).start()
    threading.Event().wait()


class Soak(TestCase):
    def setUp(self):
        super().setUp()
        self.db.add_account()
        self.db.execute("ALTER TABLE spending ADD CHECK (amount_cents <> 13)")
        folder = tempfile.TemporaryDirectory(prefix="ingestd-soak-")
        self.addCleanup(folder.cleanup)
        self.lines = pathlib.Path(folder.name, "lines")
        self.d = self.daemon(limits__memory_bytes="64M", limits__max_line_bytes="1M", resolve__unknown_grace_ms=5000,
                             **tls_settings(folder.name))
        self.sent = 0

    def stream(self, seconds):
        """The honest clients, in a process of their own, so that nothing but the daemon delays their acks."""
        count = int(seconds * RATE)
        with self.lines.open("wb") as file:
            for n in range(self.sent, self.sent + count):
                file.write(encode(record(amountCents=1000 + n, externalId=str(1 + n % 3), metrics={"honest": n})) + b"\n")
        self.sent += count
        done = subprocess.run([BLAST, self.d.socket, str(CLIENTS), self.lines, str(RATE)], stdout=subprocess.PIPE, text=True,
                              timeout=seconds + 300, check=True)
        result = json.loads(done.stdout)
        self.assertEqual((result["stored"], result["rejected"]), (count, 0), result)
        self.assertLess(result["latency_ms"]["max"], LATENCY)
        return result["latency_ms"]

    def test_all_attackers_at_once(self):
        self.stream(2)
        alone = self.stream(max(3, SECONDS // 10))
        port = int(re.findall(r"listening on TCP .*port (\d+)", self.d.log())[-1])
        attackers = multiprocessing.get_context("fork").Process(target=attack_all, args=(self.d.socket, ("127.0.0.1", port)))
        attackers.start()
        try:
            beside, memory = [], []
            for _ in range(10):
                beside.append(self.stream(SECONDS / 10))
                memory.append(self.d.memory_now())
        finally:
            attackers.terminate()
            attackers.join()
        worst = {key: max(part[key] for part in beside) for key in alone}
        print(f"{self.sent} honest records, ack latency in ms: alone {alone}, beside the attackers at the worst {worst}; "
              f"memory {memory[3] >> 20} MB, at the end {memory[-1] >> 20} MB", file=sys.stderr)
        if SECONDS >= 600 and not any(word in self.d.process.args[0] for word in ("asan", "tsan")):  # which keep what was freed
            self.assertLess(memory[-1], 1.1 * memory[3] + (4 << 20))
        self.assertEqual(self.db.value("SELECT count(*), count(DISTINCT amount_cents) FROM spending WHERE metrics ? 'honest'"),
                         f"{self.sent}|{self.sent}")
        self.assertEqual(self.d.stop(), 0)


if __name__ == "__main__":
    unittest.main()
