"""A Debian tree booted with its own systemd in systemd-nspawn; changes to it are discarded afterwards."""

import fcntl
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import unittest

from lib.harness import ROOT, wait_until

NAMES = {"bookworm": "Debian 12", "trixie": "Debian 13"}


def need_nspawn():
    if os.geteuid() != 0:
        raise unittest.SkipTest("booting a tree takes root")
    if not shutil.which("systemd-nspawn"):
        raise unittest.SkipTest("systemd-nspawn is missing")
    if subprocess.run([ROOT / "tests/lib/systemd_tree.sh", "can-boot"], check=False).returncode:
        raise unittest.SkipTest("booting a tree takes namespaces, which are not permitted here")


class Container:
    """Has a network of its own; sees only @binds of the host, {path inside: directory on the host}."""

    def __init__(self, suite, binds):
        tree = subprocess.run([ROOT / "tests/lib/systemd_tree.sh", suite], check=True, stdout=subprocess.PIPE,
                              text=True).stdout.strip()
        # --keep-unit: two at once would share their control groups
        self.lock = open(pathlib.Path(tree).parent / "nspawn.lock", "w")
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        self.console = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            # and it ends when we do, however that is
            ["setpriv", "--pdeathsig=TERM", "systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--boot",
             "--private-network", "--volatile=overlay", "--console=pipe", f"--directory={tree}",
             *(f"--bind={host}:{there}" for there, host in binds.items())],
            stdin=subprocess.DEVNULL, stdout=self.console, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            self.init = wait_until(self._find_init, "the tree boots")
            wait_until(self._is_up, "the tree is up", pause=0.2)
        except BaseException:
            self.close()
            raise

    def said(self):
        self.console.seek(0)
        return self.console.read()

    def _find_init(self):
        if self.process.poll() is not None:
            raise unittest.SkipTest(f"systemd-nspawn cannot boot a tree here: {self.said()[-300:]}")
        for child in pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split():
            status = pathlib.Path(f"/proc/{child}/status").read_text()
            if re.search(r"^Name:\s+systemd$", status, re.M) and re.search(r"^NSpid:.*\s1$", status, re.M):
                return int(child)
        return None

    def _is_up(self):
        try:
            up = self.run("systemctl is-active multi-user.target", check=False, timeout=10).stdout
        except subprocess.TimeoutExpired:  # asked too early
            return False
        return up.strip() == "active"

    def run(self, script, check=True, timeout=120):
        """Runs a script inside as root; both outputs in one."""
        done = subprocess.run(
            ["nsenter", f"--target={self.init}", "--all", "/usr/bin/env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
             "HOME=/root", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive", "/bin/bash", "-c", script],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout)
        if check and done.returncode:
            raise AssertionError(f"exit status {done.returncode}: {script}\n{done.stdout}")
        return done

    def path(self, there):
        """The path on the host."""
        return pathlib.Path(f"/proc/{self.init}/root{there}")

    def write(self, there, text, mode=0o644):
        path = self.path(there)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)

    def close(self):
        if getattr(self, "init", None):
            try:
                os.kill(self.init, signal.SIGKILL)  # and with it all else there
            except ProcessLookupError:
                pass
        else:
            self.process.terminate()
        self.process.wait()
        self.console.close()
        self.lock.close()
