"""The command line without a database: help, usage errors, configuration errors."""

import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from harness import ROOT, run_ingestd


class CommandLine(unittest.TestCase):
    def run_with(self, *args):
        return run_ingestd(None, *args)

    def test_help_and_version(self):
        done = self.run_with("--help")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        for word in ("run", "migrate", "check", "connection create", "connection list", "--config", "--set"):
            self.assertIn(word, done.stdout)
        done = self.run_with("--version")
        self.assertRegex(done.stdout, r"^boris-ingestd \d+\.\d+\.\d+\n$")

    def test_wrong_usage(self):
        for args in (["nope"], ["--nope"], ["run", "x"], ["migrate", "x"], ["check", "x"], ["connection"],
                     ["connection", "create"], ["connection", "create", "FACEBOOK"], ["connection", "nope"],
                     ["connection", "create", "--id", "x", "META"], ["--id", "x", "check"], ["--status", "check"],
                     ["--config"], ["--set"]):
            done = self.run_with(*args)
            self.assertEqual(done.returncode, 2, args)
            self.assertEqual(done.stdout, "")
            self.assertRegex(done.stderr, r"^boris-ingestd: .*; see boris-ingestd --help\n$")

    def test_configuration_errors(self):
        with tempfile.NamedTemporaryFile("w", suffix=".ini") as file:
            file.write("[batch]\nrows = 10\nrow = 11\n")
            file.flush()
            done = self.run_with("check", "--config", file.name)
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stderr, f"boris-ingestd: {file.name}:3: unknown key batch.row\n")
        done = self.run_with("--set", "batch.rows=0")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stderr, "boris-ingestd: --set: batch.rows must be a whole number from 1 to 1000000\n")
        done = self.run_with("--config", "/nonexistent/x.ini")
        self.assertEqual(done.returncode, 1)
        self.assertIn("/nonexistent/x.ini: No such file", done.stderr)

    def test_options_before_and_after_the_command(self):
        config = str(ROOT / "config/boris-ingestd.ini")
        for args in (["--config", config, "--set", "database.url=host=/nonexistent", "check"],
                     ["check", "--config", config, "--set", "database.url=host=/nonexistent"]):
            done = self.run_with(*args)
            self.assertEqual(done.returncode, 1)
            self.assertRegex(done.stdout, r"(?m)^wrong +database")


if __name__ == "__main__":
    unittest.main()
