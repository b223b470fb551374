"""The cost of a record in counts that no other program on the machine can change: allocations, system calls and statements.
Speed is measured by the benchmark (tests/load/bench)."""

import mmap
import os
import pathlib
import struct
import subprocess
import sys
import tempfile
import unittest

from lib.harness import INGESTD, TestCase, encode, numbered

TESTS = pathlib.Path(INGESTD).resolve().parents[1] / "tests"
RECORDS = 100_000
BATCH = 10_000


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
            self.d = self.daemon(batch__linger_ms=1000, batch__rows=BATCH)
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
        allocations, system_calls = self.calls()
        self.assertGreater(allocations, 1000, "nothing is counted")
        self.assertGreater(system_calls, 100, "nothing is counted")
        self.send(RECORDS)
        allocations, system_calls = (after - before for after, before in zip(self.calls(), (allocations, system_calls)))
        print(f"{allocations / RECORDS:.4f} allocations a record, {1000 * system_calls / RECORDS:.1f} system calls per 1,000",
              file=sys.stderr)
        self.assertLess(allocations / RECORDS, 0.01)
        self.assertLess(1000 * system_calls / RECORDS, 40)

    def test_a_batch_is_one_transaction(self):
        self.send(1000)
        before = self.transactions()
        self.send(RECORDS)
        self.assertLessEqual(self.transactions() - before, RECORDS // BATCH + 5)

    def transactions(self):
        """The transactions that wrote to spending."""
        return int(self.db.value("SELECT count(DISTINCT xmin::text) FROM spending"))


if __name__ == "__main__":
    unittest.main()
