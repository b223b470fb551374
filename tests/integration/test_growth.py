"""Several daemons on one database, behind HAProxy as config/README.md configures it: each record is stored once, whichever daemon it
goes through, and whichever dies."""

import json
import pathlib
import re
import subprocess
import tempfile
import threading
import unittest

from lib.client import encode
from lib.harness import INGESTD, ROOT, TestCase, account, ad_object, numbered, wait_until

CLIENTS = 4
LINES = 6000  # of each client, and as many that all of them send


class Growth(TestCase):
    def setUp(self):
        super().setUp()
        self.dir = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="ingestd-")))
        self.a, self.b = self.daemon(), self.daemon()
        self.front = str(self.dir / "front.sock")
        self.start_haproxy()

    def start_haproxy(self):
        """The page's example, with our own sockets as addresses."""
        example = re.search(r"```haproxy\n(.*?)```", (ROOT / "config/README.md").read_text(), re.S)[1]
        for address, path in (("192.0.2.1:9463", self.front), ("192.0.2.11:9463", self.a.socket), ("192.0.2.12:9463", self.b.socket)):
            self.assertEqual(example.count(address), 1)
            example = example.replace(address, f"unix@{path}")
        config = self.dir / "haproxy.cfg"
        config.write_text(example)
        log = (self.dir / "haproxy.log").open("w")
        self.addCleanup(log.close)
        haproxy = subprocess.Popen([ROOT / "tests/lib/tool.sh", "haproxy", "-db", "-f", config], stdout=log, stderr=log)
        self.addCleanup(haproxy.wait)
        self.addCleanup(haproxy.terminate)
        wait_until(lambda: pathlib.Path(self.front).exists() or haproxy.poll() is not None, "HAProxy")
        self.assertIsNone(haproxy.poll(), (self.dir / "haproxy.log").read_text())

    def start_client(self):
        client = subprocess.Popen([INGESTD, "send", "-", "--json", "--socket", self.front], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(client.stderr.close)
        self.addCleanup(client.stdout.close)
        self.addCleanup(client.kill)
        return client

    def write(self, clients, texts):
        threads = [threading.Thread(target=lambda c=c, t=t: (c.stdin.write(t), c.stdin.flush())) for c, t in zip(clients, texts)]
        for thread in threads:
            thread.start()
        return threads

    def connections(self, daemon):
        return len(re.findall(r"connection \d+ .*closed: [1-9]", daemon.log()))

    def test_each_record_once_through_either(self):
        connection = self.db.create_connection()
        hierarchy = [account(connection)] + [ad_object(str(n)) for n in (1, 2, 3)]
        shared = numbered(LINES)
        own = [numbered(LINES, start=(1 + n) * LINES) for n in range(CLIENTS)]
        clients = [self.start_client() for _ in range(CLIENTS)]

        def part(number):
            """A third of each client's lines; the hierarchy before each."""
            third = slice(number * LINES // 3, (number + 1) * LINES // 3)
            return [b"".join(encode(line) + b"\n" for line in hierarchy + shared[third] + lines[third]) for lines in own]

        for thread in self.write(clients, part(0)):
            thread.join()
        wait_until(lambda: self.db.count() == (1 + CLIENTS) * LINES // 3, "the first third")
        threads = self.write(clients, part(1))
        self.a.kill()
        for thread in threads:
            thread.join()
        wait_until(lambda: self.db.count() == 2 * (1 + CLIENTS) * LINES // 3, "the second third, without a")
        self.assertEqual(self.connections(self.b), 0)  # these stayed
        self.a.start()
        threads = self.write(clients, part(2))
        self.b.kill()
        for thread in threads:
            thread.join()
        totals = []
        for client in clients:
            out, err = client.communicate(timeout=60)
            self.assertEqual(client.returncode, 0, err)
            totals.append(json.loads(out))
        self.assertEqual([t["lines"] for t in totals], [3 * len(hierarchy) + 2 * LINES] * CLIENTS)
        self.assertEqual([t["stored"] + t["duplicate"] for t in totals], [t["lines"] for t in totals])
        # two clients were on each: a's went to b, then all to a
        connections = sorted(t["connections"] for t in totals)
        self.assertTrue(connections[0] >= 2 and connections[2] >= 3, connections)
        wait_until(lambda: self.connections(self.a) >= CLIENTS, "a's log counts its clients")
        self.assertEqual(self.db.count(), (1 + CLIENTS) * LINES)
        self.assertEqual(self.db.value("SELECT sum(amount_cents) FROM spending"), str(sum(range((1 + CLIENTS) * LINES))))
        self.assertEqual(self.db.value("SELECT count(*) FROM ad_objects"), "3")
        self.assertEqual(self.db.value("SELECT count(*) FROM ad_accounts"), "1")


if __name__ == "__main__":
    unittest.main()
