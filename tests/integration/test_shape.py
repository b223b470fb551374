"""The cost of a record in counts that no other program on the machine can change: allocations, system calls and statements.
Speed is measured by the benchmark (tests/load/bench)."""

import mmap
import os
import pathlib
import re
import struct
import subprocess
import sys
import tempfile
import unittest
import urllib.request

from lib.client import encode
from lib.harness import INGESTD, TestCase, numbered

TESTS = pathlib.Path(INGESTD).resolve().parents[1] / "tests"
RECORDS = 100_000
BATCH = 10_000
BATCH_ALLOCATIONS = 20  # 8 to 10 were measured; most are libpq's, for the results of its statements


class Shape(TestCase):
    def setUp(self):
        super().setUp()
        if b"__asan_init" in pathlib.Path(INGESTD).read_bytes():
            self.skipTest("a sanitizer has allocations of its own")
        self.db.add_account()
        file = tempfile.NamedTemporaryFile(prefix="ingestd-")
        self.addCleanup(file.close)
        file.write(bytes(16))
        file.flush()
        self.counts = mmap.mmap(file.fileno(), 16)
        self.addCleanup(self.counts.close)
        os.environ |= {"LD_PRELOAD": str(TESTS / "libcount_calls.so"), "COUNT_CALLS": file.name}
        try:
            self.d = self.daemon(batch__linger_ms=1000, batch__rows=BATCH, http__listen="127.0.0.1:0")
        finally:
            del os.environ["LD_PRELOAD"], os.environ["COUNT_CALLS"]
        self.number = 0

    def calls(self):
        """Allocations and system calls so far."""
        return struct.unpack("QQ", self.counts[:16])

    def send(self, count):
        """Sends from a separate process, as fast as possible."""
        with tempfile.NamedTemporaryFile(prefix="ingestd-") as file:
            file.write(b"".join(encode(line) + b"\n" for line in numbered(count, self.number)))
            file.flush()
            self.number += count
            done = subprocess.run([TESTS / "blast", self.d.socket, "1", file.name], stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_allocations_and_system_calls(self):
        self.send(RECORDS)  # until all buffers have their size
        batches = self.batches()
        allocations, system_calls = self.calls()
        self.assertGreater(allocations, 1000, "nothing is counted")
        self.assertGreater(system_calls, 100, "nothing is counted")
        self.send(RECORDS)
        allocations, system_calls = (after - before for after, before in zip(self.calls(), (allocations, system_calls)))
        print(f"{allocations / RECORDS:.4f} allocations a record, {1000 * system_calls / RECORDS:.1f} system calls per 1,000",
              file=sys.stderr)
        batches = self.batches() - batches  # how many there are is the clock's doing
        print(f"{batches} batches, {allocations / batches:.1f} allocations each", file=sys.stderr)
        self.assertLess(allocations / batches, BATCH_ALLOCATIONS)
        self.assertLess(allocations / RECORDS, 0.05)
        self.assertLess(1000 * system_calls / RECORDS, 40)

    def test_a_batch_is_one_transaction(self):
        self.send(1000)
        transactions, batches = self.transactions(), self.batches()
        self.send(RECORDS)
        transactions, batches = self.transactions() - transactions, self.batches() - batches
        print(f"{batches} batches", file=sys.stderr)
        self.assertEqual(transactions, batches)
        self.assertGreaterEqual(batches, RECORDS // BATCH)
        self.assertLess(batches, RECORDS // 100, "a batch does not follow what the server takes")

    def batches(self):
        with urllib.request.urlopen(f"{self.d.http()}/metrics") as page:
            return int(re.search(rb"^boris_ingestd_batches_total (\d+)$", page.read(), re.M)[1])

    def transactions(self):
        """The transactions that wrote to spending."""
        return int(self.db.value("SELECT count(DISTINCT xmin::text) FROM spending"))


if __name__ == "__main__":
    unittest.main()
