"""Only one of several daemons gets a Unix socket, and a daemon removes no file but its own."""

import os
import pathlib
import socket
import unittest

from lib.harness import TestCase, record, wait_until

ROUNDS = 5


class StaleSocket(TestCase):
    def test_two_at_once(self):
        self.db.add_account()
        for n in range(ROUNDS):
            one, two = self.daemon(), self.daemon()
            one.stop()
            two.stop()
            two.settings["listen.unix"] = two.socket = one.socket
            with socket.socket(socket.AF_UNIX) as stale:
                stale.bind(one.socket)
            one.start(wait=False)
            two.start(wait=False)

            def decided():
                return sum(d.log().count(" started:") == 2 or d.process.poll() is not None for d in (one, two)) == 2

            wait_until(decided, "both have decided")
            self.assertEqual(sorted(d.process.poll() is None for d in (one, two)), [False, True])
            winner = one if one.process.poll() is None else two
            loser = two if winner is one else one
            self.assertEqual(loser.process.returncode, 1)
            self.assertIn("another", loser.log())
            self.assertEqual(winner.send(record(amountCents=n)).ack["ack"], 1)
            self.assertEqual(winner.stop(), 0)
            self.assertFalse(os.path.exists(one.socket))
            self.assertFalse(os.path.exists(one.socket + ".lock"))

    def test_a_file_of_another_program_is_kept(self):
        d = self.daemon()
        os.unlink(d.socket)
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(d.socket)
            other.listen()
            self.assertEqual(d.stop(), 0)
            self.assertTrue(os.path.exists(d.socket))

    def test_a_stale_lock_file(self):
        d = self.daemon()
        d.kill()
        self.assertTrue(os.path.exists(d.socket + ".lock"))
        d.start()
        self.assertEqual(d.stop(), 0)

    def test_a_symbolic_link_as_lock_file_is_not_followed(self):
        d = self.daemon()
        d.stop()
        victim = pathlib.Path(d.dir, "victim")
        os.symlink(victim, d.socket + ".lock")
        d.start(wait=False)
        self.assertEqual(d.process.wait(30), 1)
        self.assertFalse(victim.exists())


if __name__ == "__main__":
    unittest.main()
