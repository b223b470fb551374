#!/usr/bin/env python3
"""The protocol with systemd: a fake service manager receives the notifications and passes sockets."""

import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from lib.client import Client
from lib.harness import INGESTD, Daemon, Database, TestCase, numbered, record, wait_until

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Manager:
    """Receives what daemons send with sd_notify(3), in order."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="ingestd-")
        self.path = f"{self.dir}/notify"
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(self.path)
        self.said = []
        self.thread = threading.Thread(target=self._listen)
        self.thread.start()

    def _listen(self):
        while message := self.sock.recv(65536).decode():
            self.said.append(message)

    def words(self):
        """The notifications, without the watchdog's."""
        return [message for message in self.said if message != "WATCHDOG=1"]

    def fed(self):
        return self.said.count("WATCHDOG=1")

    def status(self):
        return next((m.removeprefix("STATUS=") for m in reversed(self.said) if m.startswith("STATUS=")), "")

    def close(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
            end.sendto(b"", self.path)
        self.thread.join()
        self.sock.close()
        shutil.rmtree(self.dir)


class ServiceTest(TestCase):
    def setUp(self):
        super().setUp()
        self.manager = Manager()
        self.addCleanup(self.manager.close)

    def service(self, db=None, watchdog_s=None, **settings):
        """Starts a daemon with this manager."""
        env = {"NOTIFY_SOCKET": self.manager.path}
        if watchdog_s:
            env["WATCHDOG_USEC"] = str(int(watchdog_s * 1e6))
        daemon = Daemon(db or self.db, env=env, **settings)
        self.addCleanup(daemon.close)
        return daemon

    def wait_said(self, word, times=1):
        wait_until(lambda: sum(m.startswith(word) for m in self.manager.said) >= times, word)


class Notify(ServiceTest):
    def test_from_start_to_end(self):
        self.db.add_account()
        daemon = self.service()
        self.wait_said("READY=1")
        self.assertEqual(daemon.send(record()).counts(), (1, 1, 0, 0))
        daemon.signal(signal.SIGHUP)
        self.wait_said("READY=1", 2)
        self.assertEqual(daemon.stop(), 0)
        kinds = [m.split("=")[0] for m in self.manager.words() if not m.startswith("STATUS=")]
        self.assertEqual(kinds, ["READY", "RELOADING", "READY", "STOPPING"])
        reloading = next(m for m in self.manager.said if m.startswith("RELOADING=1"))
        told = int(re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=(\d+)", reloading)[1])
        self.assertLess(abs(time.clock_gettime(time.CLOCK_MONOTONIC) - told / 1e6), 60)

    def test_a_database_that_is_down_does_not_fail_the_start(self):
        self.server.need_private()
        self.db.add_account()
        self.server.stop_at_once()
        try:
            daemon = self.service()
            self.wait_said("READY=1")
            wait_until(lambda: "Clients wait: the database is unavailable" in self.manager.status(), "a status")
            client = daemon.client()
            client.send(record())
        finally:
            self.server.start()
        client.wait_ack(1)
        client.close()
        wait_until(lambda: self.manager.status().startswith("Running; "), "a new status")

    def test_missing_tables_are_reported_and_waited_for(self):
        empty = Database(self.server, migrated=False)
        self.addCleanup(empty.close)
        daemon = self.service(empty)
        self.wait_said("READY=1")
        wait_until(lambda: "Clients wait: database: TimescaleDB is not in this database: run boris-ingestd migrate" in self.manager.status(),
                   "a status")
        self.assertIn("TimescaleDB is not in this database: run boris-ingestd migrate", daemon.log())
        subprocess.run([INGESTD, "migrate"], env=dict(os.environ, DATABASE_URL=empty.url), check=True,
                       stdout=subprocess.DEVNULL)
        wait_until(lambda: "migrate" not in self.manager.status(), "a new status")

    def test_a_missing_privilege_is_named(self):
        self.db.execute(f"REVOKE INSERT ON spending FROM {self.db.role}")
        self.service()
        self.wait_said("READY=1")
        wait_until(lambda: "INSERT on spending" in self.manager.status(), "a status")

    def test_rates_are_sent_only_when_they_change(self):
        self.db.add_account()
        daemon = self.service()
        self.wait_said("STATUS=Running; 0 connections, no lines")
        client = daemon.client()
        client.send(*numbered(500))
        client.wait_ack(500)
        rates = (r"STATUS=Running; 1 connections, [1-9]\d* lines/s: [1-9]\d* stored/s, 0 duplicate/s, 0 rejected/s, "
                 r"0 spooled/s")
        wait_until(lambda: any(re.fullmatch(rates, m) for m in self.manager.said), "rates")
        self.wait_said("STATUS=Running; 1 connections, no lines")
        client.close()
        self.wait_said("STATUS=Running; 0 connections, no lines", 2)
        said = [m for m in self.manager.said if m.startswith("STATUS=")]
        self.assertFalse([pair for pair in zip(said, said[1:]) if pair[0] == pair[1]])

    def test_a_failed_start_never_reports_ready(self):
        daemon = self.daemon()
        env = dict(daemon.env, NOTIFY_SOCKET=self.manager.path)
        done = subprocess.run([INGESTD, "run", "--config", "/dev/null", "--set", f"listen.unix={daemon.socket}"],
                              env=env, stderr=subprocess.PIPE, text=True, timeout=30)
        self.assertEqual(done.returncode, 1)
        self.assertIn("another daemon has it", done.stderr)
        self.assertNotIn("READY=1", self.manager.said)


class Watchdog(ServiceTest):
    def test_a_running_daemon_feeds_it_and_a_hanging_one_does_not(self):
        daemon = self.service(watchdog_s=1)
        wait_until(lambda: self.manager.fed() >= 4, "food")
        daemon.signal(signal.SIGSTOP)
        fed = self.manager.fed()
        try:
            time.sleep(1)  # nothing can be waited for
            self.assertLessEqual(self.manager.fed(), fed + 1)
        finally:
            daemon.signal(signal.SIGCONT)
        wait_until(lambda: self.manager.fed() >= fed + 4, "food")

    def test_without_a_watchdog_nothing_is_sent(self):
        self.service()
        self.wait_said("READY=1")
        self.assertEqual(self.manager.fed(), 0)


# What systemd does between fork and exec: descriptors from 3 on, and the process's own id.
PASS_SOCKETS = """
import fcntl, os, sys
fds, command = [int(fd) for fd in sys.argv[1].split(",")], sys.argv[2:]
moved = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3 + len(fds)) for fd in fds]
for number, fd in enumerate(moved):
    os.dup2(fd, 3 + number)
os.environ.update(LISTEN_FDS=str(len(fds)), LISTEN_PID=str(os.getpid()))
os.execv(command[0], command)
"""


class Activation(TestCase):
    def setUp(self):
        super().setUp()
        self.dir = tempfile.mkdtemp(prefix="ingestd-")
        self.addCleanup(shutil.rmtree, self.dir)
        self.path = f"{self.dir}/unit.sock"

    def sockets(self, *sockets):
        for sock in sockets:
            self.addCleanup(sock.close)
        fds = [sock.fileno() for sock in sockets]
        return {"pass_fds": fds, "wrapper": [sys.executable, "-c", PASS_SOCKETS, ",".join(map(str, fds))]}

    def unix(self):
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(self.path)
        sock.listen(1024)
        return sock

    def tcp(self, host="127.0.0.1"):
        sock = socket.socket()
        sock.bind((host, 0))
        sock.listen()
        return sock

    def connect(self):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(self.path)
        return Client(sock)

    def converse(self, *lines):
        client = self.connect()
        client.send(*lines)
        return client.finish()

    def test_the_passed_socket_is_used_and_not_changed(self):
        self.db.add_account()
        daemon = self.daemon(**self.sockets(self.unix()))
        self.assertIn(f"listening on {self.path} (socket passed by systemd)", daemon.log())
        self.assertFalse(os.path.exists(daemon.socket))
        self.assertEqual(self.converse(record()).counts(), (1, 1, 0, 0))
        self.assertEqual(daemon.stop(), 0)
        waiting = self.connect()  # nobody is there, and nobody is refused
        waiting.send(record(amountCents=2))
        daemon.start()
        self.assertEqual(waiting.finish().counts(), (1, 1, 0, 0))

    def test_no_connection_is_refused_while_it_restarts(self):
        self.db.add_account()
        daemon = self.daemon(**self.sockets(self.unix()))
        ended = threading.Event()
        faults, sent = [], []

        def stream(name):
            number = 0
            while not ended.is_set():
                line = record(amountCents=number, metrics={"of": name})
                try:
                    replies = self.converse(line)
                except OSError as error:
                    faults.append(error)
                    return
                if replies.ack and replies.ack["ack"] == 1:
                    sent.append(line)
                    number += 1
                elif replies.closing != "shutdown":
                    faults.append(vars(replies))

        threads = [threading.Thread(target=stream, args=(name,)) for name in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(4):
            before = len(sent)
            wait_until(lambda: len(sent) > before + 20 or faults, "records")
            self.assertEqual(daemon.stop(), 0)
            daemon.start()
        ended.set()
        for thread in threads:
            thread.join()
        self.assertEqual(faults, [])
        self.assertEqual(self.db.count(), len(sent))

    def test_passed_tcp_sockets_replace_listen_tcp(self):
        self.db.add_account()
        tcp = self.tcp()
        daemon = self.daemon(listen__tcp="127.0.0.1:1", **self.sockets(self.unix(), tcp))
        client = Client(socket.create_connection(tcp.getsockname()))
        client.send(record())
        self.assertEqual(client.finish().counts(), (1, 1, 0, 0))
        self.assertEqual(self.converse(record()).counts(), (1, 0, 1, 0))
        self.assertEqual(daemon.stop(), 0)

    def assert_not_started(self, sock, reason):
        sockets = self.sockets(sock)
        done = subprocess.run([*sockets["wrapper"], INGESTD, "run", "--config", "/dev/null",
                               "--set", f"listen.unix={self.dir}/own.sock"], pass_fds=sockets["pass_fds"],
                              env=dict(os.environ, DATABASE_URL=self.db.daemon_url), stderr=subprocess.PIPE, text=True,
                              timeout=60)
        self.assertEqual(done.returncode, 1)
        self.assertIn(reason, done.stderr)

    def test_sockets_that_were_not_passed_are_reported(self):
        command = f'LISTEN_FDS=1 LISTEN_PID=$$ exec "$0" run --config /dev/null --set listen.unix={self.dir}/own.sock'
        done = subprocess.run(["sh", "-c", command, INGESTD], env=dict(os.environ, DATABASE_URL=self.db.daemon_url),
                              stderr=subprocess.PIPE, text=True, timeout=60)
        self.assertEqual(done.returncode, 1)
        self.assertIn("cannot use the sockets passed by systemd: Bad file descriptor", done.stderr)

    def test_without_tls_only_loopback_here_too(self):
        self.assert_not_started(self.tcp("0.0.0.0"), "only loopback addresses are allowed without TLS")

    def test_descriptors_that_do_not_listen_are_reported(self):
        self.assert_not_started(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM), "is not a listening stream socket")


def own_run(journal_dir):
    """A wrapper that hides /run from the program, except for the journal's directory, which is this one."""
    mounts = ('mount -t tmpfs none /run && mkdir -p /run/systemd/journal && '
              'mount --bind "$1" /run/systemd/journal && shift && exec "$@"')
    return ["unshare", "--map-root-user", "--mount", "sh", "-c", mounts, "sh", journal_dir]


class Journaled(Daemon):
    """A daemon whose standard error counts as the journal's; the test owns the journal's socket."""

    def __init__(self, db, **settings):
        self.journal_dir = tempfile.mkdtemp(prefix="ingestd-")
        self.journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.journal.bind(f"{self.journal_dir}/socket")
        self.entries = []
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        super().__init__(db, wrapper=own_run(self.journal_dir), **settings)

    def start(self, wait=True):
        self.log_path.touch()
        file = self.log_path.stat()
        self.env["JOURNAL_STREAM"] = f"{file.st_dev}:{file.st_ino}"
        super().start(wait)

    def _read(self):
        while datagram := self.journal.recv(65536).decode():
            self.entries.append(dict(line.split("=", 1) for line in datagram.splitlines()))

    def log(self):
        return "".join(f"{entry['MESSAGE']}\n" for entry in self.entries)

    def find(self, **fields):
        """Returns the first entry with these fields."""
        return wait_until(lambda: next((e for e in self.entries if e.items() >= fields.items()), None), fields)

    def close(self):
        super().close()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
            end.sendto(b"", f"{self.journal_dir}/socket")
        self.reader.join()
        self.journal.close()
        shutil.rmtree(self.journal_dir)


class Logs(TestCase):
    def test_a_flood_of_rejects_is_summarised(self):
        self.db.add_account()
        d = self.daemon()
        lines = [record(amountCents="s3cr3t")] * 200 + [record(s3cr3t=1)] * 100 + ["s3cr3t"] * 100
        replies = d.send(*lines)
        self.assertEqual(len(replies.rejects), 400)
        wait_until(lambda: " closed: 400 lines" in d.log() and "more lines rejected" in d.log(), "the sum")
        told = [line for line in d.log().splitlines() if re.search(r" rejected: | lines rejected in ", line)]
        self.assertEqual(len(told), 4, told)
        for number, line in enumerate(told[:3], 1):
            self.assertRegex(line, rf"info connection 1 of uid \d+, pid \d+: line {number} rejected: bad_value \(amountCents\)$")
        self.assertRegex(told[3], r"info connection 1 of uid \d+, pid \d+: 397 more lines rejected in \d+ s: "
                                  r"bad_json × 100, unknown_field × 100, bad_value \(amountCents\) × 197$")
        self.assertNotIn("s3cr3t", d.log())

    def test_the_journal_gets_fields(self):
        if subprocess.run([*own_run("/tmp"), "true"], stderr=subprocess.DEVNULL, check=False).returncode != 0:
            self.skipTest("this user cannot make a mount namespace here")
        self.db.add_account()
        d = Journaled(self.db)
        self.addCleanup(d.close)
        d.send(record(amountCents="x"))
        refused = d.find(CODE="bad_value")
        self.assertEqual((refused["CONNECTION"], refused["LINE"], refused["FIELD"], refused["PRIORITY"]),
                         ("1", "1", "amountCents", "6"))
        self.assertRegex(refused["PEER"], r"^uid \d+, pid \d+$")
        closed = d.find(MESSAGE_ID="6731d6e7f2c5470e8261989f1818fd69")
        self.assertEqual(closed["CONNECTION"], "1")
        self.assertTrue(all(entry["SYSLOG_IDENTIFIER"] == "boris-ingestd" for entry in d.entries))
        self.assertEqual(d.log_path.read_text(), "")


class Units(unittest.TestCase):
    """The files in systemd/, checked by systemd itself."""

    def units(self):
        """Creates a directory with the units, and the programs where the units expect them."""
        folder = pathlib.Path(tempfile.mkdtemp(prefix="ingestd-"))
        self.addCleanup(shutil.rmtree, folder)
        for unit in ROOT.joinpath("systemd").iterdir():
            text = unit.read_text().replace("/usr/sbin/boris-ingestd", INGESTD)
            folder.joinpath(unit.name).write_text(text)
        return folder

    def analyze(self, *args):
        if not shutil.which("systemd-analyze"):
            self.skipTest("systemd-analyze is not installed")
        return subprocess.run(["systemd-analyze", *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def test_verify(self):
        folder = self.units()
        relay = os.access(INGESTD + "-relay", os.X_OK)
        for name in ("boris-ingestd.service", "boris-ingestd.socket", *["boris-ingestd-relay.service"] * relay):
            done = self.analyze("verify", "--man=no", str(folder / name))
            self.assertEqual((done.returncode, done.stdout), (0, ""))
        for name in ("boris-ingestd@.service", "boris-ingestd@.socket", *["boris-ingestd-relay@.service"] * relay):
            instance = folder / name.replace("@", "@one")
            shutil.copy(folder / name, instance)
            done = self.analyze("verify", "--man=no", str(instance))
            self.assertEqual((done.returncode, done.stdout), (0, ""))

    def test_security(self):
        for name in ("boris-ingestd.service", "boris-ingestd@.service", "boris-ingestd-relay.service", "boris-ingestd-relay@.service"):
            done = self.analyze("security", "--offline=true", str(ROOT / "systemd" / name))
            self.assertLessEqual(float(re.search(r"exposure level for .*: ([\d.]+)", done.stdout)[1]), 1.5, done.stdout)

    def test_instances_have_the_same_unit(self):
        """Except for lines that name the instance."""
        def lines(name):
            text = ROOT.joinpath("systemd", name).read_text()
            # the relay's instances share a user, whom the daemon's [client ...] section names
            return [line for line in text.splitlines() if line and not line.startswith(("#", "User="))]

        def neutral(line):
            line = line.replace("@%i.socket", ".socket").replace("@%i.service", ".service").replace(" --config /etc/boris-ingestd/%i.ini", "")
            line = line.replace(", instance %i", "").replace("/%i.environment", "/environment")
            line = re.sub(r"(LoadCredential=.*):boris-ingestd-%i.*", r"\1", line)
            return line.replace("boris-ingestd-%i", "boris-ingestd")

        for unit in ("boris-ingestd{}.service", "boris-ingestd{}.socket", "boris-ingestd-relay{}.service"):
            self.assertEqual([neutral(line) for line in lines(unit.format("@"))], lines(unit.format("")))


if __name__ == "__main__":
    unittest.main()
