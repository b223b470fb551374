#!/usr/bin/env python3
"""The Debian package: its contents, and how it runs under a real systemd, in Debian trees that are booted for it."""

import collections
import functools
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import unittest
import uuid

from lib.container import NAMES, Container, need_nspawn
from lib.client import Client
from lib.harness import INGESTD, ROOT, Database, Server, numbered, psql, wait_until
from lib.nats import server_program

BUILD = pathlib.Path(INGESTD).resolve().parents[1]
UPGRADE = os.environ.get("UPGRADE")  # the package of an earlier version, or "same": this one with a lower number
PASSWORD = "only-the-daemon-knows-5f2d"
SOCKET = "/run/boris-ingestd/ingest.sock"


def build_package(folder, config):
    """The path of the package, built from the build."""
    if (BUILD / "CMakeCache.txt").read_text().find("SANITIZE:BOOL=ON") >= 0:
        raise unittest.SkipTest("a build with sanitizers is not packaged")
    subprocess.run(["cpack", "--config", config, "-G", "DEB", "-B", folder], cwd=BUILD, check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)
    return next(pathlib.Path(folder).glob("*.deb"))


@functools.cache
def built_package(config):
    folder = tempfile.mkdtemp(prefix="ingestd-")
    unittest.addModuleCleanup(shutil.rmtree, folder)
    return build_package(folder, config)


def make_package(folder, config="CPackConfig.cmake"):
    """The path of a copy in @folder of the package, which is built once."""
    return pathlib.Path(shutil.copy(built_package(config), folder))


