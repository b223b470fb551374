"""The ways to write the same rows to the same table, and the cost of each run."""

import json
import os
import pathlib
import re
import subprocess
import time
from dataclasses import dataclass, field
from typing import Any

from lib import npm
from bench_data import COLUMNS, LOAD, Data, Failure, run_tool
from lib.harness import INGESTD, Daemon, Server

TICKS = os.sysconf("SC_CLK_TCK")
DRIZZLE_CONNECTIONS = 4
DRIZZLE_ROWS = 1000


@dataclass
class Run:
    """One run of one way. CPU is user and system time in seconds."""

    rows: int
    seconds: float
    cpu_seconds: float  # of the way's own process
    sender_cpu_seconds: float | None = None
    server_cpu_seconds: float | None = None
    other_cpu_seconds: float | None = None  # of what else ran on the machine meanwhile
    wal_bytes: int = 0
    latency_ms: dict[str, float] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        return self.rows / self.seconds


# --- CPU ---


def stat_of(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the command, from the state on (proc(5))."""
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()


def cpu_of(pid: int, with_children: bool = False) -> float:
    """CPU seconds so far, including children that have ended and were waited for."""
    return sum(map(int, stat_of(pid)[11 : 15 if with_children else 13])) / TICKS


def cpu_of_server(server: Server) -> float | None:
    """CPU seconds of all its processes, including those that have ended. Known only for a private server."""
    if not server.private:
        return None
    postmaster = int(pathlib.Path(server.dir, "data/db/postmaster.pid").read_text().split()[0])
    total = cpu_of(postmaster, with_children=True)
    for path in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if int(stat_of(int(path.name))[1]) == postmaster:
                total += cpu_of(int(path.name))
        except OSError:  # it has ended
            pass
    return total


def cpu_of_machine() -> float:
    """CPU seconds of all processes on the machine."""
    user, nice, system, idle, iowait, irq, softirq = map(int, pathlib.Path("/proc/stat").read_text().split()[1:8])
    return (user + nice + system + irq + softirq) / TICKS


# --- the ways ---


class Way:
    """A way. name is short, for --ways; label is for tables."""

    name = ""
    label = ""
    color = ""

    def start(self, data: Data) -> None:
        """The part that is not measured."""

    def run(self, data: Data) -> Run:
        """Fills the empty table."""
        raise NotImplementedError

    def stop(self) -> None:
        """After each start()."""


class DaemonWay(Way):
    """The daemon, restarted for each run, fed by blast."""

    color = "daemon"

    def __init__(self, tools: pathlib.Path, connections: int, settings: dict[str, str], name: str = "daemon",
                 program: str = INGESTD, warm: bool = False) -> None:
        self.tools, self.connections, self.program, self.warm, self.name = tools, connections, program, warm, name
        self.settings = {key.replace(".", "__"): value for key, value in settings.items()}
        self.label = f"boris-ingestd, {name}" if name != "daemon" else "boris-ingestd"
        self.memory_peak = 0
        self.daemon: Daemon | None = None

    def start(self, data: Data) -> None:
        try:
            self.daemon = Daemon(data.db, self.program, **self.settings)
        except AssertionError as log:
            raise Failure(f"{self.label} does not start: {log}") from None
        if self.warm:  # every ad object is in the cache
            self.run(data)

    def stop(self) -> None:
        if self.daemon:
            self.daemon.close()
        self.daemon = None

    def run(self, data: Data) -> Run:
        assert self.daemon
        pid = self.daemon.process.pid
        before = cpu_of(pid)
        sent = json.loads(run_tool(self.tools / "blast", self.daemon.socket, self.connections, data.lines))
        cpu = cpu_of(pid) - before
        self.memory_peak = max(self.memory_peak, self.daemon.memory_peak())
        return Run(sent["stored"], sent["seconds"], cpu, sent["cpu_seconds"], latency_ms=sent["latency_ms"])


class PsqlWay(Way):
    name = "psql"
    label = "psql \\copy, text, 1 connection"
    color = "rival"

    def run(self, data: Data) -> Run:
        sql = f"\\timing on\n\\copy spending ({COLUMNS}) FROM '{data.text}'\n"
        process = subprocess.Popen(["psql", "-X", "-v", "ON_ERROR_STOP=1", "-d", data.db.url], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdin and process.stdout and process.stderr
        process.stdin.write(sql)
        process.stdin.close()
        said, complained = process.stdout.read(), process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        copied = re.search(r"COPY (\d+)\s+Time: ([\d.,]+) ms", said)
        if process.returncode or not copied:
            raise Failure(f"psql: {complained.strip() or said}")
        milliseconds = float(copied[2].replace(",", "."))
        return Run(int(copied[1]), milliseconds / 1000, usage.ru_utime + usage.ru_stime)


class ToolWay(Way):
    """A program that measures itself and prints rows, seconds and cpu_seconds."""

    def command(self, data: Data) -> list[Any]:
        raise NotImplementedError

    def run(self, data: Data) -> Run:
        env = dict(os.environ, DATABASE_URL=data.db.url)
        return Run(**json.loads(run_tool(*self.command(data), env=env)))


class BinaryWay(ToolWay):
    name = "binary"
    color = "rival"

    def __init__(self, tools: pathlib.Path, writers: int, batch_rows: int) -> None:
        self.tools, self.writers, self.batch_rows = tools, writers, batch_rows
        self.label = f"binary COPY of encoded rows, {writers} connection{'s' * (writers != 1)}"

    def command(self, data: Data) -> list[Any]:
        return [self.tools / "binary_copy", data.db.url, data.binary, self.writers, self.batch_rows]


class NodeCopyWay(ToolWay):
    name = "node"
    label = "Node, pg-copy-streams, text, 1 connection"
    color = "rival"

    def __init__(self, place: pathlib.Path) -> None:
        self.place = place

    def command(self, data: Data) -> list[Any]:
        return ["node", self.place / "copy.mjs", f"COPY spending ({COLUMNS}) FROM STDIN", data.text]


class DrizzleWay(ToolWay):
    name = "drizzle"
    label = f"Node, Drizzle, {DRIZZLE_ROWS:,} rows an INSERT, {DRIZZLE_CONNECTIONS} connections"
    color = "rival"

    def __init__(self, place: pathlib.Path) -> None:
        self.place = place

    def command(self, data: Data) -> list[Any]:
        return ["node", self.place / "drizzle.mjs", data.text, DRIZZLE_CONNECTIONS, DRIZZLE_ROWS]


NODE_WAYS = {"node": NodeCopyWay, "drizzle": DrizzleWay}


def node_place() -> pathlib.Path:
    """Raises npm.Unavailable."""
    return npm.packages(LOAD / "node")


# --- measuring ---


def measure(way: Way, data: Data, server: Server) -> Run:
    """Runs the way on the empty table, and checks what it stored."""
    try:
        way.start(data)
        data.empty()
        time.sleep(0.2)  # for what the checkpoint and the last way's connections leave to be done
        wal_before, server_before, machine_before = data.wal_position(), cpu_of_server(server), cpu_of_machine()
        run = way.run(data)
        machine = cpu_of_machine() - machine_before
        time.sleep(0.1)  # until the backends of clients that are gone have ended: while they do their CPU is nowhere
        if server_before is not None:
            run.server_cpu_seconds = (cpu_of_server(server) or 0.0) - server_before
            known = run.cpu_seconds + run.server_cpu_seconds + (run.sender_cpu_seconds or 0.0)
            run.other_cpu_seconds = max(0.0, machine - known)
        run.wal_bytes = data.wal_position() - wal_before
        data.check(way.label)
    finally:
        way.stop()
    return run
