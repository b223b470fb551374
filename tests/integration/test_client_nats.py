"""The package publishes to a real JetStream, the relay feeds the daemon: each record is stored once or rejected once, also if the NATS
server is killed in between."""

import json
import os
import subprocess

from lib.consumer import Project
from lib.harness import ROOT, account, ad_object, record, wait_until
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

    # --- with the relay's replies ---

    def start(self, records, **plan):
        plan = {"servers": self.nats.urls(), "records": records} | plan
        (self.project.place / "plan.json").write_text(json.dumps(plan))
        job = subprocess.Popen(["node", "replies.mjs", "plan.json"], cwd=self.project.place, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               text=True)
        for pipe in (job.stdin, job.stdout):
            self.addCleanup(pipe.close)
        self.addCleanup(job.wait)
        self.addCleanup(job.kill)
        return job

    def finish(self, job):
        """The job's events, and the last one."""
        events = [json.loads(line) for line in job.stdout]
        self.assertEqual(job.wait(), 0)
        self.assertEqual(events.pop()["left"], 1, "the call's own subscription is gone; JetStream's requests have one")
        return events[:-1], events[-1]

    def test_what_became_of_each_record(self):
        """As with the socket, and the records are in the database when the call says so."""
        self.relay()
        connection = self.db.create_connection()
        lines = [account(connection), ad_object("1", type="AD"), *[record(amountCents=n) for n in range(8)]]
        lines[4] |= {"currency": "usd"}
        lines[9] |= {"externalId": "nobody"}
        events, summary = self.finish(self.start(lines + [lines[2], lines[3], lines[2]], messageLines=3))
        rejects = [event for event in events if event["type"] == "reject"]
        self.assertEqual([(event["line"], event["index"], event["code"], event["field"], event["record"]) for event in rejects],
                         [(5, 4, "bad_value", "currency", lines[4]), (10, 9, "unknown_ad_object", "externalId", lines[9])])
        self.assertTrue(all(event["message"] for event in rejects))
        acks = [event for event in events if event["type"] == "ack"]
        self.assertEqual([(event["line"], event["stored"], event["rejected"]) for event in acks],
                         [(3, 3, 0), (6, 5, 1), (9, 8, 1), (12, 10, 2), (13, 11, 2)])
        self.assertEqual([event["type"] for event in events], ["ack", "reject", "ack", "ack", "reject", "ack", "ack"])
        self.assertEqual({key: summary[key] for key in ("type", "records", "stored", "rejected", "spooled", "messages")},
                         {"type": "summary", "records": 13, "stored": 11, "rejected": 2, "spooled": 0, "messages": 5})
        self.assertEqual(self.db.count(), 6)

    def test_a_relay_that_is_killed(self):
        """The next one relays again what the first one had not recorded, and answers again."""
        relay = self.relay()
        self.db.add_account()
        job = self.start([record(amountCents=n) for n in range(3000)], messageLines=10)
        for n, line in enumerate(job.stdout):
            if n == 40:
                relay.kill()
                relay.start()
            if json.loads(line)["type"] == "summary":
                break
        self.assertEqual((json.loads(line)["stored"], json.loads(line)["rejected"]), (3000, 0))
        self.assertEqual(self.db.count(), 3000)

    def test_nobody_answers(self):
        events, error = self.finish(self.start([record(amountCents=n) for n in range(3)], timeoutMs=300))
        self.assertEqual((events, error["code"], error["settled"]), ([], "no_reply", 0))
        self.assertIn("the stream stored the records, but no reply came for 300 ms", error["message"])
        self.assertEqual(self.nats.stream("BORIS")["state"]["messages"], 1)

    def test_an_aborted_call(self):
        job = self.start([record(amountCents=n) for n in range(3)])
        wait_until(lambda: self.nats.stream("BORIS")["state"]["messages"] == 1, "the message")
        job.stdin.write("abort\n")
        job.stdin.flush()
        events, error = self.finish(job)
        self.assertEqual((events, error["name"], error["code"], error["settled"]), ([], "AbortError", "aborted", 0))

    def test_a_source_that_waits(self):
        """Its records are settled although their message is not full, and an abort ends the call."""
        self.relay()
        self.db.add_account()
        job = self.start([record(amountCents=n) for n in range(3)], neverEnds=True)
        ack = json.loads(job.stdout.readline())
        self.assertEqual((ack["type"], ack["line"], ack["stored"]), ("ack", 3, 3))
        self.assertEqual(self.db.count(), 3)
        job.stdin.write("abort\n")
        job.stdin.flush()
        events, error = self.finish(job)
        self.assertEqual((events, error["code"], error["settled"]), ([], "aborted", 3))

    def test_odd_answers(self):
        """A played relay: what is no reply to the message is passed over, and a second reply changes nothing."""
        client = self.nats.client()
        self.addCleanup(client.close)
        client.subscribe("boris.p.>")
        job = self.start([record(amountCents=n) for n in range(5)], messageLines=2)
        asked = [client.next(30).headers["Boris-Reply"] for _ in range(3)]
        self.assertEqual(len(set(asked)), 3)
        reject = '{"reject":2,"code":"bad_value","field":"x","message":"y"}\n'
        for text in ("", "nonsense", '{"ack":3,"rejected":0,"sequence":1}', reject, '["ack"]', "null", '{"ack":2}'):
            client.publish(asked[0], text)
        client.publish(asked[2], '{"ack":1,"rejected":0,"sequence":3}\n')
        client.publish(asked[0].rsplit(".", 1)[0] + ".99", '{"ack":2,"rejected":0,"sequence":1}\n')
        client.publish(asked[0], reject + '{"ack":2,"rejected":1,"sequence":1}\n')
        client.publish(asked[0], '{"ack":2,"rejected":0,"sequence":1}\n')
        client.publish(asked[1], '{"ack":2,"rejected":2,"sequence":2}\n')
        client.publish(asked[1], reject + '{"ack":2,"rejected":2,"sequence":2}\n')
        events, summary = self.finish(job)
        self.assertEqual([(event["type"], event["line"], event.get("rejected")) for event in events],
                         [("reject", 2, None), ("ack", 2, 1), ("ack", 4, 3), ("ack", 5, 3)])
        self.assertEqual((summary["stored"], summary["rejected"]), (2, 3))


if __name__ == "__main__":
    import unittest

    unittest.main()
