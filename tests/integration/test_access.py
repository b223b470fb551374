"""Who may connect to the Unix socket."""

import json
import os
import shutil
import subprocess
import unittest

from lib.client import encode
from lib.harness import TestCase, record, run_ingestd

CLIENT = """
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(sys.argv[2].encode() + b"\\n")
s.shutdown(socket.SHUT_WR)
sys.stdout.write(b"".join(iter(lambda: s.recv(65536), b"")).decode())
"""


@unittest.skipUnless(os.getuid() == 0 and shutil.which("setpriv"), "only root can be another user")
class Access(TestCase):
    def setUp(self):
        super().setUp()
        self.db.add_account()

    def start(self, **settings):
        self.d = self.daemon(listen__unix_mode="0666", **settings)
        os.chmod(self.d.dir, 0o755)

    def connect_as(self, uid, gid, groups=""):
        """The replies of a client with these ids."""
        who = ["setpriv", f"--reuid={uid}", f"--regid={gid}", f"--groups={groups}" if groups else "--clear-groups"]
        done = subprocess.run([*who, "/usr/bin/python3", "-c", CLIENT, self.d.socket, encode(record()).decode()],
                              stdout=subprocess.PIPE, check=True, timeout=30)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def assert_allowed(self, *who):
        self.assertEqual(self.connect_as(*who)[-1]["ack"], 1, who)

    def assert_refused(self, *who):
        self.assertEqual(self.connect_as(*who), [{"closing": "not_allowed"}], who)

    def test_everybody_without_lists(self):
        self.start()
        self.assert_allowed(12345, 12345)

    def test_users(self):
        self.start(listen__allow_users="nobody, 12345")
        self.assert_allowed(12345, 1)
        self.assert_allowed(65534, 1)
        self.assert_allowed(0, 0)
        self.assert_refused(12346, 12345, "12345,65534")
        self.assertIn("uid 12346", self.d.log())
        self.assertIn("turned away: neither in listen.allow_users", self.d.log())

    def test_groups(self):
        self.start(listen__allow_groups="daemon 4242")
        self.assert_allowed(12345, 4242)
        self.assert_allowed(12345, 1)
        self.assert_allowed(12345, 2, "7,4242,8")
        self.assert_refused(12345, 2, "7,8")
        self.assert_refused(4242, 2)

    def test_unknown_name(self):
        for setting, text in (("listen.allow_users", "root,no-such"), ("listen.allow_groups", "no-such")):
            done = run_ingestd(self.db, "--set", f"{setting}={text}", "--set", "listen.unix=/tmp/never")
            self.assertEqual(done.returncode, 1)
            self.assertIn(f"{setting}: this system does not know no-such", done.stderr)


if __name__ == "__main__":
    unittest.main()