class PackageCase(unittest.TestCase):
    config = "CPackConfig.cmake"

    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.mkdtemp(prefix="ingestd-")
        cls.addClassCleanup(shutil.rmtree, cls.dir)
        cls.deb = make_package(cls.dir, cls.config)

    def field(self, name):
        return subprocess.run(["dpkg-deb", "-f", self.deb, name], check=True, stdout=subprocess.PIPE,
                              text=True).stdout.strip()

    def assert_no_lintian(self):
        if not shutil.which("lintian"):
            raise unittest.SkipTest("lintian is missing")
        done = subprocess.run(["lintian", "--fail-on", "error,warning", "--allow-root", self.deb],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.assertEqual(done.returncode, 0, done.stdout)

    def files(self):
        """Mode and owner of each file."""
        listing = subprocess.run(["dpkg-deb", "-c", self.deb], check=True, stdout=subprocess.PIPE, text=True).stdout
        return {name.removeprefix("."): (mode, owner) for mode, owner, *_, name in
                (line.split() for line in listing.splitlines()) if not name.endswith("/")}


class Package(PackageCase):
    def test_lintian_reports_nothing(self):
        self.assert_no_lintian()

    def test_it_depends_on_the_libraries_that_it_is_linked_with(self):
        depends = self.field("Depends")
        for library in ("libc6", "libcjson1", "libinih1", "libpq5", "libsqlite3-0", "libuv1"):
            self.assertRegex(depends, rf"\b{library}(t64)? \(>= ", depends)

    def test_what_is_in_it(self):
        rights = self.files()
        for name in ("/etc/boris-ingestd/boris-ingestd.ini", "/usr/lib/systemd/system/boris-ingestd.service",
                     "/usr/share/boris-ingestd/migrations/0001_schema.sql", "/usr/share/boris-ingestd/role.sql",
                     "/usr/share/man/man8/boris-ingestd.8.gz", "/usr/share/man/man5/boris-ingestd.ini.5.gz",
                     "/usr/share/bash-completion/completions/boris-ingestd"):
            self.assertEqual(rights.pop(name), ("-rw-r--r--", "root/root"), name)
        self.assertEqual(rights.pop("/usr/sbin/boris-ingestd"), ("-rwxr-xr-x", "root/root"))
        self.assertEqual([name for name in rights if "boris-ingestd-relay" in name], [])

    def test_the_program_is_hardened(self):
        def tell(*command):
            return subprocess.run([*command, INGESTD], check=True, stdout=subprocess.PIPE, text=True).stdout

        self.assertRegex(tell("readelf", "-Wh"), r"Type:\s+DYN")
        self.assertIn("GNU_RELRO", tell("readelf", "-Wl"))
        self.assertRegex(tell("readelf", "-Wd"), r"FLAGS_1\).*\bNOW\b.*\bPIE\b")
        symbols = tell("nm", "-D")
        self.assertIn(" __stack_chk_fail", symbols)
        self.assertIn(" __snprintf_chk", symbols)

    def test_the_build_is_reproducible(self):
        again = tempfile.mkdtemp(prefix="ingestd-")
        self.addCleanup(shutil.rmtree, again)
        self.assertEqual(build_package(again, self.config).read_bytes(), self.deb.read_bytes())


needs_relay = unittest.skipUnless((BUILD / "CPackRelayConfig.cmake").exists(), "the relay is not built: libnats is missing")


@needs_relay
class RelayPackage(PackageCase):
    config = "CPackRelayConfig.cmake"

    def test_lintian_reports_nothing(self):
        self.assert_no_lintian()

    def test_what_is_in_it(self):
        """The program, its units and its manual: nothing that the daemon's package has, too."""
        name = "boris-ingestd-relay"
        rights = self.files()
        self.assertEqual(rights.pop(f"/usr/sbin/{name}"), ("-rwxr-xr-x", "root/root"))
        self.assertEqual(set(rights.values()), {("-rw-r--r--", "root/root")})
        self.assertEqual(set(rights), {
            f"/usr/lib/systemd/system/{name}.service", f"/usr/lib/systemd/system/{name}@.service", f"/usr/share/man/man8/{name}.8.gz",
            f"/usr/share/doc/{name}/changelog.gz", f"/usr/share/doc/{name}/copyright"})

    def test_what_it_depends_on(self):
        self.assertEqual(self.field("Package"), "boris-ingestd-relay")
        depends = self.field("Depends")
        for library in ("libc6", r"libnats[\d.]+", "libpq5", "libuv1"):
            self.assertRegex(depends, rf"\b{library}(t64)? \(>= ", depends)
        self.assertRegex(depends, r"\bboris-ingestd \(>= ")


class Booted:
    """One booted tree for the tests of a class; each test finds the service installed and running, and leaves it so."""

    @classmethod
    def setUpClass(cls):
        need_nspawn()
        cls.server = Server()
        cls.addClassCleanup(cls.server.close)
        cls.server.need_private()
        cls.dir = tempfile.mkdtemp(prefix="ingestd-")
        cls.addClassCleanup(shutil.rmtree, cls.dir)
        cls.deb = make_package(cls.dir)
        cls.db = Database(cls.server)
        cls.addClassCleanup(cls.db.close)
        cls.db.add_account()
        cls.require_password()
        cls.container = Container(cls.suite, {"/mnt/package": cls.dir, "/mnt/server": f"{cls.server.dir}/data"})
        cls.addClassCleanup(cls.container.close)
        cls.run_there = cls.container.run
        done = cls.run_there("dpkg -i /mnt/package/*.deb", check=False)
        if "libc6 (>=" in done.stdout and done.returncode:
            raise unittest.SkipTest(f"a package that was built here does not install on {NAMES[cls.suite]}: "
                                    + re.search(r"depends on (libc6 .*)", done.stdout)[1])
        assert done.returncode == 0, done.stdout
        cls.installed_said = done.stdout
        cls.first = cls.state()
        cls.configure()

    @classmethod
    def require_password(cls):
        """Requires a password from the daemon's role only."""
        psql(cls.db.url, f"ALTER ROLE {cls.db.role} PASSWORD '{PASSWORD}'")
        rules = pathlib.Path(cls.server.dir, "data/db/pg_hba.conf")
        rules.write_text(f"local all {cls.db.role} scram-sha-256\n{rules.read_text()}")
        psql(cls.db.url, "SELECT pg_reload_conf()")

    @classmethod
    def url(cls, role):
        port = re.search(r":(\d+)/", cls.server.url)[1]
        return f"postgresql://{role}@/{cls.db.name}?host=/mnt/server&port={port}"

    @classmethod
    def configure(cls):
        cls.container.write("/etc/boris-ingestd/environment", f"DATABASE_URL={cls.url(cls.db.role)}\n", 0o600)
        cls.container.write("/etc/credstore/boris-ingestd.password", PASSWORD + "\n", 0o600)
        cls.run_there("systemctl restart boris-ingestd")

    @classmethod
    def state(cls, unit="boris-ingestd"):
        text = cls.run_there(f"systemctl show {unit} -p ActiveState,SubState,StatusText,MainPID,NRestarts,Result").stdout
        return dict(line.split("=", 1) for line in text.splitlines())

    @classmethod
    def log(cls):
        return cls.run_there("journalctl -b --no-pager -o cat -u boris-ingestd -u boris-ingestd@two").stdout

    def client(self, path=SOCKET):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(str(self.container.path(path)))
        return Client(sock)

    def store(self, *lines, path=SOCKET):
        client = self.client(path)
        client.send(*lines)
        replies = client.finish()
        self.assertEqual(replies.rejects, {})
        return replies.counts()

    def fresh(self, count=3):
        """Records that were not sent before."""
        mark = uuid.uuid4().hex
        return numbered(count, metrics={"mark": mark})

    def setUp(self):
        state = self.state()
        self.assertEqual((state["ActiveState"], state["SubState"]), ("active", "running"), self.log()[-2000:])

    def test_it_runs_without_a_database_right_after_the_installation(self):
        self.assertEqual(self.first["ActiveState"], "active")
        enabled = self.run_there("systemctl is-enabled boris-ingestd.service boris-ingestd.socket").stdout
        self.assertEqual(enabled.split(), ["enabled", "enabled"])
        self.assertNotIn("warning", self.installed_said.lower())

    def test_it_stores(self):
        self.assertEqual(self.store(*self.fresh()), (3, 3, 0, 0))

    def test_units_are_in_order(self):
        units = self.run_there("dpkg -L boris-ingestd | grep -E 'systemd/system/.*[^@]\\.(service|socket)$'").stdout
        self.assertEqual(self.run_there(f"systemd-analyze verify --man=no {units.replace(chr(10), ' ')}").stdout, "")
        exposure = self.run_there("systemd-analyze security --no-pager boris-ingestd | tail -n 1").stdout
        self.assertLessEqual(float(re.search(r": (\d+\.\d)", exposure)[1]), 1.5, exposure)

    def test_reload(self):
        before = self.state()["MainPID"]
        told = self.log().count("SIGHUP: configuration read again")
        self.run_there("systemctl reload boris-ingestd")
        wait_until(lambda: self.log().count("SIGHUP: configuration read again") == told + 1,
                   "the log has the reload", pause=0.2)
        path = self.container.path("/etc/boris-ingestd/boris-ingestd.ini")
        good = path.read_text()
        path.write_text(good + "\n[batch]\nrow = 1\n")
        self.assertNotEqual(self.run_there("systemctl reload boris-ingestd", check=False).returncode, 0)
        path.write_text(good)
        self.assertIn("unknown key batch.row", self.log())
        self.assertEqual(self.log().count("SIGHUP: configuration read again"), told + 1)
        self.assertEqual(self.state()["MainPID"], before)
        self.assertEqual(self.store(*self.fresh()), (3, 3, 0, 0))

    def test_the_journal_has_fields(self):
        client = self.client()
        client.send({"platform": "s3cr3t"})
        self.assertEqual(client.finish().codes(), {1: "bad_value"})

        def entries():
            text = self.run_there("journalctl -b --no-pager -o json -u boris-ingestd CODE=bad_value").stdout
            return [json.loads(line) for line in text.splitlines()]

        entry = wait_until(entries, "the journal has it", pause=0.2)[-1]
        self.assertEqual((entry["LINE"], entry["FIELD"], entry["_SYSTEMD_UNIT"]),
                         ("1", "platform", "boris-ingestd.service"))
        self.assertNotIn("s3cr3t", str(entry))

    def test_systemctl_status_shows_rates(self):
        wait_until(lambda: re.match(r"Running; \d+ connections", self.state()["StatusText"]), "a status", pause=0.2)

    def test_a_restart_under_load_refuses_no_connection(self):
        count, failed, ended, sent = self.db.count(), [], threading.Event(), []

        def sync_job(number):
            try:
                while not ended.is_set():
                    lines = self.fresh(20)
                    while True:  # until all of it is settled
                        client = self.client()
                        try:
                            client.send(*lines)
                            ack = client.finish().ack or {"ack": 0}
                        except (BrokenPipeError, ConnectionResetError):
                            client.close()
                            continue
                        if ack["ack"] == len(lines):
                            break
                    sent.append(len(lines))
            except Exception as error:  # pylint: disable=broad-except
                failed.append(repr(error))

        jobs = [threading.Thread(target=sync_job, args=(n,)) for n in range(4)]
        for job in jobs:
            job.start()
        pids = set()
        try:
            for _ in range(3):
                before = len(sent)
                wait_until(lambda: len(sent) > before + 4 or failed, "the jobs make progress")
                self.run_there("systemctl restart boris-ingestd")
                pids.add(self.state()["MainPID"])
        finally:
            ended.set()
            for job in jobs:
                job.join()
        self.assertEqual(failed, [])
        self.assertEqual(len(pids), 3)
        self.assertEqual(self.db.count() - count, sum(sent))

    def test_an_upgrade_restarts_the_daemon_and_keeps_the_socket(self):
        inode = self.container.path(SOCKET).stat().st_ino
        before = self.state()["MainPID"]
        self.run_there("dpkg -i /mnt/package/*.deb")
        self.assertNotEqual(self.state()["MainPID"], before)
        self.assertEqual(self.container.path(SOCKET).stat().st_ino, inode)
        self.assertEqual(self.store(*self.fresh()), (3, 3, 0, 0))

    def previous_package(self):
        """Puts the package from which we upgrade beside the one to which; returns its version."""
        folder = pathlib.Path(self.dir, "previous")
        tree, package = folder / "tree", folder / "previous.deb"
        folder.mkdir()
        if UPGRADE == "same":
            subprocess.run(["dpkg-deb", "-R", self.deb, tree], check=True)
            control = tree / "DEBIAN/control"
            control.write_text(re.sub(r"(?m)^Version: .*", "Version: 0.0.1", control.read_text()))
            subprocess.run(["dpkg-deb", "--root-owner-group", "-b", tree, package], check=True, stdout=subprocess.DEVNULL)
        else:
            shutil.copy(UPGRADE, package)
        return subprocess.run(["dpkg-deb", "-f", package, "Version"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()

    def version(self):
        return self.run_there("dpkg-query -W -f '${Version}' boris-ingestd").stdout

    def keep_sending(self, ended, sent, counts):
        """Sends twenty lines at a time, each until all are settled; counts what was spooled. Appends what was sent."""
        while not ended.is_set():
            lines, settled = self.fresh(20), 0
            sent += [(line["amountCents"], line["metrics"]["mark"]) for line in lines]
            while settled < len(lines):
                try:
                    client = self.client()
                    client.send(*lines)
                    ack = client.finish().ack or {"ack": 0}
                except (BrokenPipeError, ConnectionError):
                    continue
                settled = ack["ack"]
                counts["spooled"] += ack.get("spooled", 0)
                counts["rejected"] += ack.get("rejected", 0)
            counts["settled"] += len(lines)

    @unittest.skipUnless(UPGRADE, "with the label long: UPGRADE=same, or the package of an earlier version")
    def test_an_upgrade_under_load_with_spooled_lines_loses_nothing(self):
        ini = self.container.path("/etc/boris-ingestd/boris-ingestd.ini")
        shipped, new, old = ini.read_text(), self.version(), self.previous_package()
        self.run_there("dpkg --force-confold -i /mnt/package/previous/previous.deb")
        ini.write_text("[spool]\ndir = /var/lib/boris-ingestd/spool\n")
        self.configure()
        self.assertEqual(self.version(), old)
        before, ended, sent, counts = self.state()["MainPID"], threading.Event(), [], collections.Counter()
        jobs = [threading.Thread(target=self.keep_sending, args=(ended, sent, counts)) for _ in range(3)]
        for job in jobs:
            job.start()
        try:
            wait_until(lambda: counts["settled"] > 200, "lines are stored")
            self.server.stop_at_once()
            wait_until(lambda: counts["spooled"] > 200, "lines are spooled by the old version")
            self.run_there("dpkg --force-confold -i /mnt/package/*.deb")
            self.assertEqual(self.version(), new)
            self.assertNotIn(self.state()["MainPID"], (before, "0"))
            spooled = counts["spooled"]
            wait_until(lambda: counts["spooled"] > spooled + 200, "lines are spooled by the new version")
            self.server.start()
            settled = counts["settled"]
            wait_until(lambda: counts["settled"] > settled + 200, "lines are settled with the database again")
        finally:
            ended.set()
            for job in jobs:
                job.join()
        self.assertEqual(counts["rejected"], 0)
        wait_until(lambda: "\nlines: 0\n" in self.run_there("boris-ingestd spool status").stdout, "the spool is replayed", pause=0.5)
        marks = {mark for _, mark in sent}
        rows = [(row["n"], row["mark"]) for row in self.db.query("SELECT amount_cents AS n, metrics ->> 'mark' AS mark FROM spending")]
        self.assertEqual(sorted(row for row in rows if row[1] in marks), sorted(sent))
        print(f"{old} to {new}: {len(sent)} lines, {counts['spooled']} acked as spooled")
        ini.write_text(shipped)
        self.run_there("systemctl restart boris-ingestd")

    def test_a_daemon_that_hangs_is_killed_and_comes_back(self):
        self.container.write("/run/systemd/system/boris-ingestd.service.d/watchdog.conf", "[Service]\nWatchdogSec=2\n")
        self.run_there("systemctl daemon-reload && systemctl restart boris-ingestd")
        before = self.state()
        self.run_there(f"kill -STOP {before['MainPID']}")
        client = self.client()  # connects while nobody is there
        client.send(*self.fresh())
        wait_until(lambda: int(self.state()["NRestarts"]) > int(before["NRestarts"]), "the watchdog bites", pause=0.2)
        wait_until(lambda: self.state()["SubState"] == "running", "the daemon is back", pause=0.2)
        self.assertIn("watchdog", self.run_there("journalctl -b --no-pager -o cat -u boris-ingestd").stdout.lower())
        client.close()
        self.assertEqual(self.store(*self.fresh()), (3, 3, 0, 0))
        self.run_there("rm -r /run/systemd/system/boris-ingestd.service.d && systemctl daemon-reload &&"
                       "systemctl restart boris-ingestd")

    def test_the_password_is_visible_nowhere(self):
        self.assertEqual(self.store(*self.fresh()), (3, 3, 0, 0))  # it is used
        for command in ("journalctl -b --no-pager -o verbose", "systemctl status --no-pager -l boris-ingestd",
                        "systemctl show --all boris-ingestd", "cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline"):
            said = self.run_there(command, check=False).stdout
            self.assertGreater(len(said), 100, command)
            self.assertNotIn(PASSWORD, said.replace("\0", " "), command)

    def test_the_sandbox_denies_access(self):
        """What the unit's settings allow a program that runs in the daemon's place."""
        unit = self.container.path("/usr/lib/systemd/system/boris-ingestd.service").read_text()
        unit = re.sub(r"^(ExecStart|ExecReload|Requires|After|WatchdogSec|Restart|Type)=.*\n", "", unit, flags=re.M)
        unit = unit.replace("[Service]", "[Service]\nType=oneshot\nExecStart=/bin/bash /opt/probe")
        self.container.write("/opt/probe", """
            try() { if "${@:2}" >/dev/null 2>&1; then echo "probe: $1 done"; else echo "probe: $1 denied"; fi; }
            try etc touch /etc/x; try usr touch /usr/x; try run touch /run/x; try other touch /var/lib/x
            try state touch /var/lib/boris-ingestd/probe; try log touch /var/log/boris-ingestd/probe; try tmp touch /tmp/x
            try environment cat /etc/boris-ingestd/environment; try credstore cat /etc/credstore/boris-ingestd.password
            try credential cat "$CREDENTIALS_DIRECTORY/boris-ingestd.password"
            try others cat /proc/1/cmdline; try home ls /home/other; try device cat /dev/kmsg
            try namespace unshare -U true; try mount mount -t tmpfs none /mnt; try root setpriv --reuid 0 true
            try setuid install -m 4755 /bin/true /tmp/true; try netlink ss -ltn; try realtime chrt -f 1 true
            try hostname hostname elsewhere
            grep -E '^(NoNewPrivs|CapBnd|Seccomp):' /proc/self/status | sed 's/^/probe: /'
        """)
        self.container.write("/run/systemd/system/boris-probe.service", unit)
        self.run_there("mkdir -p /home/other; systemctl daemon-reload; systemctl start boris-probe", check=False)
        said = self.run_there("journalctl -b --no-pager -o cat -u boris-probe; systemctl reset-failed boris-probe;"
                              "rm /run/systemd/system/boris-probe.service; systemctl daemon-reload", check=False).stdout
        result = dict(re.findall(r"probe: (\S+?):?\s+(\S+)", said))
        allowed = {"state", "log", "tmp", "credential"}
        self.assertEqual({key for key, value in result.items() if value == "done"}, allowed)
        self.assertEqual({key for key, value in result.items() if value == "denied"},
                         {"etc", "usr", "run", "other", "environment", "credstore", "others", "home", "device", "namespace",
                          "mount", "root", "setuid", "netlink", "realtime", "hostname"})
        self.assertEqual((result["NoNewPrivs"], int(result["CapBnd"], 16), result["Seccomp"]), ("1", 0, "2"))

    def test_a_second_instance(self):
        self.container.write("/etc/boris-ingestd/two.ini", "[http]\nlisten =\n")
        self.container.write("/etc/boris-ingestd/two.environment", f"DATABASE_URL={self.url(self.db.role)}\n", 0o600)
        self.container.write("/etc/credstore/boris-ingestd-two.password", PASSWORD + "\n", 0o600)
        self.run_there("systemctl enable --now boris-ingestd@two.socket boris-ingestd@two.service")
        self.assertEqual(self.state("boris-ingestd@two")["SubState"], "running")
        self.assertEqual(self.store(*self.fresh(), path="/run/boris-ingestd-two/ingest.sock"), (3, 3, 0, 0))
        self.run_there("systemctl disable --now boris-ingestd@two.socket boris-ingestd@two.service")
        self.run_there("rm /etc/boris-ingestd/two.* /etc/credstore/boris-ingestd-two.password")

    def ask_nats(self, *requests):
        """Sends each (subject, data) to the server in the tree, as a request; returns the answers."""
        ask = ("import json, sys; from lib.nats import NatsClient; client = NatsClient(4222); "
               "print(json.dumps([json.loads(client.request(*request)) for request in json.load(sys.stdin)]))")
        done = subprocess.run(["nsenter", f"--target={self.container.init}", "--net", sys.executable, "-c", ask], text=True, check=True,
                              input=json.dumps(requests), stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(ROOT / "tests")})
        return json.loads(done.stdout)

    def start_nats(self, folder):
        """A server with its streams in the tree; the program lies in @folder."""
        self.container.write("/etc/nats.conf", """
            listen: 127.0.0.1:4222
            jetstream { store_dir: /tmp/nats }
            mappings { "boris.in.*.*": "boris.p.{{partition(4,1,2)}}.{{wildcard(1)}}.{{wildcard(2)}}" }
        """)
        shutil.copy(server_program(), folder / "nats-server")
        self.run_there("systemd-run --quiet --unit=nats-test /mnt/package/relay/nats-server -c /etc/nats.conf")
        self.addCleanup(self.run_there, "systemctl stop nats-test")
        wait_until(lambda: "4222" in self.run_there("journalctl -b --no-pager -o cat -u nats-test").stdout, "NATS listens", pause=0.2)
        for name, subjects in ("BORIS", "boris.p.>"), ("REJECTS", "boris.rejects.>"):
            stream = {"name": name, "subjects": [subjects], "retention": "limits", "discard": "new"}
            self.assertNotIn("error", self.ask_nats((f"$JS.API.STREAM.CREATE.{name}", json.dumps(stream)))[0])

    def relay_stores(self):
        """Publishes lines, and waits until they are stored."""
        lines, count = self.fresh(5), self.db.count()
        for answer in self.ask_nats(*(("boris.in.META.act_1", json.dumps(line)) for line in lines)):
            self.assertEqual(answer.get("stream"), "BORIS", answer)
        wait_until(lambda: self.db.count() == count + len(lines), "the relay's lines are stored", pause=0.2)

    @needs_relay
    def test_the_relay_feeds_and_leaves_nothing(self):
        folder = pathlib.Path(self.dir, "relay")
        folder.mkdir()
        make_package(folder, "CPackRelayConfig.cmake")
        # NATS's library is that of the system that built the package
        for library in re.findall(r"=> (\S+/lib(?:nats|protobuf-c)\.so\S*)",
                                  subprocess.run(["ldd", f"{INGESTD}-relay"], check=True, stdout=subprocess.PIPE, text=True).stdout):
            shutil.copy(library, folder)
        install = "dpkg -i --force-depends /mnt/package/relay/*.deb"
        self.start_nats(folder)
        self.run_there(f"cp /mnt/package/relay/*.so.* /usr/local/lib && ldconfig && {install}")
        self.assertEqual(self.state("boris-ingestd-relay")["SubState"], "dead")
        self.run_there("systemctl enable --now boris-ingestd-relay")
        self.relay_stores()
        before = self.state("boris-ingestd-relay")["MainPID"]
        self.run_there("systemctl restart boris-ingestd-relay")
        self.relay_stores()
        restarted = self.state("boris-ingestd-relay")["MainPID"]
        self.run_there(install)
        self.relay_stores()
        self.assertEqual(len({before, restarted, self.state("boris-ingestd-relay")["MainPID"]}), 3)
        self.assertIn("boris-ingestd-relay", self.run_there("journalctl -b --no-pager -t boris-ingestd-relay").stdout)
        self.run_there("systemctl enable boris-ingestd-relay@two; dpkg --remove boris-ingestd-relay")
        self.assertEqual(self.state("boris-ingestd-relay")["SubState"], "dead")
        self.run_there("dpkg --purge boris-ingestd-relay; rm -r /tmp/nats /etc/nats.conf; systemctl daemon-reload")
        self.assertEqual([name for name in self.leftovers() if "ingestd-relay" in name], [])
        self.assertEqual(self.store(*self.fresh()), (3, 3, 0, 0))

    def install_again(self):
        self.run_there("dpkg -i /mnt/package/*.deb")
        self.configure()

    def leftovers(self):
        return self.run_there("find / -xdev -name '*boris-ingest*' -not -path '/mnt/*'").stdout.split()

    def test_remove_stops_the_daemon_and_purge_leaves_nothing(self):
        self.run_there("systemctl enable boris-ingestd@two.socket boris-ingestd@two.service; dpkg --remove boris-ingestd")
        self.assertNotIn("/usr/sbin/boris-ingestd", self.run_there("cat /proc/[0-9]*/cmdline").stdout)
        self.assertTrue(self.container.path("/etc/boris-ingestd/environment").exists())
        self.run_there("dpkg --purge boris-ingestd")
        self.assertEqual(self.leftovers(), ["/etc/credstore/boris-ingestd.password"])  # not the package's
        units = self.run_there("systemctl list-units --all --no-pager 'boris*'; systemctl --failed").stdout
        self.assertNotIn("boris", units)
        self.install_again()
        self.assertEqual(self.store(*self.fresh()), (3, 3, 0, 0))

    def test_purge_keeps_acked_lines_that_are_not_stored(self):
        count = self.db.count()
        self.container.write("/etc/boris-ingestd/environment", "DATABASE_URL=postgresql://nobody@/x?host=/nowhere\n")
        spool = "[spool]\ndir = /var/lib/boris-ingestd/spool\n"
        self.container.write("/etc/boris-ingestd/boris-ingestd.ini", spool)
        self.run_there("systemctl restart boris-ingestd")
        client = self.client()
        client.send(*self.fresh())
        self.assertEqual(client.finish().ack["spooled"], 3)
        self.assertIn("3 acked lines", self.run_there("dpkg --purge boris-ingestd").stdout)
        self.assertTrue(self.container.path("/var/lib/private/boris-ingestd/spool/spool.db").exists())
        self.run_there("dpkg -i /mnt/package/*.deb")
        self.container.write("/etc/boris-ingestd/boris-ingestd.ini", spool)
        self.configure()
        wait_until(lambda: self.db.count() == count + 3, "the spool is drained", pause=0.2)


class Debian12(Booted, unittest.TestCase):
    suite = "bookworm"


class Debian13(Booted, unittest.TestCase):
    suite = "trixie"

    def test_readme_leads_to_a_first_row(self):
        """On a system that has never seen the package, only README's commands, with another address in them."""
        text = (ROOT / "README.md").read_text()
        commands = textwrap.dedent(re.search(r"^    apt install .*?(?=^\S)", text, re.S | re.M)[0])
        db = Database(self.server, migrated=False)
        port = re.search(r":(\d+)/", self.server.url)[1]
        rules = pathlib.Path(self.server.dir, "data/db/pg_hba.conf")
        rules.write_text(f"local {db.name} boris_ingestd scram-sha-256\n{rules.read_text()}")
        psql(db.url, "SELECT pg_reload_conf()")
        self.addCleanup(psql, self.server.url, "DROP ROLE boris_ingestd")
        self.addCleanup(db.close)
        self.assertEqual(commands.count("@db.example/boris"), 2)
        for role, ours in (("boris", "postgres"), ("boris_ingestd", "boris_ingestd")):
            commands = commands.replace(f"postgresql://{role}@db.example/boris",
                                        f"postgresql://{ours}@/{db.name}?host=/mnt/server&port={port}")
        self.run_there("dpkg --purge boris-ingestd; rm /etc/credstore/boris-ingestd.password")
        self.assertIn("./build/release/boris-ingestd_", commands)
        commands = commands.replace("./build/release/", "./")
        said = self.run_there(f"cd /mnt/package; set -euo pipefail\n{commands}").stdout
        self.assertIn('{"ack":3,"stored":3,"duplicate":0,"rejected":0}', said)
        self.assertRegex(said, r"total .* 868 ", said)
        self.assertEqual(db.query("SELECT amount_cents FROM spending"), [{"amount_cents": 868}])
        self.assertIn("boris_ingestd", psql(db.url, "SELECT usename FROM pg_stat_activity"))
        self.configure()


if __name__ == "__main__":
    unittest.main()
