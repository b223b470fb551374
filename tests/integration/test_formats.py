"""JSON for programs: connection list, hierarchy, check, spool status; units of settings."""

import json
import tempfile
import unittest

from lib.harness import TestCase, numbered, run_ingestd


class Formats(TestCase):
    def json(self, *args, status=0):
        done = run_ingestd(self.db, *args, "--config", "/dev/null", "--format", "json")
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return json.loads(done.stdout)

    def test_lists(self):
        self.db.add_account()
        d = self.daemon()
        d.send(*numbered(4))
        connection, = self.json("connection", "list")
        self.assertEqual((connection["platform"], connection["accounts"]), ("META", 1))
        self.assertRegex(connection["created_at"], r"^20\d\d-.*Z$")
        objects = self.json("hierarchy", "--account", "act_1")
        self.assertEqual([(o["object"], o["account"], o["connection"], o["records"]) for o in objects],
                         [(n, "act_1", connection["id"], records) for n, records in (("1", 2), ("2", 1), ("3", 1))])
        results = self.json("check")
        self.assertEqual({r["result"] for r in results}, {"ok"})
        self.assertIn("connections: the daemon uses up to 5", [r["what"] for r in results])
        wrong = self.json("check", "--set", "http.listen=nowhere.invalid:1", status=1)
        self.assertEqual(len([r for r in wrong if r["result"] == "wrong"]), 1)
        for args in (["check", "--format", "csv"], ["spool", "status", "--format", "csv"], ["connection", "list", "--format", "xml"]):
            self.assertEqual(run_ingestd(self.db, *args).returncode, 2)

    def test_spool(self):
        folder = self.enterContext(tempfile.TemporaryDirectory(prefix="ingestd-"))
        d = self.daemon(database__url="postgresql://127.0.0.1:1/x", spool__dir=f"{folder}/spool")
        self.assertEqual(d.send(*numbered(3)).ack["spooled"], 3)
        status = self.json("spool", "status", "--set", f"spool.dir={folder}/spool")
        self.assertEqual((status["lines"], status["file"], status["lost_lines"], status["lost_at"]), (3, f"{folder}/spool/spool.db", 0, None))
        self.assertRegex(status["oldest"], r"Z$")
        d.stop()

    def test_units(self):
        def check(setting):
            return run_ingestd(None, "check", "--config-only", "--config", "/dev/null", "--set", setting).returncode

        for setting in ("limits.idle_ms=1h", "limits.idle_ms=7d", "batch.linger_ms=50ms", "shutdown.timeout_ms=25s", "resolve.recheck_ms=1m",
                        "resolve.unknown_grace_ms=1d", "limits.memory_bytes=1GB", "spool.max_bytes=4GiB", "rejects.max_bytes=64M",
                        "limits.max_line_bytes=1024K", "limits.idle_ms=3600000"):
            self.assertEqual(check(setting), 0, setting)
        for setting in ("limits.idle_ms=8d", "limits.idle_ms=1w", "limits.idle_ms=1.5h", "limits.idle_ms=h", "limits.idle_ms=1 h",
                        "batch.rows=1s", "spool.max_bytes=4B", "spool.max_bytes=4Gx", "spool.max_bytes=1h", "batch.linger_ms=1M"):
            self.assertEqual(check(setting), 1, setting)


if __name__ == "__main__":
    unittest.main()
