"""SIGHUP and SIGUSR1 do no harm at any moment between the start and the end of the process."""

import pathlib
import re
import signal
import threading
import time
import unittest

from lib.harness import TestCase, record, wait_until

ROUNDS = 5


class Signals(TestCase):
    def shower(self, process, number):
        """Sends the signal again and again until the process has ended."""

        def run():
            while process.poll() is None:
                process.send_signal(number)
                time.sleep(0.0002)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread

    def minds_sighup(self, pid):
        """True once the signal is blocked or caught; before that, none of our code runs."""
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        return any(int(re.search(rf"{key}:\s+(\w+)", status)[1], 16) & 1 for key in ("SigBlk", "SigCgt"))

    def test_while_it_stops(self):
        self.db.add_account()
        for number in (signal.SIGHUP, signal.SIGUSR1):
            for n in range(ROUNDS):
                with self.subTest(number=number, round=n):
                    d = self.daemon()
                    d.send(record(amountCents=n))
                    thread = self.shower(d.process, number)
                    self.assertEqual(d.stop(), 0)
                    thread.join()

    def test_while_it_starts(self):
        d = self.daemon()
        for number in (signal.SIGHUP, signal.SIGUSR1):
            for n in range(ROUNDS):
                d.stop()
                d.start(wait=False)
                wait_until(lambda: self.minds_sighup(d.process.pid), "main() runs", pause=0)
                thread_end = time.monotonic() + 0.5
                while time.monotonic() < thread_end and d.process.poll() is None:
                    d.signal(number)
                    time.sleep(0.001)
                wait_until(lambda: " started:" in d.log(), "start")
                self.assertIsNone(d.process.poll())


if __name__ == "__main__":
    unittest.main()
