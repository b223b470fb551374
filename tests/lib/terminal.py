"""A program on a terminal of its own."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios

from lib.harness import wait_until

SEQUENCES = re.compile(r"\x1b\[[?0-9;]*[A-Za-z]")


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, *args, rows=24, columns=80, **env):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            os.execve(args[0], args, {**os.environ, "TERM": "xterm", **env})
        self.shown = ""
        self.status = None

    def read(self):
        while select.select([self.fd], [], [], 0)[0]:
            try:
                data = os.read(self.fd, 1 << 16)
            except OSError:
                return
            self.shown += data.decode(errors="replace")

    def wait_for(self, pattern):
        def found():
            self.read()
            return re.search(pattern, self.frame(), re.S)
        try:
            wait_until(found, pattern)
        except AssertionError:
            raise AssertionError(f"{pattern!r} not shown in {self.shown[-4000:]!r}")

    def frame(self):
        """The latest complete frame, without styles."""
        frames = [f for f in self.shown.split("\x1b[H")[1:] if "\x1b[J" in f]
        return SEQUENCES.sub("", frames[-1].split("\x1b[J")[0]).replace("\r\r\n", "\r\n") if frames else ""

    def resize(self, rows, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def modes(self):
        return termios.tcgetattr(self.fd)

    def press(self, key):
        os.write(self.fd, key)

    def wait(self):
        def over():
            self.read()
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
                self.read()  # its last words
            return pid
        wait_until(over, "its end")
        return self.status

    def close(self):
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)
