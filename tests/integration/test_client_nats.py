"""The package publishes to a real JetStream, the relay feeds the daemon: each record is stored once or rejected once, also if the NATS
server is killed in between."""

import json
import os
import subprocess

from lib.consumer import Project
from lib.harness import ROOT, wait_until
from test_relay import RelayCase

COUNT = 5000


class Publishing(RelayCase):
    @classmethod
    def setUpClass(cls):
        cls.project = Project(cls, ROOT / "tests/integration/client_nats")
        super().setUpClass()

    def test_a_server_that_is_killed(self):
        self.relay()
        connection = self.db.create_connection()
        job = subprocess.Popen(["node", "publish.mjs", self.nats.urls(), connection, str(COUNT)], cwd=self.project.place, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, env=dict(os.environ, NO_COLOR="1"))
        self.addCleanup(job.stdout.close)
        self.addCleanup(job.kill)
        events = []
        for line in job.stdout:
            events.append(json.loads(line))
            if len(events) == 10:
                self.nats.kill(0)
                self.nats.start(0)
        self.assertEqual(job.wait(), 0)
        summary = events[-1]
        self.assertEqual((summary["type"], summary["records"], summary["spooled"] + summary["duplicate"], summary["rejected"]),
                         ("summary", COUNT + 2, COUNT + 2, 0))
        wait_until(lambda: self.db.count() >= COUNT - COUNT // 500, "the records are stored")
        wait_until(lambda: len(self.rejects()) >= COUNT // 500, "the rejects are published")
        self.assertEqual({reject["code"] for reject in self.rejects()}, {"unknown_ad_object"})
        self.assertEqual(self.db.value("SELECT count(*), count(DISTINCT amount_cents) FROM spending"), f"{COUNT - 10}|{COUNT - 10}")


if __name__ == "__main__":
    import unittest

    unittest.main()
