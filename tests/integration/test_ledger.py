"""Kills, stops, cuts and pauses at random (lib/ledger.py). These tests need their own server."""

import unittest

from lib.ledger import LedgerTest


class Ledger(LedgerTest):
    def test_ledger(self):
        self.run_ledger(longest=1)

    def test_ledger_with_workers(self):
        self.run_ledger(longest=1, daemon__workers=2)

    def test_ledger_with_a_spool(self):
        """With a spool that is soon full, and outages long enough to fill it."""
        self.run_ledger(longest=4, rejects__file="{folder}/rejects", rejects__max_bytes="1G",
                        spool__dir="{folder}/spool", spool__max_bytes="3M")


if __name__ == "__main__":
    unittest.main()
