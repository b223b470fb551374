"""The command line without a database: help, usage errors, configuration errors."""

import pathlib
import tempfile
import unittest

from lib.harness import ROOT, run_ingestd


class CommandLine(unittest.TestCase):
    def run_with(self, *args, env=None):
        return run_ingestd(None, *args, env=env)

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
                     ["--config"], ["--set"], ["--set", "s3cr3t", "check"], ["--set", "url=s3cr3t", "check"],
                     ["--set", "log.level", "check"],
                     ["report", "--from", "2026-11-02", "--to", "2026-11-01"],
                     ["report", "--from", "2026-11-02T00:00:00Z", "--to", "2026-11-02T00:59:59+01:00"]):
            done = self.run_with(*args)
            self.assertEqual(done.returncode, 2, args)
            self.assertEqual(done.stdout, "")
            self.assertRegex(done.stderr, r"^boris-ingestd: .*; see boris-ingestd --help\n$")
            self.assertNotIn("s3cr3t", done.stderr)

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

    def test_check_finds_errors_that_prevent_the_start(self):
        """Except for errors that depend on the moment, such as a port in use."""
        with tempfile.TemporaryDirectory() as folder:
            for settings, reason in (
                    (["listen.tcp=0.0.0.0:19999"], "only loopback addresses are allowed without TLS"),
                    (["listen.tcp=127.0.0.1"], "listen.tcp"),
                    (["listen.tcp=nowhere.invalid:1"], "listen.tcp nowhere.invalid:1: "),
                    (["listen.tls_cert=/nowhere", "listen.tls_key=/nowhere", "listen.tls_client_ca=/nowhere"],
                     "listen.tls_cert /nowhere: No such file or directory"),
                    (["listen.allow_users=nobody-at-all"], "nobody-at-all"),
                    (["http.listen=nowhere.invalid:1"], "http.listen nowhere.invalid:1: "),
                    ([f"rejects.file={folder}/no/file"], f"rejects.file {folder}/no/file: No such file or directory: "
                                                         f"create the directory {folder}/no"),
                    ([f"rejects.file={folder}"], f"rejects.file {folder}: is a directory"),
                    ([f"spool.dir={__file__}"], f"spool.dir {__file__}: is not a directory"),
                    ([f"spool.dir={folder}/no/spool"], f"create the directory {folder}/no")):
                options = [word for setting in settings for word in ("--set", setting)]
                done = self.run_with("check", "--config", "/dev/null", "--set", "database.url=host=/nonexistent", *options)
                self.assertEqual(done.returncode, 1, settings)
                wrong = [line for line in (done.stdout + done.stderr).splitlines() if "database" not in line]
                self.assertIn(reason, wrong[0], done.stdout)
                self.assertNotIn("ok     configuration", done.stdout)
            done = self.run_with("check", "--config", "/dev/null", "--set", "database.url=host=/nonexistent", "--set",
                                 f"rejects.file={folder}/file", "--set", f"spool.dir={folder}/spool")
            self.assertIn("ok     configuration\n", done.stdout)

    def test_check_of_the_configuration_alone(self):
        """The database is not used, so the status depends on the file alone."""
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder, "ini")
            file.write_text("[database]\nurl = host=/nonexistent\n[listen]\nunix = /run/x/s\n")
            done = self.run_with("check", "--config-only", "--config", str(file))
            self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "ok     configuration\n", ""))
            for text, reason in (("[batch]\nrow = 1\n", f"{file}:2: unknown key batch.row"),
                                 ("[limits]\nidle_ms = soon\n", "limits.idle_ms"),
                                 ("[database]\nurl = s3cr3t\n", "database.url is not a valid libpq conninfo or URL"),
                                 ("[database]\npassword_file = /nowhere\n", "/nowhere"),
                                 ("[listen]\nallow_groups = nobody-at-all\n", "nobody-at-all"),
                                 ("[listen]\ntls_cert = /no\ntls_key = /no\ntls_client_ca = /no\ntcp = 127.0.0.1:0\n", "tls_cert /no"),
                                 ("not ini\n", f"{file}:1")):
                file.write_text(text)
                done = self.run_with("check", "--config-only", "--config", str(file))
                self.assertEqual(done.returncode, 1, text)
                self.assertIn(reason, done.stdout + done.stderr)
                self.assertNotIn("s3cr3t", done.stdout + done.stderr)

    def test_check_before_a_reload_without_credentials(self):
        """systemd gives credentials to the daemon, not to the programs of ExecReload=."""
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder, "ini")
            for more in ({}, {"CREDENTIALS_DIRECTORY": f"{folder}/not-here"}):
                file.write_text("[database]\npassword_file = credential:p\n[listen]\nunix =\ntcp = 127.0.0.1:0\n"
                                "tls_cert = credential:c\ntls_key = credential:k\ntls_client_ca = credential:a\n")
                done = self.run_with("check", "--config-only", "--config", str(file), env=more)
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                self.assertIn("certificates: not checked", done.stdout)
                done = self.run_with("run", "--config", str(file), env=more)
                self.assertEqual(done.returncode, 1)
                self.assertIn("database.password_file credential:p", done.stderr)
                file.write_text(file.read_text() + "[batch]\nrow = 1\n")
                self.assertEqual(self.run_with("check", "--config-only", "--config", str(file), env=more).returncode, 1)

    def test_an_invalid_url_prevents_the_start(self):
        with tempfile.TemporaryDirectory() as folder:
            for url in ("s3cr3t", "postgresql://u:s3cr3t@h/db?nope=1", "postgresql://u:p@s3cr3t@h/db"):
                done = self.run_with("run", "--config", "/dev/null", "--set", f"listen.unix={folder}/s", "--set",
                                     "http.listen=", "--set", f"database.url={url}")
                self.assertEqual(done.returncode, 1)
                self.assertIn("database.url is not a valid libpq conninfo or URL", done.stderr)
                self.assertNotIn("s3cr3t", done.stderr)

    def test_options_before_and_after_the_command(self):
        config = str(ROOT / "config/boris-ingestd.ini")
        for args in (["--config", config, "--set", "database.url=host=/nonexistent", "check"],
                     ["check", "--config", config, "--set", "database.url=host=/nonexistent"]):
            done = self.run_with(*args)
            self.assertEqual(done.returncode, 1)
            self.assertRegex(done.stdout, r"(?m)^wrong +database")


if __name__ == "__main__":
    unittest.main()
